//! What every verb needs: the executor, who asks, where output goes. The edge that reads the environment.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use crate::domain::name::{JobId, TaskName};
use crate::executor::{Asker, Definitions, Executor, ExecutorError};
use crate::home::{Home, Surroundings};
use crate::report;

use super::failure::Failure;

/// The surroundings of one command.
#[derive(Debug)]
pub(super) struct Context {
    folder: Option<PathBuf>,
    /// Whether JSON was asked for.
    pub(super) json: bool,
    executor: Option<Executor>,
}

impl Context {
    pub(super) fn new(folder: Option<PathBuf>, json: bool) -> Self {
        Self { folder, json, executor: None }
    }

    /// The folder that is meant.
    pub(super) fn root(&self) -> Result<PathBuf, Failure> {
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        let around =
            Surroundings { folder: path("JOBEXEC_FOLDER"), state_home: path("XDG_STATE_HOME"), home: path("HOME") };
        Ok(Home::locate(self.folder.as_deref(), &around).map_err(crate::executor::ExecutorError::from)?)
    }

    /// The executor, made if it does not exist.
    pub(super) fn executor(&mut self) -> Result<&mut Executor, Failure> {
        let executor = match self.executor.take() {
            Some(executor) => executor,
            None => Executor::open(&self.root()?)?,
        };
        Ok(self.executor.insert(executor))
    }

    /// The executor, for looking at it; nothing is made where there is none.
    pub(super) fn look(&mut self) -> Result<Option<&mut Executor>, Failure> {
        if self.executor.is_none() {
            self.executor = Executor::look(&self.root()?)?;
        }
        Ok(self.executor.as_mut())
    }

    /// The executor, for acting on tasks that it must have already: a folder that is not there is not made.
    pub(super) fn existing(&mut self) -> Result<Option<&mut Executor>, Failure> {
        let there = Home::open(&self.root()?).map_err(crate::executor::ExecutorError::from)?.is_some();
        if there { self.executor().map(Some) } else { Ok(None) }
    }

    /// The executor, for foreseeing what would be made: nothing is, not even a folder.
    pub(super) fn foreseeing(&mut self) -> Result<&mut Executor, Failure> {
        if self.look()?.is_none() {
            let unmade = Executor::unmade(&self.root()?)?;
            return Ok(self.adopt(unmade));
        }
        self.executor()
    }

    /// A task that is to be looked at, by the name that was typed, with the executor and what is defined there.
    pub(super) fn task(&mut self, typed: &str) -> Result<(&mut Executor, Definitions, TaskName), Failure> {
        let name = TaskName::parse(typed)?;
        let Some(executor) = self.look()? else {
            return Err(ExecutorError::NoSuchTask { name, nearest: None }.into());
        };
        let definitions = Self::definitions(executor)?;
        let name = executor.resolve(&definitions, &name)?;
        Ok((executor, definitions, name))
    }

    /// Keeps an executor that was opened otherwise.
    pub(super) fn adopt(&mut self, executor: Executor) -> &mut Executor {
        self.executor.insert(executor)
    }

    /// Who asks.
    pub(super) fn asker(&self) -> Result<Asker, Failure> {
        let root = self.root()?;
        let folder = std::env::var_os("JOBEXEC_FOLDER").map(PathBuf::from);
        let is_here = || folder.is_some() && folder == root.canonicalize().ok();
        let job = std::env::var("JOBEXEC_JOB_ID").ok().and_then(|id| id.parse().ok()).map(JobId);
        // In a script of this executor the job asks.
        let job = job.filter(|_| std::env::var_os("JOBEXEC_RUN_ID").is_some() && is_here());
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name);
        let user = user.unwrap_or_else(|| format!("uid {}", nix::unistd::geteuid()));
        Ok(Asker { name: job.map_or(user, |job| format!("job {job}")), job })
    }

    /// What is defined, for a verb that only looks: a mistake in the registry is told on standard error.
    pub(super) fn definitions(executor: &mut Executor) -> Result<Definitions, Failure> {
        let definitions = executor.definitions()?;
        if let Some(mistake) = &definitions.mistake {
            let _ = report::error::write(mistake, &mistake.hints(), &mut anstream::stderr());
            let on = if definitions.tasks.is_empty() {
                "no tasks are known until that is mended"
            } else {
                "going on with the last definitions without a mistake"
            };
            warn(on);
        }
        Ok(definitions)
    }

    /// The width of the terminal that standard output goes to, if it does.
    pub(super) fn width() -> Option<u16> {
        let out = io::stdout();
        if !out.is_terminal() {
            return None;
        }
        let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        columns.or_else(crate::process::terminal::width).or(Some(80))
    }

    /// Makes everything this command committed survive a power cut, after it has answered.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        let _ = io::stdout().flush();
        match self.executor.take() {
            Some(mut executor) => {
                executor.flush()?;
                // The process ends, and the kernel takes back what it has, at once and not piece by piece.
                std::mem::forget(executor);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Parses names as they were typed.
pub(super) fn names(typed: &[String]) -> Result<Vec<TaskName>, Failure> {
    let mut names: Vec<TaskName> = Vec::new();
    for name in typed {
        let name = TaskName::parse(name)?;
        // A task that is named twice is meant once.
        if !names.iter().any(|known| known.key() == name.key()) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Says something on standard error that is no data: what was done.
pub(super) fn told(text: &str) {
    let _ = report::error::told(text, &mut anstream::stderr());
}

/// Says that queued jobs wait, where nobody is there to run them.
pub(super) fn told_unsupervised(executor: &Executor) {
    if !executor.is_supervised() {
        told("note: no supervisor is running, so nothing runs queued jobs until `jobexec keep-restarting` does");
    }
}

/// Warns on standard error.
pub(super) fn warn(text: &str) {
    let _ = report::error::warn(text, &mut anstream::stderr());
}

/// Says which columns of a table had no room.
pub(super) fn told_hidden(columns: &[&str]) {
    if !columns.is_empty() {
        let count = columns.len();
        let s = if count == 1 { "" } else { "s" };
        told(&format!("# {count} more column{s} in a wider terminal: {}", columns.join(", ")));
    }
}
