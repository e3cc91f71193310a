//! Processes of a run whose worker is dead, known by the run's id in their environment.
//!
//! The last resort: it cannot see a process that cleared its environment, and it can prove nothing. A living worker
//! never needs it.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use crate::domain::evidence::ProcessId;
use crate::domain::name::RunId;
use crate::domain::signal::Signal;

use super::environment::RUN_ID;
use super::identity::stat;
use super::{identity, sys, tree};

/// The processes, zombies left out, that carry a run's id.
pub fn find(run: RunId) -> Vec<i32> {
    let mark = format!("{RUN_ID}={run}");
    tree::processes().filter(|pid| carries(*pid, mark.as_bytes())).collect()
}

/// The worker that was given this record, by its command line: the way to one that has not said yet who it is, or
/// whose record has been damaged since.
pub fn worker(record: &Path) -> Option<ProcessId> {
    let is_it = |pid: i32| tree::worker_record(pid).is_some_and(|path| path == record);
    let found = identity::identify(tree::processes().find(|pid| is_it(*pid))?).ok()?;
    // The command line again: what was identified is what was found.
    is_it(found.pid).then_some(found)
}

/// Sends a signal to every process that carries a run's id; returns those that were found.
pub fn signal(run: RunId, signals: &[Signal]) -> Vec<i32> {
    let mark = format!("{RUN_ID}={run}");
    let found = find(run);
    for pid in &found {
        // The pidfd first, then the mark again: the process behind the pidfd is the one that carries it.
        let Ok(pidfd) = sys::pidfd_open(*pid) else { continue };
        if carries(*pid, mark.as_bytes()) {
            for signal in signals {
                let _ = sys::pidfd_send_signal(pidfd.as_fd(), signal.number(), None);
            }
        }
    }
    found
}

fn carries(pid: i32, mark: &[u8]) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment.split(|b| *b == 0).any(|variable| variable == mark) && stat(pid).is_ok_and(|s| s.state != 'Z')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn a_process_is_found_by_the_whole_id_alone_and_signalled() {
        let run = RunId::from_random([0xAB; 16]);
        let spawn = |id: &str| Command::new("/bin/sleep").arg("60").env(RUN_ID, id).spawn().unwrap();
        let mut ours = spawn(&run.to_string());
        let mut other = spawn(&format!("{run}0"));
        let pid = i32::try_from(ours.id()).unwrap();
        while find(run).is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(find(run), [pid]);
        assert_eq!(signal(run, &[Signal::TERM]), [pid]);
        assert_eq!(ours.wait().unwrap().signal(), Some(15));
        assert!(find(run).is_empty());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
