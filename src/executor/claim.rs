//! The claim of a run: what makes a start happen at most once. Two claims of one task cannot both pass.

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use crate::domain::item::Item;
use crate::domain::lifecycle::{Input, Policy, State, step};
use crate::domain::name::{JobId, RunId, TaskName};
use crate::domain::notice::Occasion;
use crate::domain::resources::{HeldLock, Holds};
use crate::domain::restart::{Due, Standing, due, goes_on};
use crate::domain::schedule::Overlap;
use crate::domain::task::{Restart, Task};
use crate::domain::transfer::Direction;
use crate::store::jobs::{self, Change, Door, JobRow, NewJob};
use crate::store::runs::{self, RunRow};
use crate::store::tasks::{Form, TaskRow};
use crate::store::{StoreError, events, items, line, queue, tasks};

use super::{Asker, ExecutorError, output};
use crate::ledger::Ledger;
use crate::ledger::begin::Beginning;
use crate::ledger::hooks::{hook_of, hooked};
use crate::ledger::line::keys;
use crate::ledger::notice::Message;
use crate::ledger::output::free_archive;
use crate::ledger::queue::held_as_text;

/// A task that a run may be claimed for.
pub(super) struct Candidate<'a> {
    pub(super) task: &'a Task,
    /// What it inherits, in the form in which its job keeps it.
    pub(super) stored: Vec<u8>,
    /// The job that goes on, if it is still to go on when it is claimed.
    pub(super) goes_on: Option<JobId>,
    /// What is transferred for a new job.
    pub(super) items: Vec<Item>,
    pub(super) run: RunId,
}

/// Why a task is to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody wants it.
    Asked,
    /// It is wanted and due again; whether that still holds is looked at in the claim.
    Due,
    /// As [`Why::Due`], if it is due without a wait.
    DueNow,
    /// This job of it has been prepared, or is run again beside a newer one; whether that still holds is looked at too.
    Prepared(JobId),
    /// Its schedule has fired.
    Fired {
        /// The occurrence.
        due: Timestamp,
        /// Whether it may run beside an earlier one.
        beside: bool,
    },
}

/// What a claim made of a task that was ready.
pub(super) enum Claim {
    /// It has an unfinished run, or is no longer due.
    Already,
    /// It cannot have a lock that it needs; nothing was recorded.
    Locked(HeldLock),
    /// It has this run now, of this job.
    Claimed {
        /// The job, as it was before.
        job: Box<JobRow>,
        /// The name under which what lies in the output's place is set aside.
        former: String,
    },
    /// It has this new job, for which something else comes first.
    Begun(JobId, State),
}

