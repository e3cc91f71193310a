//! status: what was asked of each task, what is observed, what became of it last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::evidence::Record;
use crate::domain::lifecycle::State;
use crate::domain::name::TaskName;
use crate::domain::resources::HeldLock;
use crate::domain::status::{Facts, Live, TaskState, task_state};
use crate::domain::task::{Restart, Task};
use crate::process::usage::{self, Usage};
use crate::process::{clock, identity};
use crate::store::jobs::{self, JobRow};
use crate::store::runs::{self, RunRow};
use crate::store::tasks::{self, TaskRow};

use super::import::Found;
use super::{Definitions, Executor, ExecutorError};

/// How often runs that end meanwhile are looked at again.
const LOOKS: u32 = 5;

/// Everything that is known of one task.
#[derive(Debug, Clone)]
pub struct TaskStatus {
    /// Its name, as it is written.
    pub name: TaskName,
    /// Its definition; the last one known where it is no longer in the registry.
    pub task: Option<Arc<Task>>,
    /// Whether it is in the registry.
    pub defined: bool,
    /// Its state.
    pub state: TaskState,
    /// Its row, if anything has ever been done with it.
    pub row: Option<Box<TaskRow>>,
    /// Its newest job.
    pub job: Option<Box<JobRow>>,
    /// The newest run of that job.
    pub run: Option<Arc<RunRow>>,
    /// Its run, while that is alive.
    pub live: Option<Box<LiveRun>>,
    /// Its newest run that has ended, also of an earlier job.
    pub last_ended: Option<Arc<RunRow>>,
    /// A lock that is held, where it waits for nothing else.
    pub lock: Option<HeldLock>,
    /// Whether what runs follows another definition than the registry's.
    pub changed: bool,
}

/// A run that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRun {
    /// The script's pid, once it is known.
    pub pid: Option<i32>,
    /// When it was started.
    pub started: Option<Timestamp>,
    /// How long that is ago, whoever has set the clock since.
    pub uptime: Option<Duration>,
    /// What its worker and everything below uses; only where that was asked for.
    pub usage: Option<Usage>,
    /// The processes that are left of a run whose worker is dead.
    pub orphans: Vec<i32>,
    /// Whether it belongs to another machine or pid namespace.
    pub elsewhere: bool,
}

impl TaskStatus {
    /// Whether the user wants it.
    pub fn wanted(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.wanted)
    }

    /// Whether it has a schedule.
    pub fn scheduled(&self) -> bool {
        self.task.as_ref().is_some_and(|task| task.schedule.is_set())
    }

    /// How often its newest job was started again.
    pub fn restarts(&self) -> u32 {
        self.job.as_ref().map_or(0, |job| job.attempt.saturating_sub(1))
    }

    /// Whether its newest job neither runs, nor waits to run again, nor is over.
    pub fn is_on_its_way(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.state.underway().is_some())
    }

    /// Why its newest job has failed, in words, where no run of its own is what failed: a hook, or a transfer.
    pub fn besides(&self) -> Option<&str> {
        let job = self.job.as_ref().filter(|job| job.state == State::Failed)?;
        let is_besides = matches!(job.code.as_deref(), Some("hook_failed" | "hook_decided" | "transfer_failed"));
        job.reason.as_deref().filter(|_| is_besides)
    }

    /// The moment at which it is started again, while it waits for that.
    pub fn next_retry(&self) -> Option<Timestamp> {
        let job = self.job.as_ref().filter(|job| job.state == State::RestartReady && self.live.is_none())?;
        // Of one that waits for a lock nobody knows when.
        job.not_before.filter(|_| self.state == TaskState::Waiting && self.lock.is_none())
    }

    /// Whether its job was given up after repeated failures.
    pub fn gave_up(&self) -> bool {
        self.state == TaskState::Failed && self.job.as_ref().is_some_and(|job| job.code.as_deref() == Some("gave_up"))
    }

    /// Since when it is crash-looping.
    pub fn looping_since(&self) -> Option<Timestamp> {
        self.row.as_ref().and_then(|row| row.form.looping_since)
    }

    /// Since when its run has shown no sign of life.
    pub fn stalled(&self) -> Option<Timestamp> {
        self.run.as_ref().filter(|_| self.live.is_some()).and_then(|run| run.stalled)
    }

    /// How long its run has been alive.
    pub fn uptime(&self) -> Option<Duration> {
        self.live.as_ref()?.uptime
    }
}

impl Executor {
    /// The status of these tasks, or of all.
    ///
    /// A task that is no longer in the registry is among all while something of it is alive or wanted.
    pub fn status(
        &mut self,
        definitions: &Definitions,
        names: Option<&[TaskName]>,
        with_usage: bool,
    ) -> Result<Vec<TaskStatus>, ExecutorError> {
        // What ends while we look is looked at again; where things end faster than that, the last look counts.
        for _ in 0..LOOKS {
            if let Some(statuses) = self.look_at_all(definitions, names, with_usage, false)? {
                return Ok(statuses);
            }
        }
        Ok(self.look_at_all(definitions, names, with_usage, true)?.unwrap_or_default())
    }

