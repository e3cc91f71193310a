//! Runs whose worker was killed: watched until they end, with their exit code wherever it can be known.

use super::super::env::is_unseen_or;
use super::*;

/// Whether the kernel tells how a process ended that somebody else waited for.
fn kernel_tells() -> bool {
    let release = nix::sys::utsname::uname().unwrap().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

/// The first run fails, the second waits and ends with 7, the third stays.
const SECOND_ENDS: &str = "#!/bin/sh\necho x >>runs\ncase $(wc -l <runs) in\n1) exit 1;;\n2) until [ -e go ]; do sleep 0.02; done; exit 7;;\nesac\nexec sleep 600\n";

#[test]
fn the_end_of_an_orphan_that_it_started_is_known() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", SECOND_ENDS, &FAST);
    until("the second run", || env.history("A").len() == 2);
    let pid = orphaned(&env, "A");
    env.wait_for_state("A", "orphaned");
    night.says("A is orphaned");
    assert!(alive(pid));
    touch(&env, "go");
    until("a third run", || env.history("A").len() == 3);
    let run = &env.history("A")[1];
    assert_eq!((&run["outcome"], &run["exit_code"]), (&json!("exit_code"), &json!(7)), "{run}");
    env.wait_for_state("A", "running");
    drop(night);
}

#[test]
fn a_signal_that_ends_an_orphan_is_known_too() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", SECOND_ENDS, &FAST);
    until("the second run", || env.history("A").len() == 2);
    let pid = orphaned(&env, "A");
    env.wait_for_state("A", "orphaned");
    kill(pid, KILL);
    until("a third run", || env.history("A").len() == 3);
    assert_eq!(env.history("A")[1]["signal"], "SIGKILL");
    drop(night);
}

#[test]
fn the_end_of_an_adopted_orphan_is_known_where_the_kernel_tells() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\nuntil [ -e go ]; do sleep 0.02; done\nexit 7\n";
    for name in ["before", "after"] {
        started(&env, name, script, &["--once"]);
        pid_of(&env, name);
    }
    // One is an orphan already when the supervisor comes.
    orphaned(&env, "before");
    let night = Night::begin(&env);
    night.says("before is orphaned");
    orphaned(&env, "after");
    night.says("after is orphaned");
    assert_eq!([env.state("before"), env.state("after")], ["orphaned"; 2]);
    touch(&env, "go");
    for name in ["before", "after"] {
        let run = &runs_ended(&env, name, 1)[0];
        assert!(is_unseen_or(run, &json!(7)), "never invented: {run}");
        assert!(!kernel_tells() || run["exit_code"] == 7, "{run}");
    }
    drop(night);
}

#[test]
fn an_orphan_is_not_started_again_before_it_has_ended() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    // The script itself ends; something of it stays.
    let script = "#!/bin/sh\n[ -e second ] && exec sleep 600\ntouch second\nsleep 600 &\necho $! >left\nuntil [ -e go ]; do sleep 0.02; done\nexit 3\n";
    started(&env, "A", script, &FAST);
    let mut left = 0;
    until("its child", || {
        left = fs::read_to_string(env.dir().join("left")).unwrap_or_default().trim().parse().unwrap_or(0);
        left > 0
    });
    let pid = orphaned(&env, "A");
    night.says("A is orphaned");
    touch(&env, "go");
    until("the script to end", || !alive(pid));
    // Another task shows that the supervisor has gone on.
    started(&env, "B", FAILS, &FAST);
    runs_ended(&env, "B", 3);
    assert_eq!((env.state("A").as_str(), env.history("A").len()), ("orphaned", 1));
    kill(left, KILL);
    until("a second run", || env.history("A").len() == 2);
    let run = &env.history("A")[1];
    assert!(is_unseen_or(run, &json!(3)), "{run}");
    assert!(!kernel_tells() || run["exit_code"] == 3, "{run}");
    drop(night);
}

#[test]
fn the_time_limit_of_an_orphan_is_enforced() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let deaf = "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n";
    started(&env, "hears", STAYS, &["--timeout", "3s", "--restart", "never", "--retries", "0"]);
    started(&env, "deaf", deaf, &["--timeout", "3s", "--restart", "never", "--retries", "0", "--stop-grace", "200ms"]);
    for name in ["hears", "deaf"] {
        orphaned(&env, name);
        night.says(&format!("{name} is orphaned"));
    }
    for (name, signal) in [("hears", "SIGTERM"), ("deaf", "SIGKILL")] {
        let run = &runs_ended(&env, name, 1)[0];
        assert!(is_unseen_or(run, &json!(signal)), "{run}");
        if !run["signal"].is_null() {
            assert_eq!(run["outcome"], "timed_out", "{run}");
            let end = &events(&env, name, "ended")[0];
            assert!(end["through"].as_array().unwrap().contains(&json!("RUN_TIMEOUT")), "{end}");
        }
        env.wait_for_state(name, "failed");
    }
    assert!(night.said("has reached its time limit"));
    drop(night);
}

#[test]
fn an_orphan_is_stopped_under_the_supervisor() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", STAYS, &FAST);
    let pid = orphaned(&env, "A");
    night.says("A is orphaned");
    env.ok(&["stop", "A"]);
    assert!(!alive(pid));
    assert_eq!(env.state("A"), "stopped");
    let runs = env.history("A");
    assert_eq!(runs.len(), 1);
    assert!(is_unseen_or(&runs[0], &json!("SIGTERM")), "{runs:?}");
    env.ok(&["start", "A"]);
    env.wait_for_state("A", "running");
    drop(night);
}
