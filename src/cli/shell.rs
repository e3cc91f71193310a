//! completions, man.

use std::io::Write;

use clap_complete::{Shell, generate};

use super::arguments::command;
use super::context::Context;
use super::failure::Failure;

/// `completions SHELL`.
pub(super) fn completions(_context: &mut Context, shell: Shell) -> Result<u8, Failure> {
    // Written to a reader that has left, it would panic.
    let mut script = Vec::new();
    generate(shell, &mut command(), "jobexec", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(0)
}

/// `man`.
pub(super) fn man(_context: &mut Context) -> Result<u8, Failure> {
    clap_mangen::Man::new(command()).render(&mut std::io::stdout())?;
    Ok(0)
}
