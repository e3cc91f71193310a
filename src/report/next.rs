//! next: coming occurrences as a table, and what a schedule means in a few lines.

use std::io::{self, Write};

use jiff::{Timestamp, Zoned};
use owo_colors::Style;

use crate::executor::{LeftOut, Meaning, Planned, Upcoming};
use crate::home::zones;

use super::table::{Column, Table};
use super::words::{distance, lasting, on_clocks};

/// The same moment on this machine's clocks, where they show something else.
fn here(next: &Upcoming) -> Option<Zoned> {
    let local = next.time().to_zoned(zones::system());
    (local.datetime() != next.there().datetime()).then_some(local)
}

fn has_seconds(next: &Upcoming) -> bool {
    next.there().second() != 0
}

fn plain(text: Option<String>) -> (String, Style) {
    (text.unwrap_or_default(), Style::new())
}

/// The name, the time on the schedule's clocks, and on this machine's where that is another.
fn cells(next: &Upcoming, seconds: bool) -> [(String, Style); 3] {
    [
        plain(Some(next.name.to_string())),
        plain(Some(on_clocks(&next.there(), seconds))),
        plain(here(next).map(|time| on_clocks(&time, seconds))),
    ]
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
        Column::whole("WHEN", 0),
        Column::whole("LOCAL", 3),
        Column::text("IN", 2),
        Column::text("NOTE", 1),
    ]);
    let seconds = coming.iter().any(has_seconds);
    for next in coming {
        let far = distance(next.time(), now).trim_start_matches("in ").to_owned();
        table.row(cells(next, seconds).into_iter().chain([plain(Some(far)), plain(next.note())]).collect());
    }
    if coming.is_empty() {
        return Ok(Vec::new());
    }
    table.without_empty().write(width, out)
}

/// Writes planned starts.
pub fn plan(planned: &[Planned], width: Option<u16>, out: &mut dyn Write) -> io::Result<Vec<&'static str>> {
    let mut table = Table::new(&[
        Column::text("NAME", 0),
        Column::whole("WHEN", 0),
        Column::whole("LOCAL", 3),
        Column::text("USUALLY", 1),
        Column::text("STILL RUNNING", 0),
        Column::text("NOTE", 2),
    ]);
    let seconds = planned.iter().any(|planned| has_seconds(&planned.start));
    for Planned { start, usual, beside } in planned {
        let names: Vec<&str> =
            beside.iter().map(|name| if *name == start.name { "itself" } else { name.as_str() }).collect();
        let more = [plain(usual.map(lasting)), (names.join(", "), Style::new().yellow()), plain(start.note())];
        table.row(cells(start, seconds).into_iter().chain(more).collect());
    }
    if planned.is_empty() {
        return Ok(Vec::new());
    }
    table.without_empty().write(width, out)
}

/// What is said about starts that are not listed.
pub fn left_out(left: &LeftOut, until: Timestamp) -> String {
    let (after, until) = (super::words::moment(left.after), super::words::moment(until));
    format!("# {} more starts of {} after {after}, until {until}", left.count, left.name)
}

/// What a schedule means and when it fires next, in lines for a person.
pub fn meaning(meaning: &Meaning, now: Timestamp) -> Vec<String> {
    let mut lines = vec![format!("  fires: {}", meaning.text)];
    let seconds = meaning.next.iter().any(has_seconds);
    for (at, next) in meaning.next.iter().enumerate() {
        let head = if at == 0 { "next: " } else { "" };
        let local = here(next).map(|time| {
            let text = on_clocks(&time, seconds);
            let same_day = time.date() == next.there().date();
            format!(" = {}", if same_day { text.splitn(3, ' ').last().unwrap_or_default() } else { &text })
        });
        let local = local.unwrap_or_default();
        let far = if at == 0 { format!(" ({})", distance(next.time(), now)) } else { String::new() };
        let note = next.note().map(|note| format!(", {note}")).unwrap_or_default();
        lines.push(format!("  {head:<6} {}{local}{far}{note}", on_clocks(&next.there(), seconds)));
    }
    match meaning.event {
        Some(event) => lines.push(format!("  next:  {}", event.when())),
        None if meaning.next.is_empty() => lines.push("  next:  never again".to_owned()),
        None => {}
    }
    lines
}
