//! Asking workers to end their runs, and waiting until they have.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::domain::evidence::ProcessId;
use crate::domain::name::RunId;

use super::{identity, sys};

/// A worker that is certainly the one of a run.
#[derive(Debug)]
pub struct WorkerHandle {
    pidfd: OwnedFd,
    run: RunId,
}

impl WorkerHandle {
    /// The worker with this identity; `None` when it is gone.
    pub fn open(worker: &ProcessId, run: RunId) -> io::Result<Option<Self>> {
        Ok(identity::open(worker)?.map(|pidfd| Self { pidfd, run }))
    }

    /// Asks it to run the stop sequence. Asking twice is asking once.
    pub fn stop(&self) -> io::Result<()> {
        self.send(libc::SIGTERM)
    }

    /// Asks it to kill the run now.
    pub fn kill(&self) -> io::Result<()> {
        self.send(libc::SIGINT)
    }

    /// The value says which run is meant: a worker ignores what is meant for another.
    fn send(&self, signal: i32) -> io::Result<()> {
        match sys::pidfd_send_signal(self.pidfd.as_fd(), signal, Some(self.run.low64())) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }
}

/// What ended a wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Waited {
    /// Some of the workers have ended.
    Ended,
    /// The time is over.
    Time,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

/// While it lives, Ctrl-C is something to be waited for instead of the end of this process.
#[derive(Debug)]
pub struct Interrupts {
    signals: SignalFd,
    set: SigSet,
}

impl Interrupts {
    /// Begins to catch Ctrl-C.
    pub fn catch() -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(NixSignal::SIGINT);
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { signals, set })
    }

    /// Waits until a worker ends, Ctrl-C is pressed or the time is over. The workers that have ended are taken off the
    /// list.
    pub fn wait(&mut self, workers: &mut Vec<WorkerHandle>, longest: Duration) -> io::Result<Waited> {
        let timeout = PollTimeout::try_from(longest.as_millis().max(1)).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(workers.iter().map(|worker| PollFd::new(worker.pidfd.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(0) => return Ok(Waited::Time),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ended: Vec<bool> = fds.iter().skip(1).map(|fd| fd.any() == Some(true)).collect();
        if self.signals.read_signal()?.is_some() {
            return Ok(Waited::Interrupted);
        }
        let mut ended = ended.into_iter();
        workers.retain(|_| ended.next() != Some(true));
        Ok(Waited::Ended)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let _ = self.set.thread_unblock();
    }
}

/// While it lives, this process may have as many descriptors as the system lets it: waiting for a thousand workers
/// takes a thousand. Afterwards the limit is the former one again, for whatever is started next.
#[derive(Debug)]
pub struct ManyDescriptors {
    former: Option<(u64, u64)>,
}

impl ManyDescriptors {
    /// Raises the limit. Where that is refused, it stays as it is.
    pub fn allow() -> Self {
        let former = getrlimit(Resource::RLIMIT_NOFILE).ok();
        if let Some((_, hard)) = former {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
        Self { former }
    }
}

impl Drop for ManyDescriptors {
    fn drop(&mut self) {
        if let Some((soft, hard)) = self.former {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_asked_to_end_and_waited_for() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let id = identity::identify(i32::try_from(child.id()).unwrap()).unwrap();
        let run = RunId::from_random([3; 16]);
        let mut workers = vec![WorkerHandle::open(&id, run).unwrap().unwrap()];
        let mut interrupts = Interrupts::catch().unwrap();
        assert_eq!(interrupts.wait(&mut workers, Duration::from_millis(5)).unwrap(), Waited::Time);
        workers[0].stop().unwrap();
        assert_eq!(interrupts.wait(&mut workers, Duration::from_secs(20)).unwrap(), Waited::Ended);
        assert!(workers.is_empty());
        child.wait().unwrap();
        assert!(WorkerHandle::open(&id, run).unwrap().is_none());
    }
}
