//! What is typed: refused with its flag and the way out, or made absolute, written, and said back.

use super::{add, in_zone};
use crate::suite::env::TestEnv;

#[test]
fn an_edit_that_cannot_be_used_changes_nothing() {
    let env = TestEnv::new();
    add(&env, "T", &["--period", "day", "--tz", "Europe/Zurich"]);
    let before = env.read("jobexec.toml");
    for flags in [["--period", "evry day"], ["--cron", "x"], ["--start", "soon"], ["--tz", "CET"]] {
        let said = env.fails(2, &[&["edit", "T"][..], &flags].concat());
        assert!(said.err.starts_with(&format!("error: {}: ", flags[0])), "{said:?}");
    }
    for jitter in ["1 day", "soon"] {
        let said = env.fails(2, &["edit", "T", "--jitter", jitter]);
        assert!(said.err.starts_with("error: --jitter: "), "{said:?}");
    }
    assert_eq!(env.read("jobexec.toml"), before);
}

#[test]
fn a_start_is_written_so_that_it_means_the_same_whenever_it_is_read() {
    let env = TestEnv::new();
    for (at, (typed, tz, written)) in [
        ("2021-02-27 12:50:00 America/New_York", None, "2021-02-27 12:50:00 America/New_York"),
        ("2021-02-27T12:50:00-05:00", None, "2021-02-27T12:50:00-05:00"),
        ("2021-02-27 12:50:00 EST", None, "2021-02-27T12:50:00-05:00"),
        ("2021-02-27 12:50", None, "2021-02-27 12:50:00 UTC"),
        ("2021-02-27 12:50", Some("Europe/Zurich"), "2021-02-27 12:50:00 Europe/Zurich"),
        ("2021-02-27T12:50:00Z", None, "2021-02-27T12:50:00+00:00"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("T{at}");
        let tz = tz.map(|tz| vec!["--tz", tz]).unwrap_or_default();
        add(&env, &name, &[&["--period", "2 h", "--start", typed][..], &tz].concat());
        assert_eq!(env.json(&["show", &name])["start"], written, "{typed}");
    }
    let now = jiff::Timestamp::now();
    for (typed, least, most) in [("now", -60, 60), ("+10m", 540, 660), ("tomorrow 9:00", 0, 2 * 86_400)] {
        let name = typed.replace([' ', '+', ':'], "x");
        add(&env, &name, &["--period", "2 h", "--start", typed]);
        let start = env.json(&["show", &name])["start"].as_str().unwrap().to_owned();
        let (start, zone) = start.rsplit_once(' ').unwrap();
        let ahead = format!("{}Z", start.replace(' ', "T")).parse::<jiff::Timestamp>().unwrap().duration_since(now);
        assert!(zone == "UTC" && (least..=most).contains(&ahead.as_secs()), "{typed}: {start} {zone}");
    }
    assert!(env.read("jobexec.toml").contains("09:00:00 UTC"));
}

#[test]
fn a_start_without_a_zone_is_of_the_defaults_zone_or_the_machines() {
    let env = TestEnv::new();
    let add_in = |name: &str| {
        in_zone(&env, "Asia/Tokyo", &["add", name, "--period", "day", "--start", "2021-02-27", "--", "true"]);
        env.json(&["show", name])["start"].clone()
    };
    assert_eq!(add_in("A"), "2021-02-27 00:00:00 Asia/Tokyo");
    std::fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + "\n[defaults]\ntz = \"Europe/Zurich\"\n")
        .unwrap();
    assert_eq!(add_in("B"), "2021-02-27 00:00:00 Europe/Zurich");
    in_zone(&env, "Asia/Tokyo", &["edit", "B", "--start", "2021-03-01 9:00", "--tz", "America/New_York"]);
    assert_eq!(env.json(&["show", "B"])["start"], "2021-03-01 09:00:00 America/New_York");
    in_zone(&env, "Asia/Tokyo", &["edit", "B", "--start", "2021-03-02 9:00"]);
    assert_eq!(env.json(&["show", "B"])["start"], "2021-03-02 09:00:00 America/New_York", "the task's own zone");
}

