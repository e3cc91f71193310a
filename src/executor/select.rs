//! Jobs looked at: selected, in an order, each with what was given to it.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rusqlite::Connection;

use crate::domain::item::Item;
use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::domain::params;
use crate::domain::resources::Holds;
use crate::domain::selection::{Order, Scope, Selection};
use crate::domain::task::Task;
use crate::home::zones;
use crate::process::clock;
use crate::store::events::{self, Event};
use crate::store::items;
use crate::store::jobs::{self, JobRow};
use crate::store::queue::{self, EdgeRow, Given};
use crate::store::runs::{self, RunRow};
use crate::store::selection;

use super::{Definitions, Executor, ExecutorError};

/// Which jobs are meant, as it was typed.
#[derive(Debug, Clone, Default)]
pub struct Which<'a> {
    /// The selection; empty for all.
    pub selection: &'a str,
    /// The field that they are ordered by, with `-` before it downwards; the newest first where none is named.
    pub order: Option<&'a str>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// A job with what was given to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// How it stands.
    pub row: JobRow,
    /// What was given to it.
    pub given: Given,
    /// Its parents.
    pub parents: Vec<EdgeRow>,
    /// What is transferred for it.
    pub items: Vec<Item>,
    /// The group that it belongs to.
    pub group: Option<String>,
}

impl Job {
    /// A job, which must be there.
    pub(super) fn find(connection: &Connection, id: JobId) -> Result<Self, ExecutorError> {
        Self::read(connection, id, &mut HashMap::new())
    }

    /// The same, where the groups of some definitions may be known by their places.
    fn read(
        connection: &Connection,
        id: JobId,
        groups: &mut HashMap<i64, Option<String>>,
    ) -> Result<Self, ExecutorError> {
        let row = jobs::find(connection, id)?.ok_or(ExecutorError::NoSuchJob(id))?;
        let group = match groups.entry(row.definition) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(jobs::group_at(connection, row.definition)?).clone(),
        };
        Ok(Self {
            group,
            row,
            given: queue::given(connection, id)?,
            parents: queue::parents(connection, id)?,
            items: items::of_job(connection, id)?,
        })
    }

    /// What it runs, if it follows this definition: with the values of its parameters as far as they can be filled in.
    pub fn runs(&self, definition: &Task) -> Task {
        let values = self.given.words().unwrap_or_default();
        params::of_job(definition, &values).map_or_else(|_| definition.clone(), Cow::into_owned)
    }
}

/// A group as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// How many of its jobs may run at a time; unset, any number.
    pub parallel: Option<u32>,
    /// How many do.
    pub running: usize,
    /// Who has paused it.
    pub paused_by: Option<String>,
}

impl Executor {
    /// The groups that have a limit, or are paused, or of which jobs run, by name.
    pub fn groups(&self, definitions: &Definitions) -> Result<Vec<GroupStatus>, ExecutorError> {
        let mut groups: BTreeMap<String, GroupStatus> = BTreeMap::new();
        let of = |name: &str| -> GroupStatus {
            GroupStatus { name: name.to_owned(), parallel: None, running: 0, paused_by: None }
        };
        for (key, group) in &definitions.settings.groups {
            let status = GroupStatus { name: group.name.to_string(), parallel: Some(group.parallel), ..of(key) };
            groups.insert(key.clone(), status);
        }
        for (name, by) in queue::paused_groups(self.store.reader())? {
            groups.entry(name.to_lowercase()).or_insert_with(|| of(&name)).paused_by = Some(by);
        }
        for (_, _, holds) in queue::holders(self.store.reader())? {
            let holds: Option<Holds> = holds.and_then(|holds| serde_json::from_str(&holds).ok());
            if let Some(name) = holds.and_then(|holds| holds.group) {
                groups.entry(name.to_lowercase()).or_insert_with(|| of(&name)).running += 1;
            }
        }
        Ok(groups.into_values().collect())
    }

    /// Reads a selection of jobs.
    pub fn selection(&self, text: &str) -> Result<Selection, ExecutorError> {
        if text.trim().is_empty() {
            return Ok(Selection::default());
        }
        let parameters = selection::known_params(self.store.reader())?;
        let zone = zones::system();
        Ok(Selection::parse(text, &Scope { parameters: &parameters, now: clock::now(), zone: &zone })?)
    }

