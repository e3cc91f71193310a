//! The supervisor killed at random moments while schedules fire. `JOBEXEC_KILL_SECONDS` says how long,
//! `JOBEXEC_KILL_SEED` which moments.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::Instant;

use super::*;
use crate::suite::kill::random::{Random, number};

/// The tasks: name, period in seconds, what the script does after its note, flags.
const TASKS: [(&str, i64, &str, &[&str]); 6] = [
    ("skips", 1, "sleep 0.7\n", &["--overlap", "skip"]),
    ("queues", 1, "sleep 1.3\n", &["--overlap", "queue"]),
    ("replaces", 2, "exec sleep 3\n", &["--overlap", "replace", "--stop-grace", "100ms"]),
    ("allows", 1, "sleep 1.5\n", &["--overlap", "allow", "--max-running", "3"]),
    ("all", 1, "", &["--missed", "all"]),
    (
        "jitters",
        2,
        "exit 3\n",
        &["--jitter", "1500ms", "--missed", "skip", "--retries", "1", "--backoff-first", "50ms"],
    ),
];

/// One life of a supervisor.
struct Life(Child);

impl Life {
    fn begin(env: &TestEnv, nth: usize) -> Self {
        let diary = fs::File::create(env.dir().join(format!("diary-{nth}"))).unwrap();
        let mut command = env.command(&["keep-restarting", "--sleep", "1s"]);
        Self(command.stdout(Stdio::null()).stderr(diary).spawn().unwrap())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The jobs that were made for a task's moments: state and reason, by id.
fn jobs(env: &TestEnv, task: &str) -> BTreeMap<i64, (String, Option<String>)> {
    let sql = format!("SELECT id, state, reason FROM jobs WHERE task = '{task}' AND door = 'schedule'");
    query(env, &sql, |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).into_iter().collect()
}

#[test]
fn killed_at_random_moments_it_decides_about_each_due_moment_once() {
    let (seconds, seed) = (number("JOBEXEC_KILL_SECONDS", 20), number("JOBEXEC_KILL_SEED", 1));
    println!("{seconds} seconds from seed {seed}");
    let env = TestEnv::new();
    for (task, period, script, flags) in TASKS {
        let period = format!("{period}s");
        started(&env, task, &format!("{NOTES}{script}"), &[&["--period", &period], flags].concat());
    }
    let mut random = Random(seed);
    let (start, mut lives) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        let life = Life::begin(&env, lives);
        lives += 1;
        // No wait for anything: the moment is what is chosen at random.
        let most = [60_000, 600_000, 2_500_000][usize::try_from(random.below(3)).unwrap()];
        std::thread::sleep(Duration::from_micros(random.below(most)));
        drop(life);
        if random.below(4) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(2_500_000)));
        }
    }
    let last = Life::begin(&env, lives);
    let begun = now();
    for (task, ..) in TASKS {
        until(&format!("{task} to fire under the last one"), || {
            decided(&env, task, "run").iter().filter(|one| one.due > begun).count() >= 2
        });
    }
    until("stop to come through", || env.run(&["stop", "--all"]).code == 0);
    println!("{lives} lives");
    for (task, period, ..) in TASKS {
        judge(&env, task, period * SECOND);
    }
    drop(last);
    for nth in 0..=lives {
        let diary = lines(&env, &format!("diary-{nth}")).join("\n");
        assert!(!diary.contains("safety net") && !diary.contains("panicked"), "{nth}: {diary}");
    }
}

/// Each due moment is decided about once, and what was decided is what happened.
fn judge(env: &TestEnv, task: &str, period: i64) {
    check(env, task, period);
    let all = occurrences(env, task);
    assert!(all.iter().all(|one| matches!(one.decision.as_str(), "run" | "skipped" | "missed")), "{task}: {all:#?}");
    let (jobs, runs) = (jobs(env, task), runs(env, task));
    let fired: Vec<i64> = all.iter().filter_map(|one| one.job).collect();
    assert_eq!(jobs.len(), fired.len(), "{task}: each job is of a moment");
    let notes = lines(env, &format!("{task}.notes"));
    let mut by_run: Vec<&str> = notes.iter().map(|note| note.split(' ').nth(1).unwrap()).collect();
    by_run.sort_unstable();
    assert!(by_run.windows(2).all(|two| two[0] != two[1]), "{task}: a run ran twice");
    for job in fired {
        let (state, reason) = &jobs[&job];
        assert!(matches!(state.as_str(), "JOB_FINISHED" | "FAILED" | "CANCELLED"), "{task}: job {job} is {state}");
        let of_it: Vec<&Value> = runs.iter().filter(|run| run["job"] == job).collect();
        assert!(!of_it.is_empty() || reason.is_some(), "{task}: job {job} has no run and no reason");
        assert!(of_it.iter().all(|run| run["outcome"].is_string()), "{task}: {of_it:#?}");
        let tries = notes.iter().filter(|note| note.split(' ').next() == Some(&job.to_string())).count();
        let may = if task == "jitters" { 2 } else { 1 };
        assert!(tries <= may, "{task}: job {job} ran {tries} times: {of_it:#?}");
        assert!(state != "JOB_FINISHED" || tries == 1, "{task}: job {job} ran {tries} times: {of_it:#?}");
        // Nobody killed a worker.
        assert!(of_it.iter().all(|run| run["outcome"] != "lost"), "{task}: {of_it:#?}");
    }
    if task != "allows" {
        check_one_after_another(env, task);
    }
    let ran = all.iter().filter(|one| one.runs()).count();
    println!("{task}: {} moments, {ran} ran", all.len());
}
