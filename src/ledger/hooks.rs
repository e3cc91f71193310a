//! Hooks: what the end of one means for its job.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::evidence::Ended;
use crate::domain::lifecycle::{Hooked, Input, State};
use crate::domain::name::JobId;
use crate::domain::outcome::{Cause, Outcome, Unseen};
use crate::domain::task::{Program, Restart, Task};
use crate::store::jobs::{self, Change, Door, JobRow};
use crate::store::runs::{self, Kind, RunRow};
use crate::store::tasks::{Form, TaskRow};
use crate::store::{StoreError, events, queue};

use super::front::{Moved, STOPPED, stopped_by, way};
use super::{Ledger, LedgerError, output};

/// What a hook has decided about its job. It takes effect when the hook ends with exit code 0; the last one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// `RESTART_READY` or `FAILED`.
    pub state: State,
    /// Why, in words.
    pub message: Option<String>,
}

/// Which hooks a job of this definition has.
pub fn hooked(definition: &Task) -> Hooked {
    let has = |kind| !words(definition, kind).is_empty();
    Hooked {
        preprocess: has(Kind::Preprocess),
        postprocess: has(Kind::Postprocess),
        handle_error: has(Kind::HandleError),
        handle_timeout: has(Kind::HandleTimeout),
    }
}

/// The hook that a job waits for in this state.
pub fn hook_of(state: State) -> Option<Kind> {
    match state {
        State::StagedIn => Some(Kind::Preprocess),
        State::RunDone => Some(Kind::Postprocess),
        State::RunError => Some(Kind::HandleError),
        State::RunTimeout => Some(Kind::HandleTimeout),
        State::Created
        | State::AwaitingParents
        | State::Blocked
        | State::Ready
        | State::Preprocessed
        | State::Running
        | State::Postprocessed
        | State::StagedOut
        | State::JobFinished
        | State::RestartReady
        | State::Failed
        | State::Cancelled
        | State::Reset => None,
    }
}

/// The program and arguments of a hook; empty for none, and for what is no hook.
pub fn words(definition: &Task, kind: Kind) -> &[String] {
    match kind {
        Kind::Preprocess => &definition.hooks.preprocess,
        Kind::Postprocess => &definition.hooks.postprocess,
        Kind::HandleError => &definition.hooks.handle_error,
        Kind::HandleTimeout => &definition.hooks.handle_timeout,
        Kind::Main | Kind::Transfer | Kind::Notify => &[],
    }
}

/// A hook of a task, as something to run: in the job's work directory, with its own limit.
pub fn as_task(task: &Task, kind: Kind, workdir: &Path) -> Task {
    Task {
        program: Program::Command(words(task, kind).to_vec()),
        args: Vec::new(),
        interpreter: None,
        preamble: None,
        env_file: task.env_file.as_ref().map(|file| task.wd.join(file)),
        wd: workdir.to_path_buf(),
        timeout: Some(task.hooks.timeout),
        ..task.clone()
    }
}

