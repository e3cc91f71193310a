//! Appointing the runs that follow others: some time after these have begun, since most that end soon are not followed.

use std::sync::Arc;
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
        let mut these = Vec::new();
        for run in std::iter::from_fn(|| self.unfollowed.pop_first()).take(AT_ONCE) {
            // One that has a script here runs here.
            let key = self.runs.get(&run).filter(|it| it.script.is_some()).and_then(|it| it.key.as_ref());
            these.extend(key.and_then(|key| self.tasks.get(key)).map(|task| (run, Arc::clone(task))));
        }
        if !self.unfollowed.is_empty() {
            self.agenda.set(Item::Appoint, clock::since_boot() + BETWEEN);
        }
        let appointed = self.executor.appoint(&these, &self.exec_id, self.registry.as_deref());
        if appointed.is_err() {
            self.unfollowed.extend(these.iter().map(|(run, _)| *run));
        }
        appointed
    }
}
