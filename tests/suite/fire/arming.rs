//! What arms a schedule, and what disarms it.

use super::*;

#[test]
fn adding_is_not_starting() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    added(&env, "A", NOTES, &["--period", "1s"]);
    Ticks::with(&env).pass();
    assert_eq!((occurrences(&env, "A"), env.history("A")), (vec![], vec![]));
    drop(night);
}

#[test]
fn start_arms_and_runs_nothing_by_itself() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    added(&env, "A", NOTES, &hourly.flags(&[]));
    added(&env, "B", NOTES, &["--period", "1s"]);
    let said = env.ok(&["start", "A", "B"]);
    let said = format!("{}{}", said.out, said.err);
    assert!(said.contains("Scheduled: A") && said.contains("Scheduled: B"), "{said}");
    let night = Night::begin(&env);
    until_decided(&env, "B", "run", 2);
    assert_eq!((occurrences(&env, "A"), env.history("A")), (vec![], vec![]));
    assert_eq!(env.status("A")["wanted"], true);
    // A second time changes nothing.
    env.ok(&["start", "A", "B"]);
    until_fired(&env, "B", 2);
    check(&env, "B", SECOND);
    assert!(env.history("A").is_empty());
    drop(night);
}

#[test]
fn start_now_runs_it_at_once_as_well() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    added(&env, "A", WAITS, &hourly.flags(&[]));
    added(&env, "B", NOTES, &["--period", "1s"]);
    env.ok(&["start", "A", "--now"]);
    env.wait_for_state("A", "running");
    touch(&env, "go");
    runs_ended(&env, "A", 1);
    let night = Night::begin(&env);
    env.ok(&["start", "B", "--now"]);
    until_decided(&env, "B", "run", 3);
    check(&env, "B", SECOND);
    let by_hand = |task: &str| runs(&env, task).iter().filter(|run| run["scheduled"].is_null()).count();
    assert_eq!((by_hand("A"), by_hand("B")), (1, 1));
    assert_eq!((runs(&env, "A").len(), occurrences(&env, "A")), (1, vec![]));
    for task in ["A", "B"] {
        assert_eq!(env.status(task)["wanted"], true, "{task} is armed as well");
    }
    drop(night);
}

#[test]
fn what_now_started_and_the_schedule_go_on_under_one_wish() {
    let env = TestEnv::new();
    added(&env, "A", "#!/bin/sh\n[ -e first ] && exit 0\ntouch first\nexit 3\n", &["--period", "2s"]);
    let night = Night::begin(&env);
    env.ok(&["start", "A", "--now"]);
    runs_ended(&env, "A", 1);
    // The end of a job, a failed one too, is not the end of the schedule.
    until_decided(&env, "A", "run", 2);
    runs_ended(&env, "A", 3);
    assert_eq!(env.status("A")["wanted"], true);
    let by_hand: Vec<Value> = runs(&env, "A").into_iter().filter(|run| run["scheduled"].is_null()).collect();
    assert_eq!(by_hand.len(), 1, "restart is never: {by_hand:#?}");
    drop(night);
}

#[test]
fn stop_ends_what_runs_and_disarms_for_every_supervisor_to_come() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    started(&env, "A", WAITS, &["--period", "1s"]);
    started(&env, "B", NOTES, &["--period", "1s"]);
    until_decided(&env, "A", "run", 1);
    until_decided(&env, "B", "run", 2);
    pid_of(&env, "A");
    env.ok(&["stop", "A", "B"]);
    let stopped = now();
    assert_eq!(runs(&env, "A").pop().unwrap()["outcome"], "stopped");
    let fired = |task: &str| runs(&env, task).len();
    let before = (fired("A"), fired("B"));
    ticks.pass();
    night.end(TERMINATE);
    let night = Night::begin(&env);
    ticks.pass();
    assert_eq!((fired("A"), fired("B")), before);
    for task in ["A", "B"] {
        let late: Vec<Occurrence> = occurrences(&env, task).into_iter().filter(|late| late.due > stopped).collect();
        assert!(late.is_empty(), "what is not wanted has no due moments: {late:#?}");
        assert_eq!(env.status(task)["wanted"], false);
    }
    drop(night);
}

