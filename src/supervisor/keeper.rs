//! The supervisor's facts, what it makes of an event, and what it does when a moment has come. No part of it waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, error, info, warn};

use crate::domain::causes::in_one_line;
use crate::domain::name::{JobId, RunId, TaskName};
use crate::domain::task::Task;
use crate::executor::{Asker, Executor, ExecutorError, Spare};
use crate::process::environment::Inherited;
use crate::process::watch::{Token, WatchSet};
use crate::process::{clock, wait};

use super::Options;
use super::agenda::Agenda;
use super::scripts::Scripts;
use super::slots::Slot;
use super::upkeep::Wait;
use super::watched::Watched;

/// What is committed survives a power cut after this at the latest.
pub(super) const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// How many pages are committed before they are moved into the database's file. The next change after that begins the
/// log anew, which waits for the disk: too long for every restart.
const CHECKPOINT_AFTER: i64 = 1000;

/// How long an edited registry rests before it is read: an editor may write it in several steps.
const SETTLE: Duration = Duration::from_millis(100);

/// How long after a start the next spare worker is spawned: what has just begun comes first.
const SPARE_AFTER: Duration = Duration::from_millis(100);

/// The safety net: if nothing happens for so long, it is looked whether something has been missed.
const SAFETY_NET: Duration = Duration::from_secs(5);

/// When something of ours fails, a full disk for example, it is tried again after this.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The least time between a failure and the next try when a file has changed.
const AFTER_CHANGE: Duration = Duration::from_secs(1);

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Facts have changed.
    Rang,
    /// The registry's file has changed.
    RegistryChanged,
    /// A watched process has ended.
    ProcessEnded,
    /// A child of ours has ended.
    ChildEnded,
    /// A file of a task that could not be started has changed.
    ScriptChanged,
    /// A moment has come.
    MomentCame,
    /// The moment of a schedule has come.
    FireMomentCame,
    /// Somebody has set the clock.
    ClockSet,
    /// Somebody wants everything to be read anew.
    ReadAnew,
}

/// What is on the agenda.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Item {
    /// Start a task, by its key.
    Start(String),
    /// Go on with a job.
    GoOn(JobId),
    /// A crash loop may be over.
    Steady(String),
    /// Look for a sign of life.
    Stall(RunId),
    /// Look again at a run that nothing reports of.
    Look(RunId),
    /// Look at the runs that something has happened about: there are many.
    Inspect,
    /// An orphan is to end, or the grace after that is over.
    End(RunId),
    /// Look at the queue.
    Queue,
    /// Deliver messages.
    Deliver,
    /// Transfer what is due.
    Transfer,
    /// Clean up after a job.
    CleanUp,
    /// Flush.
    Flush,
    /// Read the registry.
    Reload,
    /// Look at everything.
    Survey,
    /// Appoint the runs that follow others.
    Appoint,
    /// Prepare a run for whatever is started next.
    Spare,
    /// Look whether something was missed.
    SafetyNet,
    /// See whether it was.
    Missed,
}

impl Item {
    /// Whether the rounds see to it: one for all of these that are due together, after the others.
    fn is_for_the_rounds(&self) -> bool {
        matches!(self, Self::Start(_) | Self::GoOn(_) | Self::Look(_) | Self::Inspect | Self::Queue)
    }
}

