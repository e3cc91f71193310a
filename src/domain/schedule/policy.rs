//! What a task says about occurrences that are late or meet each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::amount::optional_duration_text;

/// What becomes of occurrences that nobody was there to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// The newest is run.
    #[default]
    Once,
    /// None is.
    Skip,
    /// The newest [`CATCH_UP`](super::decide::CATCH_UP) are, one after another.
    All,
}

/// What becomes of an occurrence while an earlier one still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It waits, in the place of one that waits already.
    Queue,
    /// The earlier one is stopped first.
    Replace,
    /// Both run.
    Allow,
}

impl Missed {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Once, Self::Skip, Self::All];

    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Skip => "skip",
            Self::All => "all",
        }
    }

    /// Reads the word in the registry.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|missed| missed.as_str() == word)
    }
}

impl Overlap {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Skip, Self::Queue, Self::Replace, Self::Allow];

    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Replace => "replace",
            Self::Allow => "allow",
        }
    }

    /// Reads the word in the registry.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|overlap| overlap.as_str() == word)
    }
}

/// What a task says about occurrences that are late or meet each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// About those that nobody was there for.
    pub missed: Missed,
    /// How late one may be and still run.
    #[serde(with = "optional_duration_text")]
    pub start_deadline: Option<Duration>,
    /// About those that meet an earlier one.
    pub overlap: Overlap,
    /// How many may run side by side under [`Overlap::Allow`].
    pub max_running: Option<u32>,
}
