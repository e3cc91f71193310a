//! What lies elsewhere: on a web server, on another machine.

use std::fs;

use super::server::{Answer, Web};
use super::*;

const FETCH: &str = "transfers.data = { direction = \"in\", local = \"data\" }";

fn given(name: &str, remote: &str) -> [String; 2] {
    ["--transfer".to_owned(), format!("{name}={remote}")]
}

#[test]
fn a_server_that_is_down_is_asked_again_until_it_is_up() {
    let env = TestEnv::new();
    define(&env, "T", UPPER, FETCH);
    let down = Web::new();
    let address = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let busy = down.serve("/x", &[Answer::Status(503), Answer::Status(429), Answer::Whole("fetched\n".to_owned())]);
    let night = Night::begin(&env);
    let first = submit(&env, &["T", "--transfer", &format!("data=http://{address}/x")]);
    let second = submit(&env, &["T", "--transfer", &format!("data={busy}")]);
    until_job(&env, first, "a second attempt", |job| job["transfers"][0]["attempts"].as_i64() >= Some(2));
    let shown = item(&env, first, "data");
    let error = shown["error"].as_str().unwrap();
    assert!(error.starts_with(&format!("cannot fetch http://{address}/x")) && shown["state"] != "error", "{shown}");
    let listed = env.ok(&["jobs", "state = READY"]).out;
    assert!(listed.contains("staging in 0 of 1; `data`: cannot fetch"), "{listed}");
    let said = env.ok(&["explain", &first.to_string()]).out;
    assert!(said.contains("its inputs") && said.contains("0 of 1"), "{said}");
    let up = Web::at(&address).unwrap();
    up.serve("/x", &[Answer::Whole("here\n".to_owned())]);
    for (id, text) in [(first, "HERE\n"), (second, "FETCHED\n")] {
        until_state(&env, id, "JOB_FINISHED");
        assert_eq!(fs::read_to_string(directory(&env, id).join("out")).unwrap(), text);
    }
    assert_eq!(item(&env, second, "data")["attempts"], 3);
    assert!(cause(&env, second).contains(&"transfer_postponed".to_owned()));
    night.end(15);
}

