//! What a worker is told: the whole of one run, handed over in a sealed piece of memory.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize, Serializer};

use crate::domain::fingerprint::Fingerprint;
use crate::domain::name::RunId;
use crate::domain::task::StopSequence;

use super::environment::{ATTEMPT, EXEC_ID, EXECUTOR_ID, RUN_ID};
use super::sys;

/// The specification of a run. Bytes where the kernel has bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunSpec {
    /// Which run.
    pub run: RunId,
    /// The program's path.
    #[serde(serialize_with = "terminated")]
    pub program: Vec<u8>,
    /// Its arguments, its own name first.
    #[serde(serialize_with = "all_terminated")]
    pub argv: Vec<Vec<u8>>,
    /// Its variables, `NAME=value`.
    #[serde(serialize_with = "all_terminated")]
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
    /// The files that decided what is run, and how, as they were then.
    pub made_of: Vec<(PathBuf, Fingerprint)>,
}

/// A specification as its worker reads it: in place, so that a large environment never becomes the worker's own
/// memory. Each of the kernel's words ends with the zero that the kernel wants.
#[derive(Debug, Deserialize)]
pub struct Told<'a> {
    /// Which run.
    pub run: RunId,
    /// The program's path.
    pub program: &'a [u8],
    /// Its arguments, its own name first.
    #[serde(borrow)]
    pub argv: Vec<&'a [u8]>,
    /// Its variables, `NAME=value`.
    #[serde(borrow)]
    pub env: Vec<&'a [u8]>,
    /// Its working directory.
    pub wd: &'a Path,
    /// Its umask.
    pub umask: u32,
    /// Its limits.
    pub limits: Vec<(u64, u64)>,
    /// Where its output goes.
    pub output: &'a Path,
    /// The name under which a former output is set aside.
    pub former: &'a Path,
    /// The bell to ring when it has ended.
    pub bell: &'a Path,
    /// The longest that it may last.
    pub timeout: Option<Duration>,
    /// How it is stopped.
    pub stop: StopSequence,
    /// The files that decided what is run, and how, as they were then.
    #[serde(borrow)]
    pub made_of: Vec<(&'a Path, Fingerprint)>,
}

/// What is other in the specification of a run that follows another of the same job.
#[derive(Debug)]
pub struct Changes {
    run: RunId,
    env: [Vec<u8>; 4],
    former: PathBuf,
}

impl Changes {
    /// The next run, which attempt it is, the executor's id, and where the output of the run before it is set aside.
    pub fn new(run: RunId, attempt: u32, exec_id: &str, former: PathBuf) -> Self {
        let assign = |name: &str, value: &str| format!("{name}={value}\0").into_bytes();
        let env = [
            assign(RUN_ID, &run.to_string()),
            assign(ATTEMPT, &attempt.to_string()),
            assign(EXECUTOR_ID, exec_id),
            assign(EXEC_ID, exec_id),
        ];
        Self { run, env, former }
    }

    /// The specification of the next run.
    pub fn lay_over<'a>(&'a self, told: Told<'a>) -> Told<'a> {
        let name = |word: &[u8]| word.iter().position(|byte| *byte == b'=');
        let env = told.env.into_iter().map(|word| {
            let new = self.env.iter().find(|new| name(new).is_some_and(|at| new.get(..=at) == word.get(..=at)));
            new.map_or(word, Vec::as_slice)
        });
        Told { run: self.run, former: &self.former, env: env.collect(), ..told }
    }
}

/// The memory that a specification lies in.
#[derive(Debug)]
pub struct Sealed(sys::Mapped);

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
    /// Memory for a specification that is yet to be written.
    pub fn room() -> io::Result<OwnedFd> {
        Ok(memfd_create(c"jobexec-run", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?)
    }

    /// Writes the specification into a piece of memory that nobody can change any more.
    pub fn seal(&self) -> io::Result<OwnedFd> {
        self.seal_in(Self::room()?)
    }

    /// As [`RunSpec::seal`], into memory that was made before, and may be shared with its reader already.
    pub fn seal_in(&self, room: OwnedFd) -> io::Result<OwnedFd> {
        let bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let mut file = File::from(room);
        file.write_all(&bytes)?;
        let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(file.into())
    }
}

