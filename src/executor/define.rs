//! add, edit, remove: changes of what is defined.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::domain::name::TaskName;
use crate::domain::task::Task;
use crate::domain::url;
use crate::process::clock;
use crate::registry::{self, EditError, Setting};
use crate::store::{Durability, events, jobs, runs, tasks};

use super::{Asker, Executor, ExecutorError};
use crate::ledger::Ledger;

/// A task as somebody wants it defined.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: TaskName,
    /// Its fields.
    pub settings: Vec<Setting>,
}

/// What became of an `add`.
#[derive(Debug)]
pub enum Added {
    /// It is there now.
    New(Task),
    /// It was there; nothing was changed.
    Existed {
        /// The name as it is written in the registry.
        name: TaskName,
        /// Where the definitions differ; empty where they are the same.
        differences: Vec<Difference>,
    },
    /// It was there and has been replaced.
    Replaced(Task),
}

/// A field in which two definitions differ.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field.
    pub field: String,
    /// Its value in the registry.
    pub is: String,
    /// The value that was given.
    pub given: String,
}

/// What became of a `remove`.
#[derive(Debug)]
pub struct Removed {
    /// The name as it was written.
    pub name: TaskName,
    /// How many output files were deleted.
    pub purged: usize,
}

impl Executor {
    /// Adds a task. One that exists stays as it is, unless it is to be replaced.
    pub fn add(&mut self, new: &Definition, replace: bool, asker: &Asker) -> Result<Added, ExecutorError> {
        if !replace && let Some(existing) = self.defined(&new.name)? {
            return self.existed(new, &existing);
        }
        if !replace && let Some(appended) = self.append_to_registry(&new.name, &new.settings)? {
            let task = &appended.task;
            self.record_change(&task.name, "added", Some(task), asker, |tx| Ok(appended.cache(tx)?))?;
            drop(appended.lock);
            return Ok(Added::New(appended.task));
        }
        let mut existed = false;
        let edited = self.edit_registry(|text| match registry::add(text, &new.name, &new.settings) {
            Err(EditError::Exists(_)) if replace => {
                existed = true;
                registry::replace(text, &new.name, &new.settings)
            }
            other => other,
        });
        let (registry, lock) = match edited {
            // Somebody else added it meanwhile.
            Err(ExecutorError::Edit(EditError::Exists(name))) => {
                let existing = self.defined(&new.name)?.ok_or_else(|| ExecutorError::Edit(EditError::Exists(name)))?;
                return self.existed(new, &existing);
            }
            other => other?,
        };
        let task = registry.task(&new.name).cloned().ok_or_else(|| ExecutorError::NotDefined(new.name.clone()))?;
        let cause = if existed { "edited" } else { "added" };
        self.record_change(&task.name, cause, Some(&task), asker, |_| Ok(()))?;
        drop(lock);
        Ok(if existed { Added::Replaced(task) } else { Added::New(task) })
    }

    /// The answer for a task that exists: where it differs from what replacing it would make of it.
    fn existed(&self, new: &Definition, existing: &Task) -> Result<Added, ExecutorError> {
        let (contents, _) = self.read_registry()?;
        let text = registry::replace(&contents.text, &new.name, &new.settings)?;
        let wanted = registry::validated(text, self.home.root())?.registry;
        let differences = wanted.task(&new.name).map(|wanted| differences(existing, wanted)).unwrap_or_default();
        Ok(Added::Existed { name: existing.name.clone(), differences })
    }

    /// Changes fields of a task.
    pub fn edit(&mut self, name: &TaskName, settings: &[Setting], asker: &Asker) -> Result<Task, ExecutorError> {
        let definitions = self.definitions()?.good()?;
        let name = self.resolve(&definitions, name)?;
        let (registry, lock) = self.edit_registry(|text| registry::update(text, &name, settings))?;
        let task = registry.task(&name).cloned().ok_or_else(|| ExecutorError::NotDefined(name.clone()))?;
        self.record_change(&task.name, "edited", Some(&task), asker, |_| Ok(()))?;
        drop(lock);
        Ok(task)
    }

    /// Removes a task from the registry; its history stays. With `purge` its output files go as well. The caller has
    /// stopped it; a running one is refused.
    pub fn remove(&mut self, name: &TaskName, purge: bool, asker: &Asker) -> Result<Removed, ExecutorError> {
        let definitions = self.definitions()?.good()?;
        let name = self.resolve(&definitions, name)?;
        self.refresh()?;
        if runs::unfinished_of(self.store.reader(), &name)?.is_some() {
            return Err(ExecutorError::Running(name));
        }
        let gone = definitions.find(&name).is_none();
        // One that somebody has taken out by hand, or whose removal was cut off, is still to be recorded as removed.
        if gone && !purge && events::was_removed(self.store.reader(), &name)? {
            return Err(ExecutorError::NotDefined(name));
        }
        let edited = if gone { None } else { Some(self.edit_registry(|text| registry::remove(text, &name))?) };
        let home = self.home.clone();
        self.record_change(&name, "removed", None, asker, |tx| {
            let ledger = Ledger { tx, home: &home, now: clock::now() };
            ledger.stop_waiting(&name, &format!("removed by {}", asker.name))?;
            for job in jobs::active_of(tx, &name)? {
                if runs::unfinished_of_job(tx, job.id)?.is_none() {
                    ledger.cancel(&job, &name, &format!("removed by {}", asker.name))?;
                }
            }
            Ok(())
        })?;
        drop(edited);
        let purged = if purge { self.purge_output(&name)? } else { 0 };
        Ok(Removed { name, purged })
    }

