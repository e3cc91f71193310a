//! The supervisor as a systemd user service: one unit for each folder, written, enabled and started, looked at, taken
//! away. It knows nothing of tasks, and nothing in the folder.

mod error;
mod systemctl;
pub mod unit;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub use error::ServiceError;
use systemctl::Systemctl;
pub use systemctl::UnitState;
use unit::{PLAIN_NAME, Written};

/// What a service's surroundings are.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// The runtime directory, where the environment does not name it but it is there.
    pub runtime: Option<PathBuf>,
    /// The user's name.
    pub user: String,
}

/// What is being done. Told before it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A new unit is written.
    Writing,
    /// The unit is replaced by one with another content.
    Replacing,
    /// It is there already.
    Keeping,
    /// It will be started at boot or at login.
    Enabling,
    /// It is started now.
    Starting,
    /// It runs, and is started again with its new content.
    Restarting,
    /// It is stopped, and no longer started by itself.
    Disabling,
    /// Its file is removed.
    Removing,
}

/// What is known about a service.
#[derive(Debug)]
pub struct Status {
    /// What its unit says; `None` where it is not installed.
    pub written: Option<Written>,
    /// What systemd says; `None` where it is not installed.
    pub state: Option<Result<UnitState, ServiceError>>,
    /// Whether the user's services go on without a session.
    pub lingers: bool,
}

/// The service of one folder, installed or not.
#[derive(Debug)]
pub struct Service {
    name: String,
    path: PathBuf,
    user: String,
    systemctl: Systemctl,
}

impl Service {
    /// The service of a folder, which is absolute and without links.
    ///
    /// The default folder has the plain name, unless another folder that was the default one has it already.
    pub fn of(folder: &Path, is_default: bool, around: &Surroundings) -> Result<Self, ServiceError> {
        let units = units_folder(around)?;
        let holder = read(&units.join(PLAIN_NAME))?.as_deref().and_then(unit::read).map(|written| written.folder);
        let is_plain = match holder {
            Some(holder) => holder == folder,
            None => is_default,
        };
        let name = if is_plain { PLAIN_NAME.to_owned() } else { unit::name(folder) };
        let systemctl = Systemctl::new(around.runtime.clone());
        Ok(Self { path: units.join(&name), name, user: around.user.clone(), systemctl })
    }

    /// The unit's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The unit's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the user's services go on without a session.
    pub fn lingers(&self) -> bool {
        systemctl::lingers(&self.user)
    }

    /// Makes sure that it can be installed: there is a manager, and no unit of somebody else. What systemd says now.
    pub fn ready(&self) -> Result<UnitState, ServiceError> {
        self.read()?;
        self.systemctl.probe()?;
        self.systemctl.show(&self.name)
    }

    /// Writes the unit, enables it, and starts it if that is wanted. What is so already stays as it is.
    pub fn install(&self, text: &str, start: bool, tell: &mut dyn FnMut(Step)) -> Result<(), ServiceError> {
        let was = self.read()?;
        let is_same = was.as_deref() == Some(text);
        tell(match was {
            None => Step::Writing,
            Some(_) if is_same => Step::Keeping,
            Some(_) => Step::Replacing,
        });
        if !is_same {
            write(&self.path, text)?;
        }
        // Also where it stayed as it was: an earlier command may have been cut off before this.
        self.systemctl.run(&["daemon-reload"])?;
        let state = self.systemctl.show(&self.name)?;
        if state.enabled != "enabled" {
            tell(Step::Enabling);
            self.systemctl.run(&["enable", &self.name])?;
        }
        match (start, state.is_up()) {
            (true, false) => {
                tell(Step::Starting);
                self.systemctl.run(&["start", &self.name])?;
            }
            (true, true) if !is_same => {
                tell(Step::Restarting);
                self.systemctl.run(&["restart", &self.name])?;
            }
            (true, true) | (false, _) => {}
        }
        Ok(())
    }

    /// Stops it, and takes its unit away; whether there was one.
    pub fn uninstall(&self, tell: &mut dyn FnMut(Step)) -> Result<bool, ServiceError> {
        if self.read()?.is_none() {
            return Ok(false);
        }
        self.systemctl.probe()?;
        tell(Step::Disabling);
        self.systemctl.run(&["disable", "--now", &self.name])?;
        tell(Step::Removing);
        fs::remove_file(&self.path).map_err(failed("remove", &self.path))?;
        self.systemctl.run(&["daemon-reload"])?;
        Ok(true)
    }

