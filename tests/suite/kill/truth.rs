//! What must be true after any kill, checked against the processes that are really there.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::suite::env::{PATIENCE, Said, TestEnv, alive, parent, until};

/// The task that all of this is about.
pub(super) const TASK: &str = "T";

/// Somebody who looks again and again, and remembers what was said.
pub(super) struct Witness<'a> {
    env: &'a TestEnv,
    /// The exit codes that a run may truly have had.
    codes: &'a [i64],
    /// The runs that were reported as ended: what was said of them must stay.
    ended: HashMap<String, Value>,
}

/// What was seen, and reported, at one moment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) state: String,
    pub(super) history: Vec<Value>,
    /// The living processes of each run that has any, by the run's id. No workers.
    pub(super) alive: BTreeMap<String, Vec<i32>>,
}

impl View {
    /// Whether a worker watches the task's run.
    pub(super) fn is_watched(&self) -> bool {
        matches!(self.state.as_str(), "running" | "stopping")
    }

    /// The outcome of the newest run.
    pub(super) fn outcome(&self) -> &str {
        self.history.first().and_then(|run| run["outcome"].as_str()).unwrap_or_default()
    }
}

impl<'a> Witness<'a> {
    pub(super) fn new(env: &'a TestEnv, codes: &'a [i64]) -> Self {
        Self { env, codes, ended: HashMap::new() }
    }

