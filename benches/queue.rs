//! The figures of the queue: how fast jobs that do nothing go through it, what they cost, how soon one begins, how fast
//! they are made and found. Beside a bare loop of `posix_spawn` that runs the very same commands, two at a time; where an
//! output is kept the loop opens a file for each, too, and journals. A figure counts as a ratio within one run; machines
//! differ.
//!
//! ```text
//! cargo bench --bench queue               all of it, in about three minutes
//! cargo bench --bench queue -- --quick    tiny counts: does it work?
//! ```
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOBEXEC_BENCH_BINARY` | the binary that is measured | as in the other benchmarks |
//! | `JOBEXEC_BENCH_JOBS` | jobs that go through the queue | `10000` |
//! | `JOBEXEC_BENCH_FEW`, `JOBEXEC_BENCH_MANY` | jobs by which it is seen whether the rate depends on their number | `1000`, `100000` |
//! | `JOBEXEC_BENCH_STORED` | jobs that are only made, and looked for | `1000000` |
//! | `JOBEXEC_BENCH_ROUNDS` | jobs of which it is measured how soon they begin | `30` |

// It measures time and prints; what goes wrong is to end it, with the place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    missing_docs,
    unreachable_pub
)]

mod ending;
mod measure;
mod table;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use measure::{Times, binary, number, time_used, weight as weight_of};
use table::{Budget, Row, Table, precise};

/// A program that does nothing.
const NOTHING: &str = "/bin/true";

fn main() -> ExitCode {
    ending::run(benchmark)
}

fn benchmark() {
    let jobs = number("JOBEXEC_BENCH_JOBS", 10_000, 50);
    let stored = number("JOBEXEC_BENCH_STORED", 1_000_000, 1000);
    let rounds = number("JOBEXEC_BENCH_ROUNDS", 30, 3);
    let few_jobs = number("JOBEXEC_BENCH_FEW", 1000, 20);
    let many_jobs = number("JOBEXEC_BENCH_MANY", 100_000, 100);
    println!("measured: {}", binary().display());
    println!("bare: a loop of posix_spawn and waitpid, two at a time; of one job the script alone\n");
    let mut table = Table::new(&["task-spooler"]);
    for (name, flags, share) in
        [("without output", &["--no-output"][..], 50.0), ("with an output file each", &[], 80.0)]
    {
        let kept = flags.is_empty().then(Kept::new);
        let limit = jobs as f64 / bare_loop(jobs, kept).as_secs_f64();
        let went = through_the_queue(jobs, flags);
        let rate = went.rate(jobs);
        let what = format!("{jobs} jobs {name}, two slots: {rate:.0} a second, the loop {limit:.0}");
        table.push(Row::new(what, "%", 100.0 * rate / limit).within(Budget::AtLeast(share)));
        if !flags.is_empty() {
            let cost = went.cost.as_secs_f64() * 1e3 / jobs as f64;
            table.push(Row::new("processor for each of them, all of ours", "ms", cost).within(Budget::Within(0.25)));
        }
    }
    let few = through_the_queue(few_jobs, &["--no-output"]).rate(few_jobs);
    let went = through_the_queue(many_jobs, &["--no-output"]);
    let what = format!("{many_jobs} jobs without output: the rate beside that of {few_jobs}");
    table.push(Row::new(what, "%", 100.0 * went.rate(many_jobs) / few).within(Budget::AtLeast(90.0)));
    let memory = went.weight as f64 / 1024.0;
    table.push(Row::new("memory meanwhile, all of ours", "MiB", memory).within(Budget::AtMost(40.0)));
    soon(rounds, &mut table);
    let folder = Folder::new();
    let took = folder.submit(stored, &["--no-output"]);
    let rate = stored as f64 / took.as_secs_f64();
    table.push(
        Row::new(format!("{stored} jobs made, stored: each second"), "", rate).within(Budget::AtLeast(100_000.0)),
    );
    let mut listed = Times::default();
    for _ in 0..rounds {
        let start = Instant::now();
        folder.run(&["jobs", "--limit", "20"]);
        listed.push(start.elapsed());
    }
    let row = Row::new("`jobs --limit 20` among them", "ms", listed.median());
    table.push(row.within(Budget::Within(3.0)));
    table.print();
}

/// A folder of its own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        this.run(&["init"]);
        this
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).env("JOBEXEC_FOLDER", self.0.path().join("executor")).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) {
        assert!(self.command(args).status().unwrap().success(), "{args:?}");
    }

    /// Queues so many jobs that do nothing; how long that took.
    fn submit(&self, count: usize, flags: &[&str]) -> Duration {
        let lines = self.0.path().join("lines");
        let text = (0..count).fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").unwrap();
            text
        });
        fs::write(&lines, text).unwrap();
        let start = Instant::now();
        let file = lines.to_str().unwrap();
        self.run(&[&["submit", "--each-line", file], flags, &["--", NOTHING]].concat());
        start.elapsed()
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("executor")
    }
}

/// How long something took, what it cost of the processors, and what it weighed at most, in KiB.
struct Went {
    took: Duration,
    cost: Duration,
    weight: u64,
}

impl Went {
    /// How many went through in a second.
    fn rate(&self, jobs: usize) -> f64 {
        jobs as f64 / self.took.as_secs_f64()
    }
}

/// How often it is looked how much everything weighs.
const WEIGH: Duration = Duration::from_millis(500);

/// Queues jobs and has two slots run them.
fn through_the_queue(jobs: usize, flags: &[&str]) -> Went {
    let folder = Folder::new();
    let start = Instant::now();
    folder.submit(jobs, flags);
    let mut supervisor = folder.command(&["keep-restarting", "--until-idle", "--slots", "2"]).spawn().unwrap();
    let exists = |pid: &i64| Path::new(&format!("/proc/{pid}")).exists();
    let (mut cost, mut weight, mut weighed, mut slots) = (Duration::ZERO, 0, start, Vec::new());
    // The workers go when the supervisor has gone: what they have used by then is asked for now and then.
    while supervisor.try_wait().unwrap().is_none() {
        if slots.len() < 2 || !slots.iter().all(exists) {
            slots = workers(&folder.path());
        }
        let ours = || slots.iter().copied().chain([i64::from(supervisor.id())]);
        cost = cost.max(ours().filter_map(time_used).sum());
        if weighed.elapsed() >= WEIGH {
            weighed = Instant::now();
            weight = weight.max(ours().filter_map(weight_of).sum());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Went { took: start.elapsed(), cost, weight }
}

/// The workers of a folder's slots.
fn workers(folder: &Path) -> Vec<i64> {
    let records = format!("{}/runs/slot-", folder.display());
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i64| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&records))
    })
    .collect()
}

/// How soon a job begins that is submitted while nothing else is to be done. They take turns, so that all see the same
/// machine.
fn soon(rounds: usize, table: &mut Table) {
    let folder = Folder::new();
    let mark = folder.0.path().join("begun");
    let mut supervisor = folder.command(&["keep-restarting"]).spawn().unwrap();
    let touch = format!(": > {}", mark.display());
    let script = ["/bin/sh", "-c", &touch];
    let submit = |args: &[&str]| folder.command(&[args, &script].concat());
    let spooler = Spooler::begin(folder.0.path());
    let (mut ours, mut bares, mut others) = (Times::default(), Times::default(), Times::default());
    for _ in 0..rounds {
        ours.push(until_there(&mut submit(&["submit", "--no-output", "--"]), &mark));
        let mut bare = Command::new(script[0]);
        bares.push(until_there(bare.args(&script[1..]), &mark));
        if let Some(spooler) = &spooler {
            others.push(until_there(spooler.command().arg("-n").args(script), &mark));
        }
    }
    folder.run(&["keep-restarting", "--stop"]);
    supervisor.wait().unwrap();
    let others = spooler.map(|_| others);
    for (which, of, budget) in
        [("median", Times::median as fn(&Times) -> f64, Budget::Within(2.5)), ("p95", Times::p95, Budget::None)]
    {
        let what = format!("one job, nothing else to do: `submit` begins → script runs, {which} of {rounds}");
        let row = Row::new(what, "ms", of(&ours)).beside(of(&bares)).within(budget);
        table.push(row.peers(std::slice::from_ref(&others), |times| format!("{} ms", precise(of(times)))));
    }
}

/// Runs a command after a rest; how long until the file is there, which is removed again.
fn until_there(command: &mut Command, mark: &Path) -> Duration {
    std::thread::sleep(Duration::from_millis(50));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    while !mark.exists() {
        std::thread::sleep(Duration::from_micros(50));
    }
    let took = start.elapsed();
    child.wait().unwrap();
    fs::remove_file(mark).unwrap();
    took
}

/// Another queue, where it is installed, with a server of its own, which ends when this is dropped.
struct Spooler {
    socket: PathBuf,
}

impl Spooler {
    fn begin(folder: &Path) -> Option<Self> {
        let spooler = Self { socket: folder.join("tsp") };
        let begun = spooler.command().args(["-S", "1"]).stdout(Stdio::null()).status();
        begun.is_ok_and(|status| status.success()).then_some(spooler)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tsp");
        command.env("TS_SOCKET", &self.socket);
        command
    }
}

impl Drop for Spooler {
    fn drop(&mut self) {
        let _ = self.command().arg("-K").status();
    }
}

/// What a bare loop keeps of what it runs: an output file of each, and a journal of beginnings and ends that survives a
/// power cut after as long as ours does.
struct Kept {
    folder: tempfile::TempDir,
    journal: File,
    flushed: Instant,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = File::create(folder.path().join("journal")).unwrap();
        Self { folder, journal, flushed: Instant::now() }
    }

    fn output(&self, line: usize) -> File {
        File::create(self.folder.path().join(format!("{line}.txt"))).unwrap()
    }

    fn note(&mut self, what: &str) {
        writeln!(self.journal, "{what} {:?}", self.flushed.elapsed()).unwrap();
        if self.flushed.elapsed() >= Duration::from_millis(100) {
            self.journal.sync_data().unwrap();
            self.flushed = Instant::now();
        }
    }
}

/// Spawns what the jobs run as often as there are jobs, two at a time, and waits for it.
fn bare_loop(count: usize, mut kept: Option<Kept>) -> Duration {
    let start = Instant::now();
    let (mut running, mut begun) = (0, 0);
    while begun < count || running > 0 {
        while running < 2 && begun < count {
            let mut command = Command::new(NOTHING);
            command.arg(begun.to_string()).stdin(Stdio::null());
            if let Some(kept) = &mut kept {
                let output = kept.output(begun);
                command.stdout(output.try_clone().unwrap()).stderr(output);
                kept.note(&format!("{begun} begins"));
            }
            // The library does it by posix_spawn; the loop itself waits for whichever ends.
            drop(command.spawn().unwrap());
            running += 1;
            begun += 1;
        }
        let ended = nix::sys::wait::wait().unwrap();
        if let Some(kept) = &mut kept {
            kept.note(&format!("{ended:?}"));
        }
        running -= 1;
    }
    start.elapsed()
}
