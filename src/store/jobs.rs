//! Jobs: pieces of work, each made from a task, with the definition and the environment they were made from.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, TaskName};
use crate::domain::outcome::Exit;
use crate::domain::task::{StopSequence, Task};

use super::{StoreError, micros, time};

/// How a job came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `start`, `restart`.
    Start,
    /// The fire of a schedule.
    Schedule,
    /// The queue.
    Queue,
}

impl Door {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Schedule => "schedule",
            Self::Queue => "queue",
        }
    }
}

/// One job's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// How it came to be.
    pub door: Door,
    /// Its state.
    pub state: State,
    /// The word for why it is in that state.
    pub code: Option<String>,
    /// The same in words.
    pub reason: Option<String>,
    /// How many runs have been started for it.
    pub attempt: u32,
    /// How many of them were automatic retries.
    pub retries_used: u32,
    /// The moment before which it is not to run again.
    pub not_before: Option<Timestamp>,
    /// The occurrence that it was made for.
    pub scheduled: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Whether somebody holds it back.
    pub held: bool,
    /// How many of its parents have not done what it waits for.
    pub unmet: u32,
    /// The first of its forebears because of which it can no longer run.
    pub culprit: Option<JobId>,
    /// The place of its definition.
    pub definition: i64,
    /// The place of what it inherits.
    pub environment: i64,
}

const COLUMNS: &str = "id, door, state, code, reason, attempt, retries_used, created, ended, definition, environment, not_before, scheduled, \
     held, unmet, culprit";

fn row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let unknown = |at: usize, text: String| {
        rusqlite::Error::FromSqlConversionFailure(
            at,
            rusqlite::types::Type::Text,
            format!("unknown word {text}").into(),
        )
    };
    let (door, state): (String, String) = (row.get(1)?, row.get(2)?);
    let door = [Door::Start, Door::Schedule, Door::Queue].into_iter().find(|known| known.as_str() == door);
    Ok(JobRow {
        id: JobId(row.get(0)?),
        door: door.ok_or_else(|| unknown(1, String::from("for a door")))?,
        state: State::parse(&state).ok_or_else(|| unknown(2, state))?,
        code: row.get(3)?,
        reason: row.get(4)?,
        attempt: row.get(5)?,
        retries_used: row.get(6)?,
        created: time(row.get(7)?),
        ended: row.get::<_, Option<i64>>(8)?.map(time),
        definition: row.get(9)?,
        environment: row.get(10)?,
        not_before: row.get::<_, Option<i64>>(11)?.map(time),
        scheduled: row.get::<_, Option<i64>>(12)?.map(time),
        held: row.get(13)?,
        unmet: row.get(14)?,
        culprit: row.get::<_, Option<i64>>(15)?.map(JobId),
    })
}

/// One job.
pub fn find(connection: &Connection, id: JobId) -> Result<Option<JobRow>, StoreError> {
    let doing = "read a job";
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    statement.query_row([id.0], row).optional().map_err(StoreError::sql(doing))
}

/// The front-door jobs that are not over, in the words of the index that holds them.
pub(super) const ACTIVE: &str =
    "door <> 'queue' AND state <> 'JOB_FINISHED' AND state <> 'FAILED' AND state <> 'CANCELLED'";

