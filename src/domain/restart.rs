//! When a task that has ended is started again: backoff after short runs, crash loops, giving up.
//!
//! A run is *good* when it lasted long enough, however it ended: the next one starts at once. After a short one the
//! next waits, each time longer, never longer than a cap. Knows neither clock nor chance: both are given.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::amount::{duration_text, optional_duration_text};
use super::lifecycle::State;
use super::outcome::{Exit, Outcome, Unseen};
use super::task::Restart;

/// The exit code by which a script says that running it again soon is no use (s6 calls it a permanent failure).
pub const PERMANENT: i32 = 125;

/// The longest that a broken task stays down, when neither it nor the supervisor's `--sleep` says so.
pub const DEFAULT_CAP: Duration = Duration::from_mins(1);

/// So many failed ends within this time make a crash loop; so long without one, running, ends it.
pub const CRASH_LOOP: Window = Window { failures: 5, within: Duration::from_mins(10) };

/// The time within which the failures count after which a task is given up, when it does not say.
pub const DEFAULT_WITHIN: Duration = Duration::from_mins(10);

/// A number in thousandths: exact, and it can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thousandths(pub u32);

impl Thousandths {
    /// The number one.
    pub const ONE: Self = Self(1000);

    /// The number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// Reads a number that is not negative, rounded to thousandths: `2`, `1.5`, `1e3`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::times(text, 1000.0)
    }

    /// Reads a number with a percent sign: `10%`, `2.5 %`.
    pub fn parse_percent(text: &str) -> Option<Self> {
        Self::times(text.trim_end().strip_suffix('%')?, 10.0)
    }

    fn times(text: &str, factor: f64) -> Option<Self> {
        let number = text.trim().parse::<f64>().ok().map(|number| (number * factor).round());
        let number = number.filter(|number| (0.0..=f64::from(u32::MAX)).contains(number))?;
        // It has no fraction and is in the range of the type.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(Self(number as u32))
    }

    /// The number as a part of a hundred: `10%`.
    pub fn percent(self) -> String {
        format!("{}%", f64::from(self.0) / 10.0)
    }
}

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

/// How long a task waits before it is started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The wait after the first short run.
    #[serde(with = "duration_text")]
    pub first: Duration,
    /// By how much each further one is longer.
    pub factor: Thousandths,
    /// The longest wait; where it is not set, the supervisor's `--sleep`.
    #[serde(with = "optional_duration_text")]
    pub max: Option<Duration>,
    /// By which part the wait is made shorter or longer by chance, so that tasks that broke together do not return
    /// together.
    pub jitter: Thousandths,
    /// A run that lasted so long was a good one.
    #[serde(with = "duration_text")]
    pub reset_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            factor: Thousandths(2000),
            max: None,
            jitter: Thousandths(100),
            reset_after: Duration::from_secs(2),
        }
    }
}

impl Backoff {
    /// The wait after so many short runs in a row (from 1). `chance` is a number out of the whole range, `sleep` the
    /// supervisor's cap for tasks that have none.
    pub fn wait(&self, streak: u32, sleep: Duration, chance: u64) -> Duration {
        let cap = self.cap(sleep);
        if self.first.is_zero() {
            return Duration::ZERO;
        }
        let doublings = i32::try_from(streak.saturating_sub(1)).unwrap_or(i32::MAX);
        // The precision lost here is far below a microsecond of any wait.
        #[allow(clippy::cast_precision_loss)]
        let swing = (chance as f64 / u64::MAX as f64).mul_add(2.0, -1.0) * self.jitter.as_f64();
        let seconds = self.first.as_secs_f64() * self.factor.as_f64().powi(doublings) * (1.0 + swing);
        // Too large for a duration is longer than any cap.
        Duration::try_from_secs_f64(seconds).map_or(cap, |wait| wait.min(cap))
    }

    /// The longest wait.
    pub fn cap(&self, sleep: Duration) -> Duration {
        self.max.unwrap_or(sleep)
    }
}

/// So many failures within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// How many.
    pub failures: u32,
    /// Within which time.
    #[serde(with = "duration_text")]
    pub within: Duration,
}

