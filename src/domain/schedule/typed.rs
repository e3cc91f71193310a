//! A start as somebody types it: relative to that moment, if they like; absolute in the file.

use jiff::civil::{DateTime, Time};
use jiff::tz::Offset;
use jiff::{SignedDuration, Span, Timestamp};

use super::error::ScheduleError;
use super::note::Note;
use super::quantity::parse_quantity;
use super::rule::{CalendarUnit, Rule};
use super::start::{Place, StartError, is_relative, place_at, place_in, read};
use super::words::time_of_day;
use super::zone::{Zone, Zones, print_offset};

/// Makes of what somebody types as a start the text that is written to the file, with the zone named.
///
/// `now` is taken up to the next whole second, so that it is still ahead; `9:00` is the next such moment; `+1 day` is
/// a step on the calendar. A schedule without `tz` counts in the zone that its start names, so what is typed
/// without one gets the machine's.
pub fn resolve_start(
    typed: &str,
    now: Timestamp,
    tz: Option<&str>,
    zones: &Zones<'_>,
) -> Result<(String, Vec<Note>), ScheduleError> {
    resolved(typed, now, tz, zones).map(|(text, _, notes)| (text, notes))
}

/// The moment that somebody types in one of the forms of a start; without a zone it is one of the machine's clocks.
pub fn resolve_moment(typed: &str, now: Timestamp, zones: &Zones<'_>) -> Result<(Timestamp, Vec<Note>), ScheduleError> {
    resolved(typed, now, None, zones).map(|(_, moment, notes)| (moment, notes))
}

fn resolved(
    typed: &str,
    now: Timestamp,
    tz: Option<&str>,
    zones: &Zones<'_>,
) -> Result<(String, Timestamp, Vec<Note>), ScheduleError> {
    let start = |why| ScheduleError::Start { text: typed.to_owned(), why };
    let (zone, note) = match tz {
        Some(tz) => zones.parse(tz).map_err(|why| ScheduleError::Tz { text: tz.to_owned(), why })?,
        None => (zones.local.clone(), None),
    };
    let trimmed = typed.trim();
    if is_relative(trimmed) {
        let (civil, moment) = resolve(trimmed, now, &zone).map_err(start)?;
        let (placed, gap) = place_in(&zone, civil).map_err(start)?;
        let said = gap.filter(|_| placed == moment);
        return Ok((render(civil, moment, &zone, zones), moment, note.into_iter().chain(said).collect()));
    }
    let written = read(trimmed, zones).map_err(start)?;
    let (text, moment, said): (_, _, Vec<Note>) = match &written.place {
        Place::Unsaid => {
            let (moment, said) = place_in(&zone, written.civil).map_err(start)?;
            (render(written.civil, moment, &zone, zones), moment, note.into_iter().chain(said).collect())
        }
        Place::Zone(named, None) => {
            let (moment, said) = place_in(named, written.civil).map_err(start)?;
            (render(written.civil, moment, named, zones), moment, said.into_iter().collect())
        }
        Place::Zone(named, Some(offset)) => {
            let moment = place_at(named, written.civil, *offset).map_err(start)?;
            (render(written.civil, moment, named, zones), moment, Vec::new())
        }
        Place::Offset(offset) => {
            let moment = offset.to_timestamp(written.civil).map_err(|_| start(StartError::TooFar))?;
            (rfc3339(written.civil, *offset), moment, Vec::new())
        }
    };
    Ok((text, moment, written.note.into_iter().chain(said).collect()))
}

