//! Waiting for a traced process to stop, and reading what it stopped at.

use std::time::{Duration, Instant};

use nix::sys::ptrace::{self, Event};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::suite::env::PATIENCE;

/// A stop of a traced process, or its end.
pub(super) enum Stop {
    Entry(libc::c_long, [u64; 6]),
    Exit,
    Born(Pid),
    Exec,
    Signal(Signal),
    Ended(Option<i32>),
}

/// Waits for the next stop of a process. Other threads have tracees and children of their own, so never for any.
pub(super) fn next(pid: Pid) -> Stop {
    let start = Instant::now();
    let mut tries = 0_u32;
    loop {
        let status = match waitpid(pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
            Ok(status) => status,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(errno) => panic!("waiting for {pid}: {errno}"),
        };
        match status {
            WaitStatus::StillAlive => {
                assert!(start.elapsed() < PATIENCE, "waited in vain for {pid}");
                tries += 1;
                if tries < 20 {
                    std::thread::yield_now();
                } else {
                    std::thread::sleep(Duration::from_micros(u64::from(tries.min(1000))));
                }
            }
            WaitStatus::PtraceSyscall(_) => return call(pid),
            WaitStatus::PtraceEvent(_, _, event) if event == Event::PTRACE_EVENT_EXEC as i32 => return Stop::Exec,
            WaitStatus::PtraceEvent(_, _, _) => {
                return Stop::Born(Pid::from_raw(i32::try_from(ptrace::getevent(pid).unwrap()).unwrap()));
            }
            WaitStatus::Stopped(_, signal) => return Stop::Signal(signal),
            WaitStatus::Exited(_, code) => return Stop::Ended(Some(code)),
            WaitStatus::Signaled(_, _, _) => return Stop::Ended(None),
            WaitStatus::Continued(_) => {}
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn call(pid: Pid) -> Stop {
    let regs = ptrace::getregs(pid).unwrap();
    // Until a call has been made its result says that there is no such call.
    if regs.rax.cast_signed() != -i64::from(libc::ENOSYS) {
        return Stop::Exit;
    }
    Stop::Entry(regs.orig_rax.cast_signed(), [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9])
}

#[cfg(target_arch = "aarch64")]
fn call(pid: Pid) -> Stop {
    let regs = ptrace::getregs(pid).unwrap().regs;
    // The kernel's mark: 0 at the entry, 1 at the exit.
    if regs[7] != 0 {
        return Stop::Exit;
    }
    Stop::Entry(regs[8].cast_signed(), [regs[0], regs[1], regs[2], regs[3], regs[4], regs[5]])
}
