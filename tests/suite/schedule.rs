//! When schedules fire, as a person is told: what `add` understood, what it refuses, what `next` shows.

mod next;
mod plan;
mod shown;
mod typed;

use serde_json::json;

use super::env::TestEnv;

/// Adds a task that does nothing, with these flags.
#[track_caller]
pub fn add(env: &TestEnv, name: &str, flags: &[&str]) -> String {
    env.ok(&[&["add", name][..], flags, &["--", "true"]].concat()).err
}

/// Runs a command in another zone.
#[track_caller]
pub fn in_zone(env: &TestEnv, zone: &str, args: &[&str]) -> (String, String) {
    let output = env.command(args).env("TZ", zone).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{args:?}: {err}");
    (out, err)
}

/// The moments of `next` after one, as the clocks of the schedule show them.
#[track_caller]
fn locals(env: &TestEnv, name: &str, from: &str, number: &str) -> Vec<String> {
    let next = env.json(&["next", name, "--from", from, "-n", number]);
    next.as_array().unwrap().iter().map(|one| one["local"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn refused(flags: &[&str], says: &str, hint: &str) {
    let env = TestEnv::new();
    let said = env.fails(2, &[&["add", "A"], flags, &["--", "true"]].concat());
    if !says.contains(" needs ") {
        let flag = flags[flags.len() - 2];
        assert!(said.err.starts_with(&format!("error: {flag}: ")), "{said:?}");
    }
    assert!(said.err.contains(says) && said.err.contains(hint), "{said:?}");
    assert!(!env.read("jobexec.toml").contains("task.A"), "nothing was written");
}

#[test]
fn what_is_no_schedule_is_refused_with_the_way_out() {
    refused(&["--period", "banana"], "`banana` is not known", "every weekday at 9");
    refused(&["--period", "90"], "`90` is not a period", "hint: ");
    refused(&["--period", "0 s"], "is not a period", "hint: ");
    refused(&["--cron", "* * * *"], "is not a cron expression", "hint: ");
    refused(&["--cron", "*/10 * * * * *"], "is not a cron expression", "period = \"10 s\"");
    refused(&["--cron", "0 22-2 * * *"], "ends before it begins", "write `22,23,0,1,2`");
    refused(&["--cron", "*/90 * * * *"], "is not a cron expression", "period = \"90 min\"");
    refused(&["--cron", "0 0 30 2 *"], "never", "");
    refused(&["--period", "day", "--tz", "CET"], "abbreviation", "Europe/Zurich");
    refused(&["--period", "day", "--tz", "Nowhere/Atall"], "Nowhere/Atall", "");
    refused(&["--period", "day", "--start", "soon"], "--start: `soon` is not a start", "hint: write ");
    refused(&["--period", "1 min", "--jitter", "1m"], "is not shorter", "make it shorter than 1 min");
    refused(&["--missed", "all"], "`missed` needs `period`", "period = \"day\"");
    refused(&["--start", "tomorrow"], "`start` needs `period`", "period = \"day\"");
    refused(&["--period", "day", "--max-running", "2"], "`max_running` needs `overlap`", "overlap = \"allow\"");
}

#[test]
fn a_word_that_means_another_moment_tomorrow_is_refused_in_the_file() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "true"]);
    let text = env.read("jobexec.toml");
    std::fs::write(env.file("jobexec.toml"), format!("{text}period = \"day\"\nstart = \"tomorrow 9:00\"\n")).unwrap();
    let said = env.fails(2, &["check"]);
    assert!(said.err.contains("`tomorrow 9:00` is not a start") && said.err.contains("hint: "), "{said:?}");
}

