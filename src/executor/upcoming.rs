//! When schedules fire next, as far as can be said now, and what keeps them from it.

mod plan;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, Zoned};

use crate::domain::amount::print_duration;
use crate::domain::name::TaskName;
use crate::domain::schedule::{Event, Moved, Note, Occurrence, Pass, Timetable, Zone};
use crate::domain::task::{Schedule, Task};
use crate::home::zones;
use crate::process::clock;
use crate::store::occurrences::{self, OccurrenceRow};
use crate::store::tasks::{self, TaskRow};

use super::fire::{Firing, is_armed, memory, timetable};
use super::{Definitions, Executor, ExecutorError, TaskStatus};

pub use plan::{LeftOut, Plan, Planned};

/// One occurrence that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcoming {
    /// The task.
    pub name: TaskName,
    /// When it is due, without its jitter.
    pub due: Timestamp,
    /// By how much it is put off.
    pub put_off: Duration,
    /// Whose clocks it goes by.
    pub zone: Zone,
    /// Why it is not at its usual time.
    pub moved: Option<Moved>,
}

impl Upcoming {
    /// When it begins.
    pub fn time(&self) -> Timestamp {
        self.due.checked_add(self.put_off).unwrap_or(Timestamp::MAX)
    }

    /// The same on the clocks that it goes by.
    pub fn there(&self) -> Zoned {
        self.time().to_zoned(self.zone.time_zone().clone())
    }

    /// What is special about it.
    pub fn note(&self) -> Option<String> {
        let twice = |which| {
            let time = self.due.to_zoned(self.zone.time_zone().clone()).strftime("%H:%M");
            format!("the {which} of two {time}")
        };
        let notes = [
            self.moved.map(|moved| moved.to_string()),
            self.zone.pass(self.due).map(|pass| match pass {
                Pass::First => twice("first"),
                Pass::Second => twice("second"),
            }),
            (!self.put_off.is_zero())
                .then(|| format!("put off by {}", print_duration(Duration::from_secs(self.put_off.as_secs().max(1))))),
        ];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

/// What keeps a schedule from firing its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// It is switched off.
    Disabled,
    /// Nobody has started the task, or somebody has stopped it.
    NotArmed,
    /// No supervisor is there.
    Unsupervised,
}

impl Obstacle {
    /// It, and the way out.
    pub fn note(self, task: &TaskName) -> impl fmt::Display {
        fmt::from_fn(move |f| match self {
            Self::Disabled => {
                write!(f, "its schedule is switched off; `jobexec edit {task} --enabled true` switches it on")
            }
            Self::NotArmed => write!(f, "it is not armed; `jobexec start {task}` arms it"),
            Self::Unsupervised => {
                f.write_str("no supervisor is running, so nothing fires: start one with `jobexec keep-restarting`")
            }
        })
    }
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
    /// What it waits for, where that is not a time.
    pub event: Option<Event>,
}

impl Firing {
    fn upcoming(&self, task: &TaskName, next: Occurrence) -> Upcoming {
        Upcoming {
            name: task.clone(),
            due: next.time,
            put_off: self.jitter.as_ref().map_or(Duration::ZERO, |jitter| jitter.delay(next.time)),
            zone: self.timetable.zone().clone(),
            moved: next.note,
        }
    }

    /// The occurrences that are due after one moment and begin after another: one whose time has come may be put off.
    fn coming(self, task: TaskName, due: Timestamp, from: Timestamp) -> impl Iterator<Item = Upcoming> {
        let mut last = from.checked_sub(self.within()).unwrap_or(from).max(due);
        let all = std::iter::from_fn(move || {
            let next = self.timetable.after(last)?;
            last = next.time;
            Some(self.upcoming(&task, next))
        });
        all.skip_while(move |next| next.time() <= from)
    }

    /// By how much an occurrence is put off at most.
    fn within(&self) -> Duration {
        self.jitter.as_ref().map_or(Duration::ZERO, |jitter| jitter.within)
    }
}

/// The occurrences of several schedules, each in the order of its times, in the order of all their times.
fn merged<I: Iterator<Item = Upcoming>>(each: impl IntoIterator<Item = I>) -> impl Iterator<Item = Upcoming> {
    let mut sources: Vec<Peekable<I>> = each.into_iter().map(Iterator::peekable).collect();
    let head = |at: usize, source: &mut Peekable<I>| source.peek().map(|next| Reverse((next.time(), at)));
    let mut heap: BinaryHeap<_> = sources.iter_mut().enumerate().filter_map(|(at, source)| head(at, source)).collect();
    std::iter::from_fn(move || {
        let Reverse((_, at)) = heap.pop()?;
        let source = sources.get_mut(at)?;
        let next = source.next();
        heap.extend(head(at, source));
        next
    })
}

/// The timetables of many tasks. Most say what others say, and reading it is what takes long.
#[derive(Default)]
struct Timetables<'a>(HashMap<[Option<&'a str>; 4], Arc<Timetable>>);

