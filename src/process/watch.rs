//! Waiting for the end of many processes at once, and for a moment: descriptors that become readable.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timer::TimerSetTimeFlags;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags};

use tokio::io::unix::AsyncFd;

use crate::domain::evidence::ProcessId;
use crate::domain::outcome::Exit;

use super::{identity, sys};

/// A descriptor that an event loop can wait for; it is a copy that stands for the same thing.
pub fn readable(of: &impl AsFd) -> io::Result<AsyncFd<OwnedFd>> {
    sys::async_readable(of.as_fd().try_clone_to_owned()?)
}

/// How many ends are taken at once.
const AT_ONCE: usize = 256;

/// What one watched process is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(u64);

/// Processes whose end is waited for. Each is told of once.
#[derive(Debug)]
pub struct WatchSet {
    epoll: Epoll,
    watched: HashMap<Token, OwnedFd>,
    next: u64,
}

impl WatchSet {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?, watched: HashMap::new(), next: 0 })
    }

    /// Watches a process; `None` where it is gone.
    pub fn add(&mut self, process: &ProcessId) -> io::Result<Option<Token>> {
        identity::open(process)?.map(|pidfd| self.watch(pidfd)).transpose()
    }

    /// Watches an unreaped child of ours, whose pid is certainly its own.
    pub fn add_child(&mut self, pid: i32) -> io::Result<Token> {
        let pidfd = sys::pidfd_open(pid)?;
        self.watch(pidfd)
    }

    fn watch(&mut self, pidfd: OwnedFd) -> io::Result<Token> {
        let token = Token(self.next);
        self.next += 1;
        self.epoll.add(&pidfd, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, token.0))?;
        self.watched.insert(token, pidfd);
        Ok(token)
    }

    /// Those that have ended since the last call.
    pub fn ended(&self) -> io::Result<Vec<Token>> {
        let mut ended = Vec::new();
        loop {
            let mut events = [EpollEvent::empty(); AT_ONCE];
            let count = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            ended.extend(events.iter().take(count).map(|event| Token(event.data())));
            if count < AT_ONCE {
                return Ok(ended);
            }
        }
    }

    /// How a watched process ended that somebody else has waited for; `None` where the kernel does not say (before
    /// Linux 6.15), or not yet.
    pub fn exit(&self, token: Token) -> Option<Exit> {
        sys::pidfd_exit(self.watched.get(&token)?.as_fd())
    }

    /// Watches a process no longer.
    pub fn forget(&mut self, token: Token) {
        if let Some(pidfd) = self.watched.remove(&token) {
            let _ = self.epoll.delete(&pidfd);
        }
    }
}

impl AsFd for WatchSet {
    /// Readable when a watched process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// An alarm on the clock that goes on while the machine sleeps.
#[derive(Debug)]
pub struct Alarm(TimerFd);

impl Alarm {
    /// Not set.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self(TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?))
    }

    /// Sets it to a moment on the clock of [`super::clock::since_boot`]; what was set before no longer counts.
    pub fn set(&self, at: Duration) -> io::Result<()> {
        // Zero would disarm it.
        let at = TimeSpec::from_duration(at.max(Duration::from_nanos(1)));
        Ok(self.0.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }
}

impl AsFd for Alarm {
    /// Readable when the moment has come, until it is set anew.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An alarm on the wall clock, which also goes off when somebody sets that clock.
#[derive(Debug)]
pub struct WallAlarm(TimerFd);

/// Why a wall alarm went off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rang {
    /// Its moment has come.
    Moment,
    /// The clock was set.
    ClockSet,
    /// Not at all.
    Nothing,
}

impl WallAlarm {
    /// Not set.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self(TimerFd::new(ClockId::CLOCK_REALTIME, flags)?))
    }

