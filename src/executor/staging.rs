//! Transfers: what a job is to be brought and what is taken from it, and the runs that do it, executed by workers like
//! any other. They occupy no slot.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use crate::domain::item::{Item, SlotError, direction_in, plan};
use crate::domain::name::{JobId, RunId, TaskName};
use crate::domain::params::{self, RenderError, Values};
use crate::domain::task::{Program, StopSequence, Task};
use crate::domain::transfer::Direction;
use crate::ledger::{Ledger, LedgerError};
use crate::process::environment::{self, Inherited, RunTags, Variables};
use crate::process::record::RecordFile;
use crate::process::spec::RunSpec;
use crate::process::{clock, spawn};
use crate::store::runs::{self, Kind, NewRun};
use crate::store::{Durability, StoreError, items as stored, jobs, queue};

use super::again::unneeded;
use super::{Asker, Executor, ExecutorError, Job};

/// For how many jobs something is transferred at a time.
const AT_ONCE: usize = 4;

/// Why what is to be transferred for a job cannot be.
#[derive(Debug, Error)]
pub enum StagingError {
    /// A slot cannot be used so.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// A remote cannot be filled in.
    #[error(transparent)]
    Fill(#[from] RenderError),
}

impl StagingError {
    /// The way out, as an imperative.
    pub fn hint(&self) -> String {
        match self {
            Self::Slot(error) => error.hint(),
            Self::Fill(error) => error.hint(),
        }
    }
}

/// The transfers of a folder: for which jobs something is to be done now, and when there will be something again.
#[derive(Debug)]
pub struct Staging {
    /// The jobs, oldest first, no more than there is room for.
    pub now: Vec<JobId>,
    /// The next moment, where there is nothing now.
    pub next: Option<Timestamp>,
}

/// A run for a job besides its own: a transfer, a hook.
pub(super) struct Beside<'a> {
    pub(super) job: &'a Job,
    pub(super) run: RunId,
    /// The attempt at the job that it belongs to.
    pub(super) attempt: u32,
    /// The name of its output in the job's directory.
    pub(super) output: &'a str,
    /// Where it runs: the job's work directory.
    pub(super) wd: &'a Path,
    pub(super) program: Vec<u8>,
    pub(super) argv: Vec<Vec<u8>>,
    pub(super) variables: Variables,
    pub(super) timeout: Option<Duration>,
    pub(super) stop: StopSequence,
}

/// Makes a directory of a job, for nobody else.
pub(super) fn make_directory(path: &Path) -> Result<(), ExecutorError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| ExecutorError::Directory { path: path.to_path_buf(), source })
}

/// The values that a job has: those that were given to it, and the defaults of the others.
fn values(definition: &Task, given: &Values) -> Values {
    let defaults =
        params::taken(definition).into_iter().filter_map(|(name, param)| Some((name, param.default()?.clone())));
    defaults.chain(given.iter().map(|(name, value)| (name.clone(), value.clone()))).collect()
}

/// The items of a job with these values. What was `given` for a slot takes the place of its remote.
pub(super) fn items(
    definition: &Task,
    given: &BTreeMap<String, String>,
    values: &Values,
) -> Result<Vec<Item>, StagingError> {
    if definition.transfers.is_empty() && given.is_empty() {
        return Ok(Vec::new());
    }
    let own = definition.transfers.iter().filter(|(name, _)| !given.contains_key(*name));
    let bare = Task::new(definition.name.clone(), Program::Command(Vec::new()), definition.wd.clone());
    let bare = Task { transfers: own.map(|(name, slot)| (name.clone(), slot.clone())).collect(), ..bare };
    let mut slots = definition.transfers.clone();
    slots.extend(params::render(&bare, values)?.transfers.clone());
    Ok(plan(&slots, given, &definition.wd)?)
}

impl Executor {
    /// What is to be transferred.
    pub fn staging(&self) -> Result<Staging, ExecutorError> {
        let reader = self.store.reader();
        let mut now = stored::due(reader, clock::now(), AT_ONCE)?;
        if now.is_empty() {
            return Ok(Staging { now, next: stored::next_moment(reader)? });
        }
        // Where there is no room, the end of one of them is the moment.
        now.truncate(AT_ONCE.saturating_sub(runs::count_unfinished(reader, Kind::Transfer)?));
        Ok(Staging { now, next: None })
    }

    /// Whether something is being transferred, or still will be.
    pub(super) fn is_staging(&self) -> Result<bool, ExecutorError> {
        let reader = self.store.reader();
        Ok(runs::count_unfinished(reader, Kind::Transfer)? > 0 || stored::next_moment(reader)?.is_some())
    }

    /// Begins to transfer what is due for a job: the run, and the pid of its worker; `None` where nothing is due any more.
    pub fn stage(&mut self, job: JobId, exec_id: &str, asker: &Asker) -> Result<Option<(RunId, i32)>, ExecutorError> {
        let job = self.job(job)?;
        let Some(direction) = direction_in(job.row.state) else { return Ok(None) };
        let workdir = self.workdir_of(&job);
        for path in [&workdir, &self.home.job_directory(job.row.id)] {
            make_directory(path)?;
        }
        let (run, record) = self.prepare_run()?;
        let claimed = self.claim_transfer(&job, direction, run, asker);
        if !matches!(claimed, Ok(Some(_))) {
            unneeded(record.path());
        }
        let Some(name) = claimed? else { return Ok(None) };
        let inherited = Inherited::decode(&jobs::environment_of(self.store.reader(), &job.row)?)?;
        let beside = Beside {
            job: &job,
            run,
            attempt: job.row.attempt,
            output: &name,
            wd: &workdir,
            program: spawn::OURSELVES.to_bytes().to_vec(),
            argv: self.command_line(job.row.id, direction),
            variables: inherited.variables(),
            timeout: None,
            stop: StopSequence::default(),
        };
        Ok(Some((run, self.spawn_beside(beside, &inherited, &record, exec_id)?)))
    }

