//! The end of a run brought into the database: the run, its job, the event, what follows for its task.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::domain::evidence::{Ended, Record};
use crate::domain::lifecycle::{Input, State};
use crate::domain::name::{RunId, TaskName};
use crate::domain::outcome::{Cause, Exit, Outcome};
use crate::domain::restart::{CRASH_LOOP, DEFAULT_CAP, is_good, is_permanent};
use crate::domain::task::{Restart, Task};
use crate::store::jobs::{self, Change, Door, JobRow};
use crate::store::runs::{self, RunRow, Traces};
use crate::store::tasks::{Form, TaskRow};
use crate::store::{StoreError, events, supervisor};

use super::front::{GAVE_UP, Moved, STOPPED, rule, stopped_by, way};
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

    /// Records how a run ended, and moves its job on: where its worker has gone on with the next one, to that.
    pub fn settle(&self, run: &RunRow, record: &Record, end: &Ended) -> Result<(), LedgerError> {
        match record.passed_on {
            Some(next) => self.settle_followed(run, record, end, next),
            None => self.settle_run(run, record, end),
        }
    }

    /// Records how a run ended, and moves its job on.
    pub(super) fn settle_run(&self, run: &RunRow, record: &Record, end: &Ended) -> Result<(), LedgerError> {
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
        let definition = jobs::definition_of(self.tx, &job)?;
        let mut task = self.task_of(&job, &definition)?;
        if let Some(row) = task.as_mut().filter(|_| record.passed_on.is_some()) {
            // It still was when this run ended.
            row.wanted = true;
        }
        let settling = Settling {
            end,
            task,
            definition,
            job,
            input: input(run, end),
            time: end.time.unwrap_or(self.now),
            inode: traces.inode,
            run,
        };
        if settling.is_given_back() {
            // The events tell of it; among the runs it would only be in the way.
            runs::remove(self.tx, run.id)?;
        }
        self.move_on(&settling, settling.lasted(record, self.now), &reason)
    }

    fn move_on(&self, settling: &Settling<'_>, lasted: Option<Duration>, reason: &str) -> Result<(), LedgerError> {
        let Settling { run, end, job, definition, .. } = settling;
        let after = settling.aftermath(lasted, self.sleep()?);
        let policy = match &settling.task {
            Some(row) => self.front_policy(job, definition, row, after.gave_up)?,
            None => self.policy_of(job, definition)?,
        };
        let path = way(job, settling.input, policy, settling.task.as_ref())?;
        let state = path.last().copied().unwrap_or(job.state);
        // A run that was never started does not count, nor does running again because the task is to be kept alive.
        let never = end.outcome == Outcome::NeverStarted;
        let attempt = if never { job.attempt.saturating_sub(1) } else { job.attempt };
        let counted = state == State::RestartReady && !never && policy.restart == Restart::Never;
        let retries_used = job.retries_used + u32::from(counted);
        let not_before = after.not_before.filter(|_| settling.may_wait(state));
        let (code, reason) = settling.why(state, after.gave_up, reason);
        let exit = end.outcome.exit();
        let said = !settling.is_given_back();
        let (code, told) = (said.then_some(code), said.then_some(reason.as_str()));
        let change = Change { state, code, reason: told, attempt, retries_used, not_before, exit };
        jobs::change(self.tx, job.id, &change, settling.time)?;
        let failed = settling.failed();
        let lines = failed.then(|| output::last_lines(self.home, run, settling.inode, output::LAST_LINES));
        let lines = lines.unwrap_or_default();
        let event = events::NewEvent {
            job: Some(job.id),
            task: run.task.as_ref().map(TaskName::as_str),
            states: Some((job.state, state)),
            cause: "ended",
            data: json!({
                "run": run.id.to_string(),
                "slot": run.slot,
                "through": path.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
                "outcome": end.outcome.code(),
                "reason": reason,
                "not_before": not_before.map(|time| time.to_string()),
                "output": failed.then_some(&lines),
            }),
        };
        events::record(self.tx, &event, settling.time)?;
        self.clean_up_later(job.id, state, definition)?;
        self.tell_children(job.id, state)?;
        if never && settling.task.is_some() {
            return Ok(());
        }
        let (run, reason, lines, time) = (Some(*run), reason.as_str(), lines.as_slice(), settling.time);
        let failed = failed && state != State::Cancelled;
        let moved = Moved { job, definition, state, failed, went_down: false, run, exit, reason, lines, time };
        self.follow_up(&moved, settling.task.as_ref().map(|row| (row, after.form)))
    }

    /// The cap on waits of tasks that have none of their own.
    pub(super) fn sleep(&self) -> Result<Duration, LedgerError> {
        Ok(supervisor::last(self.tx)?.map_or(DEFAULT_CAP, |supervisor| supervisor.sleep))
    }
}