    /// Looks until what is reported agrees with what is there. Some things must not be wrong for a moment: two living
    /// runs, a living run that is reported as ended, an exit that nobody saw, an end that changes.
    #[track_caller]
    pub(super) fn look(&mut self) -> View {
        let start = Instant::now();
        let mut alive = scripts(self.env);
        loop {
            let before = alive;
            let status = self.env.status(TASK);
            let history = self.env.history(TASK);
            alive = scripts(self.env);
            assert!(alive.len() <= 1, "never two living runs: {alive:?}");
            let living = living_pids(self.env, &alive);
            assert!(living.len() <= 1, "never two living scripts: {living:?}");
            for run in &history {
                self.check_run(run);
            }
            let state = status["state"].as_str().unwrap();
            let reported_alive = matches!(state, "running" | "stopping" | "orphaned");
            for id in alive.keys().filter(|id| before.contains_key(*id)) {
                let run = history.iter().find(|run| run["run_id"] == id.as_str());
                let run = run.unwrap_or_else(|| panic!("run {id} is alive and not in {history:?}"));
                assert!(run["outcome"].is_null(), "run {id} is alive: {run}");
                assert!(reported_alive, "run {id} is alive: {status}");
            }
            let unfinished = history.iter().filter(|run| run["outcome"].is_null()).count();
            let agreed = before == alive
                && unfinished == alive.len()
                && match state {
                    "running" | "stopping" => alive.values().any(|pids| is_watched(pids, &status)),
                    "orphaned" => alive.values().any(|pids| same(pids, &status["orphans"])),
                    _ => alive.is_empty(),
                };
            if agreed {
                return View { state: state.to_owned(), history, alive };
            }
            assert!(start.elapsed() < PATIENCE, "{alive:?} are alive, reported are {status} and {history:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// An exit code belongs to a run that was seen to end, and what was said of an ended run stays.
    #[track_caller]
    fn check_run(&mut self, run: &Value) {
        match run["outcome"].as_str() {
            None => {
                assert!(run["exit_code"].is_null() && run["signal"].is_null() && run["ended"].is_null(), "{run}");
                assert!(!self.ended.contains_key(run["run_id"].as_str().unwrap()), "an end was taken back: {run}");
                return;
            }
            Some("lost" | "never_started") => assert!(run["exit_code"].is_null() && run["signal"].is_null(), "{run}"),
            Some("stopped") => {
                assert!(matches!(run["signal"].as_str(), Some("SIGTERM" | "SIGKILL")), "an invented exit: {run}");
            }
            Some("exit_code") => {
                let code = run["exit_code"].as_i64().unwrap();
                assert!(self.codes.contains(&code), "an invented exit: {run}");
            }
            Some(_) => panic!("an outcome that cannot be: {run}"),
        }
        let id = run["run_id"].as_str().unwrap().to_owned();
        let known = self.ended.entry(id).or_insert_with(|| run.clone());
        for key in ["outcome", "exit_code", "signal", "reason", "started", "ended", "pid", "attempt"] {
            assert_eq!(known[key], run[key], "what was said of an ended run stays: {known} and {run}");
        }
    }

    /// Stops the task: the command must succeed, and nothing is left.
    #[track_caller]
    pub(super) fn stop(&mut self) -> View {
        let said = self.env.ok(&["stop", TASK]);
        assert!(scripts(self.env).is_empty(), "something survives the stop, which said {said:?}");
        let view = self.look();
        // An outcome that was on record before the stop stands.
        let stands = view.outcome() == "exit_code" && view.state == "failed";
        assert!(stands || view.state == "stopped", "{view:?}");
        until("the workers to leave", || self.env.processes().is_empty());
        view
    }

    /// Starts the task, or hears that it runs: exactly one script is alive afterwards.
    #[track_caller]
    pub(super) fn start(&mut self) -> View {
        let before = self.look();
        let said = self.env.run(&["start", TASK]);
        check_start(&before, &said);
        let view = self.look();
        assert_eq!(view.alive.len(), 1, "one runs: {said:?} {view:?}");
        until("the script to write down its pid", || living_pids(self.env, &view.alive).len() == 1);
        view
    }

    /// The invariants hold whatever is done next: a start leads to exactly one script, a stop leaves nothing. So many
    /// kills went before.
    #[track_caller]
    pub(super) fn follow_up(&mut self, kills: usize) {
        let first = self.look();
        self.start();
        self.stop();
        if first.state == "orphaned" {
            self.start();
            self.stop();
        }
        for pid in written_pids(self.env) {
            let line = format!("output of {pid}\n");
            let holders: Vec<_> = outputs(self.env).into_iter().filter(|(_, text)| text.contains(&line)).collect();
            assert!(holders.len() <= 1, "the output of {pid} is in {holders:?}");
        }
        // That of a start that was killed before it was recorded, or of an import that was killed after it, may stay.
        let records = fs::read_dir(self.env.file("runs")).unwrap().count();
        assert!(records <= kills, "{records} records stay");
        self.env.ok(&["log"]);
    }
}

/// A start of what runs says so; one of what is orphaned is refused; any other succeeds.
#[track_caller]
fn check_start(before: &View, said: &Said) {
    match before.state.as_str() {
        "orphaned" => {
            assert_eq!(said.code, 5, "{said:?}");
            assert!(said.err.contains("orphaned"), "{said:?}");
        }
        "running" | "stopping" => {
            assert!(said.code == 0 && said.err.contains("Already running"), "{said:?}");
        }
        _ => assert!(said.code == 0 && said.err.contains("Starting"), "{said:?}"),
    }
}

fn same(pids: &[i32], reported: &Value) -> bool {
    let mut reported: Vec<i32> =
        reported.as_array().unwrap().iter().map(|pid| i32::try_from(pid.as_i64().unwrap()).unwrap()).collect();
    reported.sort_unstable();
    pids == reported
}

/// Whether the reported pid is one of the run's, and a child of its worker.
fn is_watched(pids: &[i32], status: &Value) -> bool {
    let Some(pid) = status["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()) else { return false };
    let worker = fs::read_to_string(format!("/proc/{}/cmdline", parent(pid))).unwrap_or_default();
    pids.contains(&pid) && worker.contains("--jobexec-worker")
}

/// The living processes of each run, as their environments tell, in order.
pub(super) fn scripts(env: &TestEnv) -> BTreeMap<String, Vec<i32>> {
    let mut found: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for pid in env.processes() {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environ = String::from_utf8_lossy(&environ).into_owned();
        if let Some(id) = environ.split('\0').find_map(|variable| variable.strip_prefix("JOBEXEC_RUN_ID="))
            && alive(pid)
        {
            found.entry(id.to_owned()).or_default().push(pid);
        }
    }
    found.values_mut().for_each(|pids| pids.sort_unstable());
    found
}

/// The workers of a test.
pub(super) fn workers(env: &TestEnv) -> Vec<i32> {
    let is_worker =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("--jobexec-worker");
    env.processes().into_iter().filter(is_worker).collect()
}

/// The living scripts, by the pids that they wrote down themselves.
fn living_pids(env: &TestEnv, scripts: &BTreeMap<String, Vec<i32>>) -> Vec<i32> {
    let ours: Vec<i32> = scripts.values().flatten().copied().collect();
    written_pids(env).into_iter().filter(|pid| ours.contains(pid)).collect()
}

/// Every pid that a script has ever written down.
pub(super) fn written_pids(env: &TestEnv) -> Vec<i32> {
    let text = fs::read_to_string(env.dir().join("pids")).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')?.parse().ok()).collect()
}

/// The output files of the task, with what they say.
pub(super) fn outputs(env: &TestEnv) -> Vec<(String, String)> {
    let names = fs::read_dir(env.folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_output = |name: &String| {
        name.starts_with(TASK) && std::path::Path::new(name).extension().is_some_and(|extension| extension == "txt")
    };
    names.filter(is_output).map(|name| (name.clone(), env.read(&name))).collect()
}
