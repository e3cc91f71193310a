//! report: what can be asked of it, how it looks, how long it takes.

use std::fs;
use std::time::Instant;

use serde_json::json;

use super::{HOUR, age, database, earlier_runs, micros_now, names, run, run_again};
use crate::suite::docs::{document, first_column, keys};
use crate::suite::env::{PATIENCE, TestEnv, until};
use crate::suite::status::on_terminal;

#[test]
fn a_time_that_cannot_be_looked_back_to_is_refused_with_examples() {
    let env = TestEnv::new();
    for text in ["soon", "8", "25:00", "1 month"] {
        let said = env.fails(2, &["report", "--since", text]);
        assert!(said.err.contains(&format!("`{text}` is not a time to look back to")), "{said:?}");
        assert!(said.err.contains("--since 22:00") && said.err.contains("`8h`"), "{said:?}");
    }
    let said = env.fails(2, &["report", "--since", "2999-01-01"]);
    assert!(said.err.contains("is in the future"), "{said:?}");
}

#[test]
fn the_time_is_taken_as_it_was_said() {
    let env = TestEnv::new();
    run(&env, "A", "exit 1");
    age(&env, 5);
    assert_eq!(names(&env.json(&["report", "--since", "6h"])["failed"]), ["A"]);
    assert!(names(&env.json(&["report", "--since", "4h"])["failed"]).is_empty());
    let report = env.json(&["report", "--since", "2020-02-01 22:00"]);
    assert_eq!(report["since"], "2020-02-01T22:00:00Z");
    assert_eq!(report["ran"][0]["runs"], 1);
    let since: jiff::Timestamp = env.json(&["report"])["since"].as_str().unwrap().parse().unwrap();
    let until: jiff::Timestamp = env.json(&["report"])["until"].as_str().unwrap().parse().unwrap();
    let hours = until.duration_since(since).as_secs_f64() / 3600.0;
    assert!((12.0..12.1).contains(&hours), "{hours}");
}

#[test]
fn where_there_is_no_executor_there_is_nothing_to_report_and_none_is_made() {
    let env = TestEnv::new();
    assert!(env.ok(&["report"]).out.starts_with("Nothing ran since "));
    let report = env.json(&["report"]);
    assert_eq!(json!([report["ok"], report["exec_id"], report["disk"]]), json!([true, null, null]));
    assert!(!env.folder().exists());
}

#[test]
fn an_end_that_nobody_can_write_down_is_reported_all_the_same() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--restart", "never", "--", "sh", "-c", "exit 4"]);
    env.ok(&["start", "A"]);
    until("its end", || fs::read_dir(env.file("runs")).unwrap().count() == 0 || env.processes().is_empty());
    // Another process writes, and goes on doing so.
    let db = database(&env);
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(names(&env.json(&["report"])["failed"]), ["A"]);
    assert!(env.ok(&["report"]).out.contains("exit code 4"));
    db.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn it_fits_a_terminal_of_eighty_columns_and_one_of_two_hundred() {
    let env = TestEnv::new();
    run(&env, &"a".repeat(60), "echo; printf '%0300d\\n' 7; exit 3");
    run(&env, "LOL", "exit 3");
    for columns in [80, 200] {
        let text = on_terminal(&env, columns, &[("NO_COLOR", "1")], &["report"]);
        assert!(text.starts_with("2 of 2 tasks failed since "), "{text}");
        let page = text.split("hint: ").next().unwrap();
        for line in page.lines().filter(|line| !line.starts_with("# ")) {
            assert!(line.chars().count() <= usize::from(columns), "{columns}: {line:?}");
        }
    }
}

#[test]
fn a_night_of_a_hundred_thousand_runs_is_reported_at_once() {
    let env = TestEnv::new();
    run(&env, "A", "exit 3");
    let sql = "
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
        INSERT INTO runs (id, job, task, kind, attempt, asked_by, claimed, started, ended, outcome, exit_code, reason,
            lasted, memory, archive)
        SELECT printf('%032x', i), 1, 'A', 'main', i + 1, 'supervisor', ?1 + i * 1000, ?1 + i * 1000, ?1 + i * 1000 + 900,
            'exit_code', 3, 'exit code 3', 900, 1000, 'A-' || i FROM n";
    let events = "
        INSERT INTO events (time, job, task, before, after, cause, data)
        SELECT ended, job, task, 'RUNNING', 'RESTART_READY', 'ended', json_object('run', id, 'output', json_array('x')) FROM runs";
    let mut db = database(&env);
    let tx = db.transaction().unwrap();
    tx.execute(sql, [micros_now() - HOUR]).unwrap();
    tx.execute(events, []).unwrap();
    tx.commit().unwrap();
    let start = Instant::now();
    let report = env.json(&["report"]);
    // A release build takes less than half a second; this is none, and others want the processor too.
    assert!(start.elapsed() < PATIENCE / 6, "{:?}", start.elapsed());
    assert_eq!(json!([report["ran"][0]["runs"], report["failed"][0]["failures"]]), json!([100_001, 100_001]));
    assert_eq!(report["failed"][0]["output"], json!(["x"]));
}

