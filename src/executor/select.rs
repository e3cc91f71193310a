//! Jobs looked at: selected, in an order, each with what was given to it.

use jiff::tz::TimeZone;

use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::domain::selection::{Order, Scope, Selection};
use crate::process::clock;
use crate::store::events::{self, Event};
use crate::store::jobs::{self, JobRow};
use crate::store::queue::{self, EdgeRow, Given};
use crate::store::runs::{self, RunRow};
use crate::store::selection;

use super::{Executor, ExecutorError};

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
}

impl Executor {
    /// Reads a selection of jobs.
    pub fn selection(&self, text: &str) -> Result<Selection, ExecutorError> {
        if text.trim().is_empty() {
            return Ok(Selection::default());
        }
        let parameters = selection::known_params(self.store.reader())?;
        let zone = TimeZone::system();
        Ok(Selection::parse(text, &Scope { parameters: &parameters, now: clock::now(), zone: &zone })?)
    }

    /// The ids of the jobs that are meant, in order.
    pub fn job_ids(&self, which: &Which<'_>) -> Result<Vec<JobId>, ExecutorError> {
        let selection = self.selection(which.selection)?;
        let order = match which.order {
            Some(text) => {
                let parameters = selection::known_params(self.store.reader())?;
                let zone = TimeZone::system();
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
        ids.iter().map(|id| self.job(*id)).collect()
    }

    /// A job, which must be there.
    pub fn job(&self, id: JobId) -> Result<Job, ExecutorError> {
        let reader = self.store.reader();
        let row = jobs::find(reader, id)?.ok_or(ExecutorError::NoSuchJob(id))?;
        Ok(Job { row, given: queue::given(reader, id)?, parents: queue::parents(reader, id)? })
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

    /// What happened to a job, oldest first.
    pub fn events_of(&self, id: JobId) -> Result<Vec<Event>, ExecutorError> {
        Ok(events::of_job(self.store.reader(), id)?)
    }

    /// The task of a job as it is called, and the definition that it follows.
    pub fn definition_of_job(&self, job: &Job) -> Result<crate::domain::task::Task, ExecutorError> {
        Ok(jobs::definition_of(self.store.reader(), &job.row)?)
    }

    /// The directory that a job works in, or that is its own.
    pub fn workdir_of(&self, job: &Job) -> std::path::PathBuf {
        match &job.given.workdir {
            Some(path) => self.home.jobs().join(path),
            None => self.home.job_directory(job.row.id),
        }
    }
}
