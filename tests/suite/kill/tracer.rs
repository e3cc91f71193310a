//! Runs the real binary under ptrace and kills it, or the worker that it spawns, at one of its system calls.
//!
//! The points are the entries of the calls that can change something (the kernel then skips the call), and the births
//! of children. To be killed at the exit of a call leaves what being killed at the entry of the next one leaves: nothing
//! that anybody else can see happens in between. Only a call that another process answers to has its exit counted too:
//! there, time passes in which that one acts. So the points are exhaustive without any help from the product.

use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::suite::env::PATIENCE;

/// The entry and the exit of every system call is a point, also of those that change nothing, if
/// `JOBEXEC_KILL_CALLS` is `all`.
static ALL_CALLS: LazyLock<bool> = LazyLock::new(|| std::env::var_os("JOBEXEC_KILL_CALLS").is_some_and(|v| v == "all"));

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
pub(super) fn kill_at(mut command: Command, victim: Victim<'_>, nth: usize, at_death: &dyn Fn(&str)) -> Traced {
    let mut said = tempfile::tempfile().unwrap();
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
    let (point, code) = match victim {
        Victim::Command => follow(pid, nth, Wait::Nothing, at_death),
        Victim::WorkerAtStart => {
            let worker = birth(pid);
            ptrace::detach(pid, None).unwrap();
            let (point, _) = follow(worker, nth, Wait::IsTheEnd, at_death);
            (point, ended(pid))
        }
        Victim::WorkerAtEnd(then) => {
            let worker = birth(pid);
            ptrace::detach(pid, None).unwrap();
            let mut code = None;
            let mut begin = || {
                code = ended(pid);
                then();
            };
            let (point, _) = follow(worker, nth, Wait::IsTheBeginning(&mut begin), at_death);
            (point, code)
        }
    };
    let mut text = String::new();
    said.rewind().unwrap();
    said.read_to_string(&mut text).unwrap();
    Traced { point, code, said: text }
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

/// What a worker's first wait means for the points.
enum Wait<'a> {
    /// Nothing: it is no worker.
    Nothing,
    /// The points are those before.
    IsTheEnd,
    /// The points are those after this has been done.
    IsTheBeginning(&'a mut dyn FnMut()),
}

/// Follows a stopped process to its `nth` point and kills it there; the point and the exit code.
fn follow(pid: Pid, nth: usize, mut wait: Wait<'_>, at_death: &dyn Fn(&str)) -> (Option<String>, Option<i32>) {
    let mut counting = !matches!(wait, Wait::IsTheBeginning(_));
    // Rust's own start-up waits too; the worker's first wait comes after the birth of the script.
    let mut spawned = false;
    let mut seen = 0;
    let mut inside: Option<String> = None;
    let mut signal = None;
    loop {
        ptrace::syscall(pid, signal.take()).unwrap();
        let (point, born) = match next(pid) {
            Stop::Entry(number, args) => {
                if spawned && is_wait(number) {
                    match std::mem::replace(&mut wait, Wait::Nothing) {
                        Wait::Nothing => {}
                        Wait::IsTheEnd => {
                            ptrace::detach(pid, None).unwrap();
                            return (None, None);
                        }
                        Wait::IsTheBeginning(then) => {
                            then();
                            counting = true;
                        }
                    }
                }
                inside = name(number, args).filter(|_| counting);
                (inside.as_ref().map(|call| format!("the entry of {call}")), None)
            }
            Stop::Exit => {
                let call = inside.take().filter(|call| *ALL_CALLS || ANSWERED.contains(&call.as_str()));
                (call.map(|call| format!("the exit of {call}")), None)
            }
            Stop::Born(child) => {
                spawned = true;
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
            die(pid);
            at_death(point);
        }
        if let Some(child) = born {
            // It begins stopped, by a signal of the kernel's that nobody else is to see.
            assert!(matches!(next(child), Stop::Signal(Signal::SIGSTOP)), "a new tracee begins stopped");
            ptrace::detach(child, None).unwrap();
        }
        if let Some(point) = reached {
            return (Some(format!("{point} (point {nth})")), None);
        }
    }
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

/// A stop of a traced process, or its end.
enum Stop {
    Entry(libc::c_long, [u64; 6]),
    Exit,
    Born(Pid),
    Exec,
    Signal(Signal),
    Ended(Option<i32>),
}

/// Waits for the next stop of a process. Other threads have tracees and children of their own, so never for any.
fn next(pid: Pid) -> Stop {
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

/// Whether this is how a worker waits.
fn is_wait(number: libc::c_long) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_poll {
        return true;
    }
    number == libc::SYS_ppoll
}

/// The name of a call that can change something: a file, a name, a lock that others inherit, a process.
///
/// `SQLite`'s own locks (`fcntl` without `OFD`) are left out: they die with the process that takes them, so that being
/// killed around them leaves what being killed before them leaves.
fn name(number: libc::c_long, args: [u64; 6]) -> Option<String> {
    let creates = |flags: u64| flags & (libc::O_CREAT | libc::O_TRUNC) as u64 != 0;
    #[cfg(target_arch = "x86_64")]
    let open = number == libc::SYS_open && creates(args[1]);
    #[cfg(not(target_arch = "x86_64"))]
    let open = false;
    let known = match number {
        _ if open => "open",
        libc::SYS_openat if creates(args[2]) => "open",
        libc::SYS_fcntl if [libc::F_OFD_SETLK, libc::F_OFD_SETLKW].map(i64::from).contains(&(args[1] as i64)) => {
            "fcntl"
        }
        libc::SYS_prctl if args[0] == libc::PR_SET_CHILD_SUBREAPER as u64 => "prctl",
        libc::SYS_waitid if args[3] & libc::WNOWAIT as u64 == 0 => "waitid",
        _ => NAMES.iter().find(|(known, _)| *known == number).map_or("", |(_, name)| name),
    };
    match known {
        "" if *ALL_CALLS => Some(format!("call {number}")),
        "" => None,
        known => Some(known.to_owned()),
    }
}

/// The calls that another process acts upon.
const ANSWERED: [&str; 11] = [
    "clone",
    "clone3",
    "fork",
    "vfork",
    "execve",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "pidfd_send_signal",
    "write",
];

const NAMES: &[(libc::c_long, &str)] = &[
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_pwritev, "pwritev"),
    (libc::SYS_pwritev2, "pwritev2"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_copy_file_range, "copy_file_range"),
    (libc::SYS_truncate, "truncate"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_fallocate, "fallocate"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_sync_file_range, "sync_file_range"),
    (libc::SYS_msync, "msync"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_linkat, "linkat"),
    (libc::SYS_symlinkat, "symlinkat"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_mkdirat, "mkdirat"),
    (libc::SYS_mknodat, "mknodat"),
    (libc::SYS_fchmod, "fchmod"),
    (libc::SYS_fchmodat, "fchmodat"),
    (libc::SYS_fchown, "fchown"),
    (libc::SYS_fchownat, "fchownat"),
    (libc::SYS_utimensat, "utimensat"),
    (libc::SYS_memfd_create, "memfd_create"),
    (libc::SYS_clone, "clone"),
    (libc::SYS_clone3, "clone3"),
    (libc::SYS_execve, "execve"),
    (libc::SYS_setsid, "setsid"),
    (libc::SYS_setpgid, "setpgid"),
    (libc::SYS_wait4, "wait4"),
    (libc::SYS_kill, "kill"),
    (libc::SYS_tkill, "tkill"),
    (libc::SYS_tgkill, "tgkill"),
    (libc::SYS_rt_sigqueueinfo, "rt_sigqueueinfo"),
    (libc::SYS_pidfd_send_signal, "pidfd_send_signal"),
    (libc::SYS_exit_group, "exit_group"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, "creat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, "rename"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_link, "link"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_symlink, "symlink"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, "unlink"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, "mkdir"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rmdir, "rmdir"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, "chmod"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_fork, "fork"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_vfork, "vfork"),
];
