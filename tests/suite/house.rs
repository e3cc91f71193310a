//! The edges between the modules point one way.

use std::fs;
use std::path::{Path, PathBuf};

/// Which modules a module may use, besides itself.
const EDGES: [(&str, &[&str]); 13] = [
    ("domain", &[]),
    ("home", &["domain"]),
    ("process", &["home", "domain"]),
    ("registry", &["home", "domain"]),
    ("store", &["home", "domain"]),
    ("ledger", &["store", "process", "home", "domain"]),
    ("worker", &["ledger", "store", "process", "home", "domain"]),
    ("stage", &["ledger", "store", "process", "home", "domain"]),
    ("executor", &["ledger", "store", "registry", "process", "home", "domain"]),
    ("supervisor", &["executor", "ledger", "store", "process", "home", "domain"]),
    ("service", &["domain"]),
    ("report", &["service", "executor", "ledger", "store", "registry", "process", "home", "domain"]),
    (
        "cli",
        &["report", "supervisor", "service", "executor", "ledger", "store", "registry", "process", "home", "domain"],
    ),
];

fn sources(of: &str) -> Vec<(PathBuf, String)> {
    fn walk(path: &Path, found: &mut Vec<PathBuf>) {
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| walk(&entry.unwrap().path(), found));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.to_path_buf());
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root.join(of), &mut found);
    walk(&root.join(format!("{of}.rs")), &mut found);
    assert!(!found.is_empty(), "no module {of}");
    found.retain(|path| !path.ends_with("tests.rs"));
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The code without its tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

#[test]
fn dependencies_point_one_way() {
    for (module, allowed) in EDGES {
        for (path, text) in sources(module) {
            for used in production(&text).split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let fine = used == module || allowed.contains(&used.as_str());
                assert!(fine, "{} uses crate::{used}", path.display());
            }
        }
    }
}

#[test]
fn every_module_is_in_the_table() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for line in lib.lines().filter_map(|line| line.strip_prefix("pub mod ")) {
        let module = line.trim_end_matches(';');
        assert!(EDGES.iter().any(|(known, _)| *known == module), "{module} has no edges");
    }
}

#[test]
fn every_file_says_why_it_exists() {
    for (module, _) in EDGES {
        for (path, text) in sources(module) {
            assert!(text.starts_with("//! "), "{}", path.display());
        }
    }
}

#[test]
fn only_one_place_reads_the_clock_makes_raw_calls_or_knows_file_names() {
    for (module, _) in EDGES {
        for (path, text) in sources(module) {
            let text = production(&text);
            let in_either = |what: &str, places: &[&str]| {
                let is_there = places.iter().any(|place| path.ends_with(place));
                assert!(!text.contains(what) || is_there, "{} has {what}", path.display());
            };
            let only = |what: &str, place: &str| in_either(what, &[place]);
            only("Timestamp::now", "process/clock.rs");
            only("clock_gettime", "process/clock.rs");
            in_either("allow(unsafe_code)", &["process/sys.rs", "store/memory.rs"]);
            only("jobexec.db\"", "home.rs");
            only("jobexec.toml\"", "home.rs");
        }
    }
}
