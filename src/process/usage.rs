//! What processes use now, and whether the kernel has been short of memory.

use super::identity::{stat, ticks_per_second};
use super::{proc, tree};

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
    let mut buffer = [0; 16 * 1024];
    let text = proc::read("/proc/vmstat", &mut buffer).unwrap_or_default();
    proc::word_after(text, "oom_kill ").and_then(|number| number.parse().ok()).unwrap_or(0)
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
