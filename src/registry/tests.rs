//! What a registry's text means, and what is said about a wrong one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::notice::{Notify, Occasion};
use crate::domain::restart::{Backoff, Thousandths, Window};
use crate::domain::task::{Program, Restart, Stall, StallAction};

mod resources;
mod work;

const HEAD: &str = "version = 1\nexec_id = \"xg15\"\n";

/// A registry that uses every form at least once.
const GOOD: &str = r#"# mine
version = 1
exec_id = "xg15"

[defaults]
stop.grace = "20s" # patience
env = { LANG = "C", LEVEL = 1 }

# the loop
[task.LOL]
script = "jobs/test.R"
args = ["a", "b c"]
wd = "/home/me/project"
stop = { signal = "INT" }

[task.nightly]
command = ["make", "all"]
period = "day"
start = 2021-02-27 12:50:00
timeout = "2h"
retries = 2
"#;

#[track_caller]
fn read(body: &str) -> Vec<Task> {
    match Registry::parse(&format!("{HEAD}{body}"), Path::new("/base")) {
        Ok(registry) => registry.tasks,
        Err(mistakes) => panic!("{mistakes}"),
    }
}

#[track_caller]
fn one(body: &str) -> Task {
    read(body).into_iter().next().unwrap()
}

/// The mistakes of a text as `line:column message [hint]`; lines count without the head.
#[track_caller]
fn refused(body: &str, expected: &[&str]) {
    let text = format!("{HEAD}{body}");
    let mistakes = Registry::parse(&text, Path::new("/base")).unwrap_err();
    let found: Vec<String> = mistakes
        .iter()
        .map(|m| {
            let hint = m.hint.as_ref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
            format!("{}:{} {}{hint}", m.line.saturating_sub(2), m.column, m.problem)
        })
        .collect();
    assert_eq!(found, expected, "{mistakes}");
}

/// One mistake in a task `a` that is otherwise good: its message begins like this.
#[track_caller]
fn wrong(field: &str, column: usize, says: &str) {
    let text = format!("{HEAD}[task.a]\nscript = \"x\"\n{field}\n");
    let mistakes = Registry::parse(&text, Path::new("/base")).unwrap_err();
    let first = mistakes.iter().next().unwrap();
    assert_eq!((first.line, first.column), (5, column), "{mistakes}");
    assert!(first.problem.to_string().contains(says), "{mistakes}");
    assert_eq!(mistakes.iter().count(), 1, "{mistakes}");
}

#[test]
fn a_task_is_read_with_all_its_fields() {
    let registry = Registry::parse(GOOD, Path::new("/base")).unwrap();
    assert_eq!(registry.exec_id.as_str(), "xg15");
    let lol = registry.task(&TaskName::parse("lol").unwrap()).unwrap();
    assert_eq!(lol.program, Program::Script("jobs/test.R".into()));
    assert_eq!(lol.args, ["a", "b c"]);
    assert_eq!(lol.wd, PathBuf::from("/home/me/project"));
    assert_eq!(lol.stop.signal.to_string(), "SIGINT");
    assert_eq!(lol.stop.grace, Duration::from_secs(20));
    assert_eq!(lol.env["LEVEL"], "1");
    let nightly = &registry.tasks[1];
    assert_eq!(nightly.wd, PathBuf::from("/base"));
    assert_eq!(nightly.schedule.start.as_deref(), Some("2021-02-27 12:50:00"));
    assert_eq!((nightly.restart, nightly.retries), (Restart::Never, Some(2)));
    assert_eq!(nightly.timeout, Some(Duration::from_hours(2)));
}

#[test]
fn tasks_come_in_the_order_of_the_file() {
    let names: Vec<_> = read("[task.z]\nshell='x'\n[task.\"a.b\"]\nshell='x'\n[task.m]\nshell='x'\n")
        .into_iter()
        .map(|t| t.name.to_string())
        .collect();
    assert_eq!(names, ["z", "a.b", "m"]);
}

