//! Runs: attempts at jobs. A run without an outcome is unfinished; what became of it is in its record.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use crate::domain::evidence::Ended;
use crate::domain::name::{JobId, RunId, RunRef, TaskName};
use crate::domain::outcome::Exit;

use super::jobs::ACTIVE;
use super::{StoreError, micros, time};

/// One run's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its place in the order of all runs.
    pub number: i64,
    /// Its id.
    pub id: RunId,
    /// Its job.
    pub job: JobId,
    /// Its task.
    pub task: Option<TaskName>,
    /// `main`, …
    pub kind: String,
    /// Which attempt at the job it is, from 1.
    pub attempt: u32,
    /// Who asked for it.
    pub asked_by: String,
    /// When it was recorded.
    pub claimed: Timestamp,
    /// When it was due.
    pub scheduled: Option<Timestamp>,
    /// When its script was started.
    pub started: Option<Timestamp>,
    /// When it ended, or when that was noticed.
    pub ended: Option<Timestamp>,
    /// The script's pid.
    pub pid: Option<i32>,
    /// When somebody asked for its end.
    pub stop_asked: Option<Timestamp>,
    /// Who that was.
    pub stop_by: Option<String>,
    /// When it was found to show no sign of life.
    pub stalled: Option<Timestamp>,
    /// Why its end was asked for then.
    pub stall_reason: Option<String>,
    /// The word for how it ended; none while it is unfinished.
    pub outcome: Option<String>,
    /// How its main process ended.
    pub exit: Option<Exit>,
    /// How it ended, in words.
    pub reason: Option<String>,
    /// How long it lasted, in microseconds.
    pub lasted: Option<u64>,
    /// CPU time in microseconds.
    pub cpu: Option<u64>,
    /// Peak memory in bytes.
    pub memory: Option<u64>,
    /// The file name that its output has once archived.
    pub archive: String,
    /// The inode of its output.
    pub inode: Option<u64>,
    /// Whether its output was removed by retention.
    pub output_removed: bool,
    /// The slot that it runs in, whose record is its own.
    pub slot: Option<u32>,
}

impl From<&RunRow> for RunRef {
    fn from(row: &RunRow) -> Self {
        Self { id: row.id, slot: row.slot }
    }
}

impl RunRow {
    /// Whether somebody wishes its end, or has wished it.
    pub fn is_to_end(&self) -> bool {
        self.stop_asked.is_some() || self.stall_reason.is_some()
    }
}

const COLUMNS: &str = "rowid, id, job, task, kind, attempt, asked_by, claimed, scheduled, started, ended, pid, \
     stop_asked, stop_by, outcome, exit_code, signal, core, reason, lasted, cpu, memory, archive, inode, output_removed, stalled, \
     stall_reason, slot";

fn row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let wrong = |at: usize, error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, error)
    };
    let moment = |at: usize| row.get::<_, Option<i64>>(at).map(|micros| micros.map(time));
    let task: Option<String> = row.get(3)?;
    let task = task.map(|name| TaskName::parse(&name)).transpose().map_err(|error| wrong(3, error.into()))?;
    let exit = match (row.get::<_, Option<i32>>(15)?, row.get::<_, Option<i32>>(16)?) {
        (Some(code), _) => Some(Exit::Code(code)),
        (None, Some(number)) => Some(Exit::Signal { number, core: row.get::<_, Option<bool>>(17)? == Some(true) }),
        (None, None) => None,
    };
    Ok(RunRow {
        number: row.get(0)?,
        id: RunId::parse(&row.get::<_, String>(1)?).map_err(|error| wrong(1, error.into()))?,
        job: JobId(row.get(2)?),
        task,
        kind: row.get(4)?,
        attempt: row.get(5)?,
        asked_by: row.get(6)?,
        claimed: time(row.get(7)?),
        scheduled: moment(8)?,
        started: moment(9)?,
        ended: moment(10)?,
        pid: row.get(11)?,
        stop_asked: moment(12)?,
        stop_by: row.get(13)?,
        outcome: row.get(14)?,
        exit,
        reason: row.get(18)?,
        lasted: row.get(19)?,
        cpu: row.get(20)?,
        memory: row.get(21)?,
        archive: row.get(22)?,
        inode: row.get(23)?,
        output_removed: row.get(24)?,
        stalled: moment(25)?,
        stall_reason: row.get(26)?,
        slot: row.get(27)?,
    })
}

