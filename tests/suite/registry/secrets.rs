//! The values of an `env_file` reach the script and nobody else.

use std::fs;
use std::path::Path;

use crate::suite::env::{TestEnv, until};

const SECRET: &str = "hunter2-correct-horse";

/// The files below a folder that contain the secret.
fn leaks(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(leaks(&path));
        } else if fs::read(&path).unwrap().windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn they_are_shown_nowhere() {
    let env = TestEnv::new();
    env.write("vars", &format!("# mine\nTOKEN={SECRET}\nexport OTHER=\"{SECRET} 2\"\n"), 0o600);
    let script = "echo ${#TOKEN}; while [ ! -e go ]; do sleep 0.01; done; exit 3";
    env.ok(&["add", "A", "--env-file", "vars", "--restart", "never", "--", "sh", "-c", script]);
    env.ok(&["start", "A"]);
    until("output", || env.read("A.txt") == format!("{}\n", SECRET.len()));
    let look = || {
        for line in [
            "status",
            "status A",
            "status A --json",
            "list",
            "list --json",
            "show A",
            "show A --json",
            "log",
            "log --json",
            "history A",
            "history A --json",
            "explain A",
            "explain A --json",
            "check",
            "status --usage",
        ] {
            let said = env.run(&line.split(' ').collect::<Vec<_>>());
            assert!(!said.out.contains(SECRET) && !said.err.contains(SECRET), "{line}: {said:?}");
        }
        assert_eq!(leaks(&env.folder()), Vec::<String>::new());
    };
    look();
    fs::write(env.dir().join("go"), "").unwrap();
    until("its end", || env.state("A") == "failed");
    look();
    env.ok(&["edit", "A", "--timeout", "3s"]);
    let said = env.ok(&["add", "A", "--env-file", "vars", "--", "true"]);
    assert!(!said.err.contains(SECRET), "{said:?}");
    look();
    assert!(env.ok(&["show", "A"]).out.contains("vars"), "the file's name is no secret");
}

#[test]
fn it_is_read_at_each_run_and_what_is_wrong_with_it_is_told_without_its_values() {
    let env = TestEnv::new();
    let path = env.write("vars", "X=1\n", 0o600);
    env.ok(&["add", "A", "--env-file", "vars", "--restart", "never", "--", "sh", "-c", "echo $X"]);
    for x in ["1", "2"] {
        fs::write(&path, format!("X={x}\n")).unwrap();
        env.ok(&["start", "A"]);
        until("output", || env.read("A.txt") == format!("{x}\n"));
        until("its end", || env.status("A")["running"] == false);
    }
    fs::write(&path, format!("X=1\n{SECRET}\n")).unwrap();
    let said = env.fails(1, &["start", "A"]);
    assert!(said.err.contains("vars") && said.err.contains('2'), "file and line: {said:?}");
    assert!(!said.err.contains(SECRET), "{said:?}");
    fs::remove_file(&path).unwrap();
    let said = env.fails(1, &["start", "A"]);
    assert!(said.err.contains("vars"), "{said:?}");
    assert_eq!(env.history("A").len(), 2);
}
