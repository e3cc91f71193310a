//! What processes use now, and whether the kernel has been short of memory.

use std::time::Duration;

use super::identity::{stat, ticks_per_second};
use super::{clock, proc, tree};

/// What a tree of processes uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// How many processes it is.
    pub processes: u32,
    /// CPU time that those alive have used, in microseconds.
    pub cpu: u64,
    /// Resident memory in bytes, shared pages counted in each process.
    pub memory: u64,
}

/// Adds up a process and everything below it, workers of other runs left out.
pub fn of_tree(root: i32) -> Usage {
    let ticks = ticks_per_second();
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    let page = u64::try_from(page).unwrap_or(1);
    let mut sum = Usage::default();
    for (pid, _) in tree::descendants(vec![(root, 0)]) {
        if let Ok(stat) = stat(pid) {
            sum.processes += 1;
            sum.cpu += stat.cpu_ticks * 1_000_000 / ticks;
            sum.memory += stat.resident_pages * page;
        }
    }
    sum
}

/// How many processes the kernel has killed for want of memory since boot; 0 where it does not say.
pub fn memory_kills() -> u64 {
    let mut buffer = [0; 8 * 1024];
    let text = proc::read("/proc/vmstat", &mut buffer).unwrap_or_default();
    proc::word_after(text, "oom_kill ").and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// How old a count may be that is taken for the present one. Asking for it takes longer than some runs.
const RECENT: Duration = Duration::from_secs(1);

/// The count of [`memory_kills`], asked for now and then.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryKills(Option<(Duration, u64)>);

impl MemoryKills {
    /// How many there were not long ago.
    pub fn before(&mut self) -> u64 {
        match self.0 {
            Some((at, count)) if clock::since_boot().saturating_sub(at) < RECENT => count,
            Some(_) | None => {
                let count = memory_kills();
                self.0 = Some((clock::since_boot(), count));
                count
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory() {
        let usage = of_tree(nix::unistd::getpid().as_raw());
        assert!(usage.processes >= 1 && usage.memory > 0);
        assert_eq!(of_tree(i32::MAX), Usage::default());
    }
}
