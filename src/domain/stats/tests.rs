//! Tables of jobs and what comes of them.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A job that was ready, started and ended at these seconds, and ran in between.
fn life(id: i64, task: &str, [ready, started, ended]: [i64; 3]) -> Life {
    Life {
        id: JobId(id),
        task: Some(task.to_owned()),
        state: State::JobFinished,
        code: None,
        ready: at(ready),
        started: Some(at(started)),
        ended: Some(at(ended)),
        ran: between(at(started), at(ended)),
    }
}

fn links(pairs: &[(i64, i64)]) -> Vec<(JobId, JobId)> {
    pairs.iter().map(|(parent, child)| (JobId(*parent), JobId(*child))).collect()
}

#[track_caller]
fn check_path(lives: &[Life], pairs: &[(i64, i64)], expected: &[i64]) {
    let found = stats(lives, &[], &links(pairs), at(1000)).path;
    assert_eq!(found.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), expected);
}

#[test]
fn nothing_comes_of_nothing() {
    let found = stats(&[], &[], &[], at(0));
    assert_eq!((found.jobs, found.span, found.per_minute), (0, None, None));
    assert!(found.tasks.is_empty() && found.outcomes.is_empty() && found.path.is_empty());
    let waiting = Life { started: None, ended: None, state: State::Preprocessed, ..life(1, "a", [0, 0, 0]) };
    let found = stats(&[waiting], &[], &[], at(0));
    assert_eq!((found.jobs, found.started, found.span), (1, 0, None));
    assert_eq!((found.tasks[0].wait, found.tasks[0].run), (None, None));
}

#[test]
fn what_went_through_is_counted_from_the_first_start_to_the_last_end() {
    let lives = [life(1, "a", [0, 10, 40]), life(2, "a", [0, 40, 70]), life(3, "b", [5, 70, 130])];
    let found = stats(&lives, &[], &[], at(1000));
    assert_eq!(found.span, Some((at(10), at(130))));
    assert_eq!((found.started, found.ended, found.per_minute), (3, 3, Some(1.5)));
    assert_eq!(found.outcomes, [(State::JobFinished, None, 3)]);
    let running = Life { ended: None, state: State::Running, ..life(4, "b", [0, 60, 60]) };
    let found = stats(&[&lives[..], &[running]].concat(), &[], &[], at(250));
    assert_eq!((found.span, found.started, found.ended), (Some((at(10), at(250))), 4, 3));
    assert_eq!(found.outcomes, [(State::Running, None, 1), (State::JobFinished, None, 3)]);
}

#[test]
fn waiting_ends_with_the_start_and_is_never_negative() {
    // The parent of the second was run again later.
    let lives = [life(1, "a", [0, 10, 40]), life(2, "a", [90, 20, 30])];
    let found = stats(&lives, &[], &[], at(1000));
    let expected = Spread { count: 2, p50: secs(0), p90: secs(10), p99: secs(10), max: secs(10) };
    assert_eq!(found.tasks[0].wait, Some(expected));
}

#[test]
fn a_spread_is_made_of_durations_that_did_occur() {
    assert_eq!(spread(vec![]), None);
    let of = |many: u64| {
        spread((1..=many).rev().map(secs).collect()).map(|found| [found.p50, found.p90, found.p99, found.max])
    };
    for (many, expected) in [(1, [1, 1, 1, 1]), (2, [1, 2, 2, 2]), (10, [5, 9, 10, 10]), (200, [100, 180, 198, 200])] {
        assert_eq!(of(many), Some(expected.map(secs)), "{many}");
    }
}

#[test]
fn slots_are_a_step_function() {
    let lives = [life(1, "a", [0, 0, 80])];
    // Two at a time in the first half, one in the second; the slot that is given back at 40 is taken at once.
    let busy = [(at(0), at(40)), (at(0), at(40)), (at(40), at(80)), (at(-50), at(-10))];
    let found = stats(&lives, &busy, &[], at(1000)).slots;
    assert!((found.mean - 1.5).abs() < 1e-9 && found.max == 2, "{found:?}");
    assert_eq!(found.curve.len(), PARTS);
    for (nth, used) in found.curve.iter().enumerate() {
        let expected = if nth < PARTS / 2 { 2.0 } else { 1.0 };
        assert!((used - expected).abs() < 1e-9, "{nth}: {found:?}");
    }
}

#[test]
fn the_critical_path_is_the_longest_by_time_not_by_number() {
    let lives = [
        life(1, "a", [0, 0, 10]),
        life(2, "a", [0, 10, 11]),
        life(3, "a", [0, 11, 12]),
        life(4, "a", [0, 10, 50]),
        life(5, "a", [0, 50, 51]),
        life(6, "a", [0, 0, 30]),
    ];
    check_path(&lives, &[(1, 2), (2, 3), (1, 4), (4, 5), (3, 5)], &[1, 4, 5]);
    check_path(&lives, &[(1, 2), (2, 3)], &[4]);
    check_path(&lives, &[], &[]);
    // A later job may be the parent of an earlier one.
    check_path(&lives, &[(6, 1), (1, 2), (9, 1)], &[6, 1, 2]);
}
