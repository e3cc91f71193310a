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
    Stopping(Cause),
    /// The script and everything below it is being killed.
    Killing(Cause),
    /// The script has ended; what is left of its tree has been asked to end; the grace runs.
    Sweeping,
    /// The script has ended; what is left of its tree is being killed.
    Clearing,
    /// Nothing is left.
    Empty,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A stop request that carries this run's number. Asking twice is asking once.
    StopRequested,
    /// A request, with this run's number, that the end be now.
    KillRequested,
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

impl Event {
    /// Every event.
    pub const ALL: [Self; 7] = [
        Self::StopRequested,
        Self::KillRequested,
        Self::SessionEnded,
        Self::TimeLimitReached,
        Self::GraceOver,
        Self::MainExited,
        Self::TreeEmptied,
    ];
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
    let stay = (phase, vec![]);
    match phase {
        Phase::Running => match event {
            Event::StopRequested => begin(Cause::Stopped),
            Event::KillRequested => (Phase::Killing(Cause::Stopped), vec![Action::KillTree]),
            Event::SessionEnded => begin(Cause::SessionEnded),
            Event::TimeLimitReached => begin(Cause::TimedOut),
            Event::MainExited => {
                (Phase::Sweeping, vec![Action::RecordOutcome(Cause::Itself), Action::SignalTree, Action::StartGrace])
            }
            Event::GraceOver | Event::TreeEmptied => stay,
        },
        Phase::Stopping(cause) => match event {
            Event::KillRequested | Event::GraceOver => (Phase::Killing(cause), vec![Action::KillTree]),
            Event::MainExited => (Phase::Sweeping, vec![Action::RecordOutcome(cause), Action::SignalTree]),
            Event::StopRequested | Event::SessionEnded | Event::TimeLimitReached | Event::TreeEmptied => stay,
        },
        Phase::Killing(cause) => match event {
            Event::MainExited => (Phase::Clearing, vec![Action::RecordOutcome(cause), Action::KillTree]),
            Event::StopRequested
            | Event::KillRequested
            | Event::SessionEnded
            | Event::TimeLimitReached
            | Event::GraceOver
            | Event::TreeEmptied => stay,
        },
        Phase::Sweeping => match event {
            Event::KillRequested | Event::GraceOver => (Phase::Clearing, vec![Action::KillTree]),
            Event::TreeEmptied => (Phase::Empty, vec![Action::RecordSwept]),
            Event::StopRequested | Event::SessionEnded | Event::TimeLimitReached | Event::MainExited => stay,
        },
        Phase::Clearing => match event {
            Event::TreeEmptied => (Phase::Empty, vec![Action::RecordSwept]),
            Event::StopRequested
            | Event::KillRequested
            | Event::SessionEnded
            | Event::TimeLimitReached
            | Event::GraceOver
            | Event::MainExited => stay,
        },
        Phase::Empty => stay,
    }
}

fn begin(cause: Cause) -> (Phase, Vec<Action>) {
    (Phase::Stopping(cause), vec![Action::SignalGroup, Action::StartGrace])
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
    fn asking_twice_is_asking_once_and_a_kill_is_at_once() {
        check(
            &[Event::StopRequested, Event::StopRequested, Event::KillRequested],
            Phase::Killing(Cause::Stopped),
            &[Action::SignalGroup, Action::StartGrace, Action::KillTree],
        );
    }

    #[test]
    fn the_first_cause_stands() {
        check(
            &[Event::TimeLimitReached, Event::StopRequested, Event::SessionEnded],
            Phase::Stopping(Cause::TimedOut),
            &[Action::SignalGroup, Action::StartGrace],
        );
    }

    #[test]
    fn a_stop_during_the_sweep_waits_and_a_kill_clears() {
        check(
            &[Event::MainExited, Event::StopRequested, Event::KillRequested],
            Phase::Clearing,
            &[Action::RecordOutcome(Cause::Itself), Action::SignalTree, Action::StartGrace, Action::KillTree],
        );
    }

    #[test]
    fn the_outcome_is_recorded_exactly_once_on_every_way_to_empty() {
        let events = Event::ALL;
        // Every sequence of five events: 7^5.
        for code in 0..7_usize.pow(5) {
            let mut phase = Phase::Running;
            let mut outcomes = 0;
            for place in 0..5 {
                let (next, actions) = react(phase, events[code / 7_usize.pow(place) % 7]);
                outcomes += actions.iter().filter(|a| matches!(a, Action::RecordOutcome(_))).count();
                phase = next;
            }
            let ended = matches!(phase, Phase::Sweeping | Phase::Clearing | Phase::Empty);
            assert_eq!(outcomes, usize::from(ended), "{code}");
        }
    }
}
