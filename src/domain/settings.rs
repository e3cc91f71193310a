//! What the registry says of everything but single tasks. Its JSON form is how the cache of the registry keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::group::{Group, Label};
use super::resources::Machine;

/// The tables of the registry that are about no single task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `[machine]`: what queued jobs may use together.
    pub machine: Machine,
    /// `[group.NAME]`: the groups with limits, by [`Label::key`]. A group that is not here has none.
    pub groups: BTreeMap<String, Group>,
}

impl Settings {
    /// What is said of a group.
    pub fn group(&self, name: &Label) -> Option<&Group> {
        self.groups.get(&name.key())
    }
}
