//! Which folder is meant, and which folders are refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::suite::env::TestEnv;

/// Runs `init` with these variables beside HOME, and says which of the folders was made.
fn made(variables: &[(&str, &str)], args: &[&str]) -> String {
    let env = TestEnv::new();
    let dir = env.dir().to_str().unwrap().to_owned();
    let mut command = env.command(&args.iter().map(|arg| arg.replace("{}", &dir)).collect::<Vec<_>>());
    command.env_remove("JOBEXEC_FOLDER");
    for (name, value) in variables {
        command.env(name, value.replace("{}", &dir));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let found: Vec<&str> = ["a", "b", "c/jobexec", ".local/state/jobexec", "d", "d/jobexec"]
        .into_iter()
        .filter(|folder| env.dir().join(folder).join("jobexec.toml").exists())
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let mode = fs::metadata(env.dir().join(found[0])).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "made for its owner alone");
    found[0].to_owned()
}

#[test]
fn the_first_that_is_named_is_meant() {
    let both = [("JOBEXEC_FOLDER", "{}/b"), ("XDG_STATE_HOME", "{}/c")];
    assert_eq!(made(&both, &["-f", "{}/a", "init"]), "a");
    assert_eq!(made(&both, &["init", "-f", "{}/a"]), "a");
    assert_eq!(made(&both, &["init", "--folder={}/a"]), "a");
    assert_eq!(made(&both, &["init"]), "b");
    assert_eq!(made(&both[1..], &["init"]), "c/jobexec");
    assert_eq!(made(&[("XDG_STATE_HOME", "d")], &["init"]), ".local/state/jobexec", "a relative one is ignored");
    assert_eq!(made(&[("JOBEXEC_FOLDER", ""), ("XDG_STATE_HOME", "")], &["init"]), ".local/state/jobexec");
    assert_eq!(made(&[], &["init", "-f", "a"]), "a", "a relative folder is found from where one is");
}

#[test]
fn without_any_name_the_way_out_is_told() {
    let env = TestEnv::new();
    let output = env.command(&["status"]).env_remove("JOBEXEC_FOLDER").env_remove("HOME").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("hint: ") && err.contains("-f DIR"), "{err}");
}

#[track_caller]
fn refused(env: &TestEnv, folder: &Path, says: &str) {
    for line in [&["status"][..], &["init"], &["add", "A", "--", "true"], &["start", "A"], &["stop", "A"]] {
        let said =
            env.fails(2, &["--folder", folder.to_str().unwrap()].iter().chain(line).copied().collect::<Vec<_>>());
        assert!(said.err.starts_with("error: ") && said.err.contains(says), "{line:?}: {said:?}");
        let hint = said.err.lines().find_map(|line| line.strip_prefix("hint: "));
        assert!(hint.is_some(), "{line:?}: no way out: {said:?}");
    }
}

#[test]
fn a_folder_that_others_may_write_is_refused_and_the_hint_helps() {
    let env = TestEnv::new();
    for mode in [0o770, 0o707, 0o777, 0o1777] {
        let folder = env.dir().join(format!("m{mode:o}"));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        refused(&env, &folder, "written by others");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing was made in it");
        let said = env.fails(2, &["-f", folder.to_str().unwrap(), "init"]);
        let hint = |word: &str| said.err.split('`').find(|part| part.starts_with(word));
        if mode & 0o1000 == 0 {
            assert!(Command::new("sh").args(["-c", hint("chmod").unwrap()]).status().unwrap().success());
            env.ok(&["-f", folder.to_str().unwrap(), "init"]);
        } else {
            // What everybody uses stays as it is.
            let own = hint("-f ").unwrap().strip_prefix("-f ").unwrap();
            assert_eq!(Path::new(own), folder.join("jobexec"));
            env.ok(&["-f", own, "init"]);
        }
    }
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    let env = TestEnv::new();
    let folder = env.dir().join("theirs");
    fs::create_dir(&folder).unwrap();
    if chown(&folder, Some(12_345), None).is_err() {
        // Only root can give a folder away; what belongs to root is somebody else's for everybody else.
        return refused(&env, Path::new("/"), "belongs to");
    }
    refused(&env, &folder, "belongs to the user with id 12345");
    chown(&folder, Some(0), None).unwrap();
}

#[test]
fn a_file_is_no_folder() {
    let env = TestEnv::new();
    let file = env.write("file", "x", 0o600);
    refused(&env, &file, "is not a folder");
    refused(&env, &file.join("below"), "is not a folder");
    assert_eq!(fs::read_to_string(&file).unwrap(), "x");
}

#[test]
fn what_we_make_is_readable_for_its_owner_alone() {
    let env = TestEnv::new();
    let folder = env.dir().join("open");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let folder_text = folder.to_str().unwrap();
    env.ok(&["-f", folder_text, "add", "A", "--restart", "never", "--now", "--", "echo", "x"]);
    crate::suite::env::until("its output", || fs::read_to_string(folder.join("A.txt")).is_ok_and(|text| text == "x\n"));
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{:?}: the environments in it are nobody else's business", entry.file_name());
    }
}

#[test]
fn two_executors_do_not_mix() {
    let env = TestEnv::new();
    let (one, two) = (env.dir().join("one"), env.dir().join("two"));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    for folder in [one, two] {
        env.ok(&["-f", folder, "init", "--exec-id", "same"]);
        env.ok(&["-f", folder, "add", "A", "--now", "--", "sleep", "60"]);
    }
    env.ok(&["-f", one, "stop", "--all"]);
    assert_eq!(env.json(&["-f", two, "status", "A"])["state"], "running");
    assert_eq!(env.json(&["-f", one, "status", "A"])["state"], "stopped");
    env.ok(&["-f", two, "stop", "A"]);
}
