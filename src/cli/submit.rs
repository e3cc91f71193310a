//! submit: jobs for the queue.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::domain::edge::Edge;
use crate::domain::name::{JobId, TaskName};
use crate::domain::params::Given;
use crate::domain::remote::Remote;
use crate::domain::task::{Program, Restart, Task};
use crate::domain::waiting::Until;
use crate::executor::{Executor, Job, Order, Submission};
use crate::report;
use crate::report::jobs::Shown;
use crate::report::page::Page;

use super::context::{Context, told_unsupervised, warn};
use super::failure::Failure;

/// `submit`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct SubmitArguments {
    /// The task
    #[arg(required_unless_present = "command")]
    task: Option<String>,
    /// A command of its own, found along PATH, with its arguments
    #[arg(last = true, conflicts_with = "task")]
    command: Vec<String>,
    /// A parameter that the task declares, or that a placeholder `{{K}}` names (repeatable)
    #[arg(short, long = "param", value_name = "K=V")]
    params: Vec<String>,
    /// A label (repeatable)
    #[arg(long, value_name = "K=V")]
    tag: Vec<String>,
    /// A job to wait for: its success, its `end` or its `failure` (repeatable; ids may be joined by commas)
    #[arg(long, value_name = "ID[:end|failure]", value_delimiter = ',')]
    after: Vec<String>,
    /// What the job carries with it
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// The higher goes first, then the lower id [default: the task's]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i64>,
    /// The work directory, relative, inside FOLDER/jobs; may hold placeholders [default: the task's]
    #[arg(long, value_name = "DIR")]
    workdir: Option<String>,
    /// Not before this time: `+10m`, `tomorrow 9:00`, RFC 3339
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    /// Wait for `job release`
    #[arg(long)]
    hold: bool,
    /// The name of the run of a study that it belongs to
    #[arg(long, value_name = "NAME")]
    run_name: Option<String>,
    /// One job for each line of a file (`-` is standard input): parameter `line`, or the last argument where the task has
    /// no such parameter
    #[arg(long, value_name = "FILE")]
    each_line: Option<PathBuf>,
    /// Where a transfer of the task comes from, or goes to: a path, `host:/path`, a URL (repeatable)
    #[arg(long, value_name = "NAME=REMOTE")]
    transfer: Vec<String>,
    /// Keep no output
    #[arg(long)]
    no_output: bool,
    /// Wait until all have succeeded, or one has failed (exit 1)
    #[arg(long)]
    wait: bool,
    /// Show the jobs that would be made, and make none
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
}

/// `submit`.
pub(super) fn submit(context: &mut Context, typed: &SubmitArguments) -> Result<u8, Failure> {
    let asker = context.asker()?;
    let order = order(typed)?;
    let json = context.json;
    let executor = if typed.dry_run { context.foreseeing()? } else { context.executor()? };
    let (definition, task) = match &typed.task {
        Some(name) => {
            let task = executor.task(&TaskName::parse(name)?)?;
            let name = task.name.clone();
            (task, Some(name))
        }
        None => (ad_hoc(&typed.command)?, None),
    };
    let lines = typed.each_line.as_deref().map(each_line).transpose()?;
    let these = Submission { definition: &definition, task: task.as_ref(), order: &order, lines: lines.as_deref() };
    if typed.dry_run {
        let jobs = executor.foresee_submit(these, &asker)?;
        return foretell(executor, &definition, jobs, json);
    }
    let ids = executor.submit(these, &asker)?;
    let mut out = Page::default();
    for id in &ids {
        writeln!(out, "{id}")?;
    }
    out.print()?;
    if let Some(trouble) = executor.foresee(&definition) {
        warn(&format!("what is queued cannot be started yet: {trouble}"));
    }
    told_unsupervised(executor);
    if typed.wait { super::wait::wait_for(executor, &ids, &[], Until::All, None) } else { Ok(0) }
}

