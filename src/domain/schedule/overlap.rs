//! What becomes of an occurrence that is to run while an earlier one still does.

use jiff::Timestamp;

use super::decide::{Displaced, Facts, Verdict, Waiting};
use super::policy::{Overlap, Policy};

/// The most occurrences that wait for their turn, and that are run late after a time away.
pub const CATCH_UP: usize = 100;

/// What becomes of occurrences that are to run, oldest first, and what has to make room for them.
pub(super) struct Placed<Id> {
    /// One verdict for each.
    pub(super) verdicts: Vec<Verdict<Id>>,
    /// What waited, and no longer does.
    pub(super) displaced: Vec<Displaced>,
}

/// Several at once, or one that is late under `missed = all`: one after another, behind what waits already.
pub(super) fn in_line<Id>(times: &[Timestamp], facts: &Facts<'_, Id>) -> Placed<Id> {
    let free = facts.running.is_empty() && facts.waiting.is_empty() && !facts.locked;
    let verdicts: Vec<Verdict<Id>> = (0..times.len())
        .map(|at| if at == 0 && free { Verdict::Run } else { Verdict::Wait { catch_up: true } })
        .collect();
    let surplus = (facts.waiting.len() + times.len()).saturating_sub(CATCH_UP);
    let displaced = match times.last() {
        Some(newest) => facts.waiting.iter().take(surplus).map(|out| displaced(out, *newest)).collect(),
        None => Vec::new(),
    };
    Placed { verdicts, displaced }
}

/// A single one, by the task's policy. A lock that is held is treated as an earlier run: what is to replace that waits,
/// since what holds a lock may be nobody's earlier run, and what may run beside it does not, since a lock is a lock.
pub(super) fn single<Id: Clone>(time: Timestamp, facts: &Facts<'_, Id>, policy: &Policy) -> Placed<Id> {
    let (busy, line) = (!facts.running.is_empty(), !facts.waiting.is_empty());
    let catching_up = facts.waiting.iter().any(|waiting| waiting.catch_up);
    let one = |verdict| Placed { verdicts: vec![verdict], displaced: Vec::new() };
    let instead = |verdict| {
        let out = facts.waiting.iter().filter(|waiting| !waiting.catch_up);
        Placed { verdicts: vec![verdict], displaced: out.map(|out| displaced(out, time)).collect() }
    };
    let skipped = || Verdict::Skipped {
        running: facts.running.to_vec(),
        waiting: facts.waiting.first().map(|waiting| waiting.occurrence),
    };
    match policy.overlap {
        Overlap::Skip if busy || line => one(skipped()),
        Overlap::Skip | Overlap::Allow if facts.locked => one(Verdict::Locked),
        Overlap::Queue if busy || line || facts.locked => instead(Verdict::Wait { catch_up: false }),
        Overlap::Replace if busy => instead(Verdict::Replace { stop: facts.running.to_vec() }),
        Overlap::Replace if catching_up || facts.locked => instead(Verdict::Wait { catch_up: false }),
        Overlap::Replace => instead(Verdict::Run),
        Overlap::Allow
            if policy
                .max_running
                .is_some_and(|most| facts.running.len() >= usize::try_from(most).unwrap_or(usize::MAX)) =>
        {
            one(skipped())
        }
        Overlap::Skip | Overlap::Queue | Overlap::Allow => one(Verdict::Run),
    }
}

/// The occurrence that waits and may run now.
pub fn release<Id>(running: &[Id], waiting: &[Waiting], locked: bool) -> Option<Timestamp> {
    if running.is_empty() && !locked { waiting.iter().map(|waiting| waiting.occurrence).min() } else { None }
}

fn displaced(out: &Waiting, by: Timestamp) -> Displaced {
    Displaced { occurrence: out.occurrence, by }
}
