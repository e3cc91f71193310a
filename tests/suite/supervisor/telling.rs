//! Who is told of what: stored first, sent afterwards, as often as it takes and no more often than that.

use super::server::Server;
use super::*;

/// A command that writes each message on a line of its own, and the file that it writes into.
const TELL: &str = "printf '%s\\n' \"$JOBEXEC_NOTIFY_JSON\" >>told";

/// The messages that `TELL` has written. It runs in the executor's folder.
fn told(env: &TestEnv) -> Vec<Value> {
    env.read("told").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn words(env: &TestEnv) -> Vec<String> {
    told(env).iter().map(|message| message["event"].as_str().unwrap().to_owned()).collect()
}

/// Waits until so many messages have been told; their events.
#[track_caller]
fn until_told(env: &TestEnv, number: usize) -> Vec<String> {
    until(&format!("{number} messages"), || env.read("told").lines().count() >= number);
    words(env)
}

fn all_delivered(env: &TestEnv) -> bool {
    notices(env).iter().all(|(_, state, _)| state == "delivered")
}

#[test]
fn a_failure_is_told_with_all_that_is_known_of_it() {
    let env = TestEnv::new();
    let script = "#!/bin/sh\nfor n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $n; done\nexit 3\n";
    let tell =
        "{ env | grep ^JOBEXEC_ | sort; echo; echo \"$JOBEXEC_NOTIFY_OUTPUT\"; } >environment; ".to_owned() + TELL;
    let night = Night::begin(&env);
    started(&env, "A", script, &["--once", "--notify-command", &tell]);
    assert_eq!(until_told(&env, 1), ["failure"]);
    let message = &told(&env)[0];
    let run = &env.history("A")[0];
    assert_eq!((&message["task"], &message["job"], &message["run_id"]), (&json!("A"), &run["job"], &run["run_id"]));
    assert_eq!(
        (&message["reason"], &message["exit_code"], &message["signal"]),
        (&json!("exit code 3"), &json!(3), &Value::Null)
    );
    assert_eq!((&message["attempt"], &message["exec_id"]), (&json!(1), &env.status("A")["exec_id"]));
    assert_eq!(message["output"].as_array().unwrap().len(), 10);
    assert_eq!(message["output"][9], "line 12");
    let text = message["text"].as_str().unwrap();
    assert!(text.starts_with("A on ") && text.ends_with("failed: exit code 3"), "{text}");
    let environment = env.read("environment");
    for line in [
        "JOBEXEC_NOTIFY_EVENT=failure".to_owned(),
        "JOBEXEC_NOTIFY_TASK=A".to_owned(),
        format!("JOBEXEC_NOTIFY_JOB={}", run["job"]),
        format!("JOBEXEC_NOTIFY_RUN={}", run["run_id"].as_str().unwrap()),
        "JOBEXEC_NOTIFY_REASON=exit code 3".to_owned(),
        format!("JOBEXEC_NOTIFY_TEXT={text}"),
        format!("JOBEXEC_NOTIFY_JSON={message}"),
        format!("JOBEXEC_FOLDER={}", env.folder().display()),
    ] {
        assert!(environment.lines().any(|found| found == line), "{line} is not in {environment}");
    }
    assert!(environment.ends_with("line 11\nline 12\n"), "{environment}");
    until("it to be on record", || all_delivered(&env));
    assert_eq!(env.history("A").len(), 1, "telling is no run of the task");
    drop(night);
}

#[test]
fn a_crash_loop_is_one_message_and_its_end_another() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script = "#!/bin/sh\n[ -e mended ] && exec sleep 600\nexit 1\n";
    started(&env, "A", script, &["--backoff-first", "10ms", "--backoff-max", "20ms", "--notify-command", TELL]);
    runs_ended(&env, "A", 12);
    until_told(&env, 2);
    touch(&env, "mended");
    env.wait_for_state("A", "running");
    env.ok(&["start", "A"]);
    env.ok(&["stop", "A"]);
    until_told(&env, 3);
    until("all to be delivered", || all_delivered(&env));
    let mut found = words(&env);
    found.sort();
    assert_eq!(found, ["crash-loop", "failure", "recovery"], "of more than twelve failures");
    drop(night);
}