/// The supervisor.
pub(super) struct Keeper {
    pub(super) executor: Executor,
    pub(super) asker: Asker,
    /// What a run inherits that no command of a person made.
    pub(super) inherited: Inherited,
    pub(super) exec_id: String,
    /// The definitions by the key of their names.
    pub(super) tasks: HashMap<String, Arc<Task>>,
    /// The state of the registry's file that they were read from.
    pub(super) registry: Option<String>,
    /// What is wrong with the registry, as it was told.
    pub(super) mistake: Option<String>,
    /// The last event that was looked at.
    pub(super) event: i64,
    /// The state of the database at the last look.
    pub(super) version: i64,
    /// Which wait of each task is on the agenda.
    pub(super) waits: HashMap<String, Wait>,
    /// Tasks that wait for a lock that is held: whatever happens may free it.
    pub(super) locked: BTreeMap<String, TaskName>,
    /// Crash-looping tasks that run, and since when they have done so steadily.
    pub(super) steady: HashMap<String, (TaskName, Timestamp)>,
    pub(super) runs: BTreeMap<RunId, Watched>,
    pub(super) watch: WatchSet,
    /// Which run a watched process belongs to.
    pub(super) tokens: HashMap<Token, RunId>,
    /// Which run has which main process.
    pub(super) scripts_of: HashMap<i32, RunId>,
    pub(super) suspects: BTreeSet<RunId>,
    /// Runs of other machines and containers, which was told.
    pub(super) elsewhere: BTreeSet<RunId>,
    /// When many suspects may be looked at again.
    pub(super) rested: Duration,
    pub(super) agenda: Agenda<Item>,
    /// When schedules are to be looked at, by the keys of their tasks: times since 1970, on the wall clock.
    pub(super) fires: Agenda<String>,
    /// Since when this supervisor supervises.
    pub(super) began: Timestamp,
    pub(super) scripts: Scripts,
    pub(super) slots: BTreeMap<u32, Slot>,
    /// Until when the bell is not listened to: the last look found nothing that is in a hurry.
    pub(super) rests_until: Duration,
    /// How many slots there are to be.
    pub(super) slot_count: u32,
    /// Runs that are settled, by us or by a command that may be killed before it removes their records: these go with the
    /// next flush.
    pub(super) settled: BTreeSet<RunId>,
    /// Tasks whose old output is looked through with the next flush.
    pub(super) started: BTreeSet<String>,
    /// Tasks that we could not start through no fault of theirs, which was told.
    pub(super) failing: BTreeSet<String>,
    /// Runs to which one may be appointed that follows them.
    pub(super) unfollowed: BTreeSet<RunId>,
    /// A worker that is there before it is needed.
    pub(super) spare: Option<Spare>,
    /// Jobs of tasks that are to be gone on with.
    pub(super) underway: BTreeMap<JobId, TaskName>,
    /// Those that are to be gone on with later.
    pub(super) later: BTreeMap<JobId, TaskName>,
    /// Tasks whose moment has come.
    pub(super) due: BTreeSet<String>,
    /// The longest wait of tasks that have none of their own.
    pub(super) sleep: Duration,
    /// What went wrong with single runs while all were looked at.
    pub(super) stumbled: Option<ExecutorError>,
    /// The last trouble that was told.
    trouble: Option<String>,
    /// Whether a job failed for good since the supervisor began.
    pub(super) failed: bool,
}

impl Keeper {
    pub(super) fn new(
        mut executor: Executor,
        asker: Asker,
        inherited: Inherited,
        options: &Options,
        began: Timestamp,
    ) -> Result<Self, ExecutorError> {
        executor.checkpoint_at_leisure()?;
        Ok(Self {
            event: executor.newest_event()?,
            version: executor.data_version()?,
            executor,
            asker,
            inherited,
            exec_id: String::new(),
            tasks: HashMap::new(),
            registry: None,
            mistake: None,
            waits: HashMap::new(),
            locked: BTreeMap::new(),
            steady: HashMap::new(),
            runs: BTreeMap::new(),
            watch: WatchSet::new()?,
            tokens: HashMap::new(),
            scripts_of: HashMap::new(),
            suspects: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            rested: Duration::ZERO,
            agenda: Agenda::new(),
            fires: Agenda::new(),
            began,
            scripts: Scripts::new()?,
            slots: BTreeMap::new(),
            rests_until: Duration::ZERO,
            slot_count: options.slots,
            settled: BTreeSet::new(),
            started: BTreeSet::new(),
            failing: BTreeSet::new(),
            unfollowed: BTreeSet::new(),
            spare: None,
            underway: BTreeMap::new(),
            later: BTreeMap::new(),
            due: BTreeSet::new(),
            sleep: options.sleep,
            stumbled: None,
            trouble: None,
            failed: false,
        })
    }

    /// Begins: reads everything, adopts what runs, starts what is due.
    pub(super) fn begin(&mut self) {
        let read = self.reload();
        let (tasks, pid) = (self.tasks.len(), std::process::id());
        let s = if tasks == 1 { "" } else { "s" };
        let folder = self.executor.home().root().display();
        info!("supervising {} in {folder} (pid {pid}): {tasks} task{s}", self.exec_id);
        let done = read.and_then(|()| self.survey()).and_then(|()| self.take_over_records());
        debug!("everything has been looked at");
        self.afterwards(done);
    }

