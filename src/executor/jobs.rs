//! What can be done with jobs of the queue: hold, release, cancel, kill, run again.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::lifecycle::{Input, State};
use crate::domain::name::{JobId, TaskName};
use crate::ledger::Ledger;
use crate::ledger::followers::Again;
use crate::ledger::hooks::{Decision, hook_of};
use crate::process::asking::Interrupts;
use crate::process::clock;
use crate::process::record;
use crate::store::jobs::{self, Door, JobRow};
use crate::store::{Durability, StoreError, asked, events, queue, runs};

use super::definitions::Definitions;
use super::stop::{Stopped, Target};
use super::{Asker, Executor, ExecutorError};

/// What became of a wish for one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// It is done; the job's state now.
    Done(State),
    /// There was nothing to do; the job's state.
    Already(State),
    /// It cannot be done in this state, for this reason.
    Refused(State, &'static str),
}

/// What is to be changed of a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// Its data, replaced as a whole.
    pub data: Option<Value>,
    /// Single keys of its data.
    pub set: Map<String, Value>,
    /// Further tags, or other values of them.
    pub tags: BTreeMap<String, String>,
    /// Its priority.
    pub priority: Option<i64>,
}

/// The keys of a job's data; `None` where that is something that has none.
fn keys_of(data: Value) -> Option<Map<String, Value>> {
    match data {
        Value::Object(map) => Some(map),
        Value::Null => Some(Map::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// Why what is a task's is not the queue's to change.
const OF_A_TASK: &str = "it is the run of a task, not of the queue";

/// The answer for each job.
pub type JobAnswers = Vec<(JobId, Did)>;

/// How each job was ended, or why it was not.
pub type Killed = Vec<(JobId, Result<Stopped, Did>)>;

impl Executor {
    /// Jobs that must be there, as they stand.
    pub fn job_rows(&self, ids: &[JobId]) -> Result<Vec<JobRow>, ExecutorError> {
        let row = |id: &JobId| jobs::find(self.store.reader(), *id)?.ok_or(ExecutorError::NoSuchJob(*id));
        ids.iter().map(row).collect()
    }

    /// Holds jobs back that have not begun to run.
    pub fn hold(&mut self, ids: &[JobId], asker: &Asker) -> Result<JobAnswers, ExecutorError> {
        self.change_each(ids, |ledger, job| {
            if job.held {
                return Ok(Did::Already(job.state));
            }
            if job.state.is_end() || job.state == State::Running {
                return Ok(Did::Refused(job.state, "only a job that waits can be held"));
            }
            queue::hold(ledger.tx, job.id, true)?;
            ledger.note(job, "held", asker)?;
            Ok(Did::Done(job.state))
        })
    }

    /// Releases jobs that are held.
    pub fn release(&mut self, ids: &[JobId], asker: &Asker) -> Result<JobAnswers, ExecutorError> {
        self.change_each(ids, |ledger, job| {
            if !job.held {
                return Ok(Did::Already(job.state));
            }
            queue::hold(ledger.tx, job.id, false)?;
            ledger.note(job, "released", asker)?;
            if job.state != State::Created {
                return Ok(Did::Done(job.state));
            }
            let reason = format!("released by {}", asker.name);
            Ok(Did::Done(ledger.advance(job, Input::Settled, "settled", &reason)?))
        })
    }

    /// Cancels jobs that do not run. A hook or transfer of one is stopped first.
    pub fn cancel_jobs(&mut self, ids: &[JobId], asker: &Asker) -> Result<JobAnswers, ExecutorError> {
        let stopped = self.stop_around(ids, asker)?;
        self.change_each(ids, |ledger, job| {
            if job.state == State::Cancelled && stopped.contains(&job.id) {
                return Ok(Did::Done(job.state));
            }
            if job.state.is_end() {
                return Ok(Did::Already(job.state));
            }
            if runs::unfinished_of_job(ledger.tx, job.id)?.is_some() {
                return Ok(Did::Refused(job.state, "it runs: `job kill` ends it"));
            }
            let state = ledger.advance(job, Input::Cancelled, "cancelled", &format!("cancelled by {}", asker.name))?;
            ledger.tell_children(job.id, state)?;
            Ok(Did::Done(state))
        })
    }

    /// Stops what runs around the jobs' own runs, their hooks and transfers; for which of them anything did.
    fn stop_around(&mut self, ids: &[JobId], asker: &Asker) -> Result<Vec<JobId>, ExecutorError> {
        let mut these = Vec::new();
        for id in ids {
            let run = runs::unfinished_of_job(self.store.reader(), *id)?;
            these.extend(run.filter(|run| run.kind != runs::Kind::Main.as_str()).map(|run| run.job));
        }
        if !these.is_empty() {
            self.kill_jobs(&these, asker, &mut |_| {})?;
        }
        Ok(these)
    }

    /// Runs ended jobs again, with the newest definition of their tasks.
    pub fn rerun(
        &mut self,
        ids: &[JobId],
        how: Again,
        definitions: &Definitions,
        asker: &Asker,
    ) -> Result<JobAnswers, ExecutorError> {
        self.change_each(ids, |ledger, job| {
            if !job.state.is_end() {
                return Ok(Did::Refused(job.state, "only a job that has ended can be run again"));
            }
            let task = queue::given(ledger.tx, job.id)?.task;
            let name = task.and_then(|name| TaskName::parse(&name).ok());
            if let Some(task) = name.and_then(|name| definitions.find(&name)) {
                ledger.renew(job.id, task)?;
            }
            let job = ledger.job_row(job.id)?;
            Ok(Did::Done(ledger.rerun(&job, how, &asker.name)?))
        })
    }

    /// Records what a hook decides about its job, or does by hand what that would do: `RESTART_READY` runs an ended job
    /// again and nothing else, `FAILED` ends one that waits for a hook, `CANCELLED` one of
    /// which nothing runs.
    pub fn set_state(
        &mut self,
        id: JobId,
        state: State,
        message: Option<&str>,
        asker: &Asker,
    ) -> Result<Did, ExecutorError> {
        let decided = Decision { state, message: message.map(str::to_owned) };
        let decided = serde_json::to_string(&decided).map_err(|error| StoreError::Impossible(error.to_string()))?;
        let answers = self.change_any(&[id], |ledger, job| {
            let runs = runs::unfinished_of_job(ledger.tx, job.id)?;
            if hook_of(job.state).is_some() && matches!(state, State::RestartReady | State::Failed) {
                queue::decide(ledger.tx, job.id, Some(&decided))?;
                ledger.note(job, "hook_decided", asker)?;
                return Ok(Did::Done(job.state));
            }
            if job.door != Door::Queue {
                return Ok(Did::Refused(job.state, OF_A_TASK));
            }
            if state == State::RestartReady && job.state.is_end() {
                let how = Again { only: true, clean: false };
                return Ok(Did::Done(ledger.rerun(job, how, &asker.name)?));
            }
            if state == State::Cancelled && !job.state.is_end() && runs.is_none() {
                let reason = message.map_or_else(|| format!("cancelled by {}", asker.name), str::to_owned);
                let state = ledger.advance(job, Input::Cancelled, "cancelled", &reason)?;
                ledger.tell_children(job.id, state)?;
                return Ok(Did::Done(state));
            }
            Ok(Did::Refused(job.state, "it cannot be moved there from here"))
        })?;
        Ok(answers.into_iter().next().map_or(Did::Already(state), |(_, did)| did))
    }

    /// Puts jobs before all others that wait, and before the moment that they wait for: out of order, not out of rules.
    pub fn start_jobs(&mut self, ids: &[JobId], asker: &Asker) -> Result<JobAnswers, ExecutorError> {
        self.change_each(ids, |ledger, job| {
            if !matches!(job.state, State::Preprocessed | State::RestartReady) {
                return Ok(Did::Refused(job.state, "only a job that could run can be put first"));
            }
            let highest = queue::highest_priority(ledger.tx)?.unwrap_or(0);
            let own = queue::given(ledger.tx, job.id)?.priority;
            queue::set_priority(ledger.tx, job.id, own.max(highest.saturating_add(1)))?;
            queue::hold(ledger.tx, job.id, false)?;
            queue::forget_moment(ledger.tx, job.id)?;
            ledger.note(job, "put_first", asker)?;
            Ok(Did::Done(job.state))
        })
    }

    /// Removes jobs from the record; their files stay. One that runs is not, nor one that others wait for.
    pub fn delete_jobs(&mut self, ids: &[JobId], asker: &Asker) -> Result<JobAnswers, ExecutorError> {
        // Children first, so that a whole workflow can go at once.
        let mut ids = ids.to_vec();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        self.change_each(&ids, |ledger, job| {
            if job.state == State::Running || runs::unfinished_of_job(ledger.tx, job.id)?.is_some() {
                return Ok(Did::Refused(job.state, "it runs: `job kill` ends it"));
            }
            for edge in queue::children(ledger.tx, job.id)? {
                if !ledger.job_row(edge.job)?.state.is_end() {
                    return Ok(Did::Refused(job.state, "others wait for it: `job children` shows them"));
                }
            }
            let task = queue::given(ledger.tx, job.id)?.task;
            queue::delete(ledger.tx, job.id)?;
            let event = events::NewEvent {
                job: Some(job.id),
                task: task.as_deref(),
                states: None,
                cause: "deleted",
                data: serde_json::json!({ "job": job.id, "by": asker.name }),
            };
            events::record(ledger.tx, &event, ledger.now)?;
            Ok(Did::Done(job.state))
        })
    }

    /// Wipes the files of jobs that do not run and holds them at their beginning; those that followed wait again.
    pub fn reset_jobs(&mut self, ids: &[JobId], asker: &Asker) -> Result<JobAnswers, ExecutorError> {
        let begun = self.change_each(ids, |ledger, job| {
            if job.state == State::Running || runs::unfinished_of_job(ledger.tx, job.id)?.is_some() {
                return Ok(Did::Refused(job.state, "it runs: `job kill` ends it"));
            }
            Ok(Did::Done(ledger.begin_reset(job, &asker.name)?))
        })?;
        let mut answers = JobAnswers::with_capacity(begun.len());
        for (id, did) in begun {
            if !matches!(did, Did::Done(_)) {
                answers.push((id, did));
                continue;
            }
            // Whatever is not wiped keeps the job in RESET; the next `job reset` goes on.
            let directory = self.home.job_directory(id);
            match std::fs::remove_dir_all(&directory) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ExecutorError::System { doing: "wipe a job's files", source });
                }
                Ok(()) | Err(_) => {}
            }
            let wiped = self.change_each(&[id], |ledger, job| {
                queue::hold(ledger.tx, job.id, true)?;
                let state = ledger.advance(job, Input::Wiped, "wiped", "its files are wiped")?;
                Ok(Did::Done(state))
            })?;
            answers.extend(wiped);
        }
        Ok(answers)
    }

    /// Changes what jobs carry with them. Those that do not wait any more take another priority all the same, for the
    /// next time.
    pub fn update(&mut self, ids: &[JobId], update: &Update, asker: &Asker) -> Result<JobAnswers, ExecutorError> {
        self.change_any(ids, |ledger, job| {
            let tx = ledger.tx;
            let given = queue::given(tx, job.id)?;
            let mut data = update.data.clone();
            if !update.set.is_empty() {
                let before = given.data.as_deref().map_or(Ok(Value::Null), serde_json::from_str);
                let before = before.map_err(|error| StoreError::Impossible(error.to_string()))?;
                let Some(mut keys) = keys_of(data.unwrap_or(before)) else {
                    return Ok(Did::Refused(job.state, "its data would be no object, so it has no keys"));
                };
                keys.extend(update.set.clone());
                data = Some(Value::Object(keys));
            }
            if let Some(data) = data {
                queue::set_data(tx, job.id, Some(&data.to_string()))?;
            }
            if !update.tags.is_empty() {
                let tags = given.tags;
                let mut tags: Map<String, Value> =
                    tags.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
                tags.extend(update.tags.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))));
                queue::set_tags(tx, job.id, Some(&Value::Object(tags).to_string()))?;
            }
            if let Some(priority) = update.priority {
                asked::set_priority(tx, job.id, priority)?;
            }
            ledger.note(job, "updated", asker)?;
            Ok(Did::Done(job.state))
        })
    }

    /// Pauses a group or lets it go on; whether that was anything new.
    pub fn pause_group(&mut self, name: &str, paused: bool, asker: &Asker) -> Result<bool, ExecutorError> {
        let now = clock::now();
        self.store.write(Durability::Flushed, |tx| -> Result<bool, ExecutorError> {
            let changed = queue::pause_group(tx, name, paused, &asker.name, now)?;
            if changed {
                let event = events::NewEvent {
                    job: None,
                    task: None,
                    states: None,
                    cause: if paused { "group_paused" } else { "group_resumed" },
                    data: serde_json::json!({ "group": name, "by": asker.name }),
                };
                events::record(tx, &event, now)?;
            }
            Ok(changed)
        })
    }

    /// Ends jobs that run, and waits until nothing of them is left.
    pub fn kill_jobs(
        &mut self,
        ids: &[JobId],
        asker: &Asker,
        told: &mut dyn FnMut(&str),
    ) -> Result<Killed, ExecutorError> {
        let rows = self.job_rows(ids)?;
        let (home, now) = (&self.home, clock::now());
        // From the wish on, Ctrl-C means to kill.
        let mut interrupts = Interrupts::catch()?;
        let mut targets = Vec::new();
        let not_running = |job: &JobRow| match job.door {
            Door::Start | Door::Schedule => Did::Refused(job.state, OF_A_TASK),
            Door::Queue if job.state.is_end() => Did::Already(job.state),
            Door::Queue => Did::Refused(job.state, "it does not run: `job cancel` ends it"),
        };
        let mut answers: Vec<_> = rows.iter().map(|job| (job.id, Err(not_running(job)))).collect();
        let wishes = self.store.write(Durability::Flushed, |tx| -> Result<Vec<_>, ExecutorError> {
            let mut wishes = Vec::new();
            for (answer, job) in rows.iter().enumerate().filter(|(_, job)| job.door == Door::Queue) {
                let Some(run) = runs::unfinished_of_job(tx, job.id)? else { continue };
                // An outcome that is on record already stands.
                let record = record::read(&home.record(&run), run.id)?;
                if record.is_none_or(|(record, _)| record.ended.is_none()) {
                    runs::ask_stop(tx, run.id, &asker.name, now)?;
                }
                wishes.push((answer, run, jobs::stop_of(tx, job)?));
            }
            Ok(wishes)
        })?;
        targets.extend(wishes.into_iter().map(|(answer, run, stop)| Target::new(answer, run, stop)));
        self.bring_to_an_end(&mut targets, asker, &mut interrupts, told)?;
        for target in &targets {
            if let Some((_, answer)) = answers.get_mut(target.answer) {
                *answer = Ok(self.what_is_left(target)?);
            }
        }
        Ok(answers)
    }

    /// Does the same with each queued job, all in one transaction.
    fn change_each(
        &mut self,
        ids: &[JobId],
        change: impl Fn(&Ledger<'_>, &JobRow) -> Result<Did, ExecutorError>,
    ) -> Result<JobAnswers, ExecutorError> {
        self.change_any(ids, |ledger, job| match job.door {
            Door::Queue => change(ledger, job),
            Door::Start | Door::Schedule => Ok(Did::Refused(job.state, OF_A_TASK)),
        })
    }

    /// Does the same with each job, from wherever it comes.
    fn change_any(
        &mut self,
        ids: &[JobId],
        change: impl Fn(&Ledger<'_>, &JobRow) -> Result<Did, ExecutorError>,
    ) -> Result<JobAnswers, ExecutorError> {
        let (home, now) = (&self.home, clock::now());
        self.store.write(Durability::Flushed, |tx| {
            let ledger = Ledger { tx, home, now };
            let mut answers = Vec::with_capacity(ids.len());
            for id in ids {
                let job = jobs::find(tx, *id)?.ok_or(ExecutorError::NoSuchJob(*id))?;
                answers.push((*id, change(&ledger, &job)?));
            }
            Ok(answers)
        })
    }
}

impl Ledger<'_> {
    /// Records what somebody did with a job that stays in its state.
    fn note(&self, job: &JobRow, cause: &str, asker: &Asker) -> Result<(), ExecutorError> {
        let task = queue::given(self.tx, job.id)?.task;
        let event = events::NewEvent {
            job: Some(job.id),
            task: task.as_deref(),
            states: None,
            cause,
            data: serde_json::json!({ "by": asker.name }),
        };
        Ok(events::record(self.tx, &event, self.now)?)
    }
}
