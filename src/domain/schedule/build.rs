//! From what is written to a timetable, with what a person should know about it.

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};

use super::enumerator::Enumerator;
use super::error::ScheduleError;
use super::mapping::moment;
use super::note::Note;
use super::period::parse_period;
use super::rule::{CalendarUnit, DaySet, Rule};
use super::start::{Place, StartError, Written, place_at, place_in, read};
use super::stepping::Steps;
use super::timetable::{Anchor, Pace, Timetable};
use super::zone::{Zone, Zones};
use crate::domain::task::Schedule;

/// Where a schedule without a start counts from: a Thursday.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Where one in weeks does: the first Monday.
const FIRST_MONDAY: DateTime = DateTime::constant(1970, 1, 5, 0, 0, 0, 0);

impl Timetable {
    /// Reads a schedule as it stands in the registry.
    ///
    /// The zone is `tz`, or the one that the start names, or the start's offset where the rule goes by the calendar,
    /// or the machine's.
    pub fn build(text: &Schedule, zones: &Zones<'_>) -> Result<(Self, Vec<Note>), ScheduleError> {
        let rule = read_rule(text)?;
        let mut notes = match &rule {
            Rule::Cron(cron) => cron.notes(),
            Rule::Exact(_) | Rule::Calendar { .. } | Rule::Days { .. } | Rule::Event(_) => Vec::new(),
        };
        let tz = match &text.tz {
            Some(tz) => {
                let (zone, note) = zones.parse(tz).map_err(|why| ScheduleError::Tz { text: tz.clone(), why })?;
                notes.extend(note);
                Some(zone)
            }
            None => None,
        };
        let (zone, start) = match &text.start {
            Some(start) => {
                let wrong = |why| ScheduleError::Start { text: start.clone(), why };
                let written = read(start, zones).map_err(wrong)?;
                let zone = choose_zone(tz, &written, &rule, zones, &mut notes);
                let anchor = anchor(&written, &zone, &rule, &mut notes).map_err(wrong)?;
                (zone, Some(anchor))
            }
            None => (tz.unwrap_or_else(|| zones.local.clone()), None),
        };
        let pace = pace(&rule, &zone, start);
        Ok((Self { rule, zone, start, pace }, notes))
    }
}

fn read_rule(text: &Schedule) -> Result<Rule, ScheduleError> {
    match (&text.period, &text.cron) {
        (Some(period), None) => parse_period(period).map_err(|why| ScheduleError::Period { text: period.clone(), why }),
        (None, Some(cron)) => Rule::parse_cron(cron).map_err(|why| ScheduleError::Cron { text: cron.clone(), why }),
        (Some(_), Some(_)) => Err(ScheduleError::Both),
        (None, None) => Err(ScheduleError::Neither),
    }
}

fn choose_zone(tz: Option<Zone>, start: &Written, rule: &Rule, zones: &Zones<'_>, notes: &mut Vec<Note>) -> Zone {
    notes.extend(start.note.clone());
    match (tz, &start.place) {
        (Some(tz), Place::Zone(named, _)) => {
            if tz != *named && rule.needs_zone() {
                let (start, schedule) = (named.name().to_owned(), tz.name().to_owned());
                notes.push(Note::OtherZone { start, schedule });
            }
            tz
        }
        (Some(tz), Place::Unsaid | Place::Offset(_)) => tz,
        (None, Place::Zone(named, _)) => named.clone(),
        (None, Place::Offset(offset)) if rule.needs_zone() => {
            let zone = Zone::fixed(*offset);
            notes.push(Note::OffsetIsNoZone { offset: zone.name().to_owned() });
            zone
        }
        (None, Place::Unsaid | Place::Offset(_)) => zones.local.clone(),
    }
}

/// The start's moment, and the time that stands for it on the clocks of the schedule.
fn anchor(start: &Written, zone: &Zone, rule: &Rule, notes: &mut Vec<Note>) -> Result<Anchor, StartError> {
    let own = match &start.place {
        Place::Unsaid => zone.clone(),
        Place::Offset(offset) => Zone::fixed(*offset),
        Place::Zone(named, Some(offset)) => {
            let moment = place_at(named, start.civil, *offset)?;
            return Ok(Anchor { moment, civil: zone.time_zone().to_datetime(moment) });
        }
        Place::Zone(named, None) => named.clone(),
    };
    let (moment, note) = place_in(&own, start.civil)?;
    notes.extend(note);
    // A time that the clocks skip stays what a calendar rule steps from; an exact period has no time of day.
    let same = own == *zone && rule.needs_zone();
    let civil = if same { start.civil } else { zone.time_zone().to_datetime(moment) };
    Ok(Anchor { moment, civil })
}

fn pace(rule: &Rule, zone: &Zone, start: Option<Anchor>) -> Pace {
    match rule {
        Rule::Exact(period) => {
            // A period is at least a second.
            let nanos = i128::try_from(period.as_nanos()).unwrap_or(i128::MAX).max(1);
            let epoch = || moment(zone.time_zone(), EPOCH).map_or(Timestamp::UNIX_EPOCH, |(moment, _)| moment);
            Pace::Exact { anchor: start.map_or_else(epoch, |start| start.moment), nanos }
        }
        Rule::Calendar { count, unit } => {
            let first = match unit {
                CalendarUnit::Week => FIRST_MONDAY,
                CalendarUnit::Day | CalendarUnit::Month | CalendarUnit::Year => EPOCH,
            };
            Pace::Steps(Steps::new(start.map_or(first, |start| start.civil), *count, *unit))
        }
        Rule::Days { days, times } if times.is_empty() => {
            let time = start.map_or(Time::midnight(), |start| start.civil.time());
            Pace::Times(times_on(*days, &[time]))
        }
        Rule::Days { days, times } => Pace::Times(times_on(*days, times)),
        Rule::Cron(cron) if cron.follows_the_clock() => Pace::Clock(cron.enumerator()),
        Rule::Cron(cron) => Pace::Times(cron.enumerator()),
        Rule::Event(_) => Pace::Never,
    }
}

fn times_on(days: DaySet, times: &[Time]) -> Enumerator {
    let days = if days == DaySet::ALL {
        "*".to_owned()
    } else {
        // The crate counts the days of the week from 1.
        days.list().iter().map(|day| (day + 1).to_string()).collect::<Vec<_>>().join(",")
    };
    Enumerator::new(times.iter().map(|time| format!("{} {} {} * * {days}", time.second(), time.minute(), time.hour())))
}
