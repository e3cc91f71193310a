//! What a person is told about a schedule that is right, and may still not be what was meant.

use std::fmt;

use jiff::civil::DateTime;

use super::field::CronField;
use super::words::print_time;

/// One remark about a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The seed's `EST`, read as an offset.
    Est,
    /// A calendar rule counts in an offset, because nothing names a zone.
    OffsetIsNoZone {
        /// The offset.
        offset: String,
    },
    /// The start is a time that the clocks skip.
    StartInGap {
        /// The time.
        start: DateTime,
        /// What the clocks show instead at the moment that is taken.
        taken: DateTime,
    },
    /// The start is a time that the clocks show twice; the first is taken.
    StartInFold {
        /// The time.
        start: DateTime,
    },
    /// The start names one zone, and the schedule counts in another.
    OtherZone {
        /// The zone of the start.
        start: String,
        /// The zone of the schedule.
        schedule: String,
    },
    /// Steps through a field that do not come out even at its end.
    Uneven {
        /// The field.
        field: CronField,
        /// The step.
        step: u32,
    },
    /// Both fields for days are restricted: either is enough.
    EitherDay {
        /// The days, in words.
        days: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Est => f.write_str(
                "`EST` is read as -05:00 and has no summer time; \
                 for the clocks of New York write `America/New_York`",
            ),
            Self::OffsetIsNoZone { offset } => {
                write!(f, "{offset} has no summer time; add `tz = …` for the clocks of a place")
            }
            Self::StartInGap { start, taken } => {
                let skipped = start.strftime("%Y-%m-%d %H:%M");
                write!(f, "the clocks skip {skipped}; the start is moved to {}", print_time(taken.time()))
            }
            Self::StartInFold { start } => {
                write!(f, "the clocks show {} twice; the first time is the start", start.strftime("%Y-%m-%d %H:%M"))
            }
            Self::OtherZone { start, schedule } => {
                write!(f, "the start is read in {start}, the schedule counts in {schedule}")
            }
            Self::Uneven { field, step } => {
                write!(f, "`*/{step}` starts anew at {}", field.wrap())?;
                match field.unit() {
                    Some(unit) => write!(f, "; for even steps use `period = \"{step} {unit}\"`"),
                    None => Ok(()),
                }
            }
            Self::EitherDay { days } => write!(f, "either of the two fields for days is enough: it runs on {days}"),
        }
    }
}