impl Ledger<'_> {
    /// Claims a run for a task, unless it has one. Two claims cannot both pass.
    pub(super) fn claim(&self, one: &Candidate<'_>, why: Why, asker: &Asker) -> Result<Claim, ExecutorError> {
        let (tx, now) = (self.tx, self.now);
        let name = &one.task.name;
        let beside = match why {
            Why::Prepared(_) | Why::Fired { beside: true, .. } => true,
            // Whether its own run is there is looked at where it is judged to be due.
            Why::Due | Why::DueNow => runs_may_meet(one.task),
            Why::Asked | Why::Fired { beside: false, .. } => false,
        };
        let is_free = beside || runs::unfinished_of(tx, name)?.is_none() && self.underway(name)?.is_none();
        let is_due = match why {
            Why::Due | Why::DueNow => self.is_due(one.task, why)?,
            Why::Prepared(job) => self.is_still_to_run(name, job)?,
            Why::Asked | Why::Fired { .. } => true,
        };
        if !is_due {
            return Ok(Claim::Already);
        }
        // Whoever asks by hand waits for nobody's turn.
        let held = if why == Why::Asked { self.lock_held(one.task)? } else { self.lock_in_the_way(one.task)? };
        if let Some(held) = held.filter(|_| is_free) {
            return Ok(Claim::Locked(held));
        }
        match why {
            Why::Asked => {
                tasks::see(tx, name, now)?;
                tasks::want(tx, name, true, &asker.name, now)?;
                let row = self.anchor(one.task)?;
                self.begin_anew(&row, &format!("started by {}", asker.name))?;
            }
            Why::Due | Why::DueNow => tasks::steady(tx, name, now)?,
            Why::Prepared(_) | Why::Fired { .. } => {}
        }
        if !is_free {
            return Ok(Claim::Already);
        }
        let locks = held_as_text(&Holds::only_locks(keys(one.task)))?;
        if locks.is_some() {
            line::leave(tx, name)?;
        }
        let job = self.job(one, why, asker)?;
        let mut path = Vec::new();
        let mut state = job.state;
        if state == State::Created {
            path = self.settle_new(&job, one)?;
            state = path.last().copied().unwrap_or(state);
            if state != State::Preprocessed {
                return self.begin_job(&job, one, asker, &path).map(|()| Claim::Begun(job.id, state));
            }
        }
        let archive = free_archive(tx, self.home, name, now)?;
        path.extend(step(state, Input::Claimed, Policy::default())?);
        let asked_by = match why {
            Why::Prepared(job) => queue::given(tx, job)?.made_by,
            Why::Asked | Why::Due | Why::DueNow | Why::Fired { .. } => asker.name.clone(),
        };
        let beginning = Beginning {
            run: one.run,
            job: &job,
            path: &path,
            // Retries are counted between starts that somebody asked for.
            retries_used: if why == Why::Asked { 0 } else { job.retries_used },
            name,
            task: one.task,
            by: &asked_by,
            archive: &archive,
            holds: locks.as_deref(),
            after: None,
        };
        self.begin(&beginning, now)?;
        // Only now is this run's archive taken, so that a foreign file is not set aside under that name.
        let former = output::former_archive(tx, self.home, name)?;
        Ok(Claim::Claimed { job: Box::new(job), former: former.unwrap_or(archive) })
    }

    /// Whether the supervisor is still to start a task now: somebody may have stopped it meanwhile.
    fn is_due(&self, task: &Task, why: Why) -> Result<bool, ExecutorError> {
        let Some(row) = tasks::find(self.tx, &task.name)? else { return Ok(false) };
        let job = row.job.map(|job| jobs::find(self.tx, job)).transpose()?.flatten();
        let runs = run_in_the_way(self.tx, Some(task), &task.name, job.as_ref())?.is_some();
        Ok(match due(&standing(Some(task), &row, job.as_ref(), runs)) {
            Due::Start(not_before) => why == Why::Due || not_before.is_none_or(|moment| moment <= self.now),
            Due::Nothing => false,
        })
    }

    /// Whether a job that is prepared, or an older one that is run again, is still to run now.
    fn is_still_to_run(&self, name: &TaskName, job: JobId) -> Result<bool, ExecutorError> {
        let row = tasks::find(self.tx, name)?.filter(|row| row.wanted);
        let (Some(row), Some(job)) = (row, jobs::find(self.tx, job)?) else { return Ok(false) };
        let goes_on = goes_on(job.state, row.job == Some(job.id)) && hook_of(job.state).is_none();
        Ok(goes_on && runs::unfinished_of_job(self.tx, job.id)?.is_none())
    }

    /// The job of a task that neither runs, nor waits to run again, nor is over; with what comes next for it.
    pub(super) fn underway(&self, name: &TaskName) -> Result<Option<(JobId, &'static str)>, ExecutorError> {
        let active = jobs::active_of(self.tx, name)?;
        Ok(active.into_iter().find_map(|job| Some((job.id, job.state.underway()?))))
    }

    /// How a new job settles, with what is transferred for it.
    fn settle_new(&self, job: &JobRow, one: &Candidate<'_>) -> Result<Vec<State>, ExecutorError> {
        for item in &one.items {
            items::put(self.tx, job.id, item)?;
        }
        let stage_in = one.items.iter().any(|item| item.direction == Direction::In);
        let policy = Policy { hooks: hooked(one.task), stage_in, ..Policy::default() };
        Ok(step(job.state, Input::Settled, policy)?)
    }

    /// Records a new job for which something else comes before its run.
    fn begin_job(&self, job: &JobRow, one: &Candidate<'_>, asker: &Asker, path: &[State]) -> Result<(), ExecutorError> {
        let state = path.last().copied().unwrap_or(job.state);
        let (attempt, retries_used) = (job.attempt, job.retries_used);
        let change = Change { state, code: None, reason: None, attempt, retries_used, not_before: None, exit: None };
        jobs::change(self.tx, job.id, &change, self.now)?;
        let event = events::NewEvent {
            job: Some(job.id),
            task: Some(one.task.name.as_str()),
            states: Some((job.state, state)),
            cause: "begun",
            data: json!({
                "by": asker.name,
                "scheduled": job.scheduled.map(|due| due.to_string()),
                "what": one.task.program_text(),
                "through": path.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
            }),
        };
        Ok(events::record(self.tx, &event, self.now)?)
    }

    /// Somebody has taken a task in hand: what it did before no longer counts against it.
    pub(super) fn begin_anew(&self, row: &TaskRow, reason: &str) -> Result<(), ExecutorError> {
        self.recover(row, reason)?;
        if row.form == Form::default() {
            return Ok(());
        }
        Ok(tasks::set_form(self.tx, &row.name, &Form::default())?)
    }

    /// Ends a crash loop, if there is one, and tells of it.
    pub(super) fn recover(&self, row: &TaskRow, reason: &str) -> Result<(), ExecutorError> {
        let job = row.job.filter(|_| row.form.looping_since.is_some());
        let Some(job) = job.map(|job| jobs::find(self.tx, job)).transpose()?.flatten() else { return Ok(()) };
        let event = events::NewEvent {
            job: Some(job.id),
            task: Some(row.name.as_str()),
            states: None,
            cause: "recovered",
            data: json!({ "reason": reason }),
        };
        events::record(self.tx, &event, self.now)?;
        if let Some(run) = runs::last_of(self.tx, &row.name, Some(1))?.pop() {
            let occasion = Occasion::Recovery;
            let message = Message { occasion, job: job.id, run: &run, exit: run.exit, reason, lines: &[] };
            self.tell(&jobs::definition_of(self.tx, &job)?, &message)?;
        }
        let form = Form { looping_since: None, steady_since: None, told: None, ..row.form.clone() };
        Ok(tasks::set_form(self.tx, &row.name, &form)?)
    }

    /// The job that is run: the one that is prepared, or that waits to run again, with the newest definition, or a new one.
    fn job(&self, one: &Candidate<'_>, why: Why, asker: &Asker) -> Result<JobRow, ExecutorError> {
        let (tx, now) = (self.tx, self.now);
        let name = &one.task.name;
        if let Why::Prepared(job) = why {
            let job = self.job_row(job)?;
            return if job.state == State::RestartReady { self.renewed(job, one.task) } else { Ok(job) };
        }
        let waiting = self.newest_job(name)?.filter(|job| job.state == State::RestartReady);
        // Beside one that waits to be tried again a new one is made; otherwise it takes its place.
        let beside = matches!(why, Why::Fired { beside: true, .. });
        if let Some(job) = waiting.filter(|_| !beside) {
            if one.goes_on == Some(job.id) {
                return self.renewed(job, one.task);
            }
            self.cancel(&job, name, &format!("replaced by {}", asker.name))?;
        }
        let (door, scheduled) = match why {
            Why::Asked | Why::Due | Why::DueNow | Why::Prepared(_) => (Door::Start, None),
            Why::Fired { due, .. } => (Door::Schedule, Some(due)),
        };
        let new = NewJob {
            task: one.task,
            door,
            scheduled,
            environment: &one.stored,
            by: &asker.name,
            spawned_by: asker.job,
        };
        let job = jobs::create(tx, &new, now)?;
        tasks::set_job(tx, name, job.id)?;
        Ok(job)
    }

    /// A job that is run again, with this definition.
    fn renewed(&self, job: JobRow, task: &Task) -> Result<JobRow, ExecutorError> {
        jobs::redefine(self.tx, job.id, task)?;
        match self.renew_items(job.id, task) {
            // It has been looked at: it is about to be refused.
            Ok(()) | Err(ExecutorError::Staging(_)) => Ok(job),
            Err(error) => Err(error),
        }
    }
}

