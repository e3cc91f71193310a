//! Occurrences of schedules: each due moment of a task once, with what was decided about it.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use crate::domain::name::{JobId, TaskName};

use super::{StoreError, execute, micros, time};

/// What was decided about an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// It has a job.
    Run,
    /// It waits for an earlier one to end.
    Waiting,
    /// It waits in a line of several that catch up.
    CatchingUp,
    /// It does not run: it is late.
    Missed,
    /// It does not run: others do.
    Skipped,
}

impl Decided {
    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Waiting => "waiting",
            Self::CatchingUp => "catching_up",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let all = [Self::Run, Self::Waiting, Self::CatchingUp, Self::Missed, Self::Skipped];
        all.into_iter().find(|decided| decided.as_str() == word)
    }
}

/// One occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OccurrenceRow {
    /// Its own time, without jitter.
    pub due: Timestamp,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// What was decided.
    pub decided: Decided,
    /// Why, in words.
    pub reason: Option<String>,
    /// What is special about its time, in words.
    pub note: Option<String>,
    /// How many it stands for, in words, where it stands for itself and earlier ones.
    pub count: Option<String>,
    /// Its job.
    pub job: Option<JobId>,
}

const COLUMNS: &str = "due, decided, decision, reason, note, count, job";

fn row(row: &Row<'_>) -> rusqlite::Result<OccurrenceRow> {
    let word: String = row.get(2)?;
    let unknown = || {
        let text = format!("unknown decision {word}");
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, text.into())
    };
    Ok(OccurrenceRow {
        due: time(row.get(0)?),
        decided_at: time(row.get(1)?),
        decided: Decided::parse(&word).ok_or_else(unknown)?,
        reason: row.get(3)?,
        note: row.get(4)?,
        count: row.get(5)?,
        job: row.get::<_, Option<i64>>(6)?.map(JobId),
    })
}

fn select(
    connection: &Connection,
    rest: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<OccurrenceRow>, StoreError> {
    let doing = "read the occurrences";
    let sql = format!("SELECT {COLUMNS} FROM occurrences {rest}");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map(values, row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// Records a decision. One that is there already was made while the clock was wrong.
pub fn record(tx: &Connection, task: &TaskName, new: &OccurrenceRow) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO occurrences (task, due, decided, decision, reason, note, count, job)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = (
        task.as_str(),
        micros(new.due),
        micros(new.decided_at),
        new.decided.as_str(),
        &new.reason,
        &new.note,
        &new.count,
        new.job.map(|job| job.0),
    );
    execute(tx, sql, values, "record an occurrence")
}

/// Records that an occurrence that waited does so no longer.
pub fn settle(
    tx: &Connection,
    task: &TaskName,
    due: Timestamp,
    decided: Decided,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let sql = "UPDATE occurrences SET decision = ?3, reason = ?4 WHERE task = ?1 AND due = ?2";
    execute(tx, sql, (task.as_str(), micros(due), decided.as_str(), reason), "record an occurrence")
}

/// Records the job of an occurrence.
pub fn set_job(tx: &Connection, task: &TaskName, due: Timestamp, job: JobId) -> Result<(), StoreError> {
    execute(
        tx,
        "UPDATE occurrences SET decision = 'run', reason = NULL, job = ?3 WHERE task = ?1 AND due = ?2",
        (task.as_str(), micros(due), job.0),
        "record an occurrence",
    )
}

/// What waits of a task, oldest first.
pub fn waiting(connection: &Connection, task: &TaskName) -> Result<Vec<OccurrenceRow>, StoreError> {
    select(connection, "WHERE task = ?1 AND decision IN ('waiting', 'catching_up') ORDER BY due", [task.as_str()])
}

/// The newest occurrences of a task without a job, newest first; all of them where no number is given.
pub fn without_job(
    connection: &Connection,
    task: &TaskName,
    number: Option<u32>,
) -> Result<Vec<OccurrenceRow>, StoreError> {
    let limit = number.map_or(-1, i64::from);
    select(connection, "WHERE task = ?1 AND job IS NULL ORDER BY due DESC LIMIT ?2", (task.as_str(), limit))
}
