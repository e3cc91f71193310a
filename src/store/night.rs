//! What the report of a night asks of the database, gathered by the database: a hundred thousand runs become a row for
//! each task. The runs and events of the time are found by reading the tables once: an index on time would cost each
//! run more than it would spare a question that is asked once a day.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use serde_json::Value;

use crate::domain::name::{JobId, RunId, TaskName};

use super::events::Event;
use super::{StoreError, events, micros, time};

const DOING: &str = "gather what happened";

/// The runs of tasks that have ended since ?1. What was never started is no run.
const ENDED: &str = "kind = 'main' AND task IS NOT NULL AND ended >= ?1 AND outcome <> 'never_started'";

/// Failed as the lifecycle has it: neither success nor an end that somebody asked for.
const FAILED: &str = "(outcome NOT IN ('success', 'never_started') AND stop_asked IS NULL)";

/// A run whose duration says something about how long the work takes: it did not end because it was told to.
const BY_ITSELF: &str = "stop_asked IS NULL AND outcome <> 'stopped' AND lasted IS NOT NULL";

/// What the runs of one task come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The task.
    pub task: TaskName,
    /// The runs that have ended since, and those that have not ended.
    pub runs: u64,
    /// How often it failed.
    pub failures: u64,
    /// Those that began since and were not the first attempt at their job.
    pub restarts: u64,
    /// The time since that was spent in runs that have ended, in microseconds.
    pub spent: u64,
    /// The longest of these runs, in microseconds.
    pub longest: Option<u64>,
    /// The longest that ended by itself, in microseconds.
    pub longest_by_itself: Option<u64>,
    /// The highest peak of memory, in bytes.
    pub memory: Option<u64>,
    /// The last end.
    pub last_end: Option<Timestamp>,
    /// The first failed end.
    pub first_failure: Option<Timestamp>,
    /// The last failed end.
    pub last_failure: Option<Timestamp>,
    /// The last end with success.
    pub last_success: Option<Timestamp>,
}

/// What the runs since a moment come to, task by task.
pub fn tallies(connection: &Connection, since: Timestamp) -> Result<Vec<Tally>, StoreError> {
    // Not by the index of the tasks: it would fetch the whole table row by row, out of order.
    let sql = format!(
        "SELECT task, count(*), coalesce(sum({FAILED}), 0), sum(claimed >= ?1 AND attempt > 1),
             coalesce(sum(max(min(lasted, ended - ?1), 0)), 0), max(lasted), max(CASE WHEN {BY_ITSELF} THEN lasted END),
             max(memory), max(ended), min(CASE WHEN {FAILED} THEN ended END), max(CASE WHEN {FAILED} THEN ended END),
             max(CASE WHEN outcome = 'success' THEN ended END)
         FROM runs NOT INDEXED WHERE ({ENDED}) OR (kind = 'main' AND task IS NOT NULL AND outcome IS NULL)
         GROUP BY task"
    );
    let moment = |row: &Row<'_>, at: usize| row.get::<_, Option<i64>>(at).map(|micros| micros.map(time));
    rows(connection, &sql, [micros(since)], |row| {
        Ok(Tally {
            task: name(row, 0)?,
            runs: row.get(1)?,
            failures: row.get(2)?,
            restarts: row.get(3)?,
            spent: row.get(4)?,
            longest: row.get(5)?,
            longest_by_itself: row.get(6)?,
            memory: row.get(7)?,
            last_end: moment(row, 8)?,
            first_failure: moment(row, 9)?,
            last_failure: moment(row, 10)?,
            last_success: moment(row, 11)?,
        })
    })
}

impl Tally {
    /// That of a task without runs.
    pub fn new(task: TaskName) -> Self {
        Self {
            task,
            runs: 0,
            failures: 0,
            restarts: 0,
            spent: 0,
            longest: None,
            longest_by_itself: None,
            memory: None,
            last_end: None,
            first_failure: None,
            last_failure: None,
            last_success: None,
        }
    }
}

/// A run that failed, or failed its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRun {
    /// Its task.
    pub task: TaskName,
    /// Its job.
    pub job: JobId,
    /// What it was for: `main`, a hook, `transfer`.
    pub kind: String,
    /// When it ended.
    pub ended: Timestamp,
    /// Its id; none for a transfer that could not even begin.
    pub run: Option<RunId>,
    /// The word for how it ended.
    pub outcome: String,
    /// The same in words.
    pub reason: Option<String>,
}

/// The first run of each task that has failed since a moment, in the order in which they did.
pub fn first_failures(connection: &Connection, since: Timestamp) -> Result<Vec<FailedRun>, StoreError> {
    // With a single min() the other columns are those of the row that has it.
    let sql = format!(
        "SELECT task, min(ended), id, outcome, reason, job, kind FROM runs NOT INDEXED WHERE {ENDED} AND {FAILED}
         GROUP BY task ORDER BY min(ended), rowid"
    );
    rows(connection, &sql, [micros(since)], failed_run)
}

