//! What can be typed at `add` and `edit`: names, programs, arguments, directories, variables, fields.

use serde_json::json;

use crate::suite::env::TestEnv;

#[test]
fn a_bad_name_is_refused_with_the_reason() {
    let env = TestEnv::new();
    let long = "a".repeat(101);
    for (name, reason) in [
        ("", "empty"),
        ("a/b", "`/`"),
        ("..", "`.`"),
        (".x", "`.`"),
        ("a b", "` `"),
        ("ä", "`ä`"),
        ("a\nb", "not allowed"),
        ("123", "digits"),
        ("LOL_20210301T105358Z", "archive"),
        ("LOL_20210301T105358Z-2", "archive"),
        (&long, "at most 100"),
    ] {
        let said = env.fails(2, &["add", name, "--", "true"]);
        assert!(said.err.starts_with("error: ") && said.err.contains(reason), "{name:?}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{name:?}: {said:?}");
    }
    for verb in ["show", "status", "history", "explain", "start", "stop", "remove", "tail"] {
        env.fails(2, &[verb, "a/b"]);
    }
    assert!(!env.file("jobexec.toml").exists(), "nothing was made");
    for name in ["a", "A.b-c_9", &long[1..], "9a"] {
        env.ok(&["add", name, "--", "true"]);
    }
}

#[test]
fn names_that_differ_in_case_are_one_name() {
    let env = TestEnv::new();
    env.ok(&["add", "Backup", "--", "true"]);
    let said = env.ok(&["add", "bACKUP", "--", "true"]);
    assert_eq!(said.err, "Skipping Backup because a task named Backup already exists\n");
    assert_eq!(env.json(&["show", "BACKUP"])["name"], "Backup");
    env.ok(&["edit", "backup", "--timeout", "5s"]);
    env.ok(&["remove", "bAckup"]);
    assert_eq!(env.json(&["list"]), json!([]));
}

#[test]
fn script_command_and_shell() {
    let env = TestEnv::new();
    let program = |name: &str| {
        let task = env.json(&["show", name]);
        json!([task["script"], task["command"], task["shell"], task["args"]])
    };
    env.ok(&["add", "a", "x.sh", "one", "two"]);
    assert_eq!(program("a"), json!(["x.sh", null, null, ["one", "two"]]));
    env.ok(&["add", "b", "x.sh", "one", "--", "--folder", "-f", "--"]);
    assert_eq!(program("b"), json!(["x.sh", null, null, ["one", "--folder", "-f", "--"]]));
    env.ok(&["add", "c", "--", "ls", "-la"]);
    assert_eq!(program("c"), json!([null, ["ls", "-la"], null, []]));
    env.ok(&["add", "d", "--shell", "a | b"]);
    assert_eq!(program("d"), json!([null, null, "a | b", []]));
    env.ok(&["edit", "a", "--shell", "x"]);
    assert_eq!(program("a"), json!([null, null, "x", []]), "another program replaces script and arguments");
    env.ok(&["edit", "a", "y.sh"]);
    assert_eq!(program("a"), json!(["y.sh", null, null, []]));
    for line in [&["add", "z"][..], &["add", "z", "--shell", "x", "--", "y"], &["add", "z", "s", "--shell", "x"]] {
        let said = env.fails(2, line);
        assert!(said.err.starts_with("error: "), "{said:?}");
    }
    let said = env.fails(2, &["add", "z"]);
    assert!(said.err.contains("hint: ") && said.err.contains("jobexec add z"), "{said:?}");
}

#[test]
fn arguments_reach_the_script_as_they_were_typed() {
    let env = TestEnv::new();
    env.script("args.sh", "#!/bin/sh\nfor a; do printf '[%s]' \"$a\"; done\n");
    let odd = ["-x", "--json", "a b", "", "it's", "$HOME", "\"", "*", "ä", "a\\b", "{{{{x}}", "--"];
    let args = ["add", "A", "args.sh", "--restart", "never", "--"].into_iter().chain(odd).collect::<Vec<_>>();
    env.ok(&args);
    env.ok(&["start", "A"]);
    let expected: String = odd.iter().map(|arg| format!("[{}]", arg.replace("{{{{", "{{"))).collect();
    crate::suite::env::until("its output", || env.read("A.txt") == expected);
    assert_eq!(env.json(&["show", "A"])["args"], json!(odd));
}

