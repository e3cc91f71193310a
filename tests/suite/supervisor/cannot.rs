//! What cannot be started, or says so itself with exit code 125, waits the longest wait or for a file to change.

use super::*;

/// Says that running it again is no use.
const HOPELESS: &str = "#!/bin/sh\nexit 125\n";

/// Adds a task that runs, makes it impossible to start, and kills it; waits until that is on record.
#[track_caller]
fn broken(env: &TestEnv, night: &Night, spoil: impl FnOnce()) {
    env.ok(&["start", "A"]);
    let pid = pid_of(env, "A");
    spoil();
    kill(pid, KILL);
    night.says("A cannot be started");
    let runs = runs_ended(env, "A", 2);
    assert_eq!(runs[0]["outcome"], "could_not_start", "{runs:?}");
    env.wait_for_state("A", "waiting");
    assert_eq!(waits(env, "A").last(), Some(&Some(3_600_000.0)), "the longest wait, without growth or jitter");
}

/// Waits until the task runs again. Other files may have made it try in vain before.
#[track_caller]
fn runs_again(env: &TestEnv) {
    env.wait_for_state("A", "running");
    assert!(env.history("A").len() >= 3);
}

/// Waits until what is written now is newer than the end of a task's last run: the times of files are coarse.
#[track_caller]
fn files_are_newer(env: &TestEnv, name: &str) {
    use std::os::unix::fs::MetadataExt;
    let ended = micros(&env.history(name)[0]["ended"]);
    until("a newer file", || {
        let probe = env.write("probe", "", 0o644).metadata().unwrap();
        probe.ctime() * 1_000_000 + probe.ctime_nsec() / 1000 > ended
    });
}

const CAP: [&str; 4] = ["--backoff-first", "10ms", "--backoff-max", "1h"];

#[test]
fn a_missing_script_is_waited_for() {
    let env = TestEnv::new();
    added(&env, "A", STAYS, &CAP);
    let night = Night::begin(&env);
    broken(&env, &night, || fs::remove_file(env.dir().join("A.script")).unwrap());
    touch(&env, "something else");
    assert_eq!(env.history("A").len(), 2);
    env.script("A.script", STAYS);
    runs_again(&env);
}

#[test]
fn a_missing_directory_is_waited_for_with_what_is_above_it() {
    let env = TestEnv::new();
    fs::create_dir_all(env.dir().join("a/b")).unwrap();
    env.script("a/b/s.sh", STAYS);
    let wd = env.dir().join("a/b");
    env.ok(&[&["add", "A", "s.sh", "--wd", wd.to_str().unwrap()], &CAP[..]].concat());
    let night = Night::begin(&env);
    broken(&env, &night, || fs::rename(env.dir().join("a"), env.dir().join("away")).unwrap());
    fs::create_dir(env.dir().join("a")).unwrap();
    // It is tried again, in vain; the watch goes deeper.
    until("another attempt", || env.history("A").len() >= 3);
    env.wait_for_state("A", "waiting");
    fs::rename(env.dir().join("away/b"), &wd).unwrap();
    runs_again(&env);
}

#[test]
fn permission_to_execute_is_waited_for() {
    let env = TestEnv::new();
    fs::copy("/bin/sleep", env.dir().join("prog")).unwrap();
    env.ok(&[&["add", "A", "prog", "600"], &CAP[..]].concat());
    let mode = |mode: u32| {
        fs::set_permissions(env.dir().join("prog"), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let night = Night::begin(&env);
    broken(&env, &night, || mode(0o644));
    mode(0o755);
    runs_again(&env);
}

#[test]
fn a_missing_env_file_is_waited_for() {
    let env = TestEnv::new();
    env.write("secrets", "KEY=hunter2\n", 0o600);
    added(&env, "A", STAYS, &[&CAP[..], &["--env-file", "secrets"]].concat());
    let night = Night::begin(&env);
    broken(&env, &night, || fs::remove_file(env.dir().join("secrets")).unwrap());
    env.write("secrets", "KEY=hunter2\n", 0o600);
    runs_again(&env);
    assert!(!night.said("hunter2"));
}

#[test]
fn exit_code_125_waits_the_cap() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", HOPELESS, &["--backoff-first", "1ms", "--backoff-max", "200ms"]);
    runs_ended(&env, "A", 3);
    let found = waits(&env, "A");
    assert!(found.iter().all(|wait| *wait == Some(200.0)), "{found:?}");
    drop(night);
}

#[test]
fn exit_code_125_waits_for_the_script_to_change() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", HOPELESS, &SLOW);
    env.wait_for_state("A", "waiting");
    files_are_newer(&env, "A");
    // As editors save: another file takes its place.
    env.script("A.new", STAYS);
    fs::rename(env.dir().join("A.new"), env.dir().join("A.script")).unwrap();
    env.wait_for_state("A", "running");
    drop(night);
}

#[test]
fn a_script_that_was_mended_while_nobody_watched_is_tried_at_once() {
    let env = TestEnv::new();
    started(&env, "A", HOPELESS, &SLOW);
    started(&env, "B", HOPELESS, &SLOW);
    runs_ended(&env, "A", 1);
    runs_ended(&env, "B", 1);
    files_are_newer(&env, "B");
    env.script("A.script", STAYS);
    let night = Night::begin(&env);
    env.wait_for_state("A", "running");
    assert_eq!((env.state("B").as_str(), env.history("B").len()), ("waiting", 1));
    drop(night);
}

#[test]
fn any_other_exit_code_waits_out_its_time_whatever_changes() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", FAILS, &SLOW);
    started(&env, "B", HOPELESS, &SLOW);
    env.wait_for_state("A", "waiting");
    env.wait_for_state("B", "waiting");
    files_are_newer(&env, "B");
    env.script("A.script", STAYS);
    env.script("B.script", STAYS);
    env.wait_for_state("B", "running");
    assert_eq!(env.state("A"), "waiting");
    drop(night);
}