#[test]
fn every_form_of_a_table_is_read_alike() {
    let expected = one("[task.a]\nscript='x'\nstop.grace=5\nenv.A='1'\n");
    for same in [
        "[task]\na={script='x',stop={grace=\"5s\"},env={A=1}}\n",
        "[task]\na.script='x'\na.stop.grace=5.0\na.env.A='1'\n",
        "[task.a]\nscript='x'\n[task.a.stop]\ngrace=5\n[task.a.env]\nA='1'\n",
        "[task.a.env]\nA='1'\n[task.a]\nscript='x'\nstop.grace='5'\n",
    ] {
        assert_eq!(one(same), expected, "{same}");
    }
    let text = format!("\u{feff}{HEAD}[task.a]\nscript='x'\nstop.grace=5\nenv.A='1'\n").replace('\n', "\r\n");
    assert_eq!(Registry::parse(&text, Path::new("/base")).unwrap().tasks, [expected]);
}

#[test]
fn a_relative_folder_is_found_from_the_folder_of_the_file() {
    assert_eq!(one("[task.a]\nscript='x'\nwd='sub/./dir'\n").wd, PathBuf::from("/base/sub/dir"));
    assert_eq!(one("[task.a]\nscript='x'\nwd='.'\n").wd, PathBuf::from("/base"));
    wrong("wd = '~/x'", 6, "`~` is not expanded");
}

#[test]
fn a_default_holds_where_a_task_says_nothing() {
    let defaults = "[defaults]\nenv={A='1',B='2'}\nlog.keep=3\ninterpreter='python3'\n";
    let task = one(&format!("{defaults}[task.a]\nscript='x'\nenv={{B='3'}}\nlog.keep_for='1d'\n"));
    assert_eq!(task.env.into_iter().collect::<Vec<_>>(), [("A".into(), "1".into()), ("B".into(), "3".into())]);
    assert_eq!((task.log.keep, task.log.keep_for), (3, Some(Duration::from_hours(24))));
    assert_eq!(task.interpreter, Some(vec!["python3".to_owned()]));
    assert_eq!(one(&format!("{defaults}[task.a]\nshell='x'\n")).interpreter, None);
}

#[test]
fn restart_is_judged_on_the_own_fields_of_a_task() {
    let restart = |defaults: &str, own: &str| {
        let task = one(&format!("[defaults]\n{defaults}\n[task.a]\nscript='x'\n{own}\n"));
        (task.restart, task.schedule.is_set(), task.retries)
    };
    assert_eq!(restart("", ""), (Restart::Always, false, None));
    assert_eq!(restart("", "cron='0 3 * * *'"), (Restart::Never, true, None));
    assert_eq!(restart("restart='on-failure'", ""), (Restart::OnFailure, false, None));
    assert_eq!(restart("restart='on-failure'", "period='day'"), (Restart::Never, true, None));
    assert_eq!(restart("restart='always'", "retries=1"), (Restart::Never, false, Some(1)));
    assert_eq!(restart("retries=2", ""), (Restart::Never, false, Some(2)));
    assert_eq!(restart("retries=2\nperiod='day'", "restart='always'"), (Restart::Always, false, None));
    for other in ["period='day'", "cron='0 3 * * *'", "retries=0"] {
        wrong(&format!("restart='always'\n{other}"), 1, "`restart` cannot stand beside");
        one(&format!("[task.a]\nscript='x'\nrestart='never'\n{other}\n"));
    }
}

#[test]
fn a_mistake_shows_its_place_and_what_was_meant() {
    let text = format!("{HEAD}[task.nightly]\nscript = 'x'\n\tperod = \"day\"\n");
    let mistakes = Registry::parse(&text, Path::new("/base")).unwrap_err();
    let mistake = mistakes.iter().next().unwrap();
    assert_eq!(
        mistake.in_file(Path::new("jobexec.toml")).to_string(),
        "jobexec.toml:5:2: unknown key `perod` in [task.nightly]\n\tperod = \"day\"\n\t^^^^^"
    );
    assert_eq!(mistake.hint.as_deref(), Some("did you mean `period`?"));
    assert_eq!((&text[mistake.span.clone()], mistake.found.as_str()), ("perod", "perod"));
}