/// The front-door jobs of a task that are not over, oldest first.
pub fn active_of(connection: &Connection, task: &TaskName) -> Result<Vec<JobRow>, StoreError> {
    let doing = "read the jobs";
    let sql = format!("SELECT {COLUMNS} FROM jobs INDEXED BY jobs_active WHERE task = ?1 AND {ACTIVE} ORDER BY id");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map([task.as_str()], row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// The newest job of each task, by the task's pointer to it.
pub fn newest_of_tasks(connection: &Connection) -> Result<Vec<JobRow>, StoreError> {
    let doing = "read the jobs";
    let columns = COLUMNS.split(", ").map(|column| format!("jobs.{column}")).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {columns} FROM tasks JOIN jobs ON jobs.id = tasks.job");
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map([], row).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// Who makes a job, of what, and how.
#[derive(Debug)]
pub struct NewJob<'a> {
    /// The task.
    pub task: &'a Task,
    /// The door.
    pub door: Door,
    /// What its runs inherit, as bytes that only their maker understands.
    pub environment: &'a [u8],
    /// Who made it.
    pub by: &'a str,
    /// The job in whose script it was made.
    pub spawned_by: Option<JobId>,
    /// The occurrence that it was made for.
    pub scheduled: Option<Timestamp>,
}

/// Makes a job in state CREATED.
pub fn create(tx: &Connection, new: &NewJob<'_>, now: Timestamp) -> Result<JobRow, StoreError> {
    let doing = "record a job";
    let definition = definition(tx, new.task)?;
    let environment = environment(tx, new.environment)?;
    let sql = "INSERT INTO jobs (task, door, state, definition, environment, made_by, spawned_by, created, scheduled)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let mut statement = tx.prepare_cached(sql).map_err(StoreError::sql(doing))?;
    let values = (
        new.task.name.as_str(),
        new.door.as_str(),
        State::Created.as_str(),
        definition,
        environment,
        new.by,
        new.spawned_by.map(|job| job.0),
        micros(now),
        new.scheduled.map(micros),
    );
    let id = JobId(statement.insert(values).map_err(StoreError::sql(doing))?);
    find(tx, id)?.ok_or_else(|| StoreError::Impossible(format!("job {id} is gone")))
}

/// Gives a job the definition that its next runs follow.
pub fn redefine(tx: &Connection, job: JobId, task: &Task) -> Result<(), StoreError> {
    let definition = definition(tx, task)?;
    tx.prepare_cached("UPDATE jobs SET definition = ?2 WHERE id = ?1")
        .and_then(|mut statement| statement.execute((job.0, definition)))
        .map(drop)
        .map_err(StoreError::sql("record a job's definition"))
}

/// A change of a job's state, with all that belongs to it.
#[derive(Debug)]
pub struct Change<'a> {
    /// The state.
    pub state: State,
    /// The word for why.
    pub code: Option<&'a str>,
    /// The same in words.
    pub reason: Option<&'a str>,
    /// The number of runs started for it.
    pub attempt: u32,
    /// The number of automatic retries.
    pub retries_used: u32,
    /// The moment before which it is not to run again.
    pub not_before: Option<Timestamp>,
    /// How a main run of it ended, if that is what changes it.
    pub exit: Option<Exit>,
}

/// Records a change of a job's state.
pub fn change(tx: &Connection, job: JobId, change: &Change<'_>, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET state = ?2, code = ?3, reason = ?4, attempt = ?5, retries_used = ?6,
               started = CASE WHEN ?7 THEN coalesce(started, ?9) WHEN ?5 > 0 THEN started END,
               ended = CASE WHEN ?8 THEN ?9 ELSE NULL END, not_before = ?10,
               runnable_since = CASE WHEN ?11 THEN ?9 ELSE NULL END,
               exit_code = CASE WHEN ?12 THEN ?13 ELSE exit_code END, signal = CASE WHEN ?12 THEN ?14 ELSE signal END
               WHERE id = ?1";
    let (code, signal) = match change.exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal { number, .. }) => (None, Some(number)),
        None => (None, None),
    };
    let values = rusqlite::params![
        job.0,
        change.state.as_str(),
        change.code,
        change.reason,
        change.attempt,
        change.retries_used,
        change.state == State::Running,
        change.state.is_end(),
        micros(now),
        change.not_before.map(micros),
        matches!(change.state, State::Preprocessed | State::RestartReady),
        change.exit.is_some(),
        code,
        signal,
    ];
    tx.prepare_cached(sql)
        .and_then(|mut statement| statement.execute(values))
        .map(drop)
        .map_err(StoreError::sql("record a job's state"))
}

/// Records anew why a job is in its state: the word and the same in words.
pub fn say_why(tx: &Connection, job: JobId, code: &str, reason: &str) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE jobs SET code = ?2, reason = ?3 WHERE id = ?1")
        .and_then(|mut statement| statement.execute((job.0, code, reason)))
        .map(drop)
        .map_err(StoreError::sql("record a job's state"))
}

/// Records whether a job's work directory is yet to be cleaned up.
pub fn mark_to_clean(tx: &Connection, job: JobId, is_to: bool) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE jobs SET to_clean = CASE WHEN ?2 THEN 1 END WHERE id = ?1")
        .and_then(|mut statement| statement.execute((job.0, is_to)))
        .map(drop)
        .map_err(StoreError::sql("record a cleanup"))
}

/// The first job whose work directory is yet to be cleaned up.
pub fn next_to_clean(connection: &Connection) -> Result<Option<JobId>, StoreError> {
    connection
        .prepare_cached("SELECT id FROM jobs WHERE to_clean IS NOT NULL ORDER BY id LIMIT 1")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)).optional())
        .map(|id| id.map(JobId))
        .map_err(StoreError::sql("look for a cleanup"))
}

