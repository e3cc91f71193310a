//! What the documents say is what the program does.
//!
//! `UPDATE_DOCS=1 cargo test --test suite docs` rewrites the parts that are made from the program: rendered tables, and
//! the output in the README's tour.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::env::{TestEnv, until};
use super::samples::copy_samples;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn document(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap()
}

fn is_update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

/// Compares the part of a document that is made from the program, or rewrites it.
#[track_caller]
fn check_rendered(name: &str, text: &str) {
    let document = document(name);
    let (begin, end) = ("<!-- rendered -->\n", "<!-- end of rendered -->");
    let from = document.find(begin).unwrap() + begin.len();
    let to = document.find(end).unwrap();
    if is_update() {
        fs::write(repository().join(name), format!("{}{text}{}", &document[..from], &document[to..])).unwrap();
    } else {
        assert_eq!(&document[from..to], text, "{name} is not up to date: run this test with UPDATE_DOCS=1");
    }
}

#[test]
fn the_table_of_the_lifecycle_is_that_of_the_code() {
    check_rendered("docs/lifecycle.md", &jobexec::domain::lifecycle::render());
}

#[test]
fn the_table_of_the_fields_is_that_of_the_code() {
    check_rendered("docs/registry.md", &jobexec::registry::render_fields());
}

#[test]
fn the_unit_in_the_document_is_what_is_installed() {
    let unit = jobexec::service::unit::Unit {
        program: Path::new("/home/anna/bin/jobexec"),
        folder: Path::new("/home/anna/.local/state/jobexec"),
        search: Some("/home/anna/bin:/usr/local/bin:/usr/bin:/bin".as_ref()),
        sleep: None,
    };
    check_rendered("docs/service.md", &format!("```ini\n{}```\n", unit.render().unwrap()));
}

#[test]
fn the_example_of_a_registry_is_one() {
    let document = document("docs/registry.md");
    let example = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let env = TestEnv::new();
    env.ok(&["init"]);
    fs::write(env.file("jobexec.toml"), example).unwrap();
    let tasks = env.json(&["list"]);
    let names: Vec<&str> = tasks.as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["LOL", "nightly", "disk"]);
    assert_eq!(tasks[0]["stop"]["grace"], 30.0, "the defaults hold");
}

#[test]
fn the_example_of_restarting_is_one() {
    let document = document("docs/registry.md");
    let example = document.split("```toml\n").nth(2).unwrap().split("```").next().unwrap();
    let env = TestEnv::new();
    env.ok(&["init"]);
    fs::write(env.file("jobexec.toml"), format!("{}\n{example}", env.read("jobexec.toml"))).unwrap();
    let task = env.json(&["show", "feed"]);
    assert_eq!(task["backoff"]["max"], 300.0);
    assert_eq!(task["stall"]["action"], "restart");
    assert_eq!(task["notify"]["url"], "https://hooks.example/…");
    let told = first_column(&document, "Restarting, giving up");
    let occasions = jobexec::domain::notice::Occasion::ALL.map(|occasion| occasion.as_str().to_owned());
    assert!(told.is_superset(&BTreeSet::from(occasions)), "{told:?}");
}

#[test]
fn the_example_of_parameters_is_one() {
    let document = document("docs/registry.md");
    let section = document.split("\n## Parameters").nth(1).unwrap();
    let example = section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let env = TestEnv::new();
    env.ok(&["init"]);
    fs::write(env.file("jobexec.toml"), format!("{}\n{example}", env.read("jobexec.toml"))).unwrap();
    let task = env.json(&["show", "count"]);
    assert_eq!(task["params"]["samples"]["default"], 100);
    assert_eq!(task["params"]["sample"]["required"], true);
    assert_eq!(task["transfers"]["data"]["remote"], "/data/{{sample}}.csv");
    assert_eq!(task["hooks"]["timeout"], 600.0);
    let parts = first_column(&document, "Parameters");
    for part in task["params"]["sample"].as_object().unwrap().keys() {
        assert!(parts.contains(part), "{part}");
    }
    let parts = first_column(&document, "Jobs: queue");
    for part in task["transfers"]["data"].as_object().unwrap().keys() {
        assert!(parts.contains(part), "{part}");
    }
}

