//! submit: jobs for the queue, any number of them in one transaction.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::group::Label;
use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, TaskName};
use crate::domain::params::{RenderError, Typed, Values};
use crate::domain::resources::{Found, fits_ever};
use crate::domain::task::Task;
use crate::ledger::Ledger;
use crate::process::environment::Inherited;
use crate::process::{clock, machine};
use crate::store::asked::{self, NewAsked, Renewed};
use crate::store::queue::{self, NewQueued};
use crate::store::{Durability, StoreError, jobs, selection};

use super::order::{Form, Order, Resolved, resolve_again};
use super::staging::items;
use super::{Asker, Executor, ExecutorError, Job};

/// Jobs of one definition.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// What they run.
    pub definition: &'a Task,
    /// Its task; none for a command of its own.
    pub task: Option<&'a TaskName>,
    /// What each is to be.
    pub order: &'a Order,
    /// One job is made for each line; without lines one alone.
    pub lines: Option<&'a [String]>,
}

impl Executor {
    /// Queues jobs, all or none; their ids, in order.
    pub fn submit(&mut self, these: Submission<'_>, asker: &Asker) -> Result<Vec<JobId>, ExecutorError> {
        let inherited = Inherited::capture().encode()?;
        let (home, now) = (&self.home, clock::now());
        self.store.write(Durability::Flushed, |tx| these.queue(&Ledger { tx, home, now }, &inherited, asker))
    }

    /// The jobs that [`Executor::submit`] would make, which refuses what that does; nothing is recorded.
    pub fn foresee_submit(&mut self, these: Submission<'_>, asker: &Asker) -> Result<Vec<Job>, ExecutorError> {
        let inherited = Inherited::capture().encode()?;
        let (home, now) = (&self.home, clock::now());
        self.store.rehearse(|tx| {
            let ids = these.queue(&Ledger { tx, home, now }, &inherited, asker)?;
            ids.into_iter().map(|id| Job::find(tx, id)).collect()
        })
    }
}

impl Submission<'_> {
    /// Queues them one after another, however many there are: nothing is kept of each but its id.
    fn queue(&self, ledger: &Ledger<'_>, inherited: &[u8], asker: &Asker) -> Result<Vec<JobId>, ExecutorError> {
        let Self { definition, task, order, lines } = *self;
        let refused = |source| ExecutorError::Order { task: task.cloned(), source: Box::new(source) };
        let form = Form::new(definition, order, lines.is_some()).map_err(refused)?;
        let origin = Origin::new(ledger, inherited, asker)?;
        let place = Place::find(ledger, definition, &LazyCell::new(machine::detect))?;
        let mut is_first = true;
        let mut submit = |line: Option<&str>| -> Result<JobId, ExecutorError> {
            let resolved = form.resolve(line).map_err(refused)?;
            if std::mem::take(&mut is_first) {
                // They are the same for each.
                selection::know_params(ledger.tx, resolved.params.keys().map(String::as_str))?;
            }
            let items = items(definition, &order.transfers, &resolved.words())?;
            let texts = Texts::of(order, &resolved)?;
            let new = origin.job(task, definition, place, order, &resolved, &texts);
            Ok(ledger.submit(&new, definition, &order.parents, &items)?)
        };
        match lines {
            Some(lines) => lines.iter().map(|line| submit(Some(line))).collect(),
            None => Ok(vec![submit(None)?]),
        }
    }
}

/// Where jobs come from.
pub(super) struct Origin<'a> {
    environment: i64,
    asker: &'a Asker,
    root: Option<JobId>,
}

/// What a job runs and needs, by the places of these.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) definition: i64,
    need: i64,
}

/// What is stored of a job as JSON.
pub(super) struct Texts {
    params: Option<String>,
    typed: Option<String>,
    defaults: Option<String>,
    tags: Option<String>,
    data: Option<String>,
}

impl<'a> Origin<'a> {
    /// What `inherited` says is inherited by the jobs that are made now.
    pub(super) fn new(ledger: &Ledger<'_>, inherited: &[u8], asker: &'a Asker) -> Result<Self, ExecutorError> {
        let environment = jobs::environment(ledger.tx, inherited)?;
        let root = asker.job.map(|job| queue::given(ledger.tx, job)).transpose()?.and_then(|given| given.root);
        Ok(Self { environment, asker, root: root.or(asker.job) })
    }

