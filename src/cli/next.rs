//! next: when schedules fire, and who meets whom.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::amount::parse_duration;
use crate::domain::schedule::{ScheduleError, resolve_moment};
use crate::domain::task::Task;
use crate::executor::{Executor, ExecutorError, Obstacle, Plan, Upcoming};
use crate::home::zones;
use crate::process::clock;
use crate::report;
use crate::report::page::Page;

use super::arguments::NextArguments;
use super::context::{Context, told, told_hidden};
use super::failure::Failure;
use super::schedule;

/// How many starts of one task a plan lists: for a person, and as JSON.
const LISTED: [usize; 2] = [50, 1000];

/// How many other tasks are named.
const NAMED: usize = 5;

/// `next`.
pub(super) fn next(context: &mut Context, arguments: &NextArguments) -> Result<u8, Failure> {
    let json = context.json;
    let now = clock::now();
    let from = arguments.from.as_deref().map(|typed| moment("--from", typed, now)).transpose()?;
    let until = arguments.plan.as_deref().map(|typed| until(typed, from.unwrap_or(now))).transpose()?;
    let (executor, definitions, asked) = if let Some(name) = &arguments.name {
        let (executor, definitions, name) = context.task(name)?;
        let task = definitions.find(&name).cloned().ok_or(ExecutorError::NotDefined(name))?;
        (executor, definitions, Some(scheduled(task)?))
    } else {
        let Some(executor) = context.look()? else { return super::list::nothing(context) };
        let definitions = Context::definitions(executor)?;
        (executor, definitions, None)
    };
    let [armed, others] = executor.armed(&definitions)?;
    let shown = asked.as_ref().map_or(armed.as_slice(), std::slice::from_ref);
    if let Some(until) = until {
        let [person, machine] = LISTED;
        let most = if json { machine } else { person };
        plan(&executor.plan_starts(shown, &armed, (from.unwrap_or(now), until), most)?, until, json)?;
    } else {
        let number = usize::try_from(arguments.number).unwrap_or(usize::MAX);
        list(&executor.upcoming(shown, from, number)?, now, json)?;
    }
    if !json {
        tell_without_times(executor, shown, from)?;
        match &asked {
            Some(task) => schedule::tell_obstacle(executor, task)?,
            None => tell_of_all(executor, &armed, &others),
        }
    }
    Ok(0)
}

fn list(coming: &[Upcoming], now: Timestamp, json: bool) -> Result<(), Failure> {
    let mut out = Page::default();
    let mut hidden = Vec::new();
    if json {
        report::json::write(&Value::Array(coming.iter().map(report::json::upcoming).collect()), &mut out)?;
    } else {
        hidden = report::next::table(coming, now, Context::width(), &mut out)?;
    }
    out.print()?;
    told_hidden(&hidden);
    Ok(())
}

fn plan(plan: &Plan, until: Timestamp, json: bool) -> Result<(), Failure> {
    let mut out = Page::default();
    let mut hidden = Vec::new();
    if json {
        report::json::write(&Value::Array(plan.starts.iter().map(report::json::planned).collect()), &mut out)?;
    } else {
        hidden = report::next::plan(&plan.starts, Context::width(), &mut out)?;
    }
    out.print()?;
    told_hidden(&hidden);
    if plan.starts.is_empty() && !json {
        told(&format!("# nothing starts until {}", report::words::moment(until)));
    }
    for left in &plan.left_out {
        told(&report::next::left_out(left, until));
    }
    Ok(())
}

/// The moment that somebody typed for a flag.
pub(super) fn moment(flag: &str, typed: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    match resolve_moment(typed, now, &zones::zones()) {
        Ok((moment, notes)) => {
            for note in notes {
                told(&format!("note: {note}"));
            }
            Ok(moment)
        }
        Err(ScheduleError::Start { why, .. }) => {
            let failure = Failure::input(format!("{flag}: `{typed}` is not a time: {why}"));
            Err(why.hints().into_iter().fold(failure, Failure::hint))
        }
        Err(error) => Err(Failure::input(format!("{flag}: {error}"))),
    }
}

/// The end of a plan.
fn until(typed: &str, from: Timestamp) -> Result<Timestamp, Failure> {
    let within = parse_duration(typed).map_err(|error| Failure::input(format!("--plan: {error}")))?;
    Ok(from.checked_add(within).unwrap_or(Timestamp::MAX))
}

/// A task that never fires by itself has nothing to come.
fn scheduled(task: Arc<Task>) -> Result<Arc<Task>, Failure> {
    if task.schedule.is_set() {
        return Ok(task);
    }
    let name = &task.name;
    Err(Failure::refused(format!("`{name}` has no schedule"))
        .hint(format!("give it one, as in `jobexec edit {name} --period day`")))
}

/// Says what waits for no time, and what has none left.
fn tell_without_times(executor: &Executor, tasks: &[Arc<Task>], from: Option<Timestamp>) -> Result<(), Failure> {
    for task in tasks {
        let event = executor.meaning(task, 0)?.and_then(|meaning| meaning.event);
        if let Some(event) = event {
            told(&format!("# {} fires {}", task.name, event.when()));
        } else if executor.upcoming(std::slice::from_ref(task), from, 1)?.is_empty() {
            told(&format!("# {} never fires again", task.name));
        }
    }
    Ok(())
}

/// Says what is not shown, and why nothing of what is shown may come.
fn tell_of_all(executor: &Executor, armed: &[Arc<Task>], others: &[Arc<Task>]) {
    let names: Vec<&str> = others.iter().take(NAMED).map(|task| task.name.as_str()).collect();
    let (names, rest) = (names.join(", "), if others.len() > NAMED { ", …" } else { "" });
    match others.len() {
        0 if armed.is_empty() => {
            told("No task has a schedule. Give one to a task with `jobexec edit NAME --period day`.");
        }
        0 => {}
        1 => told(&format!(
            "# 1 more task has a schedule and is not armed, or switched off: {names} (`jobexec next NAME` shows it)"
        )),
        more => told(&format!(
            "# {more} more tasks have a schedule and are not armed, or switched off: {names}{rest} (`jobexec next NAME` shows one)"
        )),
    }
    if let Some(task) = armed.first().filter(|_| !executor.is_supervised()) {
        told(&format!("note: {}", Obstacle::Unsupervised.note(&task.name)));
    }
}
