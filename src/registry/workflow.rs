//! The file that `apply` reads: tasks as the registry has them, and jobs with what they wait for. Everything that can be
//! said without knowing the registry is said here, with the place of each mistake.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use super::draft::Draft;
use super::mistake::{Mistakes, Problem, Sink};
use super::read::{Below, defaults_of, table, tasks, unreadable};
use super::value::{Entry, Reader, in_order};
use crate::domain::edge::Edge;
use crate::domain::group::Label;
use crate::domain::name::TaskName;
use crate::domain::suggest::nearest;
use crate::domain::task::{Program, Restart, Task};

mod after;
mod section;

use after::{after, bound};
use section::section;

/// What may stand at the top.
const TOP: [&str; 3] = ["name", "task", "job"];

/// What may be said of a job.
const KEYS: [&str; 11] =
    ["task", "command", "shell", "params", "after", "tags", "data", "priority", "workdir", "not_before", "hold"];

/// What the file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Its name: with a job's own, what a job is known by.
    pub name: Label,
    /// Its tasks, each with the section that defines it in a registry.
    pub tasks: Vec<(Task, String)>,
    /// Its jobs: each after those that it waits for, and otherwise as they stand in the file.
    pub jobs: Vec<PlannedJob>,
}

/// What a job runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Runs {
    /// A task, of the file or of the registry.
    Task(TaskName),
    /// A command of its own.
    Own(Box<Task>),
}

/// A job as the file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedJob {
    /// What the file calls it.
    pub local: Label,
    /// What it runs.
    pub runs: Runs,
    /// Its parameters.
    pub params: BTreeMap<String, serde_json::Value>,
    /// The jobs that it waits for, and for what.
    pub after: Vec<(Label, Edge)>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its data.
    pub data: Option<serde_json::Value>,
    /// Its priority, where that is not the task's.
    pub priority: Option<i64>,
    /// Its work directory, where that is not the task's.
    pub workdir: Option<String>,
    /// The time before which it is not to run, as it was written.
    pub not_before: Option<String>,
    /// Whether it waits for its release.
    pub held: bool,
    /// Where each of its keys stands, and under `""` its name.
    pub places: HashMap<&'static str, Range<usize>>,
}

impl PlannedJob {
    /// A mistake in it that only the registry brings to light: where it stands and what it is.
    pub fn place(&self, key: &str) -> Range<usize> {
        self.places.get(key).or_else(|| self.places.get("")).cloned().unwrap_or(0..0)
    }
}

/// Mistakes that were found in a text after it had been read.
pub fn mistakes(text: &str, found: Vec<(Range<usize>, Problem, Option<String>)>) -> Mistakes {
    let mut sink = Sink::new(text);
    for (span, problem, hint) in found {
        sink.add(span, problem, hint);
    }
    Mistakes::from(sink)
}

/// Reads such a file, whose tasks are to stand in this registry, which has no mistake; relative directories are found from
/// `base`, which is absolute.
pub fn read(text: &str, base: &Path, registry: &str) -> Result<Workflow, Mistakes> {
    let root = DeTable::parse(text).map_err(|error| unreadable(text, 0, &error))?.into_inner();
    let mut reader = Reader { sink: Sink::new(text) };
    for (key, _) in in_order(&root) {
        let name = key.get_ref().as_ref();
        if !TOP.contains(&name) {
            let hint = nearest(name, TOP).map(|word| format!("did you mean `{word}`?"));
            let problem = Problem::UnknownKey { key: name.to_owned(), place: "the file".to_owned() };
            reader.sink.add(key.span(), problem, hint);
        }
    }
    let name = name(&root, &mut reader);
    let below = |key: &str, reader: &mut Reader<'_>| {
        let (_, value) = root.get_key_value(key)?;
        table(&Entry { key: key.to_owned(), value }, reader).cloned()
    };
    let (judged, filled) = (&defaults_of(registry), &Draft::default());
    let tasks = below("task", &mut reader).map(|table| tasks(&table, Below { judged, filled }, base, &mut reader));
    let jobs = below("job", &mut reader).map(|table| jobs(&table, base, &mut reader)).unwrap_or_default();
    let jobs = bound(jobs, &mut reader);
    let named = |task: Task| {
        let section = section(text, &task);
        (task, section)
    };
    let tasks = tasks.unwrap_or_default().into_iter().map(named).collect();
    reader.sink.finish(name.map(|name| Workflow { name, tasks, jobs }))
}