    /// A job as it is queued; how it stands is for the ledger to say.
    pub(super) fn job<'b>(
        &'b self,
        task: Option<&'b TaskName>,
        definition: &Task,
        place: Place,
        order: &'b Order,
        resolved: &'b Resolved,
        texts: &'b Texts,
    ) -> NewQueued<'b> {
        NewQueued {
            task,
            state: State::Created,
            definition: place.definition,
            environment: self.environment,
            need: place.need,
            params: texts.params.as_deref(),
            typed: texts.typed.as_deref(),
            tags: texts.tags.as_deref(),
            data: texts.data.as_deref(),
            run_name: order.run_name.as_deref(),
            workdir: resolved.workdir.as_deref(),
            keeps_output: order.keeps_output,
            priority: order.priority.unwrap_or_else(|| definition.priority.into()),
            held: order.held,
            unmet: 0,
            culprit: None,
            why: None,
            not_before: order.not_before,
            asked: NewAsked {
                priority: order.priority,
                workdir: order.workdir.as_deref(),
                defaults: texts.defaults.as_deref(),
            },
            by: &self.asker.name,
            spawned_by: self.asker.job,
            root: self.root,
        }
    }
}

impl Place {
    /// Stores a definition and what it needs; refused where this machine, which is looked at only for that, will never
    /// have it.
    pub(super) fn find(ledger: &Ledger<'_>, definition: &Task, found: &LazyCell<Found>) -> Result<Self, ExecutorError> {
        let place = jobs::definition(ledger.tx, definition)?;
        let demand = definition
            .resources
            .demand(definition.locks.iter().map(Label::key), definition.group.as_ref().map(Label::as_str))?;
        let need = match demand.need {
            need if need.is_nothing() => 0,
            need => {
                fits_ever(&need, &ledger.capacity(**found)?)?;
                let body = serde_json::to_string(&need).map_err(|error| StoreError::Impossible(error.to_string()))?;
                queue::need(ledger.tx, &body)?
            }
        };
        Ok(Self { definition: place, need })
    }
}

impl Texts {
    pub(super) fn of(order: &Order, resolved: &Resolved) -> Result<Self, ExecutorError> {
        Ok(Self {
            params: stored(&resolved.params, resolved.params.is_empty())?,
            typed: stored(&resolved.typed, resolved.typed.is_empty())?,
            defaults: stored(&resolved.defaults, resolved.defaults.is_empty())?,
            tags: stored(&order.tags, order.tags.is_empty())?,
            data: order.data.as_ref().map(Value::to_string),
        })
    }
}

impl Ledger<'_> {
    /// Makes of a job that is run again what it would be if it were submitted now: what was asked for with it stays, all
    /// else is as its task says now.
    pub(super) fn renew(&self, job: JobId, definition: &Task) -> Result<(), ExecutorError> {
        let (given, asked) = (queue::given(self.tx, job)?, asked::of(self.tx, job)?);
        let mut values: Values = read(given.params.as_deref())?;
        let defaults: BTreeSet<String> = read(asked.defaults.as_deref())?;
        values.retain(|name, _| !defaults.contains(name));
        let refused = |error: RenderError| ExecutorError::Order {
            task: Some(definition.name.clone()),
            source: Box::new(error.into()),
        };
        let typed: Typed = read(given.typed.as_deref())?;
        let resolved = resolve_again(definition, values, typed, asked.workdir.as_deref()).map_err(refused)?;
        let place = Place::find(self, definition, &LazyCell::new(machine::detect))?;
        selection::know_params(self.tx, resolved.defaults.iter().map(String::as_str))?;
        let texts = Texts::of(&Order::default(), &resolved)?;
        let renewed = Renewed {
            definition: place.definition,
            need: place.need,
            priority: asked.priority.unwrap_or_else(|| definition.priority.into()),
            workdir: resolved.workdir.as_deref(),
            params: texts.params.as_deref(),
            defaults: texts.defaults.as_deref(),
        };
        asked::renew(self.tx, job, &renewed)?;
        self.renew_items(job, definition)
    }
}

/// What is stored as JSON, or nothing where there is nothing.
fn read<T: DeserializeOwned + Default>(text: Option<&str>) -> Result<T, StoreError> {
    let value = text.map(serde_json::from_str).transpose();
    Ok(value.map_err(|error| StoreError::Impossible(error.to_string()))?.unwrap_or_default())
}

/// Something as it is stored: not at all where there is nothing in it.
fn stored(it: &impl Serialize, is_empty: bool) -> Result<Option<String>, StoreError> {
    let text = (!is_empty).then(|| serde_json::to_string(it)).transpose();
    text.map_err(|error| StoreError::Impossible(error.to_string()))
}
