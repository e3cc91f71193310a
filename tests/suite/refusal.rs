//! What cannot run is refused before anything is recorded; what fails later is a run that says so.

mod outcomes;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::env::{Said, TestEnv, until};

/// What a refused start must leave as it is.
fn on_record(env: &TestEnv, name: &str) -> (usize, String, serde_json::Value, usize) {
    let runs = fs::read_dir(env.file("runs")).map_or(0, Iterator::count);
    (env.history(name).len(), env.ok(&["log"]).out, env.status(name), runs)
}

/// Starts a task, which must be refused for these reasons, in words, with nothing recorded.
#[track_caller]
fn refused(env: &TestEnv, name: &str, says: &[&str]) -> Said {
    let before = on_record(env, name);
    let said = env.fails(1, &["start", name]);
    assert!(said.err.starts_with(&format!("error: cannot start `{name}`")), "{said:?}");
    assert_eq!(said.out, "");
    for words in says {
        assert!(said.err.contains(words), "{words:?} is not in {}", said.err);
    }
    assert_eq!(on_record(env, name), before, "nothing is recorded");
    assert_eq!(before.2["wanted"], false);
    assert!(!env.file(&format!("{name}.txt")).exists(), "no output");
    said
}

/// Adds a script with a mode, whose start must be refused for these reasons.
#[track_caller]
fn script_refused(text: &str, mode: u32, says: &[&str]) {
    let env = TestEnv::new();
    let file = env.write("a", text, mode);
    env.ok(&["add", "A", "a"]);
    refused(&env, "A", &[&[file.to_str().unwrap()], says].concat());
}

#[test]
fn a_missing_script_is_refused() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "jobs/none.sh"]);
    let path = env.dir().join("jobs/none.sh");
    refused(&env, "A", &[path.to_str().unwrap(), "does not exist", "hint: "]);
}

#[test]
fn a_script_that_vanished_is_refused_and_what_was_is_kept() {
    let env = TestEnv::new();
    let file = env.script("a.sh", "#!/bin/sh\necho one\n");
    env.ok(&["add", "A", "a.sh", "--once"]);
    env.ok(&["start", "A"]);
    until("the end", || env.history("A")[0]["outcome"] == "success");
    fs::remove_file(file).unwrap();
    let before = on_record(&env, "A");
    env.fails(1, &["start", "A"]);
    assert_eq!(on_record(&env, "A"), before);
    assert_eq!(env.read("A.txt"), "one\n");
}

#[test]
fn a_script_without_any_sign_of_how_to_run_it_is_refused() {
    script_refused("echo\n", 0o644, &["not executable", "`#!`", "hint: "]);
    script_refused("echo\n", 0o755, &["neither a program nor a script with a `#!` line", "hint: "]);
    script_refused("", 0o755, &["neither a program nor a script with a `#!` line", "hint: "]);
    script_refused("#!\necho\n", 0o755, &["names no interpreter", "hint: "]);
}

#[test]
fn a_bad_interpreter_is_named() {
    for mode in [0o755, 0o644] {
        let env = TestEnv::new();
        env.write("a", "#!/no/such/shell -e\n", mode);
        env.ok(&["add", "A", "a"]);
        refused(&env, "A", &["interpreter `/no/such/shell` does not exist", "hint: "]);
        env.write("a", &format!("#!{}/plain\n", env.dir().display()), mode);
        env.write("plain", "no program", 0o644);
        refused(&env, "A", &["plain` may not be executed", "hint: "]);
    }
}

#[test]
fn windows_line_ends_are_named_as_such() {
    script_refused("#!/bin/sh\r\necho\r\n", 0o755, &["/bin/sh\\r", "Windows line ends (CRLF)", "hint: "]);
    script_refused("#!/bin/sh\r\necho\r\n", 0o644, &["Windows line ends (CRLF)", "hint: "]);
    script_refused("#!/usr/bin/env bash\r\necho\r\n", 0o755, &["Windows line ends (CRLF)", "hint: "]);
}

#[test]
fn a_byte_order_mark_is_named_as_such() {
    script_refused("\u{feff}#!/bin/sh\necho\n", 0o755, &["byte order mark", "hint: "]);
}

#[test]
fn a_program_without_execute_bit_is_refused() {
    let env = TestEnv::new();
    fs::copy("/bin/true", env.dir().join("prog")).unwrap();
    fs::set_permissions(env.dir().join("prog"), fs::Permissions::from_mode(0o644)).unwrap();
    env.ok(&["add", "A", "prog"]);
    refused(&env, "A", &["without the execute bit", "chmod +x"]);
}

#[test]
fn a_directory_is_no_script() {
    let env = TestEnv::new();
    fs::create_dir(env.dir().join("jobs")).unwrap();
    env.ok(&["add", "A", "jobs"]);
    refused(&env, "A", &["is not a file"]);
}

#[test]
fn a_working_directory_that_is_none_is_refused() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\n");
    let script = env.dir().join("a.sh");
    env.ok(&["add", "A", script.to_str().unwrap(), "--wd", "/no/such/dir"]);
    refused(&env, "A", &["working directory `/no/such/dir` does not exist", "hint: "]);
    env.ok(&["add", "B", script.to_str().unwrap(), "--wd", script.to_str().unwrap()]);
    refused(&env, "B", &["a.sh` is not a directory", "hint: "]);
}

