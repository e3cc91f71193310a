//! The end of a run brought into the database: the run, its job, the event, what is still wanted of the task.

use serde_json::json;

use crate::domain::evidence::{Ended, Record};
use crate::domain::lifecycle::{Input, Policy, State, step};
use crate::domain::name::{RunId, TaskName};
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::task::{Restart, Task};
use crate::store::jobs::{self, Change, Door, JobRow};
use crate::store::runs::{self, RunRow, Traces};
use crate::store::{StoreError, events, tasks};

use super::ledger::{EndedRun, Ledger};
use super::{ExecutorError, output};

/// A run that lasted so long was a good one; a shorter one adds to the task's streak of failures.
const GOOD_AFTER_MICROS: u64 = 2_000_000;

/// How many lines of output the event of a failed run carries.
const LAST_LINES: u64 = 10;

impl Ledger<'_> {
    /// Settles runs that have ended; those that are settled now. One that somebody else has settled meanwhile is left,
    /// and so is one that the database says something impossible about: it must not keep the others from their end.
    pub(super) fn settle_all(&self, ended: &[EndedRun]) -> Result<Vec<RunId>, ExecutorError> {
        let mut settled = Vec::with_capacity(ended.len());
        for (run, record, end) in ended {
            let fresh = runs::find(self.tx, run.id)?;
            let done = match fresh.filter(|run| run.outcome.is_none()) {
                Some(run) => self.settle(&run, record, end),
                None => Ok(()),
            };
            match done {
                Ok(()) => settled.push(run.id),
                Err(ExecutorError::Store(StoreError::Impossible(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(settled)
    }

    /// Records how a run ended, and moves its job on.
    fn settle(&self, run: &RunRow, record: &Record, end: &Ended) -> Result<(), ExecutorError> {
        let job = jobs::find(self.tx, run.job)?
            .ok_or_else(|| StoreError::Impossible(format!("run {} belongs to no job", run.id)))?;
        let definition = jobs::definition_of(self.tx, &job)?;
        let wanted = match &run.task {
            Some(task) => tasks::find(self.tx, task)?.is_some_and(|row| row.wanted),
            None => false,
        };
        let traces = Traces {
            pid: record.started.map(|(script, _)| script.pid),
            started: record.started.map(|(_, time)| time),
            inode: record.starting.map(|(_, inode)| inode),
        };
        let reason = reason(run, end);
        runs::finish(self.tx, run.id, end, traces, &reason, self.now)?;
        let policy = policy(&definition, &job, wanted);
        let path = step(job.state, input(run, end), policy)?;
        let state = path.last().copied().unwrap_or(job.state);
        // A run that was never started does not count, nor does running again because the task is to be kept alive.
        let never = end.outcome == Outcome::NeverStarted;
        let attempt = if never { job.attempt.saturating_sub(1) } else { job.attempt };
        let counted = state == State::RestartReady && !never && policy.restart == Restart::Never;
        let retries_used = job.retries_used + u32::from(counted);
        let change = Change { state, code: Some(end.outcome.code()), reason: Some(&reason), attempt, retries_used };
        jobs::change(self.tx, job.id, &change, end.time.unwrap_or(self.now))?;
        self.record_end(run, &job, &path, end, traces.inode, &reason)?;
        match &run.task {
            Some(task) => self.settle_task(task, &definition, wanted, state, end),
            None => Ok(()),
        }
    }

    /// The task's streak of failures, and whether the user has had what was wanted of it.
    fn settle_task(
        &self,
        task: &TaskName,
        definition: &Task,
        wanted: bool,
        state: State,
        end: &Ended,
    ) -> Result<(), ExecutorError> {
        if end.outcome != Outcome::NeverStarted {
            let good = end.lasted.is_some_and(|lasted| lasted >= GOOD_AFTER_MICROS);
            let streak = tasks::find(self.tx, task)?.map_or(0, |row| row.failure_streak);
            tasks::set_failure_streak(self.tx, task, if good { 0 } else { streak.saturating_add(1) })?;
        }
        if wanted && is_satisfied(definition, state, end) {
            tasks::want(self.tx, task, false, "its own end", self.now)?;
        }
        Ok(())
    }

    fn record_end(
        &self,
        run: &RunRow,
        job: &JobRow,
        path: &[State],
        end: &Ended,
        inode: Option<u64>,
        reason: &str,
    ) -> Result<(), ExecutorError> {
        let state = path.last().copied().unwrap_or(job.state);
        let failed = path.first() == Some(&State::RunError);
        let lines = failed.then(|| output::last_lines(self.home, run, inode, LAST_LINES));
        let data = json!({
            "run": run.id.to_string(),
            "through": path.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
            "outcome": end.outcome.code(),
            "reason": reason,
            "output": lines,
        });
        let task = run.task.as_ref().map(TaskName::as_str);
        let event =
            events::NewEvent { job: Some(job.id), task, states: Some((job.state, state)), cause: "ended", data };
        Ok(events::record(self.tx, &event, end.time.unwrap_or(self.now))?)
    }
}

/// The reason in words, with who asked for it.
fn reason(run: &RunRow, end: &Ended) -> String {
    let text = match (&end.outcome, &run.stop_by) {
        (Outcome::Ended { exit, cause: Cause::Stopped }, Some(by)) => format!("stopped by {by} ({})", exit.describe()),
        (outcome, _) => outcome.reason(),
    };
    match end.leftover {
        0 => text,
        1 => format!("{text}; 1 process that it left behind was stopped"),
        count => format!("{text}; {count} processes that it left behind were stopped"),
    }
}

/// What the end of a run means for its job. A wish to stop that was recorded before the outcome stands.
fn input(run: &RunRow, end: &Ended) -> Input {
    if run.stop_asked.is_some() {
        return Input::Stopped;
    }
    match &end.outcome {
        outcome if outcome.is_success() => Input::Succeeded,
        Outcome::Ended { cause: Cause::TimedOut, .. } => Input::TimedOut,
        Outcome::NeverStarted => Input::NeverStarted,
        Outcome::Ended { .. } | Outcome::CouldNotStart { .. } | Outcome::Lost(_) => Input::Failed,
    }
}

fn policy(definition: &Task, job: &JobRow, wanted: bool) -> Policy {
    let kept_alive = wanted && job.door == Door::Start && !definition.schedule.is_set();
    Policy {
        restart: if kept_alive { definition.restart } else { Restart::Never },
        retries: if wanted { definition.retries } else { Some(0) },
        used: job.retries_used,
    }
}

/// Whether a task has had what the user wanted of it: nothing starts it again by itself.
fn is_satisfied(definition: &Task, state: State, end: &Ended) -> bool {
    if definition.schedule.is_set() || !state.is_end() {
        return false;
    }
    match definition.restart {
        Restart::Always => false,
        Restart::OnFailure => end.outcome.is_success(),
        Restart::Never => true,
    }
}
