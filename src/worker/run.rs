//! One run, step by step: set the former output aside, spawn, wait, stop when told to, record, sweep.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use crate::domain::causes::in_one_line;
use crate::domain::evidence::{Entry, ProcessId, Seen};
use crate::domain::outcome::Outcome;
use crate::home::bell;
use crate::process::record::RecordFile;
use crate::process::spawn::{Script, StandIn, release, script};
use crate::process::spec::{Answer, Sealed, Told, word, words};
use crate::process::wait::{Waiter, since};
use crate::process::{clock, identity, output, usage, wait};

use super::watch::{Limits, Owner, Watch};

/// The longest error text that goes into a record, in characters.
const LONGEST_ERROR: usize = 500;

/// What a worker needs besides the specification.
pub(super) struct Prepared {
    pub(super) record: RecordFile,
    pub(super) waiter: Waiter,
    pub(super) worker: ProcessId,
}

impl Prepared {
    /// Takes over the record and gets ready to wait for a script's end.
    pub(super) fn new(record: OwnedFd, path: &Path) -> Result<Self, String> {
        let ours = |error: &dyn std::error::Error| in_one_line(error);
        wait::become_subreaper().map_err(|error| ours(&error))?;
        let record = RecordFile::adopt(record, path).map_err(|error| ours(&error))?;
        let waiter = Waiter::new().map_err(|error| ours(&error))?;
        let me = i32::try_from(std::process::id()).map_err(|error| ours(&error))?;
        let worker = identity::identify(me).map_err(|error| ours(&error))?;
        Ok(Self { record, waiter, worker })
    }
}

/// Runs it all; the worker's exit code.
pub(super) fn run(sealed: Sealed, mut prepared: Prepared, answer: OwnedFd) -> u8 {
    match begin_watch(&sealed, &mut prepared, answer) {
        Ok(mut watch) => {
            // Only what the wait needs is kept: a worker may sit here for months.
            drop(sealed);
            release();
            // Where the kernel does not let us wait nothing more can be known or done here.
            u8::from(watch.until_empty().is_err())
        }
        Err(code) => code,
    }
}

/// Begins the run and says so; the worker's exit code where it did not begin. Not part of its caller, so that its
/// frame is gone while the worker waits.
#[inline(never)]
fn begin_watch<'p>(sealed: &Sealed, prepared: &'p mut Prepared, answer: OwnedFd) -> Result<Watch<'p>, u8> {
    let Prepared { record, waiter, worker } = prepared;
    let spec = match sealed.read() {
        Ok(spec) => spec,
        Err(error) => return Err(give_up(record, answer, &Answer::Failed(error.to_string()), 1)),
    };
    let start = clock::since_boot();
    match begin(&spec, *worker, record) {
        Ok(pid) => {
            Answer::Started(pid).send(answer);
            let _ = bell::ring(spec.bell);
            let limits = Limits {
                number: spec.run.low64(),
                timeout: spec.timeout,
                stop: spec.stop.clone(),
                memory_kills: usage::memory_kills(),
            };
            Ok(Watch::new(pid, limits, start, record, waiter, Owner::Task(spec.bell.to_path_buf())))
        }
        Err(Begin::CouldNotStart(error)) => {
            let seen = could_not_start(&error, start);
            let swept = Entry::Swept { leftover: 0, time: seen.time };
            let written = record.append(&Entry::Ended(seen)).and_then(|()| record.append(&swept));
            let _ = bell::ring(spec.bell);
            let _ = record.flush();
            let answered = match written {
                Ok(()) => Answer::CouldNotStart(error),
                Err(failure) => Answer::Failed(format!("{error}; {failure}")),
            };
            Err(give_up(record, answer, &answered, 0))
        }
        Err(Begin::Failed(error)) => Err(give_up(record, answer, &Answer::Failed(error), 1)),
    }
}

/// Ends before anything was started. The lock goes before the answer: whoever hears it may import the record at once.
fn give_up(record: &RecordFile, answer: OwnedFd, said: &Answer, code: u8) -> u8 {
    let _ = record.release();
    said.send(answer);
    code
}

/// Why a run did not begin.
enum Begin {
    /// The script could not be started; that is the run's outcome.
    CouldNotStart(String),
    /// The worker could not do its own work, before it began to start anything.
    Failed(String),
}

/// Everything up to the running script. The record says *starting* before anything is spawned.
fn begin(spec: &Told<'_>, worker: ProcessId, record: &mut RecordFile) -> Result<i32, Begin> {
    let ours = |error: &dyn std::error::Error| Begin::Failed(in_one_line(error));
    let (file, inode) = output::renew(spec.output, spec.former).map_err(|error| ours(&error))?;
    record.append(&Entry::Starting { worker, output: inode }).map_err(|error| ours(&error))?;
    let words = |all| words(all).map_err(|error| Begin::CouldNotStart(error.to_string()));
    let script = Script {
        program: word(spec.program).map_err(|error| Begin::CouldNotStart(error.to_string()))?,
        argv: &words(&spec.argv)?,
        env: &words(&spec.env)?,
        output: None,
        surroundings: Some((spec.umask, &spec.limits)),
    };
    let pid = spawn_in_wd(spec.wd, &script, &file).map_err(Begin::CouldNotStart)?;
    // The script is our unreaped child: its pid is certainly its own, and it can be identified even as a zombie.
    if let Ok(script) = identity::identify(pid) {
        let _ = record.append(&Entry::Started { script, time: clock::now() });
    }
    // The script was spawned on our own processor; what we still have to do can wait for its first steps.
    std::thread::yield_now();
    Ok(pid)
}

/// The script begins in its working directory; the worker itself stays in none, so as to keep no file system busy.
pub(super) fn spawn_in_wd(wd: &Path, it: &Script<'_>, output: &std::fs::File) -> Result<i32, String> {
    std::env::set_current_dir(wd).map_err(|error| format!("its working directory `{}`: {error}", wd.display()))?;
    let spawned = StandIn::begin(output.as_fd()).and_then(|_standing_in| script(it));
    let _ = std::env::set_current_dir("/");
    spawned.map_err(|error| format!("`{}`: {error}", it.program.to_string_lossy()))
}

/// The end of a run that did not begin; `start` is when it was to, on the boot-time clock.
pub(super) fn could_not_start(error: &str, start: Duration) -> Seen {
    // Shortened so as to have room in a record, where control characters would grow sixfold.
    let error = error.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_ERROR).collect();
    Seen {
        outcome: Outcome::CouldNotStart { error },
        time: clock::now(),
        lasted: microseconds(start),
        cpu: 0,
        memory: 0,
    }
}

/// The time since a moment on the boot-time clock.
pub(super) fn microseconds(start: Duration) -> u64 {
    u64::try_from(since(start).as_micros()).unwrap_or(u64::MAX)
}
