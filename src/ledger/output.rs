//! Where the output of a run is: in its archive, still in the task's file, or gone.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;

use crate::domain::name::TaskName;
use crate::home::{Home, archive_name};
use crate::store::StoreError;
use crate::store::runs::{self, Kind, RunRow};

/// The most of a last line that goes into an event, in bytes.
const LONGEST: usize = 2000;

/// How many lines of output the event of a failed run and a message carry.
pub const LAST_LINES: u64 = 10;

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

/// The name under which a new run's output will be archived: one that neither the database nor the folder has.
pub fn free_archive(tx: &Connection, home: &Home, task: &TaskName, start: Timestamp) -> Result<String, StoreError> {
    for nth in 1.. {
        let name = archive_name(task, start, nth);
        let on_disk = home.file(&name).is_some_and(|path| path.symlink_metadata().is_ok());
        if !on_disk && !runs::has_archive(tx, &name, task)? {
            return Ok(name);
        }
    }
    Ok(archive_name(task, start, 1))
}

/// The file that holds a run's output: the task's file if it is the run's, else its archive. In this order: what is set
/// aside meanwhile is found under its new name.
pub fn locate(home: &Home, run: &RunRow, inode: Option<u64>) -> Output {
    // Nothing has the inode 0: what was not to be kept.
    let Some(inode) = inode.or(run.inode).filter(|inode| *inode != 0) else { return Output::None };
    let is_it = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.ino() == inode);
    if run.slot.is_some() || run.kind != Kind::Main.as_str() {
        let path = home.job_directory(run.job).join(&run.archive);
        return if is_it(&path) { Output::File(path) } else { Output::Removed };
    }
    let archive = home.file(&run.archive);
    let current = run.task.as_ref().map(|task| home.output(task));
    current.into_iter().chain(archive).find(|path| is_it(path)).map_or(Output::Removed, Output::File)
}

/// The last lines of a run's output, as text; nothing where they cannot be read.
pub fn last_lines(home: &Home, run: &RunRow, inode: Option<u64>, number: u64) -> Vec<String> {
    let Output::File(path) = locate(home, run, inode) else { return Vec::new() };
    read_last_lines(&path, number).unwrap_or_default()
}

/// The last lines of a file, as text.
pub fn read_last_lines(path: &Path, number: u64) -> io::Result<Vec<String>> {
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
