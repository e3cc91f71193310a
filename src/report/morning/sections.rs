//! The sections of the report. Each is silent where it has nothing to say.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use owo_colors::Style;

use crate::domain::amount::print_size;
use crate::executor::{Disk, How, Message, Night, Recovery, Slow, Supervision, Trouble, Wrong};
use crate::report::table::{Column, Table};
use crate::report::words::lasting;

use super::page::{ROWS, Sheet};
use super::{at, clock, count, times};

/// How many lines of output are shown of a task that failed; one where many did.
const LINES: usize = 3;
const FEW: usize = 5;

/// How many tasks with much output are named.
const LARGEST: usize = 3;

/// How many rows the table of what ran has.
const RAN: usize = 2 * ROWS;

pub(super) fn wrong(night: &Night, sheet: &mut Sheet<'_>) -> io::Result<()> {
    if night.wrong.is_empty() && night.messages.is_empty() {
        return Ok(());
    }
    sheet.headline("Wrong now")?;
    let row = |wrong: &Wrong| vec![wrong.task.to_string(), wrong.what.as_str().to_owned(), trouble(wrong, night.now)];
    let rows: Vec<_> = night.wrong.iter().map(|wrong| (row(wrong), [].as_slice())).collect();
    sheet.rows(&rows)?;
    let rows: Vec<_> = night.messages.iter().map(|one| (vec![message(one, night.now)], [].as_slice())).collect();
    sheet.rows(&rows)
}

/// What is wrong with a task, after its name and the word for it.
fn trouble(wrong: &Wrong, now: Timestamp) -> String {
    let reason = wrong.reason.as_deref().unwrap_or("nobody knows why");
    let since = wrong.since.map_or_else(|| "?".to_owned(), |since| clock(since, now));
    let next = wrong.next.map(|next| format!("; next try {}", at(next, now))).unwrap_or_default();
    match wrong.what {
        Trouble::CrashLooping => {
            let failed = if wrong.failures > 0 { format!(", failed {}", times(wrong.failures)) } else { String::new() };
            format!("since {since}{failed}; last: {reason}{next}")
        }
        Trouble::GivenUp => format!("since {since} after repeated failures: {reason}"),
        Trouble::Failed => format!("since {since}: {reason}"),
        Trouble::Unsupervised if wrong.since.is_none() => "wanted, and no supervisor is running to start it".to_owned(),
        Trouble::Unsupervised => format!("since {since}: {reason}, and no supervisor is running to start it again"),
        Trouble::Stalled => format!("since {since}: it runs and shows no sign of life"),
        Trouble::Orphaned => format!("runs since {since}, but its worker was killed: its exit will not be known"),
        Trouble::Waiting => format!("since {since}: {reason}{next}"),
    }
}

fn message(message: &Message, now: Timestamp) -> String {
    let notice = &message.notice;
    let what = if notice.given_up { "was given up" } else { "is not delivered" };
    let why = message.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let tried = count(notice.attempts.into(), "attempt");
    format!(
        "message of {} about {} ({}) {what} after {tried}{why}",
        clock(notice.made, now),
        notice.task,
        notice.occasion
    )
}

pub(super) fn failed(night: &Night, sheet: &mut Sheet<'_>) -> io::Result<()> {
    if night.failed.is_empty() {
        return Ok(());
    }
    sheet.headline("Failed, in this order")?;
    let lines = if night.failed.len() > FEW { 1 } else { LINES };
    let mut rows = Vec::new();
    for failure in &night.failed {
        let reason = failure.reason.as_deref().unwrap_or(&failure.outcome);
        let more = match failure.failures {
            0 | 1 => String::new(),
            failures => format!("; failed {} until {}", times(failures), clock(failure.last, night.now)),
        };
        let cells = vec![clock(failure.first, night.now), failure.task.to_string(), format!("{reason}{more}")];
        let from = failure.output.len().saturating_sub(lines);
        rows.push((cells, failure.output.get(from..).unwrap_or_default()));
    }
    sheet.rows(&rows)
}

pub(super) fn recovered(night: &Night, sheet: &mut Sheet<'_>) -> io::Result<()> {
    if night.recovered.is_empty() {
        return Ok(());
    }
    sheet.headline("Recovered")?;
    let row = |one: &Recovery| vec![one.task.to_string(), recovery(one, night.now)];
    let rows: Vec<_> = night.recovered.iter().map(|one| (row(one), [].as_slice())).collect();
    sheet.rows(&rows)
}

