//! explain: one sentence that says why a task is in the state it is in, and what would change that.

mod job;

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::amount::{print_duration, print_roughly};
use crate::domain::outcome::Exit;
use crate::domain::restart::{CRASH_LOOP, PERMANENT};
use crate::domain::schedule::Overlap;
use crate::domain::status::TaskState;
use crate::store::occurrences::Decided;
use crate::store::queue;
use crate::store::runs::{Kind, RunRow};

use super::{Executor, ExecutorError, TaskStatus, Upcoming};

/// Why a task is in its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The reason in one sentence.
    pub sentence: String,
    /// What the user can do about it.
    pub hints: Vec<String>,
}

impl Executor {
    /// Explains the state of a task.
    pub fn explain(&self, status: &TaskStatus, now: Timestamp) -> Result<Explanation, ExecutorError> {
        let name = &status.name;
        let mut hints = Vec::new();
        let sentence = match status.state {
            TaskState::Running | TaskState::Stopping => match self.beside(status, now) {
                Some(beside) => format!("{}; {beside}", running(status, now)),
                None => running(status, now),
            },
            TaskState::Orphaned => {
                hints.push(format!("end it with `jobexec stop {name}`"));
                let pids = status.live.as_ref().map(|live| live.orphans.clone()).unwrap_or_default();
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                format!(
                    "{name} still runs (pid {}), but the worker that watched it was killed: its exit may be lost",
                    pids.join(", ")
                )
            }
            TaskState::Unsupervised | TaskState::Waiting if status.is_on_its_way() => {
                self.goes_on(status, &mut hints)?
            }
            TaskState::Unsupervised | TaskState::Scheduled if is_switched_off(status) => {
                hints.push(format!("switch it on with `jobexec edit {name} --enabled true`"));
                format!("{name} does not fire: its schedule is switched off (`enabled = false`)")
            }
            TaskState::Unsupervised if status.scheduled() => {
                hints.push("have its schedule fired: run `jobexec keep-restarting`".to_owned());
                hints.push(format!("run it once with `jobexec start {name} --now`"));
                let fires = self.fires(status, now).map(|fires| format!("; with one it {fires}")).unwrap_or_default();
                format!("{name} is armed, but no supervisor is running to fire its schedule{fires}")
            }
            TaskState::Unsupervised => {
                hints.push("have it started again by itself: run `jobexec keep-restarting`".to_owned());
                hints.push(format!("start it again now with `jobexec start {name}`"));
                match &status.last_ended {
                    Some(run) => format!(
                        "{name} is wanted but does not run: {}, and no supervisor is running to start it again",
                        ended(run, now)
                    ),
                    None => format!("{name} is wanted but does not run, and no supervisor is running to start it"),
                }
            }
            TaskState::Waiting => {
                hints.push(match &status.lock {
                    Some(held) => held.hint(),
                    None => format!("start it now with `jobexec start {name}`"),
                });
                waiting(status, now)
            }
            TaskState::Scheduled => match self.fires(status, now) {
                Some(fires) => format!("{name} {fires}"),
                None => format!("{name} is armed, and its schedule has no further occurrence"),
            },
            TaskState::Failed | TaskState::Finished => {
                hints.push(if status.scheduled() {
                    format!("arm its schedule with `jobexec start {name}`")
                } else {
                    format!("run it again with `jobexec start {name}`")
                });
                match (status.besides(), &status.last_ended) {
                    (Some(why), _) => {
                        hints.extend(
                            status.job.iter().map(|job| format!("see its runs with `jobexec job show {}`", job.id)),
                        );
                        format!("{name} does not run: {why}, and it is not to be started again")
                    }
                    (None, Some(run)) if status.gave_up() => {
                        format!("{name} does not run: it was given up after repeated failures; {}", ended(run, now))
                    }
                    (None, Some(run)) => {
                        format!("{name} does not run: {}, and it is not to be started again", ended(run, now))
                    }
                    (None, None) => format!("{name} does not run"),
                }
            }
            TaskState::Stopped => stopped(status, now, &mut hints),
        };
        let broke = matches!(status.state, TaskState::Failed | TaskState::Unsupervised | TaskState::Waiting);
        if broke && status.last_ended.is_some() && status.besides().is_none() {
            hints.push(format!("see its output with `jobexec tail {name}`"));
        }
        if let Some(last) = self.last_without_run(name)?.filter(|_| status.scheduled() && status.wanted()) {
            let what = if last.decided == Decided::Missed { "missed" } else { last.decided.as_str() };
            let why = last.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            hints.push(format!("its run due {} ago was {what}{why}: see `jobexec history {name}`", age(last.due, now)));
        }
        if queue::any_of_task(self.store.reader(), name)? {
            hints.push(format!("see its queued jobs with `jobexec jobs 'task = {name}'`"));
        }
        if status.changed {
            hints.push(format!("its definition has been changed; `jobexec restart {name}` applies that now"));
        }
        if !status.defined {
            hints.push(format!("`{name}` is no longer in the registry"));
        }
        Ok(Explanation { sentence, hints })
    }

