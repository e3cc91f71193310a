//! The figures of `keep-restarting`: how soon a killed task runs again, a thousand tasks up, down and killed at once,
//! what they weigh and what they cost while nothing happens. Beside a bare loop of `posix_spawn` and `waitpid`, and
//! beside runit and supervisord where they are installed. A figure counts as a ratio within one run; machines differ.
//!
//! ```text
//! cargo bench --bench supervisor               all of it, in about four minutes
//! cargo bench --bench supervisor -- --quick    tiny counts: does it work?
//! ```
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `JOBEXEC_BENCH_BINARY` | the binary that is measured | the static release build, else the release build, else one without its optimisations |
//! | `JOBEXEC_BENCH_ROUNDS` | tasks that are killed one by one | `30` |
//! | `JOBEXEC_BENCH_ALL` | tasks that are started, stopped and killed together | `1000` |
//! | `JOBEXEC_BENCH_PEERS` | the same of the other supervisors, which are slow | `100` |
//! | `JOBEXEC_BENCH_WORKERS` | tasks that are weighed, besides those | `50` |
//! | `JOBEXEC_BENCH_IDLE` | seconds for which nothing happens | `30` |
//! | `JOBEXEC_BENCH_FIRES` | fires of a schedule whose lateness is measured, one a second | `60` |

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
mod peers;
mod reports;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use ending::rest;
use measure::{Times, binary, number, on_processor, parent, proportional_set_size, times_asleep};
use peers::{Kind, Peer};
use reports::Reports;
use table::{Budget, Row, Table, precise};

/// A program that does nothing but wait.
const SLEEP: [&str; 2] = ["/bin/sleep", "100000"];

/// How many descriptors a session usually may have.
const DESCRIPTORS: u64 = 1024;

/// How long a run lasts that counts as a good one, and a little more.
const GOOD: Duration = Duration::from_millis(2300);

/// How long the machine rests between two of the same, so that none bears what another left to be done.
const REST: Duration = Duration::from_millis(250);

/// How many times the same is done with all tasks.
const TIMES: usize = 3;

fn main() -> ExitCode {
    ending::run(benchmark)
}

fn benchmark() {
    let counts = Counts {
        rounds: number("JOBEXEC_BENCH_ROUNDS", 30, 3),
        all: number("JOBEXEC_BENCH_ALL", 1000, 20),
        peers: number("JOBEXEC_BENCH_PEERS", 100, 5),
        workers: number("JOBEXEC_BENCH_WORKERS", 50, 5),
        idle: Duration::from_secs(number("JOBEXEC_BENCH_IDLE", 30, 1) as u64),
        times: if measure::is_quick() { 1 } else { TIMES },
        fires: number("JOBEXEC_BENCH_FIRES", 60, 3),
    };
    // As a session usually has it, whatever this one has.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(hard), hard).unwrap();
    let binary = binary();
    println!("measured: {}", binary.display());
    println!("bare: a loop of posix_spawn and waitpid; the others: with {} tasks where not said\n", counts.peers);
    let mut table = Table::new(&["runit", "supervisord"]);
    restart(&binary, &counts, &mut table);
    start_and_stop(&binary, &counts, &mut table);
    killed_at_once(&binary, &counts, &mut table);
    fires(&binary, &counts, &mut table);
    table.print();
}

/// How much of everything.
struct Counts {
    rounds: usize,
    all: usize,
    peers: usize,
    workers: usize,
    idle: Duration,
    times: usize,
    fires: usize,
}

/// An executor of its own with its supervisor; both that and what runs in it are stopped at the end.
struct Kept<'a> {
    binary: &'a Path,
    folder: tempfile::TempDir,
    /// The supervisor.
    pid: i32,
}

