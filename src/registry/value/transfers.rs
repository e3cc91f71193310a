//! The slots of what is transferred.

use std::collections::BTreeMap;

use super::{Entry, Problem, Reader, in_order};
use crate::domain::inside;
use crate::domain::transfer::Transfer;

/// What may be said of a slot.
const KEYS: [&str; 7] = ["direction", "local", "remote", "required", "recursive", "mode", "help"];

/// How a slot is written.
const FORM: &str = "write it as `{ direction = \"in\", local = \"input.csv\" }`";

impl Reader<'_> {
    /// The slots of a task.
    pub(in super::super) fn transfers(&mut self, entry: &Entry<'_, '_>) -> BTreeMap<String, Transfer> {
        let mut transfers = BTreeMap::new();
        let Some(table) = self.table_of(entry, "write it as `{ NAME = { direction = \"in\", local = \"a.csv\" } }`")
        else {
            return transfers;
        };
        for (key, value) in in_order(table) {
            let name = self.label_of(key.get_ref(), key);
            if let (Some(transfer), Some(name)) =
                (self.transfer(&Entry { key: format!("{}.{}", entry.key, key.get_ref()), value }), name)
            {
                transfers.insert(name.as_str().to_owned(), transfer);
            }
        }
        transfers
    }

    fn transfer(&mut self, entry: &Entry<'_, '_>) -> Option<Transfer> {
        let parts = self.parts(entry, &KEYS, FORM)?;
        let part = |name: &str| parts.iter().find(|(key, _)| *key == name).map(|(_, entry)| entry);
        for needed in ["direction", "local"] {
            if part(needed).is_none() {
                let problem = Problem::Lacks { key: entry.key.clone(), part: needed };
                let _: Option<()> = self.refuse(entry.value.span(), problem, Some(FORM));
            }
        }
        let direction = part("direction").and_then(|entry| self.direction(entry));
        let local = part("local").and_then(|entry| self.path_inside(entry, inside::local));
        let remote = part("remote").and_then(|entry| {
            self.check_templates(entry);
            self.path(entry)
        });
        let required = part("required").and_then(|entry| self.flag(entry));
        let recursive = part("recursive").and_then(|entry| self.flag(entry));
        let mode = part("mode").and_then(|entry| self.mode(entry));
        let help = part("help").and_then(|entry| self.text(entry));
        Some(Transfer {
            direction: direction?,
            local: local?,
            remote,
            required: required.unwrap_or(true),
            recursive: recursive.unwrap_or(false),
            mode: mode.unwrap_or_default(),
            help,
        })
    }
}
