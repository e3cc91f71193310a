//! When a task fires by itself: from what is written (`period`, `cron`, `start`, `tz`) to moments, and from moments
//! that have come to what is done about each.
//!
//! In reading order: [`rule`] says what a schedule is, [`period`] and [`cron`] read one, [`start`] and [`zone`] read
//! where and from when it counts, [`timetable`] puts these together and finds the next occurrence, [`jitter`] puts
//! it off by a little, [`mod@decide`] says what becomes of every occurrence that is due. The one rule for clock changes
//! is in `mapping`. Nothing here reads a clock or a zone database: `now` and the zones are given.

mod build;
pub mod count;
pub mod cron;
pub mod decide;
mod enumerator;
pub mod error;
mod field;
pub mod jitter;
mod mapping;
pub mod note;
mod overlap;
pub mod period;
pub mod policy;
mod quantity;
pub mod rule;
pub mod start;
mod stepping;
pub mod timetable;
pub mod typed;
mod words;
pub mod zone;

#[cfg(test)]
mod tests;

pub use count::Tally;
pub use decide::{Decision, Decisions, Facts, Memory, Verdict, decide};
pub use error::{Part, ScheduleError};
pub use jitter::Jitter;
pub use mapping::Pass;
pub use note::Note;
pub use policy::{Missed, Overlap, Policy};
pub use rule::{Event, Rule};
pub use timetable::{Moved, Occurrence, Timetable};
pub use typed::{resolve_moment, resolve_start};
pub use zone::{Zone, Zones};