#[test]
fn the_example_of_schedules_is_one_and_what_may_be_written_is_read() {
    let document = document("docs/schedules.md");
    let example = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let env = TestEnv::new();
    env.ok(&["init"]);
    fs::write(env.file("jobexec.toml"), format!("{}\n{example}", env.read("jobexec.toml"))).unwrap();
    assert_eq!(env.json(&["show", "backup"])["period"], "every weekday at 9");
    for (headline, flag) in [("period", "--period"), ("start", "--start")] {
        let written = first_column(&document, headline);
        assert!(written.len() > 3, "{written:?}");
        for text in written {
            env.ok(&["edit", "backup", flag, &text]);
        }
    }
}

#[test]
fn the_example_of_resources_is_one() {
    let document = document("docs/registry.md");
    let example = document.split("## Resources").nth(1).unwrap().split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let env = TestEnv::new();
    env.ok(&["init"]);
    fs::write(env.file("jobexec.toml"), format!("{}\n{example}", env.read("jobexec.toml"))).unwrap();
    let train = &env.json(&["show", "train"])["resources"];
    assert_eq!((&train["cpus"], &train["gpus"], &train["num_nodes"]), (&4.into(), &0.5.into(), &Value::Null));
    let simulate = env.json(&["show", "simulate"]);
    assert_eq!((&simulate["resources"]["ranks_per_node"], &simulate["timeout"]), (&8.into(), &5400.0.into()));
}