#[test]
fn ten_minutes_without_a_failure_are_a_recovery() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script = "#!/bin/sh\n[ -e mended ] && exec sleep 600\nexit 1\n";
    let flags =
        ["--backoff-first", "10ms", "--backoff-max", "20ms", "--notify-command", TELL, "--notify-on", "recovery"];
    started(&env, "A", script, &flags);
    until_events(&env, "A", "crash_looping", 1);
    touch(&env, "mended");
    env.wait_for_state("A", "running");
    let since = column(&env, "A", "steady_since").unwrap();
    night.end(TERMINATE);
    let back = |minutes: i64, seconds: i64| {
        let db = Connection::open(env.file("jobexec.db")).unwrap();
        db.busy_timeout(Duration::from_secs(60)).unwrap();
        let at = since - (minutes * 60 + seconds) * 1_000_000;
        db.execute("UPDATE tasks SET steady_since = ?1 WHERE name = 'A'", [at]).unwrap();
    };
    back(8, 0);
    let night = Night::begin(&env);
    night.end(TERMINATE);
    assert!(events(&env, "A", "recovered").is_empty(), "eight minutes are too few");
    back(10, 0);
    let night = Night::begin(&env);
    until_events(&env, "A", "recovered", 1);
    assert_eq!(until_told(&env, 1), ["recovery"]);
    assert_eq!(column(&env, "A", "looping_since"), None);
    assert!(night.said("A has recovered"));
    // A new failure is told anew.
    drop(night);
}

#[test]
fn what_is_told_is_what_was_asked_for() {
    let env = TestEnv::new();
    env.ok(&["init"]);
    let text = env.read("jobexec.toml");
    fs::write(env.file("jobexec.toml"), format!("{text}\n[defaults]\nnotify.command = '''{TELL}'''\n")).unwrap();
    let night = Night::begin(&env);
    let ends = |name: &str, code: i32, flags: &[&str]| {
        started(&env, name, &format!("#!/bin/sh\nexit {code}\n"), &[&["--once"], flags].concat());
        runs_ended(&env, name, 1);
    };
    ends("fine", 0, &[]);
    ends("silent", 1, &["--notify-on", ""]);
    ends("mute", 1, &["--notify-command", ""]);
    ends("other", 1, &["--notify-on", "finish,stall"]);
    ends("done", 0, &["--notify-on", "finish"]);
    ends("failed", 1, &[]);
    started(&env, "stopped", STAYS, &["--notify-on", "failure,finish"]);
    env.ok(&["stop", "stopped"]);
    until_told(&env, 2);
    until("all to be delivered", || all_delivered(&env));
    let mut found: Vec<_> =
        told(&env).iter().map(|message| format!("{} {}", message["task"], message["event"])).collect();
    found.sort();
    assert_eq!(found, ["\"done\" \"finish\"", "\"failed\" \"failure\""]);
    drop(night);
}

