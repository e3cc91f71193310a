//! What a script inherits: the variables, umask and limits of the command that made its job, and how its own
//! variables are laid over them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::proc;
use crate::domain::name::{JobId, RunId};
use crate::domain::task::Task;

/// The variable by which processes of a run are recognised.
pub const RUN_ID: &str = "JOBEXEC_RUN_ID";

/// The variable that says which attempt at its job a run is.
pub const ATTEMPT: &str = "JOBEXEC_ATTEMPT";

/// The executor's id, under the name that executoR gave it.
pub const EXECUTOR_ID: &str = "EXECUTOR_ID";

/// The same under our own name.
pub const EXEC_ID: &str = "JOBEXEC_EXEC_ID";

/// The prefix of all variables that are set anew for each run.
pub const PREFIX: &str = "JOBEXEC_";

/// Bytes of variables, as the kernel has them: no text is assumed.
pub type Variables = BTreeMap<OsString, OsString>;

/// What a run's script is told of itself: the variables that are set anew for each run.
#[derive(Debug, Clone, Copy)]
pub struct RunTags<'a> {
    /// The executor's id.
    pub exec_id: &'a str,
    /// The executor's folder.
    pub folder: &'a Path,
    /// The task; empty for a command of its own.
    pub task: &'a str,
    /// The job.
    pub job: JobId,
    /// Which attempt at the job it is, from 1.
    pub attempt: u32,
    /// The run; none for what is no run of the job, and must not be taken for a part of one.
    pub run: Option<RunId>,
    /// The name of the run of a study that it belongs to; empty for none.
    pub run_name: &'a str,
    /// The job's work directory.
    pub workdir: &'a Path,
}

impl RunTags<'_> {
    /// Lays them over what the script has.
    pub fn lay_over(&self, variables: &mut Variables) {
        let tags: [(&str, OsString); 8] = [
            (EXECUTOR_ID, self.exec_id.into()),
            (EXEC_ID, self.exec_id.into()),
            ("JOBEXEC_FOLDER", self.folder.into()),
            ("JOBEXEC_TASK", self.task.into()),
            ("JOBEXEC_JOB_ID", self.job.to_string().into()),
            (ATTEMPT, self.attempt.to_string().into()),
            ("JOBEXEC_RUN_NAME", self.run_name.into()),
            ("JOBEXEC_WORKDIR", self.workdir.into()),
        ];
        variables.extend(tags.map(|(key, value)| (key.into(), value)));
        variables.extend(self.run.map(|run| (RUN_ID.into(), run.to_string().into())));
    }
}

/// What a process hands on to its children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    /// The file mode creation mask.
    pub umask: u32,
    /// Soft and hard limits, in the order of `LIMITS`.
    pub limits: Vec<(u64, u64)>,
}

/// The limits that a script gets back.
const LIMITS: [Resource; 10] = [
    Resource::RLIMIT_AS,
    Resource::RLIMIT_CORE,
    Resource::RLIMIT_CPU,
    Resource::RLIMIT_DATA,
    Resource::RLIMIT_FSIZE,
    Resource::RLIMIT_MEMLOCK,
    Resource::RLIMIT_NOFILE,
    Resource::RLIMIT_NPROC,
    Resource::RLIMIT_RSS,
    Resource::RLIMIT_STACK,
];

impl Inherited {
    /// What this process would hand on.
    pub fn capture() -> Self {
        let variables = std::env::vars_os().map(|(k, v)| (k.into_vec(), v.into_vec())).collect();
        Self { variables, umask: umask(), limits: limits() }
    }

    /// The form in which it is stored with a job.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(io::Error::other)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        postcard::from_bytes(bytes).map_err(io::Error::other)
    }

    /// The variables without those that describe a run of ours.
    pub fn variables(&self) -> Variables {
        let ours = |key: &[u8]| key.starts_with(PREFIX.as_bytes()) || key == EXECUTOR_ID.as_bytes();
        let kept = self.variables.iter().filter(|(key, _)| !ours(key));
        kept.map(|(k, v)| (OsString::from_vec(k.clone()), OsString::from_vec(v.clone()))).collect()
    }
}

/// What a task's script sees besides what is set anew for each run: what it inherits, and its own variables over that.
pub fn of_task(task: &Task, inherited: &Inherited) -> Result<Variables, EnvFileError> {
    let mut variables = inherited.variables();
    if let Some(file) = &task.env_file {
        variables.extend(read_env_file(&task.wd.join(file))?);
    }
    variables.extend(task.env.iter().map(|(key, value)| (key.into(), value.into())));
    Ok(variables)
}

/// The umask of this process. Read from `/proc`, because asking for it otherwise means to change it.
pub fn umask() -> u32 {
    let mut buffer = [0; 4096];
    let status = proc::read("/proc/self/status", &mut buffer).unwrap_or_default();
    proc::word_after(status, "Umask:").and_then(|text| u32::from_str_radix(text, 8).ok()).unwrap_or(0o022)
}

/// How many descriptors this process may have.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

