//! The executor's folder: what lies where, who may use it, its locks and its bell.
//!
//! The only place that knows the names of our files.

pub mod bell;
pub mod disk;
pub mod lock;
mod permission;
pub mod reserve;
pub mod zones;

use std::ffi::OsStr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use thiserror::Error;

use crate::domain::name::{JobId, RunRef, TaskName};

/// Why a folder cannot be used.
#[derive(Debug, Error)]
pub enum HomeError {
    /// No folder was named and none can be derived.
    #[error("no folder for the executor: neither `--folder`, `JOBEXEC_FOLDER`, `XDG_STATE_HOME` nor `HOME` is set")]
    Unnamed,
    /// Looking at it, or making it, failed.
    #[error("cannot {doing} the folder `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a folder.
    #[error("`{}` is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// It lies on a network file system, where locks cannot be trusted.
    #[error("`{}` lies on a network file system ({kind})", path.display())]
    Network {
        /// The folder.
        path: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// It belongs to another user.
    #[error("`{}` belongs to the user with id {owner}, not to you ({me})", path.display())]
    Owner {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Our effective user.
        me: u32,
    },
    /// Others may write to it.
    #[error("`{}` may be written by others (mode {mode:o})", path.display())]
    Mode {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// The bit of a directory in which each may remove only what is their own.
const STICKY: u32 = 0o1000;

impl HomeError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unnamed => Some("name one with `-f DIR`".to_owned()),
            Self::Network { .. } => Some("use a local folder: `-f /local/path`".to_owned()),
            Self::Owner { .. } => Some("use a folder of your own: `-f DIR`".to_owned()),
            // Such as /tmp, which has to be as it is.
            Self::Mode { path, mode } if mode & STICKY != 0 => {
                Some(format!("use a folder of your own in it: `-f {}`", path.join("jobexec").display()))
            }
            Self::Mode { path, .. } => Some(format!("run `chmod go-w {}`", path.display())),
            Self::NotAFolder(_) => Some("name a folder: `-f DIR`".to_owned()),
            Self::Io { .. } => None,
        }
    }
}

/// The environment variables that a default folder is derived from.
#[derive(Debug, Default, Clone)]
pub struct Surroundings {
    /// `JOBEXEC_FOLDER`.
    pub folder: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

/// The folder of one executor.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The folder that is meant: the given one, else `$JOBEXEC_FOLDER`, else `$XDG_STATE_HOME/jobexec`, else
    /// `~/.local/state/jobexec`. A relative path is made absolute.
    pub fn locate(given: Option<&Path>, around: &Surroundings) -> Result<PathBuf, HomeError> {
        let set = |path: &Option<PathBuf>| path.clone().filter(|p| !p.as_os_str().is_empty());
        let path = given
            .map(Path::to_path_buf)
            .or_else(|| set(&around.folder))
            // The XDG base directory specification has relative paths ignored.
            .or_else(|| set(&around.state_home).filter(|p| p.is_absolute()).map(|p| p.join("jobexec")))
            .or_else(|| set(&around.home).map(|p| p.join(".local/state/jobexec")))
            .ok_or(HomeError::Unnamed)?;
        std::path::absolute(&path).map_err(|source| HomeError::Io { doing: "find", path, source })
    }

