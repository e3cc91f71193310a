//! What the supervisor asks of the executor: which tasks have changed, how each stands, what has become of a run.
//! Nothing of it is decided here, and nothing is waited for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::domain::evidence::{Ended, ProcessId, Record};
use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, RunId, RunRef, TaskName};
use crate::domain::notice::{self, Occasion};
use crate::domain::outcome::{Cause, Exit, Outcome};
use crate::domain::resources::HeldLock;
use crate::domain::restart::{Due, due, goes_on};
use crate::domain::signal::Signal;
use crate::domain::task::{Stall, StopSequence, Task};
use crate::home::Home;
use crate::process::asking::WorkerHandle;
use crate::process::tagged;
use crate::process::{clock, identity, lifelock, record};
use crate::store::runs::{self, Kind, RunRow};
use crate::store::supervisor::{self, Supervisor};
use crate::store::tasks::TaskRow;
use crate::store::{Durability, StoreError, events, jobs, line, occurrences, tasks};

use super::claim::{run_in_the_way, standing};
use super::explain::is_permanent;
use super::import::Found;
use super::{Executor, ExecutorError};
use crate::ledger::Ledger;
use crate::ledger::hooks::hook_of;
use crate::ledger::line::keys;
use crate::ledger::notice::Message;
use crate::ledger::output::LAST_LINES;

/// The longest wait for the end of a supervisor, which may have tasks to stop.
const ITS_END: Duration = Duration::from_mins(5);

/// Jobs, each with the hook that is next; none where its own run is.
type Hooked = Vec<(JobId, Option<Kind>)>;

/// Jobs, and the moments before which they are not to be gone on with.
pub type Later = Vec<(JobId, Timestamp)>;

/// How a task stands, for whoever keeps it running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    /// What is to be done with it.
    pub due: Due,
    /// Its newest job and how often that has been started: what a wait belongs to.
    pub attempt: Option<(JobId, u32)>,
    /// When it ended, if it waits because starting it again is no use before something has changed.
    pub permanent: Option<Timestamp>,
    /// Its unfinished run.
    pub run: Option<RunId>,
    /// Whether it, or an occurrence of it, needs locks and waits for nothing else.
    pub wants_lock: bool,
    /// The lock that it then cannot have now.
    pub lock: Option<HeldLock>,
    /// Its jobs of which nothing runs and which are to be gone on with.
    pub underway: Vec<JobId>,
    /// Those that are to be gone on with later: they are tried again beside a newer one.
    pub later: Later,
    /// Since when it is crash-looping.
    pub looping_since: Option<Timestamp>,
    /// Since when, while it is crash-looping, it has run without a failed end.
    pub steady_since: Option<Timestamp>,
}

/// An unfinished run, with what its job was made of.
#[derive(Debug, Clone)]
pub struct OpenRun {
    /// Its row.
    pub row: RunRow,
    /// What its definition says of watching over it. That is little: a thousand of them are kept at hand.
    pub rules: Rules,
}

/// What a definition says of watching over a run.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The longest that it may last.
    pub timeout: Option<Duration>,
    /// How it is stopped.
    pub stop: StopSequence,
    /// When it is taken for stalled, and from where the file that is looked at is found.
    pub stall: Option<(Stall, PathBuf)>,
}

impl From<Task> for Rules {
    fn from(task: Task) -> Self {
        let Task { timeout, stop, stall, wd, .. } = task;
        Self { timeout, stop, stall: stall.map(|stall| (stall, wd)) }
    }
}

/// How long the lock of a supervisor that is dead is waited for: one that was killed while it spawned a process leaves
/// the lock to that one, until its exec closes it.
const HEIR_PATIENCE: Duration = Duration::from_secs(1);

/// The same of one that seems to live: one that has just been killed does, until the system has taken it apart.
const DYING_PATIENCE: Duration = Duration::from_millis(250);

/// The time between two looks at it.
const GLANCE: Duration = Duration::from_millis(5);

