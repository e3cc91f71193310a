//! JSON for programs: keys are only ever added. `docs/json.md` describes them.
//!
//! Times are RFC 3339 in UTC, durations seconds, sizes bytes, ids numbers, signals names.

mod jobs;
mod night;
mod work;

use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::domain::lifecycle::State;
use crate::domain::name::TaskName;
use crate::domain::outcome::Exit;
use crate::domain::resources::{Packing, Resources};
use crate::domain::restart::Thousandths;
use crate::domain::signal::Signal;
use crate::domain::task::{Program, Task};
use crate::domain::url;
use crate::executor::{Attempt, Explanation, Line, Output, Past, Planned, TaskStatus, Upcoming};

pub use jobs::{
    event, explanation as job_explanation, file as job_file, foreseen as foreseen_job, job, run as job_run,
};
pub use night::night;

/// Writes a value, indented, with a line end.
pub fn write(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{value:#}")
}

/// A moment.
pub fn moment(time: Timestamp) -> Value {
    Value::String(time.to_string())
}

pub(super) fn seconds(duration: Duration) -> Value {
    json!(duration.as_secs_f64())
}

fn micros(micros: u64) -> Value {
    seconds(Duration::from_micros(micros))
}

fn signal_name(number: i32) -> String {
    Signal::from_number(number).map_or_else(|| number.to_string(), |signal| signal.to_string())
}

/// A task's definition.
pub fn task(task: &Task, exec_id: &str, added: Option<Timestamp>) -> Map<String, Value> {
    let (script, command, shell) = match &task.program {
        Program::Script(script) => (json!(script), Value::Null, Value::Null),
        Program::Command(command) => (Value::Null, json!(command), Value::Null),
        Program::Shell(shell) => (Value::Null, Value::Null, json!(shell)),
    };
    let value = json!({
        "name": task.name.as_str(),
        "exec_id": exec_id,
        "script": script,
        "command": command,
        "shell": shell,
        "args": task.args,
        "interpreter": task.interpreter,
        "wd": task.wd,
        "env": task.env,
        "env_file": task.env_file,
        "restart": task.restart.as_str(),
        "period": task.schedule.period,
        "cron": task.schedule.cron,
        "start": task.schedule.start,
        "tz": task.schedule.tz,
        "missed": task.schedule.policy.missed.as_str(),
        "overlap": task.schedule.policy.overlap.as_str(),
        "jitter": task.schedule.jitter.map(seconds),
        "start_deadline": task.schedule.policy.start_deadline.map(seconds),
        "max_running": task.schedule.policy.max_running,
        "enabled": task.enabled,
        "timeout": task.timeout.map(seconds),
        "retries": task.retries,
        "backoff": {
            "first": seconds(task.backoff.first),
            "factor": task.backoff.factor.as_f64(),
            "max": task.backoff.max.map(seconds),
            "jitter": task.backoff.jitter.as_f64(),
            "reset_after": seconds(task.backoff.reset_after),
        },
        "give_up": task.give_up.map(|window| json!({
            "failures": window.failures,
            "within": seconds(window.within),
        })),
        "stall": task.stall.as_ref().map(|stall| json!({
            "after": seconds(stall.after),
            "file": stall.file,
            "action": stall.action.as_str(),
        })),
        "notify": {
            "on": task.notify.on.iter().map(|occasion| occasion.as_str()).collect::<Vec<_>>(),
            "command": task.notify.command,
            "url": task.notify.url.as_deref().map(url::shown),
        },
        "stop": { "signal": task.stop.signal.to_string(), "grace": seconds(task.stop.grace) },
        "retention": {
            "keep": task.log.keep,
            "keep_for": task.log.keep_for.map(seconds),
            "keep_bytes": task.log.keep_bytes,
        },
        "tags": task.tags,
        "resources": resources(&task.resources),
        "added": added.map(moment),
    });
    let mut map = if let Value::Object(map) = value { map } else { Map::new() };
    map.extend(work::of_jobs(task));
    map
}

fn resources(resources: &Resources) -> Value {
    json!({
        "cpus": resources.cpus,
        "memory": resources.memory,
        "gpus": resources.gpus.map(Thousandths::as_f64),
        "num_nodes": resources.num_nodes,
        "ranks_per_node": resources.ranks_per_node,
        "threads_per_rank": resources.threads_per_rank,
        "threads_per_core": resources.threads_per_core,
        "gpus_per_rank": resources.gpus_per_rank.map(Thousandths::as_f64),
        "node_packing_count": resources.node_packing_count.map(Packing::count),
    })
}

/// A task's definition and status.
pub fn status(status: &TaskStatus, exec_id: &str, log: &std::path::Path, next_run: Option<Timestamp>) -> Value {
    let added = status.row.as_ref().map(|row| row.added);
    let mut map = match &status.task {
        Some(definition) => task(definition, exec_id, added),
        None => Map::from_iter([("name".to_owned(), json!(status.name.as_str()))]),
    };
    let live = status.live.as_ref();
    let last = status.last_ended.as_ref();
    let more = json!({
        "state": status.state.as_str(),
        "wanted": status.wanted(),
        "running": live.is_some(),
        "defined": status.defined,
        "changed": status.changed,
        "stalled": status.stalled().is_some(),
        "pid": live.and_then(|live| live.pid),
        "started": live.and_then(|live| live.started).map(moment),
        "uptime": status.uptime().map(seconds),
        "restarts": status.restarts(),
        "crash_looping": status.looping_since().is_some(),
        "next_retry": status.next_retry().map(moment),
        "waits_for_lock": status.lock.as_ref().map(|held| json!({
            "lock": held.lock,
            "task": held.by.task().map(TaskName::as_str),
            "job": held.by.job(),
            "held": !held.is_free,
        })),
        "next_run": next_run.map(moment),
        "job": status.job.as_ref().map(|job| job.id),
        "job_state": status.job.as_ref().map(|job| job.state.as_str()),
        "last_pid": super::list::last_pid(status),
        "last_exit": last.and_then(|run| run.exit).map(|exit| match exit {
            Exit::Code(code) => json!(code),
            Exit::Signal { number, .. } => json!(signal_name(number)),
        }),
        "last_outcome": last.and_then(|run| run.outcome.clone()),
        "last_reason": last.and_then(|run| run.reason.clone()),
        "orphans": live.map(|live| live.orphans.clone()).unwrap_or_default(),
        "usage": live.and_then(|live| live.usage).map(|usage| json!({
            "processes": usage.processes,
            "cpu_seconds": micros(usage.cpu),
            "rss_bytes": usage.memory,
        })),
        "log": log,
    });
    if let Value::Object(more) = more {
        map.extend(more);
    }
    Value::Object(map)
}

/// A coming occurrence.
pub fn upcoming(next: &Upcoming) -> Value {
    json!({
        "name": next.name.as_str(),
        "time": moment(next.time()),
        "local": next.there().to_string(),
        "note": next.note(),
    })
}

/// A planned start.
pub fn planned(planned: &Planned) -> Value {
    let mut object = upcoming(&planned.start);
    if let Value::Object(map) = &mut object {
        map.insert("usual_seconds".to_owned(), json!(planned.usual.map(seconds)));
        let beside: Vec<&str> = planned.beside.iter().map(TaskName::as_str).collect();
        map.insert("still_running".to_owned(), json!(beside));
    }
    object
}

/// A row of the history.
pub fn past(past: &Past) -> Value {
    match past {
        Past::Run(attempt) => run(attempt),
        Past::Occurrence(occurrence) => json!({
            "run_id": null,
            "scheduled": moment(occurrence.due),
            "outcome": occurrence.decided.as_str(),
            "reason": occurrence.reason,
            "count": occurrence.count,
            "note": occurrence.note,
            "decided": moment(occurrence.decided_at),
        }),
    }
}

/// A run.
pub fn run(attempt: &Attempt) -> Value {
    let Attempt { run, output } = attempt;
    let (code, signal, core) = match run.exit {
        Some(Exit::Code(code)) => (json!(code), Value::Null, false),
        Some(Exit::Signal { number, core }) => (Value::Null, json!(signal_name(number)), core),
        None => (Value::Null, Value::Null, false),
    };
    json!({
        "run_id": run.id.to_string(),
        "job": run.job,
        "task": run.task.as_ref().map(TaskName::as_str),
        "kind": run.kind,
        "attempt": run.attempt,
        "pid": run.pid,
        "asked_by": run.asked_by,
        "claimed": moment(run.claimed),
        "scheduled": run.scheduled.map(moment),
        "late": super::history::late(run).map(seconds),
        "started": run.started.map(moment),
        "ended": run.ended.map(moment),
        "duration": run.lasted.map(micros),
        "outcome": run.outcome,
        "exit_code": code,
        "signal": signal,
        "core": core,
        "reason": run.reason,
        "log": match output {
            Output::File(path) => json!(path),
            Output::Removed | Output::None => Value::Null,
        },
        "log_removed": matches!(output, Output::Removed),
        "cpu_seconds": run.cpu.map(micros),
        "max_rss_bytes": run.memory,
    })
}

/// A line of the log: the event behind it, and its text.
pub fn line(line: &Line) -> Value {
    let event = &line.event;
    json!({
        "time": moment(event.time),
        "text": line.text,
        "job": event.job,
        "task": event.task,
        "from": event.from.map(State::as_str),
        "to": event.to.map(State::as_str),
        "cause": event.cause,
        "data": event.data,
    })
}

/// An explanation.
pub fn explanation(status: &TaskStatus, explanation: &Explanation) -> Value {
    json!({
        "name": status.name.as_str(),
        "state": status.state.as_str(),
        "reason": explanation.sentence,
        "hints": explanation.hints,
    })
}
