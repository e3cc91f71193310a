//! The occurrences of a schedule: which one is next, after any moment.
//!
//! Exact periods count the time that passes. Everything else is a list of times that clocks show, from which
//! `mapping` makes moments; a cron expression whose hour field starts with `*` follows the clock instead:
//! it fires whenever the clock shows one of its times, twice where it shows it twice.

use std::fmt;
use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::{SignedDuration, Timestamp};

use super::enumerator::Enumerator;
use super::mapping::{moment, passed};
use super::rule::{CalendarUnit, Event, Rule};
use super::stepping::Steps;
use super::words::print_time;
use super::zone::Zone;

/// That an occurrence is not at its own time, because clocks were set forward over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The time that they skipped.
    pub from: DateTime,
    /// What they showed next.
    pub to: DateTime,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from.date() == self.to.date() {
            write!(f, "moved from {}", print_time(self.from.time()))
        } else {
            write!(f, "moved from {} {}", self.from.date(), print_time(self.from.time()))
        }
    }
}

/// One moment at which a schedule is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// The moment.
    pub time: Timestamp,
    /// Why it is not at its usual time.
    pub note: Option<Moved>,
}

impl Occurrence {
    fn at(time: Timestamp) -> Self {
        Self { time, note: None }
    }
}

/// The start of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor {
    /// The moment.
    pub(super) moment: Timestamp,
    /// The time that stands for it on the clocks of the schedule, which may be one that they skip.
    pub(super) civil: DateTime,
}

/// How the next occurrence is found.
#[derive(Debug, Clone)]
pub(super) enum Pace {
    /// Moments at equal distances in nanoseconds from the first.
    Exact { anchor: Timestamp, nanos: i128 },
    /// Steps on the calendar.
    Steps(Steps),
    /// Fixed times on the clock.
    Times(Enumerator),
    /// Whenever the clock shows one of these times.
    Clock(Enumerator),
    /// Never.
    Never,
}

/// When a task fires by itself.
#[derive(Debug, Clone)]
pub struct Timetable {
    pub(super) rule: Rule,
    pub(super) zone: Zone,
    pub(super) start: Option<Anchor>,
    pub(super) pace: Pace,
}

impl Timetable {
    /// The first occurrence strictly after a moment; none where there is none before the year 2101, or none at all.
    pub fn after(&self, time: Timestamp) -> Option<Occurrence> {
        let ahead = self.start.filter(|start| time < start.moment);
        let floor = match ahead {
            Some(start) => start.moment.checked_sub(SignedDuration::from_nanos(1)).ok()?,
            None => time,
        };
        let next = match &self.pace {
            Pace::Exact { anchor, nanos } => {
                let k = (floor.as_nanosecond() - anchor.as_nanosecond()).div_euclid(*nanos) + 1;
                Timestamp::from_nanosecond(anchor.as_nanosecond() + k * nanos).ok().map(Occurrence::at)
            }
            // The start itself, also where it is the second of two times that the clocks show alike.
            Pace::Steps(_) if ahead.is_some() => self.first(),
            Pace::Steps(_) | Pace::Times(_) => self.next_time(floor),
            Pace::Clock(times) => self.next_on_the_clock(times, floor),
            Pace::Never => None,
        };
        next.filter(|next| next.time > time)
    }

