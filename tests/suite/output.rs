//! Output: straight into one file per task, archives that lose nothing, limits that touch nothing foreign, and tail.

mod archive;
mod tail;

use super::env::{TestEnv, until};

/// Says which run it is, fifty numbered lines of it, and stays.
const NUMBERED: &str = "#!/bin/sh\nn=$(cat n 2>/dev/null || echo 0)\nn=$((n + 1))\necho $n >n\n\
    for i in $(seq 50); do echo \"run $n line $i\"; done\nexec sleep 600\n";

/// All that a run of [`NUMBERED`] puts out.
fn numbered(run: usize) -> String {
    (1..=50).map(|line| format!("run {run} line {line}\n")).collect()
}

/// Starts or restarts a task of [`NUMBERED`] and waits until its run has said everything.
#[track_caller]
fn run_numbered(env: &TestEnv, verb: &str, run: usize) {
    env.ok(&[verb, "A"]);
    until("all lines", || env.read("A.txt") == numbered(run));
}

/// Runs a task that ends by itself, to its end.
#[track_caller]
fn run_to_end(env: &TestEnv, name: &str) -> serde_json::Value {
    env.ok(&["start", name]);
    until("the end", || env.history(name)[0]["outcome"].is_string());
    env.history(name)[0].clone()
}
