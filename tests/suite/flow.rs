//! The main path: add, start, status, tail, stop.

use super::env::TestEnv;

#[test]
fn a_script_is_added_started_looked_at_and_stopped() {
    let env = TestEnv::new();
    env.script("jobs/ticker.sh", "#!/bin/sh\necho tick $SYMBOL $EXECUTOR_ID\nexec sleep 60\n");
    env.ok(&["init", "--exec-id", "xg15"]);
    env.ok(&["add", "LOL", "jobs/ticker.sh", "--env", "SYMBOL=LOL"]);
    assert_eq!(env.state("LOL"), "stopped", "adding is not starting");
    env.ok(&["start", "LOL"]);
    assert_eq!(env.state("LOL"), "running");
    super::env::until("output", || env.read("LOL.txt") == "tick LOL xg15\n");
    assert_eq!(env.ok(&["tail", "LOL"]).out, "tick LOL xg15\n");
    let again = env.ok(&["start", "LOL"]);
    assert!(again.err.starts_with("Already running: LOL (pid "), "{again:?}");
    env.ok(&["stop", "LOL"]);
    assert_eq!(env.state("LOL"), "stopped");
    assert!(env.processes().is_empty(), "nothing is left");
    let run = &env.history("LOL")[0];
    assert_eq!((run["outcome"].as_str(), run["signal"].as_str()), (Some("stopped"), Some("SIGTERM")));
}

#[test]
fn a_job_that_goes_on_keeps_umask_limits_and_default_signals_of_its_first_start() {
    let env = TestEnv::new();
    env.script("s.sh", "#!/bin/sh\numask\nulimit -n\ngrep SigIgn /proc/self/status\nexit 1\n");
    env.ok(&["add", "S", "s.sh"]);
    let start = |before: &str| {
        let mut shell = std::process::Command::new("/bin/sh");
        env.clean(&mut shell);
        let line = format!("{before}; exec {} start S", env!("CARGO_BIN_EXE_jobexec"));
        assert!(shell.args(["-c", &line]).status().unwrap().success());
        super::env::until("the end of S", || env.history("S")[0]["ended"].is_string());
        env.read("S.txt")
    };
    let first = start("umask 027; ulimit -n 333");
    assert!(first.starts_with("0027\n333\n"), "{first}");
    assert_eq!(start("umask 077; ulimit -n 444"), first, "attempt 2 of the same job");
    assert_eq!(env.history("S")[0]["attempt"], 2);
}

#[test]
fn a_worker_keeps_nothing_open_that_its_starter_had() {
    let env = TestEnv::new();
    env.ok(&["add", "S", "--", "sleep", "60"]);
    let mut shell = std::process::Command::new("/bin/bash");
    env.clean(&mut shell);
    // A lock as cron jobs take it: it must be free again when the command has ended.
    let line = format!("exec 9>lock; flock -n 9 && {} start S", env!("CARGO_BIN_EXE_jobexec"));
    assert!(shell.args(["-c", &line]).status().unwrap().success());
    let mut again = std::process::Command::new("flock");
    env.clean(&mut again);
    assert!(again.args(["-n", "lock", "true"]).status().unwrap().success());
}

#[test]
fn what_cannot_be_waited_for_is_refused_when_it_is_defined() {
    let env = TestEnv::new();
    let said = env.fails(2, &["add", "S", "--timeout", "18446744073709551615", "--", "true"]);
    assert!(said.err.contains("is too long (at most 10000 days)"), "{said:?}");
}
