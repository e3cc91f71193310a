//! Another program in the place of this process: it has our pid, our terminal and our children, and its end is ours.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::environment::{self, Variables};

/// Where and with what a program is to run.
#[derive(Debug, Clone)]
pub struct Place {
    /// The directory.
    pub directory: PathBuf,
    /// All its variables.
    pub variables: Variables,
    /// Its file mode creation mask.
    pub umask: u32,
    /// Its limits, in the order in which they are inherited.
    pub limits: Vec<(u64, u64)>,
}

/// Becomes this program, which is looked for along the `PATH` of the place. Returns only where that fails.
pub fn replace(program: &OsStr, args: &[OsString], place: &Place) -> io::Error {
    environment::adopt(place.umask, &place.limits);
    Command::new(program).args(args).current_dir(&place.directory).env_clear().envs(&place.variables).exec()
}
