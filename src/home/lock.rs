//! Locks between our own processes: `flock` on a file of its own, released by the kernel on any death.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use thiserror::Error;

/// The longest that a command waits for a lock.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why a lock could not be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody else holds it and does not let go.
    #[error("`{}` is held by {holder}", path.display())]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// Pid and command of whoever holds it, as they wrote it down.
        holder: String,
    },
    /// The lock's file cannot be opened or locked.
    #[error("cannot lock `{}`", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its Drop")] Flock<File>);

impl Lock {
    /// Takes a lock, waiting at most `patience` for it; for ever with [`Duration::MAX`].
    ///
    /// The pid and the command are written into the file, for the error text of those who wait in vain.
    pub fn take(path: &Path, patience: Duration) -> Result<Self, LockError> {
        take(open(path)?, path, None, patience).map(Self)
    }
}

/// A lock that one process takes again and again. Its file stays open, since everybody who watches the folder is woken
/// whenever one is closed; those who wait for the lock are woken by the bell.
#[derive(Debug)]
pub struct Gate {
    path: PathBuf,
    bell: PathBuf,
    file: Option<File>,
}

impl Gate {
    /// The lock with this file; whoever has let go of it rings this bell.
    pub fn new(path: PathBuf, bell: PathBuf) -> Self {
        Self { path, bell, file: None }
    }

    /// As [`Lock::take`].
    pub fn take(&mut self, patience: Duration) -> Result<Taken, LockError> {
        // One that was removed keeps nobody out.
        let open_one = self.file.take().filter(|file| file.metadata().is_ok_and(|found| found.nlink() > 0));
        let file = open_one.map_or_else(|| open(&self.path), Ok)?;
        take(file, &self.path, Some(&self.bell), patience).map(Taken)
    }

    /// Lets go of it. Where something has failed it is enough to drop what was taken.
    pub fn release(&mut self, taken: Taken) {
        self.file = taken.0.unlock().ok();
    }
}

/// A gate that was taken; dropping it releases it.
#[derive(Debug)]
pub struct Taken(Flock<File>);

fn open(path: &Path) -> Result<File, LockError> {
    let mut open = OpenOptions::new();
    let open = open.read(true).write(true).create(true).truncate(false).mode(0o600);
    open.open(path).map_err(|source| LockError::Io { path: path.to_path_buf(), source })
}

fn take(file: File, path: &Path, bell: Option<&Path>, patience: Duration) -> Result<Flock<File>, LockError> {
    let failed = |source| LockError::Io { path: path.to_path_buf(), source };
    let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err((file, Errno::EWOULDBLOCK)) => wait(file, path, bell, patience).map_err(failed)?.ok_or_else(|| {
            let holder = fs::read_to_string(path).unwrap_or_default();
            let holder = holder.lines().next().unwrap_or("another process").trim_end().to_owned();
            LockError::Held { path: path.to_path_buf(), holder }
        })?,
        Err((_, errno)) => return Err(failed(errno.into())),
    };
    // The note is for people; a full disk must not keep anybody from the lock.
    let _ = lock.write_all_at(note().as_bytes(), 0);
    Ok(lock)
}

/// The longest that a change of the lock's file is waited for: a holder that is killed says so before the lock is free.
const LONGEST: Duration = Duration::from_millis(20);

/// What one wake-up counts for, so that somebody whom others are faster than again and again does not wait for ever.
const AWAKE: Duration = Duration::from_micros(100);

/// Waits for a lock that somebody holds; `None` where it cannot be had in time. Whoever lets go closes the file or rings
/// the bell, which wakes those who wait: one who only looks now and then would find it taken again and again.
fn wait(mut file: File, path: &Path, bell: Option<&Path>, patience: Duration) -> io::Result<Option<Flock<File>>> {
    if patience == Duration::MAX {
        return Flock::lock(file, FlockArg::LockExclusive).map(Some).map_err(|(_, errno)| errno.into());
    }
    let released = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    released.add_watch(path, AddWatchFlags::IN_CLOSE_WRITE)?;
    if let Some(bell) = bell {
        // Where there is none yet, the first look after a while finds the lock free.
        let _ = released.add_watch(bell, AddWatchFlags::IN_MODIFY);
    }
    let mut waited = Duration::ZERO;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((back, Errno::EWOULDBLOCK)) => file = back,
            Err((_, errno)) => return Err(errno.into()),
        }
        let Some(left) = patience.checked_sub(waited).filter(|left| !left.is_zero()) else { return Ok(None) };
        let longest = left.min(LONGEST).max(Duration::from_millis(1));
        let millis = PollTimeout::try_from(longest.as_millis()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(released.as_fd(), PollFlags::POLLIN)], millis) {
            // Only what was waited in vain counts: the clock is read elsewhere.
            Ok(0) => waited += longest,
            Ok(_) => waited += AWAKE,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let _ = released.read_events();
    }
}

/// `pid 123 (jobexec add LOL)` and a line end, padded so that a shorter note covers a longer one.
fn note() -> String {
    let words: Vec<String> =
        std::env::args_os().take(3).map(|w| w.to_string_lossy().chars().take(40).collect()).collect();
    let text = format!("pid {} ({})", std::process::id(), words.join(" ").replace('\n', " "));
    format!("{text:<160}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_refused_naming_the_holder_and_free_again_when_dropped() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.lock");
        let held = Lock::take(&path, Duration::ZERO).unwrap();
        let error = Lock::take(&path, Duration::from_millis(2)).unwrap_err().to_string();
        assert!(error.contains(&format!("held by pid {} (", std::process::id())), "{error}");
        drop(held);
        Lock::take(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_gate_is_let_go_without_closing_its_file_and_taken_again() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.lock");
        let mut gate = Gate::new(path.clone(), temp.path().join("bell"));
        for _ in 0..2 {
            let taken = gate.take(Duration::ZERO).unwrap();
            assert!(Lock::take(&path, Duration::ZERO).is_err());
            gate.release(taken);
            assert!(gate.file.is_some());
            Lock::take(&path, Duration::ZERO).unwrap();
        }
        drop(gate.take(Duration::ZERO).unwrap());
        Lock::take(&path, Duration::ZERO).unwrap();
        let taken = gate.take(Duration::ZERO).unwrap();
        gate.release(taken);
        fs::remove_file(&path).unwrap();
        let _held = Lock::take(&path, Duration::ZERO).unwrap();
        assert!(gate.take(Duration::ZERO).is_err(), "the file that hangs there now counts");
    }
}
