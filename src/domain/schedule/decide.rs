//! What becomes of every occurrence that is due: it runs, waits, is missed or is skipped, each exactly once.
//!
//! The supervisor records the decisions and what to remember in one transaction, and acts afterwards. An occurrence
//! is *on time* while it is late by no more than [`ON_TIME`]: that is how a supervisor that wakes a little late is
//! told from one that was away.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::count::{Older, Tally};
use super::jitter::Jitter;
use super::overlap::{in_line, single};
use super::policy::{Missed, Policy};
use super::timetable::{Moved, Occurrence, Timetable};

pub use super::overlap::{CATCH_UP, release};

/// How late an occurrence may be and still count as on time.
///
/// Longer than the 20 s after which a supervisor looks at the clock in any case; shorter than any downtime that
/// somebody who sets `missed = "skip"` means.
pub const ON_TIME: Duration = Duration::from_secs(30);

/// By how much the last decided occurrence may lie ahead of the clock at least before the clock is taken to have been
/// wrong.
const SET_BACK: SignedDuration = SignedDuration::from_hours(1);

/// What is kept of a task's schedule from one decision to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The newest occurrence about which something was decided, or the moment from which everything is counted anew.
    pub last: Option<Timestamp>,
    /// When the schedule was first seen, edited or wanted anew: what was before that does not exist.
    pub seen_at: Timestamp,
}

impl Memory {
    /// The moment up to which everything is decided.
    fn floor(self) -> Timestamp {
        self.last.map_or(self.seen_at, |last| last.max(self.seen_at))
    }
}

/// An occurrence that waits for what runs to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Which one.
    pub occurrence: Timestamp,
    /// Whether it is one of a line that catches up.
    pub catch_up: bool,
}

/// What a decision is made from. `Id` names a run.
#[derive(Debug)]
pub struct Facts<'a, Id> {
    /// When the task fires.
    pub timetable: &'a Timetable,
    /// By how much its occurrences are put off.
    pub jitter: Option<&'a Jitter>,
    /// What the last decision left.
    pub memory: Memory,
    /// The clock.
    pub now: Timestamp,
    /// What runs of it.
    pub running: &'a [Id],
    /// What waits of it, oldest first.
    pub waiting: &'a [Waiting],
    /// Whether a lock that it needs is held, by whatever run.
    pub locked: bool,
}

/// What becomes of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<Id> {
    /// It runs now.
    Run,
    /// It runs when everything before it has ended; see [`release`].
    Wait {
        /// Whether it is one of a line that catches up.
        catch_up: bool,
    },
    /// It runs when these have been stopped, and waits until then.
    Replace {
        /// What is to be stopped.
        stop: Vec<Id>,
    },
    /// It does not run, because it is late.
    Missed(Why),
    /// It does not run, because a lock that it needs is held.
    Locked,
    /// It does not run, because of others.
    Skipped {
        /// What runs.
        running: Vec<Id>,
        /// What waits.
        waiting: Option<Timestamp>,
    },
}

/// Why an occurrence was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A newer one runs for all.
    Newer(Timestamp),
    /// Later than the task's `start_deadline` allows.
    Deadline(Duration),
    /// Nobody was there, and the task wants nothing run late.
    Away,
}

/// A decision about one occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<Id> {
    /// Which one: its own time, without jitter.
    pub occurrence: Timestamp,
    /// Why that is not its usual time.
    pub note: Option<Moved>,
    /// By how much it is late.
    pub late: Duration,
    /// What becomes of it.
    pub verdict: Verdict<Id>,
}

/// An occurrence that waited, was recorded as waiting, and does not run after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Displaced {
    /// Which one.
    pub occurrence: Timestamp,
    /// The one in its place.
    pub by: Timestamp,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decisions<Id> {
    /// One decision for each occurrence that is due, oldest first; at most [`CATCH_UP`].
    pub rows: Vec<Decision<Id>>,
    /// Occurrences before these: all missed, not listed one by one.
    pub older: Option<Older>,
    /// What no longer waits.
    pub displaced: Vec<Displaced>,
    /// What to remember.
    pub memory: Memory,
    /// The moment up to which things had been decided, where the clock was set back so far that it must have been
    /// wrong: everything is counted from now on.
    pub clock_was_wrong: Option<Timestamp>,
}

