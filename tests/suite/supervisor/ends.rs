//! How a supervisor ends: on a signal, when nothing is left to do, with or without its tasks.

use super::*;

#[test]
fn signals_end_it_and_leave_the_tasks_running() {
    for signal in [TERMINATE, INTERRUPT] {
        let env = TestEnv::new();
        started(&env, "A", STAYS, &[]);
        let pid = pid_of(&env, "A");
        let night = Night::begin(&env);
        let (code, diary) = night.end(signal);
        assert_eq!(code, Some(0), "{diary}");
        assert!(diary.contains("1 task goes on running"), "{diary}");
        assert!(alive(pid));
        assert_eq!((env.state("A").as_str(), env.history("A").len()), ("running", 1));
    }
}

#[test]
fn it_stops_its_tasks_if_told_to_and_the_next_one_brings_them_back() {
    let env = TestEnv::new();
    let night = Night::with(&env, &["--stop-tasks"]);
    started(&env, "A", STAYS, &[]);
    started(&env, "B", STAYS, &["--restart", "on-failure"]);
    started(&env, "off", STAYS, &[]);
    env.ok(&["stop", "off"]);
    let pids = [pid_of(&env, "A"), pid_of(&env, "B")];
    let (code, diary) = night.end(TERMINATE);
    assert_eq!(code, Some(0), "{diary}");
    assert!(!pids.iter().any(|pid| alive(*pid)));
    assert_eq!(env.processes(), [0_i32; 0]);
    for name in ["A", "B"] {
        let status = env.status(name);
        assert_eq!((&status["wanted"], &status["state"]), (&json!(true), &json!("unsupervised")), "{name}");
        assert_eq!(env.history(name)[0]["outcome"], "stopped");
    }
    let night = Night::begin(&env);
    env.wait_for_state("A", "running");
    env.wait_for_state("B", "running");
    assert_eq!(env.state("off"), "stopped");
    drop(night);
}

#[test]
fn a_second_signal_does_not_keep_it_from_stopping_its_tasks() {
    let env = TestEnv::new();
    let night = Night::with(&env, &["--stop-tasks"]);
    let stubborn = "#!/bin/sh\ntrap 'echo asked >asked' TERM\necho ready\nwhile :; do sleep 0.05; done\n";
    started(&env, "A", stubborn, &["--stop-grace", "1s"]);
    until("it to be deaf", || env.read("A.txt").contains("ready"));
    let pid = pid_of(&env, "A");
    kill(night.pid(), TERMINATE);
    until("it to be asked", || env.dir().join("asked").exists());
    let (code, diary) = night.end(TERMINATE);
    assert_eq!(code, Some(0), "{diary}");
    assert!(!alive(pid), "{diary}");
    assert_eq!(env.history("A")[0]["outcome"], "stopped");
}

#[test]
fn until_idle_ends_with_the_last_task_that_ends_by_itself() {
    let env = TestEnv::new();
    let waits = "#!/bin/sh\nuntil [ -e go ]; do sleep 0.02; done\n";
    started(&env, "kept", STAYS, &[]);
    started(&env, "first", waits, &["--once"]);
    started(&env, "second", waits, &["--restart", "on-failure"]);
    let night = Night::with(&env, &["--until-idle"]);
    assert!(alive(night.pid()));
    touch(&env, "go");
    let (code, diary) = night.ended();
    assert_eq!(code, Some(0), "{diary}");
    assert_eq!([env.state("first"), env.state("second")], ["finished"; 2]);
    assert_eq!(env.state("kept"), "running", "what is kept alive does not keep it");
}

#[test]
fn until_idle_says_by_its_exit_code_that_something_failed() {
    let env = TestEnv::new();
    started(&env, "before", FAILS, &["--once"]);
    runs_ended(&env, "before", 1);
    let (code, diary) = Night::with(&env, &["--until-idle"]).ended();
    assert_eq!(code, Some(0), "what failed before is not its concern: {diary}");
    started(
        &env,
        "A",
        "#!/bin/sh\nuntil [ -e go ]; do sleep 0.02; done\nexit 1\n",
        &["--restart", "never", "--retries", "1", "--backoff-first", "10ms"],
    );
    let night = Night::with(&env, &["--until-idle"]);
    touch(&env, "go");
    let (code, diary) = night.ended();
    assert_eq!(code, Some(1), "{diary}");
    assert_eq!(env.history("A").len(), 2, "its retry was waited for: {diary}");
}

#[test]
fn until_idle_waits_for_messages() {
    let env = TestEnv::new();
    let tell = "sleep 0.3; echo $JOBEXEC_NOTIFY_EVENT >told";
    started(
        &env,
        "A",
        "#!/bin/sh\nuntil [ -e go ]; do sleep 0.02; done\nexit 1\n",
        &["--once", "--notify-command", tell],
    );
    let night = Night::with(&env, &["--until-idle"]);
    touch(&env, "go");
    let (code, diary) = night.ended();
    assert_eq!(code, Some(1), "{diary}");
    assert_eq!(env.read("told"), "failure\n");
    assert_eq!(notices(&env), [("failure".to_owned(), "delivered".to_owned(), 1)]);
}

#[test]
fn in_a_new_folder_there_is_nothing_to_do() {
    let env = TestEnv::new();
    let (code, diary) = Night::with(&env, &["--until-idle"]).ended();
    assert_eq!(code, Some(0), "{diary}");
    for args in [["--sleep", "0"], ["--sleep", "soon"]] {
        env.fails(2, &["keep-restarting", args[0], args[1]]);
    }
}

#[test]
fn it_writes_down_when_it_began_and_ended() {
    let env = TestEnv::new();
    let night = Night::with(&env, &["--sleep", "90"]);
    let pid = night.pid();
    night.end(TERMINATE);
    let sql = "SELECT cause, data FROM events WHERE cause LIKE 'supervisor_%' ORDER BY id";
    let found = query(&env, sql, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    let causes: Vec<&str> = found.iter().map(|(cause, _)| cause.as_str()).collect();
    assert_eq!(causes, ["supervisor_started", "supervisor_stopped"]);
    for (_, data) in &found {
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!((data["pid"].as_i64(), data["sleep"].as_f64()), (Some(i64::from(pid)), Some(90.0)));
    }
    let diary = env.read("supervisor.log");
    assert!(diary.lines().all(|line| line.starts_with("[ 20") && line.contains(" ] ")), "{diary}");
}
