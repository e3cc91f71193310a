//! next: coming occurrences as a table, and what a schedule means in a few lines.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use owo_colors::Style;

use crate::executor::{Meaning, Planned, Upcoming};

use super::table::{Column, Table};
use super::words::{in_words, lasting};

/// A moment on the clocks of its schedule: `Mon 2026-11-23 12:50:00 EST`.
pub fn there(next: &Upcoming) -> String {
    next.time.to_zoned(next.zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string()
}

/// The same on this machine's clocks, where they show something else.
fn here(next: &Upcoming) -> Option<String> {
    let zone = TimeZone::system();
    let local = next.time.to_zoned(zone.clone());
    let differs = local.datetime() != next.time.to_zoned(next.zone.clone()).datetime();
    differs.then(|| local.strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string())
}

fn distance(time: Timestamp, now: Timestamp) -> String {
    match std::time::Duration::try_from(time.duration_since(now)) {
        Ok(left) => format!("in {}", in_words(left)),
        Err(_) => {
            format!("{} ago", in_words(std::time::Duration::try_from(now.duration_since(time)).unwrap_or_default()))
        }
    }
}

/// Writes coming occurrences.
pub fn table(
    coming: &[Upcoming],
    now: Timestamp,
    width: Option<u16>,
    out: &mut dyn Write,
) -> io::Result<Vec<&'static str>> {
    let mut table = Table::new(&[
        Column::text("NAME", 0),
        Column::text("WHEN", 0),
        Column::text("LOCAL", 2),
        Column::text("IN", 0),
        Column::text("NOTE", 1),
    ]);
    for next in coming {
        let plain = |text: Option<String>| (text.unwrap_or_default(), Style::new());
        table.row(vec![
            plain(Some(next.name.to_string())),
            plain(Some(there(next))),
            plain(here(next)),
            plain(Some(distance(next.time, now))),
            plain(next.note.clone()),
        ]);
    }
    table.without_empty().write(width, out)
}

/// Writes planned starts.
pub fn plan(planned: &[Planned], width: Option<u16>, out: &mut dyn Write) -> io::Result<Vec<&'static str>> {
    let mut table = Table::new(&[
        Column::text("NAME", 0),
        Column::text("WHEN", 0),
        Column::text("LOCAL", 3),
        Column::text("USUALLY", 1),
        Column::text("STILL RUNNING", 0),
        Column::text("NOTE", 2),
    ]);
    for Planned { start, usual, beside } in planned {
        let plain = |text: Option<String>| (text.unwrap_or_default(), Style::new());
        let names: Vec<String> = beside.iter().map(ToString::to_string).collect();
        table.row(vec![
            plain(Some(start.name.to_string())),
            plain(Some(there(start))),
            plain(here(start)),
            plain(usual.map(lasting)),
            (names.join(", "), Style::new().yellow()),
            plain(start.note.clone()),
        ]);
    }
    table.without_empty().write(width, out)
}

/// What a schedule means and when it fires next, in lines for a person.
pub fn meaning(meaning: &Meaning, now: Timestamp) -> Vec<String> {
    let mut lines = vec![format!("  fires: {}", meaning.text)];
    let times: Vec<String> = meaning
        .next
        .iter()
        .enumerate()
        .map(|(at, next)| {
            let local = here(next).map(|local| format!(" = {local}")).unwrap_or_default();
            let far = if at == 0 { format!(" ({})", distance(next.time, now)) } else { String::new() };
            let note = next.note.as_ref().map(|note| format!(", {note}")).unwrap_or_default();
            format!("{}{local}{far}{note}", there(next))
        })
        .collect();
    match times.as_slice() {
        [] if !meaning.is_event => lines.push("  next: never again".to_owned()),
        [] => {}
        times => lines.extend(
            times.iter().enumerate().map(
                |(at, time)| {
                    if at == 0 { format!("  next:  {time}") } else { format!("         {time}") }
                },
            ),
        ),
    }
    lines.extend(meaning.notes.iter().map(|note| format!("note: {note}")));
    lines
}
