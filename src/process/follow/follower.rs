//! One followed path: the files that bore its name, oldest first, and what the events say about them.
//! Never sleeps and owns no queue of events: the set does.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, Inotify, InotifyEvent, WatchDescriptor};

use super::{FollowError, Notice, Start};
use crate::process::tail::last_lines_at;

/// How many files may wait to be read: each is held open, because the number of a closed and deleted
/// inode may come back as another file's.
const MOST_WAITING: usize = 256;

/// A file that bears or bore the name.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    identity: (u64, u64),
    offset: u64,
    watch: Option<WatchDescriptor>,
    removal_told: bool,
}

/// A followed path.
#[derive(Debug)]
pub(super) struct Follower {
    path: PathBuf,
    folder: PathBuf,
    name: OsString,
    folder_watch: WatchDescriptor,
    /// The first is being read, the last is the newest that is known.
    parts: VecDeque<Part>,
    notices: VecDeque<Notice>,
    /// The cookie of a rename of which only the first half has been heard.
    moving: Option<u32>,
    events: Events,
    /// The name may stand for another file than the newest that is known.
    look: bool,
    /// There may be something to read.
    ready: bool,
}

/// What the events heard next are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Events {
    /// They may tell of files older than the one that was found first.
    Old,
    /// They tell everything that happened to the name.
    Complete,
    /// Some were lost.
    Torn,
}

impl Follower {
    /// Watches the folder of `path`.
    pub(super) fn new(inotify: &Inotify, path: &Path) -> Result<Self, FollowError> {
        let not_a_file = || FollowError::NotAFile { path: path.to_owned() };
        let name = path.file_name().ok_or_else(not_a_file)?.to_owned();
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        // Not IN_MODIFY: the output of every script would wake us.
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        let folder_watch = inotify
            .add_watch(&folder, flags)
            .map_err(|errno| FollowError::Watch { path: folder.clone(), source: errno.into() })?;
        Ok(Self {
            path: path.to_owned(),
            folder,
            name,
            folder_watch,
            parts: VecDeque::new(),
            notices: VecDeque::new(),
            moving: None,
            events: Events::Old,
            look: false,
            ready: true,
        })
    }

    /// Opens what bears the name now; to be accepted after the events have been drained.
    pub(super) fn open(&mut self) -> Result<Option<Part>, FollowError> {
        self.look = false;
        Part::open(&self.path)
    }

    /// Accepts the file that was found first. Files that left the name before it are none of our business.
    pub(super) fn start(&mut self, first: Option<Part>, start: Start) -> Result<(), FollowError> {
        let Some(mut part) = first else { return Ok(()) };
        part.offset = match start {
            Start::Beginning => 0,
            Start::LastLines(lines) => last_lines_at(&part.file, &self.path, lines)?,
            Start::At(offset) => offset,
        };
        self.parts.push_back(part);
        Ok(())
    }

    /// Says that the events from before the start have all been heard.
    pub(super) fn begin(&mut self) {
        if self.events == Events::Old {
            self.events = Events::Complete;
        }
    }

    /// Accepts what was found under the name, unless the name has changed hands again since.
    pub(super) fn accept(&mut self, found: Option<Part>) {
        let Some(part) = found.filter(|_| !self.look) else { return };
        if !self.newest_is(&part) {
            if self.events == Events::Torn {
                self.notices.push_back(Notice::Missed);
            }
            self.push(part);
        }
        self.events = Events::Complete;
    }

    /// Whether the name has to be looked at again.
    pub(super) fn wants_look(&self) -> bool {
        self.look
    }

    /// Whether reading may deliver something.
    pub(super) fn stirs(&self) -> bool {
        self.ready || self.look || !self.notices.is_empty()
    }

    /// Takes the next notice.
    pub(super) fn notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Reacts to one event of the set's queue; others' files cause nothing.
    pub(super) fn hear(&mut self, event: &InotifyEvent) -> Result<(), FollowError> {
        let ended = event.mask.contains(AddWatchFlags::IN_IGNORED);
        if event.wd == self.folder_watch {
            if ended {
                return Err(FollowError::FolderGone { path: self.path.clone() });
            }
            return event.name.as_deref().map_or(Ok(()), |name| self.hear_name(event, name));
        }
        for part in self.parts.iter_mut().filter(|part| part.watch == Some(event.wd)) {
            part.watch = None;
            self.ready = true;
        }
        Ok(())
    }

