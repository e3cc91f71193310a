//! A worker that goes on with the next run by itself: it, and the supervisor that is told afterwards, are killed at every
//! step; and whoever acts at any step meanwhile is obeyed.

use std::cell::Cell;
use std::fs;

use serde_json::Value;

use super::super::super::env::{alive, kill, parent, until};
use super::super::at_every_point;
use super::super::tracer::{Idle, Traced, Victim, hold_at, kill_at, kill_supervisor_at};
use super::super::truth::workers;
use super::folder::{Folder, STAYS, Supervisor};
use super::truth::{Excuses, Nothing, check, check_up, end, history, is_up, is_wanted, stops};
use super::{carry_on, has_come_to};

/// Whether the run that is to follow the first has been appointed.
fn is_appointed(folder: &Folder) -> bool {
    let first = &folder.instances_of("T")[0].run;
    folder.env.read(&format!("runs/{first}")).contains("\"registry\":")
}

fn with_task() -> Folder {
    let folder = Folder::new();
    folder.add("T", STAYS, &["--reset-after", "1ms"]);
    folder
}

/// The script of the first run was killed, and the worker of the second at its beginning.
struct Passing<'a>(&'a str);

impl Excuses for Passing<'_> {
    fn may_be_lost(&self, run: &Value) -> bool {
        run["attempt"] == 2 && run["reason"] == "lost: its worker died while starting it; it may have run"
    }

    fn was_killed(&self, run: &str) -> bool {
        run == self.0
    }
}

