//! The report of a night as data: what was found, most urgent first, and nothing about how it is told.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::name::{JobId, RunId, TaskName};
use crate::home::disk::DiskUse;
use crate::store::night::{Missed, Queued, Undelivered};
use crate::store::runs::Kind;

/// With less than this, and less than this part, left of it, a file system is nearly full.
const LOW: u64 = 2 << 30;
const LOW_PART: u64 = 20;

/// What happened between two moments.
#[derive(Debug, Clone)]
pub struct Night {
    /// The moment that is looked back to.
    pub since: Timestamp,
    /// The moment of the report.
    pub now: Timestamp,
    /// The executor's id; none where there is no executor yet.
    pub exec_id: Option<String>,
    /// What is wrong now, most urgent first; what was wrong before already comes last.
    pub wrong: Vec<Wrong>,
    /// Messages that have not reached anybody.
    pub messages: Vec<Message>,
    /// What failed, in the order in which it did first.
    pub failed: Vec<Failure>,
    /// What failed and is well again.
    pub recovered: Vec<Recovery>,
    /// What took much longer than usual, the worst first.
    pub slow: Vec<Slow>,
    /// What is wanted or scheduled and has not run.
    pub never: Vec<Never>,
    /// What was to run by a schedule and was missed.
    pub missed: Vec<Missed>,
    /// What ran.
    pub ran: Vec<Ran>,
    /// What became of queued jobs.
    pub queued: Queued,
    /// Whether somebody watched over it.
    pub supervision: Supervision,
    /// What it takes of the disk; none where there is no executor yet.
    pub disk: Option<Disk>,
}

impl Night {
    /// The report of a folder in which there is nothing.
    pub fn empty(since: Timestamp, now: Timestamp) -> Self {
        Self {
            since,
            now,
            exec_id: None,
            wrong: Vec::new(),
            messages: Vec::new(),
            failed: Vec::new(),
            recovered: Vec::new(),
            slow: Vec::new(),
            never: Vec::new(),
            missed: Vec::new(),
            ran: Vec::new(),
            queued: Queued::default(),
            supervision: Supervision::default(),
            disk: None,
        }
    }

    /// Whether nothing failed and nothing is wrong.
    pub fn is_good(&self) -> bool {
        let room = !self.disk.as_ref().is_some_and(Disk::is_low);
        let queued = self.queued.failed == 0 && self.queued.blocked == 0;
        self.failed.is_empty() && self.wrong.is_empty() && self.messages.is_empty() && queued && room
    }
}

/// What can be wrong with a task, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// It fails again and again.
    CrashLooping,
    /// It failed so often that it is no longer started.
    GivenUp,
    /// It failed, and nothing will happen by itself.
    Failed,
    /// It is wanted and does not run, and no supervisor is there to change that.
    Unsupervised,
    /// It runs and shows no sign of life.
    Stalled,
    /// It runs, and nobody will know how it ends.
    Orphaned,
    /// It failed and waits for its next attempt.
    Waiting,
}

impl Trouble {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrashLooping => "crash-looping",
            Self::GivenUp => "given up",
            Self::Failed => "failed",
            Self::Unsupervised => "unsupervised",
            Self::Stalled => "stalled",
            Self::Orphaned => "orphaned",
            Self::Waiting => "waiting",
        }
    }
}

/// A task with which something is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The task.
    pub task: TaskName,
    /// What it is.
    pub what: Trouble,
    /// Since when.
    pub since: Option<Timestamp>,
    /// How its last run ended, in words.
    pub reason: Option<String>,
    /// When it is tried again.
    pub next: Option<Timestamp>,
    /// How often it has failed in this time.
    pub failures: u64,
    /// Its newest job, where that failed by a hook or a transfer.
    pub job: Option<JobId>,
    /// Whether it was so before this time already, and has not failed in it.
    pub before: bool,
}

/// A message that has not reached anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message.
    pub notice: Undelivered,
    /// Why the last attempt failed, where that was in this time.
    pub reason: Option<String>,
}

