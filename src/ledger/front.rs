//! Jobs of `start` and of schedules: what there is to do for one, and what it means for its task that one has moved on.
//!
//! What is judged of a task is judged once: how a run of its own did when that run ends, what follows from it when its
//! hooks have had their say and the job moves on for good.

use jiff::Timestamp;
use serde_json::json;

use crate::domain::lifecycle::{Input, Policy, State, step};
use crate::domain::name::TaskName;
use crate::domain::notice::{EndOfRun, Occasion, occasion};
use crate::domain::outcome::Exit;
use crate::domain::restart::CRASH_LOOP;
use crate::domain::task::{Restart, Task};
use crate::domain::transfer::Direction;
use crate::store::jobs::{self, Door, JobRow};
use crate::store::runs::{self, RunRow};
use crate::store::tasks::{Form, TaskRow};
use crate::store::{events, tasks};

use super::hooks::hooked;
use super::notice::Message;
use super::{Ledger, LedgerError};

/// The word for a job that is not tried again because its task has failed too often.
pub(super) const GAVE_UP: &str = "gave_up";

/// The word for a job whose end somebody wished.
pub(super) const STOPPED: &str = "stopped";

/// A job that has moved on, with what is told of that.
#[derive(Clone, Copy)]
pub(super) struct Moved<'a> {
    /// The job, as it was before.
    pub(super) job: &'a JobRow,
    pub(super) definition: &'a Task,
    /// The state it is in now.
    pub(super) state: State,
    /// Whether it went wrong: neither exit code 0 nor an end on request.
    pub(super) failed: bool,
    /// Whether that was because the machine, or the session, went down.
    pub(super) went_down: bool,
    /// The run that is told of; where there is none, nobody is told.
    pub(super) run: Option<&'a RunRow>,
    pub(super) exit: Option<Exit>,
    pub(super) reason: &'a str,
    /// The last lines of the run's output.
    pub(super) lines: &'a [String],
    pub(super) time: Timestamp,
}

impl Ledger<'_> {
    /// The row of the task whose job this is; none for a queued job, of which a task's standing does not depend.
    pub(super) fn task_of(&self, job: &JobRow, definition: &Task) -> Result<Option<TaskRow>, LedgerError> {
        match job.door {
            Door::Queue => Ok(None),
            Door::Start | Door::Schedule => Ok(tasks::find(self.tx, &definition.name)?),
        }
    }

    /// What there is to do for a job of this task besides running it.
    pub(super) fn front_policy(
        &self,
        job: &JobRow,
        definition: &Task,
        row: &TaskRow,
        gave_up: bool,
    ) -> Result<Policy, LedgerError> {
        let wanted = row.wanted && !gave_up;
        Ok(Policy {
            restart: rule(job, definition, wanted),
            retries: if wanted { definition.retries } else { Some(0) },
            used: job.retries_used,
            stage_in: self.is_outstanding(job, definition, Direction::In)?,
            stage_out: self.is_outstanding(job, definition, Direction::Out)?,
            hooks: hooked(definition),
            has_run: job.attempt > 0,
            ..Policy::default()
        })
    }

    /// Does what follows from a job's moving on: for its task, and for whoever is to be told. `form` is how the task has
    /// done, with what has just happened.
    pub(super) fn follow_up(&self, it: &Moved<'_>, task: Option<(&TaskRow, Form)>) -> Result<(), LedgerError> {
        let Some((row, mut form)) = task else {
            // What becomes of a queued job says nothing of how its task stands, and is told when it is over.
            let told = occasion(&it.end(Some(self.now), false, false, self.now));
            return told.map_or(Ok(()), |occasion| self.tell_of(it, occasion));
        };
        if it.state.underway().is_some() {
            return Ok(tasks::set_form(self.tx, &row.name, &form)?);
        }
        // Whether it is a crash loop is asked of what is kept alive: what runs once, and what was stopped, is none.
        let kept_alive = rule(it.job, it.definition, row.wanted) != Restart::Never && it.state == State::RestartReady;
        let looping = it.failed && kept_alive && form.failed_ends.fill(CRASH_LOOP);
        if looping && form.looping_since.is_none() {
            form.looping_since = Some(it.time);
            let event = events::NewEvent {
                job: Some(it.job.id),
                task: Some(row.name.as_str()),
                states: None,
                cause: "crash_looping",
                data: json!({ "run": it.run.map(|run| run.id.to_string()), "reason": it.reason }),
            };
            events::record(self.tx, &event, it.time)?;
        }
        let (was_looping, is_looping) = (row.form.looping_since.is_some(), form.looping_since.is_some());
        if let Some(occasion) = occasion(&it.end(row.form.told, was_looping, is_looping, self.now)) {
            if matches!(occasion, Occasion::Failure | Occasion::CrashLoop) {
                form.told = Some(self.now);
            }
            self.tell_of(it, occasion)?;
        }
        tasks::set_form(self.tx, &row.name, &form)?;
        let gave_up = it.gave_up(&form);
        if row.wanted && (gave_up || it.is_satisfied()) {
            // What was stopped in order to be started again, and then was not, has come to its end by somebody's wish.
            let by = match it.run.and_then(|run| run.stop_by.as_deref()) {
                _ if gave_up => "repeated failures",
                Some(by) if it.state == State::Cancelled => by,
                Some(_) | None => "its own end",
            };
            tasks::want(self.tx, &row.name, false, by, self.now)?;
            self.end_retries(&row.name, &format!("stopped by {by}"))?;
        }
        Ok(())
    }

    /// Cancels what waits to be tried again of a task that nobody wants any more: its schedule may have let several meet.
    fn end_retries(&self, task: &TaskName, reason: &str) -> Result<(), LedgerError> {
        for job in jobs::active_of(self.tx, task)? {
            if job.state == State::RestartReady && runs::unfinished_of_job(self.tx, job.id)?.is_none() {
                self.cancel(&job, task, reason)?;
            }
        }
        Ok(())
    }

    fn tell_of(&self, it: &Moved<'_>, occasion: Occasion) -> Result<(), LedgerError> {
        let Some(run) = it.run else { return Ok(()) };
        let message = Message { occasion, job: it.job.id, run, exit: it.exit, reason: it.reason, lines: it.lines };
        self.tell(it.definition, &message)
    }
}

