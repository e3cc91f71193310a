//! A task that is new, edited or made wanted anew has nothing missed.

use super::*;

/// No due moment after `from` and up to `until` was decided about.
#[track_caller]
fn nothing_between(env: &TestEnv, task: &str, from: i64, until: i64) {
    let between: Vec<Occurrence> =
        occurrences(env, task).into_iter().filter(|one| one.due > from && one.due <= until).collect();
    assert!(between.is_empty(), "{task} between {from} and {until}: {between:#?}");
}

#[test]
fn at_first_sight_nothing_is_missed() {
    for rule in ["once", "all"] {
        let env = TestEnv::new();
        let hourly = Hourly::new();
        started(&env, "A", NOTES, &hourly.flags(&["--missed", rule]));
        let text = env.read("jobexec.toml");
        let by_hand = text[text.find("[task.A]").unwrap()..].replace("[task.A]", "[task.B]");
        fs::write(env.file("jobexec.toml"), format!("{text}\n{by_hand}")).unwrap();
        env.ok(&["start", "B"]);
        let night = Night::begin(&env);
        Ticks::with(&env).pass();
        for task in ["A", "B"] {
            assert_eq!((occurrences(&env, task), runs(&env, task)), (vec![], vec![]), "{task}");
        }
        drop(night);
    }
}

#[test]
fn an_edit_while_the_supervisor_was_away_makes_nothing_missed() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    let earlier = utc(hourly.newest - 5000 * HOUR);
    for task in ["typed", "by-hand", "untouched", "moved"] {
        started(&env, task, NOTES, &hourly.flags(&["--missed", "all"]));
    }
    for task in ["typed", "by-hand", "untouched", "moved"] {
        away_since(&env, task, hourly.ago(5));
    }
    env.ok(&["edit", "typed", "--period", "2h"]);
    env.ok(&["edit", "moved", "--start", &earlier]);
    // What is no part of the schedule is no edit of it.
    env.ok(&["edit", "untouched", "--env", "X=1"]);
    let text = env.read("jobexec.toml");
    let at = text.find("[task.by-hand]").unwrap();
    let (before, after) = text.split_at(at);
    fs::write(env.file("jobexec.toml"), format!("{before}{}", after.replacen("\"1h\"", "\"30 min\"", 1))).unwrap();
    let night = Night::begin(&env);
    until_decided(&env, "untouched", "run", 5);
    Ticks::with(&env).pass();
    for task in ["typed", "by-hand", "moved"] {
        assert_eq!((occurrences(&env, task), runs(&env, task)), (vec![], vec![]), "{task}");
    }
    drop(night);
}

#[test]
fn an_edit_under_the_eyes_of_the_supervisor_makes_nothing_missed() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    let hourly = Hourly::new();
    started(&env, "typed", NOTES, &hourly.flags(&["--missed", "all"]));
    started(&env, "by-hand", NOTES, &["--period", "61 min", "--missed", "all"]);
    ticks.pass();
    ticks.pass();
    env.ok(&["edit", "typed", "--period", "1s"]);
    let typed = now();
    let text = env.read("jobexec.toml");
    let from = now();
    fs::write(env.file("jobexec.toml"), text.replace("\"61 min\"", "\"1s\"")).unwrap();
    until_decided(&env, "typed", "run", 2);
    until_decided(&env, "by-hand", "run", 2);
    // It may see it as soon as it is written.
    nothing_between(&env, "typed", 0, typed - 2 * SECOND);
    nothing_between(&env, "by-hand", 0, from);
    check(&env, "typed", SECOND);
    check(&env, "by-hand", SECOND);
    drop(night);
}

#[test]
fn stop_and_start_make_nothing_missed() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    started(&env, "away", NOTES, &hourly.flags(&["--missed", "all"]));
    away_since(&env, "away", hourly.ago(5));
    env.ok(&["stop", "away"]);
    env.ok(&["start", "away"]);
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    started(&env, "seen", NOTES, &["--period", "1s", "--missed", "all"]);
    until_decided(&env, "seen", "run", 2);
    env.ok(&["stop", "seen"]);
    let stopped = now();
    ticks.pass();
    ticks.pass();
    let again = now();
    env.ok(&["start", "seen"]);
    until("it to fire again", || decided(&env, "seen", "run").iter().filter(|one| one.due > again).count() >= 2);
    nothing_between(&env, "seen", stopped, again);
    assert_eq!((occurrences(&env, "away"), runs(&env, "away")), (vec![], vec![]));
    drop(night);
}

