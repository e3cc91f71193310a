//! jobs --tree, jobs --dot, jobs --stats: what waits for what, and how it went.

use crate::executor::{Executor, Picture};
use crate::report;
use crate::report::graph::Node;
use crate::report::page::Page;
use crate::store::graph::JobNode;

use super::context::{Context, told, told_hidden};
use super::failure::Failure;

/// Draws the selected jobs: as a tree, or as the source of a drawing.
pub(super) fn draw(executor: &Executor, selection: &str, dot: bool, json: bool) -> Result<u8, Failure> {
    if json {
        return Err(Failure::input("a picture of jobs is no JSON".to_owned())
            .hint("leave `--json` out, or use `jobexec jobs --json`, where each job names its parents"));
    }
    let picture = executor.picture(selection)?;
    let nodes = nodes(&picture);
    let mut out = Page::default();
    if dot {
        report::graph::dot(&nodes, &picture.links, &mut out)?;
    } else if nodes.is_empty() {
        told(&format!("0 of {} jobs", executor.count_jobs("")?));
    } else {
        report::graph::tree(&nodes, &picture.links, Context::width(), &mut out)?;
    }
    out.print()?;
    Ok(0)
}

/// The jobs of a picture, each with what it is.
pub(super) fn nodes(picture: &Picture) -> Vec<Node> {
    let what = |job: &JobNode| match &job.task {
        Some(task) => task.clone(),
        None => picture.commands.get(&job.definition).map(report::words::command_line).unwrap_or_default(),
    };
    let node = |job: &JobNode| Node { id: job.id, state: job.state, held: job.held, what: what(job) };
    picture.jobs.iter().map(node).collect()
}

/// Says how the selected jobs did.
pub(super) fn stats(executor: &Executor, selection: &str, json: bool) -> Result<u8, Failure> {
    let stats = executor.stats(selection)?;
    let mut out = Page::default();
    if json {
        report::json::write(&report::stats::json(&stats), &mut out)?;
        out.print()?;
        return Ok(0);
    }
    let hidden = report::stats::table(&stats, Context::width(), &mut out)?;
    out.print()?;
    told_hidden(&hidden);
    Ok(0)
}
