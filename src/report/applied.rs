//! What became of an applied file, or would: a table, and JSON.

use std::io::{self, Write};

use owo_colors::Style;
use serde_json::{Value, json};

use crate::domain::edge::Edge;
use crate::domain::group::Label;
use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, TaskName};
use crate::executor::{Applied, AppliedJob, JobChange, TaskChange};

use super::table::{Column, Table};

/// Writes what would be done: tasks, then jobs, each after those that it waits for. The columns that had no room.
pub fn plan(plan: &Applied, width: Option<u16>, out: &mut dyn Write) -> io::Result<Vec<&'static str>> {
    let mut table = Table::new(&[
        Column::text("WHAT", 0),
        Column::text("NAME", 0),
        Column::text("CHANGE", 0),
        Column::number("ID", 0),
        Column::text("STATE", 1),
        Column::text("AFTER", 1),
        Column::text("FIELDS", 2),
    ]);
    let mut row = |cells: [String; 7]| table.row(cells.into_iter().map(|text| (text, Style::new())).collect());
    let none = String::new;
    for (name, change) in &plan.tasks {
        let fields = if let TaskChange::Changed(fields) = change { fields.join(", ") } else { none() };
        row(["task".to_owned(), name.to_string(), task_change(change).to_owned(), none(), none(), none(), fields]);
    }
    for job in &plan.jobs {
        let id = job.id.map(|id| id.to_string()).unwrap_or_default();
        let state = job.state.map(|state| state.to_string()).unwrap_or_default();
        let change = job_change(job.change).to_owned();
        row(["job".to_owned(), job.local.to_string(), change, id, state, after(job).join(", "), none()]);
    }
    for (local, id, state) in &plan.gone {
        let change = "not in the file".to_owned();
        row(["job".to_owned(), local.clone(), change, id.to_string(), state.to_string(), none(), none()]);
    }
    table.without_empty().write(width, out)
}

fn after(job: &AppliedJob) -> Vec<String> {
    let word = |(local, kind): &(Label, Edge)| match kind {
        Edge::Success => local.to_string(),
        Edge::End | Edge::Failure => format!("{local}:{kind}"),
    };
    job.after.iter().map(word).collect()
}

fn task_change(change: &TaskChange) -> &'static str {
    match change {
        TaskChange::New => "new",
        TaskChange::Changed(_) => "changed",
        TaskChange::Same => "same",
    }
}

fn job_change(change: JobChange) -> &'static str {
    match change {
        JobChange::New => "new",
        JobChange::Changed => "changed",
        JobChange::Same => "same",
        JobChange::Left => "left",
    }
}

/// The same for programs.
pub fn json(applied: &Applied) -> Value {
    let task = |(name, change): &(TaskName, TaskChange)| {
        let fields = if let TaskChange::Changed(fields) = change { fields.as_slice() } else { &[] };
        json!({ "name": name.as_str(), "change": task_change(change), "fields": fields })
    };
    let job = |job: &AppliedJob| {
        json!({
            "name": job.local.as_str(),
            "id": job.id,
            "task": job.task.as_ref().map(TaskName::as_str),
            "change": job_change(job.change),
            "state": job.state,
            "after": after(job),
        })
    };
    let gone = |(local, id, state): &(String, JobId, State)| json!({ "name": local, "id": id, "state": state });
    json!({
        "name": applied.name.as_str(),
        "tasks": applied.tasks.iter().map(task).collect::<Vec<_>>(),
        "jobs": applied.jobs.iter().map(job).collect::<Vec<_>>(),
        "gone": applied.gone.iter().map(gone).collect::<Vec<_>>(),
    })
}
