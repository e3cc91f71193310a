//! A slot claims several very short jobs at once. None of them waits for a long one among them, runs twice or out of its
//! turn; and what was claimed and has not begun is as it was before.
//!
//! How many are claimed at once the pace of the machine decides, so a test plays rounds until one had what it is about.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};

use crate::suite::env::{PATIENCE, TestEnv, alive, kill, until};
use crate::suite::supervisor::{KILL, Night, TERMINATE, query};

use super::{ids, job, jobs, lines, slots, state, submitted, until_idle, until_state};

/// Notes its job and who has begun it, says something, and does what there is for its job in particular.
const NOTES: &str = "#!/bin/sh
echo $JOBEXEC_JOB_ID $PPID >> begun
echo of $JOBEXEC_JOB_ID
[ ! -e odd-$JOBEXEC_JOB_ID ] || . ./odd-$JOBEXEC_JOB_ID
";

/// Waits for the test.
const WAITS: &str = "until [ -e go ]; do sleep 0.01; done\n";

/// How many jobs a round has, and which is the odd one. Those before it do nothing, and bring up the pace.
const COUNT: i64 = 45;
const ODD: i64 = 31;

/// The jobs of a round, submitted; what the odd one does besides.
fn with_odd(line: &str) -> TestEnv {
    let env = TestEnv::new();
    env.script("t.sh", NOTES);
    env.ok(&["add", "T", "t.sh"]);
    submit_many(&env, ODD - 1, &["--no-output", "--", "true"]);
    submit_many(&env, COUNT - ODD + 1, &["T"]);
    assert_eq!(ids(&env, "task = T"), (ODD..=COUNT).collect::<Vec<_>>());
    env.write(&format!("odd-{ODD}"), line, 0o644);
    env
}

fn submit_many(env: &TestEnv, count: i64, args: &[&str]) -> Vec<i64> {
    env.write("lines", &"x\n".repeat(usize::try_from(count).unwrap()), 0o644);
    submitted(env, &[&["--each-line", "lines"], args].concat())
}

/// Plays rounds until one had what the test is about.
#[track_caller]
fn rounds(about: &str, mut round: impl FnMut() -> bool) {
    let start = Instant::now();
    while !round() {
        assert!(start.elapsed() < 4 * PATIENCE, "no round had {about}");
    }
}

/// The jobs that have begun, in that order.
fn begun(env: &TestEnv) -> Vec<i64> {
    lines(env, "begun").iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
}

