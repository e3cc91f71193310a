//! What a task's run executes, checked before anything is recorded: the working directory, the script, the
//! program that runs it. Every refusal names the exact reason.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use thiserror::Error;

use super::environment::{self, EnvFileError, Inherited, Variables};
use super::identity;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::hooks::Preamble;
use crate::domain::launch::{HEAD, Way, WayError, choose};
use crate::domain::task::{Program, Task};

/// What is handed to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The program, absolute.
    pub program: PathBuf,
    /// Its arguments, its own name first.
    pub argv: Vec<OsString>,
}

/// Why a task cannot be started as it stands.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The working directory does not exist, is none, or may not be entered.
    #[error("its working directory `{}` {why}", path.display())]
    WorkingDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The script does not exist.
    #[error("its script `{}` does not exist", path.display())]
    NoScript {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The script is a directory or something else that is no file.
    #[error("its script `{}` is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The script cannot be read.
    #[error("its script `{}` cannot be read", path.display())]
    Unreadable {
        /// The script.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The script says nothing about how to run it, or the wrong thing.
    #[error("its script `{}` cannot be run: {source}", path.display())]
    Way {
        /// The script.
        path: PathBuf,
        /// What is wrong.
        source: WayError,
    },
    /// The interpreter of the script, or the command, does not exist or may not be executed.
    #[error("its {what} `{program}` {why}")]
    NoProgram {
        /// `interpreter` or `command`.
        what: &'static str,
        /// The name as it was written.
        program: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl LaunchError {
    /// What to do about it.
    pub fn hint(&self, task: &Task) -> Option<String> {
        let name = &task.name;
        match self {
            Self::WorkingDirectory { .. } => Some(format!("set another with `jobexec edit {name} --wd DIR`")),
            Self::NoScript { .. } | Self::NotAFile { .. } => {
                Some(format!("a relative script is found from `wd`, which is `{}`", task.wd.display()))
            }
            Self::Way { path, source } => Some(source.hint(&path.display().to_string())),
            Self::NoProgram { what: "command", .. } => Some("it is looked for along the task's PATH".to_owned()),
            Self::NoProgram { .. } => {
                Some(format!("install it, or set another with `jobexec edit {name} --interpreter`"))
            }
            Self::Unreadable { .. } => None,
        }
    }
}

/// Why a task cannot be started as it stands, with its variables.
#[derive(Debug, Error)]
pub enum UnfitError {
    /// Its program or its working directory cannot be used.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Its file of variables cannot be used.
    #[error(transparent)]
    EnvFile(#[from] EnvFileError),
}

/// The files that decide what a task executes and with which variables, as they are; to be asked before they are read.
pub fn made_of(task: &Task) -> Vec<(PathBuf, Fingerprint)> {
    let script = match &task.program {
        Program::Script(script) => Some(task.wd.join(script)),
        Program::Command(_) | Program::Shell(_) => None,
    };
    let files = script.into_iter().chain(task.env_file.as_ref().map(|file| task.wd.join(file)));
    files.filter_map(|file| identity::fingerprint(&file).map(|state| (file, state))).collect()
}

/// Checks a task and says what it would execute and with which variables.
pub fn prepare(task: &Task, inherited: &Inherited) -> Result<(Plan, Variables), UnfitError> {
    let variables = environment::of_task(task, inherited)?;
    let path = variables.get(OsStr::new("PATH"));
    let plan = plan(task, path.map(OsString::as_os_str))?;
    Ok((with_preamble(task, plan), variables))
}

/// What is executed once a shell has done what comes before, and has become it.
fn with_preamble(task: &Task, plan: Plan) -> Plan {
    let before = match &task.preamble {
        None => return plan,
        Some(Preamble::File(file)) => format!(". {}", quoted(&task.wd.join(file).to_string_lossy())),
        Some(Preamble::Lines(lines)) if lines.is_empty() => return plan,
        Some(Preamble::Lines(lines)) => lines.join(" && "),
    };
    let line = format!("{before} && exec \"$0\" \"$@\"");
    let words = [OsString::from("sh"), "-c".into(), line.into(), plan.program.into_os_string()];
    Plan { program: PathBuf::from("/bin/sh"), argv: words.into_iter().chain(plan.argv.into_iter().skip(1)).collect() }
}

/// A text as one word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Checks a task and says what its run executes. `path` is the PATH that its script will have.
pub fn plan(task: &Task, path: Option<&OsStr>) -> Result<Plan, LaunchError> {
    check_directory(&task.wd)?;
    let args = task.args.iter().map(OsString::from);
    match &task.program {
        Program::Shell(line) => {
            let shell = PathBuf::from("/bin/sh");
            Ok(Plan { program: shell, argv: vec!["sh".into(), "-c".into(), line.into()] })
        }
        Program::Command(words) => {
            let name = words.first().map(String::as_str).unwrap_or_default();
            let program = find("command", name, &task.wd, path)?;
            Ok(Plan { program, argv: words.iter().map(OsString::from).chain(args).collect() })
        }
        Program::Script(script) => script_plan(task, script, path),
    }
}

fn script_plan(task: &Task, script: &str, path: Option<&OsStr>) -> Result<Plan, LaunchError> {
    let file = task.wd.join(script);
    let head = read_head(&file)?;
    let executable = access(&file, AccessFlags::X_OK).is_ok();
    let extension = file.extension().and_then(OsStr::to_str);
    let way = choose(task.interpreter.as_deref(), &head, executable, extension)
        .map_err(|source| LaunchError::Way { path: file.clone(), source })?;
    let args = task.args.iter().map(OsString::from);
    let through = match way {
        Way::Direct { interpreter } => {
            if let Some(program) = interpreter {
                // The kernel takes the name as a path, found from the working directory; it does not know PATH.
                let program = if program.contains('/') { program } else { format!("./{program}") };
                find("interpreter", &program, &task.wd, None)?;
            }
            let argv = std::iter::once(file.clone().into_os_string()).chain(args).collect();
            return Ok(Plan { program: file, argv });
        }
        Way::Through(words) => words,
    };
    let program = find("interpreter", through.first().map(String::as_str).unwrap_or_default(), &task.wd, path)?;
    let argv = through.iter().map(OsString::from).chain([file.into_os_string()]).chain(args).collect();
    Ok(Plan { program, argv })
}

fn check_directory(path: &Path) -> Result<(), LaunchError> {
    let wrong = |why| Err(LaunchError::WorkingDirectory { path: path.to_path_buf(), why });
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => wrong("does not exist"),
        Err(_) => wrong("cannot be reached"),
        Ok(metadata) if !metadata.is_dir() => wrong("is not a directory"),
        Ok(_) if access(path, AccessFlags::X_OK).is_err() => wrong("may not be entered"),
        Ok(_) => Ok(()),
    }
}

fn read_head(file: &Path) -> Result<Vec<u8>, LaunchError> {
    let unreadable = |source| LaunchError::Unreadable { path: file.to_path_buf(), source };
    match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LaunchError::NoScript { path: file.to_path_buf() });
        }
        Err(error) => return Err(unreadable(error)),
        Ok(metadata) if !metadata.is_file() => return Err(LaunchError::NotAFile { path: file.to_path_buf() }),
        Ok(_) => {}
    }
    let mut head = Vec::with_capacity(HEAD);
    let opened = File::open(file).map_err(unreadable)?;
    opened.take(HEAD as u64).read_to_end(&mut head).map_err(unreadable)?;
    Ok(head)
}

