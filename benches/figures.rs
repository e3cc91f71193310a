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

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use measure::{Times, binary, is_quick, number, parent, proportional_set_size, short};

/// A program that does nothing but wait.
const SLEEP: [&str; 2] = ["/bin/sleep", "100000"];

/// What `/bin/true` took on the machine that the budgets were made on, in milliseconds.
const TRUE_OF_THE_BUDGETS: f64 = 0.7;

fn main() -> ExitCode {
    ending::run(benchmark)
}

fn benchmark() {
    let counts = Counts::from_surroundings();
    let binary = binary();
    println!("measured: {}", binary.display());
    println!("{} rounds; in brackets the budget as a multiple of a /bin/true that takes 0.7 ms\n", counts.rounds);
    let mut table = Table::default();
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

/// One run of `/bin/true`.
fn nothing() -> Duration {
    let start = Instant::now();
    let mut command = Command::new("/bin/true");
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    assert!(command.status().unwrap().success());
    start.elapsed()
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
        0..=10 => Some(1.5),
        11..=1000 => Some(3.0),
        _ => Some(15.0),
    };
    table.command(format!("`status`, {tasks} tasks"), &took, &nothing, budget);
}

fn add(binary: &Path, tasks: usize, counts: &Counts, table: &mut Table) {
    let bench = Bench::with_tasks(binary, tasks);
    let (took, nothing) =
        beside_nothing(counts.rounds, |round| bench.run(&["add", &format!("new-{round}"), "--", "/bin/true"]));
    let budget = match tasks {
        0..=10 => Some(2.0 * TRUE_OF_THE_BUDGETS),
        11..=1000 => Some(5.0),
        _ => Some(100.0),
    };
    table.command(format!("`add`, {tasks} tasks"), &took, &nothing, budget);
}

fn start_and_stop(binary: &Path, counts: &Counts, table: &mut Table) {
    let bench = Bench::with_tasks(binary, counts.rounds);
    let name = |round: usize| format!("task-{round:05}");
    let (took, nothing) = beside_nothing(counts.rounds, |round| bench.run(&["start", &name(round)]));
    table.command("`start`, until it runs".to_owned(), &took, &nothing, None);
    let (took, nothing) = beside_nothing(counts.rounds, |round| bench.run(&["stop", &name(round)]));
    table.command("`stop`, until nothing is left".to_owned(), &took, &nothing, None);
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
    table.many(format!("`start --all`, {} tasks", counts.all), &ups, &bare_ups, 1000.0 * scale);
    table.many(format!("`stop --all`, {} tasks", counts.all), &downs, &bare_downs, 250.0 * scale);
}

fn memory(binary: &Path, counts: &Counts, table: &mut Table) {
    let bench = Bench::with_tasks(binary, counts.workers);
    bench.run(&["start", "--all"]);
    let status = bench.json(&["status", "--json"]);
    let workers = status.as_array().unwrap().iter().map(|task| parent(task["pid"].as_i64().expect("it runs")));
    let weights: Vec<u64> = workers.map(proportional_set_size).collect();
    let each = weights.iter().sum::<u64>() as f64 / weights.len() as f64;
    let lightest = weights.iter().min().unwrap();
    let weights = [format!("{each:.0} KiB"), format!("{lightest} KiB")];
    let what = format!("memory of an idle worker, {} running", counts.workers);
    table.row(what, weights, String::new(), "≤ 60 KiB".to_owned());
}

#[derive(Default)]
struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    fn command(&mut self, what: String, took: &Times, nothing: &Times, budget: Option<f64>) {
        let budget = budget.map(|budget| format!("≤ {} ms ({:.1} ×)", short(budget), budget / TRUE_OF_THE_BUDGETS));
        let times = [took.median(), took.least()].map(|time| format!("{time:.1} ms"));
        let ratio = format!("{:.1} × `/bin/true`", took.least() / nothing.least());
        self.row(what, times, ratio, budget.unwrap_or_else(|| "–".to_owned()));
    }

    fn many(&mut self, what: String, took: &Times, bare: &Times, budget: f64) {
        let times = [took.median(), took.least()].map(|time| format!("{time:.0} ms"));
        let ratio = format!("{:.1} × bare loop", took.least() / bare.least());
        self.row(what, times, ratio, format!("≤ {} ms", short(budget)));
    }

    fn row(&mut self, what: String, times: [String; 2], ratio: String, budget: String) {
        let [median, least] = times;
        self.rows.push([what, median, least, ratio, budget]);
    }

    /// As Markdown, so that it can be pasted as it is.
    fn print(&self) {
        println!("| what | median | least | ratio of the least | budget |\n| --- | --- | --- | --- | --- |");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}
