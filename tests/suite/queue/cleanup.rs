//! What a finished job no longer needs is removed from its work directory.

use std::fs;
use std::path::Path;

use crate::suite::env::TestEnv;
use crate::suite::supervisor::Night;

/// Leaves files behind, and ends well where there is a file `good`.
const MAKES: &str = "
cd $JOBEXEC_WORKDIR; mkdir -p big/deep other
touch a.tmp big/x big/deep/y other/b.tmp keep
ln -sfn \"$1\" linked; ln -sf \"$1/precious.tmp\" link.tmp
test -e \"$1/good\"";

fn present(directory: &Path, names: &[&str]) -> Vec<bool> {
    names.iter().map(|name| directory.join(name).symlink_metadata().is_ok()).collect()
}

#[test]
fn only_what_is_meant_goes_and_only_when_the_job_has_finished() {
    let env = TestEnv::new();
    env.ok(&["init"]);
    env.script("makes.sh", &format!("#!/bin/sh{MAKES}"));
    env.write("outside/precious.tmp", "precious", 0o644);
    let outside = env.dir().join("outside");
    let task = format!(
        "\n[task.T]\nscript = \"makes.sh\"\nargs = [\"{}\"]\nwd = \"{}\"\nrestart = \"never\"\ncleanup = [\"*.tmp\", \"big/**\", \"linked/*\"]\n",
        outside.display(),
        env.dir().display()
    );
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + &task).unwrap();
    env.ok(&["submit", "T"]);
    let directory = env.folder().join("jobs/1");
    let idle = || Night::with(&env, &["--until-idle"]).ended().0.unwrap();
    assert_eq!(idle(), 1);
    let names = ["a.tmp", "big/x", "big/deep/y", "link.tmp", "other/b.tmp", "keep", "big/deep", "linked"];
    assert_eq!(present(&directory, &names), [true; 8], "what has failed is looked into");
    env.write("outside/good", "", 0o644);
    env.ok(&["job", "rerun", "1"]);
    assert_eq!(idle(), 0);
    assert_eq!(present(&directory, &names), [false, false, false, false, true, true, true, true]);
    assert_eq!(fs::read_to_string(outside.join("precious.tmp")).unwrap(), "precious");
}

#[test]
fn what_a_supervisor_did_not_come_to_the_next_one_does() {
    let env = TestEnv::new();
    env.ok(&["init"]);
    env.write("outside/good", "", 0o644);
    env.script("makes.sh", &format!("#!/bin/sh{MAKES}"));
    let task = format!(
        "\n[task.T]\nscript = \"makes.sh\"\nargs = [\"{0}/outside\"]\nwd = \"{0}\"\nrestart = \"never\"\ncleanup = [\"*.tmp\"]\n",
        env.dir().display()
    );
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + &task).unwrap();
    env.ok(&["submit", "T"]);
    let idle = || Night::with(&env, &["--until-idle"]).ended().0.unwrap();
    assert_eq!(idle(), 0);
    // As if it had been killed before it was done.
    let database = rusqlite::Connection::open(env.file("jobexec.db")).unwrap();
    database.execute("UPDATE jobs SET to_clean = 1", []).unwrap();
    drop(database);
    let left = env.folder().join("jobs/1/late.tmp");
    fs::write(&left, "").unwrap();
    assert_eq!(idle(), 0);
    assert!(!left.exists());
}

#[test]
fn what_its_runs_have_said_stays() {
    let env = TestEnv::new();
    env.ok(&["add", "T", "--once", "--", "sh", "-c", "echo said; cd $JOBEXEC_WORKDIR; touch a.txt run-9.txt"]);
    let fields = "hooks.preprocess = 'echo prepared'\ncleanup = ['**']\n";
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + fields).unwrap();
    env.ok(&["submit", "T"]);
    assert_eq!(Night::with(&env, &["--until-idle"]).ended().0, Some(0));
    let names = ["run-1.txt", "preprocess-1.txt", "a.txt", "run-9.txt"];
    assert_eq!(present(&env.file("jobs/1"), &names), [true, true, false, false]);
    assert_eq!(env.ok(&["job", "log", "1"]).out, "said\n");
}