#[test]
fn columns_are_counted_in_characters() {
    let text = format!("\u{feff}{HEAD}task.a = {{ script = \"naïve ä\", x = 1 }}\n");
    let mistakes = Registry::parse(&text, Path::new("/base")).unwrap_err();
    assert_eq!(mistakes.iter().next().unwrap().column, 32);
    let mistakes = Registry::parse("\u{feff}versio = 1\nexec_id='x'\n", Path::new("/base")).unwrap_err();
    assert!(mistakes.iter().all(|m| (m.line, m.column) == (1, 1)), "{mistakes}");
}

#[test]
fn all_mistakes_are_reported_in_order() {
    refused(
        "[tasks.a]\n[task.b]\nscript = 1\ntimeout = \"soon\"\n[task.\"c d\"]\n[task.B]\nshell = \"x\"\ncommand = [\"y\"]\n",
        &[
            "1:2 unknown key `tasks` in the file [did you mean `task`?]",
            "3:10 `script`: expected a string, found an integer",
            "4:11 `timeout`: `soon` is not a duration (try `90s`, `10 min`, `1h30m` or `7 days`)",
            "5:7 `c d` is not a name: ` ` is not allowed there",
            "5:7 [task.\"c d\"] says nothing to run [write one of `script`, `command` and `shell`]",
            "6:7 `B` is the same name as `b` in line 4, as case does not count [rename or remove one of them]",
            "8:1 `command` cannot stand beside `shell` in [task.B]",
        ],
    );
    refused("[nightly]\nscript='x'\n", &["1:2 unknown key `nightly` in the file [did you mean `task.nightly`?]"]);
    refused("[task.a]\nshell='x'\n[task.a]\n", &["3:7 `a` is defined twice, first in line 3"]);
    refused(
        "[defaults]\nscript='x'\nstop.grac=1\n",
        &[
            "2:1 `script` cannot stand in [defaults]",
            "3:6 unknown key `stop.grac` in [defaults] [did you mean `stop.grace`?]",
        ],
    );
}

#[test]
fn a_file_without_its_version_or_of_a_newer_one_is_refused() {
    let says = |text: &str| Registry::parse(text, Path::new("/base")).unwrap_err().to_string();
    assert!(says("").contains("`version` is missing"));
    assert!(says("version = 1\n").contains("`exec_id` is missing"));
    assert!(says("exec_id = \"x\"\n").contains("`version` is missing"));
    assert!(says("version = 0\nexec_id = \"x\"\n").contains("must be 1"));
    assert!(says("version = \"1\"\nexec_id = \"x\"\n").contains("found a string"));
    let newer = says("version = 2\nqueue = 3\n");
    assert!(newer.contains("version 2 is newer") && !newer.contains("queue"), "{newer}");
}

#[test]
fn a_wrong_field_is_refused() {
    wrong("grace = 1", 1, "unknown key");
    wrong("stop = 'TERM'", 8, "expected a table, found a string");
    wrong("stop.signal = 'TREM'", 15, "is not a signal");
    wrong("\"stop.grace\" = 1", 1, "unknown key");
    wrong("args = 'x'", 8, "expected an array of strings");
    wrong("args = [1]", 9, "expected a string, found an integer");
    wrong("args = [\"a\\u0000\"]", 9, "NUL");
    wrong("shell = 'x'", 1, "`shell` cannot stand beside `script`");
    wrong("interpreter = []", 15, "may not be empty");
    wrong("env = 1", 7, "expected a table");
    wrong("env = { \"A=B\" = '1' }", 9, "`=` is not allowed");
    wrong("env = { \"\" = '1' }", 9, "may not be empty");
    wrong("env = { EXECUTOR_ID = '1' }", 9, "jobexec sets it itself");
    wrong("env = { JOBEXEC_X = '1' }", 9, "jobexec sets it itself");
    wrong("env = { A = [] }", 13, "found an array");
    wrong("env = { A = \"\\u0000\" }", 13, "NUL");
    wrong("restart = 'alway'", 11, "is not one of");
    wrong("period = ''", 10, "may not be empty");
    wrong("tz = 2", 6, "expected a string");
    wrong("enabled = 'yes'", 11, "`true` or `false`");
    wrong("timeout = -1", 11, "is not a duration");
    wrong("timeout = inf", 11, "is not a duration");
    wrong("timeout = 0", 11, "may not be zero");
    wrong("retries = -1", 11, "is not a number from 0");
    wrong("retries = 1.5", 11, "found a float");
    wrong("log.keep_bytes = '5 XB'", 18, "is not a size");
}