    /// The occurrences strictly after a moment.
    pub fn iter_after(&self, time: Timestamp) -> impl Iterator<Item = Occurrence> + '_ {
        let mut last = time;
        std::iter::from_fn(move || self.after(last).inspect(|next| last = next.time))
    }

    /// What it waits for, where that is not a time.
    pub fn event(&self) -> Option<Event> {
        match self.rule {
            Rule::Event(event) => Some(event),
            Rule::Exact(_) | Rule::Calendar { .. } | Rule::Days { .. } | Rule::Cron(_) => None,
        }
    }

    /// How often it fires.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Whose clocks it goes by.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The moment before which it does not fire.
    pub fn start(&self) -> Option<Timestamp> {
        self.start.map(|start| start.moment)
    }

    /// What it says, in one form: `every weekday at 09:00 Europe/Zurich`, `every 2 min`.
    ///
    /// A rule that does not depend on a zone names one only with a start.
    pub fn describe(&self) -> String {
        let rule = match &self.rule {
            Rule::Calendar { count: 1, unit: CalendarUnit::Day } => {
                format!("every day at {}", print_time(self.time_of_day()))
            }
            Rule::Days { days, times } if times.is_empty() => {
                format!("every {days} at {}", print_time(self.time_of_day()))
            }
            rule @ (Rule::Calendar { .. } | Rule::Exact(_) | Rule::Days { .. } | Rule::Cron(_) | Rule::Event(_)) => {
                rule.to_string()
            }
        };
        let zone = self.zone.name();
        match (self.start, self.rule.needs_zone()) {
            (Some(start), _) => {
                let date = start.civil.date();
                format!("{rule} from {date} {} {zone}", print_time(start.civil.time()))
            }
            (None, true) => format!("{rule} {zone}"),
            (None, false) => rule,
        }
    }

    /// The least time between two occurrences, where clocks are not changed.
    pub fn shortest(&self) -> Option<Duration> {
        match &self.pace {
            Pace::Exact { nanos, .. } => u64::try_from(*nanos).ok().map(Duration::from_nanos),
            Pace::Steps(steps) => steps.shortest().try_into().ok(),
            Pace::Times(times) | Pace::Clock(times) => times.shortest(),
            Pace::Never => None,
        }
    }

    fn time_of_day(&self) -> Time {
        self.start.map_or(Time::midnight(), |start| start.civil.time())
    }

    fn first(&self) -> Option<Occurrence> {
        let start = self.start?;
        let skipped = moment(self.zone.time_zone(), start.civil).and_then(|(_, gap)| gap);
        Some(Occurrence { time: start.moment, note: skipped.map(|gap| Moved { from: start.civil, to: gap.to }) })
    }

    fn civil_after(&self, civil: DateTime) -> Option<DateTime> {
        match &self.pace {
            Pace::Steps(steps) => steps.after(civil),
            Pace::Times(times) | Pace::Clock(times) => times.after(civil),
            Pace::Exact { .. } | Pace::Never => None,
        }
    }

    /// The next of the fixed times, as a moment.
    ///
    /// Moments follow each other as their times do: only those in one gap become one moment, which is later than the
    /// clock can show before it, and so is found once. A date that no clock shows has no occurrence of its own where
    /// the next date has one: a daily task is to run once on each date that there is.
    fn next_time(&self, floor: Timestamp) -> Option<Occurrence> {
        let zone = self.zone.time_zone();
        let mut civil = passed(zone, floor);
        // More than one round is needed only behind a date that does not exist.
        for _ in 0..4 {
            let time = self.civil_after(civil)?;
            let (found, gap) = moment(zone, time)?;
            let Some(gap) = gap else { return Some(Occurrence::at(found)) };
            let before = gap.to.date().to_datetime(Time::midnight()).checked_sub(SignedDuration::from_nanos(1)).ok()?;
            let stands_in = || self.civil_after(before).is_some_and(|next| next.date() == gap.to.date());
            if !gap.swallows(time.date()) || !stands_in() {
                return Some(Occurrence { time: found, note: Some(Moved { from: time, to: gap.to }) });
            }
            civil = before;
        }
        None
    }

    /// The next moment at which the clock shows one of the times: from one clock change to the next, each with its
    /// own offset.
    fn next_on_the_clock(&self, times: &Enumerator, floor: Timestamp) -> Option<Occurrence> {
        let zone = self.zone.time_zone();
        let mut offset = zone.to_offset(floor);
        let mut civil = offset.to_datetime(floor);
        let mut changes = zone.following(floor);
        // The times end with the year 2100; few zones change their clocks more than twice a year.
        for _ in 0..2000 {
            let found = offset.to_timestamp(times.after(civil)?).ok()?;
            match changes.next().filter(|change| change.timestamp() <= found) {
                None => return Some(Occurrence::at(found)),
                Some(change) => {
                    offset = change.offset();
                    civil = offset.to_datetime(change.timestamp()).checked_sub(SignedDuration::from_nanos(1)).ok()?;
                }
            }
        }
        None
    }
}
