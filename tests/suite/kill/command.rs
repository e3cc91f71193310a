//! The command killed at every point of start, stop, add, edit, remove, and of the first command in a new folder.

use std::fs;

use super::super::env::{TestEnv, until};
use super::tracer::{BIRTH, Traced, Victim, kill_at};
use super::truth::{TASK, Witness, outputs, scripts};
use super::{STAYS, at_every_point, newborn, with_former_run, with_task};

fn kill_command(env: &TestEnv, args: &[&str], nth: usize) -> Traced {
    kill_at(env.command(args), Victim::Command, nth, &|point| {
        if point == BIRTH {
            newborn(env);
        }
    })
}

#[test]
fn start_of_a_new_task() {
    at_every_point("command killed in the first start", |nth| {
        let env = with_task(STAYS);
        let traced = kill_command(&env, &["start", TASK], nth);
        Witness::new(&env, &[]).follow_up(1);
        traced.point
    });
}

#[test]
fn start_that_archives() {
    at_every_point("command killed in a start that archives", |nth| {
        let (env, pid) = with_former_run(STAYS);
        let traced = kill_command(&env, &["start", TASK], nth);
        let mut witness = Witness::new(&env, &[]);
        witness.look();
        let holders = |line: &str| outputs(&env).into_iter().filter(|(_, text)| text.contains(line)).count();
        assert_eq!(holders(&format!("output of {pid}\n")), 1, "{traced:?}");
        witness.follow_up(1);
        assert_eq!(holders(&format!("output of {pid}\n")), 1, "{traced:?}");
        traced.point
    });
}

#[test]
fn stop() {
    at_every_point("command killed in stop", |nth| {
        let env = with_task(STAYS);
        env.ok(&["start", TASK]);
        let traced = kill_command(&env, &["stop", TASK], nth);
        let mut witness = Witness::new(&env, &[]);
        let view = witness.look();
        if view.alive.is_empty() {
            assert_eq!(view.outcome(), "stopped", "{traced:?} {view:?}");
        }
        let view = witness.stop();
        assert_eq!(view.outcome(), "stopped", "{traced:?} {view:?}");
        witness.follow_up(1);
        traced.point
    });
}

/// A change of the registry is whole or not there, and can be made again.
fn change(scenario: &str, tasks: &[&str], args: &[&str], again: &[&str]) {
    let prepared = || {
        let env = with_task(STAYS);
        for task in tasks {
            env.ok(&["add", task, "t.sh"]);
        }
        let text = env.read("jobexec.toml");
        // Nobody has touched these lines.
        fs::write(env.file("jobexec.toml"), format!("# mine\n{text}\n# the end\n")).unwrap();
        env
    };
    // What differs from folder to folder.
    let text_of = |env: &TestEnv| {
        let text = env.read("jobexec.toml").replace(env.dir().to_str().unwrap(), "DIR");
        let id = env.json(&["list"])[0]["exec_id"].as_str().unwrap().to_owned();
        text.replace(&id, "ID")
    };
    let unharmed = prepared();
    let before = text_of(&unharmed);
    unharmed.ok(args);
    let after = text_of(&unharmed);
    assert_ne!(before, after);
    at_every_point(scenario, |nth| {
        let env = prepared();
        let traced = kill_command(&env, args, nth);
        let now = text_of(&env);
        assert!(now == before || now == after, "{traced:?} left half a registry:\n{now}");
        env.ok(&["check"]);
        let said = env.run(args);
        if now == before {
            assert_eq!(said.code, 0, "{traced:?}; {said:?}");
        } else {
            let expected = format!("{} {}", said.code, said.err.trim());
            assert!(again.iter().any(|again| expected.starts_with(again)), "{traced:?}; {said:?}");
        }
        assert_eq!(text_of(&env), after, "{traced:?}");
        let left = temporaries(&env);
        if now == before {
            assert!(left.is_empty(), "{traced:?}: the next change leaves {left:?}");
        }
        assert!(left.len() <= 1, "{traced:?}: {left:?}");
        env.ok(&["edit", "other", "--stop-grace", "2s"]);
        assert_eq!(temporaries(&env), [""; 0], "{traced:?}: the next change removes what was left");
        traced.point
    });
}

/// The temporary files in the executor's folder.
fn temporaries(env: &TestEnv) -> Vec<String> {
    let names = fs::read_dir(env.folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("tmp")).collect()
}

#[test]
fn add() {
    change("command killed in add", &["other"], &["add", "new", "t.sh"], &["0 Skipping new"]);
}

#[test]
fn edit() {
    change("command killed in edit", &["other"], &["edit", "other", "--timeout", "5m"], &["0 "]);
}

#[test]
fn remove() {
    // Cut off before it was recorded, the removal is completed; after that, there is nothing left to remove.
    let again = ["0 Removing new", "4 error: `new` is no longer in the registry"];
    change("command killed in remove", &["other", "new"], &["remove", "new"], &again);
}

#[test]
fn the_first_command_of_all() {
    at_every_point("first command killed", |nth| {
        let env = TestEnv::new();
        env.script("t.sh", STAYS);
        let traced = kill_command(&env, &["add", TASK, "t.sh"], nth);
        let looked = env.run(&["status"]);
        assert_eq!(looked.code, 0, "{traced:?}; {looked:?}");
        env.ok(&["list"]);
        let said = env.ok(&["add", TASK, "t.sh"]);
        assert!(said.err.contains("Adding") || said.err.contains("Skipping"), "{traced:?}; {said:?}");
        assert_eq!(env.json(&["list"]).as_array().unwrap().len(), 1);
        assert!(scripts(&env).is_empty());
        let mut witness = Witness::new(&env, &[]);
        witness.start();
        witness.stop();
        until("nothing to be left", || env.processes().is_empty());
        traced.point
    });
}
