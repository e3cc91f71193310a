//! What belongs to a job on disk: the files in its directories, and the outputs of its runs; and the place where it works.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::domain::name::{JobId, RunId};
use crate::process::environment::{self, Inherited, RunTags};
use crate::process::replace::Place;
use crate::store::{cache, jobs};

use super::staging::make_directory;
use super::{Executor, ExecutorError, Output};

/// A file of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFile {
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes it has.
    pub size: u64,
    /// When it was last changed.
    pub modified: Timestamp,
    /// The run whose output it is: its id, its kind, and which of that kind it is.
    pub output_of: Option<(RunId, String, u32)>,
}

impl Executor {
    /// The files of a job, in the order of their paths. What its script writes elsewhere is not known.
    pub fn files_of(&self, id: JobId) -> Result<Vec<JobFile>, ExecutorError> {
        let job = self.job(id)?;
        let mut found = BTreeMap::new();
        for directory in [self.home.job_directory(id), self.workdir_of(&job)] {
            walk(&directory, &mut found);
        }
        let mut outputs = BTreeMap::new();
        for run in self.runs_of(id)? {
            if let Output::File(path) = self.output_of(&run)? {
                if let Ok(metadata) = fs::symlink_metadata(&path) {
                    found.insert(path.clone(), metadata);
                }
                outputs.insert(path, (run.id, run.kind, run.attempt));
            }
        }
        let file = |(path, metadata): (PathBuf, Metadata)| {
            let modified = i32::try_from(metadata.mtime_nsec()).ok();
            let modified = modified.and_then(|nanos| Timestamp::new(metadata.mtime(), nanos).ok());
            JobFile {
                size: metadata.len(),
                modified: modified.unwrap_or_default(),
                output_of: outputs.get(&path).cloned(),
                path,
            }
        };
        Ok(found.into_iter().map(file).collect())
    }

    /// The place where a job works, with what its script sees there but for the id of a run: what is done there by hand
    /// is no part of one. Its work directory is made where it is missing.
    pub fn place_of(&self, id: JobId) -> Result<Place, ExecutorError> {
        let job = self.job(id)?;
        let definition = self.definition_of_job(&job)?;
        let directory = self.workdir_of(&job);
        make_directory(&directory)?;
        let inherited = Inherited::decode(&jobs::environment_of(self.store.reader(), &job.row)?)?;
        let mut variables = environment::of_task(&definition, &inherited)?;
        let exec_id = cache::head(self.store.reader())?.map(|(_, id)| id).unwrap_or_default();
        let tags = RunTags {
            exec_id: &exec_id,
            folder: self.home.root(),
            task: job.given.task.as_deref().unwrap_or_default(),
            job: id,
            attempt: job.row.attempt,
            run: None,
            run_name: job.given.run_name.as_deref().unwrap_or_default(),
            workdir: &directory,
        };
        tags.lay_over(&mut variables);
        Ok(Place { directory, variables, umask: inherited.umask, limits: inherited.limits })
    }
}

/// Every file below a directory. Links are not followed.
fn walk(directory: &Path, found: &mut BTreeMap<PathBuf, Metadata>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
        if metadata.is_dir() {
            walk(&path, found);
        } else {
            found.insert(path, metadata);
        }
    }
}