#[test]
fn what_is_not_there_is_not_asked_for_again() {
    let env = TestEnv::new();
    define(&env, "T", UPPER, FETCH);
    let web = Web::new();
    let gone = web.serve("/gone?key=hunter2", &[Answer::Status(404)]);
    let id = submit(&env, &[&["T"][..], &given("data", &gone).each_ref().map(String::as_str)].concat());
    assert_eq!(until_idle(&env), 1);
    let message = job(&env, id)["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("/gone?…: the server answered 404"), "{message}");
    assert_eq!(web.asked("/gone?key=hunter2"), 1);
    let shown = env.ok(&["job", "show", &id.to_string()]).out;
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_answer_that_breaks_off_is_never_taken_for_whole() {
    let env = TestEnv::new();
    define(&env, "T", UPPER, FETCH);
    let web = Web::new();
    let text = "0123456789\n".repeat(1000);
    let url = web.serve("/x", &[Answer::BreaksOff(text.clone(), 5000), Answer::Hangs("half".to_owned())]);
    let night = Night::begin(&env);
    let id = submit(&env, &["T", "--transfer", &format!("data={url}")]);
    until_job(&env, id, "the second attempt", |_| web.asked("/x") == 2);
    let shown = item(&env, id, "data");
    assert!(shown["error"].as_str().unwrap().contains("the answer broke off after 5000 bytes"), "{shown}");
    assert!(!directory(&env, id).join("data").exists());
    assert!(!is_tidy(&directory(&env, id)), "it is under way");
    env.ok(&["job", "kill", &id.to_string()]);
    until_state(&env, id, "CANCELLED");
    assert_eq!(job(&env, id)["reason"], "killed");
    web.serve("/x", &[Answer::Whole(text.clone())]);
    env.ok(&["job", "rerun", &id.to_string()]);
    until_state(&env, id, "JOB_FINISHED");
    assert_eq!(fs::read_to_string(directory(&env, id).join("data")).unwrap(), text);
    assert!(is_tidy(&directory(&env, id)));
    night.end(15);
}

/// Reaches every host without leaving this machine: `ssh` for `rsync`.
const SHELL: &str = "#!/bin/sh
[ \"$1\" = -l ] && shift 2
[ \"$1\" = nowhere ] && { echo 'ssh: connect to host nowhere: Connection refused' >&2; exit 255; }
shift
exec \"$@\"
";

/// Whether there is an `rsync` here. Where there is none, all that can be tested is that this is said.
fn has_rsync() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("rsync").is_file())
}

#[test]
fn what_lies_on_another_machine_comes_and_goes_by_rsync() {
    let env = TestEnv::new();
    let shell = env.script("ssh.sh", SHELL);
    let far = env.dir().join("far away");
    env.write("far away/data", "far\n", 0o640);
    env.write("far away/tree/sub/x", "x\n", 0o644);
    let slots = format!(
        "
transfers.data = {{ direction = \"in\", local = \"data\", remote = \"box:{0}/data\" }}
transfers.tree = {{ direction = \"in\", local = \"dir/other\", remote = \"me@box:{0}/tree/\", recursive = true }}
transfers.extra = {{ direction = \"in\", local = \"extra\", remote = \"box:{0}/tree\", required = false }}
transfers.gone = {{ direction = \"in\", local = \"gone\", remote = \"box:{0}/gone\", required = false }}
transfers.out = {{ direction = \"out\", local = \"out\", remote = \"box:{0}/new/out\" }}
transfers.all = {{ direction = \"out\", local = \"dir\", remote = \"box:{0}/new/all\", recursive = true }}
transfers.into = {{ direction = \"out\", local = \"dir\", remote = \"box:{0}/into/\", recursive = true }}",
        far.display()
    );
    define(&env, "T", UPPER, &slots);
    let mut command = env.command(&["submit", "T"]);
    assert!(command.env("RSYNC_RSH", &shell).output().unwrap().status.success());
    if !has_rsync() {
        assert_eq!(until_idle(&env), 1);
        assert!(job(&env, 1)["message"].as_str().unwrap().contains("rsync is not installed"));
        return;
    }
    assert_eq!(until_idle(&env), 0);
    let shown = job(&env, 1);
    assert_eq!(shown["state"], "JOB_FINISHED", "{shown}");
    let read = |name: &str| fs::read_to_string(far.join(name)).unwrap();
    assert_eq!([read("new/out"), read("new/all/other/sub/x"), read("into/dir/other/sub/x")], ["FAR\n", "x\n", "x\n"]);
    let error = |name: &str| item(&env, 1, name)["error"].as_str().unwrap().to_owned();
    assert!(error("extra").contains("is a directory, and the transfer is not `recursive`"), "{}", error("extra"));
    assert!(error("gone").contains("exit code 23") && error("gone").contains("No such file"), "{}", error("gone"));
    for place in [directory(&env, 1), directory(&env, 1).join("dir"), far.join("new"), far.join("into")] {
        assert!(is_tidy(&place) && !names(&place).contains(&".~tmp~".to_owned()), "{:?}", names(&place));
    }
}

#[test]
fn a_host_that_cannot_be_reached_is_tried_again_and_no_rsync_is_said() {
    let env = TestEnv::new();
    let shell = env.script("ssh.sh", SHELL);
    define(&env, "T", UPPER, FETCH);
    let night = Night::begin(&env);
    let mut command = env.command(&["submit", "T", "--transfer", "data=nowhere:/x"]);
    assert!(command.env("RSYNC_RSH", &shell).output().unwrap().status.success());
    if !has_rsync() {
        until_state(&env, 1, "FAILED");
        assert!(job(&env, 1)["message"].as_str().unwrap().contains("rsync is not installed"));
        night.end(15);
        return;
    }
    until_job(&env, 1, "a second attempt", |job| job["transfers"][0]["attempts"].as_i64() >= Some(2));
    let error = item(&env, 1, "data")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("Connection refused"), "{error}");
    env.ok(&["job", "cancel", "1"]);
    assert_eq!(job(&env, 1)["state"], "CANCELLED");
    let mut command = env.command(&["submit", "T", "--transfer", "data=box:/x"]);
    assert!(command.env("PATH", env.dir()).output().unwrap().status.success());
    until_state(&env, 2, "FAILED");
    let message = job(&env, 2)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("rsync is not installed"), "{message}");
    night.end(15);
}
