//! The field `start`: the moment from which a schedule counts, and before which it never fires.
//!
//! In the file it is absolute. What somebody types may be relative to the moment of typing; [`super::typed`] makes of
//! it what is written to the file.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use thiserror::Error;

use super::mapping::{Shown, shown};
use super::note::Note;
use super::period::PeriodError;
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
pub(super) fn is_relative(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let word = lower.split_whitespace().next().unwrap_or_default();
    matches!(word, "now" | "today" | "tomorrow") || lower.starts_with('+') || is_time_of_day(&lower)
}

/// A time of day that cannot be a number of something else.
fn is_time_of_day(lower: &str) -> bool {
    time_of_day(lower).is_some() && !lower.bytes().all(|byte| byte.is_ascii_digit())
}
