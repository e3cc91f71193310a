//! Supervisor and slot workers killed while a queue of short jobs runs: none runs twice, none is lost, and nothing that
//! somebody could know is.
//!
//! `JOBEXEC_KILL_SECONDS` says how long the nemesis acts, `JOBEXEC_KILL_SEED` which numbers are drawn.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

use crate::suite::env::{TestEnv, alive, is_unseen_or, kill, parent, until};
use crate::suite::kill::random::{Random, number};
use crate::suite::supervisor::Night;

use super::{
    GATED, does, job, jobs, lines, open, shell, slots, state, submit, submitted, until_idle, until_lines, until_state,
};

const KILL: i32 = 9;
const TERMINATE: i32 = 15;

/// Notes its beginning, says something, lasts a moment, notes its end, and ends with the last digit of its number where
/// that is below 3, else with 0. Whoever runs beside another run of its job is found out by a lock.
const SHORT: &str = r#"#!/bin/sh
exec 9>> "lock-$JOBEXEC_JOB_ID"
flock -n 9 || echo "$JOBEXEC_JOB_ID" >> violations
echo begin >> log
echo "$JOBEXEC_JOB_ID $JOBEXEC_RUN_ID $JOBEXEC_ATTEMPT" >> begun
echo "one of $JOBEXEC_RUN_ID"
sleep 0.0$((JOBEXEC_JOB_ID % 4))
echo "two of $JOBEXEC_RUN_ID"
code=$((JOBEXEC_JOB_ID % 10))
[ $code -lt 3 ] || code=0
echo end >> log
echo "$JOBEXEC_JOB_ID $JOBEXEC_RUN_ID $code" >> ended
exit $code
"#;

/// The exit code of a job of [`SHORT`].
fn code_of(id: i64) -> i64 {
    if id % 10 < 3 { id % 10 } else { 0 }
}

/// A folder where commands of ours are killed, with a queue of so many short jobs.
fn with_queue(count: usize) -> (TestEnv, Vec<i64>) {
    let env = TestEnv::new();
    env.ringers_are_killed();
    env.script("short.sh", SHORT);
    env.ok(&["add", "short", "short.sh"]);
    env.write("lines", &"x\n".repeat(count), 0o644);
    let ids = submitted(&env, &["short", "--each-line", "lines"]);
    assert_eq!(ids.len(), count);
    (env, ids)
}

/// The workers of slots. A script that is not executed yet looks like its worker, whose child it is.
fn workers(env: &TestEnv) -> Vec<i32> {
    let is_worker =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("runs/slot-");
    let all: Vec<i32> = env.processes().into_iter().filter(is_worker).collect();
    all.iter().copied().filter(|pid| !all.contains(&parent(*pid))).collect()
}

fn rows(env: &TestEnv, name: &str) -> Vec<(i64, String, i64)> {
    let row = |line: &String| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[0].parse().unwrap(), words[1].to_owned(), words[2].parse().unwrap())
    };
    lines(env, name).iter().map(row).collect()
}

fn ended_count(env: &TestEnv) -> usize {
    let rows = env.json(&["jobs", "--by-state"]);
    let is_end = |row: &&Value| matches!(row["state"].as_str().unwrap(), "JOB_FINISHED" | "FAILED" | "CANCELLED");
    rows.as_array()
        .unwrap()
        .iter()
        .filter(is_end)
        .map(|row| usize::try_from(row["count"].as_i64().unwrap()).unwrap())
        .sum()
}

/// Who may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Nobody: no worker was killed.
    None,
    /// Whose worker was killed before it had written down the script's pid.
    AtStart,
    /// Whose worker was killed.
    Any,
}

