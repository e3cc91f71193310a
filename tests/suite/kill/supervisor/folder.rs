//! Tasks whose scripts write down what becomes of them, and a supervisor that is sure to end with its test.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, mkfifo};

use crate::suite::env::{TestEnv, kill, until};

/// The beginning of every script: whoever is alive at the same time as another of its task is found out by a lock that
/// lasts as long as any of its processes. `say` puts out a line and notes that it has; `ends` and `dies` note an end
/// before it comes.
const HEAD: &str = r#"#!/bin/sh
exec 2> /dev/null 9>> "lock.$JOBEXEC_TASK"
flock -n 9
[ $? = 1 ] && echo "$JOBEXEC_TASK $JOBEXEC_RUN_ID" >> violations
echo "$JOBEXEC_RUN_ID $JOBEXEC_TASK $$" >> instances
n=0
say() { n=$((n + 1)); echo "$JOBEXEC_RUN_ID $n"; echo "$JOBEXEC_RUN_ID $n" >> said; }
ends() { echo "$JOBEXEC_RUN_ID $1" >> ends; exit "$1"; }
dies() { echo "$JOBEXEC_RUN_ID SIG$1" >> ends; kill -"$1" $$; }
first() { [ "$(grep -c " $JOBEXEC_TASK " instances)" = 1 ]; }
say
"#;

/// What stays until somebody ends it.
pub(super) const STAYS: &str = "exec sleep 600";

/// Ends with 7 the first time, and stays the second.
pub(super) const FAILS_ONCE: &str = "first && ends 7\nexec sleep 600";

/// Ends with 7 when it is told to.
pub(super) const TOLD: &str = "read x < go\nends 7";

/// The flags of a task that is soon started again after a short run.
pub(super) const SOON: [&str; 8] =
    ["--backoff-first", "20ms", "--backoff-max", "200ms", "--stop-grace", "100ms", "--keep", "1000000"];

/// A run of a script, as it wrote it down itself.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) run: String,
    pub(super) task: String,
    pub(super) pid: i32,
}

/// An executor with such tasks.
pub(super) struct Folder {
    pub(super) env: TestEnv,
    supervisors: Cell<usize>,
}

impl Folder {
    pub(super) fn new() -> Self {
        let env = TestEnv::new();
        env.ringers_are_killed();
        mkfifo(&env.dir().join("go"), Mode::S_IRWXU).unwrap();
        Self { env, supervisors: Cell::new(0) }
    }

    /// With tasks of these names and scripts.
    pub(super) fn with(tasks: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        tasks.iter().for_each(|(name, script)| folder.add(name, script, &[]));
        folder
    }

    /// Adds a task.
    pub(super) fn add(&self, name: &str, script: &str, flags: &[&str]) {
        let file = format!("{name}.sh");
        self.env.script(&file, &format!("{HEAD}{script}\n"));
        self.env.ok(&[&["add", name, &file], SOON.as_slice(), flags].concat());
    }

    /// Starts a task by command and waits for its script.
    pub(super) fn start(&self, task: &str) {
        let before = self.instances_of(task).len();
        self.env.ok(&["start", task]);
        until("its script", || self.instances_of(task).len() > before);
    }

    /// The command of a supervisor.
    pub(super) fn keep(&self) -> Command {
        self.env.command(&["keep-restarting", "--sleep", "200ms", "-v"])
    }

    /// A supervisor that has looked at everything.
    pub(super) fn supervise(&self) -> Supervisor {
        let supervisor = self.spawn_supervisor();
        until("the supervisor to begin", || supervisor.has_begun());
        supervisor
    }

    pub(super) fn spawn_supervisor(&self) -> Supervisor {
        let diary = self.env.dir().join(format!("diary-{}", self.supervisors.replace(self.supervisors.get() + 1)));
        let child = self.keep().stdout(Stdio::null()).stderr(fs::File::create(&diary).unwrap()).spawn().unwrap();
        let mut supervisor = Supervisor::of(Pid::from_raw(i32::try_from(child.id()).unwrap()));
        supervisor.diary = diary;
        supervisor
    }

    /// Tells the script that reads the pipe to go on. Opening it waits for the reader.
    pub(super) fn tell(&self) {
        fs::write(self.env.dir().join("go"), "\n").unwrap();
    }

    /// The lines of a file that scripts write, the last one only if it is whole.
    pub(super) fn lines(&self, file: &str) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.env.dir().join(file)).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        whole.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// Every run of a script so far, in order.
    pub(super) fn instances(&self) -> Vec<Instance> {
        let lines = self.lines("instances").into_iter();
        lines
            .map(|line| Instance { run: line[0].clone(), task: line[1].clone(), pid: line[2].parse().unwrap() })
            .collect()
    }

    pub(super) fn instances_of(&self, task: &str) -> Vec<Instance> {
        self.instances().into_iter().filter(|instance| instance.task == task).collect()
    }

    /// The ends that scripts noted, by run.
    pub(super) fn ends(&self) -> BTreeMap<String, String> {
        self.lines("ends").into_iter().map(|line| (line[0].clone(), line[1].clone())).collect()
    }

    /// The names of the records that lie there, without that of a worker which waits to be needed.
    pub(super) fn records(&self) -> Vec<String> {
        let entries = fs::read_dir(self.env.file("runs")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !self.is_spare(name)).collect()
    }

    fn is_spare(&self, record: &str) -> bool {
        let line = format!("runs/{record}\0spare\0");
        let waits = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it.ends_with(&line));
        !self.is_on_record(record, "starting") && self.env.processes().iter().any(waits)
    }

    /// Whether the record of a run has this entry.
    pub(super) fn is_on_record(&self, run: &str, entry: &str) -> bool {
        self.env.read(&format!("runs/{run}")).contains(&format!("\"at\":\"{entry}\""))
    }
}

/// A supervisor that runs; it is killed when nobody has ended it.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) pid: Pid,
    /// Its own diary, if it is known.
    diary: PathBuf,
    ended: Cell<Option<WaitStatus>>,
}

impl Supervisor {
    pub(super) fn of(pid: Pid) -> Self {
        Self { pid, diary: PathBuf::new(), ended: Cell::new(None) }
    }

    pub(super) fn diary(&self) -> String {
        fs::read_to_string(&self.diary).unwrap_or_default()
    }

    /// Whether it has looked at everything.
    pub(super) fn has_begun(&self) -> bool {
        self.diary().lines().any(|line| line.ends_with("everything has been looked at"))
    }

    /// Kills it.
    pub(super) fn kill(&self) {
        kill(self.pid.as_raw(), 9);
        self.wait();
    }

    /// Asks it to end; its exit code.
    pub(super) fn term(&self) -> Option<i32> {
        kill(self.pid.as_raw(), Signal::SIGTERM as i32);
        match self.wait() {
            WaitStatus::Exited(_, code) => Some(code),
            _ => None,
        }
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        let status = waitpid(self.pid, Some(WaitPidFlag::WNOHANG)).unwrap();
        if status != WaitStatus::StillAlive {
            self.ended.set(Some(status));
        }
        self.ended.get().is_some()
    }

    fn wait(&self) -> WaitStatus {
        let status = self.ended.get().unwrap_or_else(|| waitpid(self.pid, None).unwrap());
        self.ended.set(Some(status));
        status
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.ended.get().is_none() {
            self.kill();
        }
    }
}