/// What a hook finds in its environment besides: which it is, and how the run before it ended.
pub fn told(job: &JobRow, exit_code: Option<i32>, kind: Kind) -> [(&'static str, String); 4] {
    [
        ("JOBEXEC_HOOK", kind.as_str().to_owned()),
        ("JOBEXEC_STATE", job.state.to_string()),
        ("JOBEXEC_REASON", job.reason.clone().unwrap_or_default()),
        ("JOBEXEC_EXIT_CODE", exit_code.map(|code| code.to_string()).unwrap_or_default()),
    ]
}

impl Ledger<'_> {
    /// What a hook of a job has decided so far.
    pub fn decision(&self, job: JobId) -> Result<Option<Decision>, LedgerError> {
        let text = queue::decision(self.tx, job)?;
        let read = text.as_deref().map(serde_json::from_str).transpose();
        Ok(read.map_err(|error| StoreError::Impossible(format!("the decision about job {job}: {error}")))?)
    }

    /// Moves a job on whose hook has ended.
    pub fn settle_hook(
        &self,
        run: &RunRow,
        job: &JobRow,
        end: &Ended,
        reason: &str,
        inode: Option<u64>,
    ) -> Result<(), LedgerError> {
        let definition = jobs::definition_of(self.tx, job)?;
        let row = self.task_of(job, &definition)?;
        let decision = self.decision(job.id)?;
        let input = input(run, end, decision.as_ref());
        let policy = self.policy_of(job, &definition)?;
        let path = way(job, input, policy, row.as_ref())?;
        let state = path.last().copied().unwrap_or(job.state);
        let again = input == Input::HookDone && state == State::RestartReady;
        // To be kept alive counts as little as what a hook decides.
        let retries_used = job.retries_used + u32::from(again && policy.restart == Restart::Never);
        let not_before = match job.door {
            Door::Queue if again => self.retry_at(&definition, retries_used, run)?,
            Door::Queue => None,
            // How long it is to wait was found when its own run ended.
            Door::Start | Door::Schedule => job.not_before.filter(|_| again || state == job.state),
        };
        let (code, reason) = match &row {
            Some(row) if state == State::Cancelled => (Some(STOPPED.to_owned()), Some(stopped_by(Some(run), row))),
            Some(_) | None => why(job, run, input, decision, reason),
        };
        let (code, reason) = (code.as_deref(), reason.as_deref());
        let attempt = job.attempt;
        jobs::change(
            self.tx,
            job.id,
            &Change { state, code, reason, attempt, retries_used, not_before, exit: None },
            self.now,
        )?;
        queue::decide(self.tx, job.id, None)?;
        let failed = input == Input::HookFailed;
        let lines = if failed { output::last_lines(self.home, run, inode, output::LAST_LINES) } else { Vec::new() };
        let task = queue::given(self.tx, job.id)?.task;
        let event = events::NewEvent {
            job: Some(job.id),
            task: task.as_deref(),
            states: Some((job.state, state)),
            cause: "hook_ended",
            data: json!({
                "run": run.id.to_string(),
                "slot": run.slot,
                "hook": run.kind,
                "through": path.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
                "outcome": end.outcome.code(),
                "reason": reason,
                "not_before": not_before.map(|time| time.to_string()),
                "output": failed.then_some(&lines),
            }),
        };
        events::record(self.tx, &event, self.now)?;
        self.clean_up_later(job.id, state, &definition)?;
        self.tell_children(job.id, state)?;
        let reason = reason.unwrap_or_default();
        let (failed, went_down) = (state == State::Failed, went_down(&end.outcome));
        let (exit, time) = (end.outcome.exit(), self.now);
        let definition = &definition;
        let hook =
            Moved { job, definition, state, failed, went_down, run: Some(run), exit, reason, lines: &lines, time };
        let task = row.as_ref().map(|row| (row, row.form.clone()));
        if input == Input::HookFailed { self.follow_up(&hook, task) } else { self.follow_up_of_own(&hook, task) }
    }

    /// Follows up what a hook has left to the job's own run: that is what is told of.
    fn follow_up_of_own(&self, hook: &Moved<'_>, task: Option<(&TaskRow, Form)>) -> Result<(), LedgerError> {
        let Some(own) = runs::last_main_of_job(self.tx, hook.job.id)? else { return self.follow_up(hook, task) };
        let had_failed = matches!(hook.job.state, State::RunError | State::RunTimeout);
        let lines = if had_failed { output::last_lines(self.home, &own, None, output::LAST_LINES) } else { Vec::new() };
        let failed = hook.failed || had_failed && hook.state != State::Cancelled;
        self.follow_up(&Moved { failed, run: Some(&own), exit: own.exit, lines: &lines, ..*hook }, task)
    }

    /// When a queued job is to run again that has used so many retries.
    fn retry_at(&self, definition: &Task, retries_used: u32, run: &RunRow) -> Result<Option<Timestamp>, LedgerError> {
        let wait = definition.backoff.wait(retries_used, self.sleep()?, run.id.low64());
        Ok(self.now.checked_add(wait).ok())
    }
}

/// What the end of a hook means for its job.
fn input(run: &RunRow, end: &Ended, decision: Option<&Decision>) -> Input {
    match (&end.outcome, decision) {
        (_, _) if run.stop_asked.is_some() => Input::Stopped,
        (Outcome::NeverStarted, _) => Input::NeverStarted,
        (outcome, _) if !outcome.is_success() => Input::HookFailed,
        (_, None) => Input::HookDone,
        (_, Some(decision)) if decision.state == State::RestartReady => Input::HookSaidAgain,
        (_, Some(_)) => Input::HookSaidFailed,
    }
}

/// Whether it was the machine, or the session, that ended it.
fn went_down(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Lost(Unseen::Reboot) | Outcome::Ended { cause: Cause::SessionEnded, .. })
}

/// Code and words for the state that a hook leaves its job in; where the hook decided nothing, those of the run
/// before it stand.
fn why(
    job: &JobRow,
    run: &RunRow,
    input: Input,
    decision: Option<Decision>,
    reason: &str,
) -> (Option<String>, Option<String>) {
    let said = |word: &str, text: String| (Some(word.to_owned()), Some(text));
    let kind = &run.kind;
    if input == Input::HookFailed {
        return said("hook_failed", format!("its hook {kind} failed: {reason}"));
    }
    if input == Input::Stopped {
        return said("killed", reason.to_owned());
    }
    match decision.filter(|_| matches!(input, Input::HookSaidAgain | Input::HookSaidFailed)) {
        Some(decision) => {
            let text = decision.message.unwrap_or_else(|| format!("its hook {kind} decided so"));
            said("hook_decided", text)
        }
        None => (job.code.clone(), job.reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_next_is_called_as_the_hook_that_is_run() {
        for state in State::ALL {
            let hook = hook_of(state).map(|kind| format!("its hook {}", kind.as_str()));
            let next = state.underway().filter(|next| next.starts_with("its hook"));
            assert_eq!(next, hook.as_deref(), "{state}");
        }
    }
}
