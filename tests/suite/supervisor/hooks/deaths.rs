//! No supervisor, a supervisor that is killed, a hook's worker that is: the next one goes on where it was.

use serde_json::json;

use super::super::{KILL, Night, TERMINATE, orphaned, pid_of, touch};
use super::{GATE, NOTE, define, hook, job, lines, until_idle, until_job, until_lines};
use crate::suite::env::{TestEnv, alive, kill};

#[test]
fn a_supervisor_that_comes_later_goes_on() {
    let env = TestEnv::new();
    let hooks = hook("preprocess", NOTE) + &hook("handle_error", NOTE);
    define(&env, &format!("{NOTE}; exit 1"), &format!("restart = \"never\"\n{hooks}"));
    env.ok(&["start", "T"]);
    assert_eq!((job(&env, 1)["state"].clone(), lines(&env).len()), (json!("STAGED_IN"), 0));
    assert_eq!(until_idle(&env), 1);
    assert_eq!(
        (job(&env, 1)["state"].clone(), lines(&env)),
        (json!("FAILED"), ["preprocess", "main", "handle_error"].map(str::to_owned).to_vec())
    );
}

#[test]
fn killed_while_a_hook_runs_the_next_supervisor_goes_on() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    let hooks = hook("preprocess", &format!("{NOTE}; {GATE}")) + &hook("postprocess", NOTE);
    define(&env, NOTE, &format!("restart = \"never\"\n{hooks}"));
    let night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_lines(&env, &["preprocess"]);
    let pid = night.pid();
    night.end(KILL);
    assert!(!alive(pid));
    assert_eq!(env.state("T"), "running", "its hook goes on");
    let next = Night::begin(&env);
    touch(&env, "go");
    until_job(&env, 1, "JOB_FINISHED");
    assert_eq!(lines(&env), ["preprocess", "main", "postprocess"]);
    drop(next);
}

#[test]
fn a_hook_that_ends_while_nobody_supervises_is_known_and_gone_on_with() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    define(&env, NOTE, &format!("restart = \"never\"\n{}", hook("preprocess", &format!("{NOTE}; {GATE}"))));
    let night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_lines(&env, &["preprocess"]);
    night.end(KILL);
    touch(&env, "go");
    until_job(&env, 1, "PREPROCESSED");
    assert_eq!(env.state("T"), "unsupervised");
    assert_eq!(until_idle(&env), 0);
    assert_eq!(lines(&env), ["preprocess", "main"]);
}

#[test]
fn a_hook_has_its_own_limit() {
    let env = TestEnv::new();
    let fields = format!("restart = \"never\"\nhooks.timeout = \"50ms\"\n{}", hook("preprocess", "exec sleep 600"));
    define(&env, NOTE, &fields);
    env.ok(&["start", "T"]);
    assert_eq!(until_idle(&env), 1);
    let done = job(&env, 1);
    assert_eq!((&done["state"], &done["runs"][0]["outcome"]), (&json!("FAILED"), &json!("timed_out")), "{done}");
}

#[test]
fn the_end_of_the_session_is_no_fault_of_what_is_kept_alive() {
    let env = TestEnv::new();
    define(&env, &format!("{NOTE}; exec sleep 600"), &hook("preprocess", &format!("{NOTE}; {GATE}")));
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_lines(&env, &["preprocess"]);
    pid_of(&env, "T");
    kill(env.worker_of("T"), TERMINATE);
    until_job(&env, 1, "FAILED");
    until_job(&env, 2, "STAGED_IN");
    touch(&env, "go");
    until_lines(&env, &["preprocess", "preprocess", "main"]);
    env.ok(&["stop", "T"]);
}

#[test]
fn a_hook_whose_worker_was_killed_says_who_stopped_it() {
    let env = TestEnv::new();
    let waits = format!("trap 'exit 0' TERM; {NOTE}; while :; do sleep 0.02; done");
    define(&env, NOTE, &format!("restart = \"never\"\n{}", hook("preprocess", &waits)));
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_lines(&env, &["preprocess"]);
    orphaned(&env, "T");
    let said = env.ok(&["stop", "T"]).err;
    let done = job(&env, 1);
    assert_eq!(done["state"], "CANCELLED", "{done}");
    let by = &env.history("T")[0]["asked_by"];
    let by = by.as_str().unwrap();
    assert_eq!(done["message"], format!("stopped by {by}"), "{done}");
    let reason = done["runs"][0]["reason"].as_str().unwrap();
    let expected = [format!("exit code 0; {by} had asked for its end"), format!("stopped by {by}; lost: ")];
    assert!(expected.iter().any(|says| reason.starts_with(says)), "{done}");
    assert!(said.contains(&format!("Stopping T: {reason}")), "{said} {done}");
}

#[test]
fn a_hook_whose_worker_is_killed_is_watched_to_its_end() {
    let env = TestEnv::new();
    define(&env, NOTE, &format!("restart = \"never\"\n{}", hook("preprocess", &format!("{NOTE}; {GATE}"))));
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_lines(&env, &["preprocess"]);
    orphaned(&env, "T");
    env.wait_for_state("T", "orphaned");
    touch(&env, "go");
    until_job(&env, 1, "JOB_FINISHED");
    assert_eq!(lines(&env), ["preprocess", "main"]);
}
