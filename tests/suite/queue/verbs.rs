//! What can be done with jobs: every verb in every state, and what being run again means for those that followed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::suite::env::{TestEnv, alive, until};
use crate::suite::supervisor::{query, touch};

use super::{
    GATED, does, events, ids, job, jobs, lines, open, shell, slots, state, submit, until_idle, until_lines, until_state,
};

/// The states that a job can stay in.
const STATES: [&str; 9] = [
    "CREATED",
    "AWAITING_PARENTS",
    "BLOCKED",
    "PREPROCESSED",
    "RUNNING",
    "RESTART_READY",
    "JOB_FINISHED",
    "FAILED",
    "CANCELLED",
];

const VERBS: [&str; 5] = ["cancel", "kill", "hold", "release", "rerun"];

/// What a verb does to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It brings it into this state.
    Comes(&'static str),
    /// It holds it back, or no longer does.
    Holds(bool),
    Nothing,
    Refused,
}

use Does::{Comes, Holds, Nothing, Refused};

/// The table: for each state, each verb.
fn expected(state: &str) -> [Does; 5] {
    match state {
        "CREATED" => [Comes("CANCELLED"), Refused, Nothing, Comes("PREPROCESSED"), Refused],
        "AWAITING_PARENTS" | "BLOCKED" | "PREPROCESSED" | "RESTART_READY" => {
            [Comes("CANCELLED"), Refused, Holds(true), Nothing, Refused]
        }
        "RUNNING" => [Refused, Comes("CANCELLED"), Refused, Nothing, Refused],
        "JOB_FINISHED" | "FAILED" => [Nothing, Nothing, Refused, Nothing, Comes("RESTART_READY")],
        "CANCELLED" => [Nothing, Nothing, Refused, Nothing, Comes("PREPROCESSED")],
        _ => unreachable!(),
    }
}

/// A job that stays in this state, with a supervisor there.
fn in_state(env: &TestEnv, wanted: &str) -> i64 {
    let parent = |end: &str| {
        let id = shell(env, &["--hold"], end);
        (id, id.to_string())
    };
    let id = match wanted {
        "CREATED" => submit(env, &["--hold", "--not-before", "+1h", "--", "true"]),
        "AWAITING_PARENTS" => submit(env, &["--after", &parent("true").1, "--", "true"]),
        "BLOCKED" => {
            let (id, text) = parent("true");
            does(env, "cancel", id);
            submit(env, &["--after", &text, "--", "true"])
        }
        "PREPROCESSED" => submit(env, &["--not-before", "+1h", "--", "true"]),
        "RUNNING" => submit(env, &["--", "sleep", "600"]),
        "RESTART_READY" => submit(env, &["fails"]),
        "JOB_FINISHED" => submit(env, &["--", "true"]),
        "FAILED" => submit(env, &["--", "false"]),
        "CANCELLED" => {
            let id = submit(env, &["--not-before", "+1h", "--", "true"]);
            does(env, "cancel", id);
            id
        }
        _ => unreachable!(),
    };
    until_state(env, id, wanted);
    id
}

