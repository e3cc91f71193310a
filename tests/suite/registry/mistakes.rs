//! A registry with a mistake: told with its place; what looks and stops goes on, what defines or starts is refused.

use std::fs;

use serde_json::json;

use crate::suite::env::{TestEnv, until};

const GOOD: &str = "version = 1\nexec_id = \"xg15\"\n\n[task.A]\ncommand = [\"sleep\", \"60\"]\n";

fn written(text: &str) -> TestEnv {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "xg15"]);
    fs::write(env.file("jobexec.toml"), text).unwrap();
    env
}

/// Writes the text, in which the mistake is at this line and column, and looks at what `add` says about it.
#[track_caller]
fn check(text: &str, (line, column): (usize, usize), words: &[&str]) {
    let env = written(text);
    let path = env.file("jobexec.toml").canonicalize().unwrap();
    let said = env.fails(2, &["add", "X", "--", "true"]);
    let place = format!("{}:{line}:{column}: ", path.display());
    assert!(said.err.starts_with(&format!("error: {place}")), "{text:?} should say {place}: {}", said.err);
    for word in words {
        assert!(said.err.contains(word), "{word:?} is missing in {}", said.err);
    }
    assert_eq!(fs::read(&path).unwrap(), text.as_bytes(), "nothing is overwritten");
    let found = env.run(&["check", "--json"]);
    assert_eq!(found.code, 2, "{found:?}");
    let found: serde_json::Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(json!([found[0]["line"], found[0]["column"], found[0]["file"]]), json!([line, column, path]));
}

#[test]
fn a_mistake_is_told_with_its_place_and_text() {
    check(&format!("{GOOD}timout = 3\n"), (6, 1), &["`timout`", "timout = 3\n^^^^^^", "hint: did you mean `timeout`?"]);
    check(&format!("{GOOD}timeout = \"soon\"\n"), (6, 11), &["`soon`", "timeout = \"soon\"\n          ^^^^^^"]);
    check(&format!("{GOOD}restart = \"allways\"\n"), (6, 11), &["did you mean `always`?"]);
    check(&format!("{GOOD}  env = 3\n"), (6, 9), &["expected a table", "  env = 3\n        ^"]);
    check(&format!("{GOOD}timeout = \n"), (6, 11), &["timeout = "]);
    check(&format!("{GOOD}[task.A]\n"), (6, 7), &["A"]);
    check(&format!("{GOOD}[task.a]\nshell = \"x\"\n"), (6, 7), &["`A` in line 4", "hint: "]);
    check(&format!("{GOOD}[task.\"a/b\"]\nshell = \"x\"\n"), (6, 7), &["`/`"]);
    check(&format!("{GOOD}[tsk.B]\nshell = \"x\"\n"), (6, 2), &["did you mean `task`?"]);
    check("version = 1\nexec_id = \"x\"\n[task.ä]\nshell = \"ä\" x\n", (4, 13), &[]);
}

#[test]
fn an_empty_or_unversioned_file_is_a_mistake() {
    check("", (1, 1), &["`version` is missing", "hint: "]);
    check("# half saved\n", (1, 1), &["`version` is missing"]);
    check(&GOOD.replace("version = 1\n", ""), (1, 1), &["`version` is missing"]);
    check(&GOOD.replace("version = 1", "version = \"1\""), (1, 11), &["version"]);
    check(&GOOD.replace("exec_id = \"xg15\"\n", ""), (1, 1), &["`exec_id` is missing"]);
}

#[test]
fn an_excerpt_has_text_above_its_carets() {
    for text in ["", "\n\n", "# x\n"] {
        let env = written(text);
        let said = env.fails(2, &["add", "X", "--", "true"]);
        let lines: Vec<&str> = said.err.lines().collect();
        for pair in lines.windows(2) {
            let carets = !pair[1].is_empty() && pair[1].trim().chars().all(|c| c == '^');
            assert!(!(carets && pair[0].trim().is_empty()), "a caret under nothing: {}", said.err);
        }
    }
}

