//! How schedules read and fire.

mod decisions;
mod lives;
mod occurrences;
mod properties;
mod reading;
mod starts;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::{Note, ScheduleError, Timetable, Zone, Zones};
use crate::domain::task::Schedule;

fn find(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// The system's zones, on a machine in Zurich.
fn zones() -> Zones<'static> {
    Zones { find: &find, local: Zone::new("Europe/Zurich", find("Europe/Zurich").unwrap()) }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A schedule from texts, empty where there is none.
fn written(period: &str, cron: &str, start: &str, tz: &str) -> Schedule {
    Schedule { period: some(period), cron: some(cron), start: some(start), tz: some(tz), ..Schedule::default() }
}

fn build(period: &str, cron: &str, start: &str, tz: &str) -> Result<(Timetable, Vec<Note>), ScheduleError> {
    Timetable::build(&written(period, cron, start, tz), &zones())
}

/// A timetable from `period`, which reads cron expressions too.
#[track_caller]
fn table(rule: &str, start: &str, tz: &str) -> Timetable {
    build(rule, "", start, tz).unwrap_or_else(|error| panic!("{rule} | {start} | {tz}: {error:?}")).0
}

#[track_caller]
fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The next occurrences, as the clocks show them: `2025-03-09T03:00-04:00`.
fn next(table: &Timetable, after: Timestamp, count: usize) -> Vec<String> {
    let show = |time: Timestamp| {
        let zoned: Zoned = time.to_zoned(table.zone().time_zone().clone());
        zoned.strftime("%Y-%m-%dT%H:%M%:z").to_string()
    };
    table.iter_after(after).take(count).map(|next| show(next.time)).collect()
}
