//! The queue's own changes: a job is submitted, and the next one claimed.

use serde_json::json;

use crate::domain::edge::{Edge, Progress};
use crate::domain::item::Item;
use crate::domain::lifecycle::{Input, Parents, Policy, State, step};
use crate::domain::name::{JobId, RunId, TaskName};
use crate::domain::resources::{self, Capacity, Found, Holds, Need, Running, pick};
use crate::domain::task::Task;
use crate::domain::transfer::Direction;
use crate::store::jobs::{self, Change, JobRow};
use crate::store::queue::{self, EdgeRow, Given, Head, NewQueued};
use crate::store::runs::{self, Kind, NewRun};
use crate::store::{StoreError, applied, cache, events, items};

use super::followers::culprit_of;
use super::{Ledger, LedgerError, hooks};

/// A job that a slot has claimed.
#[derive(Debug)]
pub struct Claimed {
    /// The run that it was claimed for.
    pub run: RunId,
    /// The job, as it was before.
    pub job: JobRow,
    /// What was given to it.
    pub given: Given,
    /// What is run for it.
    pub kind: Kind,
    /// Which attempt at the job it is.
    pub attempt: u32,
    /// The file in the job's directory that its output goes to.
    pub output: String,
    /// What it holds of the machine.
    pub holds: Holds,
}

/// How a job begins.
struct Settled {
    state: State,
    unmet: u32,
    culprit: Option<JobId>,
    why: Option<(&'static str, String)>,
    edges: Vec<EdgeRow>,
}

impl Ledger<'_> {
    /// Queues a job, which settles at once: it waits for its parents, or can run. What is given of its state, its
    /// parents and its reason is overwritten.
    pub fn submit(
        &self,
        new: &NewQueued<'_>,
        definition: &Task,
        parents: &[(JobId, Edge)],
        items: &[Item],
    ) -> Result<JobId, LedgerError> {
        let Settled { state, unmet, culprit, why, edges } = self.settled(new.held, definition, parents, items)?;
        let why = why.as_ref().map(|(code, reason)| (*code, reason.as_str()));
        let job = queue::create(self.tx, &NewQueued { state, unmet, culprit, why, ..*new }, self.now)?;
        for edge in edges {
            queue::bind(self.tx, job, edge)?;
        }
        for item in items {
            items::put(self.tx, job, item)?;
        }
        Ok(job)
    }

    /// Makes another job of one that has not run, which settles as a new one does; its followers settle too.
    pub fn resubmit(
        &self,
        job: &JobRow,
        new: &NewQueued<'_>,
        definition: &Task,
        parents: &[(JobId, Edge)],
        items: &[Item],
    ) -> Result<(), LedgerError> {
        let Settled { state, unmet, culprit, why, edges } = self.settled(new.held, definition, parents, items)?;
        let why = why.as_ref().map(|(code, reason)| (*code, reason.as_str()));
        applied::rewrite(self.tx, job.id, &NewQueued { state, unmet, culprit, why, ..*new }, self.now)?;
        for item in items::of_job(self.tx, job.id)? {
            items::remove(self.tx, job.id, &item.name)?;
        }
        for item in items {
            items::put(self.tx, job.id, item)?;
        }
        for edge in edges {
            queue::bind(self.tx, job.id, edge)?;
        }
        let event = events::NewEvent {
            job: Some(job.id),
            task: new.task.map(TaskName::as_str),
            states: (state != job.state).then_some((job.state, state)),
            cause: "redefined",
            data: json!({ "by": new.by }),
        };
        events::record(self.tx, &event, self.now)?;
        self.tell_children(job.id, state)?;
        if job.state == State::Blocked { self.unblock_children(job.id) } else { Ok(()) }
    }

