//! How jobs did, for people and for programs.

use std::io::{self, Write};
use std::time::Duration;

use owo_colors::Style;
use serde_json::{Value, json};

use crate::domain::stats::{Spread, Stats, TaskFigures, Usage};

use super::json::{moment as json_moment, seconds};
use super::table::{Column, Table};
use super::words::{lasting, moment};

/// How many jobs of a chain are named at either end of a long one.
const NAMED: usize = 6;

/// The heights of a small curve.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Writes the figures.
pub fn table(stats: &Stats, width: Option<u16>, out: &mut dyn Write) -> io::Result<Vec<&'static str>> {
    let mut line = |name: &str, text: Option<String>| match text {
        Some(text) => writeln!(out, "{name:>13}  {text}"),
        None => Ok(()),
    };
    let outcome = |(state, code, count): &(_, Option<String>, usize)| match code {
        Some(code) => format!("{count} {state} ({code})"),
        None => format!("{count} {state}"),
    };
    let outcomes = stats.outcomes.iter().map(outcome).collect::<Vec<_>>().join(", ");
    line("jobs", Some(if outcomes.is_empty() { "0".to_owned() } else { format!("{}: {outcomes}", stats.jobs) }))?;
    let lasted = |from, to: jiff::Timestamp| Duration::try_from(to.duration_since(from)).unwrap_or_default();
    line(
        "time",
        stats.span.map(|(from, to)| format!("{} to {}, {}", moment(from), moment(to), lasting(lasted(from, to)))),
    )?;
    line("started", stats.span.map(|_| stats.started.to_string()))?;
    let rate = stats.per_minute.map(|rate| format!(", {} a minute, {} an hour", short(rate), short(rate * 60.0)));
    line("ended", stats.span.map(|_| format!("{}{}", stats.ended, rate.unwrap_or_default())))?;
    line("slots in use", slots(&stats.slots))?;
    line("critical path", path(stats))?;
    if stats.tasks.is_empty() {
        return Ok(Vec::new());
    }
    writeln!(out)?;
    spreads(&stats.tasks).write(width, out)
}

fn short(number: f64) -> String {
    if number >= 100.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

fn slots(usage: &Usage) -> Option<String> {
    (usage.max > 0).then(|| {
        let curve = curve(&usage.curve, usage.max);
        format!("{} on average, {} at most  {curve}", short(usage.mean), usage.max)
    })
}

/// A curve in one line of text; its full height is `most`.
fn curve(values: &[f64], most: usize) -> String {
    let most = u32::try_from(most).map_or(f64::from(u32::MAX), f64::from);
    let height = |value: &f64| {
        let bound = (1_u32..).zip(HEIGHTS).find(|(nth, _)| *value <= most * f64::from(*nth) / 8.0);
        let glyph = bound.map_or('█', |(_, glyph)| glyph);
        if *value > 0.0 { glyph } else { ' ' }
    };
    values.iter().map(height).collect()
}

fn path(stats: &Stats) -> Option<String> {
    let total: Duration = stats.path.iter().map(|(_, lasted)| *lasted).sum();
    let count = stats.path.len();
    let named = |(id, lasted): &(_, Duration)| format!("{id} ({})", lasting(*lasted));
    let mut words: Vec<String> = stats.path.iter().map(named).collect();
    if count > 2 * NAMED + 1 {
        words.splice(NAMED..count - NAMED, [format!("… {} more …", count - 2 * NAMED)]);
    }
    let s = if count == 1 { "" } else { "s" };
    (count > 0).then(|| format!("{count} job{s}, {}: {}", lasting(total), words.join(" → ")))
}

fn spreads(tasks: &[TaskFigures]) -> Table<'static> {
    let mut table = Table::new(&[
        Column::text("TASK", 0),
        Column::number("JOBS", 0),
        Column::number("WAIT p50", 0),
        Column::number("p90", 1),
        Column::number("p99", 2),
        Column::number("MAX", 1),
        Column::number("RUN p50", 0),
        Column::number("p90", 1),
        Column::number("p99", 2),
        Column::number("MAX", 0),
    ]);
    let cells = |spread: Option<Spread>| match spread {
        Some(spread) => [spread.p50, spread.p90, spread.p99, spread.max].map(lasting),
        None => [const { String::new() }; 4],
    };
    for task in tasks {
        let mut row = vec![task.task.clone().unwrap_or_else(|| "(commands)".to_owned()), task.jobs.to_string()];
        row.extend(cells(task.wait));
        row.extend(cells(task.run));
        table.row(row.into_iter().map(|text| (text, Style::new())).collect());
    }
    table.without_empty()
}

/// The figures for programs.
pub fn json(stats: &Stats) -> Value {
    let spread = |spread: Spread| {
        json!({
            "count": spread.count,
            "p50": seconds(spread.p50),
            "p90": seconds(spread.p90),
            "p99": seconds(spread.p99),
            "max": seconds(spread.max),
        })
    };
    let task = |task: &TaskFigures| json!({ "task": task.task, "jobs": task.jobs, "wait": task.wait.map(spread), "run": task.run.map(spread) });
    let outcome =
        |(state, code, count): &(_, Option<String>, usize)| json!({ "state": state, "reason": code, "count": count });
    let total: Duration = stats.path.iter().map(|(_, lasted)| *lasted).sum();
    let link = |(id, lasted): &(_, Duration)| json!({ "id": id, "seconds": seconds(*lasted) });
    json!({
        "jobs": stats.jobs,
        "outcomes": stats.outcomes.iter().map(outcome).collect::<Vec<_>>(),
        "from": stats.span.map(|(from, _)| json_moment(from)),
        "until": stats.span.map(|(_, to)| json_moment(to)),
        "started": stats.started,
        "ended": stats.ended,
        "per_minute": stats.per_minute,
        "per_hour": stats.per_minute.map(|rate| rate * 60.0),
        "slots": { "mean": stats.slots.mean, "max": stats.slots.max, "curve": stats.slots.curve },
        "tasks": stats.tasks.iter().map(task).collect::<Vec<_>>(),
        "critical_path": { "seconds": seconds(total), "jobs": stats.path.iter().map(link).collect::<Vec<_>>() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::State;
    use crate::domain::name::JobId;

    #[test]
    fn a_curve_rises_in_eighths_and_rests_at_nothing() {
        assert_eq!(curve(&[0.0, 0.01, 1.0, 2.0, 4.0], 4), " ▁▂▄█");
        assert_eq!(curve(&[], 0), "");
    }

    #[test]
    fn a_long_chain_is_told_by_its_ends() {
        let path = (1..=40).map(|id| (JobId(id), Duration::from_secs(1))).collect();
        let stats = Stats {
            jobs: 40,
            span: None,
            started: 0,
            ended: 0,
            per_minute: None,
            slots: Usage { mean: 0.0, max: 0, curve: vec![] },
            tasks: vec![],
            outcomes: vec![(State::JobFinished, None, 39), (State::Failed, Some("exit_code".to_owned()), 1)],
            path,
        };
        let mut out = Vec::new();
        table(&stats, None, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("jobs  40: 39 JOB_FINISHED, 1 FAILED (exit_code)\n"), "{text}");
        assert!(
            text.contains("40 jobs, 40s: 1 (1s) → 2 (1s)") && text.contains("6 (1s) → … 28 more … → 35 (1s)"),
            "{text}"
        );
        assert_eq!(json(&stats)["critical_path"]["jobs"].as_array().unwrap().len(), 40);
    }
}
