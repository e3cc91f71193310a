//! What the end of a job, or its being run again, means for the jobs that wait for it.

use std::collections::HashSet;

use serde_json::json;

use crate::domain::edge::Progress;
use crate::domain::lifecycle::{Input, Parents, Policy, State, step};
use crate::domain::name::JobId;
use crate::domain::task::Task;
use crate::domain::transfer::Direction;
use crate::store::jobs::{self, Change, JobRow};
use crate::store::{StoreError, events, queue, runs};

use super::front::GAVE_UP;
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
    /// What there is to do for a job besides running it.
    pub fn policy_of(&self, job: &JobRow, definition: &Task) -> Result<Policy, LedgerError> {
        if let Some(row) = self.task_of(job, definition)? {
            let gave_up = job.code.as_deref() == Some(GAVE_UP);
            return self.front_policy(job, definition, &row, gave_up);
        }
        Ok(Policy {
            retries: definition.retries,
            used: job.retries_used,
            parents: Parents::of(job.unmet, job.culprit.is_some()),
            stage_in: self.is_outstanding(job, definition, Direction::In)?,
            stage_out: self.is_outstanding(job, definition, Direction::Out)?,
            has_run: job.attempt > 0,
            hooks: hooked(definition),
            ..Policy::default()
        })
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
                        self.look_at_parents(&child, parent)?
                    }
                    Progress::Broken if child.culprit.is_none() && child.state != State::Blocked => {
                        let culprit = culprit_of(&self.job_row(parent)?);
                        self.block(&child, culprit, edge.kind.code_when_broken(state))?
                    }
                    Progress::Met | Progress::Broken | Progress::Waiting => None,
                };
                told.extend(moved.map(|state| (child.id, state)));
            }
        }
        Ok(())
    }

    /// Moves a job on that waits for one parent less: for none any more, or for others again than the one because of
    /// which it could not run.
    fn look_at_parents(&self, job: &JobRow, parent: JobId) -> Result<Option<State>, LedgerError> {
        let unmet = job.unmet.saturating_sub(1);
        let of_parent = |culprit: JobId| -> Result<bool, LedgerError> {
            Ok(culprit == parent || self.job_row(parent)?.culprit == Some(culprit))
        };
        let culprit = match job.culprit {
            Some(culprit) if of_parent(culprit)? => self.standing(job.id)?.1,
            other => other,
        };
        queue::set_unmet(self.tx, job.id, unmet, culprit)?;
        let was_blocked = job.state == State::Blocked;
        let moves = culprit.is_none() && (was_blocked || (unmet == 0 && job.state == State::AwaitingParents));
        if !moves {
            return Ok(None);
        }
        let job = JobRow { unmet, culprit, ..job.clone() };
        let state = if unmet == 0 {
            let reason = format!("job {parent}, the last that it waited for, has ended");
            self.advance(&job, Input::Settled, "parents_done", &reason)?
        } else {
            self.advance(&job, Input::Settled, "parent_ended", &format!("job {parent} has ended"))?
        };
        if was_blocked {
            self.wait_again_below(job.id, true)?;
        }
        Ok(Some(state))
    }

    /// How many parents a job waits for, and because of whom it cannot run.
    fn standing(&self, job: JobId) -> Result<(u32, Option<JobId>), LedgerError> {
        let (mut unmet, mut culprit) = (0, None);
        for edge in queue::parents(self.tx, job)? {
            unmet += u32::from(!edge.met);
            let parent = self.job_row(edge.job)?;
            if culprit.is_none() && edge.kind.progress(parent.state) == Progress::Broken {
                culprit = Some(culprit_of(&parent));
            }
        }
        Ok((unmet, culprit))
    }

    /// Why a job cannot run because of this one: the code, and the same in words.
    fn why_not(&self, job: JobId, culprit: JobId) -> Result<(&'static str, String), LedgerError> {
        let mut code = "parent_failed";
        for edge in queue::parents(self.tx, job)? {
            let parent = self.job_row(edge.job)?;
            if edge.kind.progress(parent.state) == Progress::Broken && culprit_of(&parent) == culprit {
                code = edge.kind.code_when_broken(parent.state);
                break;
            }
        }
        Ok((code, self.why_blocked(culprit, code)?))
    }

    fn block(&self, job: &JobRow, culprit: JobId, code: &'static str) -> Result<Option<State>, LedgerError> {
        if !matches!(job.state, State::AwaitingParents | State::Created) {
            return Ok(None);
        }
        queue::set_unmet(self.tx, job.id, job.unmet, Some(culprit))?;
        // A draft is blocked when it is released.
        if job.state == State::Created {
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
            _ => format!("job {culprit} before it is {state}"),
        })
    }

    /// Moves a queued job on and records it; the state in which it is then.
    pub fn advance(&self, job: &JobRow, input: Input, cause: &str, reason: &str) -> Result<State, LedgerError> {
        let definition = jobs::definition_of(self.tx, job)?;
        let path = step(job.state, input, self.policy_of(job, &definition)?)?;
        let Some(state) = path.last().copied() else { return Ok(job.state) };
        // Whoever moves it may not know what keeps it from running.
        let blocked = job.culprit.filter(|_| state == State::Blocked);
        let blocked = blocked.map(|culprit| self.why_not(job.id, culprit)).transpose()?;
        let says_why = matches!(state, State::Cancelled | State::Failed);
        let change = Change {
            state,
            code: blocked.as_ref().map(|(code, _)| *code).or(says_why.then_some(cause)),
            reason: blocked.as_ref().map(|(_, reason)| reason.as_str()).or(says_why.then_some(reason)),
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
        self.stage_again(job, how.clean)?;
        // Those that it waits for may have been run again without it.
        for edge in queue::parents(self.tx, job.id)? {
            let met = edge.kind.progress(self.job_row(edge.job)?.state) == Progress::Met;
            if met != edge.met {
                queue::set_met(self.tx, job.id, edge.job, met)?;
            }
        }
        let (unmet, culprit) = self.standing(job.id)?;
        queue::set_unmet(self.tx, job.id, unmet, culprit)?;
        // Whoever wants it run again wants it to run, though it was held when it ended.
        queue::hold(self.tx, job.id, false)?;
        let fresh = JobRow { retries_used: 0, not_before: None, unmet, culprit, held: false, ..job.clone() };
        let state = self.advance(&fresh, input, "rerun", &format!("run again by {by}"))?;
        self.wait_again_below(job.id, how.only)?;
        Ok(state)
    }

    /// Has a job's files wiped, which is yet to be done; those that followed it wait again.
    pub fn begin_reset(&self, job: &JobRow, by: &str) -> Result<State, LedgerError> {
        self.check_no_follower_runs(job.id)?;
        let fresh = JobRow { retries_used: 0, not_before: None, ..job.clone() };
        self.stage_again(job, true)?;
        let state = self.advance(&fresh, Input::Reset, "reset", &format!("reset by {by}"))?;
        self.wait_again_below(job.id, false)?;
        Ok(state)
    }

    /// Has those wait again that follow a job, as far as that changes them; if `only`, none that runs or has ended.
    fn wait_again_below(&self, job: JobId, only: bool) -> Result<(), LedgerError> {
        let mut again = vec![job];
        while let Some(parent) = again.pop() {
            for edge in queue::children(self.tx, parent)? {
                let child = self.job_row(edge.job)?;
                if only && (child.state.is_end() || runs::unfinished_of_job(self.tx, child.id)?.is_some()) {
                    continue;
                }
                queue::set_met(self.tx, child.id, parent, false)?;
                if self.wait_again(&child, parent)? {
                    again.push(child.id);
                }
            }
        }
        Ok(())
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

    /// A parent of this job is run again, or is no longer blocked by whom it was; whether that means anything to those
    /// that follow this one.
    fn wait_again(&self, job: &JobRow, parent: JobId) -> Result<bool, LedgerError> {
        let (unmet, culprit) = self.standing(job.id)?;
        queue::set_unmet(self.tx, job.id, unmet, culprit)?;
        // It has as many retries as one that has never run.
        let retries_used = if job.state.is_end() { 0 } else { job.retries_used };
        let fresh = JobRow { retries_used, unmet, culprit, ..job.clone() };
        match culprit {
            // It stays blocked, because of another.
            Some(culprit) if job.state == State::Blocked && job.culprit != Some(culprit) => {
                let (code, reason) = self.why_not(job.id, culprit)?;
                jobs::say_why(self.tx, job.id, code, &reason)?;
                Ok(true)
            }
            Some(_) => Ok(false),
            None => {
                // What it was brought may have come from there.
                self.stage_again(job, true)?;
                let reason = format!("job {parent} runs again");
                let state = self.advance(&fresh, Input::ParentAgain, "parent_again", &reason)?;
                Ok(state != job.state)
            }
        }
    }

    /// A follower that runs is not left without what it was started for.
    fn check_no_follower_runs(&self, job: JobId) -> Result<(), LedgerError> {
        let mut looked = vec![job];
        let mut seen = HashSet::new();
        while let Some(parent) = looked.pop() {
            for edge in queue::children(self.tx, parent)? {
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

/// The first of those because of whom what waits for this job cannot run.
pub(super) fn culprit_of(parent: &JobRow) -> JobId {
    parent.culprit.filter(|_| parent.state == State::Blocked).unwrap_or(parent.id)
}
