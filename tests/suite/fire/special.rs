//! What fires by no clock, what is put off, and what cannot be started.

use super::*;

#[test]
fn reboot_fires_once_for_each_boot() {
    let env = TestEnv::new();
    started(&env, "A", NOTES, &["--period", "@reboot"]);
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    ticks.pass();
    assert!(runs(&env, "A").is_empty(), "that boot was before anybody wanted it");
    night.end(TERMINATE);
    for boots in 1..3 {
        night_of_another_boot(&env, boots);
    }
}

/// The machine has booted since anybody last looked, and two supervisors come one after the other.
fn night_of_another_boot(env: &TestEnv, boots: usize) {
    execute(
        env,
        "UPDATE tasks SET fired_for = 'another boot', seen_at = 1, wanted_since = 1, added = 1 WHERE name = 'A'",
    );
    for _ in 0..2 {
        let night = Night::begin(env);
        until("it to run", || lines(env, "A.notes").len() == boots);
        Ticks(env).pass();
        assert_eq!(runs(env, "A").len(), boots);
        night.end(TERMINATE);
    }
}

#[test]
fn start_of_a_supervisor_fires_once_for_each() {
    let env = TestEnv::new();
    started(&env, "A", NOTES, &["--period", "@start"]);
    for nights in 1..4 {
        let night = Night::begin(&env);
        until("it to run", || lines(&env, "A.notes").len() == nights);
        if nights == 1 {
            Ticks::with(&env).pass();
        } else {
            Ticks(&env).pass();
        }
        assert_eq!(runs(&env, "A").len(), nights);
        night.end(if nights == 2 { KILL } else { TERMINATE });
    }
    env.ok(&["stop", "A"]);
    let night = Night::begin(&env);
    Ticks(&env).pass();
    assert_eq!(runs(&env, "A").len(), 3);
    drop(night);
}

#[test]
fn jitter_puts_off_and_never_brings_forward() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let ticks = Ticks::with(&env);
    started(&env, "A", NOTES, &["--period", "2s", "--jitter", "1500ms"]);
    until_decided(&env, "A", "run", 5);
    let all = occurrences(&env, "A");
    assert!(all.iter().all(|one| one.runs() && one.due % (2 * SECOND) == 0), "{all:#?}");
    check(&env, "A", 2 * SECOND);
    ticks.pass();
    drop(night);
}

#[test]
fn jitter_is_the_same_each_time_for_the_same_moment() {
    let env = TestEnv::new();
    let hourly = Hourly::new();
    let names: Vec<String> = (0..40).map(|nth| format!("t{nth}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    env.script("s.sh", "#!/bin/sh\n");
    for name in &names {
        // Since the newest moment there were 20 minutes: for about half of the tasks it is not yet time.
        env.ok(&[&["add", name, "s.sh"], &hourly.flags(&["--jitter", "40m"])[..]].concat());
    }
    env.ok(&["start", "--all"]);
    let mut former: Vec<&str> = Vec::new();
    for round in 0..3 {
        names.iter().for_each(|name| away_since(&env, name, hourly.ago(1)));
        let night = Night::begin(&env);
        if round == 0 {
            Ticks::with(&env).pass();
        } else {
            Ticks(&env).pass();
        }
        let fired: Vec<&str> = names.iter().filter(|name| !occurrences(&env, name).is_empty()).copied().collect();
        assert!(fired.len() > 3 && fired.len() < 37, "{fired:?}");
        if round > 0 {
            // The clock goes on meanwhile.
            assert!(former.iter().all(|name| fired.contains(name)), "{former:?}, then {fired:?}");
            assert!(fired.len() <= former.len() + 3, "{former:?}, then {fired:?}");
        }
        former = fired;
        night.end(TERMINATE);
    }
}

#[test]
fn a_script_that_is_missing_is_a_run_that_could_not_start_and_the_next_is_tried_again() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", NOTES, &["--period", "1s"]);
    until_decided(&env, "A", "run", 1);
    let (script, away) = (env.dir().join("A.script"), env.dir().join("away"));
    fs::rename(&script, &away).unwrap();
    let missing = now();
    let failed = || runs(&env, "A").iter().filter(|run| run["outcome"] == "could_not_start").count();
    until("two that could not start", || failed() >= 2);
    fs::rename(&away, &script).unwrap();
    let mended = now();
    let ran = |from: i64| {
        let runs = runs(&env, "A");
        runs.iter().any(|run| run["outcome"] == "success" && micros(&run["scheduled"]) > from)
    };
    until("it to run again", || ran(mended));
    for one in occurrences(&env, "A").iter().filter(|one| one.due > missing && one.due < mended - SECOND) {
        let of_it = runs(&env, "A").into_iter().filter(|run| run["job"] == one.job.unwrap()).collect::<Vec<_>>();
        assert_eq!(of_it.len(), 1, "{one:?} has {of_it:#?}");
        assert!(!of_it[0]["reason"].as_str().unwrap_or_default().is_empty(), "{of_it:#?}");
    }
    assert_eq!(env.status("A")["wanted"], true);
    check(&env, "A", SECOND);
    drop(night);
}

#[test]
fn a_directory_that_is_missing_keeps_nobody_from_firing() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    fs::create_dir(env.dir().join("work")).unwrap();
    env.script("A.script", NOTES);
    let script = env.dir().join("A.script");
    env.ok(&["add", "A", script.to_str().unwrap(), "--wd", "work", "--period", "1s"]);
    env.ok(&["start", "A"]);
    until_decided(&env, "A", "run", 1);
    fs::rename(env.dir().join("work"), env.dir().join("elsewhere")).unwrap();
    until("one that could not start", || runs(&env, "A").iter().any(|run| run["outcome"] == "could_not_start"));
    let ticks = Ticks::with(&env);
    ticks.pass();
    check(&env, "A", SECOND);
    drop(night);
}

#[test]
fn a_mistake_in_the_registry_does_not_keep_schedules_from_firing() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    started(&env, "A", NOTES, &["--period", "1s"]);
    until_decided(&env, "A", "run", 1);
    let text = env.read("jobexec.toml");
    fs::write(env.file("jobexec.toml"), format!("{text}\n[task.B]\nscrpt = \"x\"\n")).unwrap();
    night.says("scrpt");
    until_fired(&env, "A", 2);
    night.end(KILL);
    let night = Night::begin(&env);
    until_fired(&env, "A", 2);
    check(&env, "A", SECOND);
    drop(night);
}