    /// What comes next for a job that is on its way, and what that waits for.
    fn goes_on(&self, status: &TaskStatus, hints: &mut Vec<String>) -> Result<String, ExecutorError> {
        let name = &status.name;
        let Some(job) = &status.job else { return Ok(format!("{name} is about to go on")) };
        let (_, why) = self.explain_job(job.id)?;
        hints.extend(why.hints);
        Ok(format!("{name} goes on: {}", why.sentence))
    }

    /// When and how a task fires next: `fires in 2 h 5 min, on Mon 2026-11-23 at 03:00 UTC (every day at 03:00 UTC)`.
    fn fires(&self, status: &TaskStatus, now: Timestamp) -> Option<String> {
        let meaning = self.meaning(status.task.as_ref()?, 0).ok()??;
        if let Some(event) = meaning.event {
            return Some(format!("fires {} ({})", event.when(), meaning.text));
        }
        Some(format!("fires {} ({})", soon(&self.next_run(status)?, now), meaning.text))
    }

    /// What becomes of the next occurrence of a task that runs.
    fn beside(&self, status: &TaskStatus, now: Timestamp) -> Option<String> {
        let (next, task) = (self.next_run(status)?, status.task.as_ref()?);
        if !self.is_supervised() {
            return Some("no supervisor is running to fire its schedule".to_owned());
        }
        let overlap = task.schedule.policy.overlap;
        let rule = match overlap {
            Overlap::Skip => "is skipped if this run goes on until then",
            Overlap::Queue => "waits for the end of this run",
            Overlap::Replace => "has this run stopped if it goes on until then",
            Overlap::Allow => "runs beside this one",
        };
        Some(format!("its next occurrence, {}, {rule} (overlap = {})", soon(&next, now), overlap.as_str()))
    }
}

/// When something comes: how far away it is, and on which day and at what time.
fn soon(next: &Upcoming, now: Timestamp) -> String {
    let (there, left) = (next.there(), next.time().duration_since(now).unsigned_abs());
    // Never sooner than it is said to be.
    let left = Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
    let seconds = if there.second() == 0 { "" } else { ":%S" };
    let when = there.strftime(&format!("on %a %Y-%m-%d at %H:%M{seconds} %Z")).to_string();
    let note = next.note().map(|note| format!(", {note}")).unwrap_or_default();
    format!("in {}, {when}{note}", print_roughly(left))
}

fn is_switched_off(status: &TaskStatus) -> bool {
    status.task.as_ref().is_some_and(|task| task.schedule.is_set() && !task.enabled)
}

