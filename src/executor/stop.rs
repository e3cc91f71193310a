//! stop: record the wish, have each worker run its stop sequence, wait until nothing is left.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::domain::evidence::{Ended, Record};
use crate::domain::lifecycle::State;
use crate::domain::name::TaskName;
use crate::domain::signal::Signal;
use crate::domain::task::{StopSequence, Task};
use crate::home::{lock, reserve};
use crate::process::asking::{Interrupts, ManyDescriptors, Waited, WorkerHandle};
use crate::process::environment::Inherited;
use crate::process::{clock, record, tagged};
use crate::store::runs::{self, Kind, RunRow};
use crate::store::{Durability, StoreError, events, jobs, tasks};

use super::definitions::Definitions;
use super::import::Found;
use super::look::look_at_all;
use super::start::{Answers, How, Started, start_error};
use super::{Asker, Executor, ExecutorError, StartError};
use crate::ledger::Ledger;

/// How long after its grace a tree may still take until its rest is named.
const BEYOND_GRACE: Duration = Duration::from_secs(10);

/// The time between two looks where nothing reports by itself: a worker that has not said who it is, an orphan.
const PAUSE: Duration = Duration::from_millis(20);

/// The time between two looks whether runs are over: at first, and the part of what has been waited for so far that it
/// grows to, up to a pause.
const GLANCE: Duration = Duration::from_millis(1);
const LATER_BY: u32 = 50;

/// How often a restart stops at most what it finds in its way: a run that had just ended by itself may have a hook, or
/// have been started again already.
const ROUNDS: usize = 3;

/// How long workers are waited for whose runs are over.
const PATIENCE: Duration = Duration::from_secs(1);

/// What became of the stop of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It ran, and nothing of it is left; how its main process ended.
    Ended(String),
    /// It did not run; with `true` it was wanted, or to be started again, and no longer is.
    NotRunning(bool),
    /// It runs on another machine or in another pid namespace, where we signal nothing.
    Elsewhere,
    /// These processes of it are left.
    Left(Vec<i32>),
}

impl Stopped {
    /// What became of a task of which this became of one run and `other` of a newer one.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Left(mut pids), Self::Left(more)) => {
                pids.extend(more);
                Self::Left(pids)
            }
            (left @ Self::Left(_), _) | (_, left @ Self::Left(_)) => left,
            (Self::Elsewhere, _) | (_, Self::Elsewhere) => Self::Elsewhere,
            (_, other) => other,
        }
    }
}

/// What a stop leaves of the user's wish for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// Stop it for good: it is no longer wanted.
    Stay,
    /// Stop it in order to start it again: it stays wanted.
    Restart,
}

/// A run that is being stopped.
pub(super) struct Target {
    /// Which of the answers it belongs to.
    pub(super) answer: usize,
    run: RunRow,
    sequence: StopSequence,
    orphaned: bool,
    found: Last,
    /// What its record said of it a moment ago, if its worker lived.
    alive: Option<Record>,
}

impl Target {
    /// A run whose end is asked for, on record.
    pub(super) fn new(answer: usize, run: RunRow, sequence: StopSequence) -> Self {
        Self { answer, run, sequence, orphaned: false, found: Last::Unfinished, alive: None }
    }
}

/// What the last look at a run that is being stopped found, as far as it is final.
enum Last {
    /// Nothing final.
    Unfinished,
    /// It runs elsewhere.
    Elsewhere,
    /// It has ended.
    Ended(Box<(Record, Ended)>),
    /// It has ended, and whoever ran it has brought that into the database.
    Settled,
}

/// What was done with a task in the transaction that recorded the wish.
enum Wish {
    NotRunning(bool),
    /// Its runs: more than one where its schedule lets them meet. With what the record of each says whose worker lives.
    Runs(Vec<(RunRow, StopSequence, Option<Record>)>),
}

impl Executor {
    /// Stops tasks, and waits until nothing of them is left. `told` hears of what Ctrl-C does meanwhile.
    pub fn stop(
        &mut self,
        names: &[TaskName],
        then: Afterwards,
        asker: &Asker,
        told: &mut dyn FnMut(&str),
    ) -> Result<Vec<(TaskName, Stopped)>, ExecutorError> {
        match self.try_to_stop(names, then, asker, told) {
            // A script that fills the disk must still be stopped.
            Err(ExecutorError::Store(error)) if error.is_disk_full() && reserve::spend(&self.home) => {
                self.try_to_stop(names, then, asker, told)
            }
            other => other,
        }
    }

