//! Keys and values as TOML writes them.

use std::fmt::Write as _;

use super::{Setting, Value};

/// A key, quoted where it must be.
pub(super) fn key(key: &str) -> String {
    toml_edit::Key::new(key).display_repr().into_owned()
}

/// A dotted key.
pub(super) fn path<S: AsRef<str>>(keys: &[S]) -> String {
    keys.iter().map(|one| key(one.as_ref())).collect::<Vec<_>>().join(".")
}

/// A string, always in one line: a line end inside it must not depend on the style of the file's.
pub(super) fn text(text: &str) -> String {
    if !text.contains(['\n', '\r']) {
        return toml_edit::Value::from(text).to_string();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            c if c.is_ascii_control() => write_escape(&mut out, c),
            c => out.push(c),
        }
    }
    out + "\""
}

fn write_escape(out: &mut String, c: char) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\u{:04X}", u32::from(c));
}

/// A value.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::Text(one) => text(one),
        Value::Number(number) => number.to_string(),
        Value::Decimal(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(items) => format!("[{}]", items.iter().map(|item| text(item)).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => braces(entries.iter().map(|(name, one)| format!("{} = {}", key(name), text(one)))),
    }
}

/// The settings as lines.
pub(super) fn body(settings: &[Setting], eol: &str) -> String {
    assignments(settings).map(|line| line + eol).collect()
}

/// The settings as an inline table.
pub(super) fn inline(settings: &[Setting]) -> String {
    braces(assignments(settings))
}

fn assignments(settings: &[Setting]) -> impl Iterator<Item = String> {
    settings.iter().filter_map(|setting| {
        let keys: Vec<&str> = setting.key.split('.').collect();
        setting.value.as_ref().map(|one| format!("{} = {}", path(&keys), value(one)))
    })
}

fn braces(entries: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = entries.collect();
    if all.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", all.join(", ")) }
}
