//! One run, step by step: set the former output aside, spawn, wait, stop when told to, record, sweep; then the next one,
//! if there is one.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::causes::in_one_line;
use crate::domain::evidence::{Entry, ProcessId, Seen};
use crate::domain::name::RunId;
use crate::domain::outcome::{Cause, Outcome};
use crate::home::bell;
use crate::process::record::{RecordError, RecordFile};
use crate::process::spawn::{Script, StandIn, is_ours, release, script};
use crate::process::spec::{Answer, Sealed, Told, word, words};
use crate::process::wait::{Waiter, Woken, since};
use crate::process::{clock, identity, output, usage, wait};

use super::succession;
use super::watch::{FLUSH_AFTER, Limits, Over, Watch};

/// The longest error text that goes into a record, in characters.
const LONGEST_ERROR: usize = 500;

/// What a worker needs besides the specification.
pub(super) struct Prepared {
    pub(super) record: RecordFile,
    pub(super) waiter: Waiter,
    pub(super) worker: ProcessId,
    /// Whether this process has the umask and the limits of its scripts, once that is known.
    has_theirs: Option<bool>,
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
        Ok(Self { record, waiter, worker, has_theirs: None })
    }
}

/// A script that runs, with the little of its specification that is needed from now on.
pub(super) struct Begun {
    run: RunId,
    pid: i32,
    /// When it began, on the boot-time clock.
    start: Duration,
    limits: Limits,
    /// The inode of its output.
    output: u64,
    bell: PathBuf,
}

impl Begun {
    /// What is begun of a specification: to be told once the script runs.
    pub(super) fn new(spec: &Told<'_>, pid: i32, start: Duration, output: u64, former: Option<RunId>) -> Self {
        let limits = Limits {
            number: spec.run.low64(),
            former: former.map(RunId::low64),
            timeout: spec.timeout,
            stop: spec.stop.clone(),
            memory_kills: usage::memory_kills(),
        };
        Self { run: spec.run, pid, start, limits, output, bell: spec.bell.to_path_buf() }
    }
}

/// Runs it, and what follows it; the worker's exit code.
pub(super) fn run(spec: &OwnedFd, mut prepared: Prepared, answer: OwnedFd) -> u8 {
    let mut begun = begin_first(spec, &mut prepared, answer);
    loop {
        let Begun { run, pid, start, limits, output, bell } = match begun {
            Ok(begun) => begun,
            Err(code) => return code,
        };
        // Only what the wait needs is kept: a worker may sit here for months.
        release();
        let watch = Watch::new(pid, limits, start, &mut prepared.record, &mut prepared.waiter);
        // Where the kernel does not let us wait nothing more can be known or done here.
        let Ok(over) = watch.until_over() else { return 1 };
        let Some(followed) = succession::follow(spec, &mut prepared, &over, run, output) else {
            finish(&mut prepared, &over, &bell);
            return 0;
        };
        begun = followed;
    }
}

/// Begins the run and says so; the worker's exit code where it did not begin. Not part of its caller, so that its
/// frame is gone while the worker waits.
#[inline(never)]
fn begin_first(spec: &OwnedFd, prepared: &mut Prepared, answer: OwnedFd) -> Result<Begun, u8> {
    let sealed = Sealed::open(spec.as_fd());
    let spec = match sealed.as_ref().map_err(ToString::to_string).and_then(|it| it.read().map_err(|e| e.to_string())) {
        Ok(spec) => spec,
        Err(error) => return Err(give_up(&prepared.record, answer, &Answer::Failed(error), 1)),
    };
    let start = clock::since_boot();
    let begun = begin(&spec, prepared);
    let record = &mut prepared.record;
    match begun {
        Ok((pid, output)) => {
            Answer::Started(pid).send(answer);
            let _ = bell::ring(spec.bell);
            Ok(Begun::new(&spec, pid, start, output, None))
        }
        Err(Begin::CouldNotStart(error)) => {
            let written = write_could_not_start(record, &error, start);
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

/// Gives up the record of a run of which nothing is left: whoever hears the bell may import it at once.
///
/// Whoever stops a run waits for its end, imports the record at once, flushes that and removes the record: then there is
/// nothing left to flush, and a further request to stop says so. The time for it is counted from the outcome, which must
/// not wait longer.
fn finish(prepared: &mut Prepared, over: &Over, bell: &Path) {
    let Prepared { record, waiter, .. } = prepared;
    let _ = record.release();
    let _ = bell::ring(bell);
    while !record.is_removed() {
        let left = FLUSH_AFTER.saturating_sub(since(over.written));
        let alone = over.flushed || over.cause != Some(Cause::Stopped) || left.is_zero();
        if alone || matches!(waiter.wait(Some(left)), Ok(Woken::Pause) | Err(_)) {
            let _ = record.flush();
            return;
        }
    }
}

/// Writes down that the script could not be started, which is the run's outcome.
pub(super) fn write_could_not_start(record: &mut RecordFile, error: &str, start: Duration) -> Result<(), RecordError> {
    let seen = could_not_start(error, start);
    let swept = Entry::Swept { leftover: 0, time: seen.time };
    record.append(&Entry::Ended(seen)).and_then(|()| record.append(&swept))
}

/// Ends before anything was started. The lock goes before the answer: whoever hears it may import the record at once.
fn give_up(record: &RecordFile, answer: OwnedFd, said: &Answer, code: u8) -> u8 {
    let _ = record.release();
    said.send(answer);
    code
}

/// Why a run did not begin.
pub(super) enum Begin {
    /// The script could not be started; that is the run's outcome.
    CouldNotStart(String),
    /// The worker could not do its own work, before it began to start anything.
    Failed(String),
}

/// Everything up to the running script, whose pid and the inode of whose output it returns. The record says *starting*
/// before anything is spawned.
pub(super) fn begin(spec: &Told<'_>, prepared: &mut Prepared) -> Result<(i32, u64), Begin> {
    let Prepared { record, worker, has_theirs, .. } = prepared;
    let ours = |error: &dyn std::error::Error| Begin::Failed(in_one_line(error));
    let (file, inode) = output::renew(spec.output, spec.former).map_err(|error| ours(&error))?;
    record.append(&Entry::Starting { worker: *worker, output: inode }).map_err(|error| ours(&error))?;
    // Asked once: that takes a dozen calls.
    let has_theirs = *has_theirs.get_or_insert_with(|| is_ours(spec.umask, &spec.limits));
    let words = |all| words(all).map_err(|error| Begin::CouldNotStart(error.to_string()));
    let script = Script {
        program: word(spec.program).map_err(|error| Begin::CouldNotStart(error.to_string()))?,
        argv: &words(&spec.argv)?,
        env: &words(&spec.env)?,
        output: None,
        surroundings: (!has_theirs).then_some((spec.umask, spec.limits.as_slice())),
    };
    let pid = spawn_in_wd(spec.wd, &script, &file).map_err(Begin::CouldNotStart)?;
    // The script is our unreaped child: its pid is certainly its own, and it can be identified even as a zombie.
    if let Ok(script) = identity::identify(pid) {
        let _ = record.append(&Entry::Started { script, time: clock::now() });
    }
    // The script was spawned on our own processor; what we still have to do can wait for its first steps.
    std::thread::yield_now();
    Ok((pid, inode))
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
