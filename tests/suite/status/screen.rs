//! What reaches a terminal, and what a pipe: widths, colours, control characters, readers that leave.

use std::process::Stdio;

use super::{on_terminal, plain};
use crate::suite::env::{TestEnv, until};

/// What prints tables.
const TABLES: [&str; 10] = [
    "",
    "status",
    "status --usage",
    "status --next-run",
    "status A B",
    "list",
    "history A",
    "history B",
    "next --from 2030-01-01T00:00:00Z",
    "next --plan 24h",
];

/// Tasks with everything that makes a table wide.
fn wide() -> TestEnv {
    let env = TestEnv::new();
    let long = "x".repeat(300);
    env.ok(&[
        "add",
        "A",
        "--env",
        &format!("LONG={long}"),
        "--once",
        "--now",
        "--",
        "sh",
        "-c",
        &format!("echo {long}; exit 3"),
    ]);
    env.ok(&["add", "B", "--now", "--", "sh", "-c", &format!("echo äöü {long}; exec sleep 60")]);
    env.ok(&[
        "add",
        &"n".repeat(60),
        "--env",
        "SYMBOL=日本語",
        "--period",
        "2 min",
        "--start",
        "2021-02-27 12:50:00",
        "--",
        "true",
    ]);
    env.ok(&["start", &"n".repeat(60)]);
    until("its end", || env.state("A") == "failed");
    env
}

/// Columns that a character takes, roughly: the wide ones of the tests are CJK.
fn columns(line: &str) -> usize {
    line.chars().map(|c| if ('\u{2e80}'..'\u{ffff}').contains(&c) { 2 } else { 1 }).sum()
}

#[test]
fn no_table_is_wider_than_its_terminal() {
    let env = wide();
    for (terminal, variables, limit) in [
        (80, &[][..], 80),
        (200, &[], 200),
        (200, &[("COLUMNS", "80")], 80),
        (80, &[("COLUMNS", "200")], 200),
        (40, &[], 40),
    ] {
        for line in TABLES {
            let args: Vec<&str> = line.split_whitespace().collect();
            let out = plain(&on_terminal(&env, terminal, variables, &args));
            for row in out.lines().filter(|row| !row.starts_with('#') && !row.starts_with("note: ")) {
                assert!(columns(row) <= limit, "{line:?} at {limit}: {} columns: {row:?}", columns(row));
            }
            if limit >= 80 && !line.starts_with("history") && !line.starts_with("next") {
                assert!(out.lines().any(|row| row.starts_with("A ") || row.contains("  A  ")), "{line:?}: {out}");
            }
        }
    }
    env.ok(&["stop", "B"]);
}

#[test]
fn columns_without_room_are_named() {
    let env = wide();
    let out = plain(&on_terminal(&env, 60, &[], &["list"]));
    let note = out.lines().last().unwrap();
    assert!(note.starts_with("# ") && note.contains("env"), "{out}");
    let piped = env.ok(&["list"]);
    assert!(piped.out.contains(&"x".repeat(300)) && piped.err.is_empty(), "a pipe gets everything");
    env.ok(&["stop", "B"]);
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let env = wide();
    let coloured = on_terminal(&env, 100, &[], &["status"]);
    assert!(coloured.contains("\x1b["), "{coloured:?}");
    for line in ["status", "status A", "list", "history A", "show A", "explain A", "log", "status NOPE", "tail B"] {
        let args: Vec<&str> = line.split(' ').collect();
        let quiet = on_terminal(&env, 100, &[("NO_COLOR", "1")], &args);
        assert!(!quiet.contains('\x1b'), "{line}: {quiet:?}");
        let dumb = on_terminal(&env, 100, &[("TERM", "dumb")], &args);
        assert!(!dumb.contains('\x1b'), "{line} on a dumb terminal: {dumb:?}");
        let piped = env.run(&args);
        assert!(!piped.out.contains('\x1b') && !piped.err.contains('\x1b'), "{line}: {piped:?}");
    }
    assert!(plain(&coloured).contains("unsupervised") || plain(&coloured).contains("failed"), "the word is there too");
    env.ok(&["stop", "B"]);
}

#[test]
fn control_characters_command_no_terminal() {
    let env = TestEnv::new();
    let evil = "\x1b]0;owned\x07\x1b[2J\x1b[31m\r\u{9b}31m\u{202e}";
    env.ok(&[
        "add",
        "A",
        "--once",
        "--env",
        &format!("E={evil}"),
        "--tag",
        &format!("t={evil}"),
        "--",
        "printf",
        "%s\\n",
        evil,
    ]);
    let said = env.ok(&["add", "A", "--", "echo", evil]);
    assert!(!said.err.contains(['\x1b', '\x07', '\u{9b}']), "{said:?}");
    env.ok(&["start", "A"]);
    until("its end", || env.state("A") == "finished");
    let log = env.read("A.txt");
    assert_eq!(log, format!("{evil}\n"), "the script got what was typed");
    for line in ["status", "status A", "list", "show A", "history A", "log", "explain A", "check"] {
        let args: Vec<&str> = line.split(' ').collect();
        let piped = env.run(&args);
        for text in [&piped.out, &piped.err] {
            assert!(!text.contains(['\x1b', '\x07', '\r', '\u{9b}']), "{line}: {text:?}");
        }
        let shown = plain(&on_terminal(&env, 200, &[], &args));
        assert!(!shown.contains(['\x1b', '\x07', '\r', '\u{9b}']), "{line}: {shown:?}");
    }
    assert_eq!(env.json(&["show", "A"])["env"]["E"], evil, "JSON says what it is");
    assert!(!env.run(&["show", "A", "--json"]).out.contains(['\x1b', '\x07']), "in an escaped form");
    for line in [&["show", evil][..], &["frobnicate", evil], &["-f", evil, "status", "NOPE"]] {
        let said = env.run(line);
        assert!(!said.err.contains(['\x1b', '\x07', '\u{9b}']), "{said:?}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let env = wide();
    for line in [
        "",
        "status",
        "status A",
        "list",
        "show A",
        "history A",
        "log",
        "tail B",
        "tail B -n all",
        "explain A",
        "--help",
        "add --help",
        "completions bash",
        "man",
        "status --json",
        "list --json",
        "log -f",
        "status --watch",
        "tail B -f",
    ] {
        let args: Vec<&str> = line.split_whitespace().collect();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = env.command(&args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(err, "", "{line:?}");
        assert!(matches!(output.status.code(), Some(0 | 3)), "{line:?}: {:?}", output.status);
    }
    env.ok(&["stop", "B"]);
}

#[test]
fn a_full_device_is_an_error() {
    let env = wide();
    for line in ["status", "list", "show A", "history A", "log", "list --json", "tail B"] {
        let args: Vec<&str> = line.split(' ').collect();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = env.command(&args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{line}: {err}");
        assert!(err.starts_with("error: ") && err.contains("No space left"), "{line}: {err}");
    }
    env.ok(&["stop", "B"]);
}
