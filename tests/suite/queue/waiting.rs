//! wait: what ends it, with which exit code, and that it is the bell that wakes it.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::suite::env::{PATIENCE, TestEnv, until};
use crate::suite::supervisor::touch;

use super::{GATED, does, job, open, shell, slots, state, submit, until_idle, until_state};

/// A `wait` that goes on beside the test.
struct Wait(Child);

impl Wait {
    /// Returns once it listens.
    fn begin(env: &TestEnv, args: &[&str]) -> Self {
        let mut command = env.command(&[&["wait"], args].concat());
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let listens = format!("/proc/{}/syscall", child.id());
        // poll or ppoll: it has nothing else to poll than the bell.
        until("the wait to listen", || {
            let call = std::fs::read_to_string(&listens).unwrap_or_default();
            let call = call.split(' ').next().and_then(|number| number.parse::<i64>().ok());
            call.is_some_and(|number| number == nix::libc::SYS_poll || number == nix::libc::SYS_ppoll)
        });
        Self(child)
    }

    fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Its exit code and what it said.
    fn ended(mut self) -> (i32, String) {
        until("the wait to end", || self.is_over());
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.0.wait().unwrap().code().unwrap(), said)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_has_ended_is_not_waited_for() {
    let env = TestEnv::new();
    let [good, bad] = ["true", "false"].map(|program| submit(&env, &["--", program]).to_string());
    let never = submit(&env, &["--after", &format!("{good}:failure"), "--", "true"]).to_string();
    let blocked = submit(&env, &["--after", &bad, "--", "true"]).to_string();
    let open = submit(&env, &["--hold", "--", "true"]).to_string();
    assert_eq!(until_idle(&env, 1), 1);
    let cases: [(i32, &[&str]); 15] = [
        (0, &[&good]),
        (1, &[&bad]),
        (0, &[&never]),
        (1, &[&blocked]),
        (0, &[&good, &never]),
        (1, &[&good, &bad]),
        (1, &[&open, &bad]),
        (1, &[&open, &blocked]),
        (0, &["--any", &bad, &good, &open]),
        (1, &["--any", &bad, &blocked]),
        (1, &["--all", &good, &bad]),
        (0, &["--all", &good, &never]),
        (0, &["id in (1, 3)"]),
        (1, &["state = FAILED"]),
        (0, &["id > 99"]),
    ];
    for (code, args) in cases {
        let said = env.fails(code, &[&["wait"], args].concat());
        assert!(said.out.is_empty(), "{said:?}");
        assert!(code == 0 || said.err.contains("job 2") || said.err.contains("job 4"), "it is named: {said:?}");
    }
    let said = env.fails(1, &["wait", &blocked]);
    assert!(said.err.contains("job 4: job 2 before it is FAILED"), "{said:?}");
    let timed: [&[&str]; 3] = [&[&open], &["--all", &bad, &open], &["--any", &bad, &open]];
    for args in timed {
        let said = env.fails(124, &[&["wait", "--timeout", "20ms"], args].concat());
        assert!(said.err.contains("the time is over"), "{said:?}");
        assert!(said.err.contains("no supervisor is running"), "{said:?}");
    }
    env.fails(2, &["wait", "--any", "--all", &good]);
    env.fails(2, &["wait", "--timeout", "soon", &good]);
    env.fails(2, &["wait"]);
    env.fails(4, &["wait", &good, "77"]);
}

#[test]
fn a_job_that_is_named_twice_is_waited_for_once() {
    let env = TestEnv::new();
    let id = submit(&env, &["--", "true"]).to_string();
    assert_eq!(until_idle(&env, 1), 0);
    for flags in [&[][..], &["--all"], &["--any"]] {
        env.ok(&[&["wait", "--timeout", "30s"], flags, &[&id, &id]].concat());
    }
}

/// Two jobs that end when they are told to, the second with a failure, and a wait for both.
fn two(env: &TestEnv, args: &[&str]) -> (i64, i64, Wait) {
    let good = shell(env, &[], GATED);
    let bad = shell(env, &[], &format!("{GATED}; exit 3"));
    [good, bad].iter().for_each(|id| until_state(env, *id, "RUNNING"));
    let wait = Wait::begin(env, &[args, &[&good.to_string(), &bad.to_string()]].concat());
    (good, bad, wait)
}

#[test]
fn it_lasts_until_all_have_succeeded_or_one_has_failed() {
    let env = TestEnv::new();
    let _night = slots(&env, 2);
    let (good, bad, wait) = two(&env, &[]);
    open(&env, bad);
    let (code, said) = wait.ended();
    assert_eq!((code, state(&env, good).as_str()), (1, "RUNNING"), "the other is not waited for");
    assert!(said.contains(&format!("job {bad}: exit code 3")), "{said}");
    open(&env, good);
    until_state(&env, good, "JOB_FINISHED");

    let (good, bad, mut wait) = two(&env, &[]);
    open(&env, good);
    until_state(&env, good, "JOB_FINISHED");
    assert!(!wait.is_over());
    open(&env, bad);
    assert_eq!(wait.ended().0, 1);
}

#[test]
fn any_lasts_until_one_has_succeeded_or_none_can() {
    let env = TestEnv::new();
    let _night = slots(&env, 2);
    let (good, bad, mut wait) = two(&env, &["--any"]);
    open(&env, bad);
    until_state(&env, bad, "FAILED");
    assert!(!wait.is_over());
    open(&env, good);
    assert_eq!(wait.ended().0, 0);

    let (good, bad, wait) = two(&env, &["--any"]);
    open(&env, bad);
    does(&env, "kill", good);
    assert_eq!(wait.ended().0, 1);
}

#[test]
fn all_lasts_until_all_have_ended() {
    let env = TestEnv::new();
    let _night = slots(&env, 2);
    let (good, bad, mut wait) = two(&env, &["--all"]);
    open(&env, bad);
    until_state(&env, bad, "FAILED");
    assert!(!wait.is_over());
    open(&env, good);
    let (code, said) = wait.ended();
    assert_eq!((code, state(&env, good).as_str()), (1, "JOB_FINISHED"));
    assert!(said.contains(&format!("job {bad}")), "{said}");
}

#[test]
fn a_failure_that_stays_is_told_though_another_was_mended_meanwhile() {
    let env = TestEnv::new();
    let _night = slots(&env, 3);
    let mended = shell(&env, &[], &format!("{GATED}; [ -e fixed ]"));
    let bad = shell(&env, &[], &format!("{GATED}; exit 3"));
    let last = shell(&env, &[], GATED);
    let ids = [mended, bad, last].map(|id| id.to_string());
    let wait = Wait::begin(&env, &["--all", &ids[0], &ids[1], &ids[2]]);
    for id in [mended, bad] {
        open(&env, id);
        until_state(&env, id, "FAILED");
    }
    touch(&env, "fixed");
    does(&env, "rerun", mended);
    until_state(&env, mended, "JOB_FINISHED");
    open(&env, last);
    let (code, said) = wait.ended();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("job {bad}: exit code 3")), "{said}");
}

