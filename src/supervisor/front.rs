//! Jobs of `start` and of schedules that are on their way: what comes next for each is begun at once.

use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use crate::domain::name::{JobId, TaskName};
use crate::executor::{Again, ExecutorError, Later, Starter};
use crate::process::clock;

use super::keeper::{Item, Keeper, until};

impl Keeper {
    /// Puts the jobs of a task on the agenda that are to be gone on with later, none of them further off than `cap`: a
    /// clock that was set back makes no wait longer.
    pub(super) fn plan_later(&mut self, name: &TaskName, later: &Later, cap: Duration) {
        let is_over = |job: &JobId| !later.iter().any(|(other, _)| other == job);
        let over: Vec<JobId> =
            self.later.iter().filter(|(job, of)| *of == name && is_over(job)).map(|it| *it.0).collect();
        for job in over {
            self.later.remove(&job);
            self.agenda.cancel(&Item::GoOn(job));
        }
        for (job, at) in later {
            self.later.insert(*job, name.clone());
            self.agenda.set_if_unset(Item::GoOn(*job), clock::since_boot() + until(*at).min(cap));
        }
    }

    /// Goes on with every job that is to be gone on with; whether there was one.
    pub(super) fn go_on(&mut self) -> Result<bool, ExecutorError> {
        let due = std::mem::take(&mut self.underway);
        let any = !due.is_empty();
        for (job, name) in due {
            let starter = Starter { exec_id: &self.exec_id, inherited: &self.inherited, asker: &self.asker };
            let newest = self.tasks.get(&name.key()).map(Arc::as_ref);
            let begun = self.executor.go_on(job, newest, starter, &mut self.spare).unwrap_or_else(Again::Failed);
            debug!("job {job} of {name} goes on");
            self.take_answers(vec![(name, begun)])?;
        }
        Ok(any)
    }
}
