//! What a file means in this folder: tasks compared with those of the registry, jobs with those that it made before.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::super::ExecutorError;
use super::super::define::differences;
use super::super::order::{Order, OrderError, Resolved, resolve};
use super::{Applied, AppliedJob, Given, JobChange, TaskChange, has_not_run};
use crate::domain::causes::in_one_line;
use crate::domain::edge::Edge;
use crate::domain::group::Label;
use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, TaskName};
use crate::domain::params::{self, ParamError};
use crate::domain::schedule::resolve_moment;
use crate::domain::suggest::nearest;
use crate::domain::task::Task;
use crate::home::zones;
use crate::process::clock;
use crate::registry::workflow::{self, PlannedJob, Runs, Workflow};
use crate::registry::{self, Problem, Registry};
use crate::store::jobs::{self, JobRow};
use crate::store::{StoreError, applied};

/// A mistake before it has a line.
type Wrong = (Range<usize>, Problem, Option<String>);

/// What becomes of the tasks.
type TaskChanges = Vec<(TaskName, TaskChange)>;

/// What a job is made from: its task, the definition, what was asked for, and what comes of that.
type Parts = (Option<TaskName>, Task, Order, Resolved);

/// A job as it is to be.
pub(super) struct DraftJob {
    pub(super) local: Label,
    pub(super) task: Option<TaskName>,
    pub(super) definition: Task,
    pub(super) order: Order,
    pub(super) resolved: Resolved,
    /// What it waits for, by the place in the list.
    pub(super) parents: Vec<(usize, Edge)>,
    after: Vec<(Label, Edge)>,
    /// What the file says of it: what tells whether it says the same the next time.
    pub(super) said: String,
}

/// A file that was found to be good.
pub(super) struct Draft<'a> {
    given: Given<'a>,
    pub(super) name: Label,
    /// The registry's text with its tasks, and what that says.
    pub(super) text: String,
    pub(super) registry: Registry,
    pub(super) tasks: Vec<(TaskName, TaskChange)>,
    pub(super) jobs: Vec<DraftJob>,
}

/// What is to be done for a job.
pub(super) enum Planned {
    New,
    Changed(JobRow),
    Same(JobRow),
    Left(JobRow),
}

/// What is to be done for the jobs.
pub(super) struct Plan {
    pub(super) jobs: Vec<Planned>,
    gone: Vec<(String, JobId, State)>,
}

impl<'a> Draft<'a> {
    /// Reads the file, and compares its tasks with those of the registry.
    pub(super) fn new(given: Given<'a>, current: (&str, &Registry), root: &Path) -> Result<Self, ExecutorError> {
        let mistaken = |mistakes| ExecutorError::Registry { path: given.path.to_owned(), mistakes };
        let workflow = workflow::read(given.text, given.base, current.0).map_err(mistaken)?;
        let (text, registry, tasks) = with_tasks(&workflow, current, root)?;
        let (jobs, wrong) = drafted(&workflow, &registry);
        if !wrong.is_empty() {
            return Err(mistaken(workflow::mistakes(given.text, wrong)));
        }
        Ok(Self { given, name: workflow.name, text, registry, tasks, jobs })
    }