/// The failures of a task: the first in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The task.
    pub task: TaskName,
    /// When it failed first.
    pub first: Timestamp,
    /// When it failed last.
    pub last: Timestamp,
    /// How often it failed.
    pub failures: u64,
    /// The job that failed first.
    pub job: JobId,
    /// What failed: `main` for the task itself, a hook, `transfer`.
    pub kind: String,
    /// The run that failed; none for a transfer that could not even begin.
    pub run: Option<RunId>,
    /// How that ended, as a word.
    pub outcome: String,
    /// The same in words.
    pub reason: Option<String>,
    /// The last lines of its output.
    pub output: Vec<String>,
}

impl Failure {
    /// Whether no run of the task itself is what failed: a hook, or a transfer.
    pub fn is_besides(&self) -> bool {
        self.kind != Kind::Main.as_str()
    }
}

/// How one sees that a task is well again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A run ended with success.
    Succeeded,
    /// It runs.
    Running,
    /// A crash loop was called over.
    LoopEnded,
}

impl How {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Running => "running",
            Self::LoopEnded => "loop_ended",
        }
    }
}

/// A crash loop that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loop {
    /// When it began, where that was in this time.
    pub began: Option<Timestamp>,
    /// When it was over.
    pub ended: Timestamp,
}

/// A task that failed and is well again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The task.
    pub task: TaskName,
    /// How often it had failed in this time.
    pub failures: u64,
    /// When it failed last in this time.
    pub last_failure: Option<Timestamp>,
    /// How one sees it.
    pub how: How,
    /// When it succeeded, or since when it runs.
    pub at: Timestamp,
    /// Its last crash loop that ended in this time.
    pub crash_loop: Option<Loop>,
}

/// A task that took, or is taking, much longer than usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    /// The task.
    pub task: TaskName,
    /// How long its slowest run took, or has been taking.
    pub lasted: Duration,
    /// How long a successful one usually takes.
    pub usual: Duration,
    /// When that run ended; none while it goes on.
    pub ended: Option<Timestamp>,
    /// How it ended, as a word.
    pub outcome: Option<String>,
    /// How many runs were so slow.
    pub count: u64,
}

impl Slow {
    /// How many times as long as usual.
    pub fn factor(&self) -> f64 {
        self.lasted.as_secs_f64() / self.usual.as_secs_f64().max(f64::EPSILON)
    }
}

/// A task that is wanted or scheduled and has not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Never {
    /// The task.
    pub task: TaskName,
    /// Whether it is wanted; a scheduled task that is not has never been armed.
    pub wanted: bool,
    /// Its schedule as written, if it has one.
    pub schedule: Option<String>,
    /// When it ran last, before this time.
    pub last_end: Option<Timestamp>,
}

/// What the runs of a task come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The task.
    pub task: TaskName,
    /// How many runs there were, what goes on included.
    pub runs: u64,
    /// How often it failed.
    pub failures: u64,
    /// How many were not the first attempt at their job.
    pub restarts: u64,
    /// The time that was spent in them, as far as it lies in this time.
    pub total: Duration,
    /// The longest of them, all of it.
    pub longest: Option<Duration>,
    /// The highest peak of memory, in bytes.
    pub memory: Option<u64>,
    /// The last end.
    pub last_end: Option<Timestamp>,
    /// Whether it runs now.
    pub running: bool,
}

/// Whether somebody watched over it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Supervision {
    /// Whether a supervisor is there now.
    pub running: bool,
    /// The pid of the one that is there, or was there last.
    pub pid: Option<i32>,
    /// Where it was started.
    pub place: Option<String>,
    /// Since when it is there, or was.
    pub since: Option<Timestamp>,
    /// How often one was started in this time.
    pub starts: u64,
    /// When nobody was there in this time: from, until (none: still so).
    pub absent: Vec<(Timestamp, Option<Timestamp>)>,
    /// When one was found to have gone without a word: at the start of the next, or (none) now.
    pub vanished: Vec<Option<Timestamp>>,
}

/// What the folder takes of the disk.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The folder.
    pub folder: PathBuf,
    /// What it takes.
    pub used: DiskUse,
    /// The tasks with output, the largest first.
    pub tasks: Vec<TaskOutput>,
}

impl Disk {
    /// Whether the file system is nearly full.
    pub fn is_low(&self) -> bool {
        self.used.free.is_some_and(|(free, size)| free < LOW && free < size / LOW_PART)
    }
}

/// The output of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOutput {
    /// The task.
    pub task: String,
    /// What its output takes.
    pub bytes: u64,
}
