//! Schedules fired: whatever is due is decided and recorded in one transaction, exactly once, before anything is
//! started.

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::domain::amount::print_duration;
use crate::domain::evidence::Place;
use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, RunId, TaskName};
use crate::domain::resources::HeldLock;
use crate::domain::schedule::count::Older;
use crate::domain::schedule::decide::{Decision, Verdict, Waiting, Why as WhyMissed, next_due, release};
use crate::domain::schedule::{Decisions, Event, Facts, Jitter, Memory, Overlap, Timetable, decide};
use crate::domain::task::Task;
use crate::home::zones;
use crate::process::{clock, identity};
use crate::store::jobs::{self, JobRow};
use crate::store::occurrences::{self, Decided, OccurrenceRow};
use crate::store::tasks::{Fires, TaskRow};
use crate::store::{Durability, events, runs, tasks};

use super::again::{Again, Looked, Spare, Starter, unneeded};
use super::claim::{Claim, Why};
use super::start::batch_size;
use super::{Asker, Executor, ExecutorError};
use crate::ledger::Ledger;

/// The name under which a schedule starts its task.
const SCHEDULE: &str = "schedule";

/// What became of a schedule whose moment had come.
#[derive(Debug)]
pub struct Fired {
    /// What was started.
    pub again: Again,
    /// Runs that are to be stopped, so that the next one can begin.
    pub stop: Vec<RunId>,
}

/// What a task's schedule says, ready to be asked.
pub(super) struct Firing {
    pub(super) timetable: Arc<Timetable>,
    pub(super) jitter: Option<Jitter>,
}

/// What the transaction came to.
#[derive(Default)]
struct Outcome {
    claim: Option<Claim>,
    stop: Vec<RunId>,
}

/// What a schedule says, for telling whether it has been edited.
fn fingerprint(task: &Task) -> String {
    let schedule = &task.schedule;
    json!([schedule.period, schedule.cron, schedule.start, schedule.tz, task.enabled]).to_string()
}

/// Whether a schedule says what it said when it was last looked at.
fn says_the_same(task: &Task, row: &TaskRow) -> bool {
    match &row.fires.fingerprint {
        Some(last) => *last == fingerprint(task),
        None => !task.schedule.is_set(),
    }
}

/// What is remembered of a schedule: what was before it was last wanted does not exist.
pub(super) fn memory(row: &TaskRow) -> Memory {
    let seen_at = row.fires.seen_at.max(row.wanted_since).unwrap_or(row.added);
    Memory { last: row.fires.last, seen_at }
}

/// When a task fires by itself.
pub(super) fn timetable(task: &Task) -> Result<Timetable, ExecutorError> {
    let built = Timetable::build(&task.schedule, &zones::zones());
    let wrong = |source| ExecutorError::Schedule { task: task.name.clone(), source: Box::new(source) };
    Ok(built.map_err(wrong)?.0)
}

impl Executor {
    /// When a task's schedule is to be looked at next; none where it is not to fire by itself. `began` is when this
    /// supervisor did. An edit since the last look is noticed here: everything counts from now on.
    pub fn next_fire(&mut self, task: &Task, began: Timestamp) -> Result<Option<Timestamp>, ExecutorError> {
        let Some(row) = tasks::find(self.store.reader(), &task.name)? else { return Ok(None) };
        if !row.wanted {
            return Ok(None);
        }
        // Also of one that is not to fire: enabled, or given a schedule, it counts from then on.
        let row = if says_the_same(task, &row) { row } else { self.anchor(task)? };
        if !is_armed(task, &row) {
            return Ok(None);
        }
        let firing = self.firing(task)?;
        let reader = self.store.reader();
        let now = clock::now();
        let waits = !occurrences::waiting(reader, &task.name)?.is_empty();
        if waits && jobs::active_of(reader, &task.name)?.is_empty() && self.lock_in_the_way(task)?.is_none() {
            return Ok(Some(now));
        }
        if let Some(event) = firing.timetable.event() {
            return Ok(is_due_for(event, &row, self.here(), began).then_some(now));
        }
        let is_ahead = row.fires.last.max(Some(memory(&row).seen_at)) > Some(now);
        if is_ahead && firing.decide(&row, task, &InTheWay::default(), now).clock_was_wrong.is_some() {
            return Ok(Some(now));
        }
        Ok(next_due(&firing.timetable, memory(&row), firing.jitter.as_ref()))
    }

