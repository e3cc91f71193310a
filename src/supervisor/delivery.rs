//! Messages are delivered by runs of their own; here it is only seen to that they are, and when.

use std::time::Duration;

use tracing::warn;

use crate::domain::causes::in_one_line;
use crate::executor::ExecutorError;
use crate::process::clock;
use crate::store::notices::Notice;

use super::keeper::{Item, Keeper, until};

impl Keeper {
    /// Puts the next delivery on the agenda, if there is anything to deliver.
    pub(super) fn plan_delivery(&mut self) -> Result<(), ExecutorError> {
        let outbox = self.executor.outbox()?;
        let wait = if outbox.now.is_empty() { outbox.next.map(until) } else { Some(Duration::ZERO) };
        match wait {
            Some(wait) => self.agenda.set(Item::Deliver, clock::since_boot() + wait),
            None => self.agenda.cancel(&Item::Deliver),
        }
        Ok(())
    }

    /// Begins to deliver what is to be delivered now.
    pub(super) fn deliver(&mut self) -> Result<(), ExecutorError> {
        for notice in self.executor.outbox()?.now {
            match self.executor.deliver(&notice, &self.exec_id, &self.inherited, &self.asker) {
                Ok((run, worker)) => self.adopt_child(run, worker)?,
                Err(error @ ExecutorError::Start { .. }) => {
                    let reason = in_one_line(&error);
                    warn!("cannot tell about {}: {reason}", notice.task);
                    let tried = Notice { attempts: notice.attempts + 1, ..notice };
                    self.executor.postpone_notice(&tried, &reason)?;
                }
                Err(error) => return Err(error),
            }
        }
        self.plan_delivery()?;
        self.catch_up()
    }
}