/// The process that has begun a job.
fn beginner(env: &TestEnv, id: i64) -> i32 {
    let line = lines(env, "begun").into_iter().find(|line| line.starts_with(&format!("{id} "))).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[track_caller]
fn until_begun(env: &TestEnv, id: i64) {
    until(&format!("job {id} to begin"), || begun(env).contains(&id));
}

/// The jobs that were claimed in the transaction that claimed this one first.
fn claimed_with(env: &TestEnv, id: i64) -> Vec<i64> {
    let sql = format!(
        "SELECT job FROM events WHERE cause = 'claimed' AND time =
         (SELECT min(time) FROM events WHERE cause = 'claimed' AND job = {id}) ORDER BY job"
    );
    query(env, &sql, |row| row.get(0))
}

/// The jobs that were claimed and given back.
fn given_back(env: &TestEnv) -> BTreeSet<i64> {
    let sql = "SELECT job FROM events WHERE cause = 'ended' AND data ->> 'outcome' = 'never_started'";
    query(env, sql, |row| row.get(0)).into_iter().collect()
}

/// All have run once, and so it is told; but for those whose end is something else.
#[track_caller]
fn check_each_ran_once(env: &TestEnv, others: &[i64]) {
    let mut ran = begun(env);
    ran.sort_unstable();
    assert_eq!(
        ran,
        ids(env, "task = T").into_iter().filter(|id| ran.contains(id)).collect::<Vec<_>>(),
        "none ran twice"
    );
    for job in jobs(env, "task = T") {
        let id = job["id"].as_i64().unwrap();
        if others.contains(&id) {
            continue;
        }
        assert!(ran.contains(&id), "{job}");
        let told = ["state", "attempt", "exit_code", "not_before"].map(|key| &job[key]);
        assert_eq!(told, [&json!("JOB_FINISHED"), &json!(1), &json!(0), &Value::Null], "{job}");
        assert_eq!(env.read(&format!("jobs/{id}/run-1.txt")), format!("of {id}\n"));
        let sql = format!("SELECT attempt, archive FROM runs WHERE job = {id}");
        let runs = query(env, &sql, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
        assert_eq!(runs, [(1, "run-1.txt".to_owned())], "job {id}");
    }
}

#[track_caller]
fn until_all_but_odd_have_finished(env: &TestEnv) {
    let finished = || ids(env, &format!("state = FINISHED and id != {ODD}")).len();
    until("all the others to finish", || finished() + 1 == usize::try_from(COUNT).unwrap());
}

#[test]
fn a_long_job_keeps_nothing_to_itself() {
    rounds("a long job among others", || {
        let env = with_odd(WAITS);
        let night = slots(&env, 1);
        until_begun(&env, ODD);
        until("the others to be let go", || ids(&env, "state = RUNNING") == [ODD]);
        assert_eq!(begun(&env), [ODD], "what was let go has not begun");
        assert_eq!(ids(&env, "state = FINISHED"), (1..ODD).collect::<Vec<_>>(), "what ended before it is told");
        for job in jobs(&env, &format!("id > {ODD}")) {
            let nothing = ["reason", "message", "started", "ended", "exit_code", "not_before"].map(|key| &job[key]);
            assert_eq!((nothing, &job["attempt"]), ([&Value::Null; 6], &json!(0)), "{job}");
            let expected =
                if given_back(&env).contains(&job["id"].as_i64().unwrap()) { "RESTART_READY" } else { "PREPROCESSED" };
            assert_eq!(job["state"], expected, "{job}");
        }
        assert_eq!(env.json(&["jobs", "--stats"])["slots"]["max"], 1);
        night.end(TERMINATE);
        let _night = slots(&env, 2);
        until_all_but_odd_have_finished(&env);
        assert_eq!(state(&env, ODD), "RUNNING");
        fs::write(env.dir().join("go"), "").unwrap();
        until_state(&env, ODD, "JOB_FINISHED");
        check_each_ran_once(&env, &[]);
        let hand = claimed_with(&env, ODD);
        let behind: BTreeSet<i64> = hand.iter().copied().filter(|id| *id > ODD).collect();
        assert!(behind.is_subset(&given_back(&env)), "{hand:?}");
        hand[0] < ODD && !behind.is_empty()
    });
}

#[test]
fn two_slots_run_what_a_long_job_was_claimed_with() {
    rounds("a long job before others", || {
        let env = with_odd(WAITS);
        let _night = slots(&env, 2);
        until_begun(&env, ODD);
        until_all_but_odd_have_finished(&env);
        assert_eq!(state(&env, ODD), "RUNNING");
        fs::write(env.dir().join("go"), "").unwrap();
        until_state(&env, ODD, "JOB_FINISHED");
        check_each_ran_once(&env, &[]);
        claimed_with(&env, ODD).iter().any(|id| *id > ODD)
    });
}

#[test]
fn what_was_given_back_can_still_become_another_job() {
    let file = |tag: &str| {
        let job = |nth| {
            let (script, tag) = (if nth == ODD { "until [ -e go ]; do sleep 0.01; done" } else { ":" }, tag);
            format!("[job.j{nth}]\nshell = \"{script}\"\ntags = {{ tag = \"{tag}\" }}\n")
        };
        format!("name = \"f\"\n{}", (1..=COUNT).map(job).collect::<String>())
    };
    rounds("a long job before others", || {
        let env = TestEnv::new();
        env.write("f.toml", &file("old"), 0o644);
        env.ok(&["apply", "f.toml"]);
        let night = slots(&env, 1);
        until_state(&env, ODD, "RUNNING");
        until("the others to be let go", || ids(&env, "state = RUNNING") == [ODD]);
        night.end(TERMINATE);
        let behind = claimed_with(&env, ODD).iter().any(|id| *id > ODD);
        env.write("f.toml", &file("new"), 0o644);
        env.ok(&["apply", "--replace", "f.toml"]);
        assert_eq!(ids(&env, "tag.tag = new"), (ODD + 1..=COUNT).collect::<Vec<_>>());
        fs::write(env.dir().join("go"), "").unwrap();
        assert_eq!(until_idle(&env, 1), 0);
        assert_eq!(ids(&env, "state = FINISHED").len(), usize::try_from(COUNT).unwrap());
        behind
    });
}

/// Whether a signal was sent to a process that has not taken it yet.
fn is_pending(pid: i32, signal: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let set = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
    u64::from_str_radix(set.trim(), 16).unwrap() & (1 << (signal - 1)) != 0
}

#[test]
fn a_claimed_job_that_is_killed_never_begins() {
    for ends_first in [false, true] {
        rounds("a job to be killed", || {
            // Its worker is stopped, and can give nothing back.
            let env = with_odd(&format!("kill -STOP $PPID\n{WAITS}"));
            let _night = slots(&env, 1);
            until_begun(&env, ODD);
            let worker = beginner(&env, ODD);
            until("its worker to stop", || {
                fs::read_to_string(format!("/proc/{worker}/stat")).unwrap().contains(") T ")
            });
            let claimed: Vec<i64> = query(&env, "SELECT job FROM runs WHERE outcome IS NULL", |row| row.get(0));
            let victim = claimed.iter().copied().find(|id| *id > ODD && state(&env, *id) == "RUNNING");
            // One that was stopped while it wrote lets nobody else write.
            let victim = victim.filter(|_| File::open(env.file("db.lock")).unwrap().try_lock().is_ok());
            let killer = victim.map(|victim| {
                let mut command = env.command(&["job", "kill", &victim.to_string()]);
                let killer = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                until("the request", || is_pending(worker, 15));
                killer
            });
            if ends_first {
                fs::write(env.dir().join("go"), "").unwrap();
                until("its end", || fs::read(env.file("runs/slot-0")).is_ok() && is_pending(worker, 17));
            }
            kill(worker, 18);
            let killed = killer.is_none_or(|mut killer| killer.wait().unwrap().success());
            assert!(killed);
            fs::write(env.dir().join("go"), "").unwrap();
            let ended = usize::try_from(COUNT).unwrap() - usize::from(victim.is_some());
            until("all to end", || ids(&env, "state = FINISHED").len() == ended);
            let Some(victim) = victim else { return false };
            let shown = job(&env, victim);
            assert_eq!([&shown["state"], &shown["reason"]], [&json!("CANCELLED"), &json!("killed")]);
            assert!(shown["message"].as_str().unwrap().ends_with(" before it was started"), "{shown}");
            assert!(!begun(&env).contains(&victim));
            check_each_ran_once(&env, &[victim]);
            true
        });
    }
}

#[test]
fn a_worker_that_is_told_to_end_begins_nothing_more() {
    rounds("others behind the job that ends its worker", || {
        let env = with_odd("kill -TERM $PPID\nexec sleep 600\n");
        let _night = slots(&env, 1);
        until_state(&env, ODD, "FAILED");
        until_all_but_odd_have_finished(&env);
        let shown = job(&env, ODD);
        assert!(shown["message"].as_str().unwrap().contains("session"), "{shown}");
        check_each_ran_once(&env, &[ODD]);
        assert!((ODD + 1..=COUNT).all(|id| beginner(&env, id) != beginner(&env, ODD)));
        claimed_with(&env, ODD).iter().any(|id| *id > ODD)
    });
}

/// Plays a round in which the odd job takes the supervisor away; whether others were claimed behind it, and how long after
/// that it has ended, in microseconds.
#[track_caller]
fn without_a_supervisor(line: &str) -> (bool, i64) {
    let env = with_odd(line);
    env.ringers_are_killed();
    let night = slots(&env, 1);
    until_begun(&env, ODD);
    let worker = beginner(&env, ODD);
    until("its worker to leave", || !alive(worker));
    night.end(KILL);
    assert_eq!(begun(&env), [ODD]);
    assert_eq!(ids(&env, "state = FINISHED"), (1..=ODD).collect::<Vec<_>>());
    assert_eq!(ids(&env, "state = RUNNING"), [0; 0]);
    let behind = claimed_with(&env, ODD).iter().any(|id| *id > ODD);
    let sql = format!("SELECT ended - claimed FROM runs WHERE job = {ODD}");
    let after = query(&env, &sql, |row| row.get(0))[0];
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(begun(&env), (ODD..=COUNT).collect::<Vec<_>>());
    check_each_ran_once(&env, &[]);
    (behind, after)
}

#[test]
fn when_the_supervisor_is_killed_the_rest_of_a_hand_is_not_begun() {
    // Its lock is free when the last of its threads is gone.
    let kills = "read -r _ _ _ supervisor _ < /proc/$PPID/stat
kill -9 $supervisor
while read -r _ _ state _ < /proc/$supervisor/stat; do
    set -- /proc/$supervisor/task/*
    [ $state$# != Z1 ] || break
done 2> /dev/null
";
    rounds("others behind the job that kills the supervisor", || without_a_supervisor(kills).0);
}

#[test]
fn without_a_supervisor_a_hand_is_not_played_to_its_end() {
    // To kill it takes longer than what was claimed may wait in any case; its lock can be gone at once.
    rounds("others behind the job that removes the lock", || {
        let (behind, after) = without_a_supervisor("rm executor/supervisor.lock\n");
        behind && after < 8_000
    });
}

#[test]
fn one_that_cannot_be_started_takes_none_of_the_others_along() {
    rounds("others behind the job that cannot be started", || {
        let env = TestEnv::new();
        env.script("t.sh", NOTES);
        env.script("gone.sh", NOTES);
        env.ok(&["add", "T", "t.sh"]);
        env.ok(&["add", "U", "gone.sh"]);
        submit_many(&env, ODD - 1, &["--no-output", "--", "true"]);
        assert_eq!(submitted(&env, &["U"]), [ODD]);
        submit_many(&env, COUNT - ODD, &["T"]);
        fs::remove_file(env.dir().join("gone.sh")).unwrap();
        assert_eq!(until_idle(&env, 1), 1);
        assert_eq!(job(&env, ODD)["reason"], "could_not_start");
        check_each_ran_once(&env, &[]);
        let behind: BTreeSet<i64> = claimed_with(&env, ODD).into_iter().filter(|id| *id > ODD).collect();
        assert!(behind.is_subset(&given_back(&env)), "they do not suffer the same");
        !behind.is_empty()
    });
}

#[test]
fn with_one_slot_the_order_is_strict() {
    rounds("a hand of several", || {
        let env = TestEnv::new();
        env.script("t.sh", NOTES);
        env.ok(&["add", "T", "t.sh"]);
        let mut expected = Vec::new();
        for nth in 0..10_i64 {
            let priority = [0, 7, -3, 7, 2, 0, -3, 9, 2, 0][usize::try_from(nth).unwrap()];
            let all = submit_many(&env, 30, &["T", "--priority", &priority.to_string()]);
            expected.extend(all.into_iter().map(|id| (-priority, id)));
        }
        expected.sort_unstable();
        assert_eq!(until_idle(&env, 1), 0);
        assert_eq!(begun(&env), expected.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        check_each_ran_once(&env, &[]);
        let sql = "SELECT count(*) FROM runs GROUP BY slot, claimed ORDER BY 1 DESC LIMIT 1";
        query(&env, sql, |row| row.get::<_, i64>(0))[0] > 1
    });
}

#[test]
fn workers_killed_by_what_they_run_lose_nothing() {
    // Where it may, it waits until its pid is on record: then its exit is known whatever becomes of its worker.
    let kills = r#"#!/bin/sh
echo $JOBEXEC_JOB_ID $PPID >> begun
echo of $JOBEXEC_JOB_ID
[ $((JOBEXEC_JOB_ID % 10)) = 0 ] || exit 0
if [ $((JOBEXEC_JOB_ID % 20)) = 0 ]; then
    until tr -d '\0' < executor/runs/slot-0 | grep -A 2 "$JOBEXEC_RUN_ID" | grep -q '"at":"started"'; do :; done
fi
kill -9 $PPID
exit 7
"#;
    rounds("others around a job that kills its worker", || {
        let env = TestEnv::new();
        env.ringers_are_killed();
        env.script("t.sh", kills);
        env.ok(&["add", "T", "t.sh"]);
        submit_many(&env, 100, &["T"]);
        let _night = Night::with(&env, &["--slots", "1"]);
        until("all to end", || ids(&env, "state in (FINISHED, FAILED)").len() == 100);
        let killers: Vec<i64> = (1..=10).map(|nth| 10 * nth).collect();
        check_each_ran_once(&env, &killers);
        for id in &killers {
            let shown = job(&env, *id);
            let is_lost = shown["reason"] == "lost" && id % 20 != 0;
            assert!(is_lost || shown["exit_code"] == 7, "{shown}");
            assert_eq!((&shown["state"], &shown["attempt"]), (&json!("FAILED"), &json!(1)), "{shown}");
        }
        let is_among_others = |id: &i64| [id - 1, id + 1].iter().all(|other| claimed_with(&env, *id).contains(other));
        // Who waits lets those before it be recorded.
        killers.iter().filter(|id| *id % 20 != 0).any(is_among_others)
    });
}

#[test]
fn a_supervisor_killed_again_and_again_lets_nothing_run_twice() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    env.script("t.sh", NOTES);
    env.ok(&["add", "T", "t.sh"]);
    submit_many(&env, 200, &["T"]);
    for so_many in [20, 60, 100, 140] {
        let night = slots(&env, 2);
        until("some to begin", || begun(&env).len() >= so_many);
        night.end(KILL);
    }
    let _night = slots(&env, 2);
    until("all to finish", || ids(&env, "state = FINISHED").len() == 200);
    check_each_ran_once(&env, &[]);
}
