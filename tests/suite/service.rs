//! `service`, against a `systemctl` and a `loginctl` of our own: no user manager runs where tests do. What systemd itself
//! thinks of the unit is tested beside its text, in `src/service/unit/tests.rs`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::docs::{document, first_column, keys};
use super::env::{Said, TestEnv, until};

/// Keeps the state of one unit in files, writes down what it is asked, and fails where it is told to.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd "${0%/*}"
echo "$*" >>asked
[ ! -e broken ] || { cat broken >&2; exit 1; }
[ "$1" = --user ] || exit 9
shift
case "$1" in
show)
    echo "UnitFileState=$(cat enabled 2>/dev/null)"
    echo "ActiveState=$(cat active 2>/dev/null || echo inactive)"
    if [ -e active ]; then echo SubState=running; echo MainPID=4242; else echo SubState=dead; echo MainPID=0; fi ;;
daemon-reload) ;;
enable) echo enabled >enabled; echo "Created symlink" >&2 ;;
disable) rm -f enabled active ;;
start | restart) echo active >active ;;
*) exit 9 ;;
esac
"#;

const LOGINCTL: &str = "#!/bin/sh\ncd \"${0%/*}\"\ncat linger 2>/dev/null || echo no\n";

/// A test's folder with its own systemd in front of the search path.
struct Machine {
    env: TestEnv,
}

impl Machine {
    fn new() -> Self {
        let env = TestEnv::new();
        env.script("systemd/systemctl", SYSTEMCTL);
        env.script("systemd/loginctl", LOGINCTL);
        Self { env }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.env.dir().join("systemd").join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.env.command(args);
        command.env("PATH", format!("{}:/usr/bin:/bin", self.file("").display()));
        command
    }

    #[track_caller]
    fn says(&self, code: i32, args: &[&str]) -> Said {
        run(code, &mut self.command(args))
    }

    /// What systemctl was asked since the last time, without what only looks.
    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.file("asked")).unwrap_or_default();
        let _ = fs::remove_file(self.file("asked"));
        let changes = asked.lines().filter(|line| !line.contains(" show "));
        changes.map(|line| line.strip_prefix("--user ").unwrap().to_owned()).collect()
    }

    fn units(&self) -> PathBuf {
        self.env.dir().join(".config/systemd/user")
    }

    /// The only unit.
    #[track_caller]
    fn unit(&self) -> (String, String) {
        let all: Vec<PathBuf> = fs::read_dir(self.units()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [path] = all.as_slice() else { panic!("{all:?}") };
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
    }

    #[track_caller]
    fn status(&self, code: i32) -> Value {
        serde_json::from_str(&self.says(code, &["service", "status", "--json"]).out).unwrap()
    }
}

#[track_caller]
fn run(code: i32, command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let said = Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
    assert_eq!(said.code, code, "{command:?} said {said:?}");
    said
}

#[test]
fn install_writes_enables_and_starts_and_a_second_one_changes_nothing() {
    let machine = Machine::new();
    let said = machine.says(0, &["service", "install", "--sleep", "30 s"]);
    let (name, text) = machine.unit();
    assert!(said.err.starts_with("Writing ") && said.err.contains(&format!("Enabling {name}\nStarting {name}\n")));
    assert!(said.err.contains("lingering is off") && said.err.contains("`loginctl enable-linger "), "{}", said.err);
    assert!(!said.err.contains("symlink"), "what systemctl says when all is well is not passed on: {}", said.err);
    assert_eq!(said.out, "");
    assert_eq!(machine.asked(), ["daemon-reload".to_owned(), format!("enable {name}"), format!("start {name}")]);

    let folder = machine.env.folder().canonicalize().unwrap();
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_jobexec")).canonicalize().unwrap();
    let line = format!("ExecStart={} --folder {} keep-restarting --sleep 30s\n", binary.display(), folder.display());
    assert!(text.contains(&line), "{text}");
    assert!(text.contains(&format!("\nWorkingDirectory={}\n", folder.display())), "{text}");
    assert!(text.contains(&format!("\nEnvironment=PATH={}:/usr/bin:/bin\n", machine.file("").display())), "{text}");

    fs::write(machine.file("linger"), "yes\n").unwrap();
    let said = machine.says(0, &["service", "install", "--sleep", "30s"]);
    assert!(said.err.ends_with(" is up to date\n") && said.err.lines().count() == 1, "{}", said.err);
    assert_eq!((machine.asked(), machine.unit().1), (vec!["daemon-reload".to_owned()], text));
}

