//! What an edit changes, and that it changes nothing else.

use proptest::prelude::*;

use super::super::Registry;
use super::*;

const HEAD: &str = "version = 1\nexec_id = \"x\"\n";

fn name(text: &str) -> TaskName {
    TaskName::parse(text).unwrap()
}

fn text(key: &'static str, value: &str) -> Setting {
    Setting { key, value: Some(Value::Text(value.to_owned())) }
}

fn gone(key: &'static str) -> Setting {
    Setting { key, value: None }
}

fn env(entries: &[(&str, &str)]) -> Setting {
    let map = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Setting { key: "env", value: Some(Value::Map(map)) }
}

/// Checks an edit of task `a` in a text below the head, with both kinds of line ends and a byte order mark.
#[track_caller]
fn check(before: &str, edit: impl Fn(&str) -> Result<String, EditError>, after: &str) {
    let (before, after) = (format!("{HEAD}{before}"), format!("{HEAD}{after}"));
    assert_eq!(edit(&before).unwrap(), after);
    let found = validated(after.clone(), Path::new("/base"));
    assert!(found.is_ok(), "{found:?}");
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(edit(&windows(&before)).unwrap(), windows(&after), "with CRLF");
}

#[track_caller]
fn check_update(before: &str, settings: &[Setting], after: &str) {
    check(before, |text| update(text, &name("A"), settings), after);
}

#[track_caller]
fn check_remove(before: &str, after: &str) {
    check(before, |text| remove(text, &name("A")), after);
}

#[track_caller]
fn check_replace(before: &str, after: &str) {
    check(before, |old| replace(old, &name("A"), &[text("shell", "new"), text("stop.grace", "3s")]), after);
}

#[test]
fn a_new_registry_is_a_good_one() {
    let text = initial(&ExecId::parse("xg15").unwrap());
    let registry = Registry::parse(&text, Path::new("/base")).unwrap();
    assert_eq!((registry.exec_id.as_str(), registry.tasks.len()), ("xg15", 0));
}

#[test]
fn a_number_is_written_with_the_fraction_it_has() {
    let number = |key, number| Setting { key, value: Some(Value::Decimal(Thousandths(number))) };
    check_update(
        "[task.a]\nshell='x'\n",
        &[number("backoff.factor", 1500), number("backoff.jitter", 100), text("backoff.max", "30s")],
        "[task.a]\nshell='x'\nbackoff.factor = 1.5\nbackoff.jitter = 0.1\nbackoff.max = \"30s\"\n",
    );
    check_update(
        "[task.a]\nshell='x'\nbackoff = { factor = 1.5, max = '1s' } # slow\n",
        &[number("backoff.factor", 3000), gone("backoff.max")],
        "[task.a]\nshell='x'\nbackoff = { factor = 3 } # slow\n",
    );
}

