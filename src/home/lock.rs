//! Locks between our own processes: `flock` on a file of its own, released by the kernel on any death.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;

/// The longest that a command waits for a lock.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The time between two tries.
const PAUSE: Duration = Duration::from_micros(500);

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
    /// Takes a lock, waiting at most `patience` for it.
    ///
    /// The pid and the command are written into the file, for the error text of those who wait in vain.
    pub fn take(path: &Path, patience: Duration) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_path_buf(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let mut waited = Duration::ZERO;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => {
                    // The note is for people; a full disk must not keep anybody from the lock.
                    let _ = lock.write_all_at(note().as_bytes(), 0);
                    return Ok(Self(lock));
                }
                Err((back, Errno::EWOULDBLOCK)) => file = back,
                Err((_, errno)) => return Err(failed(errno.into())),
            }
            if waited >= patience {
                let holder = fs::read_to_string(path).unwrap_or_default();
                let holder = holder.lines().next().unwrap_or("another process").trim_end().to_owned();
                return Err(LockError::Held { path: path.to_path_buf(), holder });
            }
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
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
}
