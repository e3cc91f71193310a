//! What a task says about resources, Balsam's words among them, turned into what a run needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::need::{Need, NeverFits, Packing, is_default};
use crate::domain::restart::Thousandths;

/// The fields `resources.*` of a task as they were written. What is not set is not needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// How many cpus. Not beside ranks and threads, which say it too.
    pub cpus: Option<u32>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// How many GPUs, perhaps a part of one. Not beside `gpus_per_rank`.
    pub gpus: Option<Thousandths>,
    /// How many machines: only 1 can be had here.
    pub num_nodes: Option<u32>,
    /// How many processes it starts.
    pub ranks_per_node: Option<u32>,
    /// How many threads each of them has.
    pub threads_per_rank: Option<u32>,
    /// How many threads share a cpu.
    pub threads_per_core: Option<u32>,
    /// How many GPUs each process uses, perhaps a part of one.
    pub gpus_per_rank: Option<Thousandths>,
    /// How many such runs the machine may be shared by.
    pub node_packing_count: Option<Packing>,
}

/// What comes of a task's resources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// What a run needs.
    pub need: Need,
    /// Variables that say so to the script. The task's own `env` wins.
    pub env: BTreeMap<String, String>,
}

impl Resources {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        is_default(self)
    }

    /// What a run of the task needs, with its locks and its group, and what its script is told.
    ///
    /// The rules are Balsam's, except that what is not written is not needed: cpus are
    /// `ranks_per_node × threads_per_rank / threads_per_core`, rounded up, where one of these is set; the machine is
    /// shared out only among jobs that set `node_packing_count`. More than one node is refused.
    pub fn demand(
        &self,
        locks: impl IntoIterator<Item = impl Into<String>>,
        group: Option<&str>,
    ) -> Result<Demand, NeverFits> {
        if let Some(needs) = self.num_nodes.filter(|nodes| *nodes > 1) {
            return Err(NeverFits::Nodes { needs });
        }
        let need = Need {
            cpus: self.cpus.or_else(|| self.cpus_of_threads()).unwrap_or(0),
            memory: self.memory.unwrap_or(0),
            gpus: self.gpus.or_else(|| self.gpus_of_ranks()).unwrap_or_default(),
            packing: self.node_packing_count,
            locks: locks.into_iter().map(Into::into).collect(),
            group: group.map(str::to_ascii_lowercase),
        };
        Ok(Demand { need, env: self.env() })
    }

    /// These, and where they say nothing those of `defaults`, except for defaults that say in other words what is said
    /// here.
    #[must_use]
    pub fn or(self, defaults: &Self) -> Self {
        let (cpus, threads) = (self.cpus.is_some(), self.has_threads());
        let (gpus, per_rank) = (self.gpus.is_some(), self.gpus_per_rank.is_some());
        let unless = |said: bool, default: Option<u32>| default.filter(|_| !said);
        let no_gpus = |said: bool, default: Option<Thousandths>| default.filter(|_| !said);
        Self {
            cpus: self.cpus.or(unless(threads, defaults.cpus)),
            memory: self.memory.or(defaults.memory),
            gpus: self.gpus.or(no_gpus(per_rank, defaults.gpus)),
            num_nodes: self.num_nodes.or(defaults.num_nodes),
            ranks_per_node: self.ranks_per_node.or(unless(cpus, defaults.ranks_per_node)),
            threads_per_rank: self.threads_per_rank.or(unless(cpus, defaults.threads_per_rank)),
            threads_per_core: self.threads_per_core.or(unless(cpus, defaults.threads_per_core)),
            gpus_per_rank: self.gpus_per_rank.or(no_gpus(gpus, defaults.gpus_per_rank)),
            node_packing_count: self.node_packing_count.or(defaults.node_packing_count),
        }
    }

    fn has_threads(&self) -> bool {
        self.ranks_per_node.or(self.threads_per_rank).or(self.threads_per_core).is_some()
    }

    fn cpus_of_threads(&self) -> Option<u32> {
        let number = |field: Option<u32>| u64::from(field.unwrap_or(1).max(1));
        let threads = number(self.ranks_per_node) * number(self.threads_per_rank);
        let cpus = threads.div_ceil(number(self.threads_per_core)).max(1);
        self.has_threads().then(|| u32::try_from(cpus).unwrap_or(u32::MAX))
    }

    fn gpus_of_ranks(&self) -> Option<Thousandths> {
        let each = self.gpus_per_rank?;
        Some(Thousandths(each.0.saturating_mul(self.ranks_per_node.unwrap_or(1).max(1))))
    }

    fn env(&self) -> BTreeMap<String, String> {
        let threads = self.threads_per_rank.unwrap_or(1).max(1);
        let told = self.has_threads().then(|| ("OMP_NUM_THREADS".to_owned(), threads.to_string()));
        told.into_iter().collect()
    }
}