    /// Opens a folder, which must exist; `None` where it does not. It is refused where it is not safe to use.
    pub fn open(root: &Path) -> Result<Option<Self>, HomeError> {
        match fs::metadata(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(HomeError::NotAFolder(root.into()));
            }
            Err(source) => return Err(HomeError::Io { doing: "open", path: root.into(), source }),
            Ok(_) => {}
        }
        // One name for one folder: what is recorded in it must not depend on how it was reached.
        let root = root.canonicalize().map_err(|source| HomeError::Io { doing: "open", path: root.into(), source })?;
        permission::check(&root)?;
        Ok(Some(Self { root }))
    }

    /// The folder as it would be: nothing is looked at, and nothing is made.
    pub fn unmade(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// Opens a folder, making it (mode 0700) where it does not exist.
    pub fn create(root: &Path) -> Result<Self, HomeError> {
        let failed = |source: io::Error| {
            if matches!(source.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists) {
                HomeError::NotAFolder(root.to_path_buf())
            } else {
                HomeError::Io { doing: "create", path: root.to_path_buf(), source }
            }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(failed)?;
        let home = Self::open(root)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        match fs::DirBuilder::new().mode(0o700).create(home.runs()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(HomeError::Io { doing: "create", path: home.runs(), source: error })
            }
            Ok(()) | Err(_) => Ok(home),
        }
    }

    /// The folder itself, absolute and without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The registry.
    pub fn registry(&self) -> PathBuf {
        self.root.join("jobexec.toml")
    }

    /// The lock that whoever edits the registry holds.
    pub fn registry_lock(&self) -> PathBuf {
        self.root.join("registry.lock")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.root.join("jobexec.db")
    }

    /// The database's write-ahead log, for flushing.
    pub fn write_ahead_log(&self) -> PathBuf {
        self.root.join("jobexec.db-wal")
    }

    /// The gate in front of the database's writers.
    pub fn database_lock(&self) -> PathBuf {
        self.root.join("db.lock")
    }

    /// The bell.
    pub fn bell(&self) -> PathBuf {
        self.root.join("bell")
    }

    /// The lock that a supervisor holds for life.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.root.join("supervisor.lock")
    }

    /// The supervisor's diary, where it has no terminal.
    pub fn supervisor_log(&self) -> PathBuf {
        self.root.join("supervisor.log")
    }

    /// The space set aside for a full disk.
    pub fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// The folder of the runs' records.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The record of one run.
    pub fn record(&self, run: impl Into<RunRef>) -> PathBuf {
        let run = run.into();
        run.slot.map_or_else(|| self.runs().join(run.id.to_string()), |slot| self.slot_record(slot))
    }

    /// The record of a slot of the queue.
    pub fn slot_record(&self, slot: u32) -> PathBuf {
        self.runs().join(format!("slot-{slot}"))
    }

    /// The file that a task's current or last run writes to.
    pub fn output(&self, task: &TaskName) -> PathBuf {
        self.root.join(format!("{task}.txt"))
    }

    /// The directory of a job's own; it is made only when something goes in.
    pub fn job_directory(&self, job: JobId) -> PathBuf {
        self.jobs().join(job.to_string())
    }

    /// The folder of the jobs' own directories, and of the work directories that they name.
    pub fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// A file in this folder by its recorded name; `None` for what is no plain file name.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        let plain = Path::new(name).file_name() == Some(OsStr::new(name));
        plain.then(|| self.root.join(name))
    }
}

/// The name under which a run's output will be archived: stamped with its start in UTC, and with a number where
/// several fall into one second (`nth` counts from 1).
pub fn archive_name(task: &TaskName, start: Timestamp, nth: u32) -> String {
    let stamp = start.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ");
    match nth {
        0 | 1 => format!("{task}_{stamp}.txt"),
        _ => format!("{task}_{stamp}-{nth}.txt"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[track_caller]
    fn located(given: Option<&str>, around: [Option<&str>; 3], expected: &str) {
        let [folder, state_home, home] = around.map(|p| p.map(PathBuf::from));
        let found = Home::locate(given.map(Path::new), &Surroundings { folder, state_home, home });
        assert_eq!(found.unwrap(), PathBuf::from(expected));
    }

    #[test]
    fn the_folder_is_the_first_that_is_named() {
        located(Some("/a"), [Some("/b"), Some("/c"), Some("/d")], "/a");
        located(None, [Some("/b"), Some("/c"), Some("/d")], "/b");
        located(None, [Some(""), Some("/c"), Some("/d")], "/c/jobexec");
        located(None, [None, Some("relative"), Some("/d")], "/d/.local/state/jobexec");
        assert!(matches!(Home::locate(None, &Surroundings::default()), Err(HomeError::Unnamed)));
    }

    #[test]
    fn a_new_folder_is_ours_alone() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::create(&temp.path().join("a/b")).unwrap();
        assert_eq!(fs::metadata(home.root()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(home.runs()).unwrap().permissions().mode() & 0o777, 0o700);
        Home::create(home.root()).unwrap();
        assert!(Home::open(&temp.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused_with_the_way_out() {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let error = Home::open(temp.path()).unwrap_err();
        assert!(matches!(error, HomeError::Mode { mode: 0o770, .. }), "{error}");
        assert!(error.hint().unwrap().starts_with("run `chmod go-w "));
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let hint = Home::open(temp.path()).unwrap_err().hint().unwrap();
        assert_eq!(hint, format!("use a folder of your own in it: `-f {}/jobexec`", temp.path().display()));
    }

    #[test]
    fn a_file_is_no_folder() {
        let temp = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Home::open(temp.path()), Err(HomeError::NotAFolder(_))));
    }

    #[test]
    fn an_archive_carries_the_start_in_utc() {
        let task = TaskName::parse("LOL").unwrap();
        let start: Timestamp = "2021-03-01T05:53:58-05:00".parse().unwrap();
        assert_eq!(archive_name(&task, start, 1), "LOL_20210301T105358Z.txt");
        assert_eq!(archive_name(&task, start, 2), "LOL_20210301T105358Z-2.txt");
    }

    #[test]
    fn only_plain_names_are_files_of_the_folder() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::create(temp.path()).unwrap();
        assert!(home.file("LOL.txt").is_some());
        for bad in ["", "..", ".", "a/b", "/etc/passwd", "../x"] {
            assert!(home.file(bad).is_none(), "{bad}");
        }
    }
}
