//! A running script seen to its end: wait, stop when told to, record, sweep.

use std::io;
use std::time::Duration;

use crate::domain::evidence::{Ended, Entry, Seen};
use crate::domain::outcome::{Cause, Exit, Outcome};
use crate::domain::signal::Signal;
use crate::domain::stopping::{Action, Event, Phase, react};
use crate::domain::task::StopSequence;
use crate::process::record::RecordFile;
use crate::process::wait::{EndedChild, Peeked, Waiter, Woken, peek, reap};
use crate::process::{clock, tree, usage};

use super::run::microseconds;

/// How long an outcome may stay unflushed while what is left of the tree is being ended, and while it may be imported.
pub(super) const FLUSH_AFTER: Duration = Duration::from_millis(50);

/// How long the killing waits between two rounds when no child reports its end: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// What a run may, and how it is stopped.
pub(super) struct Limits {
    /// The number that a request to stop it carries.
    pub(super) number: u64,
    /// That of the run that this one has followed: whoever wanted its end, and was late, wants the end of this one.
    pub(super) former: Option<u64>,
    /// The longest that it may last.
    pub(super) timeout: Option<Duration>,
    /// How it is stopped.
    pub(super) stop: StopSequence,
    /// How many processes the kernel had killed for want of memory before it began.
    pub(super) memory_kills: u64,
}

impl Limits {
    /// Whether a request with this number means the run.
    fn is_meant(&self, number: u64) -> bool {
        number == self.number || self.former == Some(number)
    }
}

/// A run of which nothing is left.
pub(super) struct Over {
    /// How it ended.
    pub(super) ended: Ended,
    /// Why its main process did.
    pub(super) cause: Option<Cause>,
    /// When that was written, on the boot-time clock.
    pub(super) written: Duration,
    /// Whether it has been made to survive a power cut.
    pub(super) flushed: bool,
    /// What was asked for meanwhile and did not mean this run.
    pub(super) asked: Vec<Woken>,
}

/// A running script and what is needed to see it to its end.
pub(super) struct Watch<'p> {
    main: i32,
    limits: Limits,
    start: Duration,
    record: &'p mut RecordFile,
    waiter: &'p mut Waiter,
    phase: Phase,
    /// How the main process ended, once it has.
    exit: Option<EndedChild>,
    /// When the outcome was written, on the boot-time clock.
    written: Duration,
    /// Whether the outcome has been made to survive a power cut.
    flushed: bool,
    /// The same as it is on record, once it is.
    ended: Option<Ended>,
    leftover: u32,
    /// How long to wait for a child's end before killing again; set while killing.
    pause: Option<Duration>,
    /// Whether what is left of the tree is to be asked to end, if anything is.
    signals_tree: bool,
    /// When the grace ends that begins now, if anything is left to wait for.
    grace_ends: Option<Duration>,
    /// What was asked for meanwhile and concerns runs that are still to come.
    asked: Vec<Woken>,
}

impl<'p> Watch<'p> {
    /// Takes the little that the wait needs; the rest of what is known of the run can be dropped.
    pub(super) fn new(
        main: i32,
        limits: Limits,
        start: Duration,
        record: &'p mut RecordFile,
        waiter: &'p mut Waiter,
    ) -> Self {
        // A timer that cannot be had leaves the run without its limit rather than without its watch.
        let _ = waiter.set_time(limits.timeout.map(|limit| start.saturating_add(limit)));
        Self {
            main,
            limits,
            start,
            record,
            waiter,
            phase: Phase::Running,
            exit: None,
            written: Duration::ZERO,
            flushed: false,
            ended: None,
            leftover: 0,
            pause: None,
            signals_tree: false,
            grace_ends: None,
            asked: Vec::new(),
        }
    }

    /// Waits until nothing is left; what there is to say then.
    pub(super) fn until_over(mut self) -> io::Result<Over> {
        let ended = loop {
            if let Some(ended) = self.until_empty_or(None)? {
                break ended;
            }
        };
        Ok(Over { ended, cause: self.cause(), written: self.written, flushed: self.flushed, asked: self.asked })
    }

