//! init, add, edit, remove.

use crate::domain::causes::in_one_line;
use crate::domain::name::{ExecId, TaskName};
use crate::domain::schedule::{ScheduleError, resolve_start};
use crate::domain::suggest::nearest;
use crate::domain::task::Task;
use crate::executor::{Added, Afterwards, Definition, Executor, Stopped};
use crate::home::zones;
use crate::process::clock;
use crate::registry::{Setting, Value, fields};

use super::arguments::{AddArguments, EditArguments};
use super::context::{Context, told, warn};
use super::failure::Failure;
use super::run;

/// `init`.
pub(super) fn init(context: &mut Context, exec_id: Option<&str>) -> Result<u8, Failure> {
    let id = exec_id.map(ExecId::parse).transpose()?;
    let (executor, new) = Executor::init(&context.root()?, id.as_ref())?;
    let executor = context.adopt(executor);
    let found = executor.definitions()?.good()?.exec_id;
    let folder = executor.root().display().to_string();
    if new {
        told(&format!("Initializing executor {found} in {folder}"));
    } else if id.is_some_and(|id| id.as_str() != found) {
        return Err(
            Failure::input(format!("`{folder}` already has an executor, {found}")).hint("use another folder: `-f DIR`")
        );
    } else {
        told(&format!("Executor {found} is already in {folder}"));
    }
    Ok(0)
}

/// `add`.
pub(super) fn add(context: &mut Context, arguments: &AddArguments) -> Result<u8, Failure> {
    let name = TaskName::parse(&arguments.name)?;
    if !arguments.fields.has_program() {
        return Err(Failure::input(format!("nothing to run was given for `{name}`")).hint(format!(
            "name a script, `jobexec add {name} SCRIPT`, or a command, `jobexec add {name} -- COMMAND`"
        )));
    }
    let here = std::env::current_dir()?;
    let mut settings = arguments.fields.settings(&here, true)?;
    // What is not set need not be taken away from a task that is new.
    settings.retain(|setting| setting.value.is_some());
    let asker = context.asker()?;
    let executor = context.executor()?;
    absolute_start(&mut settings, None)?;
    let definition = Definition { name, settings };
    let task = match executor.add(&definition, arguments.replace, &asker)? {
        Added::New(task) => {
            told(&format!("Adding {} {}", task.name, task.program_text()));
            task
        }
        Added::Replaced(task) => {
            told(&format!("Replacing {} {}", task.name, task.program_text()));
            task
        }
        Added::Existed { name, differences } => {
            told(&format!("Skipping {name} because a task named {name} already exists"));
            for difference in &differences {
                told(&format!("  {}: {} is kept, {} was given", difference.field, difference.is, difference.given));
            }
            if !differences.is_empty() {
                told(&format!("  replace it with `jobexec add {name} … --replace`"));
            }
            return Ok(0);
        }
    };
    warn_of_trouble(executor, &task);
    tell_meaning(executor, &task)?;
    if arguments.now { run::start_these(context, &[task.into()], true) } else { Ok(0) }
}

/// The fields that say when a task fires.
const SCHEDULE: [&str; 6] = ["period", "cron", "start", "tz", "jitter", "enabled"];

/// How many of the next occurrences are told.
const TOLD: usize = 3;

/// Makes the start that was typed, which may be relative to now, one that stays what it is. `tz` is the task's own zone.
fn absolute_start(settings: &mut [Setting], tz: Option<&str>) -> Result<(), Failure> {
    let text = |key: &str| {
        let value = settings.iter().find(|setting| setting.key == key).and_then(|setting| setting.value.as_ref());
        if let Some(Value::Text(text)) = value { Some(text.clone()) } else { None }
    };
    let tz = text("tz").or_else(|| tz.map(str::to_owned));
    let Some(typed) = text("start") else { return Ok(()) };
    let resolved = resolve_start(&typed, clock::now(), tz.as_deref(), &zones::zones());
    let (start, notes) = resolved.map_err(|error| schedule_failure(&format!("--{}", error.part().as_str()), &error))?;
    for note in notes {
        told(&format!("note: {note}"));
    }
    for setting in settings.iter_mut().filter(|setting| setting.key == "start") {
        setting.value = Some(Value::Text(start.clone()));
    }
    Ok(())
}

