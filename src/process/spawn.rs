//! Starting processes: a worker (our own binary through its private door), and a script.

use std::ffi::{CStr, CString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::domain::name::RunId;

use super::spec::RunSpec;
use super::{environment, sys};

/// The private first argument of a worker. No person types it, and `/proc/PID/cmdline` shows what the process is.
pub const WORKER_DOOR: &CStr = c"--jobexec-worker";

/// The private first argument of the door that sets umask and limits and becomes the script.
pub const LIMITS_DOOR: &CStr = c"--jobexec-limits";

/// The private first argument of the door that posts a message.
pub const POST_DOOR: &CStr = c"--jobexec-post";

/// The private first argument of the door that transfers what is due for a job; folder, job and direction follow.
pub const STAGE_DOOR: &CStr = c"--jobexec-stage";

/// The private first argument of a supervisor in the background; its lock's path follows.
pub const SUPERVISOR_DOOR: &CStr = c"--jobexec-supervisor";

/// The numbers under which a worker finds what it was given.
const RECORD: RawFd = 3;
const SPEC: RawFd = 4;
const ANSWER: RawFd = 5;
const GO: RawFd = 6;

/// What a worker's command line says besides its record when it is there before it is needed.
pub const SPARE: &CStr = c"spare";

/// What a worker's command line says besides its record when it is a slot's; the folder and the slot follow.
pub const SLOT: &CStr = c"slot";

/// Our own binary, also when its file has been replaced since.
pub const OURSELVES: &CStr = c"/proc/self/exe";

/// What a worker was given.
#[derive(Debug)]
pub struct Given {
    /// The run's record, with its lock.
    pub record: OwnedFd,
    /// The sealed specification.
    pub spec: OwnedFd,
    /// Where the answer goes.
    pub answer: OwnedFd,
    /// What a spare worker waits for.
    pub go: Option<OwnedFd>,
}

/// A worker that is there before it is needed: it waits behind its door to be told what to run. It ends when this is
/// dropped.
#[derive(Debug)]
pub struct Spare {
    /// Its pid.
    pub pid: i32,
    go: OwnedFd,
    spec: OwnedFd,
}

impl Spare {
    /// Spawns one for a run whose record is prepared.
    pub fn spawn(record: BorrowedFd<'_>, record_path: &Path) -> io::Result<Self> {
        let (wait, go) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        let spec = RunSpec::room()?;
        let (pid, _) = spawn_worker(record, record_path, spec.as_fd(), Some(wait.as_fd()))?;
        Ok(Self { pid, go, spec })
    }

    /// Tells it what to run and lets it begin; an error when it is no longer there.
    pub fn begin(self, spec: &RunSpec) -> io::Result<i32> {
        spec.seal_in(self.spec)?;
        nix::unistd::write(&self.go, b"!")?;
        Ok(self.pid)
    }
}

/// Spawns a worker: a session of its own, all signals blocked, nothing of ours but the three descriptors, and an
/// environment without any run's id. Returns its pid and the end of the pipe that its answer comes through.
pub fn worker(record: BorrowedFd<'_>, record_path: &Path, spec: BorrowedFd<'_>) -> io::Result<(i32, OwnedFd)> {
    spawn_worker(record, record_path, spec, None)
}

fn spawn_worker(
    record: BorrowedFd<'_>,
    record_path: &Path,
    spec: BorrowedFd<'_>,
    wait: Option<BorrowedFd<'_>>,
) -> io::Result<(i32, OwnedFd)> {
    let (listen, answer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let record_path = CString::new(record_path.as_os_str().as_bytes())?;
    let [record, spec, answer] = [above(record)?, above(spec)?, above(answer.as_fd())?];
    let wait = wait.map(above).transpose()?;
    let null = null.as_fd();
    let mut argv = vec![c"jobexec", WORKER_DOOR, &record_path];
    argv.extend(wait.as_ref().map(|_| SPARE));
    let given =
        [(&record, RECORD), (&spec, SPEC), (&answer, ANSWER)].into_iter().chain(wait.as_ref().map(|fd| (fd, GO)));
    let given = given.map(|(fd, number)| (fd.as_fd(), number));
    let descriptors: Vec<_> = [(null, 0), (null, 1), (null, 2)].into_iter().chain(given).collect();
    let pid = sys::posix_spawn(&sys::Raw {
        program: OURSELVES,
        argv: &argv,
        env: &[],
        descriptors: &descriptors,
        new_session: true,
        block_signals: true,
        defaults: sys::Defaults::All,
    })?;
    Ok((pid, listen))
}

/// Spawns the worker of a slot, whose record it takes over; its pid.
pub fn slot(record: BorrowedFd<'_>, record_path: &Path, folder: &Path, slot: u32) -> io::Result<i32> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let words = [record_path.as_os_str().as_bytes(), folder.as_os_str().as_bytes()];
    let [record_path, folder] = words.map(CString::new);
    let (record_path, folder, slot) = (record_path?, folder?, CString::new(slot.to_string())?);
    let record = above(record)?;
    sys::posix_spawn(&sys::Raw {
        program: OURSELVES,
        argv: &[c"jobexec", WORKER_DOOR, &record_path, SLOT, &folder, &slot],
        env: &[],
        descriptors: &[(null.as_fd(), 0), (null.as_fd(), 1), (null.as_fd(), 2), (record.as_fd(), RECORD)],
        new_session: true,
        block_signals: true,
        defaults: sys::Defaults::All,
    })
}

/// Takes over the record that this slot's worker was given. To be called once, before anything else is opened.
pub fn given_slot() -> io::Result<OwnedFd> {
    sys::close_from(RECORD + 1)?;
    let record = sys::inherited(RECORD)?;
    sys::close_on_exec_from(3)?;
    Ok(record)
}

/// Takes over what this worker was given. To be called once, before anything else is opened.
pub fn given(is_spare: bool) -> io::Result<Given> {
    // What our own caller had open, a lock or a pipe, must not stay open for as long as the run lasts.
    sys::close_from(if is_spare { GO } else { ANSWER } + 1)?;
    let go = is_spare.then(|| sys::inherited(GO)).transpose()?;
    let given =
        Given { go, record: sys::inherited(RECORD)?, spec: sys::inherited(SPEC)?, answer: sys::inherited(ANSWER)? };
    sys::close_on_exec_from(3)?;
    Ok(given)
}

/// Waits until a spare worker is needed; whether it ever is.
pub fn is_needed(go: OwnedFd) -> bool {
    io::Read::read(&mut std::fs::File::from(go), &mut [0]).is_ok_and(|told| told > 0)
}

/// Spawns a supervisor in the background: a session of its own, standard output and error into its diary, and an
/// environment without any run's id. Returns the end of the pipe through which it says that it has begun.
pub fn background(lock: &Path, folder: &Path, options: &str, log: &Path) -> io::Result<OwnedFd> {
    let (listen, answer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;
    let words = [lock.as_os_str().as_bytes(), folder.as_os_str().as_bytes(), options.as_bytes()];
    let words = strings(&words)?;
    let argv = [&[c"jobexec", SUPERVISOR_DOOR], pointed(&words).as_slice()].concat();
    let env = strings(&environment::assignments(&environment::Inherited::capture().variables()))?;
    let [log, answer] = [above(log.as_fd())?, above(answer.as_fd())?];
    sys::posix_spawn(&sys::Raw {
        program: OURSELVES,
        argv: &argv,
        env: &pointed(&env),
        descriptors: &[(null.as_fd(), 0), (log.as_fd(), 1), (log.as_fd(), 2), (answer.as_fd(), RECORD)],
        new_session: true,
        block_signals: false,
        defaults: sys::Defaults::All,
    })?;
    Ok(listen)
}

/// Takes over what a supervisor in the background was given, and leaves the directory it was started in. To be called
/// once, before anything else is opened.
pub fn given_background() -> io::Result<OwnedFd> {
    sys::close_from(RECORD + 1)?;
    let answer = sys::inherited(RECORD)?;
    sys::close_on_exec_from(3)?;
    std::env::set_current_dir("/")?;
    Ok(answer)
}

/// What a script is spawned with.
#[derive(Debug)]
pub struct Script<'a> {
    /// The program's path.
    pub program: &'a CStr,
    /// Its arguments, its own name first.
    pub argv: &'a [&'a CStr],
    /// Its variables.
    pub env: &'a [&'a CStr],
    /// Its standard output and error; none where a [`StandIn`] stands in for it.
    pub output: Option<BorrowedFd<'a>>,
    /// Its umask and its limits; none where they are known to be our own.
    pub surroundings: Option<(u32, &'a [(u64, u64)])>,
}

/// Whether a script with this umask and these limits can be spawned as it is. Limits that we can do with are taken on.
pub fn is_ours(umask: u32, limits: &[(u64, u64)]) -> bool {
    umask == environment::umask() && environment::shares(limits)
}

/// Spawns a script in the current directory: a process group of its own, default signals, standard input from
/// `/dev/null`. That it returns a pid means that exec has succeeded.
///
/// Where the wanted umask or limits are not our own, it goes through a door that sets them first; a failure behind
/// that door is reported all the same.
pub fn script(script: &Script<'_>) -> io::Result<i32> {
    let other = script.surroundings.filter(|(umask, limits)| !is_ours(*umask, limits));
    let Some((umask, limits)) = other else {
        return exec(script.program, script.argv, script.env, script.output, None);
    };
    let (listen, report) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let limits: Vec<String> = limits.iter().map(|(soft, hard)| format!("{soft}:{hard}")).collect();
    let (umask, limits) = (CString::new(umask.to_string())?, CString::new(limits.join(","))?);
    let door = [c"jobexec", LIMITS_DOOR, &umask, &limits, script.program];
    let argv: Vec<&CStr> = door.into_iter().chain(script.argv.iter().copied()).collect();
    let pid = exec(OURSELVES, &argv, script.env, script.output, Some(report))?;
    // Silence is success: the report's end was closed by exec.
    let mut errno = Vec::new();
    io::Read::read_to_end(&mut std::fs::File::from(listen), &mut errno)?;
    match <[u8; 4]>::try_from(errno.as_slice()) {
        Ok(errno) => {
            let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
            Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
        }
        Err(_) => Ok(pid),
    }
}

/// While it lives, this process's own standard output and error are those of the script that it is about to spawn, so
/// that nothing has to be moved about in between. For a process with one thread, whose own go to `/dev/null`.
#[derive(Debug)]
pub struct StandIn(());

impl StandIn {
    /// Takes the script's output for our own.
    pub fn begin(output: BorrowedFd<'_>) -> io::Result<Self> {
        let this = Self(());
        nix::unistd::dup2_stdout(output)?;
        nix::unistd::dup2_stderr(output)?;
        Ok(this)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // Our standard input is `/dev/null`, open for reading and writing.
        let _ = nix::unistd::dup2_stdout(sys::standard_input());
        let _ = nix::unistd::dup2_stderr(sys::standard_input());
    }
}

fn exec(
    program: &CStr,
    argv: &[&CStr],
    env: &[&CStr],
    output: Option<BorrowedFd<'_>>,
    report: Option<OwnedFd>,
) -> io::Result<i32> {
    let output = output.map(above).transpose()?;
    let null = output.as_ref().map(|_| OpenOptions::new().read(true).open("/dev/null")).transpose()?;
    let report = report.map(|fd| above(fd.as_fd())).transpose()?;
    let mut descriptors = Vec::new();
    descriptors.extend(null.as_ref().map(|fd| (fd.as_fd(), 0)));
    descriptors.extend(output.iter().flat_map(|fd| [(fd.as_fd(), 1), (fd.as_fd(), 2)]));
    descriptors.extend(report.as_ref().map(|fd| (fd.as_fd(), RECORD)));
    let raw = sys::Raw {
        program,
        argv,
        env,
        descriptors: &descriptors,
        new_session: false,
        block_signals: false,
        defaults: sys::Defaults::Pipe,
    };
    for _ in 0..3 {
        match sys::posix_spawn(&raw) {
            // Somebody is just writing the script.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            other => return other,
        }
    }
    sys::posix_spawn(&raw)
}

/// The door of [`LIMITS_DOOR`]: sets what its arguments say and becomes the script. Returns the exit code of a
/// failure, which it has reported.
pub fn limits_door(mut args: impl Iterator<Item = std::ffi::OsString>) -> u8 {
    let Ok(report) = sys::inherited(RECORD) else { return 126 };
    let failed = |error: &io::Error| {
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        let _ = io::Write::write_all(&mut std::fs::File::from(report), &errno.to_ne_bytes());
        126
    };
    if let Err(error) = sys::close_on_exec_from(3) {
        return failed(&error);
    }
    let mut next = || args.next().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let umask = next().parse().unwrap_or(0o022);
    let pair = |text: &str| text.split_once(':').and_then(|(s, h)| Some((s.parse().ok()?, h.parse().ok()?)));
    let limits: Vec<(u64, u64)> = next().split(',').filter_map(pair).collect();
    environment::adopt(umask, &limits);
    let words: Vec<_> = args.map(|word| word.as_bytes().to_vec()).collect();
    let env: Vec<_> = environment::assignments(&std::env::vars_os().collect());
    let (Ok(words), Ok(env)) = (strings(&words), strings(&env)) else {
        return failed(&io::ErrorKind::InvalidInput.into());
    };
    let [program, argv @ ..] = words.as_slice() else { return failed(&io::ErrorKind::InvalidInput.into()) };
    sys::restore_sigpipe();
    failed(&sys::execve(program, &pointed(argv), &pointed(&env)))
}

/// Has this worker's command line name another run, whose record it has gone on with: by that line it is known.
pub fn rename(from: RunId, to: RunId) -> io::Result<()> {
    sys::replace_in_arguments(from.to_string().as_bytes(), to.to_string().as_bytes())
}

/// Gives back the memory that this process used to begin with and that a long wait does not need: the stack below the
/// caller, and the pages of the program. For a process with one thread and without signal handlers.
pub fn release() {
    sys::release_program();
    sys::release_stack();
}

/// A copy of a descriptor with a number that no target has, so that none is overwritten before it is copied.
fn above(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(GO + 1))?;
    sys::inherited(copy)
}

