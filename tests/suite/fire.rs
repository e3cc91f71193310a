//! Schedules fire: each due moment is decided exactly once, never before it, and what does not run says why.
//!
//! No test asks how late anything is. What was decided is read where it is recorded: in the table `occurrences`.

mod arming;
mod changes;
mod clock_set;
mod missed;
mod moments;
mod overlap;
mod random;
mod special;
mod suspend;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::Value;

use super::env::{TestEnv, kill, until};
use super::supervisor::{KILL, Night, TERMINATE, added, micros, pid_of, query, runs_ended, started, touch};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Ends at once, and notes for what it ran.
const NOTES: &str = "#!/bin/sh\necho $JOBEXEC_JOB_ID $JOBEXEC_RUN_ID >>$JOBEXEC_TASK.notes\n";

/// Notes the same, and stays until there is a file `go`. One that finds another of its task beside it says so.
const WAITS: &str = "#!/bin/sh
echo $JOBEXEC_JOB_ID $JOBEXEC_RUN_ID >>$JOBEXEC_TASK.notes
exec 9>>$JOBEXEC_TASK.lock
flock -n 9 || echo $JOBEXEC_JOB_ID >>$JOBEXEC_TASK.doubled
until [ -e go ]; do sleep 0.02 9>&-; done
";

/// A due moment, and what was decided about it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Occurrence {
    due: i64,
    decided: i64,
    decision: String,
    reason: Option<String>,
    count: Option<String>,
    job: Option<i64>,
}

impl Occurrence {
    fn runs(&self) -> bool {
        self.decision == "run"
    }

    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

/// All that was decided about a task, oldest due moment first.
fn occurrences(env: &TestEnv, task: &str) -> Vec<Occurrence> {
    let sql = format!(
        "SELECT due, decided, decision, reason, count, job FROM occurrences WHERE task = '{task}' ORDER BY due"
    );
    query(env, &sql, |row| {
        Ok(Occurrence {
            due: row.get(0)?,
            decided: row.get(1)?,
            decision: row.get(2)?,
            reason: row.get(3)?,
            count: row.get(4)?,
            job: row.get(5)?,
        })
    })
}

/// The occurrences that were decided so.
fn decided(env: &TestEnv, task: &str, decision: &str) -> Vec<Occurrence> {
    occurrences(env, task).into_iter().filter(|occurrence| occurrence.decision == decision).collect()
}

/// Waits until so many were decided so; all of the task.
#[track_caller]
fn until_decided(env: &TestEnv, task: &str, decision: &str, number: usize) -> Vec<Occurrence> {
    until(&format!("{number} times `{decision}` of {task}"), || decided(env, task, decision).len() >= number);
    occurrences(env, task)
}

/// Waits until a task has fired so often more than before.
#[track_caller]
fn until_fired(env: &TestEnv, task: &str, more: usize) {
    let before = decided(env, task, "run").len();
    until_decided(env, task, "run", before + more);
}

fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Lets due moments pass: another task fires at them.
struct Ticks<'a>(&'a TestEnv);

impl<'a> Ticks<'a> {
    #[track_caller]
    fn with(env: &'a TestEnv) -> Self {
        started(env, "tick", "#!/bin/sh\n", &["--period", "1s"]);
        Self(env)
    }

    /// A supervisor lives, and has fired for moments after this one.
    #[track_caller]
    fn pass(&self) {
        let from = now();
        until("the task beside it to fire", || {
            decided(self.0, "tick", "run").iter().filter(|tick| tick.due > from).count() >= 2
        });
    }
}

const STOP: i32 = 19;
const CONTINUE: i32 = 18;

/// Waits until nothing is being fired that is due at full seconds.
#[track_caller]
fn between_moments() {
    until("the middle of a second", || (400_000..700_000).contains(&(now() % SECOND)));
}

/// Stops the supervisor between two moments, as if the machine had been suspended; since when it stands still.
/// [`CONTINUE`] wakes it.
#[track_caller]
fn fall_asleep(night: &Night) -> i64 {
    between_moments();
    kill(night.pid(), STOP);
    let stat = format!("/proc/{}/stat", night.pid());
    until("the supervisor to stand still", || fs::read_to_string(&stat).unwrap().contains(") T "));
    now()
}

/// Changes what the database says, while nobody works with it.
fn execute(env: &TestEnv, sql: &str) {
    let db = Connection::open(env.file("jobexec.db")).unwrap();
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    db.execute_batch(sql).unwrap();
}