fn recovery(one: &Recovery, now: Timestamp) -> String {
    let failed = one.last_failure.map(|last| match one.failures {
        1 => format!("failed {}", at(last, now)),
        failures => format!("failed {} until {}", times(failures), clock(last, now)),
    });
    let crash_loop = one.crash_loop.map(|over| {
        let until = clock(over.ended, now);
        over.began.map_or_else(
            || format!("crash-looped until {until}"),
            |began| format!("crash-looped from {} to {until}", clock(began, now)),
        )
    });
    let well = match one.how {
        How::Succeeded => Some(format!("succeeded {}", at(one.at, now))),
        How::Running => {
            let lasted = Duration::try_from(now.duration_since(one.at)).unwrap_or_default();
            Some(format!("has been running since {} ({})", clock(one.at, now), lasting(lasted)))
        }
        How::LoopEnded => None,
    };
    [failed, crash_loop, well].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn slow(night: &Night, sheet: &mut Sheet<'_>) -> io::Result<()> {
    if night.slow.is_empty() {
        return Ok(());
    }
    sheet.headline("Slower than usual")?;
    let row = |slow: &Slow| {
        let (lasted, usual) = (lasting(slow.lasted), lasting(slow.usual));
        let more = if slow.count > 1 { format!(", as one of {} slow runs", slow.count) } else { String::new() };
        let failed = slow.outcome.as_deref().is_some_and(|outcome| outcome != "success");
        let how = if failed { " and failed" } else { "" };
        let text = match slow.ended {
            Some(ended) => format!("took {lasted} instead of {usual}{how}, ended {}{more}", at(ended, night.now)),
            None => format!("has been running for {lasted} instead of {usual}"),
        };
        vec![slow.task.to_string(), text]
    };
    let rows: Vec<_> = night.slow.iter().map(|slow| (row(slow), [].as_slice())).collect();
    sheet.rows(&rows)
}

pub(super) fn never(night: &Night, sheet: &mut Sheet<'_>) -> io::Result<()> {
    if night.never.is_empty() {
        return Ok(());
    }
    sheet.headline("Never ran")?;
    let mut rows = Vec::new();
    for one in &night.never {
        let what = match (&one.schedule, one.wanted) {
            (Some(schedule), true) => format!("scheduled ({schedule})"),
            (Some(schedule), false) => {
                format!("scheduled ({schedule}), but not armed: `jobexec start {}` arms it", one.task)
            }
            (None, _) => "wanted".to_owned(),
        };
        let last = one
            .last_end
            .map_or_else(|| "it has never run".to_owned(), |last| format!("it ran last {}", at(last, night.now)));
        rows.push((vec![one.task.to_string(), format!("{what}; {last}")], [].as_slice()));
    }
    sheet.rows(&rows)
}

/// The table of what ran; the heads of columns that had no room.
pub(super) fn ran(night: &Night, sheet: &mut Sheet<'_>) -> io::Result<Vec<&'static str>> {
    if night.ran.is_empty() {
        return Ok(Vec::new());
    }
    sheet.headline("Ran")?;
    let mut table = Table::new(&[
        Column::text("TASK", 0),
        Column::number("RUNS", 0),
        Column::number("FAILED", 0),
        Column::number("RESTARTS", 3),
        Column::text("TOTAL", 1),
        Column::text("LONGEST", 2),
        Column::text("MEMORY", 4),
        Column::text("LAST END", 0),
    ]);
    for ran in night.ran.iter().take(RAN) {
        let plain = |text: String| (text, Style::new());
        let some = |number: u64| if number == 0 { String::new() } else { number.to_string() };
        let last = ran.last_end.map(|last| clock(last, night.now)).unwrap_or_default();
        table.row(vec![
            plain(ran.task.to_string()),
            plain(ran.runs.to_string()),
            (some(ran.failures), Style::new().red()),
            plain(some(ran.restarts)),
            plain(lasting(ran.total)),
            plain(ran.longest.map(lasting).unwrap_or_default()),
            plain(ran.memory.map(print_size).unwrap_or_default()),
            if ran.running { ("running".to_owned(), Style::new().green()) } else { plain(last) },
        ]);
    }
    let mut drawn = Vec::new();
    let hidden = table.without_empty().write(sheet.inside(), &mut drawn)?;
    sheet.indented(&drawn)?;
    if night.ran.len() > RAN {
        sheet.indented(format!("… and {} more: `jobexec report --json` has all", night.ran.len() - RAN).as_bytes())?;
    }
    Ok(hidden)
}

pub(super) fn missed(night: &Night, sheet: &mut Sheet<'_>) -> io::Result<()> {
    if night.missed.is_empty() {
        return Ok(());
    }
    sheet.headline("Missed")?;
    let mut rows = Vec::new();
    for one in &night.missed {
        let reason = one.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let more = if one.more { "more than " } else { "" };
        let what = format!("{more}{}, last {}{reason}", times(one.number), at(one.last, night.now));
        rows.push((vec![one.task.to_string(), what], [].as_slice()));
    }
    sheet.rows(&rows)
}

/// Queued jobs, if any of them failed or cannot run.
pub(super) fn queued(night: &Night, sheet: &mut Sheet<'_>) -> io::Result<()> {
    let found = &night.queued;
    if found.failed == 0 && found.blocked == 0 {
        return Ok(());
    }
    let mut lines = Vec::new();
    if let Some((job, ended, reason)) = &found.first {
        let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let first = if found.failed == 1 { "job" } else { "first job" };
        let of = found.failed + found.finished;
        lines.push(format!("{} of {of} failed, {first} {job} {}{reason}", found.failed, at(*ended, night.now)));
    }
    if found.blocked > 0 {
        let verb = if found.blocked == 1 { "is" } else { "are" };
        lines.push(format!("{} {verb} blocked: see `jobexec jobs 'state = BLOCKED'`", found.blocked));
    }
    sheet.headline("Queued jobs")?;
    let rows: Vec<_> = lines.into_iter().map(|line| (vec![line], [].as_slice())).collect();
    sheet.rows(&rows)
}

pub(super) fn supervisor(night: &Night, sheet: &mut Sheet<'_>) -> io::Result<()> {
    let found = &night.supervision;
    let lines = supervision(found, night.now);
    let missed = night.wrong.iter().any(|wrong| wrong.what == Trouble::Unsupervised);
    if found.since.is_none() && !missed {
        return Ok(());
    }
    sheet.headline("Supervisor")?;
    let rows: Vec<_> = lines.into_iter().map(|line| (vec![line], [].as_slice())).collect();
    sheet.rows(&rows)
}

fn supervision(found: &Supervision, now: Timestamp) -> Vec<String> {
    let pid = found.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    let mut lines = vec![match (found.running, found.since) {
        (true, Some(since)) => {
            let starts = if found.starts > 1 { format!(", started {}", times(found.starts)) } else { String::new() };
            format!("running since {}{pid}{starts}", clock(since, now))
        }
        (true, None) => "running".to_owned(),
        (false, Some(since)) => {
            format!("none is running; the last came {}{pid}: `jobexec keep-restarting` starts one", at(since, now))
        }
        (false, None) => "none is running: `jobexec keep-restarting` starts one".to_owned(),
    }];
    for (from, until) in &found.absent {
        lines.push(match until {
            Some(until) => {
                let lasted = Duration::try_from(until.duration_since(*from)).unwrap_or_default();
                format!("nobody was there from {} to {} ({})", clock(*from, now), clock(*until, now), lasting(lasted))
            }
            None => format!("nobody has been there since {}", clock(*from, now)),
        });
    }
    for seen in &found.vanished {
        lines.push(match seen {
            Some(seen) => format!("the one before that of {} had gone without a word", clock(*seen, now)),
            None => "it has gone without a word: it was killed, or the machine went down".to_owned(),
        });
    }
    lines
}

pub(super) fn disk(night: &Night, sheet: &mut Sheet<'_>) -> io::Result<()> {
    let Some(disk) = &night.disk else { return Ok(()) };
    sheet.headline("Disk")?;
    let rows: Vec<_> = disk_lines(disk, night).into_iter().map(|line| (vec![line], [].as_slice())).collect();
    sheet.rows(&rows)
}

fn disk_lines(disk: &Disk, night: &Night) -> Vec<String> {
    let used = &disk.used;
    let (outputs, database, records) = (print_size(used.outputs), print_size(used.database), print_size(used.records));
    let least = if used.complete { "" } else { "more than " };
    let files = count(used.output_files, "file");
    let mut lines = vec![format!(
        "{least}{} in {}: output {outputs} in {files}, database {database}, records {records}",
        print_size(used.bytes),
        disk.folder.display()
    )];
    let largest = disk.tasks.iter().take(LARGEST).filter(|task| task.bytes > 0);
    let largest: Vec<String> = largest.map(|task| format!("{} {}", task.task, print_size(task.bytes))).collect();
    let begun = (used.new_outputs > 0).then(|| {
        let since = clock(night.since, night.now);
        format!("{} of output in files begun since {since}", print_size(used.new_outputs))
    });
    let most = (!largest.is_empty()).then(|| format!("most output: {}", largest.join(", ")));
    let both: Vec<String> = most.into_iter().chain(begun).collect();
    if !both.is_empty() {
        lines.push(both.join("; "));
    }
    if let Some((free, size)) = used.free {
        let full = if disk.is_low() { ": it is nearly full" } else { "" };
        lines.push(format!("{} of {} free{full}", print_size(free), print_size(size)));
    }
    lines
}