/// The limits of this process, in the order of `LIMITS`.
pub fn limits() -> Vec<(u64, u64)> {
    LIMITS.iter().map(|kind| getrlimit(*kind).unwrap_or((u64::MAX, u64::MAX))).collect()
}

/// How many descriptors a worker always has enough with.
const PLENTY: u64 = 64;

/// Whether this process has these limits. Its number of descriptors it takes on where it can do with so many: whoever
/// watches a thousand runs may have more of them than the scripts, and so has its worker.
pub fn shares(wanted: &[(u64, u64)]) -> bool {
    let mut own = limits();
    for ((kind, own), wanted) in LIMITS.iter().zip(&mut own).zip(wanted) {
        let fits = own.1 == wanted.1 && (PLENTY..own.0).contains(&wanted.0);
        if *kind == Resource::RLIMIT_NOFILE && fits && setrlimit(*kind, wanted.0, wanted.1).is_ok() {
            *own = *wanted;
        }
    }
    own == wanted
}

/// Sets umask and limits of this process. A hard limit that may not be raised is taken as high as it is.
pub fn adopt(mask: u32, wanted: &[(u64, u64)]) {
    nix::sys::stat::umask(Mode::from_bits_truncate(mask));
    for (kind, (soft, hard)) in LIMITS.iter().zip(wanted) {
        if setrlimit(*kind, *soft, *hard).is_err()
            && let Ok((_, ceiling)) = getrlimit(*kind)
        {
            let _ = setrlimit(*kind, (*soft).min(ceiling), ceiling);
        }
    }
}

/// What is wrong with an `env_file`.
#[derive(Debug, Error)]
pub enum EnvFileError {
    /// It cannot be read.
    #[error("cannot read the env_file `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line that is no assignment. The line is not shown: it may hold a secret.
    #[error("`{}`, line {line}: expected `NAME=value`", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

/// Reads a file of variables: `NAME=value` a line, `export` allowed in front, `#` begins a comment line, one pair
/// of quotes around a value is taken off, nothing is expanded. Values are secrets: they appear in no error.
pub fn read_env_file(path: &Path) -> Result<Variables, EnvFileError> {
    let bytes = fs::read(path).map_err(|source| EnvFileError::Io { path: path.to_path_buf(), source })?;
    let mut variables = Variables::new();
    for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (key, value) =
            assignment(line).ok_or_else(|| EnvFileError::Line { path: path.to_path_buf(), line: at + 1 })?;
        variables.insert(OsString::from_vec(key.to_vec()), OsString::from_vec(value.to_vec()));
    }
    Ok(variables)
}

fn assignment(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_prefix(b"export ").map_or(line, <[u8]>::trim_ascii_start);
    let at = line.iter().position(|b| *b == b'=')?;
    let (key, value) = (line.get(..at)?.trim_ascii_end(), line.get(at + 1..)?.trim_ascii_start());
    let plain = key.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    if key.is_empty() || !plain || key.first()?.is_ascii_digit() || value.contains(&0) {
        return None;
    }
    let unquoted =
        [b'"', b'\''].iter().find_map(|quote| value.strip_prefix(&[*quote]).and_then(|v| v.strip_suffix(&[*quote])));
    Some((key, unquoted.unwrap_or(value)))
}

/// Variables as the kernel takes them: `NAME=value`.
pub fn assignments(variables: &Variables) -> Vec<Vec<u8>> {
    variables.iter().map(|(key, value)| [key.as_bytes(), b"=", value.as_bytes()].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_captured_is_what_this_process_has() {
        let captured = Inherited::capture();
        assert_eq!(captured.variables().get(&OsString::from("PATH")), std::env::var_os("PATH").as_ref());
        let before = nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
        nix::sys::stat::umask(before);
        assert_eq!(captured.umask, before.bits());
        assert_eq!(captured.limits.len(), LIMITS.len());
        assert_eq!(Inherited::decode(&captured.encode().unwrap()).unwrap(), captured);
    }

    #[test]
    fn variables_of_an_outer_run_are_not_handed_on() {
        let variables = [("EXECUTOR_ID", "x"), ("JOBEXEC_RUN_ID", "y"), ("HOME", "/h")];
        let variables = variables.map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).to_vec();
        let inherited = Inherited { variables, umask: 0, limits: vec![] };
        assert_eq!(inherited.variables().into_keys().collect::<Vec<_>>(), ["HOME"]);
    }

    #[test]
    fn an_env_file_is_read_and_its_values_stay_out_of_errors() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("env");
        fs::write(&path, "# comment\n\nA=1\nexport B = \"two words\"\r\nC='x'\nD=a=b\nE=\n").unwrap();
        let read = read_env_file(&path).unwrap();
        let shown: Vec<_> = assignments(&read).into_iter().map(|l| String::from_utf8(l).unwrap()).collect();
        assert_eq!(shown, ["A=1", "B=two words", "C=x", "D=a=b", "E="]);
        fs::write(&path, "A=1\nmy secret\n").unwrap();
        let error = read_env_file(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
        fs::remove_file(&path).unwrap();
        assert!(matches!(read_env_file(&path), Err(EnvFileError::Io { .. })));
    }
}
