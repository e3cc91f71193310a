//! history: each field against a script made for it.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::suite::env::{TestEnv, until};

/// Runs a shell line once, to its end, and returns what history says of it.
fn ran(env: &TestEnv, name: &str, line: &str) -> Value {
    env.ok(&["add", name, "--restart", "never", "--now", "--", "sh", "-c", line]);
    until("its end", || env.history(name)[0]["ended"].is_string());
    env.history(name)[0].clone()
}

#[test]
fn an_exit_code() {
    let env = TestEnv::new();
    let run = ran(&env, "A", "exit 3");
    assert_eq!(json!([run["exit_code"], run["signal"], run["core"]]), json!([3, null, false]));
    assert!(run["reason"].as_str().unwrap().contains('3'), "{run}");
    let run = ran(&env, "B", "exit 0");
    assert_eq!(json!([run["exit_code"], run["signal"], run["core"]]), json!([0, null, false]));
    let run = ran(&env, "C", "exit 255");
    assert_eq!(run["exit_code"], 255);
}

#[test]
fn a_signal_and_a_core() {
    let env = TestEnv::new();
    let run = ran(&env, "A", "kill -KILL $$");
    assert_eq!(json!([run["exit_code"], run["signal"], run["core"]]), json!([null, "SIGKILL", false]));
    let line = "ulimit -c unlimited; kill -SEGV $$";
    // Whether this machine writes cores at all is its own affair: ours must say what the kernel says.
    let mut reference = Command::new("sh");
    env.clean(&mut reference);
    let dumps = reference.args(["-c", line]).status().unwrap().core_dumped();
    let run = ran(&env, "B", line);
    assert_eq!(json!([run["exit_code"], run["signal"], run["core"]]), json!([null, "SIGSEGV", dumps]));
    assert_eq!(run["reason"].as_str().unwrap().contains("core"), dumps, "{run}");
}

#[test]
fn cpu_time_and_duration() {
    let env = TestEnv::new();
    let burn = "exec python3 -c 'import time\nwhile time.process_time() < 0.3: pass'";
    let run = ran(&env, "A", burn);
    let (cpu, lasted) = (run["cpu_seconds"].as_f64().unwrap(), run["duration"].as_f64().unwrap());
    assert!(cpu >= 0.3 && lasted >= 0.3, "{run}");
    let time = |key: &str| run[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(time("claimed") <= time("started") && time("started") < time("ended"), "{run}");
    let idle = ran(&env, "B", "exec sleep 0.3");
    assert!(idle["duration"].as_f64().unwrap() >= 0.3, "{idle}");
    assert!(idle["cpu_seconds"].as_f64().unwrap() < cpu, "what sleeps burns less: {idle}");
    let child = ran(&env, "C", &format!("sh -c \"$0\"; ({}); true", burn.trim_start_matches("exec ")));
    assert!(child["cpu_seconds"].as_f64().unwrap() >= 0.3, "children count: {child}");
}

#[test]
fn peak_memory() {
    let env = TestEnv::new();
    let run = ran(&env, "A", "exec python3 -c 'x = b\"x\" * 52428800; del x'");
    let peak = run["max_rss_bytes"].as_u64().unwrap();
    assert!((52_428_800..500_000_000).contains(&peak), "{run}");
    let small = ran(&env, "B", "exit 0");
    assert!((1..52_428_800).contains(&small["max_rss_bytes"].as_u64().unwrap()), "{small}");
}

#[test]
fn who_asked_and_where_the_output_is() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--restart", "never", "--", "sh", "-c", "echo $JOBEXEC_RUN_ID $$"]);
    for _ in 0..3 {
        env.ok(&["start", "A"]);
        until("its end", || env.history("A")[0]["ended"].is_string());
    }
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let runs = env.history("A");
    assert_eq!(runs.len(), 3);
    for run in &runs {
        assert_eq!(run["asked_by"], user.trim_end());
        let text = std::fs::read_to_string(run["log"].as_str().unwrap()).unwrap();
        assert_eq!(text, format!("{} {}\n", run["run_id"].as_str().unwrap(), run["pid"]));
    }
    assert_eq!(runs[0]["log"], json!(env.file("A.txt").canonicalize().unwrap()));
    let jobs: Vec<i64> = runs.iter().map(|run| run["job"].as_i64().unwrap()).collect();
    assert!(jobs[0] > jobs[1] && jobs[1] > jobs[2], "newest first, each a job of its own: {jobs:?}");
    assert_eq!(env.json(&["history", "A", "-n", "2"]).as_array().unwrap()[..], runs[..2]);
    let said = env.ok(&["history", "A", "-n", "2"]);
    let numbers: Vec<&str> = said.out.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(numbers, ["3", "2"]);
    assert!(said.err.contains("1 earlier run:"), "{said:?}");
    std::fs::remove_file(runs[2]["log"].as_str().unwrap()).unwrap();
    assert_eq!(env.history("A")[2]["log"], Value::Null, "what is gone is not named");
    assert!(env.ok(&["history", "A"]).out.contains("removed"));
}

#[test]
fn a_job_asks_in_its_own_name() {
    let env = TestEnv::new();
    env.ok(&["add", "child", "--restart", "never", "--", "true"]);
    let line = format!("{} start child", env!("CARGO_BIN_EXE_jobexec"));
    let run = ran(&env, "parent", &line);
    assert_eq!(run["exit_code"], 0, "{run}");
    until("the child's end", || env.history("child").first().is_some_and(|run| run["ended"].is_string()));
    assert_eq!(env.history("child")[0]["asked_by"], format!("job {}", run["job"]));
}

#[test]
fn a_run_that_goes_on_is_the_first() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--now", "--", "sleep", "60"]);
    let run = env.history("A")[0].clone();
    assert_eq!(
        json!([run["ended"], run["outcome"], run["exit_code"], run["duration"]]),
        json!([null, null, null, null])
    );
    assert_eq!(run["pid"], env.status("A")["pid"]);
    assert!(env.ok(&["history", "A"]).out.contains("running"));
    env.ok(&["stop", "A"]);
    let said = env.ok(&["history", "A"]);
    assert!(said.out.contains("stopped by") && said.out.contains("SIGTERM"), "{said:?}");
    env.ok(&["add", "B", "--", "true"]);
    let said = env.ok(&["history", "B"]);
    assert!(said.out.is_empty() && said.err.contains("not been started"), "{said:?}");
}