#[test]
fn the_same_hint_is_given_once() {
    let env = written(&format!("{GOOD}timout = 3\n[task.B]\nshell = \"x\"\ntimout = 3\n"));
    let said = env.fails(2, &["add", "X", "--", "true"]);
    assert_eq!(said.err.matches("unknown key `timout`").count(), 2, "every mistake is told: {}", said.err);
    assert_eq!(said.err.matches("hint: did you mean `timeout`?").count(), 1, "{}", said.err);
}

#[test]
fn of_several_mistakes_each_has_its_hint_below() {
    let env = written(&format!("{GOOD}timout = 3\n[tsk.B]\nshell = \"x\"\n"));
    let said = env.fails(2, &["add", "X", "--", "true"]);
    let lines: Vec<&str> = said.err.lines().collect();
    let below = |carets: &str| lines[lines.iter().position(|line| line.trim() == carets).unwrap() + 1];
    assert_eq!([below("^^^^^^"), below("^^^")], ["hint: did you mean `timeout`?", "hint: did you mean `task`?"]);
}

#[test]
fn what_is_no_text_is_told_with_its_place() {
    let env = written("");
    fs::write(env.file("jobexec.toml"), b"version = 1\n# na\xefve\n").unwrap();
    let said = env.fails(2, &["add", "X", "--", "true"]);
    assert!(said.err.contains("2:5") && said.err.contains("UTF-8") && said.err.contains("jobexec.toml"), "{said:?}");
    env.ok(&["status"]);
}

#[test]
fn while_there_is_a_mistake_looking_and_stopping_go_on() {
    let env = written(&format!("{GOOD}\n[task.B]\nshell = \"echo hello; exit 3\"\nrestart = \"never\"\n"));
    env.ok(&["start", "A", "B"]);
    until("its end", || env.state("B") == "failed");
    let bad = env.read("jobexec.toml").replace("restart", "restrt");
    fs::write(env.file("jobexec.toml"), &bad).unwrap();
    for (code, line) in [
        (0, "status"),
        (0, "status A"),
        (3, "status A B"),
        (3, "status B --json"),
        (0, "list"),
        (0, "list --json"),
        (0, "show A"),
        (0, "history B"),
        (0, "explain B"),
        (0, "tail B"),
    ] {
        let said = env.fails(code, &line.split(' ').collect::<Vec<_>>());
        assert!(!said.out.is_empty(), "{line}: {said:?}");
        assert!(said.err.contains("unknown key `restrt`"), "{line}: the mistake is told: {said:?}");
        assert!(!said.out.contains("restrt"), "{line}: but not as data: {said:?}");
    }
    env.ok(&["log"]);
    for line in [
        "start B",
        "start --all",
        "start A",
        "restart A",
        "add X -- true",
        "edit A --timeout 3s",
        "remove B",
        "init",
        "add A --replace -- x",
    ] {
        let said = env.fails(2, &line.split(' ').collect::<Vec<_>>());
        assert!(said.err.starts_with("error: ") && said.err.contains("unknown key `restrt`"), "{line}: {said:?}");
    }
    assert_eq!(env.read("jobexec.toml"), bad);
    assert_eq!(env.history("B").len(), 1, "nothing was started");
    env.ok(&["stop", "A"]);
    assert!(env.processes().is_empty());
    env.ok(&["stop", "--all"]);
    fs::write(env.file("jobexec.toml"), bad.replace("restrt", "restart")).unwrap();
    assert_eq!(env.ok(&["status"]).err, "", "and all is well again");
}

#[test]
fn a_first_registry_with_a_mistake_is_told_too() {
    let env = TestEnv::new();
    fs::create_dir(env.folder()).unwrap();
    fs::set_permissions(env.folder(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(env.file("jobexec.toml"), "version = 1\n[task.A]\nscrpt = 1\n").unwrap();
    let said = env.run(&["status"]);
    assert!(said.err.contains("jobexec.toml:3:1: "), "{said:?}");
    assert!(!said.err.contains("Add one with"), "there are tasks, though not good ones: {said:?}");
    env.fails(2, &["start", "A"]);
}