    /// Spawns the worker of a run for a job besides its own run; its pid. The output goes to the job's directory.
    pub(super) fn spawn_beside(
        &self,
        beside: Beside<'_>,
        inherited: &Inherited,
        record: &RecordFile,
        exec_id: &str,
    ) -> Result<i32, ExecutorError> {
        let Beside { job, run, attempt, output, wd, program, argv, mut variables, timeout, stop } = beside;
        let tags = RunTags {
            exec_id,
            folder: self.home.root(),
            task: job.given.task.as_deref().unwrap_or_default(),
            job: job.row.id,
            attempt,
            run: Some(run),
            run_name: job.given.run_name.as_deref().unwrap_or_default(),
            workdir: wd,
        };
        tags.lay_over(&mut variables);
        let directory = self.home.job_directory(job.row.id);
        let spec = RunSpec {
            run,
            program,
            argv,
            env: environment::assignments(&variables),
            wd: wd.to_path_buf(),
            umask: inherited.umask,
            limits: inherited.limits.clone(),
            output: directory.join(output),
            former: directory.join(format!("{output}.former")),
            bell: self.home.bell(),
            timeout,
            stop,
            made_of: Vec::new(),
        };
        let sealed = spec.seal()?;
        Ok(spawn::worker(record.as_fd(), record.path(), sealed.as_fd())?.0)
    }

    fn command_line(&self, job: JobId, direction: Direction) -> Vec<Vec<u8>> {
        let job = job.to_string();
        let folder: &Path = self.home.root();
        let words = [OsStr::from_bytes(spawn::STAGE_DOOR.to_bytes()), folder.as_os_str(), OsStr::new(&job)];
        let words = [OsStr::new("jobexec")].into_iter().chain(words).chain([OsStr::new(direction.as_str())]);
        words.map(|word| word.as_bytes().to_vec()).collect()
    }

    /// Claims a run that transfers what is due for a job, if it still waits for that; the name of the run's output.
    fn claim_transfer(
        &mut self,
        Job { row: job, given, .. }: &Job,
        direction: Direction,
        run: RunId,
        asker: &Asker,
    ) -> Result<Option<String>, ExecutorError> {
        let now = clock::now();
        let task = given.task.as_deref().map(TaskName::parse).transpose();
        let task = task.map_err(|error| StoreError::Impossible(error.to_string()))?;
        self.store.write(Durability::Committed, |tx| {
            let fresh = jobs::find(tx, job.id)?.filter(|fresh| fresh.state == job.state && !fresh.held);
            if fresh.is_none() || runs::unfinished_of_job(tx, job.id)?.is_some() {
                return Ok(None);
            }
            stored::call_up(tx, job.id, direction)?;
            let before = runs::of_job(tx, job.id)?;
            let before = before.iter().filter(|run| run.kind == Kind::Transfer.as_str()).count();
            let number = u32::try_from(before + 1).unwrap_or(u32::MAX);
            let name = format!("transfer-{number}.txt");
            let new = NewRun {
                id: run,
                job: job.id,
                task: task.as_ref(),
                kind: Kind::Transfer,
                attempt: number,
                asked_by: &asker.name,
                archive: &name,
                scheduled: job.scheduled,
                slot: None,
                holds: None,
            };
            runs::create(tx, &new, now)?;
            Ok(Some(name))
        })
    }

    /// Records that what is due for a job could not even begin to be transferred.
    pub fn postpone_transfers(&mut self, job: JobId, reason: &str) -> Result<(), ExecutorError> {
        let (home, now) = (&self.home, clock::now());
        Ok(self.store.write(Durability::Committed, |tx| -> Result<(), LedgerError> {
            let ledger = Ledger { tx, home, now };
            ledger.postpone_transfers(&ledger.job_row(job)?, reason)
        })?)
    }
}

impl Ledger<'_> {
    /// Brings the items of a job that is run again into line with the definition that it follows now. What has stayed
    /// the same stays as it stands.
    pub(super) fn renew_items(&self, job: JobId, definition: &Task) -> Result<(), ExecutorError> {
        let before = stored::of_job(self.tx, job)?;
        if before.is_empty() && definition.transfers.is_empty() {
            return Ok(());
        }
        let given = before.iter().filter(|item| item.given && definition.transfers.contains_key(&item.name));
        let given = given.map(|item| (item.name.clone(), item.remote.clone())).collect();
        let params = queue::given(self.tx, job)?.words().unwrap_or_default();
        let now = items(definition, &given, &values(definition, &params))?;
        for gone in before.iter().filter(|item| !now.iter().any(|new| new.name == item.name)) {
            stored::remove(self.tx, job, &gone.name)?;
        }
        for new in &now {
            let same = before.iter().find(|item| item.is_same(new));
            let item = match same {
                Some(item) => Item { required: new.required, ..item.clone() },
                None => new.clone(),
            };
            stored::put(self.tx, job, &item)?;
        }
        Ok(())
    }
}
