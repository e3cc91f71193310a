//! The text of the unit, and what can be read back from it. Pure: it knows systemd's syntax, and no file.
//!
//! The syntax is that of systemd.syntax(7), systemd.service(5) ("Command lines") and systemd.unit(5) ("Specifiers"),
//! as far back as systemd 239; newer settings are ignored by an older one, with a line in its log.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::domain::amount::print_duration;

/// The first line of a unit that is ours. Without it a file is somebody else's.
pub const MARKER: &str = "# Written by `jobexec service install`, which replaces this file when it runs again.";

/// The unit of the default folder.
pub const PLAIN_NAME: &str = "jobexec.service";

/// The longest readable part of a unit's name.
const READABLE: usize = 40;

/// Why a unit cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    /// Unit files are UTF-8.
    #[error("{what} is not valid UTF-8, which systemd needs it to be: `{}`", value.display())]
    NotText {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: PathBuf,
    },
    /// systemd has no way to write it.
    #[error("systemd does not take {what} that has {why}: `{}`", value.display())]
    Unwritable {
        /// What it is.
        what: &'static str,
        /// What is in it.
        why: &'static str,
        /// Its value.
        value: PathBuf,
    },
}

/// What a unit is made from.
#[derive(Debug, Clone)]
pub struct Unit<'a> {
    /// Our binary, absolute.
    pub program: &'a Path,
    /// The executor's folder, absolute.
    pub folder: &'a Path,
    /// The search path of the shell that installs it.
    pub search: Option<&'a OsStr>,
    /// The supervisor's `--sleep`.
    pub sleep: Option<Duration>,
}

/// What a unit of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The binary that it runs.
    pub program: PathBuf,
    /// The executor's folder.
    pub folder: PathBuf,
    /// The search path in it.
    pub search: Option<String>,
}

impl Unit<'_> {
    /// The text of the unit.
    pub fn render(&self) -> Result<String, UnitError> {
        let program = program(self.program)?;
        let folder = text("a folder", self.folder)?;
        let directory = directory(self.folder)?;
        let mut line = vec![program, "--folder".to_owned(), argument(folder), "keep-restarting".to_owned()];
        if let Some(sleep) = self.sleep {
            line.extend(["--sleep".to_owned(), print_duration(sleep)]);
        }
        let line = line.join(" ");
        let search = match self.search {
            Some(search) => {
                let search = text("a PATH", Path::new(search))?;
                let assignment = quoted(&format!("PATH={search}"));
                format!("# Of the shell that installed this: systemd's own finds less.\nEnvironment={assignment}\n")
            }
            None => String::new(),
        };
        Ok(format!(
            "{MARKER}\n\
             # Changes of your own are kept in a drop-in file: `systemctl --user edit` makes one.\n\
             [Unit]\n\
             Description=jobexec, keeping the tasks of {directory} running\n\
             # However often it fails, it is tried again.\n\
             StartLimitIntervalSec=0\n\
             \n\
             [Service]\n\
             Type=exec\n\
             ExecStart={line}\n\
             # Where this is missing (not mounted yet), no empty folder is made in its place.\n\
             WorkingDirectory={directory}\n\
             {search}\
             # Only the supervisor is ended: tasks go on, and the next supervisor takes them over.\n\
             KillMode=process\n\
             # A task that runs out of memory does not take the supervisor along.\n\
             OOMPolicy=continue\n\
             # Whatever its exit code: while another supervisor has the folder (exit code 5), this one stands by.\n\
             Restart=always\n\
             RestartSec=10s\n\
             TimeoutStopSec=30s\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n"
        ))
    }
}

/// What a unit says; `None` where it is not one of ours.
pub fn read(text: &str) -> Option<Written> {
    if text.lines().next() != Some(MARKER) {
        return None;
    }
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let program = words(value("ExecStart=")?).into_iter().next()?;
    let folder = value("WorkingDirectory=")?.replace("%%", "%");
    let search = value("Environment=").and_then(|value| words(value).into_iter().next());
    let search = search.and_then(|word| word.strip_prefix("PATH=").map(str::to_owned));
    Some(Written { program: program.into(), folder: folder.into(), search })
}

/// The name of the unit of a folder that is not the default one: the folder's last part, for people, and a number
/// that is made from the whole path, so that the same folder always has the same name and no other folder has it.
pub fn name(folder: &Path) -> String {
    let last = folder.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let readable: String = last.chars().take(READABLE).map(plain).collect();
    format!("jobexec-{readable}-{:016x}.service", fnv1a(folder.as_os_str().as_encoded_bytes()))
}

/// FNV-1a with 64 bits. It must never change: installed units are found by it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn text<'a>(what: &'static str, value: &'a Path) -> Result<&'a str, UnitError> {
    value.to_str().ok_or_else(|| UnitError::NotText { what, value: value.to_path_buf() })
}

/// The program of a command line. systemd refuses quotes, backslashes and control characters in it however they are
/// written, and does not look for variables there: `$` stays as it is.
fn program(path: &Path) -> Result<String, UnitError> {
    let what = "a program";
    let text = text(what, path)?;
    let unwritable = |why| Err(UnitError::Unwritable { what, why, value: path.to_path_buf() });
    if text.contains(['"', '\'', '\\']) {
        return unwritable("a quote or a backslash in its path");
    }
    if text.contains(char::is_control) {
        return unwritable("a control character in its path");
    }
    Ok(quoted(text))
}

/// A path in a setting that is taken as it stands, but for specifiers: there are no quotes and no escapes.
fn directory(path: &Path) -> Result<String, UnitError> {
    let what = "a folder";
    let text = text(what, path)?;
    let unwritable = |why| Err(UnitError::Unwritable { what, why, value: path.to_path_buf() });
    if text.contains(char::is_control) {
        return unwritable("a control character in its path");
    }
    if text.ends_with('\\') || text.ends_with(char::is_whitespace) {
        return unwritable("a backslash or a space at its end");
    }
    Ok(text.replace('%', "%%"))
}

/// An argument of a command line, where variables are looked for as well.
fn argument(word: &str) -> String {
    quoted(&word.replace('$', "$$"))
}

/// A word, in double quotes where systemd would take it apart.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@$".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.push_str("%%"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The words of a line that was written by [`quoted`], as they were.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut inside = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                inside = !inside;
                word.get_or_insert_default();
            }
            ' ' if !inside => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next().map(|c| match c {
                'n' => '\n',
                't' => '\t',
                other => other,
            })),
            '%' => {
                chars.next();
                word.get_or_insert_default().push('%');
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests;
