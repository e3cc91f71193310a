//! The end of a run brought into the database: the run, its job, the event, what follows for its task.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::domain::evidence::{Ended, Record};
use crate::domain::lifecycle::{Input, Policy, State, step};
use crate::domain::name::{RunId, TaskName};
use crate::domain::notice::{EndOfRun, Occasion, occasion};
use crate::domain::outcome::{Cause, Exit, Outcome};
use crate::domain::restart::{CRASH_LOOP, DEFAULT_CAP, is_good, is_permanent};
use crate::domain::task::{Restart, Task};
use crate::store::jobs::{self, Change, Door, JobRow};
use crate::store::runs::{self, RunRow, Traces};
use crate::store::tasks::{Form, TaskRow};
use crate::store::{StoreError, events, supervisor, tasks};

use super::notice::Message;
use super::{EndedRun, Ledger, LedgerError, hooks, output};

/// The end of a run, with all that decides what it means.
struct Settling<'a> {
    run: &'a RunRow,
    end: &'a Ended,
    job: JobRow,
    definition: Task,
    /// The task's row; none for a job without a task.
    task: Option<TaskRow>,
    input: Input,
    /// When it ended.
    time: Timestamp,
    /// The inode of its output.
    inode: Option<u64>,
}

/// What the end of a run makes of its task.
struct Aftermath {
    form: Form,
    gave_up: bool,
    /// The moment before which the job is not to run again.
    not_before: Option<Timestamp>,
}

