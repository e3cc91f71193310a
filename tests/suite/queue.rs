//! The queue: what is submitted runs in its turn, waits for its parents, is tried again, and can be told what to do.

mod answers;
mod applying;
mod cleanup;
mod dependencies;
mod foreseeing;
mod hands;
mod hooks;
mod killed;
mod locks;
mod looking;
mod order;
mod params;
mod picture;
mod retries;
mod staging;
mod turns;
mod verbs;
mod waiting;

use std::fs;

use serde_json::Value;

use super::env::{TestEnv, until};
use super::supervisor::Night;

/// Ends once there is a file of its job's number.
const GATED: &str = "until [ -e go-$JOBEXEC_JOB_ID ]; do sleep 0.01; done";

/// Submits; the ids.
#[track_caller]
fn submitted(env: &TestEnv, args: &[&str]) -> Vec<i64> {
    let said = env.ok(&[&["submit"], args].concat());
    said.out.lines().map(|line| line.parse().unwrap()).collect()
}

/// Submits one job; its id.
#[track_caller]
fn submit(env: &TestEnv, args: &[&str]) -> i64 {
    let ids = submitted(env, args);
    assert_eq!(ids.len(), 1);
    ids[0]
}

/// Submits a line for the shell, with flags.
#[track_caller]
fn shell(env: &TestEnv, flags: &[&str], line: &str) -> i64 {
    submit(env, &[flags, &["--", "/bin/sh", "-c", line]].concat())
}

/// What `job show` says of a job.
#[track_caller]
fn job(env: &TestEnv, id: i64) -> Value {
    env.json(&["job", "show", &id.to_string()])
}

#[track_caller]
fn state(env: &TestEnv, id: i64) -> String {
    job(env, id)["state"].as_str().unwrap().to_owned()
}

#[track_caller]
fn until_state(env: &TestEnv, id: i64, expected: &str) {
    let mut last = Value::Null;
    let start = std::time::Instant::now();
    while last["state"] != expected {
        assert!(start.elapsed() < super::env::PATIENCE, "waited in vain for {expected}: {last}");
        last = job(env, id);
    }
}

/// The jobs that are selected, in the order of their ids.
#[track_caller]
fn jobs(env: &TestEnv, selection: &str) -> Vec<Value> {
    env.json(&["jobs", selection, "--order-by", "id"]).as_array().unwrap().clone()
}

/// The ids of the jobs that are selected.
#[track_caller]
fn ids(env: &TestEnv, selection: &str) -> Vec<i64> {
    jobs(env, selection).iter().map(|job| job["id"].as_i64().unwrap()).collect()
}

/// What happened to a job, oldest first.
#[track_caller]
fn events(env: &TestEnv, id: i64) -> Vec<Value> {
    let mut events = env.json(&["job", "events", &id.to_string()]).as_array().unwrap().clone();
    events.reverse();
    events
}

/// Does something with a job, which must succeed.
#[track_caller]
fn does(env: &TestEnv, verb: &str, id: i64) {
    env.ok(&["job", verb, &id.to_string()]);
}

/// Lets a job end that waits for it; see [`GATED`].
fn open(env: &TestEnv, id: i64) {
    fs::write(env.dir().join(format!("go-{id}")), "").unwrap();
}

/// The lines of a file that scripts write to.
fn lines(env: &TestEnv, name: &str) -> Vec<String> {
    let text = fs::read_to_string(env.dir().join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until a file has so many lines.
#[track_caller]
fn until_lines(env: &TestEnv, name: &str, count: usize) -> Vec<String> {
    until(&format!("{count} lines in {name}"), || lines(env, name).len() >= count);
    lines(env, name)
}

/// A supervisor with so many slots.
#[track_caller]
fn slots(env: &TestEnv, count: u32) -> Night {
    Night::with(env, &["--slots", &count.to_string()])
}

/// Runs what there is to run in so many slots; the exit code.
#[track_caller]
fn until_idle(env: &TestEnv, count: u32) -> i32 {
    Night::with(env, &["--until-idle", "--slots", &count.to_string()]).ended().0.unwrap()
}