    fn try_to_stop(
        &mut self,
        names: &[TaskName],
        then: Afterwards,
        asker: &Asker,
        told: &mut dyn FnMut(&str),
    ) -> Result<Vec<(TaskName, Stopped)>, ExecutorError> {
        let unfinished = runs::unfinished(self.store.reader())?;
        self.import_of(&unfinished)?;
        // From the wish on, Ctrl-C means to kill: it must not end this command between the wish and its fulfilment.
        let mut interrupts = Interrupts::catch()?;
        let wishes = self.record_wishes(names, then, asker)?;
        let mut answers = Vec::new();
        let mut targets = Vec::new();
        for (answer, (name, wish)) in names.iter().zip(wishes).enumerate() {
            match wish {
                Wish::NotRunning(cancelled) => answers.push((name.clone(), Stopped::NotRunning(cancelled))),
                Wish::Runs(runs) => {
                    answers.push((name.clone(), Stopped::NotRunning(false)));
                    let target = |(run, sequence, alive)| Target { alive, ..Target::new(answer, run, sequence) };
                    targets.extend(runs.into_iter().map(target));
                }
            }
        }
        self.bring_to_an_end(&mut targets, asker, &mut interrupts, told)?;
        // One snapshot for all of them.
        let _snapshot = self.store.reader().unchecked_transaction().map_err(StoreError::sql("read the runs"))?;
        for target in &targets {
            let left = self.what_is_left(target)?;
            if let Some((_, answer)) = answers.get_mut(target.answer) {
                *answer = answer.clone().with(left);
            }
        }
        Ok(answers)
    }

    /// Waits for the end of runs that is asked for, and brings it into the database.
    pub(super) fn bring_to_an_end(
        &mut self,
        targets: &mut Vec<Target>,
        asker: &Asker,
        interrupts: &mut Interrupts,
        told: &mut dyn FnMut(&str),
    ) -> Result<(), ExecutorError> {
        let mut begin = 0;
        while begin < targets.len() {
            let these = targets.get_mut(begin..).unwrap_or_default();
            self.bring_these_to_an_end(these, interrupts, told)?;
            let next = self.followers(these, asker)?;
            begin = targets.len();
            targets.extend(next);
        }
        Ok(())
    }

    fn bring_these_to_an_end(
        &mut self,
        targets: &mut [Target],
        interrupts: &mut Interrupts,
        told: &mut dyn FnMut(&str),
    ) -> Result<(), ExecutorError> {
        let over = self.end(targets, interrupts, told)?;
        let mut ended = Vec::new();
        for target in &*targets {
            if let Last::Ended(found) = &target.found {
                let (record, end) = found.as_ref().clone();
                ended.push((target.run.clone(), record, end));
            }
        }
        self.import_or_imagine(&ended, lock::PATIENCE)?;
        let mut idle = HashSet::new();
        for (run, record, _) in &ended {
            let goes_on = match &record.prepared {
                Some(_) => record.passed_on.is_some(),
                // Somebody else has imported it: the database knows what its worker has gone on with.
                None => runs::unfinished_of_job(self.store.reader(), run.job)?.is_some(),
            };
            if !goes_on {
                idle.insert(run.id);
            }
        }
        see_off(over.iter().filter(|worker| idle.contains(&worker.run())));
        Ok(())
    }

    /// The runs that workers have gone on with just before they could be asked to end those before them.
    fn followers(&mut self, of: &[Target], asker: &Asker) -> Result<Vec<Target>, ExecutorError> {
        let mut next = Vec::new();
        for target in of.iter().filter(|target| target.run.slot.is_none() && target.run.kind == Kind::Main.as_str()) {
            let run = runs::unfinished_of_job(self.store.reader(), target.run.job)?;
            if let Some(run) = run.filter(|run| run.id != target.run.id && run.kind == Kind::Main.as_str()) {
                next.push(Target::new(target.answer, run, target.sequence.clone()));
            }
        }
        if next.iter().any(|target| target.run.stop_asked.is_none()) {
            let now = clock::now();
            let home = &self.home;
            self.store.write(Durability::Flushed, |tx| {
                let ledger = Ledger { tx, home, now };
                next.iter().try_for_each(|target| {
                    ledger.take_back(&target.run);
                    runs::ask_stop(tx, target.run.id, &asker.name, now)
                })
            })?;
        }
        Ok(next)
    }

