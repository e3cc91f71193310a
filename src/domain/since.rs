//! How far back somebody wants to look: `22:00`, `8h`, `2026-11-20 22:00`.

use jiff::civil::{DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};
use thiserror::Error;

use super::amount::parse_duration;

/// Why a text is no moment to look back to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SinceError {
    /// It is none of the forms.
    #[error("`{0}` is not a time to look back to")]
    Unreadable(String),
    /// It lies ahead.
    #[error("`{0}` is in the future")]
    Future(String),
}

/// Reads the moment to look back to.
///
/// A time of day is its last one in the zone: the later of two in the night when the clock is set back, and where it
/// was set forward over it, the moment that it would have been. A duration is that long ago (a day has 24 hours). A
/// date, or date and time, is of the zone unless it says otherwise.
pub fn parse_since(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, SinceError> {
    let trimmed = text.trim();
    let unreadable = || SinceError::Unreadable(text.to_owned());
    if let Some(time) = time_of_day(trimmed) {
        return last_of(time, now, zone).ok_or_else(unreadable);
    }
    // A number alone may be hours, seconds or a year.
    if !trimmed.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && let Ok(duration) = parse_duration(trimmed)
    {
        return now.checked_sub(duration).map_err(|_| unreadable());
    }
    let moment = date_time(trimmed, zone).ok_or_else(unreadable)?;
    if moment > now { Err(SinceError::Future(text.to_owned())) } else { Ok(moment) }
}

/// `22:00`, `22:00:30`.
pub(super) fn time_of_day(text: &str) -> Option<Time> {
    ["%H:%M", "%H:%M:%S"].into_iter().find_map(|format| Time::strptime(format, text).ok())
}

/// The last moment, not after now, at which the clocks of a zone showed a time.
fn last_of(time: Time, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let today = now.to_zoned(zone.clone()).date();
    let yesterday = today.checked_sub(1.day()).ok()?;
    [today, yesterday].into_iter().find_map(|date| {
        let moment = zone.to_ambiguous_timestamp(date.to_datetime(time));
        let candidates = match moment.offset() {
            AmbiguousOffset::Fold { .. } => [moment.later().ok(), moment.earlier().ok()],
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => [moment.compatible().ok(), None],
        };
        candidates.into_iter().flatten().find(|moment| *moment <= now)
    })
}

/// A date, a date and time (of the zone, unless it says otherwise), or a moment.
pub(super) fn date_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(zoned) = text.parse::<Zoned>() {
        return Some(zoned.timestamp());
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let local: DateTime = text.parse().ok()?;
    zone.to_ambiguous_timestamp(local).compatible().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central Europe as its rules are now, without a look at the system's database: summer time ends on 25 October
    /// 2026 at 03:00, which becomes 02:00, and begins on 28 March 2027 at 02:00, which becomes 03:00.
    fn zurich() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(text: &str, now: &str, expected: &str) {
        assert_eq!(parse_since(text, at(now), &zurich()), Ok(at(expected)), "{text} at {now}");
    }

    #[test]
    fn a_time_of_day_is_the_last_one() {
        check("22:00", "2026-11-21T08:00:00+01:00", "2026-11-20T22:00:00+01:00");
        check("07:30", "2026-11-21T08:00:00+01:00", "2026-11-21T07:30:00+01:00");
        check("08:00", "2026-11-21T08:00:00+01:00", "2026-11-21T08:00:00+01:00");
        check("08:00:01", "2026-11-21T08:00:00+01:00", "2026-11-20T08:00:01+01:00");
        check(" 9:00 ", "2026-11-21T08:00:00+01:00", "2026-11-20T09:00:00+01:00");
    }

    #[test]
    fn in_the_night_that_the_clock_is_set_back_an_hour_comes_twice() {
        check("22:00", "2026-10-25T08:00:00+01:00", "2026-10-24T22:00:00+02:00");
        check("02:30", "2026-10-25T08:00:00+01:00", "2026-10-25T02:30:00+01:00");
        // It is 02:10 for the second time; 02:30 has been once.
        check("02:30", "2026-10-25T02:10:00+01:00", "2026-10-25T02:30:00+02:00");
        check("02:30", "2026-10-25T02:10:00+02:00", "2026-10-24T02:30:00+02:00");
        check("10h", "2026-10-25T08:00:00+01:00", "2026-10-24T23:00:00+02:00");
        check("2026-10-25 02:30", "2026-10-25T08:00:00+01:00", "2026-10-25T02:30:00+02:00");
    }

    #[test]
    fn in_the_night_that_the_clock_is_set_forward_an_hour_is_missing() {
        check("22:00", "2027-03-28T08:00:00+02:00", "2027-03-27T22:00:00+01:00");
        check("02:30", "2027-03-28T08:00:00+02:00", "2027-03-28T03:30:00+02:00");
        check("02:30", "2027-03-28T03:10:00+02:00", "2027-03-27T02:30:00+01:00");
        check("10h", "2027-03-28T08:00:00+02:00", "2027-03-27T21:00:00+01:00");
    }

    #[test]
    fn a_duration_a_date_and_a_moment_are_understood() {
        let now = "2026-11-21T08:00:00+01:00";
        check("8h", now, "2026-11-21T00:00:00+01:00");
        check("90 min", now, "2026-11-21T06:30:00+01:00");
        check("2 days", now, "2026-11-19T08:00:00+01:00");
        check("2026-11-20 22:00", now, "2026-11-20T22:00:00+01:00");
        check("2026-11-20T22:00:30", now, "2026-11-20T22:00:30+01:00");
        check("2026-11-20", now, "2026-11-20T00:00:00+01:00");
        check("2026-11-20T22:00:00Z", now, "2026-11-20T23:00:00+01:00");
        check("2026-11-20T22:00:00-05:00", now, "2026-11-21T04:00:00+01:00");
    }

    #[test]
    fn what_is_ahead_or_no_time_is_refused() {
        let said = |text: &str| parse_since(text, at("2026-11-21T08:00:00+01:00"), &zurich()).unwrap_err();
        for text in ["2026-11-21 08:01", "2027-01-01", "2026-11-21T07:00:01Z"] {
            assert_eq!(said(text), SinceError::Future(text.to_owned()));
        }
        for text in ["", "soon", "8", "2200", "25:00", "22:60", "2026-13-01", "1 month", "10001 days", "22h00"] {
            assert_eq!(said(text), SinceError::Unreadable(text.to_owned()), "{text}");
        }
    }
}
