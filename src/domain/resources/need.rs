//! What one run needs besides its slot, and whether this machine could ever give it.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::capacity::Capacity;
use super::room::Room;
use crate::domain::amount::print_size;
use crate::domain::restart::Thousandths;

/// The most parts that a machine can be divided into.
pub const MOST_PARTS: u32 = 1000;

/// What a run needs besides its slot. The default is nothing.
///
/// Its JSON form is canonical: equal needs have equal texts, nothing is `{}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Need {
    /// How many cpus.
    #[serde(skip_serializing_if = "is_default")]
    pub cpus: u32,
    /// Memory in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub memory: u64,
    /// GPUs: those of the whole part alone, the rest beside others on one more.
    #[serde(skip_serializing_if = "is_default")]
    pub gpus: Thousandths,
    /// A part of the machine.
    #[serde(skip_serializing_if = "is_default")]
    pub packing: Option<Packing>,
    /// What no other run may hold at the same time.
    #[serde(skip_serializing_if = "is_default")]
    pub locks: BTreeSet<String>,
    /// The group whose limit it counts for, in lower case: case does not count in names of groups.
    #[serde(skip_serializing_if = "is_default")]
    pub group: Option<String>,
}

/// Whether a field says nothing and is left out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Need {
    /// Whether a slot is all it needs.
    pub fn is_nothing(&self) -> bool {
        is_default(self)
    }
}

/// One of so many equal parts of the machine: Balsam's `node_packing_count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Packing(NonZeroU32);

impl Packing {
    /// The whole machine in the unit of [`Packing::share`]: every number up to 20 divides it, so that parts of usual
    /// sizes add up exactly.
    pub(super) const WHOLE: u64 = 232_792_560;

    /// One of `count` parts; nothing unless that is from 1 to [`MOST_PARTS`].
    pub fn new(count: u32) -> Option<Self> {
        NonZeroU32::new(count).filter(|count| count.get() <= MOST_PARTS).map(Self)
    }

    /// How many such parts the machine has.
    pub fn count(self) -> u32 {
        self.0.get()
    }

    /// The size of the part, rounded down: as many as it says always fit beside each other.
    pub(super) fn share(self) -> u64 {
        Self::WHOLE / u64::from(self.count())
    }
}

/// Why something can never run here, however long it waits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NeverFits {
    /// More than one node.
    #[error("it needs {needs} nodes, and this machine is one")]
    Nodes {
        /// How many it needs.
        needs: u32,
    },
    /// More cpus than there are.
    #[error("it needs {}, and the machine has {has}", counted(*needs, "cpu"))]
    Cpus {
        /// How many it needs.
        needs: u32,
        /// How many there are.
        has: u32,
    },
    /// More memory than there is.
    #[error("it needs {} of memory, and the machine has {}", print_size(*needs), print_size(*has))]
    Memory {
        /// How much it needs, in bytes.
        needs: u64,
        /// How much there is, in bytes.
        has: u64,
    },
    /// More GPUs than there are.
    #[error("it needs {} GPU{}, and the machine has {has}", needs, plural(*needs))]
    Gpus {
        /// How many it needs.
        needs: Thousandths,
        /// How many there are.
        has: usize,
    },
}

impl NeverFits {
    /// What can be done about it, as an imperative.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Nodes { .. } => "set `resources.num_nodes` to 1",
            Self::Cpus { .. } | Self::Memory { .. } | Self::Gpus { .. } => {
                "let it need less, or say in `[machine]` of jobexec.toml what there is"
            }
        }
    }
}

/// Makes sure that a run could start if it had the machine for itself. Limits of groups do not count: they can be
/// changed at any time.
pub fn fits_ever(need: &Need, capacity: &Capacity) -> Result<(), NeverFits> {
    if need.cpus > capacity.cpus {
        return Err(NeverFits::Cpus { needs: need.cpus, has: capacity.cpus });
    }
    if need.memory > capacity.memory {
        return Err(NeverFits::Memory { needs: need.memory, has: capacity.memory });
    }
    if Room::of(capacity).place(need.gpus).is_none() {
        return Err(NeverFits::Gpus { needs: need.gpus, has: capacity.gpus.len() });
    }
    Ok(())
}

/// `1 cpu`, `2 cpus`.
pub(super) fn counted(number: u32, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// What follows the word for so many things.
pub(super) fn plural(number: Thousandths) -> &'static str {
    if number <= Thousandths::ONE { "" } else { "s" }
}