#[test]
fn what_is_typed_as_a_start_is_written_as_a_moment_that_stays() {
    let env = TestEnv::new();
    let start = |name: &str, typed: &str| {
        let said = env.ok(&["add", name, "--period", "day", "--start", typed, "--", "true"]);
        (env.json(&["show", name])["start"].as_str().unwrap().to_owned(), said.err)
    };
    let written = "2021-02-27 12:50:00 America/New_York";
    assert_eq!(start("a", written).0, written);
    assert!(start("b", "2021-02-27T12:50:00-05:00").1.contains("note: -05:00 has no summer time"));
    let (text, told) = start("c", "2021-02-27 12:50:00 EST");
    assert!(text == "2021-02-27T12:50:00-05:00" && told.contains("America/New_York"), "{text} {told}");
    for (name, typed) in [("d", "now"), ("e", "tomorrow 9:00"), ("f", "+10m"), ("g", "9:00")] {
        let (text, told) = start(name, typed);
        assert!(text.starts_with("20") && text.ends_with("UTC"), "{typed}: {text}");
        assert!(told.contains("fires: every day at"), "{told}");
    }
    let zurich = ["add", "z", "--period", "day", "--tz", "Europe/Zurich", "--start", "2026-03-01 09:00", "--", "true"];
    assert!(env.ok(&zurich).err.contains("fires: every day at 09:00 from 2026-03-01 09:00 Europe/Zurich"));
}

#[test]
fn adding_tells_what_was_understood_and_the_next_three_times() {
    let env = TestEnv::new();
    let said = env.ok(&["add", "A", "--period", "every weekday at 9", "--tz", "Europe/Zurich", "--", "true"]);
    assert!(said.err.contains("fires: every weekday at 09:00 Europe/Zurich\n  next:  "), "{said:?}");
    assert_eq!(said.err.matches(" 09:00 CE").count(), 3, "{said:?}");
    let said = env.ok(&["add", "B", "--cron", "0 9 13 * 5", "--", "true"]);
    assert!(said.err.contains("note: either of the two fields for days is enough"), "{said:?}");
    let said = env.ok(&["edit", "A", "--period", "2 min"]);
    assert!(said.err.contains("fires: every 2 min\n"), "{said:?}");
    assert!(env.ok(&["check"]).err.contains("note: B: either of the two fields"));
    assert!(env.ok(&["add", "C", "--period", "@reboot", "--", "true"]).err.contains("fires: @reboot\n"));
}

#[test]
fn changes_of_the_clocks_are_shown_as_they_will_be() {
    let env = TestEnv::new();
    env.ok(&["add", "ny", "--cron", "30 2 * * *", "--tz", "America/New_York", "--", "true"]);
    env.ok(&["add", "lh", "--cron", "45 1 * * *", "--tz", "Australia/Lord_Howe", "--", "true"]);
    env.ok(&["add", "zh", "--period", "2 days", "--start", "2025-03-28 02:30 Europe/Zurich", "--", "true"]);
    assert_eq!(
        locals(&env, "ny", "2025-03-08 12:00", "3"),
        [
            "2025-03-09T03:00:00-04:00[America/New_York]",
            "2025-03-10T02:30:00-04:00[America/New_York]",
            "2025-03-11T02:30:00-04:00[America/New_York]"
        ]
    );
    assert_eq!(
        locals(&env, "lh", "2025-04-05 00:00", "2"),
        ["2025-04-06T01:45:00+11:00[Australia/Lord_Howe]", "2025-04-07T01:45:00+10:30[Australia/Lord_Howe]"]
    );
    assert_eq!(
        locals(&env, "zh", "2025-03-29 12:00", "2"),
        ["2025-03-30T03:00:00+02:00[Europe/Zurich]", "2025-04-01T02:30:00+02:00[Europe/Zurich]"]
    );
    assert_eq!(env.json(&["next", "ny", "--from", "2025-03-08 12:00", "-n", "1"])[0]["note"], "moved from 02:30");
}

