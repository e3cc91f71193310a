//! Resources of queued jobs: what a run needs besides its slot, what the machine has, which job is next, and why one
//! is not.
//!
//! In reading order: `requested` is what a task says, `need` what comes of it, `capacity` what there is, `holds` what
//! a running run has of it, `lock` who holds a lock, `room` what is left, [`pick()`] which job is next, `line` whose turn a lock is, `obstacle` why
//! one is not. Everything here is bookkeeping: a run that takes more than it said is not hindered.
//!
//! Two kinds of things can be short. Of the machine (cpus, memory, GPUs, its parts) there is so much, and whoever
//! waits for a lot of it could be overtaken for ever: [`pick()`] says until when. Locks and groups are agreements
//! between jobs, and hold up nobody who is no part of them.

mod capacity;
mod holds;
mod line;
mod lock;
mod need;
mod obstacle;
mod pick;
mod requested;
mod room;

pub use capacity::{Capacity, Found, GpuId, GpuIdError, Group, MOST_GPUS, Machine};
pub use holds::{Holds, Running};
pub use line::{Line, Waiter, job_before_task, waits_longer};
pub use lock::{HeldLock, Party, first_held};
pub use need::{MOST_PARTS, Need, NeverFits, Packing, fits_ever};
pub use obstacle::{Holder, Obstacle, Shortage, obstacle, obstacle_in_queue};
pub use pick::{Head, PATIENCE, Pick, pick};
pub use requested::{Demand, Resources};

#[cfg(test)]
mod tests;
