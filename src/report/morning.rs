//! report: what happened since a moment, on one page. First a sentence that says whether it went well; then only what
//! there is to say, most urgent first.

mod page;
mod sections;
#[cfg(test)]
mod tests;
mod verdict;

use std::io::{self, Write};

use jiff::Timestamp;
use owo_colors::OwoColorize;

use crate::executor::Night;
use crate::home::zones;

use super::words::lasting;
use page::Sheet;
pub use verdict::verdict;

/// Times within so many hours need no date.
const SAME_DAY_HOURS: i64 = 24;

/// Writes the page; returns the heads of columns that had no room.
pub fn page(night: &Night, width: Option<u16>, out: &mut dyn Write) -> io::Result<Vec<&'static str>> {
    let mut sheet = Sheet::new(width, out);
    let verdict = verdict(night);
    let style = if night.is_good() { owo_colors::Style::new().green() } else { owo_colors::Style::new().red() };
    for line in sheet.wrapped(&format!("{verdict}."), 0) {
        writeln!(sheet.out, "{}", line.style(style).bold())?;
    }
    let minute = |time: Timestamp| time.to_zoned(zones::system()).strftime("%Y-%m-%d %H:%M").to_string();
    let between = std::time::Duration::try_from(night.now.duration_since(night.since)).unwrap_or_default();
    let executor = night.exec_id.as_ref().map(|id| format!(", executor {id}")).unwrap_or_default();
    let head = format!("{} to {} ({}){executor}", minute(night.since), minute(night.now), lasting(between));
    for line in sheet.wrapped(&head, 0) {
        writeln!(sheet.out, "{}", line.dimmed())?;
    }
    sections::wrong(night, &mut sheet)?;
    if night.disk.as_ref().is_some_and(crate::executor::Disk::is_low) {
        sections::disk(night, &mut sheet)?;
    }
    sections::failed(night, &mut sheet)?;
    sections::queued(night, &mut sheet)?;
    sections::recovered(night, &mut sheet)?;
    sections::slow(night, &mut sheet)?;
    sections::never(night, &mut sheet)?;
    sections::missed(night, &mut sheet)?;
    let hidden = sections::ran(night, &mut sheet)?;
    sections::supervisor(night, &mut sheet)?;
    if !night.disk.as_ref().is_some_and(crate::executor::Disk::is_low) {
        sections::disk(night, &mut sheet)?;
    }
    Ok(hidden)
}

/// A moment in local time to the minute, without the date where that can be no other.
fn clock(time: Timestamp, now: Timestamp) -> String {
    let near = now.duration_since(time).as_hours().abs() < SAME_DAY_HOURS;
    let format = if near { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    time.to_zoned(zones::system()).strftime(format).to_string()
}

/// As [`clock`], in a sentence: `at 02:13`, `on 2026-11-18 02:13`.
fn at(time: Timestamp, now: Timestamp) -> String {
    let text = clock(time, now);
    if text.contains('-') { format!("on {text}") } else { format!("at {text}") }
}

/// `1 run`, `2 runs`.
fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// `once`, `7 times`.
fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}
