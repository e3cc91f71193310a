//! Cleanup: what a finished job no longer needs is removed from its work directory, and nothing else.

use std::fs;
use std::path::Path;

use crate::domain::glob::matches;
use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::store::{Durability, jobs};

use super::{Executor, ExecutorError, Job};

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
            let outputs = self.outputs_in(&job)?;
            remove(&self.workdir_of(&job), "", &|path| {
                !outputs.iter().any(|output| output == path)
                    && definition.cleanup.iter().any(|pattern| matches(pattern, path))
            })
        } else {
            0
        };
        self.store.write(Durability::Committed, |tx| jobs::mark_to_clean(tx, id, false))?;
        Ok(removed)
    }

    /// The outputs of a job's runs that lie in its work directory: they are ours, and no pattern means them.
    fn outputs_in(&self, job: &Job) -> Result<Vec<String>, ExecutorError> {
        if self.workdir_of(job) != self.home.job_directory(job.row.id) {
            return Ok(Vec::new());
        }
        Ok(self.runs_of(job.row.id)?.into_iter().map(|run| run.archive).collect())
    }
}

/// Removes what is meant below a directory. Directories stay, and no link is followed.
fn remove(directory: &Path, within: &str, is_meant: &impl Fn(&str) -> bool) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let mut removed = 0;
    for entry in entries.flatten() {
        // What no text names, no pattern means.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if within.is_empty() { name } else { format!("{within}/{name}") };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            removed += remove(&entry.path(), &path, is_meant);
        } else if is_meant(&path) {
            removed += usize::from(fs::remove_file(entry.path()).is_ok());
        }
    }
    removed
}
