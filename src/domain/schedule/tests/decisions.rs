//! What becomes of occurrences: the policy vectors of the reference, and what they leave open.

use std::time::Duration;

use jiff::Timestamp;

use super::{at, table};
use crate::domain::schedule::count::Tally;
use crate::domain::schedule::decide::{CATCH_UP, Facts, Memory, Verdict, Waiting, decide, next_due, release};
use crate::domain::schedule::{Decisions, Jitter, Missed, Overlap, Policy, Timetable};

fn clock(text: &str) -> Timestamp {
    at(&format!("2025-06-01T{text}Z"))
}

fn hourly() -> Timetable {
    table("0 * * * *", "", "UTC")
}

fn since(last: &str) -> Memory {
    Memory { last: Some(clock(last)), seen_at: at("2025-01-01T00:00:00Z") }
}

fn missed(missed: Missed) -> Policy {
    Policy { missed, ..Policy::default() }
}

fn overlap(overlap: Overlap) -> Policy {
    Policy { overlap, ..Policy::default() }
}

fn facts<'a>(timetable: &'a Timetable, memory: Memory, now: &str) -> Facts<'a, u32> {
    Facts { timetable, jitter: None, memory, now: clock(now), running: &[], waiting: &[], locked: false }
}

/// `11 missed`, `14 run`, one for each row.
fn rows(decisions: &Decisions<u32>) -> Vec<String> {
    let say = |verdict: &Verdict<u32>| match verdict {
        Verdict::Run => "run".to_owned(),
        Verdict::Wait { catch_up: true } => "in line".to_owned(),
        Verdict::Wait { catch_up: false } => "wait".to_owned(),
        Verdict::Replace { stop } => format!("stop {stop:?}, run"),
        Verdict::Missed(_) => "missed".to_owned(),
        Verdict::Locked => "locked".to_owned(),
        Verdict::Skipped { running, waiting } => {
            format!("skipped {running:?} {}", waiting.map_or_else(String::new, |time| time.strftime("%H").to_string()))
        }
    };
    let rows = decisions.rows.iter();
    rows.map(|row| format!("{} {}", row.occurrence.strftime("%H"), say(&row.verdict)).trim_end().to_owned()).collect()
}

#[track_caller]
fn check(now: &str, policy: &Policy, expected: &[&str], remembered: &str) {
    let hourly = hourly();
    let decisions = decide(&facts(&hourly, since("10:00:00"), now), policy);
    assert_eq!(rows(&decisions), expected);
    assert_eq!(decisions.memory.last, Some(clock(remembered)));
    assert_eq!((decisions.older, decisions.clock_was_wrong), (None, None));
}

#[test]
fn the_reference_s_policy_vectors_hold() {
    let away = "14:20:00";
    check(away, &missed(Missed::Once), &["11 missed", "12 missed", "13 missed", "14 run"], "14:00:00");
    check(away, &missed(Missed::Skip), &["11 missed", "12 missed", "13 missed", "14 missed"], "14:00:00");
    check(away, &missed(Missed::All), &["11 run", "12 in line", "13 in line", "14 in line"], "14:00:00");
    let deadline = Policy { start_deadline: Some(Duration::from_mins(10)), ..Policy::default() };
    check(away, &deadline, &["11 missed", "12 missed", "13 missed", "14 missed"], "14:00:00");
    check("09:30:00", &Policy::default(), &[], "10:00:00");
    let hourly = hourly();
    assert_eq!(next_due(&hourly, since("10:00:00"), None), Some(clock("11:00:00")));
    let first = Memory { last: None, seen_at: clock(away) };
    let decisions = decide(&facts(&hourly, first, away), &Policy::default());
    assert_eq!((rows(&decisions), decisions.memory), (vec![], first));
    assert_eq!(next_due(&hourly, first, None), Some(clock("15:00:00")));
}

#[test]
fn a_clock_that_was_far_ahead_is_not_waited_for() {
    let hourly = hourly();
    let now = at("2019-01-01T00:20:00Z");
    for memory in [since("10:00:00"), Memory { last: None, seen_at: clock("10:00:00") }] {
        let decisions = decide(&Facts { now, ..facts(&hourly, memory, "10:00:00") }, &Policy::default());
        assert!(decisions.clock_was_wrong.is_some());
        assert_eq!((decisions.rows.len(), decisions.memory), (0, Memory { last: Some(now), seen_at: now }));
    }
    // A daily task may be a day ahead; an hourly one an hour.
    let daily = table("day", "", "UTC");
    let day = Memory { last: Some(at("2025-06-02T00:00:00Z")), seen_at: at("2025-01-01T00:00:00Z") };
    assert_eq!(decide(&facts(&daily, day, "00:00:00"), &Policy::default()).clock_was_wrong, None);
    assert!(decide(&facts(&hourly, day, "00:00:00"), &Policy::default()).clock_was_wrong.is_some());
}

