//! What is done whenever something has happened: what has changed is read, what has ended settled, what is due started,
//! until nothing of that is left.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::lifecycle::State;
use crate::domain::name::TaskName;
use crate::domain::task::Restart;
use crate::executor::{ExecutorError, Starter};
use crate::process::clock;

use super::keeper::{FLUSH_AFTER, Item, Keeper};
use super::told;

/// How often it goes on at once when what it does changes facts: what is left over then comes with the next event.
const ROUNDS: usize = 64;

/// How often it is looked at most while slots alone ring, or many workers that begin: what they do they see to themselves.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

impl Keeper {
    /// Looks at what has changed, settles what has ended, starts what is due, until nothing of that is left.
    pub(super) fn catch_up(&mut self) -> Result<(), ExecutorError> {
        let done = self.catch_up_in_rounds();
        self.executor.end_snapshot();
        done
    }

    fn catch_up_in_rounds(&mut self) -> Result<(), ExecutorError> {
        for _ in 0..ROUNDS {
            // What comes from now on is seen in the next round, or rings again.
            self.executor.end_snapshot();
            self.executor.begin_snapshot()?;
            let changed = self.read_events()?;
            let settled = self.settle_ended();
            // What cannot be settled keeps nothing from being started.
            let started = self.start_due();
            let gone_on = self.go_on();
            if !(changed | settled? | started? | gone_on?) {
                return self.staff_slots().and(self.plan_transfers()).and(self.plan_cleanup());
            }
        }
        // More happens than can be taken in at once: others want their turn.
        self.agenda.set(Item::Survey, clock::since_boot());
        Ok(())
    }

    /// Reads what has happened since the last look; whether that was anything.
    fn read_events(&mut self) -> Result<bool, ExecutorError> {
        self.version = self.executor.data_version()?;
        let events = self.executor.changed_since(self.event)?;
        let Some(last) = events.last() else { return Ok(false) };
        self.event = last.id;
        let mut names = BTreeMap::new();
        self.rests_until = Duration::ZERO;
        if events.iter().all(told::is_of_slot) {
            self.rest();
        }
        for event in &events {
            told::event(event);
            self.failed |= event.to == Some(State::Failed);
            if told::is_of_slot(event) {
                continue;
            }
            // Somebody else may have settled it, and be killed before its record is removed.
            if let Some(run) = told::ended_run(event) {
                self.release(run);
                self.settled.insert(run);
            }
            if let Some(name) = event.task.as_deref().and_then(|name| TaskName::parse(name).ok()) {
                names.insert(name.key(), name);
            }
        }
        names.extend(self.locked.clone());
        for name in names.values() {
            self.look_at(name)?;
        }
        self.plan_delivery()?;
        self.agenda.set_if_unset(Item::Flush, clock::since_boot() + FLUSH_AFTER);
        Ok(true)
    }

    /// Does not listen to the bell for a moment: nothing that rings now is in a hurry.
    pub(super) fn rest(&mut self) {
        self.rests_until = clock::since_boot() + BETWEEN_LOOKS;
        self.agenda.set(Item::Queue, self.rests_until);
    }

    /// Looks at everything: after a start, after trouble, when the registry has changed.
    pub(super) fn survey(&mut self) -> Result<(), ExecutorError> {
        self.agenda.cancel(&Item::Survey);
        self.agenda.cancel(&Item::Missed);
        self.executor.begin_snapshot()?;
        let looked = self.look_at_everything();
        self.executor.end_snapshot();
        looked?;
        self.catch_up()
    }

    fn look_at_everything(&mut self) -> Result<(), ExecutorError> {
        self.read_events()?;
        for name in self.executor.known_tasks()? {
            self.look_at(&name)?;
        }
        for open in self.executor.open_runs()? {
            self.adopt(open);
        }
        self.take_over_slots()?;
        self.suspects.extend(self.runs.keys().copied());
        self.plan_delivery()
    }

    /// Settles every run that has ended; whether there was one.
    fn settle_ended(&mut self) -> Result<bool, ExecutorError> {
        let ended = self.inspect();
        let any = !ended.is_empty();
        if any {
            let again = self.due_at_once(&ended)?;
            let starter = Starter { exec_id: &self.exec_id, inherited: &self.inherited, asker: &self.asker };
            let (settled, answers) = self.executor.settle(&ended, &again, starter, &mut self.spare)?;
            for (run, record, _) in &ended {
                self.release(run.id);
                let followed = run.task.as_ref().filter(|_| record.passed_on.is_some());
                self.started.extend(followed.map(TaskName::key));
            }
            self.settled.extend(settled);
            self.take_answers(answers)?;
            self.agenda.set_if_unset(Item::Flush, clock::since_boot() + FLUSH_AFTER);
        }
        match self.stumbled.take() {
            Some(error) => Err(error),
            None => Ok(any),
        }
    }

    /// Whether nothing runs or can still run by itself, apart from what is kept alive and what waits for a schedule.
    pub(super) fn is_idle(&self) -> Result<bool, ExecutorError> {
        if self.is_resting() {
            return Ok(false);
        }
        self.executor.begin_snapshot()?;
        let is_idle = self.is_idle_now();
        self.executor.end_snapshot();
        is_idle
    }

    fn is_idle_now(&self) -> Result<bool, ExecutorError> {
        let ends = |key: &str| self.tasks.get(key).is_none_or(|task| task.restart != Restart::Always);
        let runs = self.runs.values().any(|run| run.key.as_deref().is_none_or(ends));
        let waits = self.waits.keys().chain(self.locked.keys()).any(|key| ends(key));
        let busy = runs
            || waits
            || !self.later.is_empty()
            || self.executor.outbox()?.is_busy
            || self.executor.is_queue_busy()?;
        // After trouble nobody knows before the next look at everything, nor what has happened and was not read yet.
        let unknown = self.agenda.moment(&Item::Survey).is_some() || self.executor.data_version()? != self.version;
        Ok(!busy && !unknown)
    }
}
