//! Conditions as SQL. What somebody typed is bound and never written into the statement, paths into JSON too.
//!
//! NULL is what a comparison is with something unset; it selects as little as false, and `not` counts it as such.

use jiff::Timestamp;
use rusqlite::types;

use super::MATCHES;
use crate::domain::selection::{BuiltIn, Comparator, Condition, Field, Number, Order, Pattern, Selection, Test, Value};
use crate::store::micros;

/// Writes expressions and collects what is bound to them.
pub(super) struct Writer {
    pub(super) values: Vec<types::Value>,
    /// Whether the function that matches texts is needed.
    pub(super) matches: bool,
    now: Timestamp,
}

impl Writer {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { values: Vec::new(), matches: false, now }
    }

    /// The place of a value.
    pub(super) fn bind(&mut self, value: impl Into<types::Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    pub(super) fn selection(&mut self, selection: &Selection) -> String {
        selection.condition.as_ref().map_or_else(|| "TRUE".to_owned(), |condition| self.condition(condition))
    }

    /// What stands behind `ORDER BY`.
    pub(super) fn order(&mut self, order: &Order) -> String {
        let way = if order.descending { "DESC" } else { "ASC" };
        if order.field == Field::BuiltIn(BuiltIn::Id) {
            return format!("jobs.id {way}");
        }
        let by = match &order.field {
            Field::BuiltIn(built_in) => self.column(*built_in),
            Field::Param(name) => self.json("params", std::slice::from_ref(name)).content,
            Field::Tag(name) => self.json("tags", std::slice::from_ref(name)).content,
            Field::Data(keys) => self.json("data", keys).content,
        };
        format!("{by} {way} NULLS LAST, jobs.id {way}")
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::All(parts) => self.joined(parts, " AND "),
            Condition::Any(parts) => self.joined(parts, " OR "),
            Condition::Not(part) => format!("({}) IS NOT TRUE", self.condition(part)),
            Condition::Comparison(field, test) => match field {
                Field::BuiltIn(BuiltIn::Parent) => self.parent(test),
                Field::BuiltIn(built_in) => {
                    let column = self.column(*built_in);
                    self.test(&column, test)
                }
                Field::Param(name) => self.test_json("params", std::slice::from_ref(name), test),
                Field::Tag(name) => self.test_json("tags", std::slice::from_ref(name), test),
                Field::Data(keys) => self.test_json("data", keys, test),
            },
        }
    }

    fn joined(&mut self, parts: &[Condition], word: &str) -> String {
        parts.iter().map(|part| format!("({})", self.condition(part))).collect::<Vec<_>>().join(word)
    }

    /// Of [`BuiltIn::Parent`], of which there may be several, that of an edge.
    fn column(&mut self, built_in: BuiltIn) -> String {
        match built_in {
            BuiltIn::Parent => "edges.parent".to_owned(),
            BuiltIn::Duration => {
                let now = self.bind(micros(self.now));
                format!("(coalesce(jobs.ended, {now}) - jobs.started)")
            }
            BuiltIn::Id
            | BuiltIn::State
            | BuiltIn::Task
            | BuiltIn::RunName
            | BuiltIn::SpawnedBy
            | BuiltIn::Root
            | BuiltIn::Workdir
            | BuiltIn::ExitCode
            | BuiltIn::Attempt
            | BuiltIn::Priority
            | BuiltIn::Held
            | BuiltIn::Created
            | BuiltIn::Started
            | BuiltIn::Ended => format!("jobs.{}", built_in.as_str()),
        }
    }

    /// Some parent passes; where the test is a negated one, there are parents and none fails it.
    fn parent(&mut self, test: &Test) -> String {
        let column = self.column(BuiltIn::Parent);
        let mut passing = |test: &Test| {
            // By the index on the parents, from which only few jobs are found.
            format!("jobs.id IN (SELECT edges.child FROM edges WHERE {})", self.test(&column, test))
        };
        let opposite = match test {
            Test::Compare(Comparator::NotEqual, value) => Test::Compare(Comparator::Equal, value.clone()),
            Test::In { values, negated: true } => Test::In { values: values.clone(), negated: false },
            Test::Matches { pattern, negated: true } => Test::Matches { pattern: pattern.clone(), negated: false },
            Test::Compare(..) | Test::In { negated: false, .. } | Test::Matches { negated: false, .. } => {
                return passing(test);
            }
        };
        let any = "EXISTS (SELECT 1 FROM edges WHERE edges.child = jobs.id)";
        format!("{any} AND NOT {}", passing(&opposite))
    }

    /// A test of what is of the values' kind or NULL.
    fn test(&mut self, content: &str, test: &Test) -> String {
        match test {
            Test::Compare(comparator, value) => {
                let value = self.bind(bound(value));
                format!("{content} {} {value}", comparator.as_str())
            }
            Test::In { values, negated } => self.among(content, values, *negated),
            Test::Matches { pattern, negated } => self.matches(content, pattern, *negated),
        }
    }

    fn among<'a>(&mut self, content: &str, values: impl IntoIterator<Item = &'a Value>, negated: bool) -> String {
        let places: Vec<String> = values.into_iter().map(|value| self.bind(bound(value))).collect();
        format!("{content} {} ({})", if negated { "NOT IN" } else { "IN" }, places.join(", "))
    }

    fn matches(&mut self, content: &str, pattern: &Pattern, negated: bool) -> String {
        self.matches = true;
        let text = self.bind(pattern.as_str().to_owned());
        let ignores_case = self.bind(pattern.ignores_case());
        format!("{}{MATCHES}({text}, {ignores_case}, {content})", if negated { "NOT " } else { "" })
    }

    fn json(&mut self, column: &str, keys: &[String]) -> Json {
        let path = self.bind(path(keys));
        let [kind, content] =
            ["json_type", "json_extract"].map(|function| format!("{function}(jobs.{column}, {path})"));
        Json { kind, content }
    }

    fn test_json(&mut self, column: &str, keys: &[String], test: &Test) -> String {
        let json = self.json(column, keys);
        match test {
            Test::Compare(Comparator::Equal, value) => self.among_json(&json, std::slice::from_ref(value), false),
            Test::Compare(Comparator::NotEqual, value) => self.among_json(&json, std::slice::from_ref(value), true),
            Test::In { values, negated } => self.among_json(&json, values, *negated),
            Test::Compare(_, value) => {
                let test = self.test(&json.content, test);
                format!("{} AND {test}", json.is(kinds(value)))
            }
            Test::Matches { .. } => {
                let test = self.test(&json.content, test);
                format!("{} AND {test}", json.is(TEXT))
            }
        }
    }

    /// Whether it is of one kind with some of the values, and one of those or none of them.
    fn among_json(&mut self, json: &Json, values: &[Value], negated: bool) -> String {
        let tests = [TEXT, NUMBER, BOOL].into_iter().filter_map(|kind| {
            let alike: Vec<&Value> = values.iter().filter(|value| kinds(value) == kind).collect();
            let test = (!alike.is_empty()).then(|| self.among(&json.content, alike, negated))?;
            Some(format!("{} AND {test}", json.is(kind)))
        });
        tests.map(|test| format!("({test})")).collect::<Vec<_>>().join(" OR ")
    }
}

