//! What a failed command says, and its exit code. The codes are fixed for good; `docs/exit-codes.md` lists them.

use std::error::Error;
use std::fmt;
use std::io;

use crate::domain::name::NameError;
use crate::executor::{ExecutorError, StartError};
use crate::home::HomeError;
use crate::registry::EditError;
use crate::registry::file::FileError;
use crate::report;
use crate::service::ServiceError;
use crate::store::StoreError;
use crate::supervisor::SupervisorError;

/// What kind of failure it is: the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It failed.
    Failed = 1,
    /// Bad input.
    Input = 2,
    /// No such task.
    Unknown = 4,
    /// Refused in this state.
    Refused = 5,
    /// Our own fault.
    Ours = 70,
}

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    kind: Kind,
    source: Box<dyn Error>,
    hints: Vec<String>,
    /// Whoever was to read the output has left: nothing is to be said.
    silent: bool,
}

/// A failure that is told in one sentence.
#[derive(Debug)]
struct Sentence(String);

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Sentence {}

impl Failure {
    /// Bad input, in a sentence.
    pub(super) fn input(text: String) -> Self {
        Self { kind: Kind::Input, source: Box::new(Sentence(text)), hints: Vec::new(), silent: false }
    }

    /// It failed, in a sentence.
    pub(super) fn failed(text: String) -> Self {
        Self { kind: Kind::Failed, ..Self::input(text) }
    }

    /// Refused in this state, in a sentence.
    pub(super) fn refused(text: String) -> Self {
        Self { kind: Kind::Refused, ..Self::input(text) }
    }

    /// The same failure with one more way out.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says it on standard error and returns the exit code.
    pub(super) fn tell(&self) -> u8 {
        if self.silent {
            return 0;
        }
        let _ = report::error::write(self.source.as_ref(), &self.hints, &mut anstream::stderr());
        self.kind as u8
    }
}

impl From<ExecutorError> for Failure {
    fn from(error: ExecutorError) -> Self {
        Self { kind: kind(&error), hints: error.hints(), source: Box::new(error), silent: false }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let kind = match &error {
            ServiceError::Unnamed | ServiceError::Unit(_) => Kind::Input,
            ServiceError::Foreign { .. } => Kind::Refused,
            ServiceError::Io { .. }
            | ServiceError::NoSystemctl
            | ServiceError::NoManager { .. }
            | ServiceError::Spawn { .. }
            | ServiceError::Command { .. } => Kind::Failed,
        };
        Self { kind, hints: error.hints(), source: Box::new(error), silent: false }
    }
}

impl From<SupervisorError> for Failure {
    fn from(error: SupervisorError) -> Self {
        let mut hints = Vec::new();
        let kind = match error {
            SupervisorError::Executor(error) => return error.into(),
            SupervisorError::Second { .. } | SupervisorError::Unnamed { .. } => {
                hints.push("end that one with `jobexec keep-restarting --stop`".to_owned());
                Kind::Refused
            }
            SupervisorError::Gone { ref pids, .. } => {
                if !pids.is_empty() {
                    hints.push("nobody watches over these any more; end them with `kill`".to_owned());
                }
                Kind::Failed
            }
            SupervisorError::Log(_) => Kind::Input,
            SupervisorError::Background(_) | SupervisorError::System { .. } => Kind::Failed,
        };
        Self { kind, source: Box::new(error), hints, silent: false }
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self { kind: Kind::Input, source: Box::new(error), hints: Vec::new(), silent: false }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let silent = error.kind() == io::ErrorKind::BrokenPipe;
        Self { kind: Kind::Failed, source: Box::new(error), hints: Vec::new(), silent }
    }
}

fn kind(error: &ExecutorError) -> Kind {
    match error {
        ExecutorError::Home(error) => match error {
            HomeError::Io { .. } => Kind::Failed,
            HomeError::Unnamed
            | HomeError::NotAFolder(_)
            | HomeError::Network { .. }
            | HomeError::Owner { .. }
            | HomeError::Mode { .. } => Kind::Input,
        },
        ExecutorError::Store(error) => match error {
            StoreError::Newer { .. } | StoreError::Foreign(_) => Kind::Refused,
            StoreError::Impossible(_) => Kind::Ours,
            StoreError::Open { .. }
            | StoreError::Create { .. }
            | StoreError::Gate(_)
            | StoreError::Statement { .. }
            | StoreError::Flush { .. } => Kind::Failed,
        },
        ExecutorError::File(FileError::NotText { .. })
        | ExecutorError::Registry { .. }
        | ExecutorError::Schedule { .. }
        | ExecutorError::NeverFits(_)
        | ExecutorError::Order { .. }
        | ExecutorError::Selection(_)
        | ExecutorError::Staging(_)
        | ExecutorError::WouldBeMistaken(_) => Kind::Input,
        ExecutorError::NoSuchTask { .. }
        | ExecutorError::NotDefined(_)
        | ExecutorError::NoSuchJob(_)
        | ExecutorError::JobDeleted(_)
        | ExecutorError::NoSuchRun { .. }
        | ExecutorError::Edit(EditError::Unknown(_)) => Kind::Unknown,
        ExecutorError::Running(_)
        | ExecutorError::Move(_)
        | ExecutorError::Differs { .. }
        | ExecutorError::FollowerRuns { .. } => Kind::Refused,
        ExecutorError::Start { source, .. } => match source.as_ref() {
            StartError::Elsewhere
            | StartError::Itself
            | StartError::Stopping
            | StartError::Locked(_)
            | StartError::Orphaned { .. } => Kind::Refused,
            StartError::Values(_) | StartError::Fill(_) | StartError::Staging(_) => Kind::Input,
            StartError::Refused(_)
            | StartError::EnvFile(_)
            | StartError::CouldNotStart(_)
            | StartError::Slow
            | StartError::Worker(_) => Kind::Failed,
        },
        ExecutorError::Edit(_) => Kind::Ours,
        ExecutorError::File(_)
        | ExecutorError::EnvFile(_)
        | ExecutorError::Lock(_)
        | ExecutorError::Record(_)
        | ExecutorError::Tail(_)
        | ExecutorError::Directory { .. }
        | ExecutorError::System { .. } => Kind::Failed,
    }
}
