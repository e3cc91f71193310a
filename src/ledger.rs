//! What is written in one transaction: the ends of runs and what follows from them. Whoever makes such a change, a
//! command, the supervisor or a queue's worker, makes it through a [`Ledger`].

pub mod begin;
pub mod followers;
mod front;
pub mod hooks;
pub mod line;
pub mod notice;
pub mod output;
pub mod queue;
pub mod settle;
mod succession;
pub mod transfers;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;
use thiserror::Error;

use crate::domain::evidence::{Ended, Record};
use crate::domain::lifecycle::{IllegalMove, Input, Policy, State, step};
use crate::domain::name::{JobId, TaskName};
use crate::domain::task::Task;
use crate::home::Home;
use crate::store::jobs::{self, Change, JobRow};
use crate::store::runs::RunRow;
use crate::store::{StoreError, events, tasks};

/// Why something could not be written.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A move that a job cannot make.
    #[error(transparent)]
    Move(#[from] IllegalMove),
    /// A job is to wait for one that does not exist.
    #[error("no job {0} to wait for")]
    NoSuchParent(JobId),
    /// A job is to be run again while one that waited for it runs.
    #[error("job {job} cannot be run again while job {follower}, which follows it, runs")]
    FollowerRuns {
        /// The job.
        job: JobId,
        /// The one that runs.
        follower: JobId,
    },
}

/// The name under which the supervisor starts tasks.
pub const SUPERVISOR: &str = "keep-restarting";

/// An open transaction, and what every entry needs.
pub struct Ledger<'a> {
    /// The transaction.
    pub tx: &'a Connection,
    /// The folder.
    pub home: &'a Home,
    /// When all of it happens.
    pub now: Timestamp,
}

/// A run that has ended, with the evidence.
pub type EndedRun = (RunRow, Record, Ended);

impl Ledger<'_> {
    /// The newest job of a task.
    pub fn newest_job(&self, task: &TaskName) -> Result<Option<JobRow>, LedgerError> {
        let job = tasks::find(self.tx, task)?.and_then(|row| row.job);
        Ok(job.map(|job| jobs::find(self.tx, job)).transpose()?.flatten())
    }

    /// Has the work directory of a job cleaned up that has come into this state, where it has finished and its task
    /// wants that.
    pub fn clean_up_later(&self, job: JobId, state: State, definition: &Task) -> Result<(), LedgerError> {
        if state == State::JobFinished && !definition.cleanup.is_empty() {
            jobs::mark_to_clean(self.tx, job, true)?;
        }
        Ok(())
    }

    /// Cancels a job of a task of which nothing runs.
    pub fn cancel(&self, job: &JobRow, task: &TaskName, reason: &str) -> Result<(), LedgerError> {
        let policy = Policy::default();
        let path = step(job.state, Input::Cancelled, policy)?;
        let state = path.last().copied().unwrap_or(job.state);
        let (attempt, retries_used) = (job.attempt, job.retries_used);
        let change = Change {
            state,
            code: Some("cancelled"),
            reason: Some(reason),
            attempt,
            retries_used,
            not_before: None,
            exit: None,
        };
        jobs::change(self.tx, job.id, &change, self.now)?;
        let event = events::NewEvent {
            job: Some(job.id),
            task: Some(task.as_str()),
            states: Some((job.state, state)),
            cause: "cancelled",
            data: json!({ "reason": reason }),
        };
        events::record(self.tx, &event, self.now)?;
        self.tell_children(job.id, state)
    }
}
