//! tail: what it shows, of which run, to whom.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::process::{Command, Stdio};

use super::super::env::{TestEnv, kill, until};
use super::{NUMBERED, numbered, run_numbered, run_to_end};

#[test]
fn the_last_lines_are_shown() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\nseq 200\nprintf end\n");
    env.ok(&["add", "A", "a.sh", "--once"]);
    assert_eq!(env.ok(&["tail", "A"]).out, "");
    run_to_end(&env, "A");
    let all: String = (1..=200).map(|i| format!("{i}\n")).collect::<String>() + "end";
    let last =
        |n: usize| all.split_inclusive('\n').rev().take(n).collect::<Vec<_>>().into_iter().rev().collect::<String>();
    assert_eq!(env.ok(&["tail", "A", "-n", "all"]).out, all);
    assert_eq!(env.ok(&["tail", "A"]).out, last(50));
    for n in [0, 1, 2, 3, 200, 201, 202, 100_000] {
        assert_eq!(env.ok(&["tail", "-n", &n.to_string(), "A"]).out, last(n), "{n}");
    }
}

#[test]
fn the_output_of_any_run_is_shown() {
    let env = TestEnv::new();
    env.script("a.sh", NUMBERED);
    env.ok(&["add", "A", "a.sh"]);
    for run in 1..=3 {
        run_numbered(&env, if run == 1 { "start" } else { "restart" }, run);
    }
    for (which, run) in [("1", 1), ("2", 2), ("3", 3), ("-1", 3), ("-3", 1)] {
        assert_eq!(env.ok(&["tail", "A", "-n", "all", "--run", which]).out, numbered(run), "{which}");
    }
    for which in ["0", "4", "-4"] {
        assert!(env.fails(4, &["tail", "A", "--run", which]).err.contains("has had 3"));
    }
    assert_eq!(env.ok(&["tail", "A", "--archives", "-n", "1"]).out, "run 1 line 50\nrun 2 line 50\nrun 3 line 50\n");
    env.ok(&["stop", "A"]);
}

#[test]
fn the_end_of_a_giant_is_found_without_reading_it() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\nexec sleep 600\n");
    env.ok(&["add", "A", "a.sh"]);
    env.ok(&["start", "A"]);
    let mut file = File::options().write(true).open(env.file("A.txt")).unwrap();
    file.seek(SeekFrom::Start(8 << 30)).unwrap();
    file.write_all(b"\nlast but one\nlast\n").unwrap();
    // The memory is limited, and eight gigabytes cannot be read within the time that tests wait for anything.
    let line = format!("ulimit -v 300000; exec {} tail A -n 2", env!("CARGO_BIN_EXE_jobexec"));
    let mut shell = Command::new("sh");
    env.clean(&mut shell);
    let output = shell.args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "last but one\nlast\n");
    let read = |name: &str| env.ok(&["tail", "A", "-n", name]).out;
    assert_eq!(read("1"), "last\n");
    env.ok(&["stop", "A"]);
}

#[test]
fn following_goes_on_across_restarts_with_every_line_once() {
    let env = TestEnv::new();
    env.script("a.sh", NUMBERED);
    env.ok(&["add", "A", "a.sh"]);
    run_numbered(&env, "start", 1);
    let seen = env.dir().join("seen");
    let mut tail = env
        .command(&["tail", "A", "-f", "-n", "all"])
        .stdout(File::create(&seen).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let shown = || fs::read_to_string(&seen).unwrap();
    until("the first run", || shown() == numbered(1));
    for run in 2..=8 {
        run_numbered(&env, "restart", run);
    }
    let all: String = (1..=8).map(numbered).collect();
    until("the last run", || shown().len() >= all.len());
    assert_eq!(shown(), all);
    env.ok(&["stop", "A"]);
    kill(i32::try_from(tail.id()).unwrap(), 15);
    tail.wait().unwrap();
    assert_eq!(shown(), all);
}

#[test]
fn following_waits_for_a_first_start() {
    let env = TestEnv::new();
    env.script("a.sh", NUMBERED);
    env.ok(&["add", "A", "a.sh"]);
    let seen = env.dir().join("seen");
    let mut tail =
        env.command(&["tail", "-f", "A"]).stdout(File::create(&seen).unwrap()).stderr(Stdio::null()).spawn().unwrap();
    run_numbered(&env, "start", 1);
    until("the run", || fs::read_to_string(&seen).unwrap() == numbered(1));
    env.ok(&["stop", "A"]);
    kill(i32::try_from(tail.id()).unwrap(), 15);
    tail.wait().unwrap();
}

#[test]
fn several_tasks_are_told_apart() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\necho one\necho two\n");
    env.script("b.sh", "#!/bin/sh\nprintf 'three\\nfour'\n");
    env.ok(&["add", "A", "a.sh", "--once"]);
    env.ok(&["add", "Longer", "b.sh", "--once"]);
    run_to_end(&env, "A");
    run_to_end(&env, "Longer");
    let said = env.ok(&["tail", "A", "Longer"]);
    assert_eq!(said.out, "A      | one\nA      | two\nLonger | three\nLonger | four\n");
}

