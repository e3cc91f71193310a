//! list, show and check: what is defined.

use serde_json::json;

use crate::suite::env::{TestEnv, until};

#[test]
fn the_seeds_eleven_columns_in_its_order() {
    let env = TestEnv::new();
    env.script("jobs/test.R", "#!/bin/sh\nexec sleep 60\n");
    env.ok(&["init", "--exec-id", "xg15"]);
    env.ok(&["add", "LOL", "jobs/test.R", "--env", "SYMBOL=LOL"]);
    env.ok(&["add", "LOL_Schedule", "jobs/test.R", "--env", "SYMBOL=LOL_schedule", "--period", "2 min"]);
    let start = "2021-02-27 12:50:00 America/New_York";
    env.ok(&["add", "LOL_Schedule_day", "jobs/test.R", "--period", "day", "--start", start]);
    env.ok(&["start", "LOL"]);
    let pid = env.status("LOL")["pid"].to_string();
    let wd = env.dir().canonicalize().unwrap();
    let out = env.ok(&["list"]).out;
    let lines: Vec<&str> = out.lines().collect();
    let heads: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(
        heads,
        ["exec_id", "name", "script", "wd", "added", "status", "pid", "env", "restart", "period", "start"]
    );
    assert_eq!(lines.len(), 4);
    let cells =
        |row: usize| -> Vec<&str> { lines[row].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect() };
    let (wd, added) = (wd.to_str().unwrap(), cells(1)[4]);
    assert!(added.len() == 19 && added.starts_with("20"), "{added}");
    assert_eq!(cells(1), ["xg15", "LOL", "jobs/test.R", wd, added, "started", &pid, "SYMBOL=LOL", "always"]);
    assert_eq!(cells(2)[5..], ["stopped", "SYMBOL=LOL_schedule", "never", "2 min"]);
    assert_eq!(cells(3)[5..], ["stopped", "never", "day", start]);
    let under = |row: usize, head: &str, text: &str| lines[row].rfind(text) == lines[0].find(head);
    assert!(under(3, "period", "day") && lines[3].ends_with(start) && under(2, "env", "SYMBOL"), "{out}");
    env.ok(&["stop", "LOL"]);
    let out = env.ok(&["list"]).out;
    assert!(out.lines().nth(1).unwrap().split_whitespace().any(|word| word == pid), "the last pid stays: {out}");
    assert!(out.lines().nth(1).unwrap().contains("stopped"));
}

#[test]
fn show_names_every_field_that_was_set() {
    let env = TestEnv::new();
    env.write("vars", "A=1\n", 0o600);
    let flags = "--env A=1 --env-file vars --restart never --timeout 90s --retries 2 --stop-signal INT --stop-grace 3s \
                 --keep 5 --keep-for 7d --keep-bytes 1MiB --tag team=x --tz Europe/Berlin --start 2021-02-27 --period day \
                 --enabled false --interpreter sh";
    let line: Vec<&str> = ["add", "T"].into_iter().chain(flags.split_whitespace()).chain(["x.sh", "arg"]).collect();
    env.ok(&line);
    let out = env.ok(&["show", "T"]).out;
    for word in [
        "x.sh arg",
        "A=1",
        "vars",
        "never",
        "day",
        "2021-02-27",
        "Europe/Berlin",
        "SIGINT",
        "team=x",
        "retries",
        "sh",
        "false",
        "5 archives",
    ] {
        assert!(out.contains(word), "{word} is missing in {out}");
    }
    let task = env.json(&["show", "T"]);
    assert_eq!(
        json!([task["timeout"], task["retries"], task["restart"], task["tags"], task["enabled"], task["tz"]]),
        json!([90.0, 2, "never", {"team": "x"}, false, "Europe/Berlin"])
    );
    assert_eq!(json!([task["stop"]["signal"], task["stop"]["grace"]]), json!(["SIGINT", 3.0]));
    assert_eq!(
        json!([task["period"], task["start"], task["cron"]]),
        json!(["day", "2021-02-27 00:00:00 Europe/Berlin", null])
    );
}

#[test]
fn restart_is_always_unless_the_task_ends_by_itself() {
    let env = TestEnv::new();
    let restart = |name: &str, flags: &[&str]| {
        let line: Vec<&str> = ["add", name].into_iter().chain(flags.iter().copied()).chain(["--", "true"]).collect();
        env.ok(&line);
        env.json(&["show", name])["restart"].as_str().unwrap().to_owned()
    };
    assert_eq!(restart("plain", &[]), "always");
    assert_eq!(restart("once", &["--once"]), "never");
    assert_eq!(restart("period", &["--period", "day"]), "never");
    assert_eq!(restart("cron", &["--cron", "0 3 * * *"]), "never");
    assert_eq!(restart("retries", &["--retries", "1"]), "never");
    assert_eq!(restart("failure", &["--restart", "on-failure"]), "on-failure");
}

#[test]
fn check_finds_mistakes_and_what_could_not_be_started() {
    let env = TestEnv::new();
    env.ok(&["add", "good", "--", "true"]);
    let said = env.ok(&["check"]);
    assert!(said.out.is_empty() && said.err.contains("no mistakes"), "{said:?}");
    let said = env.ok(&["add", "bad", "nowhere.sh"]);
    assert!(said.err.contains("warning: ") && said.err.contains("nowhere.sh"), "told at once: {said:?}");
    env.ok(&["add", "worse", "--", "no-such-command-anywhere"]);
    let said = env.fails(1, &["check"]);
    assert_eq!(said.out.lines().count(), 2, "{said:?}");
    assert!(said.out.contains("bad: ") && said.out.contains("nowhere.sh"), "{said:?}");
    assert!(said.out.contains("worse: ") && said.out.contains("no-such-command-anywhere"), "{said:?}");
    let found = env.json(&["check"]);
    assert_eq!(json!([found[0]["task"], found[1]["task"]]), json!(["bad", "worse"]));
    env.script("nowhere.sh", "#!/bin/sh\n");
    env.ok(&["remove", "worse"]);
    env.ok(&["check"]);
    env.ok(&["start", "bad"]);
    until("its end", || env.status("bad")["running"] == false);
}

#[test]
fn a_script_that_cannot_be_started_is_refused_and_nothing_is_recorded() {
    let env = TestEnv::new();
    env.write("plain.sh", "#!/bin/sh\n", 0o644);
    env.script("odd.sh", "#!/no/such/interpreter\n");
    std::fs::create_dir(env.dir().join("dir")).unwrap();
    for (name, script, words) in
        [("gone", "gone.sh", "does not exist"), ("odd", "odd.sh", "/no/such/interpreter"), ("dir", "dir", "dir")]
    {
        env.ok(&["add", name, script]);
        let said = env.fails(1, &["start", name]);
        assert!(said.err.starts_with(&format!("error: cannot start `{name}`\n  caused by: ")), "{said:?}");
        assert!(said.err.contains(words), "{said:?}");
        assert!(env.history(name).is_empty() && env.state(name) == "stopped", "{name}");
    }
    assert!(!env.ok(&["log"]).out.contains("Starting"));
}