    /// All that can be stopped: what is in the registry, and what is no longer there and still runs or is wanted.
    pub fn stoppable(&mut self, definitions: &Definitions) -> Result<Vec<TaskName>, ExecutorError> {
        let mut names: Vec<TaskName> = definitions.tasks.iter().map(|task| task.name.clone()).collect();
        let known: HashSet<String> = names.iter().map(TaskName::key).collect();
        for row in tasks::all(self.store.reader())?.into_iter().filter(|row| !known.contains(&row.name.key())) {
            let run = runs::unfinished_of(self.store.reader(), &row.name)?;
            let found = run.map(|run| self.examine(&run)).transpose()?;
            if row.wanted || found.is_some_and(|found| !matches!(found, Found::Ended(_, _))) {
                names.push(row.name);
            }
        }
        Ok(names)
    }

    /// Stops tasks and starts them again, as new jobs. One that could not be started is refused and goes on running.
    pub fn restart(
        &mut self,
        these: &[Arc<Task>],
        asker: &Asker,
        told: &mut dyn FnMut(&str),
    ) -> Result<Answers, ExecutorError> {
        let inherited = Inherited::capture();
        // What has ended unnoticed holds no lock.
        let unfinished = runs::unfinished(self.store.reader())?;
        self.import_of(&unfinished)?;
        let mut answers = Answers::new();
        let mut sound = Vec::new();
        for task in these {
            match self.may_restart(task, &inherited, asker)? {
                Ok(()) => sound.push(Arc::clone(task)),
                Err(error) => answers.push((task.name.clone(), Err(start_error(&task.name, error)))),
            }
        }
        let mut before = HashMap::new();
        for task in &sound {
            before.insert(task.name.key(), self.current(&task.name)?.0.map(|job| job.id));
        }
        for round in 1.. {
            if sound.is_empty() {
                break;
            }
            let names: Vec<TaskName> = sound.iter().map(|task| task.name.clone()).collect();
            for (name, stopped) in self.stop(&names, Afterwards::Restart, asker, told)? {
                let error = match stopped {
                    Stopped::Ended(_) | Stopped::NotRunning(_) => continue,
                    Stopped::Elsewhere => StartError::Elsewhere,
                    Stopped::Left(pids) => StartError::Orphaned { pids },
                };
                sound.retain(|task| task.name != name);
                answers.push((name.clone(), Err(start_error(&name, error))));
            }
            let mut again = HashSet::new();
            for (name, started) in self.start_as(&sound, How { now: true, fresh: true }, asker)? {
                let is_there =
                    matches!(started, Ok(Started::Already { .. } | Started::Busy { .. } | Started::Underway { .. }));
                // A new job is what was asked for, whoever made it.
                let newest = self.current(&name)?.0.map(|job| job.id);
                let is_new = newest > before.get(&name.key()).copied().flatten();
                if is_there && !is_new && round < ROUNDS {
                    again.insert(name);
                } else {
                    answers.push((name, started));
                }
            }
            sound.retain(|task| again.contains(&task.name));
        }
        Ok(answers)
    }

    /// Whether a task can be started again once it has been stopped.
    fn may_restart(
        &self,
        task: &Task,
        inherited: &Inherited,
        asker: &Asker,
    ) -> Result<Result<(), StartError>, ExecutorError> {
        let (_, run) = self.current(&task.name)?;
        if asker.job.is_some() && run.is_some_and(|run| Some(run.job) == asker.job) {
            return Ok(Err(StartError::Itself));
        }
        let ledger = Ledger { tx: self.store.reader(), home: &self.home, now: clock::now() };
        if let Some(held) = ledger.lock_of_others(task)? {
            return Ok(Err(held.into()));
        }
        Ok(look_at_all(task, inherited).map(drop))
    }