/// The times of a task's last failed ends, oldest first; no more than are needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailedEnds(Vec<Timestamp>);

impl FailedEnds {
    /// Reads what [`FailedEnds::encode`] wrote; what cannot be read is none.
    pub fn decode(text: Option<&str>) -> Self {
        let micros: Vec<i64> = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Self(micros.into_iter().filter_map(|at| Timestamp::from_microsecond(at).ok()).collect())
    }

    /// The text in which they are kept: microseconds, as a JSON array.
    pub fn encode(&self) -> String {
        let micros: Vec<String> = self.0.iter().map(|time| time.as_microsecond().to_string()).collect();
        format!("[{}]", micros.join(","))
    }

    /// Adds one, keeping as many as the longest of the windows needs.
    pub fn push(&mut self, time: Timestamp, windows: &[Window]) {
        self.0.push(time);
        let needed = windows.iter().map(|window| window.failures).max().unwrap_or(0);
        let surplus = self.0.len().saturating_sub(usize::try_from(needed).unwrap_or(usize::MAX));
        self.0.drain(..surplus);
    }

    /// Whether the newest ones fill a window.
    pub fn fill(&self, window: Window) -> bool {
        let needed = usize::try_from(window.failures).unwrap_or(usize::MAX).max(1);
        let first = self.0.len().checked_sub(needed).and_then(|at| self.0.get(at));
        match (first, self.0.last()) {
            // Where the clock was set back in between, nobody knows.
            (Some(first), Some(last)) => {
                Duration::try_from(last.duration_since(*first)).is_ok_and(|span| span <= window.within)
            }
            (_, _) => false,
        }
    }
}

/// Whether a run that ended so counts as a good one. `lasted` is how long it ran, where that is known.
pub fn is_good(outcome: &Outcome, lasted: Option<Duration>, backoff: &Backoff) -> bool {
    match outcome {
        // It ran until the machine went down; nothing speaks against it.
        Outcome::Lost(Unseen::Reboot) => true,
        Outcome::CouldNotStart { .. } | Outcome::NeverStarted => false,
        Outcome::Ended { .. } | Outcome::Lost(Unseen::MayHaveRun | Unseen::WorkerDied | Unseen::NoRecord) => {
            lasted.is_some_and(|lasted| lasted >= backoff.reset_after)
        }
    }
}

/// Whether starting it again before something has changed is no use.
pub fn is_permanent(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::CouldNotStart { .. } => true,
        Outcome::Ended { exit, .. } => *exit == Exit::Code(PERMANENT),
        Outcome::NeverStarted | Outcome::Lost(_) => false,
    }
}

/// What the supervisor has to know of a task to decide whether to start it.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each true or not")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the user wants it.
    pub wanted: bool,
    /// Whether the registry defines it.
    pub defined: bool,
    /// Whether a schedule fires it instead.
    pub scheduled: bool,
    /// Whether an unfinished run keeps it from being started.
    pub runs: bool,
    /// Its restart rule.
    pub restart: Restart,
    /// The state of its newest job.
    pub job: Option<State>,
    /// The moment before which that job is not to run again.
    pub not_before: Option<Timestamp>,
    /// When that job ended.
    pub ended: Option<Timestamp>,
}

/// How long a job that was cancelled is left to whoever did that in order to start the task anew.
pub const LET_OTHERS_FINISH: Duration = Duration::from_secs(5);

/// What is to be done with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing, until a fact changes.
    Nothing,
    /// It is to be started, not before this moment.
    Start(Option<Timestamp>),
}

/// Whether, and when, a task is to be started by the supervisor.
pub fn due(task: &Standing) -> Due {
    if !task.wanted || !task.defined || task.runs {
        return Due::Nothing;
    }
    match task.job {
        // A retry is the job's, also where a schedule fires the task.
        Some(State::RestartReady) => Due::Start(task.not_before),
        Some(State::JobFinished) if task.restart == Restart::OnFailure => Due::Nothing,
        Some(State::JobFinished | State::Failed | State::Cancelled) | None => match task.restart {
            Restart::Always | Restart::OnFailure if !task.scheduled => {
                // Stopped in order to be started again, or to come back with the next supervisor: whoever stopped it
                // comes first.
                let cancelled = task.ended.filter(|_| task.job == Some(State::Cancelled));
                Due::Start(cancelled.and_then(|ended| ended.checked_add(LET_OTHERS_FINISH).ok()))
            }
            Restart::Always | Restart::OnFailure | Restart::Never => Due::Nothing,
        },
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
            | State::Reset,
        ) => Due::Nothing,
    }
}

