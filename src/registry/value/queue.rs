//! What a task says of its queued jobs: their place in the queue, what they share, where they run, what is run around
//! them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::{Entry, Problem, Reader};
use crate::domain::group::Label;
use crate::domain::hooks::Preamble;
use crate::domain::inside::{self, InsideError};
use crate::domain::params::template::{Piece, is_template, pieces};

impl Reader<'_> {
    /// A whole number, perhaps negative.
    pub(in super::super) fn priority(&mut self, entry: &Entry<'_, '_>) -> Option<i32> {
        let DeValue::Integer(digits) = entry.value.get_ref() else { return self.wrong_type(entry, "an integer", None) };
        if let Ok(number) = i32::from_str_radix(digits.as_str(), digits.radix()) {
            return Some(number);
        }
        let problem = Problem::TooLarge { key: entry.key.clone(), found: digits.to_string() };
        self.refuse(entry.value.span(), problem, Some("stay between -2147483648 and 2147483647"))
    }

    /// The name of a group.
    pub(in super::super) fn label(&mut self, entry: &Entry<'_, '_>) -> Option<Label> {
        let text = self.any_text(entry, "a string", None)?;
        self.label_of(&text, entry.value)
    }

    /// A name that stands at a place of the file.
    pub(in super::super) fn label_of<T>(&mut self, text: &str, at: &Spanned<T>) -> Option<Label> {
        Label::parse(text).map_err(|error| self.sink.add(at.span(), error.into(), None)).ok()
    }

    /// The names of locks, each once.
    pub(in super::super) fn locks(&mut self, entry: &Entry<'_, '_>) -> Option<Vec<Label>> {
        let DeValue::Array(items) = entry.value.get_ref() else {
            return self.wrong_type(entry, "an array of strings", Some("write it as `[\"NAME\"]`"));
        };
        let mut seen = BTreeSet::new();
        let mut locks = Vec::with_capacity(items.len());
        for value in items {
            let Some(lock) = self.label(&Entry { key: entry.key.clone(), value }) else { continue };
            if seen.insert(lock.key()) {
                locks.push(lock);
            } else {
                let problem = Problem::Twice { key: entry.key.clone(), word: lock.to_string() };
                self.sink.add(value.span(), problem, Some("name each once; case does not count".to_owned()));
            }
        }
        (locks.len() == items.len()).then_some(locks)
    }

    /// The template of a work directory; what its values can make of it, only the job knows.
    pub(in super::super) fn workdir(&mut self, entry: &Entry<'_, '_>) -> Option<String> {
        self.check_templates(entry);
        let text = self.text(entry)?;
        if !is_template(&text) {
            return self.inside_of(entry, &text, inside::work_directory);
        }
        // Each value taken for a word that is no mistake by itself.
        let sample = |piece| match piece {
            Piece::Text(text) => text,
            Piece::Value { .. } => "value".to_owned(),
        };
        let filled: String = pieces(&text).ok()?.into_iter().map(sample).collect();
        self.inside_of(entry, &filled, inside::work_directory).map(|_| text)
    }

    /// A path that stays inside of a directory.
    pub(super) fn path_inside(
        &mut self,
        entry: &Entry<'_, '_>,
        rule: fn(&str) -> Result<String, InsideError>,
    ) -> Option<String> {
        let text = self.text(entry)?;
        self.inside_of(entry, &text, rule)
    }

    fn inside_of(
        &mut self,
        entry: &Entry<'_, '_>,
        text: &str,
        rule: fn(&str) -> Result<String, InsideError>,
    ) -> Option<String> {
        match rule(text) {
            Ok(path) => Some(path),
            Err(error) => {
                let hint = error.hint();
                self.refuse(entry.value.span(), Problem::Inside { key: entry.key.clone(), error }, Some(hint))
            }
        }
    }

    /// Patterns of paths inside of the work directory.
    pub(in super::super) fn patterns(&mut self, entry: &Entry<'_, '_>) -> Option<Vec<String>> {
        let DeValue::Array(items) = entry.value.get_ref() else {
            return self.wrong_type(entry, "an array of strings", Some("write it as `[\"*.tmp\"]`"));
        };
        let item = |value| Entry { key: entry.key.clone(), value };
        let read: Vec<_> = items.iter().map(|value| self.path_inside(&item(value), inside::pattern)).collect();
        read.into_iter().collect()
    }

    /// A file to source, or lines for the shell; without any of them for none.
    pub(in super::super) fn preamble(&mut self, entry: &Entry<'_, '_>) -> Option<Preamble> {
        match entry.value.get_ref() {
            DeValue::String(text) if text.is_empty() => Some(Preamble::none()),
            DeValue::String(_) => self.path(entry).map(|path| Preamble::File(PathBuf::from(path))),
            DeValue::Array(_) => {
                let lines = self.list(entry)?;
                if lines.iter().any(|line| line.trim().is_empty()) {
                    return self.refuse(entry.value.span(), Problem::Empty { key: entry.key.clone() }, None);
                }
                Some(Preamble::Lines(lines))
            }
            _ => self.wrong_type(entry, "a string or an array of strings", Some("a string is a file to source")),
        }
    }
}
