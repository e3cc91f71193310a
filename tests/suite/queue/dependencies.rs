//! Jobs that wait for jobs: for their success, their end or their failure, along chains and across crowds.

use serde_json::{Value, json};

use crate::suite::env::{TestEnv, until};
use crate::suite::supervisor::touch;

use super::{
    GATED, does, events, ids, job, jobs, lines, open, shell, slots, state, submit, submitted, until_idle, until_state,
};

/// Every end that a parent can come to, and whether it counts as a success.
const ENDS: [(&str, bool); 5] =
    [("success", true), ("failure", false), ("cancelled", false), ("killed", false), ("timed out", false)];

const EDGES: [&str; 3] = ["success", "end", "failure"];

/// A child for each kind of edge.
fn children(env: &TestEnv, parent: i64) -> [i64; 3] {
    EDGES.map(|edge| submit(env, &["--after", &format!("{parent}:{edge}"), "--", "true"]))
}

/// A held job, which will come to this end.
fn parent(env: &TestEnv, end: &str) -> i64 {
    match end {
        "success" => submit(env, &["--hold", "--", "true"]),
        "failure" => shell(env, &["--hold"], "exit 3"),
        "timed out" => submit(env, &["slow", "--hold"]),
        "cancelled" | "killed" => submit(env, &["--hold", "--", "sleep", "600"]),
        _ => unreachable!(),
    }
}

/// Brings it to that end.
fn bring(env: &TestEnv, parent: i64, end: &str) {
    if end == "cancelled" {
        return does(env, "cancel", parent);
    }
    does(env, "release", parent);
    if end == "killed" {
        until_state(env, parent, "RUNNING");
        does(env, "kill", parent);
    }
    let state = match end {
        "success" => "JOB_FINISHED",
        "killed" => "CANCELLED",
        _ => "FAILED",
    };
    until_state(env, parent, state);
}

/// What becomes of the children of a parent that has come to an end.
#[track_caller]
fn check_children(env: &TestEnv, parent: i64, children: [i64; 3], (end, success): (&str, bool)) {
    for (edge, child) in EDGES.into_iter().zip(children) {
        let met = edge == "end" || success == (edge == "success");
        until_state(env, child, if met { "JOB_FINISHED" } else { "BLOCKED" });
        let child = job(env, child);
        let told = [&child["reason"], &child["culprit"]];
        let code = if success { "not_needed" } else { "parent_failed" };
        let expected = if met { [json!("success"), Value::Null] } else { [json!(code), json!(parent)] };
        assert_eq!(told, expected.each_ref(), "{edge} of {end}: {child}");
        assert_eq!(child["parents"], json!([{ "id": parent, "edge": edge }]));
        assert!(met || child["message"].as_str().unwrap().contains(&parent.to_string()), "{child}");
    }
}

fn with_slow() -> TestEnv {
    let env = TestEnv::new();
    env.script("slow.sh", "#!/bin/sh\nexec sleep 600\n");
    env.ok(&["add", "slow", "slow.sh", "--timeout", "50ms", "--retries", "0", "--stop-grace", "100ms"]);
    env
}

#[test]
fn each_edge_is_met_or_broken_by_each_end_of_a_parent() {
    let env = with_slow();
    let _night = slots(&env, 3);
    let families = ENDS.map(|(end, _)| {
        let parent = parent(&env, end);
        (parent, children(&env, parent))
    });
    for ((end, success), (parent, children)) in ENDS.into_iter().zip(families) {
        assert_eq!(children.map(|child| state(&env, child)), ["AWAITING_PARENTS"; 3]);
        bring(&env, parent, end);
        check_children(&env, parent, children, (end, success));
    }
}

