//! The registry as it was last read without a mistake, under the file's fingerprint: so that `status` with ten
//! thousand tasks parses no TOML, and a half-saved file does not blind anybody.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use serde::Deserialize;

use crate::domain::name::TaskName;
use crate::domain::settings::Settings;
use crate::domain::task::{Program, Task};

use super::{StoreError, execute};

const DOING: &str = "use the cached registry";

/// The cached registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cached {
    /// The fingerprint of the file that it was read from.
    pub fingerprint: String,
    /// The executor's id.
    pub exec_id: String,
    /// The tasks in the file's order.
    pub tasks: Vec<Arc<Task>>,
    /// What the file says besides.
    pub settings: Settings,
}

/// The fingerprint and the executor's id that the cache holds.
pub fn head(connection: &Connection) -> Result<Option<(String, String)>, StoreError> {
    connection
        .prepare_cached("SELECT fingerprint, exec_id FROM registry_cache")
        .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(StoreError::sql(DOING))
}

/// What the registry says besides its tasks, as it was when it was last read without a mistake.
pub fn settings(connection: &Connection) -> Result<Settings, StoreError> {
    let text: Option<Option<String>> = connection
        .prepare_cached("SELECT settings FROM registry_cache")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)).optional())
        .map_err(StoreError::sql(DOING))?;
    // One that a jobexec with other settings wrote is not used any more when this one has read the file.
    Ok(text.flatten().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// The whole cache; `None` where there is none, or where it was written by a jobexec with other fields.
pub fn read(connection: &Connection) -> Result<Option<Cached>, StoreError> {
    let Some((fingerprint, exec_id)) = head(connection)? else { return Ok(None) };
    let mut statement = connection
        .prepare_cached("SELECT definition FROM registry_tasks ORDER BY position")
        .map_err(StoreError::sql(DOING))?;
    let mut rows = statement.query([]).map_err(StoreError::sql(DOING))?;
    let (mut tasks, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next().map_err(StoreError::sql(DOING))? {
        let bytes = row.get_ref(0).map_err(StoreError::sql(DOING))?;
        let Some(task) = bytes.as_blob().ok().and_then(|bytes| decode(bytes, &mut last)) else {
            return Ok(None);
        };
        tasks.push(Arc::new(task));
    }
    Ok(Some(Cached { fingerprint, exec_id, tasks, settings: settings(connection)? }))
}

/// The first fields of a task, in their order. Most tasks of a registry have nothing of their own behind them.
#[derive(Deserialize)]
struct Head {
    name: TaskName,
    program: Program,
    args: Vec<String>,
}

/// What was behind the head of the task before, and what it means.
struct Tail {
    bytes: Vec<u8>,
    task: Task,
}

/// A task as it was encoded. What it says behind its head is not decoded again where the task before has said the same.
fn decode(bytes: &[u8], last: &mut Option<Tail>) -> Option<Task> {
    let (Head { name, program, args }, tail) = postcard::take_from_bytes(bytes).ok()?;
    if let Some(last) = last.as_ref().filter(|last| last.bytes == tail) {
        return Some(Task { name, program, args, ..last.task.clone() });
    }
    let task: Task = postcard::from_bytes(bytes).ok()?;
    let same = Task { program: Program::Shell(String::new()), args: Vec::new(), ..task.clone() };
    *last = Some(Tail { bytes: tail.to_vec(), task: same });
    Some(task)
}

/// Replaces the cache.
pub fn replace(
    tx: &Connection,
    fingerprint: &str,
    exec_id: &str,
    tasks: &[Task],
    settings: &Settings,
) -> Result<(), StoreError> {
    tx.execute("DELETE FROM registry_tasks", []).map_err(StoreError::sql(DOING))?;
    for (position, task) in tasks.iter().enumerate() {
        put(tx, i64::try_from(position).unwrap_or(i64::MAX), task)?;
    }
    let settings = serde_json::to_string(settings).map_err(|error| StoreError::Impossible(error.to_string()))?;
    tx.execute(
        "INSERT OR REPLACE INTO registry_cache (id, fingerprint, exec_id, settings) VALUES (1, ?1, ?2, ?3)",
        [fingerprint, exec_id, &settings],
    )
    .map(drop)
    .map_err(StoreError::sql(DOING))
}

/// Adds one task at the end, if the cache is that of the file before. Somebody else may have read the new file already.
pub fn append(tx: &Connection, before: &str, fingerprint: &str, exec_id: &str, task: &Task) -> Result<(), StoreError> {
    if head(tx)?.is_none_or(|(cached, _)| cached != before) {
        return Ok(());
    }
    let next = tx
        .query_row("SELECT coalesce(max(position), -1) + 1 FROM registry_tasks", [], |row| row.get(0))
        .map_err(StoreError::sql(DOING))?;
    put(tx, next, task)?;
    tx.execute("UPDATE registry_cache SET fingerprint = ?1, exec_id = ?2", [fingerprint, exec_id])
        .map(drop)
        .map_err(StoreError::sql(DOING))
}

/// One task of the cache.
pub fn find(connection: &Connection, name: &TaskName) -> Result<Option<Task>, StoreError> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT definition FROM registry_tasks WHERE name = ?1")
        .and_then(|mut statement| statement.query_row([name.as_str()], |row| row.get(0)).optional())
        .map_err(StoreError::sql(DOING))?;
    Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()))
}