/// The jobs of a task that failed though no run of its own had: by a hook, or by a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedBesides {
    /// What failed the first of them.
    pub first: FailedRun,
    /// How many there are.
    pub failures: u64,
    /// When the last of them failed.
    pub last: Timestamp,
}

/// The jobs that have failed since a moment though no run of their own had, task by task.
pub fn failed_besides(connection: &Connection, since: Timestamp) -> Result<Vec<FailedBesides>, StoreError> {
    // A transfer without a run is one that could not begin.
    let sql =
        "SELECT found.task, event.time, run.id, coalesce(run.outcome, 'could_not_start'), event.data ->> 'reason',
                   event.job, coalesce(run.kind, 'transfer'), found.failures, found.last
               FROM (SELECT task, count(*) AS failures, max(time) AS last, min(id) AS first FROM events
                     WHERE time >= ?1 AND task IS NOT NULL AND job IS NOT NULL AND after = 'FAILED'
                     AND cause IN ('hook_ended', 'transfer_failed') AND before NOT IN ('RUN_ERROR', 'RUN_TIMEOUT')
                     GROUP BY task) AS found
               JOIN events AS event ON event.id = found.first
               LEFT JOIN runs AS run ON run.id = event.data ->> 'run'";
    rows(connection, sql, [micros(since)], |row| {
        Ok(FailedBesides { first: failed_run(row)?, failures: row.get(7)?, last: time(row.get(8)?) })
    })
}

/// Occurrences of a task's schedule that were missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The task.
    pub task: TaskName,
    /// How many.
    pub number: u64,
    /// Whether there were more than that, which nobody has counted.
    pub more: bool,
    /// When the last of them was due.
    pub last: Timestamp,
    /// Why that was missed.
    pub reason: Option<String>,
}

/// What was found since a moment to have been missed, the longest ago first.
pub fn missed(connection: &Connection, since: Timestamp) -> Result<Vec<Missed>, StoreError> {
    // The reason is that of the row with the greatest moment.
    let sql = "SELECT task, sum(CAST(replace(coalesce(count, '1'), 'more than ', '') AS INTEGER)),
                      sum(coalesce(count, '') LIKE 'more than %') > 0, max(due), reason FROM occurrences
               WHERE decision = 'missed' AND decided >= ?1 GROUP BY task ORDER BY max(due), task";
    rows(connection, sql, [micros(since)], |row| {
        let (number, more) = (row.get(1)?, row.get(2)?);
        Ok(Missed { task: name(row, 0)?, number, more, last: time(row.get(3)?), reason: row.get(4)? })
    })
}

/// What became of queued jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queued {
    /// How many have finished since the moment that is looked back to.
    pub finished: u64,
    /// How many have failed since.
    pub failed: u64,
    /// How many cannot run because of others.
    pub blocked: u64,
    /// The first that has failed since: when, and why.
    pub first: Option<(JobId, Timestamp, Option<String>)>,
}

/// What has become of queued jobs since a moment.
pub fn queued(connection: &Connection, since: Timestamp) -> Result<Queued, StoreError> {
    let sql = "SELECT count(*) FILTER (WHERE state = 'JOB_FINISHED'), count(*) FILTER (WHERE state = 'FAILED'),
                      count(*) FILTER (WHERE state = 'BLOCKED')
               FROM jobs WHERE door = 'queue' AND (ended >= ?1 OR state = 'BLOCKED')";
    let counts =
        |row: &Row<'_>| Ok(Queued { finished: row.get(0)?, failed: row.get(1)?, blocked: row.get(2)?, first: None });
    let counted = one(connection, sql, [micros(since)], counts)?.unwrap_or_default();
    let sql = "SELECT id, ended, reason FROM jobs
               WHERE door = 'queue' AND state = 'FAILED' AND ended >= ?1 ORDER BY ended, id LIMIT 1";
    let first = one(connection, sql, [micros(since)], |row| Ok((JobId(row.get(0)?), time(row.get(1)?), row.get(2)?)))?;
    Ok(Queued { first, ..counted })
}

/// The tasks of queued jobs that have failed since a moment and were not run again: another job's success mends nothing.
pub fn with_failed_jobs(connection: &Connection, since: Timestamp) -> Result<Vec<TaskName>, StoreError> {
    let sql = "SELECT DISTINCT task FROM jobs
               WHERE door = 'queue' AND task IS NOT NULL AND state = 'FAILED' AND ended >= ?1";
    rows(connection, sql, [micros(since)], |row| name(row, 0))
}

fn failed_run(row: &Row<'_>) -> rusqlite::Result<FailedRun> {
    let id: Option<String> = row.get(2)?;
    Ok(FailedRun {
        task: name(row, 0)?,
        ended: time(row.get(1)?),
        run: id.map(|id| RunId::parse(&id)).transpose().map_err(|error| wrong(2, error))?,
        outcome: row.get(3)?,
        reason: row.get(4)?,
        job: JobId(row.get(5)?),
        kind: row.get(6)?,
    })
}

