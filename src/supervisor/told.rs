//! What the diary says of the events: one sentence for each that somebody may want to read in the morning.

use std::time::Duration;

use serde_json::Value;
use tracing::{debug, info, warn};

use crate::domain::amount::print_duration;
use crate::domain::lifecycle::State;
use crate::domain::name::RunId;
use crate::store::events::Event;

use super::keeper::until;

/// Writes down an event.
pub(super) fn event(event: &Event) {
    let task = event.task.as_deref().unwrap_or_default();
    let text = |key: &str| event.data.get(key).and_then(Value::as_str);
    let reason = text("reason").unwrap_or_default();
    match event.cause.as_str() {
        "ended" if is_of_slot(event) => ended_in_slot(event, reason),
        "ended" => ended(event, task, reason),
        "hook_ended" => hook_ended(event, task, reason),
        "crash_looping" => {
            warn!("{task} is crash-looping: 5 failures within 10 minutes; it goes on being started again");
        }
        "recovered" => info!("{task} has recovered: {reason}"),
        "stalled" => warn!("{task} shows no sign of life: {reason}"),
        "resumed" => info!("{task} shows signs of life again"),
        "notified" => info!("told about {task}: {}", text("event").unwrap_or_default()),
        "notice_postponed" => {
            warn!("cannot tell about {task} ({}): {reason}; trying again", text("event").unwrap_or_default());
        }
        "notice_given_up" => warn!("gave up telling about {task} ({}): {reason}", text("event").unwrap_or_default()),
        "staged_in" => info!("job {} has what it needs: {reason}", of_job(event)),
        "staged_out" => info!("what job {} made is stored: {reason}", of_job(event)),
        "transfer_postponed" => info!("job {}: {reason}; trying again", of_job(event)),
        "transfer_failed" => warn!("job {} has failed: {reason}", of_job(event)),
        "skipped" => info!("{task} does not run at {}: {reason}", text("due").unwrap_or_default()),
        "missed" => warn!(
            "{task} missed {} (up to {}): {reason}",
            text("count").unwrap_or_default(),
            text("due").unwrap_or_default()
        ),
        "clock_was_wrong" => {
            warn!(
                "the schedule of {task} was decided up to {}, which is far ahead: it counts from now on",
                text("was").unwrap_or_default()
            );
        }
        "stopped" => info!("{} stops {task}", text("by").unwrap_or("somebody")),
        "armed" => info!("{} arms {task}", text("by").unwrap_or("somebody")),
        "started" => debug!("{} starts {task}", text("by").unwrap_or("somebody")),
        other => debug!("{other} {task}"),
    }
}

/// Whether an event tells of a run in a slot: there may be thousands of them.
pub(super) fn is_of_slot(event: &Event) -> bool {
    event.data.get("slot").is_some_and(Value::is_number)
}

fn of_job(event: &Event) -> String {
    event.job.map(|job| job.to_string()).unwrap_or_default()
}

fn ended_in_slot(event: &Event, reason: &str) {
    let job = event.job.map(|job| job.to_string()).unwrap_or_default();
    let task = event.task.as_ref().map(|task| format!(" ({task})")).unwrap_or_default();
    if event.data.get("output").is_some_and(Value::is_array) {
        warn!("job {job}{task} ended: {reason}");
    } else {
        debug!("job {job}{task} ended: {reason}");
    }
}

/// The run whose end an event records.
pub(super) fn ended_run(event: &Event) -> Option<RunId> {
    let run = event.data.get("run").filter(|_| matches!(event.cause.as_str(), "ended" | "hook_ended"))?;
    RunId::parse(run.as_str()?).ok()
}

fn ended(event: &Event, task: &str, reason: &str) {
    let not_before = event.data.get("not_before").and_then(Value::as_str).and_then(|time| time.parse().ok());
    let next = match (event.to, not_before) {
        (Some(State::RestartReady), Some(moment)) => {
            format!("; starting it again in {}", rough(until(moment)))
        }
        (Some(State::RestartReady), None) => "; starting it again".to_owned(),
        (_, _) => String::new(),
    };
    let failed = matches!(event.to, Some(State::Failed)) || event.data.get("output").is_some_and(Value::is_array);
    if failed {
        warn!("{task} ended: {reason}{next}");
    } else {
        info!("{task} ended: {reason}{next}");
    }
}

fn hook_ended(event: &Event, task: &str, reason: &str) {
    let hook = event.data.get("hook").and_then(Value::as_str).unwrap_or_default();
    let state = event.to.map_or_else(String::new, |state| format!(", so job {} is {state}", of_job(event)));
    let whose = if task.is_empty() { "a command".to_owned() } else { task.to_owned() };
    match event.to {
        Some(State::Failed) => warn!("{whose}: its hook {hook} has ended{state}: {reason}"),
        _ if is_of_slot(event) => debug!("{whose}: its hook {hook} has ended{state}"),
        _ => info!("{whose}: its hook {hook} has ended{state}"),
    }
}

/// A wait: `0.7s`, `42s`, `5m`.
fn rough(wait: Duration) -> String {
    if wait < Duration::from_secs(10) {
        format!("{:.1}s", wait.as_secs_f64())
    } else {
        print_duration(Duration::from_secs(wait.as_secs() + 1))
    }
}
