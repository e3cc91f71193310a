//! The field `start`: the moment from which a schedule counts, and before which it never fires.
//!
//! In the file it is absolute. What somebody types may be relative to the moment of typing; [`resolve_start`] makes
//! of it what is written to the file.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use jiff::{SignedDuration, Span, Timestamp};
use thiserror::Error;

use super::error::ScheduleError;
use super::mapping::{Shown, shown};
use super::note::Note;
use super::period::PeriodError;
use super::quantity::parse_quantity;
use super::rule::{CalendarUnit, Rule};
use super::words::time_of_day;
use super::zone::{Zone, ZoneError, Zones, parse_offset, print_offset};

/// Why a text is no start.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StartError {
    /// It depends on when it is read.
    #[error("it means another moment each time it is read")]
    Relative,
    /// Not one of the forms.
    #[error("`{part}` is not a date, or date and time")]
    Unreadable {
        /// What could not be read.
        part: String,
    },
    /// No whole number of seconds.
    #[error("it has a fraction of a second")]
    Fraction,
    /// An offset that the zone's clocks do not have then.
    #[error("the clocks of {zone} are not at {offset} then")]
    OtherOffset {
        /// The offset.
        offset: String,
        /// The zone.
        zone: String,
    },
    /// Its zone is wrong.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The time that is added to now is wrong.
    #[error(transparent)]
    Amount(#[from] PeriodError),
    /// No clock goes that far.
    #[error("it is too far away")]
    TooFar,
}

impl StartError {
    /// What to do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Relative => {
                vec!["write the moment, as in `2021-02-27 12:50`; the other forms are for the command line".into()]
            }
            Self::Unreadable { .. } => {
                vec![
                    "write `2021-02-27 12:50:00`, `2021-02-27T12:50:00-05:00` or `2021-02-27 12:50 Europe/Zurich`"
                        .into(),
                ]
            }
            Self::Fraction => vec!["give whole seconds".into()],
            Self::OtherOffset { .. } => vec!["leave one of the two out".into()],
            Self::Zone(why) => why.hints(),
            Self::Amount(why) => why.hints(),
            Self::TooFar => Vec::new(),
        }
    }
}

/// Where the clock stands that a start names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing says.
    Unsaid,
    /// So far from UTC.
    Offset(Offset),
    /// In a zone, perhaps with the offset that says which of two times is meant.
    Zone(Zone, Option<Offset>),
}

/// A start as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) civil: DateTime,
    pub(super) place: Place,
    pub(super) note: Option<Note>,
}

/// Reads a start as it stands in the file.
pub(super) fn read(text: &str, zones: &Zones<'_>) -> Result<Written, StartError> {
    let trimmed = text.trim();
    if is_relative(trimmed) {
        return Err(StartError::Relative);
    }
    let (trimmed, bracketed) = match trimmed.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((front, name)) => (front.trim_end(), Some(name)),
        None => (trimmed, None),
    };
    let unreadable = |part: &str| StartError::Unreadable { part: part.to_owned() };
    let (date, rest) = trimmed.split_at_checked(10).ok_or_else(|| unreadable(trimmed))?;
    let date = Date::strptime("%Y-%m-%d", date).map_err(|_| unreadable(date))?;
    let rest = rest.strip_prefix(['T', 't']).unwrap_or(rest).trim_start();
    let ends = rest.find(|byte: char| !(byte.is_ascii_digit() || ":.".contains(byte))).unwrap_or(rest.len());
    let (time, suffix) = rest.split_at(ends);
    let time = if time.is_empty() { Time::midnight() } else { read_time(time)? };
    let (place, note) = read_place(suffix.trim(), bracketed, zones)?;
    Ok(Written { civil: date.to_datetime(time), place, note })
}

fn read_time(text: &str) -> Result<Time, StartError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().any(|byte| byte != b'0') {
        return Err(StartError::Fraction);
    }
    let read = ["%H:%M:%S", "%H:%M"].into_iter().find_map(|format| Time::strptime(format, whole).ok());
    read.ok_or_else(|| StartError::Unreadable { part: text.to_owned() })
}

fn read_place(suffix: &str, bracketed: Option<&str>, zones: &Zones<'_>) -> Result<(Place, Option<Note>), StartError> {
    let is_z = suffix.eq_ignore_ascii_case("z");
    let offset = if is_z { Some(Offset::UTC) } else { parse_offset(suffix) };
    if let Some(name) = bracketed {
        let (zone, note) = zones.parse(name)?;
        return match offset {
            // RFC 9557: `Z` says nothing about what the clocks there show; it is the moment alone.
            None if suffix.is_empty() => Ok((Place::Zone(zone, None), note)),
            Some(offset) => Ok((Place::Zone(zone, Some(offset)), note)),
            None => Err(StartError::Unreadable { part: suffix.to_owned() }),
        };
    }
    if suffix.is_empty() {
        return Ok((Place::Unsaid, None));
    }
    if let Some(offset) = offset {
        return Ok((Place::Offset(offset), None));
    }
    let (zone, note) = zones.parse(suffix).map_err(|why| match why {
        // What has the form of neither a name nor letters is not a zone with a mistake.
        ZoneError::Unknown { text } if text.contains([' ', ':', '.']) => StartError::Unreadable { part: text },
        ZoneError::Unknown { .. } | ZoneError::Abbreviation { .. } | ZoneError::Offset { .. } => why.into(),
    })?;
    Ok((Place::Zone(zone, None), note))
}

