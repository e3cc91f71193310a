//! keep-restarting: the supervisor, in this terminal or in the background.

use std::io::IsTerminal;

use crate::domain::amount::parse_duration;
use crate::supervisor::{self, Options};

use super::arguments::KeepArguments;
use super::context::{Context, told};
use super::failure::Failure;

/// `keep-restarting`.
pub(super) fn keep_restarting(context: &mut Context, arguments: &KeepArguments) -> Result<u8, Failure> {
    if arguments.stop {
        return stop(context);
    }
    let sleep = parse_duration(&arguments.sleep).map_err(|error| Failure::input(format!("--sleep: {error}")))?;
    if sleep.is_zero() {
        return Err(Failure::input(
            "--sleep must be more than nothing: it keeps a broken task from spinning".to_owned(),
        ));
    }
    let options = Options {
        sleep,
        slots: arguments.slots,
        until_idle: arguments.until_idle,
        stop_tasks: arguments.stop_tasks,
        verbose: arguments.verbose,
        log: std::env::var("JOBEXEC_LOG").ok(),
    };
    let root = context.root()?;
    if !root.exists() {
        told(&format!("note: `{}` was not there; it begins empty", root.display()));
    }
    if arguments.detach {
        let pid = supervisor::detach(&root, &options)?;
        told(&format!("supervising {} in the background (pid {pid})", root.display()));
        return Ok(0);
    }
    let failed = supervisor::run(&root, &options, &place())?;
    Ok(u8::from(failed && arguments.until_idle))
}

/// `keep-restarting --stop`.
fn stop(context: &mut Context) -> Result<u8, Failure> {
    let ended = match context.look()? {
        Some(executor) => executor.end_supervisor()?,
        None => None,
    };
    told(
        &ended.map_or_else(
            || "no supervisor was running".to_owned(),
            |pid| format!("the supervisor has ended (pid {pid})"),
        ),
    );
    Ok(0)
}

/// Where this command was typed.
fn place() -> String {
    let stderr = std::io::stderr();
    let terminal = stderr.is_terminal().then(|| nix::unistd::ttyname(&stderr).ok()).flatten();
    terminal.map_or_else(|| "without a terminal".to_owned(), |name| format!("in {}", name.display()))
}