#[test]
fn what_was_decided_before_a_clock_was_set_back_stays_decided() {
    let hourly = hourly();
    let wrong = Memory { last: Some(clock("20:00:00")), seen_at: at("2025-01-01T00:00:00Z") };
    let Memory { last, .. } = decide(&facts(&hourly, wrong, "12:30:00"), &Policy::default()).memory;
    // Set back once more, by a little, and then the schedule is edited: 12:00 has been.
    let edited = Memory { last, seen_at: clock("11:50:00") };
    assert_eq!(next_due(&hourly, edited, None), Some(clock("13:00:00")));
    assert_eq!(rows(&decide(&facts(&hourly, edited, "12:10:00"), &Policy::default())), [""; 0]);
}

#[test]
fn a_little_late_is_on_time_and_an_hour_is_not() {
    for policy in [missed(Missed::Once), missed(Missed::Skip), missed(Missed::All)] {
        check("11:00:00.005", &policy, &["11 run"], "11:00:00");
        check("11:00:00", &policy, &["11 run"], "11:00:00");
        check("11:00:30", &policy, &["11 run"], "11:00:00");
    }
    check("11:00:30.1", &missed(Missed::Skip), &["11 missed"], "11:00:00");
    check("12:00:01", &missed(Missed::Skip), &["11 missed", "12 run"], "12:00:00");
    check("10:59:59", &missed(Missed::Skip), &[], "10:00:00");
    let strict = Policy { start_deadline: Some(Duration::from_secs(2)), ..Policy::default() };
    check("11:00:03", &strict, &["11 missed"], "11:00:00");
}

#[test]
fn an_occurrence_that_meets_a_run_goes_by_the_policy() {
    let hourly = hourly();
    let busy = Facts { running: &[1355], ..facts(&hourly, since("13:00:00"), "14:00:00") };
    let said = |policy: &Policy| rows(&decide(&busy, policy));
    assert_eq!(said(&overlap(Overlap::Skip)), ["14 skipped [1355]"]);
    assert_eq!(said(&overlap(Overlap::Queue)), ["14 wait"]);
    assert_eq!(said(&overlap(Overlap::Replace)), ["14 stop [1355], run"]);
    assert_eq!(said(&overlap(Overlap::Allow)), ["14 run"]);
    let most = |max_running| Policy { max_running: Some(max_running), ..overlap(Overlap::Allow) };
    assert_eq!((said(&most(2)), said(&most(1))), (vec!["14 run".to_owned()], vec!["14 skipped [1355]".to_owned()]));
}

#[test]
fn a_lock_that_is_held_stops_nobody_and_is_lifted_by_no_policy() {
    let hourly = hourly();
    let locked = Facts { locked: true, ..facts(&hourly, since("13:00:00"), "14:00:00") };
    let expected = ["14 locked", "14 wait", "14 wait", "14 locked"];
    for (policy, row) in Overlap::ALL.into_iter().zip(expected) {
        assert_eq!(rows(&decide(&locked, &overlap(policy))), [row], "{policy:?}");
    }
    // The task's own run holds it: that may be stopped.
    let own = Facts { running: &[1355], ..locked };
    assert_eq!(rows(&decide(&own, &overlap(Overlap::Replace))), ["14 stop [1355], run"]);
    let late = Facts { now: clock("16:20:00"), ..facts(&hourly, since("14:00:00"), "16:20:00") };
    assert_eq!(rows(&decide(&Facts { locked: true, ..late }, &missed(Missed::All))), ["15 in line", "16 in line"]);
    let waiting = [Waiting { occurrence: clock("14:00:00"), catch_up: false }];
    assert_eq!(release::<u32>(&[], &waiting, true), None);
}