#[test]
fn a_pipe_gets_every_byte() {
    let env = TestEnv::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).chain(*b"\x1b[2J\x1b]0;title\x07\xff\r\n no end").collect();
    fs::write(env.dir().join("bytes"), &bytes).unwrap();
    env.ok(&["add", "A", "--once", "--", "cat", "bytes"]);
    run_to_end(&env, "A");
    let output = env.command(&["tail", "A", "-n", "all"]).output().unwrap();
    assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
    assert_eq!(fs::read(env.file("A.txt")).unwrap(), bytes);
}

/// Runs a command under a pseudo-terminal; everything that the terminal gets.
fn on_terminal(env: &TestEnv, args: &[&str]) -> Vec<u8> {
    let code = "import pty, sys\nsys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let mut python = Command::new("python3");
    env.clean(&mut python);
    let python = python.args(["-c", code, env!("CARGO_BIN_EXE_jobexec")]).args(args);
    python.env("TERM", "xterm-256color").output().unwrap().stdout
}

/// What is left of a text when colours are taken away; panics at any other escape.
#[track_caller]
fn without_colours(bytes: &[u8]) -> String {
    let mut rest = String::from_utf8(bytes.to_vec()).unwrap();
    while let Some(at) = rest.find('\x1b') {
        let after = rest[at..].strip_prefix("\x1b[").unwrap_or_else(|| panic!("an escape in {rest:?}"));
        let end = after.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':').unwrap();
        assert_eq!(after.as_bytes()[end], b'm', "{rest:?}");
        rest = rest[..at].to_owned() + &after[end + 1..];
    }
    let harmless = rest.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    assert!(harmless, "{rest:?}");
    rest
}

#[test]
fn a_terminal_gets_colours_and_no_other_escape() {
    let env = TestEnv::new();
    let evil = b"\x1b[31mred\x1b[0m\n\x1b[2Jcleared\n\x1b]0;title\x07named\n\x1b]52;c;cm0gLXJm\x07pasted\n\x1bc\x1b[?1049halt\n\
        \x1b[6nasked\n\x9b31mc1\nbell\x07\n50%\r100%\n\x1bP$q q\x1b\\dcs\n\xe2\x80\xaebidi\nend\n";
    fs::write(env.dir().join("evil"), evil).unwrap();
    env.ok(&["add", "A", "--once", "--", "cat", "evil"]);
    run_to_end(&env, "A");
    let shown = on_terminal(&env, &["tail", "A"]);
    assert!(shown.windows(5).any(|window| window == b"\x1b[31m"), "colours pass");
    let text = without_colours(&shown);
    for word in ["red", "cleared", "named", "pasted", "alt", "asked", "dcs", "end"] {
        assert!(text.lines().any(|line| line.contains(word)), "{word} is not in {text:?}");
    }
    assert!(!text.contains("title") && !text.contains('\u{202e}') && !text.contains("50%"), "{text:?}");
    // What failed shows its last lines elsewhere too.
    env.ok(&["add", "B", "--once", "--shell", "cat evil; exit 1"]);
    run_to_end(&env, "B");
    for args in [&["status", "B"][..], &["explain", "B"], &["history", "B"], &["status"], &["list"], &["log"]] {
        without_colours(&on_terminal(&env, args));
        without_colours(&env.command(args).output().unwrap().stdout);
    }
}

#[test]
fn a_terminal_gets_no_endless_line() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--once", "--shell", "head -c 300000 /dev/zero | tr '\\0' x; echo; echo end"]);
    run_to_end(&env, "A");
    let text = without_colours(&on_terminal(&env, &["tail", "A"]));
    assert!(text.len() < 5000 && text.contains("… [+") && text.ends_with("end\r\n"), "{} bytes", text.len());
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--once", "--", "seq", "1000000"]);
    for _ in 0..3 {
        run_to_end(&env, "A");
    }
    for args in [
        "tail A -n all",
        "tail A -n all --archives",
        "tail A -f -n all",
        "history A",
        "status",
        "list",
        "log",
        "show A",
        "status --json",
    ] {
        for reader in ["head -1", "true"] {
            let line = format!("{} {args} | {reader}", env!("CARGO_BIN_EXE_jobexec"));
            let mut shell = Command::new("sh");
            env.clean(&mut shell);
            let output = shell.args(["-c", &line]).output().unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
            assert_eq!(err, "", "{line}");
            assert!(output.stdout.iter().filter(|byte| **byte == b'\n').count() <= 1);
        }
    }
    assert_eq!(env.processes(), [0_i32; 0]);
}