#[test]
fn a_unit_of_ours_that_differs_is_replaced_and_what_runs_gets_it() {
    let machine = Machine::new();
    machine.says(0, &["service", "install"]);
    machine.asked();
    let said = machine.says(0, &["service", "install", "--sleep", "5"]);
    let (name, text) = machine.unit();
    assert!(said.err.starts_with("Replacing ") && said.err.contains(&format!("Restarting {name}")), "{}", said.err);
    assert!(text.contains(" keep-restarting --sleep 5s\n"), "{text}");
    assert_eq!(machine.asked(), ["daemon-reload".to_owned(), format!("restart {name}")]);
}

#[test]
fn without_a_start_it_is_only_enabled() {
    let machine = Machine::new();
    machine.says(0, &["service", "install", "--no-start"]);
    assert_eq!(machine.asked(), ["daemon-reload".to_owned(), format!("enable {}", machine.unit().0)]);
    machine.says(0, &["service", "install"]);
    assert_eq!(machine.asked(), ["daemon-reload".to_owned(), format!("start {}", machine.unit().0)]);
}

#[test]
fn beside_another_supervisor_it_stands_by_and_says_so() {
    let machine = Machine::new();
    machine.env.ok(&["init"]);
    let file = fs::File::create(machine.env.file("supervisor.lock")).unwrap();
    // A write lock on the whole file, as a supervisor holds it.
    let whole = nix::libc::flock { l_type: 1, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&whole)).unwrap();
    let said = machine.says(0, &["service", "install"]);
    assert!(said.err.contains("Starting ") && said.err.contains("the service stands by"), "{}", said.err);
    assert!(machine.says(0, &["service", "install"]).err.contains("is up to date"));
    drop(file);
    let said = machine.says(0, &["service", "install", "--sleep", "5"]);
    assert!(!said.err.contains("stands by"), "{}", said.err);
}

#[test]
fn two_folders_have_two_services_and_a_link_to_a_folder_has_the_same() {
    let machine = Machine::new();
    let dir = machine.env.dir();
    machine.says(0, &["service", "install", "-f", "a/demo"]);
    let first = machine.unit().0;
    assert!(first.starts_with("jobexec-demo-") && first.ends_with(".service"), "{first}");
    symlink(dir.join("a"), dir.join("link")).unwrap();
    let said = machine.says(0, &["service", "install", "-f", "link/demo"]);
    assert!(said.err.contains("is up to date") && machine.unit().0 == first, "{}", said.err);
    machine.says(0, &["service", "install", "-f", "b/demo"]);
    assert_eq!(fs::read_dir(machine.units()).unwrap().count(), 2);
    // The folder that is meant where none is named.
    run(0, machine.command(&["service", "install"]).env_remove("JOBEXEC_FOLDER"));
    assert!(machine.units().join("jobexec.service").exists());
    let other = dir.join("config");
    run(0, machine.command(&["service", "install"]).env("XDG_CONFIG_HOME", &other));
    assert_eq!(fs::read_dir(other.join("systemd/user")).unwrap().count(), 1);
}

#[test]
fn a_unit_of_somebody_else_is_refused_with_the_way_out() {
    let machine = Machine::new();
    let path = machine.units().join("jobexec.service");
    fs::create_dir_all(machine.units()).unwrap();
    fs::write(&path, "[Service]\nExecStart=/bin/true\n").unwrap();
    for verb in ["install", "uninstall", "status"] {
        let said = run(5, machine.command(&["service", verb]).env_remove("JOBEXEC_FOLDER"));
        assert!(said.err.contains("was not written by jobexec"), "{}", said.err);
        assert!(said.err.contains("`systemctl --user disable --now jobexec.service`"), "{}", said.err);
    }
    assert_eq!(fs::read_to_string(path).unwrap(), "[Service]\nExecStart=/bin/true\n");
    assert_eq!(machine.asked(), [""; 0]);
}

#[test]
fn uninstall_takes_it_away_and_leaves_the_tasks_alone() {
    let machine = Machine::new();
    let said = machine.says(0, &["service", "uninstall"]);
    assert!(said.err.starts_with("No service is installed for "), "{}", said.err);
    machine.env.script("run.sh", "#!/bin/sh\nexec sleep 60\n");
    machine.env.ok(&["add", "LOL", "run.sh", "--now"]);
    machine.says(0, &["service", "install"]);
    let name = machine.unit().0;
    machine.asked();
    let said = machine.says(0, &["service", "uninstall"]);
    assert!(said.err.contains("go on running"), "{}", said.err);
    assert_eq!(machine.asked(), [format!("disable --now {name}"), "daemon-reload".to_owned()]);
    assert_eq!(fs::read_dir(machine.units()).unwrap().count(), 0);
    assert_eq!(machine.env.state("LOL"), "running");
    machine.says(0, &["service", "uninstall"]);
    machine.env.ok(&["stop", "LOL"]);
    until("nothing to be left", || machine.env.processes().is_empty());
}

