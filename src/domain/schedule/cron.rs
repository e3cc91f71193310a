//! A cron expression of five fields, with the meaning that POSIX and cronie give it.

use thiserror::Error;

use super::enumerator::Enumerator;
use super::field::{CronField, Values};
use super::note::Note;
use super::words::{MONTHS_IN_FULL, WEEKDAYS_IN_FULL, spoken};

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CronError {
    /// Not five fields.
    #[error("{count} fields instead of five")]
    Fields {
        /// How many there are.
        count: usize,
        /// The period that was probably meant, where seconds were.
        period: Option<String>,
        /// Whether it has a word that no field knows.
        words: bool,
    },
    /// Neither a number nor a name of this field.
    #[error("`{value}` is not a {}", field.name())]
    Value {
        /// The field.
        field: CronField,
        /// What stands there.
        value: String,
    },
    /// A number that the field does not have.
    #[error("the {} `{value}` is out of range", field.name())]
    OutOfRange {
        /// The field.
        field: CronField,
        /// The number.
        value: String,
    },
    /// A range that goes round the end of its field.
    #[error("the {} range `{range}` ends before it begins", field.name())]
    Backwards {
        /// The field.
        field: CronField,
        /// The range.
        range: String,
        /// The list that says the same.
        instead: String,
    },
    /// No number from 1.
    #[error("`{step}` is not a step for the {}", field.name())]
    Step {
        /// The field.
        field: CronField,
        /// What stands there.
        step: String,
    },
    /// A step over more than the whole field.
    #[error("the step {step} is larger than the {} field", field.name())]
    StepTooLarge {
        /// The field.
        field: CronField,
        /// The step.
        step: u32,
    },
    /// A step from a single value.
    #[error("`{item}` is a step from a single {}", field.name())]
    StepOfOne {
        /// The field.
        field: CronField,
        /// What stands there.
        item: String,
        /// What says in every cron what some read from it.
        instead: String,
    },
    /// No date is ever like that.
    #[error("it never matches: there is no such date")]
    Never,
    /// `@every 2m`, which some other schedulers know.
    #[error("`@every` is not known here")]
    AtEvery {
        /// What follows it, as a period.
        period: String,
    },
    /// Another word behind an `@`.
    #[error("`{word}` is not known")]
    AtWord {
        /// The word.
        word: String,
    },
}

impl CronError {
    /// What to do about it.
    pub fn hints(&self) -> Vec<String> {
        vec![match self {
            Self::Fields { period: Some(period), .. } => {
                format!("cron has no seconds here; use `period = \"{period}\"`")
            }
            Self::Fields { words: true, .. } => "write words into `period`, as in `period = \"every day at 9\"`".into(),
            Self::Fields { count, .. } if *count > 5 => {
                "leave out seconds and year: the five are minute, hour, day of the month, month, day of the week".into()
            }
            Self::Fields { .. } => "give minute, hour, day of the month, month and day of the week".into(),
            Self::Value { field, value } => value_hint(*field, value),
            Self::OutOfRange { field, .. } => bounds_hint(*field),
            Self::Backwards { instead, .. } | Self::StepOfOne { instead, .. } => format!("write `{instead}`"),
            Self::Step { .. } => "give a whole number from 1".into(),
            Self::StepTooLarge { field, step } => match field.unit() {
                Some(unit) => format!("use `period = \"{step} {unit}\"`"),
                None => format!("give a step up to {}", field.size()),
            },
            Self::Never => "February has at most 29 days; April, June, September and November have 30".into(),
            Self::AtEvery { period } => format!("use `period = \"{period}\"`"),
            Self::AtWord { .. } => {
                "use one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, @reboot, @start".into()
            }
        }]
    }
}

fn bounds_hint(field: CronField) -> String {
    let (low, high) = field.bounds();
    let names = match field {
        CronField::Minute | CronField::Hour | CronField::Day => "",
        CronField::Month => ", or jan to dec",
        CronField::Weekday => " (both 0 and 7 are Sunday), or sun to sat",
    };
    format!("the {} goes from {low} to {high}{names}", field.name())
}

fn value_hint(field: CronField, value: &str) -> String {
    match value {
        "?" => "write `*`".to_owned(),
        _ if value.contains('~') => "use `jitter` for a time that is put off by chance".to_owned(),
        _ => bounds_hint(field),
    }
}

