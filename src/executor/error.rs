//! What can go wrong with a verb. Each names the thing; the way out is [`ExecutorError::hint`].

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::domain::item::SlotError;
use crate::domain::lifecycle::IllegalMove;
use crate::domain::name::{JobId, TaskName};
use crate::domain::params::{self, ParamError, RenderError};
use crate::domain::resources::{HeldLock, NeverFits};
use crate::domain::schedule::ScheduleError;
use crate::domain::selection::SelectionError;
use crate::home::HomeError;
use crate::home::lock::LockError;
use crate::ledger::LedgerError;
use crate::process::environment::EnvFileError;
use crate::process::launch::LaunchError;
use crate::process::record::RecordError;
use crate::process::tail::TailError;
use crate::registry::file::FileError;
use crate::registry::{EditError, Mistakes};
use crate::store::StoreError;

use super::order::OrderError;
use super::staging::StagingError;

/// Why a verb failed.
#[derive(Debug, Error)]
pub enum ExecutorError {
    /// The folder cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry's file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The registry has mistakes.
    #[error("{}", in_file(path, mistakes))]
    Registry {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        mistakes: Mistakes,
    },
    /// A command's own values would make a mistake of the registry; nothing was changed.
    #[error("that would be a mistake in the registry: {}", .0.iter().map(|m| m.problem.to_string()).collect::<Vec<_>>().join("; "))]
    WouldBeMistaken(Mistakes),
    /// The registry cannot be edited so.
    #[error(transparent)]
    Edit(EditError),
    /// A lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No such task.
    #[error("no task named `{name}`")]
    NoSuchTask {
        /// The name that was given.
        name: TaskName,
        /// One that may have been meant.
        nearest: Option<String>,
    },
    /// The task's definition is gone from the registry.
    #[error("`{0}` is no longer in the registry")]
    NotDefined(TaskName),
    /// A running task is not removed.
    #[error("`{0}` is running")]
    Running(TaskName),
    /// A task could not be started.
    #[error("cannot start `{task}`")]
    Start {
        /// The task.
        task: TaskName,
        /// Why.
        source: Box<StartError>,
    },
    /// A task's schedule cannot be used.
    #[error("cannot tell when `{task}` fires")]
    Schedule {
        /// The task.
        task: TaskName,
        /// What is wrong with it.
        source: Box<ScheduleError>,
    },
    /// A run's record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An output file cannot be read.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// No run of that number.
    #[error("`{task}` has no run {run}; it has had {count}")]
    NoSuchRun {
        /// The task.
        task: TaskName,
        /// What was asked for.
        run: i64,
        /// How many there are.
        count: usize,
    },
    /// A job cannot be made as it was asked for; none was.
    #[error("cannot submit {}", named(task.as_ref()))]
    Order {
        /// Its task; none for a command of its own.
        task: Option<TaskName>,
        /// Why.
        source: Box<OrderError>,
    },
    /// A file says something else than what is there; nothing was changed.
    #[error("{} from what is there: {}", if what.len() == 1 { "one thing differs" } else { "some things differ" }, what.join(", "))]
    Differs {
        /// What differs.
        what: Vec<String>,
    },
    /// A job needs what this machine will never have.
    #[error(transparent)]
    NeverFits(#[from] NeverFits),
    /// What is to be transferred for a job cannot be.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// A job's file of variables cannot be used.
    #[error(transparent)]
    EnvFile(#[from] EnvFileError),
    /// A selection of jobs makes no sense.
    #[error("{0}")]
    Selection(#[from] SelectionError),
    /// No such job.
    #[error("no job {0}")]
    NoSuchJob(JobId),
    /// A job was removed from the record while it was waited for.
    #[error("job {0} was deleted")]
    JobDeleted(JobId),
    /// A job is to be run again while one that waited for it runs.
    #[error("job {job} cannot be run again while job {follower}, which follows it, runs")]
    FollowerRuns {
        /// The job.
        job: JobId,
        /// The one that runs.
        follower: JobId,
    },
    /// A move that a job cannot make.
    #[error(transparent)]
    Move(#[from] IllegalMove),
    /// A job's directory cannot be made.
    #[error("cannot make the directory `{}`", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system refused something.
    #[error("cannot {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// Why one task could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// It cannot be run as it stands; nothing was recorded.
    #[error(transparent)]
    Refused(#[from] LaunchErrorWithHint),
    /// Its file of variables cannot be used; nothing was recorded.
    #[error(transparent)]
    EnvFile(#[from] EnvFileError),
    /// It must be given values, which a start cannot do; nothing was recorded.
    #[error("{}", params::all(.0))]
    Values(Vec<ParamError>),
    /// Its placeholders cannot be filled in; nothing was recorded.
    #[error(transparent)]
    Fill(#[from] RenderError),
    /// What is to be transferred for it cannot be; nothing was recorded.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// It was tried; that is on record as a run that could not start.
    #[error("{0}")]
    CouldNotStart(String),
    /// Our own part failed; nothing was started.
    #[error("{0}")]
    Worker(String),
    /// Another run of it has not ended: it runs where we may not judge.
    #[error("a run of it is on record as started on another machine or in another container")]
    Elsewhere,
    /// Its run is being stopped.
    #[error("it is being stopped")]
    Stopping,
    /// A lock that it needs is held; nothing was recorded.
    #[error(transparent)]
    Locked(#[from] HeldLock),
    /// Its worker has been started and has not answered for long.
    #[error("its worker has not answered yet")]
    Slow,
    /// A script asks to restart its own task: the request would die with it.
    #[error("it cannot be restarted from inside its own script")]
    Itself,
    /// Its former worker is dead, but something of its run is alive.
    #[error("an orphaned run of it is still alive (pid {})", pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Orphaned {
        /// The processes that are left.
        pids: Vec<i32>,
    },
}

fn named(task: Option<&TaskName>) -> String {
    task.map_or_else(|| "the command".to_owned(), |task| format!("`{task}`"))
}

/// A refusal with what to do about it.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct LaunchErrorWithHint {
    /// The refusal.
    pub error: LaunchError,
    /// What to do about it.
    pub hint: Option<String>,
}

impl From<io::Error> for ExecutorError {
    fn from(source: io::Error) -> Self {
        Self::System { doing: "ask the system", source }
    }
}

impl From<LedgerError> for ExecutorError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => Self::Store(error),
            LedgerError::Move(error) => Self::Move(error),
            LedgerError::NoSuchParent(job) => Self::NoSuchJob(job),
            LedgerError::FollowerRuns { job, follower } => Self::FollowerRuns { job, follower },
        }
    }
}

impl From<EditError> for ExecutorError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Mistakes(mistakes) => Self::WouldBeMistaken(mistakes),
            EditError::Exists(_) | EditError::Unknown(_) => Self::Edit(error),
        }
    }
}

