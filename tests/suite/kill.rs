//! SIGKILL of the command and of the worker at every step leaves the truth in `status` and `history`.
//!
//! The steps are the system calls: a tracer kills the process at the first one that can change something, in a new
//! folder at the second, and so on until it comes through unharmed. `JOBEXEC_KILL_CALLS=all` takes every call.

mod applying;
mod command;
mod evidence;
mod front;
mod hands;
mod queue;
pub(super) mod random;
mod supervisor;
mod tracer;
mod truth;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::env::{TestEnv, until};
use truth::{TASK, written_pids};

/// How many points are tried at the same time. More than there are cores: a good part is waiting.
const AT_ONCE: usize = 4;

/// The script of most tests: notes its pid, says something, and stays.
const STAYS: &str = "#!/bin/sh\necho $$ >> pids\necho output of $$\nexec sleep 600\n";

/// Tries every point of a scenario, until one is not reached. `at` says where it killed.
fn at_every_point(scenario: &str, at: impl Fn(usize) -> Option<String> + Sync) {
    let (next, last, over) = (AtomicUsize::new(1), AtomicUsize::new(0), AtomicBool::new(false));
    let one = || {
        while !over.load(Ordering::Relaxed) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            match catch_unwind(AssertUnwindSafe(|| at(nth))) {
                Ok(Some(_)) => drop(last.fetch_max(nth, Ordering::Relaxed)),
                Ok(None) => over.store(true, Ordering::Relaxed),
                Err(panic) => {
                    over.store(true, Ordering::Relaxed);
                    eprintln!("{scenario}: that was at point {nth}");
                    resume_unwind(panic);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(one);
        }
    });
    let points = last.load(Ordering::Relaxed);
    println!("{scenario}: {points} points");
    assert!(points >= 5, "{scenario}: only {points} points, so the tracer does not see what it should");
}

/// A folder with a task that has never run.
fn with_task(script: &str) -> TestEnv {
    let env = TestEnv::new();
    env.script("t.sh", script);
    env.ok(&["add", TASK, "t.sh", "--stop-grace", "300ms"]);
    env
}

/// The same after one run that was stopped; with the pid of that run.
fn with_former_run(script: &str) -> (TestEnv, i32) {
    let env = with_task(script);
    env.ok(&["start", TASK]);
    until("the first run's output", || env.read("T.txt").contains("output of"));
    env.ok(&["stop", TASK]);
    let pid = written_pids(&env)[0];
    (env, pid)
}

/// A run whose next process is only just born, its maker dead, is there: it is not judged, nor started a second time.
fn newborn(env: &TestEnv) {
    let status = env.status(TASK);
    assert_eq!((status["state"].as_str(), &status["pid"]), (Some("running"), &serde_json::Value::Null), "{status}");
    assert!(env.history(TASK)[0]["outcome"].is_null());
    let again = env.ok(&["start", TASK]);
    assert!(again.err.contains("Already running"), "{again:?}");
}
