//! The registry changes while a supervisor works by it.

use super::*;

/// What runs, beside what it was started with.
const SHOWS: &str = "#!/bin/sh\necho is $WHAT\nexec sleep 600\n";

/// Replaces the registry's file as editors do: another one takes its name.
fn replaced(env: &TestEnv, text: &str) {
    let beside = env.file("jobexec.toml.swp");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, env.file("jobexec.toml")).unwrap();
}

/// Writes the registry's file where it is.
fn rewritten(env: &TestEnv, text: &str) {
    fs::write(env.file("jobexec.toml"), text).unwrap();
}

#[test]
fn a_changed_task_is_changed_at_its_next_start() {
    let env = TestEnv::new();
    started(&env, "A", SHOWS, &["--env", "WHAT=old"]);
    let pid = pid_of(&env, "A");
    let night = Night::begin(&env);
    let text = env.read("jobexec.toml");
    replaced(&env, &text.replace("old", "new"));
    night.says("A has been changed");
    assert!(alive(pid) && pid_of(&env, "A") == pid);
    kill(pid, KILL);
    until("the new one", || env.read("A.txt") == "is new\n");
    env.ok(&["edit", "A", "--env", "WHAT=newest"]);
    until("the second change to be told", || night.times("A has been changed") == 2);
    kill(pid_of(&env, "A"), KILL);
    until("the newest one", || env.read("A.txt") == "is newest\n");
    drop(night);
}

#[test]
fn a_change_that_is_written_in_place_is_read_too() {
    let env = TestEnv::new();
    started(&env, "A", "#!/bin/sh\nexit 1\n", &SLOW);
    let night = Night::begin(&env);
    env.wait_for_state("A", "waiting");
    let text = env.read("jobexec.toml");
    rewritten(&env, &format!("{text}\n[task.B]\nscript = \"B.script\"\nwd = \"{}\"\n", env.dir().display()));
    env.script("B.script", STAYS);
    env.ok(&["start", "B"]);
    env.wait_for_state("B", "running");
    kill(pid_of(&env, "B"), KILL);
    until("B to be started again", || env.history("B").len() == 2);
    assert_eq!((env.state("A").as_str(), env.history("A").len()), ("waiting", 1), "its wait goes on");
    drop(night);
}

#[test]
fn a_mistake_is_said_once_with_its_place_and_the_last_good_definitions_hold() {
    let env = TestEnv::new();
    started(&env, "A", STAYS, &FAST);
    let night = Night::begin(&env);
    let good = env.read("jobexec.toml");
    let bad = format!("{good}\n[task.B]\nscrpt = \"x\"\n");
    let line = bad.lines().position(|line| line.starts_with("scrpt")).unwrap() + 1;
    replaced(&env, &bad);
    night.says("scrpt");
    let diary = night.diary();
    assert!(diary.contains("jobexec.toml") && diary.contains(&format!("{line}:1")), "{diary}");
    assert!(diary.contains("did you mean `script`?"), "{diary}");
    assert!(diary.contains("the last definitions without a mistake"), "{diary}");
    kill(pid_of(&env, "A"), KILL);
    until("A to be started again", || env.history("A").len() == 2);
    env.wait_for_state("A", "running");
    replaced(&env, &bad);
    kill(pid_of(&env, "A"), KILL);
    until("A to be started again", || env.history("A").len() == 3);
    kill(night.pid(), HANGUP);
    env.wait_for_state("A", "running");
    assert_eq!(night.times("scrpt"), diary.matches("scrpt").count(), "said once: {}", night.diary());
    // Another one that begins now works by them as well.
    night.end(TERMINATE);
    let night = Night::begin(&env);
    assert!(night.said("scrpt"));
    kill(pid_of(&env, "A"), KILL);
    until("A to be started again", || env.history("A").len() == 4);
    replaced(&env, &good);
    night.says("mended");
    drop(night);
}

