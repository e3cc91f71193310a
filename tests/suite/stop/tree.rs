//! Shapes of trees that stop has to end, whatever they do about it.

use std::path::Path;

use super::super::env::{TestEnv, alive, kill, until};
use super::{compiled, ended, only_run, pid_in, started, stopped, text};

/// Ignores every polite request.
const STUBBORN: &str = "#!/bin/sh\ntrap '' TERM INT HUP\necho ready\nwhile :; do sleep 0.05; done\n";

#[test]
fn a_script_that_ignores_term_is_killed_after_its_grace() {
    let env = TestEnv::new();
    started(&env, "A", STUBBORN, &["--stop-grace", "300ms"]);
    let run = stopped(&env, "A");
    assert_eq!((text(&run, "outcome"), text(&run, "signal")), ("stopped", "SIGKILL"));
    let reason = text(&run, "reason");
    assert!(reason.starts_with("stopped by ") && reason.contains("SIGKILL"), "{reason}");
}

#[test]
fn a_child_that_ignores_what_ends_its_leader_is_killed_and_counted() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\n(trap '' TERM; echo $$ >/dev/null; exec sh -c 'echo $$ >child.pid; echo ready; sleep 600; sleep 600') &\ntrap 'exit 7' TERM\nwait\n";
    started(&env, "A", script, &["--stop-grace", "300ms"]);
    let child = pid_in(&env, "child.pid");
    let run = stopped(&env, "A");
    assert!(!alive(child));
    assert_eq!((text(&run, "outcome"), run["exit_code"].as_i64()), ("stopped", Some(7)));
    assert!(text(&run, "reason").contains("2 processes that it left behind were stopped"), "{run}");
}

#[test]
fn a_child_in_a_session_of_its_own_is_stopped() {
    let env = TestEnv::new();
    started(&env, "A", "#!/bin/sh\nsetsid sh -c 'echo $$ >own.pid; exec sleep 600' &\necho ready\nwait\n", &[]);
    let child = pid_in(&env, "own.pid");
    let run = stopped(&env, "A");
    assert!(!alive(child));
    assert_eq!((text(&run, "outcome"), text(&run, "signal")), ("stopped", "SIGTERM"));
}

#[test]
fn daemons_are_stopped_even_with_a_cleared_environment() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\n\
        (setsid sh -c 'sh -c \"echo \\$\\$ >one.pid; exec sleep 600\" & exit' &)\n\
        (env -i setsid /bin/sh -c '/bin/sh -c \"echo \\$\\$ >two.pid; trap \\\"\\\" TERM; while :; do /bin/sleep 0.05; done\" & exit' &)\n\
        echo ready\nexec sleep 600\n";
    started(&env, "A", script, &["--stop-grace", "300ms"]);
    let (one, two) = (pid_in(&env, "one.pid"), pid_in(&env, "two.pid"));
    assert!(env.processes().contains(&one) && !env.processes().contains(&two), "the second has lost the mark");
    stopped(&env, "A");
    assert!(!alive(one) && !alive(two));
}

#[test]
fn jobs_of_an_interactive_shell_are_stopped() {
    let env = TestEnv::new();
    let script = "#!/bin/bash\nset -m\nsleep 600 &\nsleep 600 | sleep 600 | sleep 600 &\n\
        (trap '' TERM HUP; exec sleep 600) &\njobs -p >jobs\necho ready\nwait\n";
    started(&env, "A", script, &["--stop-grace", "300ms"]);
    assert_eq!(std::fs::read_to_string(env.dir().join("jobs")).unwrap().lines().count(), 3);
    stopped(&env, "A");
}

/// Forks, begins a session and exits, again and again, the microseconds of its argument apart, for 20 s at most.
const HOPPER: &str = r#"
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
    time_t end = time(NULL) + 20;
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    write(1, "ready\n", 6);
    while (time(NULL) < end) {
        pid_t child = fork();
        if (child > 0) _exit(0);
        setsid();
        if (atoi(argv[1])) usleep(atoi(argv[1]));
    }
    return 0;
}
"#;

#[test]
fn processes_that_hop_from_session_to_session_are_caught() {
    let env = TestEnv::new();
    compiled(&env, "hop", HOPPER);
    let script = "#!/bin/sh\nfor pause in 0 300 2000 20000; do ./hop $pause & done\nexec sleep 600\n";
    started(&env, "A", script, &["--stop-grace", "100ms"]);
    until("all to hop", || env.read("A.txt").lines().count() == 4);
    let run = stopped(&env, "A");
    assert_eq!((text(&run, "outcome"), text(&run, "signal")), ("stopped", "SIGTERM"));
}

