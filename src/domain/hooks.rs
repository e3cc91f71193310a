//! What is run around a job's own run, and right before it: hooks and the preamble.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amount::duration_text;

/// How long a hook may run, when its task does not say.
pub const DEFAULT_HOOK_TIMEOUT: Duration = Duration::from_hours(1);

/// The commands that are run in a job's work directory when it comes to certain states. Each is a program and its
/// arguments; empty for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// When its inputs are in place.
    pub preprocess: Vec<String>,
    /// When its run has ended well.
    pub postprocess: Vec<String>,
    /// When its run has failed.
    pub handle_error: Vec<String>,
    /// When its run was ended by its time limit.
    pub handle_timeout: Vec<String>,
    /// The longest that each of them may run.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        let none = Vec::new;
        Self {
            preprocess: none(),
            postprocess: none(),
            handle_error: none(),
            handle_timeout: none(),
            timeout: DEFAULT_HOOK_TIMEOUT,
        }
    }
}

impl Hooks {
    /// Each with the name that it has in the registry, which is the kind of its runs too.
    pub fn named(&self) -> [(&'static str, &[String]); 4] {
        [
            ("preprocess", &self.preprocess),
            ("postprocess", &self.postprocess),
            ("handle_error", &self.handle_error),
            ("handle_timeout", &self.handle_timeout),
        ]
    }
}

/// What is run right before a job's command, in the shell that then becomes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preamble {
    /// A file that the shell sources; a relative path is found from `wd`.
    File(PathBuf),
    /// Lines for the shell, each run only if the one before succeeded.
    Lines(Vec<String>),
}

impl Preamble {
    /// One that does nothing. A task never has it: it has none.
    pub fn none() -> Self {
        Self::Lines(Vec::new())
    }
}