    /// One look at all; `None` when a run ended meanwhile, unless that is to be overlooked.
    fn look_at_all(
        &mut self,
        definitions: &Definitions,
        names: Option<&[TaskName]>,
        with_usage: bool,
        overlook: bool,
    ) -> Result<Option<Vec<TaskStatus>>, ExecutorError> {
        self.refresh()?;
        let reader = self.store.reader();
        let key = |name: &TaskName| name.key();
        let mut rows: HashMap<String, Box<TaskRow>> =
            tasks::all(reader)?.into_iter().map(|row| (key(&row.name), Box::new(row))).collect();
        let (mut jobs, mut runs) = (HashMap::new(), HashMap::new());
        if rows.values().any(|row| row.job.is_some()) {
            jobs.extend(jobs::newest_of_tasks(reader)?.into_iter().map(|job| (job.id, job)));
            runs.extend(runs::newest_of_tasks(reader)?.into_iter().map(|run| (run.job, run)));
        }
        let supervised = self.is_supervised();
        let wanted = names.map(|names| names.iter().map(key).collect::<Vec<_>>());
        let asked = |name: &TaskName| wanted.as_ref().is_none_or(|wanted| wanted.contains(&key(name)));
        let mut statuses = Vec::with_capacity(definitions.tasks.len());
        let mut one = |name: TaskName, task: Option<Arc<Task>>, row: Option<Box<TaskRow>>| {
            let job = row.as_ref().and_then(|row| row.job).and_then(|job| jobs.remove(&job)).map(Box::new);
            let run = job.as_ref().and_then(|job| runs.remove(&job.id)).map(Arc::new);
            let live = match run.as_ref().filter(|run| run.outcome.is_none()) {
                Some(run) => match self.look_at(run, with_usage)? {
                    None if !overlook => return Ok(false),
                    live => live.map(Box::new),
                },
                None => None,
            };
            let status = self.status_of(name, task, row, job, run, live, supervised)?;
            let gone_and_quiet = !status.defined && status.live.is_none() && !status.wanted();
            if names.is_some() || !gone_and_quiet {
                statuses.push(status);
            }
            Ok::<_, ExecutorError>(true)
        };
        for task in definitions.tasks.iter().filter(|task| asked(&task.name)) {
            let row = if rows.is_empty() { None } else { rows.remove(&key(&task.name)) };
            if !one(task.name.clone(), Some(Arc::clone(task)), row)? {
                return Ok(None);
            }
        }
        let mut gone: Vec<_> = rows.into_values().filter(|row| asked(&row.name)).collect();
        gone.sort_by_key(|row| key(&row.name));
        for row in gone {
            if !one(row.name.clone(), None, Some(row))? {
                return Ok(None);
            }
        }
        Ok(Some(statuses))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts that were read separately, for all tasks at once")]
    fn status_of(
        &self,
        name: TaskName,
        task: Option<Arc<Task>>,
        row: Option<Box<TaskRow>>,
        job: Option<Box<JobRow>>,
        run: Option<Arc<RunRow>>,
        live: Option<Box<LiveRun>>,
        supervised: bool,
    ) -> Result<TaskStatus, ExecutorError> {
        let defined = task.is_some();
        let task = match task {
            Some(task) => Some(task),
            None => jobs::last_definition(self.store.reader(), &name)?.map(Arc::new),
        };
        let unfinished = run.as_ref().filter(|run| run.outcome.is_none());
        let facts = Facts {
            live: match &live {
                Some(live) if live.orphans.is_empty() => Live::Worker,
                Some(_) => Live::Orphan,
                None => Live::Nothing,
            },
            stop_asked: unfinished.is_some_and(|run| run.stop_asked.is_some()),
            wanted: defined && row.as_ref().is_some_and(|row| row.wanted),
            scheduled: task.as_ref().is_some_and(|task| task.schedule.is_set()),
            supervised,
            job: job.as_ref().map(|job| job.state),
            restart: task.as_ref().map_or(Restart::Never, |task| task.restart),
        };
        let last_ended = match (&run, unfinished) {
            (Some(run), None) => Some(run.clone()),
            (Some(_), Some(_)) => runs::last_ended(self.store.reader(), &name)?.map(Arc::new),
            // A job that has not run yet may have come after others.
            (None, _) if job.is_some() => runs::last_ended(self.store.reader(), &name)?.map(Arc::new),
            (None, _) => None,
        };
        let changed = match (&task, &job, &live) {
            (Some(task), Some(job), Some(_)) if defined => !jobs::follows(self.store.reader(), job, task)?,
            (_, _, _) => false,
        };
        let state = task_state(facts);
        let is_over = |moment: Option<Timestamp>| moment.is_none_or(|moment| moment <= clock::now());
        let waits = state == TaskState::Waiting && is_over(job.as_ref().and_then(|job| job.not_before));
        let lock = task.as_ref().filter(|_| waits).map(|task| self.lock_in_the_way(task)).transpose()?.flatten();
        Ok(TaskStatus { name, task, defined, state, row, job, run, live, last_ended, lock, changed })
    }

    /// Looks at an unfinished run; `None` when it has ended.
    fn look_at(&self, run: &RunRow, with_usage: bool) -> Result<Option<LiveRun>, ExecutorError> {
        let live = |record: Record, orphans: Vec<i32>, elsewhere: bool| {
            let worker = record.starting.map(|(worker, _)| worker.pid);
            Some(LiveRun {
                // While what it left behind is being ended, the script itself is gone.
                pid: record.started.filter(|_| record.ended.is_none()).map(|(script, _)| script.pid),
                started: record.started.map(|(_, time)| time),
                // What began elsewhere has other ticks.
                uptime: match record.started {
                    Some((_, time)) if elsewhere => clock::now().duration_since(time).try_into().ok(),
                    started => started.map(|(script, _)| identity::age(&script)),
                },
                usage: worker.filter(|_| with_usage && !elsewhere && orphans.is_empty()).map(usage::of_tree),
                orphans,
                elsewhere,
            })
        };
        Ok(match self.examine(run)? {
            Found::Alive(record) => live(record, Vec::new(), false),
            Found::Elsewhere(record) => live(record, Vec::new(), true),
            Found::Orphaned(record, pids) => live(record, pids, false),
            Found::Ended(_, _) => None,
        })
    }

    /// The time, for whoever shows ages.
    pub fn now(&self) -> Timestamp {
        clock::now()
    }
}
