//! Locks: agreements between runs, of the queue and of front doors alike, of which each is held by one run at a time.

use std::fmt;

use thiserror::Error;

use super::holds::Running;
use crate::domain::name::{JobId, TaskName};

/// A lock that a run holds; its text is a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("lock `{lock}` is held by {}", Holder(self))]
pub struct HeldLock {
    /// The lock.
    pub lock: String,
    /// The job of the run that holds it.
    pub job: JobId,
    /// Its task, where it came by a front door: `start`, a restart, a schedule.
    pub task: Option<TaskName>,
}

struct Holder<'a>(&'a HeldLock);

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.task {
            Some(task) => write!(f, "task `{task}`"),
            None => write!(f, "job {}", self.0.job),
        }
    }
}

impl HeldLock {
    /// The way out, as an imperative.
    pub fn hint(&self) -> String {
        match &self.task {
            Some(task) => format!("wait until that has ended, or end it with `jobexec stop {task}`"),
            None => {
                format!("wait for that with `jobexec wait --all {0}`, or end it with `jobexec job kill {0}`", self.job)
            }
        }
    }
}

/// The first of these locks that is held.
pub fn first_held<'a>(locks: impl IntoIterator<Item = &'a str>, running: &[Running]) -> Option<HeldLock> {
    locks.into_iter().find_map(|lock| {
        let Running { job, task, .. } = running.iter().find(|run| run.holds.locks.contains(lock))?;
        Some(HeldLock { lock: lock.to_owned(), job: *job, task: task.clone() })
    })
}