    fn anchor(&mut self, task: &Task) -> Result<TaskRow, ExecutorError> {
        let (home, now) = (&self.home, clock::now());
        self.store.write(Durability::Flushed, |tx| Ledger { tx, home, now }.anchor(task))
    }

    /// What a task's schedule says.
    pub(super) fn firing(&self, task: &Task) -> Result<Firing, ExecutorError> {
        Ok(self.firing_by(task, Arc::new(timetable(task)?)))
    }

    /// What a task's schedule says, of which this is the timetable.
    pub(super) fn firing_by(&self, task: &Task, timetable: Arc<Timetable>) -> Firing {
        let jitter = task.schedule.jitter.map(|within| {
            let (host, task) = (self.here().machine.clone(), task.name.to_string());
            Jitter { within, host, task }
        });
        Firing { timetable, jitter }
    }

    /// Fires schedules whose moment has come, or may have. What is due is decided and recorded before anything begins.
    pub fn fire(
        &mut self,
        these: &[Arc<Task>],
        began: Timestamp,
        starter: Starter<'_>,
        spare: &mut Option<Spare>,
    ) -> Result<Vec<(Arc<Task>, Fired)>, ExecutorError> {
        let mut fired = Vec::with_capacity(these.len());
        for batch in these.chunks(batch_size()) {
            fired.extend(self.fire_batch(batch, began, starter, spare)?);
        }
        Ok(fired)
    }

    fn fire_batch(
        &mut self,
        batch: &[Arc<Task>],
        began: Timestamp,
        starter: Starter<'_>,
        spare: &mut Option<Spare>,
    ) -> Result<Vec<(Arc<Task>, Fired)>, ExecutorError> {
        let mut looked = Vec::with_capacity(batch.len());
        for task in batch {
            let ready =
                self.firing(task).and_then(|firing| Ok((self.look_to_fire(task, &firing, starter, spare)?, firing)));
            looked.push(ready);
        }
        let asker = Asker { name: SCHEDULE.to_owned(), job: None };
        let (home, here) = (&self.home, self.here.get_or_init(identity::here));
        let written = self.store.write(Durability::Flushed, |tx| {
            let ledger = Ledger { tx, home, now: clock::now() };
            let decided = batch.iter().zip(&looked).map(|(task, looked)| match looked {
                Ok((looked, firing)) => match firing.timetable.event() {
                    Some(event) => {
                        let due = is_due_for(event, &ledger.anchor(task)?, here, began);
                        ledger.fire_for(task, due.then(|| token(event, here, began)), looked, &asker)
                    }
                    None => ledger.fire(task, firing, looked, &asker),
                },
                Err(_) => Ok(Outcome::default()),
            });
            decided.collect::<Result<Vec<_>, ExecutorError>>()
        });
        let decided = match written {
            Ok(decided) => decided,
            Err(error) => {
                for (looked, _) in looked.iter().flatten() {
                    if let Looked::Ready(ready) = looked {
                        unneeded(ready.record.path());
                    }
                }
                return Err(error);
            }
        };
        let mut fired = Vec::with_capacity(batch.len());
        for ((task, looked), decided) in batch.iter().zip(looked).zip(decided) {
            let again = match looked {
                Ok((looked, _)) => self.begin_again(looked, decided.claim, starter.exec_id),
                Err(error) => Again::Failed(error),
            };
            fired.push((Arc::clone(task), Fired { again, stop: decided.stop }));
        }
        Ok(fired)
    }

