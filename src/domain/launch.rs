//! How a script is run: chosen from its interpreter, its first bytes, its execute bit and its extension.
//!
//! Reading the file and looking for programs is done elsewhere.

use thiserror::Error;

/// How many of a script's first bytes are enough: the kernel reads no longer `#!` line (Linux 5.1).
pub const HEAD: usize = 256;

/// What the words of a run are made of, the script itself left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The script is executed as it is. An interpreter that its first line names must exist.
    Direct {
        /// The program behind `#!`.
        interpreter: Option<String>,
    },
    /// The script is handed to these words.
    Through(Vec<String>),
}

/// Why a script cannot be run as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WayError {
    /// No execute bit, no `#!`, no known extension.
    #[error("it is not executable, has no `#!` line and no extension that says what runs it")]
    Unknown,
    /// Execute bit, but neither a program nor `#!`.
    #[error("it is executable but neither a program nor a script with a `#!` line")]
    NoFormat,
    /// A program without execute bit.
    #[error("it is a program without the execute bit")]
    NotExecutable,
    /// A `#!` line that names nothing.
    #[error("its `#!` line names no interpreter")]
    EmptyShebang,
    /// A `#!` line that ends with a carriage return, which the kernel takes for part of the interpreter's name.
    #[error("interpreter `{0}\\r` not found: the script has Windows line ends (CRLF)")]
    CarriageReturn(String),
    /// A byte order mark in front of `#!`.
    #[error("its `#!` line is hidden behind a byte order mark")]
    ByteOrderMark,
}

impl WayError {
    /// What to do about it.
    pub fn hint(&self, script: &str) -> String {
        match self {
            Self::Unknown => format!("add a first line such as `#!/bin/sh`, or set `interpreter` for `{script}`"),
            Self::NoFormat | Self::EmptyShebang => "add a first line such as `#!/bin/sh`".to_owned(),
            Self::NotExecutable => format!("run `chmod +x {script}`"),
            Self::CarriageReturn(_) => format!("run `sed -i 's/\\r$//' {script}`"),
            Self::ByteOrderMark => format!("run `sed -i '1s/^\\xEF\\xBB\\xBF//' {script}`"),
        }
    }
}

/// The program for scripts that say nothing else, by extension.
fn by_extension(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "R" | "r" => "Rscript",
        "py" => "python3",
        "sh" => "sh",
        "bash" => "bash",
        "pl" => "perl",
        "rb" => "ruby",
        "js" => "node",
        "jl" => "julia",
        _ => return None,
    })
}

/// Chooses how to run a script.
///
/// `head` is at most its first [`HEAD`] bytes, `executable` whether we may execute it, `extension` what follows the
/// last dot of its file name.
pub fn choose(
    interpreter: Option<&[String]>,
    head: &[u8],
    executable: bool,
    extension: Option<&str>,
) -> Result<Way, WayError> {
    if let Some(words) = interpreter {
        return Ok(Way::Through(words.to_vec()));
    }
    if head.starts_with(b"\x7fELF") {
        return if executable { Ok(Way::Direct { interpreter: None }) } else { Err(WayError::NotExecutable) };
    }
    if head.starts_with(b"\xef\xbb\xbf#!") {
        return Err(WayError::ByteOrderMark);
    }
    if let Some(rest) = head.strip_prefix(b"#!") {
        let (program, argument) = shebang(rest)?;
        return Ok(if executable {
            Way::Direct { interpreter: Some(program) }
        } else {
            Way::Through(std::iter::once(program).chain(argument).collect())
        });
    }
    if let Some(program) = extension.and_then(by_extension) {
        return Ok(Way::Through(vec![program.to_owned()]));
    }
    Err(if executable { WayError::NoFormat } else { WayError::Unknown })
}

/// Splits what follows `#!` as the kernel does: the interpreter, and the rest of the line as one argument.
fn shebang(rest: &[u8]) -> Result<(String, Option<String>), WayError> {
    let line = rest.split(|b| *b == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let body = text.trim_matches([' ', '\t']);
    if let Some(before) = body.strip_suffix('\r') {
        // The kernel would take the carriage return for the last character of what it reads.
        return Err(WayError::CarriageReturn(before.to_owned()));
    }
    let (program, argument) = match body.split_once([' ', '\t']) {
        Some((program, argument)) => (program, Some(argument.trim_start_matches([' ', '\t']).to_owned())),
        None => (body, None),
    };
    if program.is_empty() { Err(WayError::EmptyShebang) } else { Ok((program.to_owned(), argument)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, executable: bool, extension: Option<&str>, expected: &Result<Way, WayError>) {
        assert_eq!(&choose(None, head.as_bytes(), executable, extension), expected);
    }

    #[expect(clippy::unnecessary_wraps, reason = "what it is compared with is a result")]
    fn through(words: &[&str]) -> Result<Way, WayError> {
        Ok(Way::Through(words.iter().map(|w| (*w).to_owned()).collect()))
    }

    #[test]
    fn a_given_interpreter_wins() {
        let words = ["python3".to_owned(), "-u".to_owned()];
        assert_eq!(choose(Some(&words), b"#!/bin/sh", true, Some("sh")), Ok(Way::Through(words.to_vec())));
    }

    #[test]
    fn the_first_bytes_come_before_the_extension() {
        check("\x7fELF", true, Some("py"), &Ok(Way::Direct { interpreter: None }));
        check("#!/bin/sh\n", true, Some("py"), &Ok(Way::Direct { interpreter: Some("/bin/sh".into()) }));
        check("#! /usr/bin/env  python3 -u\nx", false, Some("sh"), &through(&["/usr/bin/env", "python3 -u"]));
        check("#!/bin/sh", false, None, &through(&["/bin/sh"]));
        check("print(1)", false, Some("py"), &through(&["python3"]));
        check("print(1)", true, Some("R"), &through(&["Rscript"]));
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        check("echo", false, None, &Err(WayError::Unknown));
        check("echo", true, Some("txt"), &Err(WayError::NoFormat));
        check("\x7fELF", false, None, &Err(WayError::NotExecutable));
        check("#!\n", true, None, &Err(WayError::EmptyShebang));
        check("#!/bin/sh\r\necho", true, Some("sh"), &Err(WayError::CarriageReturn("/bin/sh".into())));
        check("\u{feff}#!/bin/sh\n", true, None, &Err(WayError::ByteOrderMark));
    }
}
