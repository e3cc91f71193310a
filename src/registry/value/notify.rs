//! Whom a task tells of what. In these fields something empty is a value too, that of telling nobody: only so can a
//! task take back a default.

use std::collections::BTreeSet;

use toml::de::DeValue;

use super::{Entry, Problem, Reader};
use crate::domain::notice::{Occasion, shell};
use crate::domain::url;

impl Reader<'_> {
    /// Occasions in their own order, each once; a text is a list of one.
    pub(in super::super) fn occasions(&mut self, entry: &Entry<'_, '_>) -> Option<Vec<Occasion>> {
        let items = match entry.value.get_ref() {
            DeValue::String(text) if text.is_empty() => return Some(Vec::new()),
            DeValue::String(_) => return self.occasion(entry).map(|one| vec![one]),
            DeValue::Array(items) => items,
            _ => return self.wrong_type(entry, "an array of strings", Some("write it as `[\"failure\", \"stall\"]`")),
        };
        let mut found = BTreeSet::new();
        let mut good = true;
        for value in items {
            match self.occasion(&Entry { key: entry.key.clone(), value }) {
                Some(occasion) => _ = found.insert(occasion),
                None => good = false,
            }
        }
        good.then(|| found.into_iter().collect())
    }

    /// A line for the shell, or a program and its arguments.
    pub(in super::super) fn telling(&mut self, entry: &Entry<'_, '_>) -> Option<Vec<String>> {
        match entry.value.get_ref() {
            DeValue::String(text) if text.is_empty() => Some(Vec::new()),
            DeValue::String(_) => self.text(entry).map(|line| shell(&line)),
            DeValue::Array(items) if items.is_empty() => Some(Vec::new()),
            DeValue::Array(_) => self.words(entry),
            _ => self.wrong_type(entry, "a string or an array of strings", None),
        }
    }

    /// A URL; empty for none.
    pub(in super::super) fn url(&mut self, entry: &Entry<'_, '_>) -> Option<String> {
        let text = self.any_text(entry, "a string", None)?;
        match url::check(&text) {
            Err(error) if !text.is_empty() => {
                let hint = error.hint();
                self.refuse(entry.value.span(), Problem::Url { key: entry.key.clone(), error }, hint.as_deref())
            }
            Ok(()) | Err(_) => Some(text),
        }
    }
}
