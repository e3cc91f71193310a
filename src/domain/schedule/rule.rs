//! What a schedule says: how often, without where and from when.

use std::fmt;
use std::time::Duration;

use jiff::civil::Time;

use super::cron::{Cron, CronError};
use super::words::{WEEKDAYS, print_time, spoken};

/// A unit that is as long as the calendar makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalendarUnit {
    /// From a time of day to the same one on the next day.
    Day,
    /// Seven days.
    Week,
    /// From a day of the month to the same one in the next month, or that month's last.
    Month,
    /// Twelve months.
    Year,
}

impl CalendarUnit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// Some days of the week: bit n is the day n from Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DaySet(u8);

impl DaySet {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);
    /// Monday to Friday.
    pub const WEEKDAYS: Self = Self(0b011_1110);
    /// Saturday and Sunday.
    pub const WEEKEND: Self = Self(0b100_0001);

    /// One day, from Sunday = 0.
    pub(super) fn one(day: u8) -> Self {
        Self(1 << (day % 7))
    }

    /// The days of both.
    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The days from Sunday = 0, in order.
    pub(super) fn list(self) -> Vec<u8> {
        (0..7).filter(|day| self.0 >> day & 1 == 1).collect()
    }
}

impl fmt::Display for DaySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => f.write_str("day"),
            Self::WEEKDAYS => f.write_str("weekday"),
            Self::WEEKEND => f.write_str("weekend"),
            // The week begins on Monday, as it is spoken.
            set => {
                let mut days = set.list();
                days.sort_by_key(|day| (day + 6) % 7);
                let name = |day: &u8| WEEKDAYS.get(usize::from(*day)).and_then(|forms| forms.first());
                f.write_str(&spoken(&days.iter().filter_map(name).map(ToString::to_string).collect::<Vec<_>>()))
            }
        }
    }
}

/// What a task waits for instead of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The first supervisor since the machine was booted: `@reboot`.
    Reboot,
    /// Each start of a supervisor: `@start`.
    Start,
}

impl Event {
    /// When that is, for a person.
    pub fn when(self) -> &'static str {
        match self {
            Self::Reboot => "once after each boot of the machine",
            Self::Start => "once for each supervisor that begins",
        }
    }

    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reboot => "@reboot",
            Self::Start => "@start",
        }
    }
}

/// How often a task fires by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Each time so much time has passed.
    Exact(Duration),
    /// Each time the calendar has moved on by so many units.
    Calendar {
        /// How many, at least one.
        count: u32,
        /// Of what.
        unit: CalendarUnit,
    },
    /// At times of day, on days of the week.
    Days {
        /// The days.
        days: DaySet,
        /// The times; none stands for the start's time of day, or midnight.
        times: Vec<Time>,
    },
    /// A cron expression.
    Cron(Cron),
    /// Not at any time.
    Event(Event),
}

impl Rule {
    /// Reads what stands in the field `cron`: five fields, or a word such as `@daily`.
    pub fn parse_cron(text: &str) -> Result<Self, CronError> {
        let trimmed = text.trim();
        if trimmed.starts_with('@') { Self::parse_word(trimmed) } else { Cron::parse(trimmed).map(Self::Cron) }
    }

    /// Reads a word that begins with `@`.
    pub(super) fn parse_word(text: &str) -> Result<Self, CronError> {
        let word = text.to_ascii_lowercase();
        let fields = match word.as_str() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@reboot" => return Ok(Self::Event(Event::Reboot)),
            "@start" => return Ok(Self::Event(Event::Start)),
            _ => return Err(unknown_word(text, &word)),
        };
        Cron::parse(fields).map(Self::Cron)
    }

    /// Whether it counts in days as clocks and calendars show them, so that the zone matters.
    pub fn needs_zone(&self) -> bool {
        match self {
            Self::Calendar { .. } | Self::Days { .. } | Self::Cron(_) => true,
            Self::Exact(_) | Self::Event(_) => false,
        }
    }
}

/// `@every 2m` can be said otherwise; other words are just unknown.
fn unknown_word(text: &str, word: &str) -> CronError {
    match word.strip_prefix("@every") {
        Some(rest) => {
            let said = match super::period::parse_period(rest) {
                Ok(Rule::Exact(duration)) => print_exact(duration),
                Ok(Rule::Calendar { .. } | Rule::Days { .. } | Rule::Cron(_) | Rule::Event(_)) | Err(_) => {
                    rest.trim().to_owned()
                }
            };
            CronError::AtEvery { period: if said.is_empty() { "2 min".to_owned() } else { said } }
        }
        None => CronError::AtWord { word: text.to_owned() },
    }
}

/// An exact duration as a period, in the largest unit that makes it a whole number.
pub(super) fn print_exact(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [("h", 3_600_000), ("min", 60_000), ("s", 1000)] {
        if millis.is_multiple_of(size) {
            return format!("{} {unit}", millis / size);
        }
    }
    let fraction = format!("{:03}", millis % 1000);
    format!("{}.{} s", millis / 1000, fraction.trim_end_matches('0'))
}

/// The canonical text, which the field `period` reads as the same rule.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(duration) => match duration.as_millis() {
                1000 => f.write_str("every second"),
                60_000 => f.write_str("every minute"),
                3_600_000 => f.write_str("every hour"),
                _ => write!(f, "every {}", print_exact(*duration)),
            },
            Self::Calendar { count: 1, unit } => write!(f, "every {}", unit.as_str()),
            Self::Calendar { count, unit } => write!(f, "every {count} {}s", unit.as_str()),
            // Without a time, `every day` is one calendar day: the same moments.
            Self::Days { days, times } if times.is_empty() => write!(f, "every {days}"),
            Self::Days { days, times } => {
                let times: Vec<String> = times.iter().map(|time| print_time(*time)).collect();
                write!(f, "every {days} at {}", spoken(&times))
            }
            Self::Cron(cron) => f.write_str(cron.as_str()),
            Self::Event(event) => f.write_str(event.as_str()),
        }
    }
}