    /// Sets it to a time since 1970; what was set before no longer counts. Where somebody has set the clock and
    /// [`WallAlarm::rang`] has not said so yet, this does: it is said once.
    pub fn set(&self, at: Duration) -> io::Result<Rang> {
        // Zero would disarm it.
        let at = TimeSpec::from_duration(at.max(Duration::from_nanos(1)));
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        match self.0.set(Expiration::OneShot(at), flags) {
            Ok(()) => Ok(Rang::Nothing),
            // It is set all the same.
            Err(nix::errno::Errno::ECANCELED) => Ok(Rang::ClockSet),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Why it is readable.
    pub fn rang(&self) -> io::Result<Rang> {
        match nix::unistd::read(&self.0, &mut [0; 8]) {
            Ok(_) => Ok(Rang::Moment),
            Err(nix::errno::Errno::ECANCELED) => Ok(Rang::ClockSet),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(Rang::Nothing),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for WallAlarm {
    /// Readable when it has gone off, until it is asked why or set anew.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::clock;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::process::Command;

    fn wait_for(fd: BorrowedFd<'_>) {
        assert_eq!(poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::from(20_000_u16)).unwrap(), 1);
    }

    #[test]
    fn an_alarm_on_the_wall_clock_goes_off_at_its_moment_and_says_why() {
        let alarm = WallAlarm::new().unwrap();
        let since_1970 = |moment: jiff::Timestamp| Duration::from_micros(moment.as_microsecond().try_into().unwrap());
        alarm.set(since_1970(clock::now()) + Duration::from_hours(1)).unwrap();
        assert_eq!(alarm.rang().unwrap(), Rang::Nothing);
        let soon = clock::now().checked_add(Duration::from_millis(20)).unwrap();
        alarm.set(since_1970(soon)).unwrap();
        wait_for(alarm.as_fd());
        assert!(clock::now() >= soon);
        assert_eq!(alarm.rang().unwrap(), Rang::Moment);
        assert_eq!(alarm.rang().unwrap(), Rang::Nothing, "it is told once");
        alarm.set(Duration::ZERO).unwrap();
        wait_for(alarm.as_fd());
    }

    #[test]
    fn an_end_is_told_once_and_with_the_exit_where_the_kernel_knows() {
        let mut set = WatchSet::new().unwrap();
        let mut shell = Command::new("/bin/sh");
        let mut child = shell.args(["-c", "read x; exit 7"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let id = identity::identify(i32::try_from(child.id()).unwrap()).unwrap();
        let token = set.add(&id).unwrap().unwrap();
        assert_eq!(set.ended().unwrap(), []);
        assert_eq!(set.exit(token), None);
        drop(child.stdin.take());
        wait_for(set.as_fd());
        assert_eq!(set.ended().unwrap(), [token]);
        assert_eq!(set.ended().unwrap(), []);
        child.wait().unwrap();
        let release = nix::sys::utsname::uname().unwrap().release().to_string_lossy().into_owned();
        let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
        let told = (numbers.next(), numbers.next()) >= (Some(6), Some(15));
        assert_eq!(set.exit(token), told.then_some(Exit::Code(7)));
        set.forget(token);
        assert_eq!(set.add(&id).unwrap(), None);
    }

    #[test]
    fn an_event_loop_is_woken_by_an_alarm() {
        let alarm = Alarm::new().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let readable = readable(&alarm).unwrap();
            alarm.set(clock::since_boot() + Duration::from_millis(2)).unwrap();
            readable.readable().await.unwrap().clear_ready();
            alarm.set(clock::since_boot() + Duration::from_millis(2)).unwrap();
            readable.readable().await.unwrap().clear_ready();
        });
    }

    #[test]
    fn an_alarm_rings_at_its_moment() {
        let alarm = Alarm::new().unwrap();
        alarm.set(clock::since_boot() + Duration::from_mins(1)).unwrap();
        alarm.set(clock::since_boot() + Duration::from_millis(2)).unwrap();
        wait_for(alarm.as_fd());
        alarm.set(clock::since_boot() + Duration::from_mins(1)).unwrap();
        assert_eq!(poll(&mut [PollFd::new(alarm.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap(), 0);
    }
}
