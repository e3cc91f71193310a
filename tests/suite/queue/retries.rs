//! A job that fails is tried again as often as it may be, after a wait, and keeps what each attempt said.

use std::fs;

use serde_json::{Value, json};

use crate::suite::env::{TestEnv, until};
use crate::suite::supervisor::{micros, query};

use super::{does, events, job, shell, slots, state, submit, until_idle, until_state};

/// A task with a script, whose waits nobody notices.
fn task(env: &TestEnv, name: &str, script: &str, flags: &[&str]) {
    let file = format!("{name}.sh");
    env.script(&file, &format!("#!/bin/sh\n{script}\n"));
    let soon: &[&str] = if flags.contains(&"--backoff-first") { &[] } else { &["--backoff-first", "1ms"] };
    env.ok(&[&["add", name, &file, "--stop-grace", "100ms"], soon, flags].concat());
}

fn runs(job: &Value) -> Vec<Value> {
    job["runs"].as_array().unwrap().clone()
}

/// The events of the ends of a job's runs; what a slot has claimed and given back has not run.
fn ends(env: &TestEnv, id: i64) -> Vec<Value> {
    let has_ended = |event: &Value| event["cause"] == "ended" && event["data"]["outcome"] != "never_started";
    events(env, id).into_iter().filter(has_ended).collect()
}

#[test]
fn a_failure_is_tried_again_as_often_as_was_said_and_each_attempt_keeps_its_output() {
    let env = TestEnv::new();
    task(&env, "T", "echo this is $JOBEXEC_ATTEMPT; exit $((JOBEXEC_ATTEMPT + 10))", &["--retries", "2"]);
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env, 1), 1);
    let shown = job(&env, id);
    let told = [&shown["state"], &shown["reason"], &shown["attempt"], &shown["exit_code"], &shown["next_retry"]];
    assert_eq!(told, [&json!("FAILED"), &json!("exit_code"), &json!(3), &json!(13), &Value::Null], "{shown}");
    let codes: Vec<_> = runs(&shown).iter().map(|run| run["exit_code"].as_i64().unwrap()).collect();
    assert_eq!(codes, [11, 12, 13]);
    for attempt in 1..=3 {
        let file = env.file(&format!("jobs/{id}/run-{attempt}.txt"));
        assert_eq!(fs::read_to_string(file).unwrap(), format!("this is {attempt}\n"));
        let log = env.ok(&["job", "log", &id.to_string(), "--run", &attempt.to_string()]);
        assert_eq!(log.out, format!("this is {attempt}\n"));
    }
    assert_eq!(env.ok(&["job", "log", &id.to_string()]).out, "this is 3\n");
    env.fails(2, &["job", "log", &id.to_string(), "--run", "4"]);
    let through: Vec<_> = ends(&env, id).iter().map(|event| event["data"]["through"].clone()).collect();
    let again = json!(["RUN_ERROR", "RESTART_READY"]);
    assert_eq!(through, [again.clone(), again, json!(["RUN_ERROR", "FAILED"])]);
}

#[test]
fn a_success_ends_the_attempts() {
    let env = TestEnv::new();
    task(&env, "T", "[ $JOBEXEC_ATTEMPT = 2 ]", &["--retries", "9"]);
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env, 1), 0);
    let shown = job(&env, id);
    assert_eq!(
        (&shown["state"], &shown["attempt"], &shown["exit_code"]),
        (&json!("JOB_FINISHED"), &json!(2), &json!(0))
    );
}

#[test]
fn an_error_is_not_tried_again_unless_that_was_said_and_a_time_out_three_times() {
    let env = TestEnv::new();
    task(&env, "error", "exit 1", &[]);
    task(&env, "slow", "exec sleep 600", &["--timeout", "30ms"]);
    task(&env, "slow-once", "exec sleep 600", &["--timeout", "30ms", "--retries", "0"]);
    task(&env, "slow-twice", "exec sleep 600", &["--timeout", "30ms", "--retries", "1"]);
    let ids = ["error", "slow", "slow-once", "slow-twice"].map(|name| submit(&env, &[name]));
    assert_eq!(until_idle(&env, 4), 1);
    let attempts = ids.map(|id| job(&env, id)["attempt"].as_i64().unwrap());
    assert_eq!(attempts, [1, 4, 1, 2]);
    for id in &ids[1..] {
        let shown = job(&env, *id);
        assert_eq!(
            (&shown["state"], &shown["reason"], &shown["signal"]),
            (&json!("FAILED"), &json!("timed_out"), &json!("SIGTERM"))
        );
        assert!(runs(&shown).iter().all(|run| run["outcome"] == "timed_out"), "{shown}");
    }
    assert_eq!(ends(&env, ids[2])[0]["data"]["through"], json!(["RUN_TIMEOUT", "FAILED"]));
}