/// Decides about every occurrence in (last decided, now].
pub fn decide<Id: Clone>(facts: &Facts<'_, Id>, policy: &Policy) -> Decisions<Id> {
    let nothing =
        Decisions { rows: Vec::new(), older: None, displaced: Vec::new(), memory: facts.memory, clock_was_wrong: None };
    let floor = facts.memory.floor();
    if floor > facts.now {
        if was_wrong(facts, floor) {
            // What a right clock decided before now stays decided, also when the schedule is edited next.
            let memory = Memory { last: Some(facts.now), seen_at: facts.now };
            return Decisions { memory, clock_was_wrong: Some(floor), ..nothing };
        }
        return nothing;
    }
    let (mut due, older) = facts.timetable.newest(floor, facts.now, CATCH_UP);
    // What is put off beyond now is not due yet, nor is what comes after it.
    let ready = due.iter().position(|occurrence| put_off(occurrence.time, facts.jitter) > facts.now);
    due.truncate(ready.unwrap_or(due.len()));
    let last = due.last().map(|newest| newest.time).or(older.map(|older| older.through));
    let Some(last) = last else { return nothing };
    let (rows, displaced) = decide_each(&due, facts, policy);
    let memory = Memory { last: Some(last), ..facts.memory };
    Decisions { rows, older, displaced, memory, ..nothing }
}

/// The moment at which the next decision is due: the next occurrence with its jitter.
pub fn next_due(timetable: &Timetable, memory: Memory, jitter: Option<&Jitter>) -> Option<Timestamp> {
    timetable.after(memory.floor()).map(|next| put_off(next.time, jitter))
}

/// Whether the clock has been set back by more than can be waited for.
fn was_wrong<Id>(facts: &Facts<'_, Id>, floor: Timestamp) -> bool {
    let mut ahead = facts.timetable.iter_after(facts.now);
    let period = match (ahead.next(), ahead.next()) {
        (Some(first), Some(second)) => second.time.duration_since(first.time),
        (_, None) | (None, Some(_)) => SignedDuration::ZERO,
    };
    floor.duration_since(facts.now) > period.max(SET_BACK)
}

fn put_off(time: Timestamp, jitter: Option<&Jitter>) -> Timestamp {
    let delay = jitter.map_or(Duration::ZERO, |jitter| jitter.delay(time));
    time.checked_add(delay).unwrap_or(Timestamp::MAX)
}

fn decide_each<Id: Clone>(
    due: &[Occurrence],
    facts: &Facts<'_, Id>,
    policy: &Policy,
) -> (Vec<Decision<Id>>, Vec<Displaced>) {
    let late = |occurrence: &Occurrence| {
        let late = facts.now.duration_since(put_off(occurrence.time, facts.jitter));
        Duration::try_from(late).unwrap_or(Duration::ZERO)
    };
    let newest = due.last().map_or(facts.now, |newest| newest.time);
    let missed: Vec<Option<Why>> =
        due.iter().map(|occurrence| why_missed(occurrence.time, late(occurrence), newest, policy)).collect();
    let runs: Vec<Occurrence> =
        due.iter().zip(&missed).filter(|(_, why)| why.is_none()).map(|(occurrence, _)| *occurrence).collect();
    let placed = match runs.as_slice() {
        [one] if policy.missed != Missed::All || late(one) <= ON_TIME => single(one.time, facts, policy),
        several => in_line(&several.iter().map(|one| one.time).collect::<Vec<_>>(), facts),
    };
    let mut verdicts = placed.verdicts.into_iter();
    let rows = due.iter().zip(missed).filter_map(|(occurrence, why)| {
        let verdict = match why {
            Some(why) => Verdict::Missed(why),
            // One for each that is not missed.
            None => verdicts.next()?,
        };
        Some(Decision { occurrence: occurrence.time, note: occurrence.note, late: late(occurrence), verdict })
    });
    (rows.collect(), placed.displaced)
}

/// Why an occurrence does not run because it is late; none where it does.
fn why_missed(time: Timestamp, late: Duration, newest: Timestamp, policy: &Policy) -> Option<Why> {
    if let Some(deadline) = policy.start_deadline.filter(|deadline| late > *deadline) {
        return Some(Why::Deadline(deadline));
    }
    match policy.missed {
        Missed::Skip if late > ON_TIME => Some(Why::Away),
        Missed::Once | Missed::Skip if time < newest => Some(Why::Newer(newest)),
        Missed::Once | Missed::Skip | Missed::All => None,
    }
}

impl<Id> Decisions<Id> {
    /// How many were missed without being listed.
    pub fn unlisted(&self) -> Option<Tally> {
        self.older.map(|older| older.count)
    }
}