    /// How a job with these parents begins.
    fn settled(
        &self,
        held: bool,
        definition: &Task,
        parents: &[(JobId, Edge)],
        items: &[Item],
    ) -> Result<Settled, LedgerError> {
        let (mut unmet, mut culprit, mut broken) = (0, None, None);
        let mut edges = Vec::with_capacity(parents.len());
        for (id, kind) in parents {
            let parent = jobs::find(self.tx, *id)?.ok_or(LedgerError::NoSuchParent(*id))?;
            let progress = kind.progress(parent.state);
            if progress == Progress::Broken && culprit.is_none() {
                culprit = Some(culprit_of(&parent));
                broken = Some(kind.code_when_broken(parent.state));
            }
            unmet += u32::from(progress != Progress::Met);
            edges.push(EdgeRow { job: parent.id, kind: *kind, met: progress == Progress::Met });
        }
        let policy = Policy {
            parents: Parents::of(unmet, culprit.is_some()),
            hooks: hooks::hooked(definition),
            stage_in: items.iter().any(|item| item.direction == Direction::In),
            stage_out: items.iter().any(|item| item.direction == Direction::Out),
            ..Policy::default()
        };
        let path = if held { vec![] } else { step(State::Created, Input::Settled, policy)? };
        let state = path.last().copied().unwrap_or(State::Created);
        let reason = culprit.zip(broken).map(|(culprit, code)| self.why_blocked(culprit, code)).transpose()?;
        let why = broken.zip(reason).filter(|_| state == State::Blocked);
        Ok(Settled { state, unmet, culprit, why, edges })
    }

    /// Claims the next jobs for a slot, at most one for each of the new `runs`, in the order in which they are to run:
    /// the next that can run, and then others as long as a slot is all that the next one needs. `found` is what this
    /// machine has.
    pub fn claim_next(&self, slot: u32, runs: &[RunId], found: Found) -> Result<Vec<Claimed>, LedgerError> {
        let mut claimed = Vec::with_capacity(runs.len());
        let Some((first, others)) = runs.split_first() else { return Ok(claimed) };
        queue::promote(self.tx, self.now)?;
        if let Some(job) = queue::next_hooked(self.tx)? {
            claimed.extend(self.claim_hook(Some(slot), *first, job)?);
            return Ok(claimed);
        }
        let Some((job, holds)) = self.pick(found)? else { return Ok(claimed) };
        let is_alone = !holds.is_nothing();
        claimed.push(self.claim_main(slot, *first, job, holds)?);
        for run in others {
            let heads = if is_alone { Vec::new() } else { queue::heads(self.tx)? };
            let [Head { need: 0, job, .. }] = heads.as_slice() else { break };
            claimed.push(self.claim_main(slot, *run, *job, Holds::default())?);
        }
        Ok(claimed)
    }

    fn claim_main(&self, slot: u32, run: RunId, job: JobId, holds: Holds) -> Result<Claimed, LedgerError> {
        let job = self.job_row(job)?;
        let given = queue::given(self.tx, job.id)?;
        let state = step(job.state, Input::Claimed, Policy::default())?.last().copied().unwrap_or(job.state);
        let attempt = job.attempt + 1;
        let change = Change {
            state,
            code: None,
            reason: None,
            attempt,
            retries_used: job.retries_used,
            not_before: None,
            exit: None,
        };
        jobs::change(self.tx, job.id, &change, self.now)?;
        let output = format!("run-{attempt}.txt");
        let claimed = Claimed { run, job, given, kind: Kind::Main, attempt, output, holds };
        self.create_run(&claimed, attempt, Some(slot))?;
        let event = events::NewEvent {
            job: Some(claimed.job.id),
            task: claimed.given.task.as_deref(),
            states: Some((claimed.job.state, state)),
            cause: "claimed",
            data: json!({ "run": run.to_string(), "slot": slot, "attempt": attempt }),
        };
        events::record(self.tx, &event, self.now)?;
        Ok(claimed)
    }

    /// Claims the hook that a job waits for. That of a queued job needs a slot and nothing else, another not even that.
    pub fn claim_hook(&self, slot: Option<u32>, run: RunId, job: JobId) -> Result<Option<Claimed>, LedgerError> {
        let job = self.job_row(job)?;
        let given = queue::given(self.tx, job.id)?;
        let Some(kind) = hooks::hook_of(job.state) else { return Ok(None) };
        let nth = runs::count_of_job(self.tx, job.id, kind)? + 1;
        let (attempt, output) = (job.attempt, format!("{}-{nth}.txt", kind.as_str()));
        let claimed = Claimed { run, job, given, kind, attempt, output, holds: Holds::default() };
        self.create_run(&claimed, nth, slot)?;
        let event = events::NewEvent {
            job: Some(claimed.job.id),
            task: claimed.given.task.as_deref(),
            states: None,
            cause: "hook_started",
            data: json!({ "run": run.to_string(), "slot": slot, "hook": kind.as_str() }),
        };
        events::record(self.tx, &event, self.now)?;
        Ok(Some(claimed))
    }