#[test]
fn what_is_appended_without_reading_the_tasks_means_what_it_does_beside_them() {
    let settings = [text("shell", "new"), text("stop.grace", "3s"), env(&[("B", "2")])];
    let good = [
        "",
        "[task.a]\nshell='x'\n",
        "[task.a]\nshell='x'",
        "[defaults]\ntimeout='1h'\nenv={A='1'}\n\n[task.a]\nshell='x'\n",
        "[task.a]\nshell='x'\n[defaults] # last\nstop.signal='INT'\nlog={keep=3}\n",
        "[task.a]\nshell='x'\n[task.a.env]\nA='[task.b]'\n[group.g]\nparallel=2\n[task.b]\nscript='y'\ngroup='g'\n",
        "defaults.retries=3\ntask.a.shell='x'\n",
        "[task]\na.shell='x'\n",
        "[ task . a ]\nshell='x'\n['task'.b]\nshell='y'\n\t[task.c]\n\tshell='z'\n[defaults]\ntimeout=5\n",
        "[task.a]\ncommand=[\n'x',\n'[task.b]',\n] # [\n[defaults]\nwd='/w'\n",
        "[task.a]\nshell='''\n[defaults]\n'''\n[defaults]\nwd='/w'\n",
        "[task.a]\nshell=\"\"\"\n[task.b]\n\"\"\"\n",
        "[task.a]\nshell='x'\n#[defaults]\n#wd='/w'\n",
    ];
    for before in good.map(|tasks| format!("{HEAD}{tasks}")).into_iter().flat_map(|text| {
        let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        [text, windows]
    }) {
        let base = Path::new("/base");
        let whole = validated(add(&before, &name("n.1"), &settings).unwrap(), base).unwrap();
        let task = whole.registry.task(&name("n.1")).unwrap().clone();
        let expected = Appended { text: whole.text, exec_id: whole.registry.exec_id, task };
        assert_eq!(append(&before, &name("n.1"), &settings, base), Some(expected), "{before}");
    }
    let inline = format!("{HEAD}task = {{ a = {{ shell = 'x' }} }}\n");
    assert_eq!(append(&inline, &name("n"), &settings, Path::new("/base")), None, "to be put into the braces");
    let wrong = [text("shell", "new"), text("timeout", "soon")];
    assert_eq!(append(HEAD, &name("n"), &wrong, Path::new("/base")), None);
}

#[test]
fn a_task_is_appended_after_one_blank_line() {
    let add_it =
        |old: &str| add(old, &name("n.1"), &[text("script", "j.R"), env(&[("A", "1"), ("b c", "\"\n")]), gone("tz")]);
    let block = "[task.\"n.1\"]\nscript = \"j.R\"\nenv = { A = \"1\", \"b c\" = \"\\\"\\n\" }\n";
    check("", add_it, &format!("\n{block}"));
    check("[task.a]\nshell='x'\n", add_it, &format!("[task.a]\nshell='x'\n\n{block}"));
    check("[task.a]\nshell='x'", add_it, &format!("[task.a]\nshell='x'\n\n{block}"));
    check("[task.a]\nshell='x'\n\n", add_it, &format!("[task.a]\nshell='x'\n\n{block}"));
    check("[task]\na.shell='x'\n# end\n", add_it, &format!("[task]\na.shell='x'\n# end\n\n{block}"));
    check("task.a.shell='x'\n", add_it, &format!("task.a.shell='x'\n\n{block}"));
    check(
        "task = { a = { shell='x' } } # all\n",
        add_it,
        "task = { a = { shell='x' }, \"n.1\" = { script = \"j.R\", env = { A = \"1\", \"b c\" = \"\\\"\\n\" } } } # all\n",
    );
}

#[test]
fn a_name_that_exists_is_not_added_and_one_that_does_not_is_not_edited() {
    let old = format!("{HEAD}[task.LOL]\nshell='x'\n");
    assert_eq!(add(&old, &name("lol"), &[]), Err(EditError::Exists("LOL".into())));
    assert_eq!(remove(&old, &name("b")), Err(EditError::Unknown(name("b"))));
    assert_eq!(update(&old, &name("b"), &[]), Err(EditError::Unknown(name("b"))));
    assert_eq!(replace(&old, &name("b"), &[]), Err(EditError::Unknown(name("b"))));
    assert!(matches!(add("x", &name("b"), &[]), Err(EditError::Mistakes(_))));
}

#[test]
fn removing_takes_the_comment_directly_above_and_no_other() {
    check_remove(
        "\n# chapter\n\n# about a\n# more\n[task.a] # here\nshell='x' # there\n# own\n\n# between\n\n# about b\n[task.b]\nshell='y'\n",
        "\n# chapter\n\n# between\n\n# about b\n[task.b]\nshell='y'\n",
    );
    check_remove("\n[task.b]\nshell='y'\n\n# a\n[task.a]\nshell='x'\n", "\n[task.b]\nshell='y'\n");
    check_remove("[task.a]\nshell='x'\n# about b\n[task.b]\nshell='y'\n", "# about b\n[task.b]\nshell='y'\n");
}