    /// What there is to do for the jobs; refused where something differs that is not to be replaced.
    pub(super) fn plan(&self, connection: Option<&Connection>) -> Result<Plan, ExecutorError> {
        let rows =
            connection.map(|connection| applied::of(connection, self.name.as_str())).transpose()?.unwrap_or_default();
        let mut rows: HashMap<String, applied::AppliedRow> =
            rows.into_iter().map(|row| (row.local.to_ascii_lowercase(), row)).collect();
        let mut refused: Vec<String> = Vec::new();
        for (name, change) in &self.tasks {
            if let TaskChange::Changed(fields) = change {
                refused.push(format!("task `{name}` ({})", fields.join(", ")));
            }
        }
        let mut jobs = Vec::with_capacity(self.jobs.len());
        for job in &self.jobs {
            let row = rows.remove(&job.local.key());
            let (Some(row), Some(connection)) = (row, connection) else {
                jobs.push(Planned::New);
                continue;
            };
            let stands = find(connection, row.id)?;
            let says_the_same = row.said == job.said;
            let same = says_the_same && (!self.given.replace || jobs::follows(connection, &stands, &job.definition)?);
            let can_change = !same && has_not_run(connection, &stands)?;
            if !says_the_same && can_change {
                refused.push(format!("job `{}` ({}, {})", job.local, stands.id, stands.state));
            }
            jobs.push(match (same, can_change) {
                (true, _) => Planned::Same(stands),
                (false, true) => Planned::Changed(stands),
                (false, false) => Planned::Left(stands),
            });
        }
        if !self.given.replace && !refused.is_empty() {
            return Err(ExecutorError::Differs { what: refused });
        }
        let mut gone = Vec::with_capacity(rows.len());
        for row in rows.into_values() {
            let state = connection.map(|connection| find(connection, row.id)).transpose()?.map(|job| job.state);
            gone.extend(state.map(|state| (row.local, row.id, state)));
        }
        gone.sort_by_key(|(_, id, _)| *id);
        Ok(Plan { jobs, gone })
    }

    /// The plan in the words of whoever asked.
    pub(super) fn told(&self, plan: &Plan) -> Applied {
        let job = |(job, planned): (&DraftJob, &Planned)| {
            let (change, row) = match planned {
                Planned::New => (JobChange::New, None),
                Planned::Changed(row) => (JobChange::Changed, Some(row)),
                Planned::Same(row) => (JobChange::Same, Some(row)),
                Planned::Left(row) => (JobChange::Left, Some(row)),
            };
            AppliedJob {
                local: job.local.clone(),
                task: job.task.clone(),
                id: row.map(|row| row.id),
                state: row.map(|row| row.state),
                change,
                after: job.after.clone(),
            }
        };
        Applied {
            name: self.name.clone(),
            tasks: self.tasks.clone(),
            jobs: self.jobs.iter().zip(&plan.jobs).map(job).collect(),
            gone: plan.gone.clone(),
        }
    }
}

fn find(connection: &Connection, id: JobId) -> Result<JobRow, ExecutorError> {
    let found = jobs::find(connection, id)?;
    Ok(found.ok_or_else(|| StoreError::Impossible(format!("job {id} is gone")))?)
}

/// The registry with the tasks of the file, as text and as it is read, and what becomes of each of these.
fn with_tasks(
    workflow: &Workflow,
    (text, current): (&str, &Registry),
    root: &Path,
) -> Result<(String, Registry, TaskChanges), ExecutorError> {
    let put = |names: &dyn Fn(&TaskName) -> bool| -> Result<_, ExecutorError> {
        let mut text = text.to_owned();
        for (task, section) in workflow.tasks.iter().filter(|(task, _)| names(&task.name)) {
            text = registry::put(&text, &task.name, section)?;
        }
        Ok(registry::validated(text, root)?)
    };
    // What a task means is known when it stands in the registry, with the defaults there.
    let wanted = put(&|_| true)?.registry;
    let change = |(task, _): &(Task, String)| {
        let change = match (current.task(&task.name), wanted.task(&task.name)) {
            (Some(is), Some(wanted)) if is == wanted => TaskChange::Same,
            (Some(is), Some(wanted)) => {
                TaskChange::Changed(differences(is, wanted).into_iter().map(|difference| difference.field).collect())
            }
            (_, _) => TaskChange::New,
        };
        (task.name.clone(), change)
    };
    let tasks: Vec<(TaskName, TaskChange)> = workflow.tasks.iter().map(change).collect();
    let changes = |name: &TaskName| tasks.iter().any(|(other, change)| other == name && *change != TaskChange::Same);
    let new = put(&changes)?;
    Ok((new.text, new.registry, tasks))
}

