//! One executor for one test: a temporary folder, a clean environment, and no process of it alive afterwards.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The variable that every process of a test carries, and that scripts hand on.
pub const MARKER: &str = "TEST_ENV_MARKER";

/// How long a test waits for what must come. Generous: it is no measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(60);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The surroundings of one test.
pub struct TestEnv {
    temp: tempfile::TempDir,
    marker: String,
    ringers_are_killed: Cell<bool>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl TestEnv {
    pub fn new() -> Self {
        Self::with_prefix("jobexec-test-")
    }

    /// As [`TestEnv::new`], in a temporary folder whose name begins so.
    pub fn with_prefix(prefix: &str) -> Self {
        let temp = tempfile::Builder::new().prefix(prefix).tempdir().unwrap();
        let marker = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { temp, marker, ringers_are_killed: Cell::new(false) }
    }

    /// The directory that commands run in; scripts lie here.
    pub fn dir(&self) -> &Path {
        self.temp.path()
    }

    /// The executor's folder.
    pub fn folder(&self) -> PathBuf {
        self.temp.path().join("executor")
    }

    /// A file in the executor's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// What a file in the executor's folder says.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Writes an executable script into the directory.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        self.write(name, text, 0o755)
    }

    /// Writes a file with a mode into the directory.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// The binary with a clean environment.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobexec"));
        command.args(args);
        self.clean(&mut command);
        command
    }

    /// Gives any command this test's environment.
    pub fn clean(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir())
            .env("TZ", "UTC")
            .env("LANG", "C.UTF-8")
            .env("JOBEXEC_FOLDER", self.folder())
            .env(MARKER, &self.marker)
            .current_dir(self.dir())
            .stdin(Stdio::null());
    }

    /// Runs the binary.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Said {
        let output = self.command(args).output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the binary, which must succeed.
    #[track_caller]
    pub fn ok<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S]) -> Said {
        self.fails(0, args)
    }

    /// Runs the binary, which must end with this exit code.
    #[track_caller]
    pub fn fails<S: AsRef<OsStr> + std::fmt::Debug>(&self, code: i32, args: &[S]) -> Said {
        let said = self.run(args);
        assert_eq!(said.code, code, "{args:?} said {said:?}");
        said
    }

    /// Runs a reading command with `--json`.
    #[track_caller]
    pub fn json<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S]) -> Value {
        let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).chain([OsStr::new("--json")]).collect();
        let said = self.run(&args);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{args:?}: {error}; said {said:?}"))
    }

    /// The status of one task.
    #[track_caller]
    pub fn status(&self, task: &str) -> Value {
        self.json(&["status", task])
    }

    /// The state of one task.
    #[track_caller]
    pub fn state(&self, task: &str) -> String {
        self.status(task)["state"].as_str().unwrap().to_owned()
    }

    /// Waits until a task is in this state.
    #[track_caller]
    pub fn wait_for_state(&self, task: &str, state: &str) {
        until(&format!("{task} to be {state}"), || self.state(task) == state);
    }

    /// The runs of a task, newest first.
    #[track_caller]
    pub fn history(&self, task: &str) -> Vec<Value> {
        self.json(&["history", task, "-n", "1000"]).as_array().unwrap().clone()
    }

    /// The living processes of this test: those that carry its marker, and the workers and supervisors of its folder.
    pub fn processes(&self) -> Vec<i32> {
        let mark = format!("{MARKER}={}", self.marker);
        let folder = self.temp.path().to_str().unwrap();
        let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let read = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
            let marked = read("environ").split(|b| *b == 0).any(|variable| variable == mark.as_bytes());
            let line = String::from_utf8_lossy(&read("cmdline")).into_owned();
            let door = ["--jobexec-worker", "--jobexec-supervisor"].into_iter().any(|door| line.contains(door));
            (marked || (door && line.contains(folder))) && alive(*pid)
        })
        .collect()
    }

    /// From now on somebody may be killed between a commit and the bell: then the safety net is there for that.
    pub fn ringers_are_killed(&self) {
        self.ringers_are_killed.set(true);
    }

    /// Whether somebody may be killed between a commit and the bell.
    pub fn are_ringers_killed(&self) -> bool {
        self.ringers_are_killed.get()
    }

    /// No supervisor of this test may have panicked, or may have learnt of anything by its safety net.
    fn check_diaries(&self) {
        for name in ["supervisor.log", "supervisor.log.1"] {
            let diary = self.read(name);
            let missed = diary.contains("safety net") && !self.are_ringers_killed();
            let bad = missed || diary.contains("panicked");
            assert!(!bad || std::thread::panicking(), "the diary of the supervisor:\n{diary}");
        }
    }

    /// The pid of the worker of a task's run.
    pub fn worker_of(&self, task: &str) -> i32 {
        let script = self.status(task)["pid"].as_i64().expect("the task runs");
        parent(i32::try_from(script).unwrap())
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        let start = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() {
                return self.check_diaries();
            }
            for pid in left {
                kill(pid, 9);
            }
            if start.elapsed() > PATIENCE {
                // A panic here would abort the whole suite when the test itself has panicked.
                eprintln!("processes of {} survive: {:?}", self.marker, self.processes());
                assert!(std::thread::panicking(), "processes survive the test");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits until something is true.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a run whose worker was killed says the truth: that its end was not seen, or, where somebody has not waited
/// for its process yet, how that ended: `exit` is the code, or the name of the signal.
pub fn is_unseen_or(run: &Value, exit: &Value) -> bool {
    let told = if run["signal"].is_null() { &run["exit_code"] } else { &run["signal"] };
    if run["outcome"] == "lost" { told.is_null() } else { told == exit }
}

/// Sends a signal.
pub fn kill(pid: i32, signal: i32) {
    let signal = nix::sys::signal::Signal::try_from(signal).unwrap();
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Whether a process exists and is more than a zombie.
pub fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z")
}

/// The parent of a process.
pub fn parent(pid: i32) -> i32 {
    stat(pid).and_then(|fields| fields[1].parse().ok()).unwrap_or(0)
}

fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}
