//! status, with and without names, once or as it changes.

use std::io::Write;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use crate::domain::name::TaskName;
use crate::domain::status::TaskState;
use crate::executor::{Definitions, Executor, ExecutorError, TaskStatus};
use crate::home::bell::Ear;
use crate::report;
use crate::report::page::Page;

use super::context::{Context, names, told, told_hidden};
use super::failure::Failure;

/// How many runs and lines of output the card of one task shows.
const RUNS: u32 = 5;
const LINES: u64 = 10;

/// The exit code for a task that neither runs nor will.
const DOWN: u8 = 3;

/// How often what is watched is drawn anew when nothing happens: ages grow.
const REDRAW: u16 = 1000;

/// What is shown besides the usual.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// CPU time and memory.
    pub(super) usage: bool,
    /// The moments of the next runs.
    pub(super) next_run: bool,
}

/// `status`.
pub(super) fn status(context: &mut Context, typed: &[String], watch: bool, shape: Shape) -> Result<u8, Failure> {
    let names = names(typed)?;
    let json = context.json;
    let Some(executor) = context.look()? else {
        return match names.into_iter().next() {
            Some(name) => Err(ExecutorError::NoSuchTask { name, nearest: None }.into()),
            None => super::list::nothing(context),
        };
    };
    if watch {
        return self::watch(executor, &names, shape, json);
    }
    let mut out = Page::default();
    let Shown { code, hidden, unsupervised, read } = show(executor, &names, shape, json, &mut out)?;
    out.print()?;
    told_hidden(&hidden);
    if unsupervised > 0 && names.is_empty() {
        told(&unsupervised_note(unsupervised));
    }
    // The process ends: what thousands of tasks consist of need not be given back piece by piece.
    std::mem::forget(read);
    Ok(code)
}

/// Draws it again and again, until the terminal or the reader goes away.
fn watch(executor: &mut Executor, names: &[TaskName], shape: Shape, json: bool) -> Result<u8, Failure> {
    let ear = Ear::open(executor.home())?;
    loop {
        ear.heard()?;
        let mut out = Page::default();
        let Shown { hidden, .. } = show(executor, names, shape, json, &mut out)?;
        if Context::width().is_some() {
            // Not part of the page, which loses such sequences where colours are not wanted.
            std::io::stdout().write_all(b"\x1b[H\x1b[2J")?;
        }
        out.print()?;
        told_hidden(&hidden);
        let mut fds = [PollFd::new(ear.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(REDRAW)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(std::io::Error::from(errno).into()),
        }
    }
}

/// What was shown.
struct Shown {
    /// The exit code.
    code: u8,
    /// The columns that had no room.
    hidden: Vec<&'static str>,
    /// How many tasks are wanted and nobody starts them.
    unsupervised: usize,
    /// What was read for it.
    read: (Definitions, Vec<TaskStatus>),
}

fn unsupervised_note(count: usize) -> String {
    let tasks = if count == 1 { "1 task is".to_owned() } else { format!("{count} tasks are") };
    format!(
        "note: {tasks} wanted and not running, and no supervisor is there: start one with `jobexec keep-restarting`"
    )
}

/// Writes the page.
fn show(
    executor: &mut Executor,
    names: &[TaskName],
    shape: Shape,
    json: bool,
    out: &mut dyn Write,
) -> Result<Shown, Failure> {
    let definitions = Context::definitions(executor)?;
    let names = names.iter().map(|name| executor.resolve(&definitions, name)).collect::<Result<Vec<_>, _>>()?;
    let asked = (!names.is_empty()).then_some(names.as_slice());
    let statuses = executor.status(&definitions, asked, shape.usage)?;
    let down = asked.is_some() && statuses.iter().any(|status| !status.state.is_up(status.scheduled()));
    let mut hidden = Vec::new();
    match (asked, statuses.as_slice()) {
        (Some([_]), [one]) => hidden = show_one(executor, &definitions, one, json, out)?,
        (_, all) if json => {
            let next_runs = executor.next_runs(all);
            let object = |(status, next_run)| object(executor, &definitions, status, next_run);
            let objects = all.iter().zip(next_runs).map(object);
            report::json::write(&Value::Array(objects.collect()), out)?;
        }
        (None, []) if definitions.mistake.is_some() => {}
        (None, []) => {
            let code = super::list::nothing_in(executor.root(), false)?;
            return Ok(Shown { code, hidden, unsupervised: 0, read: (definitions, statuses) });
        }
        (_, all) => {
            let now = executor.now();
            let times = executor.next_runs(all);
            let next_runs = report::status::NextRuns { times, with_time: shape.next_run };
            hidden = report::status::table(all, &next_runs, now, Context::width(), out)?;
        }
    }
    let unsupervised = statuses.iter().filter(|status| status.state == TaskState::Unsupervised).count();
    Ok(Shown { code: if down { DOWN } else { 0 }, hidden, unsupervised, read: (definitions, statuses) })
}

fn object(
    executor: &Executor,
    definitions: &Definitions,
    status: &TaskStatus,
    next_run: Option<jiff::Timestamp>,
) -> Value {
    report::json::status(status, &definitions.exec_id, &executor.output_path(&status.name), next_run)
}

fn show_one(
    executor: &mut Executor,
    definitions: &Definitions,
    status: &TaskStatus,
    json: bool,
    out: &mut dyn Write,
) -> Result<Vec<&'static str>, Failure> {
    let now = executor.now();
    let runs = executor.history(&status.name, Some(RUNS))?;
    let lines = match runs.first() {
        Some(last) => executor.last_lines(&last.run, LINES)?,
        None => Vec::new(),
    };
    if json {
        let mut object = object(executor, definitions, status, executor.next_run(status).map(|next| next.time()));
        if let Some(map) = object.as_object_mut() {
            map.insert("runs".to_owned(), Value::Array(runs.iter().map(report::json::run).collect()));
            map.insert("output".to_owned(), json!(lines));
        }
        report::json::write(&object, out)?;
        return Ok(Vec::new());
    }
    let explanation = executor.explain(status, now)?;
    let count = executor.count_runs(&status.name)?;
    let log = executor.output_path(&status.name);
    let card = report::status::Card { status, explanation: &explanation, runs: &runs, count, lines: &lines, log: &log };
    Ok(report::status::card(&card, now, Context::width(), out)?)
}