#[test]
fn queued_jobs_are_part_of_how_it_went() {
    let env = TestEnv::new();
    env.ok(&["submit", "--", "true"]);
    env.ok(&["keep-restarting", "--until-idle"]);
    let page = env.ok(&["report"]).out;
    assert!(page.starts_with("All well since ") && page.contains(": 1 queued job ran, none failed."), "{page}");
    env.ok(&["submit", "--", "sh", "-c", "exit 3"]);
    env.ok(&["submit", "--after", "2", "--", "true"]);
    env.fails(1, &["keep-restarting", "--until-idle"]);
    let report = env.json(&["report"]);
    assert_eq!(report["ok"], false);
    assert_eq!(report["queued"], json!({ "finished": 1, "failed": 1, "blocked": 1, "first_failed": 2 }));
    let page = env.ok(&["report"]).out;
    let verdict = report["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("No task failed since "), "{verdict}");
    assert!(verdict.ends_with(", but 1 queued job failed, 1 queued job is blocked"), "{verdict}");
    assert!(page.contains("1 of 2 failed, job 2 at ") && page.contains(": exit code 3"), "{page}");
    assert!(page.contains("1 is blocked: see `jobexec jobs 'state = BLOCKED'`"), "{page}");
}

#[test]
fn another_jobs_success_is_no_recovery_and_its_own_is() {
    let env = TestEnv::new();
    env.ok(&["add", "fit", "--", "sh", "-c", "exit {{rc}}"]);
    env.ok(&["submit", "fit", "-p", "rc=4"]);
    env.ok(&["submit", "fit", "-p", "rc=0", "--after", "1"]);
    env.ok(&["submit", "fit", "-p", "rc=0"]);
    env.fails(1, &["keep-restarting", "--until-idle"]);
    let report = env.json(&["report"]);
    assert_eq!(report["recovered"], json!([]));
    assert_eq!(report["queued"], json!({ "finished": 1, "failed": 1, "blocked": 1, "first_failed": 1 }));
    let verdict = report["verdict"].as_str().unwrap();
    assert!(verdict.contains(", 1 queued job failed, 1 queued job is blocked; fit failed at "), "{verdict}");
    // It is run again, and does better.
    env.ok(&["edit", "fit", "--", "true"]);
    env.ok(&["job", "rerun", "1"]);
    env.ok(&["keep-restarting", "--until-idle"]);
    assert_eq!(env.json(&["report"])["recovered"][0]["task"], "fit");
}

#[test]
fn every_key_of_the_report_is_documented() {
    let env = TestEnv::new();
    run(&env, "A", "exit 3");
    run(&env, "B", "test -e fixed");
    fs::write(env.dir().join("fixed"), "").unwrap();
    run_again(&env, "B");
    env.ok(&["add", "C", "--period", "week", "--", "true"]);
    age(&env, 2);
    earlier_runs(&env, "B", 30, &[1, 1, 1, 1, 1]);
    earlier_runs(&env, "B", 1, &[600]);
    let db = database(&env);
    let notice = "INSERT INTO notices (made, occasion, task, job, channel, message, attempts) VALUES (1, 'failure', 'A', 1, '{}', '{}', 3)";
    db.execute(notice, []).unwrap();
    let missed = "INSERT INTO occurrences (task, due, decided, decision, reason, count)
                  VALUES ('C', ?1, ?1, 'missed', 'nobody was there', 'more than 7'), ('C', ?2, ?1, 'missed', 'why', NULL)";
    db.execute(missed, [micros_now() - HOUR, micros_now() - HOUR / 2]).unwrap();
    let page = env.ok(&["report"]).out;
    assert!(page.contains("C  more than 8 times, last at ") && page.contains(": why"), "{page}");
    assert!(env.json(&["report"])["verdict"].as_str().unwrap().contains(", 1 missed scheduled runs"), "{page}");
    let document = document("docs/json.md");
    let mut report = env.json(&["report"]);
    for (list, headline) in [
        ("wrong", "What is wrong"),
        ("messages", "A message that was not delivered"),
        ("failed", "A failure"),
        ("recovered", "A recovery"),
        ("slow", "What was slow"),
        ("never_ran", "What never ran"),
        ("missed", "What was missed"),
        ("ran", "What ran"),
    ] {
        assert_eq!(keys(&report[list][0]), first_column(&document, headline), "{list}");
    }
    for inner in ["supervisor", "disk"] {
        assert!(report[inner].is_object());
    }
    // What is in lists of objects has been looked at; the rest has a row of its own.
    report["ran"] = json!([]);
    assert_eq!(keys(&report), first_column(&document, "A report"));
}
