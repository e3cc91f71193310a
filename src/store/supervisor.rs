//! The supervisor that is there, or was there last: what others need to know of it.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, micros, time};

/// A supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    /// Its pid.
    pub pid: i32,
    /// How many queued runs it allows at a time.
    pub slots: u32,
    /// The longest that a broken task stays down, where the task does not say.
    pub sleep: Duration,
    /// Since when it is there.
    pub since: Timestamp,
    /// Where it was started: a terminal, or in the background.
    pub place: String,
}

/// The supervisor that wrote itself down last; whether it lives is told by its lock alone.
pub fn last(connection: &Connection) -> Result<Option<Supervisor>, StoreError> {
    let sql = "SELECT pid, slots, sleep, since, place FROM supervisor";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Supervisor {
            pid: row.get(0)?,
            slots: row.get(1)?,
            sleep: Duration::from_micros(row.get(2)?),
            since: time(row.get(3)?),
            place: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
        })
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([], read).optional())
        .map_err(StoreError::sql("read who supervises"))
}

/// Writes down who supervises from now on.
pub fn set(tx: &Connection, supervisor: &Supervisor) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO supervisor (id, pid, slots, sleep, since, place) VALUES (1, ?1, ?2, ?3, ?4, ?5)";
    let sleep = u64::try_from(supervisor.sleep.as_micros()).unwrap_or(u64::MAX);
    let values = (supervisor.pid, supervisor.slots, sleep, micros(supervisor.since), &supervisor.place);
    tx.execute(sql, values).map(drop).map_err(StoreError::sql("record who supervises"))
}
