//! Appointing the runs that follow others: some time after these have begun, since most that end soon are not followed.

use std::time::Duration;

use crate::domain::name::RunId;
use crate::executor::ExecutorError;
use crate::process::clock;

use super::keeper::{Item, Keeper};

/// How long after its beginning, or that of the first of many, a run is given its successor.
const APPOINT_AFTER: Duration = Duration::from_millis(500);

/// How many are appointed at a time, and the time between two times: a thousand keep nobody waiting.
const AT_ONCE: usize = 64;
const BETWEEN: Duration = Duration::from_millis(5);

impl Keeper {
    /// Has runs be followed, as soon as there is time for that.
    pub(super) fn appoint_later(&mut self, runs: impl IntoIterator<Item = RunId>) {
        self.unfollowed.extend(runs);
        if !self.unfollowed.is_empty() {
            self.agenda.set_if_unset(Item::Appoint, clock::since_boot() + APPOINT_AFTER);
        }
    }

    /// Appoints the runs that follow others, as many as are done at a time.
    pub(super) fn appoint(&mut self) -> Result<(), ExecutorError> {
        self.executor.begin_snapshot()?;
        let appointed = self.appoint_some();
        self.executor.end_snapshot();
        appointed
    }

    fn appoint_some(&mut self) -> Result<(), ExecutorError> {
        for _ in 0..AT_ONCE {
            let Some(run) = self.unfollowed.pop_first() else { return Ok(()) };
            let key = self.runs.get(&run).and_then(|watched| watched.key.as_ref());
            let Some(task) = key.and_then(|key| self.tasks.get(key)) else { continue };
            // Fresh, because a wish to stop it may have come.
            if let Some(row) = self.executor.unfinished(run)? {
                self.executor.appoint(&row, task, self.registry.as_deref())?;
            }
        }
        if !self.unfollowed.is_empty() {
            self.agenda.set(Item::Appoint, clock::since_boot() + BETWEEN);
        }
        Ok(())
    }
}
