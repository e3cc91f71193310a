//! status of one task, of several and of all: the states, their exit codes, the card, watching.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::json;

use crate::suite::env::{TestEnv, is_unseen_or, kill, until};

#[track_caller]
fn is(env: &TestEnv, name: &str, state: &str, code: i32) {
    env.wait_for_state(name, state);
    assert_eq!(env.run(&["status", name]).code, code, "{name} is {state}");
    let line = env.ok(&["status"]).out.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
    assert_eq!(line.split_whitespace().nth(1), Some(state), "{line}");
}

#[test]
fn stopped_running_and_stopped_again() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "sleep", "60"]);
    is(&env, "A", "stopped", 3);
    env.ok(&["start", "A"]);
    is(&env, "A", "running", 0);
    let status = env.status("A");
    assert_eq!(json!([status["running"], status["wanted"], status["last_exit"]]), json!([true, true, null]));
    assert_eq!(status["pid"], status["last_pid"]);
    env.ok(&["stop", "A"]);
    is(&env, "A", "stopped", 3);
    let after = env.status("A");
    assert_eq!(json!([after["running"], after["wanted"], after["pid"]]), json!([false, false, null]));
    assert_eq!(json!([after["last_exit"], after["last_pid"]]), json!(["SIGTERM", status["pid"]]));
}

#[test]
fn stopping_while_it_takes_its_time() {
    let env = TestEnv::new();
    let line = "trap : TERM; echo up; while [ ! -e go ]; do sleep 0.01; done; exit 5";
    env.ok(&["add", "A", "--stop-grace", "60s", "--now", "--", "sh", "-c", line]);
    until("its trap", || env.read("A.txt") == "up\n");
    let stop = env.command(&["stop", "A"]).stderr(Stdio::piped()).spawn().unwrap();
    is(&env, "A", "stopping", 0);
    std::fs::write(env.dir().join("go"), "").unwrap();
    let said = stop.wait_with_output().unwrap();
    assert!(said.status.success() && String::from_utf8(said.stderr).unwrap().starts_with("Stopping A: "));
    is(&env, "A", "stopped", 3);
    let run = &env.history("A")[0];
    assert_eq!(json!([run["exit_code"], run["signal"]]), json!([5, null]), "the exit code is kept");
    assert_eq!(env.status("A")["job_state"], "CANCELLED");
}

#[test]
fn ends_without_a_supervisor() {
    let env = TestEnv::new();
    for (name, restart, line, state) in [
        ("crashed", "always", "exit 1", "unsupervised"),
        ("ended", "always", "exit 0", "unsupervised"),
        ("retried", "on-failure", "exit 1", "unsupervised"),
        ("done", "on-failure", "exit 0", "finished"),
        ("once", "never", "exit 0", "finished"),
        ("broken", "never", "exit 1", "failed"),
        ("killed", "never", "kill -9 $$", "failed"),
    ] {
        env.ok(&["add", name, "--restart", restart, "--now", "--", "sh", "-c", line]);
        is(&env, name, state, 3);
    }
    env.ok(&["stop", "crashed"]);
    is(&env, "crashed", "stopped", 3);
}

#[test]
fn orphaned_when_only_the_worker_dies() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--now", "--", "sleep", "60"]);
    let pid = env.status("A")["pid"].clone();
    kill(env.worker_of("A"), 9);
    is(&env, "A", "orphaned", 0);
    assert_eq!(env.status("A")["running"], true);
    let said = env.fails(5, &["start", "A"]);
    assert!(said.err.contains(&pid.to_string()) && said.err.contains("hint: "), "{said:?}");
    env.ok(&["stop", "A"]);
    is(&env, "A", "stopped", 3);
    assert!(env.processes().is_empty());
    let run = &env.history("A")[0];
    assert!(is_unseen_or(run, &json!("SIGTERM")), "an exit is never invented: {run}");
    env.ok(&["start", "A"]);
    is(&env, "A", "running", 0);
    env.ok(&["stop", "A"]);
}

