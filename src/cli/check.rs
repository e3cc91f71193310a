//! check: mistakes in the registry, and scripts that could not be started.

use std::io::Write;

use serde_json::{Value, json};

use crate::executor::ExecutorError;
use crate::report;
use crate::report::page::Page;

use super::context::{Context, told};
use super::failure::Failure;

/// `check`.
pub(super) fn check(context: &mut Context) -> Result<u8, Failure> {
    let json = context.json;
    let Some(executor) = context.look()? else { return super::list::nothing(context) };
    let path = executor.registry_path();
    if !path.exists() {
        return super::list::nothing(context);
    }
    let mut out = Page::default();
    match executor.check() {
        Ok(troubles) => {
            if json {
                let rows = troubles.iter().map(|(task, trouble)| {
                    json!({ "task": task.as_str(), "file": null, "line": null, "column": null, "message": trouble.to_string(), "hint": null })
                });
                report::json::write(&Value::Array(rows.collect()), &mut out)?;
            } else {
                for (task, trouble) in &troubles {
                    writeln!(out, "{task}: {}", report::screen::visible(&trouble.to_string()))?;
                }
                for task in &executor.definitions()?.tasks {
                    for note in executor.meaning(task, 0)?.map(|meaning| meaning.notes).unwrap_or_default() {
                        told(&format!("note: {}: {note}", task.name));
                    }
                }
                if troubles.is_empty() {
                    told(&format!("{}: no mistakes", path.display()));
                }
            }
            out.print()?;
            Ok(u8::from(!troubles.is_empty()))
        }
        Err(ExecutorError::Registry { path, mistakes }) if json => {
            let rows = mistakes.iter().map(|mistake| {
                json!({
                    "task": null,
                    "file": path,
                    "line": mistake.line,
                    "column": mistake.column,
                    "message": mistake.problem.to_string(),
                    "hint": mistake.hint,
                })
            });
            report::json::write(&Value::Array(rows.collect()), &mut out)?;
            out.print()?;
            Ok(2)
        }
        Err(error) => Err(error.into()),
    }
}
