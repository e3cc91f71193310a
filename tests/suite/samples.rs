//! The sample scripts in `jobs/`, each run through the binary as its comment says.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::env::{TestEnv, until};

/// A copy of `jobs/` in the test's directory, modes included.
pub fn copy_samples(env: &TestEnv) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs");
    let to = env.dir().join("jobs");
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// Adds a sample with these flags.
fn added(name: &str, script: &str, flags: &[&str]) -> TestEnv {
    let env = TestEnv::new();
    copy_samples(&env);
    env.ok(&[&["add", name, script], flags].concat());
    env
}

/// Runs a task to its end and returns its newest run.
fn run_to_end(env: &TestEnv, name: &str) -> Value {
    let before = env.history(name).len();
    env.ok(&["start", name]);
    until(&format!("{name} to end"), || {
        let runs = env.history(name);
        runs.len() > before && !runs[0]["outcome"].is_null()
    });
    env.history(name)[0].clone()
}

fn ended_with(run: &Value, code: i64) {
    assert_eq!(run["exit_code"].as_i64(), Some(code), "{run}");
}

#[test]
fn the_ticker_prints_so_many_prices_within_bounds() {
    let env =
        added("AAPL", "jobs/ticker.sh", &["--once", "--env", "SYMBOL=AAPL", "--env", "EVERY=0", "--", "-n", "200"]);
    ended_with(&run_to_end(&env, "AAPL"), 0);
    let prices: Vec<f64> = env
        .read("AAPL.txt")
        .lines()
        .map(|line| line.strip_prefix("AAPL ").unwrap_or_else(|| panic!("{line}")).parse().unwrap())
        .collect();
    assert_eq!(prices.len(), 200);
    assert!(prices.iter().all(|price| (50.0..=150.0).contains(price)), "{prices:?}");
    assert!(prices.windows(2).all(|two| (two[0] - two[1]).abs() < 1.01), "it walks: {prices:?}");
    assert_eq!(env.state("AAPL"), "finished");
}

#[test]
fn the_ticker_goes_on_until_it_is_stopped() {
    let env = added("LOL", "jobs/ticker.sh", &["--env", "SYMBOL=LOL"]);
    env.ok(&["start", "LOL"]);
    until("two prices", || env.read("LOL.txt").lines().count() >= 2);
    env.ok(&["stop", "LOL"]);
    assert_eq!(env.history("LOL")[0]["outcome"], "stopped");
    assert!(env.processes().is_empty());
}

#[test]
fn the_scraper_fails_on_every_third_attempt_and_says_why() {
    let env = added("news", "jobs/scrape.sh", &[]);
    for attempt in 1..=2 {
        let run = run_to_end(&env, "news");
        ended_with(&run, 0);
        assert_eq!(run["attempt"], attempt);
        let output = env.read("news.txt");
        assert!(output.starts_with(&format!("attempt {attempt}: fetching page.html\n")), "{output}");
        assert!(output.ends_with("Local choir wins prize\n"), "{output}");
    }
    ended_with(&run_to_end(&env, "news"), 1);
    assert_eq!(env.read("news.txt"), "attempt 3: fetching page.html\nscrape: 503 Service Unavailable\n");
    ended_with(&run_to_end(&env, "news"), 0);
    let outputs = env.ok(&["tail", "news", "-n", "all", "--archives"]).out;
    assert_eq!(outputs.matches("fetching page.html").count(), 4, "each run's output is kept: {outputs}");
}

