//! The queue: jobs made by the thousand, which of them is next, and what binds them to each other.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use crate::domain::edge::Edge;
use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, TaskName};
use crate::domain::params::{self, Values};

use super::asked::NewAsked;
use super::{StoreError, changed, execute, jobs, micros, time};

/// A job that is to be queued. What is JSON is given as text and absent where empty.
#[derive(Debug)]
pub struct NewQueued<'a> {
    /// Its task; none for a command of its own.
    pub task: Option<&'a TaskName>,
    /// The state in which it settles.
    pub state: State,
    /// The place of its definition.
    pub definition: i64,
    /// The place of what it inherits.
    pub environment: i64,
    /// The place of what it needs besides a slot; 0 for nothing.
    pub need: i64,
    /// Its parameters, an object.
    pub params: Option<&'a str>,
    /// Numbers among them as they were typed, an object of texts.
    pub typed: Option<&'a str>,
    /// Its tags, an object of texts.
    pub tags: Option<&'a str>,
    /// Its data.
    pub data: Option<&'a str>,
    /// The name of the run of a study that it belongs to.
    pub run_name: Option<&'a str>,
    /// Its work directory, where that is not its own.
    pub workdir: Option<&'a str>,
    /// Whether its output is kept.
    pub keeps_output: bool,
    /// The higher goes first.
    pub priority: i64,
    /// Whether it waits for its release.
    pub held: bool,
    /// How many parents it waits for.
    pub unmet: u32,
    /// The first forebear because of which it cannot run.
    pub culprit: Option<JobId>,
    /// Why it is in its state: code and words.
    pub why: Option<(&'a str, &'a str)>,
    /// The moment before which it is not to run.
    pub not_before: Option<Timestamp>,
    /// What of this was asked for with it, and is not the task's.
    pub asked: NewAsked<'a>,
    /// Who made it.
    pub by: &'a str,
    /// The job in whose script it was made.
    pub spawned_by: Option<JobId>,
    /// The first of the jobs that it descends from.
    pub root: Option<JobId>,
}

/// A run of a front door that holds locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontHolder {
    /// Its job.
    pub job: JobId,
    /// Its task.
    pub task: Option<TaskName>,
    /// When it was claimed.
    pub claimed: Timestamp,
    /// What it holds, as JSON.
    pub holds: Option<String>,
}

/// Queues a job.
pub fn create(tx: &Connection, new: &NewQueued<'_>, now: Timestamp) -> Result<JobId, StoreError> {
    let doing = "queue a job";
    let sql = "INSERT INTO jobs (door, task, state, definition, environment, need, params, tags, data, run_name, workdir,
               keeps_output, priority, held, unmet, culprit, code, reason, not_before, made_by, spawned_by, root, created,
               runnable_since, asked_priority, asked_workdir, defaults, typed)
               VALUES ('queue', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
               ?21, ?22, CASE WHEN ?2 = 'PREPROCESSED' THEN ?22 END, ?23, ?24, ?25, ?26)";
    let values = rusqlite::params![
        new.task.map(TaskName::as_str),
        new.state.as_str(),
        new.definition,
        new.environment,
        new.need,
        new.params,
        new.tags,
        new.data,
        new.run_name,
        new.workdir,
        new.keeps_output,
        new.priority,
        new.held,
        new.unmet,
        new.culprit.map(|job| job.0),
        new.why.map(|(code, _)| code),
        new.why.map(|(_, reason)| reason),
        new.not_before.map(micros),
        new.by,
        new.spawned_by.map(|job| job.0),
        new.root.map(|job| job.0),
        micros(now),
        new.asked.priority,
        new.asked.workdir,
        new.asked.defaults,
        new.typed,
    ];
    let inserted = tx.prepare_cached(sql).and_then(|mut statement| statement.insert(values));
    inserted.map(JobId).map_err(StoreError::sql(doing))
}

/// Whether a task has, or had, queued jobs.
pub fn any_of_task(connection: &Connection, task: &TaskName) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE task = ?1 AND door = 'queue')";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([task.as_str()], |row| row.get(0)))
        .map_err(StoreError::sql("look at the queue"))
}

/// The place of what a job needs, as JSON; it is stored when it is new.
pub fn need(tx: &Connection, body: &str) -> Result<i64, StoreError> {
    jobs::once(tx, "needs", &body)
}

/// What the jobs with this need need, as JSON.
pub fn need_at(connection: &Connection, place: i64) -> Result<String, StoreError> {
    connection
        .prepare_cached("SELECT body FROM needs WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([place], |row| row.get(0)))
        .map_err(StoreError::sql("read what a job needs"))
}

/// The best of the jobs that need the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What they need.
    pub need: i64,
    /// The job.
    pub job: JobId,
    /// Its priority.
    pub priority: i64,
    /// Since when it could run.
    pub runnable_since: Timestamp,
}

