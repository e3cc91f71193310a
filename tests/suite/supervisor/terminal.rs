//! Where a supervisor lives: in a terminal that may be closed, in the background, below a task's script.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::pty::PtyMaster;

use super::*;

/// A terminal: our side, and a program in a session of its own on the other.
struct Terminal {
    master: Option<PtyMaster>,
    child: Child,
}

impl Terminal {
    fn run(env: &TestEnv, line: &str) -> Self {
        // None of the processes of other tests may hold our side open.
        let ours = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let master = nix::pty::posix_openpt(ours).unwrap();
        nix::pty::grantpt(&master).unwrap();
        nix::pty::unlockpt(&master).unwrap();
        let theirs = nix::pty::ptsname_r(&master).unwrap();
        let open = || {
            let flags = OFlag::O_NOCTTY.bits();
            Stdio::from(OpenOptions::new().read(true).write(true).custom_flags(flags).open(&theirs).unwrap())
        };
        let mut command = Command::new("setsid");
        env.clean(&mut command);
        let command = command.args(["--ctty", "/bin/sh", "-c", line]);
        let child = command.stdin(open()).stdout(open()).stderr(open()).spawn().unwrap();
        Self { master: Some(master), child }
    }

    /// Waits until it shows this; all that it has shown.
    #[track_caller]
    fn shows(&mut self, text: &str) -> String {
        let mut shown = Vec::new();
        let master = self.master.as_mut().unwrap();
        until(&format!("the terminal to show `{text}`"), || {
            let _ = master.read_to_end(&mut shown);
            String::from_utf8_lossy(&shown).contains(text)
        });
        String::from_utf8_lossy(&shown).into_owned()
    }

    fn close(&mut self) {
        self.master = None;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn jobexec(rest: &str) -> String {
    format!("{} {rest}", env!("CARGO_BIN_EXE_jobexec"))
}

/// The pid that `--detach` answers with.
#[track_caller]
fn pid_said(said: &str) -> i32 {
    let (_, rest) = said.split_once("(pid ").unwrap_or_else(|| panic!("no pid in {said}"));
    rest.split_once(')').unwrap().0.parse().unwrap()
}

/// A field of `/proc/PID/stat`, counted from the state.
fn stat(pid: i32, field: usize) -> i64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit_once(") ").unwrap().1.split(' ').nth(field).unwrap().parse().unwrap()
}

const SESSION: usize = 3;
const TTY: usize = 4;

#[test]
fn a_closed_terminal_does_not_end_the_night() {
    let env = TestEnv::new();
    started(&env, "A", STAYS, &FAST);
    let mut terminal = Terminal::run(&env, &format!("exec {}", jobexec("keep-restarting")));
    terminal.shows("supervising");
    assert_eq!(env.read("supervisor.log"), "", "the diary is on the terminal");
    let pid = i32::try_from(terminal.child.id()).unwrap();
    assert_ne!(stat(pid, TTY), 0);
    let said = env.fails(5, &["keep-restarting"]);
    assert!(said.err.contains("in /dev/pts/"), "{said:?}");
    terminal.close();
    until("the terminal to be gone", || stat(pid, TTY) == 0);
    kill(pid_of(&env, "A"), KILL);
    until("A to be started again", || env.history("A").len() == 2);
    until("the diary to go on in the folder", || env.read("supervisor.log").contains("starting A"));
    env.wait_for_state("A", "running");
    kill(pid, TERMINATE);
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
    assert!(env.read("supervisor.log").contains("1 task goes on running"));
}

#[test]
fn ctrl_c_ends_it_and_not_its_tasks() {
    let env = TestEnv::new();
    let mut terminal = Terminal::run(&env, &format!("exec {}", jobexec("keep-restarting")));
    terminal.shows("supervising");
    started(&env, "A", FAILS, &FAST);
    terminal.shows("A ended: exit code 1");
    env.script("A.script", STAYS);
    env.wait_for_state("A", "running");
    let pid = pid_of(&env, "A");
    std::io::Write::write_all(terminal.master.as_mut().unwrap(), b"\x03").unwrap();
    terminal.shows("1 task goes on running");
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
    assert!(alive(pid));
    assert_eq!(env.state("A"), "running");
}

#[test]
fn in_the_background_it_has_a_session_of_its_own_and_outlives_the_terminal() {
    let env = TestEnv::new();
    started(&env, "A", STAYS, &FAST);
    let line = format!("{}; read x", jobexec("keep-restarting --detach --sleep 50"));
    let mut terminal = Terminal::run(&env, &line);
    let pid = pid_said(&terminal.shows(")\r\n"));
    assert!(alive(pid) && env.processes().contains(&pid));
    assert_eq!((stat(pid, SESSION), stat(pid, TTY)), (i64::from(pid), 0));
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), PathBuf::from("/"), "no file system is kept busy");
    let said = env.fails(5, &["keep-restarting"]);
    assert!(said.err.contains(&format!("pid {pid}")) && said.err.contains("in the background"), "{said:?}");
    terminal.close();
    terminal.child.wait().unwrap();
    kill(pid_of(&env, "A"), KILL);
    until("A to be started again", || env.history("A").len() == 2);
    until("its diary", || env.read("supervisor.log").contains("starting A"));
    kill(pid, TERMINATE);
    until("it to end", || !alive(pid));
    until("the last word", || env.read("supervisor.log").contains("1 task goes on running"));
    env.ok(&["stop", "A"]);
}

