//! Which job is next, how many run at once, and what keeps one from running.

use std::fs;

use crate::suite::env::{alive, kill, until};
use crate::suite::supervisor::{KILL, STAYS, micros, pid_of, started, touch};

use super::{
    GATED, does, ids, job, jobs, lines, open, shell, slots, state, submit, submitted, until_idle, until_lines,
    until_state,
};
use crate::suite::env::TestEnv;

/// Notes that it runs.
const NOTES: &str = "echo $JOBEXEC_JOB_ID >> order";

/// Notes its beginning and its end, and does not end before so many have begun.
fn meets(count: usize) -> String {
    format!("echo begin >> log; until [ $(grep -c begin log) -ge {count} ]; do sleep 0.01; done; echo end >> log")
}

/// How many ran at once, at most.
fn at_once(env: &TestEnv) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in lines(env, "log") {
        now = if line == "begin" { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    most
}

fn ordered(env: &TestEnv) -> Vec<i64> {
    lines(env, "order").iter().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn one_slot_goes_by_priority_and_then_by_age() {
    let env = TestEnv::new();
    for priority in ["0", "5", "-1", "5", "0", "9", "-1"] {
        shell(&env, &["--priority", priority], NOTES);
    }
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(ordered(&env), [6, 2, 4, 1, 5, 3, 7]);
}

#[test]
fn a_late_job_of_higher_priority_overtakes_what_waits_and_leaves_what_runs() {
    let env = TestEnv::new();
    let _night = slots(&env, 1);
    let first = shell(&env, &[], &format!("{GATED}; {NOTES}"));
    until_state(&env, first, "RUNNING");
    let waiting = shell(&env, &[], NOTES);
    let urgent = shell(&env, &["--priority", "1"], NOTES);
    assert_eq!([state(&env, waiting), state(&env, urgent)], ["PREPROCESSED", "PREPROCESSED"]);
    open(&env, first);
    until_state(&env, waiting, "JOB_FINISHED");
    assert_eq!(ordered(&env), [first, urgent, waiting]);
}

#[test]
fn as_many_run_at_once_as_there_are_slots_and_never_more() {
    let env = TestEnv::new();
    let meets = meets(3);
    for _ in 0..15 {
        shell(&env, &[], &meets);
    }
    assert_eq!(until_idle(&env, 3), 0);
    assert_eq!(lines(&env, "log").len(), 30);
    assert_eq!(at_once(&env), 3);
}

#[test]
fn one_slot_runs_one_after_another() {
    let env = TestEnv::new();
    for _ in 0..10 {
        shell(&env, &[], &meets(1));
    }
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!((lines(&env, "log").len(), at_once(&env)), (20, 1));
}

#[test]
fn a_job_does_not_run_before_its_moment_and_keeps_nobody_from_running() {
    let env = TestEnv::new();
    // Whole seconds are all that it takes.
    let moment = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 3).unwrap().to_string();
    let soon = submit(&env, &["--not-before", &moment, "--priority", "9", "--", "true"]);
    let later = submit(&env, &["--not-before", "+1h", "--priority", "9", "--", "true"]);
    let other = submit(&env, &["--", "true"]);
    let _night = slots(&env, 1);
    until_state(&env, other, "JOB_FINISHED");
    until_state(&env, soon, "JOB_FINISHED");
    let shown = job(&env, soon);
    assert!(micros(&shown["started"]) >= moment.parse::<jiff::Timestamp>().unwrap().as_microsecond(), "{shown}");
    let shown = job(&env, later);
    assert_eq!((shown["state"].as_str(), &shown["started"]), (Some("PREPROCESSED"), &serde_json::Value::Null));
    assert!(shown["not_before"].is_string(), "{shown}");
}

#[test]
fn a_held_job_lets_the_others_pass_until_it_is_released() {
    let env = TestEnv::new();
    let draft = shell(&env, &["--hold", "--priority", "9"], NOTES);
    let held = shell(&env, &["--priority", "8"], NOTES);
    let free = shell(&env, &[], NOTES);
    does(&env, "hold", held);
    assert_eq!(state(&env, draft), "CREATED");
    assert_eq!((state(&env, held), &job(&env, held)["held"]), ("PREPROCESSED".to_owned(), &true.into()));
    let _night = slots(&env, 1);
    until_state(&env, free, "JOB_FINISHED");
    for id in [held, draft] {
        does(&env, "release", id);
        until_state(&env, id, "JOB_FINISHED");
    }
    assert_eq!(ordered(&env), [free, held, draft]);
}

#[test]
fn what_nobody_can_run_does_not_keep_a_supervisor_from_being_idle() {
    let env = TestEnv::new();
    let held = submit(&env, &["--hold", "--", "true"]);
    let child = submit(&env, &["--after", &held.to_string(), "--", "true"]);
    let fails = submit(&env, &["--", "false"]);
    let blocked = submit(&env, &["--after", &fails.to_string(), "--", "true"]);
    assert_eq!(until_idle(&env, 2), 1, "one has failed");
    let states = [held, child, fails, blocked].map(|id| state(&env, id));
    assert_eq!(states, ["CREATED", "AWAITING_PARENTS", "FAILED", "BLOCKED"]);
    assert_eq!(until_idle(&env, 2), 0, "none has failed meanwhile");
}

#[test]
fn without_a_supervisor_what_runs_goes_on_and_nothing_new_begins() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    let running = shell(&env, &[], GATED);
    let said = env.ok(&["submit", "--", "true"]);
    assert!(said.err.contains("no supervisor is running"), "{said:?}");
    let next: i64 = said.out.trim().parse().unwrap();
    assert_eq!(state(&env, running), "PREPROCESSED");
    let night = slots(&env, 1);
    until_state(&env, running, "RUNNING");
    assert!(!env.ok(&["submit", "--hold", "--", "true"]).err.contains("no supervisor"));
    let (code, _) = night.end(KILL);
    assert_eq!((code, state(&env, running).as_str()), (None, "RUNNING"));
    open(&env, running);
    until("the slot to be left", || env.processes().is_empty());
    assert_eq!([state(&env, running), state(&env, next)], ["JOB_FINISHED", "PREPROCESSED"]);
    let _night = slots(&env, 1);
    until_state(&env, next, "JOB_FINISHED");
}

