//! What was due while no supervisor was there.

use super::*;

/// How many due moments a row stands for.
#[track_caller]
fn stands_for(occurrence: &Occurrence) -> i64 {
    let Some(count) = &occurrence.count else { return 1 };
    let digits: String = count.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number: {occurrence:?}"))
}

/// The due moments in hours before the newest, and their decisions.
fn by_hour(env: &TestEnv, hourly: &Hourly) -> Vec<(i64, String)> {
    let hours = |occurrence: Occurrence| ((hourly.newest - occurrence.due) / HOUR, occurrence.decision);
    occurrences(env, "A").into_iter().map(hours).collect()
}

fn expected(decisions: &[(i64, &str)]) -> Vec<(i64, String)> {
    decisions.iter().map(|(hour, decision)| (*hour, (*decision).to_owned())).collect()
}

/// An hourly task that was left alone for these hours; a supervisor comes.
#[track_caller]
fn after_hours(hours: i64, flags: &[&str], decisions: &[(i64, &str)]) {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    left_alone(&env, "A", NOTES, &hourly.flags(flags), hourly.ago(hours));
    let night = Night::begin(&env);
    Ticks::with(&env).pass();
    let wanted = expected(decisions);
    until(&format!("{wanted:?}"), || by_hour(&env, &hourly) == wanted);
    runs_ended(&env, "A", decisions.iter().filter(|(_, decision)| *decision == "run").count());
    check(&env, "A", HOUR);
    check_one_after_another(&env, "A");
    // The next one decides about nothing a second time.
    night.end(TERMINATE);
    let night = Night::begin(&env);
    Ticks(&env).pass();
    assert_eq!(by_hour(&env, &hourly), wanted);
    drop(night);
}

#[test]
fn once_runs_the_newest() {
    after_hours(4, &[], &[(3, "missed"), (2, "missed"), (1, "missed"), (0, "run")]);
}

#[test]
fn skip_runs_none() {
    after_hours(4, &["--missed", "skip"], &[(3, "missed"), (2, "missed"), (1, "missed"), (0, "missed")]);
}

#[test]
fn all_runs_each_in_order() {
    after_hours(4, &["--missed", "all"], &[(3, "run"), (2, "run"), (1, "run"), (0, "run")]);
}

#[test]
fn what_was_due_before_a_deadline_is_missed() {
    let short = ["--start-deadline", "10m"];
    after_hours(4, &short, &[(3, "missed"), (2, "missed"), (1, "missed"), (0, "missed")]);
    let long = ["--start-deadline", "30m"];
    after_hours(4, &long, &[(3, "missed"), (2, "missed"), (1, "missed"), (0, "run")]);
    let of_all = ["--missed", "all", "--start-deadline", "2h"];
    after_hours(4, &of_all, &[(3, "missed"), (2, "missed"), (1, "run"), (0, "run")]);
}

#[test]
fn all_keeps_the_newest_hundred_and_says_how_many_were_left_out() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    left_alone(&env, "A", NOTES, &hourly.flags(&["--missed", "all"]), hourly.ago(5000));
    let night = Night::begin(&env);
    until_decided(&env, "A", "run", 100);
    runs_ended(&env, "A", 100);
    let all = occurrences(&env, "A");
    let fired: Vec<i64> = all.iter().filter(|one| one.runs()).map(|one| one.due).collect();
    assert_eq!(fired, (0..100).rev().map(|hours| hourly.ago(hours)).collect::<Vec<_>>());
    let order: Vec<i64> = runs(&env, "A").iter().map(|run| micros(&run["scheduled"])).collect();
    assert_eq!(order, fired, "one after another");
    check_one_after_another(&env, "A");
    check(&env, "A", HOUR);
    let left_out: Vec<&Occurrence> = all.iter().filter(|one| !one.runs()).collect();
    assert!(left_out.iter().all(|one| one.decision == "missed" && !one.reason().is_empty()), "{left_out:#?}");
    assert_eq!(left_out.iter().map(|one| stands_for(one)).sum::<i64>(), 4900, "{left_out:#?}");
    let says = |one: &&Occurrence| one.count.is_some() || one.reason().contains("4900");
    assert!(left_out.len() == 4900 || left_out.iter().any(says), "{left_out:#?}");
    drop(night);
}

#[test]
fn what_was_left_out_is_told_at_the_last_of_its_due_moments() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    left_alone(&env, "A", NOTES, &hourly.flags(&["--missed", "all"]), hourly.ago(200));
    let night = Night::begin(&env);
    until_decided(&env, "A", "run", 100);
    let left_out: Vec<i64> = occurrences(&env, "A").iter().filter(|one| !one.runs()).map(|one| one.due).collect();
    // The primary key of an occurrence is its due moment, and so is what anybody is shown.
    assert!(left_out.iter().all(|due| (due - hourly.newest) % HOUR == 0), "no due moments: {left_out:?}");
    assert_eq!(left_out.last(), Some(&hourly.ago(100)));
    drop(night);
}

