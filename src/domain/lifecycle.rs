//! The life of a job: one table of moves. Everything that changes a job's state goes through [`step`];
//! an illegal move is refused with the current state named and leaves no trace.

mod input;
mod policy;
mod render;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use input::Input;
pub use policy::{DEFAULT_TIMEOUT_RETRIES, Hooked, Parents, Policy};
pub use render::render;
pub use table::{IllegalMove, step};

/// A job's state. The names in the database, in JSON and for people are those of [`State::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Recorded, not yet looked at; a held draft.
    Created,
    /// Some parent has not finished.
    AwaitingParents,
    /// A parent can no longer finish as it has to.
    Blocked,
    /// Parents done, inputs outstanding.
    Ready,
    /// Inputs in place.
    StagedIn,
    /// Runnable.
    Preprocessed,
    /// Its process tree is alive.
    Running,
    /// It ended with exit code 0.
    RunDone,
    /// Outputs outstanding.
    Postprocessed,
    /// Outputs stored.
    StagedOut,
    /// The end: success.
    JobFinished,
    /// It ended in any other way.
    RunError,
    /// Its time limit ended it.
    RunTimeout,
    /// Runnable again, perhaps not before a time.
    RestartReady,
    /// The end: failure, with a reason.
    Failed,
    /// The end: by request.
    Cancelled,
    /// Its files are being wiped.
    Reset,
}

/// How far a job has come, for whoever waits for it or looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Something of it is still to be done, by itself.
    Ahead,
    /// It runs.
    Running,
    /// Its run has failed; whether the job has is not decided yet.
    Failing,
    /// Its files are being wiped.
    Wiping,
    /// It cannot run, unless another is run again.
    Blocked,
    /// It has ended well.
    Finished,
    /// It has failed.
    Failed,
    /// It was ended on request.
    Cancelled,
}

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 17] = [
        Self::Created,
        Self::AwaitingParents,
        Self::Blocked,
        Self::Ready,
        Self::StagedIn,
        Self::Preprocessed,
        Self::Running,
        Self::RunDone,
        Self::Postprocessed,
        Self::StagedOut,
        Self::JobFinished,
        Self::RunError,
        Self::RunTimeout,
        Self::RestartReady,
        Self::Failed,
        Self::Cancelled,
        Self::Reset,
    ];

    /// The state's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::AwaitingParents => "AWAITING_PARENTS",
            Self::Blocked => "BLOCKED",
            Self::Ready => "READY",
            Self::StagedIn => "STAGED_IN",
            Self::Preprocessed => "PREPROCESSED",
            Self::Running => "RUNNING",
            Self::RunDone => "RUN_DONE",
            Self::Postprocessed => "POSTPROCESSED",
            Self::StagedOut => "STAGED_OUT",
            Self::JobFinished => "JOB_FINISHED",
            Self::RunError => "RUN_ERROR",
            Self::RunTimeout => "RUN_TIMEOUT",
            Self::RestartReady => "RESTART_READY",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Reset => "RESET",
        }
    }

    /// How far its job has come.
    pub fn phase(self) -> Phase {
        match self {
            Self::Created
            | Self::AwaitingParents
            | Self::Ready
            | Self::StagedIn
            | Self::Preprocessed
            | Self::RunDone
            | Self::Postprocessed
            | Self::StagedOut
            | Self::RestartReady => Phase::Ahead,
            Self::Running => Phase::Running,
            Self::RunError | Self::RunTimeout => Phase::Failing,
            Self::Reset => Phase::Wiping,
            Self::Blocked => Phase::Blocked,
            Self::JobFinished => Phase::Finished,
            Self::Failed => Phase::Failed,
            Self::Cancelled => Phase::Cancelled,
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// What the state means, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Created => "recorded, not yet looked at; a held draft",
            Self::AwaitingParents => "some parent not finished",
            Self::Blocked => "a parent can no longer finish as it has to",
            Self::Ready => "parents done, inputs outstanding",
            Self::StagedIn => "inputs in place",
            Self::Preprocessed => "runnable",
            Self::Running => "process tree alive",
            Self::RunDone => "ended with exit code 0",
            Self::Postprocessed => "outputs outstanding",
            Self::StagedOut => "outputs stored",
            Self::JobFinished => "end, success",
            Self::RunError => "exit not 0, killed, lost or could not start",
            Self::RunTimeout => "ended by its time limit",
            Self::RestartReady => "runnable again",
            Self::Failed => "end, failure, with a reason",
            Self::Cancelled => "end, by request",
            Self::Reset => "files being wiped",
        }
    }

    /// Whether the job's life ends here (until somebody runs it again).
    pub fn is_end(self) -> bool {
        matches!(self, Self::JobFinished | Self::Failed | Self::Cancelled)
    }

    /// What is done next for a job of `start` or of a schedule in this state, where it neither runs, nor waits to run
    /// again, nor has ended.
    pub fn underway(self) -> Option<&'static str> {
        match self {
            Self::Ready => Some("its inputs"),
            Self::StagedIn => Some("its hook preprocess"),
            Self::Preprocessed => Some("its run"),
            Self::RunDone => Some("its hook postprocess"),
            Self::Postprocessed => Some("its outputs"),
            Self::RunError => Some("its hook handle_error"),
            Self::RunTimeout => Some("its hook handle_timeout"),
            Self::Created
            | Self::AwaitingParents
            | Self::Blocked
            | Self::Running
            | Self::StagedOut
            | Self::JobFinished
            | Self::RestartReady
            | Self::Failed
            | Self::Cancelled
            | Self::Reset => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