#[test]
fn what_is_submitted_while_everything_idles_begins_at_the_bell() {
    let env = TestEnv::new();
    env.ok(&["add", "T", "/bin/true"]);
    // Its diary must not say that the safety net has woken it.
    let _night = slots(&env, 2);
    for _ in 0..5 {
        let id = submit(&env, &["T"]);
        until_state(&env, id, "JOB_FINISHED");
    }
}

#[test]
fn two_jobs_of_a_task_run_side_by_side() {
    let env = TestEnv::new();
    env.script("t.sh", &format!("#!/bin/sh\n{}\n", meets(2)));
    env.ok(&["add", "T", "t.sh"]);
    let ids = [submit(&env, &["T"]), submit(&env, &["T"])];
    let _night = slots(&env, 2);
    ids.iter().for_each(|id| until_state(&env, *id, "JOB_FINISHED"));
    assert_eq!(at_once(&env), 2);
    let own: Vec<_> = jobs(&env, "task = T").iter().map(|job| job["id"].as_i64().unwrap()).collect();
    assert_eq!(own, ids);
}

/// What must stay of a task's status.
fn standing(env: &TestEnv) -> Vec<serde_json::Value> {
    let status = env.status("T");
    let keys = [
        "state",
        "wanted",
        "running",
        "pid",
        "started",
        "restarts",
        "crash_looping",
        "next_retry",
        "job",
        "job_state",
        "last_pid",
        "last_exit",
        "last_outcome",
        "last_reason",
        "log",
    ];
    keys.iter().map(|key| status[key].clone()).collect()
}

#[test]
fn queued_jobs_of_a_task_that_is_kept_alive_leave_it_alone_and_it_leaves_them() {
    let env = TestEnv::new();
    started(&env, "T", &STAYS.replace("echo ready", "[ -e fail ] && exit 3\necho ready"), &["--stop-grace", "200ms"]);
    let pid = pid_of(&env, "T");
    let before = standing(&env);
    let _night = slots(&env, 2);
    let queued = submit(&env, &["T"]);
    until("its script to be past the check", || {
        fs::read_to_string(env.file(&format!("jobs/{queued}/run-1.txt"))).is_ok_and(|text| text.contains("ready"))
    });
    touch(&env, "fail");
    let fails = submit(&env, &["T"]);
    until_state(&env, fails, "FAILED");
    assert_eq!(standing(&env), before, "queued jobs are none of the task's business");

    does(&env, "kill", queued);
    assert_eq!(state(&env, queued), "CANCELLED");
    assert!(alive(pid) && standing(&env) == before);

    fs::remove_file(env.dir().join("fail")).unwrap();
    let queued = submit(&env, &["T"]);
    let waiting = submit(&env, &["T", "--not-before", "+1h"]);
    until_state(&env, queued, "RUNNING");
    env.ok(&["stop", "T"]);
    assert!(!alive(pid));
    assert_eq!(env.state("T"), "stopped");
    assert_eq!([state(&env, queued), state(&env, waiting)], ["RUNNING", "PREPROCESSED"]);

    // Nor does it count as the task's run that a start would find.
    assert!(env.ok(&["start", "T"]).err.contains("Starting T"));
    assert_ne!(pid_of(&env, "T"), pid);
    env.ok(&["stop", "T"]);
    assert_eq!(state(&env, queued), "RUNNING");
    does(&env, "kill", queued);
}