/// What the index of the runnable holds, in the words of its definition.
const RUNNABLE: &str =
    "door = 'queue' AND state IN ('PREPROCESSED', 'RESTART_READY') AND held = 0 AND not_before IS NULL";

/// The best runnable job of each distinct need. Each costs one look into an index, however long the queue is.
pub fn heads(connection: &Connection) -> Result<Vec<Head>, StoreError> {
    let doing = "look at the queue";
    let sql = format!(
        "SELECT need, id, priority, coalesce(runnable_since, created) FROM jobs INDEXED BY jobs_runnable
         WHERE {RUNNABLE} AND need > ?1 ORDER BY need, priority DESC, id LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql).map_err(StoreError::sql(doing))?;
    let mut heads = Vec::new();
    let mut last = -1;
    loop {
        let head = |row: &rusqlite::Row<'_>| {
            let runnable_since = time(row.get(3)?);
            Ok(Head { need: row.get(0)?, job: JobId(row.get(1)?), priority: row.get(2)?, runnable_since })
        };
        match statement.query_row([last], head).optional().map_err(StoreError::sql(doing))? {
            Some(head) => {
                last = head.need;
                heads.push(head);
            }
            None => return Ok(heads),
        }
    }
}

/// How many runnable jobs go before a job of this priority and id.
pub fn count_before(connection: &Connection, priority: i64, job: JobId) -> Result<u64, StoreError> {
    let sql = format!(
        "SELECT count(*) FROM jobs INDEXED BY jobs_runnable
         WHERE {RUNNABLE} AND (priority > ?1 OR (priority = ?1 AND id < ?2))"
    );
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.query_row((priority, job.0), |row| row.get(0)))
        .map_err(StoreError::sql("look at the queue"))
}

/// Makes those jobs runnable whose time has come; how many.
pub fn promote(tx: &Connection, now: Timestamp) -> Result<usize, StoreError> {
    let sql = "UPDATE jobs SET not_before = NULL WHERE door = 'queue' AND not_before <= ?1";
    changed(tx, sql, [micros(now)], "look at the queue")
}

/// The first job that waits for a hook to run.
pub fn next_hooked(connection: &Connection) -> Result<Option<JobId>, StoreError> {
    let sql = "SELECT id FROM jobs INDEXED BY jobs_hooked
               WHERE (state = 'STAGED_IN' OR state = 'RUN_DONE' OR state = 'RUN_ERROR' OR state = 'RUN_TIMEOUT')
               AND door = 'queue' AND held = 0
               AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.job = jobs.id AND outcome IS NULL AND kind <> 'notify')
               ORDER BY id LIMIT 1";
    let found = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)).optional())
        .map_err(StoreError::sql("look at the queue"))?;
    Ok(found.map(JobId))
}

/// Whether there is anything to claim, as far as a slot is all that it waits for.
pub fn has_work(connection: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    Ok(next_moment(connection)?.is_some_and(|at| at <= now)
        || next_hooked(connection)?.is_some()
        || !heads(connection)?.is_empty())
}

/// What a hook of a job has decided, as JSON.
pub fn decision(connection: &Connection, job: JobId) -> Result<Option<String>, StoreError> {
    connection
        .prepare_cached("SELECT decision FROM jobs WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([job.0], |row| row.get(0)))
        .map_err(StoreError::sql("read a hook's decision"))
}

/// Records what a hook of a job decides, as JSON.
pub fn decide(tx: &Connection, job: JobId, decision: Option<&str>) -> Result<(), StoreError> {
    execute(tx, "UPDATE jobs SET decision = ?2 WHERE id = ?1", (job.0, decision), "record a hook's decision")
}

/// Replaces a job's data, as JSON.
pub fn set_data(tx: &Connection, job: JobId, data: Option<&str>) -> Result<(), StoreError> {
    execute(tx, "UPDATE jobs SET data = ?2 WHERE id = ?1", (job.0, data), "record a job's data")
}

/// Replaces a job's tags, as JSON.
pub fn set_tags(tx: &Connection, job: JobId, tags: Option<&str>) -> Result<(), StoreError> {
    execute(tx, "UPDATE jobs SET tags = ?2 WHERE id = ?1", (job.0, tags), "record a job's tags")
}

/// Removes a job with its runs, its events and its dependencies.
pub fn delete(tx: &Connection, job: JobId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM edges WHERE child = ?1 OR parent = ?1",
        "DELETE FROM items WHERE job = ?1",
        "DELETE FROM notices WHERE job = ?1",
        "DELETE FROM runs WHERE job = ?1",
        "DELETE FROM events WHERE job = ?1",
        "DELETE FROM jobs WHERE id = ?1",
    ] {
        changed(tx, sql, [job.0], "delete a job")?;
    }
    Ok(())
}

