//! stop: record the wish, have each worker run its stop sequence, wait until nothing is left.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use crate::domain::lifecycle::State;
use crate::domain::name::TaskName;
use crate::domain::signal::Signal;
use crate::domain::task::StopSequence;
use crate::process::asking::{Interrupts, Waited, WorkerHandle, raise_descriptor_limit};
use crate::process::{clock, tagged};
use crate::store::runs::{self, RunRow};
use crate::store::{Durability, events, jobs, tasks};

use super::import::{Found, Importer, current};
use super::start::{Answers, How};
use super::{Asker, Executor, ExecutorError};

/// How long after its grace a tree may still take until its rest is named.
const BEYOND_GRACE: Duration = Duration::from_secs(10);

/// The time between two looks where nothing reports by itself: a worker that has not said who it is, an orphan.
const PAUSE: Duration = Duration::from_millis(20);

/// What became of the stop of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It ran, and nothing of it is left; how its main process ended.
    Ended(String),
    /// It did not run; with `true` its pending restart was cancelled.
    NotRunning(bool),
    /// It runs on another machine or in another pid namespace, where we signal nothing.
    Elsewhere,
    /// These processes of it are left.
    Left(Vec<i32>),
}

/// What a stop leaves of the user's wish for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Stop it for good: it is no longer wanted.
    Stay,
    /// Stop it in order to start it again: it stays wanted.
    Restart,
}

/// A run that is being stopped.
struct Target {
    task: TaskName,
    run: RunRow,
    sequence: StopSequence,
    orphaned: bool,
}

/// What was done with a task in the transaction that recorded the wish.
enum Wish {
    NotRunning(bool),
    Run(Box<RunRow>, StopSequence),
}

impl Executor {
    /// Stops tasks, and waits until nothing of them is left. `told` hears of what Ctrl-C does meanwhile.
    pub fn stop(
        &mut self,
        names: &[TaskName],
        then: Patience,
        asker: &Asker,
        told: &mut dyn FnMut(&str),
    ) -> Result<Vec<(TaskName, Stopped)>, ExecutorError> {
        let unfinished = runs::unfinished(self.store.reader())?;
        self.import_of(&unfinished)?;
        let wishes = self.record_wishes(names, then, asker)?;
        let mut answers = Vec::new();
        let mut targets = Vec::new();
        for (name, wish) in names.iter().zip(wishes) {
            match wish {
                Wish::NotRunning(cancelled) => answers.push((name.clone(), Some(Stopped::NotRunning(cancelled)))),
                Wish::Run(run, sequence) => {
                    let elsewhere = matches!(self.examine(run.id)?, Found::Elsewhere(_));
                    answers.push((name.clone(), elsewhere.then_some(Stopped::Elsewhere)));
                    if !elsewhere {
                        targets.push(Target { task: name.clone(), run: *run, sequence, orphaned: false });
                    }
                }
            }
        }
        self.end(&mut targets, told)?;
        let runs: Vec<RunRow> = targets.iter().map(|target| target.run.clone()).collect();
        self.import_of(&runs)?;
        answers
            .into_iter()
            .map(|(name, answer)| match answer {
                Some(answer) => Ok((name, answer)),
                None => self.what_is_left(&name, &targets).map(|answer| (name, answer)),
            })
            .collect()
    }

    /// Stops tasks and starts them again, as new jobs.
    pub fn restart(
        &mut self,
        these: &[crate::domain::task::Task],
        asker: &Asker,
        told: &mut dyn FnMut(&str),
    ) -> Result<Answers, ExecutorError> {
        let names: Vec<TaskName> = these.iter().map(|task| task.name.clone()).collect();
        self.stop(&names, Patience::Restart, asker, told)?;
        self.start_as(these, How { now: true, fresh: true }, asker)
    }

    /// One transaction: what is wanted of each task, and the wish that its run end. A run whose record has an outcome
    /// already keeps it.
    fn record_wishes(&mut self, names: &[TaskName], then: Patience, asker: &Asker) -> Result<Vec<Wish>, ExecutorError> {
        let now = clock::now();
        let home = self.home.clone();
        let mut ended = Vec::new();
        for name in names {
            if let (_, Some(run)) = current(&self.store, name)? {
                let record = crate::process::record::read(&self.home.record(run.id))?;
                if record.is_some_and(|(record, _)| record.ended.is_some()) {
                    ended.push(run.id);
                }
            }
        }
        self.store.write(Durability::Flushed, |tx| {
            let importer = Importer { home: &home };
            names.iter().map(|name| importer.wish(tx, name, then, &ended, asker, now)).collect()
        })
    }