#[test]
fn status_tells_what_is_installed_what_runs_and_what_differs() {
    let machine = Machine::new();
    let status = machine.status(3);
    assert_eq!((&status["installed"], &status["active"]), (&Value::Bool(false), &Value::Null));
    let documented = first_column(&document("docs/json.md"), "A service");
    assert_eq!(keys(&status), documented);
    assert!(machine.says(3, &["service", "status"]).out.contains("not installed"));
    assert!(!machine.env.folder().exists(), "looking makes nothing");

    machine.says(0, &["service", "install"]);
    fs::write(machine.file("linger"), "yes\n").unwrap();
    let status = machine.status(0);
    assert_eq!(keys(&status), documented);
    assert_eq!(status["name"], machine.unit().0);
    assert_eq!(
        (&status["enabled"], &status["active"], &status["sub"]),
        (&"enabled".into(), &"active".into(), &"running".into())
    );
    assert_eq!((&status["pid"], &status["lingering"]), (&4242.into(), &true.into()));
    assert_eq!(
        (&status["path_only_here"], &status["path_only_in_unit"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );

    let mut command = machine.command(&["service", "status"]);
    let said = run(0, command.env("PATH", format!("{}:/opt/R/bin:/bin", machine.file("").display())));
    assert!(said.out.contains("active (running, pid 4242)"), "{}", said.out);
    assert!(said.out.contains("lacks, against this shell, /opt/R/bin; has beyond it /usr/bin"), "{}", said.out);
    assert!(said.out.contains("lingering    on"), "{}", said.out);
}

#[test]
fn where_no_manager_answers_nothing_is_written_and_the_ways_out_are_told() {
    let machine = Machine::new();
    fs::write(machine.file("broken"), "Failed to connect to bus: No medium found\n").unwrap();
    let refused = machine.says(1, &["service", "install"]);
    assert!(
        refused.err.contains("no systemd user manager can be reached: Failed to connect to bus"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("`crontab -e`") && refused.err.contains("`@reboot "), "{}", refused.err);
    assert!(refused.err.contains("--print"), "{}", refused.err);
    assert!(!machine.units().exists() && !machine.env.folder().exists());

    // Not even the command is there.
    let nowhere = machine.env.dir().join("nowhere");
    let refused = run(1, machine.command(&["service", "install"]).env("PATH", &nowhere));
    assert!(refused.err.contains("there is no `systemctl`") && refused.err.contains("`@reboot "), "{}", refused.err);
    let printed = run(0, machine.command(&["service", "install", "--print"]).env("PATH", &nowhere));
    assert!(printed.out.starts_with("# Written by `jobexec service install`"), "{}", printed.out);
    assert!(!machine.units().exists());

    // What was installed before can still be looked at.
    fs::create_dir_all(machine.units()).unwrap();
    fs::write(machine.units().join("jobexec.service"), printed.out).unwrap();
    let said = machine.says(0, &["service", "status"]);
    let refused = machine.says(1, &["service", "uninstall"]);
    assert!(refused.err.contains("no systemd user manager") && refused.err.contains("`rm /"), "{}", refused.err);
    assert!(said.out.contains("jobexec.service unknown") && said.err.contains("Failed to connect to bus"), "{said:?}");
}

#[test]
fn a_command_that_fails_is_named_with_what_it_said() {
    let machine = Machine::new();
    let script = SYSTEMCTL.replace("enable) ", "enable) echo 'Access denied' >&2; exit 1 ;;\nnone) ");
    machine.env.script("systemd/systemctl", &script);
    let said = machine.says(1, &["service", "install"]);
    let expected = format!("`systemctl --user enable {}` failed: Access denied", machine.unit().0);
    assert!(said.err.contains(&expected), "{}", said.err);
}

#[test]
fn bad_input_is_refused_before_anything_is_done() {
    let machine = Machine::new();
    assert!(machine.says(2, &["service", "install", "--sleep", "soon"]).err.contains("`soon` is not a duration"));
    assert!(machine.says(2, &["service", "install", "-f", "a\nb"]).err.contains("a control character"));
    machine.says(2, &["service"]);
    assert_eq!(machine.asked(), [""; 0]);
    assert!(!machine.units().exists());
}
