//! Stopped, restarted, replaced or removed while something else than its own run is done for a job: that is ended, and
//! nothing follows.

use std::net::TcpListener;

use serde_json::json;

use super::super::{Night, pid_of, touch};
use super::{GATE, NOTE, define, hook, job, lines, until_idle, until_job, until_lines};
use crate::suite::env::{TestEnv, until};

/// Stops it while this hook runs, which waits: it is ended, and nothing follows.
#[track_caller]
fn stopped_in(kind: &str, main: &str, state: &str) {
    let env = TestEnv::new();
    let others = ["preprocess", "postprocess", "handle_error"].into_iter().filter(|other| *other != kind);
    let others: String = others.filter(|other| *other == "preprocess").map(|other| hook(other, NOTE)).collect();
    define(&env, main, &format!("{}{others}", hook(kind, &format!("{NOTE}; {GATE}; echo late >>lines"))));
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_job(&env, 1, state);
    until("the hook to run", || lines(&env).last().is_some_and(|last| last == kind));
    pid_of(&env, "T");
    let explained = env.ok(&["explain", "T"]).out;
    assert!(explained.contains(&format!("its hook {kind} run")), "{explained}");
    let again = env.ok(&["start", "T"]).err;
    assert!(again.starts_with(&format!("Already running: T (its hook {kind}, pid ")), "{again}");
    let before = lines(&env).len();
    let said = env.ok(&["stop", "T"]).err;
    assert!(said.contains("Stopping T: stopped by"), "{said}");
    let done = job(&env, 1);
    assert_eq!((&done["state"], &done["reason"]), (&json!("CANCELLED"), &json!("stopped")), "{done}");
    assert_eq!((env.state("T"), lines(&env).len()), ("stopped".to_owned(), before));
    env.ok(&["start", "T"]);
    until("another job", || job_count(&env) == 2);
    env.ok(&["stop", "T"]);
}

fn job_count(env: &TestEnv) -> usize {
    env.json(&["jobs"]).as_array().unwrap().len()
}

#[test]
fn stopped_while_it_is_prepared() {
    stopped_in("preprocess", NOTE, "STAGED_IN");
}

#[test]
fn stopped_while_it_is_worked_up() {
    stopped_in("postprocess", NOTE, "RUN_DONE");
}

#[test]
fn stopped_while_its_failure_is_handled() {
    stopped_in("handle_error", &format!("{NOTE}; exit 5"), "RUN_ERROR");
}

#[test]
fn stopped_where_nobody_goes_on_with_it() {
    let env = TestEnv::new();
    define(&env, NOTE, &(hook("preprocess", NOTE) + "restart = \"never\"\n"));
    let said = env.ok(&["start", "T"]).err;
    assert!(said.starts_with("Starting T (job 1): first its hook preprocess\nnote: no supervisor"), "{said}");
    assert_eq!(env.state("T"), "unsupervised");
    let explained = env.ok(&["explain", "T"]);
    assert_eq!(explained.out, "T goes on: job 1 waits for its hook preprocess, and no supervisor is running\n");
    let again = env.ok(&["start", "T"]).err;
    assert!(again.starts_with("Already started: T (job 1); next: its hook preprocess\n"), "{again}");
    env.ok(&["stop", "T"]);
    assert_eq!((job(&env, 1)["state"].clone(), env.state("T")), (json!("CANCELLED"), "stopped".to_owned()));
    assert_eq!(until_idle(&env), 0);
    assert_eq!(lines(&env), [""; 0]);
}

#[test]
fn stopped_while_a_failure_waits_for_its_hook_it_keeps_its_exit_code() {
    let env = TestEnv::new();
    define(&env, "exit 9", &hook("handle_error", NOTE));
    env.ok(&["start", "T"]);
    until_job(&env, 1, "RUN_ERROR");
    env.ok(&["stop", "T"]);
    let done = job(&env, 1);
    assert_eq!((&done["state"], &done["exit_code"]), (&json!("CANCELLED"), &json!(9)));
}

#[test]
fn restarted_while_it_is_prepared_it_begins_anew() {
    let env = TestEnv::new();
    define(&env, &format!("{NOTE}; exec sleep 600"), &hook("preprocess", &format!("{NOTE}; {GATE}")));
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_lines(&env, &["preprocess"]);
    let said = env.ok(&["restart", "T"]).err;
    assert!(said.contains("Starting T (job 2): first its hook preprocess"), "{said}");
    assert_eq!(job(&env, 1)["state"], "CANCELLED");
    touch(&env, "go");
    until_lines(&env, &["preprocess", "preprocess", "main"]);
    env.ok(&["stop", "T"]);
}