    /// Waits until nothing is left, or for a moment on the boot-time clock; how the run ended, if it has.
    pub(super) fn until_empty_or(&mut self, moment: Option<Duration>) -> io::Result<Option<Ended>> {
        loop {
            self.take_ended()?;
            if self.phase == Phase::Empty {
                let ended = self.ended.clone().ok_or(io::ErrorKind::NotFound)?;
                return Ok(Some(Ended { leftover: self.leftover, ..ended }));
            }
            if let Some(end) = self.grace_ends.take() {
                let _ = self.waiter.set_time(Some(end));
            }
            let left = moment.map(|moment| moment.saturating_sub(clock::since_boot()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let unflushed = self.exit.is_some() && !self.flushed;
            let longest = [self.pause, unflushed.then_some(FLUSH_AFTER), left].into_iter().flatten().min();
            let woken = self.waiter.wait(longest);
            if unflushed && matches!(woken, Ok(Woken::Pause)) {
                // The sweep lasts; the outcome must not wait for its end to survive a power cut.
                self.flushed = true;
                let _ = self.record.flush();
            }
            let woken = woken?;
            if self.exit.is_some() && matches!(woken, Woken::Term(Some(_)) | Woken::Int(_)) {
                // Too late for this run; none is to follow it.
                self.asked.push(woken);
            }
            let event = match woken {
                Woken::Term(Some(number)) if self.limits.is_meant(number) => Some(Event::StopRequested),
                Woken::Int(number) if self.limits.is_meant(number) => Some(Event::KillRequested),
                // Another number is meant for a run that is still to come, or whose worker had our pid before us.
                Woken::Term(Some(_)) | Woken::Int(_) => {
                    if self.exit.is_none() {
                        self.asked.push(woken);
                    }
                    None
                }
                Woken::Term(None) => {
                    self.asked.push(woken);
                    Some(Event::SessionEnded)
                }
                Woken::Child | Woken::Heard | Woken::Pause => None,
                Woken::Time if self.phase == Phase::Running => Some(Event::TimeLimitReached),
                Woken::Time => Some(Event::GraceOver),
            };
            if let Some(event) = event {
                self.handle(event);
            }
            self.kill_on();
        }
    }

    /// What was asked for meanwhile and concerns runs that are still to come.
    pub(super) fn into_asked(self) -> Vec<Woken> {
        self.asked
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
        if std::mem::take(&mut self.signals_tree) && !none_left {
            self.signal_tree();
        }
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
        match action {
            Action::SignalGroup => tree::signal_group(self.main, &self.asking()),
            Action::SignalTree => self.signals_tree = true,
            Action::StartGrace => {
                self.grace_ends = Some(clock::since_boot().saturating_add(self.limits.stop.grace));
            }
            Action::KillTree => {
                self.pause = Some(FIRST_PAUSE);
                // Once the main process has been reaped, its group's number may belong to a stranger.
                if self.exit.is_none() {
                    tree::signal_group(self.main, &[Signal::KILL]);
                }
                self.kill_on();
            }
            Action::RecordOutcome(cause) => self.record_outcome(cause),
            Action::RecordSwept => {
                let _ = self.record.append(&Entry::Swept { leftover: self.leftover, time: clock::now() });
            }
        }
    }

    /// The signals that ask for an end.
    fn asking(&self) -> [Signal; 2] {
        [self.limits.stop.signal, Signal::CONT]
    }

    /// Asks what is left of the tree to end. Mostly nothing is, which the reaped main process tells.
    fn signal_tree(&mut self) {
        let count = tree::signal_tree(self.record.path(), &self.asking());
        // Who was asked to end dies beside its children, in any order: they are counted when they have to be killed.
        if self.cause() == Some(Cause::Itself) {
            self.leftover = count;
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
        let out_of_memory = cause == Cause::Itself && killed && usage::memory_kills() > self.limits.memory_kills;
        let cause = if out_of_memory { Cause::OutOfMemory } else { cause };
        self.written = clock::since_boot();
        let outcome = Outcome::Ended { exit: child.exit, cause };
        let (lasted, cpu, memory) = (microseconds(self.start), child.cpu, child.memory);
        let seen = Seen { outcome, time: clock::now(), lasted, cpu, memory };
        let _ = self.record.append(&Entry::Ended(seen.clone()));
        self.ended = Some(seen.into());
    }

    /// Why the main process ended, once it has.
    fn cause(&self) -> Option<Cause> {
        match self.ended.as_ref()?.outcome {
            Outcome::Ended { cause, .. } => Some(cause),
            Outcome::CouldNotStart { .. } | Outcome::NeverStarted | Outcome::Lost(_) => None,
        }
    }
}
