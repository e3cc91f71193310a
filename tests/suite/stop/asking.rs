//! Who asks, how often, and what the asking leaves on record.

use super::super::env::{TestEnv, kill, until};
use super::{SLEEPER, begin, ended, finish, is_ready, only_run, started, stopped, text};

/// Counts the requests in its output, and exits with 5 half a second after the first.
const COUNTS: &str = "#!/usr/bin/python3\nimport os, signal, time\nasked = 0\n\
    def ask(*_):\n    global asked\n    asked += 1\n    os.write(1, b'asked\\n')\n\
    signal.signal(signal.SIGTERM, ask)\nos.write(1, b'ready\\n')\nend = time.monotonic() + 60\n\
    while not asked and time.monotonic() < end: time.sleep(0.01)\n\
    first = time.monotonic()\nwhile time.monotonic() < first + 0.5: time.sleep(0.02)\nos._exit(5)\n";

/// Says that it was asked, and stays.
const DEAF: &str = "#!/bin/sh\ntrap 'echo asked' TERM\necho ready\nwhile :; do sleep 0.05; done\n";

#[test]
fn another_signal_may_do_the_asking() {
    let env = TestEnv::new();
    let script =
        "#!/bin/sh\ntrap 'echo int; exit 9' INT\ntrap 'exit 1' TERM\necho ready\nwhile :; do sleep 0.05; done\n";
    started(&env, "A", script, &["--stop-signal", "INT", "--stop-grace", "1h"]);
    let run = stopped(&env, "A");
    assert_eq!((text(&run, "outcome"), run["exit_code"].as_i64()), ("stopped", Some(9)));
    assert!(env.read("A.txt").ends_with("int\n"));
}

#[test]
fn ctrl_c_while_stop_waits_kills_at_once() {
    let env = TestEnv::new();
    started(&env, "A", DEAF, &["--stop-grace", "1h"]);
    let stop = begin(&env, &["stop", "A"]);
    until("the request", || env.read("A.txt").contains("asked"));
    assert_eq!(env.state("A"), "stopping");
    kill(i32::try_from(stop.id()).unwrap(), 2);
    let said = finish(stop);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("killing now"), "{said:?}");
    assert_eq!(env.processes(), [0_i32; 0]);
    let run = only_run(&env, "A");
    assert_eq!((text(&run, "outcome"), text(&run, "signal")), ("stopped", "SIGKILL"));
}

#[test]
fn stopping_what_does_not_run_says_so_and_is_logged() {
    let env = TestEnv::new();
    env.script("a.sh", SLEEPER);
    env.ok(&["add", "A", "a.sh"]);
    for _ in 0..2 {
        let said = env.ok(&["stop", "A"]);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("", "Stopping A: it was not running\n"));
    }
    let log = env.ok(&["log"]).out;
    assert_eq!(log.lines().filter(|line| line.ends_with(" ] Stopping A")).count(), 2, "{log}");
    assert_eq!(env.history("A").len(), 0);
}

#[test]
fn concurrent_stops_are_one_stop_and_leave_the_grace_alone() {
    let env = TestEnv::new();
    started(&env, "A", COUNTS, &["--stop-grace", "1h"]);
    let first = begin(&env, &["stop", "A"]);
    let second = begin(&env, &["stop", "A"]);
    until("the request", || env.read("A.txt").contains("asked"));
    let third = begin(&env, &["stop", "A"]);
    for stop in [first, second, third] {
        let said = finish(stop);
        assert_eq!(said.code, 0, "{said:?}");
    }
    let run = only_run(&env, "A");
    assert_eq!((text(&run, "outcome"), run["exit_code"].as_i64()), ("stopped", Some(5)), "{run}");
    assert_eq!(env.read("A.txt"), "ready\nasked\n", "asked once");
    assert_eq!(env.processes(), [0_i32; 0]);
}

#[test]
fn a_stop_that_races_the_end_is_never_an_error() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\nn=$(cat n 2>/dev/null || echo 0)\necho $((n + 1)) >n\nsleep 0.0$((n % 6))\n");
    env.ok(&["add", "A", "a.sh", "--keep", "3"]);
    for round in 1..=100 {
        let started = env.ok(&["start", "A"]);
        assert!(started.err.starts_with("Starting A "), "{started:?}");
        env.ok(&["stop", "A"]);
        let runs = env.history("A");
        assert_eq!(runs.len(), round, "one run each");
        let run = &runs[0];
        match (text(run, "outcome"), run["exit_code"].as_i64(), run["signal"].as_str()) {
            ("success" | "stopped", Some(0), None) | ("stopped", None, Some("SIGTERM")) => {}
            // TERM took the `cat` or the `sleep` and the shell went on to its end.
            ("stopped", Some(_), None) => {}
            _ => panic!("{run}"),
        }
        // Which of the two depends on what came first, the end or the request.
        let status = env.status("A");
        assert!(matches!(status["state"].as_str(), Some("stopped" | "finished")), "{status}");
        assert_eq!(status["wanted"], false);
    }
    assert_eq!(env.processes(), [0_i32; 0]);
}

