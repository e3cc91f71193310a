//! A folder that cannot be written: read-only, or on a full disk. Each test has a mount namespace of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::suite::env::{Said, TestEnv, until};

/// A process that holds a mount namespace in which something was mounted; it dies with its test.
struct Mounts {
    holder: Child,
    user: bool,
}

impl Mounts {
    /// Runs the shell lines `mount` in a new mount namespace. Panics, saying so, where the machine allows none.
    fn new(env: &TestEnv, mount: &str) -> Self {
        let mut refused = String::new();
        for flags in ["-m", "-rm"] {
            let mut command = Command::new("unshare");
            env.clean(&mut command);
            let script = format!("set -e\n{mount}\necho mounted\nexec sleep 600");
            command.args([flags, "sh", "-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut holder = command.spawn().expect("`unshare` of util-linux is needed by this test");
            let mut line = String::new();
            BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
            if line == "mounted\n" {
                return Self { holder, user: flags == "-rm" };
            }
            refused = format!("{:?}", holder.wait_with_output());
        }
        panic!("this machine allows no private mount namespace, so nothing was tested here: {refused}");
    }

    /// Runs a command in there.
    fn run(&self, env: &TestEnv, args: &[&str]) -> Said {
        let mut command = Command::new("nsenter");
        env.clean(&mut command);
        command.arg(format!("--target={}", self.holder.id())).arg("--mount");
        if self.user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh"]).arg(env.dir()).args(args);
        let output = command.output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs jobexec in there; it must end with this exit code.
    #[track_caller]
    fn jobexec(&self, env: &TestEnv, code: i32, line: &str) -> Said {
        let words = [env!("CARGO_BIN_EXE_jobexec")].into_iter().chain(line.split_whitespace());
        let said = self.run(env, &words.collect::<Vec<_>>());
        assert_eq!(said.code, code, "{line:?} said {said:?}");
        said
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// What only looks.
const READING: [&str; 18] = [
    "",
    "status",
    "status --usage",
    "status --json",
    "status A",
    "status A B --json",
    "list",
    "list --json",
    "show A",
    "check",
    "history A",
    "log",
    "tail A",
    "tail A -n all",
    "explain A",
    "history B --json",
    "report",
    "report --json",
];

#[test]
fn a_read_only_folder_can_be_looked_at() {
    let env = TestEnv::new();
    env.ok(&["add", "A", "--", "sh", "-c", "echo hello; exec sleep 60"]);
    env.ok(&["add", "B", "--restart", "never", "--", "sh", "-c", "while [ ! -e go ]; do sleep 0.01; done; exit 3"]);
    env.ok(&["start", "A", "B"]);
    until("output", || env.read("A.txt") == "hello\n");
    // The binds are private; the shell outside goes on writing.
    let mounts = Mounts::new(&env, "mount --bind executor executor\nmount -o remount,bind,ro executor");
    fs::write(env.dir().join("go"), "").unwrap();
    until("the end of B", || mounts.jobexec(&env, 0, "history B --json").out.contains("\"exit_code\": 3"));
    for line in READING {
        let code = if line.contains(" B") && line.starts_with("status") { 3 } else { 0 };
        let said = mounts.jobexec(&env, code, line);
        assert!(!said.err.contains("error"), "{line}: {said:?}");
    }
    assert_eq!(mounts.jobexec(&env, 0, "tail A").out, "hello\n");
    assert!(mounts.jobexec(&env, 3, "status B").out.contains("exit code 3"), "what has ended is told");
    let folder = env.folder().canonicalize().unwrap();
    for line in ["add C -- true", "edit A --timeout 3s", "remove B", "start B", "stop A", "restart A"] {
        let said = mounts.jobexec(&env, 1, line);
        assert!(said.err.starts_with("error: "), "{line}: {said:?}");
        assert!(said.err.contains(folder.to_str().unwrap()), "{line}: which path: {said:?}");
        assert!(said.err.contains("Read-only file system"), "{line}: why: {said:?}");
        assert!(!said.err.contains("busy"), "{line}: nobody is busy: {said:?}");
    }
    drop(mounts);
    assert_eq!(env.state("A"), "running", "nothing was stopped");
    assert_eq!(env.history("B").len(), 1, "and nothing started");
    env.ok(&["stop", "A"]);
}

/// A small disk, filled to the last byte.
fn full_disk(env: &TestEnv) -> Mounts {
    let jobexec = env!("CARGO_BIN_EXE_jobexec");
    let mounts = Mounts::new(env, "mkdir disk\nmount -t tmpfs -o size=4m,mode=0755 none disk");
    let script = format!(
        "export JOBEXEC_FOLDER={0}/disk/ex
        {jobexec} add A -- sh -c 'echo hello; exec sleep 60'
        {jobexec} add B -- sh -c 'touch {0}/ran'
        {jobexec} add D --restart never -- sh -c 'while [ ! -e {0}/go ]; do sleep 0.01; done; exit 7'
        {jobexec} start A D && cp disk/ex/jobexec.toml before
        while [ ! -s disk/ex/A.txt ]; do sleep 0.01; done
        dd if=/dev/zero of=disk/fill bs=4096
        dd if=/dev/zero of=disk/fill2 bs=1
        ",
        env.dir().display()
    );
    let said = mounts.run(env, &["sh", "-c", &script]);
    assert!(said.err.contains("No space left on device"), "{said:?}");
    mounts
}

#[test]
fn a_full_disk_can_be_looked_at_and_loses_no_outcome() {
    let env = TestEnv::new();
    let mounts = full_disk(&env);
    let folder = format!("{}/disk/ex", env.dir().canonicalize().unwrap().display());
    let at = |line: &str| format!("-f {folder} {line}");
    for line in READING {
        let code = if line == "status A B --json" { 3 } else { 0 };
        let said = mounts.jobexec(&env, code, &at(line));
        assert!(!said.err.contains("error"), "{line}: {said:?}");
    }
    for line in ["add C -- true", "edit A --timeout 3s", "remove B", "start B"] {
        let said = mounts.jobexec(&env, 1, &at(line));
        assert!(said.err.starts_with("error: cannot ") && said.err.contains(&folder), "{line}: {said:?}");
        assert!(said.err.contains("No space left on device"), "{line}: {said:?}");
    }
    assert!(!env.dir().join("ran").exists(), "a start is refused before the script runs");
    let same = format!("cmp before {folder}/jobexec.toml && ls -A {folder} && ls {folder}/runs | wc -l");
    let said = mounts.run(&env, &["sh", "-c", &same]);
    assert!(said.code == 0 && !said.out.contains("tmp"), "the registry is as it was, nothing beside it: {said:?}");
    assert!(said.out.ends_with("2\n"), "two records, of the two that run: {said:?}");
    // D ends while there is no room for anything.
    fs::write(env.dir().join("go"), "").unwrap();
    let history = || mounts.jobexec(&env, 0, &at("history D --json")).out;
    until("the end of D", || history().contains("\"exit_code\": 7"));
    assert!(mounts.jobexec(&env, 3, &at("status D")).out.contains("failed"));
    assert!(mounts.run(&env, &["sh", "-c", &format!("ls {folder}/runs | wc -l")]).out == "2\n", "still on record");
    // What runs can still be stopped: there is a reserve for that.
    mounts.jobexec(&env, 0, &at("stop A"));
    assert!(mounts.jobexec(&env, 3, &at("status A")).out.contains("stopped"));
    mounts.run(&env, &["sh", "-c", "rm disk/fill disk/fill2"]);
    assert!(mounts.jobexec(&env, 3, &at("status D")).out.contains("exit code 7"));
    assert!(mounts.run(&env, &["sh", "-c", &format!("ls {folder}/runs | wc -l")]).out == "0\n", "imported");
    assert!(history().contains("\"exit_code\": 7"));
    mounts.jobexec(&env, 0, &at("start B"));
    until("B to have run", || env.dir().join("ran").exists());
    mounts.jobexec(&env, 0, &at("stop --all"));
}
