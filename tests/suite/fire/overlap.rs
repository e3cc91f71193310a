//! What is due while an earlier one runs.

use serde_json::json;

use super::super::env::{alive, is_unseen_or};
use super::*;

/// Whether the text has this number in it as a word.
fn names(text: &str, number: i64) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|word| word == number.to_string())
}

#[test]
fn skip_leaves_it_and_says_what_was_in_the_way() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", WAITS, &["--period", "1s"]);
    let all = until_decided(&env, "A", "skipped", 3);
    let job = all[0].job.unwrap();
    for one in &all[1..] {
        assert!(one.decision == "skipped" && names(one.reason(), job), "job {job}: {one:?}");
    }
    touch(&env, "go");
    until_decided(&env, "A", "run", 3);
    check(&env, "A", SECOND);
    check_one_after_another(&env, "A");
    drop(night);
}

#[test]
fn queue_lets_one_wait_and_the_newest_takes_its_place() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", WAITS, &["--period", "1s", "--overlap", "queue"]);
    let all = until_decided(&env, "A", "skipped", 2);
    let waiting: Vec<&Occurrence> = all.iter().filter(|one| one.decision == "waiting").collect();
    assert_eq!(waiting.len(), 1, "{all:#?}");
    assert_eq!(waiting[0].due, all.last().unwrap().due, "the newest: {all:#?}");
    assert!(all.iter().filter(|one| !one.runs()).all(|one| !one.reason().is_empty()), "{all:#?}");
    touch(&env, "go");
    let waited = waiting[0].due;
    // Either it, or one that took its place meanwhile, is next.
    until_decided(&env, "A", "run", 2);
    let fired = decided(&env, "A", "run");
    assert!(fired[1].due >= waited, "{fired:#?}");
    let all = occurrences(&env, "A");
    let next = all.iter().position(|one| one.due == fired[1].due).unwrap();
    assert!(all[1..next].iter().all(|one| one.decision == "skipped"), "{all:#?}");
    until_decided(&env, "A", "run", 3);
    check(&env, "A", SECOND);
    check_one_after_another(&env, "A");
    drop(night);
}

#[test]
fn what_waits_in_the_queue_waits_for_the_next_supervisor_too() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", WAITS, &["--period", "2s", "--overlap", "queue"]);
    until_decided(&env, "A", "waiting", 1);
    night.end(KILL);
    let waited = occurrences(&env, "A").last().unwrap().clone();
    assert_eq!(waited.decision, "waiting");
    touch(&env, "go");
    runs_ended(&env, "A", 1);
    let night = Night::begin(&env);
    until_decided(&env, "A", "run", 3);
    let at = |due: i64| occurrences(&env, "A").into_iter().find(|one| one.due == due).unwrap();
    let became = at(waited.due);
    assert!(became.runs() || became.decision == "skipped" && !became.reason().is_empty(), "{became:?}");
    check(&env, "A", 2 * SECOND);
    check_one_after_another(&env, "A");
    drop(night);
}

#[test]
fn replace_stops_the_earlier_one_first() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let deaf = WAITS.replace("#!/bin/sh", "#!/bin/sh\ntrap '' TERM");
    started(&env, "A", WAITS, &["--period", "1s", "--overlap", "replace"]);
    started(&env, "deaf", &deaf, &["--period", "2s", "--overlap", "replace", "--stop-grace", "200ms"]);
    for task in ["A", "deaf"] {
        until_decided(&env, task, "run", 4);
        until("three to have been stopped", || {
            runs(&env, task).iter().filter(|run| run["outcome"] == "stopped").count() >= 3
        });
        check_one_after_another(&env, task);
        assert_eq!(env.status(task)["wanted"], true, "being replaced is not being stopped");
        let reasons: Vec<String> = runs(&env, task)
            .iter()
            .filter(|run| run["outcome"] == "stopped")
            .map(|run| run["reason"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert!(reasons.iter().all(|reason| !reason.is_empty()), "{reasons:?}");
    }
    check(&env, "A", SECOND);
    check(&env, "deaf", 2 * SECOND);
    drop(night);
}

#[test]
fn replace_comes_through_when_stopping_takes_longer_than_the_period() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let deaf = WAITS.replace("#!/bin/sh", "#!/bin/sh\ntrap '' TERM");
    started(&env, "A", &deaf, &["--period", "1s", "--overlap", "replace", "--stop-grace", "1500ms"]);
    until("three to have been stopped", || {
        runs(&env, "A").iter().filter(|run| run["outcome"] == "stopped").count() >= 3
    });
    check_one_after_another(&env, "A");
    let all = occurrences(&env, "A");
    for two in all.windows(2) {
        assert_eq!(two[1].due - two[0].due, SECOND, "{two:#?}");
    }
    for one in all.iter().filter(|one| !one.runs()) {
        assert!(!one.reason().is_empty(), "{one:?}");
    }
    drop(night);
}

