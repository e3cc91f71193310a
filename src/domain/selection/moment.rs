//! Moments as they are typed in a selection: `2026-11-20`, `22:00`, `yesterday 22:00`, `2h ago`.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::error::Problem;
use crate::domain::amount::parse_duration;
use crate::domain::since::{date_time, parse_since, time_of_day};

/// Reads a moment, to the microsecond. A time of day alone is its last one; a moment may lie ahead.
pub(super) fn parse_moment(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Problem> {
    let lower = text.trim().to_ascii_lowercase();
    // A duration alone may be meant forwards, backwards or as an age.
    let is_number = lower.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_number && parse_duration(&lower).is_ok() {
        return Err(Problem::Age(text.trim().to_owned()));
    }
    let moment = named(&lower, now, zone)
        .or_else(|| time_of_day(&lower).and_then(|_| parse_since(&lower, now, zone).ok()))
        .or_else(|| date_time(text.trim(), zone))
        .ok_or_else(|| Problem::Time(text.to_owned()))?;
    Ok(Timestamp::from_microsecond(moment.as_microsecond()).unwrap_or(moment))
}

/// `now`, `today`, `yesterday 22:00`, `2h ago`.
fn named(lower: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if let Some(ago) = lower.strip_suffix("ago") {
        return now.checked_sub(parse_duration(ago).ok()?).ok();
    }
    let (day, time) = lower.split_once(char::is_whitespace).unwrap_or((lower, ""));
    let today = now.to_zoned(zone.clone()).date();
    let date = match day {
        "now" if time.is_empty() => return Some(now),
        "today" => today,
        "yesterday" => today.yesterday().ok()?,
        _ => return None,
    };
    let time = if time.is_empty() { Time::midnight() } else { time_of_day(time.trim())? };
    zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok()
}