impl Ledger<'_> {
    /// Settles runs that have ended; those that are settled now. One that somebody else has settled meanwhile is left,
    /// and so is one that the database says something impossible about: it must not keep the others from their end.
    pub fn settle_all(&self, ended: &[EndedRun]) -> Result<Vec<RunId>, LedgerError> {
        let mut settled = Vec::with_capacity(ended.len());
        for (run, record, end) in ended {
            let fresh = runs::find(self.tx, run.id)?;
            let done = match fresh.filter(|run| run.outcome.is_none()) {
                Some(run) => self.settle(&run, record, end),
                None => Ok(()),
            };
            match done {
                Ok(()) => settled.push(run.id),
                Err(LedgerError::Store(StoreError::Impossible(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(settled)
    }

    /// Records how a run ended, and moves its job on.
    pub fn settle(&self, run: &RunRow, record: &Record, end: &Ended) -> Result<(), LedgerError> {
        let job = jobs::find(self.tx, run.job)?
            .ok_or_else(|| StoreError::Impossible(format!("run {} belongs to no job", run.id)))?;
        let traces = Traces {
            pid: record.started.map(|(script, _)| script.pid),
            started: record.started.map(|(_, time)| time),
            inode: record.starting.map(|(_, inode)| inode),
        };
        let end = &with_cause(run, end);
        let reason = reason(run, end);
        runs::finish(self.tx, run.id, end, traces, &reason, self.now)?;
        if run.kind == runs::Kind::Notify.as_str() {
            return self.settle_notice(run, end, &reason);
        }
        if run.kind == runs::Kind::Transfer.as_str() {
            return self.settle_transfer(&job, run, end, &reason);
        }
        if hooks::hook_of(job.state).is_some_and(|kind| kind.as_str() == run.kind) {
            return self.settle_hook(run, &job, end, &reason, traces.inode);
        }
        let settling = Settling {
            end,
            definition: jobs::definition_of(self.tx, &job)?,
            // What becomes of a queued job says nothing of how its task stands.
            task: match &run.task {
                Some(task) if job.door != Door::Queue => tasks::find(self.tx, task)?,
                Some(_) | None => None,
            },
            job,
            input: input(run, end),
            time: end.time.unwrap_or(self.now),
            inode: traces.inode,
            run,
        };
        self.move_on(&settling, settling.lasted(record, self.now), &reason)
    }

    fn move_on(&self, settling: &Settling<'_>, lasted: Option<Duration>, reason: &str) -> Result<(), LedgerError> {
        let Settling { run, end, job, definition, .. } = settling;
        let mut after = settling.aftermath(lasted, self.sleep()?);
        let policy = match job.door {
            Door::Queue => self.policy_of(job, definition)?,
            Door::Start | Door::Schedule => settling.policy(after.gave_up),
        };
        let path = step(job.state, settling.input, policy)?;
        let state = path.last().copied().unwrap_or(job.state);
        // A run that was never started does not count, nor does running again because the task is to be kept alive.
        let never = end.outcome == Outcome::NeverStarted;
        let attempt = if never { job.attempt.saturating_sub(1) } else { job.attempt };
        let counted = state == State::RestartReady && !never && policy.restart == Restart::Never;
        let retries_used = job.retries_used + u32::from(counted);
        let not_before = after.not_before.filter(|_| state == State::RestartReady);
        let reason =
            if after.gave_up { format!("given up after repeated failures: {reason}") } else { reason.to_owned() };
        let code = match (after.gave_up, settling.input, job.door) {
            (true, _, _) => "gave_up",
            (false, Input::Stopped, Door::Queue) => "killed",
            (false, _, _) => end.outcome.code(),
        };
        let exit = end.outcome.exit();
        let change = Change { state, code: Some(code), reason: Some(&reason), attempt, retries_used, not_before, exit };
        jobs::change(self.tx, job.id, &change, settling.time)?;
        let lines = settling.failed().then(|| output::last_lines(self.home, run, settling.inode, output::LAST_LINES));
        let lines = lines.unwrap_or_default();
        let data = json!({
            "run": run.id.to_string(),
            "slot": run.slot,
            "through": path.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
            "outcome": end.outcome.code(),
            "reason": reason,
            "not_before": not_before.map(|time| time.to_string()),
            "output": settling.failed().then_some(&lines),
        });
        self.record_event(settling, Some((job.state, state)), "ended", data)?;
        if job.door == Door::Queue {
            self.clean_up_later(job.id, state, definition)?;
        }
        self.tell_children(job.id, state)?;
        let Some(row) = &settling.task else { return self.tell_of_queued(settling, state, &reason, &lines) };
        // Whether it is a crash loop is asked of what is kept alive: what runs once, and what was stopped, is none.
        let kept_alive = row.wanted && policy.restart != Restart::Never && state == State::RestartReady;
        let looping = settling.failed() && kept_alive && after.form.failed_ends.fill(CRASH_LOOP);
        if looping && after.form.looping_since.is_none() {
            after.form.looping_since = Some(settling.time);
            self.record_event(settling, None, "crash_looping", json!({ "run": run.id.to_string(), "reason": reason }))?;
        }
        let told = occasion(&EndOfRun {
            failed: settling.failed(),
            state,
            was_looping: row.form.looping_since.is_some(),
            is_looping: after.form.looping_since.is_some(),
            told: row.form.told,
            now: self.now,
        });
        if let Some(occasion) = told {
            if matches!(occasion, Occasion::Failure | Occasion::CrashLoop) {
                after.form.told = Some(self.now);
            }
            let exit = end.outcome.exit();
            let message = Message { occasion, job: job.id, run, exit, reason: &reason, lines: &lines };
            self.tell(definition, &message)?;
        }
        if never {
            return Ok(());
        }
        tasks::set_form(self.tx, &row.name, &after.form)?;
        if row.wanted && (after.gave_up || is_satisfied(definition, state, end)) {
            let by = if after.gave_up { "repeated failures" } else { "its own end" };
            tasks::want(self.tx, &row.name, false, by, self.now)?;
        }
        Ok(())
    }

    /// Tells of the end of a queued job, if it was one.
    fn tell_of_queued(
        &self,
        settling: &Settling<'_>,
        state: State,
        reason: &str,
        lines: &[String],
    ) -> Result<(), LedgerError> {
        let failed = settling.failed();
        let end =
            EndOfRun { failed, state, was_looping: false, is_looping: false, told: Some(self.now), now: self.now };
        let Some(occasion) = occasion(&end) else { return Ok(()) };
        let (job, run, exit) = (settling.job.id, settling.run, settling.end.outcome.exit());
        self.tell(&settling.definition, &Message { occasion, job, run, exit, reason, lines })
    }

    /// The cap on waits of tasks that have none of their own.
    pub(super) fn sleep(&self) -> Result<Duration, LedgerError> {
        Ok(supervisor::last(self.tx)?.map_or(DEFAULT_CAP, |supervisor| supervisor.sleep))
    }

    fn record_event(
        &self,
        settling: &Settling<'_>,
        states: Option<(State, State)>,
        cause: &str,
        data: serde_json::Value,
    ) -> Result<(), LedgerError> {
        let task = settling.run.task.as_ref().map(TaskName::as_str);
        let event = events::NewEvent { job: Some(settling.job.id), task, states, cause, data };
        Ok(events::record(self.tx, &event, settling.time)?)
    }
}

impl Settling<'_> {
    /// Whether it failed: neither exit code 0 nor an end on request.
    fn failed(&self) -> bool {
        matches!(self.input, Input::Failed | Input::TimedOut)
    }

    /// How long it ran; for a run whose end nobody saw, how long ago it was started.
    fn lasted(&self, record: &Record, now: Timestamp) -> Option<Duration> {
        let seen = self.end.lasted.map(Duration::from_micros);
        seen.or_else(|| Duration::try_from(now.duration_since(record.started?.1)).ok())
    }

    fn aftermath(&self, lasted: Option<Duration>, sleep: Duration) -> Aftermath {
        let backoff = &self.definition.backoff;
        let outcome = &self.end.outcome;
        let row = self.task.as_ref();
        let mut form = row.map(|row| row.form.clone()).unwrap_or_default();
        let good = is_good(outcome, lasted, backoff);
        if *outcome != Outcome::NeverStarted {
            form.streak = if good { 0 } else { form.streak.saturating_add(1) };
        }
        let give_up = self.definition.give_up;
        if self.failed() {
            let windows: Vec<_> = [CRASH_LOOP].into_iter().chain(give_up).collect();
            form.failed_ends.push(self.time, &windows);
            form.steady_since = None;
        }
        let gave_up = self.failed() && give_up.is_some_and(|window| form.failed_ends.fill(window));
        // The run's own number is the chance: whoever settles it comes to the same.
        let chance = self.run.id.low64();
        let wait = if self.job.door == Door::Queue {
            Some(backoff.wait(self.job.retries_used + 1, sleep, chance))
        } else if is_permanent(outcome) {
            Some(backoff.cap(sleep))
        } else {
            (!good).then(|| backoff.wait(form.streak.max(1), sleep, chance))
        };
        Aftermath { form, gave_up, not_before: wait.and_then(|wait| self.time.checked_add(wait).ok()) }
    }

    fn is_newest(&self) -> bool {
        self.task.as_ref().and_then(|row| row.job).is_none_or(|job| job == self.job.id)
    }

    fn policy(&self, gave_up: bool) -> Policy {
        let wanted = self.task.as_ref().is_some_and(|row| row.wanted) && !gave_up;
        let kept_alive = wanted && self.job.door == Door::Start && !self.definition.schedule.is_set();
        Policy {
            restart: if kept_alive { self.definition.restart } else { Restart::Never },
            // Beside a newer job of its schedule it is not tried again.
            retries: if wanted && self.is_newest() { self.definition.retries } else { Some(0) },
            used: self.job.retries_used,
            ..Policy::default()
        }
    }
}

/// An end of which only the exit is known: a signal that came after somebody had asked for the end was the answer.
fn with_cause(run: &RunRow, end: &Ended) -> Ended {
    match &end.outcome {
        Outcome::Ended { exit: exit @ Exit::Signal { .. }, cause: Cause::Itself }
            if end.time.is_none() && run.is_to_end() =>
        {
            Ended { outcome: Outcome::Ended { exit: *exit, cause: Cause::Stopped }, ..end.clone() }
        }
        Outcome::Ended { .. } | Outcome::CouldNotStart { .. } | Outcome::NeverStarted | Outcome::Lost(_) => end.clone(),
    }
}

/// The reason in words, with who asked for it.
fn reason(run: &RunRow, end: &Ended) -> String {
    let stopped = match &end.outcome {
        Outcome::Ended { exit, cause: Cause::Stopped } => Some(exit.describe()),
        Outcome::Ended { .. } | Outcome::CouldNotStart { .. } | Outcome::NeverStarted | Outcome::Lost(_) => None,
    };
    let text = match (stopped, &run.stop_by, &run.stall_reason) {
        (Some(exit), Some(by), _) => format!("stopped by {by} ({exit})"),
        (Some(exit), None, Some(stalled)) => format!("{stalled}; stopped ({exit})"),
        (_, _, _) => end.outcome.reason(),
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