#[test]
fn stopped_through_one_supervisor_and_started_before_the_next_it_has_nothing_missed() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    left_alone(&env, "A", NOTES, &hourly.flags(&["--missed", "all"]), hourly.ago(5));
    env.ok(&["stop", "A"]);
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    ticks.pass();
    night.end(TERMINATE);
    env.ok(&["start", "A"]);
    let night = Night::begin(&env);
    ticks.pass();
    assert_eq!((occurrences(&env, "A"), runs(&env, "A")), (vec![], vec![]));
    drop(night);
}

/// Edits a task by hand.
#[track_caller]
fn edited_by_hand(env: &TestEnv, task: &str, from: &str, to: &str) {
    let text = env.read("jobexec.toml");
    let (before, after) = text.split_at(text.find(&format!("[task.{task}]")).unwrap());
    assert!(after.contains(from), "{text}");
    fs::write(env.file("jobexec.toml"), format!("{before}{}", after.replacen(from, to, 1))).unwrap();
}

/// A supervisor begins, and has decided about what was missed of a task that nobody edited.
#[track_caller]
fn has_looked_at_all(env: &TestEnv) -> Night {
    let night = Night::begin(env);
    until_decided(env, "untouched", "run", 5);
    Ticks::with(env).pass();
    night
}

#[test]
fn enabled_by_hand_and_started_before_the_supervisor_has_looked_it_has_nothing_missed() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    for task in ["A", "untouched"] {
        started(&env, task, NOTES, &hourly.flags(&["--missed", "all"]));
    }
    edited_by_hand(&env, "A", "script =", "enabled = false\nscript =");
    let night = Night::begin(&env);
    let sql = "SELECT 1 FROM tasks WHERE name = 'A' AND schedule_fingerprint LIKE '%false]'";
    until("it to be seen as disabled", || !query(&env, sql, |_| Ok(())).is_empty());
    night.end(TERMINATE);
    for task in ["A", "untouched"] {
        away_since(&env, task, hourly.ago(5));
    }
    edited_by_hand(&env, "A", "enabled = false\n", "");
    // They are wanted already; of one that was not edited this changes nothing.
    env.ok(&["start", "A", "untouched"]);
    let night = has_looked_at_all(&env);
    assert_eq!((occurrences(&env, "A"), runs(&env, "A")), (vec![], vec![]));
    drop(night);
}

#[test]
fn taken_away_and_put_back_while_nobody_looked_it_has_nothing_missed() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    for task in ["A", "untouched"] {
        left_alone(&env, task, NOTES, &hourly.flags(&["--missed", "all"]), hourly.ago(5));
    }
    env.ok(&["edit", "A", "--enabled", "false"]);
    env.ok(&["edit", "A", "--enabled", "true"]);
    let night = has_looked_at_all(&env);
    assert_eq!((occurrences(&env, "A"), runs(&env, "A")), (vec![], vec![]));
    drop(night);
}

#[test]
fn a_task_that_is_wanted_and_then_given_a_schedule_counts_from_then_on() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    left_alone(&env, "untouched", NOTES, &hourly.flags(&["--missed", "all"]), hourly.ago(5));
    for task in ["typed", "by-hand"] {
        added(&env, task, NOTES, &[]);
        env.ok(&["start", task]);
        runs_ended(&env, task, 1);
        execute(&env, &format!("UPDATE tasks SET wanted = 1, wanted_since = {} WHERE name = '{task}'", hourly.ago(5)));
    }
    env.ok(&["edit", "typed", "--period", "1h", "--start", &hourly.start, "--tz", "UTC", "--missed", "all"]);
    let schedule = format!("period = \"1h\"\nstart = \"{}\"\ntz = \"UTC\"\nmissed = \"all\"\nscript =", hourly.start);
    edited_by_hand(&env, "by-hand", "script =", &schedule);
    let night = has_looked_at_all(&env);
    for task in ["typed", "by-hand"] {
        assert_eq!(occurrences(&env, task), vec![], "{task}");
    }
    drop(night);
}

#[test]
fn started_by_hand_at_once_it_counts_from_then_on() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    added(&env, "A", NOTES, &hourly.flags(&["--missed", "all"]));
    env.ok(&["start", "A", "--now"]);
    runs_ended(&env, "A", 1);
    away_since(&env, "A", hourly.ago(5));
    let night = Night::begin(&env);
    until_decided(&env, "A", "run", 5);
    drop(night);
}