#[test]
fn the_backup_verifies_and_rotates() {
    let env = added("save", "jobs/backup.sh", &["--env", "SOURCE=data", "--env", "TARGET=archives", "--env", "KEEP=2"]);
    let archives = || {
        let names = fs::read_dir(env.dir().join("archives")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    env.write("data/one", "1", 0o644);
    env.write("data/two", "2", 0o644);
    for _ in 0..3 {
        ended_with(&run_to_end(&env, "save"), 0);
        assert!(env.read("save.txt").starts_with("saved 2 files in backup-"));
    }
    assert!(env.read("save.txt").contains("\nremoved backup-"));
    assert_eq!(archives().len(), 2, "{:?}", archives());
    assert!(archives().iter().all(|name| name.ends_with(".tar.gz")), "{:?}", archives());
}

#[test]
fn the_backup_without_a_source_says_what_is_missing() {
    let env = added("save", "jobs/backup.sh", &["--once"]);
    let run = run_to_end(&env, "save");
    assert_eq!(run["outcome"], "exit_code");
    assert!(env.read("save.txt").contains("set SOURCE to the directory to be saved"));
    assert_eq!(env.state("save"), "failed");
}

#[test]
fn the_report_adds_up_what_is_beside_it() {
    let env = added("report", "jobs/report.py", &["--once"]);
    ended_with(&run_to_end(&env, "report"), 0);
    let expected = "region     units      income\n\
                    north        200      840.00\n\
                    south        260     1260.00\n\
                    west         110      404.00\n\
                    total        570     2504.00\n";
    assert_eq!(env.read("report.txt"), expected);
}

#[test]
fn the_report_names_the_file_that_it_cannot_read() {
    let env = added("report", "jobs/report.py", &["none.csv", "--once"]);
    ended_with(&run_to_end(&env, "report"), 1);
    assert!(env.read("report.txt").starts_with("report: none.csv: FileNotFoundError"), "{}", env.read("report.txt"));
}

/// Whether R can be run here; says so where it cannot.
fn has_r() -> bool {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).any(|folder| folder.join("Rscript").is_file());
    if !found {
        println!("skipped: no Rscript");
    }
    found
}

/// Where there is no R, a start is refused and says so, and nothing is on record as having run.
fn refused_for_want_of_r(env: &TestEnv, name: &str) {
    let said = env.fails(1, &["start", name]);
    assert!(said.err.contains("interpreter `Rscript`"), "{said:?}");
    assert!(env.history(name).is_empty());
}

#[test]
fn the_model_fits_a_line() {
    let env = added("model", "jobs/model.R", &["--once"]);
    if !has_r() {
        return refused_for_want_of_r(&env, "model");
    }
    ended_with(&run_to_end(&env, "model"), 0);
    assert_eq!(env.read("model.txt"), "distance = -17.58 + 3.93 * speed\nr squared 0.651, 50 cars\n");
}

#[test]
fn the_seeds_script_says_who_runs_it() {
    let env = TestEnv::new();
    copy_samples(&env);
    env.ok(&["init", "--exec-id", "xg15"]);
    env.ok(&["add", "LOL", "jobs/test.R", "--once", "--env", "SYMBOL=LOL"]);
    if !has_r() {
        return refused_for_want_of_r(&env, "LOL");
    }
    ended_with(&run_to_end(&env, "LOL"), 0);
    let output = env.read("LOL.txt");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..2], ["[1] \"xg15\"", "[1] \"LOL\""]);
    assert!(lines[2].starts_with("[1] \"20") && lines[2].ends_with("UTC\""), "{}", lines[2]);
}

#[test]
fn every_sample_has_a_test() {
    let this = include_str!("samples.rs");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // What a script reads is tested with it.
        let data = [".html", ".csv"].iter().any(|extension| name.ends_with(extension));
        assert!(data || this.contains(&format!("jobs/{name}")), "{name}");
    }
}

#[test]
fn the_pipeline_brings_maps_and_reduces() {
    let env = TestEnv::new();
    copy_samples(&env);
    let said = env.ok(&["apply", "jobs/pipeline.toml"]);
    assert_eq!(said.out, "fetch 1\nnorth 2\nsouth 3\nwest 4\nreport 5\n");
    env.ok(&["keep-restarting", "--until-idle", "--slots", "3"]);
    let report = env.ok(&["job", "log", "5"]).out;
    assert_eq!(report, "south 1260\nnorth 840\nwest 404\ntotal 2504\n");
    let brought = &env.json(&["job", "show", "1"])["transfers"][0];
    assert_eq!((&brought["name"], &brought["state"]), (&"table".into(), &"done".into()));
    let states = env.json(&["jobs", "--by-state"]);
    assert_eq!(states.as_array().unwrap().len(), 1, "{states}");
}
