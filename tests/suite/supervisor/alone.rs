//! One supervisor for a folder, and what it leaves behind when it ends or is killed.

use super::*;

#[test]
fn a_second_supervisor_is_told_who_the_first_is_and_where() {
    let env = TestEnv::new();
    started(&env, "A", STAYS, &[]);
    let night = Night::begin(&env);
    let pid = format!("pid {}", night.pid());
    for args in [&["keep-restarting"][..], &["keep-restarting", "--detach"]] {
        let said = env.fails(5, args);
        assert!(said.err.contains(&pid) && said.err.contains("without a terminal"), "{said:?}");
        assert!(said.err.contains(env.folder().to_str().unwrap()), "{said:?}");
    }
    let (code, _) = night.end(TERMINATE);
    assert_eq!(code, Some(0));
    Night::begin(&env);
    assert_eq!(env.history("A").len(), 1, "adopted, not started again");
}

#[test]
fn of_many_that_begin_at_once_one_stays() {
    let env = TestEnv::new();
    added(&env, "A", STAYS, &[]);
    let begin = || env.command(&["keep-restarting"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut all: Vec<Child> = (0..6).map(|_| begin()).collect();
    until("all but one to give way", || {
        all.iter_mut().filter_map(|child| child.try_wait().unwrap()).filter(|end| end.code() == Some(5)).count() == 5
    });
    let mut left: Vec<Child> =
        all.into_iter().filter_map(|mut c| c.try_wait().unwrap().is_none().then_some(c)).collect();
    let first = left.pop().unwrap();
    until("it to supervise", || env.read("supervisor.log").contains("supervising"));
    let said = env.fails(5, &["keep-restarting"]);
    assert!(said.err.contains(&format!("pid {}", first.id())), "{said:?}");
    let pid = i32::try_from(first.id()).unwrap();
    kill(pid, TERMINATE);
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn what_broke_without_it_is_brought_back_and_what_was_stopped_is_not() {
    let env = TestEnv::new();
    started(&env, "broke", "#!/bin/sh\n[ -e mended ] || exit 1\nexec sleep 600\n", &FAST);
    started(&env, "killed", STAYS, &FAST);
    started(&env, "stopped", STAYS, &FAST);
    started(&env, "runs", STAYS, &FAST);
    started(&env, "once", "#!/bin/sh\nexit 1\n", &["--once"]);
    started(&env, "sated", "#!/bin/sh\nexit 0\n", &["--restart", "on-failure"]);
    added(&env, "never", STAYS, &FAST);
    kill(pid_of(&env, "killed"), KILL);
    env.ok(&["stop", "stopped"]);
    for name in ["broke", "killed", "once", "sated"] {
        runs_ended(&env, name, 1);
    }
    assert_eq!(env.state("broke"), "unsupervised");
    touch(&env, "mended");
    let runs = pid_of(&env, "runs");
    let night = Night::begin(&env);
    env.wait_for_state("broke", "running");
    env.wait_for_state("killed", "running");
    assert_eq!(pid_of(&env, "runs"), runs, "adopted");
    for (name, state) in [("stopped", "stopped"), ("once", "failed"), ("sated", "finished"), ("never", "stopped")] {
        assert_eq!(env.state(name), state, "{name}");
    }
    let count = |name: &str| env.history(name).len();
    assert_eq!(["broke", "killed", "stopped", "runs", "once", "sated", "never"].map(count), [2, 2, 1, 1, 1, 1, 0]);
    let again = &env.history("killed")[0];
    assert_eq!((again["attempt"].as_i64(), again["job"].as_i64()), (Some(2), env.history("killed")[1]["job"].as_i64()));
    // Under the eyes of the supervisor too.
    env.ok(&["stop", "runs"]);
    kill(pid_of(&env, "killed"), KILL);
    until("a third run", || count("killed") == 3);
    assert_eq!((env.state("runs").as_str(), count("runs")), ("stopped", 1));
    night.end(TERMINATE);
    assert_eq!(env.state("killed"), "running", "its tasks go on");
}

#[test]
fn the_rule_decides_which_ends_are_followed_by_a_start() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "always", "#!/bin/sh\nexit 0\n", &FAST);
    started(
        &env,
        "on-failure",
        "#!/bin/sh\n[ -e second ] && exit 0\ntouch second\nexit 3\n",
        &[&FAST[..], &["--restart", "on-failure"]].concat(),
    );
    started(&env, "never", FAILS, &[&FAST[..], &["--restart", "never"]].concat());
    started(&env, "retries", FAILS, &[&FAST[..], &["--restart", "never", "--retries", "2"]].concat());
    runs_ended(&env, "always", 4);
    env.wait_for_state("on-failure", "finished");
    env.wait_for_state("never", "failed");
    env.wait_for_state("retries", "failed");
    let codes = |name: &str| env.history(name).iter().map(|run| run["exit_code"].as_i64()).collect::<Vec<_>>();
    assert_eq!(codes("on-failure"), [Some(0), Some(3)]);
    assert_eq!(codes("never"), [Some(1)]);
    assert_eq!(codes("retries"), [Some(1); 3]);
    for name in ["on-failure", "never", "retries"] {
        assert_eq!(env.status(name)["wanted"], false, "{name}");
    }
    assert_eq!(env.status("always")["wanted"], true);
    drop(night);
}

#[test]
fn killed_with_twenty_children_it_loses_none_and_starts_none_twice() {
    let env = TestEnv::new();
    let names: Vec<String> = (0..20).map(|nth| format!("t{nth}")).collect();
    env.script(
        "s.sh",
        "#!/bin/sh\necho $$ >>$JOBEXEC_TASK.pids\nuntil mv go gone 2>/dev/null; do sleep 0.05; done\nexit 7\n",
    );
    for name in &names {
        env.ok(&["add", name, "s.sh", "--backoff-first", "10ms"]);
    }
    let night = Night::begin(&env);
    env.ok(&["start", "--all"]);
    let pids: Vec<i32> = names.iter().map(|name| pid_of(&env, name)).collect();
    night.end(KILL);
    assert!(pids.iter().all(|pid| alive(*pid)));
    assert_eq!(env.state("t0"), "running");
    touch(&env, "go");
    let exits = || query(&env, "SELECT exit_code FROM runs WHERE exit_code IS NOT NULL", |row| row.get::<_, i64>(0));
    until("one to end", || pids.iter().filter(|pid| alive(**pid)).count() == 19);
    let _night = Night::begin(&env);
    until("its exit code to be known", || exits() == [7]);
    until("twenty to run", || {
        let all = env.json(&["status"]);
        all.as_array().unwrap().iter().filter(|task| task["state"] == "running").count() == 20
    });
    let runs: usize = names.iter().map(|name| env.history(name).len()).sum();
    assert_eq!(runs, 21, "one was started again, and no other");
    for name in &names {
        let lines = fs::read_to_string(env.dir().join(format!("{name}.pids"))).unwrap();
        assert_eq!(lines.lines().count(), env.history(name).len(), "{name}");
    }
}

#[test]
fn one_that_has_just_been_killed_is_in_nobodys_way() {
    let env = TestEnv::new();
    for _ in 0..10 {
        let night = Night::begin(&env);
        // It is still being taken apart when the next one comes.
        kill(night.pid(), KILL);
        let next = Night::begin(&env);
        next.end(TERMINATE);
        night.ended();
    }
    for _ in 0..10 {
        env.ok(&["keep-restarting", "--detach"]);
        let holder = env.read("supervisor.lock").trim_start_matches("pid ").parse().unwrap();
        kill(holder, KILL);
        env.ok(&["keep-restarting", "--detach"]);
        env.ok(&["keep-restarting", "--stop"]);
    }
}
