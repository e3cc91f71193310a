//! The main path: add, start, status, tail, stop.

use super::env::TestEnv;

#[test]
fn a_script_is_added_started_looked_at_and_stopped() {
    let env = TestEnv::new();
    env.script("jobs/ticker.sh", "#!/bin/sh\necho tick $SYMBOL $EXECUTOR_ID\nexec sleep 60\n");
    env.ok(&["init", "--exec-id", "xg15"]);
    env.ok(&["add", "LOL", "jobs/ticker.sh", "--env", "SYMBOL=LOL"]);
    assert_eq!(env.state("LOL"), "stopped", "adding is not starting");
    env.ok(&["start", "LOL"]);
    assert_eq!(env.state("LOL"), "running");
    super::env::until("output", || env.read("LOL.txt") == "tick LOL xg15\n");
    assert_eq!(env.ok(&["tail", "LOL"]).out, "tick LOL xg15\n");
    let again = env.ok(&["start", "LOL"]);
    assert!(again.err.starts_with("Already running: LOL (pid "), "{again:?}");
    env.ok(&["stop", "LOL"]);
    assert_eq!(env.state("LOL"), "stopped");
    assert!(env.processes().is_empty(), "nothing is left");
    let run = &env.history("LOL")[0];
    assert_eq!((run["outcome"].as_str(), run["signal"].as_str()), (Some("stopped"), Some("SIGTERM")));
}
