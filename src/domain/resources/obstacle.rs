//! Why a job does not start: the first thing that is short, how much of it is left, and who has the rest.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use thiserror::Error;

use super::capacity::Capacity;
use super::holds::{Holds, Running};
use super::lock::{HeldLock, first_held};
use super::need::{Need, NeverFits, Packing, counted, fits_ever, plural};
use super::pick::{Head, Turn};
use super::room::Room;
use crate::domain::amount::print_size;
use crate::domain::name::JobId;
use crate::domain::restart::Thousandths;

/// So many holders are named one by one.
const MOST_NAMED: usize = 5;

/// What keeps a job from starting; its text is a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Obstacle {
    /// The machine is too small.
    #[error(transparent)]
    Never(#[from] NeverFits),
    /// Its group is paused.
    #[error("group `{0}` is paused")]
    Paused(String),
    /// As many jobs of its group run as may.
    #[error("group `{group}` is full ({running}/{limit}): {}", jobs(holders))]
    Full {
        /// The group.
        group: String,
        /// How many of its jobs run.
        running: usize,
        /// How many may.
        limit: u32,
        /// Which.
        holders: Vec<JobId>,
    },
    /// Somebody holds a lock that it needs.
    #[error(transparent)]
    Locked(#[from] HeldLock),
    /// Something of the machine is short.
    #[error("{0}")]
    Short(Shortage),
    /// What it needs is set aside for a job that has waited too long.
    #[error("what it needs is set aside for job {0}, which goes first and has waited long enough")]
    SetAside(JobId),
}

/// What of the machine is short: what is needed, what of it is free, and who holds the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortage {
    /// Cpus: needed, free, there at all.
    Cpus(u32, u32, u32, Vec<Holder<u32>>),
    /// Memory in bytes: needed, free, there at all.
    Memory(u64, u64, u64, Vec<Holder<u64>>),
    /// GPUs: needed, free altogether, there at all. What is free may be spread over several.
    Gpus(Thousandths, Thousandths, usize, Vec<Holder<Thousandths>>),
    /// A part of the machine.
    Part(Packing, Vec<Holder<Packing>>),
}

/// A job and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder<T> {
    /// The job.
    pub job: JobId,
    /// How much.
    pub holds: T,
}

/// What keeps a run with this need from starting now, whoever else waits: the first of machine too small, group paused
/// or full, lock held, something short.
pub fn obstacle(need: &Need, running: &[Running], capacity: &Capacity) -> Option<Obstacle> {
    if let Err(never) = fits_ever(need, capacity) {
        return Some(never.into());
    }
    in_group(need, running, capacity)
        .or_else(|| first_held(need.locks.iter().map(String::as_str), running).map(Obstacle::Locked))
        .or_else(|| short(need, running, capacity).map(Obstacle::Short))
}

