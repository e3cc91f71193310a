//! Somebody sets the machine's clock under a living supervisor.
//!
//! Everybody on the machine sees the wrong time for some seconds. So these tests are no part of the suite: `.ci/run`
//! runs them alone, where the clock may be set.

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};

use super::super::env::alive;
use super::super::supervisor::{HANGUP, STAYS, orphaned};
use super::*;

/// The clock may be set wrong while this lives. It knows how far the right time is ahead of a clock that nobody sets.
struct WrongClock(Duration);

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).unwrap().into()
}

impl WrongClock {
    fn new() -> Self {
        let before = read(ClockId::CLOCK_BOOTTIME);
        let right = read(ClockId::CLOCK_REALTIME);
        Self(right - (before + read(ClockId::CLOCK_BOOTTIME)) / 2)
    }

    /// Sets the clock to so many microseconds after the right time.
    #[track_caller]
    fn ahead_by(&self, micros: i64) {
        let by = Duration::from_micros(micros.unsigned_abs());
        let right = self.0 + read(ClockId::CLOCK_BOOTTIME);
        let time = if micros < 0 { right - by } else { right + by };
        clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::from_duration(time)).expect("the clock is set");
    }
}

impl Drop for WrongClock {
    fn drop(&mut self) {
        self.ahead_by(0);
    }
}

/// The supervisor has noticed for so many times that the clock was set, and has decided about what is due: a task that
/// is armed only now fires.
#[track_caller]
fn noticed(env: &TestEnv, night: &Night, times: usize) {
    until("the supervisor to notice", || night.times("the clock was set") >= times);
    let task = format!("after-{times}");
    started(env, &task, NOTES, &["--period", "1s"]);
    until_decided(env, &task, "run", 1);
    env.ok(&["stop", &task]);
    assert_eq!(night.times("the clock was set"), times);
}

fn decisions(env: &TestEnv, task: &str) -> Vec<String> {
    occurrences(env, task).into_iter().map(|occurrence| occurrence.decision).collect()
}

#[test]
#[ignore = "sets the machine's clock; .ci/run runs it alone"]
fn the_clock_may_be_set() {
    drop(WrongClock::new());
}

/// The clock is set two hours on, an hour back and right again, while nothing else wakes the supervisor.
#[track_caller]
fn two_hours_on(is_asleep: bool) {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    let minute = format!("{} * * * *", hourly.newest / MINUTE % 60);
    let each = [
        ("once", hourly.flags(&[]), ["missed", "run"]),
        ("skip", hourly.flags(&["--missed", "skip"]), ["missed", "missed"]),
        ("all", hourly.flags(&["--missed", "all"]), ["run", "run"]),
        ("cron", vec!["--cron", &minute, "--tz", "UTC"], ["missed", "run"]),
        ("yearly", vec!["--cron", "0 0 29 2 *", "--tz", "UTC"], ["", ""]),
    ];
    for (task, flags, _) in &each {
        started(&env, task, NOTES, flags);
    }
    let night = Night::begin(&env);
    Ticks::with(&env).pass();
    env.ok(&["stop", "tick"]);
    let clock = WrongClock::new();
    if is_asleep {
        fall_asleep(&night);
    }
    clock.ahead_by(2 * HOUR);
    kill(night.pid(), CONTINUE);
    noticed(&env, &night, 1);
    let check_all = || {
        for (task, _, expected) in &each[..4] {
            until(&format!("{expected:?} of {task}"), || decisions(&env, task) == *expected);
            runs_ended(&env, task, expected.iter().filter(|decision| **decision == "run").count());
            check(&env, task, HOUR);
            check_one_after_another(&env, task);
        }
        assert_eq!(decisions(&env, "yearly"), [""; 0]);
    };
    check_all();
    assert_eq!(occurrences(&env, "once")[0].due, hourly.newest + HOUR);
    clock.ahead_by(HOUR);
    noticed(&env, &night, 2);
    check_all();
    drop(clock);
    noticed(&env, &night, 3);
    check_all();
    // By more than an hour and a period the clock was wrong: the right one is not waited for to catch up with it.
    assert_eq!(micros(&env.status("once")["next_run"]), hourly.newest + HOUR);
    drop(night);
}

