//! What a worker waits for, in one place: its children, its signals, one point in time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timer::TimerSetTimeFlags;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags};

use super::{clock, sys};
pub use crate::domain::outcome::Exit;

/// What has woken a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// A child has changed.
    Child,
    /// TERM came, with the value of `sigqueue` or without one: a request to stop, or the end of the session.
    Term(Option<u64>),
    /// INT came with a value: a request to kill.
    Int(u64),
    /// The point in time has come.
    Time,
    /// What was waited for besides is there.
    Heard,
    /// The longest wait is over.
    Pause,
}

/// The waiting of one worker.
#[derive(Debug)]
pub struct Waiter {
    signals: SignalFd,
    /// On the boot-time clock, so that suspended time counts; made when a time is first set.
    timer: Option<TimerFd>,
}

impl Waiter {
    /// Prepares to wait. The signals must be blocked, which a worker's are from its birth.
    pub fn new() -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(NixSignal::SIGCHLD);
        set.add(NixSignal::SIGTERM);
        set.add(NixSignal::SIGINT);
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { signals, timer: None })
    }

    /// Sets the point in time, on the clock of [`clock::since_boot`]; `None` for never.
    pub fn set_time(&mut self, at: Option<Duration>) -> io::Result<()> {
        let Some(at) = at else {
            self.timer = None;
            return Ok(());
        };
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        // Zero would disarm it.
        let at = at.max(Duration::from_nanos(1));
        timer.set(Expiration::OneShot(TimeSpec::from_duration(at)), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        self.timer = Some(timer);
        Ok(())
    }

    /// Takes a signal that is there already; nothing is waited for.
    pub fn signalled(&mut self) -> io::Result<Option<Woken>> {
        while let Some(info) = self.signals.read_signal()? {
            match i32::try_from(info.ssi_signo) {
                Ok(libc::SIGTERM) if info.ssi_code == libc::SI_QUEUE => {
                    return Ok(Some(Woken::Term(Some(info.ssi_ptr))));
                }
                Ok(libc::SIGTERM) => return Ok(Some(Woken::Term(None))),
                Ok(libc::SIGINT) if info.ssi_code == libc::SI_QUEUE => return Ok(Some(Woken::Int(info.ssi_ptr))),
                Ok(libc::SIGINT) => {}
                Ok(_) | Err(_) => return Ok(Some(Woken::Child)),
            }
        }
        Ok(None)
    }

    /// Waits until something happens, at most `longest`.
    pub fn wait(&mut self, longest: Option<Duration>) -> io::Result<Woken> {
        self.wait_or_hear(None, longest)
    }

    /// As [`Waiter::wait`], and for something to read besides.
    pub fn wait_or_hear(&mut self, ear: Option<BorrowedFd<'_>>, longest: Option<Duration>) -> io::Result<Woken> {
        loop {
            if let Some(woken) = self.signalled()? {
                return Ok(woken);
            }
            let timeout = longest.map_or(PollTimeout::NONE, |time| {
                PollTimeout::try_from(time.as_millis().max(1)).unwrap_or(PollTimeout::MAX)
            });
            let more = self.timer.as_ref().map(AsFd::as_fd).into_iter().chain(ear);
            let all = [self.signals.as_fd()].into_iter().chain(more);
            let mut fds: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            match poll(&mut fds, timeout) {
                Ok(0) => return Ok(Woken::Pause),
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let rings = |fd: Option<&PollFd<'_>>| fd.and_then(PollFd::any) == Some(true);
            if self.timer.is_some() && rings(fds.get(1)) {
                self.timer = None;
                return Ok(Woken::Time);
            }
            if ear.is_some() && rings(fds.last()) {
                return Ok(Woken::Heard);
            }
        }
    }
}

/// Makes this process the one that inherits every orphan below it: only so can it know when its tree is empty.
pub fn become_subreaper() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// An ended child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedChild {
    /// Its pid, which nobody else can have until it is reaped.
    pub pid: i32,
    /// How it ended.
    pub exit: Exit,
    /// CPU time in microseconds, of it and of the children that it waited for.
    pub cpu: u64,
    /// Peak memory in bytes, of it and of the children that it waited for.
    pub memory: u64,
}

/// What there is to see among the children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peeked {
    /// One has ended.
    Ended(EndedChild),
    /// There are some, and none has ended.
    NoneYet,
    /// There is none.
    NoChild,
}

/// Shows an ended child without reaping it, if there is one.
pub fn peek() -> io::Result<Peeked> {
    Ok(match sys::wait_child(None, false)? {
        sys::Waited::Dead(sys::Dead { pid, exit, cpu, memory }) => Peeked::Ended(EndedChild { pid, exit, cpu, memory }),
        sys::Waited::NoneYet => Peeked::NoneYet,
        sys::Waited::NoChild => Peeked::NoChild,
    })
}

/// Reaps an ended child.
pub fn reap(pid: i32) -> io::Result<()> {
    sys::wait_child(Some(pid), true).map(drop)
}

/// How long something has lasted since a reading of the boot-time clock.
pub fn since(start: Duration) -> Duration {
    clock::since_boot().saturating_sub(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_wakes_and_a_pause_ends() {
        let mut waiter = Waiter::new().unwrap();
        waiter.set_time(Some(clock::since_boot() + Duration::from_millis(5))).unwrap();
        assert_eq!(waiter.wait(None).unwrap(), Woken::Time);
        assert_eq!(waiter.wait(Some(Duration::from_millis(2))).unwrap(), Woken::Pause);
        waiter.set_time(Some(Duration::ZERO)).unwrap();
        assert_eq!(waiter.wait(None).unwrap(), Woken::Time);
    }
}
