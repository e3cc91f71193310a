//! What is killed in the middle of a transfer, and how many of them there are at a time.

use std::fs;

use super::server::{Answer, Web};
use super::*;
use crate::suite::env::{alive, kill, parent, until};

const FETCH: &str = "transfers.data = { direction = \"in\", local = \"data\" }";

/// The processes that transfer something for a test.
fn stagers(env: &TestEnv) -> Vec<i32> {
    let line = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    env.processes().into_iter().filter(|pid| line(pid).contains("--jobexec-stage")).collect()
}

/// A job that is being brought something by a server that has sent half of it.
fn under_way(env: &TestEnv, web: &Web) -> i64 {
    let path = format!("/{}", web.url.len());
    let url = web.serve(&path, &[Answer::Hangs("half".to_owned()), Answer::Whole("whole\n".to_owned())]);
    let id = submit(env, &["T", "--transfer", &format!("data={url}")]);
    until("half of it", || web.asked(&path) == 1);
    id
}

#[track_caller]
fn is_brought_in_the_end(env: &TestEnv, id: i64) {
    until_state(env, id, "JOB_FINISHED");
    assert_eq!(fs::read_to_string(directory(env, id).join("data")).unwrap(), "whole\n");
    assert!(is_tidy(&directory(env, id)));
}

#[test]
fn a_transfer_whose_processes_are_killed_begins_again() {
    let env = TestEnv::new();
    define(&env, "T", UPPER, FETCH);
    let (web, night) = (Web::new(), Night::begin(&env));
    let id = under_way(&env, &web);
    let stager = stagers(&env)[0];
    let worker = parent(stager);
    kill(worker, 9);
    kill(stager, 9);
    until("their end", || !alive(worker) && !alive(stager));
    assert!(!directory(&env, id).join("data").exists());
    is_brought_in_the_end(&env, id);
    assert_eq!(item(&env, id, "data")["attempts"], 2);
    night.end(15);
}

#[test]
fn a_transfer_alone_that_is_killed_begins_again() {
    let env = TestEnv::new();
    define(&env, "T", UPPER, FETCH);
    let (web, night) = (Web::new(), Night::begin(&env));
    let id = under_way(&env, &web);
    kill(stagers(&env)[0], 9);
    is_brought_in_the_end(&env, id);
    let events = env.json(&["job", "events", &id.to_string()]).to_string();
    assert!(events.contains("transfer `data`: killed by SIGKILL"), "{events}");
    night.end(15);
}

#[test]
fn a_supervisor_that_is_killed_stops_no_transfer_and_the_next_goes_on() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    define(&env, "T", UPPER, FETCH);
    let (web, night) = (Web::new(), Night::begin(&env));
    let id = under_way(&env, &web);
    let stager = stagers(&env)[0];
    night.end(9);
    assert!(alive(stager));
    let night = Night::begin(&env);
    assert_eq!(stagers(&env), [stager], "it is not begun a second time");
    kill(stager, 9);
    is_brought_in_the_end(&env, id);
    night.end(15);
}

#[test]
fn what_is_cancelled_or_killed_is_stopped_and_leaves_nothing() {
    for verb in ["cancel", "kill"] {
        let env = TestEnv::new();
        define(&env, "T", UPPER, FETCH);
        let (web, night) = (Web::new(), Night::begin(&env));
        let id = under_way(&env, &web);
        let said = env.ok(&["job", verb, &id.to_string()]);
        assert!(stagers(&env).is_empty(), "{said:?}");
        until_state(&env, id, "CANCELLED");
        assert!(is_tidy(&directory(&env, id)), "{:?}", names(&directory(&env, id)));
        assert_eq!(item(&env, id, "data")["state"], "waiting");
        night.end(15);
    }
}

#[test]
fn four_jobs_are_brought_things_at_a_time_and_none_takes_a_slot() {
    let env = TestEnv::new();
    define(&env, "T", UPPER, FETCH);
    let web = Web::new();
    let url = web.serve("/x", &[Answer::Hangs("half".to_owned())]);
    let night = Night::begin(&env);
    let ids: Vec<i64> = (0..6).map(|_| submit(&env, &["T", "--transfer", &format!("data={url}")])).collect();
    until("four transfers", || web.asked("/x") == 4);
    let other = submit(&env, &["--", "true"]);
    until_state(&env, other, "JOB_FINISHED");
    assert_eq!((web.asked("/x"), stagers(&env).len()), (4, 4));
    let waiting = |id: &&i64| item(&env, **id, "data")["state"] == "waiting";
    assert_eq!(ids.iter().filter(waiting).collect::<Vec<_>>(), [&ids[4], &ids[5]]);
    env.ok(&["job", "kill", &ids[0].to_string()]);
    until("the fifth", || web.asked("/x") == 5);
    for id in &ids {
        env.ok(&["job", "cancel", &id.to_string()]);
    }
    night.end(15);
}