fn select(connection: &Connection, rest: &str, values: impl rusqlite::Params) -> Result<Vec<RunRow>, StoreError> {
    let doing = "read the runs";
    let sql = format!("SELECT {COLUMNS} FROM runs {rest}");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map(values, row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// Every unfinished run.
pub fn unfinished(connection: &Connection) -> Result<Vec<RunRow>, StoreError> {
    select(connection, "WHERE outcome IS NULL ORDER BY rowid", [])
}

/// How many runs of a kind are unfinished.
pub fn count_unfinished(connection: &Connection, kind: Kind) -> Result<usize, StoreError> {
    connection
        .prepare_cached("SELECT count(*) FROM runs WHERE outcome IS NULL AND kind = ?1")
        .and_then(|mut statement| statement.query_row([kind.as_str()], |row| row.get(0)))
        .map_err(StoreError::sql("count the runs"))
}

/// The newest unfinished front-door run of a task.
pub fn unfinished_of(connection: &Connection, task: &TaskName) -> Result<Option<RunRow>, StoreError> {
    Ok(all_unfinished_of(connection, task)?.pop())
}

/// The unfinished front-door runs of a task, hooks and transfers too, oldest first: more than one where its schedule lets
/// them meet.
pub fn all_unfinished_of(connection: &Connection, task: &TaskName) -> Result<Vec<RunRow>, StoreError> {
    // Of its jobs, because not every run of theirs names the task.
    let rest = format!(
        "WHERE outcome IS NULL AND kind <> 'notify'
         AND job IN (SELECT id FROM jobs INDEXED BY jobs_active WHERE task = ?1 AND {ACTIVE}) ORDER BY rowid"
    );
    select(connection, &rest, [task.as_str()])
}

/// The unfinished runs of a slot.
pub fn in_slot(connection: &Connection, slot: u32) -> Result<Vec<RunRow>, StoreError> {
    select(connection, "WHERE slot = ?1 AND outcome IS NULL", [slot])
}

/// Whether anything runs in a slot.
pub fn any_in_slots(connection: &Connection) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM runs WHERE slot IS NOT NULL AND outcome IS NULL)")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(StoreError::sql("look at the slots"))
}

/// The unfinished run of a job, of whatever kind, apart from messages about it.
pub fn unfinished_of_job(connection: &Connection, job: JobId) -> Result<Option<RunRow>, StoreError> {
    Ok(select(connection, "WHERE job = ?1 AND outcome IS NULL AND kind <> 'notify'", [job.0])?.pop())
}

/// How many runs of a kind a job has had.
pub fn count_of_job(connection: &Connection, job: JobId, kind: Kind) -> Result<u32, StoreError> {
    connection
        .prepare_cached("SELECT count(*) FROM runs WHERE job = ?1 AND kind = ?2")
        .and_then(|mut statement| statement.query_row((job.0, kind.as_str()), |row| row.get(0)))
        .map_err(StoreError::sql("count the runs"))
}

/// The runs of a job, oldest first.
pub fn of_job(connection: &Connection, job: JobId) -> Result<Vec<RunRow>, StoreError> {
    select(connection, "WHERE job = ?1 ORDER BY rowid", [job.0])
}

/// The last runs of a task, newest first; all of them where no number is given.
pub fn last_of(connection: &Connection, task: &TaskName, number: Option<u32>) -> Result<Vec<RunRow>, StoreError> {
    let limit = number.map_or(-1, i64::from);
    select(connection, "WHERE task = ?1 ORDER BY rowid DESC LIMIT ?2", (task.as_str(), limit))
}

/// The newest main run of each task's newest job; or the hook or transfer of that job which is not over.
pub fn newest_of_tasks(connection: &Connection) -> Result<Vec<RunRow>, StoreError> {
    let rest = "WHERE rowid IN (SELECT (SELECT rowid FROM runs WHERE runs.job = tasks.job
                AND (kind = 'main' OR outcome IS NULL AND kind <> 'notify')
                ORDER BY rowid DESC LIMIT 1) FROM tasks)";
    select(connection, rest, [])
}

/// A run by its id.
pub fn find(connection: &Connection, id: RunId) -> Result<Option<RunRow>, StoreError> {
    Ok(select(connection, "WHERE id = ?1", [id.to_string()])?.pop())
}

/// How many runs a task has had.
pub fn count_of(connection: &Connection, task: &TaskName) -> Result<usize, StoreError> {
    connection
        .prepare_cached("SELECT count(*) FROM runs WHERE task = ?1")
        .and_then(|mut statement| statement.query_row([task.as_str()], |row| row.get(0)))
        .map_err(StoreError::sql("count the runs"))
}

