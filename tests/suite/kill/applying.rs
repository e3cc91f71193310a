//! apply killed at every point: all of the jobs or none, a whole registry, and a repeat completes it.

use super::super::env::TestEnv;
use super::at_every_point;
use super::tracer::{Victim, kill_at};

const FILE: &str = "name = \"p\"\n[task.t]\ncommand = [\"true\"]\n[task.u]\ncommand = [\"false\"]\n\
                    [job.a]\ntask = \"t\"\n[job.b]\ntask = \"u\"\nafter = [\"a\"]\n[job.c]\nshell = \"true\"\nafter = [\"b:end\"]\n";

const LATER: &str = "name = \"p\"\n[task.t]\ncommand = [\"true\"]\n[task.u]\ncommand = [\"echo\"]\n\
                     [job.a]\ntask = \"t\"\n[job.b]\ntask = \"u\"\n[job.c]\nshell = \"true\"\nafter = [\"b:end\", \"d\"]\n\
                     [job.d]\nshell = \"echo\"\n";

fn count(env: &TestEnv, what: &[&str]) -> usize {
    env.json(what).as_array().unwrap().len()
}

#[test]
fn apply_of_a_new_file() {
    at_every_point("command killed in apply", |nth| {
        let env = TestEnv::new();
        env.ok(&["add", "mine", "--", "true"]);
        env.write("flow.toml", FILE, 0o644);
        let traced = kill_at(env.command(&["apply", "flow.toml"]), Victim::Command, nth, &|_| {});
        env.ok(&["check"]);
        let (jobs, tasks) = (count(&env, &["jobs"]), count(&env, &["list"]));
        assert!((jobs == 0 || jobs == 3) && (tasks == 1 || tasks == 3), "{traced:?} left {jobs} jobs, {tasks} tasks");
        assert!(jobs == 0 || tasks == 3, "{traced:?} left jobs without their tasks");
        let again = env.ok(&["apply", "flow.toml"]);
        let expected = if jobs == 0 { "a 1\nb 2\nc 3\n" } else { "" };
        assert_eq!(again.out, expected, "{traced:?}; {again:?}");
        assert_eq!((count(&env, &["jobs"]), count(&env, &["list"])), (3, 3), "{traced:?}");
        let log = env.ok(&["log", "-n", "100"]).out;
        for task in ["t", "u"] {
            assert_eq!(log.matches(&format!("Adding {task} ")).count(), 1, "{traced:?}: {log}");
        }
        assert!(env.ok(&["apply", "flow.toml"]).err.contains("3 jobs are there already"));
        traced.point
    });
}

#[test]
fn apply_that_replaces() {
    at_every_point("command killed in apply --replace", |nth| {
        let env = TestEnv::new();
        env.write("flow.toml", FILE, 0o644);
        env.ok(&["apply", "flow.toml"]);
        env.write("flow.toml", LATER, 0o644);
        let state = |id: &str| env.json(&["job", "show", id])["state"].as_str().unwrap().to_owned();
        let traced = kill_at(env.command(&["apply", "flow.toml", "--replace"]), Victim::Command, nth, &|_| {});
        env.ok(&["check"]);
        let expected = if count(&env, &["jobs"]) == 3 { "AWAITING_PARENTS" } else { "PREPROCESSED" };
        assert_eq!(state("2"), expected, "{traced:?}: half of the jobs");
        env.ok(&["apply", "flow.toml", "--replace"]);
        assert_eq!((state("2").as_str(), count(&env, &["jobs"])), ("PREPROCESSED", 4), "{traced:?}");
        assert_eq!(env.json(&["show", "u"])["command"][0], "echo");
        assert!(env.ok(&["apply", "flow.toml"]).err.contains("4 jobs are there already"), "{traced:?}");
        traced.point
    });
}