    /// Looks at a task, and prepares a run for it if it is likely to have one.
    fn look_to_fire<'a>(
        &self,
        task: &'a Task,
        firing: &Firing,
        starter: Starter<'_>,
        spare: &mut Option<Spare>,
    ) -> Result<Looked<'a>, ExecutorError> {
        let reader = self.store.reader();
        let row = tasks::find(reader, &task.name)?.filter(|row| is_armed(task, row));
        let Some(row) = row else { return Ok(Looked::Answered(Again::NotDue)) };
        let there = InTheWay::find(&Ledger { tx: reader, home: &self.home, now: clock::now() }, task)?;
        let is_event = firing.timetable.event().is_some();
        let decisions = firing.decide(&row, task, &there, clock::now());
        let runs =
            is_event || decisions.rows.iter().any(|row| row.verdict == Verdict::Run) || there.release().is_some();
        if !runs {
            return Ok(Looked::Answered(Again::NotDue));
        }
        // A fire has the supervisor's surroundings.
        self.make_ready_again(task, starter.inherited.clone(), None, spare)
    }
}

/// The last of occurrences that are not listed one by one.
fn last_of(timetable: &Timetable, older: &Older) -> Timestamp {
    let mut back = SignedDuration::from_secs(1);
    loop {
        let from = older.through.checked_sub(back).unwrap_or(older.after).max(older.after);
        let found = timetable.iter_after(from).take_while(|one| one.time <= older.through).last();
        if found.is_some() || from == older.after {
            return found.map_or(older.through, |last| last.time);
        }
        back = back.saturating_mul(2);
    }
}

/// What `@reboot` and `@start` fire for: this boot, this supervisor.
fn token(event: Event, here: &Place, began: Timestamp) -> String {
    match event {
        Event::Reboot => format!("boot {}", here.boot),
        Event::Start => format!("supervisor {began}"),
    }
}

fn is_due_for(event: Event, row: &TaskRow, here: &Place, began: Timestamp) -> bool {
    let since = match event {
        Event::Reboot => clock::now().checked_sub(clock::since_boot()).unwrap_or(began),
        Event::Start => began,
    };
    // What was wanted only afterwards waits for the next one.
    memory(row).seen_at < since && row.fires.fired_for.as_deref() != Some(&token(event, here, began))
}

/// Whether a task's schedule may fire it.
pub(super) fn is_armed(task: &Task, row: &TaskRow) -> bool {
    row.wanted && task.enabled && task.schedule.is_set()
}

/// What may be in the way of a task's next run.
#[derive(Default)]
struct InTheWay {
    /// Its jobs that run, or wait to be tried again.
    active: Vec<JobRow>,
    /// Its occurrences that wait.
    waiting: Vec<Waiting>,
    /// A lock that it needs, and some run holds.
    lock: Option<HeldLock>,
}

impl InTheWay {
    fn find(ledger: &Ledger<'_>, task: &Task) -> Result<Self, ExecutorError> {
        let rows = occurrences::waiting(ledger.tx, &task.name)?;
        let waits = |row: OccurrenceRow| Waiting { occurrence: row.due, catch_up: row.decided == Decided::CatchingUp };
        Ok(Self {
            active: jobs::active_of(ledger.tx, &task.name)?,
            waiting: rows.into_iter().map(waits).collect(),
            lock: ledger.lock_in_the_way(task)?,
        })
    }

    fn running(&self) -> Vec<JobId> {
        self.active.iter().map(|job| job.id).collect()
    }

    /// The occurrence that waits and may run now.
    fn release(&self) -> Option<Timestamp> {
        release(&self.running(), &self.waiting, self.lock.is_some())
    }
}

impl fmt::Display for InTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.active.as_slice(), &self.lock) {
            ([], Some(held)) => held.fmt(f),
            ([one], _) if one.state == State::RestartReady => write!(f, "job {} waited to be tried again", one.id),
            ([one], _) => write!(f, "job {} was still running", one.id),
            (several, _) => {
                let ids: Vec<String> = several.iter().map(|job| job.id.to_string()).collect();
                write!(f, "jobs {} were still running", ids.join(", "))
            }
        }
    }
}

