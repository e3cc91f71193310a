//! keep-restarting: what broke comes back, what was stopped does not, and everybody learns of it.

mod again;
mod alone;
mod backoff;
mod cannot;
mod ends;
mod hooks;
mod orphans;
mod registry;
mod server;
mod stall;
mod telling;
mod terminal;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::env::{TestEnv, alive, kill, until};

pub(super) const HANGUP: i32 = 1;
const INTERRUPT: i32 = 2;
pub(super) const KILL: i32 = 9;
pub(super) const TERMINATE: i32 = 15;

/// A script that says `ready` and stays.
pub(super) const STAYS: &str = "#!/bin/sh\necho ready\nexec sleep 600\n";

/// A script that fails at once.
const FAILS: &str = "#!/bin/sh\necho oops\nexit 1\n";

/// Waits that are over before anybody notices.
const FAST: [&str; 2] = ["--backoff-first", "10ms"];

/// Waits that nobody sees the end of.
const SLOW: [&str; 4] = ["--backoff-first", "1h", "--backoff-max", "1h"];

/// A supervisor in the foreground, whose standard error is a file. It is killed when this goes, and its diary must not
/// say that it panicked or was woken by its safety net; what it says in the folder is looked at by [`TestEnv`].
pub(super) struct Night {
    child: Child,
    diary: PathBuf,
    /// Whether who would have rung may have been killed.
    may_be_missed: bool,
}

impl Night {
    #[track_caller]
    pub(super) fn begin(env: &TestEnv) -> Self {
        Self::with(env, &[])
    }

    /// As [`Night::begin`], with these arguments. Returns once it supervises.
    #[track_caller]
    pub(super) fn with(env: &TestEnv, args: &[&str]) -> Self {
        let mut command = env.command(&[&["keep-restarting"], args].concat());
        Self::spawned(env, &mut command)
    }

    #[track_caller]
    pub(super) fn spawned(env: &TestEnv, command: &mut Command) -> Self {
        let diary = (0..).map(|nth| env.dir().join(format!("night-{nth}"))).find(|path| !path.exists()).unwrap();
        let err = File::create(&diary).unwrap();
        let child = command.stdout(Stdio::null()).stderr(err).spawn().unwrap();
        let mut night = Self { child, diary, may_be_missed: env.are_ringers_killed() };
        until("the supervisor to begin", || {
            let over = night.child.try_wait().unwrap().is_some();
            assert!(!over || night.said("supervising"), "it ended: {}", night.diary());
            night.said("supervising")
        });
        night
    }

    pub(super) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub(super) fn diary(&self) -> String {
        fs::read_to_string(&self.diary).unwrap()
    }

    pub(super) fn said(&self, text: &str) -> bool {
        self.diary().contains(text)
    }

    /// How often it has said something.
    pub(super) fn times(&self, text: &str) -> usize {
        self.diary().matches(text).count()
    }

    #[track_caller]
    pub(super) fn says(&self, text: &str) {
        until(&format!("the diary to say `{text}`"), || self.said(text));
    }

    /// Sends a signal and waits for the end; the exit code and the diary.
    #[track_caller]
    pub(super) fn end(self, signal: i32) -> (Option<i32>, String) {
        kill(self.pid(), signal);
        self.ended()
    }

    /// Waits for the end; the exit code and the diary.
    #[track_caller]
    pub(super) fn ended(mut self) -> (Option<i32>, String) {
        let mut code = None;
        until("the supervisor to end", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        (code.unwrap().code(), self.diary())
    }
}

impl Drop for Night {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let diary = self.diary();
        let missed = diary.contains("safety net") && !self.may_be_missed;
        let bad = missed || diary.contains("panicked");
        if std::thread::panicking() {
            eprintln!("the diary:\n{diary}");
        } else {
            assert!(!bad, "the diary:\n{diary}");
        }
    }
}

/// Adds a task with a script of its own.
#[track_caller]
pub(super) fn added(env: &TestEnv, name: &str, text: &str, flags: &[&str]) {
    let script = format!("{name}.script");
    env.script(&script, text);
    env.ok(&[&["add", name, script.as_str()], flags].concat());
}

