//! What a run that is started again is made of, and the ways in which starts, stops and ends cross each other.

use super::*;

#[test]
fn it_has_the_surroundings_of_whoever_started_the_task() {
    let env = TestEnv::new();
    let script =
        "#!/bin/sh\necho $WHOSE $(umask) $JOBEXEC_ATTEMPT >>seen\n[ $JOBEXEC_ATTEMPT = 3 ] || exit 1\nexec sleep 600\n";
    added(&env, "A", script, &FAST);
    let mut command = env.command(&["keep-restarting"]);
    let night = Night::spawned(&env, command.env("WHOSE", "supervisor").env("JOBEXEC_RUN_ID", "0".repeat(32)));
    let mut shell = Command::new("/bin/sh");
    env.clean(&mut shell);
    let line = format!("umask 027; WHOSE=user exec {} start A", env!("CARGO_BIN_EXE_jobexec"));
    assert!(shell.args(["-c", &line]).status().unwrap().success());
    env.wait_for_state("A", "running");
    let seen = || fs::read_to_string(env.dir().join("seen")).unwrap_or_default();
    until("the third run", || seen().lines().count() == 3);
    assert_eq!(seen(), "user 0027 1\nuser 0027 2\nuser 0027 3\n");
    let runs = env.history("A");
    let by: Vec<&str> = runs.iter().map(|run| run["asked_by"].as_str().unwrap()).collect();
    assert_eq!(by[..2], ["keep-restarting"; 2]);
    assert_ne!(by[2], "keep-restarting");
    drop(night);
}

#[test]
fn a_time_limit_is_followed_by_a_start_however_often_it_was_reached() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    for (name, rule) in [("always", "always"), ("failing", "on-failure")] {
        started(&env, name, STAYS, &[&FAST[..], &["--timeout", "50ms", "--restart", rule]].concat());
    }
    for name in ["always", "failing"] {
        let runs = runs_ended(&env, name, 5);
        let ended = runs.iter().filter(|run| run["outcome"].is_string());
        assert!(ended.clone().all(|run| run["outcome"] == "timed_out"), "{runs:?}");
    }
    // What runs once has three retries after a time-out, and then it has failed.
    started(&env, "once", STAYS, &[&FAST[..], &["--timeout", "50ms", "--once"]].concat());
    env.wait_for_state("once", "failed");
    assert_eq!(env.history("once").len(), 4);
    drop(night);
}

#[test]
fn the_end_of_the_session_is_no_wish_to_stop() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", STAYS, &FAST);
    pid_of(&env, "A");
    kill(env.worker_of("A"), TERMINATE);
    until("it to be started again", || env.history("A").len() == 2);
    assert_eq!(env.history("A")[1]["outcome"], "session_ended");
    env.wait_for_state("A", "running");
    drop(night);
}

#[test]
fn stop_is_obeyed_in_the_fastest_of_loops() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    added(&env, "A", "#!/bin/sh\nexit 1\n", &["--backoff-first", "0"]);
    started(&env, "B", STAYS, &FAST);
    let mut before = 0;
    for round in 2..8 {
        env.ok(&["start", "A"]);
        runs_ended(&env, "A", before + 3);
        env.ok(&["stop", "A"]);
        before = env.history("A").len();
        // The supervisor has gone on meanwhile.
        kill(pid_of(&env, "B"), KILL);
        until("B to be started again", || env.history("B").len() == round);
        // An end that was on record before the wish stands.
        let status = env.status("A");
        assert!(["stopped", "failed"].map(Value::from).contains(&status["state"]), "{status}");
        assert_eq!((&status["wanted"], env.history("A").len()), (&json!(false), before));
    }
    drop(night);
}