impl<'a> Kept<'a> {
    /// An executor with so many tasks of this command.
    fn with_tasks(binary: &'a Path, tasks: usize, command: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("jobexec-bench-").tempdir().unwrap();
        let command = Value::from(command(folder.path()));
        let mut registry = String::from("version = 1\nexec_id = \"bench\"\n");
        for at in 0..tasks {
            write!(registry, "\n[task.task-{at:05}]\ncommand = {command}\n").unwrap();
        }
        fs::write(folder.path().join("jobexec.toml"), registry).unwrap();
        let mut kept = Self { binary, folder, pid: 0 };
        kept.run(&["status"]);
        kept.run(&["keep-restarting", "--detach"]);
        let note = fs::read_to_string(kept.folder.path().join("supervisor.lock")).unwrap();
        kept.pid = note.strip_prefix("pid ").unwrap().trim().parse().unwrap();
        kept
    }

    /// As many sleepers.
    fn with_sleepers(binary: &'a Path, tasks: usize) -> Self {
        Self::with_tasks(binary, tasks, |_| SLEEP.map(str::to_owned).to_vec())
    }

    /// Tasks that report, all of them running, with their pids.
    fn with_reports(binary: &'a Path, tasks: usize) -> (Self, Reports, Vec<i32>) {
        let mut reports = None;
        let kept = Self::with_tasks(binary, tasks, |folder| {
            let pipe = Reports::new(folder);
            let script = pipe.script(folder).to_str().unwrap().to_owned();
            reports = Some(pipe);
            vec![script]
        });
        let mut reports = reports.unwrap();
        kept.run(&["start", "--all"]);
        let (pids, _) = reports.take(tasks);
        (kept, reports, pids)
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

    /// The workers, then the supervisor.
    fn processes(&self) -> Vec<i64> {
        let output = self.command(&["status", "--json"]).stdout(Stdio::piped()).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let scripts = status.as_array().unwrap().iter().map(|task| task["pid"].as_i64().expect("it runs"));
        scripts.map(parent).chain([i64::from(self.pid)]).collect()
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        for args in [["keep-restarting", "--stop"], ["stop", "--all"]] {
            let _ = self.command(&args).status();
        }
    }
}

/// What the system itself takes: scripts that this process spawns and waits for.
struct Bare {
    _folder: tempfile::TempDir,
    script: PathBuf,
    children: Vec<Child>,
    reports: Reports,
}

impl Bare {
    /// So many scripts, all of them running.
    fn with_reports(number: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("jobexec-bench-bare-").tempdir().unwrap();
        let reports = Reports::new(folder.path());
        let script = reports.script(folder.path());
        let mut bare = Self { _folder: folder, script, children: Vec::new(), reports };
        for _ in 0..number {
            bare.spawn();
        }
        bare.reports.take(number);
        bare
    }

    fn spawn(&mut self) {
        self.children.push(spawn(&[self.script.to_str().unwrap()]));
    }

    /// Kills one, waits for it, spawns another; how long until that has reported.
    fn restart(&mut self) -> Duration {
        let mut child = self.children.remove(0);
        let start = Instant::now();
        child.kill().unwrap();
        child.wait().unwrap();
        self.spawn();
        self.reports.next().1 - start
    }

    /// Kills all, and as each has ended spawns another; how long until all have reported.
    fn restart_all(&mut self) -> Duration {
        let mut children = std::mem::take(&mut self.children);
        let start = Instant::now();
        for child in &mut children {
            child.kill().unwrap();
        }
        for child in &mut children {
            child.wait().unwrap();
            self.spawn();
        }
        self.reports.take(children.len()).1 - start
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        end(&mut self.children);
    }
}

fn spawn(words: &[&str]) -> Child {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).spawn().unwrap()
}

fn end(children: &mut [Child]) {
    for child in &mut *children {
        let _ = child.kill();
    }
    for child in children {
        let _ = child.wait();
    }
}

/// Kills a script; how long until the next one has reported, whose pid takes its place.
fn kill_one(pid: &mut i32, reports: &mut Reports) -> Duration {
    let start = Instant::now();
    kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap();
    let (new, when) = reports.next();
    *pid = new;
    when - start
}

/// Kills all scripts; how long until as many others have reported, whose pids take their place.
fn kill_all(pids: &mut Vec<i32>, reports: &mut Reports) -> Duration {
    let start = Instant::now();
    for pid in &*pids {
        kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap();
    }
    let (new, when) = reports.take(pids.len());
    *pids = new;
    when - start
}