#[test]
fn processes_that_hop_are_swept_when_their_script_ends() {
    let env = TestEnv::new();
    compiled(&env, "hop", HOPPER);
    env.script("a.sh", "#!/bin/sh\nfor pause in 0 2000 20000; do ./hop $pause & done\nexit 4\n");
    env.ok(&["add", "A", "a.sh", "--once", "--stop-grace", "100ms"]);
    env.ok(&["start", "A"]);
    let run = ended(&env, "A");
    assert_eq!(env.processes(), [0_i32; 0]);
    assert_eq!((text(&run, "outcome"), run["exit_code"].as_i64()), ("exit_code", Some(4)));
}

#[test]
fn a_grandchild_that_holds_the_output_holds_nothing_up() {
    let env = TestEnv::new();
    started(
        &env,
        "A",
        "#!/bin/sh\n(sh -c 'trap \"\" TERM; sleep 600; sleep 600' &)\necho ready\nexit 3\n",
        &["--once", "--stop-grace", "200ms"],
    );
    let run = ended(&env, "A");
    assert_eq!(env.processes(), [0_i32; 0]);
    assert_eq!((text(&run, "outcome"), run["exit_code"].as_i64()), ("exit_code", Some(3)));
    assert_eq!(env.state("A"), "failed");
}

#[test]
fn what_a_script_leaves_behind_is_swept_and_counted() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\nsleep 600 &\nsetsid sleep 600 &\nsleep 600 &\necho ready\nexit 0\n";
    started(&env, "A", script, &["--once"]);
    let run = ended(&env, "A");
    assert_eq!(env.processes(), [0_i32; 0]);
    assert_eq!((text(&run, "outcome"), run["exit_code"].as_i64()), ("success", Some(0)));
    assert_eq!(text(&run, "reason"), "exit code 0; 3 processes that it left behind were stopped");
    assert_eq!(env.state("A"), "finished");
}

#[test]
fn a_frozen_script_ends_by_term() {
    let env = TestEnv::new();
    started(&env, "A", super::SLEEPER, &["--stop-grace", "1h"]);
    let pid = i32::try_from(env.status("A")["pid"].as_i64().unwrap()).unwrap();
    kill(pid, 19);
    until("the script to stand still", || {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ")
    });
    let run = stopped(&env, "A");
    assert_eq!(text(&run, "signal"), "SIGTERM");
}

#[test]
fn zombies_are_no_processes_that_were_left_behind() {
    let env = TestEnv::new();
    let script = "#!/usr/bin/python3\nimport os, time\nfor _ in range(5):\n    if os.fork() == 0: os._exit(0)\n\
        time.sleep(0.1)\nprint('ready', flush=True)\nos._exit(0)\n";
    started(&env, "A", script, &["--once"]);
    assert_eq!(text(&ended(&env, "A"), "reason"), "exit code 0");
    let script = "#!/usr/bin/python3\nimport os, time\nfor _ in range(5):\n    if os.fork() == 0: os._exit(0)\n\
        print('ready', flush=True)\ntime.sleep(600)\n";
    started(&env, "B", script, &[]);
    assert_eq!(text(&stopped(&env, "B"), "signal"), "SIGTERM");
}

/// Its first thread ends while another goes on, for 20 s at most: to others it looks like a zombie.
const HEADLESS: &str = r#"
#include <pthread.h>
#include <unistd.h>
static void *rest(void *nothing) { sleep(20); return nothing; }
int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, rest, NULL);
    write(1, "ready\n", 6);
    pthread_exit(NULL);
}
"#;

#[test]
fn a_script_whose_first_thread_has_ended_still_runs_and_is_stopped() {
    let env = TestEnv::new();
    compiled(&env, "headless", HEADLESS);
    env.ok(&["add", "A", "headless"]);
    env.ok(&["start", "A"]);
    super::is_ready(&env, "A");
    let pid = env.status("A")["pid"].as_i64().unwrap();
    until("the first thread to end", || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z "));
    assert_eq!(env.state("A"), "running");
    env.ok(&["stop", "A"]);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(text(&only_run(&env, "A"), "signal"), "SIGTERM");
}

#[test]
fn a_script_that_kills_its_own_group_is_recorded_truly() {
    let env = TestEnv::new();
    started(&env, "A", "#!/bin/sh\nsleep 600 &\necho ready\nkill -KILL 0\n", &["--once"]);
    let run = ended(&env, "A");
    assert_eq!((text(&run, "outcome"), text(&run, "signal")), ("signal", "SIGKILL"));
    assert_eq!(env.processes(), [0_i32; 0]);
}