impl Firing {
    fn decide(&self, row: &TaskRow, task: &Task, there: &InTheWay, now: Timestamp) -> Decisions<JobId> {
        let (running, waiting, locked) = (there.running(), &there.waiting, there.lock.is_some());
        let (timetable, jitter) = (&self.timetable, self.jitter.as_ref());
        let facts = Facts { timetable, jitter, memory: memory(row), now, running: &running, waiting, locked };
        decide(&facts, &task.schedule.policy)
    }

    /// A moment as the clocks of the schedule show it.
    fn shown(&self, time: Timestamp) -> String {
        let zone = self.timetable.zone().time_zone().clone();
        time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// What was decided, and why where that is not to run.
    fn words(&self, decision: &Decision<JobId>, there: &InTheWay) -> (Decided, Option<String>) {
        match &decision.verdict {
            Verdict::Run => (Decided::Run, None),
            Verdict::Wait { catch_up: true } => (Decided::CatchingUp, Some("waits for its turn".to_owned())),
            Verdict::Wait { catch_up: false } => (Decided::Waiting, Some(format!("waits: {there}"))),
            Verdict::Replace { .. } => (Decided::Waiting, Some(format!("waits: {there}, which is stopped"))),
            Verdict::Missed(WhyMissed::Newer(newer)) => {
                (Decided::Missed, Some(format!("nobody was there; the run of {} stands for it", self.shown(*newer))))
            }
            Verdict::Missed(WhyMissed::Deadline(deadline)) => {
                let late = print_duration(std::time::Duration::from_secs(decision.late.as_secs()));
                let deadline = print_duration(*deadline);
                (Decided::Missed, Some(format!("{late} late, and its start_deadline is {deadline}")))
            }
            Verdict::Missed(WhyMissed::Away) => {
                (Decided::Missed, Some("nobody was there, and it is not to run late (missed = \"skip\")".to_owned()))
            }
            Verdict::Skipped { running, waiting } => {
                let why = match (running.is_empty(), waiting) {
                    (true, Some(first)) => format!("the run of {} still waited", self.shown(*first)),
                    (_, _) => there.to_string(),
                };
                (Decided::Skipped, Some(why))
            }
            Verdict::Locked => (Decided::Skipped, there.lock.as_ref().map(ToString::to_string)),
        }
    }
}

impl Ledger<'_> {
    /// Looks whether a schedule says something else than before. If so it counts from now on, and nothing of what it
    /// said before is waited for.
    pub(super) fn anchor(&self, task: &Task) -> Result<TaskRow, ExecutorError> {
        let row = tasks::find(self.tx, &task.name)?.ok_or_else(|| ExecutorError::NotDefined(task.name.clone()))?;
        if says_the_same(task, &row) {
            return Ok(row);
        }
        let fires = Fires { fingerprint: Some(fingerprint(task)), seen_at: Some(self.now), ..row.fires.clone() };
        self.stop_waiting(&task.name, "its schedule was changed")?;
        tasks::set_fires(self.tx, &task.name, &fires)?;
        Ok(TaskRow { fires, ..row })
    }

    /// Decides about everything that is due of a task, records it, and claims a run for what is to run now.
    fn fire(&self, task: &Task, firing: &Firing, looked: &Looked<'_>, asker: &Asker) -> Result<Outcome, ExecutorError> {
        let (tx, name) = (self.tx, &task.name);
        let row = self.anchor(task)?;
        if !is_armed(task, &row) {
            return Ok(Outcome::default());
        }
        let there = InTheWay::find(self, task)?;
        let decisions = firing.decide(&row, task, &there, self.now);
        self.record_decisions(task, firing, &decisions, &there)?;
        let fires = Fires { last: decisions.memory.last, seen_at: Some(decisions.memory.seen_at), ..row.fires };
        tasks::set_fires(tx, name, &fires)?;
        if decisions.clock_was_wrong.is_some() && row.wanted_since > Some(self.now) {
            // It was wanted by the same wrong clock.
            tasks::date_wish(tx, name, self.now)?;
        }
        let mut stop = Vec::new();
        for decision in &decisions.rows {
            if let Verdict::Replace { stop: jobs } = &decision.verdict {
                let jobs: Vec<&JobRow> = there.active.iter().filter(|job| jobs.contains(&job.id)).collect();
                stop.extend(self.make_room(task, &jobs)?);
            }
        }
        let now = decisions.rows.iter().find(|row| row.verdict == Verdict::Run).map(|row| row.occurrence);
        let claim = self.claim_next_fired(task, now, looked, asker)?;
        Ok(Outcome { claim, stop })
    }

