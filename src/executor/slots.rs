//! What the supervisor asks about the slots of the queue.

use std::os::fd::AsFd;

use jiff::Timestamp;

use crate::domain::evidence::ProcessId;
use crate::process::record::{self, RecordFile};
use crate::process::{clock, spawn, tagged};
use crate::store::{queue, runs};

use super::{Executor, ExecutorError, OpenRun};

/// What there is to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Whether a job can run now, as far as a slot is all that it waits for.
    pub now: bool,
    /// When the next one can that waits for a moment.
    pub moment: Option<Timestamp>,
}

/// Who works in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotWorker {
    /// Nobody.
    None,
    /// Somebody of whom nothing more can be found out yet.
    Unknown,
    /// This process.
    Alive(ProcessId),
}

/// What the spawn of a slot's worker came to.
#[derive(Debug)]
pub enum SlotSpawn {
    /// It is there, with this pid.
    Spawned(i32),
    /// The slot has a worker.
    InUse,
    /// The slot has none, and these runs of it are still to be settled.
    LeftOver(Vec<OpenRun>),
}

impl Executor {
    /// What there is to claim.
    pub fn queue_ahead(&self) -> Result<Ahead, ExecutorError> {
        let reader = self.store.reader();
        let now = clock::now();
        let moment = queue::next_moment(reader)?.filter(|at| *at > now);
        Ok(Ahead { now: queue::has_work(reader, now)?, moment })
    }

    /// Whether anything of the queue runs or can still run by itself.
    pub fn is_queue_busy(&self) -> Result<bool, ExecutorError> {
        let reader = self.store.reader();
        Ok(self.queue_ahead()?.now
            || queue::is_any_delayed(reader)?
            || runs::any_in_slots(reader)?
            || self.is_staging()?
            || self.next_to_clean()?.is_some())
    }

    /// The slots that have, or had, a worker or a run.
    pub fn slots_in_use(&self) -> Result<Vec<u32>, ExecutorError> {
        let Ok(entries) = std::fs::read_dir(self.home.runs()) else { return Ok(Vec::new()) };
        let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_prefix("slot-")?.parse().ok();
        Ok(entries.flatten().filter_map(number).collect())
    }

    /// Who works in a slot.
    pub fn slot_worker(&self, slot: u32) -> Result<SlotWorker, ExecutorError> {
        let path = self.home.slot_record(slot);
        if !record::is_held(&path)? {
            return Ok(SlotWorker::None);
        }
        Ok(tagged::worker(&path).map_or(SlotWorker::Unknown, SlotWorker::Alive))
    }

    /// The unfinished runs of a slot: one that it runs, and those that it has claimed to run right after that.
    pub fn open_in_slot(&self, slot: u32) -> Result<Vec<OpenRun>, ExecutorError> {
        runs::in_slot(self.store.reader(), slot)?.into_iter().map(|row| self.opened(row)).collect()
    }

    /// Spawns the worker of a slot, unless it has one, or what is left of a former one is not settled: its record tells
    /// of that alone, and would be begun anew.
    pub fn spawn_slot(&self, slot: u32) -> Result<SlotSpawn, ExecutorError> {
        let Some(record) = RecordFile::of_slot(&self.home.slot_record(slot))? else { return Ok(SlotSpawn::InUse) };
        // With the lock in hand: nobody else can claim for this slot.
        let open = self.open_in_slot(slot)?;
        if !open.is_empty() {
            return Ok(SlotSpawn::LeftOver(open));
        }
        Ok(SlotSpawn::Spawned(spawn::slot(record.as_fd(), record.path(), self.home.root(), slot)?))
    }
}
