//! Jobs that were applied from a file: each is known by the file's name and its own in there.

use jiff::Timestamp;
use rusqlite::Connection;

use crate::domain::name::{JobId, TaskName};

use super::queue::NewQueued;
use super::{StoreError, changed, execute, micros};

/// A job that was applied from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedRow {
    /// Its id.
    pub id: JobId,
    /// What the file calls it.
    pub local: String,
    /// What the file said of it, JSON.
    pub said: String,
}

/// The jobs that were applied from files of this name, in the order of their ids.
pub fn of(connection: &Connection, name: &str) -> Result<Vec<AppliedRow>, StoreError> {
    let doing = "read the applied jobs";
    let sql = "SELECT id, local, said FROM jobs WHERE applied = ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::sql(doing))?;
    let row =
        |row: &rusqlite::Row<'_>| Ok(AppliedRow { id: JobId(row.get(0)?), local: row.get(1)?, said: row.get(2)? });
    let rows = statement.query_map([name], row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// Records where a job comes from, and what was said of it there.
pub fn mark(tx: &Connection, job: JobId, name: &str, local: &str, said: &str) -> Result<(), StoreError> {
    execute(
        tx,
        "UPDATE jobs SET applied = ?2, local = ?3, said = ?4 WHERE id = ?1",
        (job.0, name, local, said),
        "record where a job comes from",
    )
}

/// Makes another job of one that has not run: all that can be said of one but who made it, and when. It waits for
/// nothing then.
pub fn rewrite(tx: &Connection, job: JobId, new: &NewQueued<'_>, now: Timestamp) -> Result<(), StoreError> {
    let doing = "define a job anew";
    changed(tx, "DELETE FROM edges WHERE child = ?1", [job.0], doing)?;
    let sql = "UPDATE jobs SET task = ?2, state = ?3, definition = ?4, environment = ?5, need = ?6, params = ?7, tags = ?8,
               data = ?9, workdir = ?10, priority = ?11, held = ?12, unmet = ?13, culprit = ?14, code = ?15, reason = ?16,
               not_before = ?17, asked_priority = ?19, asked_workdir = ?20, defaults = ?21, typed = ?22, ended = NULL, decision = NULL,
               runnable_since = CASE WHEN ?3 = 'PREPROCESSED' THEN ?18 END WHERE id = ?1";
    let values = rusqlite::params![
        job.0,
        new.task.map(TaskName::as_str),
        new.state.as_str(),
        new.definition,
        new.environment,
        new.need,
        new.params,
        new.tags,
        new.data,
        new.workdir,
        new.priority,
        new.held,
        new.unmet,
        new.culprit.map(|job| job.0),
        new.why.map(|(code, _)| code),
        new.why.map(|(_, reason)| reason),
        new.not_before.map(micros),
        micros(now),
        new.asked.priority,
        new.asked.workdir,
        new.asked.defaults,
        new.typed,
    ];
    execute(tx, sql, values, doing)
}
