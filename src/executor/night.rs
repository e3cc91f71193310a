//! report: what happened since a moment, gathered for somebody who was not there. What each fact means is decided
//! beside this file, from facts alone; here they are collected.

mod found;
mod judge;
mod supervision;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::name::TaskName;
use crate::home::disk::DiskUse;
use crate::store::events::Event;
use crate::store::night::{self, FailedBesides, FailedRun, Tally};
use crate::store::supervisor;

pub use crate::store::night::{Missed, Queued};
pub use found::{
    Disk, Failure, How, Loop, Message, Never, Night, Ran, Recovery, Slow, Supervision, TaskOutput, Trouble, Wrong,
};
use judge::{Standing, is_slow, never, recovered, wrong};

pub(super) use judge::usual;

use super::fire::{memory, timetable};
use super::{Definitions, Executor, ExecutorError, TaskStatus};

/// How many of a task's earlier runs say what is usual.
pub(super) const EARLIER: u32 = 101;

/// What happened apart from the ends of runs.
const CAUSES: [&str; 6] =
    ["crash_looping", "recovered", "notice_postponed", "notice_given_up", supervision::STARTED, supervision::STOPPED];

/// One task with what its runs come to.
struct Looked<'a> {
    status: &'a TaskStatus,
    standing: Standing,
    tally: Option<&'a Tally>,
}

/// Whether a task should have run meanwhile: one that is armed, only if its schedule had an occurrence.
fn was_due(status: &TaskStatus, since: Timestamp, now: Timestamp) -> Result<bool, ExecutorError> {
    match (&status.task, &status.row) {
        (Some(task), Some(row)) if row.wanted && task.schedule.is_set() => {
            let counted = memory(row).seen_at.max(since);
            Ok(timetable(task)?.after(counted).is_some_and(|next| next.time <= now))
        }
        (_, _) => Ok(true),
    }
}

impl Executor {
    /// What happened since a moment.
    pub fn night(&mut self, definitions: &Definitions, since: Timestamp) -> Result<Night, ExecutorError> {
        let statuses = self.status(definitions, None, false)?;
        let now = self.now();
        let reader = self.store.reader();
        let besides = night::failed_besides(reader, since)?;
        let tallies = judge::with_besides(night::tallies(reader, since)?, &besides);
        let by_key: HashMap<String, &Tally> = tallies.iter().map(|tally| (tally.task.key(), tally)).collect();
        let looked: Vec<Looked<'_>> = statuses
            .iter()
            .map(|status| {
                let tally = by_key.get(&status.name.key()).copied();
                Looked { status, standing: Standing::of(status, tally), tally }
            })
            .collect();
        let failed = first_of_each(night::first_failures(reader, since)?, besides);
        let events = night::events_since(reader, &CAUSES, since, failed.iter().map(|run| run.ended))?;
        let supervision = self.supervision(&events, since, now)?;
        let mut troubles: Vec<Wrong> = looked.iter().filter_map(|one| wrong(&one.standing, since, now)).collect();
        troubles.sort_by_key(|wrong| (wrong.before, wrong.what, wrong.since));
        Ok(Night {
            since,
            now,
            exec_id: Some(definitions.exec_id.clone()),
            messages: self.messages(&events, since, supervision.running)?,
            failed: failures(failed, &by_key, &events),
            recovered: recoveries(&looked, &troubles, &night::with_failed_jobs(reader, since)?, &events, now),
            slow: self.slow(&looked, &tallies, since, now)?,
            never: self.never(&looked, since, now)?,
            missed: night::missed(reader, since)?,
            ran: ran(&tallies, &looked, since, now),
            queued: night::queued(reader, since)?,
            disk: Some(self.disk(&statuses, since)),
            wrong: troubles,
            supervision,
        })
    }

