//! One run, step by step: set the former output aside, spawn, wait, stop when told to, record, sweep.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::causes::in_one_line;
use crate::domain::evidence::{Entry, ProcessId};
use crate::domain::outcome::{Cause, Exit, Outcome};
use crate::domain::signal::Signal;
use crate::domain::stopping::{Action, Event, Phase, react};
use crate::domain::task::StopSequence;
use crate::home::bell;
use crate::process::record::RecordFile;
use crate::process::spawn::{Script, StandIn, release, script};
use crate::process::spec::{Answer, Sealed, Told, word, words};
use crate::process::wait::{EndedChild, Peeked, Waiter, Woken, peek, reap, since};
use crate::process::{clock, identity, output, tree, usage, wait};

/// The longest error text that goes into a record, in characters.
const LONGEST_ERROR: usize = 500;

/// How long an outcome may stay unflushed while what is left of the tree is being ended, and while it may be imported.
const FLUSH_AFTER: Duration = Duration::from_millis(50);

/// How long the killing waits between two rounds when no child reports its end: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// What a worker needs besides the specification.
pub(super) struct Prepared {
    record: RecordFile,
    waiter: Waiter,
    worker: ProcessId,
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
pub(super) fn run(sealed: Sealed, prepared: Prepared, answer: OwnedFd) -> u8 {
    match begin_watch(&sealed, prepared, answer) {
        Ok(watch) => {
            // Only what the wait needs is kept: a worker may sit here for months.
            drop(sealed);
            release();
            watch.until_empty()
        }
        Err(code) => code,
    }
}

/// Begins the run and says so; the worker's exit code where it did not begin. Not part of its caller, so that its
/// frame is gone while the worker waits.
#[inline(never)]
fn begin_watch(sealed: &Sealed, prepared: Prepared, answer: OwnedFd) -> Result<Watch, u8> {
    let Prepared { mut record, waiter, worker } = prepared;
    let spec = match sealed.read() {
        Ok(spec) => spec,
        Err(error) => {
            drop(record);
            Answer::Failed(error.to_string()).send(answer);
            return Err(1);
        }
    };
    let start = clock::since_boot();
    match begin(&spec, worker, &mut record) {
        Ok(pid) => {
            Answer::Started(pid).send(answer);
            let _ = bell::ring(spec.bell);
            Ok(Watch::new(pid, &spec, start, record, waiter))
        }
        Err(Begin::CouldNotStart(error)) => {
            let outcome = Outcome::CouldNotStart { error: shortened(&error) };
            let lasted = u64::try_from(since(start).as_micros()).unwrap_or(u64::MAX);
            let time = clock::now();
            let written = record
                .append(&Entry::Ended { outcome, time, lasted, cpu: 0, memory: 0 })
                .and_then(|()| record.append(&Entry::Swept { leftover: 0, time }));
            let _ = bell::ring(spec.bell);
            let _ = record.flush();
            let answered = match written {
                Ok(()) => Answer::CouldNotStart(error),
                Err(failure) => Answer::Failed(format!("{error}; {failure}")),
            };
            // The lock goes before the answer: whoever hears it may import the record at once.
            drop(record);
            answered.send(answer);
            Err(0)
        }
        Err(Begin::Failed(error)) => {
            drop(record);
            Answer::Failed(error).send(answer);
            Err(1)
        }
    }
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
    let pid = spawn_in_wd(spec, &file).map_err(Begin::CouldNotStart)?;
    // The script is our unreaped child: its pid is certainly its own, and it can be identified even as a zombie.
    if let Ok(script) = identity::identify(pid) {
        let _ = record.append(&Entry::Started { script, time: clock::now() });
    }
    // The script was spawned on our own processor; what we still have to do can wait for its first steps.
    std::thread::yield_now();
    Ok(pid)
}

/// The script begins in its working directory; the worker itself stays in none, so as to keep no file system busy.
fn spawn_in_wd(spec: &Told<'_>, file: &std::fs::File) -> Result<i32, String> {
    let wd = spec.wd;
    std::env::set_current_dir(wd).map_err(|error| format!("its working directory `{}`: {error}", wd.display()))?;
    let spawned = StandIn::begin(file.as_fd()).and_then(|_standing_in| {
        script(&Script {
            program: word(spec.program)?,
            argv: &words(&spec.argv)?,
            env: &words(&spec.env)?,
            output: None,
            umask: spec.umask,
            limits: &spec.limits,
        })
    });
    let _ = std::env::set_current_dir("/");
    let program = spec.program.strip_suffix(b"\0").unwrap_or(spec.program);
    spawned.map_err(|error| format!("`{}`: {error}", String::from_utf8_lossy(program)))
}

/// A text that has room in a record: control characters would grow sixfold in JSON.
fn shortened(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_ERROR).collect()
}

