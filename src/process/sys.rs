//! The few system calls that no safe wrapper covers. But for the database's memory the only unsafe code of the crate;
//! each block says why it is sound, and each function has a test that reads its effect back.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::domain::outcome::Exit;

/// What a process is spawned with, all of it ready to be handed to the kernel.
pub(super) struct Raw<'a> {
    pub(super) program: &'a CStr,
    pub(super) argv: &'a [&'a CStr],
    pub(super) env: &'a [&'a CStr],
    /// Descriptors of ours and the numbers that the new process finds them under, besides those that are not closed
    /// on exec.
    pub(super) descriptors: &'a [(BorrowedFd<'a>, RawFd)],
    /// A session of its own, or only a process group of its own.
    pub(super) new_session: bool,
    /// Whether it begins with every signal blocked, or with none.
    pub(super) block_signals: bool,
    /// Which signals may be ignored here and must not be there.
    pub(super) defaults: Defaults,
}

/// The signals that get their default action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defaults {
    /// All of them: nobody knows what our own caller has ignored.
    All,
    /// SIGPIPE alone, which Rust's runtime ignores: for a process that was itself spawned with [`Defaults::All`]. The
    /// C library makes a call for each signal.
    Pipe,
}

/// Turns the error number that the `posix_` functions return into a result.
fn checked(code: c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// `posix_spawn`: never a fork that copies our memory, and the error of `exec` is the return value.
pub(super) fn posix_spawn(raw: &Raw<'_>) -> io::Result<i32> {
    let argv = pointers(raw.argv);
    let env = pointers(raw.env);
    // The C library allocates for each action, from a heap that nothing else of ours touches.
    let mut actions = if raw.descriptors.is_empty() { None } else { Some(FileActions::new()?) };
    for (from, to) in raw.descriptors {
        if let Some(actions) = &mut actions {
            actions.dup2(from.as_raw_fd(), *to)?;
        }
    }
    let attributes = Attributes::new(raw.new_session, raw.block_signals, raw.defaults)?;
    let mut pid = 0;
    // SAFETY: every pointer is valid for the call: `argv` and `env` are null-terminated arrays of C strings that
    // outlive it, `actions` is null or initialised, `attributes` is initialised.
    checked(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            raw.program.as_ptr(),
            actions.as_ref().map_or(ptr::null(), |actions| &raw const actions.0),
            &raw const attributes.0,
            argv.as_ptr(),
            env.as_ptr(),
        )
    })?;
    Ok(pid)
}

