//! The outputs of runs: found, read from, and given their names.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::domain::evidence::Record;
use crate::domain::name::TaskName;
use crate::home::Home;
use crate::ledger::output::{Output, free_archive, locate, read_last_lines};
use crate::process::record;
use crate::store::runs::{self, RunRow};

use super::import::Found;
use super::{Executor, ExecutorError};

/// Among how many of a task's newest runs the one is looked for whose output lies in the task's file.
const NEWEST: u32 = 8;

/// The name under which what lies in the task's file now is to be set aside: that of the run whose it is, or, when
/// it is nobody's, one after the time it was last written.
pub(super) fn former_archive(tx: &Connection, home: &Home, task: &TaskName) -> Result<Option<String>, ExecutorError> {
    let Ok(found) = fs::symlink_metadata(home.output(task)) else { return Ok(None) };
    let last = runs::last_of(tx, task, Some(NEWEST))?;
    let has_it = |run: &&RunRow| match run.outcome {
        Some(_) => run.inode == Some(found.ino()),
        // Where runs may meet, an earlier one may still be writing to it: its record says so.
        None => record::read(&home.record(*run), run.id)
            .is_ok_and(|read| read.is_some_and(|(record, _)| record.starting.map(|it| it.1) == Some(found.ino()))),
    };
    if let Some(run) = last.iter().find(has_it) {
        return Ok(Some(run.archive.clone()));
    }
    let written = Timestamp::from_second(found.mtime()).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Some(free_archive(tx, home, task, written)?))
}

impl Executor {
    /// Where the output of a run is.
    pub fn output_of(&self, run: &RunRow) -> Result<Output, ExecutorError> {
        let inode = match run.outcome {
            Some(_) => None,
            None => self.record_of(run)?.starting.map(|(_, inode)| inode),
        };
        let output = locate(&self.home, run, inode);
        let in_the_tasks_file = match (&output, &run.task) {
            (Output::File(path), Some(task)) => *path == self.home.output(task),
            (Output::File(_) | Output::Removed | Output::None, _) => false,
        };
        Ok(if in_the_tasks_file && !self.is_newest_of_its_inode(run)? { Output::Removed } else { output })
    }

    /// Whether no newer run has this one's inode. A file system gives the inode of a deleted file to the next new one,
    /// and the task's file is that of the newer run.
    fn is_newest_of_its_inode(&self, run: &RunRow) -> Result<bool, ExecutorError> {
        let Some(task) = &run.task else { return Ok(true) };
        let inode = |run: &RunRow| -> Result<Option<u64>, ExecutorError> {
            Ok(match run.outcome {
                Some(_) => run.inode,
                None => self.record_of(run)?.starting.map(|(_, inode)| inode),
            })
        };
        let its = inode(run)?;
        for newer in runs::last_of(self.store.reader(), task, Some(NEWEST))? {
            if newer.id == run.id {
                return Ok(true);
            }
            if inode(&newer)? == its {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What an unfinished run's record says.
    pub(super) fn record_of(&self, run: &RunRow) -> Result<Record, ExecutorError> {
        Ok(match self.examine(run)? {
            Found::Alive(record) | Found::Orphaned(record, _) | Found::Elsewhere(record) | Found::Ended(record, _) => {
                record
            }
        })
    }

    /// The file of a task's current or last run.
    pub fn output_path(&self, task: &TaskName) -> PathBuf {
        self.home.output(task)
    }

    /// The last lines of a run's output.
    pub fn last_lines(&self, run: &RunRow, number: u64) -> Result<Vec<String>, ExecutorError> {
        match self.output_of(run)? {
            Output::File(path) => Ok(read_last_lines(&path, number).unwrap_or_default()),
            Output::Removed | Output::None => Ok(Vec::new()),
        }
    }

    /// The outputs of a task's runs that are still there, oldest first.
    pub fn outputs(&self, task: &TaskName) -> Result<Vec<PathBuf>, ExecutorError> {
        let mut runs = runs::last_of(self.store.reader(), task, None)?;
        runs.reverse();
        let mut paths = Vec::new();
        for run in &runs {
            if let Output::File(path) = self.output_of(run)? {
                paths.push(path);
            }
        }
        Ok(paths)
    }
}