/// Adds a task and starts it.
#[track_caller]
pub(super) fn started(env: &TestEnv, name: &str, text: &str, flags: &[&str]) {
    added(env, name, text, flags);
    env.ok(&["start", name]);
}

/// The pid of a task that runs.
#[track_caller]
pub(super) fn pid_of(env: &TestEnv, name: &str) -> i32 {
    let mut pid = None;
    until(&format!("a pid of {name}"), || {
        pid = env.status(name)["pid"].as_i64();
        pid.is_some()
    });
    i32::try_from(pid.unwrap()).unwrap()
}

/// Kills the worker of a task, so that it is orphaned; the pid of its script.
#[track_caller]
pub(super) fn orphaned(env: &TestEnv, name: &str) -> i32 {
    let pid = pid_of(env, name);
    let worker = env.worker_of(name);
    kill(worker, KILL);
    until("the worker to die", || !alive(worker));
    pid
}

/// Waits until a task has so many runs that have ended; all its runs, newest first.
#[track_caller]
pub(super) fn runs_ended(env: &TestEnv, name: &str, number: usize) -> Vec<Value> {
    let mut runs = Vec::new();
    until(&format!("{number} ended runs of {name}"), || {
        runs = env.history(name).into_iter().filter(|run| run["run_id"].is_string()).collect();
        runs.iter().filter(|run| run["outcome"].is_string()).count() >= number
    });
    runs
}

/// Lets scripts go on that wait for a file of this name.
pub(super) fn touch(env: &TestEnv, name: &str) {
    File::create(env.dir().join(name)).unwrap();
}

/// What the database says.
pub(super) fn query<T>(env: &TestEnv, sql: &str, read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
    let db = Connection::open_with_flags(env.file("jobexec.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    db.busy_timeout(Duration::from_secs(60)).unwrap();
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], read).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// The events of a task with this cause, oldest first: what they hold, with `time` in microseconds and the job's state
/// `to` beside it.
fn events(env: &TestEnv, task: &str, cause: &str) -> Vec<Value> {
    let sql = format!("SELECT time, after, data FROM events WHERE task = '{task}' AND cause = '{cause}' ORDER BY id");
    query(env, &sql, |row| {
        let data: Option<String> = row.get(2)?;
        let mut data = data.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_else(|| json!({}));
        data["time"] = json!(row.get::<_, i64>(0)?);
        data["to"] = json!(row.get::<_, Option<String>>(1)?);
        Ok(data)
    })
}

/// Waits until there are so many events.
#[track_caller]
fn until_events(env: &TestEnv, task: &str, cause: &str, number: usize) -> Vec<Value> {
    let mut found = Vec::new();
    until(&format!("{number} times `{cause}` of {task}"), || {
        found = events(env, task, cause);
        found.len() >= number
    });
    found
}

/// A moment in microseconds.
pub(super) fn micros(moment: &Value) -> i64 {
    moment.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

/// The waits that were recorded when the runs of a task ended, in milliseconds; none where it was to go on at once.
fn waits(env: &TestEnv, task: &str) -> Vec<Option<f64>> {
    let wait = |event: &Value| {
        let until = Some(&event["not_before"]).filter(|until| !until.is_null())?;
        #[expect(clippy::cast_precision_loss, reason = "far below a microsecond")]
        Some((micros(until) - event["time"].as_i64().unwrap()) as f64 / 1000.0)
    };
    events(env, task, "ended").iter().map(wait).collect()
}

/// Whether a wait is so long, give or take the jitter of a tenth.
fn is_about(wait: Option<f64>, millis: f64) -> bool {
    wait.is_some_and(|wait| (millis * 0.899..=millis * 1.101).contains(&wait))
}

/// What became of messages: occasion, state, attempts.
fn notices(env: &TestEnv) -> Vec<(String, String, i64)> {
    query(env, "SELECT occasion, state, attempts FROM notices ORDER BY id", |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
}

/// A column of a task's row.
pub(super) fn column(env: &TestEnv, task: &str, column: &str) -> Option<i64> {
    query(env, &format!("SELECT {column} FROM tasks WHERE name = '{task}'"), |row| row.get(0)).pop().unwrap()
}
