//! Files of tasks and jobs: applied once, again, changed, and with mistakes.

use serde_json::{Value, json};

use crate::suite::env::{Said, TestEnv};

const FILE: &str = r#"
name = "pipeline"

# Fetches.
[task.fetch]
command = ["sh", "-c", "echo {{what}}"]
params.what.default = "all"

[task.fit]
command = ["true"]
restart = "never"
[task.fit.params]
rate = { type = "float", required = true }

[job.report]
shell = "echo done"
after = ["fit", "fetch:end"]
tags = { stage = "last" }
data = { n = 1 }

[job.fetch]
task = "fetch"
params = { what = "some" }
hold = true

[job.fit]
task = "fit"
params = { rate = 0.5 }
priority = 3
after = ["fetch"]
"#;

fn with(text: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("flow.toml", text, 0o644);
    env
}

#[track_caller]
fn apply(env: &TestEnv, more: &[&str]) -> Said {
    env.ok(&[&["apply", "flow.toml"], more].concat())
}

/// Works through the queue.
fn work(env: &TestEnv) {
    let said = env.run(&["keep-restarting", "--until-idle"]);
    assert!(said.code < 2, "{said:?}");
}

/// Changes a word of the file.
fn change(env: &TestEnv, from: &str, to: &str) {
    let text = std::fs::read_to_string(env.dir().join("flow.toml")).unwrap();
    assert!(text.contains(from), "{from}");
    env.write("flow.toml", &text.replacen(from, to, 1), 0o644);
}

fn jobs(env: &TestEnv, keys: &[&str]) -> Vec<Vec<Value>> {
    let jobs = env.json(&["jobs", "--order-by", "id"]);
    jobs.as_array().unwrap().iter().map(|job| keys.iter().map(|key| job[key].clone()).collect()).collect()
}

/// Everything that an apply may change.
fn all(env: &TestEnv) -> (String, Value, Value) {
    (env.read("jobexec.toml"), env.json(&["jobs"]), env.json(&["log"]))
}

#[test]
fn a_file_makes_its_tasks_and_jobs_in_order() {
    let env = with(FILE);
    let said = apply(&env, &[]);
    assert_eq!(said.out, "fetch 1\nfit 2\nreport 3\n");
    assert!(said.err.contains("Adding fetch\nAdding fit\n") && said.err.contains("no supervisor"), "{said:?}");
    let found = jobs(&env, &["task", "state", "held", "params", "priority"]);
    let expected = json!([
        ["fetch", "CREATED", true, { "what": "some" }, 0],
        ["fit", "AWAITING_PARENTS", false, { "rate": 0.5 }, 3],
        [null, "AWAITING_PARENTS", false, {}, 0]
    ]);
    assert_eq!(json!(found), expected);
    let report = env.json(&["job", "show", "3"]);
    assert_eq!(report["parents"], json!([{ "id": 1, "edge": "end" }, { "id": 2, "edge": "success" }]));
    assert_eq!(json!([report["tags"], report["data"]]), json!([{ "stage": "last" }, { "n": 1 }]));
    let registry = env.read("jobexec.toml");
    assert!(registry.contains("# Fetches.\n[task.fetch]\n"), "{registry}");
    let task = env.json(&["show", "fetch"]);
    assert_eq!(task["wd"].as_str().unwrap(), env.dir().canonicalize().unwrap().to_str().unwrap());
    assert!(!task["added"].is_null());
    env.ok(&["job", "release", "1"]);
    work(&env);
    assert!(jobs(&env, &["state"]).iter().all(|job| job[0] == "JOB_FINISHED"));
}

