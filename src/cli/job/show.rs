//! What there is to be seen of one job.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::domain::name::JobId;
use crate::executor::{Output, Picture};
use crate::report;
use crate::report::page::Page;

use super::super::context::{Context, told, told_hidden};
use super::super::failure::Failure;
use super::super::{jobs, picture};
use super::look;

pub(super) fn show(context: &mut Context, id: JobId) -> Result<u8, Failure> {
    let json = context.json;
    let executor = look(context, id)?;
    let shown = jobs::shown(executor, &[id])?;
    let Some(one) = shown.first() else { return Ok(0) };
    let (runs, children) = (executor.runs_of(id)?, executor.children(id)?);
    let mut out = Page::default();
    if json {
        let mut value = report::json::job(&one.job);
        if let Value::Object(map) = &mut value {
            let children: Vec<Value> =
                children.iter().map(|edge| json!({ "id": edge.job, "edge": edge.kind })).collect();
            map.insert("children".to_owned(), Value::Array(children));
            map.insert("runs".to_owned(), Value::Array(runs.iter().map(report::json::job_run).collect()));
        }
        report::json::write(&value, &mut out)?;
    } else {
        let children: Vec<i64> = children.iter().map(|edge| edge.job.0).collect();
        report::jobs::card(one, &children, &runs, executor.now(), &mut out)?;
    }
    out.print()?;
    Ok(0)
}

pub(super) fn events(context: &mut Context, id: JobId) -> Result<u8, Failure> {
    let json = context.json;
    let executor = look(context, id)?;
    let job = executor.job(id)?;
    let events = executor.events_of(id)?;
    let mut out = Page::default();
    if json {
        report::json::write(&Value::Array(events.iter().rev().map(report::json::event).collect()), &mut out)?;
    } else {
        report::jobs::events(&job, &events, &mut out)?;
    }
    out.print()?;
    Ok(0)
}

pub(super) fn related(context: &mut Context, id: JobId, parents: bool) -> Result<u8, Failure> {
    let json = context.json;
    let executor = look(context, id)?;
    let job = executor.job(id)?;
    let edges = if parents { job.parents } else { executor.children(id)? };
    let ids: Vec<JobId> = edges.iter().map(|edge| edge.job).collect();
    let (mut out, mut hidden) = (Page::default(), Vec::new());
    if json {
        let jobs = executor.jobs(&ids)?;
        report::json::write(&Value::Array(jobs.iter().map(report::json::job).collect()), &mut out)?;
    } else if ids.is_empty() {
        told(&format!("job {id} has none"));
    } else {
        let shown = jobs::shown(executor, &ids)?;
        hidden = report::jobs::table(&shown, executor.now(), Context::width(), &mut out)?;
    }
    out.print()?;
    told_hidden(&hidden);
    Ok(0)
}

pub(super) fn workdir(context: &mut Context, id: JobId) -> Result<u8, Failure> {
    let executor = look(context, id)?;
    let job = executor.job(id)?;
    let mut out = Page::default();
    writeln!(out, "{}", executor.workdir_of(&job).display())?;
    out.print()?;
    Ok(0)
}

pub(super) fn log(context: &mut Context, id: JobId, nth: Option<usize>, hook: Option<&str>) -> Result<u8, Failure> {
    let executor = look(context, id)?;
    executor.job(id)?;
    let mut runs = executor.runs_of(id)?;
    runs.retain(|run| run.kind == hook.unwrap_or("main"));
    let wanted = match nth {
        Some(nth) => nth.checked_sub(1).and_then(|at| runs.get(at)),
        None => runs.last(),
    };
    let Some(run) = wanted else {
        let what = hook.map_or_else(|| "run".to_owned(), |hook| format!("run of a hook {hook}"));
        if let Some(nth) = nth {
            return Err(Failure::input(format!("job {id} has no {what} {nth}; it has had {}", runs.len())));
        }
        told(&format!("job {id} has had no {what} yet"));
        return Ok(0);
    };
    match executor.output_of(run)? {
        Output::File(path) => {
            let mut file = std::fs::File::open(&path)?;
            io::copy(&mut file, &mut io::stdout().lock())?;
        }
        Output::Removed => told(&format!("job {id}: that run has no output, or it was removed")),
        Output::None => told(&format!("job {id}: that run has no output")),
    }
    Ok(0)
}

pub(super) fn lineage(context: &mut Context, id: JobId) -> Result<u8, Failure> {
    let json = context.json;
    let executor = look(context, id)?;
    let lineage: Picture = executor.lineage(id)?;
    let mut out = Page::default();
    if json {
        let ids: Vec<JobId> = lineage.jobs.iter().map(|job| job.id).collect();
        let jobs = executor.jobs(&ids)?;
        report::json::write(&Value::Array(jobs.iter().map(report::json::job).collect()), &mut out)?;
    } else {
        report::graph::tree(&picture::nodes(&lineage), &lineage.links, Context::width(), &mut out)?;
    }
    out.print()?;
    Ok(0)
}

pub(super) fn files(context: &mut Context, id: JobId) -> Result<u8, Failure> {
    let json = context.json;
    let executor = look(context, id)?;
    let files = executor.files_of(id)?;
    let mut out = Page::default();
    if json {
        report::json::write(&Value::Array(files.iter().map(report::json::job_file).collect()), &mut out)?;
    } else if files.is_empty() {
        told(&format!("job {id} has none"));
    } else {
        told_hidden(&report::jobs::files(&files, executor.now(), Context::width(), &mut out)?);
    }
    out.print()?;
    Ok(0)
}
