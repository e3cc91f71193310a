//! A run of a task's job that begins: it, its job and the event, in the transaction that has decided it.

use jiff::Timestamp;
use serde_json::json;

use crate::domain::lifecycle::State;
use crate::domain::name::{RunId, TaskName};
use crate::domain::task::Task;
use crate::store::jobs::{self, Change, JobRow};
use crate::store::runs::{self, Kind, NewRun};
use crate::store::{StoreError, events};

use super::Ledger;

/// A run that begins.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    /// The run.
    pub run: RunId,
    /// Its job, as it was before.
    pub job: &'a JobRow,
    /// The states that the job goes through, the last of which it is in then.
    pub path: &'a [State],
    /// How many retries count from now on.
    pub retries_used: u32,
    /// Its task.
    pub name: &'a TaskName,
    /// The definition that is run.
    pub task: &'a Task,
    /// Who has it begin.
    pub by: &'a str,
    /// The name that its output has once archived.
    pub archive: &'a str,
    /// The locks that it holds.
    pub holds: Option<&'a str>,
    /// The run that it follows by itself.
    pub after: Option<RunId>,
}

impl Ledger<'_> {
    /// Records that a run begins, at this time, as the next attempt at its job.
    pub fn begin(&self, it: &Beginning<'_>, time: Timestamp) -> Result<(), StoreError> {
        let job = it.job;
        let state = it.path.last().copied().unwrap_or(job.state);
        let (attempt, retries_used) = (job.attempt + 1, it.retries_used);
        let change = Change { state, code: None, reason: None, attempt, retries_used, not_before: None, exit: None };
        jobs::change(self.tx, job.id, &change, time)?;
        let new = NewRun {
            id: it.run,
            job: job.id,
            task: Some(it.name),
            kind: Kind::Main,
            attempt,
            asked_by: it.by,
            archive: it.archive,
            scheduled: job.scheduled,
            slot: None,
            holds: it.holds,
        };
        runs::create(self.tx, &new, time)?;
        let event = events::NewEvent {
            job: Some(job.id),
            task: Some(it.name.as_str()),
            states: Some((job.state, state)),
            cause: "started",
            data: json!({
                "by": it.by,
                "scheduled": job.scheduled.map(|due| due.to_string()),
                "run": it.run.to_string(),
                "what": it.task.program_text(),
                "through": it.path.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
                "after": it.after.map(|run| run.to_string()),
            }),
        };
        events::record(self.tx, &event, time)
    }
}
