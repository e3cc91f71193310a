//! The machine sleeps under a living supervisor.
//!
//! The supervisor is stopped and continued instead. That is what it sees of a suspend, apart from the monotonic clock,
//! which stands still meanwhile and by which no schedule goes. Sleeping for longer than what counts as on time is in
//! `clock_set`.

use super::*;

/// So many moments of the tasks pass; until when it slept.
#[track_caller]
fn sleep_through(night: &Night, moments: i64) -> (i64, i64) {
    let asleep = fall_asleep(night);
    until("some moments to pass", || now() > asleep + moments * SECOND);
    let awake = now();
    kill(night.pid(), CONTINUE);
    (asleep, awake)
}

#[test]
fn what_ended_meanwhile_is_in_nobodys_way() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let tasks = ["A", "B", "C", "D"];
    tasks.iter().for_each(|task| started(&env, task, "#!/bin/sh\nsleep 1.2\n", &["--period", "1s"]));
    tasks.iter().for_each(|task| until_fired(&env, task, 1));
    tasks.iter().for_each(|task| env.wait_for_state(task, "running"));
    let (_, awake) = sleep_through(&night, 3);
    for task in tasks {
        let after = || occurrences(&env, task).into_iter().filter(|one| one.decided > awake).collect::<Vec<_>>();
        until("it to go on", || !after().is_empty());
        let newest = after().into_iter().take_while(|one| one.due <= awake).last().unwrap();
        assert!(newest.runs() || newest.reason().contains("stands for it"), "{newest:?}");
        check(&env, task, SECOND);
    }
    drop(night);
}

#[test]
fn what_was_due_meanwhile_is_decided_once_by_its_rule() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let rules = ["once", "skip", "all"];
    for rule in rules {
        started(&env, rule, NOTES, &["--period", "1s", "--missed", rule]);
    }
    rules.iter().for_each(|rule| until_fired(&env, rule, 2));
    let (asleep, awake) = sleep_through(&night, 4);
    for rule in rules {
        until(&format!("{rule} to go on"), || {
            decided(&env, rule, "run").last().is_some_and(|last| last.due > awake + SECOND)
        });
    }
    for rule in rules {
        let all = occurrences(&env, rule);
        let meanwhile: Vec<&Occurrence> = all.iter().filter(|one| one.due > asleep && one.due <= awake).collect();
        assert!(meanwhile.len() >= 4, "{meanwhile:#?}");
        if rule == "all" {
            assert!(meanwhile.iter().all(|one| one.runs()), "{all:#?}");
        } else {
            // Nobody is late by more than what counts as on time: the newest of those that were due when it woke is
            // run, and stands for the others.
            let woken = meanwhile[0].decided;
            let due: Vec<&Occurrence> = all.iter().filter(|one| one.decided == woken).collect();
            let (newest, older) = due.split_last().unwrap();
            assert!(woken >= awake && due.len() >= 4 && newest.runs(), "{rule}: {due:#?}");
            let stands = |one: &&Occurrence| one.decision == "missed" && one.reason().contains("stands for it");
            assert!(older.iter().all(stands), "{rule}: {due:#?}");
        }
        check(&env, rule, SECOND);
        check_one_after_another(&env, rule);
    }
    drop(night);
}