impl Executor {
    /// Tries to become the supervisor of this folder; `None` where another one is. The lock holds for as long as what
    /// is returned lives.
    pub fn take_supervision(&mut self) -> Result<Option<lifelock::LifeLock>, ExecutorError> {
        let note = format!("pid {}", std::process::id());
        let path = self.home.supervisor_lock();
        let start = clock::since_boot();
        let taken = loop {
            let taken = lifelock::LifeLock::take(&path, &note)
                .map_err(|source| ExecutorError::System { doing: "take the supervisor's lock", source })?;
            let patience = if holder_is_alive(&path) { DYING_PATIENCE } else { HEIR_PATIENCE };
            if taken.is_some() || clock::since_boot().saturating_sub(start) >= patience {
                break taken;
            }
            std::thread::sleep(GLANCE);
        };
        self.supervises = taken.is_some();
        Ok(taken)
    }

    /// Asks the supervisor to end, and waits until it has; its pid, or `None` where there is none.
    pub fn end_supervisor(&self) -> Result<Option<i32>, ExecutorError> {
        let ended = lifelock::end_holder(&self.home.supervisor_lock(), ITS_END);
        ended.map_err(|source| ExecutorError::System { doing: "end the supervisor", source })
    }

    /// The supervisor that is there, or was there last.
    pub fn supervisor(&self) -> Result<Option<Supervisor>, ExecutorError> {
        Ok(supervisor::last(self.store.reader())?)
    }

    /// Writes down that this process supervises from now on.
    pub fn begin_supervision(&mut self, sleep: Duration, slots: u32, place: &str) -> Result<Supervisor, ExecutorError> {
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        let now = clock::now();
        let new = Supervisor { pid, slots, sleep, since: now, place: place.to_owned() };
        self.store.write(Durability::Committed, |tx| -> Result<(), ExecutorError> {
            supervisor::set(tx, &new)?;
            line::clear(tx)?;
            supervisor_event(tx, "supervisor_started", &new, now)
        })?;
        Ok(new)
    }

    /// Writes down that this process no longer supervises.
    pub fn end_supervision(&mut self, supervisor: &Supervisor) -> Result<(), ExecutorError> {
        let now = clock::now();
        self.store.write(Durability::Committed, |tx| supervisor_event(tx, "supervisor_stopped", supervisor, now))?;
        self.flush()
    }

    /// The newest event: what comes after it is told by [`Executor::changed_since`].
    pub fn newest_event(&self) -> Result<i64, ExecutorError> {
        Ok(events::newest(self.store.reader())?)
    }

    /// The events after this one, in order.
    pub fn changed_since(&self, event: i64) -> Result<Vec<events::Event>, ExecutorError> {
        Ok(events::after(self.store.reader(), event)?)
    }

    /// A number that changes whenever another process has changed the database.
    pub fn data_version(&self) -> Result<i64, ExecutorError> {
        Ok(self.store.data_version()?)
    }

    /// Reads as things stand now until [`Executor::end_snapshot`], or until something is written.
    pub fn begin_snapshot(&self) -> Result<(), ExecutorError> {
        Ok(self.store.begin_snapshot()?)
    }

    /// Reads what is there from now on.
    pub fn end_snapshot(&self) {
        self.store.end_snapshot();
    }

    /// Every task that anything is known of, besides those that the registry defines.
    pub fn known_tasks(&self) -> Result<Vec<TaskName>, ExecutorError> {
        Ok(tasks::all(self.store.reader())?.into_iter().map(|row| row.name).collect())
    }

