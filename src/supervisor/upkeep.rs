//! How tasks stand: which are to be started and when, which crash loops are over, what the registry says of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, error, info, warn};

use crate::domain::causes::in_one_line;
use crate::domain::evidence::Ended;
use crate::domain::name::{JobId, TaskName};
use crate::domain::resources::HeldLock;
use crate::domain::restart::{CRASH_LOOP, Due, LET_OTHERS_FINISH, is_good};
use crate::domain::task::{Restart, Task};
use crate::executor::{Again, AgainAnswers, Definitions, EndedRun, ExecutorError, Starter};
use crate::process::clock;
use crate::store::runs::RunRow;

use super::keeper::{Item, Keeper, TRY_AGAIN, age, until};

/// A wait before a start: it stays what it is as long as it belongs to the same attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    attempt: Option<(JobId, u32)>,
    not_before: Option<Timestamp>,
}

impl Keeper {
    /// Reads the registry. A mistake in it is told once and changes nothing.
    pub(super) fn reload(&mut self) -> Result<(), ExecutorError> {
        self.agenda.cancel(&Item::Reload);
        self.registry = self.executor.registry_stamp()?;
        let Definitions { exec_id, tasks, mistake, settings: _ } = self.executor.definitions()?;
        let mistake = mistake.map(|mistake| {
            let hints = mistake.hints().into_iter().map(|hint| format!("\nhint: {hint}"));
            format!("{mistake}{}", hints.collect::<String>())
        });
        if mistake != self.mistake {
            if let Some(mistake) = &mistake {
                error!("{mistake}\ngoing on with the last definitions without a mistake");
            } else {
                info!("the mistake in the registry is mended");
            }
            self.mistake = mistake;
        }
        let new: HashMap<String, Arc<Task>> = tasks.into_iter().map(|task| (task.name.key(), task)).collect();
        if !self.exec_id.is_empty() {
            self.tell_changes(&new);
        }
        let is_new = |key: &String| self.scripts.is_watched(key) && new.get(key) != self.tasks.get(key);
        let mended: Vec<String> = new.keys().filter(|key| is_new(key)).cloned().collect();
        self.exec_id = exec_id;
        self.tasks = new;
        // What was appointed before no longer counts.
        self.appoint_later(self.runs.keys().copied().collect::<Vec<_>>());
        for key in mended {
            self.try_soon(key);
        }
        // Whatever it was read for: what is new in it is to be looked at.
        self.agenda.set(Item::Survey, clock::since_boot());
        Ok(())
    }

    fn tell_changes(&self, new: &HashMap<String, Arc<Task>>) {
        let runs = |key: &str| self.runs.values().any(|run| run.key.as_deref() == Some(key));
        for (key, old) in &self.tasks {
            match new.get(key) {
                None if runs(key) => warn!("{} is no longer in the registry; its run goes on", old.name),
                None => info!("{} is no longer in the registry", old.name),
                Some(task) if task != old && runs(key) => {
                    info!("{} has been changed, which applies at its next start", task.name);
                }
                Some(_) => {}
            }
        }
    }

    /// Looks at how one task stands, and puts what is to be done with it on the agenda.
    pub(super) fn look_at(&mut self, name: &TaskName) -> Result<(), ExecutorError> {
        let key = name.key();
        let task = self.tasks.get(&key).cloned();
        let Some(upkeep) = self.executor.upkeep(name, task.as_deref())? else { return Ok(()) };
        self.plan_fire(&key, task.as_ref())?;
        let cap = task.as_ref().map_or(self.sleep, |task| task.backoff.cap(self.sleep));
        self.underway.extend(upkeep.underway.into_iter().map(|job| (job, name.clone())));
        self.plan_later(name, &upkeep.later, cap);
        if let Some(run) = upkeep.run
            && !self.runs.contains_key(&run)
            && let Some(open) = self.executor.open_run(run)?
        {
            self.adopt(open);
        }
        let steady = upkeep.looping_since.and(upkeep.steady_since).filter(|_| upkeep.run.is_some());
        if let Some(since) = steady {
            // From here on it is measured on a clock that nobody sets.
            if self.steady.insert(key.clone(), (name.clone(), since)) != Some((name.clone(), since)) {
                let left = CRASH_LOOP.within.saturating_sub(age(since));
                self.agenda.set(Item::Steady(key.clone()), clock::since_boot() + left);
            }
        } else {
            self.agenda.cancel(&Item::Steady(key.clone()));
            self.steady.remove(&key);
        }
        match &upkeep.lock {
            Some(held) => self.wait_for_lock(name, held)?,
            // It keeps its place until it has begun.
            None if upkeep.wants_lock => {}
            None => {
                if self.locked.remove(&key).is_some() {
                    self.executor.leave_line(name)?;
                }
            }
        }
        let due = if upkeep.lock.is_some() { Due::Nothing } else { upkeep.due };
        let Due::Start(not_before) = due else {
            self.waits.remove(&key);
            self.agenda.cancel(&Item::Start(key.clone()));
            self.scripts.forget(&key);
            return Ok(());
        };
        let changed = if let Some((task, ended)) = task.as_ref().zip(upkeep.permanent) {
            self.scripts.watch(&key, task, ended)
        } else {
            self.scripts.forget(&key);
            false
        };
        let wait = Wait { attempt: upkeep.attempt, not_before };
        let is_armed = self.due.contains(&key) || self.agenda.moment(&Item::Start(key.clone())).is_some();
        if self.waits.get(&key) != Some(&wait) || !is_armed {
            // From here on the wait is measured on a clock that nobody sets; if somebody has set the other one back
            // since it began, it is still no longer than it could have been.
            let left = not_before.map_or(Duration::ZERO, until).min(cap.max(LET_OTHERS_FINISH));
            self.agenda.set(Item::Start(key.clone()), clock::since_boot() + left);
            self.waits.insert(key.clone(), wait);
        }
        if changed {
            self.try_soon(key);
        }
        Ok(())
    }