/// Gives a file the content of another one by sharing its blocks: `ioctl_ficlone(2)`.
pub(super) fn share_blocks(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    // The type of the request differs between C libraries.
    let request = libc::FICLONE as _;
    // SAFETY: both descriptors are open for the call, which takes the source's number and touches no memory of ours.
    let code = unsafe { libc::ioctl(to.as_raw_fd(), request, from.as_raw_fd()) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Replaces this process by another program; returns only when that failed.
pub(super) fn execve(program: &CStr, argv: &[&CStr], env: &[&CStr]) -> io::Error {
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: null-terminated arrays of C strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr().cast(), env.as_ptr().cast()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[&CStr]) -> Vec<*mut libc::c_char> {
    strings.iter().map(|s| s.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// File actions of `posix_spawn`, destroyed on drop.
struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the function initialises what it is given.
        checked(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: initialised just above.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn dup2(&mut self, from: RawFd, to: RawFd) -> io::Result<()> {
        // SAFETY: `self.0` is initialised.
        checked(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, from, to) })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// Attributes of `posix_spawn`, destroyed on drop.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new(new_session: bool, block_signals: bool, defaults: Defaults) -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the function initialises what it is given.
        checked(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised just above.
        let mut this = Self(unsafe { attributes.assume_init() });
        let own = if new_session { c_int::from(SETSID) } else { libc::POSIX_SPAWN_SETPGROUP };
        let flags = own | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        let mut every = MaybeUninit::uninit();
        let mut none = MaybeUninit::uninit();
        // SAFETY: both functions initialise the set that they are given; the attributes are initialised, and the
        // sets are copied into them. A process group of 0 means its own.
        unsafe {
            libc::sigfillset(every.as_mut_ptr());
            libc::sigemptyset(none.as_mut_ptr());
            let mask = if block_signals { every.as_ptr() } else { none.as_ptr() };
            let flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
            checked(libc::posix_spawnattr_setflags(&raw mut this.0, flags))?;
            checked(libc::posix_spawnattr_setpgroup(&raw mut this.0, 0))?;
            checked(libc::posix_spawnattr_setsigmask(&raw mut this.0, mask))?;
            let mut pipe = none;
            libc::sigaddset(pipe.as_mut_ptr(), libc::SIGPIPE);
            let defaults = match defaults {
                Defaults::All => every.as_ptr(),
                Defaults::Pipe => pipe.as_ptr(),
            };
            checked(libc::posix_spawnattr_setsigdefault(&raw mut this.0, defaults))?;
        }
        Ok(this)
    }
}

/// `POSIX_SPAWN_SETSID` of both glibc and musl; the libc crate has it for one of them only.
const SETSID: u8 = 0x80;

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// A descriptor that stands for a process (Linux 5.3); it is closed on exec.
pub(super) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The kernel's layout of `siginfo_t` for a signal that carries a value.
#[repr(C)]
struct QueuedSignal {
    signo: c_int,
    errno: c_int,
    code: c_int,
    padding: c_int,
    pid: c_int,
    uid: u32,
    value: u64,
    rest: [u64; 12],
}

const _: () = assert!(size_of::<QueuedSignal>() == size_of::<libc::siginfo_t>());

/// Sends a signal to the process that a pidfd stands for, with a value (as `sigqueue`) or plain.
pub(super) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: c_int, value: Option<u64>) -> io::Result<()> {
    let info = value.map(|value| QueuedSignal {
        signo: signal,
        errno: 0,
        code: libc::SI_QUEUE,
        padding: 0,
        pid: nix::unistd::getpid().as_raw(),
        uid: nix::unistd::getuid().as_raw(),
        value,
        rest: [0; 12],
    });
    let info = info.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `info` is null or points to a structure of the kernel's size and layout that outlives the call.
    let code = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An ended child, as `waitid` shows it.
pub(super) struct Dead {
    pub(super) pid: i32,
    pub(super) exit: Exit,
    /// CPU time in microseconds, of it and of the children that it waited for.
    pub(super) cpu: u64,
    /// Peak memory in bytes, of it and of the children that it waited for.
    pub(super) memory: u64,
}

/// What `waitid` found.
pub(super) enum Waited {
    /// A child has ended.
    Dead(Dead),
    /// There are children, and none has ended.
    NoneYet,
    /// There is no child.
    NoChild,
}

/// Looks for an ended child, any or a certain one, without waiting. With `reap` it is gone afterwards, else it
/// stays. The raw call, because the C libraries' one leaves out the usage.
pub(super) fn wait_child(pid: Option<i32>, reap: bool) -> io::Result<Waited> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let (kind, id) = pid.map_or((libc::P_ALL, 0), |pid| (libc::P_PID, pid));
    let flags = libc::WEXITED | libc::WNOHANG | if reap { 0 } else { libc::WNOWAIT };
    // SAFETY: both structures are ours and large enough; the kernel fills them or leaves them zeroed.
    let code = unsafe { libc::syscall(libc::SYS_waitid, kind, id, info.as_mut_ptr(), flags, usage.as_mut_ptr()) };
    if code < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(Waited::NoChild) } else { Err(error) };
    }
    // SAFETY: zeroed before the call, both are plain data.
    let (info, usage) = unsafe { (info.assume_init(), usage.assume_init()) };
    // SAFETY: `waitid` fills the fields of SIGCHLD, or leaves them zero when no child has ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(Waited::NoneYet);
    }
    let exit = match info.si_code {
        libc::CLD_EXITED => Exit::Code(status),
        code => Exit::Signal { number: status, core: code == libc::CLD_DUMPED },
    };
    let micros = |time: libc::timeval| u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or(0);
    let memory = u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024;
    Ok(Waited::Dead(Dead { pid, exit, cpu: micros(usage.ru_utime) + micros(usage.ru_stime), memory }))
}

