//! The queue with the worker of its slot, or its supervisor, killed at every step: no job runs twice, none is left behind,
//! and how they ended is known unless the worker died while it was starting one.

use std::fs;

use jobexec::domain::evidence::{Entry, Place};
use jobexec::domain::name::RunId;
use jobexec::process::identity;
use jobexec::process::record::RecordFile;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::super::env::{TestEnv, kill, until};
use super::at_every_point;
use super::tracer::{Idle, kill_supervisor_at, kill_worker_of};

/// Notes that it runs, ends with 7 when it is told to, and notes that.
const TOLD: &str = "#!/bin/sh
echo $JOBEXEC_JOB_ID >> begun
echo output of $JOBEXEC_JOB_ID
until [ -e go ]; do sleep 0.01; done
echo $JOBEXEC_JOB_ID >> ended
exit 7
";

/// What a worker left in a slot's record before the machine was started anew: evidence of nothing that comes after.
fn leave_a_record(env: &TestEnv) {
    let mut record = RecordFile::of_slot(&env.file("runs/slot-0")).unwrap().unwrap();
    let place = Place { boot: "an earlier one".to_owned(), ..identity::here() };
    for nth in 0..3 {
        record.begin(nth, &Entry::Prepared { run: RunId::from_bytes([1; 16]), place: place.clone() }).unwrap();
    }
}

/// Two jobs in a queue of one slot.
fn with_two() -> TestEnv {
    let env = TestEnv::new();
    env.ringers_are_killed();
    env.script("t.sh", TOLD);
    env.ok(&["add", "T", "t.sh"]);
    for _ in 0..2 {
        env.ok(&["submit", "T"]);
    }
    leave_a_record(&env);
    env
}

fn go(env: &TestEnv) {
    fs::write(env.dir().join("go"), "").unwrap();
}

pub(super) fn lines(env: &TestEnv, name: &str) -> Vec<String> {
    let text = fs::read_to_string(env.dir().join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A supervisor that ends with its test.
pub(super) struct Supervisor(pub(super) Pid);

impl Supervisor {
    pub(super) fn begin(env: &TestEnv) -> Self {
        let child = env.command(&["keep-restarting"]).stderr(std::process::Stdio::null()).spawn().unwrap();
        Self(Pid::from_raw(i32::try_from(child.id()).unwrap()))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        kill(self.0.as_raw(), 9);
        let _ = waitpid(self.0, None);
    }
}

/// Waits until both jobs have ended: each has run once, and so it is told.
#[track_caller]
fn check(env: &TestEnv, point: Option<&str>) {
    let mut jobs = Vec::new();
    until("both jobs to end", || {
        jobs = ["1", "2"].iter().map(|id| env.json(&["job", "show", id])).collect();
        jobs.iter().all(|job| job["state"] == "FAILED")
    });
    let begun = lines(env, "begun");
    let mut lost = 0;
    for job in &jobs {
        let id = job["id"].to_string();
        let times = begun.iter().filter(|line| **line == id).count();
        let last = job["runs"].as_array().unwrap().last().unwrap();
        if job["reason"] == "lost" {
            lost += 1;
            assert!(last["reason"].as_str().unwrap().contains("died while starting it"), "{point:?}: {job}");
            assert!(times <= 1, "{point:?}: {begun:?}");
            continue;
        }
        assert_eq!((times, &job["exit_code"], &last["exit_code"]), (1, &json!(7), &json!(7)), "{point:?}: {job}");
        assert_eq!(job["attempt"], 1, "{point:?}: what was never started is not counted: {job}");
        assert_eq!(env.read(&format!("jobs/{id}/run-1.txt")), format!("output of {id}\n"), "{point:?}");
    }
    assert!(lost <= usize::from(point.is_some()), "{point:?}: {jobs:?}");
    assert_eq!(env.json(&["jobs", "state = RUNNING"]), Value::Array(vec![]));
}

#[test]
fn worker_killed_while_it_claims_and_starts() {
    at_every_point("worker of a slot killed while it starts a job", |nth| {
        let env = with_two();
        let (point, pid) = kill_worker_of(env.command(&["keep-restarting"]), None, nth, &|_, _| {});
        let _supervisor = Supervisor(pid);
        go(&env);
        check(&env, point.as_deref());
        point
    });
}

#[test]
fn worker_killed_while_a_job_ends_and_the_next_begins() {
    at_every_point("worker of a slot killed at the end of a job", |nth| {
        let env = with_two();
        let (point, pid) = kill_worker_of(env.command(&["keep-restarting"]), Some(&|| go(&env)), nth, &|_, _| {});
        let _supervisor = Supervisor(pid);
        check(&env, point.as_deref());
        point
    });
}

#[test]
fn supervisor_killed_while_the_queue_runs() {
    at_every_point("supervisor killed while the queue runs", |nth| {
        let env = with_two();
        go(&env);
        let idle = || if lines(&env, "ended").len() == 2 { Idle::Over } else { Idle::Within };
        let point = kill_supervisor_at(env.command(&["keep-restarting"]), true, nth, &idle, &|_| {});
        let _supervisor = Supervisor::begin(&env);
        check(&env, None);
        point
    });
}
