//! What the benchmarks have in common: the binary that is measured, counts from the surroundings, times and their
//! order, what a process weighs and costs. Knows nothing of what is measured.

// Each benchmark uses its part of it.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whether tiny counts are wanted, which only show that it works.
pub fn is_quick() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}

/// A count: what the variable says, else the usual one, or the tiny one.
pub fn number(variable: &str, usual: usize, quickly: usize) -> usize {
    let given = std::env::var(variable).ok().map(|text| text.parse().expect(variable));
    given.unwrap_or(if is_quick() { quickly } else { usual }).max(1)
}

/// The binary that is measured.
pub fn binary() -> PathBuf {
    if let Some(given) = std::env::var_os("JOBEXEC_BENCH_BINARY") {
        return PathBuf::from(given).canonicalize().expect("JOBEXEC_BENCH_BINARY");
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let built = ["x86_64-unknown-linux-musl/release/jobexec", "release/jobexec"].map(|path| target.join(path));
    let found = built.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_jobexec")))
}

/// Several measurements of the same, in milliseconds.
#[derive(Default)]
pub struct Times(Vec<f64>);

impl Times {
    pub fn push(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e3);
        self.0.sort_by(f64::total_cmp);
    }

    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// What nineteen of twenty do not exceed.
    pub fn p95(&self) -> f64 {
        self.0[(self.0.len() * 95).div_ceil(100) - 1]
    }

    /// What else runs on the machine can only add: the least is the most comparable.
    pub fn least(&self) -> f64 {
        self.0[0]
    }
}

/// The pid of a process's parent.
pub fn parent(pid: i64) -> i64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// In KiB: its own pages, and its share of those that it has in common with others.
pub fn proportional_set_size(pid: i64) -> u64 {
    weight(pid).unwrap()
}

/// The same; `None` for a process that is gone.
pub fn weight(pid: i64) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// How long a process has been on a processor.
pub fn on_processor(pid: i64) -> Duration {
    time_used(pid).unwrap()
}

/// The same; `None` for a process that is gone.
pub fn time_used(pid: i64) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

/// How often a process has gone to sleep of its own accord, and so has been woken.
pub fn times_asleep(pid: i64) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}
