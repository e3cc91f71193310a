//! The tables, by version. Later versions add to earlier ones and replace nothing.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// The newest schema that this jobexec knows.
pub(super) const VERSION: i64 = 6;

/// `jexe`: marks a database as one of ours.
const APPLICATION: i64 = 0x6a65_7865;

/// Each entry brings a database from its index to the next version.
const STEPS: [&str; 6] = [V1, V2, V3, V4, V5, V6];

/// Times are microseconds since 1970 in UTC, sizes bytes, durations microseconds.
///
/// What a column may be, and what an index holds, is said with `OR`: for an `IN` of three or more `SQLite` makes a table of
/// its own at each row that is written.
const V1: &str = "
-- What is known of a task apart from its definition. Names are the same without regard to case.
CREATE TABLE tasks (
    name TEXT NOT NULL COLLATE NOCASE PRIMARY KEY,
    added INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    wanted INTEGER NOT NULL DEFAULT 0,
    wanted_by TEXT,
    wanted_since INTEGER,
    schedule_fingerprint TEXT,
    -- Runs in a row that ended before they could count as good.
    failure_streak INTEGER NOT NULL DEFAULT 0,
    -- The newest job of start or schedule.
    job INTEGER REFERENCES jobs (id)
) STRICT;

-- Due moments of schedules, each decided once.
CREATE TABLE occurrences (
    task TEXT NOT NULL COLLATE NOCASE,
    due INTEGER NOT NULL,
    decided INTEGER NOT NULL,
    decision TEXT NOT NULL,
    note TEXT,
    job INTEGER REFERENCES jobs (id),
    PRIMARY KEY (task, due)
) STRICT, WITHOUT ROWID;

-- Definitions (JSON) and inherited environments, once per content.
CREATE TABLE definitions (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE environments (id INTEGER PRIMARY KEY, body BLOB NOT NULL UNIQUE) STRICT;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT COLLATE NOCASE,
    door TEXT NOT NULL CHECK (door = 'start' OR door = 'schedule' OR door = 'queue'),
    state TEXT NOT NULL,
    code TEXT,
    reason TEXT,
    definition INTEGER NOT NULL REFERENCES definitions (id),
    environment INTEGER NOT NULL REFERENCES environments (id),
    attempt INTEGER NOT NULL DEFAULT 0,
    retries_used INTEGER NOT NULL DEFAULT 0,
    made_by TEXT NOT NULL,
    spawned_by INTEGER,
    not_before INTEGER,
    created INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER
) STRICT;
CREATE INDEX jobs_by_task ON jobs (task);

CREATE TABLE runs (
    id TEXT NOT NULL UNIQUE,
    job INTEGER NOT NULL REFERENCES jobs (id),
    task TEXT COLLATE NOCASE,
    kind TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    asked_by TEXT NOT NULL,
    claimed INTEGER NOT NULL,
    scheduled INTEGER,
    started INTEGER,
    ended INTEGER,
    pid INTEGER,
    -- The wish that it end, recorded while its record had no outcome.
    stop_asked INTEGER,
    stop_by TEXT,
    outcome TEXT,
    exit_code INTEGER,
    signal INTEGER,
    core INTEGER,
    reason TEXT,
    leftover INTEGER,
    lasted INTEGER,
    cpu INTEGER,
    memory INTEGER,
    -- The name that its output has once it is archived, fixed at the start; and the inode it is known by.
    archive TEXT NOT NULL,
    inode INTEGER,
    output_removed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_by_task ON runs (task);
CREATE INDEX runs_by_job ON runs (job);
-- Never two unfinished runs of one job.
CREATE UNIQUE INDEX runs_unfinished ON runs (job) WHERE outcome IS NULL;

-- What happened, never changed. No job for what happened to the executor or to a task's definition.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    job INTEGER,
    task TEXT COLLATE NOCASE,
    before TEXT,
    after TEXT,
    cause TEXT NOT NULL,
    data TEXT
) STRICT;
CREATE INDEX events_by_job ON events (job) WHERE job IS NOT NULL;

