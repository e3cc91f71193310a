//! completions, man.

use clap_complete::{Shell, generate};

use super::arguments::command;
use super::context::Context;
use super::failure::Failure;

/// `completions SHELL`.
#[expect(clippy::unnecessary_wraps, reason = "every verb answers alike")]
pub(super) fn completions(_context: &mut Context, shell: Shell) -> Result<u8, Failure> {
    generate(shell, &mut command(), "jobexec", &mut std::io::stdout());
    Ok(0)
}

/// `man`.
pub(super) fn man(_context: &mut Context) -> Result<u8, Failure> {
    clap_mangen::Man::new(command()).render(&mut std::io::stdout())?;
    Ok(0)
}