    /// What is known about it.
    pub fn status(&self) -> Result<Status, ServiceError> {
        let written = self.read()?.as_deref().and_then(unit::read);
        let state = written.as_ref().map(|_| self.systemctl.show(&self.name));
        Ok(Status { written, state, lingers: self.lingers() })
    }

    /// The unit's text; refused where it is not ours.
    fn read(&self) -> Result<Option<String>, ServiceError> {
        match read(&self.path)? {
            Some(text) if unit::read(&text).is_none() => {
                Err(ServiceError::Foreign { path: self.path.clone(), name: self.name.clone() })
            }
            other => Ok(other),
        }
    }
}

/// A folder as it is known to units: without links, as far as it exists.
pub fn real(folder: &Path) -> PathBuf {
    match (folder.canonicalize(), folder.parent(), folder.file_name()) {
        (Ok(real), _, _) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        (Err(_), _, _) => folder.to_path_buf(),
    }
}

/// Where systemd looks for a user's own units (systemd.unit(5)).
fn units_folder(around: &Surroundings) -> Result<PathBuf, ServiceError> {
    let set = |path: &Option<PathBuf>| path.clone().filter(|path| path.is_absolute());
    let config = set(&around.config_home).or_else(|| set(&around.home).map(|home| home.join(".config")));
    Ok(config.ok_or(ServiceError::Unnamed)?.join("systemd/user"))
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ServiceError + 'a {
    move |source| ServiceError::Io { doing, path: path.to_path_buf(), source }
}

/// What a file says, byte for byte where it is text; `None` where there is none.
fn read(path: &Path) -> Result<Option<String>, ServiceError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Writes a file whole or not at all, and so that it survives a power cut. A link stays one.
fn write(path: &Path, text: &str) -> Result<(), ServiceError> {
    let target = real(path);
    let folder = target.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let temporary = folder.join(format!(".{}.tmp", target.file_name().unwrap_or_default().to_string_lossy()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, &target))
        .and_then(|()| fs::File::open(folder)?.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(failed("write", &target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(home: &Path) -> Surroundings {
        Surroundings { config_home: None, home: Some(home.into()), runtime: None, user: "anna".to_owned() }
    }

    fn unit_of(folder: &str) -> String {
        let unit = unit::Unit { program: Path::new("/j"), folder: Path::new(folder), search: None, sleep: None };
        unit.render().unwrap()
    }

    #[test]
    fn units_lie_where_systemd_looks_for_them() {
        let found = |config: Option<&str>, home: Option<&str>| {
            let [config_home, home] = [config, home].map(|path| path.map(PathBuf::from));
            units_folder(&Surroundings { config_home, home, runtime: None, user: String::new() }).ok()
        };
        assert_eq!(found(Some("/c"), Some("/h")), Some("/c/systemd/user".into()));
        assert_eq!(found(Some("relative"), Some("/h")), Some("/h/.config/systemd/user".into()));
        assert_eq!(found(None, None), None);
    }

    #[test]
    fn only_the_default_folder_has_the_plain_name() {
        let temp = tempfile::tempdir().unwrap();
        let name = |folder: &str, is_default| {
            Service::of(Path::new(folder), is_default, &around(temp.path())).unwrap().name().to_owned()
        };
        assert_eq!(name("/d", true), PLAIN_NAME);
        assert_eq!(name("/e", false), unit::name(Path::new("/e")));
        // The default folder is another one now, as `XDG_STATE_HOME` may make it.
        write(&temp.path().join(".config/systemd/user").join(PLAIN_NAME), &unit_of("/d")).unwrap();
        assert_eq!(name("/d", false), PLAIN_NAME, "a folder keeps its name");
        assert_eq!(name("/e", true), unit::name(Path::new("/e")), "and no other folder gets it");
    }

    #[test]
    fn a_unit_is_replaced_whole_and_a_link_to_it_stays() {
        let temp = tempfile::tempdir().unwrap();
        let (path, link) = (temp.path().join("a/b/x.service"), temp.path().join("link.service"));
        write(&path, "one").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "two").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("two"));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
        assert_eq!(read(&temp.path().join("none")).unwrap(), None);
    }

    #[test]
    fn a_folder_that_is_gone_is_known_by_what_is_left_of_its_path() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&root, root.join("link")).unwrap();
        assert_eq!(real(&root.join("link/gone/deeper")), root.join("gone/deeper"));
    }
}
