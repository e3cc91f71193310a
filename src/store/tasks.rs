//! What is known of tasks apart from their definitions: when they were added, and what the user wants of them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::domain::name::{JobId, TaskName};
use crate::domain::restart::FailedEnds;

use super::{StoreError, execute, micros, time};

/// One task's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Its name.
    pub name: TaskName,
    /// When it was added to the registry.
    pub added: Timestamp,
    /// Whether the user wants it to run.
    pub wanted: bool,
    /// Who said so last.
    pub wanted_by: Option<String>,
    /// When that was.
    pub wanted_since: Option<Timestamp>,
    /// How it has done lately.
    pub form: Form,
    /// The newest job of start or schedule.
    pub job: Option<JobId>,
    /// What is kept of its schedule.
    pub fires: Fires,
}

/// What is kept of a task's schedule from one decision to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fires {
    /// What the schedule said when it was last looked at.
    pub fingerprint: Option<String>,
    /// Since when its occurrences exist: when it was first seen, or edited.
    pub seen_at: Option<Timestamp>,
    /// The newest occurrence that was decided about.
    pub last: Option<Timestamp>,
    /// What it was last fired for, where that is no time: a boot, a supervisor.
    pub fired_for: Option<String>,
}

const COLUMNS: &str = "name, added, wanted, wanted_by, wanted_since, failure_streak, job, failed_ends, looping_since, \
     steady_since, told, schedule_fingerprint, seen_at, last_due, fired_for";

fn row(row: &Row<'_>) -> rusqlite::Result<TaskRow> {
    let moment = |at: usize| row.get::<_, Option<i64>>(at).map(|micros| micros.map(time));
    let name: String = row.get(0)?;
    let name = TaskName::parse(&name)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(TaskRow {
        name,
        added: time(row.get(1)?),
        wanted: row.get(2)?,
        wanted_by: row.get(3)?,
        wanted_since: moment(4)?,
        job: row.get::<_, Option<i64>>(6)?.map(JobId),
        form: Form {
            streak: row.get(5)?,
            failed_ends: FailedEnds::decode(row.get::<_, Option<String>>(7)?.as_deref()),
            looping_since: moment(8)?,
            steady_since: moment(9)?,
            told: moment(10)?,
        },
        fires: Fires { fingerprint: row.get(11)?, seen_at: moment(12)?, last: moment(13)?, fired_for: row.get(14)? },
    })
}

/// All rows, by name.
pub fn all(connection: &Connection) -> Result<Vec<TaskRow>, StoreError> {
    let doing = "read the tasks";
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM tasks ORDER BY name"))
        .map_err(StoreError::sql(doing))?;
    let rows = statement.query_map([], row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// One task's row.
pub fn find(connection: &Connection, name: &TaskName) -> Result<Option<TaskRow>, StoreError> {
    let doing = "read a task";
    let sql = format!("SELECT {COLUMNS} FROM tasks WHERE name = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    statement.query_row([name.as_str()], row).optional().map_err(StoreError::sql(doing))
}

/// Makes sure that a task has a row; one that has none is first seen now.
pub fn see(tx: &Connection, name: &TaskName, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO tasks (name, added, first_seen) VALUES (?1, ?2, ?2) ON CONFLICT DO NOTHING";
    execute(tx, sql, (name.as_str(), micros(now)), "record a task")
}

/// Records that a task was added (again): its time and the spelling of its name are those of now.
pub fn add(tx: &Connection, name: &TaskName, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO tasks (name, added, first_seen) VALUES (?1, ?2, ?2)
               ON CONFLICT DO UPDATE SET name = ?1, added = ?2";
    tx.execute(sql, (name.as_str(), micros(now))).map(drop).map_err(StoreError::sql("record a task"))
}

/// Records what the user wants of a task. One that is wanted already has been so since then.
pub fn want(tx: &Connection, name: &TaskName, wanted: bool, by: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE tasks SET wanted = ?2, wanted_by = ?3,
               wanted_since = CASE WHEN wanted AND ?2 THEN coalesce(wanted_since, ?4) ELSE ?4 END WHERE name = ?1";
    execute(tx, sql, (name.as_str(), wanted, by, micros(now)), "record what is wanted of a task")
}

/// Dates a wish anew that was made while the clock was wrong.
pub fn date_wish(tx: &Connection, name: &TaskName, now: Timestamp) -> Result<(), StoreError> {
    execute(
        tx,
        "UPDATE tasks SET wanted_since = ?2 WHERE name = ?1",
        (name.as_str(), micros(now)),
        "record what is wanted of a task",
    )
}

/// How a task has done lately.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    /// Runs in a row that ended too soon.
    pub streak: u32,
    /// When its last failed ends were, since it was last started or stopped by hand.
    pub failed_ends: FailedEnds,
    /// Since when it is crash-looping.
    pub looping_since: Option<Timestamp>,
    /// Since when, while it is crash-looping, it has run without a failed end.
    pub steady_since: Option<Timestamp>,
    /// When a failure of it was last told.
    pub told: Option<Timestamp>,
}

/// Records how a task has done.
pub fn set_form(tx: &Connection, name: &TaskName, form: &Form) -> Result<(), StoreError> {
    let sql = "UPDATE tasks SET failure_streak = ?2, failed_ends = ?3, looping_since = ?4, steady_since = ?5, told = ?6
               WHERE name = ?1";
    let values = (
        name.as_str(),
        form.streak,
        form.failed_ends.encode(),
        form.looping_since.map(micros),
        form.steady_since.map(micros),
        form.told.map(micros),
    );
    execute(tx, sql, values, "record how a task has done")
}

/// Records what is kept of a task's schedule.
pub fn set_fires(tx: &Connection, name: &TaskName, fires: &Fires) -> Result<(), StoreError> {
    let sql = "UPDATE tasks SET schedule_fingerprint = ?2, seen_at = ?3, last_due = ?4, fired_for = ?5 WHERE name = ?1";
    let values =
        (name.as_str(), &fires.fingerprint, fires.seen_at.map(micros), fires.last.map(micros), &fires.fired_for);
    execute(tx, sql, values, "record how far a schedule has come")
}

/// Records that a crash-looping task runs: what it has to do for long without a failed end.
pub fn steady(tx: &Connection, name: &TaskName, now: Timestamp) -> Result<(), StoreError> {
    let sql =
        "UPDATE tasks SET steady_since = coalesce(steady_since, ?2) WHERE name = ?1 AND looping_since IS NOT NULL";
    execute(tx, sql, (name.as_str(), micros(now)), "record that a task runs")
}

/// Points a task to its newest job.
pub fn set_job(tx: &Connection, name: &TaskName, job: JobId) -> Result<(), StoreError> {
    execute(tx, "UPDATE tasks SET job = ?2 WHERE name = ?1", (name.as_str(), job.0), "record a task's job")
}
