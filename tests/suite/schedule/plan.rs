//! next --plan: every start within a time, and a bound.

use serde_json::{Value, json};

use super::add;
use crate::suite::env::TestEnv;

fn count(plan: &Value, name: &str) -> usize {
    plan.as_array().unwrap().iter().filter(|start| start["name"] == name).count()
}

#[test]
fn it_lists_every_start_of_what_is_armed() {
    let env = TestEnv::new();
    for (name, period) in [("hourly", "1 h"), ("daily", "day at 3"), ("idle", "1 h")] {
        add(&env, name, &["--period", period]);
    }
    env.ok(&["start", "hourly", "daily"]);
    let plan = env.json(&["next", "--plan", "24h", "--from", "2030-01-01"]);
    assert_eq!(["hourly", "daily", "idle"].map(|name| count(&plan, name)), [24, 1, 0]);
    let quiet = |start: &Value| start["usual_seconds"].is_null() && start["still_running"] == json!([]);
    assert!(plan.as_array().unwrap().iter().all(quiet), "{plan}");
    let plan = env.json(&["next", "daily", "--plan", "24h", "--from", "2030-01-01"]);
    assert_eq!(plan.as_array().unwrap().len(), 1, "of one task");
    let said = env.ok(&["next", "--plan", "24h", "--from", "2030-01-01"]);
    assert_eq!(said.out.lines().count(), 26, "{}", said.out);
    assert!(said.err.contains("# 1 more task has a schedule and is not armed, or switched off: idle"), "{said:?}");
    let said = env.ok(&["next", "daily", "--plan", "1h", "--from", "2030-01-01"]);
    assert!(said.out.is_empty() && said.err.starts_with("# nothing starts until 2030-01-01 01:00:00\n"), "{said:?}");
    let said = env.fails(2, &["next", "--plan", "soon"]);
    assert!(said.err.starts_with("error: --plan: `soon` is not a duration"), "{said:?}");
    env.fails(2, &["next", "--plan", "24h", "-n", "3"]);
}

#[test]
fn a_short_period_is_cut_and_hides_nothing_else() {
    let env = TestEnv::new();
    add(&env, "tick", &["--period", "1 s"]);
    add(&env, "rare", &["--period", "day at 3"]);
    env.ok(&["start", "tick", "rare"]);
    let said = env.ok(&["next", "--plan", "24h", "--from", "2030-01-01"]);
    assert_eq!(said.out.lines().count(), 52, "{}", said.out);
    assert!(said.out.contains("\nrare "), "{}", said.out);
    assert!(said.err.contains("# 86350 more starts of tick after 2030-01-01 00:00:50, until 2030-01-02"), "{said:?}");
    let plan = env.json(&["next", "--plan", "24h", "--from", "2030-01-01"]);
    assert_eq!([count(&plan, "tick"), count(&plan, "rare")], [1000, 1]);
}
