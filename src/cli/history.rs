//! history NAME.

use serde_json::Value;

use crate::executor::Past;
use crate::report;
use crate::report::page::Page;

use super::context::{Context, told, told_hidden};
use super::failure::Failure;

/// `history`.
pub(super) fn history(context: &mut Context, name: &str, number: u32) -> Result<u8, Failure> {
    let json = context.json;
    let (executor, _, name) = context.task(name)?;
    let past = executor.past(&name, number)?;
    let mut out = Page::default();
    if json {
        report::json::write(&Value::Array(past.iter().map(report::json::past).collect()), &mut out)?;
        out.print()?;
        return Ok(0);
    }
    let count = executor.count_runs(&name)?;
    if count == 0 && past.is_empty() {
        told(&format!("{name} has not been started yet."));
        return Ok(0);
    }
    let hidden = report::history::table(&past, count, executor.now(), Context::width(), &mut out)?;
    out.print()?;
    told_hidden(&hidden);
    let shown = past.iter().filter(|one| matches!(one, Past::Run(_))).count();
    if count > shown {
        let earlier = count - shown;
        let s = if earlier == 1 { "" } else { "s" };
        told(&format!("# {earlier} earlier run{s}: `jobexec history {name} -n {}`", past.len() + earlier));
    }
    Ok(0)
}