/// How long the last successful runs of a task took that ended before a moment, in microseconds; at most so many.
pub fn successes_before(
    connection: &Connection,
    task: &TaskName,
    before: Timestamp,
    number: u32,
) -> Result<Vec<u64>, StoreError> {
    let sql = "SELECT lasted FROM runs WHERE task = ?1 AND kind = 'main' AND outcome = 'success' AND lasted IS NOT NULL
               AND ended < ?2 ORDER BY rowid DESC LIMIT ?3";
    rows(connection, sql, (task.as_str(), micros(before), number), |row| row.get(0))
}

/// The longest run of a task that has ended by itself since a moment: how long it took, in microseconds, when it ended,
/// and how it did.
pub fn slowest(
    connection: &Connection,
    task: &TaskName,
    since: Timestamp,
) -> Result<Option<(u64, Timestamp, String)>, StoreError> {
    let sql = format!(
        "SELECT lasted, ended, outcome FROM runs WHERE {ENDED} AND {BY_ITSELF} AND task = ?2
         ORDER BY lasted DESC, rowid LIMIT 1"
    );
    one(connection, &sql, (micros(since), task.as_str()), |row| Ok((row.get(0)?, time(row.get(1)?), row.get(2)?)))
}

/// How many runs of a task that have ended by themselves since a moment took longer than this, in microseconds.
pub fn count_longer(
    connection: &Connection,
    task: &TaskName,
    since: Timestamp,
    longer_than: u64,
) -> Result<u64, StoreError> {
    let sql = format!("SELECT count(*) FROM runs WHERE {ENDED} AND {BY_ITSELF} AND task = ?2 AND lasted > ?3");
    let values = (micros(since), task.as_str(), i64::try_from(longer_than).unwrap_or(i64::MAX));
    Ok(one(connection, &sql, values, |row| row.get(0))?.unwrap_or(0))
}

/// When the last run of a task ended.
pub fn last_end(connection: &Connection, task: &TaskName) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT max(ended) FROM (SELECT ended FROM runs WHERE task = ?1 AND kind = 'main'
               AND outcome <> 'never_started' ORDER BY rowid DESC LIMIT 1)";
    Ok(one(connection, sql, [task.as_str()], |row| row.get::<_, Option<i64>>(0))?.flatten().map(time))
}

/// The events with one of these causes since a moment, and the ends of runs at the given moments, of hooks and transfers
/// too, in order.
pub fn events_since(
    connection: &Connection,
    causes: &[&str],
    since: Timestamp,
    ends: impl Iterator<Item = Timestamp>,
) -> Result<Vec<Event>, StoreError> {
    let places = causes.iter().map(|cause| format!("'{cause}'")).collect::<Vec<_>>().join(", ");
    let rest = format!(
        "WHERE time >= ?1 AND (cause IN ({places}) OR cause IN ('ended', 'hook_ended', 'transfer_failed')
             AND time IN (SELECT value FROM json_each(?2)))
         ORDER BY id"
    );
    let ends = ends.map(micros).collect::<Value>().to_string();
    events::select(connection, &rest, (micros(since), ends))
}

/// The last event with one of these causes before a moment.
pub fn last_before(connection: &Connection, causes: &[&str], before: Timestamp) -> Result<Option<Event>, StoreError> {
    let places = causes.iter().map(|cause| format!("'{cause}'")).collect::<Vec<_>>().join(", ");
    let rest = format!("WHERE time < ?1 AND cause IN ({places}) ORDER BY id DESC LIMIT 1");
    Ok(events::select(connection, &rest, [micros(before)])?.pop())
}

/// A message that has not reached anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Its number.
    pub id: i64,
    /// The task it is about.
    pub task: String,
    /// What it is about, as a word.
    pub occasion: String,
    /// When it was made.
    pub made: Timestamp,
    /// How often its delivery was tried.
    pub attempts: u32,
    /// Whether it has been given up; otherwise it is tried again.
    pub given_up: bool,
}

/// The messages that have been given up since a moment, and those that still wait after an attempt has failed; all that
/// wait, where nobody is there to send them.
pub fn undelivered(connection: &Connection, since: Timestamp, unsent: bool) -> Result<Vec<Undelivered>, StoreError> {
    let sql = "SELECT id, task, occasion, made, attempts, state = 'given_up' FROM notices
               WHERE (state = 'given_up' AND ended >= ?1)
                  OR (state = 'due' AND (not_before IS NOT NULL OR attempts > 1 OR ?2)) ORDER BY id";
    rows(connection, sql, (micros(since), unsent), |row| {
        Ok(Undelivered {
            id: row.get(0)?,
            task: row.get(1)?,
            occasion: row.get(2)?,
            made: time(row.get(3)?),
            attempts: row.get(4)?,
            given_up: row.get(5)?,
        })
    })
}

fn name(row: &Row<'_>, at: usize) -> rusqlite::Result<TaskName> {
    TaskName::parse(&row.get::<_, String>(at)?).map_err(|error| wrong(at, error))
}

fn wrong(at: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, error.into())
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::sql(DOING))?;
    let rows = statement.query_map(values, row).map_err(StoreError::sql(DOING))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(DOING))
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::sql(DOING))?;
    statement.query_row(values, row).optional().map_err(StoreError::sql(DOING))
}