/// Restarts it while what its script has left behind is being ended; what is said.
#[track_caller]
fn restarted_in_the_sweep(env: &TestEnv) -> String {
    let deaf = "(trap \"echo asked\" TERM; echo ready; while :; do sleep 0.02; done) &";
    let first = format!("{NOTE}; [ $JOBEXEC_JOB_ID = 1 ] || exec sleep 600; {deaf} sleep 0.2");
    define(env, &first, &format!("stop.grace = \"600 ms\"\n{}", hook("postprocess", &format!("{NOTE}; {GATE}"))));
    env.ok(&["start", "T"]);
    until("the sweep", || env.read("T.txt").contains("asked"));
    env.ok(&["restart", "T"]).err
}

#[test]
fn restarted_while_its_run_is_swept_it_begins_anew() {
    let env = TestEnv::new();
    let said = restarted_in_the_sweep(&env);
    assert!(said.contains("Starting T (pid "), "{said}");
    let done = job(&env, 1);
    assert_eq!((&done["state"], &done["exit_code"]), (&json!("CANCELLED"), &json!(0)), "{done}");
    until_lines(&env, &["main", "main"]);
    env.ok(&["stop", "T"]);
}

#[test]
fn restarted_while_its_run_is_swept_its_hook_is_ended_too() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let said = restarted_in_the_sweep(&env);
    assert!(said.contains("Starting T (pid "), "{said}");
    assert_eq!(job(&env, 1)["state"], "CANCELLED");
    until("the next run", || lines(&env).iter().filter(|line| *line == "main").count() == 2);
    env.ok(&["stop", "T"]);
    drop(night);
}

#[test]
fn what_is_removed_while_it_waits_for_its_hook_is_cancelled() {
    let env = TestEnv::new();
    define(&env, NOTE, &hook("preprocess", NOTE));
    env.ok(&["start", "T"]);
    env.ok(&["remove", "T"]);
    assert_eq!(job(&env, 1)["state"], "CANCELLED");
    assert_eq!(until_idle(&env), 0);
}

/// The task needs what this listener does not give.
fn with_input_from(env: &TestEnv, listener: &TcpListener) {
    let port = listener.local_addr().unwrap().port();
    let from = format!("remote = \"http://127.0.0.1:{port}/data\"");
    define(env, NOTE, &format!("transfers.data = {{ direction = \"in\", local = \"data\", {from} }}\n"));
}

#[test]
fn stopped_while_its_inputs_are_brought() {
    let env = TestEnv::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    with_input_from(&env, &listener);
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    let _asks = listener.accept().unwrap();
    pid_of(&env, "T");
    let explained = env.ok(&["explain", "T"]).out;
    assert!(explained.starts_with("T has its inputs brought for "), "{explained}");
    let again = env.ok(&["start", "T"]).err;
    assert!(again.starts_with("Already running: T (its inputs, pid "), "{again}");
    env.ok(&["stop", "T"]);
    let done = job(&env, 1);
    assert_eq!((&done["state"], &done["reason"]), (&json!("CANCELLED"), &json!("stopped")), "{done}");
    assert!(!env.file("jobs/1/data").exists());
    assert_eq!((env.state("T"), lines(&env).len()), ("stopped".to_owned(), 0));
}

#[test]
fn stopped_while_its_inputs_are_waited_for() {
    let env = TestEnv::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    with_input_from(&env, &listener);
    drop(listener);
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    env.wait_for_state("T", "waiting");
    // It is tried again and again, and waits in between.
    until("it to be explained", || env.ok(&["explain", "T"]).out.contains("its inputs to be brought, 0 of 1 so far"));
    env.ok(&["stop", "T"]);
    assert_eq!((job(&env, 1)["state"].clone(), env.state("T")), (json!("CANCELLED"), "stopped".to_owned()));
}

#[test]
fn the_next_occurrence_takes_the_place_of_one_that_is_being_prepared() {
    let env = TestEnv::new();
    let wait = format!("{NOTE}; [ $JOBEXEC_JOB_ID != 1 ] || {{ {GATE}; }}");
    define(&env, NOTE, &format!("period = \"1 s\"\noverlap = \"replace\"\n{}", hook("preprocess", &wait)));
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    let first = until_job(&env, 1, "CANCELLED");
    assert_eq!(first["message"], "stopped by its next run");
    until_job(&env, 2, "JOB_FINISHED");
    env.ok(&["stop", "T"]);
    assert_eq!(lines(&env)[..3], ["preprocess", "preprocess", "main"]);
}
