//! What the registry says now: from the file, or, while that is unchanged or has a mistake, from the cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::name::TaskName;
use crate::domain::settings::Settings;
use crate::domain::task::Task;
use crate::home::lock::{self, Lock};
use crate::registry::file::{self, Contents, FileError};
use crate::registry::{self, EditError, Registry, Setting, validated};
use crate::store::cache::{self, Cached};
use crate::store::{Durability, StoreError};

use super::{Executor, ExecutorError};

/// The format of the cached tasks: it changes with the fields of a task, and an older cache is then not used.
const CACHE_FORMAT: &str = concat!(env!("CARGO_PKG_VERSION"), "/5");

/// The tasks that are defined.
#[derive(Debug)]
pub struct Definitions {
    /// The executor's id.
    pub exec_id: String,
    /// The tasks in the file's order.
    pub tasks: Vec<Arc<Task>>,
    /// What the file says besides.
    pub settings: Settings,
    /// What is wrong with the file now, in which case the rest is from when it was last good.
    pub mistake: Option<ExecutorError>,
}

/// A task that was appended to the registry, and what the cache of it needs.
pub(super) struct Appended {
    pub(super) task: Task,
    /// Held until the change is on record.
    pub(super) lock: Lock,
    before: String,
    after: String,
    exec_id: String,
}

impl Appended {
    /// Adds the task to the cache.
    pub(super) fn cache(&self, tx: &rusqlite::Connection) -> Result<(), StoreError> {
        cache::append(tx, &self.before, &self.after, &self.exec_id, &self.task)
    }
}

impl Definitions {
    fn cached(cached: Cached, mistake: Option<ExecutorError>) -> Self {
        let Cached { fingerprint: _, exec_id, tasks, settings } = cached;
        Self { exec_id, tasks, settings, mistake }
    }

    /// The task of this name, without regard to case.
    pub fn find(&self, name: &TaskName) -> Option<&Arc<Task>> {
        self.tasks.iter().find(|task| task.name.as_str().eq_ignore_ascii_case(name.as_str()))
    }

    /// The definitions, refused while the file has a mistake.
    pub fn good(self) -> Result<Self, ExecutorError> {
        match self.mistake {
            Some(mistake) => Err(mistake),
            None => Ok(self),
        }
    }
}

impl Executor {
    /// What the registry says now. A mistake in the file is no error here: it comes with the last good definitions.
    pub fn definitions(&mut self) -> Result<Definitions, ExecutorError> {
        let path = self.home.registry();
        let print = match file::fingerprint(&path) {
            Ok(found) => stamp(&found),
            Err(FileError::Missing { .. }) => return self.without_file(),
            Err(error) => return Err(error.into()),
        };
        let head = cache::head(self.store.reader())?;
        if head.is_some_and(|(cached, _)| cached == print)
            && let Some(cached) = cache::read(self.store.reader())?
        {
            return Ok(Definitions::cached(cached, None));
        }
        match self.read_registry() {
            Ok((contents, registry)) => {
                self.remember(&contents.fingerprint, &registry)?;
                let tasks = registry.tasks.into_iter().map(Arc::new).collect();
                let exec_id = registry.exec_id.to_string();
                Ok(Definitions { exec_id, tasks, settings: registry.settings, mistake: None })
            }
            Err(mistake @ (ExecutorError::Registry { .. } | ExecutorError::File(FileError::NotText { .. }))) => {
                let cached = cache::read(self.store.reader())?;
                Ok(Definitions::cached(cached.unwrap_or_default(), Some(mistake)))
            }
            Err(error) => Err(error),
        }
    }

    /// The executor's id. The tasks are not read where that is not needed.
    pub(super) fn exec_id(&mut self) -> Result<String, ExecutorError> {
        let now = self.registry_stamp()?;
        match cache::head(self.store.reader())? {
            Some((cached, exec_id)) if Some(&cached) == now.as_ref() => Ok(exec_id),
            Some(_) | None => Ok(self.definitions()?.exec_id),
        }
    }

    /// Nobody defines anything, but the executor keeps its id.
    fn without_file(&self) -> Result<Definitions, ExecutorError> {
        let exec_id = cache::head(self.store.reader())?.map(|(_, id)| id).unwrap_or_default();
        Ok(Definitions { exec_id, tasks: Vec::new(), settings: Settings::default(), mistake: None })
    }

    pub(super) fn read_registry(&self) -> Result<(Contents, Registry), ExecutorError> {
        let path = self.home.registry();
        let contents = file::read(&path)?;
        let registry = Registry::parse(&contents.text, self.home.root())
            .map_err(|mistakes| ExecutorError::Registry { path, mistakes })?;
        Ok((contents, registry))
    }

    /// The zone that the registry's `[defaults]` name for schedules.
    pub fn default_tz(&self) -> Result<Option<String>, ExecutorError> {
        Ok(self.read_registry()?.1.tz)
    }

    /// Caches what was read, if that is possible without waiting.
    fn remember(&mut self, fingerprint: &Fingerprint, registry: &Registry) -> Result<(), ExecutorError> {
        let id = registry.exec_id.as_str();
        let print = stamp(fingerprint);
        self.try_to_cache(|tx| cache::replace(tx, &print, id, &registry.tasks, &registry.settings))
    }