/// The words in the first column of the tables under a headline.
pub fn first_column(document: &str, headline: &str) -> BTreeSet<String> {
    let section = document.split("\n## ").find(|section| section.starts_with(headline));
    let section = section.unwrap_or_else(|| panic!("no section {headline}"));
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

/// The keys of an object, those of objects in it with a dot. What the user names is no key of ours; what an event
/// carries depends on its cause.
pub fn keys(value: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (key, value) in value.as_object().unwrap_or_else(|| panic!("no object: {value}")) {
        keys.insert(key.clone());
        if let (Value::Object(inner), false) =
            (value, ["env", "tags", "data", "params", "transfers"].contains(&key.as_str()))
        {
            keys.extend(inner.keys().map(|inner| format!("{key}.{inner}")));
        }
    }
    keys
}

#[test]
fn every_key_of_the_json_is_documented_and_every_documented_key_is_there() {
    let env = TestEnv::new();
    env.script("run.sh", "#!/bin/sh\nexec sleep 60\n");
    let optional = ["--give-up-failures", "3", "--stall-after", "1h"];
    env.ok(&[&["add", "LOL", "run.sh", "--env", "A=1", "--tag", "b=2"][..], &optional].concat());
    env.ok(&["add", "gone", "none.sh"]);
    env.ok(&["start", "LOL"]);
    let document = document("docs/json.md");
    let check = |headline: &[&str], value: &Value| {
        let documented: BTreeSet<String> =
            headline.iter().flat_map(|headline| first_column(&document, headline)).collect();
        assert_eq!(keys(value), documented, "{headline:?}");
    };
    check(&["A task"], &env.json(&["list"])[0]);
    check(&["A task"], &env.json(&["show", "LOL"]));
    check(&["A task", "A status"], &env.json(&["status", "--usage"])[0]);
    check(&["A task", "A status", "The status of one"], &env.json(&["status", "LOL", "--usage"]));
    check(&["A run"], &env.json(&["history", "LOL"])[0]);
    check(&["A run"], &env.json(&["status", "LOL"])["runs"][0]);
    check(&["A line of the log"], &env.json(&["log"])[0]);
    check(&["An explanation"], &env.json(&["explain", "LOL"]));
    check(&["A trouble"], &env.json(&["check"])[0]);
    env.ok(&["stop", "LOL"]);
    check(&["A run"], &env.json(&["history", "LOL"])[0]);
    env.ok(&["add", "fires", "--period", "day", "run.sh"]);
    env.ok(&["start", "fires"]);
    check(&["A coming occurrence"], &env.json(&["next"])[0]);
    check(&["A coming occurrence", "A planned start"], &env.json(&["next", "--plan", "48h"])[0]);
}

#[test]
fn every_key_of_a_jobs_json_is_documented_and_every_documented_key_is_there() {
    let env = TestEnv::new();
    env.ok(&["submit", "-p", "a=1", "--tag", "b=2", "--data", "{\"c\": 3}", "--", "sh", "-c", "echo {{a}}"]);
    env.ok(&["submit", "--after", "1", "--", "true"]);
    env.ok(&["keep-restarting", "--until-idle"]);
    env.ok(&["group", "pause", "g"]);
    let document = document("docs/json.md");
    // Two keys that mean the same are in one row.
    let documented = |headline: &str| -> BTreeSet<String> {
        let section = document.split("\n## ").find(|section| section.starts_with(&format!("{headline}\n"))).unwrap();
        let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        cells.flat_map(|cell| cell.split(", ").map(|key| key.trim_matches('`').to_owned())).collect()
    };
    let check = |headline: &[&str], value: &Value| {
        let all: BTreeSet<String> = headline.iter().flat_map(|headline| documented(headline)).collect();
        let found: BTreeSet<String> = value.as_object().unwrap().keys().cloned().collect();
        assert_eq!(found, all, "{headline:?}");
    };
    let job = env.json(&["job", "show", "1"]);
    check(&["A job"], &env.json(&["jobs"])[0]);
    check(&["A job", "A job in full"], &job);
    check(&["A run of a job"], &job["runs"][0]);
    check(&["A job"], &env.json(&["job", "lineage", "1"])[0]);
    check(&["A file of a job"], &env.json(&["job", "files", "1"])[0]);
    check(&["An event of a job"], &env.json(&["job", "events", "1"])[0]);
    check(&["A count"], &env.json(&["jobs", "--by-state"])[0]);
    check(&["How jobs did"], &env.json(&["jobs", "--stats"]));
    env.write("flow.toml", "name = \"flow\"\n\n[job.one]\nshell = \"true\"\n", 0o644);
    check(&["What was applied"], &env.json(&["apply", "flow.toml", "--dry-run"]));
    check(&["A group"], &env.json(&["group", "list"])[0]);
    check(&["Why a job is in its state"], &env.json(&["explain", "1"]));
}

#[test]
fn every_exit_code_is_documented_and_happens() {
    let env = TestEnv::new();
    env.script("run.sh", "#!/bin/sh\nexec sleep 60\n");
    env.ok(&["add", "LOL", "run.sh"]);
    env.ok(&["add", "gone", "none.sh"]);
    env.fails(1, &["start", "gone"]);
    env.fails(2, &["add", "no name", "run.sh"]);
    env.fails(2, &["start"]);
    env.fails(3, &["status", "LOL"]);
    env.fails(4, &["start", "LOK"]);
    env.ok(&["start", "LOL"]);
    env.fails(5, &["remove", "LOL"]);
    env.ok(&["submit", "--", "true"]);
    env.fails(124, &["wait", "2", "--timeout", "0.01s"]);
    let documented = first_column(&document("docs/exit-codes.md"), "The codes");
    // Nobody can make 70 happen on purpose.
    let happened = ["0", "1", "2", "3", "4", "5", "70", "124"].map(str::to_owned);
    assert_eq!(documented, BTreeSet::from(happened));
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut documents = vec![repository().join("README.md"), repository().join("CHANGELOG.md")];
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(repository().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        documents.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    for path in documents {
        for link in fs::read_to_string(&path).unwrap().split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            let file = link.split('#').next().unwrap();
            let fine = file.is_empty() || file.contains("://") || path.parent().unwrap().join(file).exists();
            assert!(fine, "{} links to {link}", path.display());
        }
    }
}

#[test]
fn the_manual_and_the_completions_can_be_printed() {
    let env = TestEnv::new();
    assert!(env.ok(&["man"]).out.starts_with(".ie") || env.ok(&["man"]).out.contains(".TH jobexec 1"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(env.ok(&["completions", shell]).out.contains("jobexec"), "{shell}");
    }
}

/// A piece of the README: text, or commands of the tour.
enum Piece<'a> {
    Text(&'a str),
    Tour(Vec<(&'a str, String)>),
}

/// Takes the README apart: every block of `console` is a part of the tour, each `$ ` a command with its output.
fn pieces(readme: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = readme;
    while let Some(at) = rest.find("```console\n") {
        let (text, block) = rest.split_at(at + "```console\n".len());
        let (block, after) = block.split_at(block.find("```").unwrap());
        pieces.push(Piece::Text(text));
        let mut commands: Vec<(&str, String)> = Vec::new();
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command, String::new())),
                None => *commands.last_mut().map(|(_, output)| output).unwrap() += &format!("{line}\n"),
            }
        }
        pieces.push(Piece::Tour(commands));
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// What has to be waited for before the block that follows: `<!-- until: CONDITION -->`, a condition for the shell.
fn conditions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("<!-- until: ")?.strip_suffix(" -->"))
}

