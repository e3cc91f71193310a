//! What somebody types about when a task fires: made absolute before it is written, refused with the flag that it came
//! from, and said back in one form with the next moments.

use crate::domain::amount::parse_duration;
use crate::domain::causes::in_one_line;
use crate::domain::schedule::{Jitter, Note, ScheduleError, Timetable, resolve_start};
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
    let field = |key: &str, own: Option<&String>| match settings.iter().rev().find(|setting| setting.key == key) {
        Some(Setting { value: Some(Value::Text(text)), .. }) => Some(text.clone()),
        Some(_) => None,
        None => own.cloned(),
    };
    let given = |key: &str| field(key, None);
    let (start, jitter) = (given("start"), given("jitter"));
    let mut tz = field("tz", own.tz.as_ref());
    if start.is_some() && tz.is_none() {
        tz = executor.default_tz()?;
    }
    let (period, cron) = (field("period", own.period.as_ref()), field("cron", own.cron.as_ref()));
    let mut schedule = Schedule { period, cron, start: field("start", own.start.as_ref()), tz, ..own.clone() };
    let typed = ["period", "cron", "start", "tz"].map(|key| given(key).map(|_| key));
    let (zones, mut notes) = (zones::zones(), Vec::new());
    if let Some(start) = start {
        let resolved = resolve_start(&start, clock::now(), schedule.tz.as_deref(), &zones);
        let (text, said) = resolved.map_err(|error| refused(&error))?;
        notes = said;
        schedule.start = Some(text.clone());
        for setting in settings.iter_mut().filter(|setting| setting.key == "start") {
            setting.value = Some(Value::Text(text.clone()));
        }
    }
    match Timetable::build(&schedule, &zones) {
        Err(error) if schedule.is_set() && typed.contains(&Some(error.part().as_str())) => return Err(refused(&error)),
        Err(_) => {}
        Ok((timetable, _)) => {
            if let Some(Ok(jitter)) = jitter.as_deref().map(parse_duration)
                && let Err(error) = Jitter::check(jitter, &timetable)
            {
                let failure = Failure::input(format!("--jitter: {error}"));
                return Err(error.hints().into_iter().fold(failure, Failure::hint));
            }
        }
    }
    Ok(notes)
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
    if !now { tell_obstacle(executor, task) } else { Ok(()) }
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
    lines.iter().for_each(|line| told(line));
}
