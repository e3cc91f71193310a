//! Every way in which a run can end is recorded exactly.

use std::fs;

use super::super::env::{TestEnv, until};

/// Runs a shell line to its end and returns its run.
#[track_caller]
fn run_of(env: &TestEnv, line: &str) -> serde_json::Value {
    env.ok(&["add", "A", "--replace", "--once", "--shell", line]);
    env.ok(&["start", "A"]);
    until("the end", || env.history("A")[0]["outcome"].is_string());
    env.history("A")[0].clone()
}

#[test]
fn exit_codes_are_recorded_exactly() {
    let env = TestEnv::new();
    for (typed, code) in [
        (0, 0),
        (1, 1),
        (2, 2),
        (64, 64),
        (125, 125),
        (126, 126),
        (127, 127),
        (137, 137),
        (143, 143),
        (255, 255),
        (300, 44),
    ] {
        let run = run_of(&env, &format!("exit {typed}"));
        let outcome = if code == 0 { "success" } else { "exit_code" };
        assert_eq!((run["outcome"].as_str(), run["exit_code"].as_i64()), (Some(outcome), Some(code)));
        assert_eq!((run["signal"].as_str(), run["core"].as_bool()), (None, Some(false)));
        assert_eq!(run["reason"], format!("exit code {code}"));
        assert_eq!(env.state("A"), if code == 0 { "finished" } else { "failed" });
    }
}

#[test]
fn signals_are_recorded_exactly() {
    let env = TestEnv::new();
    for name in ["HUP", "INT", "KILL", "USR1", "PIPE", "ALRM", "TERM"] {
        let run = run_of(&env, &format!("kill -{name} $$; sleep 60"));
        let signal = format!("SIG{name}");
        assert_eq!((run["outcome"].as_str(), run["signal"].as_str()), (Some("signal"), Some(signal.as_str())));
        assert_eq!((run["exit_code"].as_i64(), run["core"].as_bool()), (None, Some(false)));
        assert_eq!(run["reason"], format!("killed by {signal}"));
    }
    for name in ["SEGV", "ABRT"] {
        let run = run_of(&env, &format!("ulimit -c 0; kill -{name} $$; sleep 60"));
        assert_eq!((run["signal"].as_str(), run["core"].as_bool()), (Some(format!("SIG{name}").as_str()), Some(false)));
    }
}

#[test]
fn a_core_dump_is_recorded_as_the_kernel_tells_it() {
    // Whether one is written depends on the machine; python's own wait tells what is true here.
    let line = "ulimit -c unlimited; kill -SEGV $$; sleep 60";
    let ask = "import os, sys\npid = os.posix_spawn('/bin/sh', ['sh', '-c', sys.argv[1]], os.environ)\n\
        print(os.WCOREDUMP(os.waitpid(pid, 0)[1]))\n";
    let env = TestEnv::new();
    let mut python = std::process::Command::new("python3");
    env.clean(&mut python);
    let output = python.args(["-c", ask, line]).output().unwrap();
    let expected = String::from_utf8(output.stdout).unwrap() == "True\n";
    let run = run_of(&env, line);
    assert_eq!((run["signal"].as_str(), run["core"].as_bool()), (Some("SIGSEGV"), Some(expected)));
    assert_eq!(run["reason"].as_str().unwrap().contains("core dumped"), expected);
}

#[test]
fn a_script_that_is_over_in_no_time_is_recorded_truly() {
    let env = TestEnv::new();
    let names: Vec<String> = (1..=100).map(|code| format!("t{code}")).collect();
    let mut tasks = String::new();
    for (code, name) in (1..).zip(&names) {
        tasks +=
            &format!("[task.{name}]\nshell = \"exit {code}\"\nwd = \"{}\"\nrestart = \"never\"\n", env.dir().display());
    }
    env.ok(&["init"]);
    let registry = env.read("jobexec.toml") + &tasks;
    fs::write(env.file("jobexec.toml"), registry).unwrap();
    env.ok(&["start", "--all"]);
    until("all to end", || {
        let all = env.json(&["status"]);
        all.as_array().unwrap().iter().all(|task| task["state"] == "failed")
    });
    let all = env.json(&["status"]);
    for (code, name) in (1..).zip(&names) {
        let task = all.as_array().unwrap().iter().find(|task| task["name"] == name.as_str()).unwrap();
        assert_eq!(task["last_exit"].as_i64(), Some(code), "{task}");
        assert_eq!(env.history(name).len(), 1);
    }
    assert_eq!(env.processes(), [0_i32; 0]);
}
