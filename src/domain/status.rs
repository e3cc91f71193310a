//! What a task's status is called: the first word that fits.

use super::lifecycle::State;
use super::task::Restart;

/// The state of a task, as `status` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Its run goes on, but the worker that watched it is dead.
    Orphaned,
    /// Somebody has asked for its end, and it has not ended yet.
    Stopping,
    /// It runs.
    Running,
    /// It is wanted and does not run, or not on, and no supervisor is there to change that.
    Unsupervised,
    /// It waits for its next attempt, or for what comes before or after its run.
    Waiting,
    /// It waits for its next occurrence.
    Scheduled,
    /// Its last run failed, and nothing will happen by itself.
    Failed,
    /// Its last run succeeded, and nothing will happen by itself.
    Finished,
    /// It was stopped, or never started.
    Stopped,
}

impl TaskState {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orphaned => "orphaned",
            Self::Stopping => "stopping",
            Self::Running => "running",
            Self::Unsupervised => "unsupervised",
            Self::Waiting => "waiting",
            Self::Scheduled => "scheduled",
            Self::Failed => "failed",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
        }
    }

    /// Whether `status NAME` of it is a success: something runs, or will by itself.
    pub fn is_up(self, scheduled: bool) -> bool {
        match self {
            Self::Orphaned | Self::Stopping | Self::Running | Self::Waiting | Self::Scheduled => true,
            Self::Unsupervised => scheduled,
            Self::Failed | Self::Finished | Self::Stopped => false,
        }
    }
}

/// What is known of a task's unfinished run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// No unfinished run.
    Nothing,
    /// Its worker lives.
    Worker,
    /// Its worker is dead; something of it lives.
    Orphan,
}

/// Everything that a task's state depends on.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each true or not")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its unfinished run.
    pub live: Live,
    /// Whether an end of that run has been asked for.
    pub stop_asked: bool,
    /// What the user asked of the task.
    pub wanted: bool,
    /// Whether it has a schedule.
    pub scheduled: bool,
    /// Whether a supervisor is there.
    pub supervised: bool,
    /// The state of its newest job.
    pub job: Option<State>,
    /// Its restart rule.
    pub restart: Restart,
}

/// The state of a task.
pub fn task_state(facts: Facts) -> TaskState {
    match facts.live {
        Live::Orphan => return TaskState::Orphaned,
        Live::Worker if facts.stop_asked => return TaskState::Stopping,
        Live::Worker => return TaskState::Running,
        Live::Nothing => {}
    }
    let will_run = facts.scheduled || facts.job.is_none_or(|state| !state.is_end()) || facts.restart != Restart::Never;
    if facts.wanted && will_run {
        let is_on_its_way = facts.job.is_some_and(|job| job == State::RestartReady || job.underway().is_some());
        return match facts.supervised {
            false => TaskState::Unsupervised,
            true if facts.scheduled && !is_on_its_way => TaskState::Scheduled,
            true => TaskState::Waiting,
        };
    }
    match facts.job {
        Some(State::Failed) => TaskState::Failed,
        Some(State::JobFinished) => TaskState::Finished,
        Some(
            State::Created
            | State::AwaitingParents
            | State::Blocked
            | State::Ready
            | State::StagedIn
            | State::Preprocessed
            | State::Running
            | State::RunDone
            | State::Postprocessed
            | State::StagedOut
            | State::RunError
            | State::RunTimeout
            | State::RestartReady
            | State::Cancelled
            | State::Reset,
        )
        | None => TaskState::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOPPED: Facts = Facts {
        live: Live::Nothing,
        stop_asked: false,
        wanted: false,
        scheduled: false,
        supervised: false,
        job: None,
        restart: Restart::Always,
    };

    #[track_caller]
    fn check(facts: Facts, expected: TaskState) {
        assert_eq!(task_state(facts), expected);
    }

    #[test]
    fn what_is_observed_comes_before_what_is_wanted() {
        check(Facts { live: Live::Orphan, stop_asked: true, ..STOPPED }, TaskState::Orphaned);
        check(Facts { live: Live::Worker, stop_asked: true, wanted: true, ..STOPPED }, TaskState::Stopping);
        check(Facts { live: Live::Worker, ..STOPPED }, TaskState::Running);
    }

    #[test]
    fn a_wanted_task_without_supervisor_says_so() {
        let crashed = Facts { wanted: true, job: Some(State::RestartReady), ..STOPPED };
        check(crashed, TaskState::Unsupervised);
        check(Facts { supervised: true, ..crashed }, TaskState::Waiting);
        let scheduled = Facts { wanted: true, scheduled: true, restart: Restart::Never, ..STOPPED };
        check(scheduled, TaskState::Unsupervised);
        check(Facts { supervised: true, ..scheduled }, TaskState::Scheduled);
        let between = Facts { job: Some(State::StagedIn), ..scheduled };
        check(between, TaskState::Unsupervised);
        check(Facts { supervised: true, ..between }, TaskState::Waiting);
        assert!(TaskState::Unsupervised.is_up(true) && !TaskState::Unsupervised.is_up(false));
    }

    #[test]
    fn otherwise_the_last_end_counts() {
        check(STOPPED, TaskState::Stopped);
        check(Facts { job: Some(State::Failed), ..STOPPED }, TaskState::Failed);
        check(Facts { job: Some(State::JobFinished), ..STOPPED }, TaskState::Finished);
        check(Facts { job: Some(State::Cancelled), ..STOPPED }, TaskState::Stopped);
    }
}
