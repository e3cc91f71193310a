//! explain: one sentence that says why a task is in the state it is in, and what would change that.

use jiff::Timestamp;

use crate::domain::amount::print_duration;
use crate::domain::status::TaskState;
use crate::store::runs::RunRow;

use super::{Executor, ExecutorError, TaskStatus};

/// Why a task is in its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The reason in one sentence.
    pub sentence: String,
    /// What the user can do about it.
    pub hints: Vec<String>,
}

impl Executor {
    /// Explains the state of a task.
    pub fn explain(&self, status: &TaskStatus, now: Timestamp) -> Result<Explanation, ExecutorError> {
        let name = &status.name;
        let mut hints = Vec::new();
        let sentence = match status.state {
            TaskState::Running | TaskState::Stopping => running(status, now),
            TaskState::Orphaned => {
                hints.push(format!("end it with `jobexec stop {name}`"));
                let pids = status.live.as_ref().map(|live| live.orphans.clone()).unwrap_or_default();
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                format!(
                    "{name} still runs (pid {}), but the worker that watched it was killed: its exit will not be known",
                    pids.join(", ")
                )
            }
            TaskState::Unsupervised if status.scheduled() => {
                hints.push(format!("run it once with `jobexec start {name} --now`"));
                format!("{name} is armed, but no supervisor is running to fire its schedule")
            }
            TaskState::Unsupervised => {
                hints.push(format!("start it again with `jobexec start {name}`"));
                match &status.last_ended {
                    Some(run) => format!(
                        "{name} is wanted but does not run: {}, and no supervisor is running to start it again",
                        ended(run, now)
                    ),
                    None => format!("{name} is wanted but does not run, and no supervisor is running to start it"),
                }
            }
            TaskState::Waiting => match &status.last_ended {
                Some(run) => format!("{name} waits to be started again: {}", ended(run, now)),
                None => format!("{name} waits to be started"),
            },
            TaskState::Scheduled => format!("{name} waits for its next occurrence"),
            TaskState::Failed | TaskState::Finished => {
                hints.push(format!("run it again with `jobexec start {name}`"));
                match &status.last_ended {
                    Some(run) => format!("{name} does not run: {}, and it is not to be started again", ended(run, now)),
                    None => format!("{name} does not run"),
                }
            }
            TaskState::Stopped => stopped(status, now, &mut hints),
        };
        if matches!(status.state, TaskState::Failed | TaskState::Unsupervised) && status.last_ended.is_some() {
            hints.push(format!("see its output with `jobexec tail {name}`"));
        }
        if !status.defined {
            hints.push(format!("`{name}` is no longer in the registry"));
        }
        Ok(Explanation { sentence, hints })
    }
}

fn running(status: &TaskStatus, now: Timestamp) -> String {
    let name = &status.name;
    let live = status.live.as_ref();
    if live.is_some_and(|live| live.elsewhere) {
        return format!("{name} is on record as running on another machine or in another container");
    }
    let pid = live.and_then(|live| live.pid).map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    let since = live.and_then(|live| live.started).map(|time| format!(" for {}", age(time, now))).unwrap_or_default();
    let run = status.run.as_ref();
    if status.state == TaskState::Stopping
        && let Some((time, by)) = run.and_then(|run| run.stop_asked.zip(run.stop_by.as_deref()))
    {
        return format!("{name}{pid} is being stopped: {by} asked for it {} ago", age(time, now));
    }
    let by = run.map(|run| format!(", started by {}", run.asked_by)).unwrap_or_default();
    format!("{name} has been running{since}{pid}{by}")
}

fn stopped(status: &TaskStatus, now: Timestamp, hints: &mut Vec<String>) -> String {
    let name = &status.name;
    hints.push(format!("start it with `jobexec start {name}`"));
    let row = status.row.as_ref();
    match row.and_then(|row| row.wanted_by.as_deref().zip(row.wanted_since)) {
        Some((by, time)) => format!("{name} does not run: {by} stopped it {} ago", age(time, now)),
        None => format!("{name} does not run: it was added and never started"),
    }
}

fn ended(run: &RunRow, now: Timestamp) -> String {
    let reason = run.reason.as_deref().unwrap_or("nobody knows why");
    let ago = run.ended.map(|time| format!(" {} ago", age(time, now))).unwrap_or_default();
    format!("its last run ended{ago} ({reason})")
}

/// The time between, to the second.
fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0);
    print_duration(std::time::Duration::from_secs(seconds))
}