#[test]
fn a_year_of_seconds_is_decided_about_whatever_the_rule() {
    for (rule, ran) in [("once", 1), ("skip", 1), ("all", 100)] {
        let env = TestEnv::new();
        let since = now() / SECOND * SECOND - 365 * 24 * HOUR;
        left_alone(&env, "A", NOTES, &["--period", "1s", "--missed", rule], since);
        let begun = now();
        let night = Night::begin(&env);
        // It goes on with what comes.
        until("it to have come to the present", || {
            decided(&env, "A", "run").iter().filter(|one| one.due > begun + 2 * SECOND).count() >= 2
        });
        let all = occurrences(&env, "A");
        let first: Vec<&Occurrence> = all.iter().filter(|one| one.decided == all[0].decided).collect();
        let runs: Vec<&&Occurrence> = first.iter().filter(|one| one.runs()).collect();
        // With `skip` the newest, less than a second late, may be on time.
        assert!(runs.len() == ran || rule == "skip" && runs.is_empty(), "{rule}: {runs:#?}");
        assert!(rule == "all" || runs.iter().all(|one| one.due == first.last().unwrap().due), "{rule}: {runs:#?}");
        assert!(all.len() < 20_000, "{rule}: {} rows", all.len());
        let counted: Vec<&Occurrence> = all.iter().filter(|one| one.count.is_some()).collect();
        assert_eq!(counted.len(), 1, "{rule}: {counted:?}");
        assert!(counted[0].decision == "missed" && !counted[0].reason().is_empty(), "{rule}: {counted:?}");
        let (stand, were) = (all.iter().map(stands_for).sum::<i64>(), (all.last().unwrap().due - since) / SECOND);
        assert_eq!(stand, were, "{rule}: {counted:?}");
        check(&env, "A", SECOND);
        drop(night);
    }
}

#[test]
fn centuries_are_no_harder_than_years() {
    let env = TestEnv::new();
    // The epoch itself, to the second.
    left_alone(&env, "A", NOTES, &["--period", "1s"], 0);
    left_alone(&env, "B", NOTES, &["--cron", "* * * * *", "--missed", "all"], 0);
    let night = Night::begin(&env);
    until_decided(&env, "A", "run", 3);
    until_decided(&env, "B", "run", 100);
    check(&env, "A", SECOND);
    check(&env, "B", MINUTE);
    drop(night);
}

#[test]
fn a_supervisor_that_is_killed_while_it_catches_up_leaves_the_rest_to_the_next() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    let script = format!("{NOTES}sleep 0.1\n");
    left_alone(&env, "A", &script, &hourly.flags(&["--missed", "all"]), hourly.ago(30));
    for _ in 0..3 {
        let before = lines(&env, "A.notes").len();
        let night = Night::begin(&env);
        until("some more to have run", || lines(&env, "A.notes").len() >= before + 4);
        night.end(KILL);
    }
    assert!(lines(&env, "A.notes").len() < 30);
    let night = Night::begin(&env);
    until_decided(&env, "A", "run", 30);
    runs_ended(&env, "A", 30);
    let order: Vec<i64> = runs(&env, "A")
        .iter()
        .filter(|run| run["outcome"] != "never_started")
        .map(|run| micros(&run["scheduled"]))
        .collect();
    assert_eq!(order, (0..30).rev().map(|hours| hourly.ago(hours)).collect::<Vec<_>>());
    assert_eq!(lines(&env, "A.notes").len(), 30);
    check(&env, "A", HOUR);
    check_one_after_another(&env, "A");
    drop(night);
}

#[test]
fn what_catches_up_is_given_up_by_stop() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    let script = format!("{NOTES}sleep 0.3\n");
    left_alone(&env, "A", &script, &hourly.flags(&["--missed", "all"]), hourly.ago(20));
    let night = Night::begin(&env);
    until("some to have run", || lines(&env, "A.notes").len() >= 2);
    env.ok(&["stop", "A"]);
    let ran = runs(&env, "A").len();
    env.ok(&["start", "A"]);
    Ticks::with(&env).pass();
    assert_eq!(runs(&env, "A").len(), ran);
    let all = occurrences(&env, "A");
    assert!(
        all.len() == 20 && all.iter().all(|one| one.runs() || one.decision == "skipped" || one.decision == "missed"),
        "{all:#?}"
    );
    check(&env, "A", HOUR);
    drop(night);
}

#[test]
fn a_failed_run_does_not_keep_the_others_from_catching_up() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    let script = format!("{NOTES}exit 1\n");
    left_alone(&env, "A", &script, &hourly.flags(&["--missed", "all"]), hourly.ago(6));
    let night = Night::begin(&env);
    let runs = runs_ended(&env, "A", 6);
    assert!(runs.iter().all(|run| run["exit_code"] == 1), "{runs:#?}");
    check(&env, "A", HOUR);
    drop(night);
}
