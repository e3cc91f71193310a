//! What somebody types about when a task fires: made absolute before it is written, refused with the flag that it came
//! from, and said back in one form with the next moments.

use crate::domain::amount::parse_duration;
use crate::domain::causes::in_one_line;
use crate::domain::schedule::{Jitter, Note, ScheduleError, Timetable, Zones, resolve_start};
use crate::domain::task::{Schedule, Task};
use crate::executor::Executor;
use crate::home::zones;
use crate::process::clock;
use crate::registry::{Setting, Value};
use crate::report;

use super::context::told;
use super::failure::Failure;

/// The fields that say when a task fires.
const FIELDS: [&str; 6] = ["period", "cron", "start", "tz", "jitter", "enabled"];

/// How many of the next occurrences are told of a schedule that was typed.
const TOLD: usize = 3;

/// Whether these settings say something about when a task fires.
pub(super) fn concerns(settings: &[Setting]) -> bool {
    settings.iter().any(|setting| FIELDS.contains(&setting.key))
}

/// Makes a start that was typed absolute, and refuses with its flag what cannot be used; the rest the registry judges.
/// `own` is the task's schedule so far. Returns what is to be said about the start.
pub(super) fn settle(settings: &mut [Setting], own: &Schedule, executor: &Executor) -> Result<Vec<Note>, Failure> {
    if !concerns(settings) {
        return Ok(Vec::new());
    }
    let typed: Vec<&str> =
        settings.iter().filter(|setting| setting.value.is_some()).map(|setting| setting.key).collect();
    let field = |key: &str, own: &Option<String>| match settings.iter().rev().find(|setting| setting.key == key) {
        Some(Setting { value: Some(Value::Text(text)), .. }) => Some(text.clone()),
        Some(_) => None,
        None => own.clone(),
    };
    let mut schedule = Schedule {
        period: field("period", &own.period),
        cron: field("cron", &own.cron),
        start: field("start", &own.start),
        tz: field("tz", &own.tz),
        ..own.clone()
    };
    if let Some(jitter) = field("jitter", &None) {
        let jitter = parse_duration(&jitter).map_err(|error| Failure::input(format!("--jitter: {error}")))?;
        schedule.jitter = Some(jitter);
    }
    let (zones, mut notes) = (zones::zones(), Vec::new());
    if let Some(start) = schedule.start.as_ref().filter(|_| typed.contains(&"start")) {
        let tz = if schedule.tz.is_some() { schedule.tz.clone() } else { executor.default_tz()? };
        let resolved = resolve_start(start, clock::now(), tz.as_deref(), &zones);
        let (text, said) = resolved.map_err(|error| refused(&error))?;
        (schedule.start, notes) = (Some(text), said);
    }
    check(&schedule, &typed, &zones)?;
    for setting in settings.iter_mut().filter(|setting| setting.key == "start" && setting.value.is_some()) {
        setting.value = schedule.start.clone().map(Value::Text);
    }
    Ok(notes)
}

/// Refuses a schedule for one of the fields that were typed.
fn check(schedule: &Schedule, typed: &[&str], zones: &Zones<'_>) -> Result<(), Failure> {
    match Timetable::build(schedule, zones) {
        Err(error) if typed.contains(&error.part().as_str()) => Err(refused(&error)),
        Err(_) => Ok(()),
        Ok((timetable, _)) => {
            let check = schedule.jitter.map_or(Ok(()), |jitter| Jitter::check(jitter, &timetable));
            let flag = ["jitter", "period", "cron"].into_iter().find(|flag| typed.contains(flag));
            let (Err(error), Some(flag)) = (check, flag) else { return Ok(()) };
            let failure = Failure::input(format!("--{flag}: {error}"));
            Err(error.hints().into_iter().fold(failure, Failure::hint))
        }
    }
}

/// What is wrong with a part of a schedule that was typed.
fn refused(error: &ScheduleError) -> Failure {
    let failure = Failure::input(format!("--{}: {}", error.part().as_str(), in_one_line(error)));
    error.hints().into_iter().fold(failure, Failure::hint)
}

/// Says back what a task's schedule means and when it fires next, with the notes on what was typed, each once; and what
/// keeps it from firing, unless it is armed at once.
pub(super) fn echo(executor: &Executor, task: &Task, mut notes: Vec<Note>, now: bool) -> Result<(), Failure> {
    let Some(meaning) = executor.meaning(task, TOLD)? else { return Ok(()) };
    tell(&report::next::meaning(&meaning, executor.now()));
    for note in meaning.notes {
        // What stands in the file is the offset; what was typed is said already.
        let said = matches!(note, Note::OffsetIsNoZone { .. }) && notes.contains(&Note::Est);
        if !said && !notes.contains(&note) {
            notes.push(note);
        }
    }
    tell(&notes.iter().map(|note| format!("note: {note}")).collect::<Vec<_>>());
    if now { Ok(()) } else { tell_obstacle(executor, task) }
}

/// Says when a schedule that was armed fires next.
pub(super) fn tell_next(executor: &Executor, task: &Task) -> Result<(), Failure> {
    if let Some(meaning) = executor.meaning(task, 1)? {
        tell(&report::next::meaning(&meaning, executor.now()));
    }
    if task.enabled { Ok(()) } else { tell_obstacle(executor, task) }
}

/// Says what keeps a schedule from firing, and the way out.
pub(super) fn tell_obstacle(executor: &Executor, task: &Task) -> Result<(), Failure> {
    if let Some(obstacle) = executor.obstacle(task)? {
        told(&format!("note: {}", obstacle.note(&task.name)));
    }
    Ok(())
}

fn tell(lines: &[String]) {
    for line in lines {
        told(line);
    }
}