#[test]
fn whoever_has_the_answer_of_detach_may_signal_it_at_once() {
    for _ in 0..5 {
        let env = TestEnv::new();
        started(&env, "A", STAYS, &[]);
        let pid = pid_said(&env.ok(&["keep-restarting", "--detach", "--stop-tasks"]).err);
        kill(pid, TERMINATE);
        until("it to end", || !alive(pid));
        assert_eq!(env.state("A"), "unsupervised", "its tasks were stopped: {}", env.read("supervisor.log"));
    }
}

#[test]
fn of_two_in_the_background_the_second_is_refused() {
    let env = TestEnv::new();
    let pid = pid_said(&env.ok(&["keep-restarting", "--detach"]).err);
    let said = env.fails(5, &["keep-restarting", "--detach"]);
    assert!(said.err.contains(&format!("pid {pid}")), "{said:?}");
    let mut both: Vec<Child> = Vec::new();
    kill(pid, TERMINATE);
    until("it to end", || !alive(pid));
    for _ in 0..3 {
        let mut command = env.command(&["keep-restarting", "--detach"]);
        both.push(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    }
    let mut codes: Vec<Option<i32>> = Vec::new();
    for child in both {
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(err.contains("pid "), "{err}");
        codes.push(output.status.code());
    }
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(5), Some(5)]);
    // Whoever was refused has said so, and is gone a moment later.
    until("the others to end", || env.processes().len() == 1);
}

#[test]
fn what_a_script_sends_into_the_background_does_not_end_with_the_script() {
    let env = TestEnv::new();
    let detach = jobexec("keep-restarting --detach");
    // One is stopped, the other ends by itself and is swept.
    for (name, rest) in [("stopped", "echo ready; sleep 600"), ("swept", "echo ready")] {
        let script = format!("#!/bin/sh\n{detach} || exit 9\n{rest}\n");
        started(&env, name, &script, &["--once"]);
        until("the supervisor", || env.read(&format!("{name}.txt")).contains("ready"));
        let pid = pid_said(&env.read(&format!("{name}.txt")));
        if name == "stopped" {
            env.ok(&["stop", name]);
            assert_eq!(env.history(name)[0]["outcome"], "stopped");
        } else {
            assert_eq!(runs_ended(&env, name, 1)[0]["exit_code"], 0);
        }
        let run = &env.history(name)[0];
        assert!(!run["reason"].as_str().unwrap().contains("left behind"), "{run}");
        assert!(alive(pid), "{name}");
        // It works, and what it starts is no part of that task either.
        let other = format!("of-{name}");
        started(&env, &other, FAILS, &FAST);
        runs_ended(&env, &other, 2);
        env.ok(&["stop", &other]);
        kill(pid, KILL);
        until("it to die", || !alive(pid));
    }
}

#[test]
fn what_the_supervisor_of_a_script_starts_does_not_end_with_the_script() {
    let env = TestEnv::new();
    let script = format!("#!/bin/sh\n{} || exit 9\necho ready\nsleep 600\n", jobexec("keep-restarting --detach"));
    started(&env, "outer", &script, &["--once"]);
    until("the supervisor", || env.read("outer.txt").contains("ready"));
    let supervisor = pid_said(&env.read("outer.txt"));
    started(&env, "inner", "#!/bin/sh\n[ -e second ] || { touch second; exit 1; }\nexec sleep 600\n", &FAST);
    env.wait_for_state("inner", "running");
    let pid = pid_of(&env, "inner");
    assert_eq!(env.history("inner").len(), 2, "started by the supervisor");
    kill(supervisor, KILL);
    until("it to die", || !alive(supervisor));
    env.ok(&["stop", "outer"]);
    assert!(alive(pid));
    assert_eq!(env.state("inner"), "running");
}

#[test]
fn it_says_more_if_told_to() {
    let env = TestEnv::new();
    let debug = |args: &[&str], log: &str| {
        let mut command = env.command(&[&["keep-restarting"], args].concat());
        let night = Night::spawned(&env, command.env("JOBEXEC_LOG", log));
        env.ok(&["start", "A"]);
        env.ok(&["stop", "A"]);
        night.says("stops A");
        night.end(TERMINATE).1.contains("debug: ")
    };
    added(&env, "A", STAYS, &[]);
    assert!(!debug(&[], ""));
    assert!(debug(&["-v"], ""));
    assert!(debug(&["-vv"], " "));
    assert!(debug(&[], "jobexec=debug"));
    assert!(!debug(&["-v"], "jobexec=info"), "the variable wins");
    for args in [&["keep-restarting"][..], &["keep-restarting", "--detach"]] {
        let said = env.command(args).env("JOBEXEC_LOG", "jobexec=loud").output().unwrap();
        let err = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(2), "{args:?}: {err}");
        assert!(err.contains("JOBEXEC_LOG") && err.contains("loud"), "{err}");
    }
}