/// When all have ended: each has run once, as often as is told, and said everything; what is told of its end is true.
#[track_caller]
fn check(env: &TestEnv, ids: &[i64], most: usize, lost: Lost) {
    assert_eq!(lines(env, "violations"), [""; 0], "no job runs beside itself");
    let begun = rows(env, "begun");
    let ended: BTreeMap<String, i64> = rows(env, "ended").into_iter().map(|(_, run, code)| (run, code)).collect();
    let all: BTreeMap<i64, Value> =
        jobs(env, "task = short").into_iter().map(|job| (job["id"].as_i64().unwrap(), job)).collect();
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), ids);
    let runs = env.json(&["history", "short", "-n", "1000000"]);
    let runs = runs.as_array().unwrap().iter();
    let runs: BTreeMap<&str, &Value> = runs.map(|run| (run["run_id"].as_str().unwrap(), run)).collect();
    let mut told = BTreeSet::new();
    for (id, run, attempt) in &begun {
        assert!(told.insert(id), "job {id} has run twice");
        let (shown, of) = (&all[id], runs[run.as_str()]);
        assert_eq!(of["attempt"], *attempt);
        if ended.contains_key(run) {
            let output = env.read(&format!("jobs/{id}/run-{attempt}.txt"));
            assert_eq!(output, format!("one of {run}\ntwo of {run}\n"), "no byte is lost");
        }
        if of["outcome"] == "lost" {
            let reason = of["reason"].as_str().unwrap();
            let excused = match lost {
                Lost::None => false,
                Lost::AtStart => reason.contains("died while starting it"),
                Lost::Any => true,
            };
            assert!(excused, "its exit could be known: {shown}");
            assert_eq!((&shown["state"], &shown["reason"]), (&json!("FAILED"), &json!("lost")));
            continue;
        }
        assert_eq!(ended.get(run), Some(&code_of(*id)), "what has ended has come to its end: {shown}");
        assert_eq!(of["exit_code"], code_of(*id), "{shown}");
        let expected = if code_of(*id) == 0 { "JOB_FINISHED" } else { "FAILED" };
        assert_eq!((&shown["state"], &shown["exit_code"]), (&json!(expected), &json!(code_of(*id))), "{shown}");
    }
    for (id, job) in &all {
        // One whose worker has just been killed, and that is not executed yet, was taken for a worker.
        let is_killed = job["reason"] == "lost" || job["signal"] == "SIGKILL";
        assert!(told.contains(id) || (is_killed && lost != Lost::None), "nothing is lost: {job}");
    }
    let (mut now, mut seen) = (0_usize, 0);
    for line in lines(env, "log") {
        now = if line == "begin" { now + 1 } else { now.saturating_sub(1) };
        seen = seen.max(now);
    }
    assert!(seen <= most, "{seen} ran at once");
}

fn rest(random: &mut Random, micros: u64) {
    // No wait for anything: the moment is what is chosen at random.
    std::thread::sleep(Duration::from_micros(random.below(micros)));
}

#[test]
fn the_supervisor_killed_again_and_again() {
    let (env, ids) = with_queue(150);
    let mut random = Random(number("JOBEXEC_KILL_SEED", 1));
    let mut kills = 0;
    while kills < 12 && ended_count(&env) < ids.len() {
        let night = slots(&env, 2);
        rest(&mut random, 150_000);
        night.end(KILL);
        kills += 1;
    }
    let _night = slots(&env, 2);
    until("all to end", || ended_count(&env) == ids.len());
    check(&env, &ids, 2, Lost::None);
    assert!(jobs(&env, "attempt > 1").is_empty(), "none was begun a second time");
}

#[test]
fn slot_workers_killed_again_and_again() {
    let (env, ids) = with_queue(150);
    let mut random = Random(number("JOBEXEC_KILL_SEED", 1));
    let _night = slots(&env, 2);
    let mut kills = 0;
    while kills < 40 && ended_count(&env) < ids.len() {
        rest(&mut random, 40_000);
        if let Some(worker) = workers(&env).first() {
            kill(*worker, KILL);
            kills += 1;
        }
    }
    assert!(kills >= 5);
    until("all to end", || ended_count(&env) == ids.len());
    check(&env, &ids, 2, Lost::AtStart);
}

#[test]
fn both_killed_again_and_again() {
    let (env, ids) = with_queue(120);
    let mut random = Random(number("JOBEXEC_KILL_SEED", 1));
    let mut kills = 0;
    while kills < 12 && ended_count(&env) < ids.len() {
        let night = slots(&env, 2);
        rest(&mut random, 150_000);
        kill(night.pid(), KILL);
        workers(&env).into_iter().for_each(|worker| kill(worker, KILL));
        night.ended();
        kills += 1;
    }
    let _night = slots(&env, 2);
    until("all to end", || ended_count(&env) == ids.len());
    check(&env, &ids, 2, Lost::Any);
}

/// A job that runs and whose slot's worker has been killed; another waits behind it.
fn orphan(env: &TestEnv, flags: &[&str], line: &str) -> (i64, i64, i32) {
    let id = shell(env, flags, &format!("echo $$ > pid; echo before; {line}"));
    let next = submit(env, &["--", "true"]);
    let mut pid = None;
    until("the script's pid to be on record", || {
        pid = job(env, id)["runs"][0]["pid"].as_i64();
        pid.is_some()
    });
    until("its output", || env.read(&format!("jobs/{id}/run-1.txt")).contains("before"));
    let [worker] = workers(env)[..] else { panic!("one slot has one worker") };
    kill(worker, KILL);
    until("the worker to die", || !alive(worker));
    (id, next, i32::try_from(pid.unwrap()).unwrap())
}

