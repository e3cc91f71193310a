//! What jobs are given when they are submitted, and what of the task they share with others.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::suite::env::TestEnv;

/// An executor with these tasks.
fn with(tasks: &str) -> TestEnv {
    let env = TestEnv::new();
    env.ok(&["init"]);
    fs::write(env.file("jobexec.toml"), format!("{}\n{tasks}", env.read("jobexec.toml"))).unwrap();
    env
}

/// Submits, and gives the ids.
#[track_caller]
fn submit(env: &TestEnv, args: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["submit"].iter().chain(args).copied().collect();
    env.ok(&args).out.lines().map(str::to_owned).collect()
}

/// Runs all that is queued.
#[track_caller]
fn work(env: &TestEnv, slots: &str) {
    env.ok(&["keep-restarting", "--until-idle", "--slots", slots]);
}

/// What the last run of a job has said.
#[track_caller]
fn log(env: &TestEnv, id: &str) -> String {
    env.ok(&["job", "log", id]).out
}

/// What each job has said, in the order of the ids.
#[track_caller]
fn logs(env: &TestEnv, ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| log(env, id)).collect()
}

#[track_caller]
fn job(env: &TestEnv, id: &str) -> Value {
    env.json(&["job", "show", id])
}

/// So many jobs there are, and every one has ended well.
#[track_caller]
fn all_finished(env: &TestEnv, count: usize) {
    let jobs = env.json(&["jobs"]);
    let jobs = jobs.as_array().unwrap();
    assert_eq!(jobs.len(), count);
    for job in jobs {
        assert_eq!(job["state"], "JOB_FINISHED", "{job}; said {}", log(env, &job["id"].to_string()));
    }
}

const SHOW: &str = "[task.show]\ncommand = ['printf', '[%s]', '{{n}}', 'a{{ word }}', '{{{{n}}']\n\
    env = { M = '{{mode}}' }\nparams.n = { type = 'int', default = 4 }\nparams.mode = { default = 'fast' }\n\
    params.word = { required = true, help = 'which word' }\n";

#[test]
fn values_are_typed_kept_and_stand_where_the_placeholders_are() {
    let env = with(SHOW);
    let first = submit(&env, &["show", "-p", "word=b c=d"]).remove(0);
    let second = submit(&env, &["show", "-p", "word=1e3", "-p", "n=-7", "-p", "mode="]).remove(0);
    assert_eq!(job(&env, &first)["params"], json!({"mode": "fast", "n": 4, "word": "b c=d"}));
    assert_eq!(job(&env, &second)["params"], json!({"mode": "", "n": -7, "word": 1000.0}));
    let card = env.ok(&["job", "show", &first]).out;
    assert!(card.contains("ab c=d"), "{card}");
    work(&env, "1");
    assert_eq!(log(&env, &first), "[4][ab c=d][{{n}}]");
    assert_eq!(log(&env, &second), "[-7][a1e3][{{n}}]");
    let found = env.json(&["jobs", "n = -7 and mode = ''"]);
    assert_eq!((&found[0]["id"], &found[1]), (&job(&env, &second)["id"], &Value::Null));
}

#[test]
fn what_does_not_fit_is_refused_with_its_name_and_the_way_out() {
    let env = with(&format!("{SHOW}[task.plain]\ncommand = ['true']\n"));
    for (args, says, hint) in [
        (&["show"][..], "parameter `word` has no value (which word)", "give it with `-p word=…`"),
        (
            &["show", "-p", "wrod=x"],
            "there is no parameter `wrod`; parameter `word` has no value",
            "did you mean `word`?",
        ),
        (&["show", "-p", "word=x", "-p", "n=many"], "parameter `n`: `many` is not a whole number", "such as `-3`"),
        (&["show", "-p", "word"], "`word` is not `NAME=value`", ""),
        (&["plain", "-p", "x=1"], "there is no parameter `x`", "declare it with `params.x = {}`"),
        (&["plain", "--workdir", "../up"], "contains `..`", "write a relative path that stays inside"),
        (&["plain", "--workdir", "w/{{x}}"], "parameter `x` has no value", "`-p x=…`"),
        (&["--", "echo", "{{x}}"], "cannot submit the command\n  caused by: parameter `x` has no value", "`-p x=…`"),
        (&["-p", "x=1", "--", "echo"], "there is no parameter `x`", "write `{{x}}` where it is to stand"),
        (&["--", "docker", "{{.Names}}"], "`{{.Names}}` is no placeholder", "write `{{{{`"),
    ] {
        let args: Vec<&str> = ["submit"].iter().chain(args).copied().collect();
        let said = env.fails(2, &args);
        assert!(said.err.contains(says) && said.err.contains(hint) && said.out.is_empty(), "{args:?}: {said:?}");
    }
    assert_eq!(env.json(&["jobs"]), json!([]));
}

