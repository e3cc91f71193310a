//! Transfers: what a job is brought and what is taken from it, whole or not at all.

mod killed;
mod remote;
mod server;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::suite::env::{PATIENCE, TestEnv};
use crate::suite::supervisor::Night;

/// Makes the file `out` of the file `data`.
const UPPER: &str = "cd $JOBEXEC_WORKDIR; tr a-z A-Z <data >out";

/// Adds a task to the registry.
fn define(env: &TestEnv, name: &str, shell: &str, fields: &str) {
    if !env.file("jobexec.toml").exists() {
        env.ok(&["init"]);
    }
    let wd = env.dir().display();
    let task = format!("\n[task.{name}]\nshell = '''{shell}'''\nwd = \"{wd}\"\nrestart = \"never\"\n{fields}\n");
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + &task).unwrap();
}

#[track_caller]
fn submit(env: &TestEnv, args: &[&str]) -> i64 {
    env.ok(&[&["submit"], args].concat()).out.trim().parse().unwrap()
}

#[track_caller]
fn job(env: &TestEnv, id: i64) -> Value {
    env.json(&["job", "show", &id.to_string()])
}

/// The item of a job for this slot.
#[track_caller]
fn item(env: &TestEnv, id: i64, name: &str) -> Value {
    let job = job(env, id);
    let items = job["transfers"].as_array().unwrap();
    items.iter().find(|item| item["name"] == name).cloned().unwrap_or_else(|| panic!("no `{name}` in {job}"))
}

#[track_caller]
fn until_job(env: &TestEnv, id: i64, what: &str, is: impl Fn(&Value) -> bool) {
    let start = std::time::Instant::now();
    loop {
        let last = job(env, id);
        if is(&last) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}: {last}");
    }
}

#[track_caller]
fn until_state(env: &TestEnv, id: i64, state: &str) {
    until_job(env, id, state, |job| job["state"] == state);
}

#[track_caller]
fn until_idle(env: &TestEnv) -> i32 {
    Night::with(env, &["--until-idle"]).ended().0.unwrap()
}

/// The directory of a job.
fn directory(env: &TestEnv, id: i64) -> PathBuf {
    env.folder().join(format!("jobs/{id}"))
}

/// What lies in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| vec![]);
    let mut names: Vec<_> = entries.into_iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Whether nothing half-finished lies in a directory.
fn is_tidy(directory: &Path) -> bool {
    !names(directory).iter().any(|name| name.starts_with(".jobexec-"))
}

