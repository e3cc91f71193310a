//! The commands of systemd: `systemctl --user` and `loginctl`, run as anybody would. What they print is not read, but
//! for properties that are asked for by name.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ServiceError;

/// Where logind keeps who lingers, one empty file a user.
const LINGERING: &str = "/var/lib/systemd/linger";

/// The systemd user manager of whoever runs this.
#[derive(Debug)]
pub(super) struct Systemctl {
    runtime: Option<PathBuf>,
}

/// What systemd says about a unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitState {
    /// `enabled`, `disabled`, `masked` …
    pub enabled: String,
    /// `active`, `activating`, `inactive`, `failed` …
    pub active: String,
    /// `running`, `auto-restart`, `dead` …
    pub sub: String,
    /// The supervisor's pid, while there is one.
    pub pid: Option<i32>,
}

impl UnitState {
    /// Whether systemd runs it, or is about to.
    pub fn is_up(&self) -> bool {
        ["active", "activating", "reloading"].contains(&self.active.as_str())
    }
}

impl Systemctl {
    /// The manager, reached by way of this runtime directory where the environment names none.
    pub(super) fn new(runtime: Option<PathBuf>) -> Self {
        Self { runtime }
    }

    /// Makes sure that there is a manager.
    pub(super) fn probe(&self) -> Result<(), ServiceError> {
        match self.run(&["show", "--property=Version"]) {
            Ok(_) => Ok(()),
            Err(ServiceError::Command { said, .. }) => Err(ServiceError::NoManager { said }),
            Err(other) => Err(other),
        }
    }

    /// Runs `systemctl --user` with these arguments; what it wrote to standard output.
    pub(super) fn run(&self, args: &[&str]) -> Result<String, ServiceError> {
        let mut command = Command::new("systemctl");
        command.arg("--user").args(args);
        if let Some(runtime) = &self.runtime {
            command.env("XDG_RUNTIME_DIR", runtime);
        }
        output(&mut command, || format!("systemctl --user {}", args.join(" ")))
    }

    /// What systemd says about a unit.
    pub(super) fn show(&self, name: &str) -> Result<UnitState, ServiceError> {
        let text = self.run(&["show", name, "--property=UnitFileState,ActiveState,SubState,MainPID"])?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let word = |key| value(key).unwrap_or_default().to_owned();
        Ok(UnitState {
            enabled: word("UnitFileState"),
            active: word("ActiveState"),
            sub: word("SubState"),
            pid: value("MainPID").and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 0),
        })
    }
}

/// Whether a user's services run without a session. logind answers for those that it knows; its files for the rest.
pub(super) fn lingers(user: &str) -> bool {
    let mut command = Command::new("loginctl");
    command.args(["show-user", user, "--property=Linger", "--value"]);
    match output(&mut command, String::new).as_deref().map(str::trim) {
        Ok("yes") => true,
        Ok("no") => false,
        Ok(_) | Err(_) => Path::new(LINGERING).join(user).exists(),
    }
}

/// Runs a command to its end; its standard output, or what went wrong.
fn output(command: &mut Command, line: impl Fn() -> String) -> Result<String, ServiceError> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            ServiceError::NoSystemctl
        } else {
            ServiceError::Spawn { command: line(), source }
        }
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let said = if said.is_empty() { output.status.to_string() } else { said };
    Err(ServiceError::Command { command: line(), said })
}
