//! When schedules fire: the vectors of the reference, and tables that other programs made.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{at, build, next, table};
use crate::domain::schedule::{Pass, Tally};

#[track_caller]
fn check(rule: &str, start: &str, zone: &str, after: &str, expected: &str) {
    let expected: Vec<&str> = expected.split([',', ' ']).map(str::trim).filter(|text| !text.is_empty()).collect();
    let table = table(rule, start, zone);
    assert_eq!(next(&table, at(after), expected.len()), expected, "{rule} | {start} | {zone} | {after}");
}

/// The table of docs on schedules, §1.5.
const VECTORS: &str = "
30 2 * * * | | America/New_York | 2025-03-08T12:00:00Z | 2025-03-09T03:00-04:00, 2025-03-10T02:30-04:00, 2025-03-11T02:30-04:00, 2025-03-12T02:30-04:00, 2025-03-13T02:30-04:00
0 */2 * * * | | America/New_York | 2025-03-09T04:30:00Z | 2025-03-09T00:00-05:00, 2025-03-09T04:00-04:00, 2025-03-09T06:00-04:00, 2025-03-09T08:00-04:00, 2025-03-09T10:00-04:00
30 1 * * * | | America/New_York | 2025-11-02T05:45:00Z | 2025-11-03T01:30-05:00, 2025-11-04T01:30-05:00, 2025-11-05T01:30-05:00, 2025-11-06T01:30-05:00, 2025-11-07T01:30-05:00
30 * * * * | | America/New_York | 2025-11-02T04:00:00Z | 2025-11-02T00:30-04:00, 2025-11-02T01:30-04:00, 2025-11-02T01:30-05:00, 2025-11-02T02:30-05:00, 2025-11-02T03:30-05:00
0 0 * * * | | America/New_York | 2025-11-01T12:00:00Z | 2025-11-02T00:00-04:00, 2025-11-03T00:00-05:00, 2025-11-04T00:00-05:00, 2025-11-05T00:00-05:00, 2025-11-06T00:00-05:00
30 2 * * * | | Europe/Zurich | 2025-10-25T12:00:00Z | 2025-10-26T02:30+02:00, 2025-10-27T02:30+01:00, 2025-10-28T02:30+01:00, 2025-10-29T02:30+01:00, 2025-10-30T02:30+01:00
45 1 * * * | | Australia/Lord_Howe | 2025-04-05T00:00:00Z | 2025-04-06T01:45+11:00, 2025-04-07T01:45+10:30, 2025-04-08T01:45+10:30, 2025-04-09T01:45+10:30, 2025-04-10T01:45+10:30
0 9 13 * 5 | | UTC | 2025-06-01T10:00:00Z | 2025-06-06T09:00+00:00, 2025-06-13T09:00+00:00, 2025-06-20T09:00+00:00, 2025-06-27T09:00+00:00, 2025-07-04T09:00+00:00
0 9 * * 5-7 | | UTC | 2025-06-01T10:00:00Z | 2025-06-06T09:00+00:00, 2025-06-07T09:00+00:00, 2025-06-08T09:00+00:00, 2025-06-13T09:00+00:00, 2025-06-14T09:00+00:00
24 h | 2025-03-08T02:30 | America/New_York | 2025-03-08T12:00:00Z | 2025-03-09T03:30-04:00, 2025-03-10T03:30-04:00, 2025-03-11T03:30-04:00, 2025-03-12T03:30-04:00, 2025-03-13T03:30-04:00
2 days | 2025-03-28T02:30 | Europe/Zurich | 2025-03-29T12:00:00Z | 2025-03-30T03:00+02:00, 2025-04-01T02:30+02:00, 2025-04-03T02:30+02:00, 2025-04-05T02:30+02:00, 2025-04-07T02:30+02:00
3 months | 2024-11-30T06:00 | America/New_York | 2025-01-01T00:00:00Z | 2025-02-28T06:00-05:00, 2025-05-30T06:00-04:00, 2025-08-30T06:00-04:00, 2025-11-30T06:00-05:00, 2026-02-28T06:00-05:00
day | 2025-10-04T02:15 | Australia/Lord_Howe | 2025-10-04T00:00:00Z | 2025-10-05T02:30+11:00, 2025-10-06T02:15+11:00, 2025-10-07T02:15+11:00, 2025-10-08T02:15+11:00, 2025-10-09T02:15+11:00
";

#[track_caller]
fn check_table(text: &str) -> usize {
    let mut checked = 0;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let [rule, start, zone, after, expected] = parts[..] else { panic!("{line}") };
        check(rule, start, zone, after, expected);
        checked += 1;
    }
    checked
}