/// Registers a descriptor with the event loop that runs, which is told when there is something to read.
pub(super) fn async_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the registration owns the descriptor, which is closed only when it is dropped itself.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}

/// The kernel's `struct pidfd_info`, in the size that every kernel with the call knows.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit: c_int,
}

/// `PIDFD_GET_INFO`, which the libc crate does not have: `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: u32 = 0xC040_FF0B;
const _: () = assert!(size_of::<PidfdInfo>() == 0x40, "the size is part of the number");

/// Asks for, and says that there is, the exit of a process that has been waited for.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// How the process ended that a pidfd stands for, once somebody has waited for it (Linux 6.15); `None` before that.
pub(super) fn pidfd_exit(pidfd: BorrowedFd<'_>) -> Option<Exit> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // Both C libraries take the number, in types of different sign.
    #[allow(clippy::cast_possible_wrap, clippy::unnecessary_cast, clippy::cast_lossless)]
    let request = PIDFD_GET_INFO as _;
    // SAFETY: the kernel reads and fills a structure of the size that the request names, and it is ours.
    let code = unsafe { libc::ioctl(pidfd.as_raw_fd(), request, &raw mut info) };
    (code == 0 && info.mask & PIDFD_INFO_EXIT != 0).then(|| exit_of_status(info.exit))
}

/// What a wait status says.
pub(super) fn exit_of_status(status: c_int) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal { number: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

/// Marks every descriptor from `first` on to be closed on exec.
pub(super) fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    for_descriptors_from(first, libc::CLOSE_RANGE_CLOEXEC, |fd| {
        // SAFETY: the call takes three integers and closes nothing.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    })
}

/// Closes every descriptor from `first` on. For a process that has just begun and owns none of them yet.
pub(super) fn close_from(first: RawFd) -> io::Result<()> {
    for_descriptors_from(first, 0, |fd| {
        // SAFETY: nothing of ours has been opened with such a number yet.
        unsafe { libc::close(fd) };
    })
}

/// One call for a range of descriptors (Linux 5.9, with flags 5.11); before that, one after another.
fn for_descriptors_from(first: RawFd, flags: u32, each: impl Fn(RawFd)) -> io::Result<()> {
    // SAFETY: the call takes three integers; with no flag it closes what the caller says is nobody's.
    let code = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    if code == 0 {
        return Ok(());
    }
    let open = std::fs::read_dir("/proc/self/fd")?.flatten();
    // Collected first: the folder that is being read is a descriptor too, and gone by then.
    let open: Vec<RawFd> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    open.into_iter().filter(|fd| *fd >= first).for_each(each);
    Ok(())
}

/// Asks who holds a lock of the open-file-description kind; the answer replaces the question.
pub(super) fn probe_lock(file: BorrowedFd<'_>, lock: &mut libc::flock) -> io::Result<()> {
    // SAFETY: `lock` is a valid structure of the kind that the command takes and fills.
    let code = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, ptr::from_mut(lock)) };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The number of columns of a terminal; `None` where the descriptor is none.
pub(super) fn window_columns(fd: RawFd) -> Option<u16> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the call fills the structure that it is given.
    let code = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: zeroed before the call; it is plain data.
    (code == 0).then(|| unsafe { size.assume_init() }.ws_col)
}

