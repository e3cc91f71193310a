//! report: the morning after, with real runs. What lies in the past is put there by hand.

mod besides;
mod page;

use std::fs;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::env::{TestEnv, until};

const HOUR: i64 = 3_600_000_000;

fn database(env: &TestEnv) -> Connection {
    Connection::open(env.file("jobexec.db")).unwrap()
}

fn micros_now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// Adds a task that is a line for the shell, and runs it to its end.
#[track_caller]
fn run(env: &TestEnv, name: &str, line: &str) {
    env.ok(&["add", name, "--restart", "never", "--", "sh", "-c", line]);
    run_again(env, name);
}

#[track_caller]
fn run_again(env: &TestEnv, name: &str) {
    let before = env.history(name).len();
    env.ok(&["start", name]);
    until("its end", || {
        let history = env.history(name);
        history.len() == before + 1 && history[0]["ended"].is_string()
    });
}

/// Moves everything that has happened so many hours into the past.
fn age(env: &TestEnv, hours: i64) {
    let by = hours * HOUR;
    let sql = format!(
        "UPDATE runs SET claimed = claimed - {by}, started = started - {by}, ended = ended - {by};
         UPDATE events SET time = time - {by};
         UPDATE jobs SET ended = ended - {by}, created = created - {by};
         UPDATE tasks SET looping_since = looping_since - {by};"
    );
    database(env).execute_batch(&sql).unwrap();
}

/// Has each run of a task have lasted so many seconds until its end.
fn have_lasted(env: &TestEnv, name: &str, seconds: i64) {
    let sql = "UPDATE runs SET claimed = ended - ?2, started = ended - ?2, lasted = ?2 WHERE task = ?1";
    database(env).execute(sql, (name, seconds * 1_000_000)).unwrap();
}

/// Gives a task runs of these durations, in seconds, each of which ended so many hours ago.
fn earlier_runs(env: &TestEnv, name: &str, hours: i64, durations: &[i64]) {
    let db = database(env);
    let job: i64 = db.query_row("SELECT max(id) FROM jobs WHERE task = ?1", [name], |row| row.get(0)).unwrap();
    for (at, seconds) in durations.iter().enumerate() {
        let ended = micros_now() - hours * HOUR;
        let (lasted, archive) = (seconds * 1_000_000, format!("{name}-{hours}-{at}"));
        let id = format!("{:032x}", u128::from(ended.unsigned_abs()) << 64 | u128::from(at as u64 + 1));
        db.execute(
            "INSERT INTO runs (id, job, task, kind, attempt, asked_by, claimed, started, ended, outcome, exit_code, lasted,
             archive) VALUES (?1, ?2, ?3, 'main', 1, 'anna', ?4, ?4, ?5, 'success', 0, ?6, ?7)",
            (id, job, name, ended - lasted, ended, lasted, archive),
        )
        .unwrap();
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["task"].as_str().unwrap()).collect()
}

#[test]
fn a_good_night_is_told_in_one_sentence_and_a_table() {
    let env = TestEnv::new();
    run(&env, "A", "true");
    run(&env, "B", "true");
    run_again(&env, "B");
    have_lasted(&env, "A", 3);
    have_lasted(&env, "B", 2);
    let said = env.ok(&["report"]);
    assert!(said.out.starts_with("All well since ") && said.out.contains(": 2 tasks ran, none failed.\n"), "{said:?}");
    let headlines: Vec<&str> =
        said.out.lines().filter(|line| line.starts_with(|c: char| c.is_uppercase())).skip(1).collect();
    assert_eq!(headlines, ["Ran", "Disk"]);
    let report = env.json(&["report"]);
    assert_eq!(json!([report["ok"], report["wrong"], report["failed"]]), json!([true, [], []]));
    assert_eq!(names(&report["ran"]), ["B", "A"], "what took longest all in all comes first");
    assert_eq!(json!([report["ran"][0]["runs"], report["ran"][0]["failures"]]), json!([2, 0]));
    assert!(said.err.is_empty(), "{said:?}");
}