/// The time on the zone's clocks, and the moment.
fn resolve(typed: &str, now: Timestamp, zone: &Zone) -> Result<(DateTime, Timestamp), StartError> {
    let lower = &typed.to_ascii_lowercase();
    let now = next_whole_second(now).ok_or(StartError::TooFar)?;
    let here = zone.time_zone().to_datetime(now);
    if lower == "now" {
        return Ok((here, now));
    }
    if let Some(quantity) = typed.strip_prefix('+') {
        return later(quantity, now, zone);
    }
    let (word, time) = lower.split_once(char::is_whitespace).unwrap_or((lower.as_str(), ""));
    let (date, time) = match word {
        "today" => (here.date(), time),
        "tomorrow" => (here.date().tomorrow().map_err(|_| StartError::TooFar)?, time),
        _ => return next_at(lower, now, zone),
    };
    let time = time.trim().strip_prefix("at ").unwrap_or(time).trim();
    let unreadable = || StartError::Unreadable { part: time.to_owned() };
    let time = if time.is_empty() { Time::midnight() } else { time_of_day(time).ok_or_else(unreadable)? };
    let civil = date.to_datetime(time);
    Ok((civil, place_in(zone, civil)?.0))
}

/// So much after now: time that passes, or steps on the calendar.
fn later(quantity: &str, now: Timestamp, zone: &Zone) -> Result<(DateTime, Timestamp), StartError> {
    let far = |_| StartError::TooFar;
    match parse_quantity(quantity)? {
        Rule::Calendar { count, unit } => {
            let count = i64::from(count);
            let span = match unit {
                CalendarUnit::Day => Span::new().try_days(count),
                CalendarUnit::Week => Span::new().try_weeks(count),
                CalendarUnit::Month => Span::new().try_months(count),
                CalendarUnit::Year => Span::new().try_years(count),
            };
            let civil = zone.time_zone().to_datetime(now).checked_add(span.map_err(far)?).map_err(far)?;
            Ok((civil, place_in(zone, civil)?.0))
        }
        Rule::Exact(duration) => {
            let moment = now.checked_add(duration).map_err(far)?;
            let moment = next_whole_second(moment).ok_or(StartError::TooFar)?;
            Ok((zone.time_zone().to_datetime(moment), moment))
        }
        Rule::Days { .. } | Rule::Cron(_) | Rule::Event(_) => Err(StartError::Unreadable { part: quantity.to_owned() }),
    }
}

/// The next moment that a time of day stands for.
fn next_at(lower: &str, now: Timestamp, zone: &Zone) -> Result<(DateTime, Timestamp), StartError> {
    let time = time_of_day(lower).ok_or_else(|| StartError::Unreadable { part: lower.to_owned() })?;
    let mut date = zone.time_zone().to_datetime(now).date();
    for _ in 0..3 {
        let civil = date.to_datetime(time);
        let (moment, _) = place_in(zone, civil)?;
        if moment >= now {
            return Ok((civil, moment));
        }
        date = date.tomorrow().map_err(|_| StartError::TooFar)?;
    }
    Err(StartError::TooFar)
}

fn next_whole_second(moment: Timestamp) -> Option<Timestamp> {
    if moment.subsec_nanosecond() == 0 {
        return Some(moment);
    }
    let later = moment.checked_add(SignedDuration::from_secs(1)).ok()?;
    Timestamp::from_second(later.as_nanosecond().div_euclid(1_000_000_000).try_into().ok()?).ok()
}

/// The text for the file: it is read back as the same moment, and as the same time on the clocks.
fn render(civil: DateTime, moment: Timestamp, zone: &Zone, zones: &Zones<'_>) -> String {
    let offset = zone.time_zone().to_offset(moment);
    if !zones.knows(zone) || zone.time_zone().to_fixed_offset().is_ok() && zone.name() != "UTC" {
        return rfc3339(offset.to_datetime(moment), offset);
    }
    if place_in(zone, civil).is_ok_and(|(placed, _)| placed == moment) {
        return format!("{} {}", civil.strftime("%Y-%m-%d %H:%M:%S"), zone.name());
    }
    format!("{}[{}]", rfc3339(civil, offset), zone.name())
}

fn rfc3339(civil: DateTime, offset: Offset) -> String {
    format!("{}{}", civil.strftime("%Y-%m-%dT%H:%M:%S"), print_offset(offset))
}