#[test]
fn a_server_that_refuses_is_asked_again_and_told_once() {
    let env = TestEnv::new();
    let server = Server::refusing(1);
    let night = Night::begin(&env);
    started(&env, "A", FAILS, &["--once", "--notify-url", &server.url]);
    until("the message to arrive", || server.requests().iter().any(|request| request.answer == 204));
    until("it to be on record", || all_delivered(&env));
    let requests = server.requests();
    assert_eq!(requests.iter().map(|request| request.answer).collect::<Vec<_>>(), [500, 204]);
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!((&requests[1].body["event"], &requests[1].body["output"]), (&json!("failure"), &json!(["oops"])));
    assert_eq!(requests[1].line, "POST /T0/hunter2?key=hunter2 HTTP/1.1");
    let headers: Vec<String> = requests[1].headers.iter().map(|line| line.to_lowercase()).collect();
    assert!(headers.contains(&"content-type: application/json".to_owned()), "{headers:?}");
    assert_eq!(notices(&env), [("failure".to_owned(), "delivered".to_owned(), 2)]);
    assert!(night.said("cannot tell about A (failure)"), "{}", night.diary());
    // It is a secret.
    let (_, diary) = night.end(TERMINATE);
    let output: String =
        fs::read_dir(env.file("jobs/1")).unwrap().map(|e| fs::read_to_string(e.unwrap().path()).unwrap()).collect();
    assert!(output.contains("the server answered 500"), "{output}");
    for text in [diary, output, env.ok(&["history", "A", "--json"]).out, env.run(&["status", "A"]).out] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn what_was_stored_and_not_sent_is_sent_by_the_next_supervisor() {
    let env = TestEnv::new();
    let server = Server::refusing(0);
    // Nobody is there to send it.
    started(&env, "A", FAILS, &["--once", "--notify-url", &server.url, "--notify-command", TELL]);
    runs_ended(&env, "A", 1);
    assert_eq!(notices(&env).iter().map(|notice| notice.1.as_str()).collect::<Vec<_>>(), ["due", "due"]);
    let (code, diary) = Night::with(&env, &["--until-idle"]).ended();
    assert_eq!(code, Some(0), "{diary}");
    assert_eq!((server.requests().len(), told(&env).len()), (1, 1), "in both ways, once each");
    assert!(all_delivered(&env));
}

#[test]
fn a_supervisor_that_is_killed_while_it_tells_neither_loses_nor_doubles_the_message() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let tell = format!("touch begun; until [ -e go ]; do sleep 0.02; done; {TELL}");
    started(&env, "A", FAILS, &["--once", "--notify-command", &tell]);
    until("it to be told", || env.file("begun").exists());
    night.end(KILL);
    let night = Night::begin(&env);
    fs::write(env.file("go"), "").unwrap();
    until("it to be on record", || all_delivered(&env));
    assert_eq!(words(&env), ["failure"]);
    assert_eq!(notices(&env), [("failure".to_owned(), "delivered".to_owned(), 1)]);
    drop(night);
}

#[test]
fn a_command_that_cannot_be_run_is_tried_again() {
    let env = TestEnv::new();
    env.ok(&["init"]);
    let tool = env.dir().join("tool");
    let night = Night::begin(&env);
    let text = env.read("jobexec.toml");
    let table = format!(
        "{text}\n[task.A]\nscript = \"A.script\"\nwd = {:?}\nrestart = \"never\"\nnotify.command = [{:?}, \"a b\"]\n",
        env.dir(),
        tool
    );
    env.script("A.script", FAILS);
    fs::write(env.file("jobexec.toml"), table).unwrap();
    env.ok(&["start", "A"]);
    until_events(&env, "A", "notice_postponed", 1);
    night.says("cannot tell about A");
    env.script("tool", "#!/bin/sh\necho \"$1 $JOBEXEC_NOTIFY_EVENT\" >>told\n");
    until("it to be on record", || all_delivered(&env));
    assert_eq!(env.read("told"), "a b failure\n");
    drop(night);
}

#[test]
fn output_that_is_no_text_or_endless_is_told_all_the_same() {
    let env = TestEnv::new();
    let night = Night::begin(&env);
    let script = "#!/bin/sh\nhead -c 300000 /dev/zero\nprintf '\\033[31m\\377\\r\\n'\nhead -c 200000 /dev/zero | tr '\\0' x\necho; echo last\nexit 1\n";
    started(&env, "A", script, &["--once", "--notify-command", TELL]);
    assert_eq!(until_told(&env, 1), ["failure"]);
    let message = &told(&env)[0];
    let lines = message["output"].as_array().unwrap();
    assert_eq!(lines.last().unwrap(), "last");
    drop(night);
}
