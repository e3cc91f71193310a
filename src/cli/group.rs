//! group: jobs that share a limit, looked at, paused and resumed.

use std::io::Write;

use clap::Subcommand;

use super::context::{Context, told};
use super::failure::Failure;
use crate::domain::task::Task;
use crate::report::page::Page;

/// `group`.
#[derive(Debug, Subcommand)]
pub(super) enum GroupVerb {
    /// Show the groups that the registry limits, or that are paused
    List,
    /// Let no further job of a group begin
    Pause {
        /// The group
        name: String,
    },
    /// Let the jobs of a group begin again
    Resume {
        /// The group
        name: String,
    },
}

/// `group`.
pub(super) fn group(context: &mut Context, verb: &GroupVerb) -> Result<u8, Failure> {
    match verb {
        GroupVerb::List => list(context),
        GroupVerb::Pause { name } => pause(context, name, true),
        GroupVerb::Resume { name } => pause(context, name, false),
    }
}

fn list(context: &mut Context) -> Result<u8, Failure> {
    let json = context.json;
    let Some(executor) = context.look()? else { return super::list::nothing(context) };
    let definitions = Context::definitions(executor)?;
    let groups = executor.groups(&definitions)?;
    let mut out = Page::default();
    if json {
        let row = |group: &crate::executor::GroupStatus| serde_json::json!({ "name": group.name, "parallel": group.parallel, "running": group.running, "paused_by": group.paused_by });
        crate::report::json::write(&serde_json::Value::Array(groups.iter().map(row).collect()), &mut out)?;
    } else {
        for group in &groups {
            let limit = group.parallel.map_or_else(|| "any number".to_owned(), |limit| limit.to_string());
            let paused = group.paused_by.as_ref().map(|by| format!(", paused by {by}")).unwrap_or_default();
            writeln!(out, "{}: {} of {limit} running{paused}", group.name, group.running)?;
        }
    }
    out.print()?;
    Ok(0)
}

fn pause(context: &mut Context, name: &str, paused: bool) -> Result<u8, Failure> {
    let name = crate::domain::group::Label::parse(name).map_err(|error| Failure::input(error.to_string()))?;
    let asker = context.asker()?;
    let executor = context.executor()?;
    let definitions = executor.definitions()?;
    let has = |task: &Task| task.group.as_ref().is_some_and(|group| group.key() == name.key());
    let is_limited =
        || executor.groups(&definitions).map(|all| all.iter().any(|group| group.name.to_lowercase() == name.key()));
    if !definitions.tasks.iter().any(|task| has(task)) && !is_limited()? {
        told(&format!("note: no task belongs to a group `{name}`"));
    }
    let changed = executor.pause_group(&name.key(), paused, &asker)?;
    told(&match (paused, changed) {
        (true, true) => format!("{name} is paused: no further job of it begins"),
        (true, false) => format!("{name} is paused already"),
        (false, true) => format!("{name} goes on"),
        (false, false) => format!("{name} was not paused"),
    });
    Ok(0)
}
