//! What a slot has claimed in one transaction, and how much that may be.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::evidence::{Ended, Record};
use crate::domain::name::RunId;
use crate::domain::outcome::Outcome;
use crate::ledger::queue::Claimed;
use crate::process::clock;
use crate::process::record::PLACES;
use crate::process::wait::{Woken, since};

use super::books::Done;

/// How long after its claim a job may wait for those that were claimed with it; and how long an end may wait for being
/// recorded together with others.
const MOMENT: Duration = Duration::from_millis(10);

/// Jobs that were claimed together, in the order in which they are to run.
pub(super) struct Hand {
    left: VecDeque<Claimed>,
    began: Duration,
    /// How many of them were begun.
    begun: usize,
    /// The numbers of runs that somebody has asked to end meanwhile.
    asked: Vec<u64>,
    /// Whether the session ends.
    is_over: bool,
}

impl Hand {
    pub(super) fn new(claimed: Vec<Claimed>) -> Self {
        Self { left: claimed.into(), began: clock::since_boot(), begun: 0, asked: Vec::new(), is_over: false }
    }

    /// The next job, with its place in the record.
    pub(super) fn next(&mut self) -> Option<(usize, Claimed)> {
        let next = self.left.pop_front()?;
        let place = self.begun;
        self.begun += 1;
        Some((place, next))
    }

    /// Takes note of what is asked for: the end of a run, which may be still to come, or of all.
    pub(super) fn ask(&mut self, woken: Woken) {
        match woken {
            Woken::Term(Some(number)) | Woken::Int(number) => self.asked.push(number),
            Woken::Term(None) => self.is_over = true,
            Woken::Child | Woken::Time | Woken::Heard | Woken::Pause => {}
        }
    }

    /// Whether the session ends, and with it the work in this slot.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether somebody has asked for the end of a run that has not begun.
    pub(super) fn is_to_end(&self, run: RunId) -> bool {
        self.asked.contains(&run.low64())
    }

    /// Whether there is nothing left to begin.
    pub(super) fn is_played(&self) -> bool {
        self.left.is_empty()
    }

    /// Whether what was claimed has waited long enough.
    pub(super) fn is_late(&self) -> bool {
        since(self.began) >= MOMENT
    }

    /// How long a script that begins now may last before the others are seen to, on the boot-time clock: those that were
    /// claimed with it wait since their claim, and where there are none, the ends before it for its own.
    pub(super) fn deadline(&self) -> Duration {
        let from = if self.is_played() { clock::since_boot() } else { self.began };
        from.saturating_add(MOMENT)
    }

    /// What has not begun does not begin here.
    pub(super) fn give_back(&mut self) -> Vec<Done> {
        self.left.drain(..).map(|claimed| not_begun(&claimed)).collect()
    }
}

/// The end of a run that was claimed and not begun.
pub(super) fn not_begun(claimed: &Claimed) -> Done {
    Done { run: claimed.run, record: Record::default(), end: Ended::unseen(Outcome::NeverStarted) }
}

/// How many jobs are claimed at once: as many as end within a moment, as far as the last ones tell.
pub(super) struct Pace(usize);

impl Default for Pace {
    fn default() -> Self {
        Self(1)
    }
}

impl Pace {
    /// How many the next hand may have.
    pub(super) fn many(&self) -> usize {
        self.0
    }

    /// A hand has been played.
    pub(super) fn went(&mut self, hand: &Hand) {
        self.0 = next(self.0, hand.begun, since(hand.began));
    }
}

/// How many after a hand of which so many jobs were begun and have lasted so long; twice as many at most.
fn next(many: usize, begun: usize, lasted: Duration) -> usize {
    let each = lasted.as_micros().max(1) / begun.max(1) as u128;
    let fit = usize::try_from(MOMENT.as_micros() / each.max(1)).unwrap_or(PLACES);
    fit.min(many * 2).clamp(1, PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_of_runs_to_come_is_remembered() {
        let mut hand = Hand::new(Vec::new());
        let run = |byte| RunId::from_bytes([byte; 16]);
        for woken in [Woken::Child, Woken::Term(Some(run(1).low64())), Woken::Time, Woken::Int(run(2).low64())] {
            hand.ask(woken);
        }
        assert_eq!([1, 2, 3].map(|byte| hand.is_to_end(run(byte))), [true, true, false]);
        assert!(!hand.is_over());
        hand.ask(Woken::Term(None));
        assert!(hand.is_over());
    }

    #[test]
    fn as_many_are_claimed_as_end_within_a_moment() {
        let millis = Duration::from_millis;
        assert_eq!(next(1, 1, millis(1)), 2);
        assert_eq!(next(2, 2, millis(2)), 4);
        assert_eq!(next(8, 8, millis(8)), 10);
        assert_eq!(next(16, 16, millis(1)), PLACES);
        assert_eq!(next(10, 10, millis(20)), 5);
        assert_eq!(next(4, 1, millis(30)), 1);
        assert_eq!(next(1, 0, Duration::ZERO), 2);
    }
}
