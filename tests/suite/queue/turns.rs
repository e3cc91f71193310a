//! Turns: a lock that is free goes to whoever has waited for it longer, queued job, task, or due moment of a schedule.

use serde_json::{Value, json};

use super::locks::{decided, task, with};
use super::{GATED, does, open, shell, slots, state, submit, until_lines, until_state};
use crate::suite::env::{TestEnv, kill, parent, until};
use crate::suite::supervisor::{KILL, Night, pid_of, query, runs_ended, touch};

/// Comes back at once, again and again.
const AGAIN: &str = "command = ['sleep', '0.05']\nbackoff.reset_after = '1ms'";

/// Runs until there is `go-NAME`, and comes back at once, also when it was killed.
const COMES_BACK: &str = "script = 'until.sh'\nbackoff.first = '0s'";

const LINE: &str = "command = ['/bin/sh', '-c', '{{line}}']\nrestart = 'never'";

/// Gives tasks the lock that were started without it: their next runs need it.
fn lock(env: &TestEnv, tasks: &[&str]) {
    let mut text = env.read("jobexec.toml");
    for name in tasks {
        text = text.replace(&format!("[task.{name}]\n"), &format!("[task.{name}]\nlocks = ['gpu']\n"));
    }
    std::fs::write(env.file("jobexec.toml"), text).unwrap();
}

/// A task as [`task`] makes it, without the lock.
fn free(name: &str, more: &str) -> String {
    task(name, more).replace("locks = ['GPU']\n", "")
}

/// The runs that need the lock, in the order of their claims.
fn claims(env: &TestEnv) -> Vec<Value> {
    let sql = "SELECT task, claimed, ended FROM runs WHERE holds LIKE '%gpu%' ORDER BY claimed";
    query(env, sql, |row| Ok(json!([row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?])))
}