#[test]
fn a_script_that_submits_is_named_and_a_slot_is_all_that_its_job_needs() {
    let env = TestEnv::new();
    let bin = env!("CARGO_BIN_EXE_jobexec");
    let mother = shell(&env, &[], &format!("{bin} submit -- sh -c '{bin} submit -- true; {NOTES}'; {NOTES}"));
    assert_eq!(until_idle(&env, 1), 0);
    let [child, grandchild] = ids(&env, &format!("root = {mother}"))[..] else { panic!("{:?}", jobs(&env, "")) };
    let made = [child, grandchild].map(|id| job(&env, id)["spawned_by"].as_i64());
    assert_eq!(made, [Some(mother), Some(child)]);
    assert_eq!(ordered(&env), [mother, child]);
}

#[test]
fn each_line_of_a_file_is_a_job_and_all_or_none_are_queued() {
    let env = TestEnv::new();
    env.write("lines", "one\ntwo words\n\n'quoted\"\n", 0o644);
    let made = submitted(&env, &["--each-line", "lines", "--hold", "--", "true"]);
    assert_eq!(made.len(), 4);
    let params: Vec<_> = jobs(&env, "").iter().map(|job| job["params"]["line"].clone()).collect();
    assert_eq!(params, ["one", "two words", "", "'quoted\""]);
    env.fails(4, &["submit", "--each-line", "lines", "--after", "99", "--", "true"]);
    env.fails(2, &["submit", "--each-line", "none", "--", "true"]);
    assert_eq!(jobs(&env, "").len(), 4);
}

#[test]
fn a_supervisor_with_fewer_slots_leaves_the_others_empty() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    let gated: Vec<i64> = (0..3).map(|_| shell(&env, &[], GATED)).collect();
    let night = slots(&env, 3);
    gated.iter().for_each(|id| until_state(&env, *id, "RUNNING"));
    kill(night.pid(), KILL);
    night.ended();
    let night = slots(&env, 1);
    let next: Vec<i64> = (0..3).map(|_| shell(&env, &[], &meets(1))).collect();
    gated.iter().for_each(|id| open(&env, *id));
    next.iter().for_each(|id| until_state(&env, *id, "JOB_FINISHED"));
    assert_eq!(at_once(&env), 1);
    until_lines(&env, "log", 6);
    drop(night);
}

#[test]
fn a_moment_of_what_cannot_run_is_not_waited_for() {
    let env = TestEnv::new();
    let later = ["--not-before", "+1h"];
    let held = submit(&env, &[&later[..], &["--hold", "--", "true"]].concat());
    let kept = submit(&env, &[&later[..], &["--", "true"]].concat());
    does(&env, "hold", kept);
    let child = submit(&env, &[&later[..], &["--after", &held.to_string(), "--", "true"]].concat());
    let fails = submit(&env, &["--", "false"]);
    let blocked = submit(&env, &[&later[..], &["--after", &fails.to_string(), "--", "true"]].concat());
    assert_eq!(until_idle(&env, 1), 1);
    let states = [held, kept, child, blocked].map(|id| state(&env, id));
    assert_eq!(states, ["CREATED", "PREPROCESSED", "AWAITING_PARENTS", "BLOCKED"]);
}

#[test]
fn a_job_whose_moment_came_while_it_waited_runs_when_it_no_longer_does() {
    let env = TestEnv::new();
    let moment = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 2).unwrap();
    let later = ["--not-before", &moment.to_string()];
    let parent = shell(&env, &[], GATED);
    let child = submit(&env, &[&later[..], &["--after", &parent.to_string(), "--", "true"]].concat());
    let held = submit(&env, &[&later[..], &["--", "true"]].concat());
    does(&env, "hold", held);
    let _night = slots(&env, 1);
    until("the moment", || jiff::Timestamp::now() > moment);
    until_state(&env, parent, "RUNNING");
    assert_eq!([state(&env, child), state(&env, held)], ["AWAITING_PARENTS", "PREPROCESSED"]);
    open(&env, parent);
    does(&env, "release", held);
    for id in [child, held] {
        until_state(&env, id, "JOB_FINISHED");
        assert!(micros(&job(&env, id)["started"]) >= moment.as_microsecond());
    }
}

#[test]
fn what_is_kept_of_a_tasks_output_is_not_what_is_kept_of_its_queued_jobs() {
    let env = TestEnv::new();
    env.script("t.sh", "#!/bin/sh\necho output\n");
    env.ok(&["add", "T", "t.sh", "--keep", "1", "--once"]);
    let ids = [(); 5].map(|()| submit(&env, &["T"]));
    assert_eq!(until_idle(&env, 1), 0);
    for _ in 0..3 {
        env.ok(&["start", "T"]);
        env.wait_for_state("T", "finished");
    }
    for id in ids {
        assert_eq!(env.ok(&["job", "log", &id.to_string()]).out, "output\n");
    }
}