#[test]
fn a_child_of_a_parent_that_has_ended_does_not_wait() {
    let env = with_slow();
    let parents = ENDS.map(|(end, _)| parent(&env, end));
    let night = slots(&env, 3);
    for ((end, _), parent) in ENDS.into_iter().zip(parents) {
        bring(&env, parent, end);
    }
    night.end(15);
    let families = parents.map(|parent| children(&env, parent));
    for ((end, success), (parent, family)) in ENDS.into_iter().zip(parents.into_iter().zip(families)) {
        for (edge, child) in EDGES.into_iter().zip(family) {
            let met = edge == "end" || success == (edge == "success");
            let shown = state(&env, child);
            assert_eq!(shown, if met { "PREPROCESSED" } else { "BLOCKED" }, "{edge} of {parent}, {end}");
        }
    }
    assert_eq!(until_idle(&env, 3), 0);
    for ((end, success), (parent, family)) in ENDS.into_iter().zip(parents.into_iter().zip(families)) {
        check_children(&env, parent, family, (end, success));
    }
}

#[test]
fn a_diamond_runs_from_top_to_bottom() {
    let env = TestEnv::new();
    let notes = "echo $JOBEXEC_JOB_ID >> order";
    let top = shell(&env, &[], notes);
    let sides = [(); 2].map(|()| shell(&env, &["--after", &top.to_string(), "--priority", "9"], notes));
    let bottom = shell(&env, &["--after", &format!("{},{}", sides[0], sides[1]), "--priority", "99"], notes);
    assert_eq!(until_idle(&env, 3), 0);
    let order: Vec<i64> = lines(&env, "order").iter().map(|line| line.parse().unwrap()).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!((sorted, order[0], order[3]), (vec![1, 2, 3, 4], top, bottom));
    let related = |verb: &str, id: i64| -> Vec<i64> {
        let jobs = env.json(&["job", verb, &id.to_string()]);
        jobs.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
    };
    assert_eq!((related("children", top), related("parents", bottom)), (sides.to_vec(), sides.to_vec()));
    assert_eq!((related("parents", top), related("children", bottom)), (vec![], vec![]));
}

#[test]
fn a_chain_of_200_names_its_culprit_to_the_end_and_runs_when_that_is_run_again() {
    let env = TestEnv::new();
    let head = shell(&env, &[], "[ -e fixed ] || exit 9; echo $JOBEXEC_JOB_ID >> order");
    let mut last = head;
    for _ in 1..200 {
        last = shell(&env, &["--no-output", "--after", &last.to_string()], "echo $JOBEXEC_JOB_ID >> order");
    }
    assert_eq!(until_idle(&env, 2), 1);
    let blocked = jobs(&env, "state = BLOCKED");
    assert_eq!(blocked.len(), 199);
    for job in &blocked {
        assert_eq!((&job["culprit"], &job["reason"]), (&json!(head), &json!("parent_failed")), "{job}");
        assert!(job["message"].as_str().unwrap().contains(&format!("job {head}")), "{job}");
    }
    touch(&env, "fixed");
    does(&env, "rerun", head);
    let waiting = jobs(&env, "state = AWAITING_PARENTS");
    assert_eq!(waiting.len(), 199);
    assert!(waiting.iter().all(|job| job["culprit"].is_null() && job["reason"].is_null()), "{waiting:?}");
    assert_eq!(until_idle(&env, 2), 0);
    let order: Vec<i64> = lines(&env, "order").iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(order, (head..=last).collect::<Vec<_>>());
}

