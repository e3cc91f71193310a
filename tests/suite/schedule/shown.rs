//! status, explain, list, show: a schedule's meaning and its next run, and what keeps it from that.

use super::add;
use crate::suite::env::{TestEnv, until};

const FAR: [&str; 4] = ["--period", "day", "--start", "2090-02-27 12:50:00 America/New_York"];

#[test]
fn status_shows_the_next_run_of_what_is_armed() {
    let env = TestEnv::new();
    for name in ["armed", "idle", "off"] {
        add(&env, name, &FAR);
    }
    add(&env, "boot", &["--cron", "@reboot"]);
    add(&env, "plain", &["--once"]);
    env.ok(&["start", "armed", "off", "boot"]);
    env.ok(&["edit", "off", "--enabled", "false"]);
    let next = |name: &str| env.status(name)["next_run"].clone();
    assert_eq!(next("armed"), "2090-02-27T17:50:00Z");
    for name in ["idle", "off", "boot", "plain"] {
        assert!(next(name).is_null(), "{name}");
    }
    let all = env.json(&["status"]);
    assert_eq!(all[0]["next_run"], "2090-02-27T17:50:00Z");
    let out = env.ok(&["status", "--next-run"]).out;
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].contains("NEXT RUN") && lines[1].contains("2090-02-27 17:50:00"), "{out}");
    assert!(lines[2..].iter().all(|line| !line.contains("2090")), "{out}");
    assert!(!env.ok(&["status"]).out.contains("NEXT RUN"));
    let card = env.ok(&["status", "armed"]).out;
    assert!(card.contains(" on Mon 2090-02-27 at 12:50 EST "), "{card}");
    assert!(card.contains("every day at 12:50 from 2090-02-27 12:50 America/New_York"), "{card}");
}

#[test]
fn jitter_belongs_to_the_next_run() {
    let env = TestEnv::new();
    add(&env, "T", &[&FAR[..], &["--jitter", "1 h"]].concat());
    env.ok(&["start", "T"]);
    let first = &env.json(&["next", "T"])[0];
    assert_eq!(env.status("T")["next_run"], first["time"]);
    assert_ne!(first["time"], "2090-02-27T17:50:00Z");
}

#[track_caller]
fn explained(env: &TestEnv, name: &str, sentence: &str, hint: &str) {
    let said = env.ok(&["explain", name]);
    assert!(said.out.starts_with(&format!("{name} ")) && said.out.lines().count() == 1, "{said:?}");
    assert!(said.out.contains(sentence), "{sentence:?} is missing: {said:?}");
    assert!(said.err.contains(hint), "{hint:?} is missing: {said:?}");
}

#[test]
fn explain_beside_a_supervisor() {
    let env = TestEnv::new();
    add(&env, "T", &FAR);
    env.ok(&["add", "busy", "--period", "day", "--start", "2090-02-27", "--overlap", "queue", "--", "sleep", "60"]);
    add(&env, "boot", &["--cron", "@reboot"]);
    env.ok(&["keep-restarting", "--detach"]);
    env.ok(&["start", "T", "boot"]);
    env.ok(&["start", "busy", "--now"]);
    explained(&env, "T", " d, on Mon 2090-02-27 at 12:50 EST (every day at 12:50 from ", "");
    explained(&env, "boot", "boot fires once after each boot of the machine (@reboot)", "");
    until("its run", || env.state("busy") == "running");
    explained(&env, "busy", " UTC, waits for the end of this run (overlap = queue)", "");
    assert_eq!(env.ok(&["next", "T"]).err, "", "nothing keeps it from firing");
    assert!(env.json(&["next", "T"])[0]["note"].is_null());
    env.ok(&["stop", "--all"]);
    env.ok(&["keep-restarting", "--stop"]);
}