/// Finds a program: one with a slash from the working directory, another along PATH.
fn find(what: &'static str, name: &str, wd: &Path, path: Option<&OsStr>) -> Result<PathBuf, LaunchError> {
    let wrong = |why| LaunchError::NoProgram { what, program: name.to_owned(), why };
    let usable = |file: &Path| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    if name.contains('/') {
        let file = wd.join(name);
        return match file.try_exists() {
            Ok(true) if usable(&file) => Ok(file),
            Ok(true) => Err(wrong("may not be executed")),
            Ok(false) | Err(_) => Err(wrong("does not exist")),
        };
    }
    let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    path.as_bytes()
        .split(|b| *b == b':')
        .map(|folder| wd.join(OsStr::from_bytes(folder)).join(name))
        .find(|file| !name.is_empty() && usable(file))
        .ok_or_else(|| wrong("is not found along PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::name::TaskName;
    use std::os::unix::fs::PermissionsExt;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(name: &str, content: &str, mode: u32) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(name), content).unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
            Self(folder)
        }

        fn task(&self, script: &str) -> Task {
            let name = TaskName::parse("t").unwrap();
            Task::new(name, Program::Script(script.into()), self.0.path().to_path_buf())
        }
    }

    #[track_caller]
    fn refused(task: &Task, says: &str) {
        let error = plan(task, std::env::var_os("PATH").as_deref()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        if !matches!(error, LaunchError::Unreadable { .. }) {
            assert!(error.hint(task).is_some());
        }
    }

    #[test]
    fn an_executable_script_is_run_as_it_is() {
        let folder = Folder::with("a.sh", "#!/bin/sh\n", 0o755);
        let file = folder.0.path().join("a.sh");
        let mut task = folder.task("a.sh");
        task.args = vec!["one".into()];
        let plan = plan(&task, None).unwrap();
        assert_eq!((plan.program, plan.argv), (file.clone(), vec![file.into(), "one".into()]));
    }

    #[test]
    fn a_script_without_execute_bit_goes_through_its_interpreter() {
        let folder = Folder::with("a", "#!/bin/sh -e\n", 0o644);
        let plan = plan(&folder.task("a"), None).unwrap();
        assert_eq!(plan.program, PathBuf::from("/bin/sh"));
        assert_eq!(plan.argv, ["/bin/sh".into(), "-e".into(), folder.0.path().join("a").into_os_string()]);
    }

    #[test]
    fn a_refusal_names_the_exact_reason() {
        let folder = Folder::with("a.sh", "#!/bin/sh\r\n", 0o755);
        refused(&folder.task("a.sh"), r"interpreter `/bin/sh\r` not found: the script has Windows line ends");
        refused(&folder.task("none.sh"), "none.sh` does not exist");
        refused(&folder.task("."), "is not a file");
        let folder = Folder::with("a", "#!/no/such/shell\n", 0o755);
        refused(&folder.task("a"), "its interpreter `/no/such/shell` does not exist");
        let folder = Folder::with("a", "echo", 0o644);
        refused(&folder.task("a"), "is not executable, has no `#!` line");
        refused(&Task { wd: "/no/such".into(), ..folder.task("a") }, "working directory `/no/such` does not exist");
        refused(&Task { wd: folder.0.path().join("a"), ..folder.task("a") }, "is not a directory");
        refused(&Task { program: Program::Command(vec!["no-such-prog".into()]), ..folder.task("a") }, "along PATH");
        refused(&Task { interpreter: Some(vec!["nonesuch".into()]), ..folder.task("a") }, "interpreter `nonesuch`");
    }

    #[test]
    fn a_command_is_found_along_path() {
        let folder = Folder::with("prog", "#!/bin/sh\n", 0o755);
        let task = Task { program: Program::Command(vec!["prog".into(), "x".into()]), ..folder.task("") };
        let plan = plan(&task, Some(folder.0.path().as_os_str())).unwrap();
        assert_eq!((plan.program, plan.argv), (folder.0.path().join("prog"), vec!["prog".into(), "x".into()]));
    }
}
