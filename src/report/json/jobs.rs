//! Jobs and their events for programs.

use serde_json::{Value, json};

use crate::domain::item::Item;
use crate::executor::{Explanation, Job, JobFile};
use crate::store::events::Event;
use crate::store::runs::RunRow;

use super::super::transfers::remote_shown;
use super::{micros, moment, signal_name};

/// A job.
pub fn job(job: &Job) -> Value {
    let (row, given) = (&job.row, &job.given);
    let parsed = |text: &Option<String>, unset: Value| {
        text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(unset)
    };
    let is_end = row.state.is_end();
    json!({
        "id": row.id,
        "task": given.task,
        "state": row.state,
        "reason": row.code,
        "message": row.reason,
        "params": parsed(&given.params, json!({})),
        "tags": parsed(&given.tags, json!({})),
        "data": parsed(&given.data, Value::Null),
        "parents": job.parents.iter().map(|edge| json!({ "id": edge.job, "edge": edge.kind })).collect::<Vec<_>>(),
        "transfers": job.items.iter().map(transfer).collect::<Vec<_>>(),
        "spawned_by": given.spawned_by,
        "root": given.root,
        "run_name": given.run_name,
        "workdir": given.workdir,
        "priority": given.priority,
        "group": job.group,
        "held": row.held,
        "review": null,
        "culprit": row.culprit,
        "attempt": row.attempt,
        "exit_code": given.exit_code,
        "signal": given.signal.map(signal_name),
        "not_before": row.not_before.map(moment),
        "next_retry": row.not_before.filter(|_| !is_end && row.attempt > 0).map(moment),
        "created": moment(row.created),
        "started": given.started.map(moment),
        "ended": row.ended.map(moment),
    })
}

/// A job that would be made: it has no id yet.
pub fn foreseen(one: &Job) -> Value {
    let mut value = job(one);
    if let Value::Object(map) = &mut value {
        map.insert("id".to_owned(), Value::Null);
    }
    value
}

/// Why a job is in its state.
pub fn explanation(job: &Job, explanation: &Explanation) -> Value {
    json!({
        "id": job.row.id,
        "state": job.row.state,
        "reason": explanation.sentence,
        "hints": explanation.hints,
    })
}

/// A file of a job.
pub fn file(file: &JobFile) -> Value {
    json!({
        "path": file.path.to_string_lossy(),
        "size": file.size,
        "modified": moment(file.modified),
        "run_id": file.output_of.as_ref().map(|(run, _, _)| run.to_string()),
    })
}

/// What is transferred for a job.
fn transfer(item: &Item) -> Value {
    json!({
        "name": item.name,
        "direction": item.direction,
        "local": item.local,
        "remote": remote_shown(item),
        "required": item.required,
        "recursive": item.recursive,
        "mode": item.mode,
        "state": item.state,
        "attempts": item.attempts,
        "not_before": item.not_before.map(moment),
        "error": item.error,
        "bytes": item.bytes,
    })
}

/// A run of a job.
pub fn run(run: &RunRow) -> Value {
    let (code, signal, core) = match run.exit {
        Some(crate::domain::outcome::Exit::Code(code)) => (Some(code), None, None),
        Some(crate::domain::outcome::Exit::Signal { number, core }) => (None, Some(signal_name(number)), Some(core)),
        None => (None, None, None),
    };
    json!({
        "run_id": run.id.to_string(),
        "job": run.job,
        "kind": run.kind,
        "attempt": run.attempt,
        "pid": run.pid,
        "scheduled": run.scheduled.map(moment),
        "started": run.started.map(moment),
        "ended": run.ended.map(moment),
        "outcome": run.outcome,
        "exit_code": code,
        "signal": signal,
        "core": core,
        "reason": run.reason,
        "log": (!run.output_removed).then_some(&run.archive),
        "cpu_seconds": run.cpu.map(micros),
        "max_rss_bytes": run.memory,
    })
}

/// An event.
pub fn event(event: &Event) -> Value {
    json!({
        "time": moment(event.time),
        "job": event.job,
        "task": event.task,
        "from": event.from,
        "to": event.to,
        "cause": event.cause,
        "data": event.data,
    })
}
