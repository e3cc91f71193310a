//! The output file and its archives.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use super::super::env::{TestEnv, alive, until};
use super::super::supervisor::Night;
use super::{NUMBERED, numbered, run_numbered, run_to_end};

/// The files of the executor's folder that are archives of task A.
fn archives(env: &TestEnv) -> Vec<String> {
    let names = fs::read_dir(env.folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("A_")).collect();
    names.sort();
    names
}

#[test]
fn output_and_errors_go_straight_into_the_tasks_file_in_order() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\nfor i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done\nprintf 'no newline'\n";
    env.script("a.sh", script);
    env.ok(&["add", "A", "a.sh", "--once"]);
    run_to_end(&env, "A");
    let expected: String = (1..=5).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(env.read("A.txt"), expected + "no newline");
    assert_eq!(fs::metadata(env.file("A.txt")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn twenty_quick_restarts_lose_nothing() {
    let env = TestEnv::new();
    env.script("a.sh", NUMBERED);
    env.ok(&["add", "A", "a.sh", "--keep", "100"]);
    for run in 1..=20 {
        run_numbered(&env, if run == 1 { "start" } else { "restart" }, run);
    }
    env.ok(&["stop", "A"]);
    let all = env.ok(&["tail", "A", "--archives", "-n", "all"]).out;
    assert_eq!(all, (1..=20).map(numbered).collect::<String>());
    let runs = env.history("A");
    assert_eq!((runs.len(), archives(&env).len()), (20, 19));
    let mut files = HashSet::new();
    for (at, run) in runs.iter().enumerate() {
        let file = run["log"].as_str().unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), numbered(20 - at), "each run has its own file");
        assert!(files.insert(file.to_owned()));
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        if at == 0 {
            assert_eq!(name, "A.txt");
            continue;
        }
        // The stamp is that of the moment when the start was recorded, a little before the script began.
        let seconds = |key: &str| run[key].as_str().unwrap()[..19].replace(['-', ':'], "") + "Z";
        let stamp = name.strip_prefix("A_").unwrap().strip_suffix(".txt").unwrap();
        let (time, number) = stamp.split_at(16);
        assert!(time == seconds("claimed") || time == seconds("started"), "{run}");
        assert!(number.is_empty() || number.strip_prefix('-').unwrap().parse::<u32>().unwrap() >= 2, "{name}");
    }
}

#[test]
fn a_straggler_writes_into_the_file_of_its_own_run() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\n[ -e second ] && echo second && exit\n\
        env -i setsid /bin/sh -c 'trap \"echo late; exit\" TERM; echo $$ >pid; while :; do /bin/sleep 0.02; done' &\n\
        until [ -s pid ]; do sleep 0.01; done\necho first\n";
    env.script("a.sh", script);
    env.ok(&["add", "A", "a.sh", "--once"]);
    let run = run_to_end(&env, "A");
    let pid: i32 = fs::read_to_string(env.dir().join("pid")).unwrap().trim().parse().unwrap();
    assert!(!alive(pid), "swept");
    let said = env.read("A.txt");
    assert!(said.starts_with("first\n") && said.ends_with("late\n"), "{said}");
    assert!(run["reason"].as_str().unwrap().contains("left behind"), "{run}");
    env.write("second", "", 0o644);
    run_to_end(&env, "A");
    assert_eq!(env.read("A.txt"), "second\n");
    assert_eq!(archives(&env).iter().map(|name| env.read(name)).collect::<Vec<_>>(), [said]);
}

