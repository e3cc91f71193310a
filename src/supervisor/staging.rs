//! Transfers are done by runs of their own; here it is only seen to that they are, and when.

use std::time::Duration;

use tracing::{info, warn};

use crate::domain::causes::in_one_line;
use crate::executor::ExecutorError;
use crate::process::clock;

use super::keeper::{Item, Keeper, until};

impl Keeper {
    /// Puts the next transfer on the agenda, if there is anything to transfer.
    pub(super) fn plan_transfers(&mut self) -> Result<(), ExecutorError> {
        let staging = self.executor.staging()?;
        let wait = if staging.now.is_empty() { staging.next.map(until) } else { Some(Duration::ZERO) };
        match wait {
            Some(wait) => self.agenda.set(Item::Transfer, clock::since_boot() + wait),
            None => self.agenda.cancel(&Item::Transfer),
        }
        Ok(())
    }

    /// Begins to transfer what is due.
    pub(super) fn transfer(&mut self) -> Result<(), ExecutorError> {
        for job in self.executor.staging()?.now {
            match self.executor.stage(job, &self.exec_id, &self.asker) {
                Ok(Some((run, worker))) => {
                    info!("transferring for job {job}");
                    self.adopt_child(run, worker)?;
                }
                Ok(None) => {}
                Err(error @ ExecutorError::Directory { .. }) => {
                    let reason = in_one_line(&error);
                    warn!("cannot transfer anything for job {job}: {reason}");
                    self.executor.postpone_transfers(job, &reason)?;
                }
                Err(error) => return Err(error),
            }
        }
        self.catch_up()
    }
}