#[test]
fn a_value_is_one_word_of_a_line_for_the_shell() {
    let env = with("[task.say]\nshell = '''printf '[%s]' {{what}} \"<{{what}}>\" 'x{{what}}' '''\n");
    let nasty = "it's; $(exit 3) `me` \"#\\ \n*";
    let id = submit(&env, &["say", "-p", &format!("what={nasty}")]).remove(0);
    work(&env, "1");
    assert_eq!(log(&env, &id), format!("[{nasty}][<{nasty}>][x{nasty}]"));
}

#[test]
fn a_command_of_its_own_has_the_parameters_that_it_names() {
    let env = with("");
    let args = ["-p", "x=a b", "-p", "y=2", "--", "printf", "%s.", "{{x}}", "{{y}}{{y}}", "{{{{z}}"];
    let id = submit(&env, &args).remove(0);
    assert_eq!(job(&env, &id)["params"], json!({"x": "a b", "y": 2}));
    work(&env, "1");
    assert_eq!(log(&env, &id), "a b.22.{{z}}.");
}

const LINES: &str = "1.50\n  two  words \n\n{{line}}\n$(no)\n";

#[test]
fn each_line_is_the_parameter_line_or_the_last_argument() {
    let env = with(
        "[task.last]\ncommand = ['printf', '<%s>', 'first']\n\
         [task.named]\nscript = '../named.sh'\nargs = ['{{line}}', 'last']\nrestart = 'never'\n\
         [task.shell]\nshell = 'printf \"<%s>\" {{line}}'\n",
    );
    env.script("named.sh", "#!/bin/sh\nprintf '<%s>' \"$@\"\n");
    let file = env.write("lines", LINES, 0o644);
    let file = file.to_str().unwrap();
    let all = [
        (submit(&env, &["last", "--each-line", file]), "<first><", ">"),
        (submit(&env, &["named", "--each-line", file]), "<", "><last>"),
        (submit(&env, &["shell", "--each-line", file]), "<", ">"),
        (submit(&env, &["--each-line", file, "--", "printf", "<%s>"]), "<", ">"),
    ];
    work(&env, "2");
    all_finished(&env, 20);
    for (ids, before, after) in &all {
        let expected: Vec<String> = LINES.lines().map(|line| format!("{before}{line}{after}")).collect();
        assert_eq!(logs(&env, ids), expected);
        assert_eq!(job(&env, &ids[0])["params"], json!({"line": "1.50"}));
    }
    // The newest definition of its task, and still with its line.
    let one = &all[0].0[1];
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml").replace("'first'", "'second'")).unwrap();
    env.ok(&["job", "rerun", one]);
    work(&env, "1");
    assert_eq!(log(&env, one), "<second><  two  words >");
}

#[test]
fn a_line_that_cannot_be_used_is_refused_and_no_job_is_made() {
    let env = with("[task.counted]\ncommand = ['true']\nparams.line.type = 'int'\n[task.nowhere]\nshell = 'true'\n");
    let file = env.write("lines", "7\nx\n", 0o644);
    let file = file.to_str().unwrap();
    for (args, says) in [
        (&["counted"][..], "parameter `line`: `x` is not a whole number"),
        (&["nowhere"], "hint: write `{{line}}` into it"),
        (&["counted", "-p", "line=1"], "parameter `line` is what each line gives"),
    ] {
        let args: Vec<&str> = ["submit", "--each-line", file].iter().chain(args).copied().collect();
        let said = env.fails(2, &args);
        assert!(said.err.contains(says), "{said:?}");
    }
    assert_eq!(env.json(&["jobs"]), json!([]));
}

