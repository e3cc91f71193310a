//! Locks at the front doors: what `start`, restarts and schedules do while somebody else holds what they need, and the
//! queue while they do.

use serde_json::json;

use crate::suite::env::{TestEnv, alive, kill, until};
use crate::suite::supervisor::{KILL, Night, TERMINATE, pid_of, query, runs_ended, touch};

use super::{GATED, does, open, shell, slots, state, submit, until_idle, until_lines, until_state};

/// Tasks of one lock, `gpu`, however it is written.
pub(super) fn with(tasks: &str) -> TestEnv {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "locks"]);
    let text = format!("{}\n{tasks}", env.read("jobexec.toml"));
    std::fs::write(env.file("jobexec.toml"), text).unwrap();
    env.script("stays.sh", "#!/bin/sh\nexec sleep 600\n");
    env.script("until.sh", "#!/bin/sh\nuntil [ -e go-$JOBEXEC_TASK ]; do sleep 0.02; done\nexit ${1:-0}\n");
    env
}

/// A task of the lock that says no more than this.
pub(super) fn task(name: &str, more: &str) -> String {
    format!("[task.{name}]\nwd = '..'\nlocks = ['GPU']\n{more}\n")
}

const STAYS: &str = "script = 'stays.sh'\nrestart = 'never'";

#[test]
fn start_is_refused_while_another_task_holds_the_lock_and_nothing_is_recorded() {
    let env =
        with(&[task("a", STAYS), task("b", STAYS), "[task.free]\nwd = '..'\nscript = 'stays.sh'\n".into()].concat());
    env.ok(&["start", "a"]);
    let events = || query(&env, "SELECT count(*) FROM events", |row| row.get::<_, i64>(0));
    let before = events();
    let said = env.fails(5, &["start", "b"]);
    assert!(said.err.contains("cannot start `b`"), "{said:?}");
    assert!(said.err.contains("lock `gpu` is held by task `a`"), "{said:?}");
    assert!(said.err.contains("jobexec stop a"), "{said:?}");
    assert_eq!((events(), env.status("b")["wanted"].clone()), (before, json!(false)));
    assert_eq!(env.history("b").len(), 0);
    // What runs is not refused, and what needs no lock does not care.
    env.ok(&["start", "a", "free"]);
    env.ok(&["stop", "a"]);
    env.ok(&["start", "b"]);
    let said = env.fails(5, &["start", "--all"]);
    assert!(said.err.contains("cannot start `a`") && !said.err.contains("cannot start `b`"), "{said:?}");
}

#[test]
fn of_two_that_are_started_at_once_the_first_gets_the_lock() {
    let env = with(&[task("a", STAYS), task("b", STAYS)].concat());
    let said = env.fails(5, &["start", "--all"]);
    assert!(said.err.contains("cannot start `b`") && said.err.contains("held by task `a`"), "{said:?}");
    assert_eq!([env.state("a"), env.state("b")], ["running", "stopped"]);
}

#[test]
fn a_holder_that_has_ended_unnoticed_holds_nothing() {
    let env = with(&[task("a", "script = 'until.sh'\nrestart = 'never'"), task("b", STAYS)].concat());
    env.ok(&["start", "a"]);
    let worker = env.worker_of("a");
    touch(&env, "go-a");
    until("the worker to end", || !alive(worker));
    env.ok(&["start", "b"]);
}

#[test]
fn an_orphan_holds_its_lock() {
    let env = with(&[task("a", STAYS), task("b", STAYS)].concat());
    env.ok(&["start", "a"]);
    let worker = env.worker_of("a");
    kill(worker, KILL);
    until("the worker to die", || !alive(worker));
    let said = env.fails(5, &["start", "b"]);
    assert!(said.err.contains("held by task `a`"), "{said:?}");
    env.ok(&["stop", "a"]);
    env.ok(&["start", "b"]);
}

#[test]
fn start_is_refused_while_a_queued_job_holds_the_lock() {
    let env = with(&[task("a", STAYS), task("b", STAYS)].concat());
    let night = slots(&env, 1);
    let id = submit(&env, &["a"]);
    until_state(&env, id, "RUNNING");
    let said = env.fails(5, &["start", "b"]);
    assert!(said.err.contains(&format!("lock `gpu` is held by job {id}")), "{said:?}");
    assert!(said.err.contains(&format!("jobexec job kill {id}")), "{said:?}");
    // Its own task is no exception.
    env.fails(5, &["start", "a"]);
    does(&env, "kill", id);
    env.ok(&["start", "b"]);
    drop(night);
}

