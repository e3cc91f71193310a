//! The table of moves: every state times everything that can happen.

use thiserror::Error;

use super::policy::again;
use super::{Input, Policy, State};

use Input as I;

/// A move that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a job in state {state} cannot take `{}`", input.describe())]
pub struct IllegalMove {
    /// The job's state, which stays.
    pub state: State,
    /// What was asked of it.
    pub input: Input,
}

/// The move a job makes: every state it passes through, the last being the one it is in afterwards; none where it stays.
///
/// States with nothing to do are passed through at once; a move is recorded as one event.
pub fn step(state: State, input: Input, policy: Policy) -> Result<Vec<State>, IllegalMove> {
    let legal = match state {
        State::Created => created(input, policy),
        State::AwaitingParents | State::Blocked => waiting(input, policy),
        State::Ready => ready(input, policy),
        State::StagedIn => hooked(input, policy, || vec![State::Preprocessed]),
        State::Preprocessed | State::RestartReady => runnable(input),
        State::Running => running(input, policy),
        State::RunDone => hooked(input, policy, || policy.after_run_done()),
        State::Postprocessed => postprocessed(input),
        State::RunError => hooked(input, policy, || vec![again(policy.again_after_error())]),
        State::RunTimeout => hooked(input, policy, || vec![again(policy.again_after_timeout())]),
        State::JobFinished | State::Failed | State::Cancelled => ended(input, policy),
        State::Reset => reset(input),
        // Nothing stays here.
        State::StagedOut => None,
    };
    let path = legal.ok_or(IllegalMove { state, input })?;
    Ok(if path == [state] { vec![] } else { path })
}

fn created(input: Input, policy: Policy) -> Option<Vec<State>> {
    match input {
        I::Settled => Some(policy.via_parents()),
        I::ParentAgain => Some(vec![]),
        I::Cancelled => Some(vec![State::Cancelled]),
        I::Reset => Some(vec![State::Reset]),
        I::StagedIn
        | I::StagedOut
        | I::TransferFailed
        | I::Claimed
        | I::Succeeded
        | I::Failed
        | I::TimedOut
        | I::Stopped
        | I::NeverStarted
        | I::HookDone
        | I::HookSaidAgain
        | I::HookSaidFailed
        | I::HookFailed
        | I::Rerun
        | I::RerunClean
        | I::Wiped => None,
    }
}

/// It waits for its parents. Inputs may be brought meanwhile, which changes nothing yet.
fn waiting(input: Input, policy: Policy) -> Option<Vec<State>> {
    match input {
        I::Settled => Some(policy.via_parents()),
        I::ParentAgain => Some(vec![State::AwaitingParents]),
        I::Cancelled => Some(vec![State::Cancelled]),
        I::Reset => Some(vec![State::Reset]),
        I::StagedIn | I::NeverStarted => Some(vec![]),
        I::StagedOut
        | I::TransferFailed
        | I::Claimed
        | I::Succeeded
        | I::Failed
        | I::TimedOut
        | I::Stopped
        | I::HookDone
        | I::HookSaidAgain
        | I::HookSaidFailed
        | I::HookFailed
        | I::Rerun
        | I::RerunClean
        | I::Wiped => None,
    }
}

fn ready(input: Input, policy: Policy) -> Option<Vec<State>> {
    match input {
        I::StagedIn => Some(policy.via_staged_in()),
        I::TransferFailed => Some(vec![State::Failed]),
        I::ParentAgain => Some(vec![State::AwaitingParents]),
        I::Stopped | I::Cancelled => Some(vec![State::Cancelled]),
        I::NeverStarted => Some(vec![]),
        I::Reset => Some(vec![State::Reset]),
        I::Settled
        | I::StagedOut
        | I::Claimed
        | I::Succeeded
        | I::Failed
        | I::TimedOut
        | I::HookDone
        | I::HookSaidAgain
        | I::HookSaidFailed
        | I::HookFailed
        | I::Rerun
        | I::RerunClean
        | I::Wiped => None,
    }
}