#[test]
fn what_failed_is_told_in_the_order_in_which_it_did_with_its_last_lines() {
    let env = TestEnv::new();
    run(&env, "first", "echo one; echo two; exit 3");
    age(&env, 2);
    run(&env, "second", "echo other; kill -KILL $$");
    run(&env, "good", "true");
    age(&env, 2);
    run_again(&env, "first");
    let report = env.json(&["report"]);
    assert_eq!(report["ok"], false);
    let failed = &report["failed"];
    assert_eq!(names(failed), ["first", "second"]);
    assert_eq!(json!([failed[0]["failures"], failed[0]["output"]]), json!([2, ["one", "two"]]));
    assert_eq!(json!([failed[1]["reason"], failed[1]["output"]]), json!(["killed by SIGKILL", ["other"]]));
    assert_eq!(names(&report["wrong"]), ["second", "first"], "what is down longest comes first");
    let said = env.ok(&["report"]);
    let verdict = said.out.lines().next().unwrap();
    assert!(verdict.starts_with("2 of 3 tasks failed since "), "{verdict}");
    assert!(verdict.contains(", 2 are down; first failed first, at "), "{verdict}");
    assert!(said.out.contains("first   exit code 3; failed 2 times until "), "{said:?}");
    assert!(said.out.contains("│ one\n    │ two\n"), "{said:?}");
    assert!(said.err.contains("hint: `jobexec explain second`"), "{said:?}");
}

#[test]
fn what_somebody_stopped_has_not_failed() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--now", "--", "sleep", "60"]);
    env.ok(&["stop", "A"]);
    let report = env.json(&["report"]);
    assert_eq!(json!([report["ok"], report["failed"], report["ran"][0]["failures"]]), json!([true, [], 0]));
}

#[test]
fn what_failed_before_and_is_down_still_comes_last() {
    let env = TestEnv::new();
    run(&env, "old", "exit 1");
    age(&env, 40);
    run(&env, "new", "exit 1");
    let report = env.json(&["report"]);
    assert_eq!(names(&report["failed"]), ["new"]);
    assert_eq!(names(&report["wrong"]), ["new", "old"]);
    assert_eq!(json!([report["wrong"][0]["before"], report["wrong"][1]["before"]]), json!([false, true]));
    assert!(report["verdict"].as_str().unwrap().contains("1 has been down for longer"), "{report}");
    assert_eq!(names(&env.json(&["report", "--since", "3 days"])["failed"]), ["old", "new"]);
}

#[test]
fn what_succeeded_after_it_failed_has_recovered() {
    let env = TestEnv::new();
    run(&env, "A", "test -e fixed");
    age(&env, 1);
    fs::write(env.dir().join("fixed"), "").unwrap();
    run_again(&env, "A");
    let report = env.json(&["report"]);
    let one = &report["recovered"][0];
    assert_eq!(json!([one["task"], one["failures"], one["how"]]), json!(["A", 1, "succeeded"]));
    assert_eq!(report["wrong"], json!([]));
    assert!(report["verdict"].as_str().unwrap().contains("1 of 1 task failed since "), "{report}");
    assert!(env.ok(&["report"]).out.contains("\nRecovered\n  A  failed at "));
}

#[test]
fn what_runs_since_its_crash_loop_has_recovered_and_what_still_loops_has_not() {
    let env = TestEnv::new();
    env.script("run.sh", "#!/bin/sh\ntest -e fixed || exit 1\nexec sleep 600\n");
    env.ok(&["add", "A", "run.sh", "--now"]);
    until("its failure", || env.history("A")[0]["ended"].is_string());
    age(&env, 1);
    let (db, since) = (database(&env), micros_now() - 2 * HOUR);
    let event = "INSERT INTO events (time, job, task, cause) VALUES (?1, 1, 'A', ?2)";
    db.execute(event, (since, "crash_looping")).unwrap();
    db.execute("UPDATE tasks SET looping_since = ?1", [since]).unwrap();
    // Nobody is there to start it again; somebody does so by hand, and it breaks again.
    let report = env.json(&["report"]);
    assert_eq!(json!([report["wrong"][0]["what"], report["wrong"][0]["failures"]]), json!(["unsupervised", 1]));
    fs::write(env.dir().join("fixed"), "").unwrap();
    env.ok(&["start", "A"]);
    db.execute("UPDATE tasks SET looping_since = ?1", [since]).unwrap();
    assert_eq!(env.json(&["report"])["wrong"][0]["what"], "crash-looping");
    db.execute("UPDATE tasks SET looping_since = NULL", []).unwrap();
    db.execute(event, (micros_now() - HOUR / 2, "recovered")).unwrap();
    let report = env.json(&["report"]);
    assert_eq!(report["wrong"], json!([]));
    let crash_loop = &report["recovered"][0]["crash_loop"];
    assert!(crash_loop["since"].is_string() && crash_loop["until"].is_string(), "{report}");
    assert!(env.ok(&["report"]).out.contains("crash-looped from "));
}

