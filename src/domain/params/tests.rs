//! Which values a task takes, and that they arrive as they are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::collection;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::name::TaskName;
use crate::domain::task::Program;

fn task(program: Program) -> Task {
    Task::new(TaskName::parse("t").unwrap(), program, PathBuf::from("/"))
}

fn shell(line: &str) -> Task {
    task(Program::Shell(line.to_owned()))
}

fn values(pairs: &[(&str, Value)]) -> Values {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn typed(pairs: &[(&str, &str)]) -> BTreeMap<String, Given> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), Given::Text((*text).to_owned()))).collect()
}

fn param(need: Need, kind: Option<Kind>) -> Param {
    Param { need, kind, help: None }
}

/// What a task with these parameters says to values that are given so.
fn told(params: &[(&str, Param)], args: &[&str], given: &[(&str, &str)]) -> Result<Values, Vec<String>> {
    let mut task = task(Program::Script("x".into()));
    task.params = params.iter().map(|(name, param)| ((*name).to_owned(), param.clone())).collect();
    task.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    resolve(&taken(&task), &typed(given))
        .map_err(|errors| errors.iter().map(|error| format!("{error} [{}]", error.hint())).collect())
}

#[test]
fn a_value_is_of_the_type_that_was_declared() {
    let read = |kind: Option<Kind>, text: &str| Given::Text(text.to_owned()).read(kind).ok();
    for (kind, text, expected) in [
        (Kind::Text, "007", Some(json!("007"))),
        (Kind::Text, "", Some(json!(""))),
        (Kind::Int, "-7", Some(json!(-7))),
        (Kind::Int, "18446744073709551615", Some(json!(u64::MAX))),
        (Kind::Int, "1.5", None),
        (Kind::Int, "", None),
        (Kind::Int, "99999999999999999999", None),
        (Kind::Float, "1e-5", Some(json!(1e-5))),
        (Kind::Float, "3", Some(json!(3))),
        (Kind::Float, "-0", Some(json!(-0.0))),
        (Kind::Float, "100000000000000000000", Some(json!(1e20))),
        (Kind::Float, "007", None),
        (Kind::Float, "inf", None),
        (Kind::Float, " 1", None),
        (Kind::Bool, "true", Some(json!(true))),
        (Kind::Bool, "yes", None),
        (Kind::Json, "[1, \"a\"]", Some(json!([1, "a"]))),
        (Kind::Json, "a", None),
    ] {
        assert_eq!(read(Some(kind), text), expected, "{kind:?} {text}");
    }
    for (text, expected) in [
        ("true", json!(true)),
        ("True", json!("True")),
        ("0.5", json!(0.5)),
        ("-3", json!(-3)),
        ("007", json!("007")),
        ("1 ", json!("1 ")),
        ("123456789012345678901234567890", json!("123456789012345678901234567890")),
        ("-0", json!("-0")),
        ("null", json!("null")),
        ("[1]", json!("[1]")),
        ("", json!("")),
    ] {
        assert_eq!(read(None, text), Some(expected), "{text}");
    }
}

#[test]
fn a_value_that_has_a_type_must_have_the_right_one() {
    let read = |kind, value: Value| Given::Value(value).read(kind).ok();
    assert_eq!(read(Some(Kind::Int), json!(3)), Some(json!(3)));
    assert_eq!(read(Some(Kind::Int), json!("3")), None);
    assert_eq!(read(Some(Kind::Int), json!(3.0)), None);
    assert_eq!(read(Some(Kind::Float), json!(3)), Some(json!(3)));
    assert_eq!(read(Some(Kind::Text), json!(3)), Some(json!("3")));
    assert_eq!(read(Some(Kind::Text), json!([3])), None);
    assert_eq!(read(Some(Kind::Json), json!(null)), Some(json!(null)));
    assert_eq!(read(None, json!("3")), Some(json!("3")));
    assert_eq!(read(None, json!("a\0b")), None);
}