#[test]
fn a_task_that_is_taken_out_runs_on_and_is_not_brought_back() {
    let env = TestEnv::new();
    started(&env, "A", STAYS, &FAST);
    started(&env, "B", STAYS, &FAST);
    started(&env, "W", FAILS, &SLOW);
    env.ok(&["add", "last", "--", "true"]);
    let night = Night::begin(&env);
    env.wait_for_state("W", "waiting");
    let text = env.read("jobexec.toml");
    let without: String = text
        .split("\n[task.")
        .filter(|table| !table.starts_with("A]") && !table.starts_with("W]"))
        .collect::<Vec<_>>()
        .join("\n[task.");
    assert!(without.contains("[task.B]") && without.contains("[task.last]"), "{without}");
    replaced(&env, &without);
    night.says("A is no longer in the registry; its run goes on");
    night.says("W is no longer in the registry");
    let pid = pid_of(&env, "A");
    assert!(alive(pid));
    kill(pid, KILL);
    runs_ended(&env, "A", 1);
    // What comes after it has been looked at, it has not been started.
    kill(pid_of(&env, "B"), KILL);
    until("B to be started again", || env.history("B").len() == 2);
    assert_eq!(env.history("A").len(), 1);
    // Under its name again it is the same task, still wanted.
    replaced(&env, &text);
    until("A to come back", || env.history("A").len() == 2);
    env.wait_for_state("A", "running");
    assert_eq!(env.history("A")[0]["attempt"], 2, "the same job");
    assert_eq!((env.state("W").as_str(), env.history("W").len()), ("waiting", 1), "and the same wait");
    drop(night);
}

#[test]
fn remove_with_stop_and_add_again_is_no_wish_to_run() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", STAYS, &FAST);
    env.ok(&["remove", "A", "--stop"]);
    added(&env, "A", STAYS, &FAST);
    started(&env, "B", FAILS, &FAST);
    runs_ended(&env, "B", 3);
    assert_eq!((env.state("A").as_str(), env.history("A").len()), ("stopped", 1));
    drop(night);
}

#[test]
fn a_registry_behind_a_link_is_watched_where_it_lies() {
    let env = TestEnv::new();
    started(&env, "A", SHOWS, &["--env", "WHAT=old"]);
    let text = env.read("jobexec.toml");
    let target = env.write("dotfiles/tasks.toml", &text, 0o600);
    fs::remove_file(env.file("jobexec.toml")).unwrap();
    std::os::unix::fs::symlink(&target, env.file("jobexec.toml")).unwrap();
    let night = Night::begin(&env);
    fs::write(&target, text.replace("old", "new")).unwrap();
    night.says("A has been changed");
    let beside = env.write("dotfiles/.tasks.toml.swp", &text.replace("old", "newest"), 0o600);
    fs::rename(beside, &target).unwrap();
    until("the second change to be told", || night.times("A has been changed") == 2);
    kill(pid_of(&env, "A"), KILL);
    until("the newest one", || env.read("A.txt") == "is newest\n");
    drop(night);
}

#[test]
fn a_registry_that_becomes_a_link_is_watched_where_it_lies_from_then_on() {
    let env = TestEnv::new();
    started(&env, "A", SHOWS, &["--env", "WHAT=old"]);
    let text = env.read("jobexec.toml");
    let night = Night::begin(&env);
    for (nth, folder) in ["first", "second"].into_iter().enumerate() {
        let word = |at: &str| text.replace("old", &format!("{folder}-{at}"));
        let target = env.write(&format!("{folder}/tasks.toml"), &word("linked"), 0o600);
        let beside = env.file("link");
        std::os::unix::fs::symlink(&target, &beside).unwrap();
        fs::rename(beside, env.file("jobexec.toml")).unwrap();
        until("the link to be told", || night.times("A has been changed") == 2 * nth + 1);
        fs::write(&target, word("edited")).unwrap();
        until("the edit to be told", || night.times("A has been changed") == 2 * nth + 2);
    }
    drop(night);
}

#[test]
fn a_bell_that_was_replaced_is_heard() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", FAILS, &FAST);
    runs_ended(&env, "A", 2);
    fs::remove_file(env.file("bell")).unwrap();
    runs_ended(&env, "A", 4);
    env.ok(&["stop", "A"]);
    night.says("stops A");
    started(&env, "B", FAILS, &FAST);
    runs_ended(&env, "B", 3);
    drop(night);
}

#[test]
fn hangup_reads_everything_anew() {
    let env = TestEnv::new();
    started(&env, "A", SHOWS, &["--env", "WHAT=old"]);
    let night = Night::begin(&env);
    let text = env.read("jobexec.toml");
    // A change that no watch tells of: another name of the same file.
    fs::hard_link(env.file("jobexec.toml"), env.dir().join("other-name")).unwrap();
    fs::write(env.dir().join("other-name"), text.replace("old", "new")).unwrap();
    kill(night.pid(), HANGUP);
    night.says("A has been changed");
    drop(night);
}