#[test]
fn at_most_one_waits_and_the_newer_takes_its_place() {
    let hourly = hourly();
    let waiting = [Waiting { occurrence: clock("14:00:00"), catch_up: false }];
    let busy = Facts { running: &[1], waiting: &waiting, ..facts(&hourly, since("14:00:00"), "15:00:00") };
    let decisions = decide(&busy, &overlap(Overlap::Queue));
    assert_eq!(rows(&decisions), ["15 wait"]);
    assert_eq!((decisions.displaced[0].occurrence, decisions.displaced[0].by), (clock("14:00:00"), clock("15:00:00")));
    assert_eq!(rows(&decide(&busy, &overlap(Overlap::Skip))), ["15 skipped [1] 14"]);
    let replaced = decide(&busy, &overlap(Overlap::Replace));
    assert_eq!((rows(&replaced), replaced.displaced.len()), (vec!["15 stop [1], run".to_owned()], 1));
}

#[test]
fn a_line_is_worked_off_in_order_and_not_displaced() {
    let hourly = hourly();
    let line = |hour: &str| Waiting { occurrence: clock(hour), catch_up: true };
    let waiting = [line("12:00:00"), line("13:00:00")];
    assert_eq!(release::<u32>(&[], &waiting, false), Some(clock("12:00:00")));
    assert_eq!(release(&[1], &waiting, false), None);
    assert_eq!(release::<u32>(&[], &[], false), None);
    for (policy, row) in
        [(Overlap::Queue, "15 wait"), (Overlap::Replace, "15 wait"), (Overlap::Skip, "15 skipped [] 12")]
    {
        let decisions =
            decide(&Facts { waiting: &waiting, ..facts(&hourly, since("14:00:00"), "15:00:00") }, &overlap(policy));
        assert_eq!((rows(&decisions), decisions.displaced.len()), (vec![row.to_owned()], 0));
    }
    let busy = Facts { running: &[1], waiting: &waiting, ..facts(&hourly, since("13:00:00"), "15:20:00") };
    assert_eq!(rows(&decide(&busy, &missed(Missed::All))), ["14 in line", "15 in line"]);
}

#[test]
fn a_year_of_seconds_is_counted_and_not_listed() {
    let seconds = table("1 s", "", "UTC");
    let memory = Memory { last: Some(at("2024-06-01T00:00:00Z")), seen_at: at("2024-01-01T00:00:00Z") };
    for (policy, runs) in [(Missed::Once, 1), (Missed::Skip, 1), (Missed::All, CATCH_UP)] {
        let decisions = decide(&facts(&seconds, memory, "00:00:00"), &missed(policy));
        assert_eq!(decisions.rows.len(), CATCH_UP);
        assert_eq!(decisions.unlisted(), Some(Tally::Exactly(365 * 86_400 - 100)));
        let missed = decisions.rows.iter().filter(|row| matches!(row.verdict, Verdict::Missed(_))).count();
        assert_eq!(missed, CATCH_UP - runs);
        assert_eq!(decisions.memory.last, Some(clock("00:00:00")));
    }
    let minutes = table("* * * * *", "", "UTC");
    let decisions = decide(&facts(&minutes, memory, "00:00:00"), &Policy::default());
    assert_eq!((decisions.rows.len(), decisions.unlisted()), (CATCH_UP, Some(Tally::MoreThan(10_000))));
    assert_eq!(decisions.unlisted().unwrap().to_string(), "more than 10000");
    let days = table("day", "", "UTC");
    let decisions = decide(&facts(&days, memory, "00:00:00"), &Policy::default());
    assert_eq!(decisions.unlisted(), Some(Tally::Exactly(265)));
}

#[test]
fn an_occurrence_is_due_when_its_jitter_is_over() {
    let hourly = hourly();
    let jitter = Jitter { within: Duration::from_mins(50), host: "h".into(), task: "t".into() };
    let due = next_due(&hourly, since("10:00:00"), Some(&jitter)).unwrap();
    assert_eq!(due, clock("11:00:00") + jitter.delay(clock("11:00:00")));
    let at = |now| Facts { jitter: Some(&jitter), now, ..facts(&hourly, since("10:00:00"), "10:00:00") };
    let early = decide(&at(due - Duration::from_millis(1)), &missed(Missed::Skip));
    assert_eq!((rows(&early), early.memory), (vec![], since("10:00:00")));
    let on_time = decide(&at(due), &missed(Missed::Skip));
    assert_eq!((rows(&on_time), on_time.memory), (vec!["11 run".to_owned()], since("11:00:00")));
}

#[test]
fn the_words_of_the_registry() {
    assert!(Missed::ALL.into_iter().all(|word| Missed::parse(word.as_str()) == Some(word)));
    assert!(Overlap::ALL.into_iter().all(|word| Overlap::parse(word.as_str()) == Some(word)));
    assert_eq!((Missed::parse("always"), Overlap::parse("Skip")), (None, None));
}