    /// How a task stands; `None` where nothing has ever been done with it.
    pub fn upkeep(&self, name: &TaskName, task: Option<&Task>) -> Result<Option<Upkeep>, ExecutorError> {
        let reader = self.store.reader();
        let Some(row) = tasks::find(reader, name)? else { return Ok(None) };
        let job = row.job.map(|job| jobs::find(reader, job)).transpose()?.flatten();
        let run = runs::unfinished_of(reader, name)?.map(|run| run.id);
        let kept_back = run.is_some() && run_in_the_way(reader, task, name, job.as_ref())?.is_some();
        let due = due(&standing(task, &row, job.as_ref(), kept_back));
        let last = match due {
            Due::Start(Some(_)) => runs::last_ended(reader, name)?,
            Due::Start(None) | Due::Nothing => None,
        };
        let (mut underway, later) = self.to_go_on(&row, task)?;
        // A hook needs no lock.
        let prepared = underway.iter().any(|(_, hook)| hook.is_none());
        let wants_lock = task.is_some_and(|task| !task.locks.is_empty())
            && (prepared || is_now(due) || run.is_none() && !occurrences::waiting(reader, name)?.is_empty());
        let lock = task.filter(|_| wants_lock).map(|task| self.lock_in_the_way(task)).transpose()?.flatten();
        underway.retain(|(_, hook)| hook.is_some() || lock.is_none());
        Ok(Some(Upkeep {
            due,
            wants_lock,
            lock,
            underway: underway.into_iter().map(|(job, _)| job).collect(),
            later,
            attempt: job.as_ref().map(|job| (job.id, job.attempt)),
            permanent: last.filter(is_permanent).and_then(|run| run.ended),
            run,
            looping_since: row.form.looping_since,
            steady_since: row.form.steady_since,
        }))
    }

    /// The jobs of a task of which nothing runs and which are to be gone on with: those that are now, each with the hook
    /// that is next, none where its own run is; and those that are later, with their moments.
    fn to_go_on(&self, row: &TaskRow, task: Option<&Task>) -> Result<(Hooked, Later), ExecutorError> {
        let reader = self.store.reader();
        let (mut now, mut later) = (Hooked::new(), Later::new());
        if row.wanted {
            for job in jobs::active_of(reader, &row.name)? {
                let is_to = goes_on(job.state, row.job == Some(job.id))
                    // It is run again with the newest definition.
                    && (task.is_some() || job.state != State::RestartReady);
                if is_to && runs::unfinished_of_job(reader, job.id)?.is_none() {
                    match job.not_before.filter(|at| job.state == State::RestartReady && *at > clock::now()) {
                        Some(at) => later.push((job.id, at)),
                        None => now.push((job.id, hook_of(job.state))),
                    }
                }
            }
        }
        Ok((now, later))
    }

    /// Has a task stand in line for its locks, where it does not yet.
    pub fn stand_in_line(&mut self, task: &Task) -> Result<(), ExecutorError> {
        let (locks, now) = (keys(task), clock::now());
        let stands = line::find(self.store.reader(), &task.name)?;
        if stands.is_some_and(|own| own.locks == locks) {
            return Ok(());
        }
        Ok(self.store.write(Durability::Committed, |tx| line::stand(tx, &task.name, &locks, now))?)
    }

    /// Has a task leave the line: it no longer waits for a lock.
    pub fn leave_line(&mut self, name: &TaskName) -> Result<(), ExecutorError> {
        if line::find(self.store.reader(), name)?.is_none() {
            return Ok(());
        }
        Ok(self.store.write(Durability::Committed, |tx| line::leave(tx, name))?)
    }

    /// The first lock of a task that it cannot have now.
    pub(super) fn lock_in_the_way(&self, task: &Task) -> Result<Option<HeldLock>, ExecutorError> {
        let ledger = Ledger { tx: self.store.reader(), home: &self.home, now: clock::now() };
        Ok(ledger.lock_in_the_way(task)?)
    }