/// Before each command's output in the output of the whole tour.
const MARK: &str = "\u{1e}";

/// The tour as one script: a reader types it into one shell.
fn tour_script(pieces: &[Piece<'_>]) -> String {
    let mut script = String::from("exec 2>&1\n");
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                for condition in conditions(text) {
                    script += &format!(
                        "n=0; until {{ {condition}; }} >/dev/null; do n=$((n + 1)); \
                         [ $n -lt 1200 ] || {{ echo waited in vain; exit; }}; sleep 0.05; done\n"
                    );
                }
            }
            Piece::Tour(commands) => {
                for (command, _) in commands {
                    script += &format!("printf '{MARK}'\n{command}\n");
                }
            }
        }
    }
    script
}

/// What the reader of the README is called, and where they sit. As long as what it stands for here, so that columns
/// stay in line.
const READER: &str = "anna";
const READERS_FOLDER: &str = "/home/anna/demo";

#[test]
fn the_tour_of_the_readme_is_what_happens() {
    let readme = document("README.md");
    let mut pieces = pieces(&readme);
    // `/tmp/tourXXXXXX` is as long as the reader's folder.
    let env = TestEnv::with_prefix("tour");
    copy_samples(&env);
    let mut shell = std::process::Command::new("/bin/sh");
    env.clean(&mut shell);
    let path = std::env::var("PATH").unwrap();
    let ours = Path::new(env!("CARGO_BIN_EXE_jobexec")).parent().unwrap().to_path_buf();
    let folders = std::iter::once(ours).chain(std::env::split_paths(&path)).collect::<Vec<PathBuf>>();
    shell.env("PATH", std::env::join_paths(folders).unwrap()).arg("-c").arg(tour_script(&pieces));
    let output = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    let here = env.dir().canonicalize().unwrap();
    let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    let output = output.replace(here.to_str().unwrap(), READERS_FOLDER);
    let mut outputs = output.split(MARK).skip(1);
    for piece in &mut pieces {
        let Piece::Tour(commands) = piece else { continue };
        for (command, documented) in commands {
            let said = outputs.next().unwrap_or_else(|| panic!("the tour ended before `{command}`: {output}"));
            let said = with_reader(said, &me);
            if is_update() {
                *documented = said;
            } else {
                assert_eq!(masked(documented), masked(&said), "`{command}`; to accept it, run with UPDATE_DOCS=1");
            }
        }
    }
    if is_update() {
        fs::write(repository().join("README.md"), printed(&pieces)).unwrap();
    }
    // The tour cleans up after itself, as it tells its reader to.
    until("nothing to be left", || env.processes().is_empty());
}