#[test]
fn what_took_more_than_twice_the_usual_time_was_slow() {
    let env = TestEnv::new();
    for name in ["slow", "young", "steady", "going"] {
        run(&env, name, "true");
    }
    age(&env, 40);
    for name in ["slow", "steady"] {
        earlier_runs(&env, name, 30, &[600, 610, 590, 605, 10_000]);
    }
    earlier_runs(&env, "young", 30, &[600, 600]);
    earlier_runs(&env, "slow", 3, &[3000, 620, 1500]);
    earlier_runs(&env, "young", 3, &[3000]);
    earlier_runs(&env, "steady", 3, &[1150]);
    earlier_runs(&env, "going", 20, &[1, 1, 1, 1, 1]);
    let report = env.json(&["report"]);
    let slow = &report["slow"][0];
    assert_eq!(names(&report["slow"]), ["slow"]);
    assert_eq!(
        json!([slow["duration"], slow["usual"], slow["runs"], slow["running"]]),
        json!([3000.0, 602.5, 2, false])
    );
    let text = env.ok(&["report"]).out;
    assert!(text.contains("slow  took 50m instead of 10m 2s, ended at "), "{text}");
    assert!(text.contains("as one of 2 slow runs"), "{text}");
    env.ok(&["edit", "going", "--", "sleep", "600"]);
    env.ok(&["start", "going"]);
    until("it to be slow", || names(&env.json(&["report"])["slow"]).contains(&"going"));
    assert!(env.ok(&["report"]).out.contains("going  has been running for "));
}

#[test]
fn what_is_wanted_or_scheduled_and_did_not_run_is_named() {
    let env = TestEnv::new();
    run(&env, "ran", "true");
    env.ok(&["add", "unarmed", "--period", "week", "--", "true"]);
    // It is due once a day, half a day from now.
    let start = jiff::Timestamp::from_second((micros_now() - 60 * HOUR) / 1_000_000).unwrap().to_string();
    env.ok(&["add", "armed", "--period", "day", "--start", &start, "--tz", "UTC", "--", "true"]);
    env.ok(&["start", "armed"]);
    env.ok(&["add", "idle", "--", "true"]);
    assert_eq!(names(&env.json(&["report"])["never_ran"]), ["unarmed"], "nothing was due since it was armed");
    let armed_before =
        format!("UPDATE tasks SET wanted_since = wanted_since - {0}, seen_at = seen_at - {0}", 48 * HOUR);
    database(&env).execute_batch(&armed_before).unwrap();
    let report = env.json(&["report", "--since", "30h"]);
    assert_eq!(names(&report["never_ran"]), ["unarmed", "armed"]);
    assert_eq!(json!([report["never_ran"][0]["wanted"], report["never_ran"][1]["wanted"]]), json!([false, true]));
    assert_eq!(report["wrong"][0]["what"], "unsupervised");
    let text = env.ok(&["report"]).out;
    assert!(text.contains("unarmed  scheduled (week), but not armed: `jobexec start unarmed` arms it"), "{text}");
    assert!(text.contains("armed  unsupervised  wanted, and no supervisor is running to start it"), "{text}");
}

#[test]
fn an_orphan_is_wrong_now() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--now", "--", "sleep", "600"]);
    super::env::kill(env.worker_of("A"), 9);
    env.wait_for_state("A", "orphaned");
    let report = env.json(&["report"]);
    assert_eq!(json!([report["wrong"][0]["task"], report["wrong"][0]["what"]]), json!(["A", "orphaned"]));
    assert!(report["verdict"].as_str().unwrap().ends_with(", but 1 is orphaned"), "{report}");
}

