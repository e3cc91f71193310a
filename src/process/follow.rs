//! Follows growing files whose names go on to other files: a task's output is renamed to an archive and
//! made anew at each start. Sleeps until the kernel reports something. Knows files and names, neither
//! tasks nor how their text is shown.
//!
//! What is guaranteed, as long as the file is not truncated:
//! - every byte that a file held when its name went on to the next one is delivered once and in order;
//!   what is written to it after that (by a process of the former run) is left in it;
//! - files that came and went between two wake-ups are delivered as well, provided that they were renamed
//!   within their folder: the kernel's queue of events tells the new name. One that was deleted, or was
//!   the 257th in a row that nobody had read, is reported as [`Notice::Missed`].

mod follower;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use thiserror::Error;

use self::follower::Follower;
use super::tail::TailError;

/// How often a name is looked at again when it changes while it is looked at.
const LOOKS: usize = 16;

/// Why files could not be followed any longer.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The system gave no queue of events (often `fs.inotify.max_user_instances` is reached).
    #[error("cannot listen for changes of files")]
    Listen(#[source] io::Error),
    /// A file or folder could not be watched (often `fs.inotify.max_user_watches` is reached).
    #[error("cannot watch `{path}`")]
    Watch {
        /// What was to be watched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file exists and could not be opened.
    #[error("cannot open `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is a folder, a pipe or a device.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of a followed file was removed.
    #[error("the folder of `{path}` is gone")]
    FolderGone {
        /// The file.
        path: PathBuf,
    },
    /// The last lines could not be found.
    #[error(transparent)]
    Lines(#[from] TailError),
}

/// Where to begin in a file that exists already; one that comes later is read from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With its first byte.
    Beginning,
    /// With so many of its last lines.
    LastLines(u64),
    /// With the byte at this offset.
    At(u64),
}

/// What happened to a followed file, other than that it grew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The file was read to its end and its name is another file's now, which comes next.
    Restarted,
    /// Somebody cut the file; it is read from its beginning again.
    Truncated,
    /// The file was deleted; a new one of that name is waited for.
    Removed,
    /// Whole files in between were deleted, or were too many, before they could be read.
    Missed,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restarted => "a new file follows",
            Self::Truncated => "truncated, reading from the beginning",
            Self::Removed => "removed, waiting for a new one",
            Self::Missed => "the output of earlier runs could not be read",
        })
    }
}

/// One delivery of a followed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'b> {
    /// The next bytes, at most a buffer full; lines and characters may be cut anywhere.
    Bytes(&'b [u8]),
    /// Something else that happened: in its place between the bytes, [`Notice::Missed`] perhaps before.
    Notice(Notice),
}

/// Several followed paths with one queue of events.
#[derive(Debug)]
pub struct FollowSet {
    inotify: Inotify,
    followers: Vec<Follower>,
    turn: usize,
}

impl FollowSet {
    /// A set that follows nothing yet.
    pub fn new() -> Result<Self, FollowError> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let inotify = Inotify::init(flags).map_err(|errno| FollowError::Listen(errno.into()))?;
        Ok(Self { inotify, followers: Vec::new(), turn: 0 })
    }

    /// Follows one more path, whose folder must exist, and returns its number: 0, 1, 2, …
    pub fn add(&mut self, path: &Path, start: Start) -> Result<usize, FollowError> {
        // The folder is watched first, so that whatever happens after the file is opened is heard of.
        let mut follower = Follower::new(&self.inotify, path)?;
        let first = follower.open()?;
        follower.start(first, start)?;
        self.followers.push(follower);
        self.drain()?;
        let newest = self.followers.len() - 1;
        if let Some(follower) = self.followers.get_mut(newest) {
            follower.begin();
        }
        self.look()?;
        Ok(newest)
    }

    /// Takes the next piece of any file, each file in its turn, together with the file's number. `None`
    /// when every file is read to its end: then is the time to flush and to [`wait`](Self::wait).
    ///
    /// 64 KiB is a good size for `buffer`; into an empty one nothing is read.
    pub fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<(usize, Piece<'b>)>, FollowError> {
        if buffer.is_empty() {
            return Ok(None);
        }
        self.look()?;
        for _ in 0..self.followers.len() {
            let number = self.turn % self.followers.len();
            self.turn = number + 1;
            let Some(follower) = self.followers.get_mut(number) else { break };
            if let Some(notice) = follower.notice() {
                return Ok(Some((number, Piece::Notice(notice))));
            }
            let count = follower.read(&self.inotify, buffer)?;
            if count > 0 {
                return Ok(Some((number, Piece::Bytes(buffer.get(..count).unwrap_or_default()))));
            }
            if let Some(notice) = follower.notice() {
                return Ok(Some((number, Piece::Notice(notice))));
            }
        }
        Ok(None)
    }

    /// Sleeps until there may be something to read (`true`), a signal came, the time is over, or
    /// something happened in a folder that does not concern us (`false`).
    pub fn wait(&mut self, limit: Duration) -> Result<bool, FollowError> {
        if !self.stirs() {
            let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)], limit) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(FollowError::Listen(errno.into())),
            }
            self.drain()?;
            self.look()?;
        }
        Ok(self.stirs())
    }

    fn stirs(&self) -> bool {
        self.followers.iter().any(Follower::stirs)
    }

    /// Opens every name that may stand for another file by now. The events are drained between the
    /// opening and the acceptance, so that files which bore the name before come first.
    fn look(&mut self) -> Result<(), FollowError> {
        for _ in 0..LOOKS {
            let mut found = Vec::new();
            for (number, follower) in self.followers.iter_mut().enumerate() {
                if follower.wants_look() {
                    found.push((number, follower.open()?));
                }
            }
            if found.is_empty() {
                break;
            }
            self.drain()?;
            for (number, part) in found {
                if let Some(follower) = self.followers.get_mut(number) {
                    follower.accept(part);
                }
            }
        }
        Ok(())
    }

    /// Hands all events that have come to the followers they concern. Reads no followed file.
    fn drain(&mut self) -> Result<(), FollowError> {
        loop {
            let events = match self.inotify.read_events() {
                Ok(events) => events,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(FollowError::Listen(errno.into())),
            };
            for event in &events {
                for follower in &mut self.followers {
                    if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                        follower.lose_track();
                    } else {
                        follower.hear(event)?;
                    }
                }
            }
        }
    }
}

impl AsFd for FollowSet {
    /// Readable when something has happened since [`FollowSet::read`] said `None`: for callers that wait
    /// for other things too. They call [`FollowSet::wait`] with no time then, which takes the events.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
