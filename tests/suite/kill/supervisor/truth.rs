//! What must be true of a folder of [`super::folder`], whoever was killed, once a supervisor has had its time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use nix::unistd::Pid;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::Value;

use crate::suite::env::{TestEnv, alive, parent, until};

use super::folder::{Folder, Supervisor};

/// What was done to a folder, as far as it excuses something.
pub(super) trait Excuses {
    /// Whether nobody can know how this run ended, which is reported as lost.
    fn may_be_lost(&self, run: &Value) -> bool;
    /// Whether this run's script may have been killed by somebody.
    fn was_killed(&self, run: &str) -> bool;
}

/// Nothing is lost; these runs' scripts were killed.
pub(super) struct Nothing<'a>(pub(super) &'a [String]);

impl Excuses for Nothing<'_> {
    fn may_be_lost(&self, _: &Value) -> bool {
        false
    }

    fn was_killed(&self, run: &str) -> bool {
        self.0.iter().any(|killed| killed == run)
    }
}

/// The exit of one run may be lost, since both its worker and the supervisor were killed.
pub(super) struct Both<'a>(pub(super) &'a str);

impl Excuses for Both<'_> {
    fn may_be_lost(&self, run: &Value) -> bool {
        run["run_id"] == self.0
    }

    fn was_killed(&self, _: &str) -> bool {
        false
    }
}

/// Waits until every one of these tasks is up, with its script having been run so many times, then checks everything.
#[track_caller]
pub(super) fn check_up(folder: &Folder, supervisor: &Supervisor, up: &[(&str, usize)], excuses: &dyn Excuses) {
    for (task, instances) in up {
        // What the scripts write down comes first: a command that looks could wake a supervisor that sleeps too long.
        until(&format!("{task} to run again"), || folder.instances_of(task).len() >= *instances);
        until(&format!("{task} to be seen running"), || is_up(folder, task));
    }
    check(folder, supervisor, excuses);
    for (task, instances) in up {
        assert_eq!(folder.instances_of(task).len(), *instances, "{:?}", history(folder));
    }
}

/// Whether a task runs: its newest instance is alive, and `status` says so.
pub(super) fn is_up(folder: &Folder, task: &str) -> bool {
    let status = folder.env.status(task);
    let state = status["state"].as_str().unwrap();
    let newest = folder.instances_of(task).last().map(|instance| i64::from(instance.pid));
    match state {
        "running" => newest.is_some() && status["pid"].as_i64() == newest,
        "orphaned" => newest.is_some_and(|pid| status["orphans"].as_array().unwrap().contains(&pid.into())),
        _ => false,
    }
}

/// Checks everything that must be true while a supervisor lives, at any time, and waits for what must come.
#[track_caller]
pub(super) fn check(folder: &Folder, supervisor: &Supervisor, excuses: &dyn Excuses) {
    check_instances(folder);
    // What was written down before the history was read is in it; what the history tells had been written down before.
    let before = folder.instances();
    let said = folder.lines("said");
    let runs = history(folder);
    let notes = Notes::of(folder);
    for run in runs.values() {
        check_run(&notes, run, excuses);
    }
    for instance in before {
        let run = runs.get(&instance.run).unwrap_or_else(|| panic!("{instance:?} is not in the history"));
        let outcome = run["outcome"].as_str();
        assert!(!matches!(outcome, Some("never_started" | "could_not_start")), "it ran: {run}");
    }
    check_output(folder, &said, &runs);
    check_database(&folder.env);
    until("the records of what has ended to go", || finished_records(folder).is_empty());
    until("the supervisor's zombies to go", || zombies(supervisor.pid).is_empty());
}

/// No two instances of one task were ever alive at the same time.
#[track_caller]
pub(super) fn check_instances(folder: &Folder) {
    let violations = folder.lines("violations");
    assert!(violations.is_empty(), "two of one task were alive: {violations:?}");
}

/// Every run of every task.
pub(super) fn history(folder: &Folder) -> BTreeMap<String, Value> {
    let tasks = folder.env.json(&["list"]);
    let names: Vec<&str> = tasks.as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap()).collect();
    let runs = names.iter().flat_map(|name| {
        let runs = folder.env.json(&["history", name, "-n", "1000000"]);
        runs.as_array().unwrap().clone()
    });
    runs.map(|run| (run["run_id"].as_str().unwrap().to_owned(), run)).collect()
}

/// What scripts have written down.
pub(super) struct Notes {
    ran: BTreeSet<String>,
    ends: BTreeMap<String, String>,
}

impl Notes {
    pub(super) fn of(folder: &Folder) -> Self {
        let ran = folder.instances().into_iter().map(|instance| instance.run).collect();
        Self { ran, ends: folder.ends() }
    }
}

/// What is said of a run is what its script wrote down, or what excuses it.
#[track_caller]
pub(super) fn check_run(notes: &Notes, run: &Value, excuses: &dyn Excuses) {
    let id = run["run_id"].as_str().unwrap();
    let noted = notes.ends.get(id).cloned();
    let Some(outcome) = run["outcome"].as_str() else { return };
    let told = match (&run["exit_code"], &run["signal"]) {
        (Value::Null, Value::Null) => None,
        (code, Value::Null) => Some(code.to_string()),
        (_, signal) => Some(signal.as_str().unwrap().to_owned()),
    };
    let killed = told.as_deref() == Some("SIGKILL") && excuses.was_killed(id);
    match outcome {
        "success" | "exit_code" => assert_eq!(told, noted, "{run}"),
        "signal" => assert!(told == noted || killed, "noted is {:?}: {run}", noted),
        // Whoever was stopped at the last moment may have come to its end.
        "stopped" => {
            let asked = matches!(told.as_deref(), Some("SIGTERM" | "SIGKILL"));
            assert!(asked || told == noted, "noted is {:?}: {run}", noted);
        }
        "lost" => assert!(told.is_none() && excuses.may_be_lost(run), "noted is {:?}: {run}", noted),
        "never_started" | "could_not_start" => assert!(told.is_none() && !notes.ran.contains(id), "{run}"),
        _ => panic!("an outcome that cannot be: {run}"),
    }
}

