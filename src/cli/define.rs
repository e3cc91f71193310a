//! init, add, edit, remove.

use crate::domain::name::{ExecId, TaskName};
use crate::domain::suggest::nearest;
use crate::domain::task::{Schedule, Task};
use crate::executor::{Added, Afterwards, Definition, Executor, Stopped};
use crate::registry::{Setting, fields};

use super::arguments::{AddArguments, EditArguments};
use super::context::{Context, told, warn};
use super::failure::Failure;
use super::{run, schedule};

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
    let notes = schedule::settle(&mut settings, &Schedule::default(), executor)?;
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
    schedule::echo(executor, &task, notes, arguments.now)?;
    if arguments.now { run::start_these(context, &[task.into()], true) } else { Ok(0) }
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
    let Some(executor) = context.existing()? else { return run::none(context, &[name]) };
    let notes = match executor.definitions()?.find(&name) {
        Some(task) => schedule::settle(&mut settings, &task.schedule, executor)?,
        None => Vec::new(),
    };
    let task = executor.edit(&name, &settings, &asker)?;
    told(&format!("Editing {} {}", task.name, task.program_text()));
    warn_of_trouble(executor, &task);
    if schedule::concerns(&settings) {
        schedule::echo(executor, &task, notes, false)?;
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
    let Some(executor) = context.existing()? else { return run::none(context, &[name]) };
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
