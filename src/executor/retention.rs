//! Which archived outputs go: what the task's limits say, of the files that the database lists, and no others.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::domain::name::{RunId, TaskName};
use crate::domain::task::{Retention, Task};
use crate::process::clock;
use crate::store::runs::{self, RunRow};
use crate::store::{Durability, StoreError};

use super::{Executor, ExecutorError};

/// An archived output that is there.
struct Archive {
    run: RunId,
    path: PathBuf,
    bytes: u64,
    age_micros: i64,
}

impl Executor {
    /// Deletes the archived outputs of a task that exceed its limits; returns how many.
    pub fn retain(&mut self, task: &Task) -> Result<usize, ExecutorError> {
        let archives = self.archives(&task.name)?;
        let doomed: Vec<_> = exceeding(&task.log, &archives);
        self.delete_archives(&doomed)
    }

    /// Deletes every output of a task, the last one too; returns how many.
    pub(super) fn purge_output(&mut self, task: &TaskName) -> Result<usize, ExecutorError> {
        let archives = self.archives(task)?;
        let doomed: Vec<_> = archives.iter().collect();
        let mut deleted = self.delete_archives(&doomed)?;
        let current = self.home.output(task);
        let is_its = |run: &RunRow| fs::symlink_metadata(&current).is_ok_and(|found| run.inode == Some(found.ino()));
        // The newest run that has put something out; a newer one may never have been started.
        let last = runs::with_output(self.store.reader(), task)?.into_iter().next();
        if let Some(run) = last.filter(is_its) {
            fs::remove_file(&current).map_err(|source| ExecutorError::System { doing: "delete an output", source })?;
            self.store.write(Durability::Committed, |tx| runs::forget_output(tx, run.id))?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// The archived outputs of a task, newest first. A file is its archive only if it has the run's inode.
    fn archives(&self, task: &TaskName) -> Result<Vec<Archive>, ExecutorError> {
        let now = clock::now().as_microsecond();
        let listed = runs::with_output(self.store.reader(), task)?;
        Ok(listed
            .into_iter()
            .filter_map(|run| {
                let path = self.home.file(&run.archive)?;
                let found = fs::symlink_metadata(&path).ok()?;
                let age_micros = now - run.ended.unwrap_or(run.claimed).as_microsecond();
                (run.inode == Some(found.ino())).then(|| Archive { run: run.id, path, bytes: found.size(), age_micros })
            })
            .collect())
    }

    fn delete_archives(&mut self, doomed: &[&Archive]) -> Result<usize, ExecutorError> {
        if doomed.is_empty() {
            return Ok(0);
        }
        // Recorded first: what the database calls removed and is still there is harmless; the reverse would be a lie.
        self.store.write(Durability::Committed, |tx| -> Result<(), StoreError> {
            doomed.iter().try_for_each(|archive| runs::forget_output(tx, archive.run))
        })?;
        for archive in doomed {
            let _ = fs::remove_file(&archive.path);
        }
        Ok(doomed.len())
    }
}

/// The archives, given newest first, that exceed a limit.
fn exceeding<'a>(limits: &Retention, archives: &'a [Archive]) -> Vec<&'a Archive> {
    let mut bytes = 0_u64;
    let mut doomed = Vec::new();
    for (at, archive) in archives.iter().enumerate() {
        bytes = bytes.saturating_add(archive.bytes);
        let too_many = at >= usize::try_from(limits.keep).unwrap_or(usize::MAX);
        let too_old =
            limits.keep_for.is_some_and(|limit| i128::from(archive.age_micros) > limit.as_micros().cast_signed());
        let too_much = limits.keep_bytes.is_some_and(|limit| bytes > limit);
        if too_many || too_old || too_much {
            doomed.push(archive);
        }
    }
    doomed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[track_caller]
    fn check(limits: &Retention, expected: &[usize]) {
        let archives: Vec<Archive> = (0..5)
            .map(|at| Archive {
                run: RunId::from_bytes([at; 16]),
                path: PathBuf::from(at.to_string()),
                bytes: 100,
                age_micros: i64::from(at) * 1_000_000,
            })
            .collect();
        let doomed = exceeding(limits, &archives);
        let at: Vec<usize> = doomed.iter().map(|archive| archive.path.to_str().unwrap().parse().unwrap()).collect();
        assert_eq!(at, expected);
    }

    #[test]
    fn what_exceeds_any_limit_goes_oldest_first() {
        let all = Retention::default();
        check(&all, &[]);
        check(&Retention { keep: 2, ..all.clone() }, &[2, 3, 4]);
        check(&Retention { keep: 0, ..all.clone() }, &[0, 1, 2, 3, 4]);
        check(&Retention { keep_for: Some(Duration::from_millis(2500)), ..all.clone() }, &[3, 4]);
        check(&Retention { keep_bytes: Some(250), ..all.clone() }, &[2, 3, 4]);
        check(&Retention { keep_bytes: Some(50), ..all }, &[0, 1, 2, 3, 4]);
    }
}
