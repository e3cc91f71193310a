//! A lock that a process holds for life: whoever has it is the only one of its kind. Of the same kind as a run's, so
//! that asking for it takes nothing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::record::whole_file;
use super::sys;

/// The lock, held until this process ends, however it ends.
#[derive(Debug)]
pub struct LifeLock(#[expect(dead_code, reason = "held until it is closed")] File);

impl LifeLock {
    /// Takes the lock and writes a note of who holds it; `None` where somebody else has it.
    pub fn take(path: &Path, note: &str) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(None),
            Err(errno) => return Err(errno.into()),
            Ok(_) => {}
        }
        // The note is for people; a full disk must not keep anybody from the lock.
        let _ = file.set_len(0).and_then(|()| file.write_all_at(note.as_bytes(), 0));
        Ok(Some(Self(file)))
    }
}

/// The note of whoever holds a lock, or held it last.
pub fn note(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Asks the holder of a lock, whose pid its note says, to end, and waits until it has; `None` where nobody holds it, an
/// error where it does not end in time. Only a process is signalled that has the lock's file open.
pub fn end_holder(path: &Path, patience: Duration) -> io::Result<Option<i32>> {
    let unknown = || io::Error::other("its lock is held by a process that is not to be found");
    if !super::record::is_held(path)? {
        return Ok(None);
    }
    let pid: i32 = note(path).strip_prefix("pid ").and_then(|pid| pid.parse().ok()).ok_or_else(unknown)?;
    let pidfd = sys::pidfd_open(pid).map_err(|_| unknown())?;
    let open = fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
    let holds = open.into_iter().any(|fd| fs::read_link(fd.path()).is_ok_and(|file| file == path));
    if !holds {
        return Err(unknown());
    }
    sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGTERM, None)?;
    let longest = PollTimeout::try_from(patience.as_millis()).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], longest)? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(Some(pid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::record::is_held;

    #[test]
    fn only_one_has_it_and_it_is_free_when_that_one_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.lock");
        assert!(!is_held(&path).unwrap());
        let held = LifeLock::take(&path, "pid 7").unwrap().unwrap();
        assert!(is_held(&path).unwrap());
        assert!(LifeLock::take(&path, "pid 8").unwrap().is_none());
        assert_eq!(note(&path), "pid 7");
        drop(held);
        assert!(!is_held(&path).unwrap());
        assert!(LifeLock::take(&path, "pid 9").unwrap().is_some());
    }
}
