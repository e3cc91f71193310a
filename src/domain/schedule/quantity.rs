//! Numbers with units: how much time, exactly or on the calendar.

use std::time::Duration;

use super::period::PeriodError;
use super::rule::{CalendarUnit, Rule};

/// The shortest period.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest period, in days: a hundred years.
const LONGEST_DAYS: u64 = 36_525;

/// What a unit stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    /// So many milliseconds.
    Exact(u64),
    /// So many of these.
    Calendar(u32, CalendarUnit),
}

/// Every unit, under each of its names.
pub(super) const UNITS: [(&str, Unit); 25] = [
    ("s", Unit::Exact(1000)),
    ("sec", Unit::Exact(1000)),
    ("secs", Unit::Exact(1000)),
    ("second", Unit::Exact(1000)),
    ("seconds", Unit::Exact(1000)),
    ("m", Unit::Exact(60_000)),
    ("min", Unit::Exact(60_000)),
    ("mins", Unit::Exact(60_000)),
    ("minute", Unit::Exact(60_000)),
    ("minutes", Unit::Exact(60_000)),
    ("h", Unit::Exact(3_600_000)),
    ("hr", Unit::Exact(3_600_000)),
    ("hrs", Unit::Exact(3_600_000)),
    ("hour", Unit::Exact(3_600_000)),
    ("hours", Unit::Exact(3_600_000)),
    ("d", Unit::Calendar(1, CalendarUnit::Day)),
    ("day", Unit::Calendar(1, CalendarUnit::Day)),
    ("days", Unit::Calendar(1, CalendarUnit::Day)),
    ("week", Unit::Calendar(1, CalendarUnit::Week)),
    ("weeks", Unit::Calendar(1, CalendarUnit::Week)),
    ("month", Unit::Calendar(1, CalendarUnit::Month)),
    ("months", Unit::Calendar(1, CalendarUnit::Month)),
    ("quarter", Unit::Calendar(3, CalendarUnit::Month)),
    ("year", Unit::Calendar(1, CalendarUnit::Year)),
    ("years", Unit::Calendar(1, CalendarUnit::Year)),
];

/// Periods that have a name of their own.
pub(super) const NAMED: [(&str, Unit); 5] = [
    ("hourly", Unit::Exact(3_600_000)),
    ("daily", Unit::Calendar(1, CalendarUnit::Day)),
    ("weekly", Unit::Calendar(1, CalendarUnit::Week)),
    ("monthly", Unit::Calendar(1, CalendarUnit::Month)),
    ("yearly", Unit::Calendar(1, CalendarUnit::Year)),
];

/// A single letter is a unit in its own case only, a word in any.
pub(super) fn find_unit(word: &str, units: &[(&str, Unit)]) -> Option<Unit> {
    let lower = word.to_ascii_lowercase();
    let name = if word.len() == 1 { word } else { lower.as_str() };
    units.iter().find(|(known, _)| *known == name || (*known == "quarter" && name == "quarters")).map(|(_, unit)| *unit)
}

/// `2 min`, `1h30m`, `1.5 h`, `3 months`.
pub(super) fn parse_quantity(text: &str) -> Result<Rule, PeriodError> {
    let mut rest = text.trim();
    let mut millis: u64 = 0;
    let mut calendar = None;
    while !rest.is_empty() {
        let digits = rest.find(|byte: char| !(byte.is_ascii_digit() || byte == '.')).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        if number.is_empty() {
            return Err(not_a_number(rest));
        }
        let behind = behind.trim_start();
        let letters = behind.find(|letter: char| !letter.is_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        if unit.is_empty() {
            return Err(PeriodError::NoUnit { number: number.to_owned() });
        }
        let known = find_unit(unit, &UNITS).ok_or_else(|| PeriodError::Unit { unit: unit.to_owned() })?;
        rest = behind.trim_start();
        match known {
            Unit::Exact(size) if calendar.is_none() => millis = millis.saturating_add(scaled(number, size)?),
            Unit::Calendar(times, of) if millis == 0 && calendar.is_none() => {
                calendar = Some(Rule::Calendar { count: whole(number, unit)?.saturating_mul(times), unit: of });
            }
            Unit::Exact(_) | Unit::Calendar(..) => return Err(PeriodError::Mixed { unit: unit.to_owned() }),
        }
    }
    check_length(calendar.unwrap_or(Rule::Exact(Duration::from_millis(millis))))
}

fn not_a_number(text: &str) -> PeriodError {
    if text.starts_with('-') {
        return PeriodError::NotPositive;
    }
    PeriodError::Number { text: text.split_whitespace().next().unwrap_or_default().to_owned() }
}

/// A decimal number of units, in milliseconds.
fn scaled(number: &str, size: u64) -> Result<u64, PeriodError> {
    let wrong = || PeriodError::Number { text: number.to_owned() };
    let (units, parts) = match number.split_once('.') {
        Some((units, parts)) => (units, parts.trim_end_matches('0')),
        None => (number, ""),
    };
    if units.is_empty() || number.ends_with('.') || parts.contains('.') {
        return Err(wrong());
    }
    let digits = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let Some(scale) = 10_u64.checked_pow(digits).filter(|_| digits <= 9) else {
        return Err(PeriodError::TooFine { number: number.to_owned() });
    };
    let part = if parts.is_empty() { 0 } else { parts.parse::<u64>().map_err(|_| wrong())? * size };
    if part % scale != 0 {
        return Err(PeriodError::TooFine { number: number.to_owned() });
    }
    // So many digits are too long in any unit.
    let units = units.parse().unwrap_or(u64::MAX);
    Ok(u64::saturating_mul(units, size).saturating_add(part / scale))
}

fn whole(number: &str, unit: &str) -> Result<u32, PeriodError> {
    if number.contains('.') {
        return Err(PeriodError::Fraction { number: number.to_owned(), unit: unit.to_owned() });
    }
    Ok(number.parse().unwrap_or(u32::MAX))
}

fn check_length(rule: Rule) -> Result<Rule, PeriodError> {
    let longest = Duration::from_hours(LONGEST_DAYS * 24);
    match &rule {
        Rule::Exact(duration) if duration.is_zero() => Err(PeriodError::NotPositive),
        Rule::Exact(duration) if *duration < SHORTEST => Err(PeriodError::TooShort),
        Rule::Exact(duration) if *duration > longest => Err(PeriodError::TooLong),
        Rule::Calendar { count: 0, .. } => Err(PeriodError::NotPositive),
        Rule::Calendar { count, unit } => {
            let days: u64 = match unit {
                CalendarUnit::Day => 1,
                CalendarUnit::Week => 7,
                CalendarUnit::Month => 30,
                CalendarUnit::Year => 365,
            };
            if u64::from(*count) * days > LONGEST_DAYS { Err(PeriodError::TooLong) } else { Ok(rule) }
        }
        Rule::Exact(_) | Rule::Days { .. } | Rule::Cron(_) | Rule::Event(_) => Ok(rule),
    }
}
