//! What lies on another machine: `rsync` over `ssh`, both as the job's owner has set them up.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::TransferError;
use super::nest::PREFIX;

/// Nobody is there to answer a question, and who cannot be reached is tried again. `$RSYNC_RSH` takes its place.
const SHELL: &str = "ssh -o BatchMode=yes -o ConnectTimeout=30";

/// How long the other side may be silent, in seconds.
const SILENCE: &str = "--timeout=120";

/// Brings a file or directory into a nest, going on with what an earlier attempt has left there; where it is.
pub(super) fn bring(host: &str, path: &str, nest: &Path, recursive: bool) -> Result<PathBuf, TransferError> {
    let path = match path.trim_end_matches('/') {
        "" => path,
        trimmed => trimmed,
    };
    let remote = format!("{host}:{path}");
    let into = nest.join("");
    run(recursive, &["--inplace"], [OsStr::new(&remote), into.as_os_str()])?;
    let payload = nest.join(path.rsplit('/').next().unwrap_or(path));
    // Without being told to take directories rsync leaves them out and is content.
    if payload.symlink_metadata().is_err() { Err(TransferError::Directory(remote)) } else { Ok(payload) }
}

/// Takes a file or directory to another machine, where each file gets its name when all have arrived.
pub(super) fn take(source: &Path, host: &str, path: &str, recursive: bool) -> Result<(), TransferError> {
    let found = std::fs::metadata(source).map_err(TransferError::io("find", source))?;
    if found.is_dir() && !recursive {
        return Err(TransferError::Directory(source.display().to_string()));
    }
    // What the directory holds goes into the one that is named; into one that ends with a slash it goes by its name.
    let (source, path) = if found.is_dir() && !path.ends_with('/') {
        (source.join(""), format!("{path}/"))
    } else {
        (source.to_path_buf(), path.to_owned())
    };
    let remote = format!("{host}:{path}");
    let exclude = format!("--exclude={PREFIX}*");
    run(recursive, &["--mkpath", "--delay-updates", &exclude], [source.as_os_str(), OsStr::new(&remote)])
}

fn run(recursive: bool, options: &[&str], ends: [&OsStr; 2]) -> Result<(), TransferError> {
    let form: &[&str] = if recursive { &["-rlpt"] } else { &["-ptL"] };
    let mut command = Command::new("rsync");
    command.args(form).args(["-s", SILENCE]).args(options);
    if std::env::var_os("RSYNC_RSH").is_none_or(|shell| shell.is_empty()) {
        command.args([OsString::from("-e"), OsString::from(SHELL)]);
    }
    command.arg("--").args(ends).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
    let ended = match command.stderr(Stdio::piped()).output() {
        Ok(ended) => ended,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(TransferError::NoRsync),
        Err(error) => return Err(TransferError::io("run", Path::new("rsync"))(error)),
    };
    if ended.status.success() {
        return Ok(());
    }
    let how = match (ended.status.code(), ended.status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    Err(TransferError::Rsync { how, code: ended.status.code(), said: cause(&said) })
}

/// The line that says what went wrong: the first that rsync itself says, apart from what follows from it; else what
/// others say before rsync sums up.
fn cause(said: &str) -> String {
    let follows = |line: &str| {
        line.starts_with("rsync error:")
            || line.contains("connection unexpectedly closed")
            || line.contains("write error")
    };
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let own = lines().find(|line| line.starts_with("rsync: ") && !follows(line));
    let line = own.or_else(|| lines().rev().find(|line| !follows(line))).or_else(|| lines().next_back());
    line.unwrap_or("it said nothing").chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_what_stands_before_the_summary() {
        let said = "rsync: [sender] link_stat \"/x\" failed: No such file or directory (2)\n\
                    rsync error: some files could not be transferred (code 23) at main.c(1865) [Receiver=3.2.7]\n";
        assert_eq!(cause(said), "rsync: [sender] link_stat \"/x\" failed: No such file or directory (2)");
        let said = "ssh: connect to host x: Connection refused\nrsync: connection unexpectedly closed (0 bytes)\nrsync error: x\n";
        assert_eq!(cause(said), "ssh: connect to host x: Connection refused");
        assert_eq!(cause("rsync error: timeout\n"), "rsync error: timeout");
        assert_eq!(cause(""), "it said nothing");
    }
}