#[test]
fn being_blocked_ends_it_and_so_does_being_cancelled() {
    let env = TestEnv::new();
    let parent = submit(&env, &["--hold", "--", "true"]);
    let child = submit(&env, &["--after", &parent.to_string(), "--", "true"]);
    let waits = [child, parent].map(|id| Wait::begin(&env, &[&id.to_string()]));
    does(&env, "cancel", parent);
    let [blocked, cancelled] = waits.map(Wait::ended);
    assert_eq!((blocked.0, cancelled.0), (1, 1));
    assert!(blocked.1.contains(&format!("job {child}: job {parent}")), "{blocked:?}");
    assert!(cancelled.1.contains("cancelled by"), "{cancelled:?}");
}

#[test]
fn a_retry_is_not_the_end_of_it() {
    let env = TestEnv::new();
    env.script("t.sh", "#!/bin/sh\necho $JOBEXEC_ATTEMPT >> tried\n[ -e fixed ]\n");
    env.ok(&["add", "T", "t.sh", "--retries", "1000", "--backoff-first", "10ms", "--backoff-factor", "1"]);
    let _night = slots(&env, 1);
    let id = submit(&env, &["T"]);
    let mut wait = Wait::begin(&env, &[&id.to_string()]);
    super::until_lines(&env, "tried", 5);
    assert!(!wait.is_over());
    touch(&env, "fixed");
    assert_eq!(wait.ended().0, 0);
    assert!(job(&env, id)["attempt"].as_i64().unwrap() >= 5);
}

/// Its safety net is 5 seconds. Sixty ends one after another are not all seen before a test's patience is over, were it
/// the net that wakes it.
#[test]
fn it_is_woken_by_the_bell() {
    let env = TestEnv::new();
    let _night = slots(&env, 1);
    let start = Instant::now();
    for _ in 0..60 {
        let id = shell(&env, &["--no-output"], GATED);
        let wait = Wait::begin(&env, &[&id.to_string()]);
        open(&env, id);
        assert_eq!(wait.ended().0, 0);
    }
    assert!(start.elapsed() < 4 * PATIENCE, "it was the safety net that woke it");
}

#[test]
fn it_waits_for_thousands_at_once() {
    let env = TestEnv::new();
    env.write("lines", &"x\n".repeat(2000), 0o644);
    let ids = super::submitted(&env, &["--each-line", "lines", "--hold", "--", "true"]);
    let wait = Wait::begin(&env, &["--all", "id > 0"]);
    env.ok(&["job", "cancel", "id > 0"]);
    assert_eq!(wait.ended().0, 1);
    assert_eq!(ids.len(), 2000);
}

