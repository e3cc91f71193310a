//! Tables below a field: those whose keys the user chooses, and those with keys of ours.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Entry, Problem, Reader, in_order};
use crate::domain::suggest::nearest;

impl Reader<'_> {
    /// A table whose keys the user has chosen.
    pub(super) fn table_of<'a, 'i>(&mut self, entry: &Entry<'a, 'i>, hint: &str) -> Option<&'a DeTable<'i>> {
        match entry.value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => self.wrong_type(entry, "a table", Some(hint)),
        }
    }

    /// The parts of a table that has these keys and no others.
    pub(in super::super) fn parts<'a, 'i>(
        &mut self,
        entry: &Entry<'a, 'i>,
        known: &'static [&'static str],
        hint: &str,
    ) -> Option<Vec<(&'static str, Entry<'a, 'i>)>> {
        let mut parts = Vec::new();
        for (key, value) in in_order(self.table_of(entry, hint)?) {
            match known.iter().find(|known| **known == key.get_ref().as_ref()) {
                Some(known) => parts.push((*known, Entry { key: format!("{}.{known}", entry.key), value })),
                None => self.unknown_part(entry, key, known),
            }
        }
        Some(parts)
    }

    fn unknown_part(
        &mut self,
        entry: &Entry<'_, '_>,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        known: &'static [&'static str],
    ) {
        let (name, place) = (key.get_ref().clone().into_owned(), format!("`{}`", entry.key));
        let meant = match nearest(&name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!("it may say {}", known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
            }
        };
        self.sink.add(key.span(), Problem::UnknownKey { key: name, place }, Some(meant));
    }
}
