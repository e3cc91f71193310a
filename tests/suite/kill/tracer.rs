//! Runs the real binary under ptrace and kills it, or the worker that it spawns, at one of its system calls; or holds it
//! there, while somebody else acts.
//!
//! The points are the entries of the calls that can change something (the kernel then skips the call), and the births
//! of children. To be killed at the exit of a call leaves what being killed at the entry of the next one leaves: nothing
//! that anybody else can see happens in between. Only a call that another process answers to has its exit counted too:
//! there, time passes in which that one acts. So the points are exhaustive without any help from the product.

mod calls;
mod stops;

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use calls::{ALL_CALLS, ANSWERED, goes_on, is_idle, is_wait, journals_on, name};
use stops::{Stop, next};

/// The point at which a child has been born and has not yet done anything.
pub(super) const BIRTH: &str = "the birth of a child";

/// Who is killed.
#[derive(Clone, Copy)]
pub(super) enum Victim<'a> {
    /// The command itself; its worker goes on.
    Command,
    /// The worker that the command spawns, from its birth until it first waits; the command goes on.
    WorkerAtStart,
    /// The same worker, from its first wait on; before that, the command has ended and the function is called.
    WorkerAtEnd(&'a dyn Fn()),
    /// The same, until its next wait at which the second function says so.
    WorkerBetween(&'a dyn Fn(), &'a dyn Fn() -> bool),
}

/// What becomes of a process at its point.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is killed.
    Death,
    /// It is held until everything else has been done, and goes on.
    Hold,
}

/// What became of a traced command.
#[derive(Debug)]
pub(super) struct Traced {
    /// Where the victim was killed; `None` where it ended unharmed before it came to that point.
    pub(super) point: Option<String>,
    /// The command's exit code; `None` where it was killed.
    pub(super) code: Option<i32>,
    /// What the command wrote to standard output and error.
    pub(super) said: String,
}

/// Runs a command and kills the victim at its `nth` point, counted from 1.
///
/// `at_death` is called when the victim is dead, with the point. Where that is the [`BIRTH`] of a child, the child is
/// held until it returns.
pub(super) fn kill_at(command: Command, victim: Victim<'_>, nth: usize, at_death: &dyn Fn(&str)) -> Traced {
    run_to(command, victim, nth, Fate::Death, at_death)
}

/// As [`kill_at`], but nobody is killed: what would be the victim is held at the point until `meanwhile` returns.
pub(super) fn hold_at(command: Command, held: Victim<'_>, nth: usize, meanwhile: &dyn Fn(&str)) -> Traced {
    run_to(command, held, nth, Fate::Hold, meanwhile)
}

fn run_to(mut command: Command, victim: Victim<'_>, nth: usize, fate: Fate, at_death: &dyn Fn(&str)) -> Traced {
    let mut said = tempfile::tempfile().unwrap();
    let pid = begin(&mut command, &said);
    let (point, code) = match victim {
        Victim::Command => follow(pid, nth, Span::All, fate, at_death),
        Victim::WorkerAtStart => {
            let worker = birth(pid);
            ptrace::detach(pid, None).unwrap();
            let (point, _) = follow(worker, nth, Span::UntilWait, fate, at_death);
            (point, ended(pid))
        }
        Victim::WorkerAtEnd(_) | Victim::WorkerBetween(..) => {
            let worker = birth(pid);
            ptrace::detach(pid, None).unwrap();
            let code = Cell::new(None);
            let wait = || code.set(ended(pid));
            let (point, _) = match victim {
                Victim::WorkerBetween(then, is_over) => {
                    let mut begin = || {
                        wait();
                        then();
                    };
                    follow(worker, nth, Span::Between(&mut begin, is_over), fate, at_death)
                }
                Victim::WorkerAtEnd(then) => {
                    let mut begin = || {
                        wait();
                        then();
                    };
                    follow(worker, nth, Span::FromWait(&mut begin), fate, at_death)
                }
                Victim::Command | Victim::WorkerAtStart => unreachable!("matched above"),
            };
            (point, code.get())
        }
    };
    let mut text = String::new();
    said.rewind().unwrap();
    said.read_to_string(&mut text).unwrap();
    Traced { point, code, said: text }
}

/// What a moment is to whoever watches a supervisor or the worker of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// What is watched is yet to come: no points so far.
    Before,
    /// From here on there are points.
    Within,
    /// What is watched is over.
    Over,
}

