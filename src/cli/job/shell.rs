//! job shell: a shell, or another command, where a job works and with what its script sees.

use std::ffi::OsString;

use crate::domain::name::JobId;
use crate::process::replace;

use super::super::context::Context;
use super::super::failure::Failure;
use super::look;

/// Takes the place of this process; returns only where that fails.
pub(super) fn shell(context: &mut Context, id: JobId, command: &[OsString]) -> Result<u8, Failure> {
    let place = look(context, id)?.place_of(id)?;
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let (program, args) = command.split_first().map_or((&shell, &[][..]), |(program, args)| (program, args));
    let error = replace::replace(program, args, &place);
    Err(Failure::failed(format!("cannot run `{}`: {error}", program.display())))
}
