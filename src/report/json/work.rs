//! The JSON of what a task says of its jobs: parameters, place in the queue, surroundings.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::seconds;
use crate::domain::hooks::Preamble;
use crate::domain::params::{self, Kind};
use crate::domain::task::Task;
use crate::domain::transfer::Transfer;

/// The keys of a task that are about its jobs.
pub(super) fn of_jobs(task: &Task) -> Map<String, Value> {
    let mut hooks: Map<String, Value> =
        task.hooks.named().map(|(name, words)| (name.to_owned(), json!(words))).into_iter().collect();
    hooks.insert("timeout".to_owned(), seconds(task.hooks.timeout));
    let (file, lines) = match &task.preamble {
        Some(Preamble::File(path)) => (Some(path), None),
        Some(Preamble::Lines(lines)) => (None, Some(lines)),
        None => (None, None),
    };
    let value = json!({
        "params": params(task),
        "priority": task.priority,
        "group": task.group,
        "locks": task.locks,
        "workdir": task.workdir,
        "preamble": { "file": file, "lines": lines },
        "hooks": hooks,
        "transfers": transfers(task),
        "cleanup": task.cleanup,
    });
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// All parameters that it takes, those that only its placeholders name included.
fn params(task: &Task) -> BTreeMap<String, Value> {
    let param = |param: &params::Param| {
        json!({
            "required": param.is_required(),
            "default": param.default(),
            "type": param.kind.map(Kind::as_str),
            "help": param.help,
        })
    };
    params::taken(task).iter().map(|(name, one)| (name.clone(), param(one))).collect()
}

fn transfers(task: &Task) -> BTreeMap<&str, Value> {
    let slot = |slot: &Transfer| {
        json!({
            "direction": slot.direction.as_str(),
            "local": slot.local,
            "remote": slot.remote,
            "required": slot.required,
            "recursive": slot.recursive,
            "mode": slot.mode.as_str(),
            "help": slot.help,
        })
    };
    task.transfers.iter().map(|(name, one)| (name.as_str(), slot(one))).collect()
}
