//! apply: tasks and jobs of a file, all or nothing. The jobs are made in one transaction, and the registry is replaced
//! inside of it, just before it is committed: killed in between, the registry has the tasks and a repeat makes the jobs.

mod draft;

use std::cell::LazyCell;
use std::path::Path;

use rusqlite::Connection;

use crate::domain::edge::Edge;
use crate::domain::group::Label;
use crate::domain::lifecycle::State;
use crate::domain::name::{ExecId, JobId, TaskName};
use crate::home::lock::{self, Lock};
use crate::ledger::Ledger;
use crate::process::environment::Inherited;
use crate::process::{clock, machine};
use crate::registry::file;
use crate::store::jobs::JobRow;
use crate::store::{Durability, applied, cache, selection, tasks};

use super::definitions::stamp;
use super::staging::items;
use super::submit::{Origin, Place, Texts};
use super::{Asker, Executor, ExecutorError};
use draft::{Draft, Planned};

/// A file that is to be applied.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The file, as messages name it.
    pub path: &'a Path,
    /// What it says.
    pub text: &'a str,
    /// Its folder, absolute.
    pub base: &'a Path,
    /// Whether what differs is replaced.
    pub replace: bool,
}

/// What becomes of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskChange {
    /// It is added to the registry.
    New,
    /// It takes the place of another definition, from which it differs in these fields.
    Changed(Vec<String>),
    /// The registry says the same.
    Same,
}

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobChange {
    /// It is made.
    New,
    /// It has not run, and takes what the file says now.
    Changed,
    /// It is there.
    Same,
    /// It is there and differs, and is left as it is: it runs, or has run.
    Left,
}

/// A job of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct AppliedJob {
    /// What the file calls it.
    pub local: Label,
    /// Its task; none for a command of its own.
    pub task: Option<TaskName>,
    /// Its id, where it has one.
    pub id: Option<JobId>,
    /// Its state, where it was there before.
    pub state: Option<State>,
    /// What becomes of it.
    pub change: JobChange,
    /// What it waits for.
    pub after: Vec<(Label, Edge)>,
}

/// What became of a file, or would.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The file's name for itself.
    pub name: Label,
    /// Its tasks.
    pub tasks: Vec<(TaskName, TaskChange)>,
    /// Its jobs, each after those that it waits for.
    pub jobs: Vec<AppliedJob>,
    /// Jobs of an earlier file of this name that are not in it any more: they stay.
    pub gone: Vec<(String, JobId, State)>,
}

impl Executor {
    /// Applies a file: all of it, or nothing.
    pub fn apply(&mut self, given: Given<'_>, asker: &Asker) -> Result<Applied, ExecutorError> {
        self.refresh()?;
        let lock = Lock::take(&self.home.registry_lock(), lock::PATIENCE)?;
        file::tidy(&self.home.registry())?;
        let (contents, current) = self.read_registry()?;
        let draft = Draft::new(given, (&contents.text, &current), self.home.root())?;
        let differs = draft.text != contents.text;
        let put = differs.then(|| file::prepare(&self.home.registry(), &draft.text)).transpose()?;
        let inherited = Inherited::capture().encode()?;
        let (home, now) = (&self.home, clock::now());
        let done = self.store.write(Durability::Flushed, |tx| -> Result<Applied, ExecutorError> {
            let ledger = Ledger { tx, home, now };
            let plan = draft.plan(Some(tx))?;
            let done = draft.carry_out(&ledger, &plan, &inherited, asker)?;
            draft.record_tasks(&ledger, asker)?;
            if let Some(put) = put {
                put.put(&contents)?;
                let print = stamp(&file::fingerprint(&home.registry())?);
                let registry = &draft.registry;
                cache::replace(tx, &print, registry.exec_id.as_str(), &registry.tasks, &registry.settings)?;
            }
            Ok(done)
        })?;
        drop(lock);
        Ok(done)
    }

    /// What applying a file would do.
    pub fn plan_of_file(&mut self, given: Given<'_>) -> Result<Applied, ExecutorError> {
        self.refresh()?;
        let (contents, current) = self.read_registry()?;
        let draft = Draft::new(given, (&contents.text, &current), self.home.root())?;
        let plan = draft.plan(Some(self.store.reader()))?;
        Ok(draft.told(&plan))
    }

