//! One job looked at from all sides: what it comes from and what comes of it, its files, and the place where it works.

use std::fs;

use serde_json::{Value, json};

use crate::suite::env::TestEnv;
use crate::suite::supervisor::runs_ended;

use super::{events, ids, job, shell, state, submit, until_idle};

/// The ids of a list of jobs.
fn listed(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
}

#[test]
fn a_lineage_is_who_waits_for_whom_and_who_made_whom() {
    let env = TestEnv::new();
    let bin = env!("CARGO_BIN_EXE_jobexec");
    // 1 makes 4 while it runs; 2 waits for 1, 3 for 2. 5 waits for 4; 6 has nothing to do with any of it.
    let script = "until [ -e go ]; do sleep 0.01; done";
    let first =
        shell(&env, &[], &format!("{bin} submit -- true; {bin} submit --after $JOBEXEC_JOB_ID -- true; {script}"));
    let second = submit(&env, &["--after", &format!("{first}:end"), "--", "true"]);
    let third = submit(&env, &["--after", &second.to_string(), "--", "true"]);
    fs::write(env.dir().join("go"), "").unwrap();
    assert_eq!(until_idle(&env, 1), 0);
    let made = ids(&env, &format!("spawned_by = {first}"));
    let [free, bound] = made[..] else { panic!("{made:?}") };
    let last = submit(&env, &["--after", &free.to_string(), "--hold", "--", "true"]);
    submit(&env, &["--hold", "--", "true"]);
    let of = |id: i64| listed(&env.json(&["job", "lineage", &id.to_string()]));
    let mut all = vec![first, second, third, free, bound, last];
    all.sort_unstable();
    assert_eq!(of(first), all);
    assert_eq!(of(third), [first, second, third], "neither siblings nor what they lead to");
    assert_eq!(of(last), [first, free, last]);
    let expected = format!(
        "{first} JOB_FINISHED {}\n├─ :end {second} JOB_FINISHED true\n│  └─ {third} JOB_FINISHED true\n\
         ├─ :spawned {free} JOB_FINISHED true\n│  └─ {last} CREATED (held) true\n└─ {bound} JOB_FINISHED true\n",
        env.ok(&["job", "show", &first.to_string()])
            .out
            .lines()
            .find_map(|line| line.trim().strip_prefix("what  "))
            .unwrap()
    );
    assert_eq!(env.ok(&["job", "lineage", &first.to_string()]).out, expected);
    env.fails(4, &["job", "lineage", "99"]);
}

#[test]
fn a_jobs_files_are_those_of_its_directories_and_its_outputs() {
    let env = TestEnv::new();
    let id = shell(&env, &["--workdir", "w/x"], "mkdir deep; echo abc > deep/file; ln -s / link; echo said");
    let none = submit(&env, &["--hold", "--", "true"]);
    assert_eq!(until_idle(&env, 1), 0);
    let files = env.json(&["job", "files", &id.to_string()]);
    let files: Vec<(String, i64, bool)> = files
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            assert!(file["modified"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
            let path = file["path"].as_str().unwrap().strip_prefix(env.folder().to_str().unwrap()).unwrap();
            (path.to_owned(), file["size"].as_i64().unwrap(), file["run_id"].is_string())
        })
        .collect();
    let expected = [
        (format!("/jobs/{id}/run-1.txt"), 5, true),
        ("/jobs/w/x/deep/file".to_owned(), 4, false),
        ("/jobs/w/x/link".to_owned(), 1, false),
    ];
    assert_eq!(files, expected);
    let said = env.ok(&["job", "files", &id.to_string()]);
    assert!(said.out.contains("deep/file") && said.out.contains("main 1"), "{said:?}");
    assert_eq!(env.json(&["job", "files", &none.to_string()]), json!([]));
    assert!(env.ok(&["job", "files", &none.to_string()]).err.contains("has none"));
    // What a task wrote lies beside the others of its name.
    env.script("t.sh", "#!/bin/sh\necho $JOBEXEC_ATTEMPT\n");
    env.ok(&["add", "T", "t.sh", "--restart", "never"]);
    for count in 1..=2 {
        env.ok(&["start", "T"]);
        runs_ended(&env, "T", count);
    }
    for (back, name) in [(1, "T_"), (0, "T.txt")] {
        let job = &env.history("T")[back]["job"];
        let files = env.json(&["job", "files", &job.to_string()]);
        let path = files[0]["path"].as_str().unwrap();
        assert!(path.contains(name) && files.as_array().unwrap().len() == 1, "{files}");
    }
}

#[test]
fn a_shell_is_where_the_job_works_with_what_its_script_sees_but_no_part_of_a_run() {
    let env = TestEnv::new();
    env.write("secrets", "TOKEN=abc\n", 0o600);
    env.script("t.sh", "#!/bin/sh\n");
    env.ok(&["add", "T", "t.sh", "--env", "COLOUR={{c}}", "--env-file", "secrets"]);
    let id = submit(&env, &["T", "-p", "c=red", "--run-name", "R", "--hold"]).to_string();
    let directory = env.file(&format!("jobs/{id}")).canonicalize();
    assert!(directory.is_err(), "it is made when something goes in");
    let line = "pwd; echo $COLOUR $TOKEN $JOBEXEC_JOB_ID $JOBEXEC_TASK $JOBEXEC_RUN_NAME ${JOBEXEC_RUN_ID-none}; pwd > here; exit 7";
    let said = env.fails(7, &["job", "shell", &id, "--", "/bin/sh", "-c", line]);
    let directory = env.file(&format!("jobs/{id}")).canonicalize().unwrap();
    assert_eq!(said.out, format!("{}\nred abc {id} T R none\n", directory.display()));
    assert!(directory.join("here").exists());
    // `$SHELL` is whose shell it is; what is done there is done by a person.
    env.script("my-shell", &format!("#!/bin/sh\nexec {} job release {id}\n", env!("CARGO_BIN_EXE_jobexec")));
    let mut command = env.command(&["job", "shell", &id]);
    assert!(command.env("SHELL", env.dir().join("my-shell")).output().unwrap().status.success());
    let id: i64 = id.parse().unwrap();
    assert_eq!(state(&env, id), "PREPROCESSED");
    assert!(!events(&env, id).iter().any(|event| event["data"]["by"].as_str().unwrap_or_default().starts_with("job ")));
    assert_eq!(job(&env, id)["runs"], json!([]));
    let said = env.fails(1, &["job", "shell", "1", "--", "no-such-program"]);
    assert!(said.err.contains("cannot run `no-such-program`"), "{said:?}");
    env.fails(4, &["job", "shell", "99", "--", "true"]);
}

#[test]
fn a_job_names_its_group_and_has_no_review_yet() {
    let env = TestEnv::new();
    env.script("t.sh", "#!/bin/sh\n");
    env.ok(&["add", "T", "t.sh"]);
    let text = env.read("jobexec.toml").replace("[task.T]\n", "[task.T]\ngroup = 'Disk'\n");
    fs::write(env.file("jobexec.toml"), text).unwrap();
    let ids = [submit(&env, &["T", "--hold"]), submit(&env, &["--hold", "--", "true"])];
    let shown = ids.map(|id| (job(&env, id)["group"].clone(), job(&env, id)["review"].clone()));
    assert_eq!(shown, [(json!("Disk"), Value::Null), (Value::Null, Value::Null)]);
}