#[test]
fn next_shows_what_is_armed_in_order_of_time_and_says_what_is_missing() {
    let env = TestEnv::new();
    env.ok(&["add", "often", "--period", "hour", "--", "true"]);
    env.ok(&["add", "daily", "--period", "day", "--", "true"]);
    env.ok(&["add", "off", "--period", "hour", "--", "true"]);
    env.ok(&["add", "plain", "--", "true"]);
    let said = env.ok(&["next"]);
    assert!(said.out.is_empty() && said.err.contains("3 more tasks have a schedule and are not armed"), "{said:?}");
    env.ok(&["start", "often", "daily"]);
    let said = env.ok(&["next"]);
    assert!(
        said.err.contains("1 more task has a schedule") && said.err.contains("no supervisor is running"),
        "{said:?}"
    );
    let next = env.json(&["next", "-n", "30"]);
    let times: Vec<&str> = next.as_array().unwrap().iter().map(|one| one["time"].as_str().unwrap()).collect();
    assert!(times.len() == 30 && times.is_sorted(), "{times:?}");
    assert!(next.as_array().unwrap().iter().any(|one| one["name"] == "daily"));
    let first = env.json(&["next", "often", "-n", "1"])[0]["time"].clone();
    assert_eq!(env.status("often")["next_run"], first);
    assert_eq!(json!([env.status("off")["next_run"], env.status("plain")["next_run"]]), json!([null, null]));
    assert!(env.ok(&["status", "--next-run"]).out.contains("NEXT RUN"));
    env.fails(5, &["next", "plain"]);
    env.fails(4, &["next", "nobody"]);
    assert!(env.ok(&["next", "off"]).err.contains("`jobexec start off` arms it"));
}

#[test]
fn a_plan_says_who_usually_still_runs() {
    let env = TestEnv::new();
    env.ok(&["add", "long", "--cron", "0 3 * * *", "--", "true"]);
    env.ok(&["add", "short", "--cron", "30 3 * * *", "--", "true"]);
    env.ok(&["start", "long", "--now"]);
    super::env::until("its end", || env.history("long")[0]["ended"].is_string());
    let db = rusqlite::Connection::open(env.file("jobexec.db")).unwrap();
    // As if it had run an hour at a time, often enough.
    for nth in 1..8 {
        let sql = "INSERT INTO runs (id, job, task, kind, attempt, asked_by, claimed, started, ended, outcome, exit_code,
                   lasted, archive) SELECT ?1, job, task, kind, attempt, asked_by, 1, 1, ?2, 'success', 0, 3600000000, ?1
                   FROM runs WHERE task = 'long' LIMIT 1";
        db.execute(sql, (format!("{nth:032x}"), nth)).unwrap();
    }
    env.ok(&["start", "short"]);
    let plan = env.json(&["next", "--plan", "24h"]);
    let short = plan.as_array().unwrap().iter().find(|one| one["name"] == "short").unwrap();
    assert_eq!(short["still_running"], json!(["long"]));
    let long = plan.as_array().unwrap().iter().find(|one| one["name"] == "long").unwrap();
    assert_eq!(json!([long["usual_seconds"], long["still_running"]]), json!([3600.0, []]));
    let text = env.ok(&["next", "--plan", "24h"]);
    assert!(text.out.contains("STILL RUNNING"), "{text:?}");
    env.ok(&["add", "beat", "--period", "1 s", "--", "true"]);
    env.ok(&["start", "beat"]);
    let said = env.ok(&["next", "--plan", "24h"]);
    assert!(said.out.lines().count() < 250 && said.err.contains("more starts"), "{}", said.err);
}

#[test]
fn explain_says_why_a_schedule_does_not_fire() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--period", "hour", "--", "true"]);
    let explain = |says: &str| {
        let said = env.run(&["explain", "A"]);
        let text = format!("{}{}", said.out, said.err);
        assert!(text.contains(says), "{text}");
    };
    explain("arm its schedule with `jobexec start A`");
    env.ok(&["start", "A"]);
    explain("no supervisor is running to fire its schedule; with one it fires in ");
    env.ok(&["edit", "A", "--enabled", "false"]);
    explain("its schedule is switched off");
    env.ok(&["stop", "A"]);
    explain("stopped it");
}