/// The moment at which a zone's clocks show a time, and what is to be said about it.
pub(super) fn place_in(zone: &Zone, civil: DateTime) -> Result<(Timestamp, Option<Note>), StartError> {
    match shown(zone.time_zone(), civil).ok_or(StartError::TooFar)? {
        Shown::Once(moment) => Ok((moment, None)),
        Shown::Twice { first, .. } => Ok((first, Some(Note::StartInFold { start: civil }))),
        Shown::Never(gap) => Ok((gap.moment, Some(Note::StartInGap { start: civil, taken: gap.to }))),
    }
}

/// The moment at which a zone's clocks show a time while they are so far from UTC.
pub(super) fn place_at(zone: &Zone, civil: DateTime, offset: Offset) -> Result<Timestamp, StartError> {
    let moment = offset.to_timestamp(civil).map_err(|_| StartError::TooFar)?;
    if zone.time_zone().to_offset(moment) == offset {
        return Ok(moment);
    }
    Err(StartError::OtherOffset { offset: print_offset(offset), zone: zone.name().to_owned() })
}

/// Whether it is one of the forms that make sense at the moment of typing only.
fn is_relative(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let word = lower.split_whitespace().next().unwrap_or_default();
    matches!(word, "now" | "today" | "tomorrow") || lower.starts_with('+') || is_time_of_day(&lower)
}

/// A time of day that cannot be a number of something else.
fn is_time_of_day(lower: &str) -> bool {
    time_of_day(lower).is_some() && !lower.bytes().all(|byte| byte.is_ascii_digit())
}

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
        return Ok((render(civil, moment, &zone, zones), note.into_iter().chain(said).collect()));
    }
    let written = read(trimmed, zones).map_err(start)?;
    let (text, said) = match &written.place {
        Place::Unsaid => {
            let (moment, said) = place_in(&zone, written.civil).map_err(start)?;
            (render(written.civil, moment, &zone, zones), note.into_iter().chain(said).collect())
        }
        Place::Zone(named, None) => {
            let (moment, said) = place_in(named, written.civil).map_err(start)?;
            (render(written.civil, moment, named, zones), said.into_iter().collect())
        }
        Place::Zone(named, Some(offset)) => {
            let moment = place_at(named, written.civil, *offset).map_err(start)?;
            (render(written.civil, moment, named, zones), Vec::new())
        }
        Place::Offset(offset) => (rfc3339(written.civil, *offset), Vec::new()),
    };
    Ok((text, written.note.into_iter().chain(said).collect()))
}

/// The time on the zone's clocks, and the moment.
fn resolve(typed: &str, now: Timestamp, zone: &Zone) -> Result<(DateTime, Timestamp), StartError> {
    let lower = &typed.to_ascii_lowercase();
    let far = |_| StartError::TooFar;
    let now = next_whole_second(now).ok_or(StartError::TooFar)?;
    let here = zone.time_zone().to_datetime(now);
    if lower == "now" {
        return Ok((here, now));
    }
    if let Some(quantity) = typed.strip_prefix('+') {
        return match parse_quantity(quantity)? {
            Rule::Calendar { count, unit } => {
                let count = i64::from(count);
                let span = match unit {
                    CalendarUnit::Day => Span::new().try_days(count),
                    CalendarUnit::Week => Span::new().try_weeks(count),
                    CalendarUnit::Month => Span::new().try_months(count),
                    CalendarUnit::Year => Span::new().try_years(count),
                };
                let civil = here.checked_add(span.map_err(far)?).map_err(far)?;
                Ok((civil, place_in(zone, civil)?.0))
            }
            Rule::Exact(duration) => {
                let moment = now.checked_add(duration).map_err(far)?;
                let moment = next_whole_second(moment).ok_or(StartError::TooFar)?;
                Ok((zone.time_zone().to_datetime(moment), moment))
            }
            Rule::Days { .. } | Rule::Cron(_) | Rule::Event(_) => {
                Err(StartError::Unreadable { part: lower.to_owned() })
            }
        };
    }
    let (word, time) = lower.split_once(char::is_whitespace).unwrap_or((lower.as_str(), ""));
    let (date, time) = match word {
        "today" => (here.date(), time),
        "tomorrow" => (here.date().tomorrow().map_err(far)?, time),
        _ => return next_at(lower, now, zone),
    };
    let time = time.trim().strip_prefix("at ").unwrap_or(time).trim();
    let unreadable = || StartError::Unreadable { part: time.to_owned() };
    let time = if time.is_empty() { Time::midnight() } else { time_of_day(time).ok_or_else(unreadable)? };
    let civil = date.to_datetime(time);
    Ok((civil, place_in(zone, civil)?.0))
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