CREATE TABLE supervisor (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    pid INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    sleep INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT;

-- The registry as it was last read without a mistake. May be deleted whenever the file is good.
CREATE TABLE registry_cache (id INTEGER PRIMARY KEY CHECK (id = 1), fingerprint TEXT NOT NULL, exec_id TEXT NOT NULL) STRICT;
CREATE TABLE registry_tasks (
    position INTEGER PRIMARY KEY,
    name TEXT NOT NULL COLLATE NOCASE UNIQUE,
    definition BLOB NOT NULL
) STRICT;
";

/// Restarting, telling, stalls.
const V2: &str = "
-- The times of the last failed ends (JSON), oldest first, since the last start or stop by hand.
ALTER TABLE tasks ADD COLUMN failed_ends TEXT;
-- Since when it is crash-looping; and since when, while it is, it has run without a failed end.
ALTER TABLE tasks ADD COLUMN looping_since INTEGER;
ALTER TABLE tasks ADD COLUMN steady_since INTEGER;
-- When a failure was last told.
ALTER TABLE tasks ADD COLUMN told INTEGER;

-- When a run was found to show no sign of life, and why its end was asked for then.
ALTER TABLE runs ADD COLUMN stalled INTEGER;
ALTER TABLE runs ADD COLUMN stall_reason TEXT;

-- Where the supervisor was started: a terminal, or in the background.
ALTER TABLE supervisor ADD COLUMN place TEXT;

-- A message about a run does not keep its job from running again.
DROP INDEX runs_unfinished;
CREATE UNIQUE INDEX runs_unfinished ON runs (job) WHERE outcome IS NULL AND kind <> 'notify';
CREATE INDEX runs_open ON runs (job) WHERE outcome IS NULL;
CREATE INDEX runs_with_output ON runs (task) WHERE inode IS NOT NULL AND output_removed = 0;

-- Messages, stored before they are sent: to whom and what (both JSON), and what became of them.
CREATE TABLE notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    made INTEGER NOT NULL,
    occasion TEXT NOT NULL,
    task TEXT NOT NULL COLLATE NOCASE,
    job INTEGER NOT NULL REFERENCES jobs (id),
    channel TEXT NOT NULL,
    message TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'due' CHECK (state = 'due' OR state = 'delivered' OR state = 'given_up'),
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER,
    -- The run that delivers it, or tried to last.
    run TEXT,
    ended INTEGER
) STRICT;
CREATE INDEX notices_due ON notices (id) WHERE state = 'due';
";

/// Schedules.
const V3: &str = "
-- The moment from which the occurrences of its schedule exist, the newest that was decided about, and what it was last
-- fired for where that is no time: a boot, a supervisor.
ALTER TABLE tasks ADD COLUMN seen_at INTEGER;
ALTER TABLE tasks ADD COLUMN last_due INTEGER;
ALTER TABLE tasks ADD COLUMN fired_for TEXT;

ALTER TABLE occurrences ADD COLUMN reason TEXT;
-- How many it stands for, in words, where earlier ones are not listed one by one.
ALTER TABLE occurrences ADD COLUMN count TEXT;
CREATE INDEX occurrences_waiting ON occurrences (task) WHERE decision IN ('waiting', 'catching_up');

-- The occurrence that a job was made for.
ALTER TABLE jobs ADD COLUMN scheduled INTEGER;
CREATE INDEX runs_open_of_task ON runs (task) WHERE outcome IS NULL;
CREATE INDEX jobs_active ON jobs (task) WHERE state IN ('RUNNING', 'RESTART_READY');
";

/// The queue.
const V4: &str = "
-- What was given to the job: objects (JSON), NULL where empty. Parameters as they were given, tags as texts.
ALTER TABLE jobs ADD COLUMN params TEXT;
-- Numbers among the parameters as they were typed, where that is not how they are printed (JSON).
ALTER TABLE jobs ADD COLUMN typed TEXT;
ALTER TABLE jobs ADD COLUMN tags TEXT;
-- The job's own notebook (JSON), NULL where empty.
ALTER TABLE jobs ADD COLUMN data TEXT;
ALTER TABLE jobs ADD COLUMN run_name TEXT;
-- Relative, inside the folder of the jobs; NULL for the job's own directory.
ALTER TABLE jobs ADD COLUMN workdir TEXT;
ALTER TABLE jobs ADD COLUMN keeps_output INTEGER NOT NULL DEFAULT 1;
-- The first of the jobs that this one descends from by spawned_by; NULL for one that nobody spawned.
ALTER TABLE jobs ADD COLUMN root INTEGER;

