//! Who a process is: a pid with what tells it from an earlier owner of the same pid, and where pids mean that.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::stat::fstat;
use nix::unistd::gethostname;

use crate::domain::evidence::{Place, ProcessId};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::outcome::Exit;

use super::{clock, proc, sys};

/// Here: this machine, this boot, this pid namespace. A part that cannot be read is empty.
pub fn here() -> Place {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let mut machine = read("/etc/machine-id");
    if machine.is_empty() {
        machine = host();
    }
    let pid_namespace = fs::metadata("/proc/self/ns/pid").map(|m| m.ino()).unwrap_or_default();
    Place { machine, boot: read("/proc/sys/kernel/random/boot_id"), pid_namespace }
}

/// The state of a file (of its target, for a link); `None` where there is none that can be looked at.
pub fn fingerprint(path: &Path) -> Option<Fingerprint> {
    fs::metadata(path).ok().as_ref().map(Fingerprint::from)
}

/// The name of this machine, for people.
pub fn host() -> String {
    gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The identity of the process that has this pid now.
pub fn identify(pid: i32) -> io::Result<ProcessId> {
    let pidfd = sys::pidfd_open(pid)?;
    identify_through(&pidfd, pid)
}

fn identify_through(pidfd: &OwnedFd, pid: i32) -> io::Result<ProcessId> {
    let pidfs = pidfs_inode(pidfd)?;
    Ok(ProcessId { pid, ticks: stat(pid)?.ticks, pidfs })
}

/// The inode of a pidfd where the kernel gives each process its own (6.9), else 0.
fn pidfs_inode(pidfd: &OwnedFd) -> io::Result<u64> {
    /// The magic number of pidfs; before it, all pidfds shared one anonymous inode.
    const PIDFS: u64 = 0x5049_4446;
    /// What the kernel does is asked once.
    static EACH_ITS_OWN: OnceLock<bool> = OnceLock::new();
    let each_its_own = if let Some(known) = EACH_ITS_OWN.get() {
        *known
    } else {
        let kind = nix::sys::statfs::fstatfs(pidfd).map_err(io::Error::from)?.filesystem_type().0;
        #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, clippy::cast_lossless)]
        let kind = kind as u64 & 0xFFFF_FFFF;
        *EACH_ITS_OWN.get_or_init(|| kind == PIDFS)
    };
    if each_its_own { Ok(fstat(pidfd.as_fd())?.st_ino) } else { Ok(0) }
}

/// How many ticks of [`ProcessId::ticks`] are a second.
pub fn ticks_per_second() -> u64 {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    ticks.and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100).max(1)
}

/// How long ago a process of this boot began, to a tick and on a clock that nobody sets.
pub fn age(id: &ProcessId) -> Duration {
    clock::since_boot().saturating_sub(Duration::from_millis(id.ticks.saturating_mul(1000) / ticks_per_second()))
}

