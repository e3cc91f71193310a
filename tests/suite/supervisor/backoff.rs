//! How long a broken task waits, as it is recorded: growing, capped, ended by a good run, a start or a stop.

use super::*;

/// Fails as often as `$FAILURES` says, then stays.
const FAILS_AT_FIRST: &str = "#!/bin/sh\necho x >>runs\n[ $(wc -l <runs) -gt $FAILURES ] || exit 1\nexec sleep 600\n";

#[test]
fn the_wait_doubles_up_to_the_cap_of_the_task() {
    let env = TestEnv::new();
    let flags = ["--backoff-first", "40ms", "--backoff-max", "250ms", "--env", "FAILURES=6"];
    let night = Night::begin(&env);
    started(&env, "A", FAILS_AT_FIRST, &flags);
    until("the run that stays", || env.history("A").len() == 7);
    let found = waits(&env, "A");
    assert_eq!(found.len(), 6);
    for (wait, expected) in found.iter().zip([40.0, 80.0, 160.0]) {
        assert!(is_about(*wait, expected), "{found:?}");
    }
    assert!(found[3..].iter().all(|wait| wait.is_some_and(|wait| (224.0..=250.0).contains(&wait))), "{found:?}");
    assert!(found[..3].iter().flatten().any(|wait| ![40.0, 80.0, 160.0].contains(wait)), "no jitter: {found:?}");
    // Never before its time.
    let ends = events(&env, "A", "ended");
    let starts = events(&env, "A", "started");
    for (end, start) in ends.iter().zip(&starts[1..]) {
        assert!(start["time"].as_i64().unwrap() >= micros(&end["not_before"]) - 5000, "{end} {start}");
    }
    drop(night);
}

#[test]
fn where_the_task_has_no_cap_sleep_is_the_cap() {
    let env = TestEnv::new();
    let night = Night::with(&env, &["--sleep", "100ms"]);
    let flags = ["--backoff-first", "40ms", "--backoff-factor", "1.5", "--backoff-jitter", "0", "--env", "FAILURES=5"];
    started(&env, "A", FAILS_AT_FIRST, &flags);
    until("the run that stays", || env.history("A").len() == 6);
    assert_eq!(waits(&env, "A"), [40.0, 60.0, 90.0, 100.0, 100.0].map(Some));
    drop(night);
}

#[test]
fn the_wait_begins_at_one_second_and_is_at_most_a_minute() {
    let env = TestEnv::new();
    started(&env, "A", FAILS, &[]);
    started(&env, "B", "#!/bin/sh\nexit 125\n", &[]);
    for name in ["A", "B"] {
        runs_ended(&env, name, 1);
    }
    assert!(is_about(waits(&env, "A")[0], 1000.0), "{:?}", waits(&env, "A"));
    assert_eq!(waits(&env, "B"), [Some(60_000.0)]);
}

#[test]
fn a_good_run_ends_the_growth_however_it_ended() {
    let env = TestEnv::new();
    let script =
        "#!/bin/sh\necho x >>runs\ncase $(wc -l <runs) in\n3) sleep 1.2; exit 1;;\n6) exec sleep 600;;\nesac\nexit 1\n";
    let night = Night::begin(&env);
    started(&env, "A", script, &["--backoff-first", "30ms", "--reset-after", "1s"]);
    until("the run that stays", || env.history("A").len() == 6);
    let found = waits(&env, "A");
    assert!(is_about(found[0], 30.0) && is_about(found[1], 60.0), "{found:?}");
    assert_eq!(found[2], None, "at once: {found:?}");
    assert!(is_about(found[3], 30.0) && is_about(found[4], 60.0), "{found:?}");
    drop(night);
}

#[test]
fn success_that_comes_too_soon_waits_as_well_and_is_no_crash_loop() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", "#!/bin/sh\nexit 0\n", &["--backoff-first", "10ms", "--backoff-max", "80ms"]);
    runs_ended(&env, "A", 7);
    let found = waits(&env, "A");
    for (wait, expected) in found.iter().zip([10.0, 20.0, 40.0]) {
        assert!(is_about(*wait, expected), "{found:?}");
    }
    assert!(events(&env, "A", "crash_looping").is_empty());
    assert_eq!(column(&env, "A", "looping_since"), None);
    drop(night);
}

