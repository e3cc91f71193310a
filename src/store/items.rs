//! What is to be transferred for jobs, item by item, and how each stands.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use crate::domain::item::{Item, ItemState};
use crate::domain::name::JobId;
use crate::domain::transfer::{Direction, Mode};

use super::{StoreError, execute, micros, time};

fn row(row: &Row<'_>) -> rusqlite::Result<Item> {
    let unknown = |at: usize| {
        let text = format!("unknown word in column {at}");
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, text.into())
    };
    let (direction, mode, state): (String, String, String) = (row.get(1)?, row.get(7)?, row.get(8)?);
    Ok(Item {
        name: row.get(0)?,
        direction: Direction::ALL.into_iter().find(|it| it.as_str() == direction).ok_or_else(|| unknown(1))?,
        local: row.get(2)?,
        remote: row.get(3)?,
        given: row.get(4)?,
        recursive: row.get(5)?,
        required: row.get(6)?,
        mode: Mode::ALL.into_iter().find(|it| it.as_str() == mode).ok_or_else(|| unknown(7))?,
        state: ItemState::ALL.into_iter().find(|it| it.as_str() == state).ok_or_else(|| unknown(8))?,
        attempts: row.get(9)?,
        not_before: row.get::<_, Option<i64>>(10)?.map(time),
        error: row.get(11)?,
        bytes: row.get(12)?,
    })
}

/// The items of a job, in the order of their names.
pub fn of_job(connection: &Connection, job: JobId) -> Result<Vec<Item>, StoreError> {
    let doing = "read the transfers";
    let sql =
        "SELECT name, direction, local, remote, given, recursive, required, mode, state, attempts, not_before, error,
               bytes FROM items WHERE job = ?1 ORDER BY name";
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map([job.0], row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

const RECORDING: &str = "record a transfer";

/// Gives a job an item, in the place of the one that it has for the same slot.
pub fn put(tx: &Connection, job: JobId, item: &Item) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO items (job, name, direction, local, remote, given, recursive, required, mode, state,
               attempts, not_before, error, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    let values = rusqlite::params![
        job.0,
        item.name,
        item.direction.as_str(),
        item.local,
        item.remote,
        item.given,
        item.recursive,
        item.required,
        item.mode.as_str(),
        item.state.as_str(),
        item.attempts,
        item.not_before.map(micros),
        item.error,
        item.bytes,
    ];
    execute(tx, sql, values, RECORDING)
}

/// Takes an item away from a job.
pub fn remove(tx: &Connection, job: JobId, name: &str) -> Result<(), StoreError> {
    execute(tx, "DELETE FROM items WHERE job = ?1 AND name = ?2", (job.0, name), RECORDING)
}

/// Whether something of one direction is outstanding for a job.
pub fn is_outstanding(connection: &Connection, job: JobId, direction: Direction) -> Result<bool, StoreError> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM items WHERE job = ?1 AND direction = ?2 AND state NOT IN ('done', 'error'))";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row((job.0, direction.as_str()), |row| row.get(0)))
        .map_err(StoreError::sql("read the transfers"))
}

/// Lets the items of one direction wait to be transferred from the beginning; those that are done only where `all` are.
pub fn reset(tx: &Connection, job: JobId, direction: Direction, all: bool) -> Result<(), StoreError> {
    let sql = "UPDATE items SET state = 'waiting', attempts = 0, not_before = NULL, error = NULL, bytes = NULL
               WHERE job = ?1 AND direction = ?2 AND (?3 OR state <> 'done')";
    execute(tx, sql, (job.0, direction.as_str(), all), RECORDING)
}

/// The turn of a job has come: what waited is to be transferred now.
pub fn call_up(tx: &Connection, job: JobId, direction: Direction) -> Result<(), StoreError> {
    let sql = "UPDATE items SET state = 'pending' WHERE job = ?1 AND direction = ?2 AND state = 'waiting'";
    execute(tx, sql, (job.0, direction.as_str()), RECORDING)
}

/// Records that an attempt at an item begins.
pub fn begin(tx: &Connection, job: JobId, name: &str) -> Result<(), StoreError> {
    let sql = "UPDATE items SET state = 'active', attempts = attempts + 1, not_before = NULL
               WHERE job = ?1 AND name = ?2 AND state = 'pending'";
    execute(tx, sql, (job.0, name), RECORDING)
}

/// Records that an item is where it is to be.
pub fn done(tx: &Connection, job: JobId, name: &str, bytes: Option<u64>) -> Result<(), StoreError> {
    let sql =
        "UPDATE items SET state = 'done', error = NULL, bytes = ?3 WHERE job = ?1 AND name = ?2 AND state = 'active'";
    execute(tx, sql, (job.0, name, bytes), RECORDING)
}

/// Records that an attempt at an item has failed: it is tried again at a moment, or never.
pub fn fail(tx: &Connection, job: JobId, name: &str, error: &str, again: Option<Timestamp>) -> Result<(), StoreError> {
    let state = if again.is_some() { ItemState::Pending } else { ItemState::Error };
    let sql =
        "UPDATE items SET state = ?3, error = ?4, not_before = ?5 WHERE job = ?1 AND name = ?2 AND state <> 'done'";
    execute(tx, sql, (job.0, name, state.as_str(), error, again.map(micros)), RECORDING)
}

/// Lets what was being transferred wait for another attempt, which counts as none.
pub fn interrupt(tx: &Connection, job: JobId) -> Result<(), StoreError> {
    let sql = "UPDATE items SET state = 'waiting', attempts = max(attempts - 1, 0) WHERE job = ?1 AND state = 'active'";
    execute(tx, sql, [job.0], RECORDING)
}

/// The jobs whose turn may come, each with the moment from which something is to be transferred for it: those in a
/// state for that, not held, with no run.
const STAGED: &str = "
    SELECT id, moment FROM (
        SELECT jobs.id, coalesce((
            SELECT min(coalesce(not_before, 0)) FROM items
            WHERE items.job = jobs.id AND items.state NOT IN ('done', 'error')
              AND direction = CASE jobs.state WHEN 'READY' THEN 'in' ELSE 'out' END), 0) AS moment
        FROM jobs INDEXED BY jobs_staging
        WHERE jobs.state IN ('READY', 'POSTPROCESSED') AND held = 0
          AND NOT EXISTS (SELECT 1 FROM runs WHERE job = jobs.id AND outcome IS NULL AND kind <> 'notify')
        ORDER BY jobs.id)";

/// The oldest jobs for which something is to be transferred now.
pub fn due(connection: &Connection, now: Timestamp, most: usize) -> Result<Vec<JobId>, StoreError> {
    let doing = "look for transfers";
    let sql = format!("{STAGED} WHERE moment <= ?1 LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map((micros(now), most), |row| row.get(0).map(JobId)).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// When something is to be transferred next; in the past where that is now.
pub fn next_moment(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    // The least of all, and not the first in order: this is asked after every event, and to sort needs a table.
    let sql = format!("SELECT min(moment) FROM ({STAGED})");
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.query_row([], |row| row.get::<_, Option<i64>>(0)))
        .map(|moment| moment.map(time))
        .map_err(StoreError::sql("look for transfers"))
}