fn cause(env: &TestEnv, id: i64) -> Vec<String> {
    let events = env.json(&["job", "events", &id.to_string()]);
    let causes = events.as_array().unwrap().iter().rev();
    causes.map(|event| event["cause"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_job_is_brought_what_it_needs_and_what_it_makes_is_taken_away() {
    let env = TestEnv::new();
    let slots = "
transfers.data = { direction = \"in\", local = \"data\", remote = \"in/{{n}}.txt\" }
transfers.tree = { direction = \"in\", local = \".\", remote = \"tree\", recursive = true }
transfers.linked = { direction = \"in\", local = \"deep/link\", remote = \"in/5.txt\", mode = \"link\" }
transfers.extra = { direction = \"in\", local = \"extra\", required = false }
transfers.out = { direction = \"out\", local = \"out\", remote = \"results/{{n}}/out.txt\" }
transfers.into = { direction = \"out\", local = \"out\", remote = \"results/\" }
transfers.all = { direction = \"out\", local = \"tree\", remote = \"results/tree\", recursive = true }";
    define(&env, "T", &format!("{UPPER}; cat tree/sub/x deep/link >>out"), slots);
    env.write("in/5.txt", "five\n", 0o644);
    env.write("tree/sub/x", "x\n", 0o755);
    let id = submit(&env, &["T", "-p", "n=5"]);
    assert_eq!(job(&env, id)["state"], "READY");
    assert_eq!(item(&env, id, "data")["state"], "waiting");
    assert_eq!(until_idle(&env), 0);
    let shown = job(&env, id);
    assert_eq!(shown["state"], "JOB_FINISHED", "{shown}");
    let read = |name: &str| fs::read_to_string(env.dir().join(name)).unwrap();
    assert_eq!(read("results/5/out.txt"), "FIVE\nx\nfive\n");
    assert_eq!(read("results/out"), "FIVE\nx\nfive\n");
    assert_eq!(read("results/tree/sub/x"), "x\n");
    assert_eq!(fs::read_link(directory(&env, id).join("deep/link")).unwrap(), env.dir().join("in/5.txt"));
    let states: Vec<_> = shown["transfers"].as_array().unwrap().iter().map(|item| item["state"].clone()).collect();
    assert_eq!(states, ["done"; 6]);
    assert_eq!(item(&env, id, "out")["bytes"], 12);
    let kinds: Vec<_> = shown["runs"].as_array().unwrap().iter().map(|run| run["kind"].clone()).collect();
    assert_eq!(kinds, ["transfer", "main", "transfer"]);
    assert_eq!(cause(&env, id), ["staged_in", "claimed", "ended", "staged_out"]);
    let said = fs::read_to_string(directory(&env, id).join("transfer-1.txt")).unwrap();
    assert_eq!(said, "data: done, 5 bytes\nlinked: done\ntree: done, 2 bytes\n");
    for place in [directory(&env, id), env.dir().join("results"), env.dir().join("results/5")] {
        assert!(is_tidy(&place), "{:?}", names(&place));
    }
    let text = env.ok(&["job", "show", &id.to_string()]).out;
    assert!(text.contains("in data") && text.contains("→ data, done"), "{text}");
}

#[test]
fn what_cannot_be_transferred_is_refused_at_once() {
    let env = TestEnv::new();
    let slots = "
transfers.data = { direction = \"in\", local = \"data\", help = \"the table\" }
transfers.result = { direction = \"out\", local = \"out\", required = false }";
    define(&env, "T", "true", slots);
    let refused = |args: &[&str]| env.fails(2, &[&["submit", "T"], args].concat()).err;
    let said = refused(&[]);
    assert!(said.contains("transfer `data` has no remote (the table)") && said.contains("--transfer data=REMOTE"));
    let said = refused(&["--transfer", "dta=x"]);
    assert!(said.contains("there is no transfer `dta`") && said.contains("did you mean `data`?"), "{said}");
    let said = refused(&["--transfer", "data=x", "--transfer", "result=http://h/x"]);
    assert!(said.contains("transfer `result`: a URL cannot be written to"), "{said}");
    assert!(refused(&["--transfer", "data=s3://b/x"]).contains("`s3://` is not known"));
    assert!(refused(&["--transfer", "data"]).contains("is not `NAME=value`"));
    assert_eq!(env.json(&["jobs"]), json!([]));
    // A relative path that is typed is found from here.
    let id = submit(&env, &["T", "--transfer", "data=here"]);
    assert_eq!(item(&env, id, "data")["remote"], env.dir().join("here").to_str().unwrap());
}

#[test]
fn only_what_is_required_fails_a_job_and_it_is_told() {
    let env = TestEnv::new();
    let slots = "
notify = { on = [\"failure\"], command = [\"sh\", \"-c\", \"echo $JOBEXEC_NOTIFY_REASON >told\"] }
transfers.data = { direction = \"in\", local = \"data\", remote = \"data\" }
transfers.extra = { direction = \"in\", local = \"extra\", remote = \"extra\", required = false }
transfers.out = { direction = \"out\", local = \"out\", remote = \"out\" }
transfers.log = { direction = \"out\", local = \"log\", remote = \"log\", required = false }";
    define(&env, "T", UPPER, slots);
    let child_of = |id: i64| submit(&env, &["--after", &id.to_string(), "--", "true"]);
    let missing = submit(&env, &["T"]);
    let blocked = child_of(missing);
    assert_eq!(until_idle(&env), 1);
    let shown = job(&env, missing);
    assert_eq!(json!([shown["state"], shown["reason"]]), json!(["FAILED", "transfer_failed"]));
    let message = shown["message"].as_str().unwrap();
    assert!(message.starts_with("transfer `data` failed: cannot find"), "{message}");
    assert_eq!(item(&env, missing, "data")["state"], "error");
    assert_eq!(item(&env, missing, "extra")["state"], "pending", "it is no use any more");
    let runs = shown["runs"].as_array().unwrap().iter().filter(|run| run["kind"] == "transfer");
    assert_eq!(runs.count(), 1);
    assert_eq!(job(&env, blocked)["state"], "BLOCKED");
    assert!(fs::read_to_string(env.file("told")).unwrap().contains("transfer `data` failed"));
    let said = env.ok(&["explain", &missing.to_string()]).out;
    assert!(said.contains("transfer `data` failed"), "{said}");

    env.write("data", "abc\n", 0o644);
    env.ok(&["job", "rerun", &missing.to_string()]);
    assert_eq!(until_idle(&env), 0);
    assert_eq!(job(&env, missing)["state"], "JOB_FINISHED");
    assert_eq!(fs::read_to_string(env.dir().join("out")).unwrap(), "ABC\n");
    for (name, state) in [("data", "done"), ("extra", "error"), ("out", "done"), ("log", "error")] {
        assert_eq!(item(&env, missing, name)["state"], state, "{name}");
    }
    assert_eq!(job(&env, blocked)["state"], "JOB_FINISHED");
}

#[test]
fn what_is_missing_in_the_end_fails_the_job_as_well() {
    let env = TestEnv::new();
    define(&env, "T", "true", "transfers.out = { direction = \"out\", local = \"out\", remote = \"out\" }");
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env), 1);
    let shown = job(&env, id);
    assert_eq!(json!([shown["state"], shown["reason"], shown["exit_code"]]), json!(["FAILED", "transfer_failed", 0]));
}

#[test]
fn a_second_run_is_taken_from_again_and_brought_nothing_unless_it_begins_anew() {
    let env = TestEnv::new();
    let slots = "
transfers.data = { direction = \"in\", local = \"data\", remote = \"data\" }
transfers.out = { direction = \"out\", local = \"out\", remote = \"out\" }";
    define(&env, "T", &format!("{UPPER}; echo $JOBEXEC_ATTEMPT >>out"), slots);
    env.write("data", "one\n", 0o644);
    let id = submit(&env, &["T"]);
    let result = || fs::read_to_string(env.dir().join("out")).unwrap();
    until_idle(&env);
    assert_eq!(result(), "ONE\n1\n");
    env.write("data", "two\n", 0o644);
    env.ok(&["job", "rerun", &id.to_string()]);
    assert_eq!(item(&env, id, "out")["state"], "waiting");
    until_idle(&env);
    assert_eq!(result(), "ONE\n2\n", "stored again, and not brought again");
    env.ok(&["job", "rerun", "--clean", &id.to_string()]);
    assert_eq!(job(&env, id)["state"], "READY");
    until_idle(&env);
    assert_eq!(result(), "TWO\n3\n");
    // What the task says now is what counts.
    let registry = env.read("jobexec.toml").replace("remote = \"out\"", "remote = \"elsewhere\"");
    fs::write(env.file("jobexec.toml"), registry).unwrap();
    env.ok(&["job", "rerun", &id.to_string()]);
    until_idle(&env);
    assert_eq!(fs::read_to_string(env.dir().join("elsewhere")).unwrap(), "TWO\n4\n");
    assert_eq!(result(), "TWO\n3\n");
}

#[test]
fn those_that_wait_for_a_job_begin_when_what_it_made_is_stored() {
    let env = TestEnv::new();
    let slots = "transfers.out = { direction = \"out\", local = \"out\", remote = \"shared/out\" }";
    define(&env, "first", "cd $JOBEXEC_WORKDIR; echo made >out", slots);
    let slots = "transfers.data = { direction = \"in\", local = \"data\", remote = \"shared/out\" }
transfers.out = { direction = \"out\", local = \"out\", remote = \"last\" }";
    define(&env, "second", UPPER, slots);
    let first = submit(&env, &["first"]);
    let second = submit(&env, &["second", "--after", &first.to_string()]);
    assert_eq!(job(&env, second)["state"], "AWAITING_PARENTS");
    assert_eq!(until_idle(&env), 0);
    assert_eq!(fs::read_to_string(env.dir().join("last")).unwrap(), "MADE\n");
    // Run again, it is waited for again, and what comes of that is brought again.
    let registry = env.read("jobexec.toml").replace("echo made", "echo other");
    fs::write(env.file("jobexec.toml"), registry).unwrap();
    env.ok(&["job", "rerun", &first.to_string()]);
    assert_eq!(until_idle(&env), 0);
    assert_eq!(fs::read_to_string(env.dir().join("last")).unwrap(), "OTHER\n");
}

#[test]
fn a_job_that_is_held_is_brought_nothing_yet() {
    let env = TestEnv::new();
    define(&env, "T", UPPER, "transfers.data = { direction = \"in\", local = \"data\", remote = \"data\" }");
    env.write("data", "x\n", 0o644);
    let id = submit(&env, &["T"]);
    env.ok(&["job", "hold", &id.to_string()]);
    assert_eq!(until_idle(&env), 0);
    assert_eq!(job(&env, id)["state"], "READY");
    env.ok(&["job", "release", &id.to_string()]);
    assert_eq!(until_idle(&env), 0);
    assert_eq!(job(&env, id)["state"], "JOB_FINISHED");
}

#[test]
fn the_files_of_one_job_go_with_it() {
    let env = TestEnv::new();
    define(&env, "T", UPPER, "transfers.data = { direction = \"in\", local = \"data\", remote = \"data\" }");
    env.write("data", "x\n", 0o644);
    let id = submit(&env, &["T"]);
    until_idle(&env);
    env.ok(&["job", "reset", &id.to_string()]);
    assert_eq!(item(&env, id, "data")["state"], "waiting");
    env.ok(&["job", "release", &id.to_string()]);
    assert_eq!(until_idle(&env), 0);
    assert_eq!(job(&env, id)["state"], "JOB_FINISHED");
    env.ok(&["job", "delete", &id.to_string()]);
    assert_eq!(env.json(&["jobs"]), json!([]));
}
