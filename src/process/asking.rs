//! Asking workers to end their runs, and waiting until nothing of these is left: until their records' locks are free.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::domain::evidence::ProcessId;
use crate::domain::name::RunId;

use super::{identity, record, sys};

/// A worker that is certainly the one of a run.
#[derive(Debug)]
pub struct WorkerHandle {
    pidfd: OwnedFd,
    run: RunId,
    record: PathBuf,
}

impl WorkerHandle {
    /// The worker with this identity, of the run that has this record; `None` when it is gone.
    pub fn open(worker: &ProcessId, run: RunId, record: PathBuf) -> io::Result<Option<Self>> {
        Ok(identity::open(worker)?.map(|pidfd| Self { pidfd, run, record }))
    }

    /// Whose worker it was taken for.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Whether its run is over. The worker itself may still be there: what it has to do yet is nobody's business.
    fn is_over(&self) -> bool {
        // Where nobody can say, the worker's own end will.
        !record::is_held(&self.record).unwrap_or(true)
    }

    /// Asks it to run the stop sequence. Asking twice is asking once.
    pub fn stop(&self) -> io::Result<()> {
        self.send(libc::SIGTERM)
    }

    /// Asks it to kill the run now.
    pub fn kill(&self) -> io::Result<()> {
        self.send(libc::SIGINT)
    }

    /// Tells it that its record has been imported and flushed, so that it has nothing to wait for.
    pub fn dismiss(&self) -> io::Result<()> {
        self.stop()
    }

    /// Waits until it is gone, at most so long.
    pub fn wait_until_gone(&self, longest: Duration) -> io::Result<()> {
        let timeout = PollTimeout::try_from(longest.as_millis().max(1)).unwrap_or(PollTimeout::MAX);
        poll(&mut [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)], timeout)?;
        Ok(())
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
    /// Some of the runs may be over.
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

    /// Waits until the last worker of the list ends, Ctrl-C is pressed or the time is over, and looks beforehand whose runs
    /// are over. All of them are waited for, so it does not matter which one is the last; those whose runs are over are
    /// moved from the end of the list to `over`.
    pub fn wait(
        &mut self,
        workers: &mut Vec<WorkerHandle>,
        over: &mut Vec<WorkerHandle>,
        longest: Duration,
    ) -> io::Result<Waited> {
        let before = workers.len();
        over.extend(std::iter::from_fn(|| workers.pop_if(|worker| worker.is_over())));
        if workers.len() < before {
            return Ok(Waited::Ended);
        }
        let timeout = PollTimeout::try_from(longest.as_millis().max(1)).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(workers.last().map(|worker| PollFd::new(worker.pidfd.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(0) => return Ok(Waited::Time),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_gone = !workers.is_empty() && fds.get(1).and_then(PollFd::any) == Some(true);
        if self.signals.read_signal()?.is_some() {
            return Ok(Waited::Interrupted);
        }
        if is_gone {
            workers.pop();
        }
        Ok(Waited::Ended)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let _ = self.set.thread_unblock();
    }
}

/// While it lives, this process may have as many descriptors as it is allowed: waiting for a thousand workers takes a
/// thousand. Afterwards the limit is what it was, so that no script inherits the raised one.
#[derive(Debug)]
pub struct ManyDescriptors(Option<(u64, u64)>);

impl ManyDescriptors {
    /// Raises the limit.
    pub fn allow() -> Self {
        let before = getrlimit(Resource::RLIMIT_NOFILE).ok();
        if let Some((_, hard)) = before {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
        Self(before)
    }
}

impl Drop for ManyDescriptors {
    fn drop(&mut self) {
        if let Some((soft, hard)) = self.0 {
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
        let run = RunId::from_bytes([3; 16]);
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("record");
        let record = held(&path, run);
        let mut workers = vec![WorkerHandle::open(&id, run, path.clone()).unwrap().unwrap()];
        let mut interrupts = Interrupts::catch().unwrap();
        assert_eq!(interrupts.wait(&mut workers, &mut Vec::new(), Duration::from_millis(5)).unwrap(), Waited::Time);
        workers[0].stop().unwrap();
        assert_eq!(interrupts.wait(&mut workers, &mut Vec::new(), Duration::from_secs(20)).unwrap(), Waited::Ended);
        assert!(workers.is_empty());
        child.wait().unwrap();
        assert!(WorkerHandle::open(&id, run, path).unwrap().is_none());
        drop(record);
    }

    fn held(path: &std::path::Path, run: RunId) -> record::RecordFile {
        let first = crate::domain::evidence::Entry::Prepared { run, place: identity::here() };
        record::RecordFile::create(path, &first).unwrap()
    }

    #[test]
    fn a_run_is_over_when_its_lock_is_free() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("record");
        let me = identity::identify(nix::unistd::getpid().as_raw()).unwrap();
        let run = RunId::from_bytes([5; 16]);
        let record = held(&path, run);
        let (mut workers, mut over) = (vec![WorkerHandle::open(&me, run, path).unwrap().unwrap()], Vec::new());
        let mut interrupts = Interrupts::catch().unwrap();
        let mut wait = |longest| interrupts.wait(&mut workers, &mut over, longest).unwrap();
        assert_eq!(wait(Duration::from_millis(5)), Waited::Time);
        record.release().unwrap();
        assert_eq!(wait(Duration::from_secs(20)), Waited::Ended);
        assert!(workers.is_empty() && over.len() == 1);
    }
}