/// One task after another is killed, each after a good run; the supervisors take turns, so that all see the same
/// machine.
fn restart(binary: &Path, counts: &Counts, table: &mut Table) {
    let (_kept, mut reports, mut pids) = Kept::with_reports(binary, counts.rounds);
    let mut bare = Bare::with_reports(1);
    let mut peers = [Kind::Runit, Kind::Supervisord].map(|kind| kind.start(counts.rounds));
    rest(GOOD);
    let (mut ours, mut bares, mut others) = (Times::default(), Times::default(), [Times::default(), Times::default()]);
    for round in 0..counts.rounds {
        bares.push(bare.restart());
        rest(REST);
        ours.push(kill_one(&mut pids[round], &mut reports));
        rest(REST);
        for (peer, times) in peers.iter_mut().zip(&mut others) {
            if let Some(Peer { pids, reports, .. }) = peer {
                times.push(kill_one(&mut pids[round], reports));
                rest(REST);
            }
        }
    }
    let others: Vec<Option<Times>> =
        peers.iter().zip(others).map(|(peer, times)| peer.as_ref().map(|_| times)).collect();
    for (which, of, target) in [("median", Times::median as fn(&Times) -> f64, 2.0), ("p95", Times::p95, 10.0)] {
        let what = format!("killed after a good run → first action, {which} of {}", counts.rounds);
        let row = Row::new(what, "ms", of(&ours)).beside(of(&bares)).within(Budget::Within(target));
        table.push(row.peers(&others, |times| format!("{} ms", precise(of(times)))));
    }
}

/// All tasks up and down by command with a supervisor watching, their weight, and what they cost while they wait.
fn start_and_stop(binary: &Path, counts: &Counts, table: &mut Table) {
    let (mut ups, mut downs, mut bare_ups, mut bare_downs) =
        (Times::default(), Times::default(), Times::default(), Times::default());
    let kept = Kept::with_sleepers(binary, counts.all);
    for _ in 0..counts.times {
        let start = Instant::now();
        let mut sleepers: Vec<Child> = (0..counts.all).map(|_| spawn(&SLEEP)).collect();
        bare_ups.push(start.elapsed());
        let start = Instant::now();
        end(&mut sleepers);
        bare_downs.push(start.elapsed());
        ups.push(kept.run(&["start", "--all"]));
        rest(GOOD);
        downs.push(kept.run(&["stop", "--all"]));
        rest(REST);
    }
    kept.run(&["start", "--all"]);
    rest(GOOD);
    let few = Kept::with_sleepers(binary, counts.workers);
    few.run(&["start", "--all"]);
    rest(GOOD);
    let (few_weigh, all_weigh) = (weight(&few.processes()), weight(&kept.processes()));
    drop(few);
    let idle = Idle::of(&kept.processes(), counts.idle);

    let peers = [Kind::Runit, Kind::Supervisord].map(|kind| {
        let mut peer = kind.start(counts.peers)?;
        rest(GOOD);
        let processes = peer.processes();
        let weight = weight(&processes) / counts.peers as f64;
        let idle = Idle::of(&processes, counts.idle);
        Some((peer.up, weight, idle, peer.stop()))
    });
    let scale = counts.all as f64 / 1000.0;
    let what = format!("`start --all`, {} tasks, until all are up", counts.all);
    let row = Row::new(what, "ms", ups.median()).beside(bare_ups.median()).within(Budget::Within(1000.0 * scale));
    table.push(row.peers(&peers, |(up, ..)| format!("{:.0} ms", up.as_secs_f64() * 1e3)));
    let what = format!("`stop --all`, {} tasks, until nothing is left", counts.all);
    let row = Row::new(what, "ms", downs.median()).beside(bare_downs.median()).within(Budget::Within(250.0 * scale));
    table.push(row.peers(&peers, |(_, _, _, down)| format!("{:.0} ms", down.as_secs_f64() * 1e3)));
    for (tasks, weight) in [(counts.workers, few_weigh), (counts.all, all_weigh)] {
        let budget = if tasks == counts.all { Budget::AtMost(60.0) } else { Budget::None };
        let what = format!("memory per running task, of {tasks}, everything");
        let row = Row::new(what, "KiB", weight / tasks as f64).within(budget);
        table.push(row.peers(&peers, |(_, weight, ..)| format!("{} KiB", precise(*weight))));
    }
    let what = format!("idle, {} tasks, {} s", counts.all, counts.idle.as_secs());
    let row = Row::new(what, "%", idle.percent).within(Budget::AtMost(0.02));
    table.push(row.peers(&peers, |(_, _, idle, _)| format!("{:.4} %", idle.percent)));
    let what = format!("wake-ups meanwhile, of which {} of the supervisor", idle.last);
    table.push(Row::new(what, "", idle.woken as f64).peers(&peers, |(_, _, idle, _)| idle.woken.to_string()));
}

