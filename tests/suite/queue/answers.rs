//! What the verbs of `job` answer: what has become of the job, and nothing that is no longer so.

use super::{TestEnv, shell};

#[test]
fn each_verb_says_what_it_has_done() {
    let env = TestEnv::new();
    let id = shell(&env, &[], "true").to_string();
    let verbs: [(&str, &[&str], &str); 13] = [
        ("hold", &[], "held"),
        ("hold", &[], "nothing to do, it is held"),
        ("release", &[], "PREPROCESSED"),
        ("release", &[], "nothing to do, it is not held"),
        ("start", &[], "goes first"),
        ("update", &["--priority", "3"], "updated"),
        ("reset", &[], "wiped, and held"),
        ("hold", &[], "nothing to do, it is held"),
        ("cancel", &[], "CANCELLED"),
        ("cancel", &[], "nothing to do, it is CANCELLED"),
        ("kill", &[], "nothing to do, it is CANCELLED"),
        ("rerun", &[], "PREPROCESSED"),
        ("delete", &[], "deleted"),
    ];
    for (verb, flags, answer) in verbs {
        let said = env.ok(&[&["job", verb, &id], flags].concat());
        assert_eq!(said.err.lines().next(), Some(format!("{id}: {answer}").as_str()), "{verb}: {said:?}");
        let (table, is_held) = (env.run(&["jobs"]).out, answer.ends_with("held") && !answer.ends_with("not held"));
        assert_eq!(table.lines().nth(1).is_some_and(|row| row.ends_with("  held")), is_held, "{verb}: {table}");
    }
    env.fails(4, &["job", "show", &id]);
}
