//! Events: what happened, in order, never changed.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::Value;

use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, TaskName};

use super::{StoreError, micros, time};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place in the order of all.
    pub id: i64,
    /// When.
    pub time: Timestamp,
    /// The job, if it was about one.
    pub job: Option<JobId>,
    /// The task, if it was about one.
    pub task: Option<String>,
    /// The job's state before.
    pub from: Option<State>,
    /// The job's state after.
    pub to: Option<State>,
    /// What happened, in a word.
    pub cause: String,
    /// More about it; an object.
    pub data: Value,
}

/// A new event.
#[derive(Debug)]
pub struct NewEvent<'a> {
    /// The job, if it is about one.
    pub job: Option<JobId>,
    /// The task, if it is about one.
    pub task: Option<&'a str>,
    /// The job's state before and after.
    pub states: Option<(State, State)>,
    /// What happened, in a word.
    pub cause: &'a str,
    /// More about it; an object.
    pub data: Value,
}

/// Records an event.
pub fn record(tx: &Connection, event: &NewEvent<'_>, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO events (time, job, task, before, after, cause, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (before, after) = event.states.unzip();
    let values = (
        micros(now),
        event.job.map(|job| job.0),
        event.task,
        before.map(State::as_str),
        after.map(State::as_str),
        event.cause,
        (!event.data.is_null()).then(|| event.data.to_string()),
    );
    tx.prepare_cached(sql)
        .and_then(|mut statement| statement.insert(values))
        .map(drop)
        .map_err(StoreError::sql("record an event"))
}

/// The last events with one of these causes, oldest first; all of them where no number is given. Only those after
/// the given id.
pub fn last(
    connection: &Connection,
    causes: &[&str],
    number: Option<u32>,
    after: i64,
) -> Result<Vec<Event>, StoreError> {
    let doing = "read the events";
    let places = causes.iter().map(|cause| format!("'{cause}'")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT * FROM (SELECT id, time, job, task, before, after, cause, data FROM events
         WHERE id > ?1 AND cause IN ({places}) ORDER BY id DESC LIMIT ?2) ORDER BY id"
    );
    let limit = number.map_or(-1, i64::from);
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map((after, limit), row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// The newest event's place; 0 where there is none.
pub fn newest(connection: &Connection) -> Result<i64, StoreError> {
    connection
        .query_row("SELECT coalesce(max(id), 0) FROM events", [], |row| row.get(0))
        .map_err(StoreError::sql("read the events"))
}

/// The events of jobs after one, in order, each with its job.
pub fn jobs_after(connection: &Connection, event: i64) -> Result<Vec<(i64, JobId)>, StoreError> {
    let doing = "read the events";
    let sql = "SELECT id, job FROM events WHERE id > ?1 AND job IS NOT NULL ORDER BY id";
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map([event], |row| Ok((row.get(0)?, JobId(row.get(1)?))));
    rows.and_then(Iterator::collect).map_err(StoreError::sql(doing))
}

/// The events of a job, in order.
pub fn of_job(connection: &Connection, job: JobId) -> Result<Vec<Event>, StoreError> {
    select(connection, "WHERE job = ?1 ORDER BY id", [job.0])
}

/// The events after one, in order.
pub fn after(connection: &Connection, event: i64) -> Result<Vec<Event>, StoreError> {
    select(connection, "WHERE id > ?1 ORDER BY id", [event])
}

/// The events that the rest of the statement selects.
pub(super) fn select(
    connection: &Connection,
    rest: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<Event>, StoreError> {
    let doing = "read the events";
    let sql = format!("SELECT id, time, job, task, before, after, cause, data FROM events {rest}");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map(values, row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// Whether the last thing that was done with a task's definition was to remove it.
pub fn was_removed(connection: &Connection, task: &TaskName) -> Result<bool, StoreError> {
    let sql = "SELECT cause = 'removed' FROM events WHERE task = ?1 AND cause IN ('added', 'edited', 'removed')
               ORDER BY id DESC LIMIT 1";
    let removed = connection.query_row(sql, [task.as_str()], |row| row.get(0)).optional();
    Ok(removed.map_err(StoreError::sql("read the events"))?.unwrap_or(false))
}

fn row(row: &Row<'_>) -> rusqlite::Result<Event> {
    let state = |at: usize| row.get::<_, Option<String>>(at).map(|name| name.as_deref().and_then(State::parse));
    let data: Option<String> = row.get(7)?;
    Ok(Event {
        id: row.get(0)?,
        time: time(row.get(1)?),
        job: row.get::<_, Option<i64>>(2)?.map(JobId),
        task: row.get(3)?,
        from: state(4)?,
        to: state(5)?,
        cause: row.get(6)?,
        data: data.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null),
    })
}
