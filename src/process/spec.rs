//! What a worker is told: the whole of one run, handed over in a sealed piece of memory.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::domain::name::RunId;
use crate::domain::task::StopSequence;

/// The specification of a run. Bytes where the kernel has bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Which run.
    pub run: RunId,
    /// The program's path.
    pub program: Vec<u8>,
    /// Its arguments, its own name first.
    pub argv: Vec<Vec<u8>>,
    /// Its variables, `NAME=value`.
    pub env: Vec<Vec<u8>>,
    /// Its working directory.
    pub wd: PathBuf,
    /// Its umask.
    pub umask: u32,
    /// Its limits.
    pub limits: Vec<(u64, u64)>,
    /// Where its output goes.
    pub output: PathBuf,
    /// The name under which a former output is set aside.
    pub former: PathBuf,
    /// The bell to ring when it has ended.
    pub bell: PathBuf,
    /// The longest that it may last.
    pub timeout: Option<Duration>,
    /// How it is stopped.
    pub stop: StopSequence,
}

/// A worker's answer to whoever started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The script runs, under this pid.
    Started(i32),
    /// It could not be started, and that is on record.
    CouldNotStart(String),
    /// The worker could not do its work; nothing was started.
    Failed(String),
}

impl RunSpec {
    /// Writes the specification into a piece of memory that nobody can change any more.
    pub fn seal(&self) -> io::Result<OwnedFd> {
        let bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let fd = memfd_create(c"jobexec-run", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let mut file = File::from(fd);
        file.write_all(&bytes)?;
        file.rewind()?;
        let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(file.into())
    }

    /// Reads a specification back.
    pub fn unseal(fd: OwnedFd) -> io::Result<Self> {
        let mut file = File::from(fd);
        file.rewind()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        postcard::from_bytes(&bytes).map_err(io::Error::other)
    }
}

impl Answer {
    /// Writes the answer; that nobody listens any more is no error of the worker's.
    pub fn send(&self, to: OwnedFd) {
        if let Ok(bytes) = postcard::to_stdvec(self) {
            let _ = File::from(to).write_all(&bytes);
        }
    }

    /// Waits for the answer; `None` when the worker died without one. The error is `TimedOut` when it is not there in
    /// time.
    pub fn receive(from: OwnedFd, patience: Duration) -> io::Result<Option<Self>> {
        let longest = PollTimeout::try_from(patience.as_millis()).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], longest)? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut bytes = Vec::new();
        File::from(from).read_to_end(&mut bytes)?;
        Ok(postcard::from_bytes(&bytes).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_specification_is_read_back_and_cannot_be_changed() {
        let spec = RunSpec {
            run: RunId::from_random([9; 16]),
            program: b"/bin/\xff".to_vec(),
            argv: vec![b"a".to_vec(), vec![]],
            env: vec![b"A=\xfe".to_vec()],
            wd: "/".into(),
            umask: 0o27,
            limits: vec![(1, 2)],
            output: "o".into(),
            former: "f".into(),
            bell: "b".into(),
            timeout: Some(Duration::from_millis(1500)),
            stop: StopSequence::default(),
        };
        let fd = spec.seal().unwrap();
        let mut copy = File::from(fd.try_clone().unwrap());
        assert!(copy.write_all(b"x").is_err());
        assert_eq!(RunSpec::unseal(fd).unwrap(), spec);
    }

    #[test]
    fn an_answer_arrives_and_silence_is_noticed() {
        let (read, write) = nix::unistd::pipe().unwrap();
        Answer::CouldNotStart("why".into()).send(write);
        assert_eq!(Answer::receive(read, Duration::from_secs(20)).unwrap(), Some(Answer::CouldNotStart("why".into())));
        let (read, write) = nix::unistd::pipe().unwrap();
        let silent = Answer::receive(read.try_clone().unwrap(), Duration::from_millis(1)).unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        drop(write);
        assert_eq!(Answer::receive(read, Duration::from_secs(20)).unwrap(), None);
    }
}
