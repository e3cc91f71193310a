//! What the facts of a night mean, fact by fact.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::found::{How, Loop, Supervision, Trouble};
use super::judge::{Standing, is_slow, loops, never, ran, recovered, usual, with_besides, wrong};
use super::supervision::{STARTED, STOPPED, supervision};
use crate::domain::name::{JobId, TaskName};
use crate::domain::status::TaskState;
use crate::store::events::Event;
use crate::store::night::{FailedBesides, FailedRun, Tally};
use crate::store::supervisor::Supervisor;

/// So many hours into the night, which begins at 0 and is reported at 10.
fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + hour * 3600).unwrap()
}

fn standing(state: TaskState) -> Standing {
    Standing {
        task: TaskName::parse("LOL").unwrap(),
        state,
        wanted: true,
        ever_asked: true,
        scheduled: false,
        runs: matches!(state, TaskState::Running | TaskState::Orphaned),
        looping_since: None,
        gave_up: false,
        failed_besides: None,
        on_its_way: false,
        job_ended: Some(at(3)),
        not_before: Some(at(11)),
        last_end: Some(at(4)),
        last_reason: Some("exit code 3".to_owned()),
        last_failed: true,
        started: None,
        stalled: None,
        good_after: Duration::from_secs(2),
        failures: 2,
    }
}

fn tally() -> Tally {
    Tally {
        task: TaskName::parse("LOL").unwrap(),
        runs: 3,
        failures: 2,
        restarts: 1,
        spent: 5_000_000,
        longest: Some(4_000_000),
        longest_by_itself: None,
        memory: Some(0),
        last_end: Some(at(4)),
        first_failure: Some(at(2)),
        last_failure: Some(at(3)),
        last_success: None,
    }
}

fn event(hour: i64, cause: &str) -> Event {
    let (task, data) = (Some("LOL".to_owned()), Value::Null);
    Event { id: hour, time: at(hour), job: None, task, from: None, to: None, cause: cause.to_owned(), data }
}

#[track_caller]
fn check_wrong(standing: &Standing, expected: Option<(Trouble, Option<i64>)>) {
    let found = wrong(standing, at(0), at(10)).map(|wrong| (wrong.what, wrong.since));
    assert_eq!(found, expected.map(|(what, hour)| (what, hour.map(at))));
}

#[test]
fn what_is_down_comes_before_what_is_merely_unsteady() {
    check_wrong(&standing(TaskState::Failed), Some((Trouble::Failed, Some(3))));
    let gave_up = Standing { gave_up: true, ..standing(TaskState::Failed) };
    check_wrong(&gave_up, Some((Trouble::GivenUp, Some(3))));
    let looping = Standing { looping_since: Some(at(2)), ..standing(TaskState::Waiting) };
    check_wrong(&looping, Some((Trouble::CrashLooping, Some(2))));
    check_wrong(
        &Standing { state: TaskState::Unsupervised, ..looping.clone() },
        Some((Trouble::Unsupervised, Some(4))),
    );
    check_wrong(&Standing { wanted: false, state: TaskState::Stopped, ..looping }, None);
    check_wrong(&standing(TaskState::Waiting), Some((Trouble::Waiting, Some(4))));
    check_wrong(&Standing { last_failed: false, ..standing(TaskState::Waiting) }, None);
    let stalled = Standing { stalled: Some(at(7)), ..standing(TaskState::Running) };
    check_wrong(&stalled, Some((Trouble::Stalled, Some(7))));
    check_wrong(&standing(TaskState::Orphaned), Some((Trouble::Orphaned, None)));
    check_wrong(&standing(TaskState::Running), None);
}

#[test]
fn the_next_try_is_told_only_where_there_will_be_one() {
    let next = |standing: &Standing| wrong(standing, at(0), at(10)).unwrap().next;
    assert_eq!(next(&standing(TaskState::Waiting)), Some(at(11)));
    assert_eq!(next(&Standing { not_before: Some(at(9)), ..standing(TaskState::Waiting) }), None);
    assert_eq!(next(&standing(TaskState::Unsupervised)), None);
    assert_eq!(next(&standing(TaskState::Failed)), None);
}

