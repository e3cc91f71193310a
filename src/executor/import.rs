//! What has become of unfinished runs: their evidence is looked at, and what has ended is brought into the database.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use crate::domain::evidence::{Ended, Judgement, Record, judge};
use crate::domain::lifecycle::{Input, Policy, State, step};
use crate::domain::name::{JobId, RunId, TaskName};
use crate::domain::outcome::{Cause, Outcome};
use crate::domain::task::{Restart, Task};
use crate::process::{clock, record, tagged};
use crate::store::jobs::{self, Change, Door, JobRow};
use crate::store::runs::{self, RunRow, Traces};
use crate::store::{Durability, Store, StoreError, events, tasks};

use super::{Executor, ExecutorError, output};

/// A run that lasted so long was a good one; a shorter one adds to the task's streak of failures.
const GOOD_AFTER_MICROS: u64 = 2_000_000;

/// How many lines of output the event of a failed run carries.
const LAST_LINES: u64 = 10;

/// The longest that a command which only looks waits for its turn to import.
const LOOKING_PATIENCE: Duration = Duration::from_millis(50);

/// What was found out about an unfinished run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Its worker lives.
    Alive(Record),
    /// Its worker is dead; these processes of it are alive.
    Orphaned(Record, Vec<i32>),
    /// It belongs to another machine or pid namespace.
    Elsewhere(Record),
    /// It has ended.
    Ended(Record, Ended),
}

impl Executor {
    /// Looks at one unfinished run.
    pub(super) fn examine(&self, run: RunId) -> Result<Found, ExecutorError> {
        let (record, locked) = match record::read(&self.home.record(run))? {
            Some((record, locked)) => (Some(record), locked),
            None => (None, false),
        };
        let judgement = judge(record.as_ref(), locked, &self.here);
        let record = record.unwrap_or_default();
        Ok(match judgement {
            Judgement::Alive => Found::Alive(record),
            Judgement::Elsewhere => Found::Elsewhere(record),
            Judgement::Ended(ended) => Found::Ended(record, ended),
            Judgement::WorkerGone(ended) => {
                let script = record.started.map(|(script, _)| script);
                match tagged::find(run, script.as_ref()) {
                    alive if alive.is_empty() => Found::Ended(record, ended),
                    alive => Found::Orphaned(record, alive),
                }
            }
        })
    }

    /// Imports every run that has ended. Where that cannot be written, this command goes on with a copy in memory that
    /// says what the database would say.
    pub fn refresh(&mut self) -> Result<(), ExecutorError> {
        let ended = self.ended(&runs::unfinished(self.store.reader())?)?;
        if ended.is_empty() {
            return Ok(());
        }
        match self.import(&ended, LOOKING_PATIENCE) {
            Err(ExecutorError::Store(error)) if error.is_only_for_writers() => {
                let mut copy = self.store.in_memory()?;
                let now = clock::now();
                copy.write_in_memory(|tx| self.settle_all(tx, &ended, now))?;
                self.store = copy;
                Ok(())
            }
            other => other,
        }
    }

    /// Imports these runs, as far as they have ended, waiting for the database as long as it takes.
    pub(super) fn import_of(&mut self, of: &[RunRow]) -> Result<(), ExecutorError> {
        let ended = self.ended(of)?;
        self.import(&ended, crate::home::lock::PATIENCE)
    }

    fn ended(&self, of: &[RunRow]) -> Result<Vec<(RunRow, Record, Ended)>, ExecutorError> {
        let mut ended = Vec::new();
        for run in of {
            if let Found::Ended(record, end) = self.examine(run.id)? {
                ended.push((run.clone(), record, end));
            }
        }
        Ok(ended)
    }

    fn import(&mut self, ended: &[(RunRow, Record, Ended)], patience: Duration) -> Result<(), ExecutorError> {
        if ended.is_empty() {
            return Ok(());
        }
        let now = clock::now();
        let home = self.home.clone();
        let importer = Importer { home: &home };
        self.store.write_patiently(Durability::Committed, patience, |tx| importer.settle_all(tx, ended, now))?;
        self.forget_records(ended.iter().map(|(run, _, _)| run.id))
    }

    fn settle_all(
        &self,
        tx: &Connection,
        ended: &[(RunRow, Record, Ended)],
        now: Timestamp,
    ) -> Result<(), ExecutorError> {
        Importer { home: &self.home }.settle_all(tx, ended, now)
    }

    /// Removes the records of imported runs, once what was imported is certain to stay.
    pub(super) fn forget_records(&self, of: impl Iterator<Item = RunId>) -> Result<(), ExecutorError> {
        self.store.flush()?;
        for run in of {
            // One that stays is removed by whoever tidies up; it says nothing that the database does not.
            let _ = fs::remove_file(self.home.record(run));
        }
        Ok(())
    }
}

