//! jobs: a table of them, their counts, and one of them in full.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use owo_colors::Style;

use crate::domain::amount::print_size;
use crate::domain::edge::Edge;
use crate::domain::lifecycle::{Phase, State};
use crate::executor::{Job, JobFile};
use crate::store::events::Event;
use crate::store::queue::EdgeRow;
use crate::store::runs::RunRow;

use super::screen::visible;
use super::table::{Column, Table};
use super::transfers;
use super::words::{lasting, moment, recent, until};

/// A job as it is shown.
#[derive(Debug)]
pub struct Shown {
    /// The job.
    pub job: Job,
    /// What it runs, in one line.
    pub what: String,
    /// How long its runs took, where it has had any: without the waits between them.
    pub ran: Option<Duration>,
}

/// Writes jobs as a table; the columns that had no room.
pub fn table(jobs: &[Shown], now: Timestamp, width: Option<u16>, out: &mut dyn Write) -> io::Result<Vec<&'static str>> {
    let mut table = Table::new(&[
        Column::number("ID", 0),
        Column::whole("STATE", 0),
        Column::text("WHAT", 0),
        Column::text("PARAMS", 1),
        Column::text("TAGS", 3),
        Column::text("RUN", 4),
        Column::number("PRIO", 4),
        Column::number("TRY", 3),
        Column::whole("LASTED", 2),
        Column::whole("CREATED", 3),
        Column::sentence("REASON", 0),
    ]);
    for Shown { job, what, ran } in jobs {
        let plain = |text: Option<String>| (text.unwrap_or_default(), Style::new());
        let (row, given) = (&job.row, &job.given);
        table.row(vec![
            plain(Some(row.id.to_string())),
            (row.state.to_string(), style(row.state)),
            plain(Some(given.task.as_ref().unwrap_or(what).clone())),
            plain(given.params.as_deref().map(pairs)),
            plain(given.tags.as_deref().map(pairs)),
            plain(given.run_name.clone()),
            plain((given.priority != 0).then(|| given.priority.to_string())),
            plain((row.attempt > 1).then(|| row.attempt.to_string())),
            plain(ran.map(lasting)),
            plain(Some(recent(row.created, now))),
            (reason_or_held(job, now), style(row.state)),
        ]);
    }
    table.without_empty().write(width, out)
}

/// Writes how many jobs are in each state, those of each run of a study apart.
pub fn by_state(counts: &[(State, Option<String>, u64)], width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&[Column::text("RUN", 0), Column::text("STATE", 0), Column::number("COUNT", 0)]);
    for (state, run_name, count) in counts {
        table.row(vec![
            (run_name.clone().unwrap_or_default(), Style::new()),
            (state.to_string(), style(*state)),
            (count.to_string(), Style::new()),
        ]);
    }
    table.without_empty().write(width, out).map(drop)
}

/// Writes everything about one job.
pub fn card(
    Shown { job, what, ran }: &Shown,
    children: &[i64],
    runs: &[RunRow],
    now: Timestamp,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (row, given) = (&job.row, &job.given);
    writeln!(out, "job {} · {}", row.id, state(job))?;
    let mut line = |name: &str, text: Option<String>| match text.filter(|text| !text.is_empty()) {
        Some(text) => writeln!(out, "{name:>12}  {}", visible(&text)),
        None => Ok(()),
    };
    line("task", given.task.clone())?;
    line("what", Some(what.clone()))?;
    line("reason", Some(reason(job, now)))?;
    line("params", given.params.as_deref().map(pairs))?;
    line("tags", given.tags.as_deref().map(pairs))?;
    line("data", given.data.clone())?;
    line("after", listed(&job.parents.iter().map(parent).collect::<Vec<_>>()))?;
    line("children", listed(&children.iter().map(ToString::to_string).collect::<Vec<_>>()))?;
    line("run name", given.run_name.clone())?;
    line("workdir", given.workdir.clone())?;
    line("priority", (given.priority != 0).then(|| given.priority.to_string()))?;
    line("made by", Some(format!("{}, {}", given.made_by, moment(row.created))))?;
    line("started", given.started.map(moment))?;
    line("ended", row.ended.map(moment))?;
    line("ran for", ran.map(lasting))?;
    for item in &job.items {
        line(
            &format!("{} {}", item.direction.as_str(), item.name),
            Some(transfers::one(item, now, row.ended.is_some())),
        )?;
    }
    for run in runs {
        let how = match (&run.outcome, &run.reason) {
            (Some(_), Some(reason)) => reason.clone(),
            (_, _) => format!("running{}", run.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default()),
        };
        let began = run.started.unwrap_or(run.claimed);
        line(&format!("{} {}", run.kind, run.attempt), Some(format!("{}, {how}", moment(began))))?;
    }
    Ok(())
}

