//! From what clocks show to moments: the one place that knows about clock changes.
//!
//! A time that the clocks skip is the first moment after the gap; of a time that they show twice, the first.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneTransition};
use jiff::{SignedDuration, Timestamp};

use super::zone::Zone;

/// When the clocks of a zone show a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Once.
    Once(Timestamp),
    /// Twice.
    Twice {
        /// The first time.
        first: Timestamp,
        /// The second.
        second: Timestamp,
    },
    /// Never.
    Never(Gap),
}

/// Which of two moments at which the clocks show the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The first, before the clocks are set back.
    First,
    /// The second.
    Second,
}

impl Zone {
    /// Which of two moments this is; nothing where the clocks show its time once.
    pub fn pass(&self, moment: Timestamp) -> Option<Pass> {
        let zone = self.time_zone();
        match shown(zone, zone.to_datetime(moment))? {
            Shown::Twice { second, .. } if moment >= second => Some(Pass::Second),
            Shown::Twice { .. } => Some(Pass::First),
            Shown::Once(_) | Shown::Never(_) => None,
        }
    }
}

/// Times that the clocks skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// The moment at which they do.
    pub(super) moment: Timestamp,
    /// The first time that they do not show.
    pub(super) from: DateTime,
    /// The first that they show again.
    pub(super) to: DateTime,
}

impl Gap {
    /// Whether no clock ever shows this date.
    pub(super) fn swallows(&self, date: Date) -> bool {
        let ends = date.tomorrow().map(|next| next.to_datetime(jiff::civil::Time::midnight()));
        self.from <= date.to_datetime(jiff::civil::Time::midnight()) && ends.is_ok_and(|ends| ends <= self.to)
    }
}

/// When a zone's clocks show a time; nothing where no moment can be that early or late.
pub(super) fn shown(zone: &TimeZone, civil: DateTime) -> Option<Shown> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok().map(Shown::Once),
        AmbiguousOffset::Fold { before, after } => {
            Some(Shown::Twice { first: before.to_timestamp(civil).ok()?, second: after.to_timestamp(civil).ok()? })
        }
        AmbiguousOffset::Gap { before, after } => {
            // With the later offset the time is still before the change.
            let moment = change_after(zone, after.to_timestamp(civil).ok()?, after)?.timestamp();
            let gap = Gap { moment, from: before.to_datetime(moment), to: after.to_datetime(moment) };
            Some(Shown::Never(gap))
        }
    }
}

/// The first change, strictly after a moment, to this offset.
fn change_after(zone: &TimeZone, moment: Timestamp, to: Offset) -> Option<TimeZoneTransition<'_>> {
    zone.following(moment).take(4).find(|change| change.offset() == to)
}

/// The moment that stands for a time, and the gap that it fell into.
pub(super) fn moment(zone: &TimeZone, civil: DateTime) -> Option<(Timestamp, Option<Gap>)> {
    shown(zone, civil).map(|shown| match shown {
        Shown::Once(moment) | Shown::Twice { first: moment, .. } => (moment, None),
        Shown::Never(gap) => (gap.moment, Some(gap)),
    })
}

/// The time after which the times lie whose moments are still to come.
///
/// That is what the clocks show, except while they show times for the second time: all of these have been.
pub(super) fn passed(zone: &TimeZone, moment: Timestamp) -> DateTime {
    let now = zone.to_offset(moment);
    let civil = now.to_datetime(moment);
    let Some(Shown::Twice { first, second }) = shown(zone, civil) else { return civil };
    if moment < second {
        return civil;
    }
    let Some(change) = change_after(zone, first, now) else { return civil };
    // What they showed at the change, before they were set back, has not been shown yet.
    let behind = Timestamp::duration_since(second, first);
    let repeated_until = now.to_datetime(change.timestamp()).checked_add(behind);
    repeated_until.and_then(|until| until.checked_sub(SignedDuration::from_nanos(1))).unwrap_or(civil)
}
