//! Which system calls are points at which a process may be killed.

use std::sync::LazyLock;

/// The entry and the exit of every system call is a point, also of those that change nothing, if
/// `JOBEXEC_KILL_CALLS` is `all`.
pub(super) static ALL_CALLS: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("JOBEXEC_KILL_CALLS").is_some_and(|v| v == "all"));

/// Whether this is how a supervisor waits when there is nothing to do.
pub(super) fn is_idle(number: libc::c_long, args: [u64; 6]) -> bool {
    #[cfg(target_arch = "x86_64")]
    let waits = [libc::SYS_epoll_wait, libc::SYS_epoll_pwait].contains(&number);
    #[cfg(not(target_arch = "x86_64"))]
    let waits = number == libc::SYS_epoll_pwait;
    // With a time-out of 0 it only looks.
    waits && args[3] as u32 != 0
}

/// Whether a call goes on with what the one before it did: the database writes its journal page by page, and believes
/// none of it before the last.
pub(super) fn goes_on(number: libc::c_long, args: [u64; 6], before: Option<(libc::c_long, [u64; 6])>) -> bool {
    let goes_on = |(was, its): (libc::c_long, [u64; 6])| was == number && its[0] == args[0];
    number == libc::SYS_pwrite64 && before.is_some_and(goes_on) && !*ALL_CALLS
}

/// As [`goes_on`], for a worker, which writes its record too: the pages of the journal are known by their lengths, and by
/// each being behind the one before.
pub(super) fn journals_on(number: libc::c_long, args: [u64; 6], before: Option<(libc::c_long, [u64; 6])>) -> bool {
    let goes_on =
        |(was, its): (libc::c_long, [u64; 6])| was == number && its[0] == args[0] && its[3] + its[2] == args[3];
    number == libc::SYS_pwrite64 && [24, 4096].contains(&args[2]) && before.is_some_and(goes_on) && !*ALL_CALLS
}

/// Whether this is how a worker waits.
pub(super) fn is_wait(number: libc::c_long) -> bool {
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
pub(super) fn name(number: libc::c_long, args: [u64; 6]) -> Option<String> {
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
pub(super) const ANSWERED: [&str; 11] = [
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