/// The way a job goes. Where somebody has stopped its task meanwhile, nothing more of it is begun.
pub(super) fn way(
    job: &JobRow,
    input: Input,
    policy: Policy,
    task: Option<&TaskRow>,
) -> Result<Vec<State>, LedgerError> {
    let mut path = step(job.state, input, policy)?;
    let state = path.last().copied().unwrap_or(job.state);
    if state.underway().is_some() && task.is_some_and(|row| !row.wanted) {
        path.extend(step(state, Input::Cancelled, policy)?);
    }
    Ok(path)
}

/// Why a job is cancelled, in words: somebody wished the end of this run, or of the task.
pub(super) fn stopped_by(run: Option<&RunRow>, row: &TaskRow) -> String {
    let by = run.and_then(|run| run.stop_by.as_deref()).or(row.wanted_by.as_deref());
    format!("stopped by {}", by.unwrap_or("somebody"))
}

/// By which rule a job is kept alive; `Never` for one that is not.
pub(super) fn rule(job: &JobRow, definition: &Task, wanted: bool) -> Restart {
    let kept_alive = wanted && job.door == Door::Start && !definition.schedule.is_set();
    if kept_alive { definition.restart } else { Restart::Never }
}

impl Moved<'_> {
    fn end(&self, told: Option<Timestamp>, was_looping: bool, is_looping: bool, now: Timestamp) -> EndOfRun {
        EndOfRun { failed: self.failed, state: self.state, was_looping, is_looping, told, now }
    }

    fn gave_up(&self, form: &Form) -> bool {
        let failed = self.failed && self.state == State::Failed;
        failed && self.definition.give_up.is_some_and(|window| form.failed_ends.fill(window))
    }

    /// Whether its task has had what the user wanted of it, or has come to where trying again is no use: nothing starts
    /// it again by itself.
    fn is_satisfied(&self) -> bool {
        if self.definition.schedule.is_set() || !self.state.is_end() {
            return false;
        }
        match self.definition.restart {
            Restart::Never => true,
            Restart::OnFailure if self.state == State::JobFinished => true,
            // A job that is kept alive fails where its hook decided that, or failed itself.
            Restart::OnFailure | Restart::Always => self.state == State::Failed && !self.went_down,
        }
    }
}
