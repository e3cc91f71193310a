//! The supervisor's starts: of what is wanted and due again. Nobody waits for an answer: a worker's record tells how
//! far it has come, and the bell that it has come further.

use std::sync::Arc;

use crate::domain::evidence::{Ended, Entry, Record};
use crate::domain::name::{RunId, TaskName};
use crate::domain::outcome::Outcome;
use crate::domain::task::Task;
use crate::process::environment::Inherited;
use crate::process::random;
use crate::process::record::RecordFile;
use crate::store::{Durability, StoreError, jobs, runs};

use super::claim::{Candidate, Claim, Why};
use super::ledger::Ledger;
use super::start::{Ready, batch_size, look};
use super::{Asker, Executor, ExecutorError};

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
    /// It runs already, or is no longer to be started.
    NotDue,
    /// It could not be started, which is on record.
    Refused(String),
    /// Our own part failed; nothing is on record beyond what the run's record says.
    Failed(ExecutorError),
}

/// A task that was looked at.
enum Looked<'a> {
    Ready(Box<Ready<'a>>),
    /// It cannot be run as it stands.
    Refused(Candidate<'a>, String),
    Answered(Again),
}

impl Executor {
    /// Starts tasks that are due again. What a task inherits that has never had a job is `ours`.
    pub fn start_again(
        &mut self,
        these: &[Arc<Task>],
        exec_id: &str,
        ours: &Inherited,
        asker: &Asker,
    ) -> Result<Vec<(TaskName, Again)>, ExecutorError> {
        let mut told = Vec::with_capacity(these.len());
        for batch in these.chunks(batch_size()) {
            let looked: Vec<Looked<'_>> = batch
                .iter()
                .map(|task| self.look_again(task, ours).unwrap_or_else(|error| Looked::Answered(Again::Failed(error))))
                .collect();
            let claims = self.claim_again(&looked, asker)?;
            for ((task, looked), claim) in batch.iter().zip(looked).zip(claims) {
                told.push((task.name.clone(), self.begin_again(looked, claim, exec_id)));
            }
        }
        Ok(told)
    }

    fn look_again<'a>(&self, task: &'a Task, ours: &Inherited) -> Result<Looked<'a>, ExecutorError> {
        let (job, run) = self.current(&task.name)?;
        if run.is_some() {
            return Ok(Looked::Answered(Again::NotDue));
        }
        // Whoever made the job wanted it to run in their surroundings, also when another job takes its place.
        let inherited = match &job {
            Some(job) => Inherited::decode(&jobs::environment_of(self.store.reader(), job)?)?,
            None => ours.clone(),
        };
        let run = RunId::from_random(random::bytes()?);
        let candidate = Candidate { task, stored: inherited.encode()?, goes_on: job.map(|job| job.id), run };
        let (plan, variables) = match look(task, &inherited) {
            Ok(looked) => looked,
            Err(error) => return Ok(Looked::Refused(candidate, error.to_string())),
        };
        let record = RecordFile::create(&self.home.record(run), &Entry::Prepared { run, place: self.here.clone() })?;
        Ok(Looked::Ready(Box::new(Ready { candidate, plan, variables, inherited, record })))
    }

    /// One transaction: each task that is ready has a run of its own; one that cannot be run has one that could not
    /// start.
    fn claim_again(&mut self, looked: &[Looked<'_>], asker: &Asker) -> Result<Vec<Option<Claim>>, ExecutorError> {
        let (home, now) = (&self.home, crate::process::clock::now());
        let claimed = self.store.write(Durability::Committed, |tx| {
            let ledger = Ledger { tx, home, now };
            let claim = |looked: &Looked<'_>| match looked {
                Looked::Ready(ready) => ledger.claim(&ready.candidate, Why::Due, asker).map(Some),
                Looked::Refused(candidate, error) => ledger.refuse(candidate, error, asker).map(Some),
                Looked::Answered(_) => Ok(None),
            };
            looked.iter().map(claim).collect::<Result<Vec<_>, ExecutorError>>()
        });
        if claimed.is_err() {
            for looked in looked {
                if let Looked::Ready(ready) = looked {
                    let _ = std::fs::remove_file(ready.record.path());
                }
            }
        }
        claimed
    }

    fn begin_again(&self, looked: Looked<'_>, claim: Option<Claim>, exec_id: &str) -> Again {
        match (looked, claim) {
            (Looked::Ready(ready), Some(Claim::Claimed { job, former })) => {
                let run = ready.candidate.run;
                match self.spawn(&ready, &job, exec_id, &former) {
                    Ok((worker, _)) => Again::Spawned { run, worker },
                    Err(error) => Again::Failed(error.into()),
                }
            }
            (Looked::Ready(ready), Some(Claim::Already) | None) => {
                let _ = std::fs::remove_file(ready.record.path());
                Again::NotDue
            }
            (Looked::Refused(_, error), Some(Claim::Claimed { .. })) => Again::Refused(error),
            (Looked::Refused(_, _), Some(Claim::Already) | None) => Again::NotDue,
            (Looked::Answered(answer), _) => answer,
        }
    }
}

impl Ledger<'_> {
    /// Claims a run for a task that cannot be run, and records at once that it could not start.
    fn refuse(&self, one: &Candidate<'_>, error: &str, asker: &Asker) -> Result<Claim, ExecutorError> {
        let claim = self.claim(one, Why::Due, asker)?;
        if matches!(claim, Claim::Claimed { .. }) {
            let run = runs::find(self.tx, one.run)?
                .ok_or_else(|| StoreError::Impossible(format!("run {} is gone", one.run)))?;
            let end = Ended::unseen(Outcome::CouldNotStart { error: error.to_owned() });
            self.settle(&run, &Record::default(), &end)?;
        }
        Ok(claim)
    }
}