#[test]
fn what_is_said_back_has_the_times_here_and_what_is_missing() {
    let env = TestEnv::new();
    let err = add(&env, "N", &["--period", "day", "--start", "2090-02-27 12:50:00 America/New_York"]);
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines[..2], ["Adding N true", "  fires: every day at 12:50 from 2090-02-27 12:50 America/New_York"]);
    assert!(lines[2].starts_with("  next:  Mon 2090-02-27 12:50 EST = 17:50 UTC (in "), "{err}");
    let later = ["         Tue 2090-02-28 12:50 EST = 17:50 UTC", "         Wed 2090-03-01 12:50 EST = 17:50 UTC"];
    assert_eq!(lines[3..], [later[0], later[1], "note: it is not armed; `jobexec start N` arms it"]);
    let err = env.ok(&["edit", "N", "--period", "every weekday at 9"]).err;
    assert!(err.contains("  fires: every weekday at 09:00 from ") && err.contains("  next:  "), "{err}");
    assert!(!env.ok(&["edit", "N", "--timeout", "2h"]).err.contains("next: "), "its schedule was not touched");
    let err = env.ok(&["start", "N"]).err;
    assert!(err.starts_with("Scheduled: N\n  fires: every weekday at 09:00 from "), "{err}");
    assert_eq!(err.matches("2090-").count(), 2, "the start, and one time: {err}");
    assert!(err.contains("note: no supervisor is running") && !env.ok(&["start", "--all"]).err.contains("  fires: "));
    let err = env.ok(&["edit", "N", "--tz", "Pacific/Kiritimati"]).err;
    assert!(err.contains("note: no supervisor is running"), "{err}");
}

#[test]
fn what_waits_for_no_time_says_what_it_waits_for() {
    let env = TestEnv::new();
    let err = add(&env, "boot", &["--cron", "@reboot"]);
    assert!(err.contains("  fires: @reboot\n  next:  once after each boot of the machine\n"), "{err}");
    let err = add(&env, "warm", &["--period", "@start"]);
    assert!(err.contains("  fires: @start\n  next:  once for each supervisor that begins\n"), "{err}");
}

#[test]
fn notes_are_said_once_and_by_check_again() {
    let env = TestEnv::new();
    let err = add(&env, "seed", &["--period", "day", "--start", "2021-02-27 12:50:00 EST"]);
    assert_eq!(err.matches("note: `EST` is read as -05:00").count(), 1, "{err}");
    assert!(!err.contains("add `tz = …`"), "said already: {err}");
    let err = add(&env, "gap", &["--period", "day", "--start", "2021-03-14 02:30 America/New_York"]);
    assert_eq!(err.matches("the clocks skip 2021-03-14 02:30; the start is moved to 03:00").count(), 1, "{err}");
    let err = add(&env, "uneven", &["--cron", "*/7 3 1,15 * mon"]);
    assert!(err.contains("note: `*/7` starts anew at the hour") && err.contains("every Monday"), "{err}");
    add(&env, "good", &["--period", "day"]);
    let said = env.ok(&["check"]);
    let noted: Vec<&str> =
        said.err.lines().filter_map(|line| line.strip_prefix("note: ")?.split(": ").next()).collect();
    assert_eq!(noted, ["seed", "gap", "uneven", "uneven"], "{said:?}");
    assert!(said.err.ends_with("no mistakes\n") && said.out.is_empty(), "{said:?}");
}

#[test]
fn period_and_cron_take_each_others_place() {
    let env = TestEnv::new();
    add(&env, "T", &["--cron", "0 3 * * *"]);
    env.ok(&["edit", "T", "--period", "day"]);
    assert!(!env.read("jobexec.toml").contains("cron"));
    let task = env.json(&["show", "T"]);
    assert!(task["period"] == "day" && task["cron"].is_null(), "{task}");
    env.ok(&["edit", "T", "--cron", "0 3 * * *"]);
    let task = env.json(&["show", "T"]);
    assert!(task["cron"] == "0 3 * * *" && task["period"].is_null(), "{task}");
}

#[test]
fn one_that_is_switched_off_says_that_nothing_fires_it() {
    let env = TestEnv::new();
    let note = "note: its schedule is switched off; `jobexec edit T --enabled true` switches it on\n";
    assert!(add(&env, "T", &["--period", "day", "--enabled", "false"]).ends_with(note));
    assert!(env.ok(&["start", "T"]).err.ends_with(note), "a supervisor would make no difference");
}