/// Runs a supervisor and kills it at its `nth` point, or when what is watched is over; the point, if it was one.
///
/// There are points from the beginning on if `at_once`, else from the first [`Idle::Within`]. `idle` is asked at each
/// moment at which the supervisor has nothing to do, and does not go on before it has answered.
pub(super) fn kill_supervisor_at(
    mut command: Command,
    at_once: bool,
    nth: usize,
    idle: &dyn Fn() -> Idle,
    at_death: &dyn Fn(&str),
) -> Option<String> {
    let pid = begin(&mut command, &tempfile::tempfile().unwrap());
    follow(pid, nth, Span::BetweenIdle(at_once, idle), Fate::Death, at_death).0
}

/// Runs a supervisor and kills the first worker that it spawns at its `nth` point: from its birth until it first waits,
/// or from there on, once the function has been called. The point, and the supervisor's pid.
pub(super) fn kill_worker_of(
    mut supervisor: Command,
    at_end: Option<&dyn Fn()>,
    nth: usize,
    at_death: &dyn Fn(&str, Pid),
) -> (Option<String>, Pid) {
    let pid = begin(&mut supervisor, &tempfile::tempfile().unwrap());
    let worker = birth(pid);
    ptrace::detach(pid, None).unwrap();
    let at_death = |point: &str| at_death(point, pid);
    let point = match at_end {
        Some(then) => follow(worker, nth, Span::FromWait(&mut || then()), Fate::Death, &at_death).0,
        None => follow(worker, nth, Span::UntilWait, Fate::Death, &at_death).0,
    };
    (point, pid)
}

/// Runs a supervisor and kills the worker of its first slot at its `nth` point, or leaves it alone when what is watched is
/// over; the point, and the supervisor's pid.
///
/// `look` is asked at each birth of a script, and where there are points at each of the worker's waits too; it does not go
/// on before there is an answer. Until the first [`Idle::Within`] it is hardly slower than it is by itself.
pub(super) fn kill_slot_at(
    mut supervisor: Command,
    nth: usize,
    look: &dyn Fn() -> Idle,
    at_death: &dyn Fn(&str),
) -> (Option<String>, Pid) {
    let pid = begin(&mut supervisor, &tempfile::tempfile().unwrap());
    let worker = birth(pid);
    ptrace::detach(pid, None).unwrap();
    (follow(worker, nth, Span::OfSlot(look), Fate::Death, at_death).0, pid)
}

/// Starts a command that stops at its exec, and whatever it spawns with it.
fn begin(command: &mut Command, said: &File) -> Pid {
    command.stdout(said.try_clone().unwrap()).stderr(said.try_clone().unwrap());
    // SAFETY: between fork and exec the closure makes one system call and nothing else.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| Ok(ptrace::traceme()?));
    }
    let child = command.spawn().expect("ptrace must be permitted: the kill tests cannot do without");
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    assert!(matches!(next(pid), Stop::Signal(Signal::SIGTRAP)), "the tracee stops at its exec");
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(pid, options).unwrap();
    pid
}

/// Lets a command go on to the birth of its worker, and the worker to its first stop.
fn birth(pid: Pid) -> Pid {
    let mut signal = None;
    loop {
        ptrace::cont(pid, signal.take()).unwrap();
        match next(pid) {
            Stop::Born(child) => {
                assert!(matches!(next(child), Stop::Signal(Signal::SIGSTOP)), "a new tracee begins stopped");
                return child;
            }
            Stop::Signal(other) => signal = Some(other),
            Stop::Entry(..) | Stop::Exit | Stop::Exec => {}
            Stop::Ended(code) => panic!("the command ended with {code:?} before it spawned a worker"),
        }
    }
}

