//! What can keep a service from being installed, looked at or taken away, and the ways out.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::unit::UnitError;

/// Why a service could not be installed, looked at or taken away.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// There is no folder for units.
    #[error("no folder for systemd units: neither `XDG_CONFIG_HOME` nor `HOME` is set")]
    Unnamed,
    /// The unit cannot be written in systemd's syntax.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// A unit of this name exists that we did not write.
    #[error("`{}` was not written by jobexec", path.display())]
    Foreign {
        /// The unit.
        path: PathBuf,
        /// Its name.
        name: String,
    },
    /// A file could not be read, written or removed.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// systemd is not installed.
    #[error("there is no `systemctl`: services need systemd")]
    NoSystemctl,
    /// No systemd runs for this user, or it cannot be reached.
    #[error("no systemd user manager can be reached: {said}")]
    NoManager {
        /// What systemctl said.
        said: String,
    },
    /// A command could not be run.
    #[error("cannot run `{command}`")]
    Spawn {
        /// The command.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command failed.
    #[error("`{command}` failed: {said}")]
    Command {
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
}

impl ServiceError {
    /// The ways out.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Foreign { path, name } => vec![
                format!("keep it and run the supervisor from it: see `ExecStart=` in `{}`", path.display()),
                format!("or take it away: `systemctl --user disable --now {name}`, then `rm {}`", path.display()),
            ],
            Self::NoManager { .. } => vec![
                "log in as this user, over ssh or at a console: `su` and `sudo` bring no user manager along".to_owned(),
            ],
            Self::Unnamed
            | Self::Unit(_)
            | Self::Io { .. }
            | Self::NoSystemctl
            | Self::Spawn { .. }
            | Self::Command { .. } => Vec::new(),
        }
    }

    /// Whether there is no systemd for this user at all, so that something else has to start the supervisor.
    pub fn is_without_systemd(&self) -> bool {
        matches!(self, Self::NoSystemctl | Self::NoManager { .. })
    }
}
