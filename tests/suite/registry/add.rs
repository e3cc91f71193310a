//! executoR's way in: a series of tasks, one of which exists; differences; replacing; removing; init.

use crate::suite::env::TestEnv;

/// An executor with executoR's tasks.
fn seeded() -> TestEnv {
    let env = TestEnv::new();
    env.script("jobs/test.R", "#!/bin/sh\nexec sleep 60\n");
    env.ok(&["init", "--exec-id", "xg15"]);
    env.ok(&["add", "LOL", "jobs/test.R", "--env", "SYMBOL=LOL"]);
    env
}

#[test]
fn a_series_skips_what_exists_and_adds_the_rest() {
    let env = seeded();
    let before = env.read("jobexec.toml");
    for name in ["LMFAO", "LOL"] {
        env.ok(&["add", name, "jobs/test.R", "--env", &format!("SYMBOL={name}")]);
    }
    let said = env.ok(&["add", "LOL", "jobs/test.R", "--env", "SYMBOL=LOL"]);
    assert_eq!(said.err, "Skipping LOL because a task named LOL already exists\n", "the same definition");
    assert_eq!(said.out, "");
    let after = env.read("jobexec.toml");
    assert!(after.starts_with(&before), "what was there is untouched: {after}");
    assert_eq!(after.matches("[task.").count(), 2);
}

#[test]
fn a_different_definition_is_shown_and_not_taken() {
    let env = seeded();
    let before = env.read("jobexec.toml");
    let said = env.ok(&["add", "lol", "jobs/other.R", "--env", "SYMBOL=X", "--timeout", "3s"]);
    let mut lines = said.err.lines();
    assert_eq!(lines.next(), Some("Skipping LOL because a task named LOL already exists"));
    let rest: Vec<&str> = lines.collect();
    for (field, is, given) in [("script", "jobs/test.R", "jobs/other.R"), ("env", "LOL", "X"), ("timeout", "", "3s")] {
        let line = rest.iter().find(|line| line.trim_start().starts_with(&format!("{field}:")));
        let line = line.unwrap_or_else(|| panic!("no line about {field} in {rest:?}"));
        assert!(line.contains(is) && line.contains(given), "{line}");
    }
    assert!(!said.err.contains("null") && !said.err.contains('{'), "people read this: {}", said.err);
    assert!(said.err.contains("--replace"), "the way out is named: {}", said.err);
    assert_eq!(env.read("jobexec.toml"), before);
}

#[test]
fn defaults_of_the_file_are_no_difference() {
    let env = seeded();
    let text = env.read("jobexec.toml").replace("[task.LOL]", "[defaults]\nstop.grace = \"3s\"\n\n[task.LOL]");
    std::fs::write(env.file("jobexec.toml"), text).unwrap();
    let said = env.ok(&["add", "LOL", "jobs/test.R", "--env", "SYMBOL=LOL"]);
    assert_eq!(said.err, "Skipping LOL because a task named LOL already exists\n");
}

