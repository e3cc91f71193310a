//! A run whose worker was killed: still running, never started twice, ended by stop, its exit unknown.

use serde_json::json;

use super::super::env::{TestEnv, alive, is_unseen_or, kill, until};
use super::{SLEEPER, ended, only_run, pid_in, started};

/// Kills the worker of a task.
#[track_caller]
fn orphan(env: &TestEnv, name: &str) -> i32 {
    let pid = i32::try_from(env.status(name)["pid"].as_i64().unwrap()).unwrap();
    let worker = env.worker_of(name);
    kill(worker, 9);
    until("the worker to die", || !alive(worker));
    pid
}

#[test]
fn an_orphan_is_shown_not_started_twice_and_stopped() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\nsetsid sh -c 'trap \"\" TERM; echo $$ >own.pid; while :; do sleep 0.05; done' &\necho ready\nwait\n";
    started(&env, "A", script, &["--stop-grace", "300ms"]);
    let own = pid_in(&env, "own.pid");
    let pid = orphan(&env, "A");
    assert_eq!(env.state("A"), "orphaned");
    let said = env.fails(5, &["start", "A"]);
    assert!(said.err.contains("orphaned") && said.err.contains(&pid.to_string()), "{said:?}");
    assert!(said.err.contains("jobexec stop A"), "{said:?}");
    assert_eq!(env.history("A").len(), 1);
    env.ok(&["stop", "A"]);
    assert!(!alive(pid) && !alive(own));
    assert_eq!(env.processes(), [0_i32; 0]);
    let run = only_run(&env, "A");
    assert!(is_unseen_or(&run, &json!("SIGTERM")), "{run}");
    assert_eq!(env.state("A"), "stopped");
    env.ok(&["start", "A"]);
    env.ok(&["stop", "A"]);
}

#[test]
fn who_stopped_an_orphan_that_ends_as_it_likes_is_said() {
    let env = TestEnv::new();
    started(&env, "A", "#!/bin/sh\ntrap 'exit 7' TERM\necho ready\nwhile :; do sleep 0.02; done\n", &[]);
    orphan(&env, "A");
    let said = env.ok(&["stop", "A"]).err;
    let run = only_run(&env, "A");
    assert!(is_unseen_or(&run, &json!(7)), "{run}");
    let (reason, by) = (run["reason"].as_str().unwrap(), run["asked_by"].as_str().unwrap());
    let expected = [format!("exit code 7; {by} had asked for its end"), format!("stopped by {by}; lost: ")];
    assert!(expected.iter().any(|says| reason.starts_with(says)), "{run}");
    assert!(said.contains(&format!("Stopping A: {reason}")), "{said} {run}");
}

#[test]
fn an_orphan_that_ends_by_itself_is_lost() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\necho ready\nuntil [ -e go ]; do sleep 0.02; done\nexit 0\n";
    started(&env, "A", script, &["--once"]);
    orphan(&env, "A");
    assert_eq!(env.state("A"), "orphaned");
    env.write("go", "", 0o644);
    let run = ended(&env, "A");
    assert!(is_unseen_or(&run, &json!(0)), "an exit is never invented: {run}");
}

#[test]
fn an_orphan_that_has_cleared_its_environment_is_still_known() {
    let env = TestEnv::new();
    started(&env, "A", "#!/bin/sh\necho ready\nexec env -i /bin/sleep 600\n", &["--stop-grace", "300ms"]);
    let pid = orphan(&env, "A");
    until("the environment to be clear", || std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|e| e.is_empty()));
    let state = env.state("A");
    if state != "orphaned" {
        kill(pid, 9);
    }
    assert_eq!(state, "orphaned", "its pid is on record");
    let said = env.fails(5, &["start", "A"]);
    assert!(said.err.contains(&pid.to_string()), "{said:?}");
    env.ok(&["stop", "A"]);
    assert!(!alive(pid));
    let run = only_run(&env, "A");
    assert!(is_unseen_or(&run, &json!("SIGTERM")), "{run}");
}

#[test]
fn a_task_whose_worker_was_killed_with_it_can_be_started_again() {
    let env = TestEnv::new();
    started(&env, "A", SLEEPER, &[]);
    let worker = env.worker_of("A");
    let pid = i32::try_from(env.status("A")["pid"].as_i64().unwrap()).unwrap();
    kill(worker, 9);
    kill(pid, 9);
    until("both to die", || !alive(worker) && !alive(pid));
    let run = ended(&env, "A");
    assert!(is_unseen_or(&run, &json!("SIGKILL")), "{run}");
    env.ok(&["start", "A"]);
    assert_eq!(env.state("A"), "running");
    env.ok(&["stop", "A"]);
    assert_eq!(env.history("A").len(), 2);
}

#[test]
fn restart_ends_an_orphan_first() {
    let env = TestEnv::new();
    started(&env, "A", SLEEPER, &[]);
    let pid = orphan(&env, "A");
    env.ok(&["restart", "A"]);
    assert!(!alive(pid));
    assert_eq!(env.state("A"), "running");
    let runs = env.history("A");
    assert!(runs.len() == 2 && is_unseen_or(&runs[1], &json!("SIGTERM")), "{runs:?}");
    env.ok(&["stop", "A"]);
    assert_eq!(env.processes(), [0_i32; 0]);
}

#[test]
fn an_orphan_started_by_another_task_does_not_end_with_that_task() {
    let env = TestEnv::new();
    env.script("inner.sh", SLEEPER);
    env.ok(&["add", "inner", "inner.sh"]);
    let binary = env!("CARGO_BIN_EXE_jobexec");
    started(&env, "outer", &format!("#!/bin/sh\n{binary} start inner\necho ready\nsleep 600\n"), &[]);
    until("inner to run", || env.state("inner") == "running");
    let pid = orphan(&env, "inner");
    env.ok(&["stop", "outer"]);
    assert_eq!(env.state("outer"), "stopped");
    assert!(alive(pid), "stopping one task ends no other");
    assert_eq!(env.state("inner"), "orphaned");
    env.ok(&["stop", "inner"]);
    assert!(!alive(pid));
}
