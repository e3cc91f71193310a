//! The supervisor killed at every step of what it does, its workers and the commands of its users killed beside it,
//! and all of them at random: the next one brings back what is wanted, nothing runs twice, and no exit or output is lost
//! that anybody could know.

mod folder;
mod hands;
mod nemesis;
mod random;
mod succession;
mod truth;

use std::cell::Cell;
use std::fs;

use super::super::env::{kill, until};
use super::at_every_point;
use super::tracer::{Idle, kill_supervisor_at};
use folder::{FAILS_ONCE, Folder, STAYS, TOLD};
use truth::{Both, Excuses, Nothing, check, check_up, end, outcomes};

/// Kills a supervisor at its `nth` point. Once `begin` has been called, in its first idle moment, there are points,
/// until `is_over`.
fn kill_at(folder: &Folder, nth: usize, begin: &dyn Fn(), is_over: &dyn Fn() -> bool) -> Option<String> {
    let began = Cell::new(false);
    let idle = || {
        if !began.replace(true) {
            begin();
        }
        if is_over() { Idle::Over } else { Idle::Within }
    };
    kill_supervisor_at(folder.keep(), false, nth, &idle, &|_| {})
}

/// A new supervisor makes everything good.
fn carry_on(folder: &Folder, up: &[(&str, usize)], excuses: &dyn Excuses) {
    let supervisor = folder.supervise();
    check_up(folder, &supervisor, up, excuses);
    end(folder, &supervisor);
}

/// So many scripts of the task have run, and of all that was recorded only so many records are left.
fn has_come_to(folder: &Folder, task: &str, instances: usize, records: usize) -> bool {
    folder.instances_of(task).len() == instances && folder.records().len() == records
}

#[test]
fn killed_while_it_begins() {
    at_every_point("supervisor killed while it begins", |nth| {
        let folder = Folder::with(&[("T", STAYS), ("U", FAILS_ONCE)]);
        folder.start("T");
        folder.start("U");
        until("the end of U", || folder.is_on_record(&folder.instances_of("U")[0].run, "swept"));
        let idle = || if has_come_to(&folder, "U", 2, 2) { Idle::Over } else { Idle::Within };
        let point = kill_supervisor_at(folder.keep(), true, nth, &idle, &|_| {});
        carry_on(&folder, &[("T", 1), ("U", 2)], &Nothing(&[]));
        point
    });
}

#[test]
fn killed_while_it_brings_back_what_was_killed_after_a_good_run() {
    at_every_point("supervisor killed while it restarts after a good run", |nth| {
        let folder = Folder::new();
        folder.add("T", STAYS, &["--reset-after", "1ms"]);
        folder.start("T");
        let first = &folder.instances_of("T")[0];
        let point = kill_at(&folder, nth, &|| kill(first.pid, 9), &|| has_come_to(&folder, "T", 2, 1));
        carry_on(&folder, &[("T", 2)], &Nothing(std::slice::from_ref(&first.run)));
        point
    });
}

#[test]
fn killed_while_it_settles_a_failure_and_waits() {
    at_every_point("supervisor killed while it settles a failure", |nth| {
        let folder = Folder::with(&[("T", "first || exec sleep 600\nread x < go\nends 7")]);
        folder.start("T");
        let point = kill_at(&folder, nth, &|| folder.tell(), &|| has_come_to(&folder, "T", 2, 1));
        carry_on(&folder, &[("T", 2)], &Nothing(&[]));
        point
    });
}

