//! Which job is next: the first in order that fits, as long as it does not keep an earlier one waiting for ever.
//!
//! **The order** is the higher priority first, then the lower id.
//!
//! **Overtaking.** A job that does not fit is overtaken by later ones that do, so that the machine is used. Once it has
//! been runnable for [`PATIENCE`], what it needs is set aside: of the later ones only those still start beside which,
//! and beside everything that has been started since, it would fit if all else ended. As all else ends at some time, it
//! then runs. Higher priorities are not held back: those who set them want it so.
//!
//! **Locks and groups.** A job that waits for a lock, for room in its group or for a group to be resumed waits for jobs
//! and not for the machine: nothing is set aside for it. Where only the machine is short, its locks and its place in the
//! group are set aside as well, lest it lose them while it waits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::capacity::Capacity;
use super::holds::{Holds, Running};
use super::need::Need;
use super::room::Room;
use crate::domain::name::JobId;

/// How long a job that does not fit may be overtaken.
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// For so many jobs at most something is set aside at a time: the first ones in order. Those behind them get their turn
/// when these have started, and looking at a long queue stays cheap.
const MOST_ASIDE: usize = 8;

/// The first of the jobs that need the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// What they need.
    pub need: &'a Need,
    /// Its priority.
    pub priority: i64,
    /// Its id.
    pub job: JobId,
    /// Since when it has been runnable without a break.
    pub runnable_since: Timestamp,
}

impl Head<'_> {
    /// Where it stands: the smaller, the earlier.
    pub(super) fn place(&self) -> (Reverse<i64>, JobId) {
        (Reverse(self.priority), self.job)
    }

    fn has_waited(&self, now: Timestamp) -> bool {
        now.duration_since(self.runnable_since) >= PATIENCE
    }
}

/// The job that is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// Its index among the heads.
    pub head: usize,
    /// What its run holds.
    pub holds: Holds,
}

/// The job that starts now in a free slot, if one may.
///
/// `heads` are in any order, `running` is every run without an outcome, those of front doors with their locks.
pub fn pick(heads: &[Head<'_>], running: &[Running], capacity: &Capacity, now: Timestamp) -> Option<Pick> {
    let mut ordered: Vec<_> = heads.iter().enumerate().collect();
    ordered.sort_unstable_by_key(|(_, head)| head.place());
    let mut turn = Turn::new(running, capacity, now);
    ordered.into_iter().find_map(|(head, offered)| Some(Pick { head, holds: turn.offer(offered)? }))
}

/// One look along the queue.
pub(super) struct Turn<'a> {
    running: &'a [Running],
    capacity: &'a Capacity,
    now: Timestamp,
    room: Room,
    taken: Taken<'a>,
    aside: Vec<Aside<'a>>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(running: &'a [Running], capacity: &'a Capacity, now: Timestamp) -> Self {
        let room = Room::beside(capacity, running.iter().map(|run| &run.holds));
        Self { running, capacity, now, room, taken: Taken::by(running), aside: Vec::new() }
    }

    /// Offers what is left to the next job in order: what it holds if it starts. If it has waited long enough, what it
    /// needs is set aside.
    pub(super) fn offer(&mut self, head: &Head<'a>) -> Option<Holds> {
        if !self.taken.leaves(head.need, self.capacity) {
            return None;
        }
        let holds = self.room.fit(head.need).filter(|holds| self.kept_for(holds).is_none());
        if holds.is_none() {
            self.set_aside(head);
        }
        holds
    }

    /// The job for which it is set aside what a run would hold.
    pub(super) fn kept_for(&self, holds: &Holds) -> Option<JobId> {
        let blocked = |aside: &&Aside<'_>| !aside.allows(holds, &self.taken, self.capacity);
        self.aside.iter().find(blocked).map(|aside| aside.job)
    }

    fn set_aside(&mut self, head: &Head<'a>) {
        let has_room = self.aside.len() < MOST_ASIDE && head.has_waited(self.now);
        if has_room && Room::of(self.capacity).fit(head.need).is_some() {
            self.aside.push(Aside::new(head, self.running, self.capacity));
        }
    }
}

/// The locks that are held, and how many run in each group.
struct Taken<'a> {
    locks: BTreeSet<&'a str>,
    groups: BTreeMap<&'a str, u32>,
}

impl<'a> Taken<'a> {
    fn by(running: &'a [Running]) -> Self {
        let mut groups = BTreeMap::new();
        for group in running.iter().filter_map(|run| run.holds.group.as_deref()) {
            *groups.entry(group).or_default() += 1;
        }
        Self { locks: running.iter().flat_map(|run| &run.holds.locks).map(String::as_str).collect(), groups }
    }

    /// Whether locks and group let a job start.
    fn leaves(&self, need: &Need, capacity: &Capacity) -> bool {
        let free = |lock: &String| !self.locks.contains(lock.as_str());
        need.locks.iter().all(free) && self.leaves_places(need.group.as_deref(), 1, capacity)
    }

    /// Whether so many more jobs of a group may start.
    fn leaves_places(&self, group: Option<&str>, places: u32, capacity: &Capacity) -> bool {
        let Some(name) = group else { return true };
        let (group, taken) = (capacity.group(name), self.groups.get(name).copied().unwrap_or(0));
        !group.paused && group.limit.is_none_or(|limit| taken.saturating_add(places) <= limit)
    }
}

/// What is set aside for a job.
struct Aside<'a> {
    job: JobId,
    need: &'a Need,
    /// What it will find when everything has ended that was started before it lost its patience.
    later: Room,
}

impl<'a> Aside<'a> {
    fn new(head: &Head<'a>, running: &[Running], capacity: &Capacity) -> Self {
        let stays = running.iter().filter(|run| run.since.duration_since(head.runnable_since) >= PATIENCE);
        Self { job: head.job, need: head.need, later: Room::beside(capacity, stays.map(|run| &run.holds)) }
    }

    /// Whether a later job may start.
    fn allows(&self, other: &Holds, taken: &Taken<'_>, capacity: &Capacity) -> bool {
        let same_group = self.need.group.is_some() && self.need.group == other.group;
        self.need.locks.is_disjoint(&other.locks)
            && (!same_group || taken.leaves_places(other.group.as_deref(), 2, capacity))
            && self.later.is_left_for(self.need, other)
    }
}
