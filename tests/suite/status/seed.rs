//! A session of executoR: its table, its lines, its log.

use crate::suite::env::TestEnv;

/// executoR's four tasks.
fn seeded() -> TestEnv {
    let env = TestEnv::new();
    env.script("jobs/test.R", "#!/bin/sh\nexec sleep 60\n");
    env.ok(&["init", "--exec-id", "xg15"]);
    env.ok(&["add", "LOL", "jobs/test.R", "--env", "SYMBOL=LOL"]);
    env.ok(&["add", "LOL_Schedule", "jobs/test.R", "--env", "SYMBOL=LOL_schedule", "--period", "2 min"]);
    let start = "2021-02-27 12:50:00 America/New_York";
    env.ok(&["add", "LOL_Schedule_day", "jobs/test.R", "--period", "day", "--start", start]);
    for name in ["LMFAO", "LOL"] {
        env.ok(&["add", name, "jobs/test.R", "--env", &format!("SYMBOL={name}")]);
    }
    env
}

#[test]
fn start_all_prints_the_table_and_a_line_for_each_task() {
    let env = seeded();
    env.ok(&["start", "LOL"]);
    let said = env.ok(&["start", "--all"]);
    let rows: Vec<Vec<&str>> = said.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows,
        [
            vec!["exec_id", "name", "running", "restart", "period"],
            vec!["xg15", "LOL", "yes", "always"],
            vec!["xg15", "LOL_Schedule", "no", "never", "2", "min"],
            vec!["xg15", "LOL_Schedule_day", "no", "never", "day"],
            vec!["xg15", "LMFAO", "no", "always"],
        ]
    );
    // The pid behind the name is ours, not executoR's.
    let lines: Vec<&str> = said.err.lines().map(|line| line.split(" (pid ").next().unwrap()).collect();
    assert_eq!(
        lines[..4],
        ["Already running: LOL", "Scheduled: LOL_Schedule", "Scheduled: LOL_Schedule_day", "Starting LMFAO"]
    );
    assert!(lines[4].starts_with("note: no supervisor is running"), "{said:?}");
    env.ok(&["stop", "--all"]);
}

#[test]
fn the_log_has_the_seeds_words_in_its_order() {
    let env = seeded();
    env.ok(&["start", "LOL"]);
    env.ok(&["start", "--all"]);
    let pid = |name: &str| env.status(name)["pid"].as_i64().unwrap();
    let (lol, lmfao) = (pid("LOL"), pid("LMFAO"));
    env.ok(&["stop", "LOL"]);
    env.ok(&["stop", "--all"]);
    let out = env.ok(&["log"]).out;
    let texts: Vec<&str> = out
        .lines()
        .map(|line| {
            let (stamp, text) = line.strip_prefix("[ ").unwrap().split_once(" ] ").unwrap();
            let shape: String = stamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            assert_eq!(shape, "0000-00-00 00:00:00");
            text
        })
        .collect();
    assert_eq!(
        texts,
        [
            "Initializing",
            "Adding LOL jobs/test.R",
            "Adding LOL_Schedule jobs/test.R",
            "Adding LOL_Schedule_day jobs/test.R",
            "Adding LMFAO jobs/test.R",
            &format!("Starting LOL jobs/test.R (pid: {lol})"),
            &format!("Starting LMFAO jobs/test.R (pid: {lmfao})"),
            "Stopping LOL",
            "Stopping LOL",
            "Stopping LOL_Schedule",
            "Stopping LOL_Schedule_day",
            "Stopping LMFAO",
        ]
    );
    let json = env.json(&["log"]);
    let told: Vec<&str> = json.as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(told, texts);
}

#[test]
fn doing_nothing_is_said_and_is_no_failure() {
    let env = seeded();
    let said = env.ok(&["stop", "LOL"]);
    assert!(said.err.starts_with("Stopping LOL: ") && said.err.contains("not running"), "{said:?}");
    env.ok(&["start", "LOL"]);
    let said = env.ok(&["start", "LOL", "lol"]);
    assert_eq!(said.err.lines().count(), 1, "named twice, meant once: {said:?}");
    assert!(said.err.starts_with("Already running: LOL"), "{said:?}");
    assert_eq!(env.history("LOL").len(), 1);
    env.ok(&["stop", "LOL"]);
}