#[test]
fn only_so_many_archives_are_kept_and_nothing_foreign_is_touched() {
    let env = TestEnv::new();
    env.script("a.sh", NUMBERED);
    env.ok(&["add", "A", "a.sh", "--keep", "2"]);
    env.ok(&["add", "A_2", "a.sh"]);
    let foreign = ["A_20200101T000000Z.txt", "A_20200101T000000Z-2.txt", "A_notes.txt", "A_2.txt"];
    for name in foreign {
        fs::write(env.file(name), "mine").unwrap();
    }
    for run in 1..=6 {
        run_numbered(&env, if run == 1 { "start" } else { "restart" }, run);
    }
    env.ok(&["stop", "A"]);
    for name in foreign {
        assert_eq!(env.read(name), "mine", "{name}");
    }
    assert_eq!(archives(&env).len(), foreign.len() + 2);
    let runs = env.history("A");
    let kept: Vec<bool> = runs.iter().map(|run| run["log"].is_string()).collect();
    assert_eq!(kept, [true, true, true, false, false, false], "the newest are kept");
    let table = env.ok(&["history", "A"]).out;
    assert_eq!(table.lines().filter(|line| line.trim_end().ends_with("removed")).count(), 3, "{table}");
    assert_eq!(env.ok(&["tail", "A", "--archives", "-n", "all"]).out, [4, 5, 6].map(numbered).concat());
    let said = env.run(&["tail", "A", "--run", "1"]);
    assert!(said.code != 0 && said.err.contains("has been removed"), "{said:?}");
}

#[test]
fn archives_are_kept_up_to_a_size_and_an_age() {
    for flags in [["--keep-bytes", "1KiB"], ["--keep-for", "1ms"]] {
        let env = TestEnv::new();
        env.script("a.sh", NUMBERED);
        env.ok(&["add", "A", "a.sh", flags[0], flags[1]]);
        fs::create_dir_all(env.folder()).unwrap();
        fs::write(env.file("A_20200101T000000Z.txt"), "x".repeat(5000)).unwrap();
        for run in 1..=4 {
            run_numbered(&env, if run == 1 { "start" } else { "restart" }, run);
        }
        env.ok(&["stop", "A"]);
        // 800 bytes each: one fits into the size, and none is young enough.
        let expected = if flags[0] == "--keep-bytes" { 2 } else { 1 };
        assert_eq!(archives(&env).len(), expected, "{flags:?}");
        assert!(archives(&env).contains(&"A_20200101T000000Z.txt".to_owned()));
        assert_eq!(env.read("A.txt"), numbered(4));
    }
}

#[test]
fn a_foreign_file_in_the_place_of_the_output_is_set_aside() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\necho output\n");
    env.ok(&["add", "A", "a.sh", "--once"]);
    fs::write(env.file("A.txt"), "mine").unwrap();
    run_to_end(&env, "A");
    assert_eq!(env.read("A.txt"), "output\n");
    assert_eq!(archives(&env).iter().map(|name| env.read(name)).collect::<Vec<_>>(), ["mine"]);
    // Of the next archive the database knows whose it is; of the foreign one that it is nobody's.
    run_to_end(&env, "A");
    assert_eq!(archives(&env).len(), 2);
    assert_eq!(env.ok(&["tail", "A", "--archives"]).out, "output\noutput\n");
}

#[test]
fn a_link_in_the_place_of_the_output_is_not_followed() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\necho output\n");
    env.ok(&["add", "A", "a.sh", "--once"]);
    let precious = env.write("precious", "kept", 0o644);
    symlink(&precious, env.file("A.txt")).unwrap();
    run_to_end(&env, "A");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
    assert_eq!(env.read("A.txt"), "output\n");
    assert!(!env.file("A.txt").is_symlink());
    symlink(env.dir().join("nowhere"), env.file("B.txt")).unwrap();
    env.ok(&["add", "B", "a.sh", "--once"]);
    run_to_end(&env, "B");
    assert!(!env.dir().join("nowhere").exists());
}