/// One run of a task, counted from 0 for the newest.
pub fn nth_newest(connection: &Connection, task: &TaskName, nth: usize) -> Result<Option<RunRow>, StoreError> {
    Ok(select(connection, "WHERE task = ?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2", (task.as_str(), nth))?.pop())
}

/// The newest main run of a job.
pub fn last_main_of_job(connection: &Connection, job: JobId) -> Result<Option<RunRow>, StoreError> {
    Ok(select(connection, "WHERE job = ?1 AND kind = 'main' ORDER BY rowid DESC LIMIT 1", [job.0])?.pop())
}

/// The last run of a job that was a hook's.
pub fn last_hook_of_job(connection: &Connection, job: JobId) -> Result<Option<RunRow>, StoreError> {
    let rest = "WHERE job = ?1 AND kind IN ('preprocess', 'postprocess', 'handle_error', 'handle_timeout')
                ORDER BY rowid DESC LIMIT 1";
    Ok(select(connection, rest, [job.0])?.pop())
}

/// How long the main runs of a job took that were claimed since then, together; one that goes on, until now.
pub fn time_of_job(
    connection: &Connection,
    job: JobId,
    since: Timestamp,
    now: Timestamp,
) -> Result<Duration, StoreError> {
    let sql = "SELECT total(CASE WHEN outcome IS NULL THEN max(?3 - claimed, 0)
                            ELSE coalesce(lasted, ended - started, 0) END)
               FROM runs WHERE job = ?1 AND kind = 'main' AND claimed >= ?2";
    let took: f64 = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row((job.0, micros(since), micros(now)), |row| row.get(0)))
        .map_err(StoreError::sql("read the runs"))?;
    Ok(Duration::try_from_secs_f64(took / 1e6).unwrap_or_default())
}

/// The newest main run of a task that has ended, apart from those of its queued jobs.
pub fn last_ended(connection: &Connection, task: &TaskName) -> Result<Option<RunRow>, StoreError> {
    let rest = "WHERE task = ?1 AND outcome IS NOT NULL AND slot IS NULL AND kind = 'main' ORDER BY rowid DESC LIMIT 1";
    Ok(select(connection, rest, [task.as_str()])?.pop())
}

/// The ended main runs of a task, apart from those of its queued jobs, whose output has not been removed, newest first.
pub fn with_output(connection: &Connection, task: &TaskName) -> Result<Vec<RunRow>, StoreError> {
    let rest = "WHERE task = ?1 AND outcome IS NOT NULL AND inode IS NOT NULL AND output_removed = 0
                AND slot IS NULL AND kind = 'main' ORDER BY rowid DESC";
    select(connection, rest, [task.as_str()])
}

/// How many runs back an archive's name may be taken. Names carry the second of their start, and a file that exists is
/// never overwritten, so older ones do not matter.
const ARCHIVES_BACK: u32 = 64;

/// Whether an archive's name is taken by one of the last runs of a task.
pub fn has_archive(connection: &Connection, name: &str, task: &TaskName) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM (SELECT archive FROM runs WHERE task = ?1 ORDER BY rowid DESC LIMIT ?3)
               WHERE archive = ?2)";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row((task.as_str(), name, ARCHIVES_BACK), |row| row.get(0)))
        .map_err(StoreError::sql("look for an archive"))
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The task itself.
    Main,
    /// A hook before its first run.
    Preprocess,
    /// A hook after a run that ended with exit code 0.
    Postprocess,
    /// A hook after a run that ended in any other way.
    HandleError,
    /// A hook after a run that reached its time limit.
    HandleTimeout,
    /// Bringing its inputs, or storing its outputs.
    Transfer,
    /// Telling somebody about it. Such a run belongs to the job it tells of, and to no task.
    Notify,
}

impl Kind {
    /// Those of hooks.
    pub const HOOKS: [Self; 4] = [Self::Preprocess, Self::Postprocess, Self::HandleError, Self::HandleTimeout];

    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Preprocess => "preprocess",
            Self::Postprocess => "postprocess",
            Self::HandleError => "handle_error",
            Self::HandleTimeout => "handle_timeout",
            Self::Transfer => "transfer",
            Self::Notify => "notify",
        }
    }
}