#[test]
fn stop_cancels_the_start_that_is_pending() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", FAILS, &SLOW);
    env.wait_for_state("A", "waiting");
    let said = env.ok(&["stop", "A"]);
    assert!(said.err.contains("A"), "{said:?}");
    let status = env.status("A");
    assert_eq!((&status["state"], &status["wanted"]), (&json!("stopped"), &json!(false)));
    assert_eq!(events(&env, "A", "cancelled").len(), 1);
    assert_eq!(column(&env, "A", "failure_streak"), Some(0));
    // Nothing of it is left on the agenda of the next one either.
    night.end(TERMINATE);
    let (_, diary) = Night::with(&env, &["--until-idle"]).ended();
    assert_eq!(env.history("A").len(), 1, "{diary}");
}

#[test]
fn start_during_a_wait_runs_it_now_and_clears_the_counter() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(
        &env,
        "A",
        "#!/bin/sh\n[ -e mended ] || exit 1\nexec sleep 600\n",
        &["--backoff-first", "1h", "--backoff-max", "9h"],
    );
    env.wait_for_state("A", "waiting");
    for number in 2..=3 {
        let said = env.ok(&["start", "A"]);
        assert!(said.err.contains("Starting A"), "{said:?}");
        runs_ended(&env, "A", number);
        env.wait_for_state("A", "waiting");
    }
    let found = waits(&env, "A");
    assert!(found.iter().all(|wait| is_about(*wait, 3_600_000.0)), "never more than the first wait: {found:?}");
    touch(&env, "mended");
    env.ok(&["start", "A"]);
    env.wait_for_state("A", "running");
    let runs = env.history("A");
    assert_eq!(runs[0]["attempt"], 4);
    assert!(runs.iter().all(|run| run["job"] == runs[0]["job"]), "{runs:?}");
    drop(night);
}

#[test]
fn the_next_supervisor_waits_for_the_rest() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", FAILS, &["--backoff-first", "1s", "--backoff-max", "1h"]);
    started(&env, "far", FAILS, &SLOW);
    env.wait_for_state("far", "waiting");
    runs_ended(&env, "A", 1);
    night.end(KILL);
    let night = Night::begin(&env);
    runs_ended(&env, "A", 2);
    let (ends, starts) = (events(&env, "A", "ended"), events(&env, "A", "started"));
    assert!(starts[1]["time"].as_i64().unwrap() >= micros(&ends[0]["not_before"]) - 5000);
    assert!(is_about(waits(&env, "A")[1], 2000.0), "the counter is kept: {:?}", waits(&env, "A"));
    assert_eq!((env.state("far").as_str(), env.history("far").len()), ("waiting", 1));
    drop(night);
}

#[test]
fn five_failures_are_a_crash_loop_which_goes_on_until_a_stop_or_start() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script = "#!/bin/sh\n[ -e mended ] && exec sleep 600\nexit 1\n";
    started(&env, "A", script, &["--backoff-first", "10ms", "--backoff-max", "30ms"]);
    runs_ended(&env, "A", 8);
    let flagged = events(&env, "A", "crash_looping");
    assert_eq!(flagged.len(), 1, "flagged once");
    let fifth = &events(&env, "A", "ended")[4];
    assert_eq!(flagged[0]["run"], fifth["run"]);
    assert!(column(&env, "A", "looping_since").is_some());
    assert_eq!(night.times("crash-looping"), 1, "{}", night.diary());
    touch(&env, "mended");
    env.wait_for_state("A", "running");
    assert!(column(&env, "A", "looping_since").is_some(), "time alone does not end it");
    env.ok(&["stop", "A"]);
    assert_eq!(column(&env, "A", "looping_since"), None);
    until_events(&env, "A", "recovered", 1);
    drop(night);
}

#[test]
fn only_what_asks_for_it_is_given_up() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", FAILS, &["--backoff-first", "10ms", "--give-up-failures", "3", "--give-up-within", "1h"]);
    env.wait_for_state("A", "failed");
    let status = env.status("A");
    assert_eq!(env.history("A").len(), 3);
    assert_eq!(status["wanted"], false);
    let ends = events(&env, "A", "ended");
    assert!(ends[2]["reason"].as_str().unwrap().contains("given up"), "{ends:?}");
    assert_eq!(ends[2]["to"], "FAILED");
    env.ok(&["start", "A"]);
    runs_ended(&env, "A", 6);
    env.wait_for_state("A", "failed");
    assert_eq!(env.history("A").len(), 6, "start begins anew");
    drop(night);
}
