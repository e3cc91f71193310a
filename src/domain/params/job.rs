//! What a job runs: its task with the values of the job, and with the line that it was made for.

use std::borrow::Cow;

use serde_json::Value;

use super::super::task::{Program, Task};
use super::render::templates;
use super::template::is_template;
use super::{Given, Param, RenderError, Values, render, taken};

/// The parameter whose value is the line that a job was made for.
pub const LINE: &str = "line";

/// Its placeholder.
const PLACEHOLDER: &str = "{{line}}";

/// The task as it takes a line. Where it has no parameter `line` the line becomes its last argument; `None` where there
/// are no arguments, as in a line for the shell.
pub fn with_line(task: &Task) -> Option<Cow<'_, Task>> {
    if taken(task).contains_key(LINE) {
        return Some(Cow::Borrowed(task));
    }
    match task.program {
        Program::Shell(_) => None,
        Program::Script(_) | Program::Command(_) => {
            let mut task = task.clone();
            task.args.push(PLACEHOLDER.to_owned());
            Some(Cow::Owned(task))
        }
    }
}

/// A line as it is given: to the byte, unless the parameter has a type.
pub fn line(text: &str, param: &Param) -> Given {
    match param.kind {
        Some(_) => Given::Text(text.to_owned()),
        None => Given::Value(Value::String(text.to_owned())),
    }
}

/// The task as a job with these values runs it. A parameter that has got a default since the job was made has that; the
/// work directory is the job's own matter.
pub fn of_job<'a>(task: &'a Task, values: &Values) -> Result<Cow<'a, Task>, RenderError> {
    let has_line = values.contains_key(LINE);
    if !has_line && !templates(task).any(|(_, text)| is_template(text)) {
        return Ok(Cow::Borrowed(task));
    }
    let lined = if has_line { with_line(task) } else { None };
    let own = Task { workdir: None, ..lined.unwrap_or(Cow::Borrowed(task)).into_owned() };
    let mut values = values.clone();
    for (name, param) in &own.params {
        if let Some(default) = param.default().filter(|_| !values.contains_key(name)) {
            values.insert(name.clone(), default.clone());
        }
    }
    Ok(Cow::Owned(render(&own, &values)?.into_owned()))
}
