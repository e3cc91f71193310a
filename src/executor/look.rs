//! A task looked at before anything is recorded of its start: what would be executed, with which variables, and what its
//! job would be brought.

use std::collections::BTreeMap;

use crate::domain::item::{Item, SlotError};
use crate::domain::lifecycle::Hooked;
use crate::domain::params;
use crate::domain::task::Task;
use crate::ledger::hooks::hooked;
use crate::process::environment::{Inherited, Variables};
use crate::process::launch::{self, Plan, UnfitError};

use super::error::{LaunchErrorWithHint, StartError};
use super::staging::{StagingError, items};

/// Checks a task and says what it would execute and with which variables. Its parameters have their defaults.
fn look(task: &Task, inherited: &Inherited) -> Result<(Plan, Variables), StartError> {
    let values = params::resolve(&params::taken(task), &BTreeMap::new()).map_err(StartError::Values)?;
    look_as_it_is(params::render(task, &values)?.as_ref(), inherited)
}

/// The same, with what is transferred for a job of it that is given nothing.
pub(super) fn look_at_all(task: &Task, inherited: &Inherited) -> Result<(Plan, Variables, Vec<Item>), StartError> {
    let (plan, variables) = look(task, inherited)?;
    if task.transfers.is_empty() {
        return Ok((plan, variables, Vec::new()));
    }
    let values = params::resolve(&params::taken(task), &BTreeMap::new()).map_err(StartError::Values)?;
    Ok((plan, variables, items(task, &BTreeMap::new(), &values)?))
}

/// What would keep a task from being started, if anything. One that must be given values is looked at as far as they
/// do not matter.
pub(super) fn foresee(task: &Task, inherited: &Inherited) -> Option<StartError> {
    match look_at_all(task, inherited) {
        Err(StartError::Values(_)) if params::is_open(task) => None,
        Err(StartError::Values(_)) => look_as_it_is(task, inherited).err(),
        Err(StartError::Staging(StagingError::Slot(SlotError::Missing { .. }))) => None,
        other => other.err(),
    }
}

/// The same for a task in which nothing is left to be filled in.
pub(super) fn look_as_it_is(task: &Task, inherited: &Inherited) -> Result<(Plan, Variables), StartError> {
    launch::prepare(task, inherited).map_err(|error| match error {
        UnfitError::EnvFile(error) => StartError::EnvFile(error),
        UnfitError::Launch(error) => {
            let hint = error.hint(task);
            StartError::Refused(LaunchErrorWithHint { error, hint })
        }
    })
}

/// Whether what a script leaves in its job's directory is looked at afterwards.
pub(super) fn has_use_for(task: &Task) -> bool {
    !task.transfers.is_empty() || !task.cleanup.is_empty() || hooked(task) != Hooked::default()
}
