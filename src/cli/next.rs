//! next: when schedules fire, and who meets whom.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::amount::parse_duration;
use crate::domain::schedule::{ScheduleError, Timetable, resolve_start};
use crate::domain::task::{Schedule, Task};
use crate::executor::{Definitions, Executor};
use crate::home::zones;
use crate::process::clock;
use crate::report;
use crate::report::page::Page;

use super::arguments::NextArguments;
use super::context::{Context, told, told_hidden};
use super::failure::Failure;

/// How many starts of a plan are shown to a person.
const SHOWN: usize = 200;

/// `next`.
pub(super) fn next(context: &mut Context, arguments: &NextArguments) -> Result<u8, Failure> {
    let json = context.json;
    let now = clock::now();
    let from = arguments.from.as_deref().map_or(Ok(now), |typed| moment(typed, now))?;
    let mut out = Page::default();
    let Some(which) = which(context, arguments.name.as_deref())? else { return super::list::nothing(json) };
    let executor = context.existing()?.ok_or_else(|| Failure::input("there is no executor".to_owned()))?;
    let mut notes = which.notes;
    let hidden = if let Some(within) = &arguments.plan {
        let within = parse_duration(within).map_err(|error| Failure::input(format!("--plan: {error}")))?;
        let until = from.checked_add(within).map_err(|_| Failure::input("--plan: that is too long".to_owned()))?;
        let (planned, more) = executor.plan_starts(&which.tasks, from, until)?;
        if json {
            report::json::write(&Value::Array(planned.iter().map(report::json::planned).collect()), &mut out)?;
            Vec::new()
        } else {
            let shown = planned.get(..SHOWN).unwrap_or(&planned);
            let left = planned.len() - shown.len();
            let at_least = if more { "at least " } else { "" };
            if left > 0 {
                notes.push(format!("# {at_least}{left} more starts; see them with --json, or plan a shorter time"));
            }
            report::next::plan(shown, Context::width(), &mut out)?
        }
    } else {
        let number = usize::try_from(arguments.number).unwrap_or(usize::MAX);
        let coming = executor.upcoming(&which.tasks, from, number)?;
        if json {
            report::json::write(&Value::Array(coming.iter().map(report::json::upcoming).collect()), &mut out)?;
            Vec::new()
        } else {
            if coming.is_empty() && !which.tasks.is_empty() {
                notes.push("nothing is due any more".to_owned());
            }
            if coming.is_empty() { Vec::new() } else { report::next::table(&coming, now, Context::width(), &mut out)? }
        }
    };
    let supervised = executor.is_supervised();
    out.print()?;
    told_hidden(&hidden);
    if !json {
        for note in &notes {
            told(note);
        }
        if !supervised && !which.tasks.is_empty() {
            told("note: no supervisor is running, so nothing fires: start one with `jobexec keep-restarting`");
        }
    }
    Ok(0)
}

/// The tasks that are asked about, and what is to be said of them besides.
struct Which {
    tasks: Vec<Arc<Task>>,
    notes: Vec<String>,
}

fn which(context: &mut Context, name: Option<&str>) -> Result<Option<Which>, Failure> {
    let Some(name) = name else {
        let Some(executor) = context.look()? else { return Ok(None) };
        let definitions = Context::definitions(executor)?;
        return all(executor, &definitions).map(Some);
    };
    let (executor, definitions, name) = context.task(name)?;
    let Some(task) = definitions.find(&name).cloned() else {
        return Err(crate::executor::ExecutorError::NotDefined(name).into());
    };
    if !task.schedule.is_set() {
        return Err(Failure::input(format!("`{name}` has no schedule"))
            .hint(format!("give it one, as in `jobexec edit {name} --period day`")));
    }
    let mut notes = Vec::new();
    if let Some(meaning) = executor.meaning(&task, clock::now(), 0)?.filter(|meaning| meaning.is_event) {
        notes.push(format!("{name} fires for {}, not at a time", meaning.text));
    }
    if !task.enabled {
        notes.push(format!("note: its schedule is switched off; `jobexec edit {name} --enabled true` switches it on"));
    } else if !executor.is_armed(&task)? {
        notes.push(format!("note: it is not armed; `jobexec start {name}` arms it"));
    }
    Ok(Some(Which { tasks: vec![task], notes }))
}

fn all(executor: &Executor, definitions: &Definitions) -> Result<Which, Failure> {
    let (tasks, others) = executor.armed(definitions)?;
    let notes = match (tasks.len(), others) {
        (0, 0) => vec!["No task has a schedule. Give one to a task with `jobexec edit NAME --period day`.".to_owned()],
        (_, 0) => Vec::new(),
        (_, 1) => vec!["# 1 more task has a schedule and is not armed: `jobexec start NAME` arms it".to_owned()],
        (_, more) => {
            vec![format!("# {more} more tasks have a schedule and are not armed: `jobexec start NAME` arms one")]
        }
    };
    Ok(Which { tasks, notes })
}

/// The moment that somebody typed, in words that a start may have, too.
pub(super) fn moment(typed: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong = |error: &ScheduleError| super::define::schedule_failure("--from", error);
    let zones = zones::zones();
    let (text, _) = resolve_start(typed, now, None, &zones).map_err(|error| wrong(&error))?;
    // Reading it back is what a schedule does.
    let schedule = Schedule { period: Some("day".to_owned()), start: Some(text), ..Schedule::default() };
    let (timetable, _) = Timetable::build(&schedule, &zones).map_err(|error| wrong(&error))?;
    Ok(timetable.start().unwrap_or(now))
}
