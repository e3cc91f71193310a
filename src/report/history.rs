//! history: the runs of a task, and what its schedule came to besides, as a table.

use std::io::{self, Write};

use jiff::Timestamp;
use owo_colors::Style;

use crate::executor::{Attempt, Output, Past};
use crate::store::occurrences::{Decided, OccurrenceRow};
use crate::store::runs::{Kind, RunRow};

use super::table::{Column, Table};
use super::words::{exit, lasting, recent};

/// Writes what was, in the order given; `first` is the number of the first run among it, the others count down.
pub fn table(
    past: &[Past],
    first: usize,
    now: Timestamp,
    width: Option<u16>,
    out: &mut dyn Write,
) -> io::Result<Vec<&'static str>> {
    let mut table = Table::new(&[
        Column::number("RUN", 0),
        Column::text("KIND", 1),
        Column::text("SCHEDULED", 1),
        Column::text("STARTED", 0),
        Column::text("LATE", 3),
        Column::text("LASTED", 0),
        Column::text("EXIT", 0),
        Column::sentence("REASON", 0),
        Column::number("PID", 2),
        Column::text("CPU", 4),
        Column::text("MEMORY", 3),
        Column::text("BY", 2),
        Column::text("OUTPUT", 5),
    ]);
    let plain = |text: Option<String>| (text.unwrap_or_default(), Style::new());
    let mut number = first;
    for one in past {
        let Attempt { run, output } = match one {
            Past::Run(attempt) => attempt.as_ref(),
            Past::Occurrence(occurrence) => {
                let mut cells = vec![plain(None), plain(None), plain(Some(recent(occurrence.due, now)))];
                cells.extend((0..4).map(|_| plain(None)));
                cells.push((not_run(occurrence), Style::new().yellow()));
                cells.extend((0..5).map(|_| plain(None)));
                table.row(cells);
                continue;
            }
        };
        let started = run.started.unwrap_or(run.claimed);
        table.row(vec![
            plain(Some(number.to_string())),
            // What is not said is the usual: the task itself.
            plain(Some(run.kind.clone()).filter(|kind| kind != Kind::Main.as_str())),
            plain(run.scheduled.map(|due| recent(due, now))),
            plain(Some(recent(started, now))),
            plain(late(run).map(lasting)),
            plain(lasted(run, now)),
            (run.exit.map(exit).unwrap_or_default(), style(run)),
            (reason(run), style(run)),
            plain(run.pid.map(|pid| pid.to_string())),
            plain(run.cpu.map(|micros| lasting(std::time::Duration::from_micros(micros)))),
            plain(run.memory.filter(|bytes| *bytes > 0).map(crate::domain::amount::print_size)),
            plain(Some(run.asked_by.clone())),
            plain(match output {
                Output::File(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
                Output::Removed => Some("removed".to_owned()),
                Output::None => None,
            }),
        ]);
        number = number.saturating_sub(1);
    }
    table.without_empty().write(width, out)
}

/// By how much a run began after its occurrence.
pub fn late(run: &RunRow) -> Option<std::time::Duration> {
    let began = run.started.unwrap_or(run.claimed);
    // A retry is not late: it is another attempt. Nor is what is run besides: that comes in its turn.
    let due = run.scheduled.filter(|_| run.attempt == 1 && run.kind == Kind::Main.as_str())?;
    std::time::Duration::try_from(began.duration_since(due)).ok()
}

/// Why an occurrence has no run.
fn not_run(occurrence: &OccurrenceRow) -> String {
    let what = match occurrence.decided {
        Decided::Missed => "missed",
        Decided::Skipped => "skipped",
        Decided::Waiting | Decided::CatchingUp | Decided::Run => "waiting",
    };
    let count = occurrence.count.as_ref().map(|count| format!(" {count} up to here")).unwrap_or_default();
    match &occurrence.reason {
        Some(reason) => format!("{what}{count}: {reason}"),
        None => format!("{what}{count}"),
    }
}

fn lasted(run: &RunRow, now: Timestamp) -> Option<String> {
    let micros = match (run.outcome.is_some(), run.started) {
        (true, _) => run.lasted?,
        (false, Some(started)) => u64::try_from(now.duration_since(started).as_micros()).unwrap_or(0),
        (false, None) => return None,
    };
    Some(lasting(std::time::Duration::from_micros(micros)))
}

fn reason(run: &RunRow) -> String {
    match (&run.outcome, &run.reason) {
        (Some(_), Some(reason)) => reason.clone(),
        (Some(outcome), None) => outcome.clone(),
        (None, _) if run.stop_asked.is_some() => "stopping".to_owned(),
        (None, _) => "running".to_owned(),
    }
}

fn style(run: &RunRow) -> Style {
    match run.outcome.as_deref() {
        None | Some("success") => Style::new().green(),
        Some("stopped" | "never_started") => Style::new(),
        Some(_) => Style::new().red(),
    }
}
