//! explain ID: one sentence that names the first condition that a job does not meet.

use jiff::Timestamp;

use crate::domain::amount::print_roughly;
use crate::domain::edge::Edge;
use crate::domain::item::{ItemState, direction_in};
use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::domain::resources::{self, obstacle_in_queue};
use crate::executor::Job;
use crate::ledger::Ledger;
use crate::ledger::queue::asked;
use crate::process::{clock, machine};
use crate::store::jobs::{self, Door, JobRow};
use crate::store::runs::RunRow;
use crate::store::{queue, runs, supervisor};

use super::{Executor, ExecutorError, Explanation};

impl Executor {
    /// Explains the state of a job.
    pub fn explain_job(&self, id: JobId) -> Result<(Job, Explanation), ExecutorError> {
        let job = self.job(id)?;
        let run = runs::unfinished_of_job(self.store.reader(), id)?;
        let mut hints = Vec::new();
        let why = match job.row.state {
            State::Created
            | State::Ready
            | State::StagedIn
            | State::Preprocessed
            | State::RunDone
            | State::RunError
            | State::RunTimeout
            | State::RestartReady
            | State::Postprocessed
                if job.row.held && run.is_none() =>
            {
                hints.push(format!("let it go with `jobexec job release {id}`"));
                "is held".to_owned()
            }
            State::Created => "has not been looked at yet".to_owned(),
            State::AwaitingParents => self.waits_for(&job)?,
            State::Blocked => self.blocked(&job, &mut hints)?,
            State::Ready => self.waits_for_transfers(&job, run.as_ref(), "its inputs", "brought", &mut hints),
            State::Postprocessed => self.waits_for_transfers(&job, run.as_ref(), "its outputs", "stored", &mut hints),
            State::StagedIn | State::RunDone | State::RunError | State::RunTimeout => match &run {
                Some(run) => format!("has its hook {} run{}", run.kind, since(run)),
                None if job.row.door != Door::Queue => self.goes_on_at_once(&job.row, &mut hints)?,
                None => format!("waits for a slot for its hook{}", self.no_slot(&mut hints)?),
            },
            State::Preprocessed if job.row.door != Door::Queue => self.goes_on_at_once(&job.row, &mut hints)?,
            State::Preprocessed | State::RestartReady => self.waits_to_run(&job, &mut hints)?,
            State::Running => match run.as_ref().and_then(|run| run.stop_by.as_ref().zip(run.stop_asked)) {
                Some((by, asked)) => {
                    let ago = std::time::Duration::try_from(clock::now().duration_since(asked)).unwrap_or_default();
                    format!("is being ended: {by} asked for that {} ago", print_roughly(ago))
                }
                None => format!("runs{}", run.as_ref().map(since).unwrap_or_default()),
            },
            State::StagedOut | State::Reset => "is on its way".to_owned(),
            State::JobFinished => format!("has finished{}", ended(&job)),
            State::Failed | State::Cancelled => {
                hints.push(match job.row.code.as_deref() {
                    Some("transfer_failed") => format!("see what was to be transferred with `jobexec job show {id}`"),
                    Some("hook_failed" | "hook_decided") => match runs::last_hook_of_job(self.store.reader(), id)? {
                        Some(hook) => {
                            format!("see the output of that hook with `jobexec job log {id} --hook {}`", hook.kind)
                        }
                        None => format!("see what happened with `jobexec job events {id}`"),
                    },
                    Some(_) | None => format!("see its output with `jobexec job log {id}`"),
                });
                hints.push(format!("run it again with `jobexec job rerun {id}`"));
                let how = if job.row.state == State::Failed { "has failed" } else { "was cancelled" };
                let reason = job.row.reason.as_deref().unwrap_or("for no reason on record");
                format!("{how}: {reason}{}", ended(&job))
            }
        };
        Ok((job, Explanation { sentence: format!("job {id} {why}"), hints }))
    }

