//! Where the output of a run is: in its archive, still in the task's file, or gone.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use crate::domain::evidence::Record;
use crate::domain::name::TaskName;
use crate::home::{Home, archive_name};
use crate::process::record;
use crate::store::StoreError;
use crate::store::runs::{self, RunRow};

use super::import::Found;
use super::{Executor, ExecutorError};

/// The most of a last line that goes into an event, in bytes.
const LONGEST: usize = 2000;

/// How many lines of output the event of a failed run and a message carry.
pub(super) const LAST_LINES: u64 = 10;

/// Among how many of a task's newest runs the one is looked for whose output lies in the task's file.
const NEWEST: u32 = 8;

/// Where a run's output is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// In this file.
    File(PathBuf),
    /// Removed by retention or by somebody.
    Removed,
    /// There never was any: nothing was started.
    None,
}

/// The file that holds a run's output: its archive if that exists, else the task's file if it is the run's.
pub(super) fn locate(home: &Home, run: &RunRow, inode: Option<u64>) -> Output {
    let Some(inode) = inode.or(run.inode) else { return Output::None };
    let is_it = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.ino() == inode);
    let archive = home.file(&run.archive);
    let current = run.task.as_ref().map(|task| home.output(task));
    archive.into_iter().chain(current).find(|path| is_it(path)).map_or(Output::Removed, Output::File)
}

/// The last lines of a run's output, as text; nothing where they cannot be read.
pub(super) fn last_lines(home: &Home, run: &RunRow, inode: Option<u64>, number: u64) -> Vec<String> {
    let Output::File(path) = locate(home, run, inode) else { return Vec::new() };
    read_last_lines(&path, number).unwrap_or_default()
}

fn read_last_lines(path: &Path, number: u64) -> io::Result<Vec<String>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    // However long the lines are, only so much of them is looked at.
    let most = number.saturating_mul(LONGEST as u64);
    let length = usize::try_from(size.min(most)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, size.saturating_sub(length as u64))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().map(|line| line.chars().take(LONGEST).collect()).collect();
    let extra = lines.len().saturating_sub(usize::try_from(number).unwrap_or(usize::MAX));
    lines.drain(..extra);
    Ok(lines)
}

/// The name under which a new run's output will be archived: one that neither the database nor the folder has.
pub(super) fn free_archive(
    tx: &Connection,
    home: &Home,
    task: &TaskName,
    start: Timestamp,
) -> Result<String, StoreError> {
    for nth in 1.. {
        let name = archive_name(task, start, nth);
        let on_disk = home.file(&name).is_some_and(|path| path.symlink_metadata().is_ok());
        if !on_disk && !runs::has_archive(tx, &name, task)? {
            return Ok(name);
        }
    }
    Ok(archive_name(task, start, 1))
}

/// The name under which what lies in the task's file now is to be set aside: that of the run whose it is, or, when
/// it is nobody's, one after the time it was last written.
pub(super) fn former_archive(tx: &Connection, home: &Home, task: &TaskName) -> Result<Option<String>, ExecutorError> {
    let Ok(found) = fs::symlink_metadata(home.output(task)) else { return Ok(None) };
    let last = runs::last_of(tx, task, Some(NEWEST))?;
    let has_it = |run: &&RunRow| match run.outcome {
        Some(_) => run.inode == Some(found.ino()),
        // Where runs may meet, an earlier one may still be writing to it: its record says so.
        None => record::read(&home.record(run.id))
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
        Ok(match self.examine(run.id)? {
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