#[test]
fn numbers_of_the_backoff_are_in_their_ranges() {
    let backoff = |own: &str| one(&format!("[task.a]\nscript='x'\n{own}\n")).backoff;
    assert_eq!(backoff(""), Backoff::default());
    for (written, factor) in [("1", 1000), ("1.5", 1500), ("0x10", 16_000), ("1e3", 1_000_000), ("1.2345", 1235)] {
        assert_eq!(backoff(&format!("backoff.factor={written}")).factor, Thousandths(factor), "{written}");
    }
    for (written, jitter) in [
        ("0", 0),
        ("0.0", 0),
        ("1", 1000),
        ("0.25", 250),
        ("'10%'", 100),
        ("'2.5 %'", 25),
        ("'0.2'", 200),
        ("'100%'", 1000),
    ] {
        assert_eq!(backoff(&format!("backoff.jitter={written}")).jitter, Thousandths(jitter), "{written}");
    }
    for factor in ["0", "0.9999", "-2", "1001", "1000.001", "99999999999", "inf", "nan"] {
        wrong(
            &format!("backoff.factor={factor}"),
            16,
            &format!("`backoff.factor`: {factor} is not a number from 1 to 1000"),
        );
    }
    wrong("backoff.factor='2'", 16, "expected a number, found a string");
    for jitter in ["-0.1", "1.01", "2"] {
        wrong(
            &format!("backoff.jitter={jitter}"),
            16,
            &format!("`backoff.jitter`: {jitter} is not a number from 0 to 1"),
        );
    }
    for jitter in ["'101%'", "'10'", "'lots'", "'-1%'"] {
        wrong(
            &format!("backoff.jitter={jitter}"),
            16,
            &format!("`{}` is not a number from 0 to 1", jitter.trim_matches('\'')),
        );
    }
    wrong("backoff.jitter=true", 16, "expected a number, found a boolean");
    wrong("backoff.jitter=''", 16, "may not be empty");
    wrong("backoff.max='soon'", 13, "is not a duration");
    wrong("backoff=2", 9, "expected a table");
    refused(
        "[task.a]\nscript='x'\nbackoff.jitter='30'\nbackoff.facter=2\n",
        &[
            "3:16 `backoff.jitter`: `30` is not a number from 0 to 1 [write it as `0.1` or `\"10%\"`]",
            "4:9 unknown key `backoff.facter` in [task.a] [did you mean `backoff.factor`?]",
        ],
    );
}

