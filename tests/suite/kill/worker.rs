//! The worker killed at every point of a run's beginning, of its end, and of a stop.

use std::cell::RefCell;
use std::fs;
use std::process::{Child, Stdio};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use serde_json::json;

use super::super::env::{TestEnv, is_unseen_or, kill, until};
use super::tracer::{BIRTH, Victim, kill_at};
use super::truth::{TASK, Witness, outputs, scripts, written_pids};
use super::{STAYS, at_every_point, newborn, with_former_run, with_task};

/// Waits to be told, then ends with 7.
const ENDS: &str = "#!/bin/sh\necho $$ >> pids\necho output of $$\nread x < go\nexit 7\n";

/// The same, and leaves something behind that has to be killed.
const LEAVES: &str = "#!/bin/sh\necho $$ >> pids\necho output of $$\nread x < go\n(trap '' TERM; exec sleep 600) &\nread x < end\nexit 7\n";

/// Does not end when it is asked to.
const STUBBORN: &str = "#!/bin/sh\ntrap '' TERM\necho $$ >> pids\necho output of $$\nexec sleep 600\n";

#[test]
fn start_that_archives() {
    at_every_point("worker killed in a start", |nth| {
        let (env, pid) = with_former_run(STAYS);
        let traced = kill_at(env.command(&["start", TASK]), Victim::WorkerAtStart, nth, &|point| {
            if point == BIRTH {
                newborn(&env);
            }
        });
        let mut witness = Witness::new(&env, &[]);
        let view = witness.look();
        if traced.point.is_none() {
            assert_eq!((traced.code, view.state.as_str()), (Some(0), "running"), "{traced:?}");
        } else {
            assert!(!view.is_watched(), "{traced:?} {view:?}");
            // The answer does not contradict what can be seen.
            if traced.code == Some(0) {
                assert_eq!(view.state, "orphaned", "{traced:?}");
            }
            if traced.said.contains("before it could start it") {
                assert_eq!(view.outcome(), "never_started", "{traced:?} {view:?}");
            }
            // Who was traced with the worker dies with it.
            let killed = view.outcome() == "signal" && is_unseen_or(&view.history[0], &json!("SIGKILL"));
            assert!(killed || matches!(view.outcome(), "" | "lost" | "never_started"), "{traced:?} {view:?}");
        }
        witness.follow_up(1);
        let line = format!("output of {pid}\n");
        let holders = outputs(&env).into_iter().filter(|(_, text)| text.contains(&line)).count();
        assert_eq!(holders, 1, "{traced:?}");
        traced.point
    });
}

/// Tells a script to go on that reads from this pipe. Opening it waits for the reader.
fn tell(env: &TestEnv, pipe: &str) {
    fs::write(env.dir().join(pipe), "\n").unwrap();
}

/// Whether the record of the newest run says how it ended.
fn is_outcome_on_record(env: &TestEnv) -> bool {
    let mut records = fs::read_dir(env.file("runs")).unwrap();
    records.any(|record| fs::read_to_string(record.unwrap().path()).unwrap().contains("\"at\":\"ended\""))
}

#[test]
fn the_end_of_a_run() {
    at_every_point("worker killed at the end of a run", |nth| {
        let env = with_task(ENDS);
        mkfifo(&env.dir().join("go"), Mode::S_IRWXU).unwrap();
        let start = env.command(&["start", TASK]);
        let traced = kill_at(start, Victim::WorkerAtEnd(&|| tell(&env, "go")), nth, &|_| {});
        until("the script to end", || scripts(&env).is_empty());
        let seen = is_outcome_on_record(&env);
        let view = Witness::new(&env, &[7]).look();
        assert_eq!(seen, seen && view.outcome() == "exit_code", "{traced:?} {view:?}");
        assert!(is_unseen_or(&view.history[0], &json!(7)), "{traced:?} {view:?}");
        assert!(seen || traced.point.is_some(), "{view:?}");
        traced.point
    });
}

#[test]
fn the_end_of_a_run_that_leaves_something_behind() {
    at_every_point("worker killed at the end of a run that leaves a process", |nth| {
        let env = with_task(LEAVES);
        mkfifo(&env.dir().join("go"), Mode::S_IRWXU).unwrap();
        mkfifo(&env.dir().join("end"), Mode::S_IRWXU).unwrap();
        let start = env.command(&["start", TASK]);
        let end = || {
            tell(&env, "go");
            until("the child", || scripts(&env).values().any(|pids| pids.len() == 2));
            tell(&env, "end");
        };
        let traced = kill_at(start, Victim::WorkerAtEnd(&end), nth, &|_| {});
        let main = written_pids(&env)[0];
        until("the script to end", || !scripts(&env).values().flatten().any(|pid| *pid == main));
        let seen = is_outcome_on_record(&env);
        let mut witness = Witness::new(&env, &[7]);
        let view = witness.look();
        assert!(!view.is_watched(), "{traced:?} {view:?}");
        assert_eq!(view.state == "orphaned", !view.alive.is_empty(), "{traced:?} {view:?}");
        let view = witness.stop();
        assert_eq!(seen, seen && view.outcome() == "exit_code", "{traced:?} {view:?}");
        assert!(is_unseen_or(&view.history[0], &json!(7)), "{traced:?} {view:?}");
        traced.point
    });
}

#[test]
fn stop() {
    at_every_point("worker killed in a stop", |nth| {
        let env = with_task(STUBBORN);
        let stopping: RefCell<Option<Child>> = RefCell::default();
        let begin = || {
            until("the script to be deaf", || env.read("T.txt").contains("output of"));
            let child = env.command(&["stop", TASK]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            *stopping.borrow_mut() = Some(child.unwrap());
        };
        let traced = kill_at(env.command(&["start", TASK]), Victim::WorkerAtEnd(&begin), nth, &|_| {
            // Every other time the command that asked is gone too.
            if nth / 2 % 2 == 0 {
                let pid = stopping.borrow().as_ref().unwrap().id();
                kill(i32::try_from(pid).unwrap(), 9);
            }
        });
        let mut child = stopping.into_inner().unwrap();
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0) | None), "{traced:?}: {code:?}");
        let mut witness = Witness::new(&env, &[]);
        witness.look();
        let view = witness.stop();
        assert!(matches!(view.outcome(), "lost" | "stopped"), "{traced:?} {view:?}");
        assert_eq!(view.history.len(), 1);
        traced.point
    });
}
