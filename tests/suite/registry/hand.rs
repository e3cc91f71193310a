//! Edits by hand are picked up at once, and what is wanted of a task outlives its absence from the file.

use std::fs;

use serde_json::json;

use crate::suite::env::{TestEnv, kill, until};

fn written(tasks: &str) -> TestEnv {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "xg15"]);
    write(&env, tasks);
    env
}

fn write(env: &TestEnv, tasks: &str) {
    fs::write(env.file("jobexec.toml"), format!("version = 1\nexec_id = \"xg15\"\n\n{tasks}")).unwrap();
}

fn names(env: &TestEnv) -> Vec<String> {
    let list = env.json(&["list"]);
    list.as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn changed_new_removed_and_renamed() {
    let env = written("[task.A]\ncommand = [\"sleep\", \"60\"]\n");
    assert_eq!(names(&env), ["A"]);
    write(&env, "[task.B]\ncommand = [\"sleep\", \"61\"]\n\n[task.A]\ncommand = [\"sleep\", \"62\"]\n");
    assert_eq!(names(&env), ["B", "A"], "in the file's order");
    assert_eq!(env.json(&["show", "A"])["command"], json!(["sleep", "62"]));
    env.ok(&["start", "B"]);
    write(&env, "[task.C]\ncommand = [\"sleep\", \"61\"]\n");
    env.fails(4, &["show", "NEVER"]);
    assert_eq!(env.state("C"), "stopped", "a renamed task is another task");
    assert_eq!(env.state("B"), "running", "and the run under the old name is still seen");
    env.ok(&["stop", "B"]);
    assert!(env.processes().is_empty());
    assert_eq!(names(&env), ["C"]);
}

#[test]
fn a_change_of_the_same_size_in_the_same_moment_is_seen() {
    let env = written("");
    for n in 10..40 {
        write(&env, &format!("[task.A]\ncommand = [\"sleep\", \"{n}\"]\n"));
        assert_eq!(env.json(&["show", "A"])["command"][1], json!(n.to_string()));
    }
}

#[test]
fn a_running_task_keeps_its_definition_until_its_next_start() {
    let env = written("[task.A]\nshell = \"echo one; exec sleep 60\"\n");
    env.ok(&["start", "A"]);
    until("output", || env.read("A.txt") == "one\n");
    let said = env.ok(&["edit", "A", "--shell", "echo two; exec sleep 60"]);
    assert!(said.err.contains("next start"), "{said:?}");
    assert_eq!(env.read("A.txt"), "one\n");
    env.ok(&["restart", "A"]);
    until("output", || env.read("A.txt") == "two\n");
    env.ok(&["stop", "A"]);
}

#[test]
fn a_task_that_comes_back_is_still_wanted() {
    let text = "[task.A]\ncommand = [\"sleep\", \"60\"]\n";
    let env = written(text);
    env.ok(&["start", "A"]);
    write(&env, "");
    assert_eq!(env.status("A")["wanted"], true);
    assert_eq!(env.state("A"), "running");
    kill(i32::try_from(env.status("A")["pid"].as_i64().unwrap()).unwrap(), 9);
    until("its end", || env.status("A")["running"] == false);
    let said = env.ok(&["explain", "A"]).out;
    assert!(said.contains("A does not run: ") && said.contains("SIGKILL") && !said.contains("stopped"), "{said}");
    let said = env.fails(4, &["start", "A"]);
    assert!(said.err.contains("no longer in the registry") && said.err.contains("hint: "), "{said:?}");
    write(&env, text);
    assert_eq!((env.status("A")["wanted"].clone(), env.state("A")), (json!(true), "unsupervised".to_owned()));
    assert_eq!(env.history("A").len(), 1, "with its history");
    env.ok(&["stop", "A"]);
    write(&env, "");
    write(&env, text);
    assert_eq!((env.status("A")["wanted"].clone(), env.state("A")), (json!(false), "stopped".to_owned()));
}

#[test]
fn a_task_without_wd_runs_in_the_folder_of_the_file() {
    let env = written(
        "[task.A]\ncommand = [\"pwd\"]\nrestart = \"never\"\n[task.B]\ncommand = [\"pwd\"]\nwd = \"sub\"\nrestart = \"never\"\n",
    );
    let folder = env.folder().canonicalize().unwrap();
    fs::create_dir(folder.join("sub")).unwrap();
    env.ok(&["start", "A", "B"]);
    until("output", || env.read("A.txt").trim_end() == folder.to_str().unwrap());
    until("output", || env.read("B.txt").trim_end() == folder.join("sub").to_str().unwrap());
}

#[test]
fn a_deleted_registry_defines_nothing_and_keeps_the_id() {
    let env = written("[task.A]\ncommand = [\"sleep\", \"60\"]\n");
    env.ok(&["start", "A"]);
    fs::remove_file(env.file("jobexec.toml")).unwrap();
    assert_eq!(env.state("A"), "running");
    env.ok(&["stop", "--all"]);
    assert!(env.processes().is_empty(), "what is no longer defined is among all");
    env.ok(&["add", "B", "--", "true"]);
    assert!(env.read("jobexec.toml").contains("exec_id = \"xg15\""));
}

#[test]
fn a_hand_written_registry_is_enough_to_begin_with() {
    let env = TestEnv::new();
    fs::create_dir(env.folder()).unwrap();
    fs::set_permissions(env.folder(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    write(&env, "[task.A]\ncommand = [\"sleep\", \"60\"]\n");
    assert_eq!(env.state("A"), "stopped");
    env.ok(&["start", "A"]);
    assert_eq!(env.state("A"), "running");
    env.ok(&["stop", "A"]);
}