#[test]
fn the_reference_s_vectors_hold() {
    assert_eq!(check_table(VECTORS), 13);
}

/// Made with: `python3 tests/reference/schedule_tables.py zones` (Python 3.11, the system's zoneinfo).
#[test]
fn clocks_that_change_are_followed_as_zoneinfo_shows_them() {
    assert!(check_table(include_str!("zones.txt")) > 1000);
}

/// Made with: `python3 tests/reference/schedule_tables.py cron` (croniter 6.0.0).
#[test]
fn expressions_mean_what_croniter_makes_of_them() {
    let mut checked = 0;
    for line in include_str!("croniter.txt").lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let [rule, after, expected] = parts[..] else { panic!("{line}") };
        if expected == "never" {
            build(rule, "", "", "UTC").unwrap_err();
        } else {
            let expected: Vec<String> = expected.split(' ').map(|time| format!("{time}+00:00")).collect();
            let after = TimeZone::UTC.to_timestamp(after.parse::<DateTime>().unwrap()).unwrap();
            assert_eq!(next(&table(rule, "", "UTC"), after, 5), expected, "{line}");
        }
        checked += 1;
    }
    assert!(checked > 200);
}

/// Compare `systemd-analyze calendar --iterations=3 --base-time="2026-11-20 12:00 UTC" "Mon,Wed,Fri 09:30 UTC"`.
#[test]
fn days_and_times_are_fixed_times() {
    let zone = "Europe/Zurich";
    let from = "2026-11-20T12:00:00Z";
    let two = "2026-11-20T21:15+01:00 2026-11-23T09:30+01:00 2026-11-23T21:15+01:00 2026-11-25T09:30+01:00";
    check("mon,wed and fri at 9:30 and 21:15", "", zone, from, two);
    check("every weekday at 9", "", zone, from, "2026-11-23T09:00+01:00 2026-11-24T09:00+01:00");
    check("weekend at 9pm", "", zone, from, "2026-11-21T21:00+01:00 2026-11-22T21:00+01:00 2026-11-28T21:00+01:00");
    check("sunday", "", zone, from, "2026-11-22T00:00+01:00 2026-11-29T00:00+01:00");
    check("sunday", "2026-11-20 12:50", zone, from, "2026-11-22T12:50+01:00 2026-11-29T12:50+01:00");
    check("every day at 2:30", "", zone, "2027-03-27T12:00:00Z", "2027-03-28T03:00+02:00 2027-03-29T02:30+02:00");
}

#[test]
fn without_a_start_the_anchor_is_the_same_everywhere_and_always() {
    let after = "2026-11-20T12:00:30Z";
    check("2 min", "", "UTC", after, "2026-11-20T12:02+00:00 2026-11-20T12:04+00:00");
    check("day", "", "Europe/Zurich", after, "2026-11-21T00:00+01:00 2026-11-22T00:00+01:00");
    check("week", "", "Europe/Zurich", after, "2026-11-23T00:00+01:00 2026-11-30T00:00+01:00");
    check("month", "", "Europe/Zurich", after, "2026-12-01T00:00+01:00 2027-01-01T00:00+01:00");
    check("quarter", "", "Europe/Zurich", after, "2027-01-01T00:00+01:00 2027-04-01T00:00+02:00");
    check("year", "", "Europe/Zurich", after, "2027-01-01T00:00+01:00 2028-01-01T00:00+01:00");
}

#[test]
fn the_first_occurrence_is_the_start_itself_while_it_is_ahead() {
    let start = "2026-12-01 12:50:00";
    for rule in ["2 min", "day", "week", "3 months"] {
        check(rule, start, "Europe/Zurich", "2026-11-20T00:00:00Z", "2026-12-01T12:50+01:00");
    }
    check("0 9 * * *", start, "Europe/Zurich", "2026-11-20T00:00:00Z", "2026-12-02T09:00+01:00");
    check("50 12 * * *", start, "Europe/Zurich", "2026-11-20T00:00:00Z", "2026-12-01T12:50+01:00");
    check("day", start, "Europe/Zurich", "2026-12-01T11:50:00Z", "2026-12-02T12:50+01:00");
    // The second of the two.
    let second = "2025-11-02T01:30:00-05:00[America/New_York]";
    check("day", second, "", "2025-11-01T00:00:00Z", "2025-11-02T01:30-05:00 2025-11-03T01:30-05:00");
    check("day", "2025-11-02 01:30", "America/New_York", "2025-11-01T00:00:00Z", "2025-11-02T01:30-04:00");
}

