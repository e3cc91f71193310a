//! A run whose worker has gone on with the next one: both are recorded in the transaction that imports the first.

use crate::domain::evidence::{Ended, Record};
use crate::domain::lifecycle::{Input, Policy, State, step};
use crate::domain::name::{RunId, TaskName};
use crate::process::record;
use crate::store::jobs;
use crate::store::runs::{self, RunRow};
use crate::store::{StoreError, tasks};

use super::begin::Beginning;
use super::output::free_archive;
use super::{Ledger, LedgerError, SUPERVISOR};

impl Ledger<'_> {
    /// Takes back what was to follow a run whose end somebody wishes: its worker goes on no more, unless it has looked
    /// there already.
    pub fn take_back(&self, run: &RunRow) {
        // Nothing follows by itself what runs in a slot, whose record is another run's too.
        if run.slot.is_none() {
            // Where that cannot be written, nothing could be appointed either.
            let _ = record::take_back(&self.home.record(run));
        }
    }

    /// Records how a run ended and that the next one of its job has begun. A wish for the end of the run, or of its task,
    /// that was recorded before is one for the end of the next.
    pub(super) fn settle_followed(
        &self,
        run: &RunRow,
        record: &Record,
        end: &Ended,
        next: RunId,
    ) -> Result<(), LedgerError> {
        // It had come to its end before anybody's wish could reach it.
        let by_itself = RunRow { stop_asked: None, stop_by: None, stall_reason: None, ..run.clone() };
        self.settle_run(&by_itself, record, end)?;
        let task = run.task.as_ref().ok_or_else(|| StoreError::Impossible(format!("run {} has no task", run.id)))?;
        self.begin_next(&by_itself, record, task, next)?;
        let row = tasks::find(self.tx, task)?;
        let stopped = row.filter(|row| !row.wanted).map(|row| row.wanted_by.unwrap_or_default());
        if let Some(by) = run.stop_by.clone().or(stopped) {
            runs::ask_stop(self.tx, next, &by, run.stop_asked.unwrap_or(self.now))?;
        }
        Ok(())
    }

    fn begin_next(&self, run: &RunRow, record: &Record, task: &TaskName, next: RunId) -> Result<(), LedgerError> {
        let job = self.job_row(run.job)?;
        let definition = jobs::definition_of(self.tx, &job)?;
        let time = record.swept.map_or(self.now, |(_, time)| time);
        let path = step(State::RestartReady, Input::Claimed, Policy::default())?;
        let beginning = Beginning {
            run: next,
            job: &job,
            path: &path,
            retries_used: job.retries_used,
            name: task,
            task: &definition,
            by: SUPERVISOR,
            archive: &free_archive(self.tx, self.home, task, time)?,
            holds: None,
            after: Some(run.id),
        };
        self.begin(&beginning, time)?;
        Ok(tasks::steady(self.tx, task, time)?)
    }
}