#[test]
fn a_line_that_begins_like_a_comment_may_be_a_string() {
    check_remove(
        "[task.b]\nshell='''\n# no comment'''\n[task.a]\nshell='x'\n",
        "[task.b]\nshell='''\n# no comment'''\n",
    );
}

#[test]
fn removing_finds_every_form_of_a_task() {
    check_remove("[task.a.env]\nX='1'\n\n[task.b]\nshell='y'\n\n[task.a]\nshell='x'\n", "[task.b]\nshell='y'\n");
    check_remove("[task]\n# a\na = { shell='x' }\nb = { shell='y' } # b\n", "[task]\nb = { shell='y' } # b\n");
    check_remove("[task]\na.shell='x'\na.stop.grace=3\nb.shell='y'\n", "[task]\nb.shell='y'\n");
    check_remove("task = { b = { shell='y' }, a = { shell='x' } }\n", "task = { b = { shell='y' } }\n");
    check_remove("task = { a = { shell='x' }, b.shell='y' }\n", "task = { b.shell='y' }\n");
    check_remove("task = { a.shell='x', b.shell='y' }\n", "task = { b.shell='y' }\n");
    check_remove("task = { a.shell='x', b.shell='y', a.args=[] }\n", "task = { b.shell='y' }\n");
    check_remove("task = { a.shell='x', a.env={} }\n", "task = {  }\n");
    check_remove("task.a.shell='x'\ntask.b.shell='y'\n", "task.b.shell='y'\n");
}

#[test]
fn replacing_keeps_the_place_and_the_comment_above() {
    let new = "shell = \"new\"\nstop.grace = \"3s\"\n";
    check_replace(
        "# about\n[task.a] # here\nscript='x'\n# own\nenv={}\n\n# b\n[task.b]\nshell='y'\n\n[task.a.stop]\ngrace=1\n",
        &format!("# about\n[task.a] # here\n{new}\n# b\n[task.b]\nshell='y'\n"),
    );
    check_replace("[task.a]\nscript='x'", &format!("[task.a]\n{new}"));
    let inline = "{ shell = \"new\", stop.grace = \"3s\" }";
    check_replace("task.a = { script='x' } # c\n", &format!("task.a = {inline} # c\n"));
    check_replace(
        "[task]\n# a\na.script='x'\na.env.X='1'\nb.shell='y'\n",
        &format!("[task]\n# a\na = {inline}\nb.shell='y'\n"),
    );
}

#[test]
fn updating_changes_the_value_alone() {
    check_update(
        "[task.a]\nshell  =  'x'   # why\ntz='UTC'\n",
        &[text("shell", "y z")],
        "[task.a]\nshell  =  \"y z\"   # why\ntz='UTC'\n",
    );
    check_update("[task.a]\nshell='''\nx\ny'''\n", &[text("shell", "y")], "[task.a]\nshell=\"y\"\n");
}