/// All scripts killed at once.
fn killed_at_once(binary: &Path, counts: &Counts, table: &mut Table) {
    let (kept, mut reports, mut pids) = Kept::with_reports(binary, counts.all);
    let mut bare = Bare::with_reports(counts.all);
    let (mut ours, mut bares) = (Times::default(), Times::default());
    for _ in 0..counts.times {
        rest(GOOD);
        bares.push(bare.restart_all());
        rest(GOOD);
        ours.push(kill_all(&mut pids, &mut reports));
    }
    rest(GOOD);
    drop((kept, bare));
    let peers = [Kind::Runit, Kind::Supervisord].map(|kind| {
        let mut peer = kind.start(counts.peers)?;
        rest(GOOD);
        Some(kill_all(&mut peer.pids, &mut peer.reports))
    });
    let row = Row::new(format!("all {} killed at once → all up again", counts.all), "ms", ours.median());
    table.push(row.beside(bares.median()).peers(&peers, |time| format!("{:.0} ms", time.as_secs_f64() * 1e3)));
}

/// How long after its moment a script runs that fires every second.
fn fires(binary: &Path, counts: &Counts, table: &mut Table) {
    let kept = Kept::with_tasks(binary, 0, |_| Vec::new());
    kept.run(&["add", "fires", "--period", "1 s", "--", "/bin/true"]);
    kept.run(&["start", "fires"]);
    rest(Duration::from_secs(counts.fires as u64 + 2));
    let number = counts.fires.to_string();
    let output = kept.command(&["history", "fires", "-n", &number, "--json"]).stdout(Stdio::piped()).output().unwrap();
    let runs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut late = Times::default();
    for run in runs.as_array().unwrap() {
        late.push(Duration::from_secs_f64(run["late"].as_f64().expect("each has run")));
    }
    for (which, of) in [("median", Times::median as fn(&Times) -> f64), ("p95", Times::p95)] {
        let what = format!("fire → script runs, {which} of {}", counts.fires);
        table.push(Row::new(what, "ms", of(&late)).within(Budget::Within(20.0)));
    }
}

/// The proportional set sizes of all of these, in KiB.
fn weight(processes: &[i64]) -> f64 {
    processes.iter().map(|pid| proportional_set_size(*pid)).sum::<u64>() as f64
}

/// What processes cost while nothing happens.
struct Idle {
    /// Of one processor.
    percent: f64,
    /// How often any of them was woken.
    woken: u64,
    /// How often the last of them was.
    last: u64,
}

impl Idle {
    fn of(processes: &[i64], duration: Duration) -> Self {
        let time = || processes.iter().map(|pid| on_processor(*pid)).sum::<Duration>();
        let woken = || processes.iter().map(|pid| times_asleep(*pid)).collect::<Vec<_>>();
        let (start, time_before, woken_before) = (Instant::now(), time(), woken());
        rest(duration);
        let (took, time_after, woken_after) = (start.elapsed(), time(), woken());
        let woken: Vec<u64> = woken_after.iter().zip(woken_before).map(|(after, before)| after - before).collect();
        Self {
            percent: time_after.saturating_sub(time_before).as_secs_f64() / took.as_secs_f64() * 100.0,
            last: *woken.last().unwrap(),
            woken: woken.iter().sum(),
        }
    }
}