#[test]
fn a_placeholder_makes_a_parameter_that_must_be_given() {
    let (optional, int) = (param(Need::Optional, None), param(Need::Default(json!(4)), Some(Kind::Int)));
    assert_eq!(told(&[], &["--n={{n}}"], &[("n", "5")]), Ok(values(&[("n", json!(5))])));
    let missing = "parameter `n` has no value [give it a default, `params.n.default = …`]";
    assert_eq!(told(&[], &["{{n}}"], &[]), Err(vec![missing.to_owned()]));
    assert_eq!(told(&[("n", optional.clone())], &["{{n}}"], &[]), Err(vec![missing.to_owned()]));
    assert_eq!(told(&[("n", optional)], &[], &[]), Ok(values(&[])));
    assert_eq!(told(&[("n", int.clone())], &["{{n}}"], &[]), Ok(values(&[("n", json!(4))])));
    assert_eq!(told(&[("n", int)], &[], &[("n", "5")]), Ok(values(&[("n", json!(5))])));
    let help = Param { need: Need::Required, kind: None, help: Some("how many".to_owned()) };
    assert_eq!(
        told(&[("n", help)], &[], &[]),
        Err(vec!["parameter `n` has no value (how many) [give it a default, `params.n.default = …`]".to_owned()])
    );
}

#[test]
fn what_a_task_does_not_take_is_refused() {
    assert_eq!(
        told(&[], &[], &[("x", "1")]),
        Err(vec![
            "there is no parameter `x` [the task takes no parameters; declare it with `params.x = {}`]".to_owned()
        ])
    );
    let params = [("alpha", param(Need::Optional, Some(Kind::Float))), ("beta", param(Need::Optional, None))];
    assert_eq!(
        told(&params, &[], &[("alhpa", "1"), ("gamma9", "2"), ("alpha", "x")]),
        Err(vec![
            "there is no parameter `alhpa` [did you mean `alpha`?]".to_owned(),
            "parameter `alpha`: `x` is not a number [give a number such as `0.5` or `1e-3`]".to_owned(),
            "there is no parameter `gamma9` [give one of `alpha`, `beta`]".to_owned(),
        ])
    );
}

