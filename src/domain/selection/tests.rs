//! What selections mean, what is wrong with those that mean nothing, and that every one can be read again.

pub(crate) mod strategies;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use self::strategies::{scraps, selections};
use super::*;

/// It is 2026-11-21 08:00 in a zone that is an hour ahead; some jobs have these parameters.
pub(crate) fn read(text: &str) -> Result<Selection, SelectionError> {
    let parameters = ["a", "alpha", "beta", "my.rate", "priority"].map(str::to_owned);
    let zone = TimeZone::posix("CET-1").unwrap();
    let now = "2026-11-21T07:00:00Z".parse().unwrap();
    Selection::parse(text, &Scope { parameters: &parameters, now, zone: &zone })
}

#[track_caller]
fn check(text: &str, printed: &str) {
    match read(text) {
        Ok(selection) => assert_eq!(selection.to_string(), printed, "{text}"),
        Err(error) => panic!("{text}\n{error}"),
    }
}

#[track_caller]
fn refused(text: &str, said: &str, hint: &str) {
    let error = read(text).expect_err(text);
    assert_eq!(error.to_string(), said, "{text}");
    assert_eq!(error.hints().first().map_or("", String::as_str), hint, "{text}");
}

#[test]
fn and_binds_more_than_or_and_not_more_than_both() {
    check("", "");
    check(" \t\n", "");
    check("id=1", "id = 1");
    check("state = FINISHED and a > 3, tag.exp = 1", "state = JOB_FINISHED and param.a > 3 and tag.exp = \"1\"");
    check("id=1 or id=2,id=3 or id=4", "id = 1 or id = 2 and id = 3 or id = 4");
    check("(id=1 or id=2) AND id=3", "(id = 1 or id = 2) and id = 3");
    check("((id=1)) and (id=2 and id=3)", "id = 1 and (id = 2 and id = 3)");
    check("not id=1 and id=2", "not id = 1 and id = 2");
    check("NOT (id=1 Or id=2)", "not (id = 1 or id = 2)");
    check("not not(id=1)", "not not id = 1");
    let or = |parts| Some(Condition::Any(parts));
    let is = |id| Condition::Comparison(Field::BuiltIn(BuiltIn::Id), Test::Compare(Comparator::Equal, number(id)));
    assert_eq!(read("id=1 or id=2 and id=3").unwrap().condition, or(vec![is(1), Condition::All(vec![is(2), is(3)])]));
}

fn number(number: i64) -> Value {
    Value::Number(Number::Integer(number))
}

