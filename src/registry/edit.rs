//! Edits of the registry's text: pure functions from text to text. Every edit replaces, inserts or removes
//! exactly the bytes of the item it is about, so that all else (comments, order, blank lines, the style of
//! line ends, a byte order mark) stays as it is. What the new text means is for [`validated`] to say.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use thiserror::Error;

use self::node::{Node, Shape};
use self::print::{body, inline, key, path, value};
use self::source::{Edits, Source};
use super::{Mistakes, Registry, VERSION};
use crate::domain::name::{ExecId, TaskName};
use crate::domain::restart::Thousandths;
use crate::domain::task::Task;

mod node;
mod print;
mod source;

/// What one field of a task is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key as the table of fields has it: `stop.grace`.
    pub key: &'static str,
    /// The value, or nothing to remove the field.
    pub value: Option<Value>,
}

/// A value as it is written into the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A number that may have a fraction.
    Decimal(Thousandths),
    /// `true` or `false`.
    Flag(bool),
    /// An array of strings.
    List(Vec<String>),
    /// A table of strings; [`update`] adds it to what is there.
    Map(BTreeMap<String, String>),
}

/// Why a text cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// The text to edit cannot be read, or the edited text would not be a good registry.
    #[error("the registry has mistakes")]
    Mistakes(#[from] Mistakes),
    /// A task of this name is there already.
    #[error("a task named `{0}` already exists")]
    Exists(String),
    /// No task of this name is there.
    #[error("no task named `{0}`")]
    Unknown(TaskName),
}

/// A text that was found to be a good registry, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// The text.
    pub text: String,
    /// What it says.
    pub registry: Registry,
}

/// A text to which a task was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The text.
    pub text: String,
    /// The id of the executor that it says.
    pub exec_id: ExecId,
    /// The task that it says.
    pub task: Task,
}

/// Makes sure that an edited text is a good registry. Nothing but this and what [`append`] makes may be written to the
/// file.
pub fn validated(text: String, base: &Path) -> Result<Validated, EditError> {
    let registry = Registry::parse(&text, base)?;
    Ok(Validated { text, registry })
}

/// The text of a new registry without tasks.
pub fn initial(exec_id: &ExecId) -> String {
    format!(
        "# The tasks of one jobexec executor. Edit it by hand or with `jobexec add`, `edit` and `remove`:\n\
         # comments and order are kept. `jobexec check` looks for mistakes.\n\
         \n\
         version = {VERSION}\n\
         exec_id = {}\n",
        value(&Value::Text(exec_id.as_str().to_owned()))
    )
}

/// Appends a task, after one blank line.
pub fn add(text: &str, name: &TaskName, settings: &[Setting]) -> Result<String, EditError> {
    let source = Source::read(text)?;
    if let Some(node) = source.task(name) {
        return Err(EditError::Exists(node.name().to_owned()));
    }
    if let Some(tasks) = source.tasks().filter(|tasks| tasks.shape == Shape::Inline) {
        let edits = source.insert(&tasks, &[name.as_str()], &inline(settings));
        return Ok(source.apply(edits));
    }
    Ok(format!("{text}{}", section(text, name, settings)))
}

/// Appends a task to a text that is known to be a good registry without it. The tasks that are there are not read again,
/// where that can be seen to be enough: none of them changes what another one means. `None` where the result would not be
/// good.
pub fn append(text: &str, name: &TaskName, settings: &[Setting], base: &Path) -> Option<Appended> {
    let section = section(text, name, settings);
    let new = format!("{text}{section}");
    let registry = match without_tasks(text) {
        Some(rest) => Registry::parse(&(rest + &section), base),
        None => Registry::parse(&new, base),
    };
    let Registry { exec_id, tasks, .. } = registry.ok()?;
    let task = tasks.into_iter().find(|task| task.name == *name)?;
    Some(Appended { text: new, exec_id, task })
}

/// What is appended to a text to define a task.
fn section(text: &str, name: &TaskName, settings: &[Setting]) -> String {
    let eol = source::line_end(text);
    format!("{}[task.{}]{eol}{}", gap(text), key(name.as_str()), body(settings, eol))
}

/// A good text without the sections of its tasks, of which a line that begins with `[task.` is the header: no value can
/// begin like that. `None` for one with strings of several lines, which may hold anything.
fn without_tasks(text: &str) -> Option<String> {
    if ["\"\"\"", "'''"].iter().any(|quotes| text.contains(quotes)) {
        return None;
    }
    let mut rest = String::new();
    let mut is_task = false;
    for line in text.split_inclusive('\n') {
        let start = line.trim_start();
        if start.starts_with('[') {
            is_task = start.starts_with("[task.");
        }
        if !is_task {
            rest += line;
        }
    }
    Some(rest)
}

/// What makes one blank line between a text and what is appended to it.
fn gap(text: &str) -> String {
    let eol = source::line_end(text);
    match text {
        "" => String::new(),
        _ if text.ends_with("\n\n") || text.ends_with("\n\r\n") => String::new(),
        _ if text.ends_with('\n') => eol.to_owned(),
        _ => eol.repeat(2),
    }
}