#[test]
fn applying_twice_changes_nothing_and_says_so() {
    let env = with(FILE);
    apply(&env, &[]);
    // What was done with the jobs since then is nobody's mistake.
    env.ok(&["job", "release", "1"]);
    env.ok(&["job", "update", "2", "--priority", "9"]);
    for more in [&[][..], &["--replace"], &["--dry-run"], &["--json"]] {
        let before = all(&env);
        let said = apply(&env, more);
        assert_eq!(all(&env), before, "{more:?}");
        if more.len() < 2 && !more.contains(&"--dry-run") {
            assert!(said.err.contains("3 jobs are there already"), "{said:?}");
        }
    }
    assert_eq!(apply(&env, &[]).out, "");
    // A name without regard to case, too.
    change(&env, "name = \"pipeline\"", "name = \"Pipeline\"");
    assert_eq!(apply(&env, &[]).out, "");
    change(&env, "name = \"Pipeline\"", "name = \"other\"");
    assert_eq!(apply(&env, &[]).out, "fetch 4\nfit 5\nreport 6\n", "another name, other jobs");
}

#[test]
fn a_dry_run_shows_the_plan_and_does_nothing() {
    let env = with(FILE);
    let plan = env.json(&["apply", "flow.toml", "--dry-run"]);
    assert!(!env.folder().exists(), "not even a folder");
    let changes = |plan: &Value| -> Value {
        let of = |list: &str| -> Vec<Value> {
            plan[list].as_array().unwrap().iter().map(|one| json!([one["name"], one["change"]])).collect()
        };
        json!([of("tasks"), of("jobs")])
    };
    let expected = json!([[["fetch", "new"], ["fit", "new"]], [["fetch", "new"], ["fit", "new"], ["report", "new"]]]);
    assert_eq!(changes(&plan), expected);
    assert_eq!(plan["jobs"][2]["after"], json!(["fit", "fetch:end"]));
    env.ok(&["init"]);
    let text = apply(&env, &["--dry-run"]).out;
    assert!(text.contains("job   report  new     fit, fetch:end\n"), "{text}");
    assert_eq!(json!(jobs(&env, &["id"])), json!([]));
    apply(&env, &[]);
    change(&env, "rate = 0.5", "rate = 0.7");
    let before = all(&env);
    env.fails(5, &["apply", "flow.toml", "--dry-run"]);
    let plan = env.json(&["apply", "flow.toml", "--dry-run", "--replace"]);
    let expected =
        json!([[["fetch", "same"], ["fit", "same"]], [["fetch", "same"], ["fit", "changed"], ["report", "same"]]]);
    assert_eq!(changes(&plan), expected);
    assert_eq!(all(&env), before);
}

#[test]
fn what_differs_is_refused_and_then_replaced_where_nothing_of_it_has_run() {
    let env = with(FILE);
    apply(&env, &[]);
    change(&env, "command = [\"true\"]", "command = [\"false\"]");
    change(&env, "tags = { stage = \"last\" }", "tags = { stage = \"first\" }");
    let before = all(&env);
    let said = env.fails(5, &["apply", "flow.toml"]);
    for word in ["task `fit` (command)", "job `report` (3, AWAITING_PARENTS)", "--replace"] {
        assert!(said.err.contains(word), "{word} in {said:?}");
    }
    assert_eq!(all(&env), before);
    let said = apply(&env, &["--replace"]);
    assert_eq!(said.out, "");
    for word in ["Replacing fit (command)", "job fit (2) is now", "job report (3) is now", "1 job is there already"] {
        assert!(said.err.contains(word), "{word} in {said:?}");
    }
    assert_eq!(env.json(&["show", "fit"])["command"], json!(["false"]));
    assert_eq!(env.json(&["job", "show", "3"])["tags"], json!({ "stage": "first" }));
    env.ok(&["job", "release", "1"]);
    work(&env);
    let states = jobs(&env, &["state"]).concat();
    assert_eq!(json!(states), json!(["JOB_FINISHED", "FAILED", "BLOCKED"]), "the new definition was run");
    // BLOCKED has not run: it takes what the file says now, and what has run is left.
    change(&env, "after = [\"fit\", \"fetch:end\"]", "after = [\"fetch:end\"]");
    change(&env, "rate = 0.5", "rate = 0.9");
    let said = apply(&env, &["--replace"]);
    assert!(said.err.contains("job fit (2) is FAILED and is left"), "{said:?}");
    assert_eq!(json!(jobs(&env, &["state"]).concat()), json!(["JOB_FINISHED", "FAILED", "PREPROCESSED"]));
}

