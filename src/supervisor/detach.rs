//! A supervisor in the background: our own binary again, in a session of its own, which says when it has begun.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::domain::causes::in_one_line;
use crate::executor::Executor;
use crate::process::spawn;
use tracing::error;

use super::{Options, SupervisorError, diary, second, supervise};

/// The place of a supervisor that has no terminal.
const PLACE: &str = "in the background";

/// Starts a supervisor in the background and waits until it has begun; its pid.
pub fn detach(folder: &Path, options: &Options) -> Result<i32, SupervisorError> {
    diary::filter(options.verbose, options.log.as_deref()).map_err(SupervisorError::Log)?;
    // Whether there is one already is for the new one to find out: one that was just killed still has its lock.
    let executor = Executor::open(folder)?;
    let home = executor.home();
    let system = |source| SupervisorError::System { doing: "start a supervisor in the background", source };
    let options = serde_json::to_string(options).map_err(std::io::Error::from).map_err(system)?;
    let answer = spawn::background(&home.supervisor_lock(), home.root(), &options, &home.supervisor_log())
        .map(std::fs::File::from)
        .map_err(system)?;
    let mut text = String::new();
    BufReader::new(answer).read_line(&mut text).map_err(system)?;
    match text.trim().parse() {
        Ok(pid) => Ok(pid),
        Err(_) if executor.is_supervised() => Err(second(&executor)?),
        Err(_) if text.is_empty() => {
            Err(SupervisorError::Background(format!("see `{}`", home.supervisor_log().display())))
        }
        Err(_) => Err(SupervisorError::Background(text.trim().to_owned())),
    }
}

/// Behind the door: supervises; the exit code. The lock's path, which comes first, only says what this process is.
pub(super) fn background(mut args: impl Iterator<Item = OsString>) -> u8 {
    let folder = args.nth(1).map(PathBuf::from);
    let options = args.next().and_then(|options| serde_json::from_str::<Options>(&options.to_string_lossy()).ok());
    let (Some(folder), Some(options), Ok(begun)) = (folder, options, spawn::given_background()) else { return 2 };
    let copy = begun.try_clone();
    match supervise(&folder, &options, PLACE, Some(begun)) {
        Ok(failed) => u8::from(failed),
        Err(failure) => {
            let text = in_one_line(&failure);
            error!("{text}");
            if let Ok(copy) = copy {
                let _ = writeln!(std::fs::File::from(copy), "{text}");
            }
            1
        }
    }
}

/// Says that it has begun, and under which pid.
pub(super) fn tell_begun(to: OwnedFd, pid: i32) {
    let _ = writeln!(std::fs::File::from(to), "{pid}");
}