impl Settling<'_> {
    /// Whether it failed: neither exit code 0 nor an end on request.
    fn failed(&self) -> bool {
        matches!(self.input, Input::Failed | Input::TimedOut)
    }

    /// Whether it is a queued job that a slot has claimed and not begun: it is as it was before.
    fn is_given_back(&self) -> bool {
        self.job.door == Door::Queue && self.input == Input::NeverStarted
    }

    /// Code and words for the state that it leaves its job in.
    fn why(&self, state: State, gave_up: bool, reason: &str) -> (&'static str, String) {
        if self.input == Input::Stopped {
            let code = if self.job.door == Door::Queue { "killed" } else { self.end.outcome.code() };
            return (code, reason.to_owned());
        }
        match &self.task {
            // It ended by itself, and somebody stopped its task before what comes next.
            Some(row) if state == State::Cancelled => (STOPPED, stopped_by(None, row)),
            Some(_) | None if gave_up => (GAVE_UP, format!("given up after repeated failures: {reason}")),
            Some(_) | None => (self.end.outcome.code(), reason.to_owned()),
        }
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
        // What is run by a schedule, or once, waits by the retries of its job: short runs before it mean nothing.
        let kept_alive = row.is_some_and(|row| rule(&self.job, &self.definition, row.wanted) != Restart::Never);
        if *outcome != Outcome::NeverStarted {
            form.streak = if good || !kept_alive { 0 } else { form.streak.saturating_add(1) };
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
        let wait = if self.is_given_back() {
            None
        } else if self.job.door != Door::Queue && is_permanent(outcome) {
            Some(backoff.cap(sleep))
        } else if !kept_alive {
            Some(backoff.wait(self.job.retries_used + 1, sleep, chance))
        } else {
            (!good).then(|| backoff.wait(form.streak.max(1), sleep, chance))
        };
        Aftermath { form, gave_up, not_before: wait.and_then(|wait| self.time.checked_add(wait).ok()) }
    }

    /// Whether a moment before which the job is not to run again means anything in this state: what its hook makes of
    /// the end is still to come.
    fn may_wait(&self, state: State) -> bool {
        state == State::RestartReady || self.task.is_some() && hooks::hook_of(state).is_some()
    }
}

/// An end of which only the exit is known: a signal that came after somebody had asked for the end was the answer. An exit
/// code may be older than the wish, where it was what the script had left behind that was stopped.
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
    let text = in_words(&end.outcome, run.stop_by.as_deref(), run.stall_reason.as_deref());
    match end.leftover {
        0 => text,
        1 => format!("{text}; 1 process that it left behind was stopped"),
        count => format!("{text}; {count} processes that it left behind were stopped"),
    }
}

/// The outcome in words, with who had asked for the end, or why the supervisor had.
fn in_words(outcome: &Outcome, by: Option<&str>, stalled: Option<&str>) -> String {
    match (outcome, by, stalled) {
        (Outcome::NeverStarted, Some(by), _) => format!("stopped by {by} before it was started"),
        (Outcome::Ended { exit, cause: Cause::Stopped }, Some(by), _) => {
            format!("stopped by {by} ({})", exit.describe())
        }
        (Outcome::Ended { exit, cause: Cause::Stopped }, None, Some(stalled)) => {
            format!("{stalled}; stopped ({})", exit.describe())
        }
        // Nobody has seen how it ended; the wish is known all the same.
        (Outcome::Lost(_), Some(by), _) => format!("stopped by {by}; {}", outcome.reason()),
        (Outcome::Lost(_), None, Some(stalled)) => format!("{stalled}; stopped; {}", outcome.reason()),
        (Outcome::Ended { .. }, Some(by), _) => format!("{}; {by} had asked for its end", outcome.reason()),
        (Outcome::Ended { .. } | Outcome::CouldNotStart { .. } | Outcome::NeverStarted | Outcome::Lost(_), _, _) => {
            outcome.reason()
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Unseen;

    #[test]
    fn who_asked_for_an_end_is_said_however_it_ended() {
        let ended = |cause| Outcome::Ended { exit: Exit::Code(3), cause };
        let unseen = Outcome::Lost(Unseen::WorkerDied);
        for (outcome, by, stalled, expected) in [
            (ended(Cause::Itself), None, None, "exit code 3"),
            (ended(Cause::Itself), Some("anna"), None, "exit code 3; anna had asked for its end"),
            (ended(Cause::Stopped), Some("anna"), None, "stopped by anna (exit code 3)"),
            (ended(Cause::Stopped), Some("anna"), Some("silent"), "stopped by anna (exit code 3)"),
            (ended(Cause::Stopped), None, Some("silent"), "silent; stopped (exit code 3)"),
            (Outcome::NeverStarted, Some("anna"), None, "stopped by anna before it was started"),
            (Outcome::NeverStarted, None, None, "never started"),
            (unseen.clone(), None, None, "lost: its worker died before it, so its exit was not seen"),
            (
                unseen.clone(),
                Some("anna"),
                None,
                "stopped by anna; lost: its worker died before it, so its exit was not seen",
            ),
            (
                unseen,
                None,
                Some("silent"),
                "silent; stopped; lost: its worker died before it, so its exit was not seen",
            ),
        ] {
            assert_eq!(in_words(&outcome, by, stalled), expected);
        }
    }
}