impl<'a> Timetables<'a> {
    fn of(&mut self, task: &'a Task) -> Result<Arc<Timetable>, ExecutorError> {
        let Schedule { period, cron, start, tz, .. } = &task.schedule;
        let known = match self.0.entry([period, cron, start, tz].map(Option::as_deref)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Arc::new(timetable(task)?)),
        };
        Ok(Arc::clone(known))
    }
}

impl Executor {
    /// What a task's schedule means, with so many of its next occurrences; none where it has no schedule.
    pub fn meaning(&self, task: &Task, number: usize) -> Result<Option<Meaning>, ExecutorError> {
        if !task.schedule.is_set() {
            return Ok(None);
        }
        let built = Timetable::build(&task.schedule, &zones::zones());
        let wrong = |source| ExecutorError::Schedule { task: task.name.clone(), source: Box::new(source) };
        let (timetable, notes) = built.map_err(wrong)?;
        let timetable = Arc::new(timetable);
        let next = self.coming(task, None, Arc::clone(&timetable))?.take(number).collect();
        Ok(Some(Meaning { text: timetable.describe(), notes, next, event: timetable.event() }))
    }

    /// When each task fires next by itself; none where it does not.
    pub fn next_runs(&self, statuses: &[TaskStatus]) -> Vec<Option<Timestamp>> {
        let mut timetables = Timetables::default();
        statuses.iter().map(|status| Some(self.next_of(status, &mut timetables)?.time())).collect()
    }

    /// When a task fires next by itself; none where it does not.
    pub fn next_run(&self, status: &TaskStatus) -> Option<Upcoming> {
        self.next_of(status, &mut Timetables::default())
    }

    fn next_of<'a>(&self, status: &'a TaskStatus, timetables: &mut Timetables<'a>) -> Option<Upcoming> {
        let (task, row) = (status.task.as_ref()?, status.row.as_ref()?);
        if !status.defined || !is_armed(task, row) {
            return None;
        }
        let firing = self.firing_by(task, timetables.of(task).ok()?);
        firing.coming(task.name.clone(), decided(row), clock::now()).next()
    }

    /// The next occurrences of these tasks in order of time: after a moment, or what is to come now.
    pub fn upcoming(
        &self,
        tasks: &[Arc<Task>],
        from: Option<Timestamp>,
        number: usize,
    ) -> Result<Vec<Upcoming>, ExecutorError> {
        let mut timetables = Timetables::default();
        let mut coming = |task| self.coming(task, from, timetables.of(task)?);
        let each = tasks.iter().map(|task| coming(task)).collect::<Result<Vec<_>, _>>()?;
        Ok(merged(each).take(number).collect())
    }

    /// The scheduled tasks whose schedules may fire them, and the others that have one.
    pub fn armed(&self, definitions: &Definitions) -> Result<[Vec<Arc<Task>>; 2], ExecutorError> {
        let (mut armed, mut others) = (Vec::new(), Vec::new());
        for task in definitions.tasks.iter().filter(|task| task.schedule.is_set()) {
            if self.is_armed(task)? { &mut armed } else { &mut others }.push(Arc::clone(task));
        }
        Ok([armed, others])
    }

    /// What keeps a task's schedule from firing it.
    pub fn obstacle(&self, task: &Task) -> Result<Option<Obstacle>, ExecutorError> {
        Ok(if !task.enabled {
            Some(Obstacle::Disabled)
        } else if !self.is_armed(task)? {
            Some(Obstacle::NotArmed)
        } else {
            (!self.is_supervised()).then_some(Obstacle::Unsupervised)
        })
    }

    fn is_armed(&self, task: &Task) -> Result<bool, ExecutorError> {
        Ok(tasks::find(self.store.reader(), &task.name)?.is_some_and(|row| is_armed(task, &row)))
    }

    /// The newest occurrence of a task that came to no run.
    pub fn last_without_run(&self, task: &TaskName) -> Result<Option<OccurrenceRow>, ExecutorError> {
        Ok(occurrences::without_job(self.store.reader(), task, Some(1))?.pop())
    }

    /// The occurrences of a task that begin after a moment. Without one: after now, and not decided yet.
    fn coming(
        &self,
        task: &Task,
        from: Option<Timestamp>,
        timetable: Arc<Timetable>,
    ) -> Result<impl Iterator<Item = Upcoming> + use<>, ExecutorError> {
        let decided = match from {
            Some(_) => None,
            None => tasks::find(self.store.reader(), &task.name)?.map(|row| decided(&row)),
        };
        let (decided, from) = (decided.unwrap_or(Timestamp::MIN), from.unwrap_or_else(clock::now));
        Ok(self.firing_by(task, timetable).coming(task.name.clone(), decided, from))
    }
}

/// The moment up to which everything is decided.
fn decided(row: &TaskRow) -> Timestamp {
    let memory = memory(row);
    memory.last.map_or(memory.seen_at, |last| last.max(memory.seen_at))
}