/// Whether the supervisor goes on with a job of `start` or of a schedule of which nothing runs: with its hook, or with its
/// run once it is prepared. The newest job of a task that is to be run again is for [`due`] to judge; an older one, beside
/// which its schedule has fired, goes on when its wait is over.
pub fn goes_on(state: State, is_newest: bool) -> bool {
    match state {
        State::StagedIn | State::Preprocessed | State::RunDone | State::RunError | State::RunTimeout => true,
        State::RestartReady => !is_newest,
        State::Created
        | State::AwaitingParents
        | State::Blocked
        // Transfers have a line of their own.
        | State::Ready
        | State::Postprocessed
        | State::Running
        | State::StagedOut
        | State::JobFinished
        | State::Failed
        | State::Cancelled
        | State::Reset => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Cause;
    use proptest::prelude::*;

    const MIDDLE: u64 = u64::MAX / 2;
    const SLEEP: Duration = Duration::from_mins(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_wait_doubles_up_to_the_cap() {
        let wait = |streak| (Backoff::default().wait(streak, SLEEP, MIDDLE) + Duration::from_millis(1)).as_secs();
        let waits: Vec<u64> = (1..=8).map(wait).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        let capped = Backoff { max: Some(Duration::from_secs(5)), ..Backoff::default() };
        assert_eq!(capped.wait(9, SLEEP, MIDDLE), Duration::from_secs(5));
        assert_eq!(Backoff::default().wait(u32::MAX, SLEEP, u64::MAX), SLEEP);
    }

    #[test]
    fn a_number_is_read_to_the_thousandth_and_printed_as_it_was() {
        for (text, number) in [("0", 0), ("2", 2000), ("1.5", 1500), ("0.001", 1), ("0.1", 100), ("1000", 1_000_000)] {
            assert_eq!(Thousandths::parse(text), Some(Thousandths(number)));
            assert_eq!(Thousandths(number).to_string(), text);
        }
        assert_eq!(Thousandths::parse_percent("12.5 %"), Some(Thousandths(125)));
        assert_eq!([Thousandths(125).percent(), Thousandths(100).percent()], ["12.5%", "10%"]);
        for text in ["", "x", "-1", "inf", "nan", "1e99", "5%"] {
            assert_eq!(Thousandths::parse(text), None, "{text}");
        }
        assert_eq!([Thousandths::parse_percent("10"), Thousandths::parse_percent("x%")], [None, None]);
    }

    #[test]
    fn five_failures_within_ten_minutes_are_a_crash_loop() {
        let mut ends = FailedEnds::default();
        for second in [0, 100, 200, 300] {
            ends.push(at(second), &[CRASH_LOOP]);
            assert!(!ends.fill(CRASH_LOOP));
        }
        let mut late = ends.clone();
        late.push(at(601), &[CRASH_LOOP]);
        assert!(!late.fill(CRASH_LOOP));
        late.push(at(700), &[CRASH_LOOP]);
        assert!(late.fill(CRASH_LOOP));
        ends.push(at(600), &[CRASH_LOOP]);
        assert!(ends.fill(CRASH_LOOP));
        assert_eq!(FailedEnds::decode(Some(&ends.encode())), ends);
        assert_eq!(FailedEnds::decode(None), FailedEnds::default());
    }

    #[test]
    fn good_is_long_enough_however_it_ended() {
        let backoff = Backoff::default();
        let ended = |code| Outcome::Ended { exit: Exit::Code(code), cause: Cause::Itself };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert!(is_good(&ended(1), seconds(2), &backoff) && !is_good(&ended(0), seconds(1), &backoff));
        assert!(is_good(&Outcome::Lost(Unseen::Reboot), None, &backoff));
        assert!(!is_good(&Outcome::Lost(Unseen::WorkerDied), None, &backoff));
        assert!(is_permanent(&ended(125)) && !is_permanent(&ended(1)));
        assert!(is_permanent(&Outcome::CouldNotStart { error: String::new() }));
    }

    const CRASHED: Standing = Standing {
        wanted: true,
        defined: true,
        scheduled: false,
        runs: false,
        restart: Restart::Always,
        job: Some(State::RestartReady),
        not_before: None,
        ended: None,
    };

    #[track_caller]
    fn check(task: Standing, expected: Due) {
        assert_eq!(due(&task), expected);
    }

    #[test]
    fn what_broke_is_started_and_what_was_stopped_is_not() {
        check(CRASHED, Due::Start(None));
        check(Standing { not_before: Some(at(7)), ..CRASHED }, Due::Start(Some(at(7))));
        check(Standing { wanted: false, ..CRASHED }, Due::Nothing);
        check(Standing { defined: false, ..CRASHED }, Due::Nothing);
        check(Standing { runs: true, ..CRASHED }, Due::Nothing);
        check(Standing { scheduled: true, ..CRASHED }, Due::Start(None));
        check(Standing { scheduled: true, job: Some(State::Failed), ..CRASHED }, Due::Nothing);
        // Who stops it in order to start it again is left the time to do that.
        let cancelled = Standing { job: Some(State::Cancelled), ended: Some(at(7)), ..CRASHED };
        check(cancelled, Due::Start(Some(at(12))));
    }

    #[test]
    fn what_is_on_its_way_goes_on_and_nothing_is_begun_twice() {
        for state in State::ALL {
            // What is gone on with is not started besides, and the other way round.
            let started = due(&Standing { job: Some(state), ..CRASHED }) != Due::Nothing;
            assert!(!(goes_on(state, true) && started), "{state}");
            assert!(!goes_on(state, true) || state.underway().is_some(), "{state}");
        }
        assert!(!goes_on(State::RestartReady, true) && goes_on(State::RestartReady, false));
    }

    #[test]
    fn no_wait_at_all_stays_none_however_often() {
        let backoff = Backoff { first: Duration::ZERO, factor: Thousandths(1_000_000), ..Backoff::default() };
        assert_eq!(backoff.wait(u32::MAX, SLEEP, MIDDLE), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_crash_loop() {
        let mut ends = FailedEnds::default();
        for second in [1000, 1000, 1000, 1000, 10] {
            ends.push(at(second), &[CRASH_LOOP]);
        }
        assert!(!ends.fill(CRASH_LOOP));
    }

    #[test]
    fn a_wanted_task_whose_job_has_ended_is_started_by_its_rule() {
        for (restart, ended, expected) in [
            (Restart::Always, State::Cancelled, Due::Start(None)),
            (Restart::Always, State::JobFinished, Due::Start(None)),
            (Restart::OnFailure, State::Cancelled, Due::Start(None)),
            (Restart::OnFailure, State::JobFinished, Due::Nothing),
            (Restart::Never, State::Cancelled, Due::Nothing),
            (Restart::Never, State::Failed, Due::Nothing),
        ] {
            check(Standing { restart, job: Some(ended), ..CRASHED }, expected);
        }
        // A retry is the job's, whatever the rule.
        check(Standing { restart: Restart::Never, ..CRASHED }, Due::Start(None));
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_cap_or_further_off_than_the_jitter(
            streak in 1_u32..200, chance: u64, first in 0_u64..100, cap in 0_u64..1000,
        ) {
            let backoff = Backoff { first: Duration::from_secs(first), ..Backoff::default() };
            let cap = Duration::from_secs(cap);
            let wait = backoff.wait(streak, cap, chance);
            prop_assert!(wait <= cap);
            let middle = backoff.wait(streak, cap, MIDDLE).as_secs_f64();
            prop_assert!(wait.as_secs_f64() <= middle * 1.1001 && wait.as_secs_f64() >= middle * 0.8999);
        }
    }
}
