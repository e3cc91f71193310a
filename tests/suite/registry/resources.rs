//! What a task needs of the machine, and what the registry says there is.

use std::fs;

use jobexec::domain::resources::Machine;
use jobexec::executor::Executor;
use serde_json::json;

use crate::suite::env::TestEnv;

#[test]
fn what_a_task_needs_can_be_typed_and_is_shown() {
    let env = TestEnv::new();
    env.ok(&["add", "T", "--cpus", "4", "--memory", "2 GiB", "--gpus", "0.5", "--", "true"]);
    let lines = "resources.cpus = 4\nresources.memory = \"2 GiB\"\nresources.gpus = 0.5\n";
    assert!(env.read("jobexec.toml").ends_with(lines), "{}", env.read("jobexec.toml"));
    let line = "cpus 4, memory 2.0 GiB, gpus 0.5";
    let shown = env.ok(&["show", "T"]).out;
    assert!(shown.lines().any(|shown| shown.trim().strip_prefix("resources").map(str::trim) == Some(line)), "{shown}");
    assert_eq!(env.json(&["show", "T"])["resources"]["memory"], json!(2_u64 << 30));
    env.ok(&["edit", "T", "--unset", "resources.memory", "--cpus", "1", "--gpus", "2"]);
    assert!(env.read("jobexec.toml").ends_with("resources.cpus = 1\nresources.gpus = 2\n"));
    env.fails(2, &["edit", "T", "--memory", "much"]);
    env.ok(&["add", "U", "--", "true"]);
    assert!(!env.ok(&["show", "U"]).out.contains("resources"));
}

#[test]
fn the_machine_is_known_from_the_cache_and_while_the_file_has_a_mistake() {
    let env = TestEnv::new();
    env.ok(&["add", "T", "--", "true"]);
    let machine = || -> Machine { Executor::open(&env.folder()).unwrap().definitions().unwrap().settings.machine };
    assert_eq!(machine(), Machine::default());
    fs::write(env.file("jobexec.toml"), format!("{}\n[machine]\ncpus = 3\n", env.read("jobexec.toml"))).unwrap();
    let three = Machine { cpus: Some(3), ..Machine::default() };
    assert_eq!(machine(), three, "from the file");
    assert_eq!(machine(), three, "from the cache");
    env.ok(&["add", "U", "--", "true"]);
    assert_eq!(machine(), three, "after a task was added to the cache");
    env.ok(&["edit", "U", "--timeout", "1h"]);
    assert_eq!(machine(), three, "after the cache was made anew");
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml").replace("cpus = 3", "cpus = 0")).unwrap();
    assert_eq!(machine(), three, "what was last good");
    fs::write(env.file("jobexec.toml"), env.read("jobexec.toml").replace("cpus = 0", "cpus = 5")).unwrap();
    assert_eq!(machine().cpus, Some(5));
}
