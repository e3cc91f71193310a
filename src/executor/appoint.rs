//! The run that follows another: appointed by the supervisor while that one runs, begun by its worker when it has ended
//! well and nothing has changed, so that a good run's end costs no detour through the supervisor.
//!
//! Only where the end of a run leads to nothing but the next one is any appointed: hooks, transfers, locks, retries and
//! giving up are for the supervisor to see to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;

use crate::domain::lifecycle::Hooked;
use crate::domain::name::RunId;
use crate::domain::params;
use crate::domain::succession::Successor;
use crate::domain::task::{Restart, Task};
use crate::ledger::hooks::hooked;
use crate::process::{identity, random, record};
use crate::store::jobs::{self, Door};
use crate::store::runs::{self, Kind, RunRow};
use crate::store::{StoreError, tasks};

use super::{Executor, ExecutorError};

impl Executor {
    /// Appoints the runs that are to follow these, each of its task, where any may. They run here. `registry` is the state
    /// of the registry in which the tasks and the executor's id were read.
    ///
    /// It writes nothing into the database, and nobody is told; but it has its turn to write all the same: whoever wishes the
    /// end of a run takes back what was appointed before, and what is appointed afterwards sees the wish.
    pub fn appoint(
        &mut self,
        these: &[(RunId, Arc<Task>)],
        exec_id: &str,
        registry: Option<&str>,
    ) -> Result<(), ExecutorError> {
        let these: Vec<_> = these.iter().filter(|(_, task)| nothing_comes_between(task)).collect();
        if these.is_empty() {
            return Ok(());
        }
        let path = self.home.registry();
        let Some(state) = identity::fingerprint(&path) else { return Ok(()) };
        // In this order: whatever is written later the worker notices.
        if self.registry_stamp()?.as_deref() != registry {
            return Ok(());
        }
        let (home, place) = (&self.home, self.here().clone());
        self.store.rehearse(|tx| {
            for (run, task) in these {
                let run = match may_be_followed(tx, *run, task) {
                    Ok(Some(run)) => run,
                    // It must not keep the others from their successors.
                    Ok(None) | Err(StoreError::Impossible(_)) => continue,
                    Err(error) => return Err(error.into()),
                };
                let Some(former) = home.file(&run.archive) else { continue };
                let successor = Successor {
                    run: random::run_id()?,
                    place: place.clone(),
                    attempt: run.attempt + 1,
                    exec_id: exec_id.to_owned(),
                    former,
                    restart: task.restart,
                    backoff: task.backoff.clone(),
                    supervisor: home.supervisor_lock(),
                    registry: (path.clone(), state),
                };
                // Where it cannot be written the supervisor sees to what follows.
                let _ = record::appoint(&home.record(&run), &successor);
            }
            Ok(())
        })
    }
}

/// A run of this task, where it goes on and nobody wishes its end or has changed the task.
fn may_be_followed(tx: &Connection, run: RunId, task: &Task) -> Result<Option<RunRow>, StoreError> {
    let goes_on = |run: &RunRow| {
        run.outcome.is_none() && run.kind == Kind::Main.as_str() && run.slot.is_none() && !run.is_to_end()
    };
    let Some(run) = runs::find(tx, run)?.filter(goes_on) else { return Ok(None) };
    let wanted = tasks::find(tx, &task.name)?.is_some_and(|row| row.wanted);
    let Some(job) = jobs::find(tx, run.job)?.filter(|job| wanted && job.door == Door::Start) else { return Ok(None) };
    Ok((jobs::definition_of(tx, &job)? == *task).then_some(run))
}

/// Whether nothing comes between two runs of a task, as far as its definition says.
fn nothing_comes_between(task: &Task) -> bool {
    let as_it_is = || {
        let values = params::resolve(&params::taken(task), &BTreeMap::new()).ok();
        values.is_some_and(|values| matches!(params::render(task, &values), Ok(Cow::Borrowed(_))))
    };
    task.restart != Restart::Never
        && !task.schedule.is_set()
        && task.locks.is_empty()
        && task.give_up.is_none()
        && hooked(task) == Hooked::default()
        && task.transfers.is_empty()
        && as_it_is()
}
