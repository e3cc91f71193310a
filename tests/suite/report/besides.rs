//! report: jobs that failed though no run of their own had, by a hook or by a transfer.

use std::fs;

use serde_json::{Value, json};

use super::names;
use crate::suite::env::{TestEnv, until};
use crate::suite::supervisor::Night;

/// An input that cannot be brought.
const NOWHERE: &str = "transfers.data = { direction = \"in\", local = \"data\", remote = \"/no/such/file\" }";

/// Defines tasks, each by a name, a line for the shell and a further field.
fn define(env: &TestEnv, tasks: &[(&str, &str, &str)]) {
    env.ok(&["init"]);
    let defined = |(name, shell, field): &(&str, &str, &str)| format!("\n[task.{name}]\nshell = '{shell}'\n{field}\n");
    let text: String = tasks.iter().map(defined).collect();
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + &text).unwrap();
}

/// Starts tasks that are not kept alive, and has them come to their ends.
fn run_all(env: &TestEnv, names: &[&str]) {
    env.ok(&[&["start"], names].concat());
    assert_eq!(Night::with(env, &["--until-idle"]).ended().0, Some(1));
}

fn of<'a>(list: &'a Value, task: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|one| one["task"] == task).unwrap_or(&Value::Null)
}

#[test]
fn a_hook_or_transfer_that_fails_is_a_failure_of_its_task() {
    let env = TestEnv::new();
    let post = "restart = \"never\"\nhooks.postprocess = \"echo why; exit 3\"";
    let pre = "restart = \"never\"\nhooks.preprocess = \"exit 4\"";
    let input = format!("restart = \"never\"\n{NOWHERE}");
    define(&env, &[("post", "true", post), ("pre", "true", pre), ("input", "true", &input)]);
    run_all(&env, &["post", "pre", "input"]);
    let report = env.json(&["report"]);
    assert_eq!(json!([report["ok"], report["never_ran"], report["recovered"]]), json!([false, [], []]));
    let failed = |task: &str| {
        let failure = of(&report["failed"], task);
        let job = env.json(&["job", "show", &failure["job"].to_string()]);
        assert_eq!(job["runs"].as_array().unwrap().last().unwrap()["run_id"], failure["run_id"]);
        assert_eq!(job["message"], failure["reason"], "{failure}");
        json!([failure["kind"], failure["failures"], failure["outcome"]])
    };
    assert_eq!(failed("post"), json!(["postprocess", 1, "exit_code"]));
    assert_eq!(failed("pre"), json!(["preprocess", 1, "exit_code"]));
    assert_eq!(failed("input"), json!(["transfer", 1, "exit_code"]));
    assert_eq!(of(&report["failed"], "post")["output"], json!(["why"]));
    let ran = |task: &str| json!([of(&report["ran"], task)["runs"], of(&report["ran"], task)["failures"]]);
    assert_eq!(json!([ran("post"), ran("pre"), ran("input")]), json!([[1, 1], [0, 1], [0, 1]]));
    let said = env.ok(&["report"]);
    assert!(said.out.starts_with("3 of 3 tasks failed since "), "{said:?}");
    assert!(said.out.contains("its hook postprocess failed: exit code 3"), "{said:?}");
    let first = &report["wrong"][0]["task"].as_str().unwrap();
    let hint = format!("`jobexec job show {}` shows its runs", of(&report["failed"], first)["job"]);
    assert!(said.err.contains(&hint) && !said.err.contains("jobexec tail"), "{said:?}");
    let explained = env.ok(&["explain", "post"]);
    assert!(!(explained.out + &explained.err).contains("jobexec tail"), "its own run is not what failed");
}

#[test]
fn a_failed_run_counts_once_whatever_its_hook_says() {
    let env = TestEnv::new();
    let handled = "restart = \"never\"\nhooks.handle_error = \"exit 5\"";
    define(&env, &[("A", "echo oops; exit 3", handled)]);
    run_all(&env, &["A"]);
    let failure = env.json(&["report"])["failed"][0].clone();
    let found = json!([failure["kind"], failure["failures"], failure["reason"], failure["output"]]);
    assert_eq!(found, json!(["main", 1, "exit code 3", ["oops"]]));
}

#[test]
fn a_hook_that_says_that_its_job_failed_has_failed_it() {
    let env = TestEnv::new();
    let jobexec = env!("CARGO_BIN_EXE_jobexec");
    let says = format!("restart = \"never\"\nhooks.postprocess = \"{jobexec} job set-state FAILED -m 'too small'\"");
    define(&env, &[("A", "true", &says)]);
    run_all(&env, &["A"]);
    let failure = env.json(&["report"])["failed"][0].clone();
    assert_eq!(json!([failure["kind"], failure["reason"]]), json!(["postprocess", "too small"]));
}

#[test]
fn what_its_schedule_runs_has_failed_and_not_never_run() {
    let env = TestEnv::new();
    let post = "period = \"1 s\"\nhooks.postprocess = \"exit 3\"";
    define(&env, &[("post", "true", post), ("input", "true", &format!("period = \"1 s\"\n{NOWHERE}"))]);
    let _night = Night::begin(&env);
    env.ok(&["start", "post", "input"]);
    let both = |report: &Value| names(&report["failed"]).len() == 2;
    until("both to fail", || both(&env.json(&["report"])));
    let report = env.json(&["report"]);
    assert_eq!(json!([report["ok"], report["never_ran"]]), json!([false, []]));
    assert!(report["verdict"].as_str().unwrap().starts_with("2 of 2 tasks failed since "), "{report}");
    let said = env.ok(&["report"]);
    assert!(said.err.contains("hint: `jobexec job show "), "{said:?}");
    let history = env.history("post");
    let [hook, own] = ["postprocess", "main"].map(|kind| {
        let mut of_kind = history.iter().filter(|run| run["kind"] == kind);
        of_kind.next_back().unwrap()
    });
    assert!(own["scheduled"].is_string(), "{own}");
    assert_eq!(json!([hook["job"], hook["scheduled"], hook["late"]]), json!([own["job"], own["scheduled"], null]));
}
