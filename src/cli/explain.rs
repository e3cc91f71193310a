//! explain NAME.

use std::io::Write;

use crate::domain::name::JobId;
use crate::executor::{ExecutorError, Explanation};
use crate::report;
use crate::report::page::Page;

use super::context::{Context, told};
use super::failure::Failure;

/// `explain`.
pub(super) fn explain(context: &mut Context, name: &str) -> Result<u8, Failure> {
    let json = context.json;
    // No task's name is a number.
    if let Ok(id) = name.parse() {
        return job(context, JobId(id));
    }
    let (executor, definitions, name) = context.task(name)?;
    let found = executor.status(&definitions, Some(std::slice::from_ref(&name)), false)?.pop();
    let status = found.ok_or(ExecutorError::NotDefined(name))?;
    let explanation = executor.explain(&status, executor.now())?;
    if json {
        return write_json(&report::json::explanation(&status, &explanation));
    }
    write(&explanation)
}

fn job(context: &mut Context, id: JobId) -> Result<u8, Failure> {
    let json = context.json;
    let Some(executor) = context.look()? else { return Err(ExecutorError::NoSuchJob(id).into()) };
    executor.refresh()?;
    let (job, explanation) = executor.explain_job(id)?;
    if json {
        return write_json(&report::json::job_explanation(&job, &explanation));
    }
    write(&explanation)
}

fn write_json(value: &serde_json::Value) -> Result<u8, Failure> {
    let mut out = Page::default();
    report::json::write(value, &mut out)?;
    out.print()?;
    Ok(0)
}

fn write(explanation: &Explanation) -> Result<u8, Failure> {
    let mut out = Page::default();
    writeln!(out, "{}", report::screen::visible(&explanation.sentence))?;
    out.print()?;
    for hint in &explanation.hints {
        told(&format!("hint: {hint}"));
    }
    Ok(0)
}
