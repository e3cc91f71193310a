//! What the supervisor does at once for a job of `start` or of a schedule: its hooks, and its run once it is prepared.
//! They wait for no slot; workers execute them like any other run.

use std::os::unix::ffi::OsStrExt;

use crate::domain::evidence::{Ended, Record};
use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, RunId};
use crate::domain::outcome::Outcome;
use crate::domain::params::{self, Values};
use crate::domain::task::Task;
use crate::ledger::Ledger;
use crate::ledger::hooks::{self, hook_of};
use crate::ledger::queue::Claimed;
use crate::process::clock;
use crate::process::environment::{Inherited, Variables};
use crate::process::launch::{self, Plan};
use crate::store::runs::{self, Kind};
use crate::store::{Durability, jobs, tasks};

use super::again::{Again, Looked, Spare, Starter, unneeded};
use super::claim::Why;
use super::staging::{Beside, make_directory};
use super::{Executor, ExecutorError, Job};

impl Executor {
    /// Goes on with a job of `start` or of a schedule: with its hook, or with its run. One that is run again follows
    /// `newest`, its task as it is defined now.
    pub fn go_on(
        &mut self,
        id: JobId,
        newest: Option<&Task>,
        starter: Starter<'_>,
        spare: &mut Option<Spare>,
    ) -> Result<Again, ExecutorError> {
        let job = self.job(id)?;
        match hook_of(job.row.state) {
            Some(kind) => self.begin_hook(&job, kind, starter),
            None => self.begin_prepared(&job, newest, starter, spare),
        }
    }

    /// Begins the run of a job that is prepared, in the surroundings and with the definition that it was made with, or of
    /// one that is run again.
    fn begin_prepared(
        &mut self,
        job: &Job,
        newest: Option<&Task>,
        starter: Starter<'_>,
        spare: &mut Option<Spare>,
    ) -> Result<Again, ExecutorError> {
        let task = match newest.filter(|_| job.row.state == State::RestartReady) {
            Some(newest) => newest.clone(),
            None => jobs::definition_of(self.store.reader(), &job.row)?,
        };
        let inherited = Inherited::decode(&jobs::environment_of(self.store.reader(), &job.row)?)?;
        let (looked, why) = (self.make_ready_again(&task, inherited, None, spare)?, Why::Prepared(job.row.id));
        let home = &self.home;
        let claimed = self.store.write(Durability::Committed, |tx| {
            let ledger = Ledger { tx, home, now: clock::now() };
            match &looked {
                Looked::Ready(ready) => ledger.claim(&ready.candidate, why, starter.asker).map(Some),
                Looked::Refused(one, error) => ledger.refuse(one, error, why, starter.asker).map(Some),
                Looked::Answered(_) => Ok(None),
            }
        });
        if let (Err(_), Looked::Ready(ready)) = (&claimed, &looked) {
            unneeded(ready.record.path());
        }
        Ok(self.begin_again(looked, claimed?, starter.exec_id))
    }

    /// Begins the hook that a job waits for. One that cannot be run has failed.
    fn begin_hook(&mut self, job: &Job, kind: Kind, starter: Starter<'_>) -> Result<Again, ExecutorError> {
        let workdir = self.workdir_of(job);
        for path in [&workdir, &self.home.job_directory(job.row.id)] {
            make_directory(path)?;
        }
        let inherited = Inherited::decode(&jobs::environment_of(self.store.reader(), &job.row)?)?;
        let definition = jobs::definition_of(self.store.reader(), &job.row)?;
        let planned = planned(&definition, kind, job, &workdir, &inherited);
        let (run, record) = self.prepare_run()?;
        let claimed = self.claim_hook(job, kind, run, planned.as_ref().err().map(String::as_str));
        if !matches!((&claimed, &planned), (Ok(Some(_)), Ok(_))) {
            unneeded(record.path());
        }
        let Some(claimed) = claimed? else { return Ok(Again::NotDue) };
        let (task, plan, variables) = match planned {
            Ok(planned) => planned,
            Err(error) => return Ok(Again::Refused(format!("its hook {}: {error}", kind.as_str()))),
        };
        let beside = Beside {
            job,
            run,
            attempt: claimed.attempt,
            output: &claimed.output,
            wd: &workdir,
            program: plan.program.as_os_str().as_bytes().to_vec(),
            argv: plan.argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
            variables,
            timeout: task.timeout,
            stop: task.stop,
        };
        let worker = self.spawn_beside(beside, &inherited, &record, starter.exec_id)?;
        Ok(Again::Spawned { run, worker })
    }

    /// Claims a run for the hook of a job, if that still waits for it. One that `cannot` be run has failed at once.
    fn claim_hook(
        &mut self,
        job: &Job,
        kind: Kind,
        run: RunId,
        cannot: Option<&str>,
    ) -> Result<Option<Claimed>, ExecutorError> {
        let home = &self.home;
        self.store.write(Durability::Committed, |tx| -> Result<_, ExecutorError> {
            let ledger = Ledger { tx, home, now: clock::now() };
            let fresh = ledger.job_row(job.row.id)?;
            let task = jobs::definition_of(tx, &fresh)?.name;
            let wanted = tasks::find(tx, &task)?.is_some_and(|row| row.wanted);
            if !wanted || hook_of(fresh.state) != Some(kind) || runs::unfinished_of_job(tx, fresh.id)?.is_some() {
                return Ok(None);
            }
            let claimed = ledger.claim_hook(None, run, fresh.id)?;
            if let Some((error, row)) = cannot.zip(runs::find(tx, run)?) {
                let end = Ended::unseen(Outcome::CouldNotStart { error: error.to_owned() });
                ledger.settle(&row, &Record::default(), &end)?;
            }
            Ok(claimed)
        })
    }
}

/// What a hook executes, and with which variables; why it cannot be run, where that is so.
fn planned(
    definition: &Task,
    kind: Kind,
    job: &Job,
    workdir: &std::path::Path,
    inherited: &Inherited,
) -> Result<(Task, Plan, Variables), String> {
    let filled = params::of_job(definition, &Values::new()).map_err(|error| error.to_string())?;
    let task = hooks::as_task(&filled, kind, workdir);
    let (plan, mut variables) = launch::prepare(&task, inherited).map_err(|error| error.to_string())?;
    let told = hooks::told(&job.row, job.given.exit_code, kind);
    variables.extend(told.map(|(key, value)| (key.into(), value.into())));
    Ok((task, plan, variables))
}