#[test]
fn a_folder_or_a_pipe_in_the_place_of_the_output_holds_nothing_up() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\necho output\n");
    env.ok(&["add", "A", "a.sh", "--once"]);
    fs::create_dir(env.file("A.txt")).unwrap();
    run_to_end(&env, "A");
    assert_eq!(env.read("A.txt"), "output\n");
    env.ok(&["add", "B", "a.sh", "--once"]);
    nix::unistd::mkfifo(&env.file("B.txt"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    run_to_end(&env, "B");
    assert_eq!(env.read("B.txt"), "output\n");
}

#[test]
fn a_run_whose_output_was_deleted_is_never_given_the_next_ones() {
    let env = TestEnv::new();
    env.script("a.sh", NUMBERED);
    env.ok(&["add", "A", "a.sh"]);
    run_numbered(&env, "start", 1);
    for run in 2..=6 {
        run_numbered(&env, "restart", run);
        // Most file systems give the inode of the deleted file to the next one.
        fs::remove_file(env.history("A")[1]["log"].as_str().unwrap()).unwrap();
    }
    let kept: Vec<bool> = env.history("A").iter().map(|run| run["log"].is_string()).collect();
    assert_eq!(kept, [true, false, false, false, false, false]);
    env.ok(&["stop", "A"]);
    assert_eq!(env.ok(&["tail", "A", "--archives", "-n", "all"]).out, numbered(6));
    assert_eq!(env.ok(&["history", "A"]).out.matches("removed").count(), 5);
}

#[test]
fn a_script_may_delete_its_own_output() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\necho one\nrm \"$JOBEXEC_FOLDER/A.txt\"\necho two\nexit 3\n";
    env.script("a.sh", script);
    env.ok(&["add", "A", "a.sh", "--once"]);
    let run = run_to_end(&env, "A");
    assert_eq!((run["exit_code"].as_i64(), run["log"].as_str()), (Some(3), None));
    assert!(env.ok(&["history", "A"]).out.contains("removed"));
    let said = env.ok(&["tail", "A"]);
    assert_eq!(said.out, "");
    run_to_end(&env, "A");
    assert_eq!(archives(&env), [""; 0]);
}

#[test]
fn a_script_may_delete_its_own_working_directory() {
    let env = TestEnv::new();
    env.script("w/a.sh", "#!/bin/sh\necho one\nrm -rf \"$PWD\"\necho two\nexec sleep 600\n");
    env.ok(&["add", "A", "a.sh", "--wd", "w"]);
    env.ok(&["start", "A"]);
    until("output", || env.read("A.txt") == "one\ntwo\n");
    assert_eq!(env.state("A"), "running");
    let said = env.fails(1, &["restart", "A"]);
    assert!(said.err.contains("working directory"), "{said:?}");
    assert_eq!(env.state("A"), "running", "what runs goes on");
    env.ok(&["stop", "A"]);
    assert_eq!(env.processes(), [0_i32; 0]);
    assert!(env.fails(1, &["start", "A"]).err.contains("does not exist"));
}

#[test]
fn a_supervisor_whose_folder_is_deleted_says_so_and_ends() {
    for replaced in [false, true] {
        let env = TestEnv::new();
        env.script("a.sh", "#!/bin/sh\nuntil [ -e go ]; do sleep 0.02; done\n");
        env.ok(&["add", "A", "a.sh"]);
        let night = Night::begin(&env);
        env.ok(&["start", "A"]);
        let pid = env.status("A")["pid"].as_i64().unwrap();
        fs::rename(env.folder(), env.dir().join("elsewhere")).unwrap();
        fs::remove_dir_all(env.dir().join("elsewhere")).unwrap();
        if replaced {
            env.ok(&["init"]);
        }
        let (code, said) = night.ended();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("is gone") && said.contains(&format!("still running: pid {pid}")), "{said}");
        assert!(!said.contains("orphaned"), "{said}");
        env.write("go", "", 0o644);
        until("all to end", || env.processes().is_empty());
    }
}

#[test]
fn the_folder_may_be_deleted_under_a_run() {
    let env = TestEnv::new();
    env.script("a.sh", "#!/bin/sh\nrm -rf \"$JOBEXEC_FOLDER\"\nrm -f one\nuntil [ -e go ]; do sleep 0.02; done\n");
    env.ok(&["add", "A", "a.sh", "--once"]);
    env.ok(&["start", "A"]);
    until("the folder to go", || !env.folder().exists());
    env.write("go", "", 0o644);
    until("all to end", || env.processes().is_empty());
}
