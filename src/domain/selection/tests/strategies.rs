//! Selections of every kind, and texts that are none.

use std::time::Duration;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use crate::domain::lifecycle::State;

/// Names that parameters, tags and data have in properties: plain ones, and such as SQL, JSON or this language could
/// take for something else.
pub(crate) const NAMES: [&str; 9] =
    ["a", "b", "a.b", "not", "in and out", "it's \"x\"", "back\\slash\\", "é", "\u{1}\n"];

/// Texts that are compared in properties.
pub(crate) const TEXTS: [&str; 10] = ["", "a", "A", "b", "1", "true", "a'b\"c\\", "é%_", "\n", "LOL"];

/// Numbers that are compared in properties: those at which whole and other numbers differ, and any.
pub(crate) fn numbers() -> impl Strategy<Value = Number> {
    let special = [-1, 0, 1, 2, 9_007_199_254_740_993, i64::MAX, i64::MIN].map(Number::Integer);
    let others = [-0.5, 0.0, 0.1, 1.0, 2.0, 9_007_199_254_740_992.0, 9.3e18, 1e300, 5e-324].map(Number::Real);
    let any = proptest::num::f64::NORMAL.prop_map(Number::Real);
    prop_oneof![6 => select(special.to_vec()), 6 => select(others.to_vec()), 1 => any]
}

pub(crate) fn texts() -> impl Strategy<Value = String> {
    select(TEXTS.to_vec()).prop_map(str::to_owned)
}

fn names() -> impl Strategy<Value = String> {
    select(NAMES.to_vec()).prop_map(str::to_owned)
}

fn fields() -> impl Strategy<Value = Field> {
    prop_oneof![
        4 => select(BuiltIn::ALL.to_vec()).prop_map(Field::BuiltIn),
        3 => names().prop_map(Field::Param),
        1 => names().prop_map(Field::Tag),
        2 => vec(names(), 1..3).prop_map(Field::Data),
    ]
}

/// Whole microseconds around the epoch, as jobs have them in properties.
fn moments() -> impl Strategy<Value = Timestamp> {
    (0..20_i64).prop_map(|micros| Timestamp::from_microsecond(micros).unwrap())
}

fn values(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Number => prop_oneof![
            (-1..12_i64).prop_map(Number::Integer).prop_map(Value::Number),
            numbers().prop_map(Value::Number)
        ]
        .boxed(),
        Kind::Text => texts().prop_map(Value::Text).boxed(),
        Kind::State => select(State::ALL.to_vec()).prop_map(Value::State).boxed(),
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Time => moments().prop_map(Value::Time).boxed(),
        Kind::Duration => (0..30_u64).prop_map(Duration::from_micros).prop_map(Value::Duration).boxed(),
        Kind::Any => prop_oneof![values(Kind::Number), values(Kind::Text), values(Kind::Bool)].boxed(),
    }
}

fn tests(kind: Kind) -> BoxedStrategy<Test> {
    let equal = (select(vec![Comparator::Equal, Comparator::NotEqual]), values(kind));
    let equal = equal.prop_map(|(comparator, value)| Test::Compare(comparator, value));
    let among = (vec(values(kind), 1..4), any::<bool>()).prop_map(|(values, negated)| Test::In { values, negated });
    let patterns = ["", "^a", "A|b", "1", "RUN_", "\\\\", "\"", "(?s)."];
    let pattern =
        (select(patterns.to_vec()), any::<bool>()).prop_map(|(text, case)| Pattern::parse(text, case).unwrap());
    let matches = (pattern, any::<bool>()).prop_map(|(pattern, negated)| Test::Matches { pattern, negated });
    let ordering = |kind| {
        let comparators: Vec<_> = Comparator::ALL.into_iter().filter(|comparator| comparator.orders()).collect();
        (select(comparators), values(kind)).prop_map(|(comparator, value)| Test::Compare(comparator, value))
    };
    match kind {
        Kind::Bool => prop_oneof![equal, among].boxed(),
        Kind::State => prop_oneof![equal, among, matches].boxed(),
        Kind::Text => prop_oneof![equal, among, matches, ordering(kind)].boxed(),
        Kind::Number | Kind::Time | Kind::Duration => prop_oneof![equal, among, ordering(kind)].boxed(),
        Kind::Any => prop_oneof![equal, among, matches, ordering(Kind::Number), ordering(Kind::Text)].boxed(),
    }
}

/// Every selection that can be read.
pub(crate) fn selections() -> impl Strategy<Value = Selection> {
    let comparison = fields()
        .prop_flat_map(|field| tests(field.kind()).prop_map(move |test| Condition::Comparison(field.clone(), test)));
    let condition = comparison.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Condition::All),
            vec(inner.clone(), 2..4).prop_map(Condition::Any),
            inner.prop_map(|part| Condition::Not(Box::new(part))),
        ]
    });
    proptest::option::weighted(0.95, condition).prop_map(|condition| Selection { condition })
}

/// Texts of the pieces that selections are made of, in any order.
pub(super) fn scraps() -> impl Strategy<Value = String> {
    let pieces = [
        "and",
        "or",
        "not",
        "in",
        "(",
        ")",
        ",",
        "=",
        "!=",
        "<=",
        ">",
        "~",
        "~*",
        "!~",
        "'",
        "\"",
        "\\",
        ".",
        "*",
        " ",
        "id",
        "state",
        "a",
        "param.",
        "data.x",
        "tag.\"y z\"",
        "created",
        "duration",
        "held",
        "FINISHED",
        "-1",
        "2.5",
        "2h",
        "ago",
        "now",
        "true",
        "2026-11-20",
        "22:00",
        "é",
        "\u{0}",
    ];
    vec(prop_oneof![8 => select(pieces.to_vec()).prop_map(str::to_owned), 1 => any::<String>()], 0..20)
        .prop_flat_map(|pieces| select(vec!["", " "]).prop_map(move |between| pieces.join(between)))
}
