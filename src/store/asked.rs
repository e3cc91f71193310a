//! What was asked for with a job itself, apart from what came of it with the task's definition: that comes anew where the
//! job is run again.

use rusqlite::Connection;

use crate::domain::name::JobId;

use super::{StoreError, execute};

/// What was asked for with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewAsked<'a> {
    /// Its priority; none for the task's.
    pub priority: Option<i64>,
    /// Its work directory, perhaps with placeholders; none for the task's.
    pub workdir: Option<&'a str>,
    /// The parameters that have the task's defaults, an array (JSON); none where there are none.
    pub defaults: Option<&'a str>,
}

/// The same as it was stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Its priority.
    pub priority: Option<i64>,
    /// Its work directory.
    pub workdir: Option<String>,
    /// The parameters that have the task's defaults, an array (JSON).
    pub defaults: Option<String>,
}

/// What was asked for with a job.
pub fn of(connection: &Connection, job: JobId) -> Result<Asked, StoreError> {
    let sql = "SELECT asked_priority, asked_workdir, defaults FROM jobs WHERE id = ?1";
    let read =
        |row: &rusqlite::Row<'_>| Ok(Asked { priority: row.get(0)?, workdir: row.get(1)?, defaults: row.get(2)? });
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([job.0], read))
        .map_err(StoreError::sql("read what was asked for with a job"))
}

/// Gives a job a priority of its own.
pub fn set_priority(tx: &Connection, job: JobId, priority: i64) -> Result<(), StoreError> {
    execute(
        tx,
        "UPDATE jobs SET priority = ?2, asked_priority = ?2 WHERE id = ?1",
        (job.0, priority),
        "record a job's priority",
    )
}

/// What comes of what was asked for with another definition of the task.
#[derive(Debug)]
pub struct Renewed<'a> {
    /// The place of the definition.
    pub definition: i64,
    /// The place of what it needs.
    pub need: i64,
    /// Its priority.
    pub priority: i64,
    /// Its work directory.
    pub workdir: Option<&'a str>,
    /// Its parameters, an object (JSON).
    pub params: Option<&'a str>,
    /// Those of them that have the task's defaults, an array (JSON).
    pub defaults: Option<&'a str>,
}

/// Records what a job is from now on.
pub fn renew(tx: &Connection, job: JobId, new: &Renewed<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET definition = ?2, need = ?3, priority = ?4, workdir = ?5, params = ?6, defaults = ?7
               WHERE id = ?1";
    let values = (job.0, new.definition, new.need, new.priority, new.workdir, new.params, new.defaults);
    execute(tx, sql, values, "record a job's definition")
}
