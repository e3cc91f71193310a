//! What the registry says of everything but single tasks. Its JSON form is how the cache of the registry keeps it.

use serde::{Deserialize, Serialize};

use super::resources::Machine;

/// The tables of the registry that are about no single task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `[machine]`: what queued jobs may use together.
    pub machine: Machine,
}
