//! Processes of a run whose worker is dead, known by the run's id in their environment; the script itself also by the
//! identity on record, whatever it did to its environment.
//!
//! The last resort: it cannot see another process that cleared its environment, and it can prove nothing. A living
//! worker never needs it.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use crate::domain::evidence::ProcessId;
use crate::domain::name::RunId;
use crate::domain::signal::Signal;

use super::environment::RUN_ID;
use super::identity::{self, stat};
use super::{sys, tree};

/// How often it is looked while something cannot be seen, and the time between two looks.
const UNCLEAR_LOOKS: u32 = 50;
const UNCLEAR_PAUSE: Duration = Duration::from_millis(1);

/// The kernel's flag of its own threads (`PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The processes, zombies left out, that carry a run's id, and its script.
///
/// That there are none is believed only when a second look finds none either: one that forks and exits can slip through
/// a single pass over the process table. One that is just ending, or in the middle of an exec, does not say whose it
/// is, and may still hold what it had open: it is waited for a little.
pub fn find(run: RunId, script: Option<&ProcessId>) -> Vec<i32> {
    let mark = format!("{RUN_ID}={run}");
    let mut looks = 0;
    loop {
        let script = script.filter(|id| identity::is_alive(id)).map(|id| id.pid);
        let mut found: Vec<i32> = script.into_iter().collect();
        let mut unclear = false;
        for pid in tree::processes().filter(|pid| Some(*pid) != script) {
            match carries(pid, mark.as_bytes()) {
                Some(true) => found.push(pid),
                Some(false) => {}
                None => unclear = true,
            }
        }
        looks += 1;
        if !found.is_empty() || looks >= UNCLEAR_LOOKS || (looks >= 2 && !unclear) {
            return found;
        }
        if unclear {
            std::thread::sleep(UNCLEAR_PAUSE);
        }
    }
}

/// The worker that was given this record, by its command line: the way to one that has not said yet who it is, or
/// whose record has been damaged since.
pub fn worker(record: &Path) -> Option<ProcessId> {
    let is_it = |pid: i32| tree::worker_record(pid).is_some_and(|path| path == record);
    let found = identity::identify(tree::processes().find(|pid| is_it(*pid))?).ok()?;
    // The command line again: what was identified is what was found.
    is_it(found.pid).then_some(found)
}

/// Sends a signal to every process that carries a run's id, and to its script; returns those that were found.
pub fn signal(run: RunId, script: Option<&ProcessId>, signals: &[Signal]) -> Vec<i32> {
    let mark = format!("{RUN_ID}={run}");
    let found = find(run, script);
    for pid in &found {
        // The pidfd first, then a second look: the process behind the pidfd is the one that is meant.
        let pidfd = match script.filter(|id| id.pid == *pid) {
            Some(id) => identity::open(id).ok().flatten(),
            None => sys::pidfd_open(*pid).ok().filter(|_| carries(*pid, mark.as_bytes()) == Some(true)),
        };
        let Some(pidfd) = pidfd else { continue };
        for signal in signals {
            let _ = sys::pidfd_send_signal(pidfd.as_fd(), signal.number(), None);
        }
    }
    found
}

/// Whether a living process carries a mark; `None` where it cannot be seen just now.
fn carries(pid: i32, mark: &[u8]) -> Option<bool> {
    let read = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let environment = read("environ");
    let has_it = environment.split(|b| *b == 0).any(|variable| variable == mark);
    let Some(stat) = stat(pid).ok().filter(|stat| stat.state != 'Z') else { return Some(false) };
    let is_kernels = stat.flags & KERNEL_THREAD != 0;
    // Without memory it has neither; a process of ours has an empty environment and a command line.
    let is_unclear = environment.is_empty() && !is_kernels && read("cmdline").is_empty();
    if is_unclear { None } else { Some(has_it) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn a_process_is_found_by_the_whole_id_alone_and_signalled() {
        let run = RunId::from_bytes([0xAB; 16]);
        let spawn = |id: &str| Command::new("/bin/sleep").arg("60").env(RUN_ID, id).spawn().unwrap();
        let mut ours = spawn(&run.to_string());
        let mut other = spawn(&format!("{run}0"));
        let pid = i32::try_from(ours.id()).unwrap();
        while find(run, None).is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(find(run, None), [pid]);
        assert_eq!(signal(run, None, &[Signal::TERM]), [pid]);
        assert_eq!(ours.wait().unwrap().signal(), Some(15));
        assert!(find(run, None).is_empty());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_script_is_found_without_the_id_unless_its_pid_is_somebody_elses() {
        let run = RunId::from_bytes([0xCD; 16]);
        let mut script = Command::new("/bin/sleep").arg("60").env_clear().spawn().unwrap();
        let id = identity::identify(i32::try_from(script.id()).unwrap()).unwrap();
        assert!(find(run, Some(&ProcessId { ticks: id.ticks + 1, ..id })).is_empty());
        assert_eq!(find(run, Some(&id)), [id.pid]);
        assert_eq!(signal(run, Some(&id), &[Signal::TERM]), [id.pid]);
        assert_eq!(script.wait().unwrap().signal(), Some(15));
        assert!(find(run, Some(&id)).is_empty());
    }
}