#[test]
fn allow_runs_them_side_by_side_as_many_as_may() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script = WAITS.replace("flock", ": flock");
    started(&env, "few", &script, &["--period", "1s", "--overlap", "allow", "--max-running", "2"]);
    started(&env, "many", &script, &["--period", "1s", "--overlap", "allow"]);
    until_decided(&env, "many", "run", 5);
    let all = until_decided(&env, "few", "skipped", 2);
    let fired: Vec<&Occurrence> = all.iter().filter(|one| one.runs()).collect();
    assert_eq!(fired.len(), 2, "{all:#?}");
    for one in all.iter().filter(|one| !one.runs()) {
        let named = fired.iter().any(|other| names(one.reason(), other.job.unwrap())) || names(one.reason(), 2);
        assert!(one.decision == "skipped" && named, "{one:?}");
    }
    let open = |task: &str| runs(&env, task).iter().filter(|run| run["outcome"].is_null()).count();
    assert_eq!(open("few"), 2);
    assert!(open("many") >= 5);
    touch(&env, "go");
    until_fired(&env, "few", 2);
    check(&env, "few", SECOND);
    check(&env, "many", SECOND);
    drop(night);
}

/// The jobs of a task, oldest first: id, state, attempts.
fn jobs(env: &TestEnv, task: &str) -> Vec<(i64, String, i64)> {
    let sql = format!("SELECT id, state, attempt FROM jobs WHERE task = '{task}' ORDER BY id");
    query(env, &sql, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

#[test]
fn allow_tries_each_again_by_its_own_retries() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let flags = ["--period", "1s", "--overlap", "allow", "--retries", "2", "--backoff-first", "1500ms"];
    started(&env, "A", &format!("{NOTES}exit 1\n"), &[&flags[..], &["--backoff-jitter", "0"]].concat());
    until("four jobs to have ended", || {
        jobs(&env, "A").iter().filter(|(_, state, _)| state == "FAILED" || state == "CANCELLED").count() >= 4
    });
    env.ok(&["stop", "A"]);
    let ended: Vec<_> = jobs(&env, "A").into_iter().take(4).collect();
    let all = runs(&env, "A");
    for (job, state, attempt) in &ended {
        assert_eq!((state.as_str(), *attempt), ("FAILED", 3), "job {job} of {ended:?}");
        let its: Vec<&Value> = all.iter().filter(|run| run["job"] == *job).collect();
        for (two, wait) in its.windows(2).zip([1_500_000, 3_000_000]) {
            // It waits on another clock than it is read from.
            let waited = micros(&two[1]["claimed"]) - micros(&two[0]["ended"]);
            assert!(waited > wait - 100_000, "job {job} was tried again after {waited} µs");
        }
    }
    let meets = |at: i64| all.iter().any(|run| run["job"] == ended[1].0 && micros(&run["claimed"]) < at);
    assert!(meets(micros(&all.iter().rfind(|run| run["job"] == ended[0].0).unwrap()["claimed"])), "{all:#?}");
    check(&env, "A", SECOND);
    drop(night);
}

#[test]
fn allow_tries_the_newest_again_while_an_older_one_runs() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script = format!("{NOTES}[ -e first ] && exit 1\ntouch first\nuntil [ -e go ]; do sleep 0.02; done\n");
    let flags = ["--period", "1s", "--overlap", "allow", "--max-running", "2", "--retries", "2"];
    started(&env, "A", &script, &[&flags[..], &["--backoff-first", "10ms"]].concat());
    until("the second job to have ended", || jobs(&env, "A").get(1).is_some_and(|(_, state, _)| state == "FAILED"));
    let all = jobs(&env, "A");
    assert_eq!((all[0].1.as_str(), all[1].2), ("RUNNING", 3), "{all:?}");
    touch(&env, "go");
    check(&env, "A", SECOND);
    drop(night);
}

