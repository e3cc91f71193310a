//! What may be written, and typed, as a start.

use std::error::Error;

use super::{at, build, find, table, zones};
use crate::domain::schedule::{ScheduleError, Zone, Zones, resolve_moment, resolve_start};

#[track_caller]
fn means(start: &str, tz: &str, expected: &str, notes: &[&str]) {
    let (table, said) = build("day", "", start, tz).unwrap_or_else(|error| panic!("{start}: {error:?}"));
    assert_eq!(table.start(), Some(at(expected)), "{start}");
    assert_eq!(said.iter().map(ToString::to_string).collect::<Vec<_>>(), notes, "{start}");
}

#[test]
fn the_forms_of_the_file() {
    for start in [
        "2021-02-27 12:50:00 America/New_York",
        "2021-02-27T12:50[America/New_York]",
        "2021-02-27 12:50:00 [America/New_York]",
        "2021-02-27T12:50:00-05:00[America/New_York]",
    ] {
        means(start, "", "2021-02-27T17:50:00Z", &[]);
        assert_eq!(table("day", start, "").zone().name(), "America/New_York");
    }
    for start in ["2021-02-27 12:50:00", "2021-02-27T12:50", "2021-02-27  12:50:00.000", "2021-02-27t12:50:00"] {
        means(start, "America/New_York", "2021-02-27T17:50:00Z", &[]);
        means(start, "", "2021-02-27T11:50:00Z", &[]);
    }
    means("2021-02-27", "UTC", "2021-02-27T00:00:00Z", &[]);
    means("2021-02-27 12:50 UTC", "", "2021-02-27T12:50:00Z", &[]);
    for start in ["2021-02-27T12:50:00-05:00", "2021-02-27 12:50 -0500", "2021-02-27T17:50:00Z", "2021-02-27 17:50:00z"]
    {
        means(start, "America/New_York", "2021-02-27T17:50:00Z", &[]);
    }
}

#[test]
fn an_offset_is_not_a_zone() {
    let said = "+01:00 has no summer time; add `tz = …` for the clocks of a place";
    means("2021-02-27T12:50:00+01:00", "", "2021-02-27T11:50:00Z", &[said]);
    let (table, _) = build("day", "", "2021-02-27T12:50:00+01:00", "").unwrap();
    assert_eq!(table.after(at("2021-07-01T00:00:00Z")).unwrap().time, at("2021-07-01T11:50:00Z"));
    let (exact, notes) = build("24 h", "", "2021-02-27T12:50:00+01:00", "").unwrap();
    assert!(notes.is_empty() && exact.zone().name() == "Europe/Zurich");
}

#[test]
fn the_seed_s_est_is_an_offset_with_a_note() {
    let said = "`EST` is read as -05:00 and has no summer time; for the clocks of New York write `America/New_York`";
    means("2021-02-27 12:50:00 EST", "", "2021-02-27T17:50:00Z", &[said]);
    means("2021-02-27 12:50:00", "EST", "2021-02-27T17:50:00Z", &[said]);
}

#[test]
fn a_start_that_clocks_skip_or_show_twice_is_taken_by_the_one_rule() {
    let skipped = "the clocks skip 2026-03-29 02:30; the start is moved to 03:00";
    means("2026-03-29 02:30", "Europe/Zurich", "2026-03-29T03:00:00+02:00", &[skipped]);
    let twice = "the clocks show 2026-10-25 02:30 twice; the first time is the start";
    means("2026-10-25 02:30 Europe/Zurich", "", "2026-10-25T02:30:00+02:00", &[twice]);
    means("2026-10-25T02:30+01:00[Europe/Zurich]", "", "2026-10-25T02:30:00+01:00", &[]);
}

#[test]
fn a_start_elsewhere_is_said() {
    let said = "the start is read in America/New_York, the schedule counts in Europe/Zurich";
    means("2021-02-27 12:50:00 America/New_York", "Europe/Zurich", "2021-02-27T17:50:00Z", &[said]);
}

fn said(error: &ScheduleError) -> String {
    format!("{} → {}", error.source().unwrap(), error.hints().join("; "))
}

#[track_caller]
fn refused(start: &str, expected: &str) {
    let error = build("day", "", start, "").unwrap_err();
    assert!(
        matches!(error, ScheduleError::Start { .. }) && said(&error).starts_with(expected),
        "{start}: {}",
        said(&error)
    );
}

#[test]
fn what_is_no_start_is_refused() {
    for start in ["now", "tomorrow 9:00", "today", "9:00", "+10m", "9am", "Tomorrow at 9"] {
        refused(start, "it means another moment each time it is read → write the moment, as in `2021-02-27 12:50`");
    }
    for start in [" ", "soon", "9", "2021-13-01", "2021-02-30", "27.02.2021 12:50", "2021-02-27 25:00", "2021-02-27 12"]
    {
        refused(start, "`");
    }
    refused("2021-02-27 12:50:00.5", "it has a fraction of a second → give whole seconds");
    refused("2021-02-27 12:50 CET", "`CET` is an abbreviation, not a zone → name a place: Europe/Zurich, ");
    refused("2021-02-27 12:50 Europe/Zuric", "there is no zone `Europe/Zuric`");
    refused("2021-02-27T12:50+03:00[Europe/Zurich]", "the clocks of Europe/Zurich are not at +03:00 then → leave one");
}

