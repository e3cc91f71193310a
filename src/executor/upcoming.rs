//! next: when schedules fire, as far as can be said now.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::amount::print_duration;
use crate::domain::name::TaskName;
use crate::domain::schedule::{Jitter, Note, Timetable};
use crate::domain::task::{Schedule, Task};
use crate::home::zones;
use crate::store::occurrences::{self, OccurrenceRow};
use crate::store::tasks::TaskRow;
use crate::store::{night, tasks};

use super::fire::{is_armed, memory, timetable};
use super::night::usual;
use super::{Definitions, Executor, ExecutorError, TaskStatus};

/// The most occurrences of a plan.
const MOST: usize = 10_000;

/// How many earlier runs say how long one usually takes.
const EARLIER: u32 = 50;

/// One occurrence that is to come.
#[derive(Debug, Clone)]
pub struct Upcoming {
    /// The task.
    pub name: TaskName,
    /// When it is due, with its jitter.
    pub time: Timestamp,
    /// Whose clocks it goes by.
    pub zone: TimeZone,
    /// What is special about it.
    pub note: Option<String>,
}

/// A start that is planned, with what is likely to run then.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The start.
    pub start: Upcoming,
    /// How long its task usually runs, where enough runs say so.
    pub usual: Option<Duration>,
    /// The tasks that are likely to run still, itself included.
    pub beside: Vec<TaskName>,
}

/// What a schedule means, for a person.
#[derive(Debug, Clone)]
pub struct Meaning {
    /// In one form: `every weekday at 09:00 Europe/Zurich`.
    pub text: String,
    /// What may not be what was meant.
    pub notes: Vec<Note>,
    /// The next occurrences.
    pub next: Vec<Upcoming>,
    /// Whether it waits for an event and not for a time.
    pub is_event: bool,
}

/// The timetables of many tasks. Most say what others say, and reading it is what takes long.
#[derive(Default)]
struct Timetables<'a>(HashMap<[Option<&'a str>; 4], Timetable>);

impl<'a> Timetables<'a> {
    fn of(&mut self, task: &'a Task) -> Result<&Timetable, ExecutorError> {
        let Schedule { period, cron, start, tz, .. } = &task.schedule;
        Ok(match self.0.entry([period, cron, start, tz].map(Option::as_deref)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(timetable(task)?),
        })
    }
}

impl Executor {
    /// What a task's schedule means, with its next occurrences after a moment; none where it has no schedule.
    pub fn meaning(&self, task: &Task, from: Timestamp, number: usize) -> Result<Option<Meaning>, ExecutorError> {
        if !task.schedule.is_set() {
            return Ok(None);
        }
        let built = Timetable::build(&task.schedule, &zones::zones());
        let wrong = |source| ExecutorError::Schedule { task: task.name.clone(), source: Box::new(source) };
        let (timetable, notes) = built.map_err(wrong)?;
        let next = self.occurrences(task, &timetable, from).take(number).collect();
        Ok(Some(Meaning { text: timetable.describe(), notes, next, is_event: timetable.event().is_some() }))
    }

    /// When each task fires next by itself; none where it does not.
    pub fn next_runs(&self, statuses: &[TaskStatus], now: Timestamp) -> Vec<Option<Timestamp>> {
        let mut timetables = Timetables::default();
        statuses.iter().map(|status| self.next_of(status, &mut timetables, now)).collect()
    }

    /// When a task fires next by itself; none where it does not.
    pub fn next_run(&self, status: &TaskStatus, now: Timestamp) -> Option<Timestamp> {
        self.next_of(status, &mut Timetables::default(), now)
    }