/// The highest priority among the jobs that can run.
pub fn highest_priority(connection: &Connection) -> Result<Option<i64>, StoreError> {
    let sql = format!("SELECT max(priority) FROM jobs INDEXED BY jobs_runnable WHERE {RUNNABLE}");
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(StoreError::sql("look at the queue"))
}

/// Lets a job run that waits for a moment.
pub fn forget_moment(tx: &Connection, job: JobId) -> Result<(), StoreError> {
    execute(tx, "UPDATE jobs SET not_before = NULL WHERE id = ?1", [job.0], "record a job's moment")
}

/// Gives a job another priority.
pub fn set_priority(tx: &Connection, job: JobId, priority: i64) -> Result<(), StoreError> {
    execute(tx, "UPDATE jobs SET priority = ?2 WHERE id = ?1", (job.0, priority), "record a job's priority")
}

/// When the next job becomes runnable that waits for a moment.
pub fn next_moment(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT min(not_before) FROM jobs WHERE door = 'queue' AND not_before IS NOT NULL AND held = 0";
    let moment: Option<i64> = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(StoreError::sql("look at the queue"))?;
    Ok(moment.map(time))
}

/// Whether a job waits for its moment and for nothing else.
pub fn is_any_delayed(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE door = 'queue' AND not_before IS NOT NULL AND held = 0
               AND state IN ('PREPROCESSED', 'RESTART_READY'))";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(StoreError::sql("look at the queue"))
}

/// The runs of front doors that hold locks: their jobs, their tasks, when they were claimed, and what they hold, as JSON.
pub fn front_holders(connection: &Connection) -> Result<Vec<FrontHolder>, StoreError> {
    let doing = "look at the locks";
    let sql = "SELECT job, task, claimed, holds FROM runs INDEXED BY runs_locking
               WHERE outcome IS NULL AND slot IS NULL AND holds IS NOT NULL ORDER BY job";
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::sql(doing))?;
    let holder = |row: &rusqlite::Row<'_>| {
        let task: Option<String> = row.get(1)?;
        let task = task.and_then(|name| TaskName::parse(&name).ok());
        Ok(FrontHolder { job: JobId(row.get(0)?), task, claimed: time(row.get(2)?), holds: row.get(3)? })
    };
    let rows = statement.query_map([], holder).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// What the runs in slots hold of the machine: their jobs, when they were claimed, and what they hold, as JSON.
pub fn holders(connection: &Connection) -> Result<Vec<(JobId, Timestamp, Option<String>)>, StoreError> {
    let doing = "look at the slots";
    let sql = "SELECT job, claimed, holds FROM runs WHERE slot IS NOT NULL AND outcome IS NULL";
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::sql(doing))?;
    let holder = |row: &rusqlite::Row<'_>| Ok((JobId(row.get(0)?), time(row.get(1)?), row.get(2)?));
    let rows = statement.query_map([], holder).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// How many slots have something that has not ended.
pub fn taken_slots(connection: &Connection) -> Result<u32, StoreError> {
    connection
        .prepare_cached("SELECT count(DISTINCT slot) FROM runs WHERE slot IS NOT NULL AND outcome IS NULL")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(StoreError::sql("look at the slots"))
}

/// The groups that somebody has paused, with who that was.
pub fn paused_groups(connection: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    let doing = "look at the groups";
    let mut statement =
        connection.prepare_cached("SELECT name, paused_by FROM paused_groups").map_err(StoreError::sql(doing))?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// Pauses a group, or lets it go on; whether that was anything new.
pub fn pause_group(tx: &Connection, name: &str, paused: bool, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let doing = "pause a group";
    let count = if paused {
        let sql = "INSERT OR IGNORE INTO paused_groups (name, since, paused_by) VALUES (?1, ?2, ?3)";
        changed(tx, sql, (name, micros(now), by), doing)?
    } else {
        changed(tx, "DELETE FROM paused_groups WHERE name = ?1", [name], doing)?
    };
    Ok(count > 0)
}

/// One edge, seen from its child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeRow {
    /// The job at its other end.
    pub job: JobId,
    /// What is waited for.
    pub kind: Edge,
    /// Whether that has come.
    pub met: bool,
}

/// Records that a job waits for another one.
pub fn bind(tx: &Connection, child: JobId, edge: EdgeRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO edges (child, parent, kind, met) VALUES (?1, ?2, ?3, ?4)";
    execute(tx, sql, (child.0, edge.job.0, edge.kind.as_str(), edge.met), "record a dependency")
}