    /// The ids of the jobs that are meant, in order.
    pub fn job_ids(&self, which: &Which<'_>) -> Result<Vec<JobId>, ExecutorError> {
        let selection = self.selection(which.selection)?;
        let order = match which.order {
            Some(text) => {
                let parameters = selection::known_params(self.store.reader())?;
                let zone = zones::system();
                Order::parse(text, &Scope { parameters: &parameters, now: clock::now(), zone: &zone })?
            }
            None => Order::default(),
        };
        Ok(selection::ids(self.store.reader(), &selection, &order, which.limit, clock::now())?)
    }

    /// How many jobs a selection means.
    pub fn count_jobs(&self, text: &str) -> Result<u64, ExecutorError> {
        let selection = self.selection(text)?;
        Ok(selection::count(self.store.reader(), &selection, clock::now())?)
    }

    /// How many of the jobs that are meant are in each state, and belong to each run of a study, in the order of life.
    pub fn jobs_by_state(&self, text: &str) -> Result<Vec<(State, Option<String>, u64)>, ExecutorError> {
        let selection = self.selection(text)?;
        Ok(selection::by_state(self.store.reader(), &selection, clock::now())?)
    }

    /// Jobs, which must be there.
    pub fn jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, ExecutorError> {
        // Thousands may have one definition.
        let mut groups = HashMap::new();
        ids.iter().map(|id| Job::read(self.store.reader(), *id, &mut groups)).collect()
    }

    /// A job, which must be there.
    pub fn job(&self, id: JobId) -> Result<Job, ExecutorError> {
        Job::find(self.store.reader(), id)
    }

    /// The jobs that wait for a job, each with its edge.
    pub fn children(&self, id: JobId) -> Result<Vec<EdgeRow>, ExecutorError> {
        Ok(queue::children(self.store.reader(), id)?)
    }

    /// The runs of a job, oldest first.
    pub fn runs_of(&self, id: JobId) -> Result<Vec<RunRow>, ExecutorError> {
        let mut runs = runs::of_job(self.store.reader(), id)?;
        for run in runs.iter_mut().filter(|run| run.outcome.is_none()) {
            self.tell_traces(run)?;
        }
        Ok(runs)
    }

    /// How long the runs of a job took, since it was started; none for one that has not been.
    pub fn time_of(&self, job: &Job) -> Result<Option<Duration>, ExecutorError> {
        let Some(since) = job.given.started else { return Ok(None) };
        Ok(Some(runs::time_of_job(self.store.reader(), job.row.id, since, clock::now())?))
    }

    /// What happened to a job, oldest first.
    pub fn events_of(&self, id: JobId) -> Result<Vec<Event>, ExecutorError> {
        Ok(events::of_job(self.store.reader(), id)?)
    }

    /// Jobs, which must be there, each with the definition that it follows as in [`Executor::definition_of_job`].
    pub fn jobs_with_definitions(&self, ids: &[JobId]) -> Result<Vec<(Job, Task)>, ExecutorError> {
        let mut definitions: HashMap<i64, Task> = HashMap::new();
        let with_definition = |job: Job| {
            let definition = match definitions.entry(job.row.definition) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(jobs::definition_of(self.store.reader(), &job.row)?),
            };
            let runs = job.runs(definition);
            Ok((job, runs))
        };
        self.jobs(ids)?.into_iter().map(with_definition).collect()
    }

    /// The definition that a job follows, with the values of its parameters as far as they can be filled in.
    pub fn definition_of_job(&self, job: &Job) -> Result<Task, ExecutorError> {
        let task = jobs::definition_of(self.store.reader(), &job.row)?;
        Ok(job.runs(&task))
    }

    /// The directory that a job works in, or that is its own.
    pub fn workdir_of(&self, job: &Job) -> std::path::PathBuf {
        match &job.given.workdir {
            Some(path) => self.home.jobs().join(path),
            None => self.home.job_directory(job.row.id),
        }
    }
}
