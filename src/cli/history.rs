//! history NAME.

use serde_json::Value;

use crate::report;
use crate::report::page::Page;

use super::context::{Context, told, told_hidden};
use super::failure::Failure;

/// `history`.
pub(super) fn history(context: &mut Context, name: &str, number: u32) -> Result<u8, Failure> {
    let json = context.json;
    let (executor, _, name) = context.task(name)?;
    let runs = executor.history(&name, Some(number))?;
    let mut out = Page::default();
    if json {
        report::json::write(&Value::Array(runs.iter().map(report::json::run).collect()), &mut out)?;
        out.print()?;
        return Ok(0);
    }
    let count = executor.count_runs(&name)?;
    if count == 0 {
        told(&format!("{name} has not been started yet."));
        return Ok(0);
    }
    let hidden = report::history::table(&runs, count, executor.now(), Context::width(), &mut out)?;
    out.print()?;
    told_hidden(&hidden);
    if count > runs.len() {
        let earlier = count - runs.len();
        let s = if earlier == 1 { "" } else { "s" };
        told(&format!("# {earlier} earlier run{s}: `jobexec history {name} -n {count}`"));
    }
    Ok(0)
}