    fn next_of<'a>(
        &self,
        status: &'a TaskStatus,
        timetables: &mut Timetables<'a>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let (task, row) = (status.task.as_ref()?, status.row.as_ref()?);
        if !status.defined || !is_armed(task, row) {
            return None;
        }
        let from = decided(row).max(now);
        let timetable = timetables.of(task).ok()?;
        self.occurrences(task, timetable, from).next().map(|next| next.time)
    }

    /// The next occurrences of these tasks after a moment, in order of time.
    pub fn upcoming(
        &self,
        tasks: &[Arc<Task>],
        from: Timestamp,
        number: usize,
    ) -> Result<Vec<Upcoming>, ExecutorError> {
        let mut all = Vec::new();
        let mut timetables = Timetables::default();
        for task in tasks.iter().filter(|task| task.schedule.is_set()) {
            let timetable = timetables.of(task)?;
            all.extend(self.occurrences(task, timetable, from).take(number));
        }
        all.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.name.as_str().cmp(b.name.as_str())));
        all.truncate(number);
        Ok(all)
    }

    /// Every start of these tasks until a moment, with who is likely to run beside it; and whether there are more than
    /// can be listed.
    pub fn plan_starts(
        &self,
        these: &[Arc<Task>],
        from: Timestamp,
        until: Timestamp,
    ) -> Result<(Vec<Planned>, bool), ExecutorError> {
        let mut starts = Vec::new();
        let mut timetables = Timetables::default();
        let mut usually = HashMap::new();
        let mut more = false;
        for task in these.iter().filter(|task| task.schedule.is_set()) {
            let timetable = timetables.of(task)?;
            let before = starts.len();
            starts.extend(self.occurrences(task, timetable, from).take_while(|next| next.time <= until).take(MOST));
            more |= starts.len() - before == MOST;
            let earlier = night::successes_before(self.store.reader(), &task.name, from, EARLIER)?;
            usually.insert(task.name.key(), usual(&earlier));
        }
        starts.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.name.as_str().cmp(b.name.as_str())));
        more |= starts.len() > MOST;
        starts.truncate(MOST);
        let mut running: Vec<(TaskName, Timestamp)> = Vec::new();
        let planned = starts.into_iter().map(|start| {
            running.retain(|(_, end)| *end > start.time);
            let mut beside: Vec<TaskName> = running.iter().map(|(name, _)| name.clone()).collect();
            beside.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            beside.dedup();
            let usual = usually.get(&start.name.key()).copied().flatten();
            if let Some(end) = usual.and_then(|usual| start.time.checked_add(usual).ok()) {
                running.push((start.name.clone(), end));
            }
            Planned { start, usual, beside }
        });
        Ok((planned.collect(), more))
    }

    /// The scheduled tasks whose schedules fire them, and how many others have one.
    pub fn armed(&self, definitions: &Definitions) -> Result<(Vec<Arc<Task>>, usize), ExecutorError> {
        let (mut armed, mut others) = (Vec::new(), 0);
        for task in definitions.tasks.iter().filter(|task| task.schedule.is_set()) {
            if self.is_armed(task)? {
                armed.push(Arc::clone(task));
            } else {
                others += 1;
            }
        }
        Ok((armed, others))
    }

    /// Whether a task's schedule may fire it.
    pub fn is_armed(&self, task: &Task) -> Result<bool, ExecutorError> {
        Ok(tasks::find(self.store.reader(), &task.name)?.is_some_and(|row| is_armed(task, &row)))
    }

    /// The newest occurrence of a task that came to no run.
    pub fn last_without_run(&self, task: &TaskName) -> Result<Option<OccurrenceRow>, ExecutorError> {
        Ok(occurrences::without_job(self.store.reader(), task, Some(1))?.pop())
    }

    fn occurrences<'a>(
        &'a self,
        task: &'a Task,
        timetable: &'a Timetable,
        from: Timestamp,
    ) -> impl Iterator<Item = Upcoming> + 'a {
        let host = || self.here.machine.clone();
        let jitter = task.schedule.jitter.map(|within| Jitter { within, host: host(), task: task.name.to_string() });
        let zone = timetable.zone().time_zone().clone();
        timetable.iter_after(from).map(move |next| {
            let delay = jitter.as_ref().map(|jitter| jitter.delay(next.time)).filter(|delay| !delay.is_zero());
            let moved = next.note.map(|moved| moved.to_string());
            let late = delay
                .map(|delay| format!("put off by {}", print_duration(Duration::from_secs(delay.as_secs().max(1)))));
            let notes: Vec<String> = moved.into_iter().chain(late).collect();
            Upcoming {
                name: task.name.clone(),
                time: next.time.checked_add(delay.unwrap_or_default()).unwrap_or(next.time),
                zone: zone.clone(),
                note: (!notes.is_empty()).then(|| notes.join("; ")),
            }
        })
    }
}

/// The moment up to which everything is decided.
fn decided(row: &TaskRow) -> Timestamp {
    let memory = memory(row);
    memory.last.map_or(memory.seen_at, |last| last.max(memory.seen_at))
}