    /// The run of what was claimed: the `nth` of its kind.
    fn create_run(&self, claimed: &Claimed, nth: u32, slot: Option<u32>) -> Result<(), LedgerError> {
        let task = claimed.given.task.as_deref().map(TaskName::parse).transpose();
        let task = task.map_err(|error| StoreError::Impossible(error.to_string()))?;
        let holds = held_as_text(&claimed.holds)?;
        let new = NewRun {
            id: claimed.run,
            job: claimed.job.id,
            task: task.as_ref(),
            kind: claimed.kind,
            attempt: nth,
            asked_by: &claimed.given.made_by,
            archive: &claimed.output,
            scheduled: claimed.job.scheduled,
            slot,
            holds: holds.as_deref(),
        };
        Ok(runs::create(self.tx, &new, self.now)?)
    }

    /// Which job is next, and what it gets of the machine.
    fn pick(&self, found: Found) -> Result<Option<(JobId, Holds)>, LedgerError> {
        let heads = queue::heads(self.tx)?;
        if let [head] = heads.as_slice()
            && head.need == 0
        {
            return Ok(Some((head.job, Holds::default())));
        }
        let (needs, running) = (self.needs(&heads)?, self.running()?);
        let heads = self.let_pass(asked(&heads, &needs), &running)?;
        let picked = pick(&heads, &running, &self.capacity(found)?, self.now);
        Ok(picked.and_then(|picked| Some((heads.get(picked.head)?.job, picked.holds))))
    }

    /// What these jobs need.
    pub fn needs(&self, heads: &[Head]) -> Result<Vec<Need>, LedgerError> {
        heads.iter().map(|head| self.need(head.need)).collect()
    }

    /// What jobs with this need need.
    pub fn need(&self, place: i64) -> Result<Need, LedgerError> {
        if place == 0 {
            return Ok(Need::default());
        }
        let body = queue::need_at(self.tx, place)?;
        let need = serde_json::from_str(&body);
        Ok(need.map_err(|error| StoreError::Impossible(format!("need {place}: {error}")))?)
    }

    /// What runs in slots and what it holds; and what runs besides and holds locks.
    pub fn running(&self) -> Result<Vec<Running>, LedgerError> {
        let holds = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let queued = queue::holders(self.tx)?.into_iter();
        let queued = queued.map(|(job, since, held)| Running { job, task: None, since, holds: holds(held) });
        let front = queue::front_holders(self.tx)?.into_iter();
        let front =
            front.map(|one| Running { job: one.job, task: one.task, since: one.claimed, holds: holds(one.holds) });
        Ok(queued.chain(front).collect())
    }

    /// What there is for queued jobs.
    pub fn capacity(&self, found: Found) -> Result<Capacity, LedgerError> {
        let settings = cache::settings(self.tx)?;
        let mut capacity = Capacity::new(&settings.machine, found);
        for (group, said) in &settings.groups {
            capacity.limit_group(group, said.parallel);
        }
        for (group, _) in queue::paused_groups(self.tx)? {
            capacity.pause_group(&group);
        }
        Ok(capacity)
    }
}

/// Jobs with what they need, as those that ask for it.
pub fn asked<'n>(heads: &[Head], needs: &'n [Need]) -> Vec<resources::Head<'n>> {
    let asks = |(head, need): (&Head, &'n Need)| {
        let Head { job, priority, runnable_since, .. } = *head;
        resources::Head { need, priority, job, runnable_since }
    };
    heads.iter().zip(needs).map(asks).collect()
}

/// What a run holds, as its row has it; none for nothing.
pub fn held_as_text(holds: &Holds) -> Result<Option<String>, LedgerError> {
    let text = (!holds.is_nothing()).then(|| serde_json::to_string(holds)).transpose();
    Ok(text.map_err(|error| StoreError::Impossible(error.to_string()))?)
}
