//! explain NAME.

use std::io::Write;

use crate::executor::ExecutorError;
use crate::report;
use crate::report::page::Page;

use super::context::{Context, told};
use super::failure::Failure;

/// `explain`.
pub(super) fn explain(context: &mut Context, name: &str) -> Result<u8, Failure> {
    let json = context.json;
    let (executor, definitions, name) = context.task(name)?;
    let found = executor.status(&definitions, Some(std::slice::from_ref(&name)), false)?.pop();
    let status = found.ok_or(ExecutorError::NotDefined(name))?;
    let explanation = executor.explain(&status, executor.now())?;
    let mut out = Page::default();
    if json {
        report::json::write(&report::json::explanation(&status, &explanation), &mut out)?;
        out.print()?;
        return Ok(0);
    }
    writeln!(out, "{}", report::screen::visible(&explanation.sentence))?;
    out.print()?;
    for hint in &explanation.hints {
        told(&format!("hint: {hint}"));
    }
    Ok(0)
}