/// Brings ended runs into the database.
pub(super) struct Importer<'a> {
    pub(super) home: &'a crate::home::Home,
}

impl Importer<'_> {
    /// Settles runs that have ended. One that somebody else has settled meanwhile is left.
    pub(super) fn settle_all(
        &self,
        tx: &Connection,
        ended: &[(RunRow, Record, Ended)],
        now: Timestamp,
    ) -> Result<(), ExecutorError> {
        for (run, record, end) in ended {
            let fresh = runs::find(tx, run.id)?;
            if let Some(run) = fresh.filter(|run| run.outcome.is_none()) {
                self.settle(tx, &run, record, end, now)?;
            }
        }
        Ok(())
    }

    /// Records how a run ended, and moves its job on.
    fn settle(
        &self,
        tx: &Connection,
        run: &RunRow,
        record: &Record,
        end: &Ended,
        now: Timestamp,
    ) -> Result<(), ExecutorError> {
        let job = jobs::find(tx, run.job)?
            .ok_or_else(|| StoreError::Impossible(format!("run {} belongs to no job", run.id)))?;
        let definition = jobs::definition_of(tx, &job)?;
        let wanted = match &run.task {
            Some(task) => tasks::find(tx, task)?.is_some_and(|row| row.wanted),
            None => false,
        };
        let traces = Traces {
            pid: record.started.map(|(script, _)| script.pid),
            started: record.started.map(|(_, time)| time),
            inode: record.starting.map(|(_, inode)| inode),
        };
        let reason = reason(run, end);
        runs::finish(tx, run.id, end, traces, &reason, now)?;
        let policy = policy(&definition, &job, wanted);
        let input = input(run, end);
        let path = step(job.state, input, policy)?;
        let state = path.last().copied().unwrap_or(job.state);
        // A run that was never started does not count, nor does running again because the task is to be kept alive.
        let never = end.outcome == Outcome::NeverStarted;
        let attempt = if never { job.attempt.saturating_sub(1) } else { job.attempt };
        let counted = state == State::RestartReady && !never && policy.restart == Restart::Never;
        let retries_used = job.retries_used + u32::from(counted);
        let change = Change { state, code: Some(end.outcome.code()), reason: Some(&reason), attempt, retries_used };
        jobs::change(tx, job.id, &change, end.time.unwrap_or(now))?;
        self.record_end(tx, run, &job, &path, end, &reason, now)?;
        if let Some(task) = &run.task {
            let good = end.lasted.is_some_and(|lasted| lasted >= GOOD_AFTER_MICROS);
            let streak = tasks::find(tx, task)?.map_or(0, |row| row.failure_streak);
            if !never {
                tasks::set_failure_streak(tx, task, if good { 0 } else { streak.saturating_add(1) })?;
            }
            if wanted && is_satisfied(&definition, state, end) {
                tasks::want(tx, task, false, "its own end", now)?;
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "all of it goes into the event")]
    fn record_end(
        &self,
        tx: &Connection,
        run: &RunRow,
        job: &JobRow,
        path: &[State],
        end: &Ended,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), ExecutorError> {
        let state = path.last().copied().unwrap_or(job.state);
        let failed = path.first() == Some(&State::RunError);
        let inode = runs::find(tx, run.id)?.and_then(|run| run.inode);
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
        Ok(events::record(tx, &event, end.time.unwrap_or(now))?)
    }
}

/// The reason in words, with who asked for it.
fn reason(run: &RunRow, end: &Ended) -> String {
    let mut text = match (&end.outcome, &run.stop_by) {
        (Outcome::Ended { exit, cause: Cause::Stopped }, Some(by)) => {
            format!("stopped by {by} ({})", exit.describe())
        }
        (outcome, _) => outcome.reason(),
    };
    if end.leftover == 1 {
        text += "; 1 process that it left behind was stopped";
    } else if end.leftover > 1 {
        text += &format!("; {} processes that it left behind were stopped", end.leftover);
    }
    text
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
        retries: if kept_alive || wanted { definition.retries } else { Some(0) },
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

/// The newest job of a task, and its newest run if that has not ended.
pub(super) fn current(store: &Store, task: &TaskName) -> Result<(Option<JobRow>, Option<RunRow>), ExecutorError> {
    let job: Option<JobId> = tasks::find(store.reader(), task)?.and_then(|row| row.job);
    let job = job.map(|job| jobs::find(store.reader(), job)).transpose()?.flatten();
    let run = runs::unfinished_of(store.reader(), task)?;
    Ok((job, run))
}