fn terminated<S: Serializer>(word: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&[word, b"\0"].concat())
}

fn all_terminated<S: Serializer>(words: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
    struct Word<'a>(&'a [u8]);
    impl Serialize for Word<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            terminated(self.0, serializer)
        }
    }
    serializer.collect_seq(words.iter().map(|word| Word(word)))
}

impl Sealed {
    /// Maps the memory.
    pub fn open(fd: BorrowedFd<'_>) -> io::Result<Self> {
        sys::Mapped::new(fd).map(Self)
    }

    /// Reads the specification that lies there.
    pub fn read(&self) -> io::Result<Told<'_>> {
        postcard::from_bytes(self.0.bytes()).map_err(io::Error::other)
    }
}

/// A word as the kernel takes it; one with a zero inside is none.
pub fn word(bytes: &[u8]) -> io::Result<&CStr> {
    CStr::from_bytes_with_nul(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// As [`word`], for several.
pub fn words<'a>(all: &[&'a [u8]]) -> io::Result<Vec<&'a CStr>> {
    all.iter().map(|bytes| word(bytes)).collect()
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

    const STATE: Fingerprint = Fingerprint { inode: 1, size: 2, mtime: 3, ctime: -5 };

    #[test]
    fn a_sealed_specification_is_read_back_and_cannot_be_changed() {
        let spec = RunSpec {
            run: RunId::from_bytes([9; 16]),
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
            made_of: vec![("s".into(), STATE)],
        };
        let fd = spec.seal().unwrap();
        let mut copy = File::from(fd.try_clone().unwrap());
        assert!(copy.write_all(b"x").is_err());
        let sealed = Sealed::open(fd.as_fd()).unwrap();
        let told = sealed.read().unwrap();
        assert_eq!((told.run, told.umask, told.timeout, &told.stop), (spec.run, spec.umask, spec.timeout, &spec.stop));
        assert_eq!(word(told.program).unwrap().to_bytes(), spec.program);
        assert_eq!(words(&told.argv).unwrap(), [c"a", c""]);
        assert_eq!(words(&told.env).unwrap().iter().map(|word| word.to_bytes()).collect::<Vec<_>>(), spec.env);
        assert_eq!([told.wd, told.output, told.former, told.bell], ["/", "o", "f", "b"].map(Path::new));
        assert_eq!(told.limits, spec.limits);
        assert_eq!(told.made_of, [(Path::new("s"), STATE)]);
        assert!(word(b"a\0b\0").is_err());
    }

    #[test]
    fn the_next_run_is_told_the_same_but_for_what_names_it() {
        let spec = RunSpec {
            run: RunId::from_bytes([9; 16]),
            program: b"/bin/sh".to_vec(),
            argv: vec![b"sh".to_vec()],
            env: ["A=JOBEXEC_ATTEMPT=7", "JOBEXEC_ATTEMPT=1", "JOBEXEC_RUN_ID=old", "JOBEXEC_RUN_ID_2=x", "bare"]
                .map(|word| word.as_bytes().to_vec())
                .to_vec(),
            wd: "/".into(),
            umask: 0,
            limits: Vec::new(),
            output: "o".into(),
            former: "f".into(),
            bell: "b".into(),
            timeout: None,
            stop: StopSequence::default(),
            made_of: vec![("s".into(), STATE)],
        };
        let fd = spec.seal().unwrap();
        let sealed = Sealed::open(fd.as_fd()).unwrap();
        let next = RunId::from_bytes([10; 16]);
        let changes = Changes::new(next, 12, "y", "g".into());
        let told = changes.lay_over(sealed.read().unwrap());
        assert_eq!((told.run, told.former, told.output), (next, Path::new("g"), Path::new("o")));
        let env: Vec<_> = words(&told.env).unwrap().into_iter().map(|word| word.to_str().unwrap().to_owned()).collect();
        let id = format!("JOBEXEC_RUN_ID={next}");
        assert_eq!(env, ["A=JOBEXEC_ATTEMPT=7", "JOBEXEC_ATTEMPT=12", &id, "JOBEXEC_RUN_ID_2=x", "bare"]);
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