#[test]
fn what_failed_before_and_not_since_is_an_old_story() {
    let old = Standing { failures: 0, job_ended: Some(at(-50)), ..standing(TaskState::Failed) };
    assert!(wrong(&old, at(0), at(10)).unwrap().before);
    assert!(!wrong(&Standing { failures: 1, ..old }, at(0), at(10)).unwrap().before);
}

#[test]
fn what_failed_is_well_again_after_a_success_or_a_run_that_holds() {
    let how = |standing: &Standing, tally: &Tally, over: Option<Loop>| {
        recovered(standing, Some(tally), over, at(10)).map(|recovery| (recovery.how, recovery.at))
    };
    let quiet = standing(TaskState::Finished);
    assert_eq!(how(&quiet, &tally(), None), None, "it failed and nothing came after");
    let succeeded = Tally { last_success: Some(at(5)), ..tally() };
    assert_eq!(how(&quiet, &succeeded, None), Some((How::Succeeded, at(5))));
    assert_eq!(how(&quiet, &Tally { last_success: Some(at(2)), ..tally() }, None), None, "that was before");
    let on_its_way = Standing { on_its_way: true, ..quiet.clone() };
    assert_eq!(how(&on_its_way, &succeeded, None), None, "its hook may fail yet");
    let running = Standing { started: Some(at(6)), ..standing(TaskState::Running) };
    assert_eq!(how(&running, &succeeded, None), Some((How::Running, at(6))));
    let fresh = Standing { good_after: Duration::from_hours(5), ..running };
    assert_eq!(how(&fresh, &tally(), None), None, "it may break again at once");
    let over = Some(Loop { began: Some(at(1)), ended: at(8) });
    assert_eq!(how(&fresh, &tally(), over), Some((How::LoopEnded, at(8))));
    assert_eq!(how(&Standing { wanted: false, ..quiet }, &tally(), over), None, "it was stopped");
}

#[test]
fn what_failed_besides_counts_for_its_task_whether_that_ran_or_not() {
    let besides = |task: &str, first: i64, last: i64| FailedBesides {
        first: FailedRun {
            task: TaskName::parse(task).unwrap(),
            job: JobId(7),
            kind: "transfer".to_owned(),
            ended: at(first),
            run: None,
            outcome: "could_not_start".to_owned(),
            reason: None,
        },
        failures: 2,
        last: at(last),
    };
    let all = with_besides(vec![tally()], &[besides("lol", 1, 2), besides("new", 5, 6)]);
    let [of_lol, of_new] = all.as_slice() else { panic!("{all:?}") };
    let counted = |tally: &Tally| (tally.runs, tally.failures, tally.first_failure, tally.last_failure);
    assert_eq!(counted(of_lol), (3, 4, Some(at(1)), Some(at(3))));
    assert_eq!(counted(of_new), (0, 2, Some(at(5)), Some(at(6))));
}

#[test]
fn a_crash_loop_has_a_beginning_and_an_end() {
    let events = [event(1, "crash_looping"), event(2, "recovered"), event(3, "crash_looping"), event(5, "recovered")];
    assert_eq!(loops(&events)["lol"], Loop { began: Some(at(3)), ended: at(5) });
    assert_eq!(loops(&events[3..])["lol"], Loop { began: None, ended: at(5) });
    let twice = [event(1, "crash_looping"), event(2, "recovered"), event(9, "recovered")];
    assert_eq!(loops(&twice)["lol"], Loop { began: Some(at(1)), ended: at(2) });
    assert!(loops(&events[..1]).is_empty());
}

#[test]
fn the_usual_is_the_median_of_at_least_five() {
    assert_eq!(usual(&[1, 2, 3, 4]), None);
    assert_eq!(usual(&[50, 10, 20, 1000, 30]), Some(Duration::from_micros(30)));
    assert_eq!(usual(&[10, 20, 30, 40, 50, 1000]), Some(Duration::from_micros(35)));
}

