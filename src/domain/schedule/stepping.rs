//! Steps on the calendar: step k is the anchor and k periods more, computed from the anchor each time.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Span};

use super::rule::CalendarUnit;

/// Steps of whole days or months from an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steps {
    anchor: DateTime,
    size: Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Days(i64),
    Months(i64),
}

impl Steps {
    pub(super) fn new(anchor: DateTime, count: u32, unit: CalendarUnit) -> Self {
        let count = i64::from(count.max(1));
        let size = match unit {
            CalendarUnit::Day => Size::Days(count),
            CalendarUnit::Week => Size::Days(count * 7),
            CalendarUnit::Month => Size::Months(count),
            CalendarUnit::Year => Size::Months(count * 12),
        };
        Self { anchor, size }
    }

    /// The first step that is strictly after a time.
    pub(super) fn after(&self, civil: DateTime) -> Option<DateTime> {
        // Step k is on the same date, or in the same month, or before it; step k + 1 is behind it.
        let k = self.whole(civil);
        [k, k.checked_add(1)?].into_iter().filter_map(|k| self.step(k)).find(|step| *step > civil)
    }

    /// How many whole steps lie between the anchor and a time, by date or month alone.
    fn whole(&self, civil: DateTime) -> i64 {
        let months = |civil: DateTime| i64::from(civil.year()) * 12 + i64::from(civil.month());
        match self.size {
            Size::Days(days) => {
                let apart = civil.date().duration_since(self.anchor.date());
                (apart.as_secs() / 86_400).div_euclid(days)
            }
            Size::Months(size) => (months(civil) - months(self.anchor)).div_euclid(size),
        }
    }

    fn step(&self, k: i64) -> Option<DateTime> {
        let span = match self.size {
            Size::Days(days) => Span::new().try_days(k.checked_mul(days)?),
            Size::Months(months) => Span::new().try_months(k.checked_mul(months)?),
        };
        self.anchor.checked_add(span.ok()?).ok()
    }

    /// The least time between two steps, where clocks are not changed.
    pub(super) fn shortest(&self) -> SignedDuration {
        let days = match self.size {
            Size::Days(days) => days,
            Size::Months(months) => months * 28,
        };
        SignedDuration::from_hours(days * 24)
    }
}
