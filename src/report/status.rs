//! status: the table of all tasks, and the card of one.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use owo_colors::{OwoColorize, Style};

use crate::domain::amount::print_size;
use crate::domain::status::TaskState;
use crate::executor::{Attempt, Explanation, Past, TaskStatus};

use super::list::definition;
use super::screen::{LONGEST_LINE, Screen, visible};
use super::table::{Column, Table};
use super::words::{exit, lasting, recent, until};

/// The room that a line of output leaves for its margin and the mark that it was cut.
const CUT_MARK: usize = 20;

/// When tasks fire next by themselves, in the order of their statuses.
#[derive(Debug)]
pub struct NextRuns {
    /// The moments.
    pub times: Vec<Option<Timestamp>>,
    /// Whether they are shown as moments too, and not only by how far away they are.
    pub with_time: bool,
}

/// Writes the table of all tasks. Columns appear only when something is in them.
pub fn table(
    tasks: &[TaskStatus],
    next_runs: &NextRuns,
    now: Timestamp,
    width: Option<u16>,
    out: &mut dyn Write,
) -> io::Result<Vec<&'static str>> {
    let mut table = Table::new(&[
        Column::text("NAME", 0),
        Column::text("STATE", 0),
        Column::number("PID", 1),
        Column::text("UPTIME", 0),
        Column::number("RESTARTS", 3),
        Column::text("LAST EXIT", 0),
        Column::text("ENDED", 2),
        Column::text("NEXT", u8::from(next_runs.with_time)),
        Column::whole("NEXT RUN", 0),
        Column::number("PROCS", 4),
        Column::text("CPU", 2),
        Column::text("MEMORY", 2),
        Column::text("PERIOD", 4),
        Column::text("NOTE", 1),
    ]);
    for (status, next_run) in tasks.iter().zip(&next_runs.times) {
        let plain = |text: Option<String>| (Cow::Owned(text.unwrap_or_default()), Style::new());
        let usage = status.live.as_ref().and_then(|live| live.usage);
        let last = status.last_ended.as_ref();
        table.row(vec![
            (Cow::Borrowed(status.name.as_str()), Style::new()),
            (Cow::Borrowed(status.state.as_str()), style(status.state)),
            plain(status.live.as_ref().and_then(|live| live.pid).map(|pid| pid.to_string())),
            plain(status.uptime().map(lasting)),
            plain(Some(status.restarts()).filter(|count| *count > 0).map(|count| count.to_string())),
            plain(last.map(|run| run.exit.map_or_else(|| run.outcome.clone().unwrap_or_default(), exit))),
            plain(last.and_then(|run| run.ended).map(|time| recent(time, now))),
            plain(status.next_retry().or(*next_run).map(|time| format!("in {}", until(time, now)))),
            plain(next_run.filter(|_| next_runs.with_time).map(|time| recent(time, now))),
            plain(usage.map(|usage| usage.processes.to_string())),
            plain(usage.map(|usage| lasting(Duration::from_micros(usage.cpu)))),
            plain(usage.map(|usage| print_size(usage.memory))),
            plain(status.task.as_ref().and_then(|task| task.schedule.period.clone().or(task.schedule.cron.clone()))),
            (Cow::Owned(notes(status)), Style::new().yellow()),
        ]);
    }
    table.without_empty().write(width, out)
}

/// What else there is to say about a task, in a few words each.
fn notes(status: &TaskStatus) -> String {
    let notes = [
        (status.looping_since().is_some(), "crash-looping"),
        (status.gave_up(), "given up"),
        (status.stalled().is_some(), "no sign of life"),
        (status.changed, "changed, not applied"),
        (!status.defined, "not in the registry"),
    ];
    let notes = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note.to_owned());
    let lock = status.lock.as_ref().map(|held| format!("waits for lock `{}`", held.lock));
    lock.into_iter().chain(notes).collect::<Vec<_>>().join(", ")
}

/// What the card of one task shows besides its status.
#[derive(Debug)]
pub struct Card<'a> {
    /// Its status.
    pub status: &'a TaskStatus,
    /// Why it is so.
    pub explanation: &'a Explanation,
    /// Its last runs, newest first.
    pub runs: &'a [Attempt],
    /// How many it has had.
    pub count: usize,
    /// The last lines of its output.
    pub lines: &'a [String],
    /// Where that output is.
    pub log: &'a Path,
}

/// Writes the card of one task; which columns of its runs had no room.
pub fn card(card: &Card<'_>, now: Timestamp, width: Option<u16>, out: &mut dyn Write) -> io::Result<Vec<&'static str>> {
    let (status, mut hidden) = (card.status, Vec::new());
    let mark = if status.live.is_some() { "●" } else { "○" };
    let style = style(status.state);
    writeln!(out, "{} {} {}", mark.style(style), status.name.bold(), status.state.as_str().style(style))?;
    writeln!(out, "  {}", visible(&card.explanation.sentence))?;
    if let Some(task) = &status.task {
        writeln!(out)?;
        definition(task, out)?;
    }
    if let Some(usage) = status.live.as_ref().and_then(|live| live.usage) {
        let cpu = lasting(Duration::from_micros(usage.cpu));
        let memory = print_size(usage.memory);
        writeln!(out, "  {:<12} {} processes, {cpu} CPU, {memory}", "usage".dimmed(), usage.processes)?;
    }
    writeln!(out, "  {:<12} {}", "output".dimmed(), visible(&card.log.display().to_string()))?;
    if !card.runs.is_empty() {
        writeln!(out)?;
        let past: Vec<Past> = card.runs.iter().map(|run| Past::Run(Box::new(run.clone()))).collect();
        hidden = super::history::table(&past, card.count, now, width, out)?;
    }
    if !card.lines.is_empty() {
        writeln!(out)?;
        let limit = width.map_or(LONGEST_LINE, |width| usize::from(width).saturating_sub(CUT_MARK).max(CUT_MARK));
        let mut screen = Screen::with_limit(false, limit);
        let mut shown = Vec::new();
        for line in card.lines {
            screen.push(line.as_bytes(), &mut shown);
            screen.push(b"\n", &mut shown);
        }
        screen.finish(&mut shown);
        for line in String::from_utf8_lossy(&shown).lines() {
            writeln!(out, "{} {line}", "│".dimmed())?;
        }
    }
    Ok(hidden)
}

/// The colour of a state. The word says the same.
fn style(state: TaskState) -> Style {
    match state {
        TaskState::Running => Style::new().green(),
        TaskState::Waiting | TaskState::Scheduled | TaskState::Stopping => Style::new().yellow(),
        TaskState::Orphaned | TaskState::Unsupervised | TaskState::Failed => Style::new().red(),
        TaskState::Finished | TaskState::Stopped => Style::new(),
    }
}