#[test]
fn giving_up_and_stalling_need_what_they_go_by() {
    let task = one("[task.a]\nscript='x'\ngive_up.failures=5\nstall_after='20m'\n");
    assert_eq!(task.give_up, Some(Window { failures: 5, within: Duration::from_mins(10) }));
    let stall = Stall { after: Duration::from_mins(20), file: None, action: StallAction::Notify };
    assert_eq!(task.stall, Some(stall));
    let defaults = "[defaults]\ngive_up.failures=3\nstall_after='1h'\n";
    let task = one(&format!(
        "{defaults}[task.a]\nscript='x'\ngive_up.within='1m'\nstall_file='beat'\nstall_action='restart'\n"
    ));
    assert_eq!(task.give_up, Some(Window { failures: 3, within: Duration::from_mins(1) }));
    let stall = Stall { after: Duration::from_hours(1), file: Some("beat".into()), action: StallAction::Restart };
    assert_eq!(task.stall, Some(stall));
    // What only the defaults say, and what nothing comes of, is no mistake.
    let task = one("[defaults]\ngive_up.within='1m'\nstall_action='restart'\n[task.a]\nscript='x'\n");
    assert_eq!((task.give_up, task.stall), (None, None));
    refused(
        "[task.a]\nscript='x'\ngive_up.within='1m'\nstall_file='x'\nstall_action='restart'\n",
        &[
            "3:9 `give_up.within` needs `give_up.failures` in [task.a] [say how many failures: `give_up.failures = 5`]",
            "4:1 `stall_file` needs `stall_after` in [task.a] [say how long it may be silent: `stall_after = \"20m\"`]",
            "5:1 `stall_action` needs `stall_after` in [task.a] [say how long it may be silent: `stall_after = \"20m\"`]",
        ],
    );
    refused(
        "[task.a]\nscript='x'\nstall_after='0s'\nstall_action='restrat'\ngive_up.failures=0\ngive_up.within=0\n",
        &[
            "3:13 `stall_after` may not be zero [leave it out to watch for nothing]",
            "4:14 `stall_action`: `restrat` is not one of `notify` and `restart` [did you mean `restart`?]",
            "5:18 `give_up.failures`: 0 is not a number from 1 to 100",
            "6:16 `give_up.within` may not be zero [leave it out for 10 minutes]",
        ],
    );
    wrong("give_up.failures=101", 18, "101 is not a number from 1 to 100");
    wrong("give_up.failures=1.5", 18, "expected an integer, found a float");
    refused(
        "[task.a]\nscript='x'\nstall_after=1\nstall_file='~/x'\n",
        &["4:12 `stall_file`: `~` is not expanded here [write the path in full, beginning with `/`]"],
    );
}

#[test]
fn what_is_told_is_read_in_its_forms() {
    let notify = |own: &str| one(&format!("[task.a]\nscript='x'\n{own}\n")).notify;
    let on = |own: &str| notify(&format!("notify.on={own}")).on;
    assert_eq!(notify(""), Notify::default());
    assert_eq!(on("'finish'"), [Occasion::Finish]);
    assert_eq!(on("['stall','failure','stall']"), [Occasion::Failure, Occasion::Stall], "in one order, each once");
    assert_eq!([on("[]"), on("''")], [[], []]);
    let command = |own: &str| notify(&format!("notify.command={own}")).command;
    assert_eq!(command("'mail -s x me'"), ["/bin/sh", "-c", "mail -s x me"]);
    assert_eq!(command("['mail','me']"), ["mail", "me"]);
    let url = "https://hooks.example/T0?k=1";
    assert_eq!(notify(&format!("notify.url='{url}'")).url.as_deref(), Some(url));
    refused(
        "[task.a]\nscript='x'\nnotify.on=['failure','crash-lop']\nnotify.url='hooks.example'\nnotify.command=['']\n",
        &[
            "3:22 `notify.on`: `crash-lop` is not one of `failure`, `crash-loop`, `recovery`, `finish` and `stall` \
             [did you mean `crash-loop`?]",
            "4:12 `notify.url`: a URL must begin with `http://` or `https://`",
            "5:16 `notify.command` may not be empty",
        ],
    );
    refused(
        "[task.a]\nscript='x'\nnotify.on='failures'\nnotify.url='http://x/a b'\nnotify.comand='x'\n",
        &[
            "3:11 `notify.on`: `failures` is not one of `failure`, `crash-loop`, `recovery`, `finish` and `stall` \
             [did you mean `failure`?]",
            "4:12 `notify.url`: a URL may not contain ' ' [write that character as `%20`]",
            "5:8 unknown key `notify.comand` in [task.a] [did you mean `notify.command`?]",
        ],
    );
    wrong("notify.on=[1]", 12, "expected a string, found an integer");
    wrong("notify.on=true", 11, "expected an array of strings, found a boolean");
    wrong("notify.command=1", 16, "expected a string or an array of strings");
    wrong("notify.command=' '", 16, "may not be empty");
    wrong("notify.url=1", 12, "expected a string");
    wrong("notify.url='https:///x'", 12, "names no host");
    wrong("notify.url='http://x:y'", 12, "port");
    wrong("notify='me'", 8, "expected a table");
}