#[test]
fn what_was_blocked_below_it_waits_again() {
    let env = with(
        "name = \"p\"\n[job.a]\nshell = \"false\"\n[job.b]\nshell = \"true\"\nafter = [\"a\"]\n[job.c]\nshell = \"true\"\nafter = [\"b\"]\n[job.d]\nshell = \"true\"\nafter = [\"c\"]\n",
    );
    apply(&env, &[]);
    work(&env);
    assert_eq!(json!(jobs(&env, &["state"]).concat()), json!(["FAILED", "BLOCKED", "BLOCKED", "BLOCKED"]));
    change(&env, "after = [\"a\"]", "after = [\"a:failure\"]");
    apply(&env, &["--replace"]);
    let states = json!(["FAILED", "PREPROCESSED", "AWAITING_PARENTS", "AWAITING_PARENTS"]);
    assert_eq!(json!(jobs(&env, &["state"]).concat()), states);
    work(&env);
    let states = json!(["FAILED", "JOB_FINISHED", "JOB_FINISHED", "JOB_FINISHED"]);
    assert_eq!(json!(jobs(&env, &["state"]).concat()), states);
}

#[test]
fn jobs_come_and_go_with_the_file() {
    let env = with(FILE);
    apply(&env, &[]);
    change(&env, "[job.report]", "[job.summary]");
    change(&env, "after = [\"fetch\"]", "after = [\"fetch\", \"extra:failure\"]\n[job.extra]\nshell = \"true\"");
    env.fails(5, &["apply", "flow.toml"]);
    let said = apply(&env, &["--replace"]);
    assert_eq!(said.out, "extra 4\nsummary 5\n");
    assert!(said.err.contains("note: job report (3, AWAITING_PARENTS) is no longer in the file"), "{said:?}");
    let fit = env.json(&["job", "show", "2"]);
    assert_eq!(fit["parents"], json!([{ "id": 1, "edge": "success" }, { "id": 4, "edge": "failure" }]), "a later job");
    assert!(env.ok(&["jobs", "--tree"]).out.contains(":failure 2"));
}

#[test]
fn mistakes_are_told_before_anything_is_done() {
    let env = TestEnv::new();
    env.ok(&["add", "count", "--", "echo", "{{n}}"]);
    let before = all(&env);
    for (text, words) in [
        ("[job.a]\nshell = \"true\"\n", &["`name` is missing"][..]),
        (
            "name = \"p\"\n[job.a]\nshell = \"true\"\nafetr = []\n",
            &["flow.toml:4:1", "unknown key `afetr`", "did you mean `after`?"],
        ),
        ("name = \"p\"\n[task.t]\ncommand = [\"true\"]\nretires = 2\n", &["flow.toml:4:1", "did you mean `retries`?"]),
        (
            "name = \"p\"\n[job.a]\ntask = \"cuont\"\n",
            &["flow.toml:3:8", "no task named `cuont`", "did you mean `count`?"],
        ),
        (
            "name = \"p\"\n[job.a]\ntask = \"count\"\n",
            &["flow.toml:2:6", "[job.a]: parameter `n` has no value", "params.n = "],
        ),
        (
            "name = \"p\"\n[job.a]\ntask = \"count\"\nparams = { n = 1, m = 2 }\n",
            &["flow.toml:4:10", "no parameter `m`"],
        ),
        ("name = \"p\"\n[job.a]\nshell = \"x\"\nafter = [\"a\"]\n", &["flow.toml:4:9", "`a` after `a`"]),
        ("name = \"p\"\n[job.a]\nshell = \"x\"\nnot_before = \"soonish\"\n", &["flow.toml:4:14", "soonish"]),
        ("name = \"p\"\n[job.a]\nshell = \"x\"\nworkdir = \"../up\"\n", &["flow.toml:4:11"]),
    ] {
        env.write("flow.toml", text, 0o644);
        for args in [&["apply", "flow.toml"][..], &["apply", "flow.toml", "--dry-run"]] {
            let said = env.fails(2, args);
            for word in words {
                assert!(said.err.contains(word), "{word} in {said:?}");
            }
        }
        assert_eq!(all(&env), before);
    }
    env.fails(2, &["apply", "none.toml"]);
    env.write("flow.toml", "name = \"p\"\n", 0o644);
    assert_eq!(apply(&env, &[]).out, "", "nothing is asked for");
}