#[test]
fn a_queued_job_waits_for_the_lock_of_a_task_and_says_so() {
    let env = with(&[task("a", STAYS), task("b", "command = ['true']\nrestart = 'never'")].concat());
    let night = slots(&env, 2);
    env.ok(&["start", "a"]);
    let id = submit(&env, &["b"]);
    let other = shell(&env, &[], "true");
    until_state(&env, other, "JOB_FINISHED");
    assert_eq!(state(&env, id), "PREPROCESSED");
    let said = env.ok(&["explain", &id.to_string()]);
    assert!(said.out.contains("waits: lock `gpu` is held by task `a`"), "{said:?}");
    env.ok(&["stop", "a"]);
    until_state(&env, id, "JOB_FINISHED");
    // Nobody held it at the same time.
    let sql = "SELECT ended FROM runs WHERE task = 'a' UNION ALL SELECT claimed FROM runs WHERE task = 'b'";
    let times = query(&env, sql, |row| row.get::<_, i64>(0));
    assert!(times[0] <= times[1], "{times:?}");
    drop(night);
}

#[test]
fn a_restart_waits_for_the_lock_and_begins_when_it_is_free() {
    let without = "[task.a]\nwd = '..'\nscript = 'stays.sh'\nbackoff.first = '0s'\n";
    let env = with(&[without, &task("b", "command = ['/bin/sh', '-c', '{{line}}']\nrestart = 'never'")].concat());
    let night = slots(&env, 1);
    env.ok(&["start", "a"]);
    let id = submit(&env, &["b", "-p", &format!("line=cd {}; {GATED}", env.dir().display())]);
    until_state(&env, id, "RUNNING");
    // What runs holds what it was started with; its next run needs the lock.
    let text = env.read("jobexec.toml").replace("[task.a]\n", "[task.a]\nlocks = ['gpu']\n");
    std::fs::write(env.file("jobexec.toml"), text).unwrap();
    kill(pid_of(&env, "a"), KILL);
    night.says(&format!("a waits: lock `gpu` is held by job {id}"));
    let status = env.status("a");
    assert_eq!((&status["state"], &status["running"]), (&json!("waiting"), &json!(false)), "{status}");
    assert_eq!(status["waits_for_lock"], json!({ "lock": "gpu", "task": null, "job": id, "held": true }), "{status}");
    let said = env.ok(&["explain", "a"]);
    assert!(said.out.contains(&format!("lock `gpu` is held by job {id}")), "{said:?}");
    let said = env.ok(&["status"]);
    assert!(said.out.contains("waits for lock `gpu`"), "{said:?}");
    env.fails(5, &["start", "a"]);
    open(&env, id);
    env.wait_for_state("a", "running");
    assert_eq!(env.status("a")["waits_for_lock"], json!(null));
    drop(night);
}

#[test]
fn a_restart_waits_for_another_task_too() {
    let env = with(&[task("a", "script = 'stays.sh'\nbackoff.first = '0s'"), task("b", STAYS)].concat());
    let night = Night::begin(&env);
    env.ok(&["start", "a"]);
    let first = pid_of(&env, "a");
    // The supervisor hears of nothing while the other one takes the lock.
    night.end(KILL);
    kill(first, KILL);
    until("it to have ended", || env.status("a")["running"] == false);
    env.ok(&["start", "b"]);
    let night = Night::begin(&env);
    night.says("a waits: lock `gpu` is held by task `b`");
    env.ok(&["stop", "b"]);
    env.wait_for_state("a", "running");
    assert!(env.history("a").len() >= 2);
    drop(night);
}

/// What was decided about a task's due moments, oldest first.
pub(super) fn decided(env: &TestEnv, task: &str) -> Vec<(String, String)> {
    let sql = format!("SELECT decision, coalesce(reason, '') FROM occurrences WHERE task = '{task}' ORDER BY due");
    query(env, &sql, |row| Ok((row.get(0)?, row.get(1)?)))
}

#[test]
fn a_fire_treats_a_lock_as_overlap_and_stops_no_stranger() {
    let fires =
        |name: &str, overlap: &str| task(name, &format!("command = ['true']\nperiod = '1s'\noverlap = '{overlap}'"));
    let overlaps = ["skip", "queue", "replace", "allow"];
    let tasks: String = overlaps.iter().map(|overlap| fires(overlap, overlap)).collect();
    let env = with(&[task("a", STAYS), tasks].concat());
    let night = Night::begin(&env);
    env.ok(&["start", "a"]);
    env.ok(&[&["start"], &overlaps[..]].concat());
    for (name, decision) in overlaps.into_iter().zip(["skipped", "waiting", "waiting", "skipped"]) {
        until(&format!("{name} to be decided"), || decided(&env, name).len() >= 2);
        let all = decided(&env, name);
        assert!(all.iter().any(|(one, _)| one == decision), "{name}: {all:?}");
        for (one, reason) in &all {
            assert!(one == "skipped" || one == decision, "{name}: {all:?}");
            let displaced = reason.contains("took its place");
            assert!(displaced || reason.contains("lock `gpu` is held by task `a`"), "{name}: {all:?}");
        }
    }
    assert_eq!(env.history("skip")[0]["reason"], json!("lock `gpu` is held by task `a`"));
    assert_eq!(env.state("a"), "running", "nobody has stopped it");
    env.ok(&["stop", "a"]);
    for name in ["queue", "replace"] {
        until(&format!("{name} to run"), || decided(&env, name).iter().any(|(decision, _)| decision == "run"));
    }
    drop(night);
}