#[test]
fn a_job_whose_worker_was_killed_is_watched_to_its_end_and_its_slot_used_again() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    let night = slots(&env, 1);
    let (id, next, pid) = orphan(&env, &[], &format!("{GATED}; echo after; exit 7"));
    night.says("was killed while it ran job 1");
    assert_eq!([state(&env, id), state(&env, next)], ["RUNNING", "PREPROCESSED"]);
    assert!(alive(pid));
    env.fails(5, &["job", "cancel", &id.to_string()]);
    open(&env, id);
    until_state(&env, id, "FAILED");
    let shown = job(&env, id);
    assert_eq!((&shown["exit_code"], &shown["attempt"]), (&json!(7), &json!(1)), "{shown}");
    assert_eq!(env.read(&format!("jobs/{id}/run-1.txt")), "before\nafter\n");
    until_state(&env, next, "JOB_FINISHED");
    assert!(job(&env, next)["started"].as_str() > shown["runs"][0]["started"].as_str());
}

#[test]
fn a_job_whose_worker_was_killed_can_be_killed() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    let _night = slots(&env, 1);
    let (id, next, pid) = orphan(&env, &[], "exec sleep 600");
    does(&env, "kill", id);
    assert!(!alive(pid));
    until_state(&env, id, "CANCELLED");
    let shown = job(&env, id);
    assert_eq!((&shown["reason"], &shown["signal"]), (&json!("killed"), &json!("SIGTERM")), "{shown}");
    until_state(&env, next, "JOB_FINISHED");
}

#[test]
fn a_job_whose_worker_was_killed_keeps_its_time_limit() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    env.script("slow.sh", "#!/bin/sh\necho ready\nexec sleep 600\n");
    env.ok(&["add", "slow", "slow.sh", "--timeout", "2s", "--retries", "0", "--stop-grace", "200ms"]);
    let _night = slots(&env, 1);
    let id = submit(&env, &["slow"]);
    until("the script's pid to be on record", || job(&env, id)["runs"][0]["pid"].is_i64());
    workers(&env).into_iter().for_each(|worker| kill(worker, KILL));
    until_state(&env, id, "FAILED");
    let shown = job(&env, id);
    assert_eq!((&shown["reason"], &shown["signal"]), (&json!("timed_out"), &json!("SIGTERM")), "{shown}");
}

#[test]
fn a_job_whose_worker_and_supervisor_were_killed_is_taken_over_and_the_queue_goes_on() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    let night = slots(&env, 1);
    let (id, next, pid) = orphan(&env, &[], &format!("{GATED}; echo after; exit 7"));
    night.end(KILL);
    assert_eq!([state(&env, id), state(&env, next)], ["RUNNING", "PREPROCESSED"]);
    let _night = slots(&env, 1);
    assert_eq!([state(&env, id), state(&env, next)], ["RUNNING", "PREPROCESSED"]);
    assert!(alive(pid));
    open(&env, id);
    until_state(&env, id, "FAILED");
    let run = &job(&env, id)["runs"][0];
    assert!(is_unseen_or(run, &json!(7)), "{run}");
    assert_eq!(env.read(&format!("jobs/{id}/run-1.txt")), "before\nafter\n");
    until_state(&env, next, "JOB_FINISHED");
}

#[test]
fn without_a_supervisor_a_command_tells_what_became_of_a_job_whose_worker_was_killed() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    let night = slots(&env, 1);
    let (id, next, _) = orphan(&env, &[], &format!("{GATED}; exit 7"));
    night.end(KILL);
    assert_eq!(state(&env, id), "RUNNING");
    open(&env, id);
    until("its end", || state(&env, id) == "FAILED");
    let run = &job(&env, id)["runs"][0];
    assert!(is_unseen_or(run, &json!(7)), "{run}");
    assert_eq!(state(&env, next), "PREPROCESSED");
    let _night = slots(&env, 1);
    until_state(&env, next, "JOB_FINISHED");
}

#[test]
fn a_lost_job_is_tried_again_only_where_that_was_said_and_never_beside_itself() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    env.script("t.sh", "#!/bin/sh\nexec 9>> lock; flock -n 9 || echo twice >> violations\necho $JOBEXEC_ATTEMPT >> tried\n[ $JOBEXEC_ATTEMPT = 2 ] && exit 0\nsleep 0.3\nexit 1\n");
    env.ok(&["add", "T", "t.sh", "--retries", "1", "--backoff-first", "1ms"]);
    let id = submit(&env, &["T"]);
    let night = slots(&env, 1);
    until("the script's pid to be on record", || job(&env, id)["runs"][0]["pid"].is_i64());
    kill(night.pid(), KILL);
    workers(&env).into_iter().for_each(|worker| kill(worker, KILL));
    night.ended();
    let _night = slots(&env, 1);
    until_state(&env, id, "JOB_FINISHED");
    assert_eq!(lines(&env, "tried"), ["1", "2"]);
    assert_eq!(lines(&env, "violations"), [""; 0]);
}

