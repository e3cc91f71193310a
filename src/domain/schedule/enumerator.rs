//! Times without a zone, one after another: the crate `cron`, kept to the one thing it does well.
//!
//! The crate counts on an axis that only pretends to be UTC, where no clock is ever changed; what is done about
//! real clocks is in [`super::mapping`]. It knows the years 1970 to 2100; beyond them there is nothing.

use std::str::FromStr;
use std::time::Duration;

use chrono::{Datelike, NaiveDate, Timelike, Utc};
use jiff::civil::DateTime;

/// Several lists of times, merged.
#[derive(Debug, Clone)]
pub(super) struct Enumerator(Vec<::cron::Schedule>);

impl Enumerator {
    /// Takes texts in the crate's own form: seconds first, days of the week from 1 = Sunday.
    pub(super) fn new(texts: impl Iterator<Item = String>) -> Self {
        // What our own parser has passed, the crate knows; a text that it did not know would never fire, which is
        // what the check for expressions that never match refuses.
        Self(texts.filter_map(|text| ::cron::Schedule::from_str(&text).ok()).collect())
    }

    /// The first time of all.
    pub(super) fn first(&self) -> Option<DateTime> {
        self.after(DateTime::constant(1969, 12, 31, 23, 59, 59, 0))
    }

    /// The first time that is strictly after another one.
    pub(super) fn after(&self, civil: DateTime) -> Option<DateTime> {
        let civil = to_chrono(civil)?;
        self.0.iter().filter_map(|schedule| schedule.after(&civil).next()).min().and_then(|next| to_jiff(&next))
    }
}

impl Enumerator {
    /// The least time between two times; none where there are not two.
    pub(super) fn shortest(&self) -> Option<Duration> {
        // Times of day are the same each day, and there are at most 1440 of them.
        let mut least: Option<Duration> = None;
        let mut last = self.first()?;
        for _ in 0..1500 {
            let Some(next) = self.after(last) else { break };
            let apart = Duration::try_from(next.duration_since(last)).ok()?;
            least = Some(least.map_or(apart, |least| least.min(apart)));
            if apart <= Duration::from_mins(1) {
                break;
            }
            last = next;
        }
        least
    }
}

/// Cuts the fraction of a second off, which is before any whole second that comes after it.
fn to_chrono(civil: DateTime) -> Option<chrono::DateTime<Utc>> {
    let unsigned = |part: i8| u32::try_from(part).ok();
    let date = NaiveDate::from_ymd_opt(i32::from(civil.year()), unsigned(civil.month())?, unsigned(civil.day())?)?;
    let time = date.and_hms_opt(unsigned(civil.hour())?, unsigned(civil.minute())?, unsigned(civil.second())?)?;
    Some(time.and_utc())
}

fn to_jiff(next: &chrono::DateTime<Utc>) -> Option<DateTime> {
    let small = |part: u32| i8::try_from(part).ok();
    DateTime::new(
        i16::try_from(next.year()).ok()?,
        small(next.month())?,
        small(next.day())?,
        small(next.hour())?,
        small(next.minute())?,
        small(next.second())?,
        0,
    )
    .ok()
}