fn name(root: &DeTable<'_>, reader: &mut Reader<'_>) -> Option<Label> {
    let Some((_, value)) = root.get_key_value("name") else {
        reader.sink.add(0..0, Problem::NoName, Some("begin the file with `name = \"pipeline\"`".to_owned()));
        return None;
    };
    reader.label(&Entry { key: "name".to_owned(), value })
}

/// The jobs in the order of the text.
fn jobs(table: &DeTable<'_>, base: &Path, reader: &mut Reader<'_>) -> Vec<PlannedJob> {
    let mut found: Vec<PlannedJob> = Vec::with_capacity(table.len());
    let mut names: HashMap<String, (String, usize)> = HashMap::new();
    for (key, value) in in_order(table) {
        let text = key.get_ref().clone().into_owned();
        let local = Label::parse(&text).map_err(|error| reader.sink.add(key.span(), error.into(), None)).ok();
        let path = format!("job.{}", toml_edit::Key::new(&text).display_repr());
        let job = one(&Entry { key: path, value }, local.clone(), base, reader);
        if let Some((first, at)) = local.as_ref().and_then(|local| names.get(&local.key())) {
            let problem = Problem::SameName { name: text, first: first.clone(), line: reader.sink.line(*at) };
            reader.sink.add(key.span(), problem, Some("rename or remove one of them".to_owned()));
            continue;
        }
        if let Some(local) = local {
            names.insert(local.key(), (text, key.span().start));
        }
        found.extend(job.map(|mut job| {
            job.places.insert("", key.span());
            job
        }));
    }
    found
}

/// One job; its keys are looked at even when its name is wrong.
fn one(entry: &Entry<'_, '_>, local: Option<Label>, base: &Path, reader: &mut Reader<'_>) -> Option<PlannedJob> {
    let parts = reader.parts(entry, &KEYS, "write it as a table: `[job.NAME]`")?;
    let place = format!("[{}]", entry.key);
    let mut job = PlannedJob {
        local: local.clone().or_else(|| Label::parse("job").ok())?,
        runs: Runs::Own(Box::new(Task::new(
            TaskName::parse("command").ok()?,
            Program::Shell(String::new()),
            base.into(),
        ))),
        params: BTreeMap::new(),
        after: Vec::new(),
        tags: BTreeMap::new(),
        data: None,
        priority: None,
        workdir: None,
        not_before: None,
        held: false,
        places: parts.iter().map(|(key, part)| (*key, part.value.span())).collect(),
    };
    let mut programs: Vec<&'static str> = Vec::new();
    let mut runs = None;
    for (key, part) in &parts {
        match *key {
            "task" => {
                programs.push("task");
                runs = reader
                    .text(part)
                    .and_then(|text| {
                        TaskName::parse(&text)
                            .map_err(|error| reader.sink.add(part.value.span(), error.into(), None))
                            .ok()
                    })
                    .map(Runs::Task);
            }
            "command" => {
                programs.push("command");
                reader.check_templates(part);
                runs = reader.words(part).and_then(|words| own(Program::Command(words), base));
            }
            "shell" => {
                programs.push("shell");
                reader.check_line(part);
                runs = reader.text(part).and_then(|line| own(Program::Shell(line), base));
            }
            "params" => match reader.json(part) {
                Some(serde_json::Value::Object(map)) => job.params = map.into_iter().collect(),
                Some(_) => _ = reader.wrong_type::<()>(part, "a table", Some("write it as `{ NAME = 1 }`")),
                None => {}
            },
            "after" => job.after = after(part, reader),
            "tags" => job.tags = reader.labels(part),
            "data" => job.data = reader.json(part),
            "priority" => job.priority = reader.priority(part).map(Into::into),
            "workdir" => job.workdir = reader.workdir(part),
            "not_before" => job.not_before = reader.moment(part),
            "hold" => job.held = reader.flag(part).unwrap_or_default(),
            _ => {}
        }
    }
    match programs.as_slice() {
        [] => {
            let hint = "write one of `task`, `command` and `shell`".to_owned();
            reader.sink.add(entry.value.span(), Problem::NoProgram { place }, Some(hint));
        }
        [first, others @ ..] => {
            for key in others {
                let problem = Problem::Clash { key: (*key).to_owned(), other: first, place: place.clone() };
                reader.sink.add(job.place(key), problem, None);
            }
        }
    }
    local?;
    Some(PlannedJob { runs: runs?, ..job })
}

/// A command that is of no task runs in the folder of the file.
fn own(program: Program, base: &Path) -> Option<Runs> {
    let task = Task::new(TaskName::parse("command").ok()?, program, base.into());
    Some(Runs::Own(Box::new(Task { restart: Restart::Never, ..task })))
}

#[cfg(test)]
mod tests;
