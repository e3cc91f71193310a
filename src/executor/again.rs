//! The supervisor's starts: of what is wanted and due again. Nobody waits for an answer: a worker's record tells how
//! far it has come, and the bell that it has come further.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use crate::domain::evidence::{Ended, Entry, Record};
use crate::domain::name::{JobId, RunId, TaskName};
use crate::domain::outcome::Outcome;
use crate::domain::resources::HeldLock;
use crate::domain::task::Task;
use crate::process::environment::Inherited;
use crate::process::record::RecordFile;
use crate::process::{clock, launch, random, spawn};
use crate::store::{Durability, StoreError, jobs, runs};

use super::claim::{Candidate, Claim, Why, run_in_the_way};
use super::look::look_at_all;
use super::start::{Ready, batch_size};
use super::{Asker, Executor, ExecutorError};
use crate::ledger::{EndedRun, Ledger};

/// What became of the supervisor's start of a task.
#[derive(Debug)]
pub enum Again {
    /// Its worker has been spawned.
    Spawned {
        /// The run.
        run: RunId,
        /// The worker's pid.
        worker: i32,
    },
    /// It has a new job, for which something else comes first.
    Begun(JobId),
    /// It runs already, or is no longer to be started.
    NotDue,
    /// It could not be started, which is on record.
    Refused(String),
    /// It cannot have a lock that it needs; nothing is on record.
    Locked(HeldLock),
    /// Our own part failed; nothing is on record beyond what the run's record says.
    Failed(ExecutorError),
}

/// On whose behalf, and with what, the supervisor starts tasks.
#[derive(Debug, Clone, Copy)]
pub struct Starter<'a> {
    /// The executor's id.
    pub exec_id: &'a str,
    /// What a task inherits that has never had a job.
    pub inherited: &'a Inherited,
    /// Who asks.
    pub asker: &'a Asker,
}

/// A run that is only prepared, with a worker that waits to be told what to run: the next start need not wait for the
/// spawn of one. Nothing is claimed for it; it ends when this is dropped.
#[derive(Debug)]
pub struct Spare {
    run: RunId,
    record: RecordFile,
    worker: spawn::Spare,
}

impl Spare {
    /// Lets it go; the pid of its worker, which is just ending.
    pub fn dismiss(self) -> i32 {
        unneeded(self.record.path());
        self.worker.pid
    }
}

/// The supervisor's answers.
pub type AgainAnswers = Vec<(TaskName, Again)>;