    /// What took, or is taking, more than twice the usual time.
    fn slow(
        &self,
        looked: &[Looked<'_>],
        tallies: &[Tally],
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Slow>, ExecutorError> {
        let mut slow = Vec::new();
        for tally in tallies.iter().filter(|tally| tally.longest_by_itself.is_some_and(is_noticed)) {
            slow.extend(self.slow_ended(tally, since)?);
        }
        for one in looked {
            let Some(lasted) = one.status.uptime().filter(|lasted| is_noticed(micros(*lasted))) else { continue };
            let earlier = night::successes_before(self.store.reader(), &one.status.name, now, EARLIER)?;
            let Some(usual) = usual(&earlier).filter(|usual| is_slow(lasted, *usual)) else { continue };
            let task = one.status.name.clone();
            slow.push(Slow { task, lasted, usual, ended: None, outcome: None, count: 1 });
        }
        slow.sort_by(|a, b| b.factor().total_cmp(&a.factor()));
        Ok(slow)
    }

    fn slow_ended(&self, tally: &Tally, since: Timestamp) -> Result<Option<Slow>, ExecutorError> {
        let (reader, task) = (self.store.reader(), &tally.task);
        let Some((lasted, ended, outcome)) = night::slowest(reader, task, since)? else { return Ok(None) };
        let mut earlier = usual(&night::successes_before(reader, task, since, EARLIER)?);
        if earlier.is_none() {
            // A new task has its history in the same night.
            earlier = usual(&night::successes_before(reader, task, ended, EARLIER)?);
        }
        let lasted = Duration::from_micros(lasted);
        let Some(usual) = earlier.filter(|usual| is_slow(lasted, *usual)) else { return Ok(None) };
        let count = night::count_longer(reader, task, since, micros(judge::limit(usual)))?;
        let task = task.clone();
        Ok(Some(Slow { task, lasted, usual, ended: Some(ended), outcome: Some(outcome), count }))
    }

    /// What is wanted or scheduled and has not run.
    fn never(&self, looked: &[Looked<'_>], since: Timestamp, now: Timestamp) -> Result<Vec<Never>, ExecutorError> {
        let mut list = Vec::new();
        for one in looked.iter().filter(|one| one.tally.is_none() && never(&one.standing)) {
            if !was_due(one.status, since, now)? {
                continue;
            }
            let schedule = one.status.task.as_ref().map(|task| &task.schedule);
            list.push(Never {
                task: one.status.name.clone(),
                wanted: one.standing.wanted,
                schedule: schedule.and_then(|schedule| schedule.period.clone().or_else(|| schedule.cron.clone())),
                last_end: night::last_end(self.store.reader(), &one.status.name)?,
            });
        }
        Ok(list)
    }

    /// What nobody could be told.
    fn messages(&self, events: &[Event], since: Timestamp, supervised: bool) -> Result<Vec<Message>, ExecutorError> {
        let told = |event: &Event| {
            let number = event.data.get("notice").and_then(Value::as_i64)?;
            Some((number, event.data.get("reason").and_then(Value::as_str)?.to_owned()))
        };
        let mut reasons: HashMap<i64, String> = events.iter().filter_map(told).collect();
        let undelivered = night::undelivered(self.store.reader(), since, !supervised)?;
        let message = |one: night::Undelivered| Message { reason: reasons.remove(&one.id), notice: one };
        Ok(undelivered.into_iter().map(message).collect())
    }

    fn supervision(&self, events: &[Event], since: Timestamp, now: Timestamp) -> Result<Supervision, ExecutorError> {
        let reader = self.store.reader();
        let last = supervisor::last(reader)?;
        // Where there never was one there is nothing to look for.
        let causes = [supervision::STARTED, supervision::STOPPED];
        let before = last.as_ref().map(|_| night::last_before(reader, &causes, since)).transpose()?.flatten();
        Ok(supervision::supervision(before.as_ref(), events, last.as_ref(), self.is_supervised(), since, now))
    }

    fn disk(&self, statuses: &[TaskStatus], since: Timestamp) -> Disk {
        let found = DiskUse::of(&self.home, since);
        let names: HashMap<String, &TaskName> =
            statuses.iter().map(|status| (status.name.key(), &status.name)).collect();
        let named = |(key, bytes): (&String, &u64)| {
            let task = names.get(key).map_or_else(|| key.clone(), ToString::to_string);
            TaskOutput { task, bytes: *bytes }
        };
        let mut tasks: Vec<TaskOutput> = found.tasks.iter().map(named).collect();
        tasks.sort_by(|a, b| (b.bytes, &a.task).cmp(&(a.bytes, &b.task)));
        Disk { folder: self.home.root().to_path_buf(), used: found, tasks }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Whether a duration, in microseconds, is long enough for anybody to care.
fn is_noticed(lasted: u64) -> bool {
    Duration::from_micros(lasted) >= judge::NOTICED
}

/// What failed first of each task, a run of its own or something besides, in the order in which it did.
fn first_of_each(own: Vec<FailedRun>, besides: Vec<FailedBesides>) -> Vec<FailedRun> {
    let mut all: Vec<FailedRun> = own.into_iter().chain(besides.into_iter().map(|one| one.first)).collect();
    all.sort_by_key(|failed| failed.ended);
    let mut seen = HashSet::new();
    all.retain(|failed| seen.insert(failed.task.key()));
    all
}

/// The first failure of each task, with what the event of its end says that was put out.
fn failures(first: Vec<FailedRun>, tallies: &HashMap<String, &Tally>, events: &[Event]) -> Vec<Failure> {
    let text = |event: &Event, key: &str| event.data.get(key).and_then(Value::as_str).map(str::to_owned);
    let ends = events.iter().filter_map(|event| Some((text(event, "run")?, event.data.get("output")?.as_array()?)));
    let mut outputs: HashMap<String, &Vec<Value>> = ends.collect();
    let failure = |first: FailedRun| {
        let tally = tallies.get(&first.task.key());
        let output = first.run.and_then(|run| outputs.remove(&run.to_string()));
        let lines = output.into_iter().flatten();
        Failure {
            output: lines.filter_map(Value::as_str).map(str::to_owned).collect(),
            failures: tally.map_or(1, |tally| tally.failures),
            last: tally.and_then(|tally| tally.last_failure).unwrap_or(first.ended),
            task: first.task,
            first: first.ended,
            job: first.job,
            kind: first.kind,
            run: first.run,
            outcome: first.outcome,
            reason: first.reason,
        }
    };
    first.into_iter().map(failure).collect()
}

fn recoveries(
    looked: &[Looked<'_>],
    wrong: &[Wrong],
    with_failed_jobs: &[TaskName],
    events: &[Event],
    now: Timestamp,
) -> Vec<Recovery> {
    let loops = judge::loops(events);
    let still: HashSet<String> =
        wrong.iter().map(|wrong| &wrong.task).chain(with_failed_jobs).map(TaskName::key).collect();
    let well = looked.iter().filter(|one| !still.contains(&one.status.name.key()));
    let mut list: Vec<Recovery> = well
        .filter_map(|one| {
            let ended = loops.get(&one.status.name.key()).copied();
            recovered(&one.standing, one.tally, ended, now)
        })
        .collect();
    list.sort_by_key(|recovery| recovery.at);
    list
}

/// What ran, with what goes on; what failed most often first, then what took longest.
fn ran(tallies: &[Tally], looked: &[Looked<'_>], since: Timestamp, now: Timestamp) -> Vec<Ran> {
    let statuses: HashMap<String, &TaskStatus> = looked.iter().map(|one| (one.status.name.key(), one.status)).collect();
    let mut ran: Vec<Ran> = tallies
        .iter()
        .map(|tally| {
            let status = statuses.get(&tally.task.key());
            let started = status.and_then(|status| status.live.as_ref()).and_then(|live| live.started);
            judge::ran(tally, status.is_some_and(|status| status.live.is_some()), started, since, now)
        })
        .collect();
    ran.sort_by(|a, b| (b.failures, b.total, &a.task).cmp(&(a.failures, a.total, &b.task)));
    ran
}
