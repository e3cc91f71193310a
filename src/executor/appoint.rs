//! The run that follows another: appointed by the supervisor while that one runs, begun by its worker when it has ended
//! well and nothing has changed, so that a good run's end costs no detour through the supervisor.
//!
//! Only where the end of a run leads to nothing but the next one is any appointed: hooks, transfers, locks, retries and
//! giving up are for the supervisor to see to.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::domain::lifecycle::Hooked;
use crate::domain::params;
use crate::domain::succession::Successor;
use crate::domain::task::{Restart, Task};
use crate::ledger::hooks::hooked;
use crate::process::{identity, random, record};
use crate::store::jobs::{self, Door};
use crate::store::runs::{Kind, RunRow};
use crate::store::tasks;

use super::{Executor, ExecutorError};

impl Executor {
    /// Appoints the run that is to follow an unfinished one of this task, where any may; whether one was. `registry` is the
    /// state of the registry in which the task was read.
    pub fn appoint(&self, run: &RunRow, task: &Task, registry: Option<&str>) -> Result<bool, ExecutorError> {
        if run.kind != Kind::Main.as_str() || run.slot.is_some() || run.is_to_end() || !may_be_followed(task) {
            return Ok(false);
        }
        let reader = self.store.reader();
        let wanted = tasks::find(reader, &task.name)?.is_some_and(|row| row.wanted);
        let Some(job) = jobs::find(reader, run.job)?.filter(|job| wanted && job.door == Door::Start) else {
            return Ok(false);
        };
        if jobs::definition_of(reader, &job)? != *task {
            return Ok(false);
        }
        let (Some(former), path) = (self.home.file(&run.archive), self.home.registry()) else { return Ok(false) };
        let Some(stamp) = identity::stamp(&path) else { return Ok(false) };
        // In this order: whatever is written later the worker notices.
        if self.registry_stamp()?.as_deref() != registry {
            return Ok(false);
        }
        let successor = Successor {
            run: random::run_id()?,
            place: self.here().clone(),
            attempt: run.attempt + 1,
            former,
            restart: task.restart,
            backoff: task.backoff.clone(),
            supervisor: self.home.supervisor_lock(),
            registry: (path, stamp),
        };
        Ok(record::appoint(&self.home.record(run), &successor).is_ok())
    }
}

/// Whether nothing comes between two runs of a task, as far as its definition says.
fn may_be_followed(task: &Task) -> bool {
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
