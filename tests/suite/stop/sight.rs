//! What a script sees of the world: its variables, descriptors, signals, umask and limits.

use std::collections::HashMap;
use std::fs;

use super::super::env::{TestEnv, until};

/// Runs the binary with signals ignored and blocked, two hundred descriptors open, a umask and limits of its own.
const ROUGH: &str = "\
import os, resource, signal, sys
for s in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT): signal.signal(s, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD])
for _ in range(200): os.set_inheritable(os.open('/dev/null', os.O_RDONLY), True)
os.umask(0o027)
resource.setrlimit(resource.RLIMIT_NOFILE, (333, 4000))
resource.setrlimit(resource.RLIMIT_CORE, (4096, 8192))
os.execv(sys.argv[1], sys.argv[1:])
";

/// Runs the binary roughly; it must succeed.
#[track_caller]
fn rough(env: &TestEnv, args: &[&str]) {
    let mut python = std::process::Command::new("python3");
    env.clean(&mut python);
    let status = python.args(["-c", ROUGH, env!("CARGO_BIN_EXE_jobexec")]).args(args).status().unwrap();
    assert!(status.success());
}

/// Adds tasks that show what a script sees, each a program that no shell stands before.
fn watchers(env: &TestEnv) {
    for (name, command) in [
        ("status", &["cat", "/proc/self/status"][..]),
        ("limits", &["cat", "/proc/self/limits"]),
        ("open", &["ls", "-l", "/proc/self/fd"]),
    ] {
        env.ok(&[&["add", name, "--once", "--"], command].concat());
    }
}

/// What a watcher has seen in its last run, once that has ended.
#[track_caller]
fn seen(env: &TestEnv, name: &str) -> String {
    until(&format!("{name} to end"), || env.history(name)[0]["outcome"] == "success");
    fs::read_to_string(env.history(name)[0]["log"].as_str().unwrap()).unwrap()
}

#[track_caller]
fn line<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    line.unwrap_or_else(|| panic!("no {start} in {text}")).split_whitespace().collect()
}

#[track_caller]
fn check_what_is_seen(env: &TestEnv) {
    let status = seen(env, "status");
    for kind in ["SigBlk:", "SigIgn:", "SigCgt:"] {
        let signals = u64::from_str_radix(line(&status, kind)[0], 16).unwrap();
        // 32 and 33 belong to the C library, whose posix_spawn ignores them, and which lets nobody change them.
        assert_eq!(signals & !(0b11 << 31), 0, "{kind} {signals:x}");
    }
    assert_eq!(line(&status, "Umask:"), ["0027"]);
    let limits = seen(env, "limits");
    assert_eq!(line(&limits, "Max open files"), ["333", "4000", "files"]);
    assert_eq!(line(&limits, "Max core file size"), ["4096", "8192", "bytes"]);
    let open = seen(env, "open");
    let open: HashMap<&str, &str> =
        open.lines().filter_map(|line| Some((line.split(' ').rev().nth(2)?, line.rsplit_once("-> ")?.1))).collect();
    // 3 is the folder that `ls` itself reads.
    assert_eq!(open.len(), 4, "{open:?}");
    assert_eq!(open["0"], "/dev/null");
    assert_eq!(
        (open["1"], open["2"]),
        (env.file("open.txt").to_str().unwrap(), env.file("open.txt").to_str().unwrap())
    );
}

#[test]
fn a_script_has_default_signals_no_foreign_descriptors_and_its_starters_limits() {
    let env = TestEnv::new();
    watchers(&env);
    rough(&env, &["start", "status", "limits", "open"]);
    check_what_is_seen(&env);
}

#[test]
fn a_restart_of_what_runs_hands_on_the_same() {
    let env = TestEnv::new();
    env.script("first.sh", "#!/bin/sh\n[ -e second ] && exec \"$@\"\nexec sleep 600\n");
    for (name, command) in [
        ("status", &["cat", "/proc/self/status"][..]),
        ("limits", &["cat", "/proc/self/limits"]),
        ("open", &["ls", "-l", "/proc/self/fd"]),
    ] {
        env.ok(&[&["add", name, "--once", "first.sh", "--"], command].concat());
    }
    env.ok(&["start", "status", "limits", "open"]);
    env.write("second", "", 0o644);
    rough(&env, &["restart", "status", "limits", "open"]);
    check_what_is_seen(&env);
}

#[test]
fn a_script_knows_who_runs_it() {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "xg15"]);
    env.write("vars", "FROM_FILE=file\nBOTH=file\n", 0o600);
    env.script("a.sh", "#!/bin/sh\nenv -0 >env.$JOBEXEC_ATTEMPT\npwd\ncat\necho ready\n");
    env.ok(&["add", "A", "a.sh", "--once", "--env-file", "vars", "--env", "BOTH=task"]);
    let mut start = env.command(&["start", "A"]);
    for (key, value) in
        [("EXECUTOR_ID", "outer"), ("JOBEXEC_RUN_ID", "outer"), ("JOBEXEC_SECRET", "x"), ("KEPT", "a\nb")]
    {
        start.env(key, value);
    }
    assert!(start.status().unwrap().success());
    until("the end", || env.history("A")[0]["outcome"] == "success");
    assert_eq!(env.read("A.txt"), format!("{}\nready\n", env.dir().display()));
    let text = fs::read_to_string(env.dir().join("env.1")).unwrap();
    let vars: HashMap<&str, &str> = text.split('\0').filter_map(|pair| pair.split_once('=')).collect();
    let run = &env.history("A")[0];
    let folder = env.folder();
    for (key, value) in [
        ("EXECUTOR_ID", "xg15"),
        ("JOBEXEC_EXEC_ID", "xg15"),
        ("JOBEXEC_FOLDER", folder.to_str().unwrap()),
        ("JOBEXEC_TASK", "A"),
        ("JOBEXEC_JOB_ID", &run["job"].to_string()),
        ("JOBEXEC_ATTEMPT", "1"),
        ("JOBEXEC_RUN_ID", run["run_id"].as_str().unwrap()),
        ("FROM_FILE", "file"),
        ("BOTH", "task"),
        ("KEPT", "a\nb"),
    ] {
        assert_eq!(vars.get(key), Some(&value), "{key}");
    }
    assert_eq!(vars.get("JOBEXEC_SECRET"), None, "what an outer run had is not handed on");
}