#[test]
fn a_disabled_task_does_not_fire_and_has_nothing_missed_when_it_is_enabled() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    started(&env, "A", NOTES, &["--period", "1s", "--missed", "all"]);
    until_decided(&env, "A", "run", 2);
    env.ok(&["edit", "A", "--enabled", "false"]);
    // What was due before may still be decided.
    ticks.pass();
    let disabled = now();
    ticks.pass();
    ticks.pass();
    let again = now();
    env.ok(&["edit", "A", "--enabled", "true"]);
    until("it to fire again", || decided(&env, "A", "run").iter().filter(|one| one.due > again).count() >= 2);
    let all = occurrences(&env, "A");
    let between: Vec<&Occurrence> = all.iter().filter(|one| one.due > disabled && one.due <= again).collect();
    assert!(between.iter().all(|one| !one.runs()), "{between:#?}");
    for one in all.iter().filter(|one| !one.runs()) {
        assert!(!one.reason().is_empty(), "{one:?}");
    }
    drop(night);
}

#[test]
fn a_disabled_task_may_still_be_run_by_hand() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    added(&env, "A", NOTES, &["--period", "1s", "--enabled", "false"]);
    ticks.pass();
    env.ok(&["start", "A", "--now"]);
    runs_ended(&env, "A", 1);
    ticks.pass();
    let runs = runs(&env, "A");
    assert!(runs.len() == 1 && runs[0]["scheduled"].is_null(), "{runs:#?}");
    drop(night);
}

#[test]
fn it_was_disabled_while_the_supervisor_was_away() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    left_alone(&env, "A", NOTES, &hourly.flags(&["--missed", "all"]), hourly.ago(5));
    env.ok(&["edit", "A", "--enabled", "false"]);
    let night = Night::begin(&env);
    Ticks::with(&env).pass();
    assert!(runs(&env, "A").is_empty() && decided(&env, "A", "run").is_empty());
    env.ok(&["edit", "A", "--enabled", "true"]);
    Ticks(&env).pass();
    assert!(runs(&env, "A").is_empty());
    drop(night);
}

#[test]
fn a_period_of_the_defaults_holds_for_tasks_that_it_fits() {
    let env = TestEnv::new();
    for task in ["fires", "own", "keeps", "idle"] {
        added(&env, task, if task == "keeps" { WAITS } else { NOTES }, &[]);
    }
    let text = env.read("jobexec.toml");
    let text = text.replace("[task.own]", "[task.own]\nperiod = \"2s\"");
    let text = text.replace("[task.keeps]", "[task.keeps]\nrestart = \"always\"");
    let at = text.find("[task.").unwrap();
    let (head, tasks) = text.split_at(at);
    assert!(!head.contains("[defaults]"), "{head}");
    fs::write(env.file("jobexec.toml"), format!("{head}[defaults]\nperiod = \"1s\"\n\n{tasks}")).unwrap();
    let night = Night::begin(&env);
    env.ok(&["start", "fires", "own", "keeps"]);
    until_decided(&env, "fires", "run", 3);
    until_decided(&env, "own", "run", 2);
    check(&env, "fires", SECOND);
    check(&env, "own", 2 * SECOND);
    // It is to be kept running, which a schedule does not go with.
    env.wait_for_state("keeps", "running");
    assert_eq!((occurrences(&env, "keeps"), occurrences(&env, "idle")), (vec![], vec![]));
    // The defaults are edited: that is an edit of what they hold for.
    let text = env.read("jobexec.toml");
    fs::write(env.file("jobexec.toml"), text.replace("period = \"1s\"", "period = \"3s\"")).unwrap();
    let edited = now();
    until("it to fire every third second", || {
        let later: Vec<i64> =
            occurrences(&env, "fires").iter().map(|one| one.due).filter(|due| *due > edited).collect();
        later.windows(2).any(|two| two[1] - two[0] == 3 * SECOND)
    });
    drop(night);
}

#[test]
fn a_schedule_that_was_taken_away_and_put_back_has_nothing_missed() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    started(&env, "A", NOTES, &["--period", "1s", "--once"]);
    until_decided(&env, "A", "run", 2);
    env.ok(&["edit", "A", "--unset", "period"]);
    ticks.pass();
    let gone = now();
    ticks.pass();
    ticks.pass();
    let again = now();
    env.ok(&["edit", "A", "--period", "1s"]);
    // As an unscheduled task that runs once it may have come to its end.
    env.ok(&["start", "A"]);
    until("it to fire again", || decided(&env, "A", "run").iter().filter(|one| one.due > again).count() >= 2);
    nothing_between(&env, "A", gone, again);
    drop(night);
}