impl ExecutorError {
    /// The ways out, as imperatives.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Home(error) => error.hint().into_iter().collect(),
            // Of several in a file each has its own beside it.
            Self::Registry { mistakes, .. } if mistakes.iter().count() > 1 => Vec::new(),
            Self::Registry { mistakes, .. } | Self::WouldBeMistaken(mistakes) => {
                let mut hints = Vec::new();
                for hint in mistakes.iter().filter_map(|mistake| mistake.hint.as_ref()) {
                    // The same slip in ten tasks needs one hint.
                    if !hints.contains(hint) {
                        hints.push(hint.clone());
                    }
                }
                hints
            }
            Self::NoSuchTask { nearest: Some(nearest), .. } => vec![format!("did you mean `{nearest}`?")],
            Self::NoSuchTask { .. } => vec!["see `jobexec list` for the names".to_owned()],
            Self::NotDefined(name) => vec![format!("add it again with `jobexec add {name} …`")],
            Self::Running(name) => {
                vec![format!("stop it first with `jobexec stop {name}`, or use `jobexec remove {name} --stop`")]
            }
            Self::Start { source, task } => match source.as_ref() {
                StartError::Refused(refused) => refused.hint.iter().cloned().collect(),
                StartError::Orphaned { .. } => vec![format!("stop it first with `jobexec stop {task}`")],
                StartError::Locked(held) => vec![held.hint()],
                StartError::Stopping => vec![format!("use `jobexec restart {task}`, which waits for its end")],
                StartError::Slow => vec![format!("see `jobexec status {task}` for what becomes of it")],
                StartError::Itself => vec!["let the script end: a kept-alive task is started again".to_owned()],
                StartError::Values(errors) => {
                    let hint = |error: &ParamError| match error {
                        ParamError::Missing { name, .. } => {
                            format!("{}, or give it to a queued job: `jobexec submit {task} -p {name}=…`", error.hint())
                        }
                        ParamError::Unknown { .. } | ParamError::Value { .. } => error.hint(),
                    };
                    errors.iter().map(hint).collect()
                }
                StartError::Fill(error) => vec![error.hint()],
                StartError::Staging(StagingError::Slot(SlotError::Missing { name, .. })) => vec![format!(
                    "set it with `transfers.{name}.remote` in the registry, or give it to a queued job with `jobexec submit {task} --transfer {name}=REMOTE`"
                )],
                StartError::Staging(error) => vec![error.hint()],
                StartError::EnvFile(_)
                | StartError::CouldNotStart(_)
                | StartError::Worker(_)
                | StartError::Elsewhere => {
                    vec![]
                }
            },
            Self::Schedule { source, .. } => source.hints(),
            Self::FollowerRuns { follower, job } => vec![format!(
                "end that first with `jobexec job kill {follower}`, or leave it alone with `jobexec job rerun --only {job}`"
            )],
            Self::Order { task, source } => source.hints(task.is_some()),
            Self::Differs { .. } => vec!["use `--replace` to have it as the file says".to_owned()],
            Self::NeverFits(error) => vec![error.hint().to_owned()],
            Self::Staging(error) => vec![error.hint()],
            Self::Selection(error) => error.hints(),
            Self::NoSuchJob(_) | Self::JobDeleted(_) => vec!["see `jobexec jobs` for the ids".to_owned()],
            Self::NoSuchRun { task, .. } => vec![format!("see `jobexec history {task}`")],
            Self::File(FileError::Changed { .. }) => vec!["try again".to_owned()],
            Self::Store(error) if error.is_disk_full() => {
                vec!["free some space where the folder lies; `jobexec report` says what takes most of it".to_owned()]
            }
            Self::Store(StoreError::Newer { .. }) => vec!["use the newer jobexec".to_owned()],
            Self::Store(StoreError::Foreign(_)) => vec!["use another folder: `-f DIR`".to_owned()],
            Self::Store(_)
            | Self::File(_)
            | Self::Edit(_)
            | Self::Lock(_)
            | Self::Record(_)
            | Self::Tail(_)
            | Self::Move(_)
            | Self::EnvFile(_)
            | Self::Directory { .. }
            | Self::System { .. } => vec![],
        }
    }
}

/// All of them, and where there are several, under each its way out: the same one once.
fn in_file(path: &std::path::Path, mistakes: &Mistakes) -> String {
    let (several, mut told) = (mistakes.iter().count() > 1, HashSet::new());
    let text = mistakes.iter().map(|mistake| {
        let hint = mistake.hint.as_ref().filter(|hint| several && told.insert(*hint));
        let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        format!("{}{hint}", mistake.in_file(path))
    });
    text.collect::<Vec<_>>().join("\n")
}
