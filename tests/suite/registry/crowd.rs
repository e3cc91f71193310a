//! Many commands at the same moment: every change lands, and nobody's comments are lost.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::suite::env::TestEnv;

/// Lets all of them begin before it waits for any.
#[track_caller]
fn all_succeed(commands: Vec<Command>) {
    let children: Vec<Child> =
        commands.into_iter().map(|mut c| c.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn fifty_adds_land() {
    let env = TestEnv::new();
    all_succeed((0..50).map(|n| env.command(&["add", &format!("t{n}"), "--", "true"])).collect());
    assert_eq!(env.json(&["list"]).as_array().unwrap().len(), 50);
    let log = env.ok(&["log"]).out;
    assert_eq!(log.matches("Initializing").count(), 1, "one of them made the executor");
    assert_eq!(log.matches("] Adding t").count(), 50);
    assert_eq!(env.ok(&["check"]).code, 0);
}

#[test]
fn adds_edits_and_removes_land_beside_each_other_and_beside_comments() {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "xg15"]);
    let mut text = env.read("jobexec.toml");
    for n in 0..20 {
        text += &format!("\n# about old{n}, by hand\n\n[task.old{n}] # here\ncommand = [\"true\"] # and here\n");
    }
    fs::write(env.file("jobexec.toml"), &text).unwrap();
    let mut commands = Vec::new();
    for n in 0..10 {
        commands.push(env.command(&["add", &format!("new{n}"), "--", "true"]));
        commands.push(env.command(&["edit", &format!("old{n}"), "--timeout", &format!("{}s", n + 1)]));
        commands.push(env.command(&["remove", &format!("old{}", n + 10)]));
    }
    all_succeed(commands);
    let list = env.json(&["list"]);
    let list = list.as_array().unwrap();
    let mut names: Vec<&str> = list.iter().map(|task| task["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let mut expected: Vec<String> = (0..10).flat_map(|n| [format!("new{n}"), format!("old{n}")]).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let text = env.read("jobexec.toml");
    for n in 0..10 {
        assert!(text.contains(&format!("# about old{n}, by hand\n\n[task.old{n}] # here\n")), "{text}");
        assert_eq!(env.json(&["show", &format!("old{n}")])["timeout"], f64::from(n + 1));
    }
    assert_eq!(text.matches("# and here").count(), 10);
}

#[test]
fn of_many_adds_of_one_name_one_wins_and_the_others_skip() {
    let env = TestEnv::new();
    all_succeed((0..10).map(|n| env.command(&["add", "same", "--env", &format!("N={n}"), "--", "true"])).collect());
    assert_eq!(env.json(&["list"]).as_array().unwrap().len(), 1);
    assert_eq!(env.ok(&["log"]).out.matches("] Adding same").count(), 1);
}
