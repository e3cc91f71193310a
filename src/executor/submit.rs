//! submit: jobs for the queue, any number of them in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::domain::edge::Edge;
use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, TaskName};
use crate::domain::resources::fits_ever;
use crate::domain::task::Task;
use crate::ledger::Ledger;
use crate::process::environment::Inherited;
use crate::process::{clock, machine};
use crate::store::queue::{self, NewQueued};
use crate::store::{Durability, StoreError, jobs, selection};

use super::{Asker, Executor, ExecutorError};

/// What one job is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Its parameters.
    pub params: Map<String, Value>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its data.
    pub data: Option<Value>,
    /// The jobs that it waits for, and for what.
    pub parents: Vec<(JobId, Edge)>,
    /// The higher goes first.
    pub priority: i64,
    /// Its work directory, relative and inside the folder of the jobs, where that is not its own.
    pub workdir: Option<String>,
    /// The name of the run that it belongs to.
    pub run_name: Option<String>,
    /// The moment before which it is not to run.
    pub not_before: Option<Timestamp>,
    /// Whether it waits for its release.
    pub held: bool,
    /// Whether its output is kept.
    pub keeps_output: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            params: Map::new(),
            tags: BTreeMap::new(),
            data: None,
            parents: Vec::new(),
            priority: 0,
            workdir: None,
            run_name: None,
            not_before: None,
            held: false,
            keeps_output: true,
        }
    }
}

impl Executor {
    /// Queues jobs of one definition, all or none; their ids, in order. `task` is none for a command of its own.
    pub fn submit(
        &mut self,
        definition: &Task,
        task: Option<&TaskName>,
        orders: &[Order],
        asker: &Asker,
    ) -> Result<Vec<JobId>, ExecutorError> {
        let inherited = Inherited::capture().encode()?;
        let found = machine::detect();
        let (home, now) = (&self.home, clock::now());
        self.store.write(Durability::Flushed, |tx| {
            let ledger = Ledger { tx, home, now };
            let environment = jobs::environment(tx, &inherited)?;
            let place = jobs::definition(tx, definition)?;
            let demand = definition.resources.demand(Vec::<String>::new(), None)?;
            fits_ever(&demand.need, &ledger.capacity(found)?)?;
            let need = match demand.need {
                need if need.is_nothing() => 0,
                need => {
                    let body =
                        serde_json::to_string(&need).map_err(|error| StoreError::Impossible(error.to_string()))?;
                    queue::need(tx, &body)?
                }
            };
            let root = asker.job.map(|job| queue::given(tx, job)).transpose()?.and_then(|given| given.root);
            let root = root.or(asker.job);
            let submit = |order: &Order| -> Result<JobId, ExecutorError> {
                let [params, data] = [object(&order.params), order.data.as_ref().map(Value::to_string)];
                let tags = (!order.tags.is_empty()).then(|| serde_json::to_string(&order.tags)).transpose();
                let tags = tags.map_err(|error| StoreError::Impossible(error.to_string()))?;
                let new = NewQueued {
                    task,
                    state: State::Created,
                    definition: place,
                    environment,
                    need,
                    params: params.as_deref(),
                    tags: tags.as_deref(),
                    data: data.as_deref(),
                    run_name: order.run_name.as_deref(),
                    workdir: order.workdir.as_deref(),
                    keeps_output: order.keeps_output,
                    priority: order.priority,
                    held: order.held,
                    unmet: 0,
                    culprit: None,
                    why: None,
                    not_before: order.not_before,
                    by: &asker.name,
                    spawned_by: asker.job,
                    root,
                };
                Ok(ledger.submit(&new, definition, &order.parents)?)
            };
            let names: BTreeSet<&str> =
                orders.iter().flat_map(|order| order.params.keys().map(String::as_str)).collect();
            selection::know_params(tx, names.into_iter())?;
            orders.iter().map(submit).collect()
        })
    }
}

/// An object as it is stored: not at all where it is empty.
fn object(map: &Map<String, Value>) -> Option<String> {
    (!map.is_empty()).then(|| Value::Object(map.clone()).to_string())
}
