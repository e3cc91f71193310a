//! The due moments themselves.

use super::*;

#[test]
fn it_fires_at_each_due_moment_once_and_never_before() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    for (task, period) in [("one", "1s"), ("two", "2s"), ("three", "3s")] {
        started(&env, task, NOTES, &["--period", period]);
    }
    until_decided(&env, "three", "run", 3);
    until_decided(&env, "one", "run", 8);
    env.ok(&["stop", "--all"]);
    for (task, period) in [("one", SECOND), ("two", 2 * SECOND), ("three", 3 * SECOND)] {
        check(&env, task, period);
        let all = occurrences(&env, task);
        // Anchored at 1970, not at the start.
        assert!(all.iter().all(|occurrence| occurrence.due % period == 0), "{task}: {all:#?}");
        assert!(all.iter().all(|occurrence| occurrence.runs()), "{task}: {all:#?}");
        assert_eq!(runs(&env, task).len(), all.len());
        let mut notes = lines(&env, &format!("{task}.notes"));
        assert!(
            notes.len() >= all.len() - 1,
            "{notes:?}: only the last may have been stopped before it noted anything"
        );
        notes.sort_unstable();
        notes.dedup();
        assert!(notes.len() >= all.len() - 1 && notes.len() <= all.len());
    }
    let doors = query(&env, "SELECT DISTINCT door FROM jobs", |row| row.get::<_, String>(0));
    assert_eq!(doors, ["schedule"]);
    drop(night);
}

#[test]
fn what_is_fired_in_time_was_not_missed_whatever_the_rule() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let rules = [
        ("once", &["--missed", "once"][..]),
        ("skip", &["--missed", "skip"]),
        ("all", &["--missed", "all"]),
        ("queue", &["--overlap", "queue"]),
        ("replace", &["--overlap", "replace"]),
        ("allow", &["--overlap", "allow"]),
        ("soon", &["--start-deadline", "30s"]),
    ];
    for (task, flags) in rules {
        started(&env, task, "#!/bin/sh\n", &[&["--period", "2s"], flags].concat());
    }
    for (task, _) in rules {
        let all = until_decided(&env, task, "run", 3);
        assert!(all.iter().all(|occurrence| occurrence.runs()), "{task}: {all:#?}");
        check(&env, task, 2 * SECOND);
    }
    drop(night);
}

#[test]
fn nothing_is_due_before_start_and_start_itself_is() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    // Far enough that the task is armed by then, and in between the moments without it.
    let start = now() / SECOND * SECOND + 5 * SECOND;
    let start = start + i64::from(start % (3 * SECOND) == 0) * SECOND;
    let text = utc(start);
    started(&env, "A", NOTES, &["--period", "3s", "--start", &text, "--tz", "UTC"]);
    until_decided(&env, "A", "run", 2);
    assert_eq!(occurrences(&env, "A")[0].due, start);
    check(&env, "A", 3 * SECOND);
    ticks.pass();
    drop(night);
}

#[test]
fn a_supervisor_that_takes_over_goes_on_with_the_same_moments() {
    let env = TestEnv::new();
    started(&env, "A", NOTES, &["--period", "1s", "--missed", "all"]);
    for signal in [TERMINATE, KILL, TERMINATE] {
        let night = Night::begin(&env);
        until_fired(&env, "A", 2);
        night.end(signal);
    }
    let away = now();
    let between = until_passed(away + 2 * SECOND);
    let night = Night::begin(&env);
    until("what was due meanwhile to have run", || {
        decided(&env, "A", "run").iter().filter(|occurrence| occurrence.due > between).count() >= 2
    });
    env.ok(&["stop", "A"]);
    check(&env, "A", SECOND);
    check_one_after_another(&env, "A");
    drop(night);
}

/// Waits for a moment of the clock.
fn until_passed(moment: i64) -> i64 {
    until("the moment to pass", || now() > moment);
    moment
}

#[test]
fn a_cron_expression_fires_too() {
    let env = TestEnv::new();
    let since = now() / MINUTE * MINUTE - 10 * MINUTE;
    left_alone(&env, "A", NOTES, &["--cron", "* * * * *"], since);
    let night = Night::begin(&env);
    let all = until_decided(&env, "A", "run", 1);
    assert_eq!(all[0].due, since + MINUTE);
    assert!(all.iter().all(|occurrence| occurrence.due % MINUTE == 0), "{all:#?}");
    let first = all.iter().position(Occurrence::runs).unwrap();
    assert!(first >= 9 && all[..first].iter().all(|occurrence| occurrence.decision == "missed"), "{all:#?}");
    check(&env, "A", MINUTE);
    drop(night);
}

#[test]
fn it_has_the_surroundings_of_the_supervisor() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\necho $WHOSE $JOBEXEC_TASK $JOBEXEC_JOB_ID $JOBEXEC_ATTEMPT >>seen\n";
    added(&env, "A", script, &["--period", "1s"]);
    assert!(env.command(&["start", "A"]).env("WHOSE", "user").status().unwrap().success());
    let night = Night::spawned(&env, env.command(&["keep-restarting"]).env("WHOSE", "supervisor"));
    until("it to run twice", || lines(&env, "seen").len() >= 2);
    for (line, occurrence) in lines(&env, "seen").iter().zip(occurrences(&env, "A")) {
        assert_eq!(*line, format!("supervisor A {} 1", occurrence.job.unwrap()));
    }
    drop(night);
}

#[test]
fn a_clock_that_was_set_back_repeats_nothing() {
    let env = TestEnv::new();
    started(&env, "A", NOTES, &["--period", "1s"]);
    let last = now() / SECOND * SECOND + 4 * SECOND;
    away_since(&env, "A", last);
    let night = Night::begin(&env);
    let all = until_decided(&env, "A", "run", 2);
    assert_eq!(all[0].due, last + SECOND, "{all:#?}");
    check(&env, "A", SECOND);
    drop(night);
}

/// The clock was years ahead when the supervisor was last there, and is right again.
#[track_caller]
fn after_years_ahead(sql: &str) {
    let env = TestEnv::new();
    started(&env, "A", NOTES, &["--period", "1s"]);
    let begun = now();
    let ahead = begun / SECOND * SECOND + 6 * 365 * 24 * HOUR;
    execute(&env, &sql.replace("AHEAD", &ahead.to_string()));
    let night = Night::begin(&env);
    let all = until_decided(&env, "A", "run", 2);
    assert!(all.iter().all(|occurrence| occurrence.due > begun), "anchored anew: {all:#?}");
    night.says("warning");
    check(&env, "A", SECOND);
    drop(night);
}

#[test]
fn a_clock_that_was_years_ahead_is_not_waited_for() {
    after_years_ahead("UPDATE tasks SET last_due = AHEAD");
}

#[test]
fn a_clock_that_was_years_ahead_when_the_task_was_armed_is_not_waited_for() {
    after_years_ahead("UPDATE tasks SET last_due = AHEAD + 60000000, seen_at = AHEAD, wanted_since = AHEAD");
}
