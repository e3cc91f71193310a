//! What a worker does next: the table of its phases and of what can happen in each.
//!
//! The worker feeds events and carries out actions in order; which signal, how long the grace and how a tree
//! is emptied it knows from elsewhere.

use super::outcome::Cause;

/// Where a worker is with its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The script runs and nobody has asked for its end.
    Running,
    /// The script has been asked to end; its grace runs.
    Stopping {
        /// Why.
        cause: Cause,
        /// Whether a person has asked for it: the next such request means now.
        asked: bool,
    },
    /// The script and everything below it is being killed.
    Killing {
        /// Why.
        cause: Cause,
    },
    /// The script has ended; what is left of its tree has been asked to end; the grace runs.
    Sweeping {
        /// As in `Stopping`.
        asked: bool,
    },
    /// The script has ended; what is left of its tree is being killed.
    Clearing,
    /// Nothing is left.
    Empty,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A stop request that carries this run's number.
    StopRequested,
    /// A TERM without a number: the machine goes down, or the session ends.
    SessionEnded,
    /// The run has lasted as long as it may.
    TimeLimitReached,
    /// The grace is over.
    GraceOver,
    /// The main process has ended.
    MainExited,
    /// No process is left below the worker.
    TreeEmptied,
}

/// What the worker has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send the stop signal and CONT to the script's process group.
    SignalGroup,
    /// Send the stop signal and CONT to everything that is left of the tree.
    SignalTree,
    /// Let the grace begin now.
    StartGrace,
    /// Kill downwards, from now until nothing is left.
    KillTree,
    /// Record the outcome of the main process, with this cause.
    RecordOutcome(Cause),
    /// Record that the tree is empty, and leave.
    RecordSwept,
}

/// The next phase, and what to do on the way.
pub fn react(phase: Phase, event: Event) -> (Phase, Vec<Action>) {
    match phase {
        Phase::Running => match event {
            Event::StopRequested => begin(Cause::Stopped, true),
            Event::SessionEnded => begin(Cause::SessionEnded, false),
            Event::TimeLimitReached => begin(Cause::TimedOut, false),
            Event::MainExited => (
                Phase::Sweeping { asked: false },
                vec![Action::RecordOutcome(Cause::Itself), Action::SignalTree, Action::StartGrace],
            ),
            Event::GraceOver | Event::TreeEmptied => (phase, vec![]),
        },
        Phase::Stopping { cause, asked } => match event {
            Event::StopRequested if asked => (Phase::Killing { cause }, vec![Action::KillTree]),
            Event::StopRequested => (Phase::Stopping { cause, asked: true }, vec![]),
            Event::GraceOver => (Phase::Killing { cause }, vec![Action::KillTree]),
            Event::MainExited => (Phase::Sweeping { asked }, vec![Action::RecordOutcome(cause), Action::SignalTree]),
            Event::SessionEnded | Event::TimeLimitReached | Event::TreeEmptied => (phase, vec![]),
        },
        Phase::Killing { cause } => match event {
            Event::MainExited => (Phase::Clearing, vec![Action::RecordOutcome(cause), Action::KillTree]),
            Event::StopRequested
            | Event::SessionEnded
            | Event::TimeLimitReached
            | Event::GraceOver
            | Event::TreeEmptied => (phase, vec![]),
        },
        Phase::Sweeping { asked } => match event {
            Event::StopRequested if asked => (Phase::Clearing, vec![Action::KillTree]),
            Event::StopRequested => (Phase::Sweeping { asked: true }, vec![]),
            Event::GraceOver => (Phase::Clearing, vec![Action::KillTree]),
            Event::TreeEmptied => (Phase::Empty, vec![Action::RecordSwept]),
            Event::SessionEnded | Event::TimeLimitReached | Event::MainExited => (phase, vec![]),
        },
        Phase::Clearing => match event {
            Event::TreeEmptied => (Phase::Empty, vec![Action::RecordSwept]),
            Event::StopRequested
            | Event::SessionEnded
            | Event::TimeLimitReached
            | Event::GraceOver
            | Event::MainExited => (phase, vec![]),
        },
        Phase::Empty => (phase, vec![]),
    }
}

fn begin(cause: Cause, asked: bool) -> (Phase, Vec<Action>) {
    (Phase::Stopping { cause, asked }, vec![Action::SignalGroup, Action::StartGrace])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(events: &[Event], ends: Phase, does: &[Action]) {
        let mut phase = Phase::Running;
        let mut done = Vec::new();
        for event in events {
            let (next, actions) = react(phase, *event);
            phase = next;
            done.extend(actions);
        }
        assert_eq!(phase, ends);
        assert_eq!(done, does);
    }

    #[test]
    fn a_run_that_ends_by_itself_is_recorded_then_swept() {
        check(
            &[Event::MainExited, Event::TreeEmptied],
            Phase::Empty,
            &[Action::RecordOutcome(Cause::Itself), Action::SignalTree, Action::StartGrace, Action::RecordSwept],
        );
    }

    #[test]
    fn a_stop_asks_waits_and_kills() {
        check(
            &[Event::StopRequested, Event::GraceOver, Event::MainExited, Event::TreeEmptied],
            Phase::Empty,
            &[
                Action::SignalGroup,
                Action::StartGrace,
                Action::KillTree,
                Action::RecordOutcome(Cause::Stopped),
                Action::KillTree,
                Action::RecordSwept,
            ],
        );
    }

    #[test]
    fn a_second_request_kills_at_once() {
        check(
            &[Event::StopRequested, Event::StopRequested],
            Phase::Killing { cause: Cause::Stopped },
            &[Action::SignalGroup, Action::StartGrace, Action::KillTree],
        );
    }

    #[test]
    fn the_first_cause_stands() {
        check(
            &[Event::TimeLimitReached, Event::StopRequested, Event::SessionEnded],
            Phase::Stopping { cause: Cause::TimedOut, asked: true },
            &[Action::SignalGroup, Action::StartGrace],
        );
    }

    #[test]
    fn a_request_during_the_sweep_waits_and_the_second_one_kills() {
        check(
            &[Event::MainExited, Event::StopRequested, Event::StopRequested],
            Phase::Clearing,
            &[Action::RecordOutcome(Cause::Itself), Action::SignalTree, Action::StartGrace, Action::KillTree],
        );
    }

    #[test]
    fn the_outcome_is_recorded_exactly_once_on_every_way_to_empty() {
        let events = [
            Event::StopRequested,
            Event::SessionEnded,
            Event::TimeLimitReached,
            Event::GraceOver,
            Event::MainExited,
            Event::TreeEmptied,
        ];
        // Every sequence of five events: 6^5.
        for code in 0..6_usize.pow(5) {
            let mut phase = Phase::Running;
            let mut outcomes = 0;
            for place in 0..5 {
                let (next, actions) = react(phase, events[code / 6_usize.pow(place) % 6]);
                outcomes += actions.iter().filter(|a| matches!(a, Action::RecordOutcome(_))).count();
                phase = next;
            }
            let ended = matches!(phase, Phase::Sweeping { .. } | Phase::Clearing | Phase::Empty);
            assert_eq!(outcomes, usize::from(ended), "{code}");
        }
    }
}
