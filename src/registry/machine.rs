//! `[machine]`: what queued jobs may use together, where that is not what is found.

use toml::de::DeTable;

use super::mistake::Problem;
use super::value::{Entry, Reader, in_order};
use crate::domain::resources::Machine;
use crate::domain::suggest::nearest;

/// The most cpus that a machine or a task can name.
pub(super) const MOST_CPUS: u32 = 1_000_000;

/// What may stand in the table.
const KEYS: [&str; 3] = ["cpus", "memory", "gpus"];

/// Reads the table.
pub(super) fn machine(table: &DeTable<'_>, reader: &mut Reader<'_>) -> Machine {
    let mut machine = Machine::default();
    for (key, value) in in_order(table) {
        let name = key.get_ref().as_ref();
        let entry = Entry { key: format!("machine.{name}"), value };
        match name {
            "cpus" => machine.cpus = reader.count_in(&entry, 1..=MOST_CPUS),
            "memory" => machine.memory = reader.size(&entry),
            "gpus" => machine.gpus = reader.devices(&entry),
            _ => {
                let hint = nearest(name, KEYS).map(|word| format!("did you mean `{word}`?"));
                let problem = Problem::UnknownKey { key: entry.key, place: "[machine]".to_owned() };
                reader.sink.add(key.span(), problem, hint);
            }
        }
    }
    machine
}