#[test]
fn every_verb_in_every_state() {
    let env = TestEnv::new();
    env.script("fails.sh", "#!/bin/sh\nexit 1\n");
    env.ok(&["add", "fails", "fails.sh", "--retries", "3", "--backoff-first", "1h"]);
    for wanted in STATES {
        // Nobody claims what is run again before it is looked at: each state has a supervisor of its own.
        let night = slots(&env, 6);
        let ids = VERBS.map(|_| in_state(&env, wanted));
        if wanted != "RUNNING" {
            night.end(15);
        }
        for (id, (verb, does)) in ids.into_iter().zip(VERBS.into_iter().zip(expected(wanted))) {
            let before = job(&env, id);
            let said = env.run(&["job", verb, &id.to_string()]);
            let after = job(&env, id);
            let what = format!("{verb} of {wanted}: {said:?}, {after}");
            assert_eq!(said.code, if does == Refused { 5 } else { 0 }, "{what}");
            assert!(said.out.is_empty() && said.err.contains(&id.to_string()), "{what}");
            match does {
                Comes(state) => {
                    assert_eq!(after["state"], state, "{what}");
                    let last = events(&env, id).pop().unwrap();
                    assert_eq!([&last["from"], &last["to"]], [wanted, state], "{what}");
                }
                Holds(held) => {
                    assert_eq!([&after["held"], &after["state"]], [&json!(held), &json!(wanted)], "{what}");
                    assert!(env.ok(&["job", verb, &id.to_string()]).err.contains("nothing to do"));
                    super::does(&env, "release", id);
                    assert_eq!(job(&env, id), before, "{what}");
                }
                Nothing | Refused => {
                    assert_eq!(after, before, "{what}");
                    let says = |word: &str| said.err.contains(word);
                    let otherwise = says("does not run") || says("it is held") || says("it is not held");
                    assert!(says(wanted) || does == Nothing && otherwise, "{what}");
                }
            }
        }
        env.ok(&["job", "kill", "state = RUNNING"]);
    }
}

#[test]
fn what_is_not_there_is_nobodys_business_and_nothing_else_is_touched() {
    let env = TestEnv::new();
    for verb in VERBS {
        env.fails(4, &["job", verb, "7"]);
    }
    let there = submit(&env, &["--hold", "--", "true"]);
    let before = job(&env, there);
    for verb in VERBS {
        for asked in ["7", "0", "1,7", "7,1", "9223372036854775807"] {
            let said = env.fails(4, &["job", verb, asked]);
            assert!(said.err.contains("no job"), "{said:?}");
        }
        env.fails(2, &["job", verb]);
        env.fails(2, &["job", verb, "stat = CREATED"]);
    }
    for verb in ["show", "events", "parents", "children", "data", "workdir", "log"] {
        env.fails(4, &["job", verb, "7"]);
        env.fails(2, &["job", verb, "x"]);
    }
    env.fails(4, &["wait", "1,7"]);
    assert_eq!(job(&env, there), before);
}

