//! A job of `start` with hooks, and its supervisor or the worker of a hook killed at every step: each hook, and the run
//! itself, happen once and in their order.

use std::fs;

use serde_json::{Value, json};

use super::super::env::{TestEnv, until};
use super::super::supervisor::query;
use super::at_every_point;
use super::queue::{Supervisor, lines};
use super::tracer::{Idle, kill_supervisor_at, kill_worker_of};

/// A task whose job has one hook before its run and one after it, started while nobody supervises.
fn with_hooks() -> TestEnv {
    let env = TestEnv::new();
    env.ringers_are_killed();
    env.ok(&["init"]);
    let (dir, note) = (env.dir().display(), "cd $TEST_DIR; echo ${JOBEXEC_HOOK:-main} >>done");
    let task = format!(
        "\n[task.T]\nshell = \"{note}\"\nwd = \"{dir}\"\nenv.TEST_DIR = \"{dir}\"\nrestart = \"never\"\n\
         hooks.preprocess = \"{note}\"\nhooks.postprocess = \"{note}\"\n"
    );
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + &task).unwrap();
    env.ok(&["start", "T"]);
    env
}

#[test]
fn supervisor_killed_while_a_job_goes_through_its_hooks() {
    at_every_point("supervisor killed while a job of start goes through its hooks", |nth| {
        let env = with_hooks();
        // Read past the commands, which would settle what the supervisor is to settle.
        let state = || query(&env, "SELECT state FROM jobs", |row| row.get::<_, String>(0)).pop();
        let is_over = || state().as_deref() == Some("JOB_FINISHED");
        let idle = || if is_over() { Idle::Over } else { Idle::Within };
        let point = kill_supervisor_at(env.command(&["keep-restarting"]), true, nth, &idle, &|_| {});
        let _supervisor = Supervisor::begin(&env);
        until("the job to end", is_over);
        assert_eq!(lines(&env, "done"), ["preprocess", "main", "postprocess"], "{point:?}");
        let job = env.json(&["job", "show", "1"]);
        assert_eq!((&job["attempt"], &job["exit_code"]), (&json!(1), &json!(0)), "{point:?}: {job}");
        until("its end to be the task's", || env.state("T") == "finished");
        point
    });
}

#[test]
fn worker_of_a_hook_killed_while_it_starts() {
    at_every_point("worker of a hook killed while it starts", |nth| {
        let env = with_hooks();
        let (point, pid) = kill_worker_of(env.command(&["keep-restarting"]), None, nth, &|_, _| {});
        let _supervisor = Supervisor(pid);
        let mut job = Value::Null;
        until("the job to end", || {
            job = env.json(&["job", "show", "1"]);
            job["state"] == "JOB_FINISHED" || job["state"] == "FAILED"
        });
        let done = lines(&env, "done");
        if job["state"] == "JOB_FINISHED" {
            assert_eq!(done, ["preprocess", "main", "postprocess"], "{point:?}");
        } else {
            // Nobody knows whether it ran: it is not run again, and nothing follows.
            assert!(point.is_some() && job["reason"] == "hook_failed", "{point:?}: {job}");
            assert!(done.is_empty() || done == ["preprocess"], "{point:?}: {done:?}");
            assert!(job["message"].as_str().unwrap().contains("died"), "{point:?}: {job}");
        }
        point
    });
}
