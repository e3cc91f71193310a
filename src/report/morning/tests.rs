//! The page, from nights that are made up. Times are those of the zone that the tests run in.

use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use unicode_width::UnicodeWidthStr;

use super::{clock, page, verdict};
use crate::domain::name::{JobId, RunId, TaskName};
use crate::executor::{Failure, How, Never, Night, Ran, Recovery, Slow, Trouble, Wrong};

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now().checked_sub(minutes.minutes()).unwrap()
}

fn name(text: &str) -> TaskName {
    TaskName::parse(text).unwrap()
}

fn night() -> Night {
    Night::empty(ago(600), now())
}

fn ran(task: &str) -> Ran {
    Ran {
        task: name(task),
        runs: 613,
        failures: 0,
        restarts: 612,
        total: Duration::from_hours(9),
        longest: Some(Duration::from_secs(62)),
        memory: Some(70 << 20),
        last_end: Some(ago(1)),
        running: false,
    }
}

fn failure(task: &str, minutes: i64, failures: u64) -> Failure {
    Failure {
        task: name(task),
        first: ago(minutes),
        last: ago(1),
        failures,
        job: JobId(7),
        kind: "main".to_owned(),
        run: Some(RunId::from_bytes([7; 16])),
        outcome: "exit_code".to_owned(),
        reason: Some("exit code 3".to_owned()),
        output: ["one", "two", "three", "\x1b]0;evil\x07four"].map(str::to_owned).to_vec(),
    }
}

fn wrong(task: &str, what: Trouble) -> Wrong {
    let reason = Some("exit code 3".to_owned());
    let since = Some(ago(300));
    Wrong { task: name(task), what, since, reason, next: None, failures: 612, job: None, before: false }
}

fn recovery(task: &str) -> Recovery {
    let (last_failure, how, at) = (Some(ago(200)), How::Running, ago(199));
    Recovery { task: name(task), failures: 2, last_failure, how, at, crash_loop: None }
}

#[track_caller]
fn says(night: &Night, expected: &str) {
    let expected = expected.replace("SINCE", &clock(ago(600), now())).replace("FIRST", &clock(ago(400), now()));
    assert_eq!(verdict(night), expected);
}

#[test]
fn the_first_sentence_says_whether_it_went_well() {
    says(&night(), "Nothing ran since SINCE");
    let good = Night { ran: vec![ran("a"), ran("b")], ..night() };
    says(&good, "All well since SINCE: 2 tasks ran, none failed");
    let never = Never { task: name("c"), wanted: true, schedule: None, last_end: None };
    says(&Night { never: vec![never], ..good.clone() }, "All well since SINCE: 2 tasks ran, none failed, 1 never ran");
    let stalled = Night { wrong: vec![wrong("a", Trouble::Stalled)], ..good };
    says(&stalled, "No task failed since SINCE, but 1 shows no sign of life");
}

#[test]
fn the_first_sentence_names_what_failed_first() {
    let ran = vec![ran("LOL"), ran("a"), ran("b")];
    let one = Night { failed: vec![failure("LOL", 400, 1)], ran, ..night() };
    says(&one, "1 of 3 tasks failed since SINCE; LOL failed at FIRST");
    let often = Night { failed: vec![failure("LOL", 400, 612)], ..one.clone() };
    says(&often, "1 of 3 tasks failed since SINCE; LOL failed 612 times, first at FIRST");
    let both = Night {
        failed: vec![failure("LOL", 400, 612), failure("a", 300, 1)],
        wrong: vec![wrong("LOL", Trouble::CrashLooping)],
        recovered: vec![recovery("a")],
        ..one
    };
    says(
        &both,
        "2 of 3 tasks failed since SINCE, 1 is still crash-looping, 1 has recovered; LOL failed first, at FIRST",
    );
}

fn drawn(night: &Night, width: Option<u16>) -> String {
    let mut out = Vec::new();
    page(night, width, &mut out).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

fn bad_night() -> Night {
    let long = "a".repeat(90);
    let usual = Duration::from_mins(40);
    let slow = Slow { task: name("train"), lasted: usual * 3, usual, ended: Some(ago(50)), outcome: None, count: 2 };
    Night {
        wrong: vec![
            Wrong { next: now().checked_add(3.minutes()).ok(), ..wrong("LOL", Trouble::CrashLooping) },
            wrong(&long, Trouble::Unsupervised),
        ],
        failed: vec![failure("LOL", 400, 612), failure(&long, 300, 1)],
        recovered: vec![recovery("feed")],
        slow: vec![slow],
        never: vec![Never { task: name("weekly"), wanted: false, schedule: Some("week".into()), last_end: None }],
        ran: vec![ran("LOL"), ran(&long)],
        ..night()
    }
}

#[test]
fn the_page_fits_its_terminal() {
    for width in [80, 200] {
        let text = drawn(&bad_night(), Some(width));
        for line in text.lines() {
            assert!(line.width() <= usize::from(width), "{width}: {line:?}");
        }
    }
}

#[test]
fn sections_come_most_urgent_first_and_only_where_there_is_something_to_say() {
    let headlines = |night: &Night| {
        let text = drawn(night, None);
        let after_blank = text.split("\n\n").skip(1);
        after_blank.map(|section| section.lines().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let expected =
        ["Wrong now", "Failed, in this order", "Recovered", "Slower than usual", "Never ran", "Ran", "Supervisor"];
    assert_eq!(headlines(&bad_night()), expected);
    assert_eq!(headlines(&Night { ran: vec![ran("a")], ..night() }), ["Ran"]);
    assert!(headlines(&night()).is_empty());
}

#[test]
fn output_is_shown_with_its_last_lines_and_harmless() {
    let text = drawn(&bad_night(), Some(80));
    assert!(text.contains("│ two\n") && text.contains("│ three\n") && text.contains("│ four\n"), "{text}");
    assert!(!text.contains("│ one") && !text.contains("evil"), "{text}");
}

#[test]
fn a_long_list_is_cut_and_says_so() {
    let failed = (0..30).map(|at| failure(&format!("task-{at}"), 400, 1)).collect();
    let text = drawn(&Night { failed, ..night() }, Some(80));
    assert!(text.contains("task-19") && !text.contains("task-20"), "{text}");
    assert!(text.contains("… and 10 more: `jobexec report --json` has all"), "{text}");
}
