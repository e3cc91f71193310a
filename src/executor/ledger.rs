//! What is written in one transaction. The parts of it are beside this file: claims, wishes, ends.

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use crate::domain::evidence::{Ended, Record};
use crate::domain::lifecycle::{Input, Policy, step};
use crate::domain::name::TaskName;
use crate::domain::task::Restart;
use crate::home::Home;
use crate::store::jobs::{self, Change, JobRow};
use crate::store::runs::RunRow;
use crate::store::{events, tasks};

use super::ExecutorError;

/// An open transaction, and what every entry needs.
pub(super) struct Ledger<'a> {
    pub(super) tx: &'a Connection,
    pub(super) home: &'a Home,
    pub(super) now: Timestamp,
}

/// A run that has ended, with the evidence.
pub type EndedRun = (RunRow, Record, Ended);

impl Ledger<'_> {
    /// The newest job of a task.
    pub(super) fn newest_job(&self, task: &TaskName) -> Result<Option<JobRow>, ExecutorError> {
        let job = tasks::find(self.tx, task)?.and_then(|row| row.job);
        Ok(job.map(|job| jobs::find(self.tx, job)).transpose()?.flatten())
    }

    /// Cancels a job that waits to run again.
    pub(super) fn cancel(&self, job: &JobRow, task: &TaskName, reason: &str) -> Result<(), ExecutorError> {
        let policy = Policy { restart: Restart::Never, retries: None, used: 0 };
        let path = step(job.state, Input::Cancelled, policy)?;
        let state = path.last().copied().unwrap_or(job.state);
        let (attempt, retries_used) = (job.attempt, job.retries_used);
        let change =
            Change { state, code: Some("cancelled"), reason: Some(reason), attempt, retries_used, not_before: None };
        jobs::change(self.tx, job.id, &change, self.now)?;
        let event = events::NewEvent {
            job: Some(job.id),
            task: Some(task.as_str()),
            states: Some((job.state, state)),
            cause: "cancelled",
            data: json!({ "reason": reason }),
        };
        Ok(events::record(self.tx, &event, self.now)?)
    }
}
