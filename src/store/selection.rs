//! The jobs that a selection means, asked of the database. Every door's jobs are among them.

mod clause;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};

use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::domain::selection::{Order, Pattern, Selection};

use super::StoreError;

/// The function that a clause matches texts with: of a regular expression, whether it ignores case, and a text.
const MATCHES: &str = "jobexec_matches";

/// What stands behind `WHERE` in a statement that reads the table `jobs`.
#[derive(Debug)]
pub struct Clause {
    /// The expression. It holds nothing that somebody typed.
    pub sql: String,
    /// What is bound to `?1` and on; a statement's own values come after them.
    pub values: Vec<Value>,
}

/// The clause for a selection; the connection then knows every function in it. A job that has not ended lasts until now.
pub fn clause(connection: &Connection, selection: &Selection, now: Timestamp) -> Result<Clause, StoreError> {
    let mut writer = clause::Writer::new(now);
    let sql = writer.selection(selection);
    prepare(connection, writer.matches)?;
    Ok(Clause { sql, values: writer.values })
}

/// The selected jobs in an order, at most so many.
pub fn ids(
    connection: &Connection,
    selection: &Selection,
    order: &Order,
    limit: Option<u32>,
    now: Timestamp,
) -> Result<Vec<JobId>, StoreError> {
    let doing = "select jobs";
    let mut writer = clause::Writer::new(now);
    let (condition, order) = (writer.selection(selection), writer.order(order));
    prepare(connection, writer.matches)?;
    // Below 0 there is no limit.
    let limit = writer.bind(limit.map_or(-1, i64::from));
    let sql = format!("SELECT jobs.id FROM jobs WHERE {condition} ORDER BY {order} LIMIT {limit}");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map(params_from_iter(writer.values), |row| row.get(0).map(JobId));
    rows.and_then(Iterator::collect).map_err(StoreError::sql(doing))
}

/// Those of these jobs that one of the selections means.
pub fn matching(
    connection: &Connection,
    selections: &[Selection],
    ids: &[JobId],
    now: Timestamp,
) -> Result<HashSet<JobId>, StoreError> {
    let doing = "select jobs";
    let mut found = HashSet::new();
    for selection in selections {
        let Clause { sql, values } = clause(connection, selection, now)?;
        let sql = format!("SELECT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = ?{} AND ({sql}))", values.len() + 1);
        let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
        for id in ids {
            let values = values.iter().cloned().chain([Value::Integer(id.0)]);
            let is_meant = statement.query_row(params_from_iter(values), |row| row.get::<_, bool>(0));
            found.extend(is_meant.map_err(StoreError::sql(doing))?.then_some(*id));
        }
    }
    Ok(found)
}

/// How many jobs are selected.
pub fn count(connection: &Connection, selection: &Selection, now: Timestamp) -> Result<u64, StoreError> {
    let doing = "count jobs";
    let Clause { sql, values } = clause(connection, selection, now)?;
    let sql = format!("SELECT count(*) FROM jobs WHERE {sql}");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    statement.query_row(params_from_iter(values), |row| row.get(0)).map_err(StoreError::sql(doing))
}

/// How many of the selected jobs are in each state, and belong to each run of a study.
pub fn by_state(
    connection: &Connection,
    selection: &Selection,
    now: Timestamp,
) -> Result<Vec<(State, Option<String>, u64)>, StoreError> {
    let doing = "count jobs";
    let Clause { sql, values } = clause(connection, selection, now)?;
    let sql = format!("SELECT state, run_name, count(*) FROM jobs WHERE {sql} GROUP BY run_name, state");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let mut rows = statement.query(params_from_iter(values)).map_err(StoreError::sql(doing))?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next().map_err(StoreError::sql(doing))? {
        let read = || Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
        let (state, run_name, count) = read().map_err(StoreError::sql(doing))?;
        counts.extend(State::parse(&state).map(|state| (state, run_name, count)));
    }
    counts.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
    Ok(counts)
}

/// The names of the parameters that jobs have, or had, in alphabetical order.
pub fn known_params(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let doing = "read the names of the parameters";
    let mut statement =
        connection.prepare_cached("SELECT name FROM param_names ORDER BY name").map_err(StoreError::sql(doing))?;
    let rows = statement.query_map([], |row| row.get(0));
    rows.and_then(Iterator::collect).map_err(StoreError::sql(doing))
}

/// Records that jobs have parameters of these names.
pub fn know_params<'a>(tx: &Connection, names: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
    let doing = "record the names of the parameters";
    let sql = "INSERT OR IGNORE INTO param_names (name) VALUES (?1)";
    let mut statement = tx.prepare_cached(sql).map_err(StoreError::sql(doing))?;
    for name in names {
        statement.execute([name]).map_err(StoreError::sql(doing))?;
    }
    Ok(())
}

/// Teaches the connection to match texts, where that is needed and has not been done.
fn prepare(connection: &Connection, matches: bool) -> Result<(), StoreError> {
    if !matches {
        return Ok(());
    }
    let doing = "register the function that matches texts";
    let known = "SELECT EXISTS (SELECT 1 FROM pragma_function_list WHERE name = ?1)";
    if connection.query_row(known, [MATCHES], |row| row.get(0)).map_err(StoreError::sql(doing))? {
        return Ok(());
    }
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    connection
        .create_scalar_function(MATCHES, 3, flags, |call| {
            let ignores_case = call.get(1)?;
            // Read once for a statement.
            let pattern =
                call.get_or_create_aux(0, |text| Pattern::parse(text.as_str()?, ignores_case).map_err(BoxError::from))?;
            match call.get_raw(2) {
                ValueRef::Text(text) => Ok(str::from_utf8(text).ok().map(|text| pattern.is_match(text))),
                ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => Ok(None),
            }
        })
        .map_err(StoreError::sql(doing))
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