    /// Asks every worker, and waits for them and for orphans, until nothing is left or the time is over.
    fn end(&mut self, targets: &mut [Target], told: &mut dyn FnMut(&str)) -> Result<(), ExecutorError> {
        if targets.is_empty() {
            return Ok(());
        }
        raise_descriptor_limit();
        let mut interrupts = Interrupts::catch()?;
        let start = clock::since_boot();
        let longest = targets.iter().map(|target| target.sequence.grace).max().unwrap_or_default() + BEYOND_GRACE;
        let mut now = false;
        loop {
            let (mut workers, waiting) = self.ask(targets, now, start)?;
            let over = clock::since_boot().saturating_sub(start);
            if (workers.is_empty() && !waiting) || over >= longest {
                return Ok(());
            }
            // Only a worker reports its end by itself; the others are looked at again soon.
            let longest = if waiting { PAUSE } else { longest.saturating_sub(over) };
            while !workers.is_empty() || waiting {
                match interrupts.wait(&mut workers, longest)? {
                    Waited::Ended => {}
                    Waited::Time => break,
                    Waited::Interrupted => {
                        told(if now { "still killing" } else { "killing now" });
                        now = true;
                        break;
                    }
                }
            }
        }
    }

    /// One round of asking: the workers that still live, and whether something else is still to be waited for.
    fn ask(
        &self,
        targets: &mut [Target],
        now: bool,
        start: Duration,
    ) -> Result<(Vec<WorkerHandle>, bool), ExecutorError> {
        let mut workers = Vec::new();
        let mut waiting = false;
        let since = clock::since_boot().saturating_sub(start);
        for target in targets {
            match self.examine(target.run.id)? {
                Found::Alive(record) => {
                    let said = record.starting.map(|(worker, _)| worker);
                    let worker = said.or_else(|| tagged::worker(&self.home.record(target.run.id)));
                    let Some(worker) = worker else {
                        // Its starter is about to spawn it.
                        waiting = true;
                        continue;
                    };
                    match WorkerHandle::open(&worker, target.run.id)? {
                        Some(handle) => {
                            if now {
                                handle.kill()?
                            } else {
                                handle.stop()?
                            }
                            workers.push(handle);
                        }
                        // It dies just now; its lock will be free at the next look.
                        None => waiting = true,
                    }
                }
                Found::Orphaned(_, _) => {
                    waiting = true;
                    let kill = now || since >= target.sequence.grace;
                    if kill {
                        tagged::signal(target.run.id, &[Signal::KILL]);
                    } else if !target.orphaned {
                        tagged::signal(target.run.id, &[target.sequence.signal, Signal::CONT]);
                    }
                    target.orphaned = true;
                }
                Found::Elsewhere(_) | Found::Ended(_, _) => {}
            }
        }
        Ok((workers, waiting))
    }

    /// The answer for a task that was being stopped.
    fn what_is_left(&self, name: &TaskName, targets: &[Target]) -> Result<Stopped, ExecutorError> {
        let Some(target) = targets.iter().find(|target| target.task == *name) else {
            return Ok(Stopped::NotRunning(false));
        };
        let row = runs::find(self.store.reader(), target.run.id)?;
        if let Some(reason) = row.filter(|row| row.outcome.is_some()).and_then(|row| row.reason) {
            return Ok(Stopped::Ended(reason));
        }
        Ok(Stopped::Left(match self.examine(target.run.id)? {
            Found::Orphaned(_, pids) => pids,
            Found::Alive(record) => {
                let worker = record.starting.map(|(worker, _)| worker.pid);
                let below = worker.map(|pid| crate::process::tree::descendants(vec![(pid, 0)])).unwrap_or_default();
                below.into_iter().skip(1).map(|(pid, _)| pid).collect()
            }
            Found::Elsewhere(_) | Found::Ended(_, _) => Vec::new(),
        }))
    }
}

impl Importer<'_> {
    fn wish(
        &self,
        tx: &Connection,
        name: &TaskName,
        then: Patience,
        ended: &[crate::domain::name::RunId],
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Wish, ExecutorError> {
        tasks::see(tx, name, now)?;
        if then == Patience::Stay {
            tasks::want(tx, name, false, &asker.name, now)?;
            tasks::set_failure_streak(tx, name, 0)?;
        }
        let event = events::NewEvent {
            job: None,
            task: Some(name.as_str()),
            states: None,
            cause: "stopped",
            data: json!({ "by": asker.name }),
        };
        events::record(tx, &event, now)?;
        if let Some(run) = runs::unfinished_of(tx, name)? {
            if !ended.contains(&run.id) {
                runs::ask_stop(tx, run.id, &asker.name, now)?;
            }
            let job = jobs::find(tx, run.job)?;
            let sequence = job.map(|job| jobs::definition_of(tx, &job)).transpose()?.map(|task| task.stop);
            return Ok(Wish::Run(Box::new(run), sequence.unwrap_or_default()));
        }
        let job = tasks::find(tx, name)?.and_then(|row| row.job);
        let job = job.map(|job| jobs::find(tx, job)).transpose()?.flatten();
        let pending = job.filter(|job| job.state == State::RestartReady);
        if let Some(job) = &pending
            && then == Patience::Stay
        {
            self.cancel(tx, job, name, &format!("stopped by {}", asker.name), now)?;
        }
        Ok(Wish::NotRunning(pending.is_some()))
    }
}