fn printed(pieces: &[Piece<'_>]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(part) => text += part,
            Piece::Tour(commands) => {
                for (command, output) in commands {
                    text += &format!("$ {command}\n{output}");
                }
            }
        }
    }
    text
}

/// Puts the reader in the place of whoever runs this.
fn with_reader(text: &str, me: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(me) {
        let (before, after) = (&rest[..at], &rest[at + me.len()..]);
        let alone = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && !"/_-.".contains(c));
        let is_word = alone(before.chars().next_back()) && alone(after.chars().next());
        words += before;
        words += if is_word { READER } else { me };
        rest = after;
    }
    words + rest
}

/// The text without what differs from run to run: pids, times, durations, sizes, prices, the width of columns, and how
/// many prices there were.
fn masked(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(masked_line).collect();
    lines.dedup();
    lines.join("\n")
}

fn masked_line(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let word = masked_word(word);
        let last = words.last().map(String::as_str);
        match (last, word.as_str()) {
            // `1m 12s` and `2026-01-01 00:00:00`: one thing in two words.
            (Some("<duration>"), "<duration>") | (Some("<time>"), "<time>") => {}
            (Some(size), unit)
                if ["GiB", "MiB", "KiB", "B"].contains(&unit.trim_matches([',', ';', '.']))
                    && (size == "<number>" || is_number(size)) =>
            {
                words.pop();
                words.push("<size>".to_owned());
            }
            // `17 h 14 min`: the same, spelled out.
            (Some(number), unit)
                if ["d", "h", "min", "s"].contains(&unit.trim_matches([',', ')']))
                    && (number == "<number>" || is_number(number)) =>
            {
                words.pop();
                if words.last().is_none_or(|last| last != "<duration>") {
                    words.push("<duration>".to_owned());
                }
            }
            _ => words.push(word),
        }
    }
    words.join(" ")
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

fn is_decimal(text: &str) -> bool {
    is_number(text) || text.split_once('.').is_some_and(|(whole, part)| is_number(whole) && is_number(part))
}

fn masked_word(word: &str) -> String {
    let body = word.trim_matches(|c: char| "()[],;:.\"`".contains(c));
    let shape: String = body.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let mask = if shape.contains("_00000000T000000Z") {
        let (name, _) = body.split_at(shape.find("_00000000T000000Z").unwrap());
        format!("{name}_<time>.txt")
    } else if ["00:00:00", "00:00", "0000-00-00"].contains(&shape.as_str()) || shape.starts_with("0000-00-00T00:00:00")
    {
        "<time>".to_owned()
    } else if ["ms", "s", "m", "h", "d"].iter().any(|unit| body.strip_suffix(unit).is_some_and(is_decimal)) {
        "<duration>".to_owned()
    } else if ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&body) {
        "<day>".to_owned()
    } else if ["EST", "EDT"].contains(&body) {
        "<zone>".to_owned()
    } else if is_decimal(body) && body.len() > 1 {
        "<number>".to_owned()
    } else {
        body.to_owned()
    };
    word.replacen(body, &mask, 1)
}

#[test]
fn what_differs_from_run_to_run_is_masked() {
    let check = |text: &str, expected: &str| assert_eq!(masked_line(text), expected);
    check("LOL  running  31439   1m 12s", "LOL running <number> <duration>");
    check("[ 2026-11-20 20:20:48 ] Starting LOL (pid: 31449)", "[ <time> ] Starting LOL (pid: <number>)");
    check("LOL_20210301T105358Z-2.txt 7.2 MiB exit code 1", "LOL_<time>.txt <size> exit code 1");
    check("7 MiB 1.05", "<size> <number>");
    check("Sun 2026-11-22 02:30:00 EST (in 17 h 14 min)", "<day> <time> <zone> (in <duration>");
    assert_eq!(with_reader("by root (/root/x) root", "root"), "by anna (/root/x) anna");
}
