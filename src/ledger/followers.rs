//! What the end of a job, or its being run again, means for the jobs that wait for it.

use std::collections::HashSet;

use serde_json::json;

use crate::domain::edge::Progress;
use crate::domain::lifecycle::{Input, Parents, Policy, State, step};
use crate::domain::name::JobId;
use crate::domain::task::Task;
use crate::store::jobs::{self, Change, JobRow};
use crate::store::{StoreError, events, queue, runs};

use super::hooks::hooked;
use super::{Ledger, LedgerError};

/// How a job is run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Again {
    /// Followers that have ended stay as they are.
    pub only: bool,
    /// From its beginning, inputs and preparation included.
    pub clean: bool,
}

impl Ledger<'_> {
    /// What there is to do for a queued job besides running it.
    pub fn policy_of(&self, job: &JobRow, definition: &Task) -> Policy {
        let parents = match (job.unmet, job.culprit) {
            (_, Some(_)) => Parents::Broken,
            (0, None) => Parents::Met,
            (_, None) => Parents::Waiting,
        };
        Policy {
            retries: definition.retries,
            used: job.retries_used,
            parents,
            has_run: job.attempt > 0,
            hooks: hooked(definition),
            ..Policy::default()
        }
    }

    /// A job that must be there.
    pub fn job_row(&self, job: JobId) -> Result<JobRow, LedgerError> {
        let found = jobs::find(self.tx, job)?;
        Ok(found.ok_or_else(|| StoreError::Impossible(format!("job {job} is gone")))?)
    }

    /// Tells the children of a job that has come into this state, and theirs where that ends what they wait for.
    pub fn tell_children(&self, job: JobId, state: State) -> Result<(), LedgerError> {
        if !state.is_end() && state != State::Blocked {
            return Ok(());
        }
        // Not by recursion: a chain may be long.
        let mut told = vec![(job, state)];
        while let Some((parent, state)) = told.pop() {
            for edge in queue::children(self.tx, parent)? {
                let child = self.job_row(edge.job)?;
                let moved = match edge.kind.progress(state) {
                    Progress::Met if !edge.met => {
                        queue::set_met(self.tx, child.id, parent, true)?;
                        self.look_at_parents(&child, child.unmet.saturating_sub(1), None, parent)?
                    }
                    Progress::Broken if child.culprit.is_none() && child.state != State::Blocked => {
                        let culprit = self.job_row(parent)?.culprit.unwrap_or(parent);
                        self.block(&child, culprit, edge.kind.code_when_broken(state))?
                    }
                    Progress::Met | Progress::Broken | Progress::Waiting => None,
                };
                told.extend(moved.map(|state| (child.id, state)));
            }
        }
        Ok(())
    }

    /// Records how many parents a job waits for, and moves it on where it waits for none any more.
    fn look_at_parents(
        &self,
        job: &JobRow,
        unmet: u32,
        culprit: Option<JobId>,
        parent: JobId,
    ) -> Result<Option<State>, LedgerError> {
        queue::set_unmet(self.tx, job.id, unmet, culprit)?;
        if unmet > 0 || job.state != State::AwaitingParents {
            return Ok(None);
        }
        let job = JobRow { unmet, culprit, ..job.clone() };
        let reason = format!("job {parent}, the last that it waited for, has ended");
        self.advance(&job, Input::Settled, "parents_done", &reason).map(Some)
    }

    fn block(&self, job: &JobRow, culprit: JobId, code: &'static str) -> Result<Option<State>, LedgerError> {
        queue::set_unmet(self.tx, job.id, job.unmet, Some(culprit))?;
        if job.state != State::AwaitingParents {
            return Ok(None);
        }
        let job = JobRow { culprit: Some(culprit), ..job.clone() };
        self.advance(&job, Input::Settled, code, &self.why_blocked(culprit, code)?).map(Some)
    }

    /// Why a job is blocked, in words.
    pub fn why_blocked(&self, culprit: JobId, code: &str) -> Result<String, LedgerError> {
        let state = self.job_row(culprit)?.state;
        Ok(match code {
            "not_needed" => format!("not needed: job {culprit} has finished"),
            _ => format!("job {culprit}, which it waits for, is {state}"),
        })
    }

    /// Moves a queued job on and records it; the state in which it is then.
    pub fn advance(&self, job: &JobRow, input: Input, cause: &str, reason: &str) -> Result<State, LedgerError> {
        let definition = jobs::definition_of(self.tx, job)?;
        let path = step(job.state, input, self.policy_of(job, &definition))?;
        let Some(state) = path.last().copied() else { return Ok(job.state) };
        let says_why = matches!(state, State::Blocked | State::Cancelled | State::Failed);
        let change = Change {
            state,
            code: says_why.then_some(cause),
            reason: says_why.then_some(reason),
            attempt: job.attempt,
            retries_used: job.retries_used,
            not_before: job.not_before.filter(|_| !state.is_end()),
            exit: None,
        };
        jobs::change(self.tx, job.id, &change, self.now)?;
        let task = queue::given(self.tx, job.id)?.task;
        let event = events::NewEvent {
            job: Some(job.id),
            task: task.as_deref(),
            states: Some((job.state, state)),
            cause,
            data: json!({ "reason": reason, "through": path.iter().map(|state| state.as_str()).collect::<Vec<_>>() }),
        };
        events::record(self.tx, &event, self.now)?;
        Ok(state)
    }

    /// Runs an ended job again, and has those wait again that waited for it.
    pub fn rerun(&self, job: &JobRow, how: Again, by: &str) -> Result<State, LedgerError> {
        if !how.only {
            self.check_no_follower_runs(job.id)?;
        }
        let input = if how.clean { Input::RerunClean } else { Input::Rerun };
        let fresh = JobRow { retries_used: 0, not_before: None, ..job.clone() };
        let state = self.advance(&fresh, input, "rerun", &format!("run again by {by}"))?;
        let mut again = vec![job.id];
        while let Some(parent) = again.pop() {
            for edge in queue::children(self.tx, parent)? {
                let child = self.job_row(edge.job)?;
                if child.state.is_end() && how.only {
                    continue;
                }
                queue::set_met(self.tx, child.id, parent, false)?;
                if self.wait_again(&child, parent)? {
                    again.push(child.id);
                }
            }
        }
        Ok(state)
    }

    /// Has those wait again that are blocked because of a job that no longer is, and theirs.
    pub fn unblock_children(&self, job: JobId) -> Result<(), LedgerError> {
        let mut again = vec![job];
        while let Some(parent) = again.pop() {
            for edge in queue::children(self.tx, parent)? {
                let child = self.job_row(edge.job)?;
                if child.state == State::Blocked && self.wait_again(&child, parent)? {
                    again.push(child.id);
                }
            }
        }
        Ok(())
    }

    /// A parent of this job is run again; whether the job waits again because of that.
    fn wait_again(&self, job: &JobRow, parent: JobId) -> Result<bool, LedgerError> {
        let mut unmet = 0;
        let mut culprit = None;
        for edge in queue::parents(self.tx, job.id)? {
            unmet += u32::from(!edge.met);
            let parent = self.job_row(edge.job)?;
            if edge.kind.progress(parent.state) == Progress::Broken && culprit.is_none() {
                culprit = Some(parent.culprit.unwrap_or(parent.id));
            }
        }
        queue::set_unmet(self.tx, job.id, unmet, culprit)?;
        if culprit.is_some() {
            return Ok(false);
        }
        let job = JobRow { unmet, culprit, ..job.clone() };
        let state = self.advance(&job, Input::ParentAgain, "parent_again", &format!("job {parent} runs again"))?;
        Ok(state != job.state)
    }

    /// A follower that runs is not left without what it was started for.
    fn check_no_follower_runs(&self, job: JobId) -> Result<(), LedgerError> {
        let mut looked = vec![job];
        let mut seen = HashSet::new();
        while let Some(parent) = looked.pop() {
            for edge in queue::children(self.tx, parent)?.into_iter().filter(|edge| edge.met) {
                let child = self.job_row(edge.job)?;
                if child.state == State::Running || runs::unfinished_of_job(self.tx, child.id)?.is_some() {
                    return Err(LedgerError::FollowerRuns { job, follower: child.id });
                }
                if seen.insert(child.id) {
                    looked.push(child.id);
                }
            }
        }
        Ok(())
    }
}
