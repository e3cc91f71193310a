//! Schedules: when each is to be looked at next, and what is done when its moment has come.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{error, warn};

use crate::domain::causes::in_one_line;
use crate::domain::task::Task;
use crate::executor::{Again, ExecutorError, Starter};
use crate::process::clock;

use super::keeper::{Event, Keeper, TRY_AGAIN};

impl Keeper {
    /// Puts the next moment of a task's schedule on the agenda.
    pub(super) fn plan_fire(&mut self, key: &str, task: Option<&Arc<Task>>) -> Result<(), ExecutorError> {
        let next = match task {
            Some(task) => self.executor.next_fire(task, self.began),
            None => Ok(None),
        };
        match next {
            Ok(Some(moment)) => self.fires.set(key.to_owned(), since_1970(moment)),
            Ok(None) => self.fires.cancel(&key.to_owned()),
            // Zones come and go with the system's database; it must not keep others from being looked at.
            Err(error @ ExecutorError::Schedule { .. }) => {
                if self.failing.insert(key.to_owned()) {
                    error!("{}", in_one_line(&error));
                }
                self.fires.cancel(&key.to_owned());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Fires what is due.
    pub(super) fn fire_due(&mut self) -> Result<(), ExecutorError> {
        self.fire_until(since_1970(clock::now()))
    }

    /// Looks at every schedule: the clock shows another time than it did.
    pub(super) fn fire_all(&mut self) -> Result<(), ExecutorError> {
        warn!("the clock was set; every schedule is looked at");
        self.fire_until(Duration::MAX)
    }

    fn fire_until(&mut self, until: Duration) -> Result<(), ExecutorError> {
        // Whoever slept may not have heard of it yet: what has ended is in nobody's way.
        let settled = self.take_in(Event::ProcessEnded);
        let due = self.fires.take_due(until);
        settled.and(self.fire(due))
    }

    fn fire(&mut self, keys: Vec<String>) -> Result<(), ExecutorError> {
        if self.registry != self.executor.registry_stamp()? {
            self.reload()?;
        }
        let tasks = keys.iter().filter_map(|key| self.tasks.get(key));
        let tasks: Vec<Arc<Task>> = tasks.filter(|task| task.schedule.is_set()).cloned().collect();
        let starter = Starter { exec_id: &self.exec_id, inherited: &self.inherited, asker: &self.asker };
        let fired = match self.executor.fire(&tasks, self.began, starter, &mut self.spare) {
            Ok(fired) => fired,
            Err(error) => {
                // They are still due.
                let again = since_1970(clock::now()) + TRY_AGAIN;
                for key in keys {
                    self.fires.set_if_unset(key, again);
                }
                return Err(error);
            }
        };
        let mut answers = Vec::with_capacity(fired.len());
        for (task, fired) in fired {
            for run in fired.stop {
                self.end_run(run)?;
            }
            if !matches!(fired.again, Again::NotDue) {
                answers.push((task.name.clone(), fired.again));
            }
            self.look_at(&task.name)?;
        }
        self.take_answers(answers)?;
        self.catch_up()
    }
}

fn since_1970(moment: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or(Duration::ZERO)
}
