//! Transfers are done by runs of their own; here it is only seen to that they are, and when. Cleaning up afterwards takes
//! a moment, and is done at once.

use std::time::Duration;

use tracing::{debug, info, warn};

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

    /// Puts the next cleanup on the agenda, if there is one.
    pub(super) fn plan_cleanup(&mut self) -> Result<(), ExecutorError> {
        match self.executor.next_to_clean()? {
            Some(_) => self.agenda.set_if_unset(Item::CleanUp, clock::since_boot()),
            None => self.agenda.cancel(&Item::CleanUp),
        }
        Ok(())
    }

    /// Cleans up after one job: others want their turn.
    pub(super) fn clean_up(&mut self) -> Result<(), ExecutorError> {
        if let Some(job) = self.executor.next_to_clean()? {
            let removed = self.executor.clean_up(job)?;
            debug!("cleaned up after job {job}: {removed} files removed");
        }
        self.plan_cleanup()
    }
}
