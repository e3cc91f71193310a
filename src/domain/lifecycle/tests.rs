//! What the table promises.

use super::*;
use crate::domain::task::Restart;
use proptest::prelude::*;

const ENDS: Policy = Policy {
    restart: Restart::Never,
    retries: None,
    used: 0,
    parents: Parents::Met,
    stage_in: false,
    stage_out: false,
    hooks: Hooked { preprocess: false, postprocess: false, handle_error: false, handle_timeout: false },
    has_run: false,
};

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

#[test]
fn a_job_waits_where_there_is_something_to_do() {
    let hooks = Hooked { preprocess: true, postprocess: true, handle_error: true, handle_timeout: true };
    let full = Policy { stage_in: true, stage_out: true, hooks, ..ENDS };
    let waits = [
        (State::Created, Input::Settled, State::Ready),
        (State::Ready, Input::StagedIn, State::StagedIn),
        (State::StagedIn, Input::HookDone, State::Preprocessed),
        (State::Running, Input::Succeeded, State::RunDone),
        (State::RunDone, Input::HookDone, State::Postprocessed),
        (State::Postprocessed, Input::StagedOut, State::JobFinished),
        (State::Running, Input::Failed, State::RunError),
        (State::RunError, Input::HookDone, State::Failed),
        (State::RunError, Input::HookSaidAgain, State::RestartReady),
        (State::Running, Input::TimedOut, State::RunTimeout),
        (State::RunTimeout, Input::HookDone, State::RestartReady),
    ];
    for (state, input, expected) in waits {
        assert_eq!(step(state, input, full).unwrap().last(), Some(&expected), "{state} {input:?}");
    }
}

#[test]
fn a_child_waits_for_its_parents_and_is_blocked_by_one_that_cannot() {
    let with = |parents| Policy { parents, ..ENDS };
    let path = |state, input, parents| step(state, input, with(parents)).unwrap();
    assert_eq!(path(State::Created, Input::Settled, Parents::Waiting), [State::AwaitingParents]);
    assert_eq!(path(State::AwaitingParents, Input::Settled, Parents::Waiting), []);
    assert_eq!(path(State::AwaitingParents, Input::Settled, Parents::Broken), [State::Blocked]);
    assert_eq!(path(State::Blocked, Input::ParentAgain, Parents::Waiting), [State::AwaitingParents]);
    assert_eq!(
        path(State::AwaitingParents, Input::Settled, Parents::Met),
        [State::Ready, State::StagedIn, State::Preprocessed]
    );
}

fn policies() -> impl Strategy<Value = Policy> {
    let restart = prop_oneof![Just(Restart::Always), Just(Restart::OnFailure), Just(Restart::Never)];
    let parents = prop_oneof![Just(Parents::Met), Just(Parents::Waiting), Just(Parents::Broken)];
    let rest = (any::<[bool; 7]>(), prop::option::of(0_u32..4), 0_u32..4);
    (restart, parents, rest).prop_map(|(restart, parents, (flags, retries, used))| {
        let [stage_in, stage_out, preprocess, postprocess, handle_error, handle_timeout, has_run] = flags;
        let hooks = Hooked { preprocess, postprocess, handle_error, handle_timeout };
        Policy { restart, retries, used, parents, stage_in, stage_out, hooks, has_run }
    })
}

proptest! {
    #[test]
    fn an_ended_job_stays_ended_until_somebody_runs_it_again(
        happened in prop::collection::vec((0_usize..Input::ALL.len(), policies()), 0..40),
    ) {
        let mut state = State::Created;
        for (index, policy) in happened {
            let input = Input::ALL[index];
            let Ok(path) = step(state, input, policy) else { continue };
            let by_hand = [Input::Rerun, Input::RerunClean, Input::ParentAgain, Input::Reset].contains(&input);
            prop_assert!(!state.is_end() || by_hand, "{state} moved by {input:?}");
            state = path.last().copied().unwrap_or(state);
            prop_assert!(state != State::StagedOut, "nothing stays there");
            prop_assert!((state == State::Running) <= (input == Input::Claimed || path.is_empty()));
        }
    }
}
