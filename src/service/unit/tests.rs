//! Units with harmless and with awkward paths, as text and as systemd itself reads them.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use proptest::prelude::*;

use super::*;

fn unit<'a>(program: &'a str, folder: &'a str, search: Option<&'a str>) -> Unit<'a> {
    Unit { program: Path::new(program), folder: Path::new(folder), search: search.map(OsStr::new), sleep: None }
}

/// The value of a setting in a rendered unit.
#[track_caller]
fn setting(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
}

#[test]
fn every_setting_is_there_that_the_defaults_would_get_wrong() {
    let text = unit("/j", "/f", None).render().unwrap();
    let expected = [
        ("Type", "exec"),
        ("KillMode", "process"),
        ("OOMPolicy", "continue"),
        ("Restart", "always"),
        ("RestartSec", "10s"),
        ("StartLimitIntervalSec", "0"),
        ("WantedBy", "default.target"),
        ("ExecStart", "/j --folder /f keep-restarting"),
    ];
    for (key, value) in expected {
        assert_eq!(setting(&text, key), value, "{key}");
    }
    assert!(!text.contains("Environment="), "no PATH, no line: {text}");
    assert!(!text.contains("RestartPreventExitStatus"), "it stands by: {text}");
}

#[test]
fn an_awkward_folder_is_escaped_as_each_setting_needs_it() {
    let text = unit("/b/job exec$x%", r#"/h/a b%n$HOME"q'\z"#, Some(r#"/x y:/%h:/$z:/q"\"#)).render().unwrap();
    assert_eq!(
        setting(&text, "ExecStart"),
        r#""/b/job exec$x%%" --folder "/h/a b%%n$$HOME\"q'\\z" keep-restarting"#,
        "a variable is looked for in arguments, and not in the program"
    );
    assert_eq!(setting(&text, "WorkingDirectory"), r#"/h/a b%%n$HOME"q'\z"#, "no quotes and no escapes there");
    assert_eq!(setting(&text, "Environment"), r#""PATH=/x y:/%%h:/$z:/q\"\\""#, "no variables there");
}

#[test]
fn what_systemd_cannot_take_is_refused_by_name() {
    let refused = |program: &str, folder: &str| unit(program, folder, None).render().unwrap_err().to_string();
    assert!(refused("/b/it's", "/f").contains("a program that has a quote"));
    assert!(refused("/b\n", "/f").contains("a program that has a control character"));
    assert!(refused("/b", "/f\n/g").contains("a folder that has a control character"));
    assert!(refused("/b", "/f ").contains("a space at its end"));
    let bytes = Path::new(OsStr::from_bytes(b"/f\xff"));
    let error = Unit { folder: bytes, ..unit("/b", "/", None) }.render().unwrap_err();
    assert!(matches!(error, UnitError::NotText { what: "a folder", .. }), "{error}");
}

#[test]
fn only_a_unit_with_the_marker_is_ours() {
    let text = unit("/b", "/f", Some("/bin")).render().unwrap();
    let written = Written { program: "/b".into(), folder: "/f".into(), search: Some("/bin".to_owned()) };
    assert_eq!(read(&text), Some(written));
    assert_eq!(read(text.strip_prefix(MARKER).unwrap()), None);
    assert_eq!(read(""), None);
}

#[test]
fn the_same_folder_has_the_same_name_for_ever_and_no_other_has_it() {
    assert_eq!(name(Path::new("/home/anna/demo")), "jobexec-demo-44e41a5ae536ed26.service");
    assert_ne!(name(Path::new("/home/anna/demo")), name(Path::new("/home/bert/demo")));
    assert_ne!(name(Path::new("/a b")), name(Path::new("/a_b")));
    for path in ["/", "/é%@ \\", &"/x".repeat(200), &format!("/{}", "é".repeat(120))] {
        let name = name(Path::new(path));
        // systemd.unit(5): at most 255 characters, and of these only.
        assert!(name.len() < 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{name}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(folder in "/[ -~é\t]{0,20}[a-z\"'$%]", search in "[ -~é\t\n]{0,30}") {
        let unit = unit("/a b$%/jobexec", &folder, Some(&search));
        let rendered = unit.render();
        prop_assume!(rendered.is_ok());
        let expected =
            Written { program: "/a b$%/jobexec".into(), folder: folder.clone().into(), search: Some(search.clone()) };
        prop_assert_eq!(read(&rendered.unwrap()), Some(expected));
    }
}

/// What `systemd-analyze verify` has to say about a unit; `None` where there is no such command.
fn verified(text: &str) -> Option<(bool, String)> {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("checked.service");
    std::fs::write(&path, text).unwrap();
    // It wants a runtime directory, and no manager.
    let output = Command::new("systemd-analyze")
        .args(["verify", "--user", "--man=no"])
        .arg(&path)
        .env("XDG_RUNTIME_DIR", temp.path())
        .output()
        .ok()?;
    Some((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn systemd_itself_has_nothing_to_say_against_it() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join(r#"a b%n${HOME}"q'\z"#);
    std::fs::create_dir(&folder).unwrap();
    // systemd looks whether the program is there.
    let program = temp.path().join("job exec%n$x");
    std::fs::write(&program, "").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let search = OsStr::new(r#"/x y:/%h:/$z:/q"\'"#);
    let unit = Unit {
        search: Some(search),
        sleep: Some(Duration::from_millis(1500)),
        ..unit(program.to_str().unwrap(), folder.to_str().unwrap(), None)
    };
    let text = unit.render().unwrap();
    // Elsewhere the text alone is tested, above.
    if let Some(found) = verified(&text) {
        assert_eq!(found, (true, String::new()), "{text}");
        let (_, said) = verified(&text.replace("KillMode", "KillMood")).unwrap();
        assert!(said.contains("KillMood"), "it would say so if it had: {said}");
    }
}
