//! The fields of restarting, giving up, stalls and messages: typed, written, shown, edited, taken away, refused.

use std::fs;

use serde_json::{Value, json};

use super::between;
use crate::suite::env::TestEnv;

const URL: &str = "https://hooks.example/T0/B1?key=hunter2";

/// Each flag with its value, and the line that it writes.
const FLAGS: [(&str, &str, &str); 13] = [
    ("--backoff-first", "500ms", "backoff.first = \"500ms\""),
    ("--backoff-factor", "1.5", "backoff.factor = 1.5"),
    ("--backoff-max", "30s", "backoff.max = \"30s\""),
    ("--backoff-jitter", "20%", "backoff.jitter = \"20%\""),
    ("--reset-after", "5s", "backoff.reset_after = \"5s\""),
    ("--give-up-failures", "5", "give_up.failures = 5"),
    ("--give-up-within", "1h", "give_up.within = \"1h\""),
    ("--stall-after", "20m", "stall_after = \"20m\""),
    ("--stall-file", "beat", "stall_file = \"beat\""),
    ("--stall-action", "restart", "stall_action = \"restart\""),
    ("--notify-on", "failure,finish", "notify.on = [\"failure\", \"finish\"]"),
    ("--notify-command", "mail -s x me", "notify.command = \"mail -s x me\""),
    ("--notify-url", URL, "notify.url = \"https://hooks.example/T0/B1?key=hunter2\""),
];

/// The fields of a task in JSON.
fn fields(env: &TestEnv, task: &str) -> Value {
    let task = env.json(&["show", task]);
    json!([task["backoff"], task["give_up"], task["stall"], task["notify"]])
}

fn usual() -> Value {
    json!([
        { "first": 1.0, "factor": 2.0, "max": null, "jitter": 0.1, "reset_after": 2.0 },
        null,
        null,
        { "on": ["failure", "crash-loop", "recovery", "stall"], "command": [], "url": null },
    ])
}

/// An executor with task `T`, which has every field, and the text of its registry before `T` was added.
fn everything() -> (TestEnv, String) {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "xg15"]);
    let before = env.read("jobexec.toml");
    let flags = FLAGS.iter().flat_map(|(flag, value, _)| [*flag, *value]);
    env.ok(&["add", "T"].into_iter().chain(flags).chain(["--", "true"]).collect::<Vec<_>>());
    (env, before)
}

#[test]
fn each_flag_writes_its_field_and_unset_takes_it_away() {
    let (env, before) = everything();
    let wd = env.dir().canonicalize().unwrap();
    let head = format!("{before}\n[task.T]\ncommand = [\"true\"]\nwd = \"{}\"\n", wd.display());
    let lines: String = FLAGS.iter().map(|(_, _, line)| format!("{line}\n")).collect();
    assert_eq!(between(&env.read("jobexec.toml"), &head, ""), lines);
    let all = json!([
        { "first": 0.5, "factor": 1.5, "max": 30.0, "jitter": 0.2, "reset_after": 5.0 },
        { "failures": 5, "within": 3600.0 },
        { "after": 1200.0, "file": "beat", "action": "restart" },
        { "on": ["failure", "finish"], "command": ["/bin/sh", "-c", "mail -s x me"], "url": "https://hooks.example/…" },
    ]);
    assert_eq!(fields(&env, "T"), all);
    // One by one through `edit`, on a task that has none of them.
    env.ok(&["add", "U", "--", "true"]);
    let bare = env.read("jobexec.toml");
    for (flag, value, line) in FLAGS {
        env.ok(&["edit", "U", flag, value]);
        assert!(env.read("jobexec.toml").ends_with(&format!("{line}\n")), "{flag}: {}", env.read("jobexec.toml"));
    }
    assert_eq!(fields(&env, "U"), all);
    // What others need goes last.
    for (_, _, line) in FLAGS.iter().rev() {
        env.ok(&["edit", "U", "--unset", line.split(" = ").next().unwrap()]);
    }
    assert_eq!(env.read("jobexec.toml"), bare, "there and back again");
    assert_eq!(fields(&env, "U"), usual());
}

#[test]
fn numbers_and_words_are_written_as_they_are_typed() {
    let env = TestEnv::new();
    let flags = ["--backoff-factor", "3", "--backoff-jitter", "0.25", "--notify-on", "stall", "--notify-on", "failure"];
    env.ok(&[&["add", "T"][..], &flags, &["--", "true"]].concat());
    let text = env.read("jobexec.toml");
    let lines = "backoff.factor = 3\nbackoff.jitter = 0.25\nnotify.on = [\"stall\", \"failure\"]\n";
    assert!(text.ends_with(lines), "{text}");
    assert_eq!(env.json(&["show", "T"])["notify"]["on"], json!(["failure", "stall"]));
}

