//! Being asked to end in the middle of a transfer: what is half-finished goes first.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

/// The nest in which something is just being put together.
#[derive(Debug, Clone, Default)]
pub(super) struct Current(Arc<Mutex<Option<PathBuf>>>);

impl Current {
    /// From now on it is this one.
    pub(super) fn set(&self, nest: Option<PathBuf>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = nest;
    }

    fn nest(&self) -> Option<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Listens, beside everything else, for the wish that this process end. Nothing but a clean folder depends on that.
pub(super) fn listen(current: &Current) -> io::Result<()> {
    let current = current.clone();
    let (say, hear) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async {
            let mut wish = signal(SignalKind::terminate())?;
            let _ = say.send(());
            wish.recv().await;
            io::Result::Ok(())
        })?;
        if let Some(nest) = current.nest() {
            // A second time for what was just being put there.
            let _ = fs::remove_dir_all(&nest).or_else(|_| fs::remove_dir_all(&nest));
        }
        // The other thread may sit in a read that nothing ends.
        kill(Pid::this(), Signal::SIGKILL)?;
        io::Result::Ok(())
    })?;
    // Without it the signal's own effect is the end of this process, as before.
    let _ = hear.recv();
    Ok(())
}
