//! A task of one file as a section of another: with its comments, and its directory in full.

use toml_edit::{DocumentMut, Item, Table};

use crate::domain::task::Task;

/// The section that defines a task which this text defines.
pub(super) fn section(text: &str, task: &Task) -> String {
    let name = task.name.as_str();
    let read = text.trim_start_matches('\u{feff}').replace('\r', "");
    let found = read.parse::<DocumentMut>().ok();
    let found = found.as_ref().and_then(|document| document.get("task")?.get(name)).cloned();
    let mut table = found.and_then(|item| item.into_table().ok()).unwrap_or_default();
    // What it means must not depend on where it is written.
    table.insert("wd", toml_edit::value(task.wd.to_string_lossy().into_owned()));
    table.set_dotted(false);
    table.set_implicit(false);
    let mut tasks = Table::new();
    tasks.set_implicit(true);
    tasks.insert(name, Item::Table(table));
    let mut document = DocumentMut::new();
    document.insert("task", Item::Table(tasks));
    document.to_string().trim_start().to_owned()
}
