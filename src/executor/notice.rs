//! Telling: what a message says, and what became of the attempt to deliver one.

use serde_json::{Value, json};

use crate::domain::evidence::Ended;
use crate::domain::name::JobId;
use crate::domain::notice::{EXPIRES, Occasion, wait};
use crate::domain::outcome::Exit;
use crate::domain::signal::Signal;
use crate::domain::task::Task;
use crate::process::identity;
use crate::store::notices::{self, NewNotice, Notice};
use crate::store::runs::RunRow;
use crate::store::{cache, events};

use super::ExecutorError;
use super::ledger::Ledger;

/// What is to be told of a task.
pub(super) struct Message<'a> {
    pub(super) occasion: Occasion,
    pub(super) job: JobId,
    /// The run that it is about.
    pub(super) run: &'a RunRow,
    pub(super) exit: Option<Exit>,
    pub(super) reason: &'a str,
    /// The last lines of output.
    pub(super) lines: &'a [String],
}

impl Ledger<'_> {
    /// Stores what there is to tell, once for each way in which the task wants it told.
    pub(super) fn tell(&self, task: &Task, message: &Message<'_>) -> Result<(), ExecutorError> {
        let channels = task.notify.channels(message.occasion);
        if channels.is_empty() {
            return Ok(());
        }
        let (occasion, job) = (message.occasion, message.job);
        let message = self.message(task, message)?;
        for channel in &channels {
            let new = NewNotice { occasion, task: &task.name, job, channel, message: &message };
            notices::create(self.tx, &new, self.now)?;
        }
        Ok(())
    }

    fn message(&self, task: &Task, message: &Message<'_>) -> Result<Value, ExecutorError> {
        let host = identity::host();
        let (name, reason, run) = (&task.name, message.reason, message.run);
        let (code, signal) = match message.exit {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal { number, .. }) => (None, Signal::from_number(number).map(|signal| signal.to_string())),
            None => (None, None),
        };
        let text = match message.occasion {
            Occasion::Failure => format!("{name} on {host} failed: {reason}"),
            Occasion::CrashLoop => format!("{name} on {host} is crash-looping: {reason}"),
            Occasion::Recovery => format!("{name} on {host} has recovered: {reason}"),
            Occasion::Finish => format!("{name} on {host} has finished: {reason}"),
            Occasion::Stall => format!("{name} on {host} shows no sign of life: {reason}"),
        };
        Ok(json!({
            "event": message.occasion.as_str(),
            "text": text,
            "time": self.now.to_string(),
            "host": host,
            "folder": self.home.root(),
            "exec_id": cache::head(self.tx)?.map(|(_, id)| id),
            "task": name.as_str(),
            "job": message.job,
            "run_id": run.id.to_string(),
            "attempt": run.attempt,
            "reason": reason,
            "exit_code": code,
            "signal": signal,
            "output": message.lines,
        }))
    }

    /// Records how the attempt to deliver a message ended: it is delivered, tried again later, or given up.
    pub(super) fn settle_notice(&self, run: &RunRow, end: &Ended, reason: &str) -> Result<(), ExecutorError> {
        let Some(notice) = notices::of_run(self.tx, run.id)? else { return Ok(()) };
        let delivered = end.outcome.is_success();
        let old = self.now.duration_since(notice.made).unsigned_abs() >= EXPIRES;
        if !delivered && !old {
            let until = self.now.checked_add(wait(notice.attempts)).unwrap_or(self.now);
            notices::postpone(self.tx, notice.id, until)?;
            return self.record_attempt(&notice, "notice_postponed", reason);
        }
        notices::close(self.tx, notice.id, delivered, self.now)?;
        self.record_attempt(&notice, if delivered { "notified" } else { "notice_given_up" }, reason)
    }

    fn record_attempt(&self, notice: &Notice, cause: &str, reason: &str) -> Result<(), ExecutorError> {
        let data = json!({
            "event": notice.occasion.as_str(),
            "notice": notice.id,
            "attempts": notice.attempts,
            "reason": reason,
        });
        let event = events::NewEvent { job: Some(notice.job), task: Some(&notice.task), states: None, cause, data };
        Ok(events::record(self.tx, &event, self.now)?)
    }
}