    /// Every unfinished run, but for those in slots.
    pub fn open_runs(&self) -> Result<Vec<OpenRun>, ExecutorError> {
        let mut open = Vec::new();
        for row in runs::unfinished(self.store.reader())?.into_iter().filter(|row| row.slot.is_none()) {
            match self.opened(row) {
                Ok(run) => open.push(run),
                // What the database says something impossible about keeps none of the others from being watched.
                Err(ExecutorError::Store(StoreError::Impossible(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(open)
    }

    /// One unfinished run; `None` where it has ended.
    pub fn open_run(&self, run: RunId) -> Result<Option<OpenRun>, ExecutorError> {
        self.unfinished(run)?.map(|row| self.opened(row)).transpose()
    }

    /// The row of an unfinished run; `None` where it has ended.
    pub fn unfinished(&self, run: RunId) -> Result<Option<RunRow>, ExecutorError> {
        Ok(runs::find(self.store.reader(), run)?.filter(|row| row.outcome.is_none()))
    }

    pub(super) fn opened(&self, row: RunRow) -> Result<OpenRun, ExecutorError> {
        let job = jobs::find(self.store.reader(), row.job)?;
        let job = job.ok_or_else(|| StoreError::Impossible(format!("run {} belongs to no job", row.id)))?;
        let definition = jobs::definition_of(self.store.reader(), &job)?;
        let is = |kind: Kind| kind.as_str() == row.kind;
        let rules = if is(Kind::Notify) {
            // It is about the task; its own limits are those of every message.
            Rules { timeout: Some(notice::PATIENCE), stop: StopSequence::default(), stall: None }
        } else if is(Kind::Transfer) {
            // It lasts as long as it takes.
            Rules { timeout: None, stop: StopSequence::default(), stall: None }
        } else if Kind::HOOKS.into_iter().any(is) {
            Rules { timeout: Some(definition.hooks.timeout), stop: definition.stop, stall: None }
        } else {
            definition.into()
        };
        Ok(OpenRun { row, rules })
    }

    /// The main process of a run, if its worker has written it down.
    pub fn script_of(&self, run: impl Into<RunRef>) -> Option<ProcessId> {
        let run = run.into();
        let (record, _) = record::read(&self.home.record(run), run.id).ok()??;
        record.started.map(|(script, _)| script)
    }

    /// The run that the worker of a run has gone on with, if it has.
    pub fn passed_on(&self, run: impl Into<RunRef>) -> Option<RunId> {
        let run = run.into();
        record::read(&self.home.record(run), run.id).ok()??.0.passed_on
    }

    /// Whether the worker of a run lives.
    pub fn has_worker(&self, run: impl Into<RunRef>) -> Result<bool, ExecutorError> {
        let source = match record::is_held(&self.home.record(run)) {
            Ok(held) => return Ok(held),
            Err(source) => source,
        };
        Err(ExecutorError::System { doing: "look at a run's record", source })
    }

    /// Moves what was committed into the database's file, if it is so many pages.
    pub fn checkpoint(&self, pages: i64) -> Result<(), ExecutorError> {
        self.store.checkpoint(pages)?;
        Ok(())
    }

    /// Moves all of it, at the end, where nobody is in the way: whoever opens the database next has less to read.
    pub fn checkpoint_at_last(&self) -> Result<(), ExecutorError> {
        self.store.checkpoint(1)?;
        self.store.cut_large_log();
        Ok(())
    }

    /// Lets this process alone move what was committed into the database's file, where it does so at leisure.
    pub fn checkpoint_at_leisure(&mut self) -> Result<(), ExecutorError> {
        Ok(self.store.stay()?)
    }

    /// Ends a crash loop, where a task has run steadily; whether there was one.
    pub fn recover(&mut self, name: &TaskName, since: Timestamp, reason: &str) -> Result<bool, ExecutorError> {
        let (home, now) = (&self.home, clock::now());
        self.store.write(Durability::Committed, |tx| {
            let Some(row) = tasks::find(tx, name)?.filter(|row| row.form.steady_since == Some(since)) else {
                return Ok(false);
            };
            Ledger { tx, home, now }.recover(&row, reason)?;
            Ok(true)
        })
    }

    /// Records that a run shows no sign of life, and tells of it. With `end` it is to end: whether the task is started
    /// again its restart rule says.
    pub fn stall(&mut self, open: &OpenRun, reason: &str, end: bool) -> Result<(), ExecutorError> {
        let (home, now) = (&self.home, clock::now());
        let lines = self.last_lines(&open.row, LAST_LINES)?;
        let run = &open.row;
        self.store.write(Durability::Committed, |tx| -> Result<(), ExecutorError> {
            let ledger = Ledger { tx, home, now };
            if end {
                ledger.take_back(run);
            }
            runs::stall(tx, run.id, end.then_some(reason), now)?;
            let event = events::NewEvent {
                job: Some(run.job),
                task: run.task.as_ref().map(TaskName::as_str),
                states: None,
                cause: "stalled",
                data: json!({ "run": run.id.to_string(), "reason": reason, "output": lines }),
            };
            events::record(tx, &event, now)?;
            let message = Message { occasion: Occasion::Stall, job: run.job, run, exit: None, reason, lines: &lines };
            let definition = jobs::definition_of(tx, &ledger.job_row(run.job)?)?;
            Ok(ledger.tell(&definition, &message)?)
        })
    }

    /// Asks the worker of a run, the wish for whose end is on record, to see to that; nothing is waited for.
    pub fn ask_to_end(&self, run: impl Into<RunRef>) -> Result<(), ExecutorError> {
        let run = run.into();
        // A worker whose script has ended may have another run by the time that it hears of this.
        if let Found::Alive(Record { starting: Some((worker, _)), ended: None, .. }) = self.examine(run)?
            && let Some(handle) = WorkerHandle::open(&worker, run.id, self.home.record(run))?
        {
            handle.stop()?;
        }
        Ok(())
    }

    /// Records that a run that had stalled shows signs of life again.
    pub fn end_stall(&mut self, open: &OpenRun) -> Result<(), ExecutorError> {
        let (run, now) = (&open.row, clock::now());
        self.store.write(Durability::Committed, |tx| -> Result<(), ExecutorError> {
            runs::end_stall(tx, run.id)?;
            let event = events::NewEvent {
                job: Some(run.job),
                task: run.task.as_ref().map(TaskName::as_str),
                states: None,
                cause: "resumed",
                data: json!({ "run": run.id.to_string() }),
            };
            Ok(events::record(tx, &event, now)?)
        })
    }

    /// Signals what is left of a run whose worker is dead.
    pub fn signal_orphan(&self, run: RunId, script: Option<&ProcessId>, signals: &[Signal]) -> Vec<i32> {
        tagged::signal(run, script, signals)
    }
}

/// Whether something is due without a further wait.
fn is_now(due: Due) -> bool {
    match due {
        Due::Start(not_before) => not_before.is_none_or(|moment| moment <= clock::now()),
        Due::Nothing => false,
    }
}

/// The end of a run that no worker saw, with the exit that the kernel told afterwards, and what it came from.
pub fn seen_end(end: &Ended, exit: Exit, cause: Cause) -> Ended {
    match end.outcome {
        Outcome::Lost(_) => Ended { outcome: Outcome::Ended { exit, cause }, ..end.clone() },
        Outcome::Ended { .. } | Outcome::CouldNotStart { .. } | Outcome::NeverStarted => end.clone(),
    }
}

fn supervisor_event(
    tx: &rusqlite::Connection,
    cause: &str,
    supervisor: &Supervisor,
    now: Timestamp,
) -> Result<(), ExecutorError> {
    let data = json!({ "pid": supervisor.pid, "place": supervisor.place, "sleep": supervisor.sleep.as_secs_f64() });
    let event = events::NewEvent { job: None, task: None, states: None, cause, data };
    Ok(events::record(tx, &event, now)?)
}

/// Whether whoever has written down that they hold the lock is alive. Where that cannot be read they are taken to be.
fn holder_is_alive(lock: &Path) -> bool {
    let pid = lifelock::note(lock).strip_prefix("pid ").and_then(|pid| pid.parse().ok());
    pid.is_none_or(|pid| identity::identify(pid).is_ok_and(|holder| identity::is_alive(&holder)))
}

/// Who holds the supervisor's lock, as far as they wrote it down.
pub fn holder(home: &Home) -> String {
    lifelock::note(&home.supervisor_lock())
}
