//! The claim of a run: what makes a start happen at most once. Two claims of one task cannot both pass.

use serde_json::json;

use crate::domain::lifecycle::{Input, Policy, State, step};
use crate::domain::task::Restart;
use crate::store::jobs::{self, Change, Door, JobRow, NewJob};
use crate::store::runs::{self, NewRun};
use crate::store::{events, tasks};

use super::ledger::Ledger;
use super::start::Ready;
use super::{Asker, ExecutorError, output};

/// What a claim made of a task that was ready.
pub(super) enum Claim {
    /// It has an unfinished run.
    Already,
    /// It has this run now, of this job.
    Claimed {
        /// The job, as it was before.
        job: JobRow,
        /// The name under which what lies in the output's place is set aside.
        former: String,
    },
}

impl Ledger<'_> {
    /// Claims a run for a task, unless it has one. Two claims cannot both pass.
    pub(super) fn claim(&self, ready: &Ready<'_>, asker: &Asker) -> Result<Claim, ExecutorError> {
        let (tx, now) = (self.tx, self.now);
        let name = &ready.task.name;
        tasks::see(tx, name, now)?;
        tasks::want(tx, name, true, &asker.name, now)?;
        tasks::set_failure_streak(tx, name, 0)?;
        if runs::unfinished_of(tx, name)?.is_some() {
            return Ok(Claim::Already);
        }
        let job = self.job(ready, asker)?;
        let archive = output::free_archive(tx, self.home, name, now)?;
        let policy = Policy { restart: Restart::Never, retries: None, used: 0 };
        let mut path = Vec::new();
        let mut state = job.state;
        let inputs: &[Input] =
            if state == State::Created { &[Input::Settled, Input::Claimed] } else { &[Input::Claimed] };
        for input in inputs {
            path.extend(step(state, *input, policy)?);
            state = path.last().copied().unwrap_or(state);
        }
        let attempt = job.attempt + 1;
        // Retries are counted between starts that somebody asked for.
        let change = Change { state, code: None, reason: None, attempt, retries_used: 0 };
        jobs::change(tx, job.id, &change, now)?;
        let new = NewRun { id: ready.run, job: job.id, task: name, attempt, asked_by: &asker.name, archive: &archive };
        runs::create(tx, &new, now)?;
        // Only now is this run's archive taken, so that a foreign file is not set aside under that name.
        let former = output::former_archive(tx, self.home, name)?;
        let event = events::NewEvent {
            job: Some(job.id),
            task: Some(name.as_str()),
            states: Some((job.state, state)),
            cause: "started",
            data: json!({
                "by": asker.name,
                "run": ready.run.to_string(),
                "what": ready.task.program_text(),
                "through": path.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
            }),
        };
        events::record(tx, &event, now)?;
        Ok(Claim::Claimed { job, former: former.unwrap_or(archive) })
    }

    /// The job that is run: the one that waits to run again, with the newest definition, or a new one.
    fn job(&self, ready: &Ready<'_>, asker: &Asker) -> Result<JobRow, ExecutorError> {
        let (tx, now) = (self.tx, self.now);
        let name = &ready.task.name;
        let waiting = self.newest_job(name)?.filter(|job| job.state == State::RestartReady);
        if let Some(job) = &waiting {
            if ready.goes_on == Some(job.id) {
                jobs::redefine(tx, job.id, ready.task)?;
                return Ok(job.clone());
            }
            self.cancel(job, name, &format!("replaced by {}", asker.name))?;
        }
        let new = NewJob {
            task: ready.task,
            door: Door::Start,
            environment: &ready.stored,
            by: &asker.name,
            spawned_by: asker.job,
        };
        let job = jobs::create(tx, &new, now)?;
        tasks::set_job(tx, name, job.id)?;
        Ok(job)
    }
}
