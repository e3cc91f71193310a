//! log: what was done with the executor, in the order it was done, in the words of executoR, whose log this continues.

use std::collections::HashMap;

use crate::domain::name::RunId;
use crate::store::{events, runs};

use super::import::Found;
use super::{Executor, ExecutorError};

/// The events that are lines of the log.
const CAUSES: [&str; 6] = ["initialized", "added", "edited", "removed", "started", "stopped"];

/// One line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What, as a sentence: `Starting LOL jobs/test.R (pid: 92809)`.
    pub text: String,
    /// The event behind it.
    pub event: events::Event,
}

/// Reads the log in order, going on where it left off.
#[derive(Debug, Default)]
pub struct Journal {
    after: i64,
    pids: HashMap<RunId, i32>,
    pending: bool,
}

impl Journal {
    /// The last lines, or, when it is called again, those that have come since.
    ///
    /// Whoever follows hears of a start before its script has a pid: that line, and what comes after it, is then held
    /// back until it has one.
    pub fn next(
        &mut self,
        executor: &mut Executor,
        number: Option<u32>,
        follow: bool,
    ) -> Result<Vec<Line>, ExecutorError> {
        executor.refresh()?;
        let events = events::last(executor.store.reader(), &CAUSES, number, self.after)?;
        let mut lines = Vec::new();
        self.pending = false;
        for event in events {
            if follow && is_beginning(executor, &event)? {
                self.pending = true;
                break;
            }
            self.after = event.id;
            let text = self.text(executor, &event)?;
            lines.push(Line { text, event });
        }
        Ok(lines)
    }

    /// Whether a line is held back, which no bell will tell of.
    pub fn is_pending(&self) -> bool {
        self.pending
    }

    fn text(&mut self, executor: &Executor, event: &events::Event) -> Result<String, ExecutorError> {
        let task = event.task.as_deref().unwrap_or_default();
        let what = event.data.get("what").and_then(serde_json::Value::as_str).unwrap_or_default();
        Ok(match event.cause.as_str() {
            "initialized" => "Initializing".to_owned(),
            "added" => format!("Adding {task} {what}"),
            "edited" => format!("Editing {task} {what}"),
            "removed" => format!("Removing {task}"),
            "stopped" => format!("Stopping {task}"),
            _ => match run_of(event).map(|run| self.pid(executor, run)).transpose()?.flatten() {
                Some(pid) => format!("Starting {task} {what} (pid: {pid})"),
                None => format!("Starting {task} {what}"),
            },
        })
    }

    fn pid(&mut self, executor: &Executor, id: RunId) -> Result<Option<i32>, ExecutorError> {
        if let Some(pid) = self.pids.get(&id) {
            return Ok(Some(*pid));
        }
        let Some(run) = runs::find(executor.store.reader(), id)? else { return Ok(None) };
        let pid = match run.outcome {
            Some(_) => run.pid,
            None => executor.record_of(&run)?.started.map(|(script, _)| script.pid),
        };
        self.pids.extend(pid.map(|pid| (id, pid)));
        Ok(pid)
    }
}

/// The run that an event is about.
fn run_of(event: &events::Event) -> Option<RunId> {
    event.data.get("run").and_then(serde_json::Value::as_str).and_then(|run| RunId::parse(run).ok())
}

/// Whether an event is the start of a run whose worker lives and has not started the script yet.
fn is_beginning(executor: &Executor, event: &events::Event) -> Result<bool, ExecutorError> {
    let Some(id) = run_of(event).filter(|_| event.cause == "started") else { return Ok(false) };
    let Some(run) = runs::find(executor.store.reader(), id)?.filter(|run| run.outcome.is_none()) else {
        return Ok(false);
    };
    Ok(matches!(executor.examine(&run)?, Found::Alive(record) if record.started.is_none()))
}
