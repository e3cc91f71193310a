//! What the database answers to a selection is what the selection says of each job by itself.

mod model;

use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;

use self::model::{Job, NOW, insert, job, jobs, with};
use super::*;
use crate::domain::selection::Scope;
use crate::domain::selection::tests::{read, strategies::selections};
use crate::store::tests::store;
use crate::store::{Durability, Store, time};

fn selected(store: &Store, selection: &Selection) -> Vec<i64> {
    let ids = ids(store.reader(), selection, &Order::default(), None, time(NOW)).unwrap();
    ids.into_iter().map(|id| id.0).collect()
}

#[test]
fn the_database_selects_what_is_meant() {
    let (_temp, mut store) = store();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let store = RefCell::new(&mut store);
    let input = (jobs(), vec(selections(), 5));
    runner
        .run(&input, |(jobs, selections)| {
            let mut store = store.borrow_mut();
            insert(&mut store, &jobs);
            for selection in selections {
                let matches = |(id, job): &(i64, &Job)| {
                    selection.condition.as_ref().is_none_or(|condition| job.matches(*id, condition))
                };
                let mut expected: Vec<i64> = (1..).zip(&jobs).filter(matches).map(|(id, _)| id).collect();
                expected.reverse();
                prop_assert_eq!(&selected(&store, &selection), &expected, "{}", selection);
                let counted = count(store.reader(), &selection, time(NOW)).unwrap();
                prop_assert_eq!(counted, expected.len() as u64, "{}", selection);
            }
            Ok(())
        })
        .unwrap();
}

#[track_caller]
fn check(store: &Store, text: &str, expected: &[i64]) {
    let selection = read(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(selected(store, &selection), expected, "{text}");
}

#[test]
fn what_is_unset_or_of_another_kind_matches_nothing_but_not() {
    let (_temp, mut store) = store();
    let values =
        [json!({"a": 1}), json!({"a": "1"}), json!({"a": true}), json!({"a": null}), json!({}), json!({"a": 2.5})];
    insert(&mut store, &values.each_ref().map(with));
    check(&store, "", &[6, 5, 4, 3, 2, 1]);
    check(&store, "a = 1", &[1]);
    check(&store, "a != 1", &[6]);
    check(&store, "a not in (1)", &[6]);
    check(&store, "not a = 1", &[6, 5, 4, 3, 2]);
    check(&store, "not a != 1", &[5, 4, 3, 2, 1]);
    check(&store, "not not a = 1", &[1]);
    check(&store, "a = 1 or a != 1", &[6, 1]);
    check(&store, "not (a = 1 or a != 1)", &[5, 4, 3, 2]);
    check(&store, "a >= 1", &[6, 1]);
    check(&store, "a = '1'", &[2]);
    check(&store, "a >= ''", &[2]);
    check(&store, "a ~ .", &[2]);
    check(&store, "a !~ x", &[2]);
    check(&store, "not a ~ .", &[6, 5, 4, 3, 1]);
    check(&store, "a in (1, '1', true)", &[3, 2, 1]);
    check(&store, "a not in (2, 'x')", &[6, 2, 1]);
    check(&store, "a != true", &[]);
    check(&store, "exit_code != 0", &[]);
    check(&store, "not exit_code != 0", &[6, 5, 4, 3, 2, 1]);
}

#[test]
fn families_tasks_and_durations_are_selected() {
    let (_temp, mut store) = store();
    let child = |parents: &[i64], task: &str| Job { parents: parents.to_vec(), task: Some(task.to_owned()), ..job() };
    let ran = |started, ended| Job { started: Some(started), ended, ..job() };
    let jobs = [child(&[], "LOL"), child(&[1], "lol"), child(&[1, 2], "x"), ran(5, None), ran(5, Some(10))];
    insert(&mut store, &jobs);
    check(&store, "parent = 1", &[3, 2]);
    check(&store, "parent != 1", &[]);
    check(&store, "parent != 2", &[2]);
    check(&store, "not parent = 2", &[5, 4, 2, 1]);
    check(&store, "parent in (2, 7), parent < 2", &[3]);
    check(&store, "task = Lol", &[2, 1]);
    check(&store, "task ~ LOL", &[1]);
    check(&store, "task ~* ^lol$", &[2, 1]);
    check(&store, "duration >= 20us", &[4]);
    check(&store, "duration < 1s", &[5, 4]);
    check(&store, "task = \"LOL' OR 1 --\"", &[]);
}

#[test]
fn jobs_come_in_the_order_that_was_asked_for_and_no_more_than_that() {
    let (_temp, mut store) = store();
    let values = [json!({"a": 2}), json!({}), json!({"a": "x"}), json!({"a": 1}), json!({"a": 2})];
    insert(&mut store, &values.each_ref().map(with));
    let parameters = ["a".to_owned()];
    let scope = Scope { parameters: &parameters, now: time(NOW), zone: &jiff::tz::TimeZone::UTC };
    let ordered = |order: &str, limit| -> Vec<i64> {
        let order = Order::parse(order, &scope).unwrap();
        let ids = ids(store.reader(), &Selection::default(), &order, limit, time(NOW)).unwrap();
        ids.into_iter().map(|id| id.0).collect()
    };
    assert_eq!(ordered("id", None), [1, 2, 3, 4, 5]);
    assert_eq!(ordered("-id", Some(2)), [5, 4]);
    assert_eq!(ordered("-id", Some(0)), [0; 0]);
    assert_eq!(ordered("a", None), [4, 1, 5, 3, 2]);
    assert_eq!(ordered("-a", None), [3, 5, 1, 4, 2]);
    assert_eq!(ordered("priority", Some(3)), [1, 2, 3]);
    assert_eq!(ordered("-duration", Some(3)), [5, 4, 3]);
    assert_eq!(ordered("tag.x", Some(1)), [1]);
}

#[test]
fn names_of_parameters_are_known_once_they_are_recorded() {
    let (_temp, mut store) = store();
    for names in [vec!["b", "a"], vec!["a"], vec![]] {
        store.write(Durability::Committed, |tx| know_params(tx, names.into_iter())).unwrap();
    }
    assert_eq!(known_params(store.reader()).unwrap(), ["a", "b"]);
}

#[test]
fn the_longest_selections_are_not_too_long_and_a_pattern_is_registered_when_needed() {
    let (_temp, mut store) = store();
    insert(&mut store, &[job(), job()]);
    let known = |store: &Store| -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM pragma_function_list WHERE name = 'jobexec_matches')";
        store.reader().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let nested = format!("{}id = 2{}", "not (".repeat(25), ")".repeat(25));
    check(&store, &format!("{} or {nested}", vec!["a in (1, 'x', true)"; 499].join(" or ")), &[1]);
    check(&store, &format!("id in ({})", (2..10_002).map(|id| id.to_string()).collect::<Vec<_>>().join(",")), &[2]);
    assert!(!known(&store));
    check(&store, &vec!["not state !~ ^CRE"; 500].join(" and "), &[2, 1]);
    assert!(known(&store));
    // While a statement that uses it is running, too.
    let clause = clause(store.reader(), &read("state ~ C").unwrap(), time(NOW)).unwrap();
    let mut statement = store.reader().prepare(&format!("SELECT id FROM jobs WHERE {}", clause.sql)).unwrap();
    let mut rows = statement.query(params_from_iter(clause.values)).unwrap();
    assert!(rows.next().unwrap().is_some());
    check(&store, "state ~* create", &[2, 1]);
}