/// From where to where there are points.
enum Span<'a> {
    /// All of its life.
    All,
    /// Until a worker first waits.
    UntilWait,
    /// From a worker's first wait on, after this has been done.
    FromWait(&'a mut dyn FnMut()),
    /// The same, until this says at a wait that it is over.
    Between(&'a mut dyn FnMut(), &'a dyn Fn() -> bool),
    /// Until this says at a wait that it is over.
    UntilOver(&'a dyn Fn() -> bool),
    /// As the idle moments of a supervisor say; whether from the beginning on.
    BetweenIdle(bool, &'a dyn Fn() -> Idle),
    /// As it is said when a worker begins scripts and when it waits.
    OfSlot(&'a dyn Fn() -> Idle),
}

/// Follows a stopped process to its `nth` point, which is its fate; the point and the exit code.
fn follow(
    pid: Pid,
    nth: usize,
    mut span: Span<'_>,
    fate: Fate,
    at_death: &dyn Fn(&str),
) -> (Option<String>, Option<i32>) {
    let later = matches!(span, Span::FromWait(_) | Span::Between(..) | Span::BetweenIdle(false, _) | Span::OfSlot(_));
    let mut counting = !later;
    // Rust's own start-up waits too; the worker's first wait comes after the birth of the script.
    let mut spawned = false;
    let mut seen = 0;
    let mut inside: Option<String> = None;
    let mut before = None;
    let mut signal = None;
    loop {
        let goes = if matches!(span, Span::OfSlot(_)) && !counting { ptrace::cont } else { ptrace::syscall };
        goes(pid, signal.take()).unwrap();
        let (point, born) = match next(pid) {
            Stop::Entry(number, args) => {
                if let Span::OfSlot(look) = &span
                    && is_wait(number)
                    && look() == Idle::Over
                {
                    ptrace::detach(pid, None).unwrap();
                    return (None, None);
                }
                let says_itself = matches!(span, Span::BetweenIdle(..) | Span::OfSlot(_));
                if !says_itself && spawned && is_wait(number) {
                    match std::mem::replace(&mut span, Span::All) {
                        Span::All | Span::BetweenIdle(..) | Span::OfSlot(_) => {}
                        Span::UntilWait => {
                            ptrace::detach(pid, None).unwrap();
                            return (None, None);
                        }
                        Span::FromWait(then) => {
                            then();
                            counting = true;
                        }
                        Span::Between(then, is_over) => {
                            then();
                            counting = true;
                            span = Span::UntilOver(is_over);
                        }
                        Span::UntilOver(is_over) => {
                            if is_over() {
                                ptrace::detach(pid, None).unwrap();
                                return (None, None);
                            }
                            span = Span::UntilOver(is_over);
                        }
                    }
                }
                if let Span::BetweenIdle(_, idle) = &span
                    && is_idle(number, args)
                {
                    match idle() {
                        Idle::Before => {}
                        Idle::Within => counting = true,
                        Idle::Over => {
                            die(pid);
                            return (None, None);
                        }
                    }
                }
                inside = name(number, args).filter(|_| counting);
                if inside.is_some() {
                    let again = match span {
                        Span::BetweenIdle(..) => goes_on(number, args, before),
                        Span::OfSlot(_) => journals_on(number, args, before),
                        Span::All | Span::UntilWait | Span::FromWait(_) | Span::Between(..) | Span::UntilOver(_) => {
                            false
                        }
                    };
                    before = Some((number, args));
                    inside = inside.filter(|_| !again);
                }
                (inside.as_ref().map(|call| format!("the entry of {call}")), None)
            }
            Stop::Exit => {
                let call = inside.take().filter(|call| *ALL_CALLS || ANSWERED.contains(&call.as_str()));
                (call.map(|call| format!("the exit of {call}")), None)
            }
            Stop::Born(child) => {
                spawned = true;
                if let Span::OfSlot(look) = &span {
                    match look() {
                        Idle::Before => {}
                        Idle::Within => counting = true,
                        Idle::Over => {
                            detach_newborn(child);
                            ptrace::detach(pid, None).unwrap();
                            return (None, None);
                        }
                    }
                }
                (Some(BIRTH.to_owned()).filter(|_| counting), Some(child))
            }
            Stop::Exec => (None, None),
            Stop::Signal(other) => {
                signal = Some(other);
                (None, None)
            }
            Stop::Ended(code) => return (None, code),
        };
        seen += usize::from(point.is_some());
        let reached = point.filter(|_| seen == nth);
        if let Some(point) = &reached {
            if fate == Fate::Death {
                die(pid);
            }
            at_death(point);
        }
        if let Some(child) = born {
            detach_newborn(child);
        }
        if let Some(point) = reached {
            if fate == Fate::Hold {
                ptrace::detach(pid, None).unwrap();
            }
            return (Some(format!("{point} (point {nth})")), None);
        }
    }
}

/// Lets a child go. It begins stopped, by a signal of the kernel's that nobody else is to see.
fn detach_newborn(child: Pid) {
    assert!(matches!(next(child), Stop::Signal(Signal::SIGSTOP)), "a new tracee begins stopped");
    ptrace::detach(child, None).unwrap();
}

fn die(pid: Pid) {
    kill(pid, Signal::SIGKILL).unwrap();
    while !matches!(next(pid), Stop::Ended(_)) {}
}

/// The exit code of a child that is no longer traced, when it has ended.
fn ended(pid: Pid) -> Option<i32> {
    match next(pid) {
        Stop::Ended(code) => code,
        _ => panic!("a process that is not traced does not stop"),
    }
}