#[test]
fn a_thousand_children_of_one_parent_and_a_thousand_parents_of_one_child() {
    let env = TestEnv::new();
    env.write("lines", &"x\n".repeat(1000), 0o644);
    let top = shell(&env, &[], "[ -e fixed ]");
    let middle =
        submitted(&env, &["--each-line", "lines", "--no-output", "--after", &top.to_string(), "--", "/bin/true"]);
    assert_eq!(middle.len(), 1000);
    let all: Vec<String> = middle.iter().map(ToString::to_string).collect();
    let bottom = submit(&env, &["--after", &all.join(","), "--", "true"]);
    let counts = || {
        let rows = env.json(&["jobs", "--by-state"]);
        let count = |row: &Value| (row["state"].as_str().unwrap().to_owned(), row["count"].as_i64().unwrap());
        rows.as_array().unwrap().iter().map(count).collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(until_idle(&env, 2), 1);
    assert_eq!(counts(), [("FAILED".to_owned(), 1), ("BLOCKED".to_owned(), 1001)].into());
    assert_eq!(job(&env, bottom)["culprit"], top);
    touch(&env, "fixed");
    does(&env, "rerun", top);
    let _night = slots(&env, 2);
    // As long as it goes on there is patience.
    for finished in (0..1000).step_by(100).chain([1002]) {
        until(&format!("{finished} jobs to finish"), || counts().get("JOB_FINISHED").is_some_and(|n| *n >= finished));
    }
    assert_eq!(counts(), [("JOB_FINISHED".to_owned(), 1002)].into());
    let started = job(&env, bottom)["started"].as_str().unwrap().to_owned();
    let late = jobs(&env, "").into_iter().filter(|job| job["ended"].as_str().unwrap() > started.as_str()).count();
    assert_eq!(late, 1, "the last begins after all others have ended");
}

#[test]
fn what_is_no_job_is_refused_as_a_parent_and_nothing_is_stored() {
    let env = TestEnv::new();
    let one = submit(&env, &["--", "true"]);
    let said = env.fails(4, &["submit", "--after", &format!("{one},99"), "--", "true"]);
    assert!(said.err.contains("99") && said.out.is_empty(), "{said:?}");
    for bad in ["x", "", "1:sometimes", "1:", "-"] {
        env.fails(2, &["submit", "--after", bad, "--", "true"]);
    }
    assert_eq!(ids(&env, ""), [one]);
    // Not even itself: its number is not known before.
    env.fails(4, &["submit", "--after", "2", "--", "true"]);
    assert_eq!(env.json(&["job", "children", "1"]), json!([]));
}

#[test]
fn a_parent_that_is_named_twice_is_waited_for_once() {
    let env = TestEnv::new();
    let parent = submit(&env, &["--", "true"]);
    let child = submit(&env, &["--after", &format!("{parent},{parent}"), "--", "true"]);
    assert_eq!(job(&env, child)["parents"], json!([{ "id": parent, "edge": "success" }]));
    let said = env.fails(2, &["submit", "--after", &format!("{parent},{parent}:end"), "--", "true"]);
    assert!(said.err.contains("waited for twice"), "{said:?}");
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(state(&env, child), "JOB_FINISHED");
}

#[test]
fn a_blocked_job_stays_so_and_keeps_its_culprit_whatever_its_other_parents_do() {
    let env = TestEnv::new();
    let _night = slots(&env, 2);
    let fails = shell(&env, &[], "[ -e fixed ]");
    until_state(&env, fails, "FAILED");
    let other = shell(&env, &[], GATED);
    let third = shell(&env, &[], GATED);
    let child = submit(&env, &["--after", &format!("{fails},{other},{third}:failure"), "--", "true"]);
    let grandchild = submit(&env, &["--after", &child.to_string(), "--", "true"]);
    let culprits = || [child, grandchild].map(|id| (state(&env, id), job(&env, id)["culprit"].as_i64()));
    let blocked = ("BLOCKED".to_owned(), Some(fails));
    assert_eq!(culprits(), [blocked.clone(), blocked.clone()]);
    open(&env, other);
    until_state(&env, other, "JOB_FINISHED");
    assert_eq!(culprits(), [blocked.clone(), blocked.clone()]);
    open(&env, third);
    until_state(&env, third, "JOB_FINISHED");
    assert_eq!(culprits(), [blocked.clone(), blocked]);
    // With its first culprit mended there is still another, which is named from now on.
    touch(&env, "fixed");
    does(&env, "rerun", fails);
    until_state(&env, fails, "JOB_FINISHED");
    let blocked = ("BLOCKED".to_owned(), Some(third));
    assert_eq!(culprits(), [blocked.clone(), blocked]);
    assert_eq!(job(&env, child)["reason"], "not_needed");
}

#[test]
fn a_held_draft_is_blocked_when_it_is_released_after_its_parent_has_failed() {
    let env = TestEnv::new();
    let _night = slots(&env, 2);
    let fails = shell(&env, &[], &format!("{GATED}; exit 1"));
    let other = shell(&env, &[], GATED);
    let child = submit(&env, &["--hold", "--after", &format!("{fails},{other}"), "--", "true"]);
    open(&env, fails);
    until_state(&env, fails, "FAILED");
    open(&env, other);
    until_state(&env, other, "JOB_FINISHED");
    assert_eq!(state(&env, child), "CREATED");
    does(&env, "release", child);
    let child = job(&env, child);
    let told = [&child["state"], &child["reason"], &child["culprit"]];
    assert_eq!(told, [&json!("BLOCKED"), &json!("parent_failed"), &json!(fails)], "{child}");
}

#[test]
fn a_held_draft_with_its_parents_done_runs_when_it_is_released() {
    let env = TestEnv::new();
    let parent = submit(&env, &["--", "true"]);
    let child = submit(&env, &["--hold", "--after", &parent.to_string(), "--", "true"]);
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(state(&env, child), "CREATED");
    does(&env, "release", child);
    assert_eq!(state(&env, child), "PREPROCESSED");
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(state(&env, child), "JOB_FINISHED");
}

#[test]
fn a_blocked_job_that_is_cancelled_has_ended_for_those_that_wait_for_that() {
    let env = TestEnv::new();
    let fails = submit(&env, &["--", "false"]);
    let blocked = submit(&env, &["--after", &fails.to_string(), "--", "true"]);
    let families = children(&env, blocked);
    assert_eq!(until_idle(&env, 1), 1);
    assert_eq!(families.map(|child| state(&env, child)), ["BLOCKED"; 3], "nobody knows whether it will ever end");
    does(&env, "cancel", blocked);
    assert_eq!(until_idle(&env, 1), 0);
    let states = families.map(|child| state(&env, child));
    assert_eq!(states, ["BLOCKED", "JOB_FINISHED", "JOB_FINISHED"]);
}

#[test]
fn a_retry_is_no_end_yet() {
    let env = TestEnv::new();
    env.script("t.sh", "#!/bin/sh\n[ $JOBEXEC_ATTEMPT = 3 ]\n");
    env.ok(&["add", "T", "t.sh", "--retries", "5", "--backoff-first", "1ms"]);
    let parent = submit(&env, &["T"]);
    let family = children(&env, parent);
    assert_eq!(until_idle(&env, 1), 0, "none failed for good");
    assert_eq!(job(&env, parent)["attempt"], 3);
    assert_eq!(family.map(|child| state(&env, child)), ["JOB_FINISHED", "JOB_FINISHED", "BLOCKED"]);
}

#[test]
fn parents_whose_end_nobody_waits_for_any_more_do_not_hurt() {
    let env = TestEnv::new();
    let parent = submit(&env, &["--", "false"]);
    let child = submit(&env, &["--after", &parent.to_string(), "--", "true"]);
    let grandchild = submit(&env, &["--after", &child.to_string(), "--", "true"]);
    does(&env, "cancel", child);
    assert_eq!(until_idle(&env, 1), 1);
    assert_eq!([child, grandchild].map(|id| state(&env, id)), ["CANCELLED", "BLOCKED"]);
    assert_eq!(job(&env, grandchild)["culprit"], child, "it was cancelled before the other failed");
}

#[test]
fn what_a_job_waits_for_is_told_where_it_is_looked_for() {
    let env = TestEnv::new();
    let parents = [(); 2].map(|()| submit(&env, &["--hold", "--", "true"]));
    let child = submit(&env, &["--after", &format!("{},{}:end", parents[0], parents[1]), "--", "true"]);
    let card = env.ok(&["job", "show", &child.to_string()]).out;
    assert!(card.contains(&format!("{}, {}:end", parents[0], parents[1])), "{card}");
    does(&env, "cancel", parents[1]);
    assert_eq!(state(&env, child), "AWAITING_PARENTS");
    does(&env, "cancel", parents[0]);
    until("the child to be blocked", || state(&env, child) == "BLOCKED");
    let moved = events(&env, child).pop().unwrap();
    assert_eq!([&moved["from"], &moved["to"], &moved["cause"]], ["AWAITING_PARENTS", "BLOCKED", "parent_failed"]);
}
