//! Names that jobs share, groups and locks, and what the registry says of a group.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::{NameError, word};

/// The name of a group or a lock: `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`.
///
/// Two names that differ in case alone are the same name; [`Label::key`] is what to compare.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// Reads a name as a person types it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        word(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without regard to case: equal keys are equal names.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Label {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

/// What the registry says of a group of jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name as it was written.
    pub name: Label,
    /// At most so many of its jobs run at a time; at least 1.
    pub parallel: u32,
}