#[test]
fn lines_come_from_standard_input_too_and_name_the_work_directory() {
    let env = with("");
    let args = ["submit", "--each-line", "-", "--workdir", "of/{{line}}", "--", "printf", "%s"];
    let mut command = env.command(&args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\ntwo\r\n").unwrap();
    let out = child.wait_with_output().unwrap();
    let ids: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
    work(&env, "1");
    assert_eq!(logs(&env, &ids), ["one", "two\r"], "to the byte");
    assert_eq!(job(&env, &ids[0])["workdir"], "of/one");
    assert!(env.file("jobs/of/one").is_dir());
}

#[test]
fn the_tasks_own_priority_and_work_directory_hold_unless_others_are_given() {
    let env = with(
        "[task.low]\ncommand = ['sh', '-c', 'pwd; echo low $JOBEXEC_JOB_ID >>../../order']\npriority = -5\n\
         workdir = 'w/{{x}}'\nparams.x.default = 'def'\n\
         [task.mid]\ncommand = ['sh', '-c', 'echo mid $JOBEXEC_JOB_ID >>order']\nwd = 'jobs'\n",
    );
    fs::create_dir_all(env.file("jobs")).unwrap();
    let low = submit(&env, &["low"]).remove(0);
    let mid = submit(&env, &["mid"]).remove(0);
    let high = submit(&env, &["low", "--priority", "1", "--workdir", "o/{{x}}", "-p", "x=y"]).remove(0);
    let told = |id: &str| (job(&env, id)["priority"].clone(), job(&env, id)["workdir"].clone());
    assert_eq!(told(&low), (json!(-5), json!("w/def")));
    assert_eq!(told(&mid), (json!(0), Value::Null));
    assert_eq!(told(&high), (json!(1), json!("o/y")));
    work(&env, "1");
    all_finished(&env, 3);
    assert_eq!(env.read("jobs/order"), format!("low {high}\nmid {mid}\nlow {low}\n"));
    let jobs = fs::canonicalize(env.file("jobs")).unwrap();
    assert_eq!(log(&env, &low), format!("{}\n", jobs.join("w/def").display()));
    assert_eq!(log(&env, &high), format!("{}\n", jobs.join("o/y").display()));
}

/// Waits until so many have been inside together as may be, and fails where there are more.
const TOGETHER: &str = r#"#!/bin/sh
most=$1
inside() { ls -d in.* | wc -l; }
mkdir "in.$JOBEXEC_JOB_ID"
[ "$(inside)" -lt "$most" ] || touch full
tries=0
until [ -e full ]; do
    sleep 0.01
    tries=$((tries + 1))
    [ "$tries" -lt 3000 ] || { echo "nobody came"; exit 2; }
done
sleep 0.05
[ "$(inside)" -le "$most" ] || { echo "too many:" in.*; exit 1; }
rmdir "in.$JOBEXEC_JOB_ID"
"#;

/// Submits these tasks, which run [`TOGETHER`], and runs them in four slots.
#[track_caller]
fn together(tasks: &str, submitted: &[&str]) {
    let env = with(&format!("[defaults]\nwd = '..'\n{tasks}"));
    env.script("together", TOGETHER);
    for task in submitted {
        submit(&env, &[task]);
    }
    work(&env, "4");
    all_finished(&env, submitted.len());
}

#[test]
fn so_many_of_a_group_run_at_a_time() {
    let tasks = "[group.Disk]\nparallel = 2\n[task.a]\ncommand = ['./together', '2']\ngroup = 'disk'\n\
                 [task.b]\ncommand = ['./together', '2']\ngroup = 'DISK'\n";
    together(tasks, &["a", "b", "a", "b", "a", "b"]);
}

#[test]
fn a_group_without_a_limit_has_none() {
    together("[task.a]\ncommand = ['./together', '4']\ngroup = 'g'\n", &["a"; 4]);
}

#[test]
fn a_lock_is_held_by_one_at_a_time() {
    let tasks = "[task.a]\ncommand = ['./together', '1']\nlocks = ['x', 'licence']\n\
                 [task.b]\ncommand = ['./together', '1']\nlocks = ['LICENCE']\n";
    together(tasks, &["a", "b", "a", "b", "b"]);
}

#[test]
fn a_need_that_is_too_big_is_refused() {
    let env = with(
        "[machine]\ncpus = 2\n[task.big]\ncommand = ['true']\nresources.cpus = 3\n\
         [task.fits]\ncommand = ['true']\nresources.cpus = 2\n\
         [task.spread]\ncommand = ['true']\nresources.num_nodes = 2\n",
    );
    let said = env.fails(2, &["submit", "big"]);
    assert!(said.err.contains("3 cpus") && said.err.contains("[machine]"), "{said:?}");
    let said = env.fails(2, &["submit", "spread"]);
    assert!(said.err.contains("num_nodes"), "{said:?}");
    submit(&env, &["fits"]);
    work(&env, "1");
    all_finished(&env, 1);
}

#[test]
fn a_number_arrives_as_it_was_typed_and_is_one_where_jobs_are_selected() {
    let env = with(
        "[task.t]\nwd = '..'\nshell = 'echo {{v}} >> said'\nworkdir = 'w/{{v}}'\n\
                    [task.f]\nwd = '..'\nshell = 'echo {{v}} >> said'\nworkdir = 'f'\nparams.v.type = 'float'\n",
    );
    let ids = [super::submit(&env, &["t", "-p", "v=1.50"]), super::submit(&env, &["f", "-p", "v=1e1"])];
    assert_eq!(super::job(&env, ids[0])["params"], json!({ "v": 1.5 }));
    assert_eq!(super::ids(&env, "param.v = 1.5"), [ids[0]]);
    assert_eq!(super::ids(&env, "param.v > 9"), [ids[1]]);
    let said = env.ok(&["job", "show", &ids[0].to_string()]).out;
    assert!(said.contains("echo '1.50'"), "{said}");
    work(&env, "1");
    for id in ids {
        super::does(&env, "rerun", id);
    }
    work(&env, "1");
    assert_eq!(env.read("jobs/w/1.50/said"), "1.50\n1.50\n");
    assert_eq!(env.read("jobs/f/said"), "1e1\n1e1\n");
}