    /// Writes the cache, if that is possible without waiting: it only saves work.
    fn try_to_cache(
        &mut self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), ExecutorError> {
        match self.store.write_patiently(Durability::Committed, Duration::ZERO, work) {
            Err(error) if !error.is_only_for_writers() => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether the cache is that of this state of the file.
    fn is_fresh(&self, found: &Fingerprint) -> Result<bool, ExecutorError> {
        Ok(cache::head(self.store.reader())?.is_some_and(|(cached, _)| cached == stamp(found)))
    }

    /// One task of the registry, refused while that has a mistake. Reads no more than it has to.
    pub(super) fn defined(&mut self, name: &TaskName) -> Result<Option<Task>, ExecutorError> {
        match file::fingerprint(&self.home.registry()) {
            Ok(found) if self.is_fresh(&found)? => Ok(cache::find(self.store.reader(), name)?),
            Ok(_) | Err(_) => Ok(self.definitions()?.good()?.find(name).map(|task| Task::clone(task))),
        }
    }

    /// The definition of one task; where there is none, the error names the nearest.
    pub fn task(&mut self, name: &TaskName) -> Result<Task, ExecutorError> {
        if let Some(task) = self.defined(name)? {
            return Ok(task);
        }
        let definitions = self.definitions()?.good()?;
        let name = self.resolve(&definitions, name)?;
        definitions.find(&name).map(|task| Task::clone(task)).ok_or(ExecutorError::NotDefined(name))
    }

    /// Edits the registry: reads it under its lock, refuses it if it has a mistake, changes the text, makes sure that
    /// the result is good, replaces the file. Returns what it says now. Nothing is written when it would have a
    /// mistake.
    pub(super) fn edit_registry(
        &mut self,
        edit: impl FnOnce(&str) -> Result<String, EditError>,
    ) -> Result<(Registry, Lock), ExecutorError> {
        let lock = Lock::take(&self.home.registry_lock(), lock::PATIENCE)?;
        file::tidy(&self.home.registry())?;
        let contents = file::read(&self.home.registry())?;
        if !self.is_fresh(&contents.fingerprint)? {
            self.read_registry()?;
        }
        let new = validated(edit(&contents.text)?, self.home.root())?;
        file::replace(&self.home.registry(), &contents, &new.text)?;
        let found = file::fingerprint(&self.home.registry())?;
        self.remember(&found, &new.registry)?;
        Ok((new.registry, lock))
    }

    /// Appends a task that the registry does not define. Where the cache is fresh that needs no reading of the other tasks,
    /// and one row of the cache instead of all, which the caller adds. `None` where it cannot be done so.
    pub(super) fn append_to_registry(
        &mut self,
        name: &TaskName,
        settings: &[Setting],
    ) -> Result<Option<Appended>, ExecutorError> {
        let lock = Lock::take(&self.home.registry_lock(), lock::PATIENCE)?;
        file::tidy(&self.home.registry())?;
        let contents = file::read(&self.home.registry())?;
        if !self.is_fresh(&contents.fingerprint)? || cache::find(self.store.reader(), name)?.is_some() {
            return Ok(None);
        }
        let Some(new) = registry::append(&contents.text, name, settings, self.home.root()) else { return Ok(None) };
        file::replace(&self.home.registry(), &contents, &new.text)?;
        Ok(Some(Appended {
            before: stamp(&contents.fingerprint),
            after: stamp(&file::fingerprint(&self.home.registry())?),
            exec_id: new.exec_id.to_string(),
            task: new.task,
            lock,
        }))
    }

    /// Reads the registry past the cache and looks at each task's script and directory; what is wrong, task by task.
    pub fn check(&mut self) -> Result<Vec<(TaskName, super::StartError)>, ExecutorError> {
        let (_, registry) = self.read_registry()?;
        let inherited = crate::process::environment::Inherited::capture();
        let troubles = registry.tasks.iter().map(|task| (task, super::look::foresee(task, &inherited)));
        Ok(troubles.filter_map(|(task, trouble)| Some((task.name.clone(), trouble?))).collect())
    }

    /// What would keep a task from being started now, if anything. That it must be given values is no trouble.
    pub fn foresee(&self, task: &Task) -> Option<super::StartError> {
        super::look::foresee(task, &crate::process::environment::Inherited::capture())
    }

    /// What tells one state of the registry's file from another; `None` where there is no file.
    pub fn registry_stamp(&self) -> Result<Option<String>, ExecutorError> {
        match file::fingerprint(&self.home.registry()) {
            Ok(found) => Ok(Some(stamp(&found))),
            Err(FileError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the registry lies.
    pub fn registry_path(&self) -> PathBuf {
        self.home.registry()
    }

    /// The folder that relative paths of the registry are found from.
    pub fn root(&self) -> &Path {
        self.home.root()
    }
}

pub(super) fn stamp(found: &Fingerprint) -> String {
    format!("{CACHE_FORMAT} {} {} {} {}", found.inode, found.size, found.mtime, found.ctime)
}
