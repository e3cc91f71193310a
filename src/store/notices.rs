//! Messages: stored in the transaction of what they tell of, sent afterwards, as often as it takes.

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use serde_json::Value;

use crate::domain::name::{JobId, RunId, TaskName};
use crate::domain::notice::{Channel, Occasion};

use super::{StoreError, execute, micros, time};

/// A message that has not been delivered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Its number.
    pub id: i64,
    /// When it was made.
    pub made: Timestamp,
    /// What it is about.
    pub occasion: Occasion,
    /// The task it is about.
    pub task: String,
    /// The job it is about.
    pub job: JobId,
    /// In which way it is told.
    pub channel: Channel,
    /// All of it; an object.
    pub message: Value,
    /// How often its delivery was tried.
    pub attempts: u32,
    /// The moment before which it is not tried again.
    pub not_before: Option<Timestamp>,
    /// The run that delivers it, or tried to last.
    pub run: Option<RunId>,
}

fn row(row: &Row<'_>) -> rusqlite::Result<Notice> {
    let unknown = |at: usize, what: &str| {
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, format!("unknown {what}").into())
    };
    let text = |at: usize| row.get::<_, String>(at);
    Ok(Notice {
        id: row.get(0)?,
        made: time(row.get(1)?),
        occasion: Occasion::parse(&text(2)?).ok_or_else(|| unknown(2, "occasion"))?,
        task: row.get(3)?,
        job: JobId(row.get(4)?),
        channel: serde_json::from_str(&text(5)?).map_err(|_| unknown(5, "channel"))?,
        message: serde_json::from_str(&text(6)?).map_err(|_| unknown(6, "message"))?,
        attempts: row.get(7)?,
        not_before: row.get::<_, Option<i64>>(8)?.map(time),
        run: row.get::<_, Option<String>>(9)?.and_then(|id| RunId::parse(&id).ok()),
    })
}

/// The messages that are to be delivered now and that nobody is delivering, oldest first, at most so many.
pub fn due(connection: &Connection, now: Timestamp, most: usize) -> Result<Vec<Notice>, StoreError> {
    let rest = "WHERE state = 'due' AND coalesce(not_before, 0) <= ?1
                AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = notices.run AND outcome IS NULL)
                ORDER BY id LIMIT ?2";
    if most == 0 { Ok(Vec::new()) } else { select(connection, rest, (micros(now), most)) }
}

/// When the next message that waits is to be tried again.
pub fn next_moment(connection: &Connection, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    connection
        .prepare_cached("SELECT min(not_before) FROM notices WHERE state = 'due' AND not_before > ?1")
        .and_then(|mut statement| statement.query_row([micros(now)], |row| row.get::<_, Option<i64>>(0)))
        .map(|moment| moment.map(time))
        .map_err(StoreError::sql("read the messages"))
}

/// Whether there is a message whose delivery has not been tried yet.
pub fn any_untried(connection: &Connection) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM notices WHERE state = 'due' AND attempts = 0)")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(StoreError::sql("read the messages"))
}

/// The message that a run was to deliver.
pub fn of_run(connection: &Connection, run: RunId) -> Result<Option<Notice>, StoreError> {
    Ok(select(connection, "WHERE state = 'due' AND run = ?1", [run.to_string()])?.pop())
}

fn select(connection: &Connection, rest: &str, values: impl rusqlite::Params) -> Result<Vec<Notice>, StoreError> {
    let doing = "read the messages";
    let sql = format!(
        "SELECT id, made, occasion, task, job, channel, message, attempts, not_before, run FROM notices {rest}"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map(values, row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// A new message.
#[derive(Debug)]
pub struct NewNotice<'a> {
    /// What it is about.
    pub occasion: Occasion,
    /// The task it is about.
    pub task: &'a TaskName,
    /// The job it is about.
    pub job: JobId,
    /// In which way it is told.
    pub channel: &'a Channel,
    /// All of it; an object.
    pub message: &'a Value,
}

/// Stores a message.
pub fn create(tx: &Connection, new: &NewNotice<'_>, now: Timestamp) -> Result<(), StoreError> {
    let channel =
        serde_json::to_string(new.channel).map_err(|error| StoreError::Impossible(format!("a message: {error}")))?;
    let sql = "INSERT INTO notices (made, occasion, task, job, channel, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = (micros(now), new.occasion.as_str(), new.task.as_str(), new.job.0, channel, new.message.to_string());
    tx.prepare_cached(sql)
        .and_then(|mut statement| statement.insert(values))
        .map(drop)
        .map_err(StoreError::sql("store a message"))
}

/// Records that a run is about to deliver a message.
pub fn attempt(tx: &Connection, notice: i64, run: RunId) -> Result<(), StoreError> {
    execute(
        tx,
        "UPDATE notices SET attempts = attempts + 1, run = ?2, not_before = NULL WHERE id = ?1",
        (notice, run.to_string()),
        "record an attempt to deliver a message",
    )
}

/// Records that a message was tried so often and is to be tried again, not before a moment.
pub fn postpone(tx: &Connection, notice: i64, attempts: u32, until: Timestamp) -> Result<(), StoreError> {
    execute(
        tx,
        "UPDATE notices SET attempts = ?2, not_before = ?3 WHERE id = ?1",
        (notice, attempts, micros(until)),
        "postpone a message",
    )
}

/// Records that a message has been delivered, or that it never will be.
pub fn close(tx: &Connection, notice: i64, delivered: bool, now: Timestamp) -> Result<(), StoreError> {
    let state = if delivered { "delivered" } else { "given_up" };
    execute(
        tx,
        "UPDATE notices SET state = ?2, ended = ?3 WHERE id = ?1",
        (notice, state, micros(now)),
        "record what became of a message",
    )
}
