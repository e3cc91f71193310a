//! The report of a night for programs.

use serde_json::{Value, json};

use super::{moment, seconds};
use crate::executor::{
    Disk, Failure, How, Loop, Message, Missed, Never, Night, Queued, Ran, Recovery, Slow, Supervision, TaskOutput,
    Wrong,
};

/// What happened since a moment.
pub fn night(night: &Night, verdict: &str) -> Value {
    json!({
        "exec_id": night.exec_id,
        "since": moment(night.since),
        "until": moment(night.now),
        "ok": night.is_good(),
        "verdict": verdict,
        "wrong": night.wrong.iter().map(wrong).collect::<Value>(),
        "messages": night.messages.iter().map(message).collect::<Value>(),
        "failed": night.failed.iter().map(failure).collect::<Value>(),
        "recovered": night.recovered.iter().map(recovery).collect::<Value>(),
        "slow": night.slow.iter().map(slow).collect::<Value>(),
        "never_ran": night.never.iter().map(never).collect::<Value>(),
        "missed": night.missed.iter().map(missed).collect::<Value>(),
        "ran": night.ran.iter().map(ran).collect::<Value>(),
        "queued": queued(&night.queued),
        "supervisor": supervision(&night.supervision),
        "disk": night.disk.as_ref().map(disk),
    })
}

fn queued(queued: &Queued) -> Value {
    json!({
        "finished": queued.finished,
        "failed": queued.failed,
        "blocked": queued.blocked,
        "first_failed": queued.first.as_ref().map(|(job, _, _)| job),
    })
}

fn wrong(wrong: &Wrong) -> Value {
    json!({
        "task": wrong.task.as_str(),
        "what": wrong.what.as_str(),
        "since": wrong.since.map(moment),
        "reason": wrong.reason,
        "next_retry": wrong.next.map(moment),
        "failures": wrong.failures,
        "before": wrong.before,
    })
}

fn message(message: &Message) -> Value {
    let notice = &message.notice;
    json!({
        "task": notice.task,
        "event": notice.occasion,
        "made": moment(notice.made),
        "attempts": notice.attempts,
        "given_up": notice.given_up,
        "reason": message.reason,
    })
}

fn failure(failure: &Failure) -> Value {
    json!({
        "task": failure.task.as_str(),
        "first": moment(failure.first),
        "last": moment(failure.last),
        "failures": failure.failures,
        "job": failure.job,
        "kind": failure.kind,
        "run_id": failure.run.map(|run| run.to_string()),
        "outcome": failure.outcome,
        "reason": failure.reason,
        "output": failure.output,
    })
}

fn recovery(one: &Recovery) -> Value {
    let crash_loop = |over: Loop| json!({ "since": over.began.map(moment), "until": moment(over.ended) });
    json!({
        "task": one.task.as_str(),
        "failures": one.failures,
        "last_failure": one.last_failure.map(moment),
        "how": How::as_str(one.how),
        "at": moment(one.at),
        "crash_loop": one.crash_loop.map(crash_loop),
    })
}

fn slow(slow: &Slow) -> Value {
    json!({
        "task": slow.task.as_str(),
        "duration": seconds(slow.lasted),
        "usual": seconds(slow.usual),
        "running": slow.ended.is_none(),
        "ended": slow.ended.map(moment),
        "outcome": slow.outcome,
        "runs": slow.count,
    })
}

fn never(never: &Never) -> Value {
    json!({
        "task": never.task.as_str(),
        "wanted": never.wanted,
        "schedule": never.schedule,
        "last_end": never.last_end.map(moment),
    })
}

fn missed(missed: &Missed) -> Value {
    json!({
        "task": missed.task.as_str(),
        "number": missed.number,
        "more": missed.more,
        "last_due": moment(missed.last),
        "reason": missed.reason,
    })
}

fn ran(ran: &Ran) -> Value {
    json!({
        "task": ran.task.as_str(),
        "runs": ran.runs,
        "failures": ran.failures,
        "restarts": ran.restarts,
        "total_seconds": seconds(ran.total),
        "longest_seconds": ran.longest.map(seconds),
        "max_rss_bytes": ran.memory,
        "last_end": ran.last_end.map(moment),
        "running": ran.running,
    })
}

fn supervision(found: &Supervision) -> Value {
    let absent = |(from, until): &(jiff::Timestamp, Option<jiff::Timestamp>)| json!({ "since": moment(*from), "until": until.map(moment) });
    json!({
        "running": found.running,
        "pid": found.pid,
        "place": found.place,
        "since": found.since.map(moment),
        "starts": found.starts,
        "absent": found.absent.iter().map(absent).collect::<Value>(),
        "vanished": found.vanished.len(),
    })
}

fn disk(disk: &Disk) -> Value {
    let used = &disk.used;
    let task = |task: &TaskOutput| json!({ "task": task.task, "output_bytes": task.bytes });
    json!({
        "folder": disk.folder,
        "bytes": used.bytes,
        "output_bytes": used.outputs,
        "output_files": used.output_files,
        "new_output_bytes": used.new_outputs,
        "database_bytes": used.database,
        "record_bytes": used.records,
        "free_bytes": used.free.map(|(free, _)| free),
        "size_bytes": used.free.map(|(_, size)| size),
        "complete": used.complete,
        "tasks": disk.tasks.iter().map(task).collect::<Value>(),
    })
}
