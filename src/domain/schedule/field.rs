//! One of the five fields of a cron expression: its text, its values, what is wrong with it.

use super::cron::CronError;
use super::words::{MONTHS, weekday};

/// Which field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronField {
    /// The first.
    Minute,
    /// The second.
    Hour,
    /// The third.
    Day,
    /// The fourth.
    Month,
    /// The fifth.
    Weekday,
}

impl CronField {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day of the month",
            Self::Month => "month",
            Self::Weekday => "day of the week",
        }
    }

    /// The lowest value and the highest.
    pub fn bounds(self) -> (u32, u32) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Month => (1, 12),
            Self::Weekday => (0, 7),
        }
    }

    /// How many values there are (Sunday counts once).
    pub fn size(self) -> u32 {
        match self {
            Self::Minute => 60,
            Self::Hour => 24,
            Self::Day => 31,
            Self::Month => 12,
            Self::Weekday => 7,
        }
    }

    /// The unit of a period that steps evenly where this field does not.
    pub(super) fn unit(self) -> Option<&'static str> {
        match self {
            Self::Minute => Some("min"),
            Self::Hour => Some("h"),
            Self::Day => Some("days"),
            Self::Month => Some("months"),
            Self::Weekday => None,
        }
    }

    /// Where its values start again.
    pub(super) fn wrap(self) -> &'static str {
        match self {
            Self::Minute => "the hour",
            Self::Hour => "midnight",
            Self::Day => "the first of the month",
            Self::Month => "the new year",
            Self::Weekday => "each Sunday",
        }
    }

    /// Reads a number or a name.
    fn value(self, text: &str) -> Result<u32, CronError> {
        let named = match self {
            Self::Month => MONTHS.iter().zip(1..).find(|(name, _)| **name == text).map(|(_, number)| number),
            Self::Weekday => weekday(text).filter(|_| text.len() == 3).map(u32::from),
            Self::Minute | Self::Hour | Self::Day => None,
        };
        if let Some(value) = named {
            return Ok(value);
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CronError::Value { field: self, value: text.to_owned() });
        }
        let (low, high) = self.bounds();
        let value = text.parse().ok().filter(|value| (low..=high).contains(value));
        value.ok_or_else(|| CronError::OutOfRange { field: self, value: text.to_owned() })
    }
}

/// The values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Values {
    /// Bit n: the value n is one of them (Sunday is 0).
    mask: u64,
    /// Whether the text starts with `*`, which is what decides whether it restricts anything.
    pub(super) star: bool,
    /// The step, where the text is `*/step` and nothing else.
    pub(super) step: Option<u32>,
}

impl Values {
    /// Reads a field's text, in small letters.
    pub(super) fn parse(field: CronField, text: &str) -> Result<Self, CronError> {
        let mut mask = 0;
        for item in text.split(',') {
            mask |= item_mask(field, item)?;
        }
        let step = text.strip_prefix("*/").and_then(|step| step.parse().ok());
        Ok(Self { mask, star: text.starts_with('*'), step })
    }

    /// The values in order.
    pub(super) fn list(self) -> Vec<u32> {
        (0..64).filter(|value| self.mask >> value & 1 == 1).collect()
    }

    /// The values as the crate wants them, each raised by so much; `*` where they are all.
    pub(super) fn print(self, field: CronField, raise: u32) -> String {
        let list = self.list();
        if u32::try_from(list.len()) == Ok(field.size()) {
            return "*".to_owned();
        }
        let words: Vec<String> = list.iter().map(|value| (value + raise).to_string()).collect();
        words.join(",")
    }
}

/// The values of one item of a list: `*`, `5`, `1-5`, with a step where there are several.
fn item_mask(field: CronField, item: &str) -> Result<u64, CronError> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(parse_step(field, step)?)),
        None => (item, None),
    };
    let (low, high) = field.bounds();
    let (from, to) = if range == "*" {
        (low, low + field.size() - 1)
    } else if let Some((from, to)) = range.split_once('-') {
        let (from, mut to) = (field.value(from)?, field.value(to)?);
        if field == CronField::Weekday && to == 0 && from > 0 {
            to = 7;
        }
        if to < from {
            return Err(CronError::Backwards {
                field,
                range: item.to_owned(),
                instead: around(field, range, from, to, step),
            });
        }
        (from, to)
    } else {
        let value = field.value(range)?;
        if let Some(step) = step {
            return Err(CronError::StepOfOne {
                field,
                item: item.to_owned(),
                instead: format!("{value}-{high}/{step}"),
            });
        }
        (value, value)
    };
    let steps = (from..=to).step_by(usize::try_from(step.unwrap_or(1)).unwrap_or(usize::MAX));
    Ok(steps.fold(0, |mask, value| mask | 1 << wrapped(field, value)))
}

fn parse_step(field: CronField, text: &str) -> Result<u32, CronError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // So many digits are larger than any field.
    let step = if digits { text.parse().unwrap_or(u32::MAX) } else { 0 };
    if step == 0 {
        return Err(CronError::Step { field, step: text.to_owned() });
    }
    if step > field.size() { Err(CronError::StepTooLarge { field, step }) } else { Ok(step) }
}

/// Sunday is 0, also where 7 is written.
fn wrapped(field: CronField, value: u32) -> u32 {
    if field == CronField::Weekday { value % 7 } else { value }
}

/// A range that goes round the end of its field, as a list that cron understands.
fn around(field: CronField, range: &str, from: u32, to: u32, step: Option<u32>) -> String {
    let (low, _) = field.bounds();
    let last = low + field.size() - 1;
    let named = range.bytes().any(|byte| byte.is_ascii_alphabetic());
    let name = |value: u32| {
        let at = usize::try_from(value).unwrap_or(usize::MAX);
        let name = match field {
            CronField::Weekday => super::words::WEEKDAYS.get(at).and_then(|forms| forms.first()),
            CronField::Month => MONTHS.get(at.wrapping_sub(1)),
            CronField::Minute | CronField::Hour | CronField::Day => None,
        };
        name.filter(|_| named).map_or_else(|| value.to_string(), |name| (*name).to_owned())
    };
    let values = || (from..=last).chain(low..=to).step_by(usize::try_from(step.unwrap_or(1)).unwrap_or(usize::MAX));
    if values().count() > 8 && step.is_none() {
        return format!("{}-{},{}-{}", name(from), name(last), name(low), name(to));
    }
    values().map(name).collect::<Vec<_>>().join(",")
}