/// Starts a task beside a supervisor, has its successor appointed, and kills its script: its worker comes to its fate at
/// the `nth` point from there to its next wait. What became of the worker, and the supervisor.
fn pass_on(folder: &Folder, nth: usize, run: impl Fn(Victim<'_>, usize) -> Traced) -> (Traced, Supervisor) {
    let supervisor = folder.supervise();
    let begin = || {
        until("the next run to be appointed", || folder.instances_of("T").len() == 1 && is_appointed(folder));
        kill(folder.instances_of("T")[0].pid, 9);
    };
    let is_over = || {
        until("the next run", || folder.instances_of("T").len() == 2);
        true
    };
    let traced = run(Victim::WorkerBetween(&begin, &is_over), nth);
    (traced, supervisor)
}

#[test]
fn worker_killed_while_it_goes_on() {
    at_every_point("worker killed while it goes on with the next run", |nth| {
        let folder = with_task();
        let start = || folder.env.command(&["start", "T"]);
        let (traced, supervisor) = pass_on(&folder, nth, |victim, nth| kill_at(start(), victim, nth, &|_| {}));
        let first = folder.instances_of("T")[0].run.clone();
        // A script whose beginning was not written down any more, and which was killed with its worker, is run again.
        until("T to run", || folder.instances_of("T").len() >= 2);
        let instances = folder.instances_of("T").len();
        check_up(&folder, &supervisor, &[("T", instances)], &Passing(&first));
        assert_eq!(instances, 2, "{traced:?}: {:?}", history(&folder));
        end(&folder, &supervisor);
        traced.point
    });
}

#[test]
fn supervisor_killed_while_it_hears_of_it() {
    at_every_point("supervisor killed while it hears that a worker has gone on", |nth| {
        let folder = with_task();
        folder.start("T");
        let first = folder.instances_of("T")[0].clone();
        let begun = Cell::new(false);
        let idle = || {
            if !begun.get() && !is_appointed(&folder) {
                return Idle::Before;
            }
            if !begun.replace(true) {
                kill(first.pid, 9);
                // It goes on without anybody's help: the supervisor stands still meanwhile.
                until("the next run", || folder.instances_of("T").len() == 2);
            }
            if has_come_to(&folder, "T", 2, 1) { Idle::Over } else { Idle::Within }
        };
        let point = kill_supervisor_at(folder.keep(), false, nth, &idle, &|_| {});
        carry_on(&folder, &[("T", 2)], &Nothing(std::slice::from_ref(&first.run)));
        point
    });
}

#[test]
fn the_end_of_a_script_is_known_whose_beginning_nobody_has_heard_of() {
    let folder = Folder::new();
    // The second run is the first of a worker of the supervisor's.
    let script = "first && ends 7\n[ $(wc -l < instances) = 2 ] && exec sleep 600\nread x < go\nends 8";
    folder.add("T", script, &["--reset-after", "1ms"]);
    folder.start("T");
    let supervisor = folder.supervise();
    let instance = |nth: usize| folder.instances_of("T").get(nth).cloned();
    until("the next run to be appointed", || {
        instance(1).is_some_and(|it| folder.env.read(&format!("runs/{}", it.run)).contains("\"registry\":"))
    });
    let (second, pid) = (instance(1).unwrap(), supervisor.pid.as_raw());
    let worker = parent(second.pid);
    kill(pid, libc::SIGSTOP);
    kill(second.pid, 9);
    until("the worker to go on", || instance(2).is_some_and(|it| folder.is_on_record(&it.run, "started")));
    kill(worker, 9);
    folder.tell();
    let third = instance(2).unwrap();
    until("the script to end", || !alive(third.pid));
    kill(pid, libc::SIGCONT);
    let ended = || history(&folder).remove(&third.run).filter(|run| run["outcome"].is_string());
    until("its end to be told", || ended().is_some());
    assert_eq!(ended().unwrap()["exit_code"], 8);
    until("T to run again", || instance(3).is_some());
    check(&folder, &supervisor, &Nothing(std::slice::from_ref(&second.run)));
    folder.env.ok(&["stop", "T"]);
    end(&folder, &supervisor);
}

/// Somebody acts while a worker is held at a step on its way to the next run; both are told the supervisor that is there,
/// and say which one is there then.
fn meanwhile(
    scenario: &str,
    acts: impl Fn(&Folder, Supervisor) -> Supervisor + Sync,
    afterwards: impl Fn(&Folder, Supervisor) -> Supervisor + Sync,
) {
    at_every_point(scenario, |nth| {
        let folder = with_task();
        let (supervisor, acted) = (Cell::new(Some(folder.supervise())), Cell::new(false));
        let begin = || {
            until("the next run to be appointed", || folder.instances_of("T").len() == 1 && is_appointed(&folder));
            kill(folder.instances_of("T")[0].pid, 9);
        };
        let act = |_: &str| {
            supervisor.set(supervisor.take().map(|it| acts(&folder, it)));
            acted.set(true);
        };
        let start = folder.env.command(&["start", "T"]);
        let traced = hold_at(start, Victim::WorkerBetween(&begin, &|| true), nth, &act);
        let mut supervisor = supervisor.take().unwrap();
        if acted.get() {
            supervisor = afterwards(&folder, supervisor);
        }
        let first = folder.instances_of("T")[0].run.clone();
        check(&folder, &supervisor, &Passing(&first));
        end(&folder, &supervisor);
        traced.point
    });
}

#[test]
fn stop_at_any_step_of_it() {
    let stops = |folder: &Folder, supervisor: Supervisor| {
        let mut stop = folder.env.command(&["stop", "T"]).spawn().unwrap();
        until("the wish", || !is_wanted(&folder.env, "T"));
        // It waits for the worker, which goes on when the wish is on record.
        std::thread::spawn(move || stop.wait());
        supervisor
    };
    meanwhile("stop while a worker goes on with the next run", stops, |folder, supervisor| {
        let is_over = || {
            let alive = folder.instances_of("T").iter().any(|instance| alive(instance.pid));
            // What had ended before the wish has failed.
            ["stopped", "failed"].contains(&folder.env.state("T").as_str()) && !alive
        };
        until("everything of T to have ended", is_over);
        let runs = folder.env.history("T");
        assert!(runs.len() <= 2 && runs.iter().all(|run| run["outcome"].is_string()), "{runs:?}");
        assert!(!is_wanted(&folder.env, "T"));
        supervisor
    });
}

#[test]
fn restart_at_any_step_of_it() {
    let restarts = |folder: &Folder, supervisor: Supervisor| {
        let mut restart = folder.env.command(&["restart", "T"]).spawn().unwrap();
        until("the wish", || stops(&folder.env, "T") == 1);
        // It waits for the worker, as above.
        std::thread::spawn(move || restart.wait());
        supervisor
    };
    meanwhile("restart while a worker goes on with the next run", restarts, |folder, supervisor| {
        let newest = || folder.env.history("T")[0]["job"] == 2;
        until("T to run anew", || newest() && is_up(folder, "T"));
        let runs = folder.env.history("T");
        let ends: Vec<_> = runs.iter().map(|run| run["outcome"].as_str()).collect();
        let expected = [None, Some("stopped"), Some("signal")];
        assert!(ends == [None, Some("signal")] || ends == [None, Some("stopped")] || ends == expected, "{runs:?}");
        supervisor
    });
}

#[test]
fn a_change_at_any_step_of_it() {
    let edits = |folder: &Folder, supervisor: Supervisor| {
        folder.env.ok(&["edit", "T", "--env", "NEW=1"]);
        supervisor
    };
    meanwhile("edit while a worker goes on with the next run", edits, |folder, supervisor| {
        until("T to run again", || folder.instances_of("T").len() == 2 && is_up(folder, "T"));
        // What has begun before the change goes without it.
        let second = folder.instances_of("T")[1].clone();
        let environment = fs::read(format!("/proc/{}/environ", second.pid)).unwrap();
        let has_it = environment.split(|byte| *byte == 0).any(|variable| variable == b"NEW=1");
        let events = folder.env.json(&["job", "events", "1"]);
        let begun = events
            .as_array()
            .unwrap()
            .iter()
            .find(|event| event["cause"] == "started" && event["data"]["run"] == second.run.as_str());
        assert_eq!(has_it, begun.unwrap()["data"]["after"].is_null(), "{events}");
        supervisor
    });
}

#[test]
fn the_supervisors_death_at_any_step_of_it() {
    let dies = |_: &Folder, supervisor: Supervisor| {
        supervisor.kill();
        supervisor
    };
    meanwhile("supervisor killed while a worker goes on with the next run", dies, |folder, _| {
        // Without one the worker ends, unless it had looked before.
        let instances = || folder.instances_of("T").len();
        until("the worker to have decided", || instances() == 2 || workers(&folder.env).is_empty());
        assert_eq!(folder.env.state("T"), if instances() == 2 { "running" } else { "unsupervised" });
        let next = folder.supervise();
        until("T to run again", || instances() == 2 && is_up(folder, "T"));
        next
    });
}

/// A task that runs and whose next run has been appointed, beside a supervisor.
fn appointed(script: &str, flags: &[&str]) -> (Folder, Supervisor) {
    let folder = Folder::new();
    folder.add("T", script, &[]);
    folder.env.ok(&[&["edit", "T", "--reset-after", "1ms"], flags].concat());
    folder.start("T");
    let supervisor = folder.supervise();
    until("the next run to be appointed", || is_appointed(&folder));
    (folder, supervisor)
}

/// Nothing of the task is alive, and that is on record.
fn is_over(folder: &Folder) -> bool {
    ["stopped", "failed"].contains(&folder.env.state("T").as_str())
        && !folder.instances_of("T").iter().any(|instance| alive(instance.pid))
}

#[test]
fn the_wish_of_a_stop_that_was_killed_is_heeded() {
    at_every_point("stop killed where a run has been appointed that is to follow", |nth| {
        let (folder, supervisor) = appointed(STAYS, &[]);
        let traced = kill_at(folder.env.command(&["stop", "T"]), Victim::Command, nth, &|_| {});
        let first = folder.instances_of("T")[0].clone();
        if alive(first.pid) {
            kill(first.pid, 9);
        }
        if is_wanted(&folder.env, "T") {
            until("T to run again", || folder.instances_of("T").len() == 2 && is_up(&folder, "T"));
        } else {
            until("T to have ended", || is_over(&folder));
            assert_eq!(folder.instances_of("T").len(), 1);
        }
        check(&folder, &supervisor, &Passing(&first.run));
        end(&folder, &supervisor);
        traced.point
    });
}

#[test]
fn a_supervisor_fulfils_the_wish_of_a_stop_that_was_killed() {
    at_every_point("stop killed, and another supervisor afterwards", |nth| {
        let folder = with_task();
        folder.start("T");
        let traced = kill_at(folder.env.command(&["stop", "T"]), Victim::Command, nth, &|_| {});
        let supervisor = folder.supervise();
        if is_wanted(&folder.env, "T") {
            until("T to run", || is_up(&folder, "T"));
        } else {
            until("T to have ended", || is_over(&folder));
        }
        assert_eq!(folder.instances_of("T").len(), 1);
        check(&folder, &supervisor, &Nothing(&[]));
        end(&folder, &supervisor);
        traced.point
    });
}

/// A script that leaves behind what hears only KILL, and ends with 7 when it is told to.
const LEAVES_THE_DEAF: &str = "first || exec sleep 600\n(trap '' TERM; exec sleep 600) &\nread x < go\nends 7";

/// The main process has ended, and what it has left behind is being waited for.
fn in_its_sweep(folder: &Folder) {
    folder.tell();
    let first = folder.instances_of("T")[0].run.clone();
    until("its outcome", || folder.is_on_record(&first, "ended"));
}

#[test]
fn nothing_follows_a_run_that_is_stopped_while_what_it_left_behind_is_waited_for() {
    let (folder, supervisor) = appointed(LEAVES_THE_DEAF, &["--stop-grace", "2s"]);
    in_its_sweep(&folder);
    let said = folder.env.ok(&["stop", "T"]);
    assert!(said.err.contains("exit code 7"), "{said:?}");
    let runs = folder.env.history("T");
    assert_eq!((runs.len(), &runs[0]["exit_code"]), (1, &7.into()));
    assert!(is_over(&folder) && !is_wanted(&folder.env, "T"));
    check(&folder, &supervisor, &Nothing(&[]));
    end(&folder, &supervisor);
}

#[test]
fn a_restart_while_what_was_left_behind_is_waited_for_fails_nothing() {
    let (folder, supervisor) = appointed(LEAVES_THE_DEAF, &["--stop-grace", "2s"]);
    in_its_sweep(&folder);
    folder.env.ok(&["restart", "T"]);
    until("T to run again", || is_up(&folder, "T"));
    // The supervisor may have been the first to start it again, as another attempt at the same job.
    let runs = folder.env.history("T");
    let told: Vec<_> = runs.iter().map(|run| (run["job"].as_i64(), run["outcome"].as_str())).collect();
    let [first, newest] = [(Some(1), Some("exit_code")), (Some(2), None)];
    assert!(told == [newest, first] || told == [newest, (Some(1), Some("stopped")), first], "{runs:?}");
    check(&folder, &supervisor, &Nothing(&[]));
    folder.env.ok(&["stop", "T"]);
    end(&folder, &supervisor);
}

#[test]
fn the_end_of_a_run_and_of_the_one_that_followed_are_imported_together() {
    // The second run is too short to be followed.
    let script = "first && exec sleep 600\nends 8";
    let (folder, supervisor) = appointed(script, &["--backoff-first", "10m", "--backoff-max", "10m"]);
    let (first, pid) = (folder.instances_of("T")[0].clone(), supervisor.pid.as_raw());
    kill(pid, libc::SIGSTOP);
    kill(first.pid, 9);
    until("the next run to have ended", || {
        let next = folder.instances_of("T").get(1).cloned();
        next.is_some_and(|next| folder.is_on_record(&next.run, "swept"))
    });
    let runs = folder.env.history("T");
    assert!(runs.len() == 2 && runs.iter().all(|run| run["outcome"].is_string()), "{runs:?}");
    kill(pid, libc::SIGCONT);
    check(&folder, &supervisor, &Nothing(std::slice::from_ref(&first.run)));
    folder.env.ok(&["stop", "T"]);
    end(&folder, &supervisor);
}

#[test]
fn a_run_that_follows_is_tagged_with_the_id_that_the_executor_has_by_then() {
    let (folder, supervisor) = appointed(STAYS, &[]);
    let first = folder.instances_of("T")[0].clone();
    let id = folder.env.status("T")["exec_id"].as_str().unwrap().to_owned();
    let registry = folder.env.read("jobexec.toml").replacen(&id, "another", 1);
    fs::write(folder.env.file("jobexec.toml"), registry).unwrap();
    until("it to be appointed anew", || {
        folder.env.read(&format!("runs/{}", first.run)).contains("\"exec_id\":\"another\"")
    });
    kill(first.pid, 9);
    until("T to run again", || folder.instances_of("T").len() == 2 && is_up(&folder, "T"));
    let environment = fs::read(format!("/proc/{}/environ", folder.instances_of("T")[1].pid)).unwrap();
    let has = |expected: &[u8]| environment.split(|byte| *byte == 0).any(|variable| variable == expected);
    assert!(has(b"EXECUTOR_ID=another") && has(b"JOBEXEC_EXEC_ID=another"));
    check(&folder, &supervisor, &Nothing(std::slice::from_ref(&first.run)));
    folder.env.ok(&["stop", "T"]);
    end(&folder, &supervisor);
}