/// What is wrong with a part of a schedule that was typed.
pub(super) fn schedule_failure(flag: &str, error: &ScheduleError) -> Failure {
    let failure = Failure::input(format!("{flag}: {}", in_one_line(error)));
    error.hints().into_iter().fold(failure, Failure::hint)
}

/// Says what a task's schedule means, and when it fires next.
pub(super) fn tell_meaning(executor: &Executor, task: &Task) -> Result<(), Failure> {
    let now = clock::now();
    if let Some(meaning) = executor.meaning(task, now, TOLD)? {
        for line in crate::report::next::meaning(&meaning, now) {
            told(&line);
        }
        if !task.enabled {
            told(&format!("note: it is switched off; `jobexec edit {} --enabled true` switches it on", task.name));
        }
    }
    Ok(())
}

/// Says what would keep a task from being started as it is now.
fn warn_of_trouble(executor: &Executor, task: &Task) {
    if let Some(trouble) = executor.foresee(task) {
        warn(&format!("`{}` cannot be started yet: {trouble}", task.name));
    }
}

/// `edit`.
pub(super) fn edit(context: &mut Context, arguments: &EditArguments) -> Result<u8, Failure> {
    let name = TaskName::parse(&arguments.name)?;
    let mut settings = arguments.fields.settings(&std::env::current_dir()?, false)?;
    for key in &arguments.unset {
        let known = fields().iter().find(|field| field.key == key).ok_or_else(|| {
            let failure = Failure::input(format!("no field named `{key}`"));
            match nearest(key, fields().iter().map(|field| field.key)) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure,
            }
        })?;
        settings.push(Setting { key: known.key, value: None });
    }
    if settings.is_empty() {
        return Err(Failure::input("nothing to change was given".to_owned())
            .hint(format!("name fields, as in `jobexec edit {name} --timeout 2h`, or edit the file by hand")));
    }
    let asker = context.asker()?;
    let Some(executor) = context.existing()? else { return run::none(&[name]) };
    let definitions = executor.definitions()?;
    let tz = definitions.find(&name).and_then(|task| task.schedule.tz.clone());
    absolute_start(&mut settings, tz.as_deref())?;
    let task = executor.edit(&name, &settings, &asker)?;
    told(&format!("Editing {} {}", task.name, task.program_text()));
    warn_of_trouble(executor, &task);
    if settings.iter().any(|setting| SCHEDULE.contains(&setting.key)) {
        tell_meaning(executor, &task)?;
    }
    let definitions = executor.definitions()?;
    let status = executor.status(&definitions, Some(std::slice::from_ref(&task.name)), false)?;
    if status.iter().any(|status| status.live.is_some()) {
        told(&format!("It is running; the change holds from its next start on (`jobexec restart {}`)", task.name));
    }
    Ok(0)
}

/// `remove`.
pub(super) fn remove(context: &mut Context, name: &str, stop: bool, purge: bool) -> Result<u8, Failure> {
    let name = TaskName::parse(name)?;
    let asker = context.asker()?;
    let Some(executor) = context.existing()? else { return run::none(&[name]) };
    if stop {
        let definitions = executor.definitions()?.good()?;
        let name = executor.resolve(&definitions, &name)?;
        let stopped = executor.stop(std::slice::from_ref(&name), Afterwards::Stay, &asker, &mut |text| told(text))?;
        if stopped.iter().any(|(_, stopped)| matches!(stopped, Stopped::Left(_) | Stopped::Elsewhere)) {
            return Ok(run::tell_stopped(&stopped));
        }
    }
    let removed = executor.remove(&name, purge, &asker)?;
    let s = if removed.purged == 1 { "" } else { "s" };
    let purged = if purge { format!(" and {} output file{s}", removed.purged) } else { String::new() };
    told(&format!("Removing {}{purged}", removed.name));
    Ok(0)
}