#[test]
fn updating_puts_a_new_field_below_the_last() {
    check_update(
        "[task.a]\n  shell='x' # c\n\n# b\n[task.b]\nshell='y'\n",
        &[text("tz", "UTC"), text("stop.grace", "1s")],
        "[task.a]\n  shell='x' # c\n  tz = \"UTC\"\n  stop.grace = \"1s\"\n\n# b\n[task.b]\nshell='y'\n",
    );
    check_update("[task.a]\nshell='x'", &[text("tz", "UTC")], "[task.a]\nshell='x'\ntz = \"UTC\"\n");
    check_update(
        "task.a.shell='x'\n[defaults]\n",
        &[text("tz", "UTC")],
        "task.a.shell='x'\ntask.a.tz = \"UTC\"\n[defaults]\n",
    );
    check_update("task.a={shell='x'}\n", &[text("stop.grace", "1s")], "task.a={shell='x', stop.grace = \"1s\"}\n");
    check_update("task={a.shell='x'}\n", &[text("tz", "UTC")], "task={a.shell='x', a.tz = \"UTC\"}\n");
    check_update(
        "[task.a]\nshell='x'\nstop = { signal='INT' }\n",
        &[text("stop.grace", "1s")],
        "[task.a]\nshell='x'\nstop = { signal='INT', grace = \"1s\" }\n",
    );
    check_update(
        "[task.a]\nshell='x'\n[task.a.stop]\nsignal='INT'\n",
        &[text("stop.grace", "1s"), text("tz", "UTC")],
        "[task.a]\nshell='x'\ntz = \"UTC\"\n[task.a.stop]\nsignal='INT'\ngrace = \"1s\"\n",
    );
}

#[test]
fn an_edit_finds_its_way_through_braces_over_several_lines() {
    let old = "[task]\na = {\n  shell = 'x', # one\n  stop = { grace = 1 }, # two\n}\n";
    check_update(
        old,
        &[text("tz", "UTC"), text("stop.grace", "2s")],
        "[task]\na = {\n  shell = 'x', # one\n  stop = { grace = \"2s\" }, tz = \"UTC\", # two\n}\n",
    );
    check_update(old, &[gone("stop.grace")], "[task]\na = {\n  shell = 'x', # one\n  stop = {  }, # two\n}\n");
    check_update(
        "[task.a]\ncommand = [\n  'x', # ]\n] # [task.b]\n",
        &[text("tz", "UTC")],
        "[task.a]\ncommand = [\n  'x', # ]\n] # [task.b]\ntz = \"UTC\"\n",
    );
}

#[test]
fn a_map_is_added_in_the_form_it_has() {
    let more = [env(&[("A", "2"), ("b.c", "3")])];
    check_update(
        "[task.a]\nshell='x'\nenv = {}\n",
        &more,
        "[task.a]\nshell='x'\nenv = { A = \"2\", \"b.c\" = \"3\" }\n",
    );
    check_update(
        "[task.a]\nenv = { A = 1, Z = 5 } # e\nshell='x'\n",
        &more,
        "[task.a]\nenv = { A = \"2\", Z = 5, \"b.c\" = \"3\" } # e\nshell='x'\n",
    );
    check_update(
        "[task.a]\nshell='x'\n\n[task.a.env]\n# one\nA = 1\n",
        &more,
        "[task.a]\nshell='x'\n\n[task.a.env]\n# one\nA = \"2\"\n\"b.c\" = \"3\"\n",
    );
    check_update(
        "[task.a]\nenv.A = 1\nshell='x'\n",
        &more,
        "[task.a]\nenv.A = \"2\"\nenv.\"b.c\" = \"3\"\nshell='x'\n",
    );
    check_update("[task.a]\nshell='x'\n", &more, "[task.a]\nshell='x'\nenv = { A = \"2\", \"b.c\" = \"3\" }\n");
}

#[test]
fn a_field_without_a_value_goes() {
    let both = [gone("stop.grace"), gone("env"), gone("tz")];
    check_update("[task.a]\nshell='x'\n# why\ntz = 'UTC' # c\nstop.grace=1\n", &both, "[task.a]\nshell='x'\n");
    check_update(
        "[task.a]\nshell='x'\n\n[task.a.env]\nA='1'\n\n[task.b]\nshell='y'\n",
        &both,
        "[task.a]\nshell='x'\n\n[task.b]\nshell='y'\n",
    );
    check_update("[task.a]\nshell='x'\nenv.A=1\nenv.B=2\n", &both, "[task.a]\nshell='x'\n");
    check_update("task.a={tz='UTC', shell='x', stop . grace = 1}\n", &both, "task.a={shell='x'}\n");
    check_update(
        "[task.a]\nshell='x'\nstop={grace=1, signal='INT'}\n",
        &both,
        "[task.a]\nshell='x'\nstop={signal='INT'}\n",
    );
}