#[test]
fn what_failed_waits_for_its_moment_and_leaves_the_slot_to_others() {
    let env = TestEnv::new();
    task(&env, "T", "exit 1", &["--retries", "3", "--backoff-first", "1h", "--backoff-max", "2h"]);
    let id = submit(&env, &["T", "--priority", "9"]);
    let _night = slots(&env, 1);
    until_state(&env, id, "RESTART_READY");
    let other = submit(&env, &["--", "true"]);
    until_state(&env, other, "JOB_FINISHED");
    let shown = job(&env, id);
    assert_eq!((&shown["state"], &shown["attempt"]), (&json!("RESTART_READY"), &json!(1)));
    assert_eq!(shown["not_before"], shown["next_retry"]);
    let ended = micros(&runs(&shown)[0]["ended"]);
    let hours = (micros(&shown["next_retry"]) - ended) / 3_600_000;
    assert!((899..=1101).contains(&hours), "an hour, give or take a tenth: {hours} thousandths");
    let said = env.ok(&["jobs"]).out;
    assert!(said.contains("again in ") && said.contains(": exit code 1"), "what it waits for, and why: {said}");
}

#[test]
fn waits_grow_with_the_retries_of_the_job_alone() {
    let env = TestEnv::new();
    // Another job of the task that fails does not make the wait longer.
    let waits = ["--retries", "3", "--backoff-first", "20ms", "--backoff-factor", "3", "--backoff-jitter", "0"];
    task(&env, "T", "exit 1", &waits);
    let ids = [submit(&env, &["T"]), submit(&env, &["T"])];
    assert_eq!(until_idle(&env, 1), 1);
    for id in ids {
        let shown = job(&env, id);
        let ended: Vec<i64> = runs(&shown).iter().map(|run| micros(&run["ended"])).collect();
        let not_before: Vec<_> = ends(&env, id).iter().map(|end| end["data"]["not_before"].clone()).collect();
        let waited: Vec<i64> =
            not_before[..3].iter().zip(&ended).map(|(to, from)| (micros(to) - from) / 1000).collect();
        assert_eq!((waited, &not_before[3]), (vec![20, 60, 180], &Value::Null));
        let started: Vec<i64> = runs(&shown).iter().map(|run| micros(&run["started"])).collect();
        assert!((0..3).all(|nth| started[nth + 1] >= micros(&not_before[nth])), "none before its moment");
    }
}

#[test]
fn exit_codes_and_signals_are_kept() {
    let env = TestEnv::new();
    let codes = [1, 2, 42, 125, 126, 127, 128, 137, 255].map(|code| (code, shell(&env, &[], &format!("exit {code}"))));
    let signals = ["HUP", "INT", "KILL", "SEGV", "TERM", "USR1"];
    let signals = signals.map(|name| (name, shell(&env, &[], &format!("ulimit -c 0; kill -{name} $$"))));
    assert_eq!(until_idle(&env, 2), 1);
    for (code, id) in codes {
        let shown = job(&env, id);
        let run = &runs(&shown)[0];
        for told in [&shown, run] {
            assert_eq!((&told["exit_code"], &told["signal"]), (&json!(code), &Value::Null), "{told}");
        }
        assert_eq!(
            (&shown["state"], &shown["reason"], &run["outcome"]),
            (&json!("FAILED"), &json!("exit_code"), &json!("exit_code"))
        );
    }
    for (name, id) in signals {
        let shown = job(&env, id);
        let run = &runs(&shown)[0];
        for told in [&shown, run] {
            assert_eq!((&told["signal"], &told["exit_code"]), (&json!(format!("SIG{name}")), &Value::Null), "{told}");
        }
        assert_eq!(
            (&shown["state"], &shown["reason"], &run["core"]),
            (&json!("FAILED"), &json!("signal"), &json!(false))
        );
    }
}

#[test]
fn the_event_of_a_failure_has_the_last_10_lines() {
    let env = TestEnv::new();
    let id = shell(&env, &[], "seq 1 1000; printf 'no line end' >&2; exit 1");
    let fine = shell(&env, &[], "seq 1 10");
    let short = shell(&env, &[], "echo one; exit 1");
    assert_eq!(until_idle(&env, 1), 1);
    let mut expected: Vec<String> = (992..=1000).map(|line| line.to_string()).collect();
    expected.push("no line end".to_owned());
    assert_eq!(ends(&env, id)[0]["data"]["output"], json!(expected));
    assert_eq!(ends(&env, short)[0]["data"]["output"], json!(["one"]));
    assert_eq!(ends(&env, fine)[0]["data"]["output"], Value::Null);
}

