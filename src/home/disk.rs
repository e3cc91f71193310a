//! What the folder takes of the disk, and how much of that is left. Sizes are what the disk loses, not how long the
//! files are.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use nix::sys::statvfs::statvfs;

use super::Home;
use crate::domain::name::TaskName;

/// After so many files the count is given up: whoever waits for it wants an answer.
const MOST_FILES: u64 = 200_000;

/// The bytes in a block, as `stat` counts them.
const BLOCK: u64 = 512;

/// What a folder takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskUse {
    /// All of it.
    pub bytes: u64,
    /// Output, archived or not.
    pub outputs: u64,
    /// How many files that is.
    pub output_files: u64,
    /// Of it, in files that were begun since the moment that was asked for.
    pub new_outputs: u64,
    /// The database with its logs.
    pub database: u64,
    /// The records of runs.
    pub records: u64,
    /// The output of each task, by [`TaskName::key`].
    pub tasks: HashMap<String, u64>,
    /// Whether all files were counted.
    pub complete: bool,
    /// What is left for us on the file system, and how large that is.
    pub free: Option<(u64, u64)>,
    seen: u64,
}

impl DiskUse {
    /// Measures a folder. What cannot be looked at counts nothing.
    pub fn of(home: &Home, since: Timestamp) -> Self {
        let mut found = Self { complete: true, ..Self::default() };
        let since = Duration::try_from(since.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default();
        found.walk(home.root(), &mut |found, path, metadata| {
            let bytes = metadata.blocks().saturating_mul(BLOCK);
            found.bytes += bytes;
            match kind(home, path) {
                Kind::Database => found.database += bytes,
                Kind::Record => found.records += bytes,
                Kind::Output(task) => {
                    found.outputs += bytes;
                    found.output_files += 1;
                    if let Some(task) = task {
                        *found.tasks.entry(task).or_default() += bytes;
                    }
                    let begun = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                    if begun.is_some_and(|begun| begun >= since) {
                        found.new_outputs += bytes;
                    }
                }
                Kind::Other => {}
            }
        });
        // A percentage of nothing would be none.
        found.free = statvfs(home.root()).ok().filter(|all| all.blocks() > 0).map(|all| {
            let fragment = all.fragment_size();
            (all.blocks_available().saturating_mul(fragment), all.blocks().saturating_mul(fragment))
        });
        found
    }

    fn walk(&mut self, folder: &Path, visit: &mut dyn FnMut(&mut Self, &Path, &Metadata)) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.filter_map(io::Result::ok) {
            self.seen += 1;
            if self.seen > MOST_FILES {
                self.complete = false;
                return;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                self.walk(&entry.path(), visit);
            } else {
                visit(self, &entry.path(), &metadata);
            }
        }
    }
}

/// What a file is.
enum Kind {
    Database,
    Record,
    /// The output of this task, where it is one's alone.
    Output(Option<String>),
    Other,
}

fn kind(home: &Home, path: &Path) -> Kind {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let parent = path.parent().unwrap_or(home.root());
    if parent == home.runs() {
        return Kind::Record;
    }
    if path.starts_with(home.jobs()) {
        return Kind::Output(None);
    }
    if parent != home.root() {
        return Kind::Other;
    }
    let database = home.database();
    let database = database.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.starts_with(database) {
        return Kind::Database;
    }
    // What is no name itself may be one with the stamp of an archive.
    let named = name.strip_suffix(".txt").and_then(|stem| {
        TaskName::parse(stem).ok().or_else(|| stem.rsplit_once('_').and_then(|(task, _)| TaskName::parse(task).ok()))
    });
    named.map_or(Kind::Other, |task| Kind::Output(Some(task.key())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_counted_where_it_belongs() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::create(temp.path()).unwrap();
        let write = |name: &str, length: usize| {
            let path = home.root().join(name);
            fs::write(&path, vec![b'x'; length]).unwrap();
            fs::File::open(&path).unwrap().sync_all().unwrap();
            fs::metadata(&path).unwrap().blocks() * 512
        };
        let current = write("LOL.txt", 30_000);
        let archives = write("LOL_20210301T105358Z.txt", 20_000) + write("LOL_20210301T105358Z-2.txt", 10_000);
        let other = write("a_b.txt", 5_000);
        fs::create_dir_all(home.job_directory(crate::domain::name::JobId(7))).unwrap();
        let queued = write("jobs/7/run-1.txt", 6_000);
        let database = write("jobexec.db", 40_000) + write("jobexec.db-wal", 4_000);
        let record = write("runs/0123", 4_000);
        let rest = write("jobexec.toml", 10) + write("not a name.txt", 7);
        let found = DiskUse::of(&home, Timestamp::UNIX_EPOCH);
        assert_eq!(found.tasks, HashMap::from([("lol".to_owned(), current + archives), ("a_b".to_owned(), other)]));
        assert_eq!((found.outputs, found.output_files), (current + archives + other + queued, 5));
        assert_eq!((found.database, found.records), (database, record));
        assert_eq!(found.bytes, current + archives + other + queued + database + record + rest);
        assert!(found.complete && found.free.is_some_and(|(free, all)| 0 < all && free <= all));
        let later = Timestamp::from_second(32_503_680_000).unwrap();
        assert_eq!(DiskUse::of(&home, later).new_outputs, 0, "nothing was begun in the future");
    }
}