    /// One transaction: what is wanted of each task, and the wish that its run end. A run whose record has an outcome
    /// already keeps it.
    fn record_wishes(
        &mut self,
        names: &[TaskName],
        then: Afterwards,
        asker: &Asker,
    ) -> Result<Vec<Wish>, ExecutorError> {
        let (home, now) = (&self.home, clock::now());
        self.store.write(Durability::Flushed, |tx| {
            let ledger = Ledger { tx, home, now };
            names.iter().map(|name| ledger.wish(name, then, asker)).collect()
        })
    }

    /// Asks every worker, and waits for their runs and for orphans, until nothing is left or the time is over. Returns
    /// workers whose runs are over.
    fn end(
        &mut self,
        targets: &mut [Target],
        interrupts: &mut Interrupts,
        told: &mut dyn FnMut(&str),
    ) -> Result<Vec<WorkerHandle>, ExecutorError> {
        let mut ended = Vec::new();
        if targets.is_empty() {
            return Ok(ended);
        }
        let _many = ManyDescriptors::allow();
        let start = clock::since_boot();
        let longest = targets.iter().map(|target| target.sequence.grace).max().unwrap_or_default() + BEYOND_GRACE;
        let mut now = false;
        loop {
            let (mut workers, waiting) = self.ask(targets, now, start)?;
            let over = clock::since_boot().saturating_sub(start);
            if (workers.is_empty() && !waiting) || over >= longest {
                return Ok(ended);
            }
            if waiting {
                // Perhaps for want of descriptors.
                ended.clear();
            }
            // Only a worker reports its end by itself; the others are looked at again soon.
            let until = over + if waiting { PAUSE } else { longest.saturating_sub(over) };
            while !workers.is_empty() || waiting {
                let so_far = clock::since_boot().saturating_sub(start);
                let left = until.saturating_sub(so_far);
                if left.is_zero() {
                    break;
                }
                // No bell is listened to: the kernel takes longer to put the ear away than most runs to end.
                let glance = if workers.is_empty() { left } else { (so_far / LATER_BY).clamp(GLANCE, PAUSE).min(left) };
                match interrupts.wait(&mut workers, &mut ended, glance)? {
                    Waited::Ended | Waited::Time => {}
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
        for target in targets.iter_mut().filter(|target| matches!(target.found, Last::Unfinished)) {
            let in_slot = target.run.slot.is_some();
            if in_slot && runs::find(self.store.reader(), target.run.id)?.is_none_or(|run| run.outcome.is_some()) {
                target.found = Last::Settled;
                continue;
            }
            let found =
                target.alive.take().map_or_else(|| self.examine(&target.run), |record| Ok(Found::Alive(record)));
            match found? {
                Found::Alive(record) => {
                    // Its worker may have another run by the time that hears of it, whose end is asked for in its own turn.
                    let is_over = record.ended.is_some();
                    let said = record.starting.map(|(worker, _)| worker);
                    let worker = said.or_else(|| tagged::worker(&self.home.record(&target.run)));
                    let Some(worker) = worker else {
                        // Its starter is about to spawn it.
                        waiting = true;
                        continue;
                    };
                    match WorkerHandle::open(&worker, target.run.id, self.home.record(&target.run)) {
                        // More workers than descriptors: this one's turn comes when others have ended.
                        Err(error) if error.raw_os_error() == Some(libc::EMFILE) => waiting = true,
                        Err(error) => return Err(error.into()),
                        Ok(Some(handle)) => {
                            if now {
                                handle.kill()?;
                            } else if !is_over || in_slot {
                                handle.stop()?;
                            }
                            if in_slot {
                                // That worker goes on with the next run.
                                waiting = true;
                            } else {
                                workers.push(handle);
                            }
                        }
                        // It dies just now; its lock will be free at the next look.
                        Ok(None) => waiting = true,
                    }
                }
                Found::Orphaned(record, _) => {
                    waiting = true;
                    let script = record.started.map(|(script, _)| script);
                    let kill = now || since >= target.sequence.grace;
                    if kill {
                        tagged::signal(target.run.id, script.as_ref(), &[Signal::KILL]);
                    } else if !target.orphaned {
                        tagged::signal(target.run.id, script.as_ref(), &[target.sequence.signal, Signal::CONT]);
                    }
                    target.orphaned = true;
                }
                Found::Elsewhere(_) => target.found = Last::Elsewhere,
                Found::Ended(record, ended) => target.found = Last::Ended(Box::new((record, ended))),
            }
        }
        Ok((workers, waiting))
    }

    /// The answer for a task that was being stopped.
    pub(super) fn what_is_left(&self, target: &Target) -> Result<Stopped, ExecutorError> {
        if matches!(target.found, Last::Elsewhere) {
            return Ok(Stopped::Elsewhere);
        }
        let row = runs::find(self.store.reader(), target.run.id)?;
        if let Some(reason) = row.filter(|row| row.outcome.is_some()).and_then(|row| row.reason) {
            return Ok(Stopped::Ended(reason));
        }
        Ok(Stopped::Left(match self.examine(&target.run)? {
            Found::Orphaned(_, pids) => pids,
            Found::Alive(record) => {
                let worker = record.starting.map(|(worker, _)| worker.pid);
                let below = worker.map(|pid| crate::process::tree::descendants(vec![(pid, 0)])).unwrap_or_default();
                let below: Vec<i32> = below.into_iter().skip(1).map(|(pid, _)| pid).collect();
                if below.is_empty() { worker.into_iter().collect() } else { below }
            }
            Found::Elsewhere(_) | Found::Ended(_, _) => Vec::new(),
        }))
    }
}

/// Lets the workers go whose records have been imported, and waits until they are gone: afterwards there is nothing
/// left of ours either. One that does not go has nothing to do with its run any more.
fn see_off<'w>(workers: impl Iterator<Item = &'w WorkerHandle> + Clone) {
    for worker in workers.clone() {
        let _ = worker.dismiss();
    }
    let start = clock::since_boot();
    for worker in workers {
        let _ = worker.wait_until_gone(PATIENCE.saturating_sub(clock::since_boot().saturating_sub(start)));
    }
}

impl Ledger<'_> {
    fn wish(&self, name: &TaskName, then: Afterwards, asker: &Asker) -> Result<Wish, ExecutorError> {
        let (tx, now) = (self.tx, self.now);
        tasks::see(tx, name, now)?;
        let row = tasks::find(tx, name)?;
        let was_wanted = row.as_ref().is_some_and(|row| row.wanted);
        // The job whose place a new one takes.
        let newest = row.as_ref().and_then(|row| row.job).filter(|_| then == Afterwards::Restart);
        if then == Afterwards::Stay {
            tasks::want(tx, name, false, &asker.name, now)?;
            if let Some(row) = &row {
                self.begin_anew(row, &format!("stopped by {}", asker.name))?;
            }
        }
        let event = events::NewEvent {
            job: None,
            task: Some(name.as_str()),
            states: None,
            cause: "stopped",
            data: json!({ "by": asker.name }),
        };
        events::record(tx, &event, now)?;
        if then == Afterwards::Stay {
            self.stop_waiting(name, &format!("stopped by {}", asker.name))?;
        }
        let active = jobs::active_of(tx, name)?;
        let mut runs = Vec::new();
        for job in &active {
            if let Some(run) = runs::unfinished_of_job(tx, job.id)? {
                // An outcome that is on record already stands; but what a hook or a transfer came to leads to nothing more.
                let record = record::read(&self.home.record(&run), run.id)?;
                self.take_back(&run);
                if job.state != State::Running || record.as_ref().is_none_or(|(record, _)| record.ended.is_none()) {
                    runs::ask_stop(tx, run.id, &asker.name, now)?;
                }
                let alive = record.filter(|(_, locked)| *locked).map(|(record, _)| record);
                runs.push((run, jobs::stop_of(tx, job)?, alive));
            } else if newest != Some(job.id) || job.state != State::RestartReady {
                self.cancel(job, name, &format!("stopped by {}", asker.name))?;
            }
        }
        if runs.is_empty() { Ok(Wish::NotRunning(!active.is_empty() || was_wanted)) } else { Ok(Wish::Runs(runs)) }
    }
}