#[test]
fn what_waits_to_be_tried_again_beside_a_newer_one_is_explained_and_stopped() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let flags = ["--period", "1s", "--overlap", "allow", "--retries", "1", "--backoff-first", "30s"];
    started(&env, "A", "#!/bin/sh\nexit 1\n", &flags);
    let wait = |number: usize| {
        until("jobs to wait", || jobs(&env, "A").iter().filter(|job| job.1 == "RESTART_READY").count() >= number);
    };
    wait(2);
    let oldest = jobs(&env, "A")[0].0.to_string();
    let said = env.ok(&["explain", &oldest]).out;
    assert!(said.starts_with(&format!("job {oldest} waits before it is tried again: for ")), "{said}");
    night.end(TERMINATE);
    let said = env.ok(&["explain", &oldest]);
    assert!(said.out.contains("and no supervisor is running"), "{said:?}");
    let night = Night::begin(&env);
    wait(4);
    env.ok(&["stop", "A"]);
    let all = jobs(&env, "A");
    assert!(all.iter().all(|(_, state, _)| state == "CANCELLED"), "{all:?}");
    drop(night);
}

#[test]
fn what_is_given_up_is_not_tried_again_beside_a_newer_one_either() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let flags = ["--period", "1s", "--overlap", "allow", "--retries", "1", "--backoff-first", "30s"];
    started(&env, "A", "#!/bin/sh\nexit 1\n", &[&flags[..], &["--give-up-failures", "2"]].concat());
    until("it to be given up", || jobs(&env, "A").len() == 2 && jobs(&env, "A")[1].1 == "FAILED");
    assert_eq!(jobs(&env, "A")[0].1, "CANCELLED");
    assert_eq!(env.json(&["job", "show", "1"])["message"], "stopped by repeated failures");
    drop(night);
}

#[test]
fn a_failed_run_that_is_to_be_tried_again_still_counts_as_running() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script = format!("{NOTES}[ $JOBEXEC_ATTEMPT = 3 ] || exit 1\n");
    let flags = ["--period", "1s", "--retries", "2", "--backoff-first", "1500ms", "--backoff-jitter", "0"];
    started(&env, "A", &script, &flags);
    until_decided(&env, "A", "run", 3);
    until("the second job to have ended", || {
        query(&env, "SELECT count(*) FROM jobs WHERE ended IS NOT NULL", |row| row.get::<_, i64>(0))[0] >= 2
    });
    let jobs = query(&env, "SELECT id, scheduled, created, ended, attempt FROM jobs ORDER BY id", |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, i64>(2)?,
            row.get::<_, Option<i64>>(3)?,
            row.get::<_, i64>(4)?,
        ))
    });
    for two in jobs.windows(2) {
        assert!(two[0].3.is_some_and(|ended| ended <= two[1].2), "two jobs at once: {two:?}");
    }
    let all = occurrences(&env, "A");
    for (job, scheduled, created, ended, attempt) in jobs.iter().filter(|job| job.3.is_some()) {
        assert_eq!(*attempt, 3, "job {job}");
        let meanwhile =
            |one: &&Occurrence| one.decided > *created && one.decided < ended.unwrap() && one.due != *scheduled;
        let meanwhile: Vec<&Occurrence> = all.iter().filter(meanwhile).collect();
        assert!(meanwhile.len() >= 2, "{meanwhile:#?}");
        for one in meanwhile {
            assert!(one.decision == "skipped" && names(one.reason(), *job), "job {job}: {one:?}");
        }
    }
    check(&env, "A", SECOND);
    drop(night);
}