#[test]
fn the_working_directory_is_made_absolute() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.dir().join("a/b")).unwrap();
    let here = env.dir().canonicalize().unwrap();
    env.ok(&["add", "none", "--restart", "never", "--", "pwd"]);
    env.ok(&["add", "rel", "--wd", "a/../a/b", "--restart", "never", "--", "pwd"]);
    assert_eq!(env.json(&["show", "none"])["wd"], json!(here));
    assert_eq!(env.json(&["show", "rel"])["wd"], json!(here.join("a/b")));
    assert_eq!(env.read("jobexec.toml").matches("wd = ").count(), 2, "it is always written");
    env.ok(&["start", "rel"]);
    crate::suite::env::until("its output", || env.read("rel.txt").trim_end() == here.join("a/b").to_str().unwrap());
    let said = env.ok(&["add", "gone", "--wd", "nowhere", "--", "pwd"]);
    assert!(said.err.contains("warning: ") && said.err.contains("nowhere"), "{said:?}");
    let said = env.ok(&["edit", "rel", "--wd", "nowhere"]);
    assert!(said.err.contains("warning: ") && said.err.contains("nowhere"), "{said:?}");
    let said = env.fails(1, &["start", "gone"]);
    assert!(said.err.contains("nowhere"), "which directory: {said:?}");
    assert!(env.history("gone").is_empty(), "nothing is recorded");
}

#[test]
fn variables_are_name_and_value() {
    let env = TestEnv::new();
    let flags = ["--env", "A=", "--env", "B=a=b", "--env", "C=x \"y'\n$Z", "--env", "A=2"];
    let script = ["--restart", "never", "--", "sh", "-c", "printf '%s|%s|%s' \"$A\" \"$B\" \"$C\""];
    env.ok(&["add", "T"].iter().chain(&flags).chain(&script).copied().collect::<Vec<_>>());
    assert_eq!(env.json(&["show", "T"])["env"], json!({"A": "2", "B": "a=b", "C": "x \"y'\n$Z"}));
    env.ok(&["start", "T"]);
    crate::suite::env::until("its output", || env.read("T.txt") == "2|a=b|x \"y'\n$Z");
    for (bad, word) in
        [("FOO", "NAME=VALUE"), ("=x", "NAME=VALUE"), ("JOBEXEC_X=1", "JOBEXEC_X"), ("EXECUTOR_ID=1", "EXECUTOR_ID")]
    {
        let said = env.fails(2, &["add", "U", "--env", bad, "--", "true"]);
        assert!(said.err.contains(word), "{bad}: {said:?}");
    }
    env.ok(&["edit", "T", "--env", "D=4"]);
    assert_eq!(env.json(&["show", "T"])["env"]["A"], "2", "an edit adds to what is there");
    env.ok(&["edit", "T", "--unset", "env"]);
    assert_eq!(env.json(&["show", "T"])["env"], json!({}));
}

#[test]
fn unknown_fields_and_bad_values_are_told_with_the_way_out() {
    let env = TestEnv::new();
    env.ok(&["add", "T", "--timeout", "5s", "--", "true"]);
    let before = env.read("jobexec.toml");
    let said = env.fails(2, &["edit", "T", "--unset", "timout"]);
    assert!(said.err.contains("`timout`") && said.err.contains("hint: did you mean `timeout`?"), "{said:?}");
    let said = env.fails(2, &["edit", "T"]);
    assert!(said.err.contains("hint: "), "{said:?}");
    for (flag, value) in [
        ("--timeout", "soon"),
        ("--stop-grace", "x"),
        ("--stop-signal", "NOPE"),
        ("--restart", "sometimes"),
        ("--retries", "-1"),
        ("--retries", "many"),
        ("--keep-bytes", "lots"),
        ("--enabled", "maybe"),
    ] {
        let said = env.fails(2, &["edit", "T", &format!("{flag}={value}")]);
        assert!(said.err.starts_with("error: ") && said.err.contains(value), "{flag} {value}: {said:?}");
    }
    let said = env.fails(2, &["edit", "T", "--timeout", "0"]);
    assert!(said.err.contains("may not be zero") && said.err.contains("hint: "), "{said:?}");
    env.fails(2, &["edit", "T", "--unset", "command"]);
    for clash in
        [["--period=day", "--restart=always"], ["--cron=0 3 * * *", "--period=day"], ["--once", "--restart=never"]]
    {
        env.fails(2, &["edit", "T", clash[0], clash[1]]);
    }
    assert_eq!(env.read("jobexec.toml"), before, "nothing was changed");
}

#[test]
fn our_flags_may_stand_anywhere_before_the_dashes() {
    let env = TestEnv::new();
    env.ok(&["--json", "add", "--restart", "never", "T", "--timeout", "5s", "x.sh", "--env", "A=1", "one"]);
    let task = env.json(&["show", "T"]);
    assert_eq!(
        json!([task["script"], task["args"], task["timeout"], task["env"], task["restart"]]),
        json!(["x.sh", ["one"], 5.0, {"A": "1"}, "never"])
    );
    let folder = env.folder();
    let folder = folder.to_str().unwrap();
    env.ok(&["-f", folder, "show", "T"]);
    env.ok(&["show", "-f", folder, "T"]);
    env.ok(&["show", "T", "--folder", folder]);
}
