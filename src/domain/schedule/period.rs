//! The field `period`: a closed grammar, in which every word either means one thing or is an error that names it.

use std::time::Duration;

use jiff::civil::Time;
use thiserror::Error;

use super::cron::{Cron, CronError};
use super::quantity::{NAMED, UNITS, Unit, find_unit, parse_quantity};
use super::rule::{CalendarUnit, DaySet, Rule, print_exact};
use super::words::{WEEKDAYS, time_of_day, weekday};
use crate::domain::suggest::nearest;

/// Why a text is no period.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PeriodError {
    /// Nothing stands there.
    #[error("it is empty")]
    Empty,
    /// A word that means nothing here.
    #[error("`{word}` is not known")]
    Word {
        /// The word.
        word: String,
    },
    /// A unit that means nothing here.
    #[error("`{unit}` is not a unit")]
    Unit {
        /// The unit.
        unit: String,
    },
    /// A number alone.
    #[error("`{number}` has no unit")]
    NoUnit {
        /// The number.
        number: String,
    },
    /// Something that begins like a number and is none.
    #[error("`{text}` is not a number")]
    Number {
        /// What stands there.
        text: String,
    },
    /// No time at all, or less.
    #[error("it is not more than zero")]
    NotPositive,
    /// Less than a second.
    #[error("it is shorter than one second")]
    TooShort,
    /// More than anybody waits for.
    #[error("it is longer than a hundred years")]
    TooLong,
    /// A part of a unit that has no fixed length.
    #[error("{number} {unit} is not a whole number of calendar days")]
    Fraction {
        /// The number.
        number: String,
        /// The unit.
        unit: String,
    },
    /// More digits than are kept.
    #[error("`{number}` is finer than a millisecond")]
    TooFine {
        /// The number.
        number: String,
    },
    /// A calendar unit beside another one.
    #[error("`{unit}` cannot be added to another unit")]
    Mixed {
        /// The unit.
        unit: String,
    },
    /// Days without anything between them, or nothing where a day should be.
    #[error("`{text}` is not one day")]
    List {
        /// What stands there.
        text: String,
    },
    /// Not a time of day.
    #[error("`{text}` is not a time of day")]
    Time {
        /// What stands there.
        text: String,
    },
    /// A time of day beside something that is not a day.
    #[error("`at` goes with days only")]
    At,
    /// A cron expression with a mistake, or an unknown word with an `@`.
    #[error(transparent)]
    Cron(#[from] CronError),
}

impl PeriodError {
    /// What to do about it.
    pub fn hints(&self) -> Vec<String> {
        vec![match self {
            Self::Empty => "write how often, as in `2 min`, `day` or `every weekday at 9`".into(),
            Self::Word { word } => match nearest(word, known_words()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "try `2 min`, `1h30m`, `day`, `every weekday at 9` or `mon and fri at 9:30`".into(),
            },
            Self::Unit { unit } if unit == "M" => "write `min` or `months`".into(),
            Self::Unit { unit } => match UNITS.iter().find(|(name, _)| *name == unit.to_lowercase()) {
                Some((name, _)) => format!("write `{name}`"),
                None => match nearest(unit, UNITS.iter().map(|(name, _)| *name).filter(|name| name.len() > 1)) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => "use s, min, h, day, week, month, quarter or year".into(),
                },
            },
            Self::NoUnit { number } => format!("write `{number} s`, `{number} min` or another unit"),
            Self::Number { .. } => "write a number and a unit, as in `2 min`".into(),
            Self::NotPositive | Self::TooShort | Self::TooFine { .. } => "the shortest period is `1 s`".into(),
            Self::TooLong => "for something that happens once, start the task without a period".into(),
            Self::Fraction { .. } => "use hours, which can be divided: `36 h`".into(),
            Self::Mixed { .. } => "days, weeks, months and years stand alone; use hours for a sum".into(),
            Self::List { .. } => "put `,` or `and` between two days".into(),
            Self::Time { .. } => "write `9`, `09:30`, `9am` or `21:15`".into(),
            Self::At => "use `start` for the time of day, and `period` for the number of days".into(),
            Self::Cron(why) => return why.hints(),
        }]
    }
}

fn known_words() -> impl Iterator<Item = &'static str> {
    let units = UNITS.iter().map(|(name, _)| *name).filter(|name| name.len() > 2);
    let named = NAMED.iter().map(|(name, _)| *name);
    let days = WEEKDAYS.iter().flat_map(|forms| forms.iter().copied());
    units.chain(named).chain(days).chain(["every", "weekday", "weekend", "and", "at"])
}

