//! The tasks that wait for locks, each since when: what the supervisor tells the slots, which let them pass in their
//! turn.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::domain::name::{JobId, TaskName};
use crate::domain::resources::Waiter;

use super::{StoreError, execute, micros, time};

const COLUMNS: &str =
    "line.task, line.since, line.locks, tasks.job FROM line LEFT JOIN tasks ON tasks.name = line.task";

fn row(row: &Row<'_>) -> rusqlite::Result<Waiter> {
    let wrong = |at, error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, error)
    };
    let (task, locks): (String, String) = (row.get(0)?, row.get(2)?);
    Ok(Waiter {
        task: TaskName::parse(&task).map_err(|error| wrong(0, error.into()))?,
        job: row.get::<_, Option<i64>>(3)?.map(JobId),
        since: time(row.get(1)?),
        locks: serde_json::from_str(&locks).map_err(|error| wrong(2, error.into()))?,
    })
}

/// All that wait.
pub fn all(connection: &Connection) -> Result<Vec<Waiter>, StoreError> {
    let doing = "look at the locks";
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS}")).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map([], row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// A task's place, where it waits.
pub fn find(connection: &Connection, task: &TaskName) -> Result<Option<Waiter>, StoreError> {
    let sql = format!("SELECT {COLUMNS} WHERE line.task = ?1");
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.query_row([task.as_str()], row).optional())
        .map_err(StoreError::sql("look at the locks"))
}

/// A task waits for these locks. One that waits already keeps its place.
pub fn stand(tx: &Connection, task: &TaskName, locks: &BTreeSet<String>, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO line (task, since, locks) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET locks = ?3";
    let locks = serde_json::to_string(locks).unwrap_or_default();
    execute(tx, sql, (task.as_str(), micros(now), locks), "record who waits for a lock")
}

/// A task waits no longer.
pub fn leave(tx: &Connection, task: &TaskName) -> Result<(), StoreError> {
    execute(tx, "DELETE FROM line WHERE task = ?1", [task.as_str()], "record who waits for a lock")
}

/// Nobody waits any longer.
pub fn clear(tx: &Connection) -> Result<(), StoreError> {
    execute(tx, "DELETE FROM line", [], "record who waits for a lock")
}
