//! A lock that a process holds for life: whoever has it is the only one of its kind. Of the same kind as a run's, so
//! that asking for it takes nothing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::record::whole_file;

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
