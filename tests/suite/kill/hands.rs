//! A slot that has claimed several very short jobs at once, with its worker killed at every step while it runs them: no
//! job runs twice, none is left behind, and whose end was known keeps it.

use std::cell::Cell;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use super::super::env::{TestEnv, until};
use super::at_every_point;
use super::queue::{Supervisor, lines};
use super::tracer::{Idle, kill_slot_at};

/// Notes that it runs, says so, and ends with 7; one that there is a gate for, when that is open.
const SHORT: &str = "#!/bin/sh
echo $JOBEXEC_JOB_ID >> begun
echo output of $JOBEXEC_JOB_ID
while [ -e gate-$JOBEXEC_JOB_ID ]; do sleep 0.01; done
exit 7
";

/// How many jobs there are that do nothing and bring up the pace, and how many after them.
const BEFORE: i64 = 20;
const COUNT: i64 = 20;

/// How many of the latter are to be claimed at once before anybody is killed.
const SEVERAL: usize = 2;

fn with_queue() -> TestEnv {
    let env = TestEnv::new();
    env.ringers_are_killed();
    env.script("t.sh", SHORT);
    env.ok(&["add", "T", "t.sh"]);
    for (count, what) in [(BEFORE, &["--no-output", "--", "true"][..]), (COUNT, &["T"])] {
        env.write("lines", &"x\n".repeat(usize::try_from(count).unwrap()), 0o644);
        env.ok(&[&["submit", "--each-line", "lines"], what].concat());
    }
    env
}

/// The database, opened once: whoever looks is waited for.
struct Look(Connection);

impl Look {
    fn open(env: &TestEnv) -> Self {
        Self(Connection::open_with_flags(env.file("jobexec.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap())
    }

    /// The jobs of the task that are claimed and have not ended, in their order, and when they were claimed.
    fn claimed(&self) -> (Vec<i64>, i64) {
        let sql = "SELECT job, claimed FROM runs WHERE outcome IS NULL AND job > ?1 ORDER BY job";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let rows = statement.query_map([BEFORE], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let rows: Vec<(i64, i64)> = rows.collect::<Result<_, _>>().unwrap();
        (rows.iter().map(|(job, _)| *job).collect(), rows.first().map_or(0, |(_, claimed)| *claimed))
    }

    fn is_any_left(&self) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM jobs WHERE state IN ('PREPROCESSED', 'RESTART_READY'))";
        self.0.prepare_cached(sql).unwrap().query_row([], |row| row.get(0)).unwrap()
    }
}

/// Waits until all have ended: each has run once, and so it is told, but for one whose worker died while starting it.
#[track_caller]
fn check(env: &TestEnv, point: Option<&str>) {
    let all = || env.json(&["jobs", "task = T"]).as_array().unwrap().clone();
    until("all to end", || all().iter().all(|job| job["state"] == "FAILED"));
    let begun = lines(env, "begun");
    let mut lost = 0;
    for job in all() {
        let id = job["id"].to_string();
        let times = begun.iter().filter(|line| **line == id).count();
        if job["reason"] == "lost" {
            lost += 1;
            assert!(job["message"].as_str().unwrap().contains("died while starting it"), "{point:?}: {job}");
            assert!(times <= 1, "{point:?}: {begun:?}");
            continue;
        }
        assert_eq!((times, &job["exit_code"], &job["attempt"]), (1, &json!(7), &json!(1)), "{point:?}: {job}");
        assert_eq!(env.read(&format!("jobs/{id}/run-1.txt")), format!("output of {id}\n"), "{point:?}");
    }
    assert!(lost <= usize::from(point.is_some()), "{point:?}: {lost} are lost");
}

/// Kills the worker of a slot at its `nth` point, counted from the birth of the first of several that it has claimed.
fn kill_in_a_hand(nth: usize) -> Option<String> {
    loop {
        let env = with_queue();
        let db = Look::open(&env);
        let hand = Cell::new(None);
        let look = || match (hand.get(), db.claimed()) {
            (None, (jobs, when)) if jobs.len() >= SEVERAL => {
                hand.set(Some(when));
                Idle::Within
            }
            (None, _) if db.is_any_left() => Idle::Before,
            (Some(hand), (_, when)) if hand == when => Idle::Within,
            (_, _) => Idle::Over,
        };
        let (point, pid) = kill_slot_at(env.command(&["keep-restarting"]), nth, &look, &|_| {});
        let _supervisor = Supervisor(pid);
        check(&env, point.as_deref());
        // Where the machine was too busy for a hand of several, once more.
        if hand.get().is_some() {
            return point;
        }
    }
}

#[test]
fn worker_killed_while_it_plays_a_hand() {
    // How far it comes before the rest is given back, and so which point is which, is never quite the same.
    at_every_point("worker of a slot killed while it runs several jobs that it claimed at once", |nth| {
        [nth; 2].map(kill_in_a_hand).into_iter().flatten().next()
    });
}

#[test]
fn a_long_job_that_was_slow_to_begin_keeps_nothing_to_itself() {
    loop {
        let env = with_queue();
        let db = Look::open(&env);
        for id in BEFORE + 1..=BEFORE + COUNT {
            fs::write(env.dir().join(format!("gate-{id}")), "").unwrap();
        }
        let open = |id: i64| fs::remove_file(env.dir().join(format!("gate-{id}"))).unwrap();
        let long = Cell::new(None);
        let look = || {
            let (jobs, when) = db.claimed();
            if jobs.len() < SEVERAL {
                jobs.iter().filter(|id| env.dir().join(format!("gate-{id}")).exists()).for_each(|id| open(*id));
                return if db.is_any_left() { Idle::Before } else { Idle::Over };
            }
            // It has waited for longer than what is claimed together may, when its script is there.
            let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap();
            until("its time to pass", || now() > when + 50_000);
            long.set(Some(jobs[0]));
            Idle::Over
        };
        let (_, pid) = kill_slot_at(env.command(&["keep-restarting"]), 0, &look, &|_| {});
        let _supervisor = Supervisor(pid);
        if let Some(long) = long.get() {
            until("the others to be let go", || db.claimed().0 == [long]);
        }
        for id in (BEFORE + 1..=BEFORE + COUNT).filter(|id| env.dir().join(format!("gate-{id}")).exists()) {
            open(id);
        }
        check(&env, None);
        if long.get().is_some() {
            return;
        }
    }
}