#[test]
fn whoever_submits_may_wait_at_once() {
    let env = TestEnv::new();
    let night = slots(&env, 1);
    let said = env.ok(&["submit", "--wait", "--", "true"]);
    assert_eq!((said.out.as_str(), state(&env, 1).as_str()), ("1\n", "JOB_FINISHED"));
    let said = env.fails(1, &["submit", "--wait", "--", "false"]);
    assert!(said.out == "2\n" && said.err.contains("job 2: exit code 1"), "{said:?}");
    night.end(15);
}

#[test]
fn it_waits_for_whatever_can_be_said_of_jobs() {
    let env = TestEnv::new();
    let _night = slots(&env, 2);
    let ids = [shell(&env, &[], GATED), shell(&env, &[], &format!("{GATED}; exit 3"))];
    ids.iter().for_each(|id| until_state(&env, *id, "RUNNING"));
    let [a, b] = ids.map(|id| id.to_string());
    env.ok(&["wait", "--until", "state = RUNNING", &a, &b]);
    // Data is changed by nobody but the test.
    let wait = Wait::begin(&env, &["--until", "data.x > 1", "--until", "tag.done = yes", &a, &b]);
    env.ok(&["job", "update", &a, "--data", r#"{"x":2}"#]);
    env.ok(&["job", "update", &b, "--tag", "done=yes"]);
    assert_eq!(wait.ended().0, 0);
    let mut wait = Wait::begin(&env, &["--any", "--until", "data.x = 3", &a, &b]);
    open(&env, ids[1]);
    until_state(&env, ids[1], "FAILED");
    assert!(!wait.is_over(), "the other one may still come there");
    env.ok(&["job", "data", &a, "--set", "x=3"]);
    assert_eq!(wait.ended().0, 0);
    let wait = Wait::begin(&env, &["--until", "state = FAILED", &b, &a]);
    open(&env, ids[0]);
    let (code, said) = wait.ended();
    assert_eq!(code, 1);
    assert!(said.contains(&format!("job {a}: it is JOB_FINISHED (exit code 0) and matches nothing")), "{said}");
    env.ok(&["wait", "--until", "state in (FINISHED, FAILED)", &a, &b]);
    let said = env.fails(1, &["wait", "--all", "--until", "exit_code = 0", &a, &b]);
    assert!(said.err.contains(&format!("job {b}: it is FAILED (exit code 3)")), "{said:?}");
}

#[test]
fn some_of_them_may_be_enough() {
    let env = TestEnv::new();
    let _night = slots(&env, 4);
    let good = [0; 3].map(|_| shell(&env, &[], GATED));
    let bad = shell(&env, &[], &format!("{GATED}; exit 3"));
    let mut wait = Wait::begin(&env, &["--count", "2", "id > 0"]);
    for id in [bad, good[0]] {
        open(&env, id);
        until_state(&env, id, if id == bad { "FAILED" } else { "JOB_FINISHED" });
        assert!(!wait.is_over());
    }
    open(&env, good[1]);
    assert_eq!(wait.ended().0, 0);
    // One of four has failed: four there will never be, and that is known at once.
    let said = env.fails(1, &["wait", "--count", "4", "id > 0"]);
    assert!(said.err.contains(&format!("job {bad}: exit code 3")), "{said:?}");
    let said = env.fails(1, &["wait", "--count", "5", "id > 0"]);
    assert!(said.err.contains("4 are meant"), "{said:?}");
    env.ok(&["wait", "--count", "1", "--until", "state = RUNNING", "id > 0"]);
    assert_eq!(state(&env, good[2]), "RUNNING");
    let wrong: [&[&str]; 6] = [
        &["--count", "0", "1"],
        &["--count", "1", "--any", "1"],
        &["--count", "1", "--all", "1"],
        &["--until", "state = ", "1"],
        &["--until", "", "1"],
        &["--until", "stat = RUNNING", "1"],
    ];
    for args in wrong {
        env.fails(2, &[&["wait"], args].concat());
    }
}

#[test]
fn a_job_that_is_deleted_ends_it() {
    let env = TestEnv::new();
    let ids = [0; 2].map(|_| submit(&env, &["--hold", "--", "true"]));
    let waits = [&["--all"][..], &["--any"], &["--until", "state = RUNNING"]]
        .map(|flags| Wait::begin(&env, &[flags, &[&ids[0].to_string(), &ids[1].to_string()]].concat()));
    does(&env, "delete", ids[1]);
    for (code, said) in waits.map(Wait::ended) {
        assert_eq!(code, 4);
        assert!(said.contains(&format!("job {} was deleted", ids[1])), "{said}");
    }
}