#[test]
fn runs_of_one_schedule_share_a_lock_with_each_other_too() {
    let env = with(&task("a", "script = 'until.sh'\nperiod = '1s'\noverlap = 'allow'\nmax_running = 5"));
    let night = Night::begin(&env);
    env.ok(&["start", "a"]);
    until("three to be decided", || decided(&env, "a").len() >= 3);
    let all = decided(&env, "a");
    assert_eq!(all[0].0, "run");
    for (decision, reason) in &all[1..] {
        assert_eq!((decision.as_str(), reason.as_str()), ("skipped", "lock `gpu` is held by task `a`"));
    }
    drop(night);
}

#[test]
fn what_fires_with_a_supervisor_waits_for_a_lock_where_it_may() {
    let fires = |name: &str, overlap: &str| {
        task(name, &format!("command = ['true']\nperiod = '@start'\noverlap = '{overlap}'"))
    };
    let env = with(&[task("a", STAYS), fires("skip", "skip"), fires("queue", "queue")].concat());
    env.ok(&["start", "a", "skip", "queue"]);
    let night = Night::begin(&env);
    until("both to be decided", || ["skip", "queue"].iter().all(|name| !decided(&env, name).is_empty()));
    assert_eq!(decided(&env, "skip"), [("skipped".into(), "lock `gpu` is held by task `a`".into())]);
    assert_eq!(decided(&env, "queue"), [("waiting".into(), "waits: lock `gpu` is held by task `a`".into())]);
    env.ok(&["stop", "a"]);
    until("it to run", || decided(&env, "queue") == [("run".into(), String::new())]);
    night.end(TERMINATE);
}

#[test]
fn a_restart_that_waits_for_a_lock_is_work_that_is_left() {
    let broken = "script = 'breaks.sh'\nrestart = 'on-failure'\nbackoff.first = '0s'";
    let env = with(&[task("a", "script = 'until.sh'\nrestart = 'never'"), task("b", broken)].concat());
    env.script("breaks.sh", "#!/bin/sh\n[ $JOBEXEC_ATTEMPT -gt 1 ]\n");
    env.ok(&["start", "b"]);
    runs_ended(&env, "b", 1);
    env.ok(&["start", "a"]);
    let night = Night::with(&env, &["--until-idle"]);
    night.says("b waits: lock `gpu` is held by task `a`");
    touch(&env, "go-a");
    assert_eq!(night.ended().0, Some(0));
    assert_eq!((env.history("b").len(), env.state("b")), (2, "finished".to_owned()));
}

#[test]
fn what_waits_for_a_lock_is_not_idle() {
    let env = with(
        &[task("a", "script = 'until.sh'\nrestart = 'never'"), task("b", "command = ['true']\nrestart = 'never'")]
            .concat(),
    );
    env.ok(&["start", "a"]);
    let id = submit(&env, &["b"]);
    let night = Night::with(&env, &["--until-idle"]);
    let other = shell(&env, &["--priority", "-1"], "touch go-a");
    assert_eq!(night.ended().0, Some(0));
    assert_eq!([state(&env, id), state(&env, other)], ["JOB_FINISHED", "JOB_FINISHED"]);
    assert_eq!(until_idle(&env, 1), 0);
}

#[test]
fn a_restart_that_the_lock_forbids_ends_nothing() {
    let prepared =
        "command = ['true']\nrestart = 'never'\nhooks.preprocess = 'echo $$ > $JOBEXEC_FOLDER/../pid; sleep 600'";
    let env = with(&[task("a", STAYS), task("b", prepared)].concat());
    let night = slots(&env, 1);
    env.ok(&["start", "b"]);
    let pid = until_lines(&env, "pid", 1)[0].parse().unwrap();
    env.ok(&["start", "a"]);
    let said = env.fails(5, &["restart", "b"]);
    assert!(said.err.contains("lock `gpu` is held by task `a`"), "{said:?}");
    assert!(alive(pid) && state(&env, 1) == "STAGED_IN");
    // Its own lock is no obstacle, nor is that of what has ended.
    env.ok(&["restart", "a"]);
    env.ok(&["stop", "a"]);
    env.ok(&["restart", "b"]);
    assert!(!alive(pid));
    drop(night);
}