/// Every line that a script says it has put out is there once, in its run's own file and in no other.
#[track_caller]
fn check_output(folder: &Folder, said: &[Vec<String>], runs: &BTreeMap<String, Value>) {
    let said: BTreeMap<&String, u64> = said.iter().map(|line| (&line[0], line[1].parse().unwrap())).collect();
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let mut holders: BTreeMap<String, String> = BTreeMap::new();
    for name in fs::read_dir(folder.env.folder()).unwrap().map(|entry| entry.unwrap().file_name()) {
        let name = name.into_string().unwrap();
        if !name.ends_with(".txt") {
            continue;
        }
        for line in folder.env.read(&name).lines() {
            let (run, number) = line.split_once(' ').unwrap_or_else(|| panic!("a torn line in {name}: {line:?}"));
            let last = found.entry(run.to_owned()).or_default();
            *last += 1;
            assert_eq!(number.parse(), Ok(*last), "{name} does not go on where it was: {line:?}");
            let holder = holders.entry(run.to_owned()).or_insert_with(|| name.clone());
            assert_eq!(*holder, name, "the output of {run} is in two files");
        }
    }
    for (run, number) in &said {
        let there = found.get(*run).copied().unwrap_or(0);
        // More may have been put out since.
        assert!(there >= *number, "of {number} lines of {run} there are {there}: {:?}", runs.get(*run));
    }
    for (run, holder) in &holders {
        let Some(run) = runs.get(run).filter(|run| run["outcome"].is_string()) else { continue };
        // The newest may have been set aside since.
        let log = run["log"].as_str().unwrap_or_else(|| panic!("it has put something out: {run}"));
        let is_its =
            log.ends_with(&format!("/{holder}")) || log.ends_with(&format!("/{}.txt", run["task"].as_str().unwrap()));
        assert!(is_its, "its output is in {holder}: {run}");
    }
}

fn database(env: &TestEnv) -> Connection {
    Connection::open_with_flags(env.file("jobexec.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// How often a task's stop has been recorded, likewise without a command that looks.
pub(super) fn stops(env: &TestEnv, task: &str) -> i64 {
    let sql = "SELECT count(*) FROM events WHERE cause = 'stopped' AND task = ?1";
    database(env).query_row(sql, [task], |row| row.get(0)).unwrap()
}

/// Whether a task is wanted, without a command that looks, and imports.
pub(super) fn is_wanted(env: &TestEnv, task: &str) -> bool {
    let wanted = database(env).query_row("SELECT wanted FROM tasks WHERE name = ?1", [task], |row| row.get(0));
    wanted.optional().unwrap().unwrap_or(false)
}

/// The outcomes of a task's runs that have ended, oldest first, without a command that looks.
pub(super) fn outcomes(env: &TestEnv, task: &str) -> Vec<String> {
    let database = database(env);
    let sql = "SELECT outcome FROM runs WHERE task = ?1 AND outcome IS NOT NULL ORDER BY claimed";
    let mut statement = database.prepare(sql).unwrap();
    let outcomes = statement.query_map([task], |row| row.get(0)).unwrap();
    outcomes.collect::<Result<_, _>>().unwrap()
}

#[track_caller]
fn check_database(env: &TestEnv) {
    let said: String = database(env).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
}

/// The records of runs that the database knows the end of.
fn finished_records(folder: &Folder) -> Vec<String> {
    let records = folder.records();
    let database = database(&folder.env);
    let mut ended = database.prepare("SELECT 1 FROM runs WHERE id = ?1 AND outcome IS NOT NULL").unwrap();
    records.into_iter().filter(|record| ended.exists([record]).unwrap()).collect()
}

/// The records of runs that the database knows nothing of: their starter was killed before it claimed them.
pub(super) fn unclaimed_records(folder: &Folder) -> Vec<String> {
    let records = folder.records();
    let database = database(&folder.env);
    let mut known = database.prepare("SELECT 1 FROM runs WHERE id = ?1").unwrap();
    records.into_iter().filter(|record| !known.exists([record]).unwrap()).collect()
}

/// The children of a process that have ended and that it has not waited for.
pub(super) fn zombies(of: Pid) -> BTreeSet<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent(*pid) == of.as_raw() && !alive(*pid)).collect()
}

/// Ends the supervisor and everything else: nothing is left.
#[track_caller]
pub(super) fn end(folder: &Folder, supervisor: &Supervisor) {
    let said = folder.env.run(&["stop", "--all"]);
    assert_eq!(said.code, 0, "{said:?}; there are {}", there(folder));
    assert_eq!(supervisor.term(), Some(0));
    until("everything to have ended", || folder.env.processes().is_empty());
}

/// What is alive, and the records, for whoever has to find out why.
fn there(folder: &Folder) -> String {
    let processes = folder.env.processes().into_iter().map(|pid| {
        let read = |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let status = read("status");
        let tells = ["State", "PPid", "SigPnd", "ShdPnd", "SigBlk", "SigIgn"];
        let status: Vec<&str> = status.lines().filter(|line| tells.iter().any(|tell| line.starts_with(tell))).collect();
        format!("{pid} {:?} {status:?} in {}", read("cmdline"), read("wchan"))
    });
    let records = folder.records().into_iter().map(|record| folder.env.read(&format!("runs/{record}")));
    processes.chain(records).collect::<Vec<_>>().join("\n")
}
