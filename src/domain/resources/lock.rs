//! Locks: agreements between runs, of the queue and of front doors alike, of which each is held by one run at a time.

use std::fmt;

use thiserror::Error;

use super::holds::Running;
use crate::domain::name::{JobId, TaskName};

/// A lock that cannot be had now; its text is a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct HeldLock {
    /// The lock.
    pub lock: String,
    /// Whose run holds it.
    pub by: Party,
    /// Whether it is free, and that one has waited for it longer.
    pub is_free: bool,
}

/// One who holds a lock, or waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// A queued job.
    Job(JobId),
    /// A task that runs by a front door: `start`, a restart, a schedule. With its job, where it has one already.
    Task(TaskName, Option<JobId>),
}

impl Party {
    /// Its job.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Job(job) => Some(*job),
            Self::Task(_, job) => *job,
        }
    }

    /// Its task; none for a queued job.
    pub fn task(&self) -> Option<&TaskName> {
        match self {
            Self::Job(_) => None,
            Self::Task(task, _) => Some(task),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(job) => write!(f, "job {job}"),
            Self::Task(task, _) => write!(f, "task `{task}`"),
        }
    }
}

impl fmt::Display for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lock, by, is_free } = self;
        if *is_free {
            write!(f, "lock `{lock}` goes to {by} first, which has waited longer")
        } else {
            write!(f, "lock `{lock}` is held by {by}")
        }
    }
}

impl HeldLock {
    /// The way out, as an imperative.
    pub fn hint(&self) -> String {
        match (&self.by, self.is_free) {
            (Party::Task(task, _), _) => format!("wait until that has ended, or end it with `jobexec stop {task}`"),
            (Party::Job(job), false) => {
                format!("wait for that with `jobexec wait --all {job}`, or end it with `jobexec job kill {job}`")
            }
            (Party::Job(job), true) => {
                format!("wait for that with `jobexec wait --all {job}`, or cancel it with `jobexec job cancel {job}`")
            }
        }
    }
}

/// The first of these locks that is held.
pub fn first_held<'a>(locks: impl IntoIterator<Item = &'a str>, running: &[Running]) -> Option<HeldLock> {
    locks.into_iter().find_map(|lock| {
        let Running { job, task, .. } = running.iter().find(|run| run.holds.locks.contains(lock))?;
        let by = task.as_ref().map_or(Party::Job(*job), |task| Party::Task(task.clone(), Some(*job)));
        Some(HeldLock { lock: lock.to_owned(), by, is_free: false })
    })
}