#[test]
fn stop_and_start_and_the_supervisor_never_run_a_task_twice_at_once() {
    let env = TestEnv::new();
    added(&env, "A", "#!/bin/sh\nsleep 0.01\nexit 1\n", &["--backoff-first", "0"]);
    let night = Night::begin(&env);
    env.ok(&["start", "A"]);
    let restart = || {
        let mut command = env.command(&["restart", "A"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for _ in 0..5 {
        let all: Vec<Child> = (0..3).map(|_| restart()).collect();
        for child in all {
            child.wait_with_output().unwrap();
        }
    }
    env.ok(&["stop", "A"]);
    let claims = query(&env, "SELECT count(*) FROM runs WHERE outcome IS NULL", |row| row.get::<_, i64>(0));
    assert_eq!(claims, [0]);
    let runs = query(&env, "SELECT started, ended FROM runs WHERE started IS NOT NULL ORDER BY started", |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    assert!(runs.windows(2).all(|two| two[0].1 <= two[1].0), "one after another: {runs:?}");
    drop(night);
}

#[test]
fn a_wish_that_was_made_while_it_was_away_is_obeyed() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    for name in ["stopped", "waits", "begun"] {
        added(&env, name, "#!/bin/sh\n[ -e mended ] || exit 1\nexec sleep 600\n", &SLOW);
    }
    env.ok(&["start", "stopped", "waits"]);
    env.wait_for_state("stopped", "waiting");
    env.wait_for_state("waits", "waiting");
    night.end(KILL);
    env.ok(&["stop", "stopped"]);
    touch(&env, "mended");
    env.ok(&["start", "begun", "waits"]);
    let night = Night::begin(&env);
    let count = |name: &str| env.history(name).len();
    assert_eq!(["stopped", "waits", "begun"].map(count), [1, 2, 1]);
    assert_eq!(["stopped", "waits", "begun"].map(|name| env.state(name)), ["stopped", "running", "running"]);
    drop(night);
}

#[test]
fn a_task_is_the_same_in_upper_and_lower_case() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "Loud", "#!/bin/sh\nexit 1\n", &SLOW);
    env.wait_for_state("loud", "waiting");
    env.ok(&["start", "LOUD"]);
    until("a second run", || env.history("loud").len() == 2);
    env.ok(&["stop", "loud"]);
    assert_eq!(env.state("Loud"), "stopped");
    drop(night);
}

#[test]
fn many_that_break_together_all_come_back() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    env.script("s.sh", STAYS);
    let names: Vec<String> = (0..40).map(|nth| format!("t{nth}")).collect();
    let tables: String = names
        .iter()
        .map(|name| format!("[task.{name}]\nscript = {:?}\nbackoff.first = \"50ms\"\n", env.dir().join("s.sh")))
        .collect();
    let text = env.read("jobexec.toml");
    fs::write(env.file("jobexec.toml"), format!("{text}\n{tables}")).unwrap();
    env.ok(&["start", "--all"]);
    let pids = || {
        let all = env.json(&["status"]);
        all.as_array().unwrap().iter().filter_map(|task| task["pid"].as_i64()).collect::<Vec<_>>()
    };
    let before = pids();
    assert_eq!(before.len(), 40);
    for pid in &before {
        kill(i32::try_from(*pid).unwrap(), KILL);
    }
    until("all to run again", || {
        let now = pids();
        now.len() == 40 && !now.iter().any(|pid| before.contains(pid))
    });
    let runs = query(&env, "SELECT count(*) FROM runs", |row| row.get::<_, i64>(0));
    assert_eq!(runs, [80]);
    let waits: Vec<f64> = names.iter().filter_map(|name| waits(&env, name)[0]).collect();
    assert!(waits.iter().all(|wait| is_about(Some(*wait), 50.0)), "{waits:?}");
    drop(night);
}

#[test]
fn a_retry_of_a_schedules_job_waits_by_its_own_retries_whatever_ran_before() {
    let env = TestEnv::new();
    env.script("s.sh", "#!/bin/sh\n[ ! -e broken ]\n");
    let flags = ["--period", "1s", "--retries", "2", "--backoff-first", "100ms", "--backoff-jitter", "0"];
    env.ok(&[&["add", "S", "s.sh"][..], &flags].concat());
    let night = Night::begin(&env);
    env.ok(&["start", "S"]);
    until("some good runs", || waits(&env, "S").len() >= 3);
    touch(&env, "broken");
    until("the job to have failed", || {
        query(&env, "SELECT count(*) FROM jobs WHERE state = 'FAILED'", |row| row.get::<_, i64>(0))[0] >= 1
    });
    let waits: Vec<_> = waits(&env, "S").into_iter().flatten().take(2).collect();
    assert_eq!(waits, [100.0, 200.0]);
    drop(night);
}