    /// Records whose runs were settled by somebody who was killed before they were removed go with the next flush.
    fn take_over_records(&mut self) -> Result<(), ExecutorError> {
        let left = self.executor.settled_records()?;
        self.settled.extend(left);
        self.agenda.set_if_unset(Item::Flush, clock::since_boot() + FLUSH_AFTER);
        Ok(())
    }

    /// Takes in what has happened.
    pub(super) fn handle(&mut self, event: Event) {
        let done = self.take_in(event);
        self.afterwards(done);
    }

    /// When a schedule is to be looked at next, as a time since 1970.
    pub(super) fn next_fire(&self) -> Option<Duration> {
        self.fires.next()
    }

    /// Whether the bell is not listened to at present.
    pub(super) fn is_resting(&self) -> bool {
        clock::since_boot() < self.rests_until
    }

    /// When something is to be done next.
    pub(super) fn next_moment(&self) -> Duration {
        self.agenda.next().unwrap_or_else(|| clock::since_boot() + SAFETY_NET)
    }

    /// Flushes what is not flushed yet: the last thing that it does.
    pub(super) fn end(&mut self) -> Result<(), ExecutorError> {
        if let Some(spare) = self.spare.take() {
            let _ = wait::reap(spare.dismiss());
        }
        self.flush()?;
        self.executor.checkpoint_at_last()
    }

    pub(super) fn take_in(&mut self, event: Event) -> Result<(), ExecutorError> {
        match event {
            Event::Rang => {
                self.agenda.cancel(&Item::Missed);
                // Mostly it rings because something has ended: one look at both.
                self.take_ended()?;
                self.catch_up()
            }
            Event::RegistryChanged => {
                // Not put off by further changes: whoever edits for an hour is heard meanwhile.
                self.agenda.set_if_unset(Item::Reload, clock::since_boot() + SETTLE);
                Ok(())
            }
            Event::ProcessEnded => {
                if self.take_ended()? {
                    self.catch_up()
                } else {
                    Ok(())
                }
            }
            Event::ChildEnded => self.take_children(),
            Event::ScriptChanged => {
                for key in self.scripts.changed()? {
                    self.try_soon(key);
                }
                Ok(())
            }
            Event::MomentCame => self.attend_to_all(),
            Event::FireMomentCame => self.fire_due(),
            Event::ClockSet => self.fire_all(),
            Event::ReadAnew => self.reload().and_then(|()| self.survey()),
        }
    }

    /// Takes in which of the watched processes have ended; whether that is to be looked at at once.
    fn take_ended(&mut self) -> Result<bool, ExecutorError> {
        let mut now = false;
        for token in self.watch.ended()? {
            now |= self.slot_has_ended(token)? || self.has_ended(token)?;
        }
        Ok(now)
    }

    /// A file of a task that waits for that has changed.
    pub(super) fn try_soon(&mut self, key: String) {
        debug!("a file of {key} has changed");
        let soon = clock::since_boot() + AFTER_CHANGE;
        if let Some(at) = self.agenda.moment(&Item::Start(key.clone())) {
            self.agenda.set(Item::Start(key), at.min(soon));
        }
    }

    /// Does everything that is due. What fails is tried again later, and keeps nothing else from being done.
    fn attend_to_all(&mut self) -> Result<(), ExecutorError> {
        let mut done = Ok(());
        let items = self.agenda.take_due(clock::since_boot());
        let in_rounds = items.iter().any(Item::is_for_the_rounds);
        for item in items {
            if let Err(error) = self.attend(item.clone()) {
                self.agenda.set_if_unset(item, clock::since_boot() + TRY_AGAIN);
                done = done.and(Err(error));
            }
        }
        let caught_up = if in_rounds { self.catch_up() } else { Ok(()) };
        for key in std::mem::take(&mut self.due) {
            self.agenda.set_if_unset(Item::Start(key), clock::since_boot() + TRY_AGAIN);
        }
        done.and(caught_up)
    }