    /// A task is looked at again with whatever happens, until it has its locks.
    fn wait_for_lock(&mut self, name: &TaskName, held: &HeldLock) -> Result<(), ExecutorError> {
        let key = name.key();
        if let Some(task) = self.tasks.get(&key) {
            self.executor.stand_in_line(task)?;
        }
        if self.locked.insert(key, name.clone()).is_none() {
            info!("{name} waits: {held}");
        }
        Ok(())
    }

    /// Starts every task whose moment has come; whether there was one.
    pub(super) fn start_due(&mut self) -> Result<bool, ExecutorError> {
        let now = clock::since_boot();
        let is_due = |key: &String| {
            self.due.contains(key) || self.agenda.moment(&Item::Start(key.clone())).is_some_and(|at| at <= now)
        };
        let keys: Vec<String> = self.waits.keys().filter(|key| is_due(key)).cloned().collect();
        if keys.is_empty() {
            return Ok(false);
        }
        // Whoever edits a task and starts it again means the new one.
        if self.registry != self.executor.registry_stamp()? {
            self.reload()?;
        }
        let tasks: Vec<Arc<Task>> = keys.iter().filter_map(|key| self.tasks.get(key).cloned()).collect();
        for key in &keys {
            self.agenda.cancel(&Item::Start(key.clone()));
            self.due.remove(key);
            self.waits.remove(key);
            self.scripts.forget(key);
        }
        let starter = Starter { exec_id: &self.exec_id, inherited: &self.inherited, asker: &self.asker };
        let answers = self.executor.start_again(&tasks, starter, &mut self.spare);
        if answers.is_err() {
            // They are still due; the next look at everything finds them.
            self.agenda.set_if_unset(Item::Survey, now + TRY_AGAIN);
        }
        self.take_answers(answers?)?;
        Ok(true)
    }

    /// The tasks whose runs have just ended well enough to be started again at once.
    pub(super) fn due_at_once(&mut self, ended: &[EndedRun]) -> Result<Vec<Arc<Task>>, ExecutorError> {
        let well = |task: &Arc<Task>, run: &RunRow, end: &Ended| {
            let lasted = end.lasted.map(Duration::from_micros);
            run.stop_asked.is_none() && task.restart != Restart::Never && is_good(&end.outcome, lasted, &task.backoff)
        };
        let any = ended.iter().any(|(_, _, end)| end.lasted.is_some());
        if any && self.registry != self.executor.registry_stamp()? {
            self.reload()?;
        }
        let task = |run: &RunRow| self.tasks.get(&run.task.as_ref()?.key());
        // What has been followed already runs again.
        let ended = ended.iter().filter(|(_, record, _)| record.passed_on.is_none());
        Ok(ended.filter_map(|(run, _, end)| task(run).filter(|task| well(task, run, end)).cloned()).collect())
    }

    /// Takes in what became of starts.
    pub(super) fn take_answers(&mut self, answers: AgainAnswers) -> Result<(), ExecutorError> {
        for (name, answer) in answers {
            match answer {
                Again::Spawned { run, worker } => {
                    self.failing.remove(&name.key());
                    self.started.insert(name.key());
                    self.adopt_child(run, worker)?;
                }
                Again::Locked(held) => self.wait_for_lock(&name, &held)?,
                Again::Begun(job) => info!("{name} has a new job, {job}: other things come before its run"),
                Again::Refused(reason) => warn!("{name} cannot be started: {reason}"),
                Again::NotDue => debug!("{name} is no longer to be started"),
                Again::Failed(error) => {
                    if self.failing.insert(name.key()) {
                        error!("cannot start {name}: {}; trying again", in_one_line(&error));
                    }
                    self.agenda.set_if_unset(Item::Survey, clock::since_boot() + TRY_AGAIN);
                }
            }
        }
        Ok(())
    }

    /// A crash loop is over: the task has run steadily for long enough.
    pub(super) fn recovered(&mut self, key: &str) -> Result<(), ExecutorError> {
        let Some((name, since)) = self.steady.remove(key) else { return Ok(()) };
        let reason = "it has run for 10 minutes without a failure".to_owned();
        self.executor.recover(&name, since, &reason)?;
        self.catch_up()
    }
}
