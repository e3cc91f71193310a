//! What there is to do for a job, and where that leads when nothing stands in the way.

use super::State;
use crate::domain::task::Restart;

/// The automatic retries after a time-out when nothing is said.
pub const DEFAULT_TIMEOUT_RETRIES: u32 = 3;

/// How a job stands to its parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parents {
    /// All have done what it waits for, or it has none.
    #[default]
    Met,
    /// Some have not, yet.
    Waiting,
    /// One no longer can.
    Broken,
}

impl Parents {
    /// Of a job that waits for so many, and whether one of them no longer can.
    pub fn of(unmet: u32, is_broken: bool) -> Self {
        match (unmet, is_broken) {
            (_, true) => Self::Broken,
            (0, false) => Self::Met,
            (_, false) => Self::Waiting,
        }
    }
}

/// What there is to do for a job besides running it, and what decides between running again and ending. The default is
/// that of a job with nothing of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The task's rule, while the job came from `start` and the task is wanted; `Never` for all other jobs.
    pub restart: Restart,
    /// The task's `retries`, where set.
    pub retries: Option<u32>,
    /// How many automatic retries the job has used.
    pub used: u32,
    /// How it stands to its parents.
    pub parents: Parents,
    /// Whether inputs are outstanding.
    pub stage_in: bool,
    /// Whether outputs are outstanding.
    pub stage_out: bool,
    /// Whether it has a hook of each kind.
    pub hooks: Hooked,
    /// Whether a main run of it was ever started.
    pub has_run: bool,
}

/// Which hooks a job has.
#[expect(clippy::struct_excessive_bools, reason = "one for each kind of hook")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hooked {
    /// Before its first run.
    pub preprocess: bool,
    /// After a run that ended with exit code 0.
    pub postprocess: bool,
    /// After a run that ended in any other way.
    pub handle_error: bool,
    /// After a run that reached its time limit.
    pub handle_timeout: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            restart: Restart::Never,
            retries: None,
            used: 0,
            parents: Parents::Met,
            stage_in: false,
            stage_out: false,
            hooks: Hooked::default(),
            has_run: false,
        }
    }
}

impl Policy {
    fn again_after_success(self) -> bool {
        self.restart == Restart::Always
    }

    pub(super) fn again_after_error(self) -> bool {
        self.restart != Restart::Never || self.used < self.retries.unwrap_or(0)
    }

    pub(super) fn again_after_timeout(self) -> bool {
        self.restart != Restart::Never || self.used < self.retries.unwrap_or(DEFAULT_TIMEOUT_RETRIES)
    }

    pub(super) fn via_parents(self) -> Vec<State> {
        match self.parents {
            Parents::Waiting => vec![State::AwaitingParents],
            Parents::Broken => vec![State::Blocked],
            Parents::Met => self.via_ready(),
        }
    }

    fn via_ready(self) -> Vec<State> {
        let rest = if self.stage_in { vec![] } else { self.via_staged_in() };
        [vec![State::Ready], rest].concat()
    }

    pub(super) fn via_staged_in(self) -> Vec<State> {
        let rest = if self.hooks.preprocess { vec![] } else { vec![State::Preprocessed] };
        [vec![State::StagedIn], rest].concat()
    }

    pub(super) fn via_run_done(self) -> Vec<State> {
        let rest = if self.hooks.postprocess { vec![] } else { self.after_run_done() };
        [vec![State::RunDone], rest].concat()
    }

    pub(super) fn after_run_done(self) -> Vec<State> {
        if self.again_after_success() {
            return vec![State::RestartReady];
        }
        let rest = if self.stage_out { vec![] } else { vec![State::StagedOut, State::JobFinished] };
        [vec![State::Postprocessed], rest].concat()
    }

    pub(super) fn via_run_error(self) -> Vec<State> {
        let rest = if self.hooks.handle_error { vec![] } else { vec![again(self.again_after_error())] };
        [vec![State::RunError], rest].concat()
    }

    pub(super) fn via_run_timeout(self) -> Vec<State> {
        let rest = if self.hooks.handle_timeout { vec![] } else { vec![again(self.again_after_timeout())] };
        [vec![State::RunTimeout], rest].concat()
    }
}

/// Where a run that did not succeed leads to.
pub(super) fn again(again: bool) -> State {
    if again { State::RestartReady } else { State::Failed }
}