#[test]
fn every_place_of_a_placeholder_is_filled_in() {
    let mut task = task(Program::Command(vec!["{{p}}".into(), "--x={{p}}{{ n }}".into()]));
    task.args = vec!["{{j}}".into(), "{{{{n}}".into(), "plain".into()];
    task.env = BTreeMap::from([("A".to_owned(), "<{{p}}>".to_owned())]);
    task.workdir = Some("runs/{{p}}".to_owned());
    assert_eq!(required(&task), ["j", "n", "p"]);
    let given = values(&[("p", json!("a b")), ("n", json!(1.5)), ("j", json!({"k": [1, "x"]}))]);
    let filled = render(&task, &given).unwrap();
    assert_eq!(filled.program, Program::Command(vec!["a b".into(), "--x=a b1.5".into()]));
    assert_eq!(filled.args, [r#"{"k":[1,"x"]}"#, "{{n}}", "plain"]);
    assert_eq!(filled.env["A"], "<a b>");
    assert_eq!(filled.workdir.as_deref(), Some("runs/a b"));
    // A value is never a template.
    let filled = render(&task, &values(&[("p", json!("{{n}}")), ("n", json!(1)), ("j", json!(true))])).unwrap();
    assert_eq!((filled.args[0].as_str(), filled.env["A"].as_str()), ("true", "<{{n}}>"));
}

#[test]
fn what_cannot_be_filled_in_says_where() {
    let wrong = |task: &Task, given: &[(&str, Value)]| render(task, &values(given)).unwrap_err().to_string();
    let mut one = shell("echo {{a}}");
    assert_eq!(wrong(&one, &[]), "`shell`: parameter `a` has no value");
    one.env = BTreeMap::from([("X".to_owned(), "{{".to_owned())]);
    assert_eq!(wrong(&one, &[("a", json!(1))]), "`env.X`: `{{` is not closed by `}}`");
    let mut one = shell("true");
    one.workdir = Some("{{d}}".to_owned());
    assert_eq!(wrong(&one, &[("d", json!("../x"))]), "`workdir`: the path `../x` contains `..`");
    assert_eq!(wrong(&one, &[("d", json!("/x"))]), "`workdir`: the path `/x` is not relative");
    assert_eq!(
        wrong(&one, &[("d", json!(7))]),
        "`workdir`: the path `7` begins with a number, which is the own directory of a job"
    );
    one.workdir = Some("x{{d}}".to_owned());
    assert_eq!(wrong(&one, &[("d", json!("a\0"))]), "`workdir`: the value of parameter `d` contains a NUL character");
}

/// Why a placeholder may not stand at a place of a line.
#[track_caller]
fn unsure(line: &str, place: &str) {
    let error = check_line(line).unwrap_err();
    assert!(error.to_string().contains(place), "{line}: {error}");
    let last = line.rfind("{{").unwrap();
    assert_eq!(error.at, last..last + 5, "{line}");
    assert_eq!(error.hint(), "set a variable, `env = { X = \"{{x}}\" }`, and write `\"$X\"` there");
}

#[test]
fn a_placeholder_stands_only_where_its_value_can_be_quoted() {
    unsure("echo {{x}} # {{x}}", "in a comment");
    unsure("#{{x}}", "in a comment");
    unsure("(#{{x}}", "behind a `#`");
    unsure("$(true)# {{x}}", "behind a `#`");
    unsure("echo ${{x}}", "behind a `$`");
    unsure("echo \"${{x}}\"", "behind a `$`");
    unsure(r"echo \{{x}}", "behind a backslash");
    unsure("echo \"\\{{x}}\"", "behind a backslash");
    unsure("echo $'{{x}}", "behind `$'`");
    unsure("echo `echo {{x}}`", "behind a backquote");
    unsure("echo \"`echo {{x}}`\"", "behind a backquote");
    unsure("echo $(( {{x}} ))", "behind a `$(`");
    unsure("echo \"$(echo {{x}})\"", "behind a `$(`");
    unsure("echo \"$(echo ')')\" {{x}}", "behind a `$(`");
    unsure("((a = {{x}}))", "behind a `((`");
    unsure("echo $[{{x}}]", "behind a `$[`");
    unsure("echo ${a:-{{x}}}", "behind a `${`");
    unsure("echo ${a:-'b'} {{x}}", "behind a `${`");
    unsure("$\\\n{{x}}", "behind a line that goes on");
    unsure("\"$\\\n(a {{x}}", "behind a line that goes on");
    unsure("<\\\n< E {{x}}", "behind a line that goes on");
    unsure("a[{{x}}]=1", "behind the `[`");
    unsure("a[ 1 + \"{{x}}\" ]=1", "behind the `[`");
    unsure("cat <<E\n{{x}}\nE", "behind a `<<`");
    assert!(check_line("[ -n {{x}} ]; ls [a]* b[0-9] {{x}}").is_ok());
    assert!(check_line("echo a#{{x}} ${HOME}/{{x}} $(date) \"$(date +%F) ${HOME:-/} {{x}}\" '{{x}}' $#{{x}}").is_ok());
}

/// Lines with one placeholder that print its value, each between brackets, in every kind of quotes.
const LINES: [&str; 14] = [
    "printf '[%s]' {{x}}",
    "printf '[%s]' \"{{x}}\"",
    "printf '[%s]' '{{x}}'",
    "printf '['%s']' \"\"{{x}}''",
    "a={{x}}; printf '[%s]' \"$a\"",
    "printf '[%s]' \"$(printf %s x)\" >/dev/null; printf '[%s]' \"${NOSUCH}{{x}}\"",
    "x=$(printf %s. {{x}}); printf '[%s]' \"${x%.}\"",
    "# isn't it\nprintf '[%s]' {{x}}",
    "printf '[%s]' \"\\\"\" >/dev/null; printf '[%s]' \"{{x}}\"",
    "printf \\'[%s]\\' '' >/dev/null; printf '[%s]' {{x}}",
    "echo a\\\n# b >/dev/null; printf '[%s]' {{x}}",
    "case {{x}} in (*) printf '[%s]' {{x}};; esac",
    "( printf '[%s]' '{{x}}' )",
    "echo $# $$ ${#} \"$#\" >/dev/null; printf '[%s]' {{x}}",
];

fn output(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    output.stdout
}

#[track_caller]
fn arrives(shell_program: &str, value: &str) {
    let given = values(&[("x", json!(value))]);
    for line in LINES {
        let filled = render(&shell(line), &given).map(|task| task.program_text()).unwrap();
        let printed = output(shell_program, &["-c", &filled]);
        assert_eq!(String::from_utf8_lossy(&printed), format!("[{value}]"), "{line}\n{filled}");
    }
}

#[test]
fn what_a_shell_could_take_for_code_arrives_as_it_is() {
    for value in [
        "",
        " ",
        "'",
        "''",
        "\"",
        "\\",
        "\\'",
        "'; exit 3; '",
        "$(exit 3)",
        "`exit 3`",
        "$x",
        "*",
        "~",
        "\n",
        "a\nb\n",
        "#",
        "-n",
        "'\"'\"'",
        "{{x}}",
        "}}",
        "!",
        "ä\u{feff}",
        "\r",
        "a'b\"c`d$e\\f",
        "$'x'",
        "; #",
    ] {
        for program in ["/bin/sh", "/bin/bash"].into_iter().filter(|program| Path::new(program).exists()) {
            arrives(program, value);
        }
    }
}

/// Values that leave a file behind wherever a shell takes them for code.
const CODE: [&str; 9] =
    ["$(:>c)", "`:>c`", "'\n:>c\n'", "'\"\n:>c\n\"'", "\";:>c;\"", "\n:>c\n", ")\n:>c\n(", "}$(:>c)", "\\'$(:>c)\\'"];

/// Runs a line with each of these values, whatever comes of it.
fn runs_none(line: &str) {
    let folder = tempfile::tempdir().unwrap();
    for value in CODE {
        let filled = render(&shell(line), &values(&[("x", json!(value))])).map(|task| task.program_text()).unwrap();
        for program in ["/bin/sh", "/bin/bash"].into_iter().filter(|program| Path::new(program).exists()) {
            let mut command = Command::new(program);
            command.args(["-c", &filled]).current_dir(&folder).env_clear().env("PATH", "");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            assert!(!folder.path().join("c").exists(), "{program} ran the value in {line:?}: {filled:?}");
        }
    }
}

/// A few of the usual number of cases, which the environment may raise.
fn few() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.div_ceil(8), ..usual }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn no_line_runs_a_value(parts in collection::vec("['\"\\\\$`(){}#<;& \\n\\[\\]a]|\\{\\{x\\}\\}|\\$\\(|\\$\\{a\\}|\\\\\\n| #", 1..9)) {
        let line = format!("{}{{{{x}}}}", parts.concat());
        // What is refused cannot be run.
        if check_line(&line).is_ok() {
            runs_none(&line);
        }
    }

    #[test]
    fn no_value_breaks_out_of_a_line(value in "([ '\"\\\\$`(){}<>#;&|*?!~\\n\\r\\t=a-c]|\\PC){0,12}") {
        arrives("/bin/sh", &value);
    }

    #[test]
    fn an_argument_is_the_value(value in "\\PC{0,20}", before in "[a-z ]{0,3}") {
        let mut task = task(Program::Command(vec!["printf".into(), "%s".into(), format!("{before}{{{{x}}}}")]));
        task.args = vec!["{{x}}".into()];
        let filled = render(&task, &values(&[("x", json!(value))])).unwrap();
        let expected = vec!["printf".to_owned(), "%s".to_owned(), format!("{before}{value}")];
        prop_assert_eq!(&filled.program, &Program::Command(expected));
        prop_assert_eq!(&filled.args, &vec![value]);
    }
}

#[test]
fn a_default_survives_the_forms_in_which_definitions_are_kept() {
    let mut task = shell("echo {{n}}");
    let default = Need::Default(json!({"a": [1, 2.5, null, "x"], "b": true}));
    task.params.insert("n".to_owned(), param(default, Some(Kind::Json)));
    task.params.insert("m".to_owned(), param(Need::Required, None));
    let text = serde_json::to_string(&task).unwrap();
    assert!(text.contains(r#"{"default":{"a":[1,2.5,null,"x"],"b":true}}"#), "{text}");
    assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), task);
    let bytes = postcard::to_stdvec(&task).unwrap();
    assert_eq!(postcard::from_bytes::<Task>(&bytes).unwrap(), task);
}