/// Writes what a job would be that is not made: what it runs, and where, and all that was given to it.
pub fn foreseen(
    Shown { job, what, .. }: &Shown,
    directory: &Path,
    now: Timestamp,
    out: &mut dyn Write,
) -> io::Result<()> {
    let given = &job.given;
    writeln!(out, "{}", visible(what))?;
    let mut line = |name: &str, text: Option<String>| match text.filter(|text| !text.is_empty()) {
        Some(text) => writeln!(out, "{name:>12}  {}", visible(&text)),
        None => Ok(()),
    };
    line("task", given.task.clone())?;
    line("directory", Some(directory.display().to_string()))?;
    line("state", Some(state(job)))?;
    line("reason", Some(reason(job, now)))?;
    line("params", given.params.as_deref().map(pairs))?;
    line("tags", given.tags.as_deref().map(pairs))?;
    line("data", given.data.clone())?;
    line("after", listed(&job.parents.iter().map(parent).collect::<Vec<_>>()))?;
    line("run name", given.run_name.clone())?;
    line("priority", (given.priority != 0).then(|| given.priority.to_string()))?;
    for item in &job.items {
        line(&format!("{} {}", item.direction.as_str(), item.name), Some(transfers::one(item, now, false)))?;
    }
    Ok(())
}

/// A parent, and what is waited for where that is not its success.
fn parent(edge: &EdgeRow) -> String {
    match edge.kind {
        Edge::Success => edge.job.to_string(),
        Edge::End | Edge::Failure => format!("{}:{}", edge.job, edge.kind),
    }
}

fn listed(ids: &[String]) -> Option<String> {
    (!ids.is_empty()).then(|| ids.join(", "))
}

/// Writes a table of a job's files; the columns that had no room.
pub fn files(
    files: &[JobFile],
    now: Timestamp,
    width: Option<u16>,
    out: &mut dyn Write,
) -> io::Result<Vec<&'static str>> {
    let mut table = Table::new(&[
        Column::text("PATH", 0),
        Column::number("SIZE", 0),
        Column::text("CHANGED", 1),
        Column::text("OUTPUT OF", 2),
    ]);
    for file in files {
        let run = file.output_of.as_ref().map(|(_, kind, attempt)| format!("{kind} {attempt}"));
        let cells = [
            file.path.display().to_string(),
            print_size(file.size),
            recent(file.modified, now),
            run.unwrap_or_default(),
        ];
        table.row(cells.into_iter().map(|text| (text, Style::new())).collect());
    }
    table.without_empty().write(width, out)
}

/// The state, and that somebody holds it.
fn state(job: &Job) -> String {
    if job.row.held { format!("{} (held)", job.row.state) } else { job.row.state.to_string() }
}

pub(super) fn style(state: State) -> Style {
    match state.phase() {
        Phase::Finished | Phase::Running => Style::new().green(),
        Phase::Failed | Phase::Failing => Style::new().red(),
        Phase::Blocked | Phase::Cancelled | Phase::Wiping => Style::new().yellow(),
        Phase::Ahead => Style::new(),
    }
}

/// The reason, and that somebody holds it.
fn reason_or_held(job: &Job, now: Timestamp) -> String {
    match (job.row.held, reason(job, now)) {
        (false, reason) => reason,
        (true, reason) if reason.is_empty() => "held".to_owned(),
        (true, reason) => format!("held: {reason}"),
    }
}

/// How its last run ended, or what it waits for.
fn reason(job: &Job, now: Timestamp) -> String {
    let row = &job.row;
    if let Some(moment) = row.not_before.filter(|moment| *moment > now && !row.state.is_end()) {
        let left = until(moment, now);
        return match &row.reason {
            Some(reason) if row.attempt > 0 => format!("again in {left}: {reason}"),
            Some(_) | None => format!("in {left}, not before {}", recent(moment, now)),
        };
    }
    if let Some(how_far) = transfers::how_far(row.state, &job.items) {
        return how_far;
    }
    let waits = row.state == State::AwaitingParents && row.unmet > 0;
    match (&row.reason, waits) {
        (_, true) if row.unmet == 1 => "waits for 1 job".to_owned(),
        (_, true) => format!("waits for {} jobs", row.unmet),
        (Some(reason), false) => reason.clone(),
        (None, false) => String::new(),
    }
}

/// An object as `a=1 b=two`.
fn pairs(json: &str) -> String {
    let Ok(map) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json) else {
        return json.to_owned();
    };
    let pair = |(key, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::String(text) => format!("{key}={text}"),
        other @ (serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_)) => format!("{key}={other}"),
    };
    map.iter().map(pair).collect::<Vec<_>>().join(" ")
}

/// Writes what happened to a job, oldest first. That it was created its own row tells.
pub fn events(job: &Job, events: &[Event], out: &mut dyn Write) -> io::Result<()> {
    let first = events.iter().find_map(|event| event.from).unwrap_or(job.row.state);
    let made = format!("made by {}", job.given.made_by);
    writeln!(out, "[ {} ] {first} · {made}", moment(job.row.created))?;
    for event in events {
        let text = |key: &str| event.data.get(key).and_then(serde_json::Value::as_str);
        let states = match (event.from, event.to) {
            (Some(from), Some(to)) => format!("{from} → {to}"),
            (_, _) => String::from("·"),
        };
        let hook = text("hook").map(|hook| format!(" {hook}")).unwrap_or_default();
        let why = text("reason").or_else(|| text("by")).map(|why| format!(": {}", visible(why))).unwrap_or_default();
        writeln!(out, "[ {} ] {states} · {}{hook}{why}", moment(event.time), event.cause)?;
    }
    Ok(())
}