/// A cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minute: Values,
    hour: Values,
    day: Values,
    month: Values,
    weekday: Values,
}

impl Cron {
    /// Reads five fields.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let text = text.to_ascii_lowercase();
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(wrong_count(&fields));
        };
        let cron = Self {
            minute: Values::parse(CronField::Minute, minute)?,
            hour: Values::parse(CronField::Hour, hour)?,
            day: Values::parse(CronField::Day, day)?,
            month: Values::parse(CronField::Month, month)?,
            weekday: Values::parse(CronField::Weekday, weekday)?,
            text: fields.join(" "),
        };
        if cron.enumerator().first().is_some() { Ok(cron) } else { Err(CronError::Never) }
    }

    /// The expression as it was written, in small letters and with single spaces.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the hour field starts with `*`: such a rule follows the clock, instead of meaning fixed times.
    pub fn follows_the_clock(&self) -> bool {
        self.hour.star
    }

    /// What a person should know about it.
    pub fn notes(&self) -> Vec<Note> {
        let fields = [
            (CronField::Minute, self.minute),
            (CronField::Hour, self.hour),
            (CronField::Day, self.day),
            (CronField::Month, self.month),
            (CronField::Weekday, self.weekday),
        ];
        let mut notes: Vec<Note> = Vec::new();
        for (field, values) in fields {
            // Months have different lengths: no step but one comes out even.
            let size = if field == CronField::Day { 1 } else { field.size() };
            if let Some(step) = values.step.filter(|step| *step > 1 && (size == 1 || size % step != 0)) {
                notes.push(Note::Uneven { field, step });
            }
        }
        if self.either_day() {
            notes.push(Note::EitherDay { days: self.days_in_words() });
        }
        notes
    }

    /// The times without a zone at which it fires.
    pub(super) fn enumerator(&self) -> Enumerator {
        let minute = self.minute.print(CronField::Minute, 0);
        let hour = self.hour.print(CronField::Hour, 0);
        let month = self.month.print(CronField::Month, 0);
        let day = self.day.print(CronField::Day, 0);
        // The crate counts the days of the week from 1.
        let weekday = self.weekday.print(CronField::Weekday, 1);
        // The crate wants both of the day fields to match.
        let days = if self.either_day() {
            vec![(day, "*".to_owned()), ("*".to_owned(), weekday)]
        } else {
            vec![(day, weekday)]
        };
        Enumerator::new(days.iter().map(|(day, weekday)| format!("0 {minute} {hour} {day} {month} {weekday}")))
    }

    /// As in cronie: when neither of the two day fields starts with `*`, either is enough.
    fn either_day(&self) -> bool {
        !self.day.star && !self.weekday.star
    }

    fn days_in_words(&self) -> String {
        let name = |names: &[&str], at: u32| {
            usize::try_from(at).ok().and_then(|at| names.get(at)).map_or_else(String::new, ToString::to_string)
        };
        let mut days: Vec<String> =
            self.day.list().into_iter().map(|day| format!("the {day}{}", ending(day))).collect();
        days.extend(self.weekday.list().into_iter().map(|day| format!("every {}", name(&WEEKDAYS_IN_FULL, day))));
        let months: Vec<String> =
            self.month.list().into_iter().map(|month| name(&MONTHS_IN_FULL, month.wrapping_sub(1))).collect();
        let of = if months.len() == 12 { String::new() } else { format!(", in {}", spoken(&months)) };
        spoken(&days) + &of
    }
}

fn ending(day: u32) -> &'static str {
    match day {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    }
}

fn wrong_count(fields: &[&str]) -> CronError {
    let period = match fields {
        [first, rest @ ..] if fields.len() > 5 => {
            let seconds =
                first.strip_prefix("*/").map(|step| format!("{step} s")).or((*first == "*").then(|| "1 s".into()));
            seconds.filter(|_| rest.iter().all(|field| *field == "*" || *field == "?"))
        }
        _ => None,
    };
    let known = |field: &&str| field.len() <= 3 || !field.bytes().all(|byte| byte.is_ascii_alphabetic());
    CronError::Fields { count: fields.len(), period, words: !fields.iter().all(known) }
}