#[test]
fn stop_all_stops_all() {
    let env = TestEnv::new();
    started(&env, "A", SLEEPER, &[]);
    started(&env, "B", DEAF, &["--stop-grace", "200ms"]);
    env.ok(&["add", "C", "A.script"]);
    let said = env.ok(&["stop", "--all"]);
    for name in ["A", "B", "C"] {
        assert_eq!(
            said.err.lines().filter(|line| line.starts_with(&format!("Stopping {name}"))).count(),
            1,
            "{said:?}"
        );
        assert_eq!(env.state(name), "stopped");
        assert!(env.ok(&["log"]).out.contains(&format!(" ] Stopping {name}\n")));
    }
    assert_eq!(env.processes(), [0_i32; 0]);
    assert_eq!(text(&only_run(&env, "A"), "signal"), "SIGTERM");
    assert_eq!(text(&only_run(&env, "B"), "signal"), "SIGKILL");
}

#[test]
fn a_stop_keeps_the_task_stopped() {
    let env = TestEnv::new();
    started(&env, "A", "#!/bin/sh\necho ready\nexit 1\n", &[]);
    ended(&env, "A");
    assert_eq!(env.status("A")["wanted"], true, "kept alive");
    let said = env.ok(&["stop", "A"]);
    assert_eq!(said.err, "Stopping A: it was not running; it will not be started again\n");
    assert_eq!((env.state("A").as_str(), env.status("A")["wanted"].as_bool()), ("stopped", Some(false)));
}

#[test]
fn who_ended_what_a_restart_could_not_start_again_is_said() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\ntrap 'rm A.script; exit' TERM\necho ready\nwhile :; do sleep 0.02; done\n";
    env.script("A.script", script);
    env.ok(&["add", "A", "A.script", "--once", "--now"]);
    until("it to listen", || env.read("A.txt").contains("ready"));
    let by = env.history("A")[0]["asked_by"].as_str().unwrap().to_owned();
    let said = env.fails(1, &["restart", "A"]);
    assert!(said.err.contains("A.script` does not exist"), "{said:?}");
    let said = env.ok(&["explain", "A"]).out;
    assert!(said.starts_with(&format!("A does not run: {by} stopped it ")), "{said}");
}

#[test]
fn restart_ends_one_run_and_begins_another() {
    let env = TestEnv::new();
    started(&env, "A", SLEEPER, &[]);
    let first = env.status("A")["pid"].clone();
    env.ok(&["restart", "A"]);
    is_ready(&env, "A");
    let status = env.status("A");
    assert_eq!((status["state"].as_str(), status["wanted"].as_bool()), (Some("running"), Some(true)));
    assert_ne!(status["pid"], first);
    let runs = env.history("A");
    assert_eq!((runs.len(), text(&runs[1], "outcome"), runs[0]["outcome"].as_str()), (2, "stopped", None));
    assert_ne!(runs[0]["job"], runs[1]["job"], "a new job");
    env.ok(&["stop", "A"]);
    assert_eq!(env.processes(), [0_i32; 0]);
    env.ok(&["restart", "A"]);
    assert_eq!(env.state("A"), "running", "what was stopped is started");
    env.ok(&["stop", "A"]);
}

#[test]
fn a_wish_during_the_sweep_waits_for_the_sweep() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\n(trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done) &\nsleep 0.2\nexit 6\n";
    started(&env, "A", script, &["--once", "--stop-grace", "600ms"]);
    until("the sweep", || env.read("A.txt").contains("asked"));
    let said = env.ok(&["stop", "A"]);
    let run = only_run(&env, "A");
    assert_eq!((text(&run, "outcome"), run["exit_code"].as_i64()), ("exit_code", Some(6)), "the exit stands: {said:?}");
    assert_eq!(env.processes(), [0_i32; 0]);
}

#[test]
fn fifty_starts_at_the_same_moment_are_one_run() {
    let env = TestEnv::new();
    env.script("a.sh", SLEEPER);
    env.ok(&["add", "A", "a.sh"]);
    let starts: Vec<_> = (0..50).map(|_| begin(&env, &["start", "A"])).collect();
    let said: Vec<_> = starts.into_iter().map(finish).collect();
    assert!(said.iter().all(|said| said.code == 0), "{said:?}");
    assert_eq!(said.iter().filter(|said| said.err.starts_with("Starting A (pid ")).count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|said| said.err.starts_with("Already running: A")).count(), 49, "{said:?}");
    stopped(&env, "A");
    assert_eq!(std::fs::read_dir(env.file("runs")).unwrap().count(), 0, "no record is left");
}

#[test]
fn starts_and_stops_in_a_heap_leave_one_truth() {
    let env = TestEnv::new();
    env.script("a.sh", SLEEPER);
    env.ok(&["add", "A", "a.sh"]);
    let heap: Vec<_> = (0..30).map(|n| begin(&env, &[["start", "stop", "restart"][n % 3], "A"])).collect();
    for said in heap.into_iter().map(finish) {
        // A start that meets a stop is refused: the run it would have found is ending.
        let refused = said.code == 5 && said.err.contains("it is being stopped");
        assert!(said.code == 0 || refused, "{said:?}");
    }
    env.ok(&["stop", "A"]);
    assert_eq!(env.processes(), [0_i32; 0]);
    assert!(env.history("A").iter().all(|run| matches!(text(run, "outcome"), "stopped" | "never_started")));
}
