//! Telling: what a message says, and what became of the attempt to deliver one.

use serde_json::{Value, json};

use crate::domain::evidence::Ended;
use crate::domain::name::JobId;
use crate::domain::notice::{EXPIRES, FEWEST, Occasion, wait};
use crate::domain::outcome::Exit;
use crate::domain::signal::Signal;
use crate::domain::task::Task;
use crate::process::identity;
use crate::store::notices::{self, NewNotice, Notice};
use crate::store::runs::RunRow;
use crate::store::{cache, events};

use super::{Ledger, LedgerError};

/// The most output that a message carries, in bytes: it has to fit into one variable.
const MOST_OUTPUT: usize = 8 * 1024;

/// The last of these lines, as many as have room.
fn newest(lines: &[String]) -> &[String] {
    let mut room = MOST_OUTPUT;
    let fits = lines.iter().rev().take_while(|line| {
        let left = room.checked_sub(line.len() + 1);
        room = left.unwrap_or(0);
        left.is_some()
    });
    let first = lines.len() - fits.count();
    lines.get(first..).unwrap_or_default()
}

/// What is to be told of a task.
pub struct Message<'a> {
    /// On what occasion.
    pub occasion: Occasion,
    /// The job.
    pub job: JobId,
    /// The run that it is about.
    pub run: &'a RunRow,
    /// How it ended, where that is known.
    pub exit: Option<Exit>,
    /// Why it is told.
    pub reason: &'a str,
    /// The last lines of output.
    pub lines: &'a [String],
}

impl Ledger<'_> {
    /// Stores what there is to tell, once for each way in which the task wants it told.
    pub fn tell(&self, task: &Task, message: &Message<'_>) -> Result<(), LedgerError> {
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

    fn message(&self, task: &Task, message: &Message<'_>) -> Result<Value, LedgerError> {
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
            "output": newest(message.lines),
        }))
    }

    /// Records how the attempt to deliver a message ended: it is delivered, tried again later, or given up.
    pub fn settle_notice(&self, run: &RunRow, end: &Ended, reason: &str) -> Result<(), LedgerError> {
        let Some(notice) = notices::of_run(self.tx, run.id)? else { return Ok(()) };
        if !end.outcome.is_success() {
            return self.postpone_or_give_up(&notice, reason);
        }
        notices::close(self.tx, notice.id, true, self.now)?;
        self.record_attempt(&notice, "notified", reason)
    }

    /// A message that was not delivered is tried again later, unless it has become too old for that.
    pub fn postpone_or_give_up(&self, notice: &Notice, reason: &str) -> Result<(), LedgerError> {
        // Also where somebody has set the clock forward, it was tried for some hours.
        if notice.attempts >= FEWEST && self.now.duration_since(notice.made).unsigned_abs() >= EXPIRES {
            notices::close(self.tx, notice.id, false, self.now)?;
            return self.record_attempt(notice, "notice_given_up", reason);
        }
        let until = self.now.checked_add(wait(notice.attempts)).unwrap_or(self.now);
        notices::postpone(self.tx, notice.id, notice.attempts, until)?;
        self.record_attempt(notice, "notice_postponed", reason)
    }

    fn record_attempt(&self, notice: &Notice, cause: &str, reason: &str) -> Result<(), LedgerError> {
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
