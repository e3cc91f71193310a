//! The first sentence of the report: whether it went well, and what to look at first.

use crate::executor::{Night, Trouble};

use super::{at, clock, count, times};

/// The sentence, without its full stop.
pub fn verdict(night: &Night) -> String {
    let since = clock(night.since, night.now);
    let (failed, ran) = (night.failed.len(), night.ran.len());
    let mut parts = now(night);
    let (head, but) = if failed > 0 {
        let tasks = if ran == 1 { "1 task".to_owned() } else { format!("{ran} tasks") };
        (format!("{failed} of {tasks} failed since {since}"), "")
    } else if ran == 0 && night.queued.finished == 0 && night.queued.failed == 0 {
        (format!("Nothing ran since {since}"), "")
    } else if night.is_good() {
        let what = [(ran as u64, "task"), (night.queued.finished, "queued job")];
        let what: Vec<_> =
            what.into_iter().filter(|(number, _)| *number > 0).map(|(number, one)| count(number, one)).collect();
        (format!("All well since {since}: {} ran, none failed", what.join(" and ")), "")
    } else {
        (format!("No task failed since {since}"), "but ")
    };
    if let Some(first) = parts.first_mut() {
        *first = format!("{but}{first}");
    }
    let told: Vec<String> = std::iter::once(head).chain(parts).collect();
    format!("{}{}", told.join(", "), first_failure(night))
}

/// What failed first, and when.
fn first_failure(night: &Night) -> String {
    let Some(first) = night.failed.first() else { return String::new() };
    let (task, at) = (&first.task, at(first.first, night.now));
    match (night.failed.len(), first.failures) {
        (1, 0 | 1) => format!("; {task} failed {at}"),
        (1, failures) => format!("; {task} failed {}, first {at}", times(failures)),
        (_, _) => format!("; {task} failed first, {at}"),
    }
}

/// What else there is to say, most urgent first.
fn now(night: &Night) -> Vec<String> {
    let troubled = |what: &[Trouble], one: &str, several: &str| {
        let number = night.wrong.iter().filter(|wrong| !wrong.before && what.contains(&wrong.what)).count();
        told(number as u64, one, several)
    };
    let before = night.wrong.iter().filter(|wrong| wrong.before).count();
    let again = night.recovered.iter().filter(|recovery| recovery.failures > 0).count();
    let low = night.disk.as_ref().is_some_and(crate::executor::Disk::is_low);
    let parts = [
        troubled(&[Trouble::CrashLooping], "is still crash-looping", "are still crash-looping"),
        troubled(&[Trouble::Failed, Trouble::GivenUp], "is down", "are down"),
        troubled(&[Trouble::Unsupervised], "is down without a supervisor", "are down without a supervisor"),
        troubled(&[Trouble::Stalled], "shows no sign of life", "show no sign of life"),
        troubled(&[Trouble::Orphaned], "is orphaned", "are orphaned"),
        troubled(&[Trouble::Waiting], "waits for its next try", "wait for their next try"),
        told(night.queued.failed, "queued job failed", "queued jobs failed"),
        told(night.queued.blocked, "queued job is blocked", "queued jobs are blocked"),
        low.then(|| "the disk is nearly full".to_owned()),
        told(night.messages.len() as u64, "message was not delivered", "messages were not delivered"),
        told(again as u64, "has recovered", "have recovered"),
        // Next to failures it is no headline.
        told(
            if night.failed.is_empty() { night.slow.len() as u64 } else { 0 },
            "was slower than usual",
            "were slower than usual",
        ),
        told(night.never.len() as u64, "never ran", "never ran"),
        told(night.missed.len() as u64, "missed scheduled runs", "missed scheduled runs"),
        told(before as u64, "has been down for longer", "have been down for longer"),
    ];
    parts.into_iter().flatten().collect()
}

fn told(number: u64, one: &str, several: &str) -> Option<String> {
    match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        number => Some(format!("{number} {several}")),
    }
}
