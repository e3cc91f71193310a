//! submit: jobs for the queue, any number of them in one transaction.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::domain::group::Label;
use crate::domain::item::Item;
use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, TaskName};
use crate::domain::params::Values;
use crate::domain::resources::fits_ever;
use crate::domain::task::Task;
use crate::ledger::Ledger;
use crate::process::environment::Inherited;
use crate::process::{clock, machine};
use crate::store::queue::{self, NewQueued};
use crate::store::{Durability, StoreError, jobs, selection};

use super::order::{Order, Resolved, resolve};
use super::staging::items;
use super::{Asker, Executor, ExecutorError};

impl Executor {
    /// Queues jobs of one definition, all or none; their ids, in order. `task` is none for a command of its own.
    pub fn submit(
        &mut self,
        definition: &Task,
        task: Option<&TaskName>,
        orders: &[Order],
        asker: &Asker,
    ) -> Result<Vec<JobId>, ExecutorError> {
        let refused = |source| ExecutorError::Order { task: task.cloned(), source: Box::new(source) };
        let resolved: Vec<Resolved> =
            orders.iter().map(|order| resolve(definition, order)).collect::<Result<_, _>>().map_err(refused)?;
        let staged = orders.iter().zip(&resolved);
        let staged = staged.map(|(order, resolved)| items(definition, &order.transfers, &resolved.params));
        let staged: Vec<Vec<Item>> = staged.collect::<Result<_, _>>()?;
        let inherited = Inherited::capture().encode()?;
        let found = machine::detect();
        let (home, now) = (&self.home, clock::now());
        self.store.write(Durability::Flushed, |tx| {
            let ledger = Ledger { tx, home, now };
            let environment = jobs::environment(tx, &inherited)?;
            let place = jobs::definition(tx, definition)?;
            let demand = definition
                .resources
                .demand(definition.locks.iter().map(Label::key), definition.group.as_ref().map(Label::as_str))?;
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
            let submit =
                |((order, resolved), items): ((&Order, &Resolved), &Vec<Item>)| -> Result<JobId, ExecutorError> {
                    let params = stored(&resolved.params)?;
                    let data = order.data.as_ref().map(Value::to_string);
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
                        workdir: resolved.workdir.as_deref(),
                        keeps_output: order.keeps_output,
                        priority: order.priority.unwrap_or_else(|| definition.priority.into()),
                        held: order.held,
                        unmet: 0,
                        culprit: None,
                        why: None,
                        not_before: order.not_before,
                        by: &asker.name,
                        spawned_by: asker.job,
                        root,
                    };
                    Ok(ledger.submit(&new, definition, &order.parents, items)?)
                };
            let names: BTreeSet<&str> =
                resolved.iter().flat_map(|resolved| resolved.params.keys().map(String::as_str)).collect();
            selection::know_params(tx, names.into_iter())?;
            orders.iter().zip(&resolved).zip(&staged).map(submit).collect()
        })
    }
}

/// Values as they are stored: not at all where there are none.
fn stored(values: &Values) -> Result<Option<String>, StoreError> {
    let text = (!values.is_empty()).then(|| serde_json::to_string(values)).transpose();
    text.map_err(|error| StoreError::Impossible(error.to_string()))
}