/// A task that was looked at.
pub(super) enum Looked<'a> {
    Ready(Box<Ready<'a>>),
    /// It cannot be run as it stands.
    Refused(Candidate<'a>, String),
    Answered(Again),
}

impl Executor {
    /// Prepares a run for whatever is started next.
    pub fn prepare_spare(&self) -> Result<Spare, ExecutorError> {
        let (run, record) = self.prepare_run()?;
        match spawn::Spare::spawn(record.as_fd(), record.path()) {
            Ok(worker) => Ok(Spare { run, record, worker }),
            Err(error) => {
                unneeded(record.path());
                Err(error.into())
            }
        }
    }

    pub(super) fn prepare_run(&self) -> Result<(RunId, RecordFile), ExecutorError> {
        let run = random::run_id()?;
        let first = Entry::Prepared { run, place: self.here().clone() };
        Ok((run, RecordFile::create(&self.home.record(run), &first)?))
    }

    /// Starts tasks that are due again, the first of them with the spare worker where there is one.
    pub fn start_again(
        &mut self,
        these: &[Arc<Task>],
        starter: Starter<'_>,
        spare: &mut Option<Spare>,
    ) -> Result<AgainAnswers, ExecutorError> {
        let mut told = Vec::with_capacity(these.len());
        for batch in these.chunks(batch_size()) {
            told.extend(self.turn(&[], batch, Why::Due, starter, spare)?.1);
        }
        Ok(told)
    }

    /// Brings runs that have ended into the database, and in the same transaction starts those of these tasks again
    /// that are due at once. The records of the runs stay until [`Executor::forget_records`].
    pub fn settle(
        &mut self,
        ended: &[EndedRun],
        these: &[Arc<Task>],
        starter: Starter<'_>,
        spare: &mut Option<Spare>,
    ) -> Result<(Vec<RunId>, AgainAnswers), ExecutorError> {
        let these = these.get(..batch_size()).unwrap_or(these);
        match self.turn(ended, these, Why::DueNow, starter, spare) {
            // What keeps a task from being started keeps no other's end from being known.
            Err(_) if !these.is_empty() => self.turn(ended, &[], Why::DueNow, starter, spare),
            other => other,
        }
    }

    fn turn(
        &mut self,
        ended: &[EndedRun],
        these: &[Arc<Task>],
        why: Why,
        starter: Starter<'_>,
        spare: &mut Option<Spare>,
    ) -> Result<(Vec<RunId>, AgainAnswers), ExecutorError> {
        let mut look = |task| self.look_again(task, ended, starter.inherited, spare);
        let looked: Vec<Looked<'_>> = these
            .iter()
            .map(|task| look(task).unwrap_or_else(|error| Looked::Answered(Again::Failed(error))))
            .collect();
        let home = &self.home;
        let written = self.store.write(Durability::Committed, |tx| {
            // Not before its turn has come: what is recorded comes after what others have recorded.
            let ledger = Ledger { tx, home, now: clock::now() };
            let settled = ledger.settle_all(ended)?;
            let claim = |looked: &Looked<'_>| match looked {
                Looked::Ready(ready) => ledger.claim(&ready.candidate, why, starter.asker).map(Some),
                Looked::Refused(candidate, error) => ledger.refuse(candidate, error, why, starter.asker).map(Some),
                Looked::Answered(_) => Ok(None),
            };
            Ok((settled, looked.iter().map(claim).collect::<Result<Vec<_>, ExecutorError>>()?))
        });
        let (settled, claims) = match written {
            Ok(written) => written,
            Err(error) => {
                // Nothing was recorded, so nothing needs the records.
                for looked in &looked {
                    if let Looked::Ready(ready) = looked {
                        unneeded(ready.record.path());
                    }
                }
                return Err(error);
            }
        };
        let answer = |((task, looked), claim): ((&Arc<Task>, _), _)| {
            (task.name.clone(), self.begin_again(looked, claim, starter.exec_id))
        };
        Ok((settled, these.iter().zip(looked).zip(claims).map(answer).collect()))
    }

    fn look_again<'a>(
        &self,
        task: &'a Task,
        ended: &[EndedRun],
        ours: &Inherited,
        spare: &mut Option<Spare>,
    ) -> Result<Looked<'a>, ExecutorError> {
        let (job, _) = self.current(&task.name)?;
        let run = run_in_the_way(self.store.reader(), Some(task), &task.name, job.as_ref())?;
        if run.is_some_and(|run| !ended.iter().any(|(row, _, _)| row.id == run.id)) {
            return Ok(Looked::Answered(Again::NotDue));
        }
        // Whoever made the job wanted it to run in their surroundings, also when another job takes its place.
        let inherited = match &job {
            Some(job) => Inherited::decode(&jobs::environment_of(self.store.reader(), job)?)?,
            None => ours.clone(),
        };
        self.make_ready_again(task, inherited, job.map(|job| job.id), spare)
    }

    /// Prepares a run of a task, or finds that it cannot be run as it stands.
    pub(super) fn make_ready_again<'a>(
        &self,
        task: &'a Task,
        inherited: Inherited,
        goes_on: Option<JobId>,
        spare: &mut Option<Spare>,
    ) -> Result<Looked<'a>, ExecutorError> {
        let stored = inherited.encode()?;
        let made_of = launch::made_of(task);
        let (plan, variables, items) = match look_at_all(task, &inherited) {
            Ok(looked) => looked,
            Err(error) => {
                let run = random::run_id()?;
                let candidate = Candidate { task, stored, goes_on, items: Vec::new(), run };
                return Ok(Looked::Refused(candidate, error.to_string()));
            }
        };
        let (run, record, spare) = match spare.take() {
            Some(Spare { run, record, worker }) => (run, record, Some(worker)),
            None => self.prepare_run().map(|(run, record)| (run, record, None))?,
        };
        let candidate = Candidate { task, stored, goes_on, items, run };
        Ok(Looked::Ready(Box::new(Ready { candidate, plan, variables, inherited, record, made_of, spare })))
    }

    pub(super) fn begin_again(&self, looked: Looked<'_>, claim: Option<Claim>, exec_id: &str) -> Again {
        match (looked, claim) {
            (Looked::Ready(mut ready), Some(Claim::Claimed { job, former })) => {
                let run = ready.candidate.run;
                let spec = self.spec(&ready, &job, exec_id, &former);
                let spare = ready.spare.take().and_then(|spare| spare.begin(&spec).ok());
                let spawned = match spare {
                    Some(worker) => Ok(worker),
                    // There is none, or somebody has killed it.
                    None => spec.seal().and_then(|sealed| {
                        Ok(spawn::worker(ready.record.as_fd(), ready.record.path(), sealed.as_fd())?.0)
                    }),
                };
                spawned.map_or_else(|error| Again::Failed(error.into()), |worker| Again::Spawned { run, worker })
            }
            (Looked::Ready(ready), Some(Claim::Already) | None) => {
                unneeded(ready.record.path());
                Again::NotDue
            }
            (Looked::Ready(ready), Some(Claim::Locked(held))) => {
                unneeded(ready.record.path());
                Again::Locked(held)
            }
            (Looked::Refused(_, _), Some(Claim::Locked(held))) => Again::Locked(held),
            (Looked::Ready(ready), Some(Claim::Begun(job, _))) => {
                unneeded(ready.record.path());
                Again::Begun(job)
            }
            (Looked::Refused(_, _), Some(Claim::Begun(job, _))) => Again::Begun(job),
            (Looked::Refused(_, error), Some(Claim::Claimed { .. })) => Again::Refused(error),
            (Looked::Refused(_, _), Some(Claim::Already) | None) => Again::NotDue,
            (Looked::Answered(answer), _) => answer,
        }
    }
}

/// Removes the record of a run that was never recorded. One that stays is removed by whoever tidies up.
pub(super) fn unneeded(record: &Path) {
    let _ = std::fs::remove_file(record);
}

impl Ledger<'_> {
    /// Claims a run for a task that cannot be run, and records at once that it could not start.
    pub(super) fn refuse(
        &self,
        one: &Candidate<'_>,
        error: &str,
        why: Why,
        asker: &Asker,
    ) -> Result<Claim, ExecutorError> {
        let claim = self.claim(one, why, asker)?;
        if matches!(claim, Claim::Claimed { .. }) {
            let run = runs::find(self.tx, one.run)?
                .ok_or_else(|| StoreError::Impossible(format!("run {} is gone", one.run)))?;
            let end = Ended::unseen(Outcome::CouldNotStart { error: error.to_owned() });
            self.settle(&run, &Record::default(), &end)?;
        }
        Ok(claim)
    }
}