/// Renames a file unless the new name exists.
pub(super) fn rename_no_replace(from: &CString, to: &CString) -> io::Result<()> {
    let flags = libc::RENAME_NOREPLACE;
    let here = libc::AT_FDCWD;
    // SAFETY: two C strings that outlive the call.
    let code = unsafe { libc::syscall(libc::SYS_renameat2, here, from.as_ptr(), here, to.as_ptr(), flags) };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives SIGPIPE its default action back, which Rust's runtime takes away at the start of a program.
pub(super) fn restore_sigpipe() {
    // SAFETY: the default action runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// A sealed file of the memory, mapped for reading until this is dropped.
#[derive(Debug)]
pub(super) struct Mapped {
    start: *mut libc::c_void,
    length: usize,
}

impl Mapped {
    /// Maps the whole file. One that is not sealed is refused: it could change or become shorter.
    pub(super) fn new(file: BorrowedFd<'_>) -> io::Result<Self> {
        let wanted = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
        // SAFETY: the call takes two integers and touches no memory.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 || seals & wanted != wanted {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let size = nix::sys::stat::fstat(file)?.st_size;
        let length = usize::try_from(size).map_err(io::Error::other)?;
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { start, length }) }
    }

    /// What is in it.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for reading as long as `self` lives; the file is sealed, so that nobody changes or shortens it.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, unmapped once, and no slice of it outlives `self`.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

/// How much of the stack below the caller is given back: more than a worker ever uses, and less than what the kernel
/// sets aside for the stack when a program starts (128 KiB).
const STACK: usize = 96 * 1024;

/// How far below this function's own variables the stack may be in use: by its own frame and that of `madvise`.
const FRAMES: usize = 1024;

/// Gives the pages of the stack below the caller back to the kernel: what was called before and has returned left
/// them dirty, and a worker waits for months. For a thread that runs no signal handlers.
///
/// Never inlined: else its variables would lie somewhere in the frame of the caller, which is in use.
#[inline(never)]
pub(super) fn release_stack() {
    let here = 0_u8;
    let page = 4096;
    let end = (ptr::from_ref(&here).addr() - FRAMES) / page * page;
    // SAFETY: the stack grows downwards, and this frame is a few words: nothing below it and that of `madvise` is in
    // use, and whoever uses it later writes before it reads. Where the stack ends sooner, nothing else is mapped: the kernel keeps a gap below it.
    unsafe { libc::madvise(ptr::without_provenance_mut(end - STACK), STACK, libc::MADV_DONTNEED) };
}

/// Lets go of the pages of our own program that are only read, its code too: those that are needed again come back from
/// the page cache, and the others no longer count as ours.
pub(super) fn release_program() {
    unsafe extern "C" fn release(
        object: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        _data: *mut libc::c_void,
    ) -> c_int {
        let page = 4096;
        // SAFETY: the C library hands a valid description of one object, with so many headers.
        let (base, headers) = unsafe {
            let object = &*object;
            (object.dlpi_addr, std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)))
        };
        let read_only = |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
        for header in headers.iter().filter(read_only) {
            let (Ok(start), Ok(length)) = (usize::try_from(base + header.p_vaddr), usize::try_from(header.p_memsz))
            else {
                continue;
            };
            let from = start / page * page;
            // SAFETY: a private mapping of a file that nothing can write to: each page comes back as it was.
            unsafe { libc::madvise(ptr::without_provenance_mut(from), start + length - from, libc::MADV_DONTNEED) };
        }
        0
    }
    // SAFETY: the function above keeps to the protocol and needs no data.
    unsafe { libc::dl_iterate_phdr(Some(release), ptr::null_mut()) };
}

/// Writes something in the place of as many bytes of this process's arguments, as `/proc/PID/cmdline` shows them: their
/// last occurrence. For a process with one thread, which reads its arguments before.
pub(super) fn replace_in_arguments(from: &[u8], to: &[u8]) -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Counted from the state: where the arguments begin and end (fields 48 and 49, see proc_pid_stat(5)).
    let mut fields =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace().skip(45)).into_iter().flatten();
    let mut next = || fields.next().and_then(|field| field.parse::<usize>().ok()).filter(|address| *address > 0);
    let (Some(start), Some(end)) = (next(), next()) else { return Err(io::ErrorKind::Unsupported.into()) };
    let length = end.saturating_sub(start);
    // SAFETY: the kernel's own account of where it has put the arguments of this process: mapped, initialised and
    // writable for as long as it lives. Nothing of ours holds a reference into them.
    let bytes = unsafe { std::slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut::<u8>(start), length) };
    let at = bytes.windows(from.len().max(1)).rposition(|window| window == from).ok_or(io::ErrorKind::NotFound)?;
    match bytes.get_mut(at..at + to.len()).filter(|_| from.len() == to.len()) {
        Some(place) => place.copy_from_slice(to),
        None => return Err(io::ErrorKind::InvalidInput.into()),
    }
    Ok(())
}

