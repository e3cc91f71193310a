//! What such a file may say, and what is said of its mistakes.

use super::*;

fn at(text: &str) -> Result<Workflow, Mistakes> {
    read(text, Path::new("/here"), "")
}

#[track_caller]
fn check_mistakes(text: &str, expected: &[&str]) {
    let found = at(text).unwrap_err();
    let said = |mistake: &super::super::Mistake| {
        let hint = mistake.hint.as_ref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
        format!("{}:{}: {}{hint}", mistake.line, mistake.column, mistake.problem)
    };
    assert_eq!(found.iter().map(said).collect::<Vec<_>>(), expected);
}

#[test]
fn jobs_come_after_what_they_wait_for() {
    let text = r#"
name = "pipeline"
[job.report]
shell = "cat {{x}}"
params = { x = 4 }
after = ["fit", "clean:end"]
tags = { a = 1 }
data = { k = [1, 2.5, "x"] }
priority = -3
workdir = "out/{{x}}"
not_before = 2026-11-22T00:00:00Z
hold = true
[job.fit]
task = "fit"
after = ["fetch"]
[job.fetch]
command = ["true"]
[job.clean]
command = ["rm", "x"]
after = ["FETCH:failure"]
"#;
    let found = at(text).unwrap();
    assert_eq!(found.name.as_str(), "pipeline");
    let names: Vec<&str> = found.jobs.iter().map(|job| job.local.as_str()).collect();
    assert_eq!(names, ["fetch", "fit", "clean", "report"]);
    let report = &found.jobs[3];
    let after: Vec<(&str, Edge)> = report.after.iter().map(|(local, kind)| (local.as_str(), *kind)).collect();
    assert_eq!(after, [("fit", Edge::Success), ("clean", Edge::End)]);
    assert_eq!((report.priority, report.held, report.params["x"].as_i64()), (Some(-3), true, Some(4)));
    assert_eq!(report.not_before.as_deref(), Some("2026-11-22T00:00:00Z"));
    assert_eq!(report.data, Some(serde_json::json!({ "k": [1, 2.5, "x"] })));
    assert_eq!(found.jobs[1].runs, Runs::Task(TaskName::parse("fit").unwrap()));
    let Runs::Own(own) = &found.jobs[0].runs else { panic!() };
    assert_eq!((own.wd.as_path(), own.restart), (Path::new("/here"), Restart::Never));
}

#[test]
fn a_task_becomes_a_section_that_means_the_same_elsewhere() {
    let text = r#"name = "p"

# Fits.
[task.fit]
command = ["fit", "{{n}}"] # so
wd = "sub"
# How often.
[task.fit.params]
n = { default = 3 }
[task]
in_line = { shell = "true" }
[job.x]
task = "fit"
"#;
    // TOML lets a table be opened once, and after those below it.
    let found = at(text).unwrap();
    let section = |nth: usize| found.tasks[nth].1.as_str();
    let expected = "# Fits.\n[task.fit]\ncommand = [\"fit\", \"{{n}}\"] # so\nwd = \"/here/sub\"\n\
                    # How often.\n[task.fit.params]\nn = { default = 3 }\n";
    assert_eq!(section(0), expected);
    assert_eq!(section(1), "[task.in_line]\nshell = \"true\"\nwd = \"/here\"\n");
    let registry = format!("version = 1\nexec_id = \"x\"\n\n{}\n{}", section(0), section(1));
    let read = super::super::Registry::parse(&registry, Path::new("/elsewhere")).unwrap();
    assert_eq!(read.tasks.iter().collect::<Vec<_>>(), found.tasks.iter().map(|(task, _)| task).collect::<Vec<_>>());
}

#[test]
fn mistakes_are_told_with_their_place() {
    check_mistakes("[job.a]\nshell = \"x\"\n", &["1:1: `name` is missing [begin the file with `name = \"pipeline\"`]"]);
    check_mistakes("name = \"p\"\njbo = 1\n", &["2:1: unknown key `jbo` in the file [did you mean `job`?]"]);
    check_mistakes(
        "name = \"p\"\n[job.a]\nshel = \"x\"\n",
        &[
            "2:1: [job.a] says nothing to run [write one of `task`, `command` and `shell`]",
            "3:1: unknown key `shel` in `job.a` [did you mean `shell`?]",
        ],
    );
    check_mistakes(
        "name = \"p\"\n[job.fetch]\nshell = \"x\"\ntask = \"x\"\n[job.b]\nshell = \"x\"\nafter = [\"fecth\", \"fetch:ends\"]\n",
        &[
            "4:8: `task` cannot stand beside `shell` in [job.fetch]",
            "7:9: no job named `fecth` in this file [did you mean `fetch`?]",
            "7:19: `job.b.after`: `ends` is not one of success, end and failure [did you mean `fetch:end`?]",
        ],
    );
    check_mistakes(
        "name = \"p\"\n[job.a]\nshell = \"x\"\nafter = [\"c\"]\n[job.b]\nshell = \"x\"\nafter = [\"a\"]\n\
         [job.c]\nshell = \"x\"\nafter = [\"b:end\"]\n",
        &["4:9: these jobs wait for each other: `a` after `c` after `b` after `a` [take one of them out of `after`]"],
    );
    check_mistakes(
        "name = \"p\"\n[job.a]\nshell = \"x\"\n[job.A]\nshell = \"y\"\n",
        &["4:6: `A` is the same name as `a` in line 2, as case does not count [rename or remove one of them]"],
    );
}