/// Appends a task that is written already, header and all, in the place of one of its name wherever that stands. Whether
/// the result is good is for [`validated`] to say.
pub fn put(text: &str, name: &TaskName, section: &str) -> Result<String, EditError> {
    let text = match remove(text, name) {
        Err(EditError::Unknown(_)) => text.to_owned(),
        other => other?,
    };
    let section = section.replace('\n', source::line_end(&text));
    Ok(format!("{text}{}{section}", gap(&text)))
}

/// Defines a task anew in its place. The comment above its header stays; comments between its old fields
/// go with them.
pub fn replace(text: &str, name: &TaskName, settings: &[Setting]) -> Result<String, EditError> {
    let source = Source::read(text)?;
    let node = source.task(name).ok_or_else(|| EditError::Unknown(name.clone()))?;
    let mut edits = Edits::new();
    match node.shape {
        Shape::Inline | Shape::Leaf => edits.push((node.value(), inline(settings))),
        Shape::Header => {
            let (own, below) = (source.section(&node), source.sections_below(&node));
            let fields = source.line_end(node.value().end)..own.end;
            let gap = if source.ends_line(fields.start) { "" } else { source.eol };
            edits.push((fields, format!("{gap}{}", body(settings, source.eol))));
            edits.extend(below.into_iter().map(|section| (source.with_gap(section), String::new())));
        }
        Shape::Dotted => {
            let regions = source.regions(&node);
            let line = node.key_path_in_section();
            let first = source.first_line(&node);
            let new = format!("{} = {}{}", path(&line), inline(settings), source.eol);
            edits.push((first..first, new));
            edits.extend(regions.into_iter().map(|region| {
                let start = if region.contains(&first) { first } else { region.start };
                (start..region.end, String::new())
            }));
        }
        Shape::Implicit => {
            let regions = source.regions(&node);
            let first = regions.first().map_or(source.text.len(), |region| region.start);
            let eol = source.eol;
            let new = format!("[task.{}]{eol}{}{eol}", key(node.name()), body(settings, eol));
            edits.push((first..first, new));
            edits.extend(regions.into_iter().map(|region| (source.with_gap(region), String::new())));
        }
    }
    Ok(source.apply(edits))
}

/// Changes single fields of a task. A setting without a value removes the field, with the comment directly
/// above it; a map is added to the table that is there, in the form it has.
pub fn update(text: &str, name: &TaskName, settings: &[Setting]) -> Result<String, EditError> {
    let source = Source::read(text)?;
    if source.task(name).is_none() {
        return Err(EditError::Unknown(name.clone()));
    }
    let mut text = text.to_owned();
    for Setting { key, value: new } in settings {
        let path: Vec<&str> = key.split('.').collect();
        let Some(new) = new else {
            text = unset(&text, name, &path)?;
            continue;
        };
        let there = Source::read(&text)?.task(name).and_then(|task| task.below(&path)).is_some();
        match new {
            Value::Map(entries) if there => {
                for (entry, value) in entries {
                    let path: Vec<&str> = path.iter().copied().chain([entry.as_str()]).collect();
                    text = set(&text, name, &path, &print::text(value))?;
                }
            }
            Value::Text(_) | Value::Number(_) | Value::Decimal(_) | Value::Flag(_) | Value::List(_) | Value::Map(_) => {
                text = set(&text, name, &path, &value(new))?;
            }
        }
    }
    Ok(text)
}

/// Removes a task with everything that is its own: its fields, its sub-tables, the comment directly above
/// its header and one gap of blank lines. A comment that stands by itself, between blank lines, stays.
pub fn remove(text: &str, name: &TaskName) -> Result<String, EditError> {
    let source = Source::read(text)?;
    let node = source.task(name).ok_or_else(|| EditError::Unknown(name.clone()))?;
    let edits = source.removal(&node);
    Ok(source.apply(edits))
}

fn set(text: &str, name: &TaskName, path: &[&str], value: &str) -> Result<String, EditError> {
    let source = Source::read(text)?;
    let mut node: Node<'_, '_> = source.task(name).ok_or_else(|| EditError::Unknown(name.clone()))?;
    let mut rest = path;
    while let Some((first, others)) = rest.split_first() {
        let Some(child) = node.below(&[first]) else { break };
        (node, rest) = (child, others);
    }
    let edits =
        if rest.is_empty() { vec![(node.value(), value.to_owned())] } else { source.insert(&node, rest, value) };
    Ok(source.apply(edits))
}

fn unset(text: &str, name: &TaskName, path: &[&str]) -> Result<String, EditError> {
    let source = Source::read(text)?;
    let edits = source.task(name).and_then(|task| task.below(path)).map(|node| source.removal(&node));
    Ok(source.apply(edits.unwrap_or_default()))
}

/// Bytes of a text.
type Span = Range<usize>;

#[cfg(test)]
mod tests;