/// The definition that a job was made from.
pub fn definition_of(connection: &Connection, job: &JobRow) -> Result<Task, StoreError> {
    definition_at(connection, job.definition)
}

/// The definition at this place.
pub fn definition_at(connection: &Connection, place: i64) -> Result<Task, StoreError> {
    read_definition(connection, place)
}

/// How a job's runs are stopped. All else in the definition is skipped: where many are stopped together, nobody waits for
/// the rest.
pub fn stop_of(connection: &Connection, job: &JobRow) -> Result<StopSequence, StoreError> {
    #[derive(Deserialize)]
    struct Part {
        stop: StopSequence,
    }
    Ok(read_definition::<Part>(connection, job.definition)?.stop)
}

fn read_definition<T: DeserializeOwned>(connection: &Connection, place: i64) -> Result<T, StoreError> {
    let sql = "SELECT body FROM definitions WHERE id = ?1";
    let body: String = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([place], |row| row.get(0)))
        .map_err(StoreError::sql("read a definition"))?;
    serde_json::from_str(&body).map_err(|error| StoreError::Impossible(format!("definition {place}: {error}")))
}

/// The group that jobs of the definition at this place belong to.
pub fn group_at(connection: &Connection, place: i64) -> Result<Option<String>, StoreError> {
    connection
        .prepare_cached("SELECT body ->> '$.group' FROM definitions WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([place], |row| row.get(0)))
        .map_err(StoreError::sql("read a definition"))
}

/// Whether a job's runs follow this definition.
pub fn follows(connection: &Connection, job: &JobRow, task: &Task) -> Result<bool, StoreError> {
    let body = serde_json::to_string(task).unwrap_or_default();
    let same = connection
        .prepare_cached("SELECT body = ?2 FROM definitions WHERE id = ?1")
        .and_then(|mut statement| statement.query_row((job.definition, body), |row| row.get::<_, bool>(0)))
        .map_err(StoreError::sql("compare a definition"))?;
    // An earlier jobexec may have written the same in other words.
    Ok(same || definition_of(connection, job)? == *task)
}

/// The definition that a task's newest job was made from: what is left to know of a task that the registry has lost.
pub fn last_definition(connection: &Connection, task: &TaskName) -> Result<Option<Task>, StoreError> {
    let sql = "SELECT max(id) FROM jobs WHERE task = ?1";
    let id: Option<i64> =
        connection.query_row(sql, [task.as_str()], |row| row.get(0)).map_err(StoreError::sql("read a job"))?;
    let Some(id) = id else { return Ok(None) };
    find(connection, JobId(id))?.map(|job| definition_of(connection, &job)).transpose()
}

/// What a job's runs inherit.
pub fn environment_of(connection: &Connection, job: &JobRow) -> Result<Vec<u8>, StoreError> {
    environment_at(connection, job.environment)
}

/// What the jobs with this environment inherit.
pub fn environment_at(connection: &Connection, place: i64) -> Result<Vec<u8>, StoreError> {
    let sql = "SELECT body FROM environments WHERE id = ?1";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([place], |row| row.get(0)))
        .map_err(StoreError::sql("read an environment"))
}

/// The place of a definition, which is stored when it is new.
pub fn definition(tx: &Connection, task: &Task) -> Result<i64, StoreError> {
    let body = serde_json::to_string(task)
        .map_err(|error| StoreError::Impossible(format!("the definition of {}: {error}", task.name)))?;
    once(tx, "definitions", &body)
}

/// The place of what jobs inherit, which is stored when it is new.
pub fn environment(tx: &Connection, body: &[u8]) -> Result<i64, StoreError> {
    once(tx, "environments", &body)
}

/// The id of a content, which is stored when it is new.
pub(super) fn once(tx: &Connection, table: &'static str, body: &dyn rusqlite::ToSql) -> Result<i64, StoreError> {
    let doing = "store a job's definition or environment";
    let find = format!("SELECT id FROM {table} WHERE body = ?1");
    let found = tx.prepare_cached(&find).and_then(|mut s| s.query_row([body], |row| row.get(0)).optional());
    if let Some(id) = found.map_err(StoreError::sql(doing))? {
        return Ok(id);
    }
    let insert = format!("INSERT INTO {table} (body) VALUES (?1)");
    tx.prepare_cached(&insert).and_then(|mut s| s.insert([body])).map_err(StoreError::sql(doing))
}
