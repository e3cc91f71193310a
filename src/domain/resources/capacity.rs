//! What there is to be shared out: what was found of the machine, what the registry says instead, and the limits of
//! groups.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most GPUs that can be said to be there.
pub const MOST_GPUS: u32 = 1024;

/// A GPU as the driver knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GpuId {
    /// Its index in the order of the bus.
    Index(u32),
    /// Its name: `GPU-8932f937-…`, `MIG-…`.
    Name(String),
}

/// What is wrong with a list of GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GpuIdError {
    /// Neither an index nor a name.
    #[error("`{0}` is neither the index nor the name of a GPU (try `0` or `GPU-8932f937-d72c-4106-c12f-20bd9faed9f6`)")]
    NotOne(String),
    /// The same one a second time.
    #[error("GPU `{0}` is named twice")]
    Twice(GpuId),
}

impl GpuId {
    /// Reads an index or a name.
    pub fn parse(text: &str) -> Result<Self, GpuIdError> {
        if let Ok(index) = text.parse() {
            return Ok(Self::Index(index));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
        let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(fits);
        if is_name { Ok(Self::Name(text.to_owned())) } else { Err(GpuIdError::NotOne(text.to_owned())) }
    }
}

impl fmt::Display for GpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => index.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl TryFrom<String> for GpuId {
    type Error = GpuIdError;
    fn try_from(text: String) -> Result<Self, GpuIdError> {
        Self::parse(&text)
    }
}

impl From<GpuId> for String {
    fn from(gpu: GpuId) -> Self {
        gpu.to_string()
    }
}

/// What was found of the machine, as far as we may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// How many cpus.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// How many GPUs.
    pub gpus: u32,
}

/// `[machine]` of the registry: what holds whatever is found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// How many cpus queued jobs may use together.
    pub cpus: Option<u32>,
    /// How much memory, in bytes.
    pub memory: Option<u64>,
    /// Which GPUs.
    pub gpus: Option<BTreeSet<GpuId>>,
}

/// What queued jobs may use together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capacity {
    /// How many cpus.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// The GPUs.
    pub gpus: BTreeSet<GpuId>,
    /// The groups that have a limit or are paused, by their names in lower case.
    groups: BTreeMap<String, Group>,
}

/// What holds for the jobs of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Group {
    /// How many may run side by side; unset, any number.
    pub limit: Option<u32>,
    /// Whether none of them may start.
    pub paused: bool,
}

impl Capacity {
    /// What the registry says of the machine, else what was found.
    pub fn new(machine: &Machine, found: Found) -> Self {
        let counted = || (0..found.gpus.min(MOST_GPUS)).map(GpuId::Index).collect();
        Self {
            cpus: machine.cpus.unwrap_or(found.cpus),
            memory: machine.memory.unwrap_or(found.memory),
            gpus: machine.gpus.clone().unwrap_or_else(counted),
            groups: BTreeMap::new(),
        }
    }

    /// Sets how many jobs of a group may run side by side.
    pub fn limit_group(&mut self, name: &str, limit: u32) {
        self.groups.entry(name.to_ascii_lowercase()).or_default().limit = Some(limit);
    }

    /// Keeps the jobs of a group from starting.
    pub fn pause_group(&mut self, name: &str) {
        self.groups.entry(name.to_ascii_lowercase()).or_default().paused = true;
    }

    /// What holds for a group, by its name in lower case.
    pub fn group(&self, name: &str) -> Group {
        self.groups.get(name).copied().unwrap_or_default()
    }
}