/// It stays where it is until its hook has ended.
fn hooked(input: Input, policy: Policy, done: impl FnOnce() -> Vec<State>) -> Option<Vec<State>> {
    let _ = policy;
    match input {
        I::Claimed | I::NeverStarted => Some(vec![]),
        I::HookDone => Some(done()),
        I::HookSaidAgain => Some(vec![State::RestartReady]),
        I::HookSaidFailed | I::HookFailed => Some(vec![State::Failed]),
        I::Stopped | I::Cancelled => Some(vec![State::Cancelled]),
        I::Reset => Some(vec![State::Reset]),
        I::Settled
        | I::StagedIn
        | I::StagedOut
        | I::TransferFailed
        | I::Succeeded
        | I::Failed
        | I::TimedOut
        | I::Rerun
        | I::RerunClean
        | I::ParentAgain
        | I::Wiped => None,
    }
}

fn runnable(input: Input) -> Option<Vec<State>> {
    match input {
        I::Claimed => Some(vec![State::Running]),
        I::ParentAgain => Some(vec![State::AwaitingParents]),
        I::Cancelled => Some(vec![State::Cancelled]),
        I::Reset => Some(vec![State::Reset]),
        I::Settled
        | I::StagedIn
        | I::StagedOut
        | I::TransferFailed
        | I::Succeeded
        | I::Failed
        | I::TimedOut
        | I::Stopped
        | I::NeverStarted
        | I::HookDone
        | I::HookSaidAgain
        | I::HookSaidFailed
        | I::HookFailed
        | I::Rerun
        | I::RerunClean
        | I::Wiped => None,
    }
}

fn running(input: Input, policy: Policy) -> Option<Vec<State>> {
    match input {
        I::Succeeded => Some(policy.via_run_done()),
        I::Failed => Some(policy.via_run_error()),
        I::TimedOut => Some(policy.via_run_timeout()),
        I::Stopped => Some(vec![State::Cancelled]),
        I::NeverStarted => Some(vec![State::RestartReady]),
        I::Settled
        | I::StagedIn
        | I::StagedOut
        | I::TransferFailed
        | I::Claimed
        | I::Cancelled
        | I::HookDone
        | I::HookSaidAgain
        | I::HookSaidFailed
        | I::HookFailed
        | I::Rerun
        | I::RerunClean
        | I::ParentAgain
        | I::Reset
        | I::Wiped => None,
    }
}

fn postprocessed(input: Input) -> Option<Vec<State>> {
    match input {
        I::StagedOut => Some(vec![State::StagedOut, State::JobFinished]),
        I::TransferFailed => Some(vec![State::Failed]),
        I::Stopped | I::Cancelled => Some(vec![State::Cancelled]),
        I::NeverStarted => Some(vec![]),
        I::Reset => Some(vec![State::Reset]),
        I::Settled
        | I::StagedIn
        | I::Claimed
        | I::Succeeded
        | I::Failed
        | I::TimedOut
        | I::HookDone
        | I::HookSaidAgain
        | I::HookSaidFailed
        | I::HookFailed
        | I::Rerun
        | I::RerunClean
        | I::ParentAgain
        | I::Wiped => None,
    }
}

fn ended(input: Input, policy: Policy) -> Option<Vec<State>> {
    match input {
        I::Rerun if policy.has_run => Some(vec![State::RestartReady]),
        I::Rerun | I::RerunClean => Some([vec![State::Created], policy.via_parents()].concat()),
        I::ParentAgain => Some(vec![State::AwaitingParents]),
        I::Reset => Some(vec![State::Reset]),
        I::Settled
        | I::StagedIn
        | I::StagedOut
        | I::TransferFailed
        | I::Claimed
        | I::Succeeded
        | I::Failed
        | I::TimedOut
        | I::Stopped
        | I::NeverStarted
        | I::HookDone
        | I::HookSaidAgain
        | I::HookSaidFailed
        | I::HookFailed
        | I::Cancelled
        | I::Wiped => None,
    }
}

fn reset(input: Input) -> Option<Vec<State>> {
    match input {
        I::Wiped => Some(vec![State::Created]),
        I::Reset | I::ParentAgain => Some(vec![]),
        I::Settled
        | I::StagedIn
        | I::StagedOut
        | I::TransferFailed
        | I::Claimed
        | I::Succeeded
        | I::Failed
        | I::TimedOut
        | I::Stopped
        | I::NeverStarted
        | I::HookDone
        | I::HookSaidAgain
        | I::HookSaidFailed
        | I::HookFailed
        | I::Cancelled
        | I::Rerun
        | I::RerunClean => None,
    }
}
