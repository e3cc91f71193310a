//! explain: one true sentence for each state, and hints that work.

use crate::suite::env::{TestEnv, kill, until};

/// Checks sentence and state, and returns the hints.
#[track_caller]
fn explained(env: &TestEnv, name: &str, state: &str, words: &[&str]) -> Vec<String> {
    env.wait_for_state(name, state);
    let said = env.ok(&["explain", name]);
    assert_eq!(said.out.lines().count(), 1, "one sentence: {said:?}");
    assert!(said.out.starts_with(&format!("{name} ")), "{said:?}");
    assert!(!said.out.trim_end().ends_with('.'), "{said:?}");
    for word in words {
        assert!(said.out.contains(word), "{word:?} is missing: {said:?}");
    }
    let json = env.json(&["explain", name]);
    assert_eq!((json["name"].as_str(), json["state"].as_str()), (Some(name), Some(state)));
    let hints: Vec<String> =
        json["hints"].as_array().unwrap().iter().map(|hint| hint.as_str().unwrap().to_owned()).collect();
    let told: Vec<&str> = said.err.lines().filter_map(|line| line.strip_prefix("hint: ")).collect();
    assert_eq!(told, hints, "{said:?}");
    hints
}

/// Does what a hint says.
#[track_caller]
fn follow(env: &TestEnv, hints: &[String], verb: &str) {
    let hint = hints.iter().find(|hint| hint.contains(&format!("`jobexec {verb} ")));
    let hint = hint.unwrap_or_else(|| panic!("no hint to {verb} in {hints:?}"));
    let command = hint.split('`').nth(1).unwrap();
    env.ok(&command.split(' ').skip(1).collect::<Vec<_>>());
}

#[test]
fn each_state_has_its_sentence() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "sleep", "60"]);
    let hints = explained(&env, "A", "stopped", &["never started"]);
    follow(&env, &hints, "start");
    let pid = env.status("A")["pid"].to_string();
    explained(&env, "A", "running", &["running", &pid, "started by"]);
    kill(env.worker_of("A"), 9);
    let hints = explained(&env, "A", "orphaned", &[&pid, "still runs", "worker", "may be lost"]);
    follow(&env, &hints, "stop");
    let hints = explained(&env, "A", "stopped", &["stopped it"]);
    follow(&env, &hints, "start");
    kill(i32::try_from(env.status("A")["pid"].as_i64().unwrap()).unwrap(), 9);
    let hints = explained(&env, "A", "unsupervised", &["SIGKILL", "no supervisor"]);
    follow(&env, &hints, "tail");
    follow(&env, &hints, "start");
    env.ok(&["stop", "A"]);
}

#[test]
fn ends_have_their_reason() {
    let env = TestEnv::new();
    env.ok(&["add", "bad", "--once", "--now", "--", "sh", "-c", "exit 3"]);
    let hints = explained(&env, "bad", "failed", &["exit code 3"]);
    follow(&env, &hints, "tail");
    follow(&env, &hints, "start");
    env.ok(&["add", "good", "--once", "--now", "--", "true"]);
    let hints = explained(&env, "good", "finished", &["not to be started again"]);
    follow(&env, &hints, "start");
    env.ok(&["add", "slow", "--once", "--timeout", "50ms", "--now", "--", "sleep", "60"]);
    // Unset, retries mean three after a time-out.
    explained(&env, "slow", "unsupervised", &["time"]);
    env.ok(&["stop", "slow"]);
}

#[test]
fn a_schedule_without_a_supervisor() {
    let env = TestEnv::new();
    env.ok(&["add", "S", "--period", "day", "--", "true"]);
    explained(&env, "S", "stopped", &["never started"]);
    env.ok(&["start", "S"]);
    let hints = explained(&env, "S", "unsupervised", &["no supervisor", "schedule"]);
    follow(&env, &hints, "start");
    until("its run", || env.history("S").len() == 1);
}

#[test]
fn stopping_names_who_asked() {
    let env = TestEnv::new();
    let line = "trap : TERM; echo up; while [ ! -e go ]; do sleep 0.01; done";
    env.ok(&["add", "A", "--stop-grace", "60s", "--now", "--", "sh", "-c", line]);
    until("its trap", || env.read("A.txt") == "up\n");
    let mut stop = env.command(&["stop", "A"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    explained(&env, "A", "stopping", &["being stopped", env.history("A")[0]["asked_by"].as_str().unwrap()]);
    std::fs::write(env.dir().join("go"), "").unwrap();
    assert!(stop.wait().unwrap().success());
}

#[test]
fn a_task_that_is_gone_from_the_file_says_so() {
    let env = TestEnv::new();
    env.ok(&["init"]);
    let without = env.read("jobexec.toml");
    env.ok(&["add", "A", "--now", "--", "sleep", "60"]);
    std::fs::write(env.file("jobexec.toml"), without).unwrap();
    let hints = explained(&env, "A", "running", &["running"]);
    assert!(hints.iter().any(|hint| hint.contains("no longer in the registry")), "{hints:?}");
    env.ok(&["stop", "A"]);
}
