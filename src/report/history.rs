//! history: the runs of a task as a table.

use std::io::{self, Write};

use jiff::Timestamp;
use owo_colors::Style;

use crate::executor::{Attempt, Output};
use crate::store::runs::RunRow;

use super::table::{Column, Table};
use super::words::{exit, lasting, recent};

/// Writes runs, in the order given; `first` is the number of the first of them, the others count down.
pub fn table(
    runs: &[Attempt],
    first: usize,
    now: Timestamp,
    width: Option<u16>,
    out: &mut dyn Write,
) -> io::Result<Vec<&'static str>> {
    let mut table = Table::new(&[
        Column::number("RUN", 0),
        Column::text("STARTED", 0),
        Column::text("LASTED", 0),
        Column::text("EXIT", 0),
        Column::text("REASON", 0),
        Column::number("PID", 2),
        Column::text("CPU", 4),
        Column::text("MEMORY", 3),
        Column::text("BY", 2),
        Column::text("OUTPUT", 5),
    ]);
    for (at, Attempt { run, output }) in runs.iter().enumerate() {
        let plain = |text: Option<String>| (text.unwrap_or_default(), Style::new());
        table.row(vec![
            plain(Some(first.saturating_sub(at).to_string())),
            plain(Some(recent(run.started.unwrap_or(run.claimed), now))),
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
    }
    table.without_empty().write(width, out)
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
