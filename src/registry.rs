//! jobexec.toml: text ⇄ tasks, and edits that keep comments. It knows the words of the file and how it is
//! replaced on disk; it does not know where the file lies, who holds the lock, or what time it is.
//!
//! In reading order: [`field`] is the table of everything a task may say, `read` turns text into tasks,
//! [`mistake`] says what is wrong and where, [`edit`] makes new text out of old, [`mod@file`] reads and replaces.

use std::path::Path;

use crate::domain::name::{ExecId, TaskName};
use crate::domain::settings::Settings;
use crate::domain::task::Task;

mod draft;
pub mod edit;
pub mod field;
pub mod file;
mod groups;
mod machine;
pub mod mistake;
mod read;
mod value;
pub mod workflow;

pub use edit::{EditError, Setting, Validated, Value, add, append, initial, put, remove, replace, update, validated};
pub use field::{Field, fields, render_fields};
pub use mistake::{Mistake, Mistakes, Problem};

/// The version of the file that this program reads and writes.
pub const VERSION: i64 = 1;

/// What the registry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// The id of the executor.
    pub exec_id: ExecId,
    /// The zone that schedules count in which name none, where `[defaults]` say one.
    pub tz: Option<String>,
    /// The tasks in the order of the file.
    pub tasks: Vec<Task>,
    /// What it says besides.
    pub settings: Settings,
}

impl Registry {
    /// Reads the text of a registry.
    ///
    /// `base` is the absolute folder of the file: the `wd` of a task that has none, and where a relative `wd`
    /// is found from. Every mistake is reported, except that nothing is looked at after one of syntax.
    pub fn parse(text: &str, base: &Path) -> Result<Self, Mistakes> {
        read::registry(text, base)
    }

    /// The task of this name, without regard to case.
    pub fn task(&self, name: &TaskName) -> Option<&Task> {
        self.tasks.iter().find(|task| task.name.as_str().eq_ignore_ascii_case(name.as_str()))
    }
}

#[cfg(test)]
mod tests;
