//! Ends that nobody typed: a time limit, the end of the session, and what must survive the end of something else.

use super::super::env::{TestEnv, kill, until};
use super::{SLEEPER, begin, ended, finish, is_ready, only_run, started, text};

#[test]
fn a_time_limit_ends_the_tree() {
    let env = TestEnv::new();
    let script =
        "#!/bin/sh\ntrap '' TERM\nsetsid sh -c 'trap \"\" TERM; sleep 600; sleep 600' &\necho ready\nwait\nsleep 600\n";
    started(&env, "A", script, &["--once", "--timeout", "300ms", "--stop-grace", "200ms"]);
    let run = ended(&env, "A");
    assert_eq!(env.processes(), [0_i32; 0]);
    assert_eq!((text(&run, "outcome"), text(&run, "signal")), ("timed_out", "SIGKILL"));
    assert!(text(&run, "reason").starts_with("timed out (SIGKILL)"), "{run}");
}

#[test]
fn the_end_of_the_session_ends_a_run_and_leaves_the_wish() {
    let env = TestEnv::new();
    started(&env, "A", SLEEPER, &[]);
    kill(env.worker_of("A"), 15);
    let run = ended(&env, "A");
    assert_eq!(env.processes(), [0_i32; 0]);
    assert_eq!((text(&run, "outcome"), text(&run, "signal")), ("session_ended", "SIGTERM"));
    assert!(text(&run, "reason").starts_with("ended with the session"), "{run}");
    assert_eq!((env.status("A")["wanted"].as_bool(), env.state("A").as_str()), (Some(true), "unsupervised"));
}

#[test]
fn a_signal_meant_for_a_former_owner_of_the_pid_is_ignored() {
    let env = TestEnv::new();
    started(&env, "A", SLEEPER, &[]);
    let worker = env.worker_of("A");
    // `sigqueue` with a number that no run of ours has; then INT, and HUP, which mean nothing to a worker.
    let send = format!(
        "import ctypes, signal\nc = ctypes.CDLL(None)\n\
         for s in (signal.SIGTERM, signal.SIGINT): c.sigqueue({worker}, s, ctypes.c_void_p(12345))\n\
         import os\nos.kill({worker}, signal.SIGINT)\nos.kill({worker}, signal.SIGHUP)\n"
    );
    let mut python = std::process::Command::new("python3");
    env.clean(&mut python);
    assert!(python.args(["-c", &send]).status().unwrap().success());
    assert_eq!(env.state("A"), "running");
    let run = super::stopped(&env, "A");
    assert_eq!((text(&run, "outcome"), text(&run, "signal")), ("stopped", "SIGTERM"));
}

/// Starts `inner` from inside `outer`.
fn nested(env: &TestEnv, end: &str) -> i64 {
    env.script("inner.sh", SLEEPER);
    env.ok(&["add", "inner", "inner.sh", "--stop-grace", "1h"]);
    let script = format!("#!/bin/sh\n{} start inner || exit 1\necho ready\n{end}\n", env!("CARGO_BIN_EXE_jobexec"));
    started(env, "outer", &script, &["--once", "--stop-grace", "1h"]);
    is_ready(env, "inner");
    env.status("inner")["pid"].as_i64().unwrap()
}

#[test]
fn what_a_script_has_started_survives_the_stop_of_the_script() {
    let env = TestEnv::new();
    let pid = nested(&env, "sleep 600");
    // Its grace is an hour: were the inner task part of the tree, this would not return.
    let said = finish(begin(&env, &["stop", "outer"]));
    assert_eq!(said.code, 0, "{said:?}");
    let run = only_run(&env, "outer");
    assert!(!text(&run, "reason").contains("left behind"), "{run}");
    assert_eq!((env.state("inner").as_str(), env.status("inner")["pid"].as_i64()), ("running", Some(pid)));
    super::stopped(&env, "inner");
}

#[test]
fn what_a_script_has_started_survives_the_end_of_the_script() {
    let env = TestEnv::new();
    let pid = nested(&env, "exit 0");
    let run = ended(&env, "outer");
    assert_eq!((text(&run, "outcome"), text(&run, "reason")), ("success", "exit code 0"));
    assert_eq!((env.state("inner").as_str(), env.status("inner")["pid"].as_i64()), ("running", Some(pid)));
    super::stopped(&env, "inner");
}

#[test]
fn two_executors_with_the_same_script_and_the_same_id_leave_each_other_alone() {
    let (one, two) = (TestEnv::new(), TestEnv::new());
    let script = one.script("shared.sh", SLEEPER);
    for env in [&one, &two] {
        env.ok(&["init", "--exec-id", "same"]);
        env.ok(&["add", "A", script.to_str().unwrap()]);
        env.ok(&["start", "A"]);
        is_ready(env, "A");
    }
    let pid = two.status("A")["pid"].clone();
    super::stopped(&one, "A");
    assert_eq!((two.state("A").as_str(), &two.status("A")["pid"]), ("running", &pid));
    kill(two.worker_of("A"), 9);
    two.wait_for_state("A", "orphaned");
    one.ok(&["start", "A"]);
    two.ok(&["stop", "A"]);
    assert_eq!(two.processes(), [0_i32; 0]);
    assert_eq!(one.state("A"), "running");
    until("output", || one.read("A.txt") == "ready\n");
    one.ok(&["stop", "A"]);
    assert_eq!(one.processes(), [0_i32; 0]);
}
