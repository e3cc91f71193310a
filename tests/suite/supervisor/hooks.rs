//! Hooks and transfers of what `start` and schedules run: begun at once, by the supervisor, in no slot.

mod deaths;
mod stopped;

use std::fs;

use serde_json::{Value, json};

use super::{Night, query, touch};
use crate::suite::env::{TestEnv, until};

/// Writes down that it was run: to the file `lines`, in the directory of the test.
const NOTE: &str = "cd $TEST_DIR; echo ${JOBEXEC_HOOK:-main} >>lines";

/// Waits for the file `go`.
const GATE: &str = "until [ -e $TEST_DIR/go ]; do sleep 0.01; done";

/// Defines the task T with a line for the shell and further fields.
fn define(env: &TestEnv, shell: &str, fields: &str) {
    if !env.file("jobexec.toml").exists() {
        env.ok(&["init"]);
    }
    let dir = env.dir().display();
    let task = format!("\n[task.T]\nshell = '''{shell}'''\nwd = \"{dir}\"\nenv.TEST_DIR = \"{dir}\"\n{fields}\n");
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + &task).unwrap();
}

/// A hook of the task.
fn hook(kind: &str, line: &str) -> String {
    format!("hooks.{kind} = '''{line}'''\n")
}

fn lines(env: &TestEnv) -> Vec<String> {
    fs::read_to_string(env.dir().join("lines")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[track_caller]
fn until_lines(env: &TestEnv, expected: &[&str]) {
    until(&format!("{expected:?}, not {:?}", lines(env)), || lines(env).len() >= expected.len());
    assert_eq!(lines(env), expected);
}

#[track_caller]
fn job(env: &TestEnv, id: i64) -> Value {
    env.json(&["job", "show", &id.to_string()])
}

/// Waits for a job, which may yet have to be made, to come into a state.
#[track_caller]
fn until_job(env: &TestEnv, id: i64, state: &str) -> Value {
    let mut last = Value::Null;
    let selected = format!("id = {id}");
    until(&format!("job {id} to be {state}"), || {
        last = env.json(&["jobs", &selected])[0].clone();
        last["state"] == state
    });
    job(env, id)
}

/// The kinds of a job's runs, in order.
fn kinds(job: &Value) -> Vec<&str> {
    job["runs"].as_array().unwrap().iter().map(|run| run["kind"].as_str().unwrap()).collect()
}

/// The states that the moves of a job passed through.
fn through(env: &TestEnv, id: i64) -> Vec<String> {
    let events = env.json(&["job", "events", &id.to_string()]);
    let mut moves: Vec<Value> = events.as_array().unwrap().clone();
    moves.reverse();
    let states = moves.iter().filter_map(|event| event["data"]["through"].as_array().cloned()).flatten();
    states.map(|state| state.as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn until_idle(env: &TestEnv) -> i32 {
    Night::with(env, &["--until-idle"]).ended().0.unwrap()
}

#[test]
fn preprocess_comes_first_and_postprocess_last() {
    let env = TestEnv::new();
    let hooks = hook("preprocess", &format!("{NOTE}; pwd >where; env >vars")) + &hook("postprocess", NOTE);
    define(&env, NOTE, &format!("restart = \"never\"\n{hooks}"));
    let _night = Night::begin(&env);
    let said = env.ok(&["start", "T"]);
    assert_eq!(said.err, "Starting T (job 1): first its hook preprocess\n");
    let done = until_job(&env, 1, "JOB_FINISHED");
    assert_eq!(lines(&env), ["preprocess", "main", "postprocess"]);
    assert_eq!(kinds(&done), ["preprocess", "main", "postprocess"]);
    let begin = ["READY", "STAGED_IN", "PREPROCESSED", "RUNNING", "RUN_DONE"];
    let end = ["POSTPROCESSED", "STAGED_OUT", "JOB_FINISHED"];
    assert_eq!(through(&env, 1), [&begin[..], &end[..]].concat());
    let vars = fs::read_to_string(env.dir().join("vars")).unwrap();
    for var in ["JOBEXEC_JOB_ID=1", "JOBEXEC_STATE=STAGED_IN", "JOBEXEC_TASK=T", "JOBEXEC_ATTEMPT=0"] {
        assert!(vars.lines().any(|line| line == var), "{var} is missing in {vars}");
    }
    assert!(env.file("jobs/1/preprocess-1.txt").exists() && env.file("jobs/1/postprocess-1.txt").exists());
    assert_eq!(env.state("T"), "finished");
    assert!(env.ok(&["log"]).out.contains("Starting T"));
    let history = env.ok(&["history", "T"]).out;
    assert!(history.contains("KIND") && history.contains("postprocess"), "{history}");
}

#[test]
fn a_preprocess_that_fails_is_the_end_of_a_task_that_is_kept_alive() {
    let env = TestEnv::new();
    define(&env, NOTE, &hook("preprocess", &format!("{NOTE}; echo why; exit 3")));
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    let done = until_job(&env, 1, "FAILED");
    assert_eq!((&done["reason"], kinds(&done)), (&json!("hook_failed"), vec!["preprocess"]));
    env.wait_for_state("T", "failed");
    let explained = env.ok(&["explain", "T"]).out;
    assert!(explained.starts_with("T does not run: its hook preprocess failed: exit code 3, and it is"), "{explained}");
    assert_eq!((lines(&env), env.status("T")["wanted"].clone()), (vec!["preprocess".to_owned()], json!(false)));
    env.ok(&["start", "T"]);
    until_job(&env, 2, "FAILED");
}

#[test]
fn a_hook_that_cannot_be_run_has_failed() {
    let env = TestEnv::new();
    define(&env, NOTE, "restart = \"never\"\nhooks.preprocess = [\"/no/such/program\"]");
    env.ok(&["start", "T"]);
    assert_eq!(until_idle(&env), 1);
    let done = job(&env, 1);
    assert_eq!((&done["state"], &done["reason"]), (&json!("FAILED"), &json!("hook_failed")));
    assert!(done["message"].as_str().unwrap().contains("/no/such/program"), "{done}");
}

#[test]
fn handle_error_decides_how_often_it_is_tried_again() {
    let env = TestEnv::new();
    let jobexec = env!("CARGO_BIN_EXE_jobexec");
    let counted = format!(
        "{NOTE}; echo $JOBEXEC_EXIT_CODE >>codes\ntries=$({jobexec} job data | tr -dc 0-9); tries=$((${{tries:-0}} + 1))
{jobexec} job data --set tries=$tries\n[ $tries -lt 3 ] && {jobexec} job set-state RESTART_READY -m \"try $tries\"\nexit 0"
    );
    // A wait would be for ever: a decision has none.
    let waits = "backoff.first = \"1h\"\nbackoff.max = \"1h\"\n";
    define(
        &env,
        &format!("{NOTE}; exit 7"),
        &format!("restart = \"never\"\n{waits}{}", hook("handle_error", &counted)),
    );
    env.ok(&["start", "T"]);
    assert_eq!(until_idle(&env), 1);
    let done = job(&env, 1);
    assert_eq!((&done["state"], &done["attempt"]), (&json!("FAILED"), &json!(3)));
    assert_eq!((&done["data"], &done["exit_code"]), (&json!({ "tries": 3 }), &json!(7)));
    assert_eq!(done["reason"], "exit_code", "what its run said, since the last hook decided nothing");
    assert_eq!(lines(&env), ["main", "handle_error"].repeat(3));
    assert_eq!(fs::read_to_string(env.dir().join("codes")).unwrap(), "7\n7\n7\n");
    assert_eq!(env.state("T"), "failed");
}

#[test]
fn after_a_time_out_it_is_tried_three_times_again_by_itself() {
    let env = TestEnv::new();
    let fields = "restart = \"never\"\ntimeout = \"50ms\"\nbackoff.first = \"1ms\"\n";
    define(&env, &format!("{NOTE}; exec sleep 600"), &format!("{fields}{}", hook("handle_timeout", NOTE)));
    env.ok(&["start", "T"]);
    assert_eq!(until_idle(&env), 1);
    let done = job(&env, 1);
    assert_eq!((&done["state"], &done["attempt"], &done["reason"]), (&json!("FAILED"), &json!(4), &json!("timed_out")));
    assert_eq!(lines(&env), ["main", "handle_timeout"].repeat(4));
}

#[test]
fn a_counted_retry_waits_although_a_hook_came_between() {
    let env = TestEnv::new();
    let fields = "retries = 1\nbackoff.first = \"1h\"\nbackoff.max = \"1h\"\n";
    define(&env, "exit 1", &format!("{fields}{}", hook("handle_error", NOTE)));
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    let waits = until_job(&env, 1, "RESTART_READY");
    assert!(waits["next_retry"].is_string(), "{waits}");
    assert_eq!((lines(&env), env.state("T")), (vec!["handle_error".to_owned()], "waiting".to_owned()));
    env.ok(&["stop", "T"]);
    assert_eq!(job(&env, 1)["state"], "CANCELLED");
}

#[test]
fn what_is_kept_alive_comes_back_after_its_postprocess_and_is_prepared_once() {
    let env = TestEnv::new();
    let fields = format!("backoff.first = \"1ms\"\n{}{}", hook("preprocess", NOTE), hook("postprocess", NOTE));
    define(&env, &format!("{NOTE}; [ $JOBEXEC_ATTEMPT = 3 ] && exec sleep 600"), &fields);
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    // The second time it ends with another code than 0: the shell's own test says so.
    until("the third attempt", || lines(&env).iter().filter(|line| *line == "main").count() == 3);
    env.wait_for_state("T", "running");
    assert_eq!(lines(&env).iter().filter(|line| *line == "preprocess").count(), 1);
    assert_eq!(job(&env, 1)["attempt"], 3);
    env.ok(&["stop", "T"]);
    assert_eq!(job(&env, 1)["state"], "CANCELLED");
}

#[test]
fn postprocess_of_what_is_kept_alive_runs_after_each_good_end() {
    let env = TestEnv::new();
    let fields = format!("backoff.first = \"1ms\"\n{}", hook("postprocess", NOTE));
    define(&env, &format!("{NOTE}; [ $JOBEXEC_ATTEMPT -lt 3 ] || exec sleep 600"), &fields);
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_lines(&env, &["main", "postprocess", "main", "postprocess", "main"]);
    env.ok(&["stop", "T"]);
}

#[test]
fn a_crash_loop_is_one_although_a_hook_handles_each_failure() {
    let env = TestEnv::new();
    let fields = format!("backoff.first = \"1ms\"\n{}", hook("handle_error", "exit 0"));
    define(&env, "exit 1", &fields);
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until("the crash loop", || env.status("T")["crash_looping"] == true);
    let failures = query(&env, "SELECT count(*) FROM runs WHERE kind = 'main' AND outcome = 'exit_code'", |row| {
        row.get::<_, i64>(0)
    });
    assert!(failures[0] >= 5, "each counts once: {failures:?}");
    env.ok(&["stop", "T"]);
}

#[test]
fn give_up_ends_it_although_a_hook_handles_each_failure() {
    let env = TestEnv::new();
    let give_up = "give_up = { failures = 3, within = \"10m\" }\nbackoff.first = \"1ms\"\n";
    define(&env, "exit 1", &format!("{give_up}{}", hook("handle_error", NOTE)));
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    let done = until_job(&env, 1, "FAILED");
    assert_eq!((&done["reason"], &done["attempt"]), (&json!("gave_up"), &json!(3)));
    assert_eq!(lines(&env).len(), 3);
    env.wait_for_state("T", "failed");
}

#[test]
fn it_is_told_once_when_the_hook_has_had_its_say() {
    let env = TestEnv::new();
    let tell = "notify.command = 'true'\n";
    let fields = format!("restart = \"never\"\n{tell}{}", hook("handle_error", &format!("{GATE}; echo handled")));
    define(&env, "echo oops; exit 1", &fields);
    let night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_job(&env, 1, "RUN_ERROR");
    let told = || query(&env, "SELECT occasion, message FROM notices", |row| Ok((row.get(0)?, row.get(1)?)));
    let before: Vec<(String, String)> = told();
    assert_eq!(before, []);
    touch(&env, "go");
    until_job(&env, 1, "FAILED");
    let after = told();
    assert_eq!(after.len(), 1);
    assert!(after[0].0 == "failure" && after[0].1.contains("oops"), "{after:?}");
    drop(night);
}

#[test]
fn that_it_has_finished_is_told_when_all_of_it_has() {
    let env = TestEnv::new();
    let dir = env.dir().display();
    let out = format!("transfers.made = {{ direction = \"out\", local = \"out\", remote = \"{dir}/stored\" }}\n");
    let tell = format!("notify.command = 'cat {dir}/stored >>{dir}/told'\nnotify.on = [\"finish\"]\n");
    let makes = hook("postprocess", "echo made >$JOBEXEC_WORKDIR/out");
    define(&env, "true", &format!("restart = \"never\"\n{out}{tell}{makes}"));
    env.ok(&["start", "T"]);
    assert_eq!(until_idle(&env), 0);
    assert_eq!(fs::read_to_string(env.dir().join("told")).unwrap(), "made\n");
}

#[test]
fn inputs_are_brought_and_outputs_stored() {
    let env = TestEnv::new();
    let dir = env.dir().display().to_string();
    let transfers = format!(
        "transfers.data = {{ direction = \"in\", local = \"data\", remote = \"{dir}/data\" }}\n\
         transfers.made = {{ direction = \"out\", local = \"out\", remote = \"{dir}/stored/\" }}\n\
         cleanup = [\"data\"]\nrestart = \"never\"\n"
    );
    define(&env, "cd $JOBEXEC_WORKDIR; tr a-z A-Z <data >out", &transfers);
    env.write("data", "words\n", 0o644);
    let said = env.ok(&["start", "T"]);
    assert!(said.err.starts_with("Starting T (job 1): first its inputs\nnote: no supervisor is running"), "{said:?}");
    let explained = env.ok(&["explain", "T"]).out;
    assert!(explained.contains("its inputs") && explained.contains("no supervisor"), "{explained}");
    assert_eq!(until_idle(&env), 0);
    assert_eq!(fs::read_to_string(env.dir().join("stored/out")).unwrap(), "WORDS\n");
    let done = job(&env, 1);
    assert_eq!((&done["state"], kinds(&done)), (&json!("JOB_FINISHED"), vec!["transfer", "main", "transfer"]));
    let past: Vec<_> = env.history("T").iter().map(|run| run["kind"].clone()).collect();
    assert_eq!(past, ["transfer", "main", "transfer"]);
    assert!(!env.file("jobs/1/data").exists() && env.file("jobs/1/out").exists(), "it is cleaned up");
    assert_eq!((env.state("T"), env.status("T")["wanted"].clone()), ("finished".to_owned(), json!(false)));
}

#[test]
fn what_only_goes_out_has_its_directory_when_it_runs() {
    let env = TestEnv::new();
    let dir = env.dir().display().to_string();
    let out = format!("transfers.made = {{ direction = \"out\", local = \"out\", remote = \"{dir}/stored\" }}\n");
    define(&env, "echo x >$JOBEXEC_WORKDIR/out", &format!("restart = \"never\"\n{out}"));
    let said = env.ok(&["start", "T"]);
    assert!(said.err.starts_with("Starting T (pid "), "nothing comes before it: {said:?}");
    assert_eq!(until_idle(&env), 0);
    assert_eq!(fs::read_to_string(env.dir().join("stored")).unwrap(), "x\n");
}

#[test]
fn an_input_that_is_nowhere_fails_the_task() {
    let env = TestEnv::new();
    let data = "transfers.data = { direction = \"in\", local = \"data\", remote = \"/no/such/file\" }\n";
    define(&env, NOTE, data);
    env.ok(&["start", "T"]);
    assert_eq!(until_idle(&env), 1);
    assert_eq!((&job(&env, 1)["reason"], lines(&env)), (&json!("transfer_failed"), vec![]));
    assert_eq!(env.state("T"), "failed");
}

#[test]
fn an_input_without_a_place_is_refused_and_nothing_is_recorded() {
    let env = TestEnv::new();
    define(&env, NOTE, "transfers.data = { direction = \"in\", local = \"data\" }\n");
    let said = env.fails(2, &["start", "T"]);
    assert!(said.err.contains("transfer `data` has no remote") && said.err.contains("hint: set it"), "{said:?}");
    assert_eq!(env.json(&["jobs"]), json!([]));
    env.ok(&["check"]);
}

#[test]
fn what_loses_its_input_while_it_waits_to_run_again_could_not_start() {
    let env = TestEnv::new();
    define(&env, "exit 1", "backoff.first = \"200ms\"\n");
    env.ok(&["start", "T"]);
    until_job(&env, 1, "RESTART_READY");
    let data = "transfers.data = { direction = \"in\", local = \"data\" }\n";
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + data).unwrap();
    let night = Night::begin(&env);
    night.says("T cannot be started: transfer `data` has no remote");
    env.wait_for_state("T", "waiting");
    env.ok(&["stop", "T"]);
}

#[test]
fn a_lock_is_needed_by_the_run_and_not_by_its_hook() {
    let env = TestEnv::new();
    let hooks = hook("preprocess", NOTE) + &hook("postprocess", &format!("{NOTE}; {GATE}"));
    define(&env, NOTE, &format!("restart = \"never\"\nlocks = [\"gpu\"]\n{hooks}"));
    let holds = "\n[task.U]\ncommand = [\"sleep\", \"600\"]\nwd = \"/\"\nlocks = [\"gpu\"]\n";
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml") + holds).unwrap();
    env.ok(&["start", "T"]);
    env.ok(&["start", "U"]);
    let night = Night::begin(&env);
    until_job(&env, 1, "PREPROCESSED");
    night.says("T waits: ");
    let explained = env.ok(&["explain", "T"]).out;
    assert!(explained.starts_with("T goes on: job 1 waits: lock `gpu` is held by "), "{explained}");
    assert_eq!((lines(&env), env.state("T")), (vec!["preprocess".to_owned()], "waiting".to_owned()));
    env.ok(&["stop", "U"]);
    until_lines(&env, &["preprocess", "main", "postprocess"]);
    env.ok(&["start", "U"]);
    touch(&env, "go");
    until_job(&env, 1, "JOB_FINISHED");
    assert_eq!(night.times("T waits: "), 1, "it is told once");
    env.ok(&["stop", "U"]);
}

#[test]
fn a_schedule_waits_for_the_whole_job() {
    let env = TestEnv::new();
    let hooks = hook("preprocess", NOTE) + &hook("postprocess", &format!("{NOTE}; {GATE}"));
    define(&env, NOTE, &format!("period = \"1 s\"\n{hooks}"));
    let night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_lines(&env, &["preprocess", "main", "postprocess"]);
    night.says("job 1 was still running");
    assert_eq!(lines(&env).len(), 3);
    touch(&env, "go");
    until_job(&env, 1, "JOB_FINISHED");
    until("the next one", || lines(&env).len() >= 6);
    assert_eq!(lines(&env)[3..6], ["preprocess", "main", "postprocess"]);
    env.ok(&["stop", "T"]);
    assert_ne!(env.state("T"), "failed");
}

#[test]
fn jobs_of_a_schedule_that_may_meet_are_each_prepared_and_run() {
    let env = TestEnv::new();
    let fields = format!("period = \"1 s\"\noverlap = \"allow\"\nmax_running = 2\n{}", hook("preprocess", GATE));
    define(&env, NOTE, &fields);
    let _night = Night::begin(&env);
    env.ok(&["start", "T"]);
    until_job(&env, 1, "STAGED_IN");
    until("a second one beside it", || env.json(&["jobs", "state = STAGED_IN"]).as_array().unwrap().len() == 2);
    touch(&env, "go");
    until_job(&env, 1, "JOB_FINISHED");
    until_job(&env, 2, "JOB_FINISHED");
    env.ok(&["stop", "T"]);
}
