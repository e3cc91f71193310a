//! next: what is coming, of one or of all, through changes of clocks.

use serde_json::json;

use super::{add, in_zone, locals};
use crate::suite::env::TestEnv;

#[test]
fn of_two_times_that_look_alike_each_says_which_it_is() {
    let env = TestEnv::new();
    add(&env, "hourly", &["--cron", "30 * * * *", "--tz", "America/New_York"]);
    let from = "2025-11-02T05:00:00Z";
    let out = env.ok(&["next", "hourly", "--from", from, "-n", "2"]).out;
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[1].contains("Sun 2025-11-02 01:30 EDT") && lines[1].ends_with("  the first of two 01:30"), "{out}");
    assert!(lines[2].contains("Sun 2025-11-02 01:30 EST") && lines[2].ends_with("  the second of two 01:30"), "{out}");
}

#[test]
fn it_is_strictly_after_the_moment_and_reads_what_start_reads() {
    let env = TestEnv::new();
    add(&env, "T", &["--period", "2 h"]);
    let first = |from: &str| locals(&env, "T", from, "1").remove(0).replace("[UTC]", "");
    assert_eq!(first("2030-01-01T02:00:00Z"), "2030-01-01T04:00:00+00:00");
    assert_eq!(first("2030-01-01"), "2030-01-01T02:00:00+00:00");
    assert_eq!(first("2030-01-01 12:00 Europe/Zurich"), "2030-01-01T12:00:00+00:00");
    for from in ["now", "+3 days", "tomorrow 9:00", "9:00"] {
        assert_eq!(env.json(&["next", "T", "--from", from]).as_array().unwrap().len(), 10, "{from}");
    }
    let said = env.ok(&["next", "T", "--from", "2030-01-01 EST"]);
    assert!(said.err.contains("note: `EST` is read as -05:00"), "{said:?}");
    let said = env.fails(2, &["next", "T", "--from", "soon"]);
    assert!(said.err.starts_with("error: --from: `soon` is not a time: ") && said.err.contains("hint: "), "{said:?}");
    env.fails(2, &["next", "T", "-n", "0"]);
}

#[test]
fn the_table_has_the_schedules_clocks_and_local_ones_where_they_differ() {
    let env = TestEnv::new();
    add(&env, "T", &["--period", "day", "--start", "2090-02-27 12:50:00 America/New_York"]);
    let out = env.ok(&["next", "T", "-n", "2"]).out;
    let lines: Vec<Vec<&str>> =
        out.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!(lines[0], ["NAME", "WHEN", "LOCAL", "IN"]);
    assert_eq!(lines[1][..3], ["T", "Mon 2090-02-27 12:50 EST", "Mon 2090-02-27 17:50 UTC"]);
    assert!(lines[1][3].ends_with(" d") && lines[1].len() == 4, "{out}");
    let (out, _) = in_zone(&env, "America/New_York", &["next", "T", "-n", "2"]);
    assert!(!out.contains("LOCAL"), "{out}");
}

#[test]
fn without_a_name_it_is_what_is_armed_and_the_others_are_counted() {
    let env = TestEnv::new();
    for (name, flags) in [
        ("armed", &["--period", "month"][..]),
        ("early", &["--period", "week"]),
        ("idle", &["--period", "day"]),
        ("off", &["--period", "day", "--enabled", "false"]),
        ("boot", &["--cron", "@reboot"]),
        ("plain", &["--once"]),
    ] {
        add(&env, name, flags);
    }
    let said = env.ok(&["next"]);
    assert_eq!(said.out, "");
    assert!(
        said.err.starts_with("# 5 more tasks have a schedule and are not armed, or switched off: armed, "),
        "{said:?}"
    );
    env.ok(&["start", "armed", "early", "off", "boot"]);
    let found = env.json(&["next", "-n", "40"]);
    let found = found.as_array().unwrap();
    let times: Vec<&str> = found.iter().map(|one| one["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted() && times.len() == 40, "{times:?}");
    assert!(found.iter().all(|one| one["name"] == "armed" || one["name"] == "early"));
    let said = env.ok(&["next"]);
    assert!(said.err.contains("# boot fires once after each boot of the machine\n"), "{said:?}");
    assert!(said.err.contains("note: no supervisor is running"), "{said:?}");
    let others =
        "# 2 more tasks have a schedule and are not armed, or switched off: idle, off (`jobexec next NAME` shows";
    assert!(said.err.contains(others), "{said:?}");
}

#[test]
fn one_that_nothing_fires_is_shown_and_says_why() {
    let env = TestEnv::new();
    add(&env, "T", &["--period", "day"]);
    let said = env.ok(&["next", "T"]);
    assert_eq!(said.out.lines().count(), 11);
    assert_eq!(said.err, "note: it is not armed; `jobexec start T` arms it\n");
    env.ok(&["start", "T"]);
    let said = env.ok(&["next", "T"]);
    assert!(
        said.err.contains("no supervisor is running") && said.err.contains("`jobexec keep-restarting`"),
        "{said:?}"
    );
    env.ok(&["stop", "T"]);
    assert!(env.ok(&["next", "T"]).err.contains("it is not armed"), "stopped");
    env.ok(&["edit", "T", "--enabled", "false"]);
    assert!(env.ok(&["next", "T"]).err.contains("switched off"), "{said:?}");
    add(&env, "boot", &["--cron", "@reboot"]);
    let said = env.ok(&["next", "boot"]);
    assert!(
        said.out.is_empty() && said.err.starts_with("# boot fires once after each boot of the machine\n"),
        "{said:?}"
    );
    assert_eq!(env.json(&["next", "boot"]), json!([]));
}

#[test]
fn without_a_schedule_there_is_nothing_to_come() {
    let env = TestEnv::new();
    assert_eq!(env.json(&["next"]), json!([]), "no executor yet");
    env.fails(4, &["next", "T"]);
    assert!(!env.folder().exists(), "nothing was made");
    add(&env, "T", &["--once"]);
    let said = env.fails(5, &["next", "T"]);
    assert!(said.err.starts_with("error: `T` has no schedule\nhint: give it one"), "{said:?}");
    let said = env.fails(4, &["next", "U"]);
    assert!(said.err.contains("hint: did you mean `T`?"), "{said:?}");
    let said = env.ok(&["next"]);
    assert!(said.out.is_empty() && said.err.starts_with("No task has a schedule."), "{said:?}");
}

#[test]
fn jitter_is_a_note_of_its_own_and_the_same_each_time() {
    let env = TestEnv::new();
    add(&env, "T", &["--period", "day", "--jitter", "10 min"]);
    let ask = || env.json(&["next", "T", "--from", "2030-01-01", "-n", "5"]);
    let found = ask();
    assert_eq!(found, ask());
    for one in found.as_array().unwrap() {
        let time = one["time"].as_str().unwrap();
        assert!(time.get(10..15) == Some("T00:0") && one["note"].as_str().unwrap().starts_with("put off by "), "{one}");
    }
}
