//! The text of the registry turned into tasks: the top level, the tables of tasks, and names. It asks the
//! table of fields for everything inside a task.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::Draft;
use super::field;
use super::groups;
use super::machine::machine;
use super::mistake::{Mistakes, Problem, Sink};
use super::value::{Entry, Pair, Reader, in_order};
use super::{Registry, VERSION};
use crate::domain::name::{ExecId, TaskName};
use crate::domain::params;
use crate::domain::settings::Settings;
use crate::domain::suggest::nearest;
use crate::domain::task::Task;

/// What may stand at the top.
const TOP: [&str; 6] = ["version", "exec_id", "defaults", "task", "group", "machine"];

/// Reads a whole registry.
pub(super) fn registry(text: &str, base: &Path) -> Result<Registry, Mistakes> {
    let mut reader = Reader { sink: Sink::new(text) };
    let root = match DeTable::parse(text) {
        Ok(root) => root.into_inner(),
        Err(error) => return Err(unreadable(text, 0, &error)),
    };
    let newer = version(&root, &mut reader);
    let found = if newer { None } else { top(&root, base, &mut reader) };
    reader.sink.finish(found)
}

/// The mistake of syntax in a text, of which the parser has not seen the first bytes; for a key that stands
/// twice, with the line of the first.
pub(super) fn unreadable(text: &str, skipped: usize, error: &toml::de::Error) -> Mistakes {
    let span = error.span().map_or(text.len()..text.len(), |span| span.start + skipped..span.end + skipped);
    let mut sink = Sink::new(text);
    let problem = match first_of(text, &span, error) {
        Some((key, first)) => Problem::Repeated { key, line: sink.line(first) },
        None => Problem::Syntax(error.message().replace('\n', " ")),
    };
    sink.add(span, problem, None);
    Mistakes::from(sink)
}

/// The key that stands twice and where its nearest earlier one stands.
fn first_of(text: &str, span: &Range<usize>, error: &toml::de::Error) -> Option<(String, usize)> {
    if !error.message().starts_with("duplicate key") {
        return None;
    }
    let written = text.get(span.clone())?;
    let key = toml_edit::Key::parse(written).ok()?.pop()?.get().to_owned();
    // Only what stands before: of two tables of one name, the second would take the place of the first.
    let (root, _) = DeTable::parse_recoverable(text.get(..span.start)?);
    let mut nearest = None;
    let mut tables = vec![root.get_ref()];
    while let Some(table) = tables.pop() {
        for (other, value) in table {
            let start = other.span().start;
            if *other.get_ref() == key && start < span.start {
                nearest = nearest.max(Some(start));
            }
            if let DeValue::Table(inner) = value.get_ref() {
                tables.push(inner);
            }
        }
    }
    Some((key, nearest?))
}

/// Checks the version. A file of a newer one is not looked at any further: what it means is not known.
fn version(root: &DeTable<'_>, reader: &mut Reader<'_>) -> bool {
    let Some((_, value)) = root.get_key_value("version") else {
        reader.sink.add(0..0, Problem::NoVersion, Some(format!("begin the file with `version = {VERSION}`")));
        return false;
    };
    let DeValue::Integer(digits) = value.get_ref() else {
        let _: Option<()> = reader.wrong_type(&Entry { key: "version".to_owned(), value }, "an integer", None);
        return false;
    };
    match i64::from_str_radix(digits.as_str(), digits.radix()) {
        Ok(found) if found == VERSION => false,
        Ok(found) if found < VERSION => {
            reader.sink.add(value.span(), Problem::WrongVersion, None);
            false
        }
        Ok(_) | Err(_) => {
            let problem = Problem::NewerVersion { found: digits.to_string() };
            reader.sink.add(value.span(), problem, Some("use the jobexec that wrote this file".to_owned()));
            true
        }
    }
}

fn top(root: &DeTable<'_>, base: &Path, reader: &mut Reader<'_>) -> Option<Registry> {
    for (key, value) in in_order(root) {
        if !TOP.contains(&key.get_ref().as_ref()) {
            unknown_at_top((key, value), reader);
        }
    }
    let exec_id = exec_id(root, reader);
    let defaults = defaults(root, reader);
    let mut found = Vec::new();
    if let Some((_, value)) = root.get_key_value("task")
        && let Some(table) = table(&Entry { key: "task".to_owned(), value }, reader)
    {
        found = tasks(table, Below { judged: &defaults, filled: &defaults }, base, reader);
    }
    let settings = settings(root, reader);
    Some(Registry { exec_id: exec_id?, tz: defaults.tz, tasks: found, settings })
}

fn defaults(root: &DeTable<'_>, reader: &mut Reader<'_>) -> Draft {
    let Some((_, value)) = root.get_key_value("defaults") else { return Draft::default() };
    let Some(table) = table(&Entry { key: "defaults".to_owned(), value }, reader) else { return Draft::default() };
    let defaults = draft(table, "[defaults]", true, reader);
    defaults.check("[defaults]", &mut reader.sink);
    defaults
}

/// The defaults of a registry without a mistake.
pub(super) fn defaults_of(text: &str) -> Draft {
    let mut reader = Reader { sink: Sink::new(text) };
    DeTable::parse(text).map(|root| defaults(root.get_ref(), &mut reader)).unwrap_or_default()
}

/// The defaults below a task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Below<'a> {
    /// Those beside which its fields must make sense.
    pub(super) judged: &'a Draft,
    /// Those that fill in what it does not say. In a file that is only put into a registry these are none: what is not
    /// said there is not said in the registry either.
    pub(super) filled: &'a Draft,
}