    fn attend(&mut self, item: Item) -> Result<(), ExecutorError> {
        match item {
            Item::Start(key) => {
                self.due.insert(key);
                Ok(())
            }
            Item::GoOn(job) => {
                self.underway.extend(self.later.remove_entry(&job));
                Ok(())
            }
            Item::Steady(key) => self.recovered(&key),
            Item::Stall(run) => self.look_for_life(run),
            Item::Look(run) => {
                self.suspects.insert(run);
                Ok(())
            }
            Item::Inspect | Item::Queue => Ok(()),
            Item::End(run) => self.bring_to_its_end(run),
            Item::Deliver => self.deliver(),
            Item::Transfer => self.transfer(),
            Item::CleanUp => self.clean_up(),
            Item::Flush => self.flush(),
            Item::Reload => self.reload().and_then(|()| self.survey()),
            Item::Survey => self.take_children().and_then(|()| self.survey()),
            Item::Appoint => self.appoint(),
            Item::Spare => {
                self.prepare_spare();
                Ok(())
            }
            Item::SafetyNet => self.safety_net(),
            Item::Missed => {
                warn!("woken by the safety net: the database has changed and the bell has not rung");
                self.survey()
            }
        }
    }

    /// What follows every event: the safety net is set anew, and trouble is told once.
    fn afterwards(&mut self, done: Result<(), ExecutorError>) {
        let now = clock::since_boot();
        self.agenda.set(Item::SafetyNet, now + SAFETY_NET);
        if self.spare.is_none() && !self.runs.is_empty() {
            self.agenda.set_if_unset(Item::Spare, now + SPARE_AFTER);
        }
        match done {
            Ok(()) => {
                if self.agenda.moment(&Item::Survey).is_none() && self.trouble.take().is_some() {
                    info!("that is over; going on");
                }
            }
            Err(error) => {
                let text = in_one_line(&error);
                if self.trouble.as_ref() != Some(&text) {
                    error!("{text}; trying again");
                    self.trouble = Some(text);
                }
                self.agenda.set_if_unset(Item::Survey, now + TRY_AGAIN);
            }
        }
    }

    /// Prepares a run for whatever is started next. Without one the next start is slower, and that is all.
    fn prepare_spare(&mut self) {
        match self.executor.prepare_spare() {
            Ok(spare) => self.spare = Some(spare),
            Err(error) => {
                debug!("no spare worker: {}", in_one_line(&error));
                self.agenda.set(Item::Spare, clock::since_boot() + TRY_AGAIN);
            }
        }
    }

    /// Nothing has happened for a while. If facts have changed all the same, somebody did not ring, or is about to.
    fn safety_net(&mut self) -> Result<(), ExecutorError> {
        if !self.executor.home().registry().exists() && !self.executor.home().root().exists() {
            return Err(ExecutorError::System {
                doing: "find the folder, which is gone",
                source: std::io::ErrorKind::NotFound.into(),
            });
        }
        if self.executor.data_version()? != self.version {
            self.agenda.set(Item::Missed, clock::since_boot() + SETTLE);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExecutorError> {
        self.agenda.cancel(&Item::Flush);
        let settled = std::mem::take(&mut self.settled);
        self.executor.forget_records(settled.into_iter().collect())?;
        self.executor.checkpoint(CHECKPOINT_AFTER)?;
        for key in std::mem::take(&mut self.started) {
            if let Some(task) = self.tasks.get(&key) {
                self.executor.retain(task)?;
            }
        }
        Ok(())
    }

    /// The scripts that run, by their pids.
    pub(super) fn scripts_running(&self) -> Vec<i32> {
        self.runs.values().filter_map(|run| run.script.as_ref().map(|(script, _)| script.pid)).collect()
    }

    /// How many tasks run.
    pub(super) fn running(&self) -> usize {
        self.runs.values().filter(|run| run.key.is_some()).count()
    }
}

/// The time until a moment of the wall clock; zero when it is over.
pub(super) fn until(moment: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(clock::now())).unwrap_or(Duration::ZERO)
}

/// The time since a moment of the wall clock; zero when it is yet to come.
pub(super) fn age(moment: Timestamp) -> Duration {
    Duration::try_from(clock::now().duration_since(moment)).unwrap_or(Duration::ZERO)
}