#[test]
fn show_says_in_words_what_is_not_usual() {
    let (env, _) = everything();
    let says = |task: &str, field: &str| {
        let out = env.ok(&["show", task]).out;
        let line = out.lines().find_map(|line| line.trim_start().strip_prefix(field).map(str::trim).map(str::to_owned));
        line.unwrap_or_default()
    };
    assert_eq!(says("T", "backoff"), "500ms ×1.5, at most 30s, ±20%, none after a run of 5s");
    assert_eq!(says("T", "gives up"), "after 5 failures within 1h");
    assert_eq!(says("T", "stall"), "after 20m without a change of beat: restart");
    assert_eq!(says("T", "notify"), "failure, finish: mail -s x me; https://hooks.example/…");
    env.ok(&["edit", "T", "--unset", "stall_file", "--give-up-failures", "1", "--notify-url", "http://x:8080/"]);
    assert_eq!(says("T", "stall"), "after 20m without output: restart");
    assert_eq!(says("T", "gives up"), "after 1 failure within 1h");
    assert_eq!(says("T", "notify"), "failure, finish: mail -s x me; http://x:8080");
    env.ok(&["add", "U", "--", "true"]);
    for field in ["backoff", "gives up", "stall", "notify"] {
        assert_eq!(says("U", field), "", "the usual is not said");
    }
    env.ok(&["edit", "U", "--backoff-max", "5m"]);
    assert_eq!(says("U", "backoff"), "1s ×2, at most 5m");
    env.ok(&["edit", "U", "--notify-on", "finish"]);
    assert_eq!(says("U", "notify"), "finish: nobody");
    let words = format!("{}notify.command = [\"mail\", \"-s\", \"a b\"]\n", env.read("jobexec.toml"));
    fs::write(env.file("jobexec.toml"), words).unwrap();
    assert_eq!(says("U", "notify"), "finish: mail -s 'a b'");
    let said = env.ok(&["add", "U", "--notify-command", "mail -s a b", "--", "true"]);
    let line = "  notify.command: [\"mail\",\"-s\",\"a b\"] is kept, mail -s a b was given\n";
    assert!(said.err.contains(line), "{said:?}");
}

#[test]
fn the_secret_in_a_url_is_not_shown() {
    let (env, _) = everything();
    for line in
        ["show T", "show T --json", "list", "list --json", "status T", "status T --json", "explain T", "log --json"]
    {
        let said = env.run(&line.split(' ').collect::<Vec<_>>());
        assert!(!said.out.contains("hunter2") && !said.err.contains("hunter2"), "{line}: {said:?}");
    }
    let said = env.ok(&["add", "T", "--notify-url", "https://hooks.example/hunter3", "--", "true"]);
    assert!(!said.err.contains("hunter"), "{said:?}");
    let line = "  notify.url: https://hooks.example/… is kept, another https://hooks.example/… was given\n";
    assert!(said.err.contains(line), "{said:?}");
}

#[test]
fn a_different_definition_is_shown_in_words() {
    let (env, _) = everything();
    let said = env.ok(&["add", "T", "--backoff-factor", "2.5", "--stall-after", "1m", "--", "true"]);
    for line in [
        "backoff.first: 500ms is kept, 1s was given",
        "backoff.factor: 1.5 is kept, 2.5 was given",
        "backoff.max: 30s is kept, nothing was given",
        "backoff.jitter: 20% is kept, 10% was given",
        "backoff.reset_after: 5s is kept, 2s was given",
        "give_up.failures: 5 is kept, nothing was given",
        "give_up.within: 1h is kept, nothing was given",
        "stall_after: 20m is kept, 1m was given",
        "stall_file: beat is kept, nothing was given",
        "stall_action: restart is kept, notify was given",
        "notify.on: failure finish is kept, failure crash-loop recovery stall was given",
        "notify.command: mail -s x me is kept, nothing was given",
        "notify.url: https://hooks.example/… is kept, nothing was given",
    ] {
        assert!(said.err.contains(&format!("  {line}\n")), "{line} is missing in {}", said.err);
    }
    let flags = FLAGS.iter().flat_map(|(flag, value, _)| [*flag, *value]);
    let same = env.ok(&["add", "T"].into_iter().chain(flags).chain(["--", "true"]).collect::<Vec<_>>());
    assert_eq!(same.err, "Skipping T because a task named T already exists\n");
}