#[test]
fn verbs_take_several_ids_and_selections() {
    let env = TestEnv::new();
    for exp in ["a", "a", "b", "b", "b"] {
        submit(&env, &["--hold", "--tag", &format!("exp={exp}"), "--", "true"]);
    }
    env.ok(&["job", "release", "1", "2"]);
    env.ok(&["job", "cancel", "tag.exp = b", "and", "id > 3"]);
    let states: Vec<_> = jobs(&env, "").iter().map(|job| job["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["PREPROCESSED", "PREPROCESSED", "CREATED", "CANCELLED", "CANCELLED"]);
    assert!(env.ok(&["job", "cancel", "tag.exp = c"]).err.contains("0 of 5 jobs"));
    assert_eq!(env.ok(&["job", "rerun", "state = CANCELLED"]).code, 0);
    // What is refused for one is done for the others.
    let said = env.fails(5, &["job", "rerun", "1,2,3"]);
    assert_eq!(said.err.lines().count(), 3, "{said:?}");
    env.ok(&["job", "cancel", "4", "4"]);
    let said = env.fails(5, &["job", "rerun", "3,4"]);
    assert!(said.err.contains("3 is CREATED"), "{said:?}");
    assert_eq!(state(&env, 4), "PREPROCESSED");
}

#[test]
fn a_job_of_a_tasks_own_is_not_the_queues() {
    let env = TestEnv::new();
    env.script("t.sh", "#!/bin/sh\nexec sleep 600\n");
    env.ok(&["add", "T", "t.sh", "--stop-grace", "100ms"]);
    env.ok(&["start", "T"]);
    let id = env.status("T")["job"].as_i64().unwrap();
    for verb in ["cancel", "hold", "rerun"] {
        env.fails(5, &["job", verb, &id.to_string()]);
    }
    assert_eq!(state(&env, id), "RUNNING");
    env.ok(&["stop", "T"]);
}

#[test]
fn an_end_that_was_asked_for_and_takes_its_time_is_explained() {
    let env = TestEnv::new();
    env.script("deaf.sh", "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n");
    env.ok(&["add", "deaf", "deaf.sh", "--stop-grace", "2s"]);
    let _night = slots(&env, 1);
    let id = submit(&env, &["deaf"]).to_string();
    until("it to be deaf", || env.read(&format!("jobs/{id}/run-1.txt")).contains("ready"));
    let mut kill = env.command(&["job", "kill", &id]).spawn().unwrap();
    until("that to be explained", || env.ok(&["explain", &id]).out.contains(" is being ended: "));
    assert!(kill.wait().unwrap().success());
    assert!(env.ok(&["explain", &id]).out.contains("was cancelled: "));
}

#[test]
fn kill_ends_the_whole_tree_and_keeps_the_exit() {
    let env = TestEnv::new();
    // One in a session of its own, one that is deaf, one that its parent has left behind.
    let tree = "setsid sleep 600 & (trap '' TERM; echo $! >/dev/null; exec sleep 600) & \
                sh -c 'setsid sh -c \"sleep 600; true\" & echo gone' ; trap 'exit 42' TERM; echo ready; wait; wait";
    env.script("tree.sh", &format!("#!/bin/sh\n{tree}\n"));
    env.ok(&["add", "tree", "tree.sh", "--stop-grace", "300ms"]);
    let _night = slots(&env, 2);
    let id = submit(&env, &["tree"]);
    let deaf = submit(&env, &["tree"]);
    until("both trees", || [id, deaf].iter().all(|id| env.read(&format!("jobs/{id}/run-1.txt")).contains("ready")));
    let of_tree = |id: i64| -> Vec<i32> {
        let mark = format!("JOBEXEC_JOB_ID={id}");
        let marked = |pid: &i32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        env.processes().into_iter().filter(marked).collect()
    };
    until("the processes", || of_tree(id).len() >= 5 && of_tree(deaf).len() >= 5);
    let others = of_tree(deaf);
    env.ok(&["job", "kill", &id.to_string()]);
    assert_eq!(of_tree(id), [0; 0], "nothing of it is left when the command returns");
    let left = of_tree(deaf);
    assert!(others.iter().all(|pid| left.contains(pid)), "the other is left alone: {others:?}, {left:?}");
    let shown = job(&env, id);
    let told = [&shown["state"], &shown["reason"], &shown["exit_code"], &shown["held"]];
    assert_eq!(told, [&json!("CANCELLED"), &json!("killed"), &json!(42), &json!(false)], "{shown}");
    assert_eq!(shown["runs"][0]["outcome"], "stopped");
    assert!(shown["message"].as_str().unwrap().contains("stopped by"), "{shown}");
    does(&env, "kill", deaf);
    // The slot lives and takes the next.
    let next = submit(&env, &["--", "true"]);
    until_state(&env, next, "JOB_FINISHED");
}

#[test]
fn a_killed_job_is_not_tried_again() {
    let env = TestEnv::new();
    env.script("t.sh", "#!/bin/sh\necho ready\nexec sleep 600\n");
    env.ok(&["add", "T", "t.sh", "--retries", "5", "--backoff-first", "1ms"]);
    let _night = slots(&env, 1);
    let id = submit(&env, &["T"]);
    until("the script", || env.read(&format!("jobs/{id}/run-1.txt")).contains("ready"));
    does(&env, "kill", id);
    let shown = job(&env, id);
    assert_eq!(
        (&shown["state"], &shown["signal"], &shown["attempt"]),
        (&json!("CANCELLED"), &json!("SIGTERM"), &json!(1))
    );
    does(&env, "rerun", id);
    until("the script", || env.read(&format!("jobs/{id}/run-2.txt")).contains("ready"));
    does(&env, "kill", id);
}

#[test]
fn kill_without_a_supervisor() {
    let env = TestEnv::new();
    env.ringers_are_killed();
    let id = shell(&env, &[], "echo ready; exec sleep 600");
    let next = submit(&env, &["--", "true"]);
    let night = slots(&env, 1);
    until("the script", || env.read(&format!("jobs/{id}/run-1.txt")).contains("ready"));
    night.end(9);
    does(&env, "kill", id);
    until("nothing to be left", || env.processes().is_empty());
    assert_eq!([state(&env, id), state(&env, next)], ["CANCELLED", "PREPROCESSED"]);
}

/// Four jobs in a row, whose last waits for an end only.
fn chain(env: &TestEnv) -> [i64; 4] {
    let line = "echo $JOBEXEC_JOB_ID >> order";
    let first = shell(env, &[], line);
    let second = shell(env, &["--after", &first.to_string()], line);
    let third = shell(env, &["--after", &second.to_string()], line);
    let fourth = shell(env, &["--after", &format!("{third}:end")], line);
    [first, second, third, fourth]
}

fn ran(env: &TestEnv) -> Vec<i64> {
    let ran = lines(env, "order").iter().map(|line| line.parse().unwrap()).collect();
    let _ = std::fs::remove_file(env.dir().join("order"));
    ran
}

#[test]
fn run_again_those_that_followed_follow_again() {
    let env = TestEnv::new();
    let chain = chain(&env);
    assert_eq!(until_idle(&env, 2), 0);
    assert_eq!(ran(&env), chain);
    does(&env, "rerun", chain[1]);
    let states = chain.map(|id| state(&env, id));
    assert_eq!(states, ["JOB_FINISHED", "RESTART_READY", "AWAITING_PARENTS", "AWAITING_PARENTS"]);
    let waiting = job(&env, chain[2]);
    assert_eq!([&waiting["ended"], &waiting["reason"]], [&Value::Null; 2], "{waiting}");
    assert_eq!(until_idle(&env, 2), 0);
    assert_eq!(ran(&env), chain[1..]);
    assert_eq!(chain.map(|id| job(&env, id)["attempt"].as_i64().unwrap()), [1, 2, 2, 2]);
}

#[test]
fn run_again_only_it_leaves_those_that_have_ended() {
    let env = TestEnv::new();
    let chain = chain(&env);
    assert_eq!(until_idle(&env, 2), 0);
    ran(&env);
    env.ok(&["job", "rerun", "--only", &chain[1].to_string()]);
    let states = chain.map(|id| state(&env, id));
    assert_eq!(states, ["JOB_FINISHED", "RESTART_READY", "JOB_FINISHED", "JOB_FINISHED"]);
    assert_eq!(until_idle(&env, 2), 0);
    assert_eq!(ran(&env), [chain[1]]);
}

#[test]
fn run_again_only_it_frees_those_that_are_blocked() {
    let env = TestEnv::new();
    let fails = shell(&env, &[], "[ -e fixed ]");
    let ended = submit(&env, &["--after", &format!("{fails}:failure"), "--", "true"]);
    let blocked = submit(&env, &["--after", &fails.to_string(), "--", "true"]);
    let further = submit(&env, &["--after", &blocked.to_string(), "--", "true"]);
    assert_eq!(until_idle(&env, 1), 1);
    touch(&env, "fixed");
    env.ok(&["job", "rerun", "--only", &fails.to_string()]);
    let states = [fails, ended, blocked, further].map(|id| state(&env, id));
    assert_eq!(states, ["RESTART_READY", "JOB_FINISHED", "AWAITING_PARENTS", "AWAITING_PARENTS"]);
    assert_eq!(until_idle(&env, 1), 0);
    let states = [fails, ended, blocked, further].map(|id| state(&env, id));
    assert_eq!(states, ["JOB_FINISHED"; 4]);
    assert_eq!(job(&env, ended)["attempt"], 1);
}

#[test]
fn run_again_from_its_beginning() {
    let env = TestEnv::new();
    let parent = submit(&env, &["--", "true"]);
    let id = submit(&env, &["--after", &parent.to_string(), "--", "false"]);
    assert_eq!(until_idle(&env, 1), 1);
    env.ok(&["job", "rerun", "--clean", &id.to_string()]);
    assert_eq!(state(&env, id), "PREPROCESSED");
    let event = events(&env, id).pop().unwrap();
    assert_eq!(event["data"]["through"], json!(["CREATED", "READY", "STAGED_IN", "PREPROCESSED"]));
    assert_eq!(until_idle(&env, 1), 1);
    assert_eq!(job(&env, id)["attempt"], 2, "attempts count on");
    // Its parents are looked at again.
    env.ok(&["job", "rerun", "--only", &parent.to_string()]);
    env.ok(&["job", "rerun", "--clean", &id.to_string()]);
    assert_eq!(state(&env, id), "AWAITING_PARENTS");
    assert_eq!(until_idle(&env, 1), 1);
    assert_eq!(job(&env, id)["attempt"], 3);
}

#[test]
fn a_cancelled_job_that_never_ran_settles_anew() {
    let env = TestEnv::new();
    let parent = submit(&env, &["--hold", "--", "true"]);
    let child = submit(&env, &["--after", &parent.to_string(), "--", "true"]);
    does(&env, "cancel", child);
    does(&env, "rerun", child);
    assert_eq!(state(&env, child), "AWAITING_PARENTS");
    does(&env, "cancel", child);
    does(&env, "cancel", parent);
    does(&env, "rerun", child);
    assert_eq!((state(&env, child).as_str(), &job(&env, child)["culprit"]), ("BLOCKED", &json!(parent)));
    does(&env, "rerun", parent);
    assert_eq!(state(&env, child), "AWAITING_PARENTS");
    does(&env, "release", parent);
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(state(&env, child), "JOB_FINISHED");
}

#[test]
fn a_follower_that_runs_refuses_that_what_it_follows_is_run_again() {
    let env = TestEnv::new();
    let _night = slots(&env, 2);
    let first = submit(&env, &["--", "true"]);
    let second = submit(&env, &["--after", &first.to_string(), "--", "true"]);
    let third = shell(&env, &["--after", &second.to_string()], GATED);
    until_state(&env, third, "RUNNING");
    let before = [first, second, third].map(|id| job(&env, id));
    for args in [&["rerun"][..], &["rerun", "--clean"], &["reset"]] {
        for id in [first, second] {
            let said = env.fails(5, &[&["job"], args, &[&id.to_string()]].concat());
            assert!(said.err.contains(&third.to_string()), "it is named: {said:?}");
        }
    }
    assert_eq!([first, second, third].map(|id| job(&env, id)), before, "nothing is touched");
    open(&env, third);
    until_state(&env, third, "JOB_FINISHED");
    does(&env, "rerun", first);
    until_state(&env, third, "JOB_FINISHED");
}

#[test]
fn what_follows_one_that_was_cancelled_counts_as_well() {
    let env = TestEnv::new();
    let _night = slots(&env, 1);
    let first = submit(&env, &["--", "false"]);
    let second = submit(&env, &["--after", &first.to_string(), "--", "true"]);
    let third = shell(&env, &["--after", &format!("{second}:end")], GATED);
    until_state(&env, second, "BLOCKED");
    does(&env, "cancel", second);
    until_state(&env, third, "RUNNING");
    for verb in ["rerun", "reset"] {
        let said = env.fails(5, &["job", verb, &first.to_string()]);
        assert!(said.err.contains(&format!("job {third}, which follows it, runs")), "{said:?}");
    }
    open(&env, third);
    until_state(&env, third, "JOB_FINISHED");
}

#[test]
fn run_again_only_it_a_follower_that_runs_is_left_alone() {
    let env = TestEnv::new();
    let _night = slots(&env, 2);
    let first = shell(&env, &[], "echo $JOBEXEC_JOB_ID >> order");
    let second = shell(&env, &["--after", &first.to_string()], GATED);
    until_state(&env, second, "RUNNING");
    let said = env.run(&["job", "rerun", "--only", &first.to_string()]);
    // Whichever it is, it is said, and the follower does not suffer from it.
    assert!(matches!(said.code, 0 | 5), "{said:?}");
    assert!(said.code == 0 || said.err.contains(&second.to_string()), "{said:?}");
    until_state(&env, first, "JOB_FINISHED");
    assert_eq!(state(&env, second), "RUNNING");
    open(&env, second);
    until_state(&env, second, "JOB_FINISHED");
    assert_eq!(job(&env, second)["attempt"], 1);
}

#[test]
fn run_again_with_the_newest_definition_of_its_task() {
    let env = TestEnv::new();
    env.script("t.sh", "#!/bin/sh\necho $1 >> order\n");
    env.ok(&["add", "T", "t.sh", "1"]);
    let id = submit(&env, &["T"]);
    assert_eq!(until_idle(&env, 1), 0);
    env.ok(&["add", "T", "t.sh", "2", "--replace"]);
    does(&env, "rerun", id);
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(ran(&env), [1, 2]);
    // Without its task it is what it was.
    env.ok(&["remove", "T"]);
    does(&env, "rerun", id);
    assert_eq!(until_idle(&env, 1), 0);
    assert_eq!(ran(&env), [2]);
}

/// A registry whose task `T` says this.
fn says(env: &TestEnv, text: &str) {
    std::fs::write(env.file("jobexec.toml"), format!("version = 1\nexec_id = \"again\"\n[task.T]\nwd = '..'\n{text}"))
        .unwrap();
}

#[test]
fn run_again_is_what_was_asked_for_with_what_its_task_says_now() {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "again"]);
    let command = "command = ['sh', '-c', 'echo $1 >> order', 'sh', '{{a}}{{b}}']\n";
    says(
        &env,
        &format!(
            "{command}priority = 1\ngroup = 'old'\nlocks = ['l']\nworkdir = 'old/{{{{a}}}}'\n\
                         params.a = {{}}\nparams.b = {{ default = 1 }}\nresources.cpus = 1\n"
        ),
    );
    let asked = ["T", "-p", "a=7", "--workdir", "own/{{b}}", "--priority", "5", "-p", "b=8", "--tag", "t=1"];
    let (plain, own) = (submit(&env, &["T", "-p", "a=3"]), submit(&env, &asked));
    let late = submit(&env, &["T", "-p", "a=4"]);
    env.ok(&["job", "update", &late.to_string(), "--priority", "9", "--data", "[1]"]);
    let of = |id: i64| {
        let job = job(&env, id);
        ["priority", "workdir", "group", "params", "tags", "data"].map(|key| job[key].clone())
    };
    assert_eq!(of(plain), [json!(1), json!("old/3"), json!("old"), json!({ "a": 3, "b": 1 }), json!({}), json!(null)]);
    assert_eq!(until_idle(&env, 1), 0);
    says(
        &env,
        &format!(
            "{command}priority = 2\ngroup = 'new'\nlocks = ['m']\nworkdir = 'new/{{{{a}}}}-{{{{b}}}}'\n\
                         params.a = {{}}\nparams.b = {{ default = 2 }}\nparams.c = {{ default = true }}\n"
        ),
    );
    for id in [plain, own, late] {
        does(&env, "rerun", id);
    }
    let params = |a: i64, b: i64| json!({ "a": a, "b": b, "c": true });
    assert_eq!(of(plain), [json!(2), json!("new/3-2"), json!("new"), params(3, 2), json!({}), json!(null)]);
    assert_eq!(of(own), [json!(5), json!("own/8"), json!("new"), params(7, 8), json!({ "t": "1" }), json!(null)]);
    assert_eq!(of(late), [json!(9), json!("new/4-2"), json!("new"), params(4, 2), json!({}), json!([1])]);
    let needs = query(&env, "SELECT DISTINCT needs.body FROM jobs JOIN needs ON needs.id = jobs.need", |row| {
        row.get::<_, String>(0)
    });
    assert_eq!(needs, [r#"{"locks":["m"],"group":"new"}"#]);
    assert_eq!(ids(&env, "param.c = true"), [plain, own, late]);
    assert_eq!(until_idle(&env, 1), 0);
    // The work directory is another, so they are where they ran.
    for (directory, said) in [("new/3-2", "32\n"), ("own/8", "78\n78\n"), ("new/4-2", "42\n")] {
        assert_eq!(env.read(&format!("jobs/{directory}/order")), said);
    }
    // What the machine will never have is refused, and the job stays what it was.
    says(&env, &format!("{command}params.a = {{}}\nparams.b = {{ default = 2 }}\nresources.num_nodes = 2\n"));
    let before = job(&env, plain);
    env.fails(2, &["job", "rerun", &plain.to_string()]);
    assert_eq!(job(&env, plain), before);
}

#[test]
fn an_update_that_is_refused_changes_nothing() {
    let env = TestEnv::new();
    let id = submit(&env, &["--hold", "--data", r#"{"a":1}"#, "--", "true"]);
    let list = submit(&env, &["--hold", "--data", "[1]", "--", "true"]);
    let [one, other] = [id, list].map(|id| id.to_string());
    env.ok(&["job", "update", &one, "--set", "b=2", "--tag", "t=1"]);
    assert_eq!(env.json(&["job", "data", &one]), json!({ "a": 1, "b": 2 }));
    env.ok(&["job", "update", &one, "--data", r#"{"c":3}"#, "--set", "b=[]"]);
    assert_eq!(env.json(&["job", "data", &one]), json!({ "c": 3, "b": [] }));
    let before = [id, list].map(|id| (job(&env, id), events(&env, id)));
    let refused: [&[&str]; 3] = [
        &["update", &one, "--data", "[1]", "--set", "k=1", "--tag", "t=2", "--priority", "9"],
        &["update", &other, "--set", "k=1", "--tag", "t=2"],
        &["data", &other, "--set", "k=1"],
    ];
    for args in refused {
        let said = env.fails(5, &[&["job"], args].concat());
        assert!(said.err.contains("no object"), "{said:?}");
    }
    env.fails(2, &["job", "update", &one, "--data", "{}", "--set", "k=word"]);
    env.fails(2, &["job", "update", &one, "--data", "{}", "--set", "k"]);
    assert_eq!([id, list].map(|id| (job(&env, id), events(&env, id))), before);
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn json_has_the_keys_that_are_promised() {
    let env = TestEnv::new();
    let parent = submit(&env, &["--", "true"]);
    let args = [
        "--after",
        "1",
        "-p",
        "a=1",
        "-p",
        "b=x",
        "-p",
        "c=true",
        "-p",
        "d=1.5",
        "--tag",
        "v=2.0",
        "--data",
        r#"{"k": [1, null]}"#,
        "--priority",
        "-3",
        "--run-name",
        "R",
        "--workdir",
        "w/d",
        "--",
        "sh",
        "-c",
        "exit 3; : {{a}} {{b}} {{c}} {{d}}",
    ];
    let id = submit(&env, &args);
    assert_eq!(until_idle(&env, 1), 1);
    let shown = job(&env, id);
    let promised = [
        "id",
        "task",
        "state",
        "reason",
        "message",
        "params",
        "tags",
        "data",
        "parents",
        "spawned_by",
        "root",
        "run_name",
        "workdir",
        "priority",
        "group",
        "held",
        "review",
        "culprit",
        "attempt",
        "exit_code",
        "signal",
        "not_before",
        "next_retry",
        "created",
        "started",
        "ended",
    ];
    let listed = jobs(&env, &format!("id = {id}")).pop().unwrap();
    for key in promised {
        assert!(keys(&shown).contains(key) && keys(&listed).contains(key), "{key} is missing: {shown}");
        assert_eq!(shown[key], listed[key]);
    }
    let of = ["task", "params", "tags", "data", "priority", "run_name", "workdir"].map(|key| shown[key].clone());
    let expected = [
        Value::Null,
        json!({ "a": 1, "b": "x", "c": true, "d": 1.5 }),
        json!({ "v": "2.0" }),
        json!({ "k": [1, null] }),
        json!(-3),
        json!("R"),
        json!("w/d"),
    ];
    assert_eq!(of, expected);
    assert_eq!(env.json(&["job", "data", "2"]), json!({ "k": [1, null] }));
    let run = [
        "run_id",
        "job",
        "kind",
        "attempt",
        "pid",
        "scheduled",
        "started",
        "ended",
        "outcome",
        "exit_code",
        "signal",
        "core",
        "reason",
        "log",
        "cpu_seconds",
        "max_rss_bytes",
    ];
    assert!(run.into_iter().all(|key| keys(&shown["runs"][0]).contains(key)), "{shown}");
    assert_eq!((&shown["runs"][0]["kind"], &shown["runs"][0]["log"]), (&json!("main"), &json!("run-1.txt")));
    for event in env.json(&["job", "events", "2"]).as_array().unwrap() {
        assert_eq!(keys(event), BTreeSet::from(["time", "job", "task", "from", "to", "cause", "data"]));
        assert_eq!(event["job"], id);
    }
    let times = env.json(&["job", "events", "2"]);
    let times: Vec<_> = times.as_array().unwrap().iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.len() >= 3 && times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");
    assert_eq!(job(&env, parent)["children"], json!([{ "id": id, "edge": "success" }]));
    let counts = env.json(&["jobs", "--by-state"]);
    let rows: BTreeSet<String> = counts.as_array().unwrap().iter().map(Value::to_string).collect();
    let expected = [
        json!({"state": "JOB_FINISHED", "run_name": null, "count": 1}),
        json!({"state": "FAILED", "run_name": "R", "count": 1}),
    ];
    assert_eq!(rows, expected.iter().map(Value::to_string).collect());
    assert_eq!(env.ok(&["job", "workdir", "2"]).out.trim(), env.file("jobs/w/d").to_str().unwrap());
    assert_eq!(env.ok(&["job", "workdir", "1"]).out.trim(), env.file("jobs/1").to_str().unwrap());
}

#[test]
fn jobs_are_listed_as_they_were_asked_for() {
    let env = TestEnv::new();
    assert_eq!(env.json(&["jobs"]), json!([]));
    for (a, priority) in [(3, 0), (1, 7), (2, 0)] {
        submit(&env, &["-p", &format!("a={a}"), "--priority", &priority.to_string(), "--", "true", "{{a}}"]);
    }
    let listed = |args: &[&str]| -> Vec<i64> {
        let jobs = env.json(&[&["jobs"], args].concat());
        jobs.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(listed(&[]), [3, 2, 1], "newest first");
    assert_eq!(listed(&["--order-by", "id"]), [1, 2, 3]);
    assert_eq!(listed(&["--order-by", "-a"]), [1, 3, 2]);
    assert_eq!(listed(&["--order-by", "param.a", "--limit", "2"]), [2, 3]);
    assert_eq!(listed(&["a >= 2 and priority = 0", "--order-by", "id"]), [1, 3]);
    assert_eq!(listed(&["a = 9"]), [0; 0]);
    env.fails(2, &["jobs", "b = 9"]);
    env.fails(2, &["jobs", "a = "]);
    env.fails(2, &["jobs", "--order-by", "nothing"]);
    assert!(env.ok(&["jobs", "a = 9"]).err.contains("0 of 3 jobs"));
    assert_eq!(ids(&env, "state = PREPROCESSED").len(), 3);
}

#[test]
fn a_job_that_runs_can_be_looked_at() {
    let env = TestEnv::new();
    let _night = slots(&env, 1);
    let id = shell(&env, &[], &format!("echo $$ >> pid; echo said; {GATED}"));
    let pid: i32 = until_lines(&env, "pid", 1)[0].parse().unwrap();
    until("its pid to be on record", || job(&env, id)["runs"][0]["pid"] == pid);
    let shown = job(&env, id);
    assert_eq!(
        (&shown["state"], &shown["ended"], &shown["exit_code"]),
        (&json!("RUNNING"), &Value::Null, &Value::Null)
    );
    assert!(alive(pid));
    until("its output", || env.ok(&["job", "log", &id.to_string()]).out == "said\n");
    open(&env, id);
    until_state(&env, id, "JOB_FINISHED");
}