fn strings<T: AsRef<[u8]>>(words: &[T]) -> io::Result<Vec<CString>> {
    words.iter().map(|word| CString::new(word.as_ref()).map_err(io::Error::from)).collect()
}

fn pointed(words: &[CString]) -> Vec<&CStr> {
    words.iter().map(CString::as_c_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    fn run(argv: &[&str], umask: u32) -> io::Result<String> {
        let mut output = tempfile::tempfile().unwrap();
        let argv = strings(argv).unwrap();
        let limits = environment::limits();
        let pid = script(&Script {
            program: &argv[0],
            argv: &pointed(&argv),
            env: &[c"A=b"],
            output: Some(output.as_fd()),
            surroundings: Some((umask, &limits)),
        })?;
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None).unwrap();
        let mut text = String::new();
        output.rewind().unwrap();
        output.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn a_script_gets_its_output_its_variables_and_nothing_else() {
        // One more descriptor of ours, not closed on exec by itself.
        let leak = tempfile::tempfile().unwrap();
        fcntl(&leak, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        sys::close_on_exec_from(3).unwrap();
        let text = run(&["/bin/sh", "-c", "echo $A; ls /proc/self/fd; cat"], environment::umask()).unwrap();
        // 3 is the folder that `ls` itself reads.
        assert_eq!(text, "b\n0\n1\n2\n3\n");
    }

    #[test]
    fn a_program_that_is_missing_is_an_error() {
        assert_eq!(run(&["/no/such"], environment::umask()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