#[test]
fn what_was_given_up_and_what_has_stalled_are_wrong_now() {
    let env = TestEnv::new();
    run(&env, "A", "exit 3");
    env.ok(&["add", "B", "--now", "--", "sleep", "600"]);
    let db = database(&env);
    db.execute("UPDATE jobs SET code = 'gave_up' WHERE task = 'A'", []).unwrap();
    db.execute("UPDATE runs SET stalled = ?1 WHERE task = 'B'", [micros_now()]).unwrap();
    let report = env.json(&["report"]);
    assert_eq!(json!([report["wrong"][0]["what"], report["wrong"][1]["what"]]), json!(["given up", "stalled"]));
    let text = env.ok(&["report"]).out;
    assert!(text.contains(", 1 is down, 1 shows no sign of life; A failed at "), "{text}");
    assert!(text.contains(" after repeated failures: exit code 3\n"), "{text}");
}

#[test]
fn a_message_that_reached_nobody_is_told_with_the_reason() {
    let env = TestEnv::new();
    run(&env, "A", "true");
    let db = database(&env);
    let insert = "INSERT INTO notices (made, occasion, task, job, channel, message, state, attempts, not_before, ended)
                  VALUES (?1, 'failure', 'A', 1, '{}', '{}', ?2, 3, ?1, ?1)";
    for state in ["due", "given_up", "delivered"] {
        db.execute(insert, (micros_now() - HOUR, state)).unwrap();
    }
    db.execute(insert, (micros_now() - 50 * HOUR, "given_up")).unwrap();
    let event = "INSERT INTO events (time, job, task, cause, data) VALUES (?1, 1, 'A', 'notice_postponed', ?2)";
    db.execute(event, (micros_now() - HOUR, r#"{"notice": 1, "reason": "exit code 7"}"#)).unwrap();
    let report = env.json(&["report"]);
    let told = |at: usize, key: &str| report["messages"][at][key].clone();
    assert_eq!(json!([told(0, "given_up"), told(0, "reason"), told(0, "attempts")]), json!([false, "exit code 7", 3]));
    assert_eq!(json!([told(1, "given_up"), told(1, "reason"), told(2, "given_up")]), json!([true, null, null]));
    let said = env.ok(&["report"]);
    assert!(said.out.contains("but 2 messages were not delivered."), "{said:?}");
    assert!(said.out.contains("about A (failure) is not delivered after 3 attempts: exit code 7"), "{said:?}");
}

#[test]
fn the_supervisor_is_told_of_with_its_gaps() {
    let env = TestEnv::new();
    run(&env, "A", "true");
    assert_eq!(env.json(&["report"])["supervisor"]["running"], false);
    assert!(!env.ok(&["report"]).out.contains("Supervisor"), "nobody missed one");
    let (db, now) = (database(&env), micros_now());
    let event = "INSERT INTO events (time, cause, data) VALUES (?1, ?2, '{\"pid\": 7, \"place\": \"terminal\"}')";
    for (hours, cause) in [(20, "started"), (6, "stopped"), (5, "started"), (4, "stopped")] {
        db.execute(event, (now - hours * HOUR, format!("supervisor_{cause}"))).unwrap();
    }
    let last =
        "INSERT INTO supervisor (id, pid, slots, sleep, since, place) VALUES (1, 7, 1, 60000000, ?1, 'terminal')";
    db.execute(last, [now - 5 * HOUR]).unwrap();
    let report = env.json(&["report"]);
    let supervisor = &report["supervisor"];
    assert_eq!(json!([supervisor["starts"], supervisor["vanished"], supervisor["pid"]]), json!([1, 0, 7]));
    assert_eq!(supervisor["absent"].as_array().unwrap().len(), 2);
    assert!(supervisor["absent"][0]["until"].is_string() && supervisor["absent"][1]["until"].is_null());
    let text = env.ok(&["report"]).out;
    assert!(text.contains("Supervisor\n  none is running; the last came at "), "{text}");
    assert!(text.contains(" (1h)\n") && text.contains("nobody has been there since "), "{text}");
}