    /// Claims a run for the occurrence that is to run now, or else for one that has waited long enough.
    fn claim_next_fired(
        &self,
        task: &Task,
        now: Option<Timestamp>,
        looked: &Looked<'_>,
        asker: &Asker,
    ) -> Result<Option<Claim>, ExecutorError> {
        let next = match now {
            Some(due) => Some(due),
            None => InTheWay::find(self, task)?.release(),
        };
        Ok(next.map(|due| self.claim_fired(task, due, looked, asker)).transpose()?.flatten())
    }

    fn claim_fired(
        &self,
        task: &Task,
        due: Timestamp,
        looked: &Looked<'_>,
        asker: &Asker,
    ) -> Result<Option<Claim>, ExecutorError> {
        let why = Why::Fired { due, beside: task.schedule.policy.overlap == Overlap::Allow };
        let claim = match looked {
            Looked::Ready(ready) => self.claim(&ready.candidate, why, asker)?,
            Looked::Refused(candidate, error) => self.refuse(candidate, error, why, asker)?,
            // It came into the way of somebody else, and is looked at again at once.
            Looked::Answered(_) => Claim::Already,
        };
        if matches!(claim, Claim::Claimed { .. } | Claim::Begun(_, _)) {
            if let Some(job) = tasks::find(self.tx, &task.name)?.and_then(|row| row.job) {
                occurrences::set_job(self.tx, &task.name, due, job)?;
            }
        } else {
            let why = match &claim {
                Claim::Locked(held) => format!("waits: {held}"),
                Claim::Already | Claim::Claimed { .. } | Claim::Begun(_, _) => "is about to run".to_owned(),
            };
            occurrences::settle(self.tx, &task.name, due, Decided::Waiting, Some(&why))?;
        }
        Ok(Some(claim))
    }

    /// Fires a task for a boot or a supervisor.
    fn fire_for(
        &self,
        task: &Task,
        token: Option<String>,
        looked: &Looked<'_>,
        asker: &Asker,
    ) -> Result<Outcome, ExecutorError> {
        let row = self.anchor(task)?;
        if !is_armed(task, &row) {
            return Ok(Outcome::default());
        }
        let Some(token) = token else {
            let claim = self.claim_next_fired(task, None, looked, asker)?;
            return Ok(Outcome { claim, stop: Vec::new() });
        };
        let there = InTheWay::find(self, task)?;
        let policy = task.schedule.policy.overlap;
        let (decided, reason) = match &there.lock {
            _ if !there.active.is_empty() && policy != Overlap::Allow => (Decided::Skipped, Some(there.to_string())),
            None => (Decided::Run, None),
            Some(held) => match policy {
                Overlap::Skip | Overlap::Allow => (Decided::Skipped, Some(held.to_string())),
                Overlap::Queue | Overlap::Replace => (Decided::Waiting, Some(format!("waits: {held}"))),
            },
        };
        let is_free = decided == Decided::Run;
        let (due, note) = (self.now, Some(task.schedule.period.clone().unwrap_or_default()));
        let new = OccurrenceRow { due, decided_at: self.now, decided, reason, note, count: None, job: None };
        occurrences::record(self.tx, &task.name, &new)?;
        tasks::set_fires(self.tx, &task.name, &Fires { fired_for: Some(token), ..row.fires })?;
        let claim = if is_free { self.claim_fired(task, due, looked, asker)? } else { None };
        Ok(Outcome { claim, stop: Vec::new() })
    }

