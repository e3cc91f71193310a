//! What is to be done when: moments on the boot-time clock, one for each thing.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

/// Things and their moments. A thing has at most one.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    moments: HashMap<T, Duration>,
    order: BTreeSet<(Duration, T)>,
}

impl<T: Clone + Ord + Hash> Agenda<T> {
    pub(super) fn new() -> Self {
        Self { moments: HashMap::new(), order: BTreeSet::new() }
    }

    /// Sets the moment of a thing; an earlier setting no longer counts.
    pub(super) fn set(&mut self, thing: T, at: Duration) {
        self.cancel(&thing);
        self.order.insert((at, thing.clone()));
        self.moments.insert(thing, at);
    }

    /// Sets the moment of a thing that has none yet.
    pub(super) fn set_if_unset(&mut self, thing: T, at: Duration) {
        if !self.moments.contains_key(&thing) {
            self.set(thing, at);
        }
    }

    /// Takes the moment of a thing away.
    pub(super) fn cancel(&mut self, thing: &T) {
        if let Some(at) = self.moments.remove(thing) {
            self.order.remove(&(at, thing.clone()));
        }
    }

    /// Takes everything whose moment has come, in order.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<T> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.order.first()
            && *at <= now
            && let Some((_, thing)) = self.order.pop_first()
        {
            self.moments.remove(&thing);
            due.push(thing);
        }
        due
    }

    /// The next moment.
    pub(super) fn next(&self) -> Option<Duration> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The moment of a thing.
    pub(super) fn moment(&self, thing: &T) -> Option<Duration> {
        self.moments.get(thing).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_has_one_moment_and_is_taken_once() {
        let second = Duration::from_secs;
        let mut agenda = Agenda::new();
        agenda.set("a", second(5));
        agenda.set("b", second(3));
        agenda.set("a", second(1));
        agenda.set_if_unset("b", second(9));
        agenda.set("c", second(2));
        agenda.cancel(&"c");
        assert_eq!((agenda.next(), agenda.moment(&"b"), agenda.moment(&"c")), (Some(second(1)), Some(second(3)), None));
        assert_eq!(agenda.take_due(second(3)), ["a", "b"]);
        assert_eq!((agenda.take_due(second(9)), agenda.next()), (vec![], None));
    }
}