#[test]
fn stop_ends_every_run_that_goes_on_side_by_side() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    started(&env, "A", "#!/bin/sh\nexec sleep 600\n", &["--period", "1s", "--overlap", "allow"]);
    until_decided(&env, "A", "run", 3);
    env.ok(&["stop", "A"]);
    let stopped = runs(&env, "A");
    assert!(stopped.len() >= 3 && stopped.iter().all(|run| run["outcome"] == "stopped"), "{stopped:#?}");
    ticks.pass();
    assert_eq!(runs(&env, "A").len(), stopped.len());
    drop(night);
}

#[test]
fn a_removed_task_no_longer_fires() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    for task in ["typed", "taken", "again"] {
        started(&env, task, NOTES, &["--period", "1s"]);
        until_decided(&env, task, "run", 1);
    }
    // It may be running at this very moment.
    until("it to be removed", || env.run(&["remove", "typed", "--stop"]).code == 0);
    env.ok(&["remove", "again", "--stop"]);
    let text = env.read("jobexec.toml");
    let without: Vec<&str> = text.split("\n[task.").filter(|table| !table.starts_with("taken]")).collect();
    fs::write(env.file("jobexec.toml"), without.join("\n[task.")).unwrap();
    night.says("taken is no longer in the registry");
    // Under its name again a removed one is another task, which nobody has started.
    env.ok(&["add", "again", "again.script", "--period", "1s"]);
    let gone = now();
    ticks.pass();
    for task in ["typed", "taken", "again"] {
        let late: Vec<Occurrence> = occurrences(&env, task).into_iter().filter(|late| late.due > gone).collect();
        assert!(late.is_empty(), "{task}: {late:#?}");
    }
    drop(night);
}

#[test]
fn a_supervisor_that_ends_when_idle_does_not_wait_for_schedules() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    started(&env, "A", WAITS, &hourly.flags(&[]));
    let (code, diary) = Night::with(&env, &["--until-idle"]).ended();
    assert_eq!(code, Some(0), "{diary}");
    // What runs is waited for.
    env.ok(&["start", "A", "--now"]);
    let night = Night::with(&env, &["--until-idle"]);
    touch(&env, "go");
    let (code, diary) = night.ended();
    assert_eq!(code, Some(0), "{diary}");
    assert_eq!(runs(&env, "A").pop().unwrap()["outcome"], "success");
}

#[test]
fn what_a_supervisor_that_ended_when_idle_left_is_fired_by_the_next() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    left_alone(&env, "A", NOTES, &hourly.flags(&["--missed", "all"]), hourly.ago(3));
    // Scheduled work does not count: whether it comes to any of this is its own affair.
    let (code, diary) = Night::with(&env, &["--until-idle"]).ended();
    assert_eq!(code, Some(0), "{diary}");
    let night = Night::begin(&env);
    runs_ended(&env, "A", 3);
    assert_eq!(lines(&env, "A.notes").len(), 3);
    assert_eq!(decided(&env, "A", "run").len(), 3);
    check(&env, "A", HOUR);
    check_one_after_another(&env, "A");
    drop(night);
}

#[test]
fn what_is_added_and_armed_while_another_ends_fires() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    env.script("s.sh", NOTES);
    for round in 0..5 {
        let (armed, other) = (format!("armed-{round}"), format!("other-{round}"));
        env.ok(&["add", &armed, "s.sh", "--period", "1s"]);
        env.ok(&["start", &armed]);
        // Its end comes before the registry has been read for the sake of the other.
        env.ok(&["add", &other, "s.sh", "--once", "--now"]);
        until_decided(&env, &armed, "run", 2);
        check(&env, &armed, SECOND);
        // The same with an edit.
        let edited = format!("edited-{round}");
        env.ok(&["add", &edited, "s.sh", "--period", "1h"]);
        env.ok(&["start", &edited]);
        until_fired(&env, &armed, 1);
        env.ok(&["edit", &edited, "--period", "1s"]);
        env.ok(&["start", &other]);
        until_decided(&env, &edited, "run", 2);
        check(&env, &edited, SECOND);
    }
    drop(night);
}
