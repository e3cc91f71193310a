//! Texts with placeholders: where in the file a wrong one stands. What the text is besides, others read.

use std::ops::Range;

use toml::de::DeValue;

use super::{Entry, Problem, Reader, in_order};
use crate::domain::params::check_line;
use crate::domain::params::template::{TemplateError, pieces};

impl Reader<'_> {
    /// Reports the wrong placeholders of a text, or of every text of a list or a table.
    pub(in super::super) fn check_templates(&mut self, entry: &Entry<'_, '_>) {
        match entry.value.get_ref() {
            DeValue::String(text) => self.report(entry, text, pieces(text).err()),
            DeValue::Array(items) => {
                for value in items {
                    self.check_templates(&Entry { key: entry.key.clone(), value });
                }
            }
            DeValue::Table(table) => {
                for (key, value) in in_order(table) {
                    self.check_templates(&Entry { key: format!("{}.{}", entry.key, key.get_ref()), value });
                }
            }
            _ => {}
        }
    }

    /// Reports a wrong placeholder of a line for the shell, or one whose value could not be quoted there.
    pub(in super::super) fn check_line(&mut self, entry: &Entry<'_, '_>) {
        if let DeValue::String(line) = entry.value.get_ref() {
            self.report(entry, line, check_line(line).err());
        }
    }

    fn report(&mut self, entry: &Entry<'_, '_>, text: &str, error: Option<TemplateError>) {
        let Some(error) = error else { return };
        let span = self.inside(&entry.value.span(), text, &error.at);
        let hint = error.hint();
        self.sink.add(span, Problem::Template { key: entry.key.clone(), error }, Some(hint));
    }

    /// The bytes of the file that are these of a text; the whole value where escapes keep that from being told.
    fn inside(&self, value: &Range<usize>, text: &str, at: &Range<usize>) -> Range<usize> {
        let written = self.sink.text().get(value.clone()).unwrap_or_default();
        match written.find(text) {
            Some(from) => value.start + from + at.start..value.start + from + at.end,
            None => value.clone(),
        }
    }
}