#[test]
fn slow_is_more_than_twice_the_usual_and_long_enough_to_notice() {
    let slow = |lasted, usual| is_slow(Duration::from_millis(lasted), Duration::from_millis(usual));
    assert!(slow(20_001, 10_000) && !slow(20_000, 10_000));
    assert!(!slow(900, 10), "nobody notices");
    assert!(slow(1_011, 10));
}

#[test]
fn what_is_wanted_or_scheduled_should_have_run() {
    let idle = Standing { wanted: false, ever_asked: false, ..standing(TaskState::Stopped) };
    assert!(!never(&idle));
    assert!(never(&Standing { wanted: true, ..idle.clone() }));
    assert!(!never(&Standing { wanted: true, runs: true, ..idle.clone() }));
    let scheduled = Standing { scheduled: true, ..idle };
    assert!(never(&scheduled), "nobody has armed it");
    assert!(!never(&Standing { ever_asked: true, ..scheduled }), "somebody has stopped it");
}

#[test]
fn only_time_within_the_night_is_spent_in_it() {
    let running = ran(&tally(), true, Some(at(-5)), at(0), at(10));
    assert_eq!(running.total, Duration::from_hours(10) + Duration::from_secs(5));
    assert_eq!((running.longest, running.memory), (Some(Duration::from_hours(15)), None));
    assert_eq!(ran(&tally(), false, None, at(0), at(10)).longest, Some(Duration::from_secs(4)));
}

fn watched(before: Option<&Event>, events: &[Event], since: Option<i64>, running: bool) -> Supervision {
    let last = since.map(|hour| Supervisor {
        pid: 7,
        slots: 1,
        sleep: Duration::from_mins(1),
        since: at(hour),
        place: "terminal".to_owned(),
    });
    supervision(before, events, last.as_ref(), running, at(0), at(10))
}

#[test]
fn a_supervisor_that_was_there_all_night_has_no_gaps() {
    let found = watched(Some(&event(-9, STARTED)), &[event(4, "recovered")], Some(-9), true);
    assert_eq!((found.starts, found.absent, found.vanished), (0, vec![], vec![]));
    let unsaid = watched(None, &[], Some(3), true);
    assert_eq!((unsaid.starts, unsaid.absent), (1, vec![]), "what it wrote down is all there is");
    assert_eq!(watched(None, &[], Some(3), false).vanished, [], "it may have said goodbye where nobody wrote it down");
}

#[test]
fn a_supervisor_that_was_stopped_left_a_gap() {
    let events = [event(2, STOPPED), event(3, STARTED)];
    let found = watched(Some(&event(-9, STARTED)), &events, Some(3), true);
    assert_eq!((found.starts, found.absent, found.vanished), (1, vec![(at(2), Some(at(3)))], vec![]));
    let found = watched(Some(&event(-9, STOPPED)), &[event(1, STARTED), event(6, STOPPED)], Some(1), false);
    assert_eq!(found.absent, [(at(0), Some(at(1))), (at(6), None)]);
    assert!(found.vanished.is_empty());
    let found = watched(Some(&event(-9, STOPPED)), &[], Some(-10), false);
    assert_eq!((found.absent, found.vanished), (vec![(at(0), None)], vec![]));
}

#[test]
fn a_supervisor_that_was_killed_is_found_to_be_gone() {
    let found = watched(Some(&event(-9, STARTED)), &[event(4, STARTED)], Some(4), true);
    assert_eq!((found.absent, found.vanished), (vec![], vec![Some(at(4))]));
    let found = watched(Some(&event(-9, STARTED)), &[], Some(-9), false);
    assert_eq!((found.absent, found.vanished), (vec![], vec![None]));
    assert_eq!(watched(None, &[], None, false), Supervision::default(), "there never was one");
}
