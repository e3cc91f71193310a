//! Jobs of `start` and of schedules that are on their way: what comes next for each is begun at once.

use tracing::debug;

use crate::executor::{Again, ExecutorError, Starter};

use super::keeper::Keeper;

impl Keeper {
    /// Goes on with every job that is to be gone on with; whether there was one.
    pub(super) fn go_on(&mut self) -> Result<bool, ExecutorError> {
        let due = std::mem::take(&mut self.underway);
        let any = !due.is_empty();
        for (job, name) in due {
            let starter = Starter { exec_id: &self.exec_id, inherited: &self.inherited, asker: &self.asker };
            let begun = self.executor.go_on(job, starter, &mut self.spare).unwrap_or_else(Again::Failed);
            debug!("job {job} of {name} goes on");
            self.take_answers(vec![(name, begun)])?;
        }
        Ok(any)
    }
}
