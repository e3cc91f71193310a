//! Twenty tasks of all kinds, kept running while everybody is killed at random times: supervisor, workers, both,
//! scripts, commands. `JOBEXEC_KILL_SECONDS` says how long, `JOBEXEC_KILL_SEED` which numbers are drawn.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::suite::env::until;
use crate::suite::kill::random::number;

use super::folder::Folder;
use super::nemesis::Nemesis;
use super::truth::{Notes, check, check_instances, check_run, end, history, is_up, is_wanted, unclaimed_records};

/// What a task is to come to again and again while it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It runs until somebody ends it.
    Lasts,
    /// It ends soon, and is started again.
    Ends,
    /// It ends for good by itself.
    Once,
}

const COUNTS: &str = "while :; do say; sleep 0.05; done";

/// The tasks: name, kind, script, flags.
const TASKS: [(&str, Kind, &str, &[&str]); 20] = [
    ("count-a", Kind::Lasts, COUNTS, &[]),
    ("count-b", Kind::Lasts, COUNTS, &[]),
    ("count-c", Kind::Lasts, COUNTS, &[]),
    ("stays", Kind::Lasts, "exec sleep 600", &[]),
    ("deaf", Kind::Lasts, "trap '' TERM\nwhile :; do say; sleep 0.2; done", &[]),
    ("good-a", Kind::Ends, "sleep 0.3\nends 0", &[]),
    ("good-b", Kind::Ends, "sleep 0.2\nsay\nends 9", &[]),
    ("quick-a", Kind::Ends, "sleep 0.02\nends 0", &[]),
    ("quick-b", Kind::Ends, "ends 0", &[]),
    ("fails-a", Kind::Ends, "ends 1", &[]),
    ("fails-b", Kind::Ends, "sleep 0.05\nends 255", &[]),
    ("permanent", Kind::Ends, "ends 125", &[]),
    ("kills-itself", Kind::Ends, "dies KILL", &[]),
    ("crashes", Kind::Ends, "sleep 0.05\ndies SEGV", &[]),
    ("terminates", Kind::Ends, "dies TERM", &[]),
    ("leaves", Kind::Ends, "sleep 0.5 &\nends 3", &[]),
    ("leaves-deaf", Kind::Ends, "(trap '' TERM; exec sleep 0.5) &\nsleep 0.02\nends 4", &[]),
    ("on-failure", Kind::Once, "[ $(($$ % 3)) = 0 ] && ends 0\nends 5", &["--restart", "on-failure"]),
    ("once", Kind::Once, "sleep 0.1\nends 0", &["--once"]),
    ("retried", Kind::Once, "ends 6", &["--retries", "3"]),
];

/// What has been told so far of runs that have ended: it must stay.
type Told = HashMap<String, Value>;

#[test]
fn at_random() {
    let (seconds, seed) = (number("JOBEXEC_KILL_SECONDS", 8), number("JOBEXEC_KILL_SEED", 1));
    println!("{seconds} seconds from seed {seed}");
    let folder = Folder::new();
    for (name, _, script, flags) in TASKS {
        folder.add(name, script, &[["--reset-after", "100ms"].as_slice(), flags].concat());
    }
    folder.env.ok(&["start", "--all"]);
    let mut nemesis = Nemesis::new(&folder, TASKS.iter().map(|task| task.0.to_owned()).collect(), seed);
    let mut told = Told::new();
    let start = Instant::now();
    let killed = ["supervisor killed", "a worker killed", "both killed"];
    // However slow the machine is: each of them at least once.
    while start.elapsed() < Duration::from_secs(seconds) || killed.iter().any(|what| !nemesis.done.contains_key(what)) {
        // No wait for anything: the moment is what is chosen at random.
        std::thread::sleep(Duration::from_micros(nemesis.below(60_000)));
        nemesis.act();
        if nemesis.below(8) == 0 {
            look(&folder, &mut nemesis, &mut told);
        }
    }
    nemesis.rest();
    nemesis.kill_supervisor();
    nemesis.supervise();
    let supervisor = nemesis.supervisor().unwrap();
    until("the last supervisor to begin", || supervisor.has_begun());
    for (name, kind, ..) in TASKS {
        comes_back(&folder, &nemesis, name, kind);
    }
    folder.env.ok(&["stop", "--all"]);
    check(&folder, supervisor, &nemesis);
    for run in history(&folder).values() {
        stays(&mut told, run);
    }
    let of = |what: &str| nemesis.done.get(what).copied().unwrap_or(0);
    let starters = of("supervisor killed") + of("both killed") + of("a command killed") + 1;
    // Whoever starts many at once prepares all of their records before it claims them.
    let unclaimed = unclaimed_records(&folder);
    assert!(unclaimed.len() <= starters * TASKS.len(), "{unclaimed:?}");
    for record in &unclaimed {
        assert!(!folder.is_on_record(record, "starting"), "it was begun and never claimed: {record}");
    }
    summary(&folder, &nemesis);
    end(&folder, supervisor);
}

/// What is said at any moment must be true.
fn look(folder: &Folder, nemesis: &mut Nemesis<'_>, told: &mut Told) {
    check_instances(folder);
    let statuses = folder.env.json(&["status"]);
    assert_eq!(statuses.as_array().unwrap().len(), TASKS.len());
    let task = nemesis.a_task();
    let runs = folder.env.json(&["history", &task, "-n", "50"]);
    let notes = Notes::of(folder);
    for run in runs.as_array().unwrap() {
        check_run(&notes, run, nemesis);
        stays(told, run);
    }
    let open = runs.as_array().unwrap().iter().filter(|run| run["outcome"].is_null()).count();
    assert!(open <= 1, "one run at a time: {runs}");
}

/// What was said of the end of a run is said again.
fn stays(told: &mut Told, run: &Value) {
    let id = run["run_id"].as_str().unwrap();
    if run["outcome"].is_null() {
        assert!(!told.contains_key(id), "an end was taken back: {run}");
        return;
    }
    let known = told.entry(id.to_owned()).or_insert_with(|| run.clone());
    for key in ["outcome", "exit_code", "signal", "reason", "started", "ended", "pid", "attempt"] {
        assert_eq!(known[key], run[key], "what was said of an ended run stays: {known} and {run}");
    }
}

/// With a supervisor that is left in peace, what is wanted comes back.
fn comes_back(folder: &Folder, nemesis: &Nemesis<'_>, name: &str, kind: Kind) {
    let wanted = is_wanted(&folder.env, name);
    if kind != Kind::Once
        && let Some(wish) = nemesis.wishes.get(name)
    {
        assert_eq!(wanted, *wish, "what somebody was told is done: {name}");
    }
    match kind {
        Kind::Lasts if wanted => until(&format!("{name} to run"), || is_up(folder, name)),
        Kind::Ends if wanted => {
            let before = folder.instances_of(name).len();
            until(&format!("{name} to run again and again"), || folder.instances_of(name).len() >= before + 2);
        }
        Kind::Lasts | Kind::Ends => {}
        Kind::Once => until(&format!("{name} to end"), || !is_wanted(&folder.env, name)),
    }
}

fn summary(folder: &Folder, nemesis: &Nemesis<'_>) {
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for run in history(folder).values() {
        *outcomes.entry(run["outcome"].as_str().unwrap_or("unfinished").to_owned()).or_default() += 1;
    }
    println!("done: {:?}", nemesis.done);
    println!("runs: {outcomes:?}");
}