/// A running script and what is needed to see it to its end.
struct Watch {
    main: i32,
    number: u64,
    stop: StopSequence,
    start: Duration,
    bell: PathBuf,
    record: RecordFile,
    waiter: Waiter,
    phase: Phase,
    /// How the main process ended, once it has.
    exit: Option<EndedChild>,
    /// When the outcome was written, on the boot-time clock.
    written: Duration,
    /// Whether the outcome has been made to survive a power cut.
    flushed: bool,
    /// Why the main process ended, once it has.
    cause: Option<Cause>,
    leftover: u32,
    memory_kills: u64,
    /// How long to wait for a child's end before killing again; set while killing.
    pause: Option<Duration>,
}

impl Watch {
    /// Takes from the specification the little that the wait needs; the rest can be dropped.
    fn new(main: i32, spec: &Told<'_>, start: Duration, record: RecordFile, mut waiter: Waiter) -> Self {
        // A timer that cannot be had leaves the run without its limit rather than without its watch.
        let _ = waiter.set_time(spec.timeout.map(|limit| start.saturating_add(limit)));
        Self {
            main,
            number: spec.run.low64(),
            stop: spec.stop.clone(),
            start,
            bell: spec.bell.to_path_buf(),
            record,
            waiter,
            phase: Phase::Running,
            exit: None,
            written: Duration::ZERO,
            flushed: false,
            cause: None,
            leftover: 0,
            memory_kills: usage::memory_kills(),
            pause: None,
        }
    }

    /// Waits until nothing is left; the worker's exit code.
    fn until_empty(mut self) -> u8 {
        loop {
            if self.take_ended().is_err() {
                // The kernel does not let us wait: nothing more can be known or done here.
                return 1;
            }
            if self.phase == Phase::Empty {
                return 0;
            }
            let unflushed = self.exit.is_some() && !self.flushed;
            let longest =
                if unflushed { Some(self.pause.map_or(FLUSH_AFTER, |p| p.min(FLUSH_AFTER))) } else { self.pause };
            let woken = self.waiter.wait(longest);
            if unflushed && matches!(woken, Ok(Woken::Pause)) {
                // The sweep lasts; the outcome must not wait for its end to survive a power cut.
                self.flushed = true;
                let _ = self.record.flush();
            }
            let event = match woken {
                Ok(Woken::Term(Some(number))) if number == self.number => Some(Event::StopRequested),
                Ok(Woken::Int(number)) if number == self.number => Some(Event::KillRequested),
                // Another number is meant for a run whose worker had our pid before us.
                Ok(Woken::Term(Some(_)) | Woken::Int(_) | Woken::Child | Woken::Pause) => None,
                Ok(Woken::Term(None)) => Some(Event::SessionEnded),
                Ok(Woken::Time) if self.phase == Phase::Running => Some(Event::TimeLimitReached),
                Ok(Woken::Time) => Some(Event::GraceOver),
                Err(_) => return 1,
            };
            if let Some(event) = event {
                self.handle(event);
            }
            self.kill_on();
        }
    }