/// One after the other; whose they were.
#[track_caller]
fn one_at_a_time(env: &TestEnv) -> Vec<String> {
    let all = claims(env);
    for two in all.windows(2) {
        assert!(two[0][2].as_i64().is_some_and(|ended| ended <= two[1][1].as_i64().unwrap()), "{two:?}");
    }
    all.iter().map(|run| run[0].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_task_that_is_kept_alive_lets_a_queued_job_have_its_turn() {
    let env = with(&[task("a", AGAIN), task("b", "command = ['true']\nrestart = 'never'")].concat());
    let night = slots(&env, 1);
    env.ok(&["start", "a"]);
    for _ in 0..3 {
        let id = submit(&env, &["b"]);
        until_state(&env, id, "JOB_FINISHED");
        let before = env.history("a").len();
        until("it to come back", || env.history("a").len() > before + 1);
    }
    env.ok(&["stop", "a"]);
    one_at_a_time(&env);
    drop(night);
}

#[test]
fn two_that_are_kept_alive_take_turns() {
    let env = with(&[free("a", AGAIN), free("b", AGAIN)].concat());
    let night = Night::begin(&env);
    env.ok(&["start", "a", "b"]);
    lock(&env, &["a", "b"]);
    until("many turns", || claims(&env).len() >= 12);
    env.ok(&["stop", "a", "b"]);
    let whose = one_at_a_time(&env);
    // Until both wait for it, one may have it twice.
    let from = whose.iter().position(|name| *name != whose[0]).expect("both");
    for two in whose[from..].windows(2) {
        assert_ne!(two[0], two[1], "{whose:?}");
    }
    drop(night);
}

#[test]
fn a_due_moment_that_waits_gets_its_turn() {
    let fires = "command = ['true']\nperiod = '1s'\noverlap = 'queue'";
    let env = with(&[task("a", AGAIN), task("b", fires)].concat());
    let night = Night::begin(&env);
    env.ok(&["start", "a", "b"]);
    until("it to run", || decided(&env, "b").iter().filter(|(decision, _)| decision == "run").count() >= 2);
    let before = env.history("a").len();
    until("the other to come back", || env.history("a").len() > before + 1);
    env.ok(&["stop", "a", "b"]);
    one_at_a_time(&env);
    drop(night);
}

#[test]
fn a_task_goes_before_a_job_that_came_after_it() {
    let env = with(&[free("a", COMES_BACK), task("b", LINE)].concat());
    let night = slots(&env, 1);
    env.ok(&["start", "a"]);
    let line = format!("line=cd {}; {GATED}", env.dir().display());
    let first = submit(&env, &["b", "-p", &line]);
    until_state(&env, first, "RUNNING");
    lock(&env, &["a"]);
    kill(pid_of(&env, "a"), KILL);
    night.says(&format!("a waits: lock `gpu` is held by job {first}"));
    let second = submit(&env, &["b", "-p", &line, "--priority", "9"]);
    open(&env, first);
    env.wait_for_state("a", "running");
    assert_eq!((state(&env, first), state(&env, second)), ("JOB_FINISHED".into(), "PREPROCESSED".into()));
    // It has waited longer than the next run of that task.
    open(&env, second);
    touch(&env, "go-a");
    until_state(&env, second, "JOB_FINISHED");
    env.ok(&["stop", "a"]);
    one_at_a_time(&env);
    drop(night);
}

/// A task that is kept alive and a job that has waited longer for the same lock, for which a slot is free whose worker
/// stands still.
struct Standstill<'a> {
    env: &'a TestEnv,
    night: Night,
    worker: i32,
    job: i64,
}

impl<'a> Standstill<'a> {
    #[track_caller]
    fn of(env: &'a TestEnv) -> Self {
        let night = slots(env, 1);
        let other = shell(env, &[], &format!("echo $$ >pid; {GATED}"));
        let worker = parent(until_lines(env, "pid", 1)[0].parse().unwrap());
        env.ok(&["start", "a"]);
        open(env, other);
        until_state(env, other, "JOB_FINISHED");
        kill(worker, STOP);
        let job = submit(env, &["b", "-p", "line=true"]);
        touch(env, "go-a");
        runs_ended(env, "a", 1);
        std::fs::remove_file(env.dir().join("go-a")).unwrap();
        night.says(&format!("a waits: lock `gpu` goes to job {job} first, which has waited longer"));
        Self { env, night, worker, job }
    }

    /// Everybody goes on, and has their turn.
    #[track_caller]
    fn end(self) {
        let Self { env, night, worker, job } = self;
        kill(worker, CONTINUE);
        touch(env, "go-a");
        until_state(env, job, "JOB_FINISHED");
        env.ok(&["stop", "a"]);
        one_at_a_time(env);
        drop(night);
    }
}

const STOP: i32 = 19;
const CONTINUE: i32 = 18;

#[test]
fn who_waits_for_the_turn_of_another_says_so_and_goes_on_without_it() {
    let env = with(&[task("a", COMES_BACK), task("b", LINE)].concat());
    let still = Standstill::of(&env);
    let job = still.job;
    let status = env.status("a");
    let expected = json!({ "lock": "gpu", "task": null, "job": job, "held": false });
    assert_eq!((&status["state"], &status["waits_for_lock"]), (&json!("waiting"), &expected), "{status}");
    let said = env.ok(&["explain", "a"]);
    assert!(said.out.contains(&format!("lock `gpu` goes to job {job} first, which has waited longer")), "{said:?}");
    assert!(format!("{said:?}").contains(&format!("jobexec job cancel {job}")), "{said:?}");
    does(&env, "hold", job);
    env.wait_for_state("a", "running");
    does(&env, "release", job);
    still.end();
}

#[test]
fn somebody_who_starts_it_by_hand_waits_for_no_turn() {
    let env = with(&[task("a", COMES_BACK), task("b", LINE)].concat());
    let still = Standstill::of(&env);
    env.ok(&["start", "a"]);
    assert_eq!((env.state("a"), state(&env, still.job)), ("running".into(), "PREPROCESSED".into()));
    still.end();
}

#[test]
fn a_job_for_which_there_is_no_slot_keeps_no_task_waiting() {
    let env = with(&[task("a", AGAIN), task("b", LINE)].concat());
    let night = slots(&env, 1);
    let other = shell(&env, &[], GATED);
    until_state(&env, other, "RUNNING");
    env.ok(&["start", "a"]);
    let next = submit(&env, &["b", "-p", "line=true"]);
    let before = env.history("a").len();
    until("it to run on and on", || env.history("a").len() > before + 3);
    assert_eq!(state(&env, next), "PREPROCESSED");
    open(&env, other);
    until_state(&env, next, "JOB_FINISHED");
    env.ok(&["stop", "a"]);
    one_at_a_time(&env);
    drop(night);
}
