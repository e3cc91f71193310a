//! The newest of many occurrences, without looking at all of them.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::timetable::{Occurrence, Pace, Timetable};

/// How many there are, as far as they were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// So many.
    Exactly(u64),
    /// More than this.
    MoreThan(u64),
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::MoreThan(count) => write!(f, "more than {count}"),
        }
    }
}

/// Occurrences that are not listed one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Older {
    /// They are later than this.
    pub after: Timestamp,
    /// Not later than this, which is the last of them or a moment behind it.
    pub through: Timestamp,
    /// How many they are.
    pub count: Tally,
}

/// So many are counted one by one where they cannot be computed.
const COUNTED: u64 = 10_000;

impl Timetable {
    /// The newest `most` occurrences in (after, through], oldest first, and what lies before them.
    pub(super) fn newest(&self, after: Timestamp, through: Timestamp, most: usize) -> (Vec<Occurrence>, Option<Older>) {
        let mut span = self.span_of(most);
        loop {
            let from = through.checked_sub(span).ok().filter(|from| *from > after).unwrap_or(after);
            let mut found: Vec<Occurrence> =
                self.iter_after(from).take_while(|occurrence| occurrence.time <= through).collect();
            if from > after && found.len() < most {
                span = span.saturating_mul(4);
                continue;
            }
            let newest = found.split_off(found.len().saturating_sub(most));
            let before = newest.first().and_then(|first| first.time.checked_sub(SignedDuration::from_nanos(1)).ok());
            let older = before.and_then(|through| self.older(after, through));
            return (newest, older);
        }
    }

    /// How many occurrences there are in (after, through].
    pub fn count(&self, after: Timestamp, through: Timestamp) -> Tally {
        self.older(after, through).map_or(Tally::Exactly(0), |counted| counted.count)
    }

    /// About the time that so many occurrences take where they follow each other closely.
    fn span_of(&self, most: usize) -> SignedDuration {
        let count = i32::try_from(most).unwrap_or(i32::MAX);
        match &self.pace {
            Pace::Exact { nanos, .. } => {
                let span = nanos.saturating_mul(i128::from(count));
                SignedDuration::from_nanos(i64::try_from(span).unwrap_or(i64::MAX))
            }
            Pace::Steps(steps) => steps.shortest().saturating_mul(count),
            Pace::Times(_) | Pace::Clock(_) | Pace::Never => SignedDuration::from_mins(1).saturating_mul(count),
        }
    }

    fn older(&self, after: Timestamp, through: Timestamp) -> Option<Older> {
        let first = self.after(after).filter(|first| first.time <= through)?;
        let count = match &self.pace {
            Pace::Exact { nanos, .. } => {
                let apart = through.as_nanosecond() - first.time.as_nanosecond();
                Tally::Exactly(u64::try_from(apart.div_euclid(*nanos) + 1).unwrap_or(u64::MAX))
            }
            Pace::Steps(_) | Pace::Times(_) | Pace::Clock(_) | Pace::Never => {
                let due = self.iter_after(after).take_while(|occurrence| occurrence.time <= through);
                let counted = due.zip(0..=COUNTED).map(|(_, at)| at + 1).last().unwrap_or(0);
                if counted > COUNTED { Tally::MoreThan(COUNTED) } else { Tally::Exactly(counted) }
            }
        };
        Some(Older { after, through, count })
    }
}
