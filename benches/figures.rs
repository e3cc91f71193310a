//! The figures of the README: how long commands take beside `/bin/true`, a thousand starts beside a bare loop of
//! `posix_spawn`, and what an idle worker weighs. A figure counts as a ratio within one run; machines differ.
//!
//! ```text
//! cargo bench --bench figures                  all of it, in about a minute
//! cargo bench --bench figures -- --quick       tiny counts: does it work?
//! ```
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOBEXEC_BENCH_BINARY` | the binary that is measured | the static release build, else the release build, else one without its optimisations |
//! | `JOBEXEC_BENCH_TASKS` | registry sizes | `10,1000,10000` |
//! | `JOBEXEC_BENCH_ROUNDS` | rounds of each command; the median counts | `21` |
//! | `JOBEXEC_BENCH_ALL` | tasks of `start --all` and `stop --all` | `1000` |
//! | `JOBEXEC_BENCH_WORKERS` | workers that are weighed | `50` |

// It measures time and prints; what goes wrong is to end it, with the place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_precision_loss
)]

mod ending;
mod measure;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use measure::{Times, binary, is_quick, number, parent, proportional_set_size};
use table::{Budget, Row, TRUE_OF_THE_BUDGETS, Table, nothing};

/// A program that does nothing but wait.
const SLEEP: [&str; 2] = ["/bin/sleep", "100000"];

fn main() -> ExitCode {
    ending::run(benchmark)
}

fn benchmark() {
    let counts = Counts::from_surroundings();
    let binary = binary();
    println!("measured: {}", binary.display());
    println!("medians of {} rounds; bare: `/bin/true`, and a loop of posix_spawn where all are meant\n", counts.rounds);
    let mut table = Table::new(&[]);
    for tasks in &counts.tasks {
        status(&binary, *tasks, &counts, &mut table);
    }
    for tasks in &counts.tasks {
        add(&binary, *tasks, &counts, &mut table);
    }
    start_and_stop(&binary, &counts, &mut table);
    all(&binary, &counts, &mut table);
    memory(&binary, &counts, &mut table);
    table.print();
}

/// How much of everything.
struct Counts {
    tasks: Vec<usize>,
    rounds: usize,
    all: usize,
    workers: usize,
}

impl Counts {
    fn from_surroundings() -> Self {
        let sizes = std::env::var("JOBEXEC_BENCH_TASKS");
        let sizes = sizes.unwrap_or_else(|_| if is_quick() { "10,100" } else { "10,1000,10000" }.to_owned());
        Self {
            tasks: sizes.split(',').map(|size| size.trim().parse().expect("JOBEXEC_BENCH_TASKS")).collect(),
            rounds: number("JOBEXEC_BENCH_ROUNDS", 21, 3),
            all: number("JOBEXEC_BENCH_ALL", 1000, 20),
            workers: number("JOBEXEC_BENCH_WORKERS", 50, 5),
        }
    }
}

/// An executor of its own; what runs in it is stopped at the end.
struct Bench<'a> {
    binary: &'a Path,
    folder: tempfile::TempDir,
}

impl<'a> Bench<'a> {
    /// An executor with so many tasks that wait.
    fn with_tasks(binary: &'a Path, tasks: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("jobexec-bench-").tempdir().unwrap();
        let mut registry = String::from("version = 1\nexec_id = \"bench\"\n");
        for at in 0..tasks {
            write!(registry, "\n[task.task-{at:05}]\ncommand = [\"{}\", \"{}\"]\n", SLEEP[0], SLEEP[1]).unwrap();
        }
        fs::write(folder.path().join("jobexec.toml"), registry).unwrap();
        let bench = Self { binary, folder };
        // The first look parses the registry; what is measured is every later one.
        bench.run(&["status"]);
        bench
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("JOBEXEC_FOLDER", self.folder.path());
        // Ctrl-C is for the benchmark, which then stops what it has started.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command
    }

    /// Runs a command, which must succeed, and says how long it took.
    fn run(&self, args: &[&str]) -> Duration {
        let start = Instant::now();
        let status = self.command(args).status().unwrap();
        let took = start.elapsed();
        assert!(status.success(), "{args:?}: {status}");
        ending::check();
        took
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).stdout(Stdio::piped()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["stop", "--all"]).status();
    }
}

/// Rounds of `/bin/true` and of something else in turn, so that both see the same machine.
fn beside_nothing(rounds: usize, mut one: impl FnMut(usize) -> Duration) -> (Times, Times) {
    let (mut nothings, mut ones) = (Times::default(), Times::default());
    for round in 0..rounds {
        nothings.push(nothing());
        ones.push(one(round));
    }
    (ones, nothings)
}

fn status(binary: &Path, tasks: usize, counts: &Counts, table: &mut Table) {
    let bench = Bench::with_tasks(binary, tasks);
    let (took, nothing) = beside_nothing(counts.rounds, |_| bench.run(&["status"]));
    let budget = match tasks {
        0..=10 => 1.5,
        11..=1000 => 3.0,
        _ => 15.0,
    };
    table.push(beside(format!("`status`, {tasks} tasks"), &took, &nothing).within(Budget::Within(budget)));
}

fn add(binary: &Path, tasks: usize, counts: &Counts, table: &mut Table) {
    let bench = Bench::with_tasks(binary, tasks);
    let (took, nothing) =
        beside_nothing(counts.rounds, |round| bench.run(&["add", &format!("new-{round}"), "--", "/bin/true"]));
    let budget = match tasks {
        0..=10 => 2.0 * TRUE_OF_THE_BUDGETS,
        11..=1000 => 5.0,
        _ => 100.0,
    };
    table.push(beside(format!("`add`, {tasks} tasks"), &took, &nothing).within(Budget::Within(budget)));
}

fn start_and_stop(binary: &Path, counts: &Counts, table: &mut Table) {
    let bench = Bench::with_tasks(binary, counts.rounds);
    let name = |round: usize| format!("task-{round:05}");
    let (took, nothing) = beside_nothing(counts.rounds, |round| bench.run(&["start", &name(round)]));
    table.push(beside("`start`, until it runs".to_owned(), &took, &nothing));
    let (took, nothing) = beside_nothing(counts.rounds, |round| bench.run(&["stop", &name(round)]));
    table.push(beside("`stop`, until nothing is left".to_owned(), &took, &nothing));
}

/// Spawns so many sleepers in a bare loop, and ends them: what the system itself takes.
fn bare_loop(number: usize) -> (Duration, Duration) {
    let start = Instant::now();
    let mut sleepers: Vec<Child> = (0..number)
        .map(|_| {
            let mut command = Command::new(SLEEP[0]);
            command.arg(SLEEP[1]).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.process_group(0).spawn().unwrap()
        })
        .collect();
    let up = start.elapsed();
    let start = Instant::now();
    for sleeper in &mut sleepers {
        sleeper.kill().unwrap();
    }
    for sleeper in &mut sleepers {
        sleeper.wait().unwrap();
    }
    (up, start.elapsed())
}

fn all(binary: &Path, counts: &Counts, table: &mut Table) {
    let bench = Bench::with_tasks(binary, counts.all);
    let (mut ups, mut downs) = (Times::default(), Times::default());
    let (mut bare_ups, mut bare_downs) = (Times::default(), Times::default());
    for _ in 0..3 {
        let (up, down) = bare_loop(counts.all);
        bare_ups.push(up);
        bare_downs.push(down);
        ups.push(bench.run(&["start", "--all"]));
        downs.push(bench.run(&["stop", "--all"]));
    }
    let scale = counts.all as f64 / 1000.0;
    let all = |what: &str, took: &Times, bare: &Times, budget| {
        beside(format!("`{what} --all`, {} tasks, no supervisor", counts.all), took, bare)
            .within(Budget::Within(budget))
    };
    table.push(all("start", &ups, &bare_ups, 1000.0 * scale));
    table.push(all("stop", &downs, &bare_downs, 250.0 * scale));
}

fn memory(binary: &Path, counts: &Counts, table: &mut Table) {
    let bench = Bench::with_tasks(binary, counts.workers);
    bench.run(&["start", "--all"]);
    let status = bench.json(&["status", "--json"]);
    let workers = status.as_array().unwrap().iter().map(|task| parent(task["pid"].as_i64().expect("it runs")));
    let weights: Vec<u64> = workers.map(proportional_set_size).collect();
    let each = weights.iter().sum::<u64>() as f64 / weights.len() as f64;
    let lightest = weights.iter().min().unwrap();
    let what = format!("memory of an idle worker, {} running (the lightest: {lightest} KiB)", counts.workers);
    table.push(Row::new(what, "KiB", each).within(Budget::AtMost(60.0)));
}

/// A time beside that of something bare.
fn beside(what: String, took: &Times, bare: &Times) -> Row {
    Row::new(what, "ms", took.median()).beside(bare.median())
}
