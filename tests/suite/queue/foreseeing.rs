//! `submit --dry-run`: what would be made is shown as it would be, what is refused is refused, and nothing is recorded.

use serde_json::{Value, json};

use crate::suite::env::TestEnv;
use crate::suite::supervisor::query;

use super::{job, submit};

fn rows(env: &TestEnv) -> Vec<i64> {
    ["jobs", "events", "definitions", "edges", "items", "param_names"]
        .map(|table| query(env, &format!("SELECT count(*) FROM {table}"), |row| row.get(0))[0])
        .to_vec()
}

fn with_tasks() -> TestEnv {
    let env = TestEnv::new();
    env.script("fit.sh", "#!/bin/sh\n");
    env.ok(&["add", "fit", "fit.sh", "{{alpha}}", "--", "--fast"]);
    let text = env.read("jobexec.toml").replace(
        "[task.fit]\n",
        "[task.fit]\nworkdir = 'w/{{alpha}}'\npriority = 3\ntransfers.data = { direction = 'in', local = 'd', required = true }\n",
    );
    std::fs::write(env.file("jobexec.toml"), text).unwrap();
    env
}

#[test]
fn what_would_be_made_is_what_is_made() {
    let env = with_tasks();
    let parent = submit(&env, &["--hold", "--", "true"]).to_string();
    let flags: [&str; 19] = [
        "submit",
        "fit",
        "-p",
        "alpha=0.5",
        "--tag",
        "exp=1",
        "--after",
        &format!("{parent}:end"),
        "--data",
        "{\"a\":1}",
        "--run-name",
        "r",
        "--transfer",
        "data=/etc/hostname",
        "--not-before",
        "2030-01-01T00:00:00Z",
        "--priority",
        "-2",
        "--no-output",
    ];
    let before = rows(&env);
    let said = env.ok(&[&flags[..], &["--dry-run"]].concat());
    for part in [
        "fit.sh 0.5 --fast",
        "executor/jobs/w/0.5",
        "alpha=0.5",
        "exp=1",
        &format!("{parent}:end"),
        "-2",
        "/etc/hostname",
        "AWAITING_PARENTS",
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    let foreseen = env.json(&[&flags[..], &["--dry-run"]].concat());
    assert_eq!(rows(&env), before);
    let made = submit(&env, &flags[1..]);
    let mut made = job(&env, made);
    let mut foreseen = foreseen.as_array().unwrap()[0].clone();
    for key in ["children", "runs"] {
        made.as_object_mut().unwrap().remove(key);
    }
    assert_eq!((&foreseen["id"], made["id"].is_number()), (&Value::Null, true));
    for key in ["id", "created"] {
        made[key] = json!(null);
        foreseen[key] = json!(null);
    }
    assert_eq!(foreseen, made);
}

#[test]
fn each_line_and_commands_of_their_own_are_foreseen_too() {
    let env = TestEnv::new();
    env.write("names", "a b\nc\n", 0o644);
    let said = env.ok(&["submit", "--each-line", "names", "--dry-run", "--", "echo", "x"]);
    assert!(said.out.contains("echo x 'a b'") && said.out.contains("echo x c"), "{said:?}");
    assert!(said.out.contains(&format!("directory  {}", env.dir().display())), "{said:?}");
    assert!(!env.folder().exists(), "not even a folder is made");
    let private = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(env.folder());
    private.unwrap();
    env.ok(&["submit", "--dry-run", "--", "true"]);
    assert_eq!(std::fs::read_dir(env.folder()).unwrap().count(), 0, "nor anything in one");
    let all = env.ok(&["submit", "--each-line", "names", "--dry-run", "--json", "--", "echo", "x"]).out;
    let all: Value = serde_json::from_str(&all).unwrap();
    let lines: Vec<&Value> = all.as_array().unwrap().iter().map(|job| &job["params"]["line"]).collect();
    assert_eq!(lines, [&json!("a b"), &json!("c")]);
    env.fails(4, &["submit", "nothing", "--dry-run"]);
}

#[test]
fn what_submit_refuses_is_refused() {
    let env = with_tasks();
    let there = submit(&env, &["--hold", "--", "true"]).to_string();
    let before = rows(&env);
    let wrong: [&[&str]; 7] = [
        &["fit"],
        &["fit", "-p", "alpha=1"],
        &["fit", "-p", "beta=1", "-p", "alpha=1", "--transfer", "data=/x"],
        &["fit", "-p", "alpha=1", "--transfer", "data=/x", "--workdir", "../.."],
        &["fit", "-p", "alpha=1", "--transfer", "data=/x", "--after", "99"],
        &["fi", "-p", "alpha=1"],
        &["fit", "-p", "alpha=1", "--transfer", "data=/x", "--data", "{"],
    ];
    for args in wrong {
        let foreseen = env.run(&[&["submit", "--dry-run"], args].concat());
        let made = env.run(&[&["submit"], args].concat());
        assert!(made.code != 0, "{made:?}");
        assert_eq!((foreseen.code, foreseen.out, foreseen.err), (made.code, made.out, made.err));
    }
    env.fails(2, &["submit", "--dry-run", "--wait", "--after", &there, "--", "true"]);
    assert_eq!(rows(&env), before);
}