    fn record_decisions(
        &self,
        task: &Task,
        firing: &Firing,
        decisions: &Decisions<JobId>,
        there: &InTheWay,
    ) -> Result<(), ExecutorError> {
        let name = &task.name;
        let mut missed: Vec<(Timestamp, String)> = Vec::new();
        if let Some(older) = decisions.older {
            let reason = "nobody was there".to_owned();
            let last = last_of(&firing.timetable, &older);
            let new = OccurrenceRow {
                due: last,
                decided_at: self.now,
                decided: Decided::Missed,
                reason: Some(reason.clone()),
                note: None,
                count: Some(older.count.to_string()),
                job: None,
            };
            occurrences::record(self.tx, name, &new)?;
            missed.push((last, reason));
        }
        for decision in &decisions.rows {
            let (decided, reason) = firing.words(decision, there);
            let new = OccurrenceRow {
                due: decision.occurrence,
                decided_at: self.now,
                decided,
                reason: reason.clone(),
                note: decision.note.map(|note| note.to_string()),
                count: None,
                job: None,
            };
            occurrences::record(self.tx, name, &new)?;
            match decided {
                Decided::Missed => missed.push((decision.occurrence, reason.unwrap_or_default())),
                Decided::Skipped => {
                    self.schedule_event(
                        task,
                        "skipped",
                        json!({ "due": decision.occurrence.to_string(), "reason": reason }),
                    )?;
                }
                Decided::Run | Decided::Waiting | Decided::CatchingUp => {}
            }
        }
        for out in &decisions.displaced {
            let reason = format!("the run of {} took its place", firing.shown(out.by));
            occurrences::settle(self.tx, name, out.occurrence, Decided::Skipped, Some(&reason))?;
            self.schedule_event(task, "skipped", json!({ "due": out.occurrence.to_string(), "reason": reason }))?;
        }
        if let Some((due, reason)) = missed.last() {
            // The first row stands for those that are not listed.
            let count = match (decisions.unlisted(), missed.len().saturating_sub(1)) {
                (None, _) => missed.len().to_string(),
                (Some(older), 0) => older.to_string(),
                (Some(older), listed) => format!("{listed} and {older} before that"),
            };
            let data = json!({ "due": due.to_string(), "count": count, "reason": reason });
            self.schedule_event(task, "missed", data)?;
        }
        if let Some(was) = decisions.clock_was_wrong {
            self.schedule_event(task, "clock_was_wrong", json!({ "was": was.to_string() }))?;
        }
        Ok(())
    }

    /// Records that what runs of a task is to end, because its next run is due; the runs that are to be asked.
    fn make_room(&self, task: &Task, jobs: &[&JobRow]) -> Result<Vec<RunId>, ExecutorError> {
        let mut asked = Vec::new();
        for job in jobs {
            if let Some(run) = runs::unfinished_of_job(self.tx, job.id)? {
                runs::ask_stop(self.tx, run.id, "its next run", self.now)?;
                asked.push(run.id);
            } else {
                self.cancel(job, &task.name, "replaced by its next run")?;
            }
        }
        Ok(asked)
    }

    /// Takes what waits of a task from its line: somebody has stopped it.
    pub(super) fn stop_waiting(&self, name: &TaskName, reason: &str) -> Result<(), ExecutorError> {
        for row in occurrences::waiting(self.tx, name)? {
            occurrences::settle(self.tx, name, row.due, Decided::Skipped, Some(reason))?;
        }
        Ok(())
    }

    fn schedule_event(&self, task: &Task, cause: &str, data: serde_json::Value) -> Result<(), ExecutorError> {
        let event = events::NewEvent { job: None, task: Some(task.name.as_str()), states: None, cause, data };
        Ok(events::record(self.tx, &event, self.now)?)
    }
}