/// Whether runs of a task may meet: each of its jobs is then tried again without regard to the others.
fn runs_may_meet(task: &Task) -> bool {
    task.schedule.is_set() && task.schedule.policy.overlap == Overlap::Allow
}

/// The run because of which a task's newest job is not to be run now.
pub(super) fn run_in_the_way(
    connection: &Connection,
    task: Option<&Task>,
    name: &TaskName,
    newest: Option<&JobRow>,
) -> Result<Option<RunRow>, StoreError> {
    match newest.filter(|job| job.state == State::RestartReady && task.is_some_and(runs_may_meet)) {
        Some(job) => runs::unfinished_of_job(connection, job.id),
        None => runs::unfinished_of(connection, name),
    }
}

/// What decides whether the supervisor starts a task, read from its rows.
pub(super) fn standing(task: Option<&Task>, row: &TaskRow, job: Option<&JobRow>, runs: bool) -> Standing {
    Standing {
        wanted: row.wanted,
        defined: task.is_some(),
        scheduled: task.is_some_and(|task| task.schedule.is_set()),
        runs,
        restart: task.map_or(Restart::Never, |task| task.restart),
        job: job.map(|job| job.state),
        not_before: job.and_then(|job| job.not_before),
        ended: job.and_then(|job| job.ended),
    }
}
