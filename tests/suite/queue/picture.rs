//! What waits for what, drawn; and how the jobs did.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::suite::env::TestEnv;
use crate::suite::supervisor::query;

fn submit(env: &TestEnv, more: &[&str]) -> String {
    let args = [&["submit"], more, &["--", "true"]].concat();
    env.ok(&args).out.trim().to_owned()
}

/// 1, and 2 and 3 that wait for it, and 4 that waits for both.
fn diamond() -> TestEnv {
    let env = TestEnv::new();
    submit(&env, &["--tag", "x=1", "--hold"]);
    submit(&env, &["--after", "1"]);
    submit(&env, &["--after", "1:end", "--tag", "x=1"]);
    submit(&env, &["--after", "2,3:failure", "--tag", "x=1"]);
    env
}

#[test]
fn a_tree_shows_each_job_once() {
    let env = diamond();
    let expected = "\
1 CREATED (held) true
├─ 2 AWAITING_PARENTS true
│  └─ 4 AWAITING_PARENTS true
└─ :end 3 AWAITING_PARENTS true
   └─ :failure 4 (see above)
";
    assert_eq!(env.ok(&["jobs", "--tree"]).out, expected);
    let expected = "\
1 CREATED (held) true
└─ :end 3 AWAITING_PARENTS true
   └─ :failure 4 AWAITING_PARENTS true
";
    assert_eq!(env.ok(&["jobs", "--tree", "tag.x = 1"]).out, expected, "2 is not selected");
    let none = env.ok(&["jobs", "--tree", "state = FAILED"]);
    assert_eq!((none.out.as_str(), none.err.trim()), ("", "0 of 4 jobs"));
    env.fails(2, &["jobs", "--tree", "--json"]);
    env.fails(2, &["jobs", "--tree", "--dot"]);
    env.fails(2, &["jobs", "--tree", "tga.x = 1"]);
}

#[test]
fn the_source_of_a_drawing_is_taken_by_who_draws() {
    let env = diamond();
    env.ok(&["submit", "--", "echo", "a \"b\" \\n", "new\nline"]);
    let source = env.ok(&["jobs", "--dot"]).out;
    assert!(source.starts_with("digraph jobs {\n") && source.ends_with("}\n"), "{source}");
    for line in [
        "  1 -> 2;",
        "  1 -> 3 [label=\"end\", style=dashed];",
        "  3 -> 4 [label=\"failure\", style=dotted, color=red];",
    ] {
        assert!(source.lines().any(|found| found == line), "{line} in {source}");
    }
    let path = env.write("jobs.dot", &source, 0o644);
    // Where nobody has installed it, the text above has to do.
    let Ok(drawn) = Command::new("dot").arg("-Tplain").arg(path).output() else { return };
    assert!(drawn.status.success(), "{drawn:?}");
}

#[test]
fn the_figures_are_those_of_what_happened() {
    let env = TestEnv::new();
    env.ok(&["submit", "--", "sleep", "0.3"]);
    env.ok(&["submit", "--after", "1", "--", "false"]);
    env.ok(&["submit", "--after", "2", "--", "true"]);
    env.ok(&["submit", "--hold", "--", "true"]);
    let before = env.json(&["jobs", "--stats"]);
    assert_eq!(json!([before["started"], before["from"], before["per_minute"]]), json!([0, null, null]));
    assert!(env.run(&["keep-restarting", "--until-idle", "--slots", "2"]).code < 2);
    let stats = env.json(&["jobs", "--stats"]);
    assert_eq!(json!([stats["jobs"], stats["started"], stats["ended"]]), json!([4, 2, 2]), "{stats}");
    assert_eq!(stats["slots"]["max"], 1, "{stats}");
    assert_eq!(stats["slots"]["curve"].as_array().unwrap().len(), 40);
    let path = stats["critical_path"]["jobs"].as_array().unwrap();
    assert_eq!(path[0]["id"], 1, "{stats}");
    // What is said of the path is the sum of what its runs have on record.
    let ids: Vec<String> = path.iter().map(|on_it| on_it["id"].to_string()).collect();
    let sql = format!("SELECT coalesce(sum(lasted), 0) FROM runs WHERE job IN ({})", ids.join(", "));
    let ran = Duration::from_micros(query(&env, &sql, |row| row.get(0))[0]);
    assert_eq!(stats["critical_path"]["seconds"], ran.as_secs_f64(), "{stats}");
    assert_eq!(stats["tasks"][0]["run"]["count"], 2);
    let text = env.ok(&["jobs", "--stats"]).out;
    for word in ["critical path", "1 FAILED", "1 BLOCKED", "1 JOB_FINISHED", "an hour", "(commands)"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(env.json(&["jobs", "--stats", "id = 99"])["jobs"], 0);
    env.fails(2, &["jobs", "--stats", "--tree"]);
}