/// Our standard input. The library's own would get a buffer for reading, and every worker has this one alone.
pub(super) fn standard_input() -> BorrowedFd<'static> {
    // SAFETY: the descriptor is open for as long as the process lives: nothing here closes it.
    unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) }
}

/// Ends this process at once. What the library does on the way out touches a dozen pages that nobody needs any more: a
/// worker has nothing to put in order.
pub fn leave(code: u8) -> ! {
    // SAFETY: it does not come back, and nothing is left half done: the kernel closes what is open.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Takes over a descriptor that this process was started with.
pub(super) fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: `fcntl` with F_GETFD touches no memory.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and the doors that call this do so once for each number before anything else is opened.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    fn c(words: &[&str]) -> Vec<CString> {
        words.iter().map(|w| CString::new(*w).unwrap()).collect()
    }

    fn spawn(words: &[&str], new_session: bool, block_signals: bool) -> (i32, std::fs::File) {
        let output = tempfile::tempfile().unwrap();
        let argv = c(words);
        let argv: Vec<&CStr> = argv.iter().map(CString::as_c_str).collect();
        let raw = Raw {
            program: argv[0],
            argv: &argv,
            env: &[c"A=1"],
            descriptors: &[(output.as_fd(), 1)],
            new_session,
            block_signals,
            defaults: if new_session { Defaults::All } else { Defaults::Pipe },
        };
        (posix_spawn(&raw).unwrap(), output)
    }

    fn ended(pid: i32) -> Dead {
        loop {
            match wait_child(Some(pid), true).unwrap() {
                Waited::Dead(dead) => return dead,
                Waited::NoneYet => std::thread::sleep(Duration::from_millis(1)),
                Waited::NoChild => panic!("no child {pid}"),
            }
        }
    }

    fn text(mut file: std::fs::File) -> String {
        use std::io::{Read, Seek};
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn standard_input_is_the_first_descriptor() {
        assert_eq!(standard_input().as_raw_fd(), std::io::stdin().as_raw_fd());
    }

    #[test]
    fn a_spawned_process_has_its_own_session_or_group_and_a_clean_signal_state() {
        for (session, blocked) in [(true, true), (false, false)] {
            let (pid, output) = spawn(&["/bin/cat", "/proc/self/stat", "/proc/self/status"], session, blocked);
            assert_eq!(ended(pid).exit, Exit::Code(0));
            let text = text(output);
            let fields: Vec<&str> = text.split_once(") ").unwrap().1.split(' ').collect();
            assert_eq!(fields[2], pid.to_string(), "its process group");
            assert_eq!(fields[3] == pid.to_string(), session, "its session");
            let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
            let mask = u64::from_str_radix(&line("SigBlk:"), 16).unwrap();
            assert_eq!(mask != 0, blocked, "{mask:x}");
            // glibc keeps the two signals that it uses itself, 32 and 33, ignored across a spawn.
            let ignored = u64::from_str_radix(&line("SigIgn:"), 16).unwrap() & !(0b11 << 31);
            // Where only SIGPIPE gets its default back, the rest is as whoever runs this test has it.
            let ours = std::fs::read_to_string("/proc/self/status").unwrap();
            let ours = ours.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
            let pipe = 1 << (libc::SIGPIPE - 1);
            let inherited = u64::from_str_radix(ours, 16).unwrap() & !pipe & !(0b11 << 31);
            assert_eq!(ignored, if session { 0 } else { inherited }, "{ignored:x}");
        }
    }

    #[test]
    fn a_failed_exec_is_the_error_of_the_spawn() {
        let raw = Raw {
            program: c"/no/such/program",
            argv: &[c"/no/such/program"],
            env: &[],
            descriptors: &[],
            new_session: false,
            block_signals: false,
            defaults: Defaults::All,
        };
        assert_eq!(posix_spawn(&raw).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn peeking_leaves_the_child_and_reaping_takes_it() {
        let (pid, _) = spawn(&["/bin/sh", "-c", "exit 44"], false, false);
        let exit = loop {
            match wait_child(Some(pid), false).unwrap() {
                Waited::Dead(dead) => break dead.exit,
                Waited::NoneYet | Waited::NoChild => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        assert_eq!(exit, Exit::Code(44));
        let dead = ended(pid);
        assert_eq!((dead.pid, dead.exit), (pid, Exit::Code(44)));
        assert!(dead.memory > 0);
        assert!(matches!(wait_child(Some(pid), true).unwrap(), Waited::NoChild));
    }

    #[test]
    fn a_signal_through_a_pidfd_arrives() {
        let mut child = Command::new("/bin/sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let pidfd = pidfd_open(i32::try_from(child.id()).unwrap()).unwrap();
        pidfd_send_signal(pidfd.as_fd(), libc::SIGTERM, Some(0x1234_5678_9abc_def0)).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        assert_eq!(
            pidfd_send_signal(pidfd.as_fd(), libc::SIGTERM, None).unwrap_err().raw_os_error(),
            Some(libc::ESRCH)
        );
    }

    /// How much of the mapping around an address is in memory, in KiB.
    fn resident(address: usize) -> usize {
        let smaps = std::fs::read_to_string("/proc/thread-self/smaps").unwrap();
        let mut inside = false;
        for line in smaps.lines() {
            let range = line.split(' ').next().and_then(|word| word.split_once('-'));
            let number = |text| usize::from_str_radix(text, 16).ok();
            if let Some((Some(from), Some(to))) = range.map(|(from, to)| (number(from), number(to))) {
                inside = (from..to).contains(&address);
            } else if let Some(rest) = line.strip_prefix("Rss:").filter(|_| inside) {
                return rest.trim().trim_end_matches(" kB").parse().unwrap();
            }
        }
        panic!("{address:x} is not mapped");
    }

    #[inline(never)]
    #[expect(clippy::large_stack_arrays, reason = "the stack is what is to be used")]
    fn deep() -> u8 {
        let bytes = std::hint::black_box([1_u8; 64 * 1024]);
        bytes[bytes.len() / 2]
    }

    #[test]
    fn the_stack_below_is_given_back_and_can_be_used_again() {
        let here = 0_u8;
        assert_eq!(deep(), 1);
        let before = resident(ptr::from_ref(&here).addr());
        release_stack();
        let after = resident(ptr::from_ref(&here).addr());
        assert!(after + 32 < before, "{before} KiB before, {after} after");
        assert_eq!(deep(), 1);
    }

    #[test]
    fn the_program_is_let_go_of_and_goes_on() {
        let code = release_program as fn() as usize;
        let before = resident(code);
        release_program();
        let after = resident(code);
        // Other tests of this process run meanwhile and take some of it back.
        assert!(before > 0 && after > 0, "{before} KiB before, {after} after");
        assert_eq!(deep(), 1);
    }

    #[test]
    fn a_sealed_file_is_mapped_and_no_other() {
        let fd = nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::MFD_ALLOW_SEALING).unwrap();
        let mut file = std::fs::File::from(fd);
        std::io::Write::write_all(&mut file, b"told").unwrap();
        assert!(Mapped::new(file.as_fd()).is_err(), "it could still change");
        let seals = nix::fcntl::SealFlag::all();
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_ADD_SEALS(seals)).unwrap();
        assert_eq!(Mapped::new(file.as_fd()).unwrap().bytes(), b"told");
    }

    #[test]
    fn the_command_line_shows_what_was_written_into_it() {
        let shown = || std::fs::read("/proc/self/cmdline").unwrap();
        let before = shown();
        let first = before.split(|byte| *byte == 0).next().unwrap().to_vec();
        let other: Vec<u8> = first.iter().map(u8::to_ascii_uppercase).collect();
        replace_in_arguments(&first, &other).unwrap();
        assert!(shown().starts_with(&other) && shown().len() == before.len());
        assert!(replace_in_arguments(b"no such argument of any test", b"no such argument of any one").is_err());
        replace_in_arguments(&other, &first).unwrap();
        assert_eq!(shown(), before);
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_not_taken_over() {
        assert_eq!(inherited(987_654).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
