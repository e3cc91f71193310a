//! The files of tasks that cannot be started: when one of them changes, starting it is worth another try.
//!
//! Directories are watched, since a file that is not there cannot be: the nearest that exists.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use crate::domain::task::{Program, Task};

/// The watch over files of several tasks.
#[derive(Debug)]
pub(super) struct Scripts {
    inotify: Inotify,
    /// Which name in which directory matters to which tasks, by their keys.
    waiting: HashMap<(WatchDescriptor, OsString), Vec<String>>,
    /// The files of each task.
    of_task: HashMap<String, Vec<PathBuf>>,
}

impl Scripts {
    pub(super) fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Self { inotify, waiting: HashMap::new(), of_task: HashMap::new() })
    }

    /// Watches the files that a task needs in order to start; whether one has changed already since its last run
    /// `ended`. What cannot be watched is tried again in time anyway.
    pub(super) fn watch(&mut self, key: &str, task: &Task, ended: Timestamp) -> bool {
        let files = files(task);
        if self.of_task.get(key) == Some(&files) {
            return false;
        }
        self.forget(key);
        for file in &files {
            let Some((directory, name)) = nearest(file) else { continue };
            let changes = AddWatchFlags::IN_MOVED_TO
                | AddWatchFlags::IN_CLOSE_WRITE
                | AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_ATTRIB
                | AddWatchFlags::IN_ONLYDIR;
            if let Ok(descriptor) = self.inotify.add_watch(&directory, changes) {
                self.waiting.entry((descriptor, name)).or_default().push(key.to_owned());
            }
        }
        let changed = files.iter().any(|file| is_newer(file, ended));
        self.of_task.insert(key.to_owned(), files);
        changed
    }

    /// Whether the files of a task are watched.
    pub(super) fn is_watched(&self, key: &str) -> bool {
        self.of_task.contains_key(key)
    }

    /// Watches the files of a task no longer.
    pub(super) fn forget(&mut self, key: &str) {
        if self.of_task.remove(key).is_none() {
            return;
        }
        let mut left = Vec::new();
        self.waiting.retain(|(directory, _), keys| {
            keys.retain(|known| known != key);
            if keys.is_empty() {
                left.push(*directory);
            }
            !keys.is_empty()
        });
        left.retain(|directory| !self.waiting.keys().any(|(other, _)| other == directory));
        for directory in left {
            // One that is gone takes its watch along.
            let _ = self.inotify.rm_watch(directory);
        }
    }

    /// The tasks of which a file has changed.
    pub(super) fn changed(&mut self) -> io::Result<Vec<String>> {
        let mut changed: Vec<String> = Vec::new();
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in events {
                        let Some(name) = event.name else { continue };
                        changed.extend(self.waiting.get(&(event.wd, name)).into_iter().flatten().cloned());
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        changed.sort_unstable();
        changed.dedup();
        Ok(changed)
    }
}

impl AsFd for Scripts {
    /// Readable when a file may have changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// The files that a task needs in order to start, as far as it names them.
fn files(task: &Task) -> Vec<PathBuf> {
    let program = match &task.program {
        Program::Script(script) => Some(task.wd.join(script)),
        // What is found along PATH is not watched.
        Program::Command(words) => words.first().filter(|word| word.contains('/')).map(|word| task.wd.join(word)),
        Program::Shell(_) => None,
    };
    let env_file = task.env_file.as_ref().map(|file| task.wd.join(file));
    [Some(task.wd.clone()), program, env_file].into_iter().flatten().collect()
}

/// Whether a file has changed since. Of a directory that is not asked: it changes with everything that is in it.
fn is_newer(file: &Path, than: Timestamp) -> bool {
    let Ok(found) = fs::metadata(file) else { return false };
    let changed = (found.ctime(), found.ctime_nsec());
    !found.is_dir() && changed > (than.as_second(), i64::from(than.subsec_nanosecond()))
}

/// The nearest directory above a file that exists, and the name in it that leads to the file.
fn nearest(file: &Path) -> Option<(PathBuf, OsString)> {
    let mut below = file;
    loop {
        let directory = below.parent()?;
        if directory.is_dir() {
            return Some((directory.to_path_buf(), below.file_name()?.to_owned()));
        }
        below = directory;
    }
}