#[test]
fn months_end_is_counted_from_the_anchor() {
    let ends = "2025-01-31T06:00+01:00 2025-02-28T06:00+01:00 2025-03-31T06:00+02:00 2025-04-30T06:00+02:00";
    check("month", "2025-01-31 06:00", "Europe/Zurich", "2025-01-01T00:00:00Z", ends);
    let leap = "2025-02-28T00:00+01:00 2026-02-28T00:00+01:00 2027-02-28T00:00+01:00 2028-02-29T00:00+01:00";
    check("year", "2024-02-29", "Europe/Zurich", "2024-03-01T00:00:00Z", leap);
}

#[test]
fn what_is_rare_is_found_and_what_is_over_ends() {
    check("0 0 29 2 */7", "", "UTC", "2025-01-01T00:00:00Z", "2032-02-29T00:00+00:00 2060-02-29T00:00+00:00");
    check("0 * */31 2,12 mon", "", "UTC", "2025-01-01T00:00:00Z", "2025-12-01T00:00+00:00");
    assert_eq!(table("0 0 1 1 *", "", "UTC").after(at("2100-06-01T00:00:00Z")), None);
    assert_eq!(table("@reboot", "", "UTC").after(at("2025-01-01T00:00:00Z")), None);
}

#[test]
fn a_moved_occurrence_says_from_where() {
    let note = |rule: &str, start: &str, zone: &str, after: &str| {
        table(rule, start, zone).after(at(after)).unwrap().note.map(|moved| moved.to_string())
    };
    let spring = "2025-03-09T05:00:00Z";
    assert_eq!(note("30 2 * * *", "", "America/New_York", spring).as_deref(), Some("moved from 02:30"));
    assert_eq!(note("*/20 2 * * *", "", "America/New_York", spring).as_deref(), Some("moved from 02:00"));
    assert_eq!(note("30 3 * * *", "", "America/New_York", spring), None);
    assert_eq!(note("day", "2025-03-09 02:30", "America/New_York", spring).as_deref(), Some("moved from 02:30"));
    assert_eq!(
        note("30 23 * * *", "", "America/Nuuk", "2025-03-29T12:00:00Z").as_deref(),
        Some("moved from 2025-03-29 23:30")
    );
}

#[test]
fn a_date_that_no_clock_shows_is_made_up_for_only_where_the_next_has_nothing() {
    let before = "2011-12-29T20:00:00Z";
    check("0 9 * * *", "", "Pacific/Apia", before, "2011-12-31T09:00+14:00 2012-01-01T09:00+14:00");
    check("0 9 30 * *", "", "Pacific/Apia", before, "2011-12-31T00:00+14:00 2012-01-30T09:00+14:00");
    check("fri at 9", "", "Pacific/Apia", before, "2011-12-31T00:00+14:00 2012-01-06T09:00+14:00");
    check("2 days", "2011-12-28 09:00", "Pacific/Apia", before, "2011-12-31T00:00+14:00 2012-01-01T09:00+14:00");
}

#[test]
fn far_from_the_anchor_is_as_fast_as_near_it() {
    let tables = [
        table("1 s", "1975-01-01", "Europe/Zurich"),
        table("day", "1975-01-01 02:30", "Europe/Zurich"),
        table("*/30 * * * *", "", "America/New_York"),
        table("0 0 29 2 mon", "", "America/New_York"),
        table("every weekday at 9 and 21", "", "America/New_York"),
    ];
    for n in 0..20_000_i64 {
        let time = at("1999-12-31T23:59:59Z") + jiff::SignedDuration::from_secs(n * 157_680);
        let table = &tables[usize::try_from(n).unwrap() % tables.len()];
        assert!(table.after(time).is_none_or(|next| next.time > time));
    }
}

#[test]
fn of_two_moments_alike_each_knows_which_it_is() {
    let zone = table("day", "", "America/New_York").zone().clone();
    for (time, pass) in [
        ("2025-11-02T04:59:59Z", None),
        ("2025-11-02T05:30:00Z", Some(Pass::First)),
        ("2025-11-02T06:30:00Z", Some(Pass::Second)),
        ("2025-11-02T07:00:00Z", None),
    ] {
        assert_eq!(zone.pass(at(time)), pass, "{time}");
    }
}

#[test]
fn many_occurrences_are_counted_without_a_look_at_each() {
    let day = (at("2025-03-08T00:00:00Z"), at("2025-03-09T00:00:00Z"));
    let count = |rule: &str| table(rule, "", "UTC").count(day.0, day.1);
    assert_eq!(count("1 s"), Tally::Exactly(86_400));
    assert_eq!(count("*/5 * * * *"), Tally::Exactly(288));
    assert_eq!(count("month"), Tally::Exactly(0));
}
