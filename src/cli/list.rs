//! list, show.

use owo_colors::OwoColorize;
use serde_json::Value;
use std::io::Write;
use std::path::Path;

use crate::executor::{ExecutorError, TaskStatus};
use crate::report;
use crate::report::page::Page;

use super::context::{Context, told, told_hidden};
use super::failure::Failure;

/// `list`.
pub(super) fn list(context: &mut Context) -> Result<u8, Failure> {
    let json = context.json;
    let Some(executor) = context.look()? else { return nothing(context) };
    let definitions = Context::definitions(executor)?;
    let statuses = executor.status(&definitions, None, false)?;
    let mut out = Page::default();
    if json {
        let objects = statuses.iter().filter_map(|status| json_of(status, &definitions.exec_id));
        report::json::write(&Value::Array(objects.collect()), &mut out)?;
        out.print()?;
    } else if definitions.tasks.is_empty() && definitions.mistake.is_none() {
        return nothing(context);
    } else {
        let hidden = report::list::full(&definitions.exec_id, &statuses, Context::width(), &mut out)?;
        out.print()?;
        told_hidden(&hidden);
    }
    Ok(0)
}

/// What there is to say where nothing is defined.
pub(super) fn nothing(context: &Context) -> Result<u8, Failure> {
    nothing_in(&context.root()?, context.json)
}

/// As [`nothing`], in this folder.
pub(super) fn nothing_in(folder: &Path, json: bool) -> Result<u8, Failure> {
    if json {
        let mut out = Page::default();
        report::json::write(&Value::Array(Vec::new()), &mut out)?;
        out.print()?;
    } else if !folder.exists() {
        told(&format!("There is no folder `{}` yet: `jobexec add NAME SCRIPT` makes it.", folder.display()));
    } else {
        told(&format!("No tasks yet in `{}`. Add one with `jobexec add NAME SCRIPT`.", folder.display()));
    }
    Ok(0)
}

/// `show NAME`.
pub(super) fn show(context: &mut Context, name: &str) -> Result<u8, Failure> {
    let json = context.json;
    let (executor, definitions, name) = context.task(name)?;
    let status = executor.status(&definitions, Some(std::slice::from_ref(&name)), false)?.pop();
    let status = status.filter(|status| status.task.is_some()).ok_or(ExecutorError::NotDefined(name))?;
    let mut out = Page::default();
    if json {
        report::json::write(&json_of(&status, &definitions.exec_id).unwrap_or_default(), &mut out)?;
    } else if let Some(task) = &status.task {
        let gone = if status.defined { "" } else { " (no longer in the registry)" };
        writeln!(out, "{}{gone}", task.name.bold())?;
        report::list::definition(task, &mut out)?;
    }
    out.print()?;
    Ok(0)
}

fn json_of(status: &TaskStatus, exec_id: &str) -> Option<Value> {
    let task = status.task.as_ref()?;
    Some(Value::Object(report::json::task(task, exec_id, status.row.as_ref().map(|row| row.added))))
}