/// Records whether what a child waits for in a parent has come.
pub fn set_met(tx: &Connection, child: JobId, parent: JobId, met: bool) -> Result<(), StoreError> {
    execute(
        tx,
        "UPDATE edges SET met = ?3 WHERE child = ?1 AND parent = ?2",
        (child.0, parent.0, met),
        "record a dependency",
    )
}

/// Records how many parents a job waits for, and because of whom it cannot run.
pub fn set_unmet(tx: &Connection, job: JobId, unmet: u32, culprit: Option<JobId>) -> Result<(), StoreError> {
    execute(
        tx,
        "UPDATE jobs SET unmet = ?2, culprit = ?3 WHERE id = ?1",
        (job.0, unmet, culprit.map(|job| job.0)),
        "record a dependency",
    )
}

/// The children of a job, each with its edge, in the order of their ids.
pub fn children(connection: &Connection, job: JobId) -> Result<Vec<EdgeRow>, StoreError> {
    edges(connection, "SELECT child, kind, met FROM edges WHERE parent = ?1 ORDER BY child", job)
}

/// The parents of a job, each with its edge, in the order of their ids.
pub fn parents(connection: &Connection, job: JobId) -> Result<Vec<EdgeRow>, StoreError> {
    edges(connection, "SELECT parent, kind, met FROM edges WHERE child = ?1 ORDER BY parent", job)
}

fn edges(connection: &Connection, sql: &str, job: JobId) -> Result<Vec<EdgeRow>, StoreError> {
    let doing = "read the dependencies";
    let edge = |row: &rusqlite::Row<'_>| {
        let kind = Edge::parse(&row.get::<_, String>(1)?).unwrap_or_default();
        Ok(EdgeRow { job: JobId(row.get(0)?), kind, met: row.get(2)? })
    };
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map([job.0], edge).map_err(StoreError::sql(doing))?;
    rows.collect::<Result<_, _>>().map_err(StoreError::sql(doing))
}

/// What was given to a job when it was made, and may have been changed since. What is JSON is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its task; none for a command of its own.
    pub task: Option<String>,
    /// Its parameters, an object.
    pub params: Option<String>,
    /// Numbers among them as they were typed, an object of texts.
    pub typed: Option<String>,
    /// Its tags, an object of texts.
    pub tags: Option<String>,
    /// Its data.
    pub data: Option<String>,
    /// The name of the run of a study that it belongs to.
    pub run_name: Option<String>,
    /// Its work directory, where that is not its own.
    pub workdir: Option<String>,
    /// Whether its output is kept.
    pub keeps_output: bool,
    /// The higher goes first.
    pub priority: i64,
    /// The place of what it needs.
    pub need: i64,
    /// Who made it.
    pub made_by: String,
    /// The job in whose script it was made.
    pub spawned_by: Option<JobId>,
    /// The first of the jobs that it descends from.
    pub root: Option<JobId>,
    /// When it first ran.
    pub started: Option<Timestamp>,
    /// The exit code of its last main run.
    pub exit_code: Option<i32>,
    /// The signal that ended its last main run.
    pub signal: Option<i32>,
}

impl Given {
    /// The values of its parameters as they stand where their placeholders are.
    pub fn words(&self) -> Result<Values, serde_json::Error> {
        let values: Values = self.params.as_deref().map_or(Ok(Values::new()), serde_json::from_str)?;
        let Some(typed) = &self.typed else { return Ok(values) };
        Ok(params::in_words(&values, &serde_json::from_str(typed)?))
    }
}

/// What was given to a job.
pub fn given(connection: &Connection, job: JobId) -> Result<Given, StoreError> {
    let sql =
        "SELECT task, params, tags, data, run_name, workdir, keeps_output, priority, need, made_by, spawned_by, root,
               started, exit_code, signal, typed FROM jobs WHERE id = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Given {
            task: row.get(0)?,
            params: row.get(1)?,
            tags: row.get(2)?,
            data: row.get(3)?,
            run_name: row.get(4)?,
            workdir: row.get(5)?,
            keeps_output: row.get(6)?,
            priority: row.get(7)?,
            need: row.get(8)?,
            made_by: row.get(9)?,
            spawned_by: row.get::<_, Option<i64>>(10)?.map(JobId),
            root: row.get::<_, Option<i64>>(11)?.map(JobId),
            started: row.get::<_, Option<i64>>(12)?.map(time),
            exit_code: row.get(13)?,
            signal: row.get(14)?,
            typed: row.get(15)?,
        })
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([job.0], read))
        .map_err(StoreError::sql("read a job"))
}

/// Holds a job back, or releases it.
pub fn hold(tx: &Connection, job: JobId, held: bool) -> Result<(), StoreError> {
    execute(tx, "UPDATE jobs SET held = ?2 WHERE id = ?1", (job.0, held), "hold a job")
}