    fn record_change(
        &mut self,
        name: &TaskName,
        cause: &'static str,
        task: Option<&Task>,
        asker: &Asker,
        besides: impl FnOnce(&rusqlite::Connection) -> Result<(), ExecutorError>,
    ) -> Result<(), ExecutorError> {
        let (home, now) = (&self.home, clock::now());
        self.store.write(Durability::Flushed, |tx| -> Result<(), ExecutorError> {
            Ledger { tx, home, now }.note_definition(name, cause, task, asker)?;
            if task.is_none() {
                // Added again, it is a new task that nobody has started.
                tasks::want(tx, name, false, &asker.name, now)?;
            }
            besides(tx)
        })
    }
}

impl Ledger<'_> {
    /// Records that a task was added, edited or removed; `task` is what it is now.
    pub(super) fn note_definition(
        &self,
        name: &TaskName,
        cause: &'static str,
        task: Option<&Task>,
        asker: &Asker,
    ) -> Result<(), ExecutorError> {
        match cause {
            "added" => tasks::add(self.tx, name, self.now)?,
            _ => tasks::see(self.tx, name, self.now)?,
        }
        if let Some(task) = task {
            self.anchor(task)?;
        }
        let event = events::NewEvent {
            job: None,
            task: Some(name.as_str()),
            states: None,
            cause,
            data: json!({ "by": asker.name, "what": task.map(Task::program_text) }),
        };
        Ok(events::record(self.tx, &event, self.now)?)
    }
}

/// The fields in which two definitions differ.
pub(super) fn differences(existing: &Task, wanted: &Task) -> Vec<Difference> {
    let (mut is, mut given) = (fields(existing), fields(wanted));
    let names: BTreeSet<String> = is.keys().chain(given.keys()).cloned().collect();
    let differing = names.into_iter().filter(|name| is.get(name) != given.get(name)).collect::<Vec<_>>();
    let nothing = || "nothing".to_owned();
    let seen = |field: &str, text: String| if field == "notify.url" { url::shown(&text) } else { text };
    differing
        .into_iter()
        .map(|field| {
            let is = is.remove(&field).map_or_else(nothing, |text| seen(&field, text));
            let given = given.remove(&field).map_or_else(nothing, |text| seen(&field, text));
            // What differs may be what is not shown.
            let given = if is == given { format!("another {given}") } else { given };
            Difference { field, is, given }
        })
        .collect()
}

/// The fields of a task that say something, by the names that the registry has for them, as people read them.
fn fields(task: &Task) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let Ok(Value::Object(json)) = serde_json::to_value(task) else { return fields };
    for (name, value) in json {
        match (name.as_str(), value) {
            ("name", _) => {}
            ("program" | "schedule", Value::Object(inner)) => {
                for (key, value) in inner {
                    match value.as_object().filter(|_| key == "policy") {
                        Some(policy) => fields.extend(policy.iter().map(|(k, v)| (k.clone(), text(v)))),
                        None => {
                            fields.insert(key, text(&value));
                        }
                    }
                }
            }
            ("backoff" | "give_up" | "notify" | "stop" | "log" | "hooks", Value::Object(inner)) => {
                fields.extend(inner.iter().map(|(k, v)| (format!("{name}.{k}"), text(v))));
            }
            ("stall", Value::Object(inner)) => {
                fields.extend(inner.iter().map(|(k, v)| (format!("{name}_{k}"), text(v))));
            }
            (_, value) => {
                fields.insert(name, text(&value));
            }
        }
    }
    fields.insert("backoff.factor".to_owned(), task.backoff.factor.to_string());
    fields.insert("backoff.jitter".to_owned(), task.backoff.jitter.percent());
    if !task.notify.command.is_empty() {
        // A list as the registry has it: the same words as a line for the shell are another command.
        let command = task.notify.line().map_or_else(|| json!(task.notify.command).to_string(), str::to_owned);
        fields.insert("notify.command".to_owned(), command);
    }
    fields.retain(|_, text| !text.is_empty());
    fields
}

/// A value as people read it; nothing for one that says nothing.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(words) => words.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Object(pairs) => {
            pairs.iter().map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(" ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