#[test]
fn scheduled_tasks_are_armed_and_run_now_on_demand() {
    let env = TestEnv::new();
    env.ok(&["add", "S", "--period", "day", "--", "sh", "-c", "echo hello; exec sleep 60"]);
    is(&env, "S", "stopped", 3);
    let said = env.ok(&["start", "S"]);
    assert!(said.err.starts_with("Scheduled: S\n") && said.err.contains("no supervisor"), "{said:?}");
    is(&env, "S", "unsupervised", 0);
    assert!(env.history("S").is_empty(), "arming is not running");
    env.ok(&["start", "S", "--now"]);
    is(&env, "S", "running", 0);
    until("output", || env.read("S.txt") == "hello\n");
    let pid = env.status("S")["pid"].as_i64().unwrap();
    kill(i32::try_from(pid).unwrap(), 9);
    is(&env, "S", "unsupervised", 0);
    env.ok(&["stop", "S"]);
    // Disarmed; the word is that of its last run's end.
    is(&env, "S", "failed", 3);
}

#[test]
fn all_of_several_must_be_up() {
    let env = TestEnv::new();
    for name in ["A", "B"] {
        env.ok(&["add", name, "--", "sleep", "60"]);
    }
    env.ok(&["start", "A"]);
    let said = env.fails(3, &["status", "A", "B"]);
    assert_eq!(said.out.lines().count(), 3, "a table: {said:?}");
    assert_eq!(env.run(&["status", "A", "A"]).code, 0);
    env.ok(&["status"]);
    env.fails(4, &["status", "A", "NOPE"]);
    let all = env.ok(&["status"]).out;
    let bare = env.ok::<&str>(&[]).out;
    let stable = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "").replace("ms", "s");
    assert_eq!(
        stable(&bare).split_whitespace().collect::<Vec<_>>(),
        stable(&all).split_whitespace().collect::<Vec<_>>()
    );
    env.ok(&["stop", "A"]);
}

#[test]
fn the_card_of_one_task() {
    let env = TestEnv::new();
    let line = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line$i; done; exec sleep 60";
    env.ok(&["add", "A", "--env", "SYMBOL=LOL", "--timeout", "2h", "--", "sh", "-c", line]);
    for _ in 0..7 {
        env.ok(&["restart", "A"]);
        until("output", || env.read("A.txt").contains("line12\n"));
    }
    let out = env.ok(&["status", "A"]).out;
    assert!(out.lines().next().unwrap().contains("A running"), "{out}");
    for word in ["SYMBOL=LOL", "2h", "A.txt", "started by", &env.status("A")["pid"].to_string()] {
        assert!(out.contains(word), "{word} is missing in {out}");
    }
    assert!(out.contains("line12") && out.contains("line3\n") && !out.contains("line2\n"), "ten lines: {out}");
    let rows = out.lines().skip_while(|line| !line.starts_with("RUN")).skip(1).take_while(|line| !line.is_empty());
    assert_eq!(rows.count(), 5, "the last runs: {out}");
    env.ok(&["stop", "A"]);
    assert!(env.fails(3, &["status", "A"]).out.lines().next().unwrap().contains("A stopped"));
}

#[test]
fn usage_shows_what_it_costs() {
    let env = TestEnv::new();
    let line = "sleep 60 & python3 -c 'import time\nwhile time.process_time() < 0.2: pass\nx = b\"x\" * 30000000\nprint(\"up\", flush=True)\ntime.sleep(60)'";
    env.ok(&["add", "A", "--now", "--", "sh", "-c", line]);
    until("output", || env.read("A.txt") == "up\n");
    let usage = env.json(&["status", "A", "--usage"])["usage"].clone();
    assert!(usage["cpu_seconds"].as_f64().unwrap() >= 0.2, "{usage}");
    assert!(usage["rss_bytes"].as_u64().unwrap() >= 30_000_000, "{usage}");
    assert!(usage["processes"].as_u64().unwrap() >= 3, "{usage}");
    let out = env.ok(&["status", "--usage"]).out;
    assert!(out.contains("CPU") && out.contains("MEMORY") && out.contains("MiB"), "{out}");
    assert!(!env.ok(&["status"]).out.contains("MEMORY"));
    env.ok(&["stop", "A"]);
}

#[test]
fn watching_redraws_what_changes() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "sleep", "60"]);
    let mut child = env.command(&["status", "--watch"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut see = |state: &str| lines.find(|line| line.split_whitespace().nth(1) == Some(state)).unwrap();
    see("stopped");
    env.ok(&["start", "A"]);
    see("running");
    env.ok(&["stop", "A"]);
    see("stopped");
    env.ok(&["add", "B", "--", "sleep", "60"]);
    lines.find(|line| line.starts_with("B ")).unwrap();
    // Whoever was to see it has left.
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(err, "");
}
