//! Hooks of queued jobs: what they are told, what they may decide, and what becomes of their job when they do not.

use serde_json::{Value, json};

use crate::suite::env::{TestEnv, alive, until};
use crate::suite::supervisor::touch;

use super::{does, events, ids, job, jobs, lines, open, slots, state, submit, until_idle, until_lines, until_state};

/// A task of the registry with a command line and further fields.
fn define(env: &TestEnv, name: &str, line: &str, fields: &str) {
    env.ok(&["add", name, "--backoff-first", "1ms", "--stop-grace", "100ms", "--", "sh", "-c", line]);
    let file = env.folder().join("jobexec.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}{fields}\n")).unwrap();
}

/// The runs of a job as kind, attempt and outcome, oldest first.
fn runs(env: &TestEnv, id: i64) -> Vec<(String, i64, String)> {
    let shown = job(env, id);
    let text = |run: &Value, key: &str| run[key].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = shown["runs"].as_array().unwrap().clone();
    all.sort_by_key(|run| run["started"].as_str().map(str::to_owned));
    all.iter().map(|run| (text(run, "kind"), run["attempt"].as_i64().unwrap(), text(run, "outcome"))).collect()
}

/// The pid that a script has written.
fn pid(env: &TestEnv, name: &str) -> i32 {
    until_lines(env, name, 1)[0].parse().unwrap()
}

#[test]
fn a_job_is_prepared_first_and_followed_up_last_in_its_own_directory() {
    let env = TestEnv::new();
    let log = env.dir().join("log");
    let said =
        format!("echo $JOBEXEC_HOOK $JOBEXEC_STATE $JOBEXEC_JOB_ID $JOBEXEC_TASK $WHAT >> {}; pwd", log.display());
    let hooks = format!("env.WHAT = 'it'\nhooks.preprocess = '{said}'\nhooks.postprocess = '{said}'");
    define(&env, "T", &format!("echo main >> {}", log.display()), &hooks);
    let id = submit(&env, &["T"]);
    assert_eq!(state(&env, id), "STAGED_IN");
    assert_eq!(until_idle(&env, 1), 0);
    let told =
        [format!("preprocess STAGED_IN {id} T it"), "main".to_owned(), format!("postprocess RUN_DONE {id} T it")];
    assert_eq!(lines(&env, "log"), told);
    let directory = env.folder().join("jobs").join(id.to_string());
    for hook in ["preprocess", "postprocess"] {
        let said = std::fs::read_to_string(directory.join(format!("{hook}-1.txt"))).unwrap();
        assert_eq!(said, format!("{}\n", directory.display()));
    }
    let kinds: Vec<_> = runs(&env, id).into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, ["preprocess", "main", "postprocess"]);
    assert_eq!(job(&env, id)["attempt"], 1, "only its own run is an attempt");
}

#[test]
fn what_cannot_be_prepared_is_not_run() {
    let env = TestEnv::new();
    define(&env, "T", "touch ran", "hooks.preprocess = 'echo no luck; exit 3'");
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env, 1), 1);
    let shown = job(&env, id);
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("FAILED"), &json!("hook_failed")), "{shown}");
    assert!(shown["message"].as_str().unwrap().contains("preprocess failed: exit code 3"), "{shown}");
    assert!(!env.dir().join("ran").exists());
    let hint = format!("job log {id} --hook preprocess");
    let said = env.run(&["explain", &id.to_string()]);
    assert!((said.out + &said.err).contains(&hint));
    let said = env.run(&["explain", "T"]);
    assert!((said.out + &said.err).contains("jobexec jobs 'task = T'"), "it was queued, and never started");
    assert_eq!(env.ok(&["job", "log", &id.to_string(), "--hook", "preprocess"]).out, "no luck\n");
    assert!(env.read("supervisor.log").contains("its hook preprocess has ended, so job"));
    assert!(events(&env, id).iter().any(|event| event["data"]["output"] == json!(["no luck"])));
    does(&env, "rerun", id);
    assert_eq!(state(&env, id), "STAGED_IN", "it has never run, and so is prepared again");
}