#[test]
fn something_empty_takes_back_a_default() {
    let defaults = "[defaults]\nnotify.on='finish'\nnotify.command='mail me'\nnotify.url='http://x/y'\n";
    let notify = |own: &str| one(&format!("{defaults}[task.a]\nscript='x'\n{own}\n")).notify;
    let all = notify("");
    assert_eq!((all.on.len(), all.command.len(), all.url.is_some()), (1, 3, true));
    assert_eq!(notify("notify.on=[]"), Notify { on: vec![], ..all.clone() });
    assert_eq!(notify("notify.command=[]"), Notify { command: vec![], ..all.clone() });
    assert_eq!(notify("notify.command=''"), Notify { command: vec![], ..all.clone() });
    assert_eq!(notify("notify.url=''"), Notify { url: None, ..all });
}

#[test]
fn a_default_of_restarting_holds_key_by_key() {
    let defaults = "[defaults]\nbackoff={first='3s',max='30s'}\ngive_up={failures=3,within='1h'}\n";
    let task = one(&format!("{defaults}[task.a]\nscript='x'\nbackoff.max='5s'\ngive_up.failures=1\n"));
    let seconds = |seconds| Duration::from_secs(seconds);
    assert_eq!((task.backoff.first, task.backoff.max), (seconds(3), Some(seconds(5))));
    assert_eq!(task.give_up, Some(Window { failures: 1, within: seconds(3600) }));
}

#[test]
fn the_later_of_two_is_the_mistake() {
    refused(
        "[task.a]\nscript='x'\nperiod='day'\ncron='* * * * *'\n",
        &["4:1 `cron` cannot stand beside `period` in [task.a]"],
    );
    refused(
        "[defaults]\ncron='* * * * *'\nperiod=1\n",
        &["3:1 `period` cannot stand beside `cron` in [defaults]", "3:8 `period`: expected a string, found an integer"],
    );
}

#[test]
fn programs_exclude_what_is_not_theirs() {
    refused("[task.a]\nshell='x'\nargs=[]\n", &["3:1 `args` cannot stand beside `shell` in [task.a]"]);
    refused("[task.a]\ncommand=['x']\ninterpreter='y'\n", &["3:1 `interpreter` needs `script` in [task.a]"]);
    refused("[task.a]\ncommand=[]\n", &["2:9 `command` may not be empty"]);
}

/// A value for each kind of field that no default has.
fn sample(field: &Field) -> &'static str {
    match field.key {
        "period" => return "\"77 s\"",
        "cron" => return "\"7 7 * * *\"",
        "start" => return "\"2030-07-07 07:07:07\"",
        "tz" => return "\"Europe/Zurich\"",
        "resources.node_packing_count" => return "77",
        _ => {}
    }
    match field.form {
        "text" | "text or list of texts" | "name" | "text with placeholders" => "\"odd\"",
        "list of texts" | "list of names" | "list of patterns" => "[\"odd\"]",
        "table of texts" => "{ ODD = \"1\" }",
        "duration" => "\"77s\"",
        "number" | "number from 1 to 100" | "number of minutes" => "77",
        "number, perhaps with a fraction" => "0.77",
        "size" => "\"77 kB\"",
        "signal" => "\"USR2\"",
        "`true` or `false`" => "false",
        "`always`, `on-failure` or `never`" => "\"on-failure\"",
        "`notify` or `restart`" => "\"restart\"",
        "`once`, `skip` or `all`" => "\"all\"",
        "`skip`, `queue`, `replace` or `allow`" => "\"queue\"",
        "number from 1 to 1000" => "7.7",
        "number from 0 to 1 or `\"10%\"`" => "\"77%\"",
        "text or list of `failure`, `crash-loop`, `recovery`, `finish`, `stall`" => "[\"finish\"]",
        "URL" => "\"https://odd\"",
        "table of parameters" => "{ odd = { default = 7 } }",
        "integer" => "-77",
        "table of slots" => "{ odd = { direction = \"out\", local = \"odd\" } }",
        other => panic!("no sample for {other}"),
    }
}

