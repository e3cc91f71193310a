//! Which start goes on with the same job, and which makes a new one.

use serde_json::json;

use crate::suite::env::{TestEnv, until};

/// Job and attempt of the newest run.
fn newest(env: &TestEnv, name: &str) -> (i64, i64) {
    let run = env.history(name)[0].clone();
    (run["job"].as_i64().unwrap(), run["attempt"].as_i64().unwrap())
}

fn crash(env: &TestEnv, name: &str) {
    let pid = env.status(name)["pid"].as_i64().unwrap();
    crate::suite::env::kill(i32::try_from(pid).unwrap(), 9);
    until("its end", || env.status(name)["running"] == false);
}

#[test]
fn a_start_after_a_crash_goes_on_with_the_job() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--now", "--", "sleep", "60"]);
    assert_eq!(newest(&env, "A"), (1, 1));
    crash(&env, "A");
    assert_eq!(
        json!([env.status("A")["state"], env.status("A")["job_state"]]),
        json!(["unsupervised", "RESTART_READY"])
    );
    env.ok(&["start", "A"]);
    assert_eq!(newest(&env, "A"), (1, 2));
    assert_eq!(env.status("A")["restarts"], 1);
    env.ok(&["restart", "A"]);
    assert_eq!(newest(&env, "A"), (2, 1), "restart makes a new job");
    env.ok(&["stop", "A"]);
    assert_eq!(env.status("A")["job_state"], "CANCELLED");
    env.ok(&["start", "A"]);
    assert_eq!(newest(&env, "A"), (3, 1), "so does start after stop");
    crash(&env, "A");
    let said = env.ok(&["stop", "A"]);
    assert!(said.err.contains("will not be started again"), "a pending restart is cancelled: {said:?}");
    assert_eq!(env.status("A")["job_state"], "CANCELLED");
    env.ok(&["start", "A"]);
    assert_eq!(newest(&env, "A"), (4, 1));
    env.ok(&["stop", "A"]);
}

#[test]
fn a_restart_of_what_does_not_run_starts_it() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "sleep", "60"]);
    env.ok(&["restart", "A"]);
    assert_eq!((newest(&env, "A"), env.state("A")), ((1, 1), "running".to_owned()));
    crash(&env, "A");
    env.ok(&["restart", "A"]);
    assert_eq!(newest(&env, "A"), (2, 1));
    env.ok(&["stop", "A"]);
}

#[test]
fn retries_wait_to_be_run_again_and_then_it_has_failed() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--retries", "1", "--restart", "never", "--now", "--", "sh", "-c", "exit 1"]);
    until("its end", || env.status("A")["running"] == false);
    let status = env.status("A");
    assert_eq!(
        json!([status["job_state"], status["state"], status["wanted"]]),
        json!(["RESTART_READY", "unsupervised", true])
    );
    assert_eq!(env.run(&["status", "A"]).code, 3);
    env.ok(&["start", "A"]);
    assert_eq!(newest(&env, "A"), (1, 2), "the same job");
    env.ok(&["add", "B", "--restart", "never", "--now", "--", "sh", "-c", "exit 1"]);
    until("its end", || env.status("B")["running"] == false);
    let status = env.status("B");
    assert_eq!(json!([status["job_state"], status["state"], status["wanted"]]), json!(["FAILED", "failed", false]));
    env.ok(&["start", "B"]);
    assert_eq!(newest(&env, "B").1, 1, "what has failed for good is run as a new job");
}

#[test]
fn success_ends_the_job_of_retries_and_of_on_failure() {
    let env = TestEnv::new();
    for (name, flag) in [("A", "--retries=2"), ("B", "--restart=on-failure"), ("C", "--once")] {
        env.ok(&["add", name, flag, "--now", "--", "true"]);
        until("its end", || env.status(name)["running"] == false);
        let status = env.status(name);
        assert_eq!(
            json!([status["job_state"], status["state"], status["wanted"]]),
            json!(["JOB_FINISHED", "finished", false]),
            "{name}"
        );
    }
    env.ok(&["add", "D", "--now", "--", "true"]);
    until("its end", || env.status("D")["running"] == false);
    let status = env.status("D");
    assert_eq!(
        json!([status["job_state"], status["state"]]),
        json!(["RESTART_READY", "unsupervised"]),
        "always is always"
    );
}
