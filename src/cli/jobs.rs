//! jobs: what is in the queue, and what became of it.

use clap::Args;
use serde_json::{Value, json};

use crate::domain::name::JobId;
use crate::executor::{Executor, Which};
use crate::report;
use crate::report::jobs::Shown;
use crate::report::page::Page;

use super::context::{Context, told, told_hidden};
use super::failure::Failure;

/// How many are shown on a terminal where nobody said how many.
const SHOWN: u32 = 50;

/// `jobs`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag, and they exclude each other")]
pub(super) struct JobsArguments {
    /// Which: `state = FAILED and task = fit`, `param.a > 3, tag.exp = 1`, `duration > 2h`
    #[arg(value_name = "WHERE")]
    selection: Vec<String>,
    /// Order by a field; `-FIELD` downwards
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    order_by: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Count them by state
    #[arg(long)]
    by_state: bool,
    /// Draw what waits for what as a tree
    #[arg(long, conflicts_with_all = ["by_state", "dot", "order_by", "limit"])]
    tree: bool,
    /// Print what waits for what as the source of a drawing: `jobexec jobs --dot | dot -Tsvg`
    #[arg(long, conflicts_with_all = ["by_state", "order_by", "limit"])]
    dot: bool,
    /// Say how they did: how fast they went through, how long they waited and ran, how slots were used
    #[arg(long, conflicts_with_all = ["by_state", "tree", "dot", "order_by", "limit"])]
    stats: bool,
}

/// `jobs`.
pub(super) fn jobs(context: &mut Context, typed: &JobsArguments) -> Result<u8, Failure> {
    let json = context.json;
    let Some(executor) = context.look()? else { return super::list::nothing(context) };
    executor.refresh()?;
    let selection = typed.selection.join(" ");
    if typed.tree || typed.dot {
        return super::picture::draw(executor, &selection, typed.dot, json);
    }
    if typed.stats {
        return super::picture::stats(executor, &selection, json);
    }
    let mut out = Page::default();
    if typed.by_state {
        let counts = executor.jobs_by_state(&selection)?;
        if json {
            let row = |(state, run_name, count): &(_, Option<String>, u64)| json!({ "state": state, "run_name": run_name, "count": count });
            report::json::write(&Value::Array(counts.iter().map(row).collect()), &mut out)?;
        } else {
            report::jobs::by_state(&counts, Context::width(), &mut out)?;
        }
        out.print()?;
        return Ok(0);
    }
    let terminal = Context::width().is_some() && !json;
    let limit = typed.limit.or(terminal.then_some(SHOWN));
    let which = Which { selection: &selection, order: typed.order_by.as_deref(), limit };
    let ids = executor.job_ids(&which)?;
    if json {
        let jobs = executor.jobs(&ids)?;
        report::json::write(&Value::Array(jobs.iter().map(report::json::job).collect()), &mut out)?;
        out.print()?;
        return Ok(0);
    }
    if ids.is_empty() {
        told(&format!("0 of {} jobs", executor.count_jobs("")?));
        return Ok(0);
    }
    let shown = shown(executor, &ids)?;
    let hidden = report::jobs::table(&shown, executor.now(), Context::width(), &mut out)?;
    out.print()?;
    told_hidden(&hidden);
    // Whoever has said how many does not want the others counted, which takes a while among a million.
    if typed.limit.is_none() && limit.is_some_and(|limit| ids.len() >= usize::try_from(limit).unwrap_or(usize::MAX)) {
        let all = usize::try_from(executor.count_jobs(&selection)?).unwrap_or(usize::MAX);
        if all > ids.len() {
            told(&format!("# {} more: `--limit {all}` shows them", all - ids.len()));
        }
    }
    Ok(0)
}

/// Jobs with what they run.
pub(super) fn shown(executor: &Executor, ids: &[JobId]) -> Result<Vec<Shown>, Failure> {
    let shown = |(job, runs)| {
        let what = report::words::command_line(&runs);
        Ok(Shown { what, ran: executor.time_of(&job)?, job })
    };
    executor.jobs_with_definitions(ids)?.into_iter().map(shown).collect()
}

/// What is said of jobs that were named where there is no executor.
pub(super) fn none(words: &[String]) -> Failure {
    let first = words.iter().flat_map(|word| word.split(',')).find_map(|word| word.parse().ok());
    match first {
        Some(id) => crate::executor::ExecutorError::NoSuchJob(JobId(id)).into(),
        None => Failure::input("there are no jobs".to_owned()),
    }
}

/// The jobs that were named: by their ids, or by a selection.
pub(super) fn named(executor: &Executor, words: &[String]) -> Result<Vec<JobId>, Failure> {
    let ids: Result<Vec<i64>, _> = words.iter().flat_map(|word| word.split(',')).map(str::parse).collect();
    if let Ok(ids) = ids {
        let ids: Vec<JobId> = ids.into_iter().map(JobId).collect();
        executor.job_rows(&ids)?;
        return Ok(ids);
    }
    let selection = words.join(" ");
    let which = Which { selection: &selection, order: Some("id"), limit: None };
    Ok(executor.job_ids(&which)?)
}