/// The expressions for something in an object.
struct Json {
    kind: String,
    content: String,
}

/// The kinds of JSON that texts, numbers and truth values are.
const TEXT: &str = "'text'";
const NUMBER: &str = "'integer', 'real'";
const BOOL: &str = "'true', 'false'";

impl Json {
    fn is(&self, kinds: &str) -> String {
        format!("{} IN ({kinds})", self.kind)
    }
}

fn kinds(value: &Value) -> &'static str {
    match value {
        Value::Number(_) => NUMBER,
        Value::Bool(_) => BOOL,
        // Those of the built-in fields are never looked for in JSON.
        Value::Text(_) | Value::State(_) | Value::Time(_) | Value::Duration(_) => TEXT,
    }
}

/// The path to something in an object; `SQLite` reads a quoted key as JSON does.
fn path(keys: &[String]) -> String {
    let keys = keys.iter().map(|key| format!(".{}", serde_json::Value::from(key.as_str())));
    std::iter::once("$".to_owned()).chain(keys).collect()
}

fn bound(value: &Value) -> types::Value {
    match value {
        Value::Number(Number::Integer(number)) => (*number).into(),
        Value::Number(Number::Real(number)) => (*number).into(),
        Value::Text(text) => text.clone().into(),
        Value::Bool(truth) => (*truth).into(),
        Value::State(state) => state.as_str().to_owned().into(),
        Value::Time(time) => micros(*time).into(),
        Value::Duration(duration) => i64::try_from(duration.as_micros()).unwrap_or(i64::MAX).into(),
    }
}
