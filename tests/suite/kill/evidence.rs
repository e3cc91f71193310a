//! Records that tell of another boot or machine, that are cut, spoilt or gone: nothing is believed that is not proven,
//! nothing that lives is forgotten, and no stranger is signalled.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::env::{TestEnv, is_unseen_or, kill, until};
use super::truth::{TASK, Witness, scripts, workers};
use super::{STAYS, with_task};

/// Lets the task's script run and kills its worker.
fn orphaned() -> (TestEnv, i32) {
    let env = with_task(STAYS);
    env.ok(&["start", TASK]);
    until("its output", || env.read("T.txt").contains("output of"));
    let pid = i32::try_from(env.status(TASK)["pid"].as_i64().unwrap()).unwrap();
    kill_workers(&env);
    (env, pid)
}

fn kill_workers(env: &TestEnv) {
    workers(env).into_iter().for_each(|worker| kill(worker, 9));
    until("the worker to die", || workers(env).is_empty());
}

/// The same with the script dead too, and nobody who has looked since.
fn dead() -> TestEnv {
    let (env, pid) = orphaned();
    kill(pid, 9);
    // Waited for as well, by whoever inherited it: a zombie still says how it ended.
    until("the script to be gone", || !PathBuf::from(format!("/proc/{pid}")).exists());
    env
}

fn record(env: &TestEnv) -> PathBuf {
    let mut records = fs::read_dir(env.file("runs")).unwrap();
    let record = records.next().unwrap().unwrap().path();
    assert!(records.next().is_none());
    record
}

/// Writes another first entry, with its checksum, before the others.
fn forge(env: &TestEnv, change: impl Fn(&mut Value)) {
    let path = record(env);
    let mut bytes = fs::read(&path).unwrap();
    let size = bytes.len();
    let first = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let mut entry: Value = serde_json::from_slice(&bytes[9..first]).unwrap();
    assert_eq!(entry["at"], "prepared");
    change(&mut entry);
    let entry = entry.to_string();
    let line = format!("{:08x} {entry}", crc32fast::hash(entry.as_bytes()));
    bytes.splice(..first, line.into_bytes());
    bytes.resize(size, 0);
    fs::write(&path, bytes).unwrap();
}

#[track_caller]
fn last_is(env: &TestEnv, outcome: &str, reason: &str) {
    let view = Witness::new(env, &[]).look();
    assert_eq!(view.outcome(), outcome, "{view:?}");
    assert_eq!(view.history[0]["reason"], reason, "{view:?}");
}

const WORKER_DIED: &str = "lost: its worker died before it, so its exit was not seen";
const MAY_HAVE_RUN: &str = "lost: its worker died while starting it; it may have run";
const NO_RECORD: &str = "lost: its record is gone";

#[test]
fn a_forged_record_is_read_as_a_real_one() {
    let env = dead();
    forge(&env, |_| {});
    last_is(&env, "lost", WORKER_DIED);
}

#[test]
fn another_boot_has_lost_the_run() {
    let env = dead();
    forge(&env, |entry| entry["place"]["boot"] = json!("00000000-0000-4000-8000-000000000000"));
    last_is(&env, "lost", "lost: the machine was started anew");
    Witness::new(&env, &[]).follow_up(1);
}

#[test]
fn another_machine_is_neither_judged_nor_signalled() {
    for change in ["machine", "pid_namespace"] {
        let (env, pid) = orphaned();
        forge(&env, |entry| entry["place"][change] = if change == "machine" { json!("other") } else { json!(1) });
        let status = env.status(TASK);
        assert_eq!((status["state"].as_str(), &status["running"]), (Some("running"), &json!(true)), "{status}");
        assert!(env.history(TASK)[0]["outcome"].is_null());
        let refused = env.fails(5, &["start", TASK]);
        assert!(refused.err.contains("another machine"), "{refused:?}");
        let said = env.fails(1, &["stop", TASK]);
        assert!(said.err.contains("runs on another machine or in another container; stop it there"), "{said:?}");
        assert_eq!(scripts(&env).into_values().flatten().collect::<Vec<_>>(), [pid], "it was not signalled");
        assert!(env.history(TASK)[0]["outcome"].is_null(), "it is not judged either");
    }
}

