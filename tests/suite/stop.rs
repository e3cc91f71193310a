//! Stop is proven: when it returns nothing of the tree is alive, and history says how it ended.

mod asking;
mod ends;
mod orphans;
mod sight;
mod tree;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::env::{Said, TestEnv, alive, until};

/// A script that says `ready` and stays.
const SLEEPER: &str = "#!/bin/sh\necho ready\nexec sleep 600\n";

/// Adds a task with a script of its own, starts it, and waits until the script has said `ready`.
#[track_caller]
fn started(env: &TestEnv, name: &str, text: &str, flags: &[&str]) {
    let script = format!("{name}.script");
    env.script(&script, text);
    env.ok(&[&["add", name, script.as_str()], flags].concat());
    env.ok(&["start", name]);
    is_ready(env, name);
}

#[track_caller]
fn is_ready(env: &TestEnv, name: &str) {
    until(&format!("{name} to be ready"), || env.read(&format!("{name}.txt")).contains("ready"));
}

/// Stops a task, after which nothing of it may be alive; its only run.
#[track_caller]
fn stopped(env: &TestEnv, name: &str) -> Value {
    env.ok(&["stop", name]);
    assert_eq!(env.processes(), [0_i32; 0], "nothing is left");
    assert_eq!(env.state(name), "stopped");
    assert_eq!(env.status(name)["wanted"], false);
    only_run(env, name)
}

/// The only run of a task.
#[track_caller]
fn only_run(env: &TestEnv, name: &str) -> Value {
    let runs = env.history(name);
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

/// Waits until the newest run of a task is on record as ended, and returns it.
#[track_caller]
fn ended(env: &TestEnv, name: &str) -> Value {
    until(&format!("{name} to end"), || env.history(name)[0]["outcome"].is_string());
    env.history(name)[0].clone()
}

/// A text field of a run.
#[track_caller]
fn text<'a>(run: &'a Value, key: &str) -> &'a str {
    run[key].as_str().unwrap_or_else(|| panic!("no {key} in {run}"))
}

/// The pid that a script has written into a file of the directory.
#[track_caller]
fn pid_in(env: &TestEnv, file: &str) -> i32 {
    let mut pid = None;
    until(file, || {
        let text = std::fs::read_to_string(env.dir().join(file)).unwrap_or_default();
        pid = text.strip_suffix('\n').and_then(|text| text.parse().ok());
        pid.is_some()
    });
    let pid = pid.unwrap();
    assert!(alive(pid), "{file}: {pid} lives");
    pid
}

/// Begins a command whose end is waited for later.
fn begin(env: &TestEnv, args: &[&str]) -> Child {
    env.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for a command, but not for ever.
#[track_caller]
fn finish(mut child: Child) -> Said {
    until("the command to end", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Compiles a helper in C into the directory.
#[track_caller]
fn compiled(env: &TestEnv, name: &str, text: &str) -> PathBuf {
    let (source, program) = (env.write(&format!("{name}.c"), text, 0o644), env.dir().join(name));
    let status = Command::new("gcc").args(["-O1", "-pthread", "-o"]).args([&program, &source]).status().unwrap();
    assert!(status.success());
    program
}