fn put(tx: &Connection, position: i64, task: &Task) -> Result<(), StoreError> {
    let bytes = postcard::to_stdvec(task).map_err(|error| StoreError::Impossible(error.to_string()))?;
    execute(
        tx,
        "INSERT INTO registry_tasks (position, name, definition) VALUES (?1, ?2, ?3)",
        (position, task.name.as_str(), bytes),
        DOING,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::group::{Group, Label};
    use crate::domain::resources::{GpuId, Machine};
    use crate::store::{Durability, tests::store};

    #[test]
    fn the_cache_is_read_back_as_it_was_written() {
        let (_temp, mut store) = store();
        assert_eq!(read(store.reader()).unwrap(), None);
        assert_eq!(super::settings(store.reader()).unwrap(), Settings::default());
        let task = |name: &str| {
            let mut task = Task::new(TaskName::parse(name).unwrap(), Program::Script("x.sh".into()), "/".into());
            task.timeout = Some(std::time::Duration::from_secs(90));
            task
        };
        let tasks = vec![task("b"), task("a")];
        let machine = Machine { cpus: Some(3), memory: None, gpus: Some([GpuId::Index(1)].into()) };
        let group = Group { name: Label::parse("Disk").unwrap(), parallel: 2 };
        let settings = Settings { machine, groups: [("disk".to_owned(), group)].into() };
        store.write(Durability::Committed, |tx| replace(tx, "1", "xg15", &tasks, &settings)).unwrap();
        store.write(Durability::Committed, |tx| append(tx, "1", "2", "xg15", &task("c"))).unwrap();
        store.write(Durability::Committed, |tx| append(tx, "1", "3", "xg15", &task("d"))).unwrap();
        assert_eq!(super::settings(store.reader()).unwrap(), settings);
        let cached = read(store.reader()).unwrap().unwrap();
        assert_eq!((cached.fingerprint.as_str(), cached.exec_id.as_str()), ("2", "xg15"));
        assert_eq!(cached.settings, settings);
        assert_eq!(cached.tasks, ["b", "a", "c"].map(|name| Arc::new(task(name))));
        assert_eq!(settings.group(&Label::parse("DISK").unwrap()).map(|group| group.parallel), Some(2));
    }

    #[test]
    fn tasks_that_are_alike_are_read_back_each_as_it_was_written() {
        let (_temp, mut store) = store();
        let task = |name: &str, program: Program| Task::new(TaskName::parse(name).unwrap(), program, "/".into());
        let mut tasks = vec![
            task("a", Program::Script("x.sh".into())),
            task("b", Program::Command(vec!["y".into(), "z".into()])),
            task("c", Program::Shell("y".into())),
            task("d", Program::Script("x.sh".into())),
            task("e", Program::Script("x.sh".into())),
        ];
        tasks[1].args = vec!["1".into(), "2".into()];
        tasks[3].env = [("A".to_owned(), "1".to_owned())].into();
        tasks[3].wd = "/d".into();
        let settings = Settings::default();
        store.write(Durability::Committed, |tx| replace(tx, "1", "xg15", &tasks, &settings)).unwrap();
        let cached = read(store.reader()).unwrap().unwrap();
        assert_eq!(cached.tasks, tasks.iter().cloned().map(Arc::new).collect::<Vec<_>>());
        for task in tasks {
            assert_eq!(find(store.reader(), &task.name).unwrap(), Some(task));
        }
        store
            .write(Durability::Committed, |tx| execute(tx, "UPDATE registry_tasks SET definition = x'01'", [], ""))
            .unwrap();
        assert_eq!(read(store.reader()).unwrap(), None, "what cannot be read is read from the file");
    }
}
