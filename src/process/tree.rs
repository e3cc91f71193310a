//! The processes below a worker: found, signalled, killed downwards until none is left.
//!
//! A worker is the subreaper of everything below it: whatever loses its parent becomes its child, and a child's pid
//! cannot be used again before the worker reaps it. So killing children until there is none left is a proof.

use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::domain::name::RunId;
use crate::domain::signal::Signal;

use super::environment::RUN_ID;
use super::identity::stat;
use super::{record, spawn, sys};

/// The children of a process, zombies included.
pub fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return found };
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(text) => found.extend(text.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok())),
            // A kernel without that file: the parents of all processes tell.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return processes().filter(|p| stat(*p).is_ok_and(|stat| stat.parent == pid)).collect();
            }
            Err(_) => {}
        }
    }
    found
}

/// The pids of all processes that we can see.
pub(super) fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a child is the worker of another run (or its starter's spawn of one), or a supervisor in the background: it
/// holds its own lock, and so neither it nor anything below it belongs to our tree.
fn is_other_worker(pid: i32) -> bool {
    let lock = || worker_record(pid).or_else(|| behind_door(pid, spawn::SUPERVISOR_DOOR));
    let mut found = lock();
    while let Some(path) = found {
        if record::is_held(&path).unwrap_or(false) {
            return true;
        }
        // A worker that goes on with the next run names that before it frees the lock of the one before.
        found = lock().filter(|now| *now != path);
    }
    false
}

/// The record of a worker, by its command line; `None` for a process that is no worker.
pub(super) fn worker_record(pid: i32) -> Option<PathBuf> {
    behind_door(pid, spawn::WORKER_DOOR)
}

/// The lock of a process of ours that went through this door.
fn behind_door(pid: i32, door: &CStr) -> Option<PathBuf> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|b| *b == 0);
    if words.nth(1) != Some(door.to_bytes()) {
        return None;
    }
    words.next().map(|path| PathBuf::from(OsStr::from_bytes(path)))
}

/// Whether a child belongs to another run of the same executor: what is left of a run that was started by a script of
/// ours, and whose own worker is dead, becomes our child, and is still no part of our tree. `ours` is our own record.
fn is_of_other_run(pid: i32, ours: &Path) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    let mark = format!("{RUN_ID}=");
    let id = environment.split(|b| *b == 0).find_map(|variable| variable.strip_prefix(mark.as_bytes()));
    let Some(run) = id.and_then(|id| RunId::parse(std::str::from_utf8(id).ok()?).ok()) else { return false };
    let theirs = ours.with_file_name(run.to_string());
    theirs != ours && theirs.exists()
}

/// The children of this process, which has one thread; zombies included.
fn our_children() -> Vec<i32> {
    let mut text = String::with_capacity(512);
    match File::open("/proc/thread-self/children").and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        Err(_) => children(nix::unistd::getpid().as_raw()),
    }
}

/// The children of this process that belong to its tree. `ours` is the record of its own run.
pub fn own_children(ours: &Path) -> Vec<i32> {
    let mut found = our_children();
    found.retain(|pid| !is_other_worker(*pid) && !is_of_other_run(*pid, ours));
    found
}

/// Every process below a root, with its parent, parents first, workers of other runs left out with what is below
/// them.
pub fn descendants(roots: Vec<(i32, i32)>) -> Vec<(i32, i32)> {
    let mut found = roots;
    let mut at = 0;
    while let Some((pid, _)) = found.get(at).copied() {
        let below = children(pid).into_iter().filter(|child| !is_other_worker(*child));
        let new: Vec<_> = below.filter(|child| !found.iter().any(|(p, _)| p == child)).map(|c| (c, pid)).collect();
        found.extend(new);
        at += 1;
    }
    found
}

/// Sends signals to everything that is left below this process; returns how many processes there were.
///
/// A process that is not our own child may end and its pid be taken by a stranger: it is signalled through a pidfd
/// and only while its parent is the one that it was found under.
pub fn signal_tree(ours: &Path, signals: &[Signal]) -> u32 {
    let me = nix::unistd::getpid().as_raw();
    let roots = own_children(ours).into_iter().map(|pid| (pid, me)).collect();
    let mut count = 0;
    for (pid, parent) in descendants(roots) {
        let Ok(pidfd) = sys::pidfd_open(pid) else { continue };
        let Ok(now) = stat(pid) else { continue };
        if now.state == 'Z' || (now.parent != parent && now.parent != me) {
            continue;
        }
        count += 1;
        for signal in signals {
            // What has ended meanwhile needs no signal; what we may not signal is named by whoever waits for us.
            let _ = sys::pidfd_send_signal(pidfd.as_fd(), signal.number(), None);
        }
    }
    count
}

/// How many processes are left below this one, zombies left out.
pub fn count_below(ours: &Path) -> u32 {
    let me = nix::unistd::getpid().as_raw();
    let below = descendants(own_children(ours).into_iter().map(|pid| (pid, me)).collect());
    let alive = below.into_iter().filter(|(pid, _)| stat(*pid).is_ok_and(|stat| stat.state != 'Z'));
    u32::try_from(alive.count()).unwrap_or(u32::MAX)
}

/// Sends signals to the process group of a child. The group exists as long as the unreaped child does.
pub fn signal_group(leader: i32, signals: &[Signal]) {
    for signal in signals {
        if let Ok(signal) = nix::sys::signal::Signal::try_from(signal.number()) {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader), signal);
        }
    }
}

/// Kills the children of this process that belong to its tree, and returns how many there were (zombies included).
pub fn kill_children(ours: &Path) -> usize {
    let children = own_children(ours);
    for pid in &children {
        // A child's pid is pinned until we reap it.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
    }
    children.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn children_and_descendants_are_found() {
        let mut child = Command::new("/bin/sh").args(["-c", "sleep 60 & wait"]).stdout(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let below = loop {
            let found = descendants(vec![(pid, 0)]);
            if let [_, below] = found.as_slice() {
                break *below;
            }
            std::thread::yield_now();
        };
        assert!(children(nix::unistd::getpid().as_raw()).contains(&pid));
        assert_eq!(below.1, pid);
        assert_eq!(children(pid), [below.0]);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(below.0), nix::sys::signal::Signal::SIGKILL).unwrap();
        child.wait().unwrap();
    }
}