#[test]
fn a_record_that_was_cut_is_lost_wherever_it_was_cut() {
    // Nothing of it, half an entry, an entry and a part of the next one. The entries' lengths differ from run to run.
    for (whole, more, reason) in [
        (0, 0, NO_RECORD),
        (0, 50, NO_RECORD),
        (1, 0, MAY_HAVE_RUN),
        (1, 20, MAY_HAVE_RUN),
        (2, 0, MAY_HAVE_RUN),
        (2, 20, MAY_HAVE_RUN),
        (3, 0, WORKER_DIED),
    ] {
        damaged(|bytes| bytes.truncate(beginning(bytes, whole) + more), reason);
    }
}

/// Where an entry of a record begins, counted from 0: prepared, starting, started.
fn beginning(bytes: &[u8], entry: usize) -> usize {
    bytes.split_inclusive(|byte| *byte == b'\n').take(entry).map(<[u8]>::len).sum()
}

#[test]
fn a_spoilt_record_is_believed_only_up_to_the_damage() {
    for (entry, reason) in [(0, NO_RECORD), (1, MAY_HAVE_RUN), (2, MAY_HAVE_RUN)] {
        let spoil = |bytes: &mut Vec<u8>| {
            let at = beginning(bytes, entry) + 30;
            bytes[at] ^= 1;
        };
        damaged(spoil, reason);
    }
}

/// With a damaged record a living script is seen, not started a second time, stopped; its exit is not known.
#[track_caller]
fn damaged(damage: impl Fn(&mut Vec<u8>), reason: &str) {
    let (env, pid) = orphaned();
    let mut bytes = fs::read(record(&env)).unwrap();
    damage(&mut bytes);
    fs::write(record(&env), bytes).unwrap();
    let mut witness = Witness::new(&env, &[]);
    let view = witness.look();
    assert_eq!(view.state, "orphaned", "{view:?}");
    assert_eq!(view.alive.into_values().flatten().collect::<Vec<_>>(), [pid]);
    witness.start();
    let run = &witness.stop().history[0];
    assert!(run["reason"] == reason || is_unseen_or(run, &json!("SIGTERM")), "{run}");
    witness.follow_up(1);
}

#[test]
fn a_record_removed_while_the_script_runs() {
    let env = with_task(STAYS);
    env.ok(&["start", TASK]);
    fs::remove_file(record(&env)).unwrap();
    // Its worker lives, but nobody can prove it.
    until("the script to be seen", || env.state(TASK) == "orphaned");
    let mut witness = Witness::new(&env, &[]);
    witness.start();
    let by = witness.stop().history[0]["asked_by"].as_str().unwrap().to_owned();
    last_is(&env, "lost", &format!("stopped by {by}; {NO_RECORD}"));
    witness.follow_up(1);
}

#[test]
fn a_record_removed_after_the_run_has_ended() {
    let env = dead();
    fs::remove_file(record(&env)).unwrap();
    last_is(&env, "lost", NO_RECORD);
    Witness::new(&env, &[]).follow_up(1);
}

#[test]
fn a_record_spoilt_while_its_worker_lives() {
    let env = with_task(STAYS);
    env.ok(&["start", TASK]);
    let mut bytes = fs::read(record(&env)).unwrap();
    let at = beginning(&bytes, 1) + 30;
    bytes[at] ^= 1;
    // In place: the worker holds its lock on this file.
    let file = fs::OpenOptions::new().write(true).open(record(&env)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    drop(file);
    assert_eq!(env.state(TASK), "running", "its lock is held");
    let again = env.ok(&["start", TASK]);
    assert!(again.err.contains("Already running"), "{again:?}");
    Witness::new(&env, &[]).stop();
}
