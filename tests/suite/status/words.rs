//! Exit codes and the wording of errors.

use crate::suite::env::{Said, TestEnv};

/// STYLE: lower case, no final full stop, hints as imperatives, nothing on standard output.
#[track_caller]
fn well_worded(said: &Said) {
    assert_eq!(said.out, "", "{said:?}");
    let first = said.err.lines().next().unwrap_or_else(|| panic!("nothing was said: {said:?}"));
    let text = first.strip_prefix("error: ").unwrap_or_else(|| panic!("{first:?}"));
    assert!(!text.chars().next().unwrap().is_uppercase(), "{first:?}");
    for line in said.err.lines() {
        assert!(!line.ends_with('.') || line.ends_with("…"), "{line:?}");
        for word in ["Os {", "Some(", "Err(", "kind:", "panicked", "ErrorCode", "Error code"] {
            assert!(!line.contains(word), "{line:?}");
        }
    }
}

#[test]
fn errors_of_every_kind() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "sleep", "60"]);
    env.ok(&["add", "gone", "gone.sh"]);
    env.ok(&["start", "A"]);
    for (code, line) in [
        (4, "status NOPE"),
        (4, "start NOPE"),
        (4, "tail A --run 9"),
        (4, "history NOPE"),
        (2, "show a/b"),
        (2, "add X"),
        (2, "edit A"),
        (2, "edit A --unset nope"),
        (2, "edit A --timeout soon"),
        (2, "edit A --period day --restart always"),
        (2, "tail A -n x"),
        (2, "init --exec-id other"),
        (5, "remove A"),
        (1, "start gone"),
        (2, "-f /dev/null status"),
        (1, "-f /proc/nowhere init"),
    ] {
        let said = env.fails(code, &line.split(' ').collect::<Vec<_>>());
        well_worded(&said);
    }
    env.ok(&["stop", "A"]);
}

#[test]
fn what_cannot_be_parsed_is_exit_2() {
    let env = TestEnv::new();
    for line in [
        "frobnicate",
        "--frobnicate",
        "status --frobnicate",
        "start",
        "stop",
        "restart",
        "start A --all",
        "history",
        "show",
        "show A B",
        "add",
        "add A x --restart sometimes",
        "add A x --retries many",
        "history A -n x",
        "tail A --run 1 -f",
        "completions tcsh9",
    ] {
        let said = env.fails(2, &line.split(' ').collect::<Vec<_>>());
        assert!(said.out.is_empty() && said.err.starts_with("error: "), "{line}: {said:?}");
        assert!(!env.folder().exists(), "{line} made something");
    }
    assert!(env.fails(2, &["statsu"]).err.contains("status"), "did you mean");
}

#[test]
fn help_and_version_are_no_errors() {
    let env = TestEnv::new();
    for line in ["--help", "-h", "help", "add --help", "--version", "-V", "completions bash", "man"] {
        let said = env.ok(&line.split(' ').collect::<Vec<_>>());
        assert!(!said.out.is_empty() && said.err.is_empty(), "{line}: {said:?}");
    }
    let help = env.ok(&["--help"]).out;
    for verb in [
        "init", "add", "edit", "remove", "list", "show", "check", "start", "stop", "restart", "status", "history",
        "tail", "log", "explain",
    ] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(verb)), "{verb} is missing in {help}");
        assert!(env.ok(&[verb, "--help"]).out.contains("Usage: "));
    }
}

#[test]
fn one_failure_among_several_starts_does_not_keep_the_others() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "sleep", "60"]);
    env.ok(&["add", "gone", "gone.sh"]);
    env.ok(&["add", "B", "--", "sleep", "60"]);
    let said = env.fails(1, &["start", "--all"]);
    assert!(said.err.contains("error: cannot start `gone`"), "{said:?}");
    assert_eq!((env.state("A"), env.state("B")), ("running".to_owned(), "running".to_owned()));
    env.fails(4, &["start", "A", "NOPE"]);
    env.ok(&["stop", "--all"]);
    assert!(env.processes().is_empty());
}