fn running(status: &TaskStatus, now: Timestamp) -> String {
    let name = &status.name;
    let live = status.live.as_ref();
    if live.is_some_and(|live| live.elsewhere) {
        return format!("{name} is on record as running on another machine or in another container");
    }
    let pid = live.and_then(|live| live.pid).map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    let since = status.uptime().map(|uptime| format!(" for {}", to_the_second(uptime))).unwrap_or_default();
    let run = status.run.as_ref();
    if status.state == TaskState::Stopping
        && let Some((time, by)) = run.and_then(|run| run.stop_asked.zip(run.stop_by.as_deref()))
    {
        return format!("{name}{pid} is being stopped: {by} asked for it {} ago", age(time, now));
    }
    if let Some(what) = run.and_then(|run| besides(run, status)) {
        return format!("{name} has {what}{since}{pid}");
    }
    let by = run.map(|run| format!(", started by {}", run.asked_by)).unwrap_or_default();
    let mut sentence = format!("{name} has been running{since}{pid}{by}");
    if let Some(time) = status.stalled() {
        sentence += &format!("; it has shown no sign of life, as was noticed {} ago", age(time, now));
    }
    if let Some(time) = status.looping_since() {
        let steady = print_duration(CRASH_LOOP.within);
        sentence += &format!(
            "; it has been crash-looping for {} and counts as recovered after {steady} without a failure",
            age(time, now)
        );
    }
    sentence
}

/// What is run for a task's job besides its own run, and what is done with that.
fn besides(run: &RunRow, status: &TaskStatus) -> Option<String> {
    let what = status.job.as_ref()?.state.underway()?;
    let done = match (run.kind == Kind::Transfer.as_str(), what) {
        (false, _) => "run",
        (true, "its inputs") => "brought",
        (true, _) => "stored",
    };
    Some(format!("{what} {done}"))
}

/// Why it waits and for what.
fn waiting(status: &TaskStatus, now: Timestamp) -> String {
    let name = &status.name;
    if let Some(held) = &status.lock {
        return format!("{name} waits to be started again: {held}");
    }
    let Some(run) = &status.last_ended else { return format!("{name} waits to be started") };
    let when = match status.next_retry() {
        Some(time) if time > now => format!("waits {} to be started again", until(time, now)),
        Some(_) | None => "is about to be started again".to_owned(),
    };
    let form = status.row.as_ref().map(|row| row.form.clone()).unwrap_or_default();
    let why = if is_permanent(run) {
        ", or until its script is changed".to_owned()
    } else if form.streak > 1 {
        format!(" after {} runs in a row that were too short", form.streak)
    } else {
        String::new()
    };
    let looping = form.looping_since.map(|time| format!("; it has been crash-looping for {}", age(time, now)));
    format!("{name} {when}{why}: {}{}", ended(run, now), looping.unwrap_or_default())
}

/// Whether running it again is no use before something has changed.
pub(super) fn is_permanent(run: &RunRow) -> bool {
    run.outcome.as_deref() == Some("could_not_start") || run.exit == Some(Exit::Code(PERMANENT))
}

/// The time until a moment, in whole seconds.
fn until(moment: Timestamp, now: Timestamp) -> String {
    let left = moment.duration_since(now).as_secs() + 1;
    print_duration(std::time::Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

fn stopped(status: &TaskStatus, now: Timestamp, hints: &mut Vec<String>) -> String {
    let name = &status.name;
    if status.scheduled() {
        hints.push(format!("arm its schedule with `jobexec start {name}`"));
    } else if status.defined {
        hints.push(format!("start it with `jobexec start {name}`"));
    }
    let row = status.row.as_ref();
    match row.and_then(|row| row.wanted_by.as_deref().zip(row.wanted_since)) {
        // Nobody has: it is only no longer there to be started.
        Some((by, time)) if status.wanted() => match &status.last_ended {
            Some(run) => format!("{name} does not run: {}", ended(run, now)),
            None => format!("{name} does not run, though {by} started it {} ago", age(time, now)),
        },
        Some((by, time)) => format!("{name} does not run: {by} stopped it {} ago", age(time, now)),
        None => format!("{name} does not run: it was added and never started"),
    }
}

fn ended(run: &RunRow, now: Timestamp) -> String {
    let reason = run.reason.as_deref().unwrap_or("nobody knows why");
    let ago = run.ended.map(|time| format!(" {} ago", age(time, now))).unwrap_or_default();
    format!("its last run ended{ago} ({reason})")
}

/// The time between.
fn age(since: Timestamp, now: Timestamp) -> String {
    to_the_second(Duration::try_from(now.duration_since(since)).unwrap_or_default())
}

fn to_the_second(duration: Duration) -> String {
    print_duration(Duration::from_secs(duration.as_secs()))
}
