//! start, stop, restart.

use std::sync::Arc;

use crate::domain::name::TaskName;
use crate::domain::params;
use crate::domain::task::Task;
use crate::executor::{Afterwards, Executor, ExecutorError, Started, Stopped};
use crate::report;
use crate::report::page::Page;

use super::context::{Context, names, told};
use super::failure::Failure;
use super::schedule;

/// `start`.
pub(super) fn start(context: &mut Context, typed: &[String], all: bool, now: bool) -> Result<u8, Failure> {
    let typed = names(typed)?;
    let Some(executor) = context.existing()? else { return none(context, &typed) };
    if all {
        let definitions = executor.definitions()?.good()?;
        let statuses = executor.status(&definitions, None, false)?;
        let mut out = Page::default();
        report::list::running(&definitions.exec_id, &statuses, Context::width(), &mut out)?;
        out.print()?;
        // A line for each, as in executoR.
        return start_and_tell(context, &startable(&definitions.tasks, now), now, &[]);
    }
    let tasks: Result<Vec<_>, _> = typed.iter().map(|name| executor.task(name).map(Arc::new)).collect();
    start_these(context, &tasks?, now)
}

/// The tasks that can be started without values; the others are named, and are no failure.
fn startable(tasks: &[Arc<Task>], now: bool) -> Vec<Arc<Task>> {
    let mut these = Vec::with_capacity(tasks.len());
    for task in tasks {
        let needed = if task.schedule.is_set() && !now { Vec::new() } else { params::required(task) };
        match needed.first() {
            Some(param) => told(&format!("Skipping {}: it must be given `{param}`", task.name)),
            None => these.push(Arc::clone(task)),
        }
    }
    these
}

/// The answer where there is no executor yet: no such task, or, for all, none at all.
pub(super) fn none(context: &Context, typed: &[TaskName]) -> Result<u8, Failure> {
    match typed.first().cloned() {
        Some(name) => Err(ExecutorError::NoSuchTask { name, nearest: None }.into()),
        None => super::list::nothing(context),
    }
}

/// Starts tasks and says what became of each.
pub(super) fn start_these(context: &mut Context, tasks: &[Arc<Task>], now: bool) -> Result<u8, Failure> {
    start_and_tell(context, tasks, now, tasks)
}

/// The same; when the schedules that were armed fire next is told of some.
fn start_and_tell(context: &mut Context, tasks: &[Arc<Task>], now: bool, timed: &[Arc<Task>]) -> Result<u8, Failure> {
    let asker = context.asker()?;
    let executor = context.executor()?;
    let answers = executor.start(tasks, now, &asker)?;
    let off = |name: &TaskName| tasks.iter().any(|task| task.name == *name && !task.enabled);
    let scheduled = answers.iter().any(|(name, answer)| matches!(answer, Ok(Started::Scheduled)) && !off(name));
    let code = tell_started(executor, answers, timed)?;
    if scheduled && !executor.is_supervised() {
        told(
            "note: no supervisor is running, so nothing fires: start one with `jobexec keep-restarting`, or run a task at once with `jobexec start NAME --now`",
        );
    }
    Ok(code)
}

/// Whether it is a supervisor that goes on with what was started.
fn is_on_its_way(started: &Started) -> bool {
    match started {
        Started::Busy { .. } | Started::Underway { .. } | Started::Begun { .. } => true,
        Started::Scheduled | Started::Already { .. } | Started::Running { .. } => false,
    }
}

fn tell_started(
    executor: &Executor,
    answers: Vec<(TaskName, Result<Started, ExecutorError>)>,
    timed: &[Arc<Task>],
) -> Result<u8, Failure> {
    let mut code = 0;
    let on_its_way = answers.iter().any(|(_, answer)| matches!(answer, Ok(answer) if is_on_its_way(answer)));
    for (name, answer) in answers {
        match answer {
            Ok(Started::Scheduled) => {
                told(&format!("Scheduled: {name}"));
                if let Some(task) = timed.iter().find(|task| task.name == name) {
                    schedule::tell_next(executor, task)?;
                }
            }
            Ok(Started::Already { pid: Some(pid) }) => told(&format!("Already running: {name} (pid {pid})")),
            Ok(Started::Already { pid: None }) => told(&format!("Already running: {name}")),
            Ok(Started::Busy { what, pid: Some(pid) }) => told(&format!("Already running: {name} ({what}, pid {pid})")),
            Ok(Started::Busy { what, pid: None }) => told(&format!("Already running: {name} ({what})")),
            Ok(Started::Underway { job, what }) => {
                told(&format!("Already started: {name} (job {job}); next: {what}"));
            }
            Ok(Started::Begun { job, what }) => told(&format!("Starting {name} (job {job}): first {what}")),
            Ok(Started::Running { pid, .. }) => told(&format!("Starting {name} (pid {pid})")),
            Err(error) => code = Failure::from(error).tell().max(code),
        }
    }
    if on_its_way && !executor.is_supervised() {
        told(
            "note: no supervisor is running, so it does not go on by itself: start one with `jobexec keep-restarting`",
        );
    }
    Ok(code)
}

/// `stop`.
pub(super) fn stop(context: &mut Context, typed: &[String], all: bool) -> Result<u8, Failure> {
    let typed = names(typed)?;
    let asker = context.asker()?;
    let Some(executor) = context.existing()? else { return none(context, &typed) };
    let definitions = Context::definitions(executor)?;
    let these: Vec<TaskName> = if all {
        executor.stoppable(&definitions)?
    } else {
        typed.iter().map(|name| executor.resolve(&definitions, name)).collect::<Result<_, _>>()?
    };
    let stopped = executor.stop(&these, Afterwards::Stay, &asker, &mut |text| told(text))?;
    Ok(tell_stopped(&stopped))
}

/// Says what became of each; the exit code.
pub(super) fn tell_stopped(stopped: &[(TaskName, Stopped)]) -> u8 {
    let mut code = 0;
    for (name, stopped) in stopped {
        match stopped {
            Stopped::Ended(reason) => told(&format!("Stopping {name}: {reason}")),
            Stopped::NotRunning(false) => told(&format!("Stopping {name}: it was not running")),
            Stopped::NotRunning(true) => {
                told(&format!("Stopping {name}: it was not running; it will not be started again"));
            }
            Stopped::Elsewhere => {
                told(&format!("Stopping {name}: it runs on another machine or in another container; stop it there"));
                code = 1;
            }
            Stopped::Left(pids) => {
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                told(&format!("Stopping {name}: it has not ended yet; still there: pid {}", pids.join(", ")));
                code = 1;
            }
        }
    }
    code
}

/// `restart`.
pub(super) fn restart(context: &mut Context, typed: &[String]) -> Result<u8, Failure> {
    let typed = names(typed)?;
    let asker = context.asker()?;
    let Some(executor) = context.existing()? else { return none(context, &typed) };
    let definitions = executor.definitions()?.good()?;
    let mut tasks = Vec::new();
    for name in &typed {
        let name = executor.resolve(&definitions, name)?;
        tasks.push(definitions.find(&name).cloned().ok_or(ExecutorError::NotDefined(name))?);
    }
    let answers = executor.restart(&tasks, &asker, &mut |text| told(text))?;
    tell_started(executor, answers, &tasks)
}