#[test]
fn every_field_of_the_table_is_read() {
    for field in fields() {
        let program = match field.key {
            "script" | "command" | "shell" => "",
            "give_up.within" => "script = \"x\"\ngive_up.failures = 5\n",
            "stall_file" | "stall_action" => "script = \"x\"\nstall_after = \"1h\"\n",
            "start" | "missed" | "overlap" | "jitter" | "start_deadline" => "script = \"x\"\nperiod = \"hour\"\n",
            "max_running" => "script = \"x\"\nperiod = \"hour\"\noverlap = \"allow\"\n",
            _ => "script = \"x\"\n",
        };
        let set = format!("{} = {}\n", field.key, sample(field));
        let own = one(&format!("[task.a]\n{program}{set}"));
        let without = one(&format!("[task.a]\n{}", if program.is_empty() { "script = \"x\"\n" } else { program }));
        assert_ne!(own, without, "{} changes nothing", field.key);
        if field.in_defaults {
            assert_eq!(one(&format!("[defaults]\n{set}[task.a]\n{program}")), own, "{} as a default", field.key);
        }
        assert!(render_fields().contains(&format!("| `{}` |", field.key)));
    }
}

#[test]
fn every_part_of_a_task_is_in_the_table() {
    let json = serde_json::to_value(one("[task.a]\nscript = \"x\"\n")).unwrap();
    for key in json.as_object().unwrap().keys() {
        let known = field::find(key).is_some() || field::is_group(key);
        assert!(known || ["name", "program", "schedule", "stall"].contains(&key.as_str()), "{key}");
    }
}

#[test]
fn a_file_cut_at_any_byte_loads_or_says_why() {
    let text = GOOD;
    for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
        if let Err(mistakes) = Registry::parse(&text[..at], Path::new("/base")) {
            for mistake in &mistakes {
                assert!(mistake.span.end <= at && mistake.line >= 1 && mistake.column >= 1, "{at}: {mistake}");
                assert!(mistake.line <= text[..at].lines().count() + 1, "{at}: {mistake}");
            }
        }
    }
}

#[test]
fn many_mistakes_are_found_in_time_that_grows_with_the_text() {
    let tasks = (0..5_000).map(|n| format!("[task.t{n}]\nscript = \"x\"\nperod = \"day\"\n"));
    let text: String = std::iter::once(HEAD.to_owned()).chain(tasks).collect();
    assert_eq!(Registry::parse(&text, Path::new("/base")).unwrap_err().iter().count(), 5_000);
}

proptest! {
    #[test]
    fn garbage_never_panics(text in "[\\[\\]{}=.,#\"'a-c\\n\\r\\t \u{feff}ä\\\\0-9]{0,60}") {
        for text in [text.clone(), format!("{HEAD}{text}"), format!("{HEAD}[task.a]\nscript='x'\n{text}"), format!("{HEAD}[task]\n{text}\na={{shell='x'}}\n")] {
            if let Err(mistakes) = Registry::parse(&text, Path::new("/base")) {
                prop_assert!(mistakes.iter().all(|m| m.span.end <= text.len() && !m.to_string().is_empty()));
            }
            let name = TaskName::parse("a").unwrap();
            let set = [Setting { key: "stop.grace", value: Some(Value::Number(1)) }];
            let program = [Setting { key: "shell", value: Some(Value::Text("y".into())) }];
            let edits = [remove(&text, &name), add(&text, &name, &program), replace(&text, &name, &program), update(&text, &name, &set)];
            if Registry::parse(&text, Path::new("/base")).is_ok() {
                for edited in edits.into_iter().flatten() {
                    let again = Registry::parse(&edited, Path::new("/base"));
                    prop_assert!(again.is_ok(), "{text}\n---\n{edited}\n{again:?}");
                }
            }
        }
    }
}