/// Hourly moments of which none is near: when the newest was, and the `start` that makes them so.
struct Hourly {
    newest: i64,
    start: String,
}

impl Hourly {
    fn new() -> Self {
        let newest = now() / SECOND * SECOND - 20 * MINUTE;
        Self { newest, start: utc(newest - 10_000 * HOUR) }
    }

    /// The flags of a task of these moments.
    fn flags<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&["--period", "1h", "--start", &self.start, "--tz", "UTC"], more].concat()
    }

    /// The moment so many hours before the newest.
    fn ago(&self, hours: i64) -> i64 {
        self.newest - hours * HOUR
    }
}

/// A moment as `start` has it.
fn utc(micros: i64) -> String {
    Timestamp::from_microsecond(micros).unwrap().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Makes it as if no supervisor had been there since a due moment of the task, which was the last one decided about.
fn away_since(env: &TestEnv, task: &str, since: i64) {
    execute(
        env,
        &format!(
            "UPDATE tasks SET last_due = {since}, seen_at = {since}, wanted_since = {since} WHERE name = '{task}';
             DELETE FROM occurrences WHERE task = '{task}';"
        ),
    );
}

/// An armed task that was left alone since a due moment.
#[track_caller]
fn left_alone(env: &TestEnv, task: &str, script: &str, flags: &[&str], since: i64) {
    started(env, task, script, flags);
    away_since(env, task, since);
}

/// The runs of a task in the order of their claims, each with its job.
fn runs(env: &TestEnv, task: &str) -> Vec<Value> {
    let mut runs: Vec<Value> = env.history(task).into_iter().filter(|run| run["run_id"].is_string()).collect();
    runs.sort_by_key(|run| micros(&run["claimed"]));
    runs
}

/// The lines that scripts wrote into a file.
fn lines(env: &TestEnv, file: &str) -> Vec<String> {
    let text = fs::read_to_string(env.dir().join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Each due moment from the first that is listed to the last is there once, nothing was decided before it was due, and each that ran
/// has a job of its own whose runs are of that moment, none of them begun before it.
#[track_caller]
fn check(env: &TestEnv, task: &str, period: i64) {
    // What came since they were read is looked at the next time.
    let all = occurrences(env, task);
    let runs = runs(env, task);
    let listed: Vec<&Occurrence> = all.iter().filter(|one| one.count.is_none()).collect();
    for two in listed.windows(2) {
        assert_eq!(two[1].due - two[0].due, period, "{task}: {two:#?}");
    }
    let mut jobs = BTreeSet::new();
    for occurrence in &all {
        assert!(occurrence.decided >= occurrence.due, "before its time: {occurrence:?}");
        if !occurrence.runs() {
            assert!(!occurrence.reason().is_empty() && occurrence.job.is_none(), "{task}: {occurrence:?}");
            continue;
        }
        let job = occurrence.job.expect("what runs has a job");
        assert!(jobs.insert(job), "{task}: one job for two moments: {job}");
        for run in runs.iter().filter(|run| run["job"] == job) {
            assert_eq!(micros(&run["scheduled"]), occurrence.due, "{run}");
            let begun = [&run["started"], &run["claimed"]].into_iter().filter(|time| !time.is_null());
            assert!(begun.map(micros).all(|begun| begun >= occurrence.due), "{run} of {occurrence:?}");
        }
    }
    let newest = all.last().map_or(0, |occurrence| occurrence.due);
    for run in runs.iter().filter(|run| !run["scheduled"].is_null() && micros(&run["scheduled"]) <= newest) {
        assert!(jobs.contains(&run["job"].as_i64().unwrap()), "{task}: a run of no moment: {run}");
    }
    let twice = query(
        env,
        "SELECT task, scheduled FROM jobs WHERE scheduled IS NOT NULL GROUP BY task, scheduled HAVING count(*) > 1",
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
    );
    assert!(twice.is_empty(), "two jobs for one moment: {twice:?}");
}

/// One run of the task ended before the next began.
#[track_caller]
fn check_one_after_another(env: &TestEnv, task: &str) {
    let runs = runs(env, task);
    for two in runs.windows(2) {
        assert!(!two[0]["ended"].is_null() && micros(&two[0]["ended"]) <= micros(&two[1]["claimed"]), "{two:#?}");
    }
    assert!(lines(env, &format!("{task}.doubled")).is_empty(), "two scripts of {task} at once");
}
