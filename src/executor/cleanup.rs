//! Cleanup: what a finished job no longer needs is removed from its work directory, and nothing else.

use std::fs;
use std::path::Path;

use crate::domain::glob::matches;
use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::store::{Durability, jobs};

use super::{Executor, ExecutorError};

impl Executor {
    /// The first job whose work directory is to be cleaned up.
    pub fn next_to_clean(&self) -> Result<Option<JobId>, ExecutorError> {
        Ok(jobs::next_to_clean(self.store.reader())?)
    }

    /// Removes the files of a finished job that its patterns mean; how many. What cannot be removed stays.
    ///
    /// Killed in between it is done again. One that runs again meanwhile keeps what is left.
    pub fn clean_up(&mut self, id: JobId) -> Result<usize, ExecutorError> {
        let job = self.job(id)?;
        let definition = self.definition_of_job(&job)?;
        let removed = if job.row.state == State::JobFinished {
            remove(&self.workdir_of(&job), "", &definition.cleanup)
        } else {
            0
        };
        self.store.write(Durability::Committed, |tx| jobs::mark_to_clean(tx, id, false))?;
        Ok(removed)
    }
}

/// Removes what the patterns mean below a directory. Directories stay, and no link is followed.
fn remove(directory: &Path, within: &str, patterns: &[String]) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let mut removed = 0;
    for entry in entries.flatten() {
        // What no text names, no pattern means.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if within.is_empty() { name } else { format!("{within}/{name}") };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            removed += remove(&entry.path(), &path, patterns);
        } else if patterns.iter().any(|pattern| matches(pattern, &path)) {
            removed += usize::from(fs::remove_file(entry.path()).is_ok());
        }
    }
    removed
}
