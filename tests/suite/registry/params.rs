//! Parameters and what jobs need, through the binary: what `start` does with them, and what is shown.

use std::fs;

use serde_json::json;

use crate::suite::env::{TestEnv, until};

/// An executor with these tasks.
fn with(tasks: &str) -> TestEnv {
    let env = TestEnv::new();
    env.ok(&["init"]);
    fs::write(env.file("jobexec.toml"), format!("{}\n{tasks}", env.read("jobexec.toml"))).unwrap();
    env
}

const ARGS: &str = "#!/bin/sh\nfor a; do printf '[%s]' \"$a\"; done; printf '(%s)' \"$GREETING\"\n";

#[test]
fn start_puts_the_defaults_where_the_placeholders_are() {
    let env = with(
        r##"
[defaults]
restart = "never"
params.who.default = "it's; $(exit 3) `me` \"#"

[task.script]
script = "../args.sh"
args = ["--n={{n}}", "{{ who }}", "{{{{n}}"]
env = { GREETING = "hello {{who}}" }
params.n = { type = "int", default = 4 }

[task.shell]
shell = '''printf '[%s]' {{who}} "<{{who}}>" '{{who}}' '''

[task.command]
command = ["printf", "%s", "{{who}}"]
"##,
    );
    env.script("args.sh", ARGS);
    env.ok(&["start", "--all"]);
    let who = "it's; $(exit 3) `me` \"#";
    until("the arguments", || env.read("script.txt") == format!("[--n=4][{who}][{{{{n}}}}](hello {who})"));
    until("the words", || env.read("shell.txt") == format!("[{who}][<{who}>][{who}]"));
    until("the value", || env.read("command.txt") == who);
    assert_eq!(env.json(&["show", "command"])["command"][2], "{{who}}", "the definition stays what it is");
}

#[test]
fn start_refuses_a_task_that_must_be_given_values() {
    let env = with(
        "[task.needy]\nscript = '../args.sh'\nargs = ['{{file}}']\nparams.file.help = 'what to read'\n\
         [task.fine]\ncommand = ['true']\nrestart = 'never'\n",
    );
    env.script("args.sh", ARGS);
    let said = env.fails(2, &["start", "needy"]);
    assert_eq!(
        said.err,
        "error: cannot start `needy`\n  caused by: parameter `file` has no value (what to read)\n\
         hint: give it a default, `params.file.default = …`, or give it to a queued job: \
         `jobexec submit needy -p file=…`\n"
    );
    assert_eq!(env.json(&["history", "needy"]), json!([]), "nothing was recorded");
    let said = env.ok(&["start", "--all"]);
    assert!(said.err.contains("Skipping needy: it must be given `file`\n"), "{said:?}");
    assert!(said.err.contains("Starting fine"), "{said:?}");
    assert!(env.ok(&["check"]).out.is_empty(), "that is no mistake");
    env.ok(&["edit", "needy", "../none.sh", "{{file}}"]);
    assert!(env.fails(1, &["check"]).out.starts_with("needy: its script "), "but this is");
}

#[test]
fn edits_leave_what_they_are_not_about() {
    let tasks = "[task.a]\ncommand = ['{{prog}}']\nparams.prog = { default = 'true' } # which\nlocks = ['x']\n\
                 [task.a.transfers.in]\ndirection = 'in'\nlocal = '.'\n[group.g]\nparallel = 1\n";
    let env = with(tasks);
    env.ok(&["edit", "a", "--timeout", "5s"]);
    let text = env.read("jobexec.toml");
    assert!(text.contains("{ default = 'true' } # which\nlocks = ['x']\n"), "{text}");
    assert_eq!(env.json(&["show", "a"])["params"]["prog"]["default"], "true");
    env.ok(&["edit", "a", "--unset", "locks", "--unset", "transfers", "--unset", "params"]);
    let task = env.json(&["show", "a"]);
    assert_eq!((&task["locks"], &task["transfers"]), (&json!([]), &json!({})));
    assert_eq!(task["params"]["prog"], json!({"required": true, "default": null, "type": null, "help": null}));
    let said = env.fails(2, &["edit", "a", "--env", "X={{.Names}}"]);
    assert!(said.err.contains("`env.X`: `{{.Names}}` is no placeholder"), "{said:?}");
    assert!(said.err.contains("hint: write `{{{{` where `{{` is meant to stand for itself\n"), "{said:?}");
    env.ok(&["add", "b", "--wd", ".", "--env", "X={{{{.Names}}", "--once", "--shell", "printf %s \"$X\""]);
    env.ok(&["start", "b"]);
    until("the text itself", || env.read("b.txt") == "{{.Names}}");
}

#[test]
fn show_says_what_jobs_need() {
    let env = with(
        "[task.a]\ncommand = ['x', '{{file}}']\nparams.n = { type = 'int', default = 4, help = 'how many' }\n\
         params.o = {}\npriority = -1\ngroup = 'disk'\nlocks = ['l1', 'l2']\nworkdir = 'w/{{n}}'\n\
         preamble = ['module load r', 'true']\nhooks.preprocess = 'a | b'\nhooks.handle_error = ['fix', 'it now']\n\
         hooks.timeout = '5m'\ncleanup = ['*.tmp']\n\
         transfers.d = { direction = 'in', local = 'd.csv', remote = '/d', mode = 'link', recursive = true }\n\
         transfers.r = { direction = 'out', local = '.', help = 'the result' }\n",
    );
    let said = env.ok(&["show", "a"]).out;
    for line in [
        "parameter    file: must be given",
        "parameter    n: int, 4 unless given (how many)",
        "parameter    o: may be given",
        "priority     -1",
        "group        disk",
        "locks        l1 l2",
        "workdir      w/{{n}}",
        "preamble     module load r && true",
        "preprocess   a | b",
        "handle_error fix 'it now'",
        "hooks end    after 5m at most",
        "transfer     d in: d.csv from /d, recursive, link",
        "transfer     r out: . to what must be given (the result)",
        "cleanup      *.tmp",
    ] {
        assert!(said.lines().any(|shown| shown.trim() == line), "{line}\n{said}");
    }
    let task = env.json(&["show", "a"]);
    assert_eq!(task["preamble"], json!({"file": null, "lines": ["module load r", "true"]}));
    assert_eq!(task["hooks"]["preprocess"], json!(["/bin/sh", "-c", "a | b"]));
    assert_eq!(task["transfers"]["r"]["mode"], "copy");
}
