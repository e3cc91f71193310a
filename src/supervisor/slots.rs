//! The slots of the queue: each has a worker while there is something to claim, and is looked after when that has died.

use tracing::{debug, warn};

use crate::domain::causes::in_one_line;
use crate::executor::{ExecutorError, SlotSpawn, SlotWorker};
use crate::process::clock;
use crate::process::watch::Token;

use super::keeper::{Item, Keeper, TRY_AGAIN, until};

/// One slot.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Its worker, while that lives.
    worker: Option<Token>,
}

impl Keeper {
    /// Takes over the slots whose workers a former supervisor left, and what is left of those whose workers are dead.
    pub(super) fn take_over_slots(&mut self) -> Result<(), ExecutorError> {
        for slot in self.executor.slots_in_use()? {
            self.take_over_slot(slot)?;
        }
        Ok(())
    }

    fn take_over_slot(&mut self, slot: u32) -> Result<(), ExecutorError> {
        if self.slots.get(&slot).is_some_and(|slot| slot.worker.is_some()) {
            return Ok(());
        }
        match self.executor.slot_worker(slot)? {
            SlotWorker::Alive(process) => match self.watch.add(&process)? {
                Some(token) => self.slots.entry(slot).or_default().worker = Some(token),
                None => self.agenda.set(Item::Queue, clock::since_boot() + TRY_AGAIN),
            },
            // It has not written down who it is; it rings when it has done something.
            SlotWorker::Unknown => self.agenda.set(Item::Queue, clock::since_boot() + TRY_AGAIN),
            SlotWorker::None => {
                for open in self.executor.open_in_slot(slot)? {
                    self.adopt(open);
                }
            }
        }
        Ok(())
    }

    /// Whether what has ended was the worker of a slot: what it left behind is watched from now on.
    pub(super) fn slot_has_ended(&mut self, token: Token) -> Result<bool, ExecutorError> {
        let ended = self.slots.iter_mut().find(|(_, slot)| slot.worker == Some(token));
        let Some((number, slot)) = ended else { return Ok(false) };
        let number = *number;
        slot.worker = None;
        self.watch.forget(token);
        debug!("the worker of slot {number} has ended");
        for open in self.executor.open_in_slot(number)? {
            warn!("the worker of slot {number} was killed while it ran job {}, or was about to", open.row.job);
            self.adopt(open);
        }
        Ok(true)
    }

    /// Sees to it that every slot has a worker, if there is something to claim.
    pub(super) fn staff_slots(&mut self) -> Result<(), ExecutorError> {
        let ahead = self.executor.queue_ahead()?;
        if let Some(moment) = ahead.moment {
            self.agenda.set(Item::Queue, clock::since_boot() + until(moment));
        }
        if !ahead.now {
            return Ok(());
        }
        for number in 0..self.slot_count {
            let is_taken = self.slots.get(&number).is_some_and(|slot| slot.worker.is_some())
                || self.runs.values().any(|run| run.open.row.slot == Some(number));
            if is_taken {
                continue;
            }
            match self.executor.spawn_slot(number) {
                Ok(SlotSpawn::Spawned(pid)) => {
                    let token = self.watch.add_child(pid)?;
                    self.slots.entry(number).or_default().worker = Some(token);
                    debug!("slot {number} has a worker (pid {pid})");
                }
                Ok(SlotSpawn::InUse) => self.take_over_slot(number)?,
                Ok(SlotSpawn::LeftOver(all)) => {
                    for open in all {
                        self.adopt(open);
                    }
                    self.agenda.set(Item::Queue, clock::since_boot());
                }
                Err(error) => {
                    warn!("slot {number} has no worker: {}; trying again", in_one_line(&error));
                    self.agenda.set(Item::Queue, clock::since_boot() + TRY_AGAIN);
                }
            }
        }
        Ok(())
    }
}