    /// What applying a file would do in a folder where there is nothing yet.
    pub fn plan_of_first_file(given: Given<'_>, root: &Path) -> Result<Applied, ExecutorError> {
        let text = crate::registry::initial(&ExecId::from_random([0; 4]));
        let current = crate::registry::validated(text, root)?;
        let draft = Draft::new(given, (&current.text, &current.registry), root)?;
        Ok(draft.told(&draft.plan(None)?))
    }
}

impl Draft<'_> {
    /// Makes and changes jobs as it was planned.
    fn carry_out(
        &self,
        ledger: &Ledger<'_>,
        plan: &draft::Plan,
        inherited: &[u8],
        asker: &Asker,
    ) -> Result<Applied, ExecutorError> {
        let mut done = self.told(plan);
        if plan.jobs.iter().all(|planned| matches!(planned, Planned::Same(_) | Planned::Left(_))) {
            return Ok(done);
        }
        let found: LazyCell<_> = LazyCell::new(machine::detect);
        let origin = Origin::new(ledger, inherited, asker)?;
        let mut ids: Vec<JobId> = Vec::with_capacity(self.jobs.len());
        for ((job, planned), told) in self.jobs.iter().zip(&plan.jobs).zip(&mut done.jobs) {
            let id = match planned {
                Planned::Same(row) | Planned::Left(row) => row.id,
                Planned::New | Planned::Changed(_) => {
                    let place = Place::find(ledger, &job.definition, &found)?;
                    let texts = Texts::of(&job.order, &job.resolved)?;
                    let task = job.task.as_ref();
                    let new = origin.job(task, &job.definition, place, &job.order, &job.resolved, &texts);
                    let parent = |(at, kind): &(usize, Edge)| Some((*ids.get(*at)?, *kind));
                    let parents: Vec<(JobId, Edge)> = job.parents.iter().filter_map(parent).collect();
                    let names = job.resolved.params.keys().map(String::as_str);
                    selection::know_params(ledger.tx, names)?;
                    let items = items(&job.definition, &job.order.transfers, &job.resolved.words())?;
                    let id = match planned {
                        Planned::Changed(row) => {
                            ledger.resubmit(row, &new, &job.definition, &parents, &items)?;
                            row.id
                        }
                        Planned::New | Planned::Same(_) | Planned::Left(_) => {
                            ledger.submit(&new, &job.definition, &parents, &items)?
                        }
                    };
                    applied::mark(ledger.tx, id, self.name.as_str(), job.local.as_str(), &job.said)?;
                    id
                }
            };
            ids.push(id);
            told.id = Some(id);
        }
        Ok(done)
    }

    /// Records what happens to the tasks. One that the registry has and nobody has heard of was put there by an apply
    /// that was cut off, or by hand.
    fn record_tasks(&self, ledger: &Ledger<'_>, asker: &Asker) -> Result<(), ExecutorError> {
        for (name, change) in &self.tasks {
            let cause = match change {
                TaskChange::New => "added",
                TaskChange::Changed(_) => "edited",
                TaskChange::Same if tasks::find(ledger.tx, name)?.is_none() => "added",
                TaskChange::Same => continue,
            };
            ledger.note_definition(name, cause, self.registry.task(name), asker)?;
        }
        Ok(())
    }
}

/// Whether a job can still become another one: nothing of it has run.
fn has_not_run(connection: &Connection, job: &JobRow) -> Result<bool, ExecutorError> {
    let waits = match job.state {
        State::Created
        | State::AwaitingParents
        | State::Blocked
        | State::Ready
        | State::StagedIn
        | State::Preprocessed
        // A slot may have claimed it and not begun.
        | State::RestartReady => true,
        State::Running
        | State::RunDone
        | State::Postprocessed
        | State::StagedOut
        | State::JobFinished
        | State::RunError
        | State::RunTimeout
        | State::Failed
        | State::Cancelled
        | State::Reset => false,
    };
    Ok(waits && job.attempt == 0 && crate::store::runs::unfinished_of_job(connection, job.id)?.is_none())
}
