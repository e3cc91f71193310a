//! The life of a job: one table of moves. Everything that changes a job's state goes through [`step`];
//! an illegal move is refused with the current state named and leaves no trace.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::task::Restart;

/// The automatic retries after a time-out when nothing is said.
pub const DEFAULT_TIMEOUT_RETRIES: u32 = 3;

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
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// It was looked at after its creation and has nothing to wait for.
    Settled,
    /// A run was claimed for it.
    Claimed,
    /// Its run ended with exit code 0.
    Succeeded,
    /// Its run ended in any other way.
    Failed,
    /// Its time limit ended its run.
    TimedOut,
    /// Its run ended after somebody had asked for that.
    Stopped,
    /// Its claimed run turned out never to have been started.
    NeverStarted,
    /// Somebody cancelled it.
    Cancelled,
}

impl Input {
    /// Every input.
    pub const ALL: [Self; 8] = [
        Self::Settled,
        Self::Claimed,
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Stopped,
        Self::NeverStarted,
        Self::Cancelled,
    ];

    /// The input in words, as the lifecycle's table shows it.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Settled => "nothing to wait for",
            Self::Claimed => "run claimed",
            Self::Succeeded => "exit 0",
            Self::Failed => "any other end",
            Self::TimedOut => "time limit",
            Self::Stopped => "stopped on request",
            Self::NeverStarted => "never started",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What decides between running again and ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The task's rule, while the job came from `start` and the task is wanted; `Never` for all other jobs.
    pub restart: Restart,
    /// The task's `retries`, where set.
    pub retries: Option<u32>,
    /// How many automatic retries the job has used.
    pub used: u32,
}

impl Policy {
    fn again_after(self, input: Input) -> bool {
        let left = |allowed: u32| self.used < allowed;
        let counted = match input {
            Input::Failed => left(self.retries.unwrap_or(0)),
            Input::TimedOut => left(self.retries.unwrap_or(DEFAULT_TIMEOUT_RETRIES)),
            Input::Settled
            | Input::Claimed
            | Input::Succeeded
            | Input::Stopped
            | Input::NeverStarted
            | Input::Cancelled => false,
        };
        match self.restart {
            Restart::Always => true,
            Restart::OnFailure => input != Input::Succeeded,
            Restart::Never => counted,
        }
    }
}

/// A move that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a job in state {state} cannot take `{}`", input.describe())]
pub struct IllegalMove {
    /// The job's state, which stays.
    pub state: State,
    /// What was asked of it.
    pub input: Input,
}

/// The move a job makes: every state it passes through, the last being the one it is in afterwards.
///
/// States with nothing to do are passed through at once; a move is recorded as one event.
pub fn step(state: State, input: Input, policy: Policy) -> Result<Vec<State>, IllegalMove> {
    let illegal = Err(IllegalMove { state, input });
    match state {
        State::Created => match input {
            Input::Settled => Ok(vec![State::Ready, State::StagedIn, State::Preprocessed]),
            Input::Cancelled => Ok(vec![State::Cancelled]),
            Input::Claimed
            | Input::Succeeded
            | Input::Failed
            | Input::TimedOut
            | Input::Stopped
            | Input::NeverStarted => illegal,
        },
        State::Preprocessed | State::RestartReady => match input {
            Input::Claimed => Ok(vec![State::Running]),
            Input::Cancelled => Ok(vec![State::Cancelled]),
            Input::Settled
            | Input::Succeeded
            | Input::Failed
            | Input::TimedOut
            | Input::Stopped
            | Input::NeverStarted => illegal,
        },
        State::Running => running(input, policy).ok_or(IllegalMove { state, input }),
        // Parents, staging, hooks and resets are not built yet: nothing brings a job to stay in these.
        State::AwaitingParents
        | State::Blocked
        | State::Ready
        | State::StagedIn
        | State::RunDone
        | State::Postprocessed
        | State::StagedOut
        | State::RunError
        | State::RunTimeout
        | State::Reset
        // These are ends.
        | State::JobFinished
        | State::Failed
        | State::Cancelled => illegal,
    }
}