/// The same for one job of the queue, where something may also be set aside for another. `heads` are as for
/// [`super::pick()`].
pub fn obstacle_in_queue(
    job: &Head<'_>,
    heads: &[Head<'_>],
    running: &[Running],
    capacity: &Capacity,
    now: Timestamp,
) -> Option<Obstacle> {
    if let Some(obstacle) = obstacle(job.need, running, capacity) {
        return Some(obstacle);
    }
    let mut earlier: Vec<_> = heads.iter().filter(|head| head.place() < job.place()).collect();
    earlier.sort_unstable_by_key(|head| head.place());
    let mut turn = Turn::new(running, capacity, now);
    for head in earlier {
        turn.offer(head);
    }
    let holds = Room::beside(capacity, running.iter().map(|run| &run.holds)).fit(job.need)?;
    turn.kept_for(&holds).map(Obstacle::SetAside)
}

fn in_group(need: &Need, running: &[Running], capacity: &Capacity) -> Option<Obstacle> {
    let name = need.group.as_deref()?;
    let group = capacity.group(name);
    if group.paused {
        return Some(Obstacle::Paused(name.to_owned()));
    }
    let limit = group.limit?;
    let inside = running.iter().filter(|run| run.holds.group.as_deref() == Some(name));
    let holders: Vec<JobId> = inside.map(|run| run.job).collect();
    let full = holders.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    full.then(|| Obstacle::Full { group: name.to_owned(), running: holders.len(), limit, holders })
}

fn short(need: &Need, running: &[Running], capacity: &Capacity) -> Option<Shortage> {
    let room = Room::beside(capacity, running.iter().map(|run| &run.holds));
    if need.cpus > room.cpus {
        let holders = holders(running, |holds| Some(holds.cpus).filter(|cpus| *cpus > 0));
        return Some(Shortage::Cpus(need.cpus, room.cpus, capacity.cpus, holders));
    }
    if need.memory > room.memory {
        let holders = holders(running, |holds| Some(holds.memory).filter(|memory| *memory > 0));
        return Some(Shortage::Memory(need.memory, room.memory, capacity.memory, holders));
    }
    if room.place(need.gpus).is_none() {
        let total = |parts: Vec<&Thousandths>| Thousandths(parts.iter().map(|part| part.0).sum());
        let free = total(room.gpus.values().collect());
        let holders = holders(running, |holds| {
            Some(total(holds.gpus.values().collect())).filter(|gpus| *gpus > Thousandths::default())
        });
        return Some(Shortage::Gpus(need.gpus, free, capacity.gpus.len(), holders));
    }
    let packing = need.packing.filter(|_| !room.has_part(need))?;
    Some(Shortage::Part(packing, holders(running, |holds| holds.packing)))
}

fn holders<T>(running: &[Running], amount: impl Fn(&Holds) -> Option<T>) -> Vec<Holder<T>> {
    running.iter().filter_map(|run| Some(Holder { job: run.job, holds: amount(&run.holds)? })).collect()
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpus(needs, free, all, holders) => {
                write!(f, "it needs {}, {free} of {all} free", counted(*needs, "cpu"))?;
                write!(f, "{}", held(holders, u32::to_string))
            }
            Self::Memory(needs, free, all, holders) => {
                let [needs, free, all] = [needs, free, all].map(|bytes| print_size(*bytes));
                write!(f, "it needs {needs} of memory, {free} of {all} free")?;
                write!(f, "{}", held(holders, |bytes| print_size(*bytes)))
            }
            Self::Gpus(needs, free, all, holders) => {
                write!(f, "it needs {needs} GPU{}, {free} of {all} free", plural(*needs))?;
                write!(f, "{}", held(holders, Thousandths::to_string))
            }
            Self::Part(needs, holders) => {
                write!(f, "it needs {} of the machine, less is free", part(*needs))?;
                write!(f, "{}", held(holders, |packing| part(*packing)))
            }
        }
    }
}

/// A part of the machine: `1/4`, or `all`.
fn part(packing: Packing) -> String {
    if packing.count() == 1 { "all".to_owned() } else { format!("1/{}", packing.count()) }
}

/// `; job 3 holds 4, job 5 holds 2`, and how many more.
fn held<T>(holders: &[Holder<T>], amount: impl Fn(&T) -> String) -> String {
    let mut parts: Vec<String> = holders
        .iter()
        .take(MOST_NAMED)
        .map(|Holder { job, holds }| format!("job {job} holds {}", amount(holds)))
        .collect();
    parts.extend(more(holders.len()));
    if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) }
}

/// `jobs 3, 5, 8`, and how many more.
fn jobs(holders: &[JobId]) -> String {
    let jobs: BTreeSet<&JobId> = holders.iter().collect();
    let mut parts: Vec<String> = jobs.iter().take(MOST_NAMED).map(|job| job.0.to_string()).collect();
    parts.extend(more(jobs.len()));
    format!("job{} {}", if jobs.len() == 1 { "" } else { "s" }, parts.join(", "))
}

fn more(holders: usize) -> Option<String> {
    holders.checked_sub(MOST_NAMED).filter(|more| *more > 0).map(|more| format!("{more} more"))
}
