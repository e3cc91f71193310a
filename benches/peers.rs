//! Other supervisors, where they are installed, each with so many of the same script. What they have started is
//! stopped when they are dropped.

use std::fmt::Write as _;
use std::fs;
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::reports::{Reports, script};

/// How long its end may take.
const PATIENCE_MS: u16 = 20_000;

/// A supervisor of others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Runit,
    Supervisord,
}

/// One that runs.
pub struct Peer {
    kind: Kind,
    daemon: Child,
    /// Its end comes when nothing is left that inherited the other end.
    alive: PipeReader,
    _folder: tempfile::TempDir,
    pub reports: Reports,
    /// The scripts, as they reported first.
    pub pids: Vec<i32>,
    /// From the beginning until all had reported.
    pub up: Duration,
}

/// Where a program is, if it is installed.
fn installed(program: &str) -> Option<PathBuf> {
    let folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];
    folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

impl Kind {
    /// Starts it with so many scripts and waits until all have reported; `None` where it is not installed.
    pub fn start(self, number: usize) -> Option<Peer> {
        let folder = tempfile::Builder::new().prefix("jobexec-bench-peer-").tempdir().unwrap();
        let reports = Reports::new(folder.path());
        let mut command = match self {
            Self::Runit => runit(folder.path(), &reports, number)?,
            Self::Supervisord => supervisord(folder.path(), &reports, number)?,
        };
        let (alive, inherited) = std::io::pipe().unwrap();
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").current_dir(folder.path());
        command.stdin(inherited).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C is for the benchmark, which then ends it in good order.
        command.process_group(0);
        let start = Instant::now();
        let daemon = command.spawn().unwrap();
        // The command holds its copy of the other end.
        drop(command);
        let mut peer =
            Peer { kind: self, daemon, alive, _folder: folder, reports, pids: Vec::new(), up: Duration::ZERO };
        let (pids, all) = peer.reports.take(number);
        peer.pids = pids;
        peer.up = all - start;
        Some(peer)
    }
}

fn runit(folder: &Path, reports: &Reports, number: usize) -> Option<Command> {
    let mut command = Command::new(installed("runsvdir")?);
    installed("runsv")?;
    let services = folder.join("services");
    for at in 0..number {
        let service = services.join(format!("task-{at:05}"));
        fs::create_dir_all(&service).unwrap();
        fs::write(service.join("run"), script(reports)).unwrap();
        fs::set_permissions(service.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    command.arg(services);
    Some(command)
}

fn supervisord(folder: &Path, reports: &Reports, number: usize) -> Option<Command> {
    let mut command = Command::new(installed("supervisord")?);
    let program = reports.script(folder);
    let mut text = String::from("[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\nminfds=10000\n");
    write!(text, "pidfile={0}/pid\nchildlogdir={0}\n\n", folder.display()).unwrap();
    write!(text, "[program:task]\ncommand={}\nnumprocs={number}\n", program.display()).unwrap();
    text += "process_name=%(program_name)s_%(process_num)05d\nautorestart=true\n";
    text += "stdout_logfile=NONE\nstderr_logfile=NONE\n";
    let file = folder.join("supervisord.conf");
    fs::write(&file, text).unwrap();
    command.arg("-c").arg(file);
    Some(command)
}

impl Peer {
    /// Its own processes: neither the scripts nor what they become.
    pub fn processes(&self) -> Vec<i64> {
        let daemon = i64::from(self.daemon.id());
        match self.kind {
            Kind::Runit => children(daemon).into_iter().chain([daemon]).collect(),
            Kind::Supervisord => vec![daemon],
        }
    }

    /// Ends it with everything that it runs; how long that took.
    pub fn stop(&mut self) -> Duration {
        let start = Instant::now();
        let farewell = match self.kind {
            Kind::Runit => Signal::SIGHUP,
            Kind::Supervisord => Signal::SIGTERM,
        };
        kill(pid(&self.daemon), farewell).unwrap();
        self.daemon.wait().unwrap();
        let mut nothing = Vec::new();
        self.alive.read_to_end(&mut nothing).unwrap();
        start.elapsed()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.daemon.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        let farewell = if self.kind == Kind::Runit { Signal::SIGHUP } else { Signal::SIGTERM };
        let _ = kill(pid(&self.daemon), farewell);
        let _ = self.daemon.wait();
        let mut fds = [PollFd::new(self.alive.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(PATIENCE_MS)) != Ok(1) {
            eprintln!("something is left of what this has started: {:?}", self.daemon);
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// The children of a process.
fn children(of: i64) -> Vec<i64> {
    let text = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