#[test]
fn replace_takes_the_new_definition_whole() {
    let env = seeded();
    env.ok(&["edit", "LOL", "--timeout", "5s"]);
    let said = env.ok(&["add", "LOL", "--replace", "--", "sleep", "9"]);
    assert_eq!(said.err, "Replacing LOL sleep 9\n");
    let task = env.json(&["show", "LOL"]);
    assert_eq!(task["command"], serde_json::json!(["sleep", "9"]));
    assert_eq!((&task["script"], &task["timeout"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!(task["env"], serde_json::json!({}), "nothing of the former definition is left");
}

#[test]
fn a_running_task_is_not_removed_unless_it_is_stopped_with_it() {
    let env = seeded();
    env.ok(&["start", "LOL"]);
    let said = env.fails(5, &["remove", "LOL"]);
    assert!(said.err.contains("`LOL` is running") && said.err.contains("hint: "), "{said:?}");
    assert!(env.read("jobexec.toml").contains("[task.LOL]"));
    env.ok(&["remove", "LOL", "--stop"]);
    assert!(env.processes().is_empty());
    assert!(!env.read("jobexec.toml").contains("LOL"));
    assert_eq!(env.history("LOL").len(), 1, "its history stays");
    assert!(env.file("LOL.txt").exists(), "and its output");
    env.fails(4, &["start", "LOL"]);
    env.ok(&["add", "LOL", "jobs/test.R"]);
    assert_eq!(env.state("LOL"), "stopped", "added again, it is a task that nobody has started");
}

#[test]
fn purge_deletes_the_outputs_and_nothing_else() {
    let env = seeded();
    env.ok(&["add", "LOL2", "--", "echo", "x"]);
    env.ok(&["add", "LOL3", "--restart", "never", "--", "echo", "x"]);
    for _ in 0..2 {
        for name in ["LOL2", "LOL3"] {
            env.ok(&["start", name]);
            crate::suite::env::until("its end", || env.status(name)["running"] == false);
        }
    }
    std::fs::write(env.file("LOL3_notes.txt"), "mine").unwrap();
    let said = env.ok(&["remove", "LOL3", "--purge"]);
    assert_eq!(said.err, "Removing LOL3 and 2 output files\n");
    let left: Vec<String> = std::fs::read_dir(env.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".txt"))
        .collect();
    assert_eq!(left.iter().filter(|name| name.starts_with("LOL3")).collect::<Vec<_>>(), ["LOL3_notes.txt"]);
    assert_eq!(left.iter().filter(|name| name.starts_with("LOL2")).count(), 2);
}

#[test]
fn removing_and_stopping_what_was_never_there_names_the_nearest() {
    let env = seeded();
    for verb in ["remove", "stop", "start", "restart", "show", "status", "history", "tail", "explain"] {
        let said = env.fails(4, &[verb, "LOOL"]);
        assert!(said.err.starts_with("error: no task named `LOOL`\n"), "{verb}: {said:?}");
        assert!(said.err.contains("hint: did you mean `LOL`?"), "{verb}: {said:?}");
        assert_eq!(said.out, "", "{verb}");
    }
    env.fails(4, &["edit", "LOOL", "--timeout", "3s"]);
}

#[test]
fn init_gives_the_id_once() {
    let env = TestEnv::new();
    env.ok(&["init"]);
    let text = env.read("jobexec.toml");
    let id = text.lines().find_map(|line| line.strip_prefix("exec_id = ")).unwrap().trim_matches('"').to_owned();
    assert!(id.len() == 8 && id.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()), "{id}");
    env.ok(&["init"]);
    env.ok(&["init", "--exec-id", &id]);
    let said = env.fails(2, &["init", "--exec-id", "xg15"]);
    assert!(said.err.contains(&id) && said.err.contains("hint: "), "{said:?}");
    assert_eq!(env.read("jobexec.toml"), text);
    let bad = TestEnv::new();
    bad.fails(2, &["init", "--exec-id", "a b"]);
    assert!(!bad.folder().exists(), "a refused id leaves nothing behind");
}

#[test]
fn looking_makes_nothing() {
    let env = TestEnv::new();
    for verb in ["status", "list", "check", "log"] {
        env.ok(&[verb]);
        assert_eq!(env.json(&[verb]), serde_json::json!([]), "{verb}");
    }
    env.ok::<&str>(&[]);
    for verb in ["status", "show", "history", "tail", "explain", "stop", "start", "restart", "remove"] {
        env.fails(4, &[verb, "X"]);
    }
    env.fails(4, &["edit", "X", "--timeout", "3s"]);
    env.ok(&["stop", "--all"]);
    env.ok(&["start", "--all"]);
    assert!(!env.folder().exists(), "nothing was made");
}

#[test]
fn now_starts_what_was_added() {
    let env = seeded();
    let said = env.ok(&["add", "B", "jobs/test.R", "--now"]);
    assert!(said.err.starts_with("Adding B jobs/test.R\nStarting B"), "{said:?}");
    assert_eq!(env.state("B"), "running");
    env.ok(&["add", "S", "jobs/test.R", "--period", "day", "--now"]);
    assert_eq!(env.state("S"), "running", "a scheduled one too");
    let said = env.ok(&["add", "LOL", "jobs/test.R", "--env", "SYMBOL=LOL", "--now"]);
    assert!(said.err.starts_with("Skipping LOL"), "{said:?}");
    assert_eq!(env.state("LOL"), "stopped", "what was skipped is not started");
    env.ok(&["stop", "--all"]);
}