#[test]
fn something_empty_takes_back_a_default() {
    let env = TestEnv::new();
    env.ok(&["init"]);
    let defaults = "\n[defaults]\nbackoff.first = \"3s\"\ngive_up.failures = 3\nstall_after = \"1h\"\n\
                    notify = { on = \"stall\", command = \"mail me\", url = \"http://x/y\" }\n";
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + defaults).unwrap();
    let flags = ["--backoff-max", "9s", "--give-up-within", "1m", "--stall-action", "restart"];
    env.ok(&[&["add", "T"][..], &flags, &["--", "true"]].concat());
    let notify = json!({ "on": ["stall"], "command": ["/bin/sh", "-c", "mail me"], "url": "http://x/…" });
    assert_eq!(
        fields(&env, "T"),
        json!([
            { "first": 3.0, "factor": 2.0, "max": 9.0, "jitter": 0.1, "reset_after": 2.0 },
            { "failures": 3, "within": 60.0 },
            { "after": 3600.0, "file": null, "action": "restart" },
            notify,
        ])
    );
    env.ok(&["edit", "T", "--notify-on", "", "--notify-command", "", "--notify-url", ""]);
    let text = env.read("jobexec.toml");
    assert!(text.ends_with("notify.on = []\nnotify.command = \"\"\nnotify.url = \"\"\n"), "{text}");
    assert_eq!(env.json(&["show", "T"])["notify"], json!({ "on": [], "command": [], "url": null }));
    assert!(env.ok(&["show", "T"]).out.contains("nothing: nobody"));
    env.ok(&["edit", "T", "--unset", "notify.on", "--unset", "notify.command", "--unset", "notify.url"]);
    assert_eq!(env.json(&["show", "T"])["notify"], notify, "the default holds again");
}

#[test]
fn a_mistake_is_told_with_its_place_and_the_way_out() {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "xg15"]);
    let good = "version = 1\nexec_id = \"xg15\"\n\n[task.A]\nshell = \"x\"\n";
    for (field, column, message, hint) in [
        ("backoff.factor = 0.5", 18, "`backoff.factor`: 0.5 is not a number from 1 to 1000", ""),
        ("backoff.jitter = \"30\"", 18, "`30` is not a number from 0 to 1", "write it as `0.1` or `\"10%\"`"),
        ("backoff.max = \"soon\"", 15, "`soon` is not a duration", ""),
        ("backof.max = 3", 1, "unknown key `backof` in [task.A]", "did you mean `backoff`?"),
        ("give_up.failures = 0", 20, "0 is not a number from 1 to 100", ""),
        (
            "give_up.within = 9",
            9,
            "`give_up.within` needs `give_up.failures`",
            "say how many failures: `give_up.failures = 5`",
        ),
        ("stall_after = 0", 15, "`stall_after` may not be zero", "leave it out to watch for nothing"),
        (
            "stall_file = 'x'",
            1,
            "`stall_file` needs `stall_after`",
            "say how long it may be silent: `stall_after = \"20m\"`",
        ),
        ("stall_action = 'notfy'", 16, "`notfy` is not one of `notify` and `restart`", "did you mean `notify`?"),
        ("notify.on = ['stall', 'recovry']", 23, "`recovry` is not one of", "did you mean `recovery`?"),
        ("notify.url = 'x.example/y'", 14, "a URL must begin with `http://` or `https://`", ""),
        ("notify.url = 'https://'", 14, "the URL names no host", ""),
        ("notify.command = 3", 18, "expected a string or an array of strings, found an integer", ""),
    ] {
        fs::write(env.file("jobexec.toml"), format!("{good}{field}\n")).unwrap();
        let found = env.run(&["check", "--json"]);
        assert_eq!(found.code, 2, "{field}: {found:?}");
        let found: Value = serde_json::from_str(&found.out).unwrap();
        let all = found.as_array().unwrap();
        let mine = all.iter().find(|one| one["line"] == 6 && one["column"] == column);
        let mine = mine.unwrap_or_else(|| panic!("nothing at 6:{column} for {field}: {found}"));
        assert!(mine["message"].as_str().unwrap().contains(message), "{field}: {mine}");
        assert_eq!(mine["hint"].as_str().unwrap_or_default(), hint, "{field}: {mine}");
        let said = env.fails(2, &["add", "X", "--", "true"]);
        assert!(said.err.contains(&format!("{field}\n{}^", " ".repeat(column - 1))), "{field}: {said:?}");
    }
}

#[test]
fn a_bad_flag_changes_nothing() {
    let (env, _) = everything();
    let before = env.read("jobexec.toml");
    for (flag, value, word) in [
        ("--backoff-first", "x", "`x` is not a duration"),
        ("--backoff-factor", "fast", "expected a number"),
        ("--backoff-factor", "0.5", "is not a number from 1 to 1000"),
        ("--backoff-jitter", "some", "expected a number"),
        ("--backoff-jitter", "101%", "is not a number from 0 to 1"),
        ("--give-up-failures", "0", "is not a number from 1 to 100"),
        ("--give-up-failures", "-1", "-1"),
        ("--stall-after", "0", "may not be zero"),
        ("--stall-action", "kill", "notify, restart"),
        ("--notify-on", "failure,finsh", "did you mean `finish`?"),
        ("--notify-url", "mailto:me", "a URL must begin with"),
        ("--unset", "give_up.failures", "`give_up.within` needs `give_up.failures`"),
        ("--unset", "backoff.mx", "did you mean `backoff.max`?"),
    ] {
        let said = env.fails(2, &["edit", "T", &format!("{flag}={value}")]);
        assert!(said.err.starts_with("error: ") && said.err.contains(word), "{flag} {value}: {said:?}");
    }
    assert_eq!(env.read("jobexec.toml"), before);
}