/// A descriptor for a process that is certainly the one that is meant; `None` when that one is gone.
pub fn open(id: &ProcessId) -> io::Result<Option<OwnedFd>> {
    let pidfd = match sys::pidfd_open(id.pid) {
        Ok(pidfd) => pidfd,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let now = match identify_through(&pidfd, id.pid) {
        Ok(now) => now,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let same = now.ticks == id.ticks && (now.pidfs == id.pidfs || id.pidfs == 0 || now.pidfs == 0);
    Ok(same.then_some(pidfd))
}

/// Whether the process still exists and is more than a zombie.
pub fn is_alive(id: &ProcessId) -> bool {
    matches!(open(id), Ok(Some(_))) && stat(id.pid).is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// How a process ended that nobody has waited for yet; `None` for one that is alive or gone.
pub fn exit_of_zombie(id: &ProcessId) -> Option<Exit> {
    let pidfd = open(id).ok()??;
    let found = stat(id.pid).ok().filter(|stat| stat.state == 'Z' && stat.ticks == id.ticks)?;
    drop(pidfd);
    found.status.map(sys::exit_of_status)
}

/// Whether a process leads a session, as every worker does and no script; of one that is gone, that it did.
pub fn leads_session(pid: i32) -> bool {
    stat(pid).map_or(true, |stat| stat.session == pid)
}

/// What an error about a process says when the process is simply gone.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// The part of `/proc/PID/stat` that we use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stat {
    /// `R`, `S`, `Z` …
    pub(super) state: char,
    /// The parent.
    pub(super) parent: i32,
    pub(super) session: i32,
    /// The kernel's flags of a process.
    pub(super) flags: u64,
    /// Start in clock ticks since boot.
    pub(super) ticks: u64,
    /// CPU time in clock ticks.
    pub(super) cpu_ticks: u64,
    /// Resident memory in pages.
    pub(super) resident_pages: u64,
    /// The wait status of a zombie, where we may see it.
    pub(super) status: Option<i32>,
}

/// Reads `/proc/PID/stat`.
pub(super) fn stat(pid: i32) -> io::Result<Stat> {
    let mut buffer = [0; 1024];
    let text = proc::read(&format!("/proc/{pid}/stat"), &mut buffer)?;
    parse_stat(&String::from_utf8_lossy(text)).ok_or_else(|| io::Error::other(format!("cannot read /proc/{pid}/stat")))
}

/// The command's name, in brackets, may contain anything; the last bracket ends it.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    // Counted from the state, which is 0, each number is so many fields after the one before it.
    let mut skip = |number: usize| fields.nth(number)?.parse::<u64>().ok();
    let flags = skip(2)?;
    let cpu_ticks = skip(4)? + skip(0)?;
    let (ticks, resident_pages) = (skip(6)?, skip(1)?);
    let status = fields.nth(27).and_then(|status| status.parse().ok());
    Some(Stat { state, parent, session, flags, ticks, cpu_ticks, resident_pages, status })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_known_until_it_is_gone_and_never_mistaken() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let id = identify(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(is_alive(&id));
        assert!(open(&ProcessId { ticks: id.ticks + 1, ..id }).unwrap().is_none());
        if id.pidfs != 0 {
            assert!(open(&ProcessId { pidfs: id.pidfs + 1, ..id }).unwrap().is_none());
        }
        child.kill().unwrap();
        while stat(id.pid).unwrap().state != 'Z' {
            std::thread::yield_now();
        }
        assert!(!is_alive(&id), "a zombie is not alive");
        assert_eq!(exit_of_zombie(&id), Some(Exit::Signal { number: 9, core: false }));
        child.wait().unwrap();
        assert_eq!(exit_of_zombie(&id), None);
        assert!(!is_alive(&id));
        assert!(open(&id).unwrap().is_none());
    }

    #[test]
    fn a_command_name_with_brackets_does_not_mislead() {
        let line = "7 (a) R (b) S 1 2 3 4 5 6 7 8 9 10 30 12 13 14 15 16 17 18 99 20 5 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.state, stat.parent, stat.ticks, stat.cpu_ticks, stat.resident_pages), ('S', 1, 99, 42, 5));
        assert_eq!((stat.session, stat.flags), (3, 6));
        assert!(parse_stat("7 (a").is_none());
    }

    #[test]
    fn a_stamp_changes_with_the_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("f");
        assert_eq!(fingerprint(&path), None);
        fs::write(&path, "a").unwrap();
        let first = fingerprint(&path);
        assert!(first.is_some() && fingerprint(&path) == first);
        fs::write(temp.path().join("g"), "a").unwrap();
        fs::rename(temp.path().join("g"), &path).unwrap();
        assert_ne!(fingerprint(&path), first);
    }

    #[test]
    fn who_leads_a_session_is_told_from_who_does_not() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        assert!(!leads_session(i32::try_from(child.id()).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut leader = Command::new("/usr/bin/setsid").args(["/bin/sleep", "60"]).spawn().unwrap();
        while !leads_session(i32::try_from(leader.id()).unwrap()) {
            std::thread::yield_now();
        }
        leader.kill().unwrap();
        leader.wait().unwrap();
        assert!(leads_session(i32::MAX));
    }

    #[test]
    fn here_is_a_place() {
        let place = here();
        assert!(!place.boot.is_empty() && place.pid_namespace != 0 && !place.machine.is_empty());
    }
}
