//! A run that shows no sign of life is told, and ended if that was asked for.

use super::super::env::is_unseen_or;
use super::*;

#[test]
fn silence_is_told_once() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script = "#!/bin/sh\necho before\nuntil [ -e go ]; do sleep 0.02; done\necho after\nexec sleep 600\n";
    let tell = "echo \"$JOBEXEC_NOTIFY_EVENT: $JOBEXEC_NOTIFY_REASON: $JOBEXEC_NOTIFY_OUTPUT\" >>told";
    started(&env, "A", script, &["--stall-after", "300ms", "--notify-command", tell]);
    let pid = pid_of(&env, "A");
    until("it to be told", || env.read("told") == "stall: no output for 300ms: before\n");
    touch(&env, "go");
    until("it to be told again", || {
        env.read("told") == "stall: no output for 300ms: before\nstall: no output for 300ms: before\nafter\n"
    });
    assert_eq!(events(&env, "A", "stalled").len(), 2, "once until there is a sign of life");
    assert!(night.said("A shows no sign of life: no output for 300ms"));
    assert_eq!(pid_of(&env, "A"), pid, "told is all that it is");
    drop(night);
}

#[test]
fn a_stalled_run_is_stopped_and_started_again_if_told_to() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script = "#!/bin/sh\necho ready\n[ -e second ] && exec sleep 600\ntouch second\ntrap '' TERM\nwhile :; do sleep 0.05; done\n";
    let flags =
        ["--stall-after", "400ms", "--stall-action", "restart", "--stop-grace", "100ms", "--reset-after", "1ms"];
    started(&env, "A", script, &flags);
    let first = runs_ended(&env, "A", 1).pop().unwrap();
    assert_eq!(first["signal"], "SIGKILL", "{first}");
    assert!(first["reason"].as_str().unwrap().starts_with("no output for 400ms"), "{first}");
    until("it to run again", || env.history("A").len() >= 2);
    let end = &events(&env, "A", "ended")[0];
    assert_eq!((&end["to"], &end["not_before"]), (&json!("RESTART_READY"), &Value::Null));
    assert_eq!(env.status("A")["wanted"], true);
    let events = events(&env, "A", "stopped");
    assert!(events.is_empty(), "nobody stopped it: {events:?}");
    drop(night);
}

#[test]
fn a_stall_of_what_runs_once_is_a_failure() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", STAYS, &["--once", "--stall-after", "200ms", "--stall-action", "restart"]);
    env.wait_for_state("A", "failed");
    assert_eq!(env.history("A").len(), 1);
    drop(night);
}

#[test]
fn a_stall_is_a_failure_even_where_the_script_ends_well_when_it_is_asked_to() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script =
        "#!/bin/sh\n[ -e second ] && exec sleep 600\ntouch second\ntrap 'exit 0' TERM\nwhile :; do sleep 0.05; done\n";
    let flags = ["--restart", "on-failure", "--stall-after", "300ms", "--stall-action", "restart"];
    started(&env, "A", script, &[&flags[..], &FAST].concat());
    until("it to be started again", || env.history("A").len() >= 2);
    let first = runs_ended(&env, "A", 1).pop().unwrap();
    assert_eq!(first["exit_code"], 0, "{first}");
    assert!(first["reason"].as_str().unwrap().contains("no output for 300ms"), "{first}");
    drop(night);
}

#[test]
fn a_file_that_is_touched_is_a_sign_of_life() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script = "#!/bin/sh\nfor n in 1 2 3 4 5 6 7 8 9 10; do touch beat; sleep 0.1; done\ntouch beat\necho quiet\nexec sleep 600\n";
    started(&env, "A", script, &["--stall-after", "500ms", "--stall-file", "beat"]);
    until("the last beat", || env.read("A.txt").contains("quiet"));
    let beat = fs::metadata(env.dir().join("beat")).unwrap().modified().unwrap();
    let beat = i64::try_from(beat.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()).unwrap();
    let mut after = Vec::new();
    until("it to be told", || {
        after = events(&env, "A", "stalled");
        after.retain(|event| event["time"].as_i64().unwrap() > beat);
        !after.is_empty()
    });
    assert!(after[0]["time"].as_i64().unwrap() - beat >= 490_000, "{after:?} and {beat}");
    assert_eq!(after[0]["reason"], "`beat` has not changed for 500ms");
    drop(night);
}

#[test]
fn an_adopted_run_is_watched_as_well() {
    let env = TestEnv::new();
    started(
        &env,
        "A",
        STAYS,
        &["--stall-after", "200ms", "--stall-action", "restart", "--backoff-first", "1h", "--backoff-max", "1h"],
    );
    pid_of(&env, "A");
    let night = Night::begin(&env);
    let runs = runs_ended(&env, "A", 1);
    assert_eq!(runs.last().unwrap()["signal"], "SIGTERM", "{runs:?}");
    assert!(night.said("no output for 200ms"));
    drop(night);
}

#[test]
fn a_stalled_orphan_that_does_not_listen_is_killed() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let deaf =
        "#!/bin/sh\ntrap '' TERM\nuntil [ -e go ]; do sleep 0.02; echo alive; done\nwhile :; do sleep 0.05; done\n";
    let flags = ["--once", "--stall-after", "2s", "--stall-action", "restart", "--stop-grace", "100ms"];
    started(&env, "A", deaf, &flags);
    orphaned(&env, "A");
    night.says("A is orphaned");
    touch(&env, "go");
    let run = runs_ended(&env, "A", 1).pop().unwrap();
    assert!(is_unseen_or(&run, &json!("SIGKILL")), "{run}");
    env.wait_for_state("A", "failed");
    drop(night);
}