/// The jobs with their definitions and values, and what is wrong with them.
fn drafted(workflow: &Workflow, registry: &Registry) -> (Vec<DraftJob>, Vec<Wrong>) {
    let places: HashMap<String, usize> =
        workflow.jobs.iter().enumerate().map(|(at, job)| (job.local.key(), at)).collect();
    let (mut drafted, mut wrong) = (Vec::with_capacity(workflow.jobs.len()), Vec::new());
    for job in &workflow.jobs {
        match draft(job, registry) {
            Err(mistake) => wrong.push(*mistake),
            Ok((task, definition, order, resolved)) => {
                let parent = |(local, kind): &(Label, Edge)| Some((*places.get(&local.key())?, *kind));
                drafted.push(DraftJob {
                    local: job.local.clone(),
                    task,
                    definition,
                    order,
                    resolved,
                    parents: job.after.iter().filter_map(parent).collect(),
                    after: job.after.clone(),
                    said: said(job),
                });
            }
        }
    }
    (drafted, wrong)
}

fn draft(job: &PlannedJob, registry: &Registry) -> Result<Parts, Box<Wrong>> {
    let (task, definition) = match &job.runs {
        Runs::Own(task) => (None, task.as_ref().clone()),
        Runs::Task(name) => {
            let Some(task) = registry.task(name) else {
                let near = nearest(name.as_str(), registry.tasks.iter().map(|task| task.name.as_str()));
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                return Err(Box::new((job.place("task"), Problem::UnknownTask { name: name.to_string() }, hint)));
            };
            (Some(task.name.clone()), task.clone())
        }
    };
    let place = || format!("[job.{}]", job.local);
    let not_before = job.not_before.as_deref().map(|text| resolve_moment(text, clock::now(), &zones::zones()));
    let not_before = not_before.transpose().map_err(|error| {
        let problem = Problem::Order { place: place(), error: format!("`not_before`: {}", in_one_line(&error)) };
        Box::new((job.place("not_before"), problem, error.hints().into_iter().next()))
    })?;
    let order = Order {
        params: job.params.iter().map(|(name, value)| (name.clone(), params::Given::Value(value.clone()))).collect(),
        tags: job.tags.clone(),
        data: job.data.clone(),
        priority: job.priority,
        workdir: job.workdir.clone(),
        not_before: not_before.map(|(moment, _)| moment),
        held: job.held,
        ..Order::default()
    };
    match resolve(&definition, &order) {
        Ok(resolved) => Ok((task, definition, order, resolved)),
        Err(error) => {
            let key = if matches!(error, OrderError::Workdir(_)) { "workdir" } else { "params" };
            let hint = hint(&error, task.is_some());
            Err(Box::new((job.place(key), Problem::Order { place: place(), error: error.to_string() }, hint)))
        }
    }
}

/// The way out for whoever writes a file.
fn hint(error: &OrderError, of_task: bool) -> Option<String> {
    match error {
        OrderError::Values(errors) => errors.first().map(|error| match error {
            ParamError::Missing { name, .. } => format!("give it a value: `params.{name} = …`"),
            ParamError::Unknown { .. } | ParamError::Value { .. } => error.hint_to_giver(of_task),
        }),
        OrderError::Fill(_) | OrderError::Workdir(_) | OrderError::LineTwice | OrderError::NoPlaceForLine => {
            error.hints(of_task).into_iter().next()
        }
    }
}

/// What the file says of a job, in one form.
fn said(job: &PlannedJob) -> String {
    let mut after: Vec<(String, &str)> = job.after.iter().map(|(local, kind)| (local.key(), kind.as_str())).collect();
    after.sort();
    let runs = match &job.runs {
        Runs::Task(name) => json!(name.key()),
        Runs::Own(task) => json!(task.as_ref()),
    };
    json!({
        "runs": runs,
        "params": job.params,
        "after": after,
        "tags": job.tags,
        "data": job.data,
        "priority": job.priority,
        "workdir": job.workdir,
        "not_before": job.not_before,
        "hold": job.held,
    })
    .to_string()
}