#[test]
fn a_file_of_variables_is_checked_and_its_values_stay_secret() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\n");
    env.ok(&["add", "A", "a.sh", "--env-file", "vars"]);
    refused(&env, "A", &["vars"]);
    env.write("vars", "TOKEN=hunter1\nhunter2 is no assignment\n", 0o600);
    let said = refused(&env, "A", &["vars", "line 2"]);
    assert!(!said.err.contains("hunter"), "{said:?}");
    fs::remove_file(env.dir().join("vars")).unwrap();
    fs::create_dir(env.dir().join("vars")).unwrap();
    refused(&env, "A", &["vars"]);
}

#[test]
fn a_command_that_is_not_along_path_is_refused() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "no-such-program", "-x"]);
    refused(&env, "A", &["`no-such-program`", "PATH", "hint: "]);
    env.ok(&["add", "B", "--env", "PATH=/nowhere", "--", "true"]);
    refused(&env, "B", &["`true`", "PATH"]);
}

#[test]
fn one_refused_task_does_not_hold_up_the_others() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\nexec sleep 600\n");
    for (name, script) in [("A", "a.sh"), ("B", "none.sh"), ("C", "a.sh")] {
        env.ok(&["add", name, script]);
    }
    let said = env.fails(1, &["start", "--all"]);
    assert!(
        said.err.contains("Starting A") && said.err.contains("cannot start `B`") && said.err.contains("Starting C")
    );
    assert_eq!((env.state("A").as_str(), env.state("B").as_str()), ("running", "stopped"));
    env.ok(&["stop", "--all"]);
}

#[test]
fn a_refused_restart_leaves_what_runs_alone() {
    let env = TestEnv::new();
    let file = env.script("a.sh", "#!/bin/sh\necho ready\nexec sleep 600\n");
    env.ok(&["add", "A", "a.sh"]);
    env.ok(&["start", "A"]);
    // The interpreter opens the script only after it has itself been started.
    until("the script to be read", || env.read("A.txt").contains("ready"));
    let pid = env.status("A")["pid"].clone();
    fs::remove_file(file).unwrap();
    let said = env.fails(1, &["restart", "A"]);
    assert!(said.err.contains("does not exist"), "{said:?}");
    assert_eq!((env.state("A").as_str(), &env.status("A")["pid"]), ("running", &pid));
    env.ok(&["stop", "A"]);
}

#[test]
fn what_fails_after_the_check_is_a_run_that_could_not_start() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\n");
    env.write("vars", &format!("HUGE={}\n", "x".repeat(200 * 1024)), 0o600);
    env.ok(&["add", "A", "a.sh", "--once", "--env-file", "vars"]);
    env.write("broken", "\x7fELF no more than that", 0o755);
    env.script("b", &format!("#!{}\n", env.dir().join("broken").display()));
    env.ok(&["add", "B", "b", "--once"]);
    env.write("c", "\x7fELF", 0o755);
    env.ok(&["add", "C", "c", "--once"]);
    for (name, why) in [("A", "Argument list too long"), ("B", "Exec format error"), ("C", "Exec format error")] {
        let said = env.fails(1, &["start", name]);
        assert!(said.err.contains(why), "{said:?}");
        let runs = env.history(name);
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0]["outcome"], "could_not_start");
        assert!(runs[0]["reason"].as_str().unwrap().contains(why), "{}", runs[0]);
        assert_eq!((runs[0]["exit_code"].as_i64(), runs[0]["signal"].as_str()), (None, None));
        assert_eq!(env.state(name), "failed");
        assert!(env.ok(&["log"]).out.contains(&format!("Starting {name} ")));
        assert!(!env.ok(&["history", name]).out.contains("xxxx"));
    }
    assert_eq!(env.processes(), [0_i32; 0]);
}

#[test]
fn an_unknown_task_is_said_to_be_so_with_a_guess() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\n");
    env.ok(&["add", "ticker", "a.sh"]);
    for verb in ["start", "stop", "restart", "status", "history", "tail", "show", "explain", "edit", "remove"] {
        let mut args = vec![verb, "tikcer"];
        args.extend((verb == "edit").then_some(["--timeout", "1h"]).into_iter().flatten());
        let said = env.fails(4, &args);
        assert!(said.err.contains("no task named `tikcer`") && said.err.contains("did you mean `ticker`?"), "{said:?}");
        assert_eq!(said.out, "");
    }
    assert!(!env.fails(4, &["start", "zzzzzzzz"]).err.contains("did you mean"));
    assert_eq!(env.fails(4, &["start", "ticker", "zzz"]).out, "");
    assert_eq!(env.history("ticker").len(), 0, "all names are looked at before anything is started");
}

#[test]
fn bad_input_is_told_apart_from_failure() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\n");
    env.ok(&["add", "A", "a.sh"]);
    for args in [
        &["start"][..],
        &["start", "A", "--no-such-flag"],
        &["start", "../A"],
        &["start", "A", "--all"],
        &["no-such-verb"],
        &["tail", "A", "-n", "few"],
        &["add", "B"],
        &["add", "123", "a.sh"],
        &["edit", "A", "--timeout", "soon"],
        &["edit", "A", "--stop-signal", "NOPE"],
    ] {
        let said = env.fails(2, args);
        assert!(said.err.starts_with("error: ") && said.out.is_empty(), "{said:?}");
    }
    env.fails(3, &["status", "A"]);
    env.ok(&["start", "A"]);
    env.fails(4, &["tail", "A", "--run", "7"]);
    env.ok(&["stop", "A"]);
}
