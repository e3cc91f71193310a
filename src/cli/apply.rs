//! apply: tasks and jobs of a file.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::executor::{Applied, AppliedJob, Executor, Given, JobChange, TaskChange};
use crate::report;
use crate::report::page::Page;

use super::context::{Context, told, told_hidden, told_unsupervised};
use super::failure::Failure;

/// `apply`.
#[derive(Debug, Args)]
pub(super) struct ApplyArguments {
    /// The file: `name = "pipeline"`, `[task.NAME]` as in the registry, `[job.NAME]` with `task` or `command`, `params`,
    /// `after`
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// Tasks that differ take the place of the registry's, and jobs that have not run become what the file says now
    #[arg(long)]
    replace: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// `apply`.
pub(super) fn apply(context: &mut Context, typed: &ApplyArguments) -> Result<u8, Failure> {
    let path = &typed.file;
    let unread = |error| Failure::input(format!("cannot read `{}`: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(unread)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::input(format!("`{}` is not a text", path.display())))?;
    let base = path.canonicalize().map_err(unread)?.parent().unwrap_or(Path::new("/")).to_owned();
    let given = Given { path, text: &text, base: &base, replace: typed.replace };
    let (json, asker) = (context.json, context.asker()?);
    let mut out = Page::default();
    if typed.dry_run {
        let root = context.root()?;
        let plan = match context.look()? {
            Some(executor) => executor.plan_of_file(given)?,
            None => Executor::plan_of_first_file(given, &std::path::absolute(root)?)?,
        };
        let mut hidden = Vec::new();
        if json {
            report::json::write(&report::applied::json(&plan), &mut out)?;
        } else {
            hidden = report::applied::plan(&plan, Context::width(), &mut out)?;
        }
        out.print()?;
        told_hidden(&hidden);
        return Ok(0);
    }
    let executor = context.executor()?;
    let done = executor.apply(given, &asker)?;
    if json {
        report::json::write(&report::applied::json(&done), &mut out)?;
    } else {
        for job in done.jobs.iter().filter(|job| job.change == JobChange::New) {
            writeln!(out, "{} {}", job.local, id(job))?;
        }
    }
    out.print()?;
    tell(&done);
    if done.jobs.iter().any(|job| job.change == JobChange::New) {
        told_unsupervised(executor);
    }
    Ok(0)
}

fn id(job: &AppliedJob) -> String {
    job.id.map(|id| id.to_string()).unwrap_or_default()
}

/// Says what was done besides making jobs, and what was left.
fn tell(done: &Applied) {
    for (name, change) in &done.tasks {
        match change {
            TaskChange::New => told(&format!("Adding {name}")),
            TaskChange::Changed(fields) => told(&format!("Replacing {name} ({})", fields.join(", "))),
            TaskChange::Same => {}
        }
    }
    for job in &done.jobs {
        match (job.change, job.state) {
            (JobChange::Changed, _) => told(&format!("job {} ({}) is now what the file says", job.local, id(job))),
            (JobChange::Left, Some(state)) => {
                told(&format!("note: job {} ({}) is {state} and is left as it is", job.local, id(job)));
            }
            (JobChange::New | JobChange::Same | JobChange::Left, _) => {}
        }
    }
    for (local, id, state) in &done.gone {
        told(&format!("note: job {local} ({id}, {state}) is no longer in the file and is left as it is"));
    }
    match done.jobs.iter().filter(|job| job.change == JobChange::Same).count() {
        0 => {}
        1 => told("1 job is there already"),
        many => told(&format!("{many} jobs are there already")),
    }
}