/// Reads a period.
pub fn parse_period(text: &str) -> Result<Rule, PeriodError> {
    let trimmed = text.trim();
    if trimmed.starts_with('@') {
        return Ok(Rule::parse_word(trimmed)?);
    }
    let words: Vec<&str> = trimmed.split_whitespace().collect();
    if looks_like_cron(&words) {
        return Ok(Rule::Cron(Cron::parse(trimmed)?));
    }
    let words = match words.split_first() {
        Some((first, rest)) if first.eq_ignore_ascii_case("every") => rest,
        _ => &words,
    };
    let (what, times) = match words.iter().position(|word| word.eq_ignore_ascii_case("at")) {
        Some(at) => {
            let (what, times) = words.split_at(at);
            (what, Some(parse_times(&times.iter().skip(1).copied().collect::<Vec<_>>().join(" "))?))
        }
        None => (words, None),
    };
    let head = what.join(" ");
    if head.is_empty() {
        return Err(PeriodError::Empty);
    }
    match (times, head.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))) {
        (None, true) => parse_quantity(&head),
        (Some(_), true) => Err(PeriodError::At),
        (None, false) => parse_name(&head),
        (Some(times), false) => match find_unit(&head, &UNITS).or_else(|| find_unit(&head, &NAMED)) {
            Some(Unit::Calendar(1, CalendarUnit::Day)) => Ok(Rule::Days { days: DaySet::ALL, times }),
            Some(Unit::Exact(_) | Unit::Calendar(..)) => Err(PeriodError::At),
            None => Ok(Rule::Days { days: parse_days(&head)?, times }),
        },
    }
}

/// Whether somebody meant five fields: a star anywhere, or two words in front that only cron would read.
fn looks_like_cron(words: &[&str]) -> bool {
    let field = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit() || b"*,-/?".contains(&byte));
    words.iter().any(|word| word.contains('*')) || (words.len() > 1 && words.iter().take(2).all(field))
}

/// `day`, `weekly`, `weekday`, `mon and fri`.
fn parse_name(text: &str) -> Result<Rule, PeriodError> {
    match find_unit(text, &UNITS).or_else(|| find_unit(text, &NAMED)) {
        Some(Unit::Exact(millis)) => Ok(Rule::Exact(Duration::from_millis(millis))),
        Some(Unit::Calendar(count, unit)) => Ok(Rule::Calendar { count, unit }),
        None if text.len() == 1 => Err(PeriodError::Unit { unit: text.to_owned() }),
        None => Ok(Rule::Days { days: parse_days(text)?, times: Vec::new() }),
    }
}

/// What stands between commas and `and`s; an empty item is a list that begins, ends or goes on with nothing.
fn items(text: &str) -> Vec<String> {
    let spaced = text.to_ascii_lowercase().replace(',', " , ");
    let mut items = vec![String::new()];
    let mut comma = false;
    for word in spaced.split_whitespace() {
        match word {
            // `mon, tue, and wed`
            "and" if comma => comma = false,
            "," | "and" => {
                items.push(String::new());
                comma = word == ",";
            }
            _ => {
                comma = false;
                if let Some(item) = items.last_mut() {
                    if !item.is_empty() {
                        item.push(' ');
                    }
                    item.push_str(word);
                }
            }
        }
    }
    items
}

fn parse_days(text: &str) -> Result<DaySet, PeriodError> {
    items(text).iter().try_fold(DaySet::default(), |days, item| {
        let more = day_set(item).ok_or_else(|| unknown_day(item))?;
        Ok(days.with(more))
    })
}

fn day_set(word: &str) -> Option<DaySet> {
    match word {
        "weekday" | "weekdays" => Some(DaySet::WEEKDAYS),
        "weekend" | "weekends" => Some(DaySet::WEEKEND),
        _ => weekday(word).map(DaySet::one),
    }
}

/// Names the first word that is not a day, of what was taken for one.
fn unknown_day(item: &str) -> PeriodError {
    match item.split_whitespace().find(|word| day_set(word).is_none() && *word != "day") {
        Some(word) => PeriodError::Word { word: word.to_owned() },
        None => PeriodError::List { text: item.to_owned() },
    }
}

fn parse_times(text: &str) -> Result<Vec<Time>, PeriodError> {
    let read = |item: &String| time_of_day(item).ok_or_else(|| PeriodError::Time { text: item.clone() });
    let mut times: Vec<Time> = items(text).iter().map(read).collect::<Result<_, _>>()?;
    times.sort_unstable();
    times.dedup();
    Ok(times)
}

/// A period as text that [`parse_period`] reads back, for hints.
pub fn print_period(duration: Duration) -> String {
    print_exact(duration)
}