#[test]
fn what_cannot_be_started_has_failed_and_says_why() {
    let env = TestEnv::new();
    task(&env, "T", "exit 0", &[]);
    task(&env, "again", "exit 0", &["--retries", "1"]);
    let gone = [submit(&env, &["T"]), submit(&env, &["again"])];
    fs::remove_file(env.dir().join("T.sh")).unwrap();
    fs::remove_file(env.dir().join("again.sh")).unwrap();
    let unknown = submit(&env, &["--", "/no/such/program"]);
    let fine = submit(&env, &["--", "true"]);
    assert_eq!(until_idle(&env, 1), 1);
    for id in [gone[0], gone[1], unknown] {
        let shown = job(&env, id);
        assert_eq!((&shown["state"], &shown["reason"]), (&json!("FAILED"), &json!("could_not_start")), "{shown}");
        assert_eq!((&shown["exit_code"], &shown["signal"]), (&Value::Null, &Value::Null));
        assert!(
            shown["message"].as_str().unwrap().contains(if id == unknown { "/no/such/program" } else { ".sh" }),
            "{shown}"
        );
    }
    assert_eq!(job(&env, gone[1])["attempt"], 2, "it may come back");
    assert_eq!(state(&env, fine), "JOB_FINISHED", "the slot goes on");
}

#[test]
fn run_again_it_has_all_its_retries_again_and_its_attempts_count_on() {
    let env = TestEnv::new();
    task(&env, "T", "echo attempt $JOBEXEC_ATTEMPT; exit 1", &["--retries", "1"]);
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env, 1), 1);
    does(&env, "rerun", id);
    assert_eq!(state(&env, id), "RESTART_READY");
    assert_eq!(until_idle(&env, 1), 1);
    assert_eq!(job(&env, id)["attempt"], 4);
    for attempt in 1..=4 {
        assert_eq!(env.read(&format!("jobs/{id}/run-{attempt}.txt")), format!("attempt {attempt}\n"));
    }
}

#[test]
fn a_follower_that_had_used_its_retries_has_them_again_when_its_parent_is_run_again() {
    let env = TestEnv::new();
    task(&env, "T", "[ $JOBEXEC_ATTEMPT = 4 ]", &["--retries", "1"]);
    let parent = submit(&env, &["--", "true"]);
    let child = submit(&env, &["T", "--after", &parent.to_string()]);
    assert_eq!(until_idle(&env, 1), 1);
    assert_eq!((state(&env, child).as_str(), &job(&env, child)["attempt"]), ("FAILED", &json!(2)));
    does(&env, "rerun", parent);
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!((state(&env, child).as_str(), &job(&env, child)["attempt"]), ("JOB_FINISHED", &json!(4)));
}

#[test]
fn a_job_in_its_wait_can_be_cancelled_and_does_not_come_back() {
    let env = TestEnv::new();
    task(&env, "T", "exit 4", &["--retries", "3", "--backoff-first", "1h"]);
    let id = submit(&env, &["T"]);
    let night = slots(&env, 1);
    until_state(&env, id, "RESTART_READY");
    does(&env, "cancel", id);
    let shown = job(&env, id);
    assert_eq!((&shown["state"], &shown["exit_code"]), (&json!("CANCELLED"), &json!(4)), "its exit is kept");
    assert_eq!((&shown["not_before"], &shown["next_retry"]), (&Value::Null, &Value::Null));
    night.end(15);
    assert_eq!(until_idle(&env, 1), 0, "there is nothing left that it would wait for");
}

#[test]
fn without_output_nothing_is_kept() {
    let env = TestEnv::new();
    let silent = submit(&env, &["--", "true"]);
    let unkept = shell(&env, &["--no-output"], "echo lost; exit 1");
    assert_eq!(until_idle(&env, 1), 1);
    for id in [silent, unkept] {
        let said = env.ok(&["job", "log", &id.to_string()]);
        assert!(said.out.is_empty() && said.err.contains("has no output"), "{said:?}");
        assert!(!env.file(&format!("jobs/{id}")).exists());
    }
    until("the state", || state(&env, unkept) == "FAILED");
}

#[test]
fn what_a_job_lasted_are_its_runs_and_not_the_waits_between() {
    let env = TestEnv::new();
    task(&env, "T", "exit 1", &["--retries", "2", "--backoff-first", "300ms", "--backoff-jitter", "0"]);
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env, 1), 1);
    let sql = "SELECT lasted FROM runs WHERE kind = 'main' AND outcome = 'exit_code'";
    let lasted = query(&env, sql, |row| row.get::<_, i64>(0));
    assert_eq!(lasted.len(), 3, "{lasted:?}");
    let took = lasted.iter().sum::<i64>() as f64 / 1e6;
    let took =
        if took < 1.0 { format!("{}ms", (took * 1e6).round() as u64 / 1000) } else { format!("{}s", took as u64) };
    let card = env.ok(&["job", "show", &id.to_string()]).out;
    assert!(card.contains(&format!("ran for  {took}\n")), "{took}: {card}");
    assert!(env.ok(&["jobs"]).out.contains(&format!("  {took}  ")), "{took}");
}