-- Where it stands in the queue: the higher priority first, then the lower id; among those that need the same (0: a slot
-- and nothing else).
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN need INTEGER NOT NULL DEFAULT 0;
-- What was asked for with the job itself: NULL for the task's. And which of its parameters have the task's defaults (JSON).
ALTER TABLE jobs ADD COLUMN asked_priority INTEGER;
ALTER TABLE jobs ADD COLUMN asked_workdir TEXT;
ALTER TABLE jobs ADD COLUMN defaults TEXT;
-- Since when it has been runnable without a break.
ALTER TABLE jobs ADD COLUMN runnable_since INTEGER;
ALTER TABLE jobs ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
-- How many of its parents have not done what it waits for; and the first that no longer can.
ALTER TABLE jobs ADD COLUMN unmet INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN culprit INTEGER;
-- What a hook has decided (JSON), until its run has ended.
ALTER TABLE jobs ADD COLUMN decision TEXT;
-- Whether its work directory is yet to be cleaned up.
ALTER TABLE jobs ADD COLUMN to_clean INTEGER;
-- How its last main run ended.
ALTER TABLE jobs ADD COLUMN exit_code INTEGER;
ALTER TABLE jobs ADD COLUMN signal INTEGER;
-- The file that it was applied from, what it is called there, and what the file said of it (JSON).
ALTER TABLE jobs ADD COLUMN applied TEXT COLLATE NOCASE;
ALTER TABLE jobs ADD COLUMN local TEXT COLLATE NOCASE;
ALTER TABLE jobs ADD COLUMN said TEXT;
CREATE UNIQUE INDEX jobs_applied ON jobs (applied, local) WHERE applied IS NOT NULL;

-- What jobs need besides a slot (JSON), once per content.
CREATE TABLE needs (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE) STRICT;

-- The names of parameters that jobs have, or had.
CREATE TABLE param_names (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- What a child waits for in a parent: its success, end, or failure; and whether that has come.
CREATE TABLE edges (
    child INTEGER NOT NULL REFERENCES jobs (id),
    parent INTEGER NOT NULL REFERENCES jobs (id),
    kind TEXT NOT NULL CHECK (kind = 'success' OR kind = 'end' OR kind = 'failure'),
    met INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (child, parent)
) STRICT, WITHOUT ROWID;
CREATE INDEX edges_by_parent ON edges (parent);

-- What is brought to a job before it runs, and taken from it afterwards.
CREATE TABLE items (
    job INTEGER NOT NULL REFERENCES jobs (id),
    name TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    local TEXT NOT NULL,
    remote TEXT NOT NULL,
    -- Whether the remote was given for this job alone.
    given INTEGER NOT NULL,
    recursive INTEGER NOT NULL,
    required INTEGER NOT NULL,
    mode TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting'
        CHECK (state = 'waiting' OR state = 'pending' OR state = 'active' OR state = 'done' OR state = 'error'),
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER,
    error TEXT,
    bytes INTEGER,
    PRIMARY KEY (job, name)
) STRICT, WITHOUT ROWID;

-- The slot of a queued run; its record is the slot's. What a run holds of the machine while it runs (JSON).
ALTER TABLE runs ADD COLUMN slot INTEGER;
ALTER TABLE runs ADD COLUMN holds TEXT;

-- Groups of jobs that somebody has paused.
CREATE TABLE paused_groups (name TEXT PRIMARY KEY COLLATE NOCASE, since INTEGER NOT NULL, paused_by TEXT NOT NULL) STRICT;

-- What the registry says of everything but single tasks (JSON).
ALTER TABLE registry_cache ADD COLUMN settings TEXT;

DROP INDEX jobs_active;
CREATE INDEX jobs_active ON jobs (task)
    WHERE door <> 'queue' AND state NOT IN ('JOB_FINISHED', 'FAILED', 'CANCELLED');
CREATE INDEX jobs_runnable ON jobs (need, priority DESC, id)
    WHERE door = 'queue' AND state IN ('PREPROCESSED', 'RESTART_READY') AND held = 0 AND not_before IS NULL;
CREATE INDEX jobs_delayed ON jobs (not_before) WHERE door = 'queue' AND not_before IS NOT NULL;
CREATE INDEX jobs_hooked ON jobs (id) WHERE state IN ('STAGED_IN', 'RUN_DONE', 'RUN_ERROR', 'RUN_TIMEOUT');
CREATE INDEX jobs_staging ON jobs (id) WHERE state IN ('READY', 'POSTPROCESSED');
CREATE INDEX jobs_to_clean ON jobs (id) WHERE to_clean IS NOT NULL;
CREATE INDEX jobs_by_spawner ON jobs (spawned_by) WHERE spawned_by IS NOT NULL;
-- What runs is one small page; each index that a run enters and leaves is one more to be written.
DROP INDEX runs_open;
DROP INDEX runs_open_of_task;
DROP INDEX runs_by_task;
DROP INDEX jobs_by_task;
CREATE INDEX runs_open ON runs (slot, job) WHERE outcome IS NULL;
CREATE INDEX runs_locking ON runs (job) WHERE outcome IS NULL AND slot IS NULL AND holds IS NOT NULL;
CREATE INDEX runs_open_of_task ON runs (task) WHERE outcome IS NULL AND task IS NOT NULL;
DROP INDEX runs_with_output;
CREATE INDEX runs_with_output ON runs (task) WHERE inode IS NOT NULL AND output_removed = 0 AND task IS NOT NULL;
CREATE INDEX runs_by_task ON runs (task) WHERE task IS NOT NULL;
CREATE INDEX jobs_by_task ON jobs (task) WHERE task IS NOT NULL;
";

/// Turns.
const V5: &str = "
-- The tasks that wait for locks, each since when and for all of which (JSON, in lower case).
CREATE TABLE line (
    task TEXT NOT NULL COLLATE NOCASE PRIMARY KEY,
    since INTEGER NOT NULL,
    locks TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The same indices in words that cost less at each row.
const V6: &str = "
DROP INDEX jobs_active;
CREATE INDEX jobs_active ON jobs (task)
    WHERE door <> 'queue' AND state <> 'JOB_FINISHED' AND state <> 'FAILED' AND state <> 'CANCELLED';
DROP INDEX jobs_hooked;
CREATE INDEX jobs_hooked ON jobs (id)
    WHERE (state = 'STAGED_IN' OR state = 'RUN_DONE' OR state = 'RUN_ERROR' OR state = 'RUN_TIMEOUT');
";

/// The version of a database's schema; 0 for an empty one.
pub(super) fn version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    // One snapshot: between two reads somebody else may make the tables. An empty one may become ours.
    let read = || -> rusqlite::Result<(i64, bool)> {
        let snapshot = connection.unchecked_transaction()?;
        let number = |name| snapshot.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let found = number("user_version")?;
        if number("application_id")? == APPLICATION {
            return Ok((found, true));
        }
        let count: i64 = snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((found, found == 0 && count == 0))
    };
    let (found, is_ours) = read().map_err(|source| StoreError::Open { path: path.to_path_buf(), source })?;
    if !is_ours {
        return Err(StoreError::Foreign(path.to_path_buf()));
    }
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_path_buf(), found, known: VERSION });
    }
    Ok(found)
}