/// A new run.
#[derive(Debug)]
pub struct NewRun<'a> {
    /// Its id.
    pub id: RunId,
    /// Its job.
    pub job: JobId,
    /// Its task; none for one that only tells of it.
    pub task: Option<&'a TaskName>,
    /// What it is for.
    pub kind: Kind,
    /// Which attempt it is.
    pub attempt: u32,
    /// Who asked for it.
    pub asked_by: &'a str,
    /// The name that its output will have once archived.
    pub archive: &'a str,
    /// The occurrence that its job was made for.
    pub scheduled: Option<Timestamp>,
    /// The slot that it runs in.
    pub slot: Option<u32>,
    /// What it holds of the machine, as JSON.
    pub holds: Option<&'a str>,
}

/// Records a run that is about to be started.
pub fn create(tx: &Connection, new: &NewRun<'_>, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO runs (id, job, task, kind, attempt, asked_by, claimed, archive, scheduled, slot, holds)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let values = (
        new.id.to_string(),
        new.job.0,
        new.task.map(TaskName::as_str),
        new.kind.as_str(),
        new.attempt,
        new.asked_by,
        micros(now),
        new.archive,
        new.scheduled.map(micros),
        new.slot,
        new.holds,
    );
    tx.prepare_cached(sql)
        .and_then(|mut statement| statement.insert(values))
        .map(drop)
        .map_err(StoreError::sql("record a run"))
}

/// Records the wish that a run end, and whose it is. An earlier wish stands.
pub fn ask_stop(tx: &Connection, run: RunId, by: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE runs SET stop_asked = coalesce(stop_asked, ?2), stop_by = coalesce(stop_by, ?3) WHERE id = ?1";
    tx.prepare_cached(sql)
        .and_then(|mut statement| statement.execute((run.to_string(), micros(now), by)))
        .map(drop)
        .map_err(StoreError::sql("record the wish to stop a run"))
}

/// Records that a run shows no sign of life; with a reason, that its end is asked for because of that.
pub fn stall(tx: &Connection, run: RunId, reason: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE runs SET stalled = ?2, stall_reason = ?3 WHERE id = ?1")
        .and_then(|mut statement| statement.execute((run.to_string(), micros(now), reason)))
        .map(drop)
        .map_err(StoreError::sql("record that a run has stalled"))
}

/// Records that a run shows signs of life again.
pub fn end_stall(tx: &Connection, run: RunId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE runs SET stalled = NULL, stall_reason = NULL WHERE id = ?1")
        .and_then(|mut statement| statement.execute([run.to_string()]))
        .map(drop)
        .map_err(StoreError::sql("record that a run goes on"))
}

/// What a run's record says besides its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traces {
    /// The script's pid.
    pub pid: Option<i32>,
    /// When it was started.
    pub started: Option<Timestamp>,
    /// The inode of its output.
    pub inode: Option<u64>,
}

/// Records how a run ended.
pub fn finish(
    tx: &Connection,
    run: RunId,
    ended: &Ended,
    traces: Traces,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (code, signal, core) = match ended.outcome.exit() {
        Some(Exit::Code(code)) => (Some(code), None, None),
        Some(Exit::Signal { number, core }) => (None, Some(number), Some(core)),
        None => (None, None, None),
    };
    let sql = "UPDATE runs SET outcome = ?2, exit_code = ?3, signal = ?4, core = ?5, reason = ?6, leftover = ?7,
               ended = ?8, lasted = ?9, cpu = ?10, memory = ?11, pid = ?12, started = ?13, inode = ?14
               WHERE id = ?1 AND outcome IS NULL";
    let values = rusqlite::params![
        run.to_string(),
        ended.outcome.code(),
        code,
        signal,
        core,
        reason,
        ended.leftover,
        micros(ended.time.unwrap_or(now)),
        ended.lasted,
        ended.cpu,
        ended.memory,
        traces.pid,
        traces.started.map(micros),
        traces.inode,
    ];
    tx.prepare_cached(sql)
        .and_then(|mut statement| statement.execute(values))
        .map(drop)
        .map_err(StoreError::sql("record the end of a run"))
}

/// Removes a run that never was one.
pub fn remove(tx: &Connection, run: RunId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM runs WHERE id = ?1")
        .and_then(|mut statement| statement.execute([run.to_string()]))
        .map(drop)
        .map_err(StoreError::sql("remove a run"))
}

/// Records that the output of a run is no longer kept.
pub fn forget_output(tx: &Connection, run: RunId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE runs SET output_removed = 1 WHERE id = ?1")
        .and_then(|mut statement| statement.execute([run.to_string()]))
        .map(drop)
        .map_err(StoreError::sql("record the removal of an output"))
}