#[test]
fn a_name_is_a_field_or_a_parameter() {
    check("a = 1", "param.a = 1");
    check("my.rate = 1", "param.\"my.rate\" = 1");
    check("param.nobody_has_it = 1", "param.nobody_has_it = 1");
    check("param.priority = 1 and job.priority = 2", "param.priority = 1 and priority = 2");
    check("param.not = 1", "param.not = 1");
    check("param.\"in and out\" = 1", "param.\"in and out\" = 1");
    check(r#"tag.'it"s' = x"#, r#"tag."it\"s" = "x""#);
    check("data.fit.error < 0.5", "data.fit.error < 0.5");
    check("data.\"a.b\".c = 1", "data.\"a.b\".c = 1");
    check("held = true, parent = 3", "held = true and parent = 3");
    let way = "write `param.priority` for the parameter, `job.priority` for the field of every job";
    refused(
        "priority > 3",
        "column 1: `priority` is both a field of every job and a parameter\npriority > 3\n^^^^^^^^",
        way,
    );
    refused(
        "a = 1, stat = 2",
        "column 8: no field or parameter is named `stat`\na = 1, stat = 2\n       ^^^^",
        "did you mean `state`?",
    );
    refused("alhpa=1", "column 1: no field or parameter is named `alhpa`\nalhpa=1\n^^^^^", "did you mean `alpha`?");
    refused("tags.x=1", "column 1: no field or parameter is named `tags.x`\ntags.x=1\n^^^^^^", "did you mean `tag.x`?");
    refused("job.a = 1", "column 1: no field or parameter is named `a`\njob.a = 1\n^^^^^", KNOWN);
    refused(
        "param. = 1",
        "column 1: `param.` names nothing behind the dot\nparam. = 1\n^^^^^^",
        "write as in `param.x`",
    );
    refused(
        "data.a..b = 1",
        "column 1: `data.a..b` names nothing behind the dot\ndata.a..b = 1\n^^^^^^^^^",
        "write as in `data.x`",
    );
    let hints = read("zzzzzzz = 1").unwrap_err().hints();
    assert_eq!(hints[0], format!("{KNOWN}; the parameters a, alpha, beta, my.rate, priority"));
    assert_eq!(hints[1], "write `param.x`, `tag.x` or `data.x` for what jobs were given");
}

const KNOWN: &str = "known names: id, state, task, run_name, parent, spawned_by, root, workdir, exit_code, attempt, \
                     priority, held, created, started, ended, duration";

#[test]
fn a_value_is_of_its_fields_kind() {
    check("a = 3", "param.a = 3");
    check("a=-3,a>-0.5", "param.a = -3 and param.a > -0.5");
    check("a = 1e3", "param.a = 1000.0");
    check("a = '3'", "param.a = \"3\"");
    check("a = true and a != 'true'", "param.a = true and param.a != \"true\"");
    // As when a parameter is given: what JSON does not know is a text.
    check("a in (007, +3, True, 1.2.3, x-y, 2h)", r#"param.a in ("007", "+3", "True", "1.2.3", "x-y", "2h")"#);
    check("a in (1, 'x', false)", "param.a in (1, \"x\", false)");
    check("a NOT IN (1)", "param.a not in (1)");
    check("task = 2024x and run_name = 7", "task = \"2024x\" and run_name = \"7\"");
    check(
        "state in (created, Run_Done) and state != finished",
        "state in (CREATED, RUN_DONE) and state != JOB_FINISHED",
    );
    check(r#"workdir = "a \"b\" \\ \d" or workdir = 'it\'s'"#, r#"workdir = "a \"b\" \\ \\d" or workdir = "it's""#);
    check("workdir = 'and'", "workdir = \"and\"");
    check("a = ''", "param.a = \"\"");
    refused("id = x", "column 6: `id` is compared with numbers only\nid = x\n     ^", "");
    refused("id = '3'", "column 6: `id` is compared with numbers only\nid = '3'\n     ^^^", "");
    refused("held = 1", "column 8: `held` is compared with `true` or `false` only\nheld = 1\n       ^", "");
    refused(
        "state = CANCELED",
        "column 9: no state is named `CANCELED`\nstate = CANCELED\n        ^^^^^^^^",
        "did you mean `CANCELLED`?",
    );
    refused("state > RUNNING", "column 9: `state` cannot be put in that order\nstate > RUNNING\n        ^^^^^^^", "");
    refused("a < true", "column 5: `param.a` cannot be put in that order\na < true\n    ^^^^", "");
    let hint = "write `\"3\"` to compare texts (`\"10\"` is less than `\"9\"`), or give `tag.n` as a parameter";
    refused(
        "tag.n > 3",
        "column 9: `tag.n` is a text, which is not more or less than a number\ntag.n > 3\n        ^",
        hint,
    );
    check("tag.n > '3'", "tag.n > \"3\"");
}

#[test]
fn durations_and_times_may_be_of_several_words() {
    check("duration > 2h", "duration > 2h");
    check("duration > 5 min and id = 1", "duration > 5m and id = 1");
    check("duration<= 1 h 30 min, id=1", "duration <= 1h30m and id = 1");
    check("duration = 90", "duration = 1m30s");
    check("duration in (250ms, '2 days')", "duration in (250ms, 2d)");
    check("created > 2026-11-20", "created > 2026-11-19T23:00:00Z");
    check("created > 2026-11-20 22:00 or id = 1", "created > 2026-11-20T21:00:00Z or id = 1");
    check("created > \"yesterday 22:00\"", "created > 2026-11-20T21:00:00Z");
    check("created > yesterday", "created > 2026-11-19T23:00:00Z");
    check("(ended <= today 9:00)", "ended <= 2026-11-21T08:00:00Z");
    check("started >= 22:00", "started >= 2026-11-20T21:00:00Z");
    check("started > 2 h ago", "started > 2026-11-21T05:00:00Z");
    check("started < now", "started < 2026-11-21T07:00:00Z");
    check("created = 2026-11-20T22:00:00.123456789-05:00", "created = 2026-11-21T03:00:00.123456Z");
    check("created < 2030-01-01", "created < 2029-12-31T23:00:00Z");
    refused(
        "created > 2h",
        "column 11: `2h` is a length of time, not a time\ncreated > 2h\n          ^^",
        "write `2h ago`",
    );
    let times = "write as in `2026-11-20`, `2026-11-20 22:00`, `22:00`, `yesterday 22:00`, `2h ago`";
    refused(
        "created > last week",
        "column 11: `last week` is not a time\ncreated > last week\n          ^^^^^^^^^",
        times,
    );
    refused("created > 3", "column 11: `3` is not a time\ncreated > 3\n          ^", times);
    let said =
        "column 12: `x` is not a duration (try `90s`, `10 min`, `1h30m` or `7 days`)\nduration > x\n           ^";
    refused("duration > x", said, "");
}

#[test]
fn patterns_are_read_when_the_selection_is() {
    check("task ~ ^LOL.*$", "task ~ \"^LOL.*$\"");
    check(r#"task ~ "\d+" and task !~ 'a|b'"#, r#"task ~ "\\d+" and task !~ "a|b""#);
    check("a ~* x, state !~* ^run", "param.a ~* \"x\" and state !~* \"^run\"");
    check("a ~12", "param.a ~ \"12\"");
    refused("id ~ 1", "column 1: `id` is no text that could match\nid ~ 1\n^^", "");
    let error = read("task ~ 'a('").unwrap_err();
    assert!(matches!(error.problem, Problem::Pattern(_)), "{error}");
    assert_eq!(error.column, 8);
    let pattern = Pattern::parse("^a|b", true).unwrap();
    assert!(pattern.is_match("xB") && pattern.is_match("Ax") && !pattern.is_match("xA"));
}

#[test]
fn what_cannot_be_read_is_pointed_at() {
    let quotes = "put a text with blanks or signs in it in quotes";
    refused("a", "column 2: expected an operator, found the end\na\n ^", "");
    refused("a =", "column 4: expected a value, found the end\na =\n   ^", "");
    refused("a = b c", "column 7: expected `and`, `or` or the end, found `c`\na = b c\n      ^", quotes);
    refused(
        "a = 1 && a = 2",
        "column 7: expected `and`, `or` or the end, found `&&`\na = 1 && a = 2\n      ^^",
        quotes,
    );
    refused("a = 1,", "column 7: expected the name of a field, found the end\na = 1,\n      ^", "");
    refused("a = and", "column 5: expected a value, found `and`\na = and\n    ^^^", quotes);
    refused("and = 1", "column 1: expected the name of a field, found `and`\nand = 1\n^^^", quotes);
    refused("\"a\" = 1", "column 1: expected the name of a field, found `\"a\"`\n\"a\" = 1\n^^^", quotes);
    refused("()", "column 2: expected the name of a field, found `)`\n()\n ^", quotes);
    refused("(a = 1", "column 1: the bracket is not closed\n(a = 1\n^", "");
    refused("(a = 1 2)", "column 8: expected `and`, `or` or `)`, found `2`\n(a = 1 2)\n       ^", quotes);
    refused("a = 1)", "column 6: expected `and`, `or` or the end, found `)`\na = 1)\n     ^", quotes);
    refused("a in (1, 2", "column 6: the bracket is not closed\na in (1, 2\n     ^", "");
    refused("a in ()", "column 7: expected a value, found `)`\na in ()\n      ^", quotes);
    refused("a in 1", "column 6: expected `(` and values, found `1`\na in 1\n     ^", quotes);
    refused("a not 1", "column 7: expected `in`, found `1`\na not 1\n      ^", quotes);
    refused("a in (1 2)", "column 9: expected `,` or `)`, found `2`\na in (1 2)\n        ^", quotes);
    refused("a == 1", "column 3: `==` is no operator\na == 1\n  ^^", "did you mean `=`?");
    refused(
        "a =< 1",
        "column 3: `=<` is no operator\na =< 1\n  ^^",
        "the operators are `= != < <= > >= ~ ~* !~ !~* in`",
    );
    let backslash = "in quotes, write `\\\\` for a backslash before the last quote";
    refused("a = 'x", "column 5: the text in quotes has no end\na = 'x\n    ^^", backslash);
    // Columns are characters, carets stand where a terminal shows them, and nothing commands it.
    refused(
        "a = '日本' b",
        "column 10: expected `and`, `or` or the end, found `b`\na = '日本' b\n           ^",
        quotes,
    );
    refused("a\u{1b} =1", "column 1: no field or parameter is named `a\\u{1b}`\na  =1\n^^", "did you mean `a`?");
}

#[test]
fn what_is_too_long_for_a_database_or_a_stack_is_refused() {
    let nested = |n: usize| format!("{}id = 1{}", "(".repeat(n), ")".repeat(n));
    assert!(read(&nested(50)).is_ok());
    assert!(matches!(read(&nested(51)).unwrap_err().problem, Problem::Depth));
    assert!(matches!(read(&"not ".repeat(100_000)).unwrap_err().problem, Problem::Depth));
    let chain = |n: usize| vec!["id = 1"; n].join(" or ");
    assert!(read(&chain(500)).is_ok());
    assert!(matches!(read(&chain(501)).unwrap_err().problem, Problem::Length));
    let many = |n: usize| format!("id in ({})", vec!["1"; n].join(","));
    assert!(read(&many(10_000)).is_ok());
    let error = read(&many(10_001)).unwrap_err();
    assert!(matches!(error.problem, Problem::Length));
    assert!(error.to_string().lines().all(|line| line.chars().count() <= 100), "{error}");
}

#[test]
fn an_order_is_a_field_either_way_round() {
    let zone = TimeZone::UTC;
    let parameters = ["a".to_owned(), "state".to_owned()];
    let scope = Scope { parameters: &parameters, now: Timestamp::UNIX_EPOCH, zone: &zone };
    let order = |field, descending| Ok(Order { field, descending });
    assert_eq!(Order::parse("-id", &scope), Ok(Order::default()));
    assert_eq!(Order::parse(" created ", &scope), order(Field::BuiltIn(BuiltIn::Created), false));
    assert_eq!(Order::parse("-a", &scope), order(Field::Param("a".to_owned()), true));
    assert_eq!(Order::parse("data.x.y", &scope), order(Field::Data(vec!["x".to_owned(), "y".to_owned()]), false));
    let refused = |text: &str| Order::parse(text, &scope).unwrap_err();
    assert_eq!((refused("-state").column, refused("-state").problem), (2, Problem::Ambiguous("state".to_owned())));
    assert_eq!(refused("-prority").hints()[0], "did you mean `priority`?");
    assert!(matches!(refused("parent").problem, Problem::Unordered { .. }));
    assert!(matches!(refused("-").problem, Problem::Expected { .. }));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_its_place(text in prop_oneof![scraps(), any::<String>()]) {
        match read(&text) {
            Ok(selection) => prop_assert_eq!(read_again(&selection), selection),
            Err(error) => {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.column));
                prop_assert!(error.to_string().ends_with('^'));
                error.hints();
            }
        }
    }

    #[test]
    fn what_is_printed_reads_the_same(selection in selections()) {
        prop_assert_eq!(read_again(&selection), selection);
    }
}

/// With no known names, at another time, elsewhere.
fn read_again(selection: &Selection) -> Selection {
    let scope = Scope { parameters: &[], now: Timestamp::UNIX_EPOCH, zone: &TimeZone::UTC };
    let text = selection.to_string();
    Selection::parse(&text, &scope).unwrap_or_else(|error| panic!("{text}\n{error}"))
}