#[test]
#[ignore = "sets the machine's clock; .ci/run runs it alone"]
fn what_the_clock_was_set_over_is_decided_once_by_its_rule() {
    two_hours_on(false);
}

#[test]
#[ignore = "sets the machine's clock; .ci/run runs it alone"]
fn what_was_due_while_the_machine_slept_for_hours_is_decided_once_by_its_rule() {
    two_hours_on(true);
}

#[test]
#[ignore = "sets the machine's clock; .ci/run runs it alone"]
fn an_hour_back_repeats_nothing_and_leaves_nothing_out() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    for rule in ["once", "all"] {
        started(&env, rule, NOTES, &["--period", "1s", "--missed", rule]);
        until_fired(&env, rule, 2);
    }
    between_moments();
    let clock = WrongClock::new();
    clock.ahead_by(-HOUR);
    let before = ["once", "all"].map(|task| occurrences(&env, task));
    noticed(&env, &night, 1);
    assert_eq!(["once", "all"].map(|task| occurrences(&env, task)), before);
    drop(clock);
    noticed(&env, &night, 2);
    for task in ["once", "all"] {
        until_fired(&env, task, 2);
        check(&env, task, SECOND);
        check_one_after_another(&env, task);
    }
    drop(night);
}

#[test]
#[ignore = "sets the machine's clock; .ci/run runs it alone"]
fn what_runs_or_waits_goes_by_a_clock_that_nobody_sets() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let loops = "#!/bin/sh\n[ -e go ] && exec sleep 600\nexit 1\n";
    started(&env, "runs", STAYS, &["--timeout", "30m"]);
    started(&env, "orphan", STAYS, &["--once", "--timeout", "30m"]);
    started(&env, "waits", "#!/bin/sh\nexit 1\n", &["--backoff-first", "30m", "--backoff-max", "30m"]);
    started(&env, "fails", "#!/bin/sh\nexit 1\n", &["--backoff-first", "50ms", "--backoff-max", "50ms"]);
    started(&env, "loops", loops, &["--backoff-first", "50ms", "--backoff-max", "50ms"]);
    until("a crash loop", || env.status("loops")["crash_looping"] == true);
    touch(&env, "go");
    env.wait_for_state("loops", "running");
    runs_ended(&env, "waits", 1);
    let pids = ["runs", "orphan", "loops"].map(|task| pid_of(&env, task));
    let clock = WrongClock::new();
    for (times, ahead) in [(1, 2 * HOUR), (2, HOUR), (3, -HOUR)] {
        clock.ahead_by(ahead);
        if times == 1 {
            orphaned(&env, "orphan");
        }
        let failed = env.history("fails").len();
        noticed(&env, &night, times);
        assert_eq!(["runs", "orphan", "loops"].map(|task| pid_of(&env, task)), pids);
        assert!(pids.into_iter().all(alive) && env.state("orphan") == "orphaned");
        let uptime = env.status("runs")["uptime"].as_f64().unwrap();
        assert!((0.0..600.0).contains(&uptime), "{uptime}");
        assert_eq!((env.state("waits").as_str(), env.history("waits").len()), ("waiting", 1));
        assert_eq!(env.status("loops")["crash_looping"], true, "it has not been steady for long");
        until("it to fail again", || env.history("fails").len() >= failed + 2);
    }
    drop(clock);
    drop(night);
}

#[test]
#[ignore = "sets the machine's clock; .ci/run runs it alone"]
fn it_is_noticed_whatever_else_happens_at_the_same_time() {
    let env = TestEnv::new();
    started(&env, "A", NOTES, &["--period", "1h"]);
    let night = Night::begin(&env);
    let clock = WrongClock::new();
    for times in 1..=12 {
        fall_asleep(&night);
        clock.ahead_by(times % 2 * SECOND);
        // No command: where the supervisor was stopped in the middle of a transaction, it would wait for the end of that.
        fs::write(env.file("bell"), "x").unwrap();
        kill(night.pid(), HANGUP);
        kill(night.pid(), CONTINUE);
        until("the supervisor to notice", || night.times("the clock was set") >= usize::try_from(times).unwrap());
    }
    drop(night);
}
