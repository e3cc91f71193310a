//! The tables of groups: `[group.NAME]`.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::mistake::Problem;
use super::value::{Entry, Reader, in_order};
use crate::domain::group::Group;

/// What may be said of a group.
const KEYS: [&str; 1] = ["parallel"];

/// The groups by the keys of their names.
pub(super) fn read(table: &DeTable<'_>, reader: &mut Reader<'_>) -> BTreeMap<String, Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for (key, value) in in_order(table) {
        let label = reader.label_of(key.get_ref(), key);
        let entry = Entry { key: format!("group.{}", key.get_ref()), value };
        let parallel = parallel(&entry, reader);
        let Some(name) = label else { continue };
        if let Some((first, at)) = places.insert(name.key(), (name.clone(), key.span().start)) {
            let line = reader.sink.line(at);
            let problem = Problem::SameName { name: name.to_string(), first: first.to_string(), line };
            reader.sink.add(key.span(), problem, Some("rename or remove one of them".to_owned()));
        }
        groups.extend(parallel.map(|parallel| (name.key(), Group { name, parallel })));
    }
    groups
}

fn parallel(entry: &Entry<'_, '_>, reader: &mut Reader<'_>) -> Option<u32> {
    let form = "write it as `parallel = 2`";
    let parts = reader.parts(entry, &KEYS, form)?;
    if let Some((_, entry)) = parts.first() {
        return reader.count_in(entry, 1..=u32::MAX);
    }
    let problem = Problem::Lacks { key: entry.key.clone(), part: "parallel" };
    reader.sink.add(entry.value.span(), problem, Some(form.to_owned()));
    None
}