/// Shows jobs that would be made.
fn foretell(executor: &Executor, definition: &Task, jobs: Vec<Job>, json: bool) -> Result<u8, Failure> {
    let mut out = Page::default();
    if json {
        let jobs = jobs.iter().map(report::json::foreseen_job).collect();
        report::json::write(&Value::Array(jobs), &mut out)?;
    } else {
        for job in jobs {
            let runs = job.runs(definition);
            let directory = job.given.workdir.as_ref().map_or(runs.wd.clone(), |_| executor.workdir_of(&job));
            let what = report::words::command_line(&runs);
            report::jobs::foreseen(&Shown { job, what, ran: None }, &directory, executor.now(), &mut out)?;
        }
    }
    out.print()?;
    Ok(0)
}

/// The definition of a command that is no task's.
fn ad_hoc(words: &[String]) -> Result<Task, Failure> {
    let wd = std::env::current_dir()?;
    let name = TaskName::parse("command")?;
    let task = Task::new(name, Program::Command(words.to_vec()), wd);
    Ok(Task { restart: Restart::Never, ..task })
}

fn order(typed: &SubmitArguments) -> Result<Order, Failure> {
    let mut params = BTreeMap::new();
    for given in &typed.params {
        let (key, value) = pair("--param", given)?;
        params.insert(key.to_owned(), Given::Text(value.to_owned()));
    }
    let mut tags = BTreeMap::new();
    for given in &typed.tag {
        let (key, value) = pair("--tag", given)?;
        tags.insert(key.to_owned(), value.to_owned());
    }
    let mut transfers = BTreeMap::new();
    for given in &typed.transfer {
        let (name, remote) = pair("--transfer", given)?;
        transfers.insert(name.to_owned(), from_here(remote)?);
    }
    let data = typed.data.as_deref().map(serde_json::from_str);
    let data = data.transpose().map_err(|error| Failure::input(format!("--data is no JSON: {error}")))?;
    let now = crate::process::clock::now();
    let not_before =
        typed.not_before.as_deref().map(|text| super::next::moment("--not-before", text, now)).transpose()?;
    Ok(Order {
        params,
        tags,
        data,
        parents: parents(&typed.after)?,
        priority: typed.priority,
        workdir: typed.workdir.clone(),
        run_name: typed.run_name.clone(),
        not_before,
        held: typed.hold,
        keeps_output: !typed.no_output,
        transfers,
    })
}

pub(super) fn pair<'a>(flag: &str, given: &'a str) -> Result<(&'a str, &'a str), Failure> {
    let split = given.split_once('=').filter(|(key, _)| !key.is_empty());
    split.ok_or_else(|| Failure::input(format!("{flag}: `{given}` is not `NAME=value`")))
}

/// The jobs to wait for. One that is named twice is waited for once.
fn parents(typed: &[String]) -> Result<Vec<(JobId, Edge)>, Failure> {
    let mut known = BTreeMap::new();
    let mut parents = Vec::with_capacity(typed.len());
    for text in typed {
        let (id, kind) = parent(text)?;
        match known.insert(id, kind) {
            None => parents.push((id, kind)),
            Some(former) if former == kind => {}
            Some(former) => {
                return Err(Failure::input(format!(
                    "--after: job {id} is to be waited for twice: {former} and {kind}"
                )));
            }
        }
    }
    Ok(parents)
}

/// A remote as it was typed: a relative path is found from here, as in any other command.
fn from_here(remote: &str) -> Result<String, Failure> {
    match Remote::parse(remote, &std::env::current_dir()?) {
        Ok(Remote::Local(path)) => Ok(path),
        // What is wrong with it is told with the name of its slot.
        Ok(Remote::Host { .. } | Remote::Web(_)) | Err(_) => Ok(remote.to_owned()),
    }
}

fn parent(text: &str) -> Result<(JobId, Edge), Failure> {
    let (id, kind) = text.split_once(':').unwrap_or((text, "success"));
    let id =
        id.trim().parse().map_err(|_| Failure::input(format!("--after: `{text}` does not begin with a job's id")))?;
    let kind = Edge::parse(kind)
        .ok_or_else(|| Failure::input(format!("--after: `{kind}` is not one of success, end and failure")))?;
    Ok((JobId(id), kind))
}

/// The lines of a file, to the byte.
fn each_line(file: &Path) -> Result<Vec<String>, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::input(format!("--each-line: cannot read `{}`: {error}", file.display()));
    let text =
        if file.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { fs::read_to_string(file) };
    Ok(text.map_err(unreadable)?.split_terminator('\n').map(str::to_owned).collect())
}