#[test]
fn a_task_takes_the_registrys_defaults_and_is_then_the_same() {
    let env = with("name = \"p\"\n[task.t]\ncommand = [\"true\"]\n[job.a]\ntask = \"T\"\n");
    env.ok(&["init"]);
    let text = env.read("jobexec.toml");
    std::fs::write(env.file("jobexec.toml"), format!("{text}\n[defaults]\nstop.grace = \"33s\"\n")).unwrap();
    assert_eq!(apply(&env, &[]).out, "a 1\n");
    assert_eq!(env.json(&["show", "t"])["stop"]["grace"], 33.0);
    assert!(apply(&env, &[]).err.contains("1 job is there already"));
    // Somebody has edited the task since: the file says something else now.
    env.ok(&["edit", "t", "--timeout", "5m"]);
    assert!(env.fails(5, &["apply", "flow.toml"]).err.contains("task `t` (timeout)"));
    apply(&env, &["--replace"]);
    assert_eq!(env.json(&["show", "t"])["timeout"], Value::Null);
}

#[test]
fn what_a_field_needs_may_stand_in_the_registrys_defaults() {
    let env = with(
        "name = \"p\"\n[task.t]\ncommand = [\"true\"]\nstall_file = \"beat\"\ngive_up.within = \"3m\"\nmissed = \"all\"\n\
         max_running = 2\n",
    );
    env.ok(&["init"]);
    let said = env.fails(2, &["apply", "flow.toml"]).err;
    for needed in
        ["`stall_file` needs `stall_after`", "`give_up.within` needs `give_up.failures`", "`missed` needs `period`"]
    {
        assert!(said.contains(needed), "{said}");
    }
    let text = env.read("jobexec.toml");
    let defaults =
        "[defaults]\nstall_after = \"1h\"\ngive_up.failures = 4\nperiod = \"day\"\noverlap = \"allow\"\nwd = \"/\"\n";
    std::fs::write(env.file("jobexec.toml"), format!("{text}\n{defaults}")).unwrap();
    apply(&env, &["--dry-run"]);
    apply(&env, &[]);
    let task = env.json(&["show", "t"]);
    assert_eq!((&task["stall"]["after"], &task["stall"]["file"]), (&json!(3600.0), &json!("beat")));
    assert_eq!(task["give_up"], json!({ "failures": 4, "within": 180.0 }));
    assert_eq!(task["period"], "day");
    // Of the defaults, only what belongs to what the file says is looked at there: the directory is still the file's.
    assert_eq!(task["wd"], env.dir().to_str().unwrap());
}

#[test]
fn the_example_of_a_file_is_one() {
    let document = crate::suite::docs::document("docs/jobs.md");
    let example = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let env = with(example);
    assert_eq!(apply(&env, &[]).out, "fetch 1\nfit 2\nreport 3\n");
    assert!(apply(&env, &[]).err.contains("3 jobs are there already"));
    let keys = crate::suite::docs::first_column(&document, "Applying a file");
    for key in ["params", "after", "tags", "priority", "not_before", "hold"] {
        assert!(keys.contains(key), "{key}");
    }
}
