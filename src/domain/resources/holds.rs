//! What a running run holds, and what its script is told of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::capacity::GpuId;
use super::need::{Need, Packing, is_default};
use crate::domain::name::{JobId, TaskName};
use crate::domain::restart::Thousandths;

/// What a run holds while it runs. The default is nothing but its slot; its JSON form is then `{}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Holds {
    /// How many cpus.
    #[serde(skip_serializing_if = "is_default")]
    pub cpus: u32,
    /// Memory in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub memory: u64,
    /// How much of which GPU.
    #[serde(skip_serializing_if = "is_default")]
    pub gpus: BTreeMap<GpuId, Thousandths>,
    /// A part of the machine.
    #[serde(skip_serializing_if = "is_default")]
    pub packing: Option<Packing>,
    /// Its locks.
    #[serde(skip_serializing_if = "is_default")]
    pub locks: BTreeSet<String>,
    /// The group whose limit it counts for, in lower case.
    #[serde(skip_serializing_if = "is_default")]
    pub group: Option<String>,
}

impl Holds {
    /// What a run that is not queued holds: nothing of the machine.
    pub fn only_locks(locks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { locks: locks.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// What was needed, on these GPUs.
    pub(super) fn placed(need: &Need, gpus: BTreeMap<GpuId, Thousandths>) -> Self {
        let Need { cpus, memory, gpus: _, packing, locks, group } = need.clone();
        Self { cpus, memory, gpus, packing, locks, group }
    }

    /// Whether it is nothing but its slot.
    pub fn is_nothing(&self) -> bool {
        is_default(self)
    }

    /// The variables that confine a script to its GPUs; none where it has none.
    pub fn env(&self) -> BTreeMap<String, String> {
        if self.gpus.is_empty() {
            return BTreeMap::new();
        }
        let devices: Vec<String> = self.gpus.keys().map(GpuId::to_string).collect();
        [("CUDA_DEVICE_ORDER", "PCI_BUS_ID".to_owned()), ("CUDA_VISIBLE_DEVICES", devices.join(","))]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }
}

/// A run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its job.
    pub job: JobId,
    /// Its task, where it came by a front door.
    pub task: Option<TaskName>,
    /// When it was claimed.
    pub since: Timestamp,
    /// What it holds.
    pub holds: Holds,
}