    fn hear_name(&mut self, event: &InotifyEvent, name: &OsStr) -> Result<(), FollowError> {
        if name == self.name {
            self.moving = event.mask.contains(AddWatchFlags::IN_MOVED_FROM).then_some(event.cookie);
            self.look = true;
            self.ready = true;
        } else if event.mask.contains(AddWatchFlags::IN_MOVED_TO) && self.moving == Some(event.cookie) {
            self.moving = None;
            return self.learn_departure(&self.folder.join(name));
        }
        Ok(())
    }

    /// The file that bore the name is now called `archive`: either the newest that is known, or one that
    /// came and went unseen.
    fn learn_departure(&mut self, archive: &Path) -> Result<(), FollowError> {
        let old = self.events == Events::Old;
        match Part::open(archive)? {
            Some(part) if self.newest_is(&part) => self.begin(),
            Some(part) if !old => self.push(part),
            // If the newest is deleted by now, the archive was probably its.
            None if !old && !self.parts.back().is_some_and(Part::is_deleted) => {
                self.notices.push_back(Notice::Missed);
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn newest_is(&self, part: &Part) -> bool {
        self.parts.back().is_some_and(|newest| newest.identity == part.identity)
    }

    fn push(&mut self, part: Part) {
        self.parts.push_back(part);
        self.ready = true;
        // The first is being read already, so the one after it makes room.
        if self.parts.len() > MOST_WAITING && self.parts.remove(1).is_some() {
            self.notices.push_back(Notice::Missed);
        }
    }

    /// The queue of events was full: anything may have happened.
    pub(super) fn lose_track(&mut self) {
        self.moving = None;
        self.look = true;
        self.ready = true;
        self.events = Events::Torn;
        for part in &mut self.parts {
            part.watch = None;
        }
    }

    /// Reads on and returns the number of bytes; 0 at the end, or when a notice is to be taken first.
    pub(super) fn read(&mut self, inotify: &Inotify, buffer: &mut [u8]) -> Result<usize, FollowError> {
        if !self.ready {
            return Ok(0);
        }
        let more = self.parts.len() > 1;
        let Some(part) = self.parts.front_mut() else {
            self.ready = false;
            return Ok(0);
        };
        let failed = |source| FollowError::Read { path: self.path.clone(), source };
        // Watched before it is read: whatever is written after the last read wakes us.
        if !more {
            part.watch(inotify, &self.path)?;
        }
        let count = part.read(buffer).map_err(failed)?;
        if count > 0 {
            return Ok(count);
        }
        let seen = part.file.metadata().map_err(failed)?;
        if seen.len() < part.offset {
            part.offset = 0;
            self.notices.push_back(Notice::Truncated);
        } else if more {
            part.unwatch(inotify);
            self.parts.pop_front();
            self.notices.push_back(Notice::Restarted);
        } else {
            self.ready = false;
            if seen.nlink() == 0 && !part.removal_told {
                part.removal_told = true;
                self.notices.push_back(Notice::Removed);
            }
        }
        Ok(0)
    }
}

impl Part {
    /// Opens a regular file; `None` where there is none. A pipe in its place does not block.
    fn open(path: &Path) -> Result<Option<Self>, FollowError> {
        let failed = |source| FollowError::Open { path: path.to_owned(), source };
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let seen = file.metadata().map_err(failed)?;
        if !seen.is_file() {
            return Err(FollowError::NotAFile { path: path.to_owned() });
        }
        let identity = (seen.dev(), seen.ino());
        Ok(Some(Self { file, identity, offset: 0, watch: None, removal_told: false }))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, self.offset) {
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn is_deleted(&self) -> bool {
        self.file.metadata().as_ref().is_ok_and(|seen: &Metadata| seen.nlink() == 0)
    }

    /// Asks for one event at the next change. One and not all: a script that writes while nobody reads
    /// must not fill the queue that the renames need.
    fn watch(&mut self, inotify: &Inotify, path: &Path) -> Result<(), FollowError> {
        if self.watch.is_none() {
            // By descriptor, because the name may be another file's by now.
            let this = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_ONESHOT;
            let watch = inotify
                .add_watch(this.as_str(), flags)
                .map_err(|errno| FollowError::Watch { path: path.to_owned(), source: errno.into() })?;
            self.watch = Some(watch);
        }
        Ok(())
    }

    fn unwatch(&mut self, inotify: &Inotify) {
        if let Some(watch) = self.watch.take() {
            // It may have fired, and be gone, since.
            let _ = inotify.rm_watch(watch);
        }
    }
}