    /// Takes every child that has ended: the main one is recorded before it is reaped, the others are reaped.
    fn take_ended(&mut self) -> io::Result<()> {
        let none_left = loop {
            match peek()? {
                Peeked::Ended(child) => {
                    if child.pid == self.main && self.exit.is_none() {
                        self.exit = Some(child);
                        self.handle(Event::MainExited);
                    }
                    reap(child.pid)?;
                }
                Peeked::NoneYet => break false,
                Peeked::NoChild => break true,
            }
        };
        // No child at all is the proof; else workers of other runs may be all that is left.
        let main_is_gone = self.exit.is_some();
        if main_is_gone
            && self.phase != Phase::Empty
            && (none_left || tree::own_children(self.record.path()).is_empty())
        {
            self.handle(Event::TreeEmptied);
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        let (phase, actions) = react(self.phase, event);
        if (self.phase, phase) == (Phase::Sweeping, Phase::Clearing) {
            self.leftover = self.leftover.max(tree::count_below(self.record.path()));
        }
        self.phase = phase;
        for action in actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        let ask = [self.stop.signal, Signal::CONT];
        match action {
            Action::SignalGroup => tree::signal_group(self.main, &ask),
            Action::SignalTree => {
                let count = tree::signal_tree(self.record.path(), self.main, &ask);
                // Who was asked to end dies beside its children, in any order: they are counted when they have to be
                // killed.
                if self.cause == Some(Cause::Itself) {
                    self.leftover = count;
                }
            }
            Action::StartGrace => {
                let _ = self.waiter.set_time(Some(clock::since_boot().saturating_add(self.stop.grace)));
            }
            Action::KillTree => {
                self.pause = Some(FIRST_PAUSE);
                // Once the main process has been reaped, its group's number may belong to a stranger.
                if self.exit.is_none() {
                    tree::signal_group(self.main, &[Signal::KILL]);
                }
                self.kill_on();
            }
            Action::RecordOutcome(cause) => {
                self.cause = Some(cause);
                self.record_outcome(cause);
            }
            Action::RecordSwept => {
                let _ = self.record.append(&Entry::Swept { leftover: self.leftover, time: clock::now() });
                // Nothing is left, so whoever hears the bell may import the record at once.
                let _ = self.record.release();
                let _ = bell::ring(&self.bell);
                self.flush_unless_imported();
            }
        }
    }

    /// Whoever stops a run waits for its end, imports the record at once, flushes that and removes the record: then there is
    /// nothing left to flush, and a further request to stop says so. The time for it is counted from the outcome, which must not wait longer.
    fn flush_unless_imported(&mut self) {
        while !self.record.is_removed() {
            let left = FLUSH_AFTER.saturating_sub(since(self.written));
            let alone = self.flushed || self.cause != Some(Cause::Stopped) || left.is_zero();
            if alone || matches!(self.waiter.wait(Some(left)), Ok(Woken::Pause) | Err(_)) {
                let _ = self.record.flush();
                return;
            }
        }
    }

    /// One round of killing, while that is what is to be done.
    fn kill_on(&mut self) {
        if let Some(pause) = self.pause {
            tree::kill_children(self.record.path());
            self.pause = Some((pause * 2).min(LAST_PAUSE));
        }
    }

    fn record_outcome(&mut self, cause: Cause) {
        let Some(child) = self.exit else { return };
        let killed = matches!(child.exit, Exit::Signal { number: libc::SIGKILL, .. });
        let out_of_memory = cause == Cause::Itself && killed && usage::memory_kills() > self.memory_kills;
        let cause = if out_of_memory { Cause::OutOfMemory } else { cause };
        self.written = clock::since_boot();
        let _ = self.record.append(&Entry::Ended {
            outcome: Outcome::Ended { exit: child.exit, cause },
            time: clock::now(),
            lasted: u64::try_from(since(self.start).as_micros()).unwrap_or(u64::MAX),
            cpu: child.cpu,
            memory: child.memory,
        });
    }
}
