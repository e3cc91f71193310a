//! What a newer jobexec has written is refused, not guessed at.

use std::fs;

use crate::suite::env::TestEnv;

#[test]
fn a_newer_registry_is_refused() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "true"]);
    let newer = env.read("jobexec.toml").replace("version = 1", "version = 2");
    fs::write(env.file("jobexec.toml"), &newer).unwrap();
    for line in ["start A", "add B -- true", "edit A --timeout 3s", "remove A"] {
        let said = env.fails(2, &line.split(' ').collect::<Vec<_>>());
        assert!(said.err.contains("newer") && said.err.contains("hint: "), "{line}: {said:?}");
    }
    assert_eq!(env.read("jobexec.toml"), newer);
    assert_eq!(env.ok(&["status"]).out.lines().count(), 2, "what was known is still told");
}

#[test]
fn a_newer_database_is_refused() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "true"]);
    let db = rusqlite::Connection::open(env.file("jobexec.db")).unwrap();
    db.pragma_update(None, "user_version", 9999).unwrap();
    drop(db);
    let before = env.read("jobexec.toml");
    for line in ["status", "list", "log", "start A", "add B -- true", "stop A", "history A"] {
        let said = env.fails(5, &line.split(' ').collect::<Vec<_>>());
        assert!(said.err.starts_with("error: ") && said.err.contains("newer"), "{line}: {said:?}");
        assert!(said.err.contains("jobexec.db") && said.err.contains("hint: "), "{line}: {said:?}");
        assert_eq!(said.out, "");
    }
    assert_eq!(env.read("jobexec.toml"), before);
}

#[test]
fn what_is_no_database_of_ours_is_not_touched() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "true"]);
    for extra in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(env.file(&format!("jobexec.db{extra}")));
    }
    fs::write(env.file("jobexec.db"), "somebody's shopping list, and a rather long one at that\n".repeat(40)).unwrap();
    let before = fs::read(env.file("jobexec.db")).unwrap();
    for line in ["status", "start A"] {
        let said = env.run(&line.split(' ').collect::<Vec<_>>());
        assert!(said.code != 0 && said.err.contains("jobexec.db"), "{line}: {said:?}");
    }
    assert_eq!(fs::read(env.file("jobexec.db")).unwrap(), before);
}