#[test]
fn an_error_is_handled_with_what_the_job_carries_until_it_is_enough() {
    let env = TestEnv::new();
    let handler = "hooks.handle_error = '''
        echo $JOBEXEC_STATE $JOBEXEC_EXIT_CODE $JOBEXEC_REASON
        tries=$(jobexec job data | tr -dc 0-9); tries=$((${tries:-0} + 1))
        jobexec job data --set tries=$tries
        [ $tries -le 2 ] && jobexec job set-state RESTART_READY -m \"try $tries\"
        exit 0'''";
    define(&env, "T", "exit 7", handler);
    let path = std::path::Path::new(env!("CARGO_BIN_EXE_jobexec")).parent().unwrap();
    let path = format!("PATH={}:/usr/bin:/bin", path.display());
    env.ok(&["edit", "T", "--env", &path]);
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env, 1), 1);
    let shown = job(&env, id);
    assert_eq!(
        (&shown["state"], &shown["attempt"], &shown["data"], &shown["exit_code"]),
        (&json!("FAILED"), &json!(3), &json!({ "tries": 3 }), &json!(7)),
        "{shown}"
    );
    assert_eq!(env.read(&format!("jobs/{id}/handle_error-1.txt")).lines().next().unwrap(), "RUN_ERROR 7 exit code 7");
    let said: Vec<_> = events(&env, id).into_iter().filter(|event| event["data"]["reason"] == "try 1").collect();
    assert_eq!((&said[0]["from"], &said[0]["to"]), (&json!("RUN_ERROR"), &json!("RESTART_READY")));
}

#[test]
fn a_decision_beats_the_retries_and_does_not_count_among_them() {
    let env = TestEnv::new();
    let binary = env!("CARGO_BIN_EXE_jobexec");
    let once = format!("[ $JOBEXEC_ATTEMPT != 1 ] || {binary} job set-state RESTART_READY");
    define(&env, "again", "[ $JOBEXEC_ATTEMPT = 3 ]", &format!("retries = 1\nhooks.handle_error = '{once}'"));
    let never = format!("{binary} job set-state FAILED -m \"hopeless\"");
    define(&env, "never", "false", &format!("retries = 5\nhooks.handle_error = '{never}'"));
    let (again, never) = (submit(&env, &["again"]), submit(&env, &["never"]));
    assert_eq!(until_idle(&env, 1), 1);
    assert_eq!((state(&env, again).as_str(), &job(&env, again)["attempt"]), ("JOB_FINISHED", &json!(3)));
    let shown = job(&env, never);
    assert_eq!(
        [&shown["state"], &shown["attempt"], &shown["message"]],
        [&json!("FAILED"), &json!(1), &json!("hopeless")]
    );
}

#[test]
fn without_a_decision_retries_go_on_after_the_handler() {
    let env = TestEnv::new();
    define(&env, "T", "[ $JOBEXEC_ATTEMPT = 2 ]", "retries = 1\nhooks.handle_error = 'echo handled'");
    define(&env, "U", "false", "hooks.handle_error = 'true'");
    let (retried, failed) = (submit(&env, &["T"]), submit(&env, &["U"]));
    assert_eq!(until_idle(&env, 1), 1);
    let kinds: Vec<_> = runs(&env, retried).into_iter().map(|(kind, attempt, _)| (kind, attempt)).collect();
    let expected = [("main", 1), ("handle_error", 1), ("main", 2)];
    assert_eq!(kinds, expected.map(|(kind, attempt)| (kind.to_owned(), attempt)));
    let shown = job(&env, failed);
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("FAILED"), &json!("exit_code")), "{shown}");
}

#[test]
fn a_time_limit_is_handled_by_its_own_hook() {
    let env = TestEnv::new();
    let line = "[ $JOBEXEC_ATTEMPT = 2 ] || sleep 600";
    define(
        &env,
        "T",
        line,
        "timeout = '200ms'\nhooks.handle_timeout = 'echo $JOBEXEC_STATE'\nhooks.handle_error = 'false'",
    );
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(env.read(&format!("jobs/{id}/handle_timeout-1.txt")), "RUN_TIMEOUT\n");
    assert_eq!((state(&env, id).as_str(), &job(&env, id)["attempt"]), ("JOB_FINISHED", &json!(2)));
}

#[test]
fn a_hook_that_fails_or_lasts_too_long_fails_its_job_whatever_it_has_decided() {
    let env = TestEnv::new();
    let binary = env!("CARGO_BIN_EXE_jobexec");
    let decided = format!("{binary} job set-state RESTART_READY; exit 4");
    define(&env, "T", "false", &format!("retries = 3\nhooks.handle_error = '{decided}'"));
    define(&env, "U", "true", "hooks.postprocess = 'sleep 600'\nhooks.timeout = '200ms'");
    let (failed, late) = (submit(&env, &["T"]), submit(&env, &["U"]));
    assert_eq!(until_idle(&env, 1), 1);
    for (id, exit) in [(failed, 1), (late, 0)] {
        let shown = job(&env, id);
        assert_eq!((&shown["state"], &shown["reason"]), (&json!("FAILED"), &json!("hook_failed")), "{shown}");
        assert_eq!((&shown["attempt"], &shown["exit_code"]), (&json!(1), &json!(exit)), "that of its own run stays");
    }
    assert!(
        job(&env, late)["message"].as_str().unwrap().contains("postprocess failed: timed out"),
        "{}",
        job(&env, late)
    );
}

#[test]
fn a_hook_may_make_further_jobs_which_know_where_they_come_from() {
    let env = TestEnv::new();
    let binary = env!("CARGO_BIN_EXE_jobexec");
    define(&env, "T", "true", &format!("hooks.postprocess = '{binary} submit -- true'"));
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(jobs(&env, &format!("spawned_by = {id} and state = FINISHED")).len(), 1);
}

#[test]
fn hooks_go_before_new_jobs_and_need_a_slot_alone() {
    let env = TestEnv::new();
    define(&env, "T", "echo main >> log", "locks = ['l']\nhooks.postprocess = ['sh', '-c', 'echo post >> $LOG']");
    env.ok(&["edit", "T", "--env", &format!("LOG={}", env.dir().join("log").display())]);
    let all = [submit(&env, &["T"]), submit(&env, &["T", "--priority", "9"])];
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(lines(&env, "log"), ["main", "post", "main", "post"]);
    assert_eq!(ids(&env, "state = FINISHED").len(), all.len());
}

#[test]
fn those_that_wait_for_a_job_wait_for_its_hooks() {
    let env = TestEnv::new();
    define(
        &env,
        "T",
        "true",
        &format!("hooks.postprocess = 'cd {}; until [ -e go ]; do sleep 0.01; done'", env.dir().display()),
    );
    let parent = submit(&env, &["T"]);
    let child = submit(&env, &["--after", &parent.to_string(), "--", "true"]);
    let night = slots(&env, 2);
    until_state(&env, parent, "RUN_DONE");
    assert_eq!(state(&env, child), "AWAITING_PARENTS");
    touch(&env, "go");
    until_state(&env, child, "JOB_FINISHED");
    night.end(15);
}

#[test]
fn to_cancel_or_to_kill_stops_the_hook_that_runs() {
    for verb in ["cancel", "kill"] {
        let env = TestEnv::new();
        define(&env, "T", "true", &format!("hooks.postprocess = 'echo $$ > {}/pid; sleep 600'", env.dir().display()));
        let id = submit(&env, &["T"]);
        let night = slots(&env, 1);
        let pid = pid(&env, "pid");
        does(&env, verb, id);
        assert!(!alive(pid), "{verb}: nothing of it is left");
        let shown = job(&env, id);
        assert_eq!((&shown["state"], &shown["exit_code"]), (&json!("CANCELLED"), &json!(0)), "{verb}: {shown}");
        let next = submit(&env, &["--", "true"]);
        until_state(&env, next, "JOB_FINISHED");
        night.end(15);
    }
}

#[test]
fn a_job_that_is_held_is_not_prepared() {
    let env = TestEnv::new();
    define(&env, "T", "true", "hooks.preprocess = 'true'");
    let id = submit(&env, &["T"]);
    does(&env, "hold", id);
    assert_eq!(until_idle(&env, 1), 0, "it is not what is waited for");
    assert_eq!(state(&env, id), "STAGED_IN");
    let said = env.ok(&["explain", &id.to_string()]);
    assert!(said.out.contains("is held") && said.err.contains("job release"), "{said:?}");
    does(&env, "release", id);
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(state(&env, id), "JOB_FINISHED");
}

#[test]
fn a_hook_outlives_its_supervisor_and_the_next_one_goes_on() {
    let env = TestEnv::new();
    let wait =
        format!("cd {}; echo $$ >> pid; until [ -e go-$JOBEXEC_JOB_ID ]; do sleep 0.01; done", env.dir().display());
    define(&env, "T", "true", &format!("hooks.preprocess = '{wait}'"));
    let id = submit(&env, &["T"]);
    let night = slots(&env, 1);
    let pid = pid(&env, "pid");
    night.end(9);
    assert!(alive(pid));
    open(&env, id);
    until("the end of the hook", || !alive(pid));
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(state(&env, id), "JOB_FINISHED");
    assert_eq!(lines(&env, "pid").len(), 1, "it ran once");
}

#[test]
fn a_hook_finds_the_variables_of_the_file_beside_its_task() {
    let env = TestEnv::new();
    env.write("secrets", "KEY=hunter2\n", 0o600);
    define(&env, "T", "true", "env_file = 'secrets'\nhooks.preprocess = '[ $KEY = hunter2 ]'");
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(state(&env, id), "JOB_FINISHED");
}
