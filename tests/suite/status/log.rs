//! log: how many lines, and what comes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::suite::env::{TestEnv, kill};

#[test]
fn the_last_lines_in_order() {
    let env = TestEnv::new();
    for name in ["A", "B", "C"] {
        env.ok(&["add", name, "--", "true"]);
    }
    env.ok(&["edit", "A", "--timeout", "3s"]);
    env.ok(&["remove", "B"]);
    let texts = |n: &str| -> Vec<String> {
        let out = env.ok(&["log", "-n", n]).out;
        out.lines().map(|line| line.split_once(" ] ").unwrap().1.to_owned()).collect()
    };
    assert_eq!(texts("3"), ["Adding C true", "Editing A true", "Removing B"]);
    assert_eq!(texts("0"), Vec::<String>::new());
    assert_eq!(texts("99").len(), 6);
    assert_eq!(env.json(&["log", "-n", "2"]).as_array().unwrap().len(), 2);
    env.fails(2, &["log", "-n", "x"]);
}

#[test]
fn following_shows_what_comes() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "sleep", "60"]);
    let mut child = env.command(&["log", "-f", "-n", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().ends_with(" ] Adding A sleep 60"));
    env.ok(&["start", "A"]);
    let pid = env.status("A")["pid"].to_string();
    assert!(next().ends_with(&format!(" ] Starting A sleep 60 (pid: {pid})")));
    env.ok(&["stop", "A"]);
    assert!(next().ends_with(" ] Stopping A"));
    env.ok(&["remove", "A"]);
    assert!(next().ends_with(" ] Removing A"), "each line once");
    kill(i32::try_from(child.id()).unwrap(), 15);
    child.wait().unwrap();
}