/// Brings a database to [`VERSION`], in one transaction: killed at any moment it is of the old version or the new.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Somebody else may have done it while we waited.
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::TaskName;
    use crate::store::{jobs, runs, tasks};

    #[test]
    fn a_database_of_the_first_version_is_brought_up_with_all_that_is_in_it() {
        let temp = tempfile::tempdir().unwrap();
        let mut connection = Connection::open(temp.path().join("jobexec.db")).unwrap();
        connection.execute_batch(V1).unwrap();
        connection.pragma_update(None, "application_id", APPLICATION).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let run = "00112233445566778899aabbccddeeff";
        connection
            .execute_batch(&format!(
                "INSERT INTO definitions (id, body) VALUES (1, '{{}}');
                 INSERT INTO environments (id, body) VALUES (1, x'00');
                 INSERT INTO jobs (id, task, door, state, definition, environment, attempt, made_by, created)
                 VALUES (1, 'LOL', 'start', 'RUNNING', 1, 1, 1, 'anna', 5);
                 INSERT INTO tasks (name, added, first_seen, wanted, failure_streak, job) VALUES ('LOL', 5, 5, 1, 3, 1);
                 INSERT INTO runs (id, job, task, kind, attempt, asked_by, claimed, archive)
                 VALUES ('{run}', 1, 'LOL', 'main', 1, 'anna', 5, 'LOL_x.txt');"
            ))
            .unwrap();
        migrate(&mut connection).unwrap();
        assert_eq!(version(&connection, Path::new("x")).unwrap(), VERSION);
        let name = TaskName::parse("LOL").unwrap();
        let row = tasks::find(&connection, &name).unwrap().unwrap();
        assert_eq!((row.wanted, row.form.streak, row.form.looping_since), (true, 3, None));
        assert_eq!(runs::unfinished_of(&connection, &name).unwrap().unwrap().id.to_string(), run);
        assert_eq!(jobs::find(&connection, row.job.unwrap()).unwrap().unwrap().not_before, None);
        // Two unfinished runs of one job there are never, but for those that tell of it.
        let second = |kind: &str, id: &str| {
            let sql = "INSERT INTO runs (id, job, kind, attempt, asked_by, claimed, archive) VALUES (?1, 1, ?2, 1, 'a', 5, 'x')";
            connection.execute(sql, [id, kind])
        };
        assert!(second("main", "a").is_err());
        assert!(second("notify", "b").is_ok() && second("notify", "c").is_ok());
        migrate(&mut connection).unwrap();
    }
}