#[test]
fn what_was_started_by_hand_is_in_the_way_too() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    added(&env, "A", WAITS, &["--period", "1s"]);
    env.ok(&["start", "A", "--now"]);
    let all = until_decided(&env, "A", "skipped", 2);
    let by_hand = runs(&env, "A");
    assert_eq!(by_hand.len(), 1, "{by_hand:#?}");
    let job = by_hand[0]["job"].as_i64().unwrap();
    assert!(all.iter().all(|one| one.decision == "skipped" && names(one.reason(), job)), "job {job}: {all:#?}");
    touch(&env, "go");
    until_decided(&env, "A", "run", 1);
    check(&env, "A", SECOND);
    check_one_after_another(&env, "A");
    drop(night);
}

#[test]
fn a_start_by_hand_at_the_due_moment_is_not_doubled() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", &WAITS.replace("until [ -e go ]; do sleep 0.02 9>&-; done", "sleep 0.3"), &["--period", "1s"]);
    for round in 0..12 {
        // Around the moment, from before to after it.
        let at = (now() / SECOND + 1) * SECOND - 60_000 + round * 8_000;
        until("the moment", || now() >= at);
        let said = env.run(&["start", "A", "--now"]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    env.ok(&["stop", "A"]);
    check(&env, "A", SECOND);
    check_one_after_another(&env, "A");
    let of_hand = runs(&env, "A").iter().filter(|run| run["scheduled"].is_null()).count();
    println!("{of_hand} by hand, {} by schedule", decided(&env, "A", "run").len());
    drop(night);
}

#[test]
fn an_orphan_is_in_the_way() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", WAITS, &["--period", "1s"]);
    pid_of(&env, "A");
    kill(env.worker_of("A"), KILL);
    until_decided(&env, "A", "skipped", 3);
    assert_eq!(decided(&env, "A", "run").len(), 1);
    touch(&env, "go");
    until_decided(&env, "A", "run", 2);
    check(&env, "A", SECOND);
    check_one_after_another(&env, "A");
    drop(night);
}

#[test]
fn replace_ends_an_orphan_that_does_not_listen() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let deaf = WAITS.replace("#!/bin/sh", "#!/bin/sh\ntrap 'echo asked >>asked' TERM");
    started(&env, "A", &deaf, &["--period", "2s", "--overlap", "replace", "--stop-grace", "300ms"]);
    let pid = pid_of(&env, "A");
    kill(env.worker_of("A"), KILL);
    night.says("A is orphaned");
    until_decided(&env, "A", "run", 3);
    assert!(!alive(pid));
    let first = &runs(&env, "A")[0];
    assert!(is_unseen_or(first, &json!("SIGKILL")), "{first}");
    assert!(!lines(&env, "asked").is_empty(), "it was asked first");
    check(&env, "A", 2 * SECOND);
    check_one_after_another(&env, "A");
    drop(night);
}

#[test]
fn an_orphan_that_one_supervisor_was_to_replace_is_ended_by_the_next() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let deaf = WAITS.replace("#!/bin/sh", "#!/bin/sh\ntrap '' TERM");
    let start = utc(now() + 4 * SECOND);
    let flags = ["--period", "1h", "--start", &start, "--tz", "UTC", "--overlap", "replace", "--stop-grace", "1s"];
    started(&env, "A", &deaf, &flags);
    env.ok(&["start", "A", "--now"]);
    let pid = pid_of(&env, "A");
    kill(env.worker_of("A"), KILL);
    night.says("A is orphaned and is to end");
    night.end(KILL);
    assert!(alive(pid));
    let night = Night::begin(&env);
    until_decided(&env, "A", "run", 1);
    assert!(!alive(pid));
    check_one_after_another(&env, "A");
    drop(night);
}
