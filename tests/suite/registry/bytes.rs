//! Our edits change the bytes of the edited item and no others.

use std::fs;
use std::os::unix::fs::symlink;

use super::between;
use crate::suite::env::TestEnv;

const HEAD: &str =
    "# mine,  do not touch\nversion=1   # v\nexec_id = 'xg15'\n\n\n[defaults] # for all\nstop.grace = \"3s\"\n\n";
const A: &str = "# above A\n[task.A]   # beside A\n  script   =   'a.sh'  # what\nenv = { X = \"1\",   Y = '2' }\n\n";
const B: &str = "[task.B]\ncommand = [\n  \"sleep\", # long\n  \"9\",\n]\n\n";
const C: &str = "# über C: ä\n[task.'C.d']\nshell = '''\necho \"a\"\n'''\n# the end, without line end";

fn written(text: &str) -> TestEnv {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "xg15"]);
    fs::write(env.file("jobexec.toml"), text).unwrap();
    env
}

#[test]
fn edit_touches_one_item() {
    let env = written(&format!("{HEAD}{A}{B}{C}"));
    env.ok(&["edit", "B", "--timeout", "5s"]);
    let text = env.read("jobexec.toml");
    let b = between(&text, &format!("{HEAD}{A}"), C);
    assert_eq!(b, "[task.B]\ncommand = [\n  \"sleep\", # long\n  \"9\",\n]\ntimeout = \"5s\"\n\n");
    env.ok(&["edit", "B", "--unset", "timeout"]);
    assert_eq!(env.read("jobexec.toml"), format!("{HEAD}{A}{B}{C}"), "there and back again");
    env.ok(&["edit", "A", "--env", "Y=3"]);
    let a = A.replace("'2'", "\"3\"");
    assert_eq!(env.read("jobexec.toml"), format!("{HEAD}{a}{B}{C}"), "one value of a table of values");
    assert_eq!(env.json(&["show", "A"])["env"], serde_json::json!({"X": "1", "Y": "3"}));
}

#[test]
fn add_appends_and_remove_takes_away() {
    let env = written(&format!("{HEAD}{A}{B}{C}"));
    env.ok(&["add", "N", "--wd", "/", "--", "true"]);
    let text = env.read("jobexec.toml");
    let added = between(&text, &format!("{HEAD}{A}{B}{C}"), "");
    assert_eq!(added.trim(), "[task.N]\ncommand = [\"true\"]\nwd = \"/\"");
    env.ok(&["remove", "B"]);
    let text = env.read("jobexec.toml");
    assert!(text.starts_with(&format!("{HEAD}{A}")) && text.contains(C) && !text.contains("task.B"), "{text}");
    let names: Vec<String> = names(&env);
    assert_eq!(names, ["A", "C.d", "N"]);
    env.ok(&["add", "A", "--replace", "--wd", "/", "--", "true"]);
    let text = env.read("jobexec.toml");
    assert!(text.starts_with(&format!("{HEAD}# above A\n[task.A]   # beside A\n")) && text.contains(C), "{text}");
    assert_eq!(names_in(&text), ["A", "C.d", "N"], "it keeps its place");
}

fn names(env: &TestEnv) -> Vec<String> {
    let list = env.json(&["list"]);
    list.as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap().to_owned()).collect()
}

fn names_in(text: &str) -> Vec<&str> {
    let heads = text.lines().filter_map(|line| line.strip_prefix("[task."));
    heads.map(|line| line.split(']').next().unwrap().trim_matches('\'')).collect()
}

#[test]
fn line_ends_and_a_byte_order_mark_stay() {
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let env = written(&format!("\u{feff}{}", crlf(&format!("{HEAD}{A}"))));
    env.ok(&["add", "N", "--wd", "/", "--", "true"]);
    env.ok(&["edit", "A", "--timeout", "5s"]);
    let text = env.read("jobexec.toml");
    assert!(text.starts_with(&format!("\u{feff}{}", crlf(HEAD))), "{text:?}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "every line ends alike: {text:?}");
    env.ok(&["remove", "N"]);
    env.ok(&["edit", "A", "--unset", "timeout"]);
    assert_eq!(env.read("jobexec.toml").trim_end(), format!("\u{feff}{}", crlf(&format!("{HEAD}{A}"))).trim_end());
}

#[test]
fn tasks_in_other_shapes_are_edited_too() {
    let dotted = "version = 1\nexec_id = \"x\"\n[task]\nA.command = [\"true\"] # a\nB = { command = [\"true\"] } # b\n";
    let env = written(dotted);
    env.ok(&["edit", "A", "--timeout", "5s"]);
    env.ok(&["edit", "B", "--timeout", "6s"]);
    env.ok(&["add", "C", "--", "true"]);
    let task = |name: &str| env.json(&["show", name])["timeout"].clone();
    assert_eq!((task("A"), task("B")), (5.0.into(), 6.0.into()));
    let text = env.read("jobexec.toml");
    assert!(text.contains("# a\n") && text.contains("# b\n"), "{text}");
    for name in ["A", "B", "C"] {
        env.ok(&["remove", name]);
    }
    assert!(names(&env).is_empty());
}

#[test]
fn a_link_stays_a_link() {
    let env = TestEnv::new();
    env.ok(&["init", "--exec-id", "xg15"]);
    let target = env.dir().join("dotfiles/mine.toml");
    fs::create_dir(target.parent().unwrap()).unwrap();
    fs::rename(env.file("jobexec.toml"), &target).unwrap();
    symlink("../dotfiles/mine.toml", env.file("jobexec.toml")).unwrap();
    env.ok(&["add", "A", "--", "true"]);
    env.ok(&["edit", "A", "--timeout", "5s"]);
    assert!(fs::symlink_metadata(env.file("jobexec.toml")).unwrap().is_symlink());
    assert!(fs::read_to_string(&target).unwrap().contains("timeout = \"5s\""));
    fs::write(&target, fs::read_to_string(&target).unwrap().replace("5s", "7s")).unwrap();
    assert_eq!(env.json(&["show", "A"])["timeout"], 7.0, "edits of the target are seen");
    let left: Vec<_> = fs::read_dir(target.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file is left");
}