    fn waits_for(&self, job: &Job) -> Result<String, ExecutorError> {
        let unmet: Vec<_> = job.parents.iter().filter(|edge| !edge.met).collect();
        let Some(first) = unmet.first() else { return Ok("is about to be looked at".to_owned()) };
        let state = self.job(first.job)?.row.state;
        let what = match first.kind {
            Edge::Success => "the success",
            Edge::End => "the end",
            Edge::Failure => "the failure",
        };
        let more = match unmet.len() - 1 {
            0 => String::new(),
            more => format!(", and for {more} more"),
        };
        Ok(format!("waits for {what} of job {}, which is {state}{more}", first.job))
    }

    fn blocked(&self, job: &Job, hints: &mut Vec<String>) -> Result<String, ExecutorError> {
        let reason = job.row.reason.clone().unwrap_or_default();
        let Some(culprit) = job.row.culprit else { return Ok(format!("cannot run: {reason}")) };
        if job.row.code.as_deref() == Some("not_needed") {
            return Ok(format!("does not run: {reason}"));
        }
        hints.push(format!("run that again with `jobexec job rerun {culprit}`: what waits for it then goes on"));
        let why = self.job(culprit)?.row.reason.map(|why| format!(" ({why})")).unwrap_or_default();
        Ok(format!("cannot run: {reason}{why}"))
    }

    fn waits_to_run(&self, job: &Job, hints: &mut Vec<String>) -> Result<String, ExecutorError> {
        let (row, now) = (&job.row, clock::now());
        if row.door != Door::Queue && !self.is_supervised() {
            hints.push("have it tried again: run `jobexec keep-restarting`".to_owned());
            return Ok("waits to be tried again, and no supervisor is running".to_owned());
        }
        if let Some(moment) = row.not_before.filter(|moment| *moment > now) {
            let why = if row.attempt > 0 { "waits before it is tried again" } else { "is not to run yet" };
            let left = std::time::Duration::try_from(moment.duration_since(now)).unwrap_or_default();
            return Ok(format!("{why}: for {} more", print_roughly(left)));
        }
        if row.door != Door::Queue {
            let definition = jobs::definition_of(self.store.reader(), row)?;
            let held = self.lock_in_the_way(&definition)?;
            return Ok(held.map_or_else(|| "is about to be tried again".to_owned(), |held| format!("waits: {held}")));
        }
        let slots = self.no_slot(hints)?;
        let obstacle = if self.is_supervised() { self.obstacle_of(job, now)? } else { None };
        Ok(match obstacle {
            Some(obstacle) => format!("waits: {obstacle}"),
            None if slots.is_empty() => "is about to run".to_owned(),
            None => format!("waits for a slot{slots}{}", self.before(job)?),
        })
    }

    /// What comes next for a job of `start` or of a schedule, which waits for a supervisor, and its run for locks.
    fn goes_on_at_once(&self, job: &JobRow, hints: &mut Vec<String>) -> Result<String, ExecutorError> {
        let what = job.state.underway().unwrap_or("its run");
        if !self.is_supervised() {
            hints.push("have it go on: run `jobexec keep-restarting`".to_owned());
            return Ok(format!("waits for {what}, and no supervisor is running"));
        }
        let definition = jobs::definition_of(self.store.reader(), job)?;
        Ok(match self.lock_in_the_way(&definition)?.filter(|_| job.state == State::Preprocessed) {
            Some(held) => format!("waits: {held}"),
            None => format!("is about to have {what} begun"),
        })
    }