#[test]
fn killed_while_it_records_that_a_task_cannot_be_started() {
    at_every_point("supervisor killed while it records what cannot be started", |nth| {
        let folder = Folder::with(&[("T", STAYS)]);
        folder.start("T");
        let first = &folder.instances_of("T")[0];
        let (script, away) = (folder.env.dir().join("T.sh"), folder.env.dir().join("away"));
        let begin = || {
            fs::rename(&script, &away).unwrap();
            kill(first.pid, 9);
        };
        let is_over = || folder.env.read("supervisor.log").contains("cannot be started") && folder.records().is_empty();
        let point = kill_at(&folder, nth, &begin, &is_over);
        let supervisor = folder.supervise();
        until("it to be on record", || outcomes(&folder.env, "T").iter().any(|outcome| outcome == "could_not_start"));
        check(&folder, &supervisor, &Nothing(std::slice::from_ref(&first.run)));
        fs::rename(&away, &script).unwrap();
        check_up(&folder, &supervisor, &[("T", 2)], &Nothing(std::slice::from_ref(&first.run)));
        end(&folder, &supervisor);
        point
    });
}

#[test]
fn killed_while_it_delivers_a_message() {
    at_every_point("supervisor killed while it delivers a message", |nth| {
        let folder = Folder::new();
        let tell = format!("echo $JOBEXEC_NOTIFY_RUN $JOBEXEC_NOTIFY_EVENT >> {}/told", folder.env.dir().display());
        folder.add("T", TOLD, &["--once", "--notify-command", &tell]);
        folder.start("T");
        let run = folder.instances_of("T")[0].run.clone();
        let is_over = || !folder.lines("told").is_empty() && folder.records().is_empty();
        let point = kill_at(&folder, nth, &|| folder.tell(), &is_over);
        let supervisor = folder.supervise();
        until("the message", || !folder.lines("told").is_empty());
        check(&folder, &supervisor, &Nothing(&[]));
        end(&folder, &supervisor);
        assert_eq!(folder.lines("told"), [[run, "failure".to_owned()]], "{point:?}");
        point
    });
}

/// The supervisor is killed while it learns how a script ended whose worker was killed before.
fn of_an_orphan(scenario: &str, of_its_own: bool) {
    at_every_point(scenario, |nth| {
        let folder = Folder::new();
        let script = if of_its_own { "first && ends 0\n" } else { "" };
        let mine = 1 + usize::from(of_its_own);
        let stays = format!("{script}[ $(wc -l < instances) = {mine} ] || exec sleep 600\nread x < go\nends 7");
        folder.add("T", &stays, &[]);
        folder.start("T");
        let mut former = None;
        if of_its_own {
            until("its first end", || folder.is_on_record(&folder.instances()[0].run, "swept"));
            former = folder.records().pop();
        }
        let orphan = || folder.instances_of("T")[mine - 1].clone();
        let begin = || {
            until("the script", || {
                folder.instances_of("T").len() == mine && folder.is_on_record(&orphan().run, "started")
            });
            kill(super::super::env::parent(orphan().pid), 9);
        };
        let step = Cell::new(0);
        let idle = || {
            let is_claimed = || folder.records().into_iter().any(|record| Some(record) != former);
            match step.get() {
                // It waits for the moment at which the task is due again.
                0 if !is_claimed() => return Idle::Before,
                0 => {
                    begin();
                    step.set(1);
                    return Idle::Before;
                }
                1 => {
                    folder.tell();
                    step.set(2);
                }
                _ => {}
            }
            if has_come_to(&folder, "T", mine + 1, 1) { Idle::Over } else { Idle::Within }
        };
        let point = kill_supervisor_at(folder.keep(), false, nth, &idle, &|_| {});
        let orphan = orphan();
        let supervisor = folder.supervise();
        check_up(&folder, &supervisor, &[("T", mine + 1)], &Both(&orphan.run));
        let runs = folder.env.history("T");
        let run = runs.iter().find(|run| run["run_id"] == orphan.run.as_str()).unwrap();
        assert!(run["exit_code"] == 7 || point.is_some() && run["outcome"] == "lost", "{point:?}: {run}");
        end(&folder, &supervisor);
        point
    });
}

#[test]
fn killed_while_it_learns_how_an_orphan_ended_that_it_had_started() {
    of_an_orphan("supervisor killed at the end of an orphan of its own", true);
}

#[test]
fn killed_while_it_learns_how_an_orphan_ended_that_it_had_found() {
    of_an_orphan("supervisor killed at the end of an orphan that it found", false);
}