#[track_caller]
fn resolves(typed: &str, tz: Option<&str>, now: &str, expected: &str, moment: &str) {
    let (text, _) = resolve_start(typed, at(now), tz, &zones()).unwrap_or_else(|error| panic!("{typed}: {error:?}"));
    assert_eq!(text, expected, "{typed}");
    // What is written to the file is read as the same moment, and is its own canonical form.
    assert_eq!(table("1 h", &text, tz.unwrap_or_default()).start(), Some(at(moment)), "{typed}");
    assert_eq!(resolve_start(&text, at(now), tz, &zones()).unwrap().0, text);
}

#[test]
fn what_is_typed_becomes_a_moment() {
    let now = "2026-11-20T12:00:00.25Z";
    let zurich = |typed, expected, moment| resolves(typed, None, now, expected, moment);
    zurich("now", "2026-11-20 13:00:01 Europe/Zurich", "2026-11-20T12:00:01Z");
    zurich("tomorrow 9:00", "2026-11-21 09:00:00 Europe/Zurich", "2026-11-21T08:00:00Z");
    zurich("Tomorrow at 9am", "2026-11-21 09:00:00 Europe/Zurich", "2026-11-21T08:00:00Z");
    zurich("tomorrow", "2026-11-21 00:00:00 Europe/Zurich", "2026-11-20T23:00:00Z");
    zurich("today 9:00", "2026-11-20 09:00:00 Europe/Zurich", "2026-11-20T08:00:00Z");
    zurich("9:00", "2026-11-21 09:00:00 Europe/Zurich", "2026-11-21T08:00:00Z");
    zurich("13:30", "2026-11-20 13:30:00 Europe/Zurich", "2026-11-20T12:30:00Z");
    zurich("+10m", "2026-11-20 13:10:01 Europe/Zurich", "2026-11-20T12:10:01Z");
    zurich("+1 month", "2026-12-20 13:00:01 Europe/Zurich", "2026-12-20T12:00:01Z");
    zurich("2021-02-27 12:50", "2021-02-27 12:50:00 Europe/Zurich", "2021-02-27T11:50:00Z");
    zurich("2021-02-27T12:50-05:00", "2021-02-27T12:50:00-05:00", "2021-02-27T17:50:00Z");
    zurich("2021-02-27 12:50:00 EST", "2021-02-27T12:50:00-05:00", "2021-02-27T17:50:00Z");
    zurich("2021-02-27 12:50 America/New_York", "2021-02-27 12:50:00 America/New_York", "2021-02-27T17:50:00Z");
    resolves("9:00", Some("America/New_York"), now, "2026-11-20 09:00:00 America/New_York", "2026-11-20T14:00:00Z");
    resolves("9:00", Some("UTC"), now, "2026-11-21 09:00:00 UTC", "2026-11-21T09:00:00Z");
    resolves("9:00", Some("+02:00"), now, "2026-11-21T09:00:00+02:00", "2026-11-21T07:00:00Z");
}

#[test]
fn what_is_typed_in_the_nights_of_change_is_the_moment_that_was_meant() {
    // It is 02:10 for the second time.
    let second = "2026-10-25T01:10:00Z";
    resolves("now", None, second, "2026-10-25T02:10:00+01:00[Europe/Zurich]", second);
    resolves("now", None, "2026-10-25T00:10:00Z", "2026-10-25 02:10:00 Europe/Zurich", "2026-10-25T00:10:00Z");
    resolves("+20m", None, "2026-10-25T00:50:00Z", "2026-10-25T02:10:00+01:00[Europe/Zurich]", second);
    let gap = "2027-03-28T00:10:00Z";
    resolves("2:30", None, gap, "2027-03-28 02:30:00 Europe/Zurich", "2027-03-28T03:00:00+02:00");
    let (_, notes) = resolve_start("2:30", at(gap), None, &zones()).unwrap();
    assert_eq!(notes.len(), 1);
}

#[test]
fn a_machine_whose_zone_has_no_name_writes_offsets() {
    let zones = Zones { find: &find, local: Zone::new("local", find("Europe/Zurich").unwrap()) };
    let (text, _) = resolve_start("9:00", at("2026-11-20T12:00:00Z"), None, &zones).unwrap();
    assert_eq!(text, "2026-11-21T09:00:00+01:00");
}

#[test]
fn what_cannot_be_typed_is_refused() {
    for typed in ["+10", "+10 M", "today 25:00", "tomorrow nine", "next week", "+200 years", "9"] {
        let error = resolve_start(typed, at("2026-11-20T12:00:00Z"), None, &zones()).expect_err(typed);
        assert!(!said(&error).ends_with("→ "), "{typed}");
    }
    assert!(matches!(
        resolve_start("now", at("2026-11-20T12:00:00Z"), Some("CET"), &zones()),
        Err(ScheduleError::Tz { .. })
    ));
}

#[test]
fn a_moment_is_typed_like_a_start() {
    let now = "2026-10-24T12:00:00Z";
    for (typed, moment) in [
        ("now", now),
        ("+10m", "2026-10-24T12:10:00Z"),
        ("tomorrow 9:00", "2026-10-25T08:00:00Z"),
        ("2030-01-01", "2029-12-31T23:00:00Z"),
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
        ("2021-02-27 12:50:00 EST", "2021-02-27T17:50:00Z"),
        ("2026-10-25T02:30+01:00[Europe/Zurich]", "2026-10-25T01:30:00Z"),
    ] {
        assert_eq!(resolve_moment(typed, at(now), &zones()).unwrap().0, at(moment), "{typed}");
    }
    resolve_moment("soon", at(now), &zones()).unwrap_err();
}