/// A task in one of the forms that people write, with comments between.
fn task() -> impl Strategy<Value = (usize, String)> {
    let forms = [
        "[task.NAME]\nscript = 'x'\n",
        "# about NAME\n[ task . \"NAME\" ] # here\n  script = \"\"\"\n# odd\n[task.no]\"\"\"   # c\n  stop.grace = 3\n  # inner\n  stop.signal = 'INT'\n",
        "[task.NAME]\ncommand = [\n  'make', # one\n  'all',\n]\nperiod = 'day'\n\n[task.NAME.env]\n# e\nA = '1'\n",
        "# above\n\n[task.NAME]\nenv = { A = \"#\", B = '[x]' }\nshell = 'a | b'\n# below\n",
        "[task.NAME.stop]\ngrace = 1\n[task.NAME]\nscript = 'x'",
    ];
    (0..forms.len(), 0_usize..3).prop_map(move |(form, gap)| (form, format!("{}{}", forms[form], "\n".repeat(gap))))
}

proptest! {
    #[test]
    fn an_edit_leaves_every_other_task_as_it_is(
        forms in proptest::collection::vec(task(), 1..5),
        pick in 0_usize..5,
        which in 0_usize..4,
        crlf in any::<bool>(),
        value in "[a-z \"'\\\\\n\t\u{1}ä#\\[\\]=]{1,12}",
    ) {
        let mut old = HEAD.to_owned();
        for (at, (_, form)) in forms.iter().enumerate() {
            if !old.ends_with('\n') { old.push('\n'); }
            old += &form.replace("NAME", &format!("t{at}"));
        }
        if crlf { old = old.replace('\n', "\r\n"); }
        let before = Registry::parse(&old, Path::new("/base")).unwrap();
        let target = name(&format!("T{}", pick % forms.len()));
        let is_target = |task: &crate::domain::task::Task| task.name.key() == target.key();
        let settings = [gone("script"), gone("command"), text("shell", &format!("x{value}")), env(&[("N", &value)]), text("stop.grace", "9s")];
        let new = match which {
            0 => add(&old, &name("new"), &settings),
            1 => replace(&old, &target, &settings),
            2 => update(&old, &target, &settings),
            _ => remove(&old, &target),
        }.unwrap();
        let after = validated(new.clone(), Path::new("/base"));
        prop_assert!(after.is_ok(), "{after:?}\n{old}\n---\n{new}");
        let after = after.unwrap().registry;
        let untouched = |tasks: &[crate::domain::task::Task]| -> Vec<_> {
            tasks.iter().filter(|task| which == 0 || !is_target(task)).filter(|task| task.name.as_str() != "new").cloned().collect()
        };
        prop_assert_eq!(untouched(&before.tasks), untouched(&after.tasks), "{}\n---\n{}", old, new);
        if crlf { prop_assert_eq!(new.matches('\n').count(), new.matches("\r\n").count()); }
        if which < 3 {
            let edited = after.tasks.iter().find(|task| if which == 0 { task.name.as_str() == "new" } else { is_target(task) }).unwrap();
            prop_assert_eq!(edited.env.get("N"), Some(&value));
            prop_assert_eq!(&edited.program, &crate::domain::task::Program::Shell(format!("x{value}")));
            prop_assert_eq!(edited.stop.grace.as_secs(), 9);
        } else {
            prop_assert_eq!(after.tasks.len() + 1, before.tasks.len());
        }
        let add_remove = add(&old, &name("new"), &settings).and_then(|text| remove(&text, &name("new"))).unwrap();
        let trim = |text: &str| text.trim_end().to_owned();
        prop_assert_eq!(trim(&add_remove), trim(&old));
    }
}