    /// How far its transfers have come, and what went wrong.
    fn waits_for_transfers(
        &self,
        job: &Job,
        run: Option<&RunRow>,
        what: &str,
        done: &str,
        hints: &mut Vec<String>,
    ) -> String {
        let direction = direction_in(job.row.state);
        let of_it = || job.items.iter().filter(|item| Some(item.direction) == direction);
        let far = format!("{} of {}", of_it().filter(|item| item.state == ItemState::Done).count(), of_it().count());
        let wrong = of_it().find_map(|item| Some((item, item.error.as_ref()?)));
        let wrong = wrong.map(|(item, error)| format!("; `{}`: {error}", item.name)).unwrap_or_default();
        if let Some(run) = run {
            return format!("waits while {what} are being {done}{}, {far} so far{wrong}", since(run));
        }
        if !self.is_supervised() {
            hints.push("have that done: run `jobexec keep-restarting`".to_owned());
            return format!("waits for {what} to be {done}, {far} so far, and no supervisor is running{wrong}");
        }
        let again = of_it().filter_map(|item| item.not_before).min();
        let again = again.map(|moment| format!(", again at {moment}")).unwrap_or_default();
        format!("waits for {what} to be {done}, {far} so far{again}{wrong}")
    }

    /// What it needs besides a slot and cannot have now.
    fn obstacle_of(&self, job: &Job, now: Timestamp) -> Result<Option<String>, ExecutorError> {
        let ledger = Ledger { tx: self.store.reader(), home: &self.home, now };
        let heads = queue::heads(self.store.reader())?;
        let needs = ledger.needs(&heads)?;
        let need = ledger.need(job.given.need)?;
        let of_head = heads.iter().find(|head| head.job == job.row.id).map(|head| head.runnable_since);
        let (priority, runnable_since) = (job.given.priority, of_head.unwrap_or(job.row.created));
        let own = resources::Head { need: &need, priority, job: job.row.id, runnable_since };
        let capacity = ledger.capacity(machine::detect())?;
        let obstacle = obstacle_in_queue(&own, &asked(&heads, &needs), &ledger.running()?, &capacity, now);
        Ok(match obstacle {
            Some(obstacle) => Some(obstacle.to_string()),
            None => ledger.goes_before_job(&own)?.map(|first| first.to_string()),
        })
    }

    /// Why there is no slot; empty where there seems to be one.
    fn no_slot(&self, hints: &mut Vec<String>) -> Result<String, ExecutorError> {
        if !self.is_supervised() {
            hints.push("have queued jobs run: `jobexec keep-restarting --slots N`".to_owned());
            return Ok(", and no supervisor is running".to_owned());
        }
        let slots = supervisor::last(self.store.reader())?.map_or(1, |supervisor| supervisor.slots);
        let taken = queue::holders(self.store.reader())?;
        if taken.len() < usize::try_from(slots).unwrap_or(usize::MAX) {
            return Ok(String::new());
        }
        let jobs: Vec<String> = taken.iter().take(5).map(|(job, _, _)| job.to_string()).collect();
        let (jobs, rest) = (jobs.join(", "), if taken.len() > 5 { ", …" } else { "" });
        Ok(match slots {
            1 => format!(": the one that there is runs job {jobs}"),
            _ => format!(": all {slots} are taken by the jobs {jobs}{rest}"),
        })
    }

    /// How many go before it.
    fn before(&self, job: &Job) -> Result<String, ExecutorError> {
        Ok(match queue::count_before(self.store.reader(), job.given.priority, job.row.id)? {
            0 => "; it is next".to_owned(),
            1 => "; 1 job goes before it".to_owned(),
            more => format!("; {more} jobs go before it"),
        })
    }
}

fn since(run: &RunRow) -> String {
    let slot = run.slot.map(|slot| format!(" in slot {slot}")).unwrap_or_default();
    let lasted = clock::now().duration_since(run.started.unwrap_or(run.claimed));
    format!("{slot} for {}", print_roughly(std::time::Duration::try_from(lasted).unwrap_or_default()))
}

fn ended(job: &Job) -> String {
    let Some(ended) = job.row.ended else { return String::new() };
    let ago = std::time::Duration::try_from(clock::now().duration_since(ended)).unwrap_or_default();
    format!(" ({} ago)", print_roughly(ago))
}
