//! Those who act beside a supervisor that lives: its workers, and the commands of its users, killed at every step.

use super::super::super::env::{alive, kill, until};
use super::super::at_every_point;
use super::super::tracer::{BIRTH, Traced, Victim, kill_at, kill_worker_of};
use super::folder::{FAILS_ONCE, Folder, STAYS, Supervisor};
use super::truth::{Excuses, Nothing, check_up, end, is_up, is_wanted, zombies};

/// A folder with a task that is wanted and does not run, after one run that ended with 7.
fn with_due_task(script: &str) -> Folder {
    let folder = Folder::with(&[("T", &format!("first && ends 7\n{script}"))]);
    folder.start("T");
    until("its end", || folder.is_on_record(&folder.instances()[0].run, "swept"));
    folder
}

/// The worker of one attempt at a job was killed at its beginning, and the script of this run by us.
struct Beginning<'a> {
    job: i64,
    attempt: i64,
    killed: &'a str,
}

impl Excuses for Beginning<'_> {
    fn may_be_lost(&self, run: &serde_json::Value) -> bool {
        // Only before it has written down its script's pid.
        run["job"] == self.job
            && run["attempt"] == self.attempt
            && run["reason"] == "lost: its worker died while starting it; it may have run"
    }

    fn was_killed(&self, run: &str) -> bool {
        run == self.killed
    }
}

#[test]
fn worker_killed_while_it_starts() {
    at_every_point("worker of a supervisor killed in a start", |nth| {
        let folder = with_due_task(STAYS);
        let (point, pid) = kill_worker_of(folder.keep(), None, nth, &|point, supervisor| {
            if point == BIRTH {
                // The newborn still holds the lock of the run: nobody may take it for a living worker's for ever.
                until("the death to be noticed", || zombies(supervisor).is_empty());
            }
        });
        let supervisor = Supervisor::of(pid);
        until("T to run again", || folder.instances_of("T").len() == 2);
        let second = folder.instances_of("T")[1].clone();
        let orphaned = folder.env.state("T") == "orphaned";
        assert!(point.is_some() || !orphaned, "{point:?}");
        if orphaned {
            kill(second.pid, 9);
        }
        check_up(
            &folder,
            &supervisor,
            &[("T", 2 + usize::from(orphaned))],
            &Beginning { job: 1, attempt: 2, killed: &second.run },
        );
        end(&folder, &supervisor);
        point
    });
}

#[test]
fn worker_killed_while_it_ends() {
    at_every_point("worker of a supervisor killed at the end of a run", |nth| {
        let folder = with_due_task("[ $(wc -l < instances) = 2 ] || exec sleep 600\nread x < go\nends 8");
        let (point, pid) = kill_worker_of(folder.keep(), Some(&|| folder.tell()), nth, &|_, _| {});
        let supervisor = Supervisor::of(pid);
        // Whatever the worker came to: the supervisor inherits the script, or finds its end on record.
        check_up(&folder, &supervisor, &[("T", 3)], &Nothing(&[]));
        end(&folder, &supervisor);
        point
    });
}

#[test]
fn worker_of_a_command_killed_while_it_starts() {
    at_every_point("worker of a command killed in a start beside a supervisor", |nth| {
        let folder = with_due_task(STAYS);
        folder.env.ok(&["stop", "T"]);
        let supervisor = folder.supervise();
        let traced = kill_at(folder.env.command(&["start", "T"]), Victim::WorkerAtStart, nth, &|_| {});
        until("T to run again", || folder.instances_of("T").len() == 2);
        let second = folder.instances_of("T")[1].clone();
        let orphaned = folder.env.state("T") == "orphaned";
        assert!(traced.point.is_some() || !orphaned, "{traced:?}");
        if orphaned {
            until("the supervisor to know of it", || supervisor.diary().contains("T is orphaned"));
            kill(second.pid, 9);
        }
        check_up(
            &folder,
            &supervisor,
            &[("T", 2 + usize::from(orphaned))],
            &Beginning { job: 2, attempt: 1, killed: &second.run },
        );
        end(&folder, &supervisor);
        traced.point
    });
}

#[test]
fn worker_of_a_command_killed_while_it_ends() {
    at_every_point("worker of a command killed at the end of a run beside a supervisor", |nth| {
        let folder = with_due_task("[ $(wc -l < instances) = 2 ] || exec sleep 600\nread x < go\nends 8");
        folder.env.ok(&["stop", "T"]);
        let supervisor = folder.supervise();
        let tell = || {
            // Somebody else inherits the script: its end is known only to who has had hold of it before.
            until("the supervisor to have hold of it", || supervisor.diary().contains("T runs (pid"));
            folder.tell();
        };
        let traced = kill_at(folder.env.command(&["start", "T"]), Victim::WorkerAtEnd(&tell), nth, &|_| {});
        check_up(&folder, &supervisor, &[("T", 3)], &Nothing(&[]));
        end(&folder, &supervisor);
        traced.point
    });
}

/// A command is killed while a supervisor lives.
fn kill_command(folder: &Folder, args: &[&str], nth: usize) -> Traced {
    kill_at(folder.env.command(args), Victim::Command, nth, &|_| {})
}

#[test]
fn start_killed() {
    at_every_point("start killed beside a supervisor", |nth| {
        let folder = Folder::with(&[("T", FAILS_ONCE)]);
        let supervisor = folder.supervise();
        let traced = kill_command(&folder, &["start", "T"], nth);
        if !is_wanted(&folder.env, "T") {
            assert!(traced.point.is_some() && folder.instances().is_empty(), "{traced:?}");
            folder.env.ok(&["start", "T"]);
        }
        check_up(&folder, &supervisor, &[("T", 2)], &Nothing(&[]));
        end(&folder, &supervisor);
        traced.point
    });
}

#[test]
fn stop_killed() {
    at_every_point("stop killed beside a supervisor", |nth| {
        let folder = Folder::with(&[("T", STAYS)]);
        folder.start("T");
        let supervisor = folder.supervise();
        let traced = kill_command(&folder, &["stop", "T"], nth);
        if is_wanted(&folder.env, "T") {
            assert!(traced.point.is_some(), "{traced:?}");
            check_up(&folder, &supervisor, &[("T", 1)], &Nothing(&[]));
        }
        folder.env.ok(&["stop", "T"]);
        check_up(&folder, &supervisor, &[], &Nothing(&[]));
        assert_eq!((folder.instances().len(), folder.env.state("T").as_str()), (1, "stopped"), "{traced:?}");
        end(&folder, &supervisor);
        traced.point
    });
}

#[test]
fn restart_killed() {
    at_every_point("restart killed beside a supervisor", |nth| {
        let folder = Folder::with(&[("T", STAYS)]);
        folder.start("T");
        let supervisor = folder.supervise();
        let traced = kill_command(&folder, &["restart", "T"], nth);
        assert!(is_wanted(&folder.env, "T"), "{traced:?}");
        // Cut off before it has told the worker, it leaves the script alive; after that, there is another.
        until("T to run", || folder.instances().last().is_some_and(|newest| alive(newest.pid)));
        let before = folder.instances().len();
        folder.env.ok(&["restart", "T"]);
        // The supervisor may have started another between the kill and this.
        until("T to run anew", || folder.instances().len() > before && is_up(&folder, "T"));
        check_up(&folder, &supervisor, &[("T", folder.instances().len())], &Nothing(&[]));
        end(&folder, &supervisor);
        traced.point
    });
}
