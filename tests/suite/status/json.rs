//! JSON: which keys, of which types, an array or an object, and nothing else on standard output.

use std::collections::BTreeSet;

use serde_json::Value;

use super::keys;
use crate::suite::env::{TestEnv, until};

const TASK: &str =
    "name exec_id script command shell args wd env restart period cron start tz enabled timeout retries tags added";
const STATUS: &str =
    "state wanted running pid started uptime restarts crash_looping next_retry next_run last_pid last_exit log";
const RUN: &str = "run_id job kind attempt pid scheduled started ended outcome exit_code signal core reason log cpu_seconds \
                   max_rss_bytes";

fn words(text: &str) -> BTreeSet<&str> {
    text.split_whitespace().collect()
}

#[track_caller]
fn has(object: &Value, expected: &str) {
    let (found, expected) = (keys(object), words(expected));
    assert!(found.is_superset(&expected), "{:?} are missing", expected.difference(&found).collect::<Vec<_>>());
}

/// RFC 3339 in UTC.
#[track_caller]
fn is_time(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is no time"));
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z') && text.len() <= 30, "{text}");
    text.parse::<jiff::Timestamp>().unwrap();
}

/// One task that runs, one that has failed, one never started, one scheduled.
fn several() -> TestEnv {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "xg15"]);
    env.ok(&["add", "run", "--env", "A=1", "--timeout", "2h", "--now", "--", "sleep", "60"]);
    env.ok(&["add", "fail", "--restart", "never", "--now", "--", "sh", "-c", "echo x; exit 3"]);
    env.ok(&["add", "new", "x.sh", "arg"]);
    env.ok(&["add", "when", "--period", "2 min", "--start", "2021-02-27 12:50:00", "--tz", "UTC", "--", "true"]);
    until("its end", || env.state("fail") == "failed");
    env
}

#[test]
fn what_lists_is_an_array_and_what_shows_one_is_an_object() {
    let env = several();
    for (line, array) in [
        ("", true),
        ("status", true),
        ("status run fail", true),
        ("list", true),
        ("history run", true),
        ("log", true),
        ("check", true),
        ("status run", false),
        ("show run", false),
        ("explain run", false),
    ] {
        let args: Vec<&str> = line.split_whitespace().collect();
        let value = env.json(&args);
        assert_eq!(value.is_array(), array, "{line:?}: {value}");
        assert_eq!(value.is_object(), !array, "{line:?}: {value}");
    }
    assert_eq!(env.json(&["status"]).as_array().unwrap().len(), 4);
    assert_eq!(env.json(&["history", "new"]), Value::Array(vec![]));
    env.ok(&["stop", "run"]);
}

#[test]
fn a_task_has_its_keys_and_types() {
    let env = several();
    for task in env.json(&["list"]).as_array().unwrap().iter().chain([&env.json(&["show", "run"])]) {
        has(task, TASK);
        assert_eq!(task["exec_id"], "xg15");
        assert!(
            task["args"].is_array()
                && task["env"].is_object()
                && task["tags"].is_object()
                && task["enabled"].is_boolean()
        );
        is_time(&task["added"]);
    }
    let run = env.json(&["show", "run"]);
    assert_eq!(run["timeout"], 7200.0, "durations are seconds");
    assert_eq!(run["command"], serde_json::json!(["sleep", "60"]));
    assert!(run["script"].is_null() && run["shell"].is_null() && run["period"].is_null() && run["retries"].is_null());
    env.ok(&["stop", "run"]);
}

#[test]
fn a_status_has_its_keys_and_types() {
    let env = several();
    for status in env.json(&["status"]).as_array().unwrap().iter().chain([&env.status("run")]) {
        has(status, TASK);
        has(status, STATUS);
        let running = status["name"] == "run";
        assert_eq!(status["pid"].is_i64(), running, "null where nothing runs: {status}");
        assert_eq!((status["started"].is_string(), status["uptime"].is_f64()), (running, running), "{status}");
        assert!(
            status["wanted"].is_boolean() && status["running"].is_boolean() && status["crash_looping"].is_boolean()
        );
        assert!(status["restarts"].is_u64() && status["log"].is_string());
    }
    is_time(&env.status("run")["started"]);
    let failed = env.status("fail");
    assert!(failed["last_pid"].is_i64() && failed["last_exit"] == 3, "{failed}");
    env.ok(&["stop", "run"]);
}

#[test]
fn a_run_has_its_keys_and_types() {
    let env = several();
    for name in ["run", "fail"] {
        let run = &env.history(name)[0];
        has(run, RUN);
        let id = run["run_id"].as_str().unwrap();
        assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
        assert!(run["job"].is_u64() && run["attempt"] == 1 && run["pid"].is_u64() && run["kind"] == "main");
        assert!(run["scheduled"].is_null() && run["core"] == false);
        is_time(&run["started"]);
    }
    let run = &env.history("fail")[0];
    is_time(&run["ended"]);
    assert!(
        run["exit_code"] == 3 && run["signal"].is_null() && run["outcome"].is_string() && run["reason"].is_string()
    );
    assert!(run["cpu_seconds"].is_f64() && run["max_rss_bytes"].is_u64());
    env.ok(&["stop", "run"]);
    let run = &env.history("run")[0];
    assert_eq!(run["signal"], "SIGTERM", "signals are names");
}

#[test]
fn times_are_utc_whatever_the_zone() {
    let env = several();
    let output = env.command(&["status", "run", "--json"]).env("TZ", "JST-9").output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    is_time(&status["started"]);
    assert_eq!(status["started"], env.status("run")["started"]);
    let output = env.command(&["log", "-n", "1"]).env("TZ", "JST-9").output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert_ne!(line, env.ok(&["log", "-n", "1"]).out, "people read local time");
    env.ok(&["stop", "run"]);
}

#[test]
fn warnings_are_no_data() {
    let env = several();
    env.ok(&["stop", "run"]);
    let good = env.read("jobexec.toml");
    std::fs::write(env.file("jobexec.toml"), good + "oops\n").unwrap();
    for line in ["status", "list", "history fail", "status fail", "explain fail", "show run"] {
        let args: Vec<&str> = line.split(' ').chain(["--json"]).collect();
        let said = env.run(&args);
        serde_json::from_str::<Value>(&said.out).unwrap_or_else(|error| panic!("{line}: {error}: {said:?}"));
        assert!(said.err.contains("error: ") && !said.out.contains("error: "), "{line}: {said:?}");
    }
    let said = env.fails(4, &["status", "NOPE", "--json"]);
    assert_eq!(said.out, "", "a failure is no data");
}
