//! What is left of the machine beside what is held, and where a run would go in it.

use std::collections::BTreeMap;

use super::capacity::{Capacity, GpuId};
use super::holds::Holds;
use super::need::{Need, Packing};
use crate::domain::restart::Thousandths;

/// What is left. Where more is held than there is, because the machine was said to be smaller meanwhile, nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) cpus: u32,
    pub(super) memory: u64,
    /// In the unit of [`Packing::WHOLE`].
    pub(super) share: u64,
    pub(super) gpus: BTreeMap<GpuId, Thousandths>,
}

impl Room {
    /// The whole machine.
    pub(super) fn of(capacity: &Capacity) -> Self {
        Self {
            cpus: capacity.cpus,
            memory: capacity.memory,
            share: Packing::WHOLE,
            gpus: capacity.gpus.iter().map(|gpu| (gpu.clone(), Thousandths::ONE)).collect(),
        }
    }

    /// The machine without what some runs hold.
    pub(super) fn beside<'a>(capacity: &Capacity, held: impl IntoIterator<Item = &'a Holds>) -> Self {
        let mut room = Self::of(capacity);
        held.into_iter().for_each(|holds| room.take(holds));
        room
    }

    fn take(&mut self, holds: &Holds) {
        self.cpus = self.cpus.saturating_sub(holds.cpus);
        self.memory = self.memory.saturating_sub(holds.memory);
        self.share = self.share.saturating_sub(holds.packing.map_or(0, Packing::share));
        self.take_gpus(&holds.gpus);
    }

    fn take_gpus(&mut self, gpus: &BTreeMap<GpuId, Thousandths>) {
        for (gpu, held) in gpus {
            if let Some(free) = self.gpus.get_mut(gpu) {
                free.0 = free.0.saturating_sub(held.0);
            }
        }
    }

    /// What a run would hold if it started now; nothing where it does not fit.
    pub(super) fn fit(&self, need: &Need) -> Option<Holds> {
        let fits = need.cpus <= self.cpus && need.memory <= self.memory && self.has_part(need);
        if fits { Some(Holds::placed(need, self.place(need.gpus)?)) } else { None }
    }

    /// Whether the part of the machine that is needed is free.
    pub(super) fn has_part(&self, need: &Need) -> bool {
        need.packing.map_or(0, Packing::share) <= self.share
    }

    /// Which GPUs to use, if there are enough: free ones for the whole part, the lowest first; for the rest the fullest
    /// one that has room for it.
    pub(super) fn place(&self, gpus: Thousandths) -> Option<BTreeMap<GpuId, Thousandths>> {
        let (whole, rest) = (gpus.0 / Thousandths::ONE.0, Thousandths(gpus.0 % Thousandths::ONE.0));
        let mut free = self.gpus.iter().filter(|(_, left)| **left == Thousandths::ONE).map(|(gpu, _)| gpu);
        let mut placed = BTreeMap::new();
        for _ in 0..whole {
            placed.insert(free.next()?.clone(), Thousandths::ONE);
        }
        if rest > Thousandths::default() {
            let shared = self.gpus.iter().filter(|(_, left)| (rest..Thousandths::ONE).contains(left));
            let fullest = shared.min_by_key(|(_, left)| **left).map(|(gpu, _)| gpu);
            placed.insert(fullest.or_else(|| free.next())?.clone(), rest);
        }
        Some(placed)
    }

    /// Whether a run that starts here leaves room for `need`. Of what they do not both use, it always does.
    pub(super) fn is_left_for(&self, need: &Need, other: &Holds) -> bool {
        let share = |packing: Option<Packing>| packing.map_or(0, Packing::share);
        (other.cpus == 0 || need.cpus <= self.cpus.saturating_sub(other.cpus))
            && (other.memory == 0 || need.memory <= self.memory.saturating_sub(other.memory))
            && (other.packing.is_none() || share(need.packing) <= self.share.saturating_sub(share(other.packing)))
            && (other.gpus.is_empty() || self.leaves_gpus(need.gpus, &other.gpus))
    }

    fn leaves_gpus(&self, needed: Thousandths, other: &BTreeMap<GpuId, Thousandths>) -> bool {
        let mut left = self.clone();
        left.take_gpus(other);
        left.place(needed).is_some()
    }
}
