//! What the facts of a night mean: what is wrong, what has recovered, what is slow. Pure: it is given all it needs.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::name::{JobId, TaskName};
use crate::domain::status::TaskState;
use crate::store::events::Event;
use crate::store::night::{FailedBesides, Tally};

use super::found::{How, Loop, Ran, Recovery, Trouble, Wrong};
use crate::executor::TaskStatus;

/// So many earlier successes say what is usual.
const ENOUGH: usize = 5;

/// So many times the usual is slow.
const TIMES: u32 = 2;

/// What is longer than usual by less than this is nobody's business.
pub(super) const NOTICED: Duration = Duration::from_secs(1);

/// What is known of one task now.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each true or not")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) task: TaskName,
    pub(super) state: TaskState,
    /// Whether it is to run, now or when its schedule says so.
    pub(super) wanted: bool,
    /// Whether anybody has ever asked for it to run, or not to.
    pub(super) ever_asked: bool,
    /// Whether its schedule may fire it.
    pub(super) scheduled: bool,
    pub(super) runs: bool,
    pub(super) looping_since: Option<Timestamp>,
    pub(super) gave_up: bool,
    /// Its newest job, where that failed by a hook or a transfer.
    pub(super) failed_besides: Option<JobId>,
    /// Whether a hook or a transfer is still to say how that went.
    pub(super) on_its_way: bool,
    /// When its newest job ended.
    pub(super) job_ended: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    /// When and how its last run ended.
    pub(super) last_end: Option<Timestamp>,
    pub(super) last_reason: Option<String>,
    /// Whether that was a failure.
    pub(super) last_failed: bool,
    /// When the run that is alive was started, and when it was found to show no sign of life.
    pub(super) started: Option<Timestamp>,
    pub(super) stalled: Option<Timestamp>,
    /// A run that lasted so long counts as a good one.
    pub(super) good_after: Duration,
    pub(super) failures: u64,
}

impl Standing {
    pub(super) fn of(status: &TaskStatus, tally: Option<&Tally>) -> Self {
        let (row, job, last) = (status.row.as_ref(), status.job.as_ref(), status.last_ended.as_ref());
        let live = status.live.as_ref();
        let disabled = status.task.as_ref().is_some_and(|task| task.schedule.is_set() && !task.enabled);
        let failed = |outcome: &str| !matches!(outcome, "success" | "never_started");
        Self {
            task: status.name.clone(),
            state: status.state,
            wanted: status.wanted() && status.defined && !disabled,
            ever_asked: row.is_some_and(|row| row.wanted_since.is_some()),
            scheduled: status.task.as_ref().is_some_and(|task| task.schedule.is_set() && task.enabled),
            runs: live.is_some(),
            looping_since: row.and_then(|row| row.form.looping_since),
            gave_up: job.is_some_and(|job| job.code.as_deref() == Some("gave_up")),
            failed_besides: status.besides().and(job).map(|job| job.id),
            on_its_way: status.is_on_its_way(),
            job_ended: job.and_then(|job| job.ended),
            not_before: job.and_then(|job| job.not_before),
            last_end: last.and_then(|run| run.ended),
            last_reason: status.besides().map(str::to_owned).or_else(|| last.and_then(|run| run.reason.clone())),
            last_failed: last.is_some_and(|run| run.stop_asked.is_none() && run.outcome.as_deref().is_some_and(failed)),
            started: live.and_then(|live| live.started),
            stalled: status.run.as_ref().filter(|_| live.is_some()).and_then(|run| run.stalled),
            good_after: status.task.as_ref().map_or(Duration::ZERO, |task| task.backoff.reset_after),
            failures: tally.map_or(0, |tally| tally.failures),
        }
    }

    /// What is wrong with it, and since when.
    fn trouble(&self) -> Option<(Trouble, Option<Timestamp>)> {
        let down = match self.state {
            TaskState::Unsupervised => Some((Trouble::Unsupervised, self.last_end)),
            TaskState::Failed if self.gave_up => Some((Trouble::GivenUp, self.job_ended)),
            TaskState::Failed => Some((Trouble::Failed, self.job_ended)),
            TaskState::Orphaned => Some((Trouble::Orphaned, self.started)),
            TaskState::Stopping | TaskState::Finished | TaskState::Stopped => return None,
            TaskState::Running | TaskState::Waiting | TaskState::Scheduled => None,
        };
        let looping = self.looping_since.filter(|_| self.wanted).map(|since| (Trouble::CrashLooping, Some(since)));
        let stalled = self.stalled.map(|since| (Trouble::Stalled, Some(since)));
        let waiting =
            (self.state == TaskState::Waiting && self.last_failed).then_some((Trouble::Waiting, self.last_end));
        down.or(looping).or(stalled).or(waiting)
    }
}

/// What is wrong with a task now.
pub(super) fn wrong(standing: &Standing, since: Timestamp, now: Timestamp) -> Option<Wrong> {
    let (what, from) = standing.trouble()?;
    let down_for_good = matches!(what, Trouble::Failed | Trouble::GivenUp);
    Some(Wrong {
        task: standing.task.clone(),
        what,
        since: from,
        reason: standing.last_reason.clone().filter(|_| !matches!(what, Trouble::Stalled | Trouble::Orphaned)),
        // Who tries again is the supervisor.
        next: standing
            .not_before
            .filter(|next| !standing.runs && !down_for_good && what != Trouble::Unsupervised && *next > now),
        failures: standing.failures,
        job: standing.failed_besides,
        before: down_for_good && standing.failures == 0 && from.is_some_and(|from| from < since),
    })
}