/// What stands in the tables beside the tasks.
fn settings(root: &DeTable<'_>, reader: &mut Reader<'_>) -> Settings {
    let mut settings = Settings::default();
    if let Some((_, value)) = root.get_key_value("machine")
        && let Some(table) = table(&Entry { key: "machine".to_owned(), value }, reader)
    {
        settings.machine = machine(table, reader);
    }
    if let Some((_, value)) = root.get_key_value("group")
        && let Some(table) = table(&Entry { key: "group".to_owned(), value }, reader)
    {
        settings.groups = groups::read(table, reader);
    }
    settings
}

fn unknown_at_top((key, value): Pair<'_, '_>, reader: &mut Reader<'_>) {
    let name = key.get_ref().clone().into_owned();
    let is_task = value
        .get_ref()
        .as_table()
        .is_some_and(|table| ["script", "command", "shell"].iter().any(|program| table.contains_key(*program)));
    let meant = nearest(&name, TOP).map(str::to_owned).or_else(|| is_task.then(|| format!("task.{name}")));
    let hint = meant.map(|word| format!("did you mean `{word}`?"));
    reader.sink.add(key.span(), Problem::UnknownKey { key: name, place: "the file".to_owned() }, hint);
}

fn exec_id(root: &DeTable<'_>, reader: &mut Reader<'_>) -> Option<ExecId> {
    let Some((_, value)) = root.get_key_value("exec_id") else {
        let hint = "add a line such as `exec_id = \"xg15\"` below `version`".to_owned();
        reader.sink.add(0..0, Problem::NoExecId, Some(hint));
        return None;
    };
    let text = reader.text(&Entry { key: "exec_id".to_owned(), value })?;
    ExecId::parse(&text).map_err(|error| reader.sink.add(value.span(), error.into(), None)).ok()
}

/// The tasks in the order of the text.
pub(super) fn tasks(table: &DeTable<'_>, below: Below<'_>, base: &Path, reader: &mut Reader<'_>) -> Vec<Task> {
    let mut found = Vec::with_capacity(table.len());
    let mut names: HashMap<String, (String, usize)> = HashMap::with_capacity(table.len());
    for (key, value) in in_order(table) {
        let name = name(key, &mut names, reader);
        found.extend(task((key, value), name, below, base, reader));
    }
    found
}

fn name(
    key: &Spanned<std::borrow::Cow<'_, str>>,
    names: &mut HashMap<String, (String, usize)>,
    reader: &mut Reader<'_>,
) -> Option<TaskName> {
    let text = key.get_ref();
    let name = TaskName::parse(text).map_err(|error| reader.sink.add(key.span(), error.into(), None)).ok()?;
    if let Some((first, at)) = names.get(&name.key()) {
        let line = reader.sink.line(*at);
        let problem = Problem::SameName { name: text.clone().into_owned(), first: first.clone(), line };
        reader.sink.add(key.span(), problem, Some("rename or remove one of them".to_owned()));
        return None;
    }
    names.insert(name.key(), (text.clone().into_owned(), key.span().start));
    Some(name)
}

/// One task; its fields are looked at even when its name is wrong.
fn task(
    (key, value): Pair<'_, '_>,
    name: Option<TaskName>,
    below: Below<'_>,
    base: &Path,
    reader: &mut Reader<'_>,
) -> Option<Task> {
    let path = format!("task.{}", toml_edit::Key::new(key.get_ref().as_ref()).display_repr());
    let place = format!("[{path}]");
    let draft = draft(table(&Entry { key: path, value }, reader)?, &place, false, reader);
    draft.check_task(&key.span(), below.judged, &place, &mut reader.sink);
    let fires = ["period", "cron"].into_iter().find_map(|key| Some((key, draft.seen.get(key)?.clone())));
    let task = draft.finish(name?, below.filled, base)?;
    if let Some((key, at)) = fires
        && let Some(param) = params::required(&task).into_iter().next()
    {
        let hint = format!("give it a default: `params.{param}.default = …`");
        reader.sink.add(at, Problem::Valueless { key, place, param }, Some(hint));
    }
    Some(task)
}

pub(super) fn table<'a, 'i>(entry: &Entry<'a, 'i>, reader: &mut Reader<'_>) -> Option<&'a DeTable<'i>> {
    match entry.value.get_ref() {
        DeValue::Table(table) => Some(table),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => reader.wrong_type(entry, "a table", None),
    }
}

/// Reads one table of task fields by the table of fields.
fn draft(fields: &DeTable<'_>, place: &str, defaults: bool, reader: &mut Reader<'_>) -> Draft {
    let mut draft = Draft::default();
    for (key, value) in in_order(fields) {
        let name = key.get_ref().as_ref();
        if !field::is_group(name) {
            one(name, (key, value), place, defaults, reader, &mut draft);
        } else if let Some(group) = table(&Entry { key: name.to_owned(), value }, reader) {
            for (inner, value) in in_order(group) {
                one(&format!("{name}.{}", inner.get_ref()), (inner, value), place, defaults, reader, &mut draft);
            }
        }
    }
    draft
}

fn one(
    name: &str,
    (key, value): Pair<'_, '_>,
    place: &str,
    defaults: bool,
    reader: &mut Reader<'_>,
    draft: &mut Draft,
) {
    let quoted = key.get_ref().contains('.');
    match field::find(name).filter(|_| !quoted) {
        None => {
            let hint = field::meant(name).map(|word| format!("did you mean `{word}`?"));
            let problem = Problem::UnknownKey { key: name.to_owned(), place: place.to_owned() };
            reader.sink.add(key.span(), problem, hint);
        }
        Some(field) if defaults && !field.in_defaults => {
            reader.sink.add(key.span(), Problem::NotADefault { key: name.to_owned() }, None);
        }
        Some(field) => {
            draft.seen.insert(field.key, key.span());
            (field.read)(reader, &Entry { key: name.to_owned(), value }, draft);
        }
    }
}