#[test]
fn anybody_killed_at_any_time() {
    let (seconds, seed) = (number("JOBEXEC_KILL_SECONDS", 15), number("JOBEXEC_KILL_SEED", 1));
    println!("{seconds} seconds from seed {seed}");
    let (env, _) = with_queue(50);
    env.write("few", &"x\n".repeat(4), 0o644);
    let mut random = Random(seed);
    let mut night: Option<Night> = None;
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let mut told: BTreeMap<i64, Value> = BTreeMap::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) || done.len() < 4 {
        rest(&mut random, 60_000);
        if night.is_none() {
            night = Some(slots(&env, 3));
            continue;
        }
        let what = match random.below(100) {
            0..10 => {
                night.take().unwrap().end(KILL);
                "supervisor killed"
            }
            10..50 => {
                let workers = workers(&env);
                if workers.is_empty() {
                    continue;
                }
                let one = random.below(workers.len() as u64);
                kill(workers[usize::try_from(one).unwrap()], KILL);
                "a worker killed"
            }
            50..60 => {
                kill(night.as_ref().unwrap().pid(), KILL);
                workers(&env).into_iter().for_each(|worker| kill(worker, KILL));
                night.take().unwrap().ended();
                "all killed"
            }
            _ => {
                submitted(&env, &["short", "--each-line", "few"]);
                "submitted"
            }
        };
        *done.entry(what).or_default() += 1;
        if random.below(8) == 0 {
            for job in jobs(&env, "state in (JOB_FINISHED, FAILED)") {
                let id = job["id"].as_i64().unwrap();
                let known = told.entry(id).or_insert_with(|| job.clone());
                assert_eq!(*known, job, "what was said of an ended job stays");
            }
        }
    }
    drop(night);
    let _night = slots(&env, 3);
    let ids: Vec<i64> = jobs(&env, "task = short").iter().map(|job| job["id"].as_i64().unwrap()).collect();
    until("all to end", || ended_count(&env) == ids.len());
    check(&env, &ids, 3, Lost::Any);
    println!(
        "done: {done:?}, {} jobs, {} lost",
        ids.len(),
        jobs(&env, "state = FAILED").iter().filter(|job| job["reason"] == "lost").count()
    );
}

#[test]
fn a_slot_worker_that_is_told_to_end_takes_its_job_with_it_and_says_so() {
    let env = TestEnv::new();
    let night = slots(&env, 1);
    let id = shell(&env, &[], "echo $$ > pid; echo ready; exec sleep 600");
    until("the script", || env.read(&format!("jobs/{id}/run-1.txt")).contains("ready"));
    let [worker] = workers(&env)[..] else { panic!("one slot has one worker") };
    kill(worker, TERMINATE);
    until_state(&env, id, "FAILED");
    let shown = job(&env, id);
    assert!(shown["message"].as_str().unwrap().contains("session"), "{shown}");
    let next = submit(&env, &["--", "true"]);
    until_state(&env, next, "JOB_FINISHED");
    drop(night);
}

#[test]
fn what_a_killed_worker_had_on_record_is_settled_before_its_slot_is_used_again() {
    let env = TestEnv::new();
    let first = shell(&env, &[], &format!("echo $JOBEXEC_JOB_ID >> ran; {GATED}; exit 3"));
    let second = shell(&env, &[], "echo $JOBEXEC_JOB_ID >> ran");
    let night = slots(&env, 1);
    until_lines(&env, "ran", 1);
    let worker = workers(&env)[0];
    night.end(KILL);
    // Nobody comes to the database, so that the outcome stays on record.
    let gate = fs::OpenOptions::new().write(true).open(env.file("db.lock")).unwrap();
    let gate = Flock::lock(gate, FlockArg::LockExclusive).unwrap();
    open(&env, first);
    let record = || fs::read(env.file("runs/slot-0")).unwrap();
    until("the outcome on record", || String::from_utf8_lossy(&record()).contains("\"at\":\"swept\""));
    kill(worker, KILL);
    until("the death of the worker", || !alive(worker));
    drop(gate);
    assert_eq!(until_idle(&env, 1), 1);
    let shown = job(&env, first);
    assert_eq!([&shown["state"], &shown["exit_code"], &shown["attempt"]], [&json!("FAILED"), &json!(3), &json!(1)]);
    assert_eq!(shown["runs"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(state(&env, second), "JOB_FINISHED");
    assert_eq!(lines(&env, "ran"), [first.to_string(), second.to_string()]);
}