/// What the runs come to, with the jobs that failed though no run of theirs had. A task of which nothing came to run is
/// among them.
pub(super) fn with_besides(mut tallies: Vec<Tally>, besides: &[FailedBesides]) -> Vec<Tally> {
    let mut places: HashMap<String, usize> =
        tallies.iter().enumerate().map(|(at, tally)| (tally.task.key(), at)).collect();
    for one in besides {
        let task = &one.first.task;
        let at = *places.entry(task.key()).or_insert(tallies.len());
        if at == tallies.len() {
            tallies.push(Tally::new(task.clone()));
        }
        let Some(tally) = tallies.get_mut(at) else { continue };
        let first = one.first.ended;
        tally.failures += one.failures;
        tally.first_failure = Some(tally.first_failure.map_or(first, |earlier| earlier.min(first)));
        tally.last_failure = tally.last_failure.max(Some(one.last));
    }
    tallies
}

/// The last crash loop of each task that ended, by [`TaskName::key`].
pub(super) fn loops(events: &[Event]) -> HashMap<String, Loop> {
    let mut open: HashMap<String, Timestamp> = HashMap::new();
    let mut over = HashMap::new();
    for event in events {
        let Some(key) = event.task.as_ref().map(|task| task.to_ascii_lowercase()) else { continue };
        match event.cause.as_str() {
            "crash_looping" => {
                open.insert(key, event.time);
            }
            "recovered" => {
                let began = open.remove(&key);
                // Whoever starts a task by hand ends a loop that may have been called over already.
                if began.is_some() || !over.contains_key(&key) {
                    over.insert(key, Loop { began, ended: event.time });
                }
            }
            _ => {}
        }
    }
    over
}

/// Whether, and how, a task with which nothing is wrong has recovered.
pub(super) fn recovered(
    standing: &Standing,
    tally: Option<&Tally>,
    crash_loop: Option<Loop>,
    now: Timestamp,
) -> Option<Recovery> {
    let last_failure = tally.and_then(|tally| tally.last_failure);
    let after = |moment: &Timestamp| last_failure.is_some_and(|failure| failure <= *moment);
    let lasted = |from: Timestamp| Duration::try_from(now.duration_since(from)).unwrap_or_default();
    let running = standing.started.filter(|from| lasted(*from) >= standing.good_after);
    let succeeded = tally.and_then(|tally| tally.last_success).filter(|_| !standing.on_its_way);
    let seen = running
        .filter(after)
        .map(|at| (How::Running, at))
        .or_else(|| succeeded.filter(after).map(|at| (How::Succeeded, at)))
        // One that was stopped has not recovered, whatever ended its loop.
        .or_else(|| {
            let over =
                crash_loop.filter(|over| standing.wanted && last_failure.is_none_or(|last| last <= over.ended))?;
            Some((How::LoopEnded, over.ended))
        });
    let (how, at) = seen?;
    let failures = standing.failures;
    Some(Recovery { task: standing.task.clone(), failures, last_failure, how, at, crash_loop })
}

/// Whether a task without a run should have had one: it is wanted; or it is scheduled, and nobody has ever armed it.
pub(super) fn never(standing: &Standing) -> bool {
    !standing.runs && (standing.wanted || standing.scheduled && !standing.ever_asked)
}

/// How long a run usually takes: the median of enough earlier ones.
pub(in crate::executor) fn usual(earlier: &[u64]) -> Option<Duration> {
    if earlier.len() < ENOUGH {
        return None;
    }
    let mut sorted = earlier.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    let lower = if sorted.len().is_multiple_of(2) { *sorted.get(middle.checked_sub(1)?)? } else { upper };
    Some(Duration::from_micros(lower.midpoint(upper)))
}

/// What is longer than this is slow.
pub(super) fn limit(usual: Duration) -> Duration {
    (usual * TIMES).max(usual + NOTICED)
}

/// Whether a run was slow.
pub(super) fn is_slow(lasted: Duration, usual: Duration) -> bool {
    lasted > limit(usual)
}

/// What the runs of a task come to, with the one that goes on.
pub(super) fn ran(tally: &Tally, running: bool, started: Option<Timestamp>, since: Timestamp, now: Timestamp) -> Ran {
    let between = |from: Timestamp| Duration::try_from(now.duration_since(from)).unwrap_or_default();
    let so_far = started.map(between);
    let within = started.map(|started| between(started.max(since)));
    Ran {
        task: tally.task.clone(),
        runs: tally.runs,
        failures: tally.failures,
        restarts: tally.restarts,
        total: Duration::from_micros(tally.spent) + within.unwrap_or_default(),
        longest: tally.longest.map(Duration::from_micros).max(so_far),
        memory: tally.memory.filter(|bytes| *bytes > 0),
        last_end: tally.last_end,
        running,
    }
}
