//! Whose turn a lock is when it is free: that of whoever has waited longer for it, queued job or task.

use std::collections::BTreeSet;

use crate::domain::group::Label;
use crate::domain::resources::{Head, HeldLock, Line, Running, first_held, job_before_task, waits_longer};
use crate::domain::task::Task;
use crate::process::machine;
use crate::store::{line, queue, supervisor};

use super::queue::asked;
use super::{Ledger, LedgerError};

impl Ledger<'_> {
    /// The first lock of a task that it cannot have now: a run holds it, by whatever door that came, or somebody has
    /// waited for it longer. While there is one, nothing begins a run of the task by itself.
    pub fn lock_in_the_way(&self, task: &Task) -> Result<Option<HeldLock>, LedgerError> {
        if task.locks.is_empty() {
            return Ok(None);
        }
        let (locks, running) = (keys(task), self.running()?);
        match first_held(locks.iter().map(String::as_str), &running) {
            None => self.turn_in_the_way(task, &locks, running),
            held => Ok(held),
        }
    }

    /// The first lock of a task that a run holds, whoever waits for it: what keeps somebody from starting it by hand.
    pub fn lock_held(&self, task: &Task) -> Result<Option<HeldLock>, LedgerError> {
        self.lock_held_by(task, |_| true)
    }

    /// The same without the task's own runs, which are to be ended first.
    pub fn lock_of_others(&self, task: &Task) -> Result<Option<HeldLock>, LedgerError> {
        self.lock_held_by(task, |run| run.task.as_ref() != Some(&task.name))
    }

    fn lock_held_by(&self, task: &Task, counts: impl Fn(&Running) -> bool) -> Result<Option<HeldLock>, LedgerError> {
        if task.locks.is_empty() {
            return Ok(None);
        }
        let running: Vec<Running> = self.running()?.into_iter().filter(counts).collect();
        Ok(first_held(keys(task).iter().map(String::as_str), &running))
    }

    /// Who goes before a task none of whose locks is held.
    fn turn_in_the_way(
        &self,
        task: &Task,
        locks: &BTreeSet<String>,
        running: Vec<Running>,
    ) -> Result<Option<HeldLock>, LedgerError> {
        let since = line::find(self.tx, &task.name)?.map_or(self.now, |own| own.since);
        let line = self.line(&running)?;
        if let Some(first) = line.before_task(&task.name, locks, since) {
            return Ok(Some(first));
        }
        let heads = queue::heads(self.tx)?;
        let needs = self.needs(&heads)?;
        let heads = line.let_pass(asked(&heads, &needs));
        if !heads.iter().any(|head| waits_longer(head, locks, since).is_some()) {
            return Ok(None);
        }
        let slots = supervisor::last(self.tx)?.map_or(1, |supervisor| supervisor.slots);
        let free = slots.saturating_sub(queue::taken_slots(self.tx)?);
        let capacity = self.capacity(machine::detect())?;
        Ok(job_before_task(locks, since, heads, running, &capacity, free, self.now))
    }

    /// Of the best jobs of the queue those that may have the locks that they need, should these be free.
    pub(super) fn let_pass<'h>(&self, heads: Vec<Head<'h>>, running: &[Running]) -> Result<Vec<Head<'h>>, LedgerError> {
        let any = heads.iter().any(|head| !head.need.locks.is_empty());
        if any { Ok(self.line(running)?.let_pass(heads)) } else { Ok(heads) }
    }

    /// The task that a queued job lets pass, where its locks are free.
    pub fn goes_before_job(&self, head: &Head<'_>) -> Result<Option<HeldLock>, LedgerError> {
        Ok(self.line(&self.running()?)?.before_job(head))
    }

    fn line(&self, running: &[Running]) -> Result<Line, LedgerError> {
        Ok(Line::of(line::all(self.tx)?, running))
    }
}

/// The locks of a task.
pub fn keys(task: &Task) -> BTreeSet<String> {
    task.locks.iter().map(Label::key).collect()
}