/// The moves out of RUNNING.
fn running(input: Input, policy: Policy) -> Option<Vec<State>> {
    let again = policy.again_after(input);
    Some(match input {
        Input::Succeeded if again => vec![State::RunDone, State::RestartReady],
        Input::Succeeded => vec![State::RunDone, State::Postprocessed, State::StagedOut, State::JobFinished],
        Input::Failed => vec![State::RunError, if again { State::RestartReady } else { State::Failed }],
        Input::TimedOut => vec![State::RunTimeout, if again { State::RestartReady } else { State::Failed }],
        Input::Stopped => vec![State::Cancelled],
        Input::NeverStarted => vec![State::RestartReady],
        Input::Settled | Input::Claimed | Input::Cancelled => return None,
    })
}

/// The lifecycle as `docs/lifecycle.md` shows it: what each state means, and every legal move.
pub fn render() -> String {
    let mut text = String::from("| state | meaning |\n| --- | --- |\n");
    for state in State::ALL {
        text += &format!("| {state} | {} |\n", state.meaning());
    }
    text += "\n| from | what happened | ends here | goes on (restart, or retries left) |\n| --- | --- | --- | --- |\n";
    let ends = Policy { restart: Restart::Never, retries: Some(0), used: 0 };
    let again = Policy { restart: Restart::Always, ..ends };
    let show = |path: Vec<State>| path.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" → ");
    for state in State::ALL {
        for input in Input::ALL {
            if let (Ok(one), Ok(two)) = (step(state, input, ends), step(state, input, again)) {
                let goes_on = if one == two { String::from("the same") } else { show(two) };
                text += &format!("| {state} | {} | {} | {goes_on} |\n", input.describe(), show(one));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ENDS: Policy = Policy { restart: Restart::Never, retries: None, used: 0 };

    #[track_caller]
    fn ends_in(input: Input, policy: Policy, expected: State) {
        assert_eq!(step(State::Running, input, policy).unwrap().last(), Some(&expected));
    }

    #[test]
    fn a_state_is_found_by_its_name() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(State::parse("FINISHED"), None);
    }

    #[test]
    fn a_kept_alive_job_goes_on_after_every_end_of_its_own() {
        let always = Policy { restart: Restart::Always, ..ENDS };
        for input in [Input::Succeeded, Input::Failed, Input::TimedOut, Input::NeverStarted] {
            ends_in(input, always, State::RestartReady);
        }
        ends_in(Input::Stopped, always, State::Cancelled);
    }

    #[test]
    fn on_failure_ends_after_exit_0_only() {
        let on_failure = Policy { restart: Restart::OnFailure, ..ENDS };
        ends_in(Input::Succeeded, on_failure, State::JobFinished);
        ends_in(Input::Failed, on_failure, State::RestartReady);
        ends_in(Input::TimedOut, on_failure, State::RestartReady);
    }

    #[test]
    fn retries_are_counted_and_unset_means_three_after_a_time_out() {
        ends_in(Input::Failed, ENDS, State::Failed);
        ends_in(Input::TimedOut, Policy { used: 2, ..ENDS }, State::RestartReady);
        ends_in(Input::TimedOut, Policy { used: 3, ..ENDS }, State::Failed);
        let one = Policy { retries: Some(1), ..ENDS };
        ends_in(Input::Failed, one, State::RestartReady);
        ends_in(Input::Failed, Policy { used: 1, ..one }, State::Failed);
        ends_in(Input::TimedOut, Policy { used: 1, ..one }, State::Failed);
    }

    #[test]
    fn an_illegal_move_names_the_state() {
        let error = step(State::JobFinished, Input::Claimed, ENDS).unwrap_err();
        assert_eq!(error.to_string(), "a job in state JOB_FINISHED cannot take `run claimed`");
    }

    proptest! {
        #[test]
        fn whatever_happens_an_ended_job_stays_ended(
            inputs in prop::collection::vec(0_usize..Input::ALL.len(), 0..40),
            restart in prop_oneof![Just(Restart::Always), Just(Restart::OnFailure), Just(Restart::Never)],
            retries in prop::option::of(0_u32..4),
        ) {
            let mut state = State::Created;
            let mut used = 0;
            for index in inputs {
                let policy = Policy { restart, retries, used };
                if let Ok(path) = step(state, Input::ALL[index], policy) {
                    prop_assert!(!state.is_end(), "{state} moved");
                    state = *path.last().unwrap();
                    used += u32::from(state == State::RestartReady);
                }
            }
        }
    }
}
