//! What is told of tasks: status, log, history, explain, in tables, words and JSON.

mod explain;
mod history;
mod jobs;
mod json;
mod log;
mod screen;
mod seed;
mod states;
mod words;

use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Command, Stdio};

use crate::suite::env::TestEnv;

/// Runs the binary under a terminal of so many columns; what it wrote there, standard error included.
pub(super) fn on_terminal(env: &TestEnv, columns: u16, variables: &[(&str, &str)], args: &[&str]) -> String {
    let script = "
import fcntl, os, pty, struct, subprocess, sys, termios
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 50, int(sys.argv[1]), 0, 0))
child = subprocess.Popen(sys.argv[2:], stdin=slave, stdout=slave, stderr=slave)
os.close(slave)
while True:
    try:
        data = os.read(master, 65536)
    except OSError:
        break
    if not data:
        break
    os.write(1, data)
sys.exit(child.wait())
";
    let mut command = Command::new("python3");
    env.clean(&mut command);
    command.args(["-c", script, &columns.to_string(), env!("CARGO_BIN_EXE_jobexec")]).args(args);
    command.env("TERM", "xterm-256color").envs(variables.iter().copied()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3 is needed by this test");
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    child.wait().unwrap();
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

/// A text without the sequences that only colour it.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain += before;
        let end = after.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        assert!(after[end..].starts_with('m'), "more than colour: {after:?}");
        rest = &after[end + 1..];
    }
    plain + rest
}

/// The keys of an object.
#[track_caller]
fn keys(object: &serde_json::Value) -> BTreeSet<&str> {
    object.as_object().unwrap_or_else(|| panic!("{object} is no object")).keys().map(String::as_str).collect()
}
