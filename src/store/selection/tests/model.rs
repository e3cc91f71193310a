//! Jobs in memory, what a selection says of each of them by itself, and how they come into a database.

use std::cmp::Ordering;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rusqlite::params;
use serde_json::{Map, Value as Json, json};

use crate::domain::lifecycle::State;
use crate::domain::selection::tests::strategies::{NAMES, numbers, texts};
use crate::domain::selection::{BuiltIn, Comparator, Condition, Field, Number, Test, Value};
use crate::store::{Durability, Store, time};

/// What can be asked about a job. Its id is its place in a list, from 1.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) state: State,
    pub(super) task: Option<String>,
    pub(super) run_name: Option<String>,
    pub(super) parents: Vec<i64>,
    pub(super) spawned_by: Option<i64>,
    pub(super) root: Option<i64>,
    pub(super) workdir: Option<String>,
    pub(super) exit_code: Option<i64>,
    pub(super) attempt: i64,
    pub(super) priority: i64,
    pub(super) held: bool,
    pub(super) created: i64,
    pub(super) started: Option<i64>,
    pub(super) ended: Option<i64>,
    pub(super) params: Map<String, Json>,
    pub(super) tags: Map<String, Json>,
    pub(super) data: Map<String, Json>,
}

/// For jobs that have not ended.
pub(super) const NOW: i64 = 25;

impl Job {
    fn column(&self, id: i64, built_in: BuiltIn) -> Vec<Value> {
        let number = |number: i64| Value::Number(Number::Integer(number));
        let moment = |micros: i64| Value::Time(time(micros));
        let one = match built_in {
            BuiltIn::Id => Some(number(id)),
            BuiltIn::State => Some(Value::State(self.state)),
            // Names of tasks are the same without regard to case.
            BuiltIn::Task => self.task.clone().map(Value::Text),
            BuiltIn::RunName => self.run_name.clone().map(Value::Text),
            BuiltIn::Parent => return self.parents.iter().copied().map(number).collect(),
            BuiltIn::SpawnedBy => self.spawned_by.map(number),
            BuiltIn::Root => self.root.map(number),
            BuiltIn::Workdir => self.workdir.clone().map(Value::Text),
            BuiltIn::ExitCode => self.exit_code.map(number),
            BuiltIn::Attempt => Some(number(self.attempt)),
            BuiltIn::Priority => Some(number(self.priority)),
            BuiltIn::Held => Some(Value::Bool(self.held)),
            BuiltIn::Created => Some(moment(self.created)),
            BuiltIn::Started => self.started.map(moment),
            BuiltIn::Ended => self.ended.map(moment),
            BuiltIn::Duration => self.started.map(|started| moment(self.ended.unwrap_or(NOW) - started)),
        };
        one.into_iter().collect()
    }

    fn find(&self, id: i64, field: &Field) -> Vec<Value> {
        let json = match field {
            Field::BuiltIn(built_in) => return self.column(id, *built_in),
            Field::Param(name) => self.params.get(name),
            Field::Tag(name) => self.tags.get(name),
            Field::Data(keys) => {
                let (first, rest) = keys.split_first().unwrap();
                rest.iter().fold(self.data.get(first), |found, key| found?.as_object()?.get(key))
            }
        };
        let value = match json {
            Some(Json::String(text)) => Some(Value::Text(text.clone())),
            Some(Json::Bool(truth)) => Some(Value::Bool(*truth)),
            Some(Json::Number(number)) => Some(Value::Number(
                number.as_i64().map_or_else(|| Number::Real(number.as_f64().unwrap()), Number::Integer),
            )),
            Some(Json::Null | Json::Array(_) | Json::Object(_)) | None => None,
        };
        value.into_iter().collect()
    }

    pub(super) fn matches(&self, id: i64, condition: &Condition) -> bool {
        match condition {
            Condition::All(parts) => parts.iter().all(|part| self.matches(id, part)),
            Condition::Any(parts) => parts.iter().any(|part| self.matches(id, part)),
            Condition::Not(part) => !self.matches(id, part),
            Condition::Comparison(field, test) => {
                let ignores_case = *field == Field::BuiltIn(BuiltIn::Task);
                passes(&self.find(id, field), test, ignores_case)
            }
        }
    }
}

/// Whether what is found passes: of several, one where something is wanted, none where it is not.
fn passes(found: &[Value], test: &Test, ignores_case: bool) -> bool {
    let compare = |value: &Value, with: &Value| compare(value, with, ignores_case);
    let equal = |value: &Value, with: &Value| compare(value, with) == Some(Ordering::Equal);
    let alike: Vec<&Value> = match test {
        Test::Compare(_, with) => found.iter().filter(|value| compare(value, with).is_some()).collect(),
        Test::In { values, .. } => {
            found.iter().filter(|value| values.iter().any(|with| compare(value, with).is_some())).collect()
        }
        Test::Matches { .. } => found.iter().filter(|value| as_text(value).is_some()).collect(),
    };
    let some = |passes: &dyn Fn(&Value) -> bool| alike.iter().any(|value| passes(value));
    let none = |passes: &dyn Fn(&Value) -> bool| !alike.is_empty() && !alike.iter().any(|value| passes(value));
    match test {
        Test::Compare(Comparator::Equal, with) => some(&|value| equal(value, with)),
        Test::Compare(Comparator::NotEqual, with) => none(&|value| equal(value, with)),
        Test::Compare(Comparator::Less, with) => some(&|value| compare(value, with) == Some(Ordering::Less)),
        Test::Compare(Comparator::Greater, with) => some(&|value| compare(value, with) == Some(Ordering::Greater)),
        Test::Compare(Comparator::LessOrEqual, with) => {
            some(&|value| compare(value, with).is_some_and(Ordering::is_le))
        }
        Test::Compare(Comparator::GreaterOrEqual, with) => {
            some(&|value| compare(value, with).is_some_and(Ordering::is_ge))
        }
        Test::In { values, negated: false } => some(&|value| values.iter().any(|with| equal(value, with))),
        Test::In { values, negated: true } => none(&|value| values.iter().any(|with| equal(value, with))),
        Test::Matches { pattern, negated } => {
            some(&|value| as_text(value).is_some_and(|text| pattern.is_match(text) != *negated))
        }
    }
}

fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::State(state) => Some(state.as_str()),
        Value::Number(_) | Value::Bool(_) | Value::Time(_) | Value::Duration(_) => None,
    }
}

/// How two values of one kind compare.
fn compare(value: &Value, with: &Value, ignores_case: bool) -> Option<Ordering> {
    match (value, with) {
        (Value::Number(a), Value::Number(b)) => Some(compare_numbers(*a, *b)),
        (Value::Text(a), Value::Text(b)) if ignores_case => Some(a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase())),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::State(a), Value::State(b)) => Some(a.as_str().cmp(b.as_str())),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        // A duration is found as the moment so long after the epoch.
        (Value::Time(a), Value::Duration(b)) => {
            Some(i128::from(a.as_microsecond()).cmp(&i128::try_from(b.as_micros()).unwrap()))
        }
        _ => None,
    }
}

/// Exactly, also where one number is whole and the other too great for that to be told.
fn compare_numbers(a: Number, b: Number) -> Ordering {
    match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => a.cmp(&b),
        (Number::Real(a), Number::Real(b)) => a.partial_cmp(&b).unwrap(),
        (Number::Real(_), Number::Integer(_)) => compare_numbers(b, a).reverse(),
        (Number::Integer(a), Number::Real(b)) => {
            // Beyond what an i128 holds it is cut to the greatest one, which is beyond every i64.
            #[allow(clippy::cast_possible_truncation)]
            let whole = b.trunc() as i128;
            i128::from(a).cmp(&whole).then(0.0.partial_cmp(&b.fract()).unwrap())
        }
    }
}

fn json_values() -> impl Strategy<Value = Json> {
    let number = numbers().prop_map(|number| match number {
        Number::Integer(number) => Json::from(number),
        Number::Real(number) => Json::from(number),
    });
    let odd = select(vec![Json::Null, Json::from(u64::MAX), json!([1]), json!({"c": 1})]);
    prop_oneof![4 => number, 4 => texts().prop_map(Json::from), 2 => any::<bool>().prop_map(Json::from), 1 => odd]
}

fn objects<V: Strategy<Value = Json> + 'static>(values: V) -> impl Strategy<Value = Map<String, Json>> {
    let names = || select(NAMES.to_vec()).prop_map(str::to_owned);
    vec((names(), values), 0..5).prop_map(|entries| entries.into_iter().collect())
}

prop_compose! {
    fn jobs_alone()(
        state in select(State::ALL.to_vec()),
        (task, run_name, workdir) in (of(texts()), of(texts()), of(texts())),
        (spawned_by, root, exit_code) in (of(0..12_i64), of(0..12_i64), of(-1..3_i64)),
        (attempt, priority, held) in (0..4_i64, -2..3_i64, any::<bool>()),
        (created, started, ended) in (0..20_i64, of(0..20_i64), of(0..20_i64)),
        params in objects(json_values()),
        tags in objects(texts().prop_map(Json::from)),
        data in objects(prop_oneof![json_values(), objects(json_values()).prop_map(Json::from)]),
    ) -> Job {
        Job {
            state, task, run_name, parents: Vec::new(), spawned_by, root, workdir, exit_code, attempt, priority, held,
            created, started, ended, params, tags, data,
        }
    }
}

pub(super) fn jobs() -> impl Strategy<Value = Vec<Job>> {
    vec(jobs_alone(), 1..12).prop_flat_map(|jobs| {
        let ids: Vec<i64> = (1..).take(jobs.len()).collect();
        let parents = vec(subsequence(ids.clone(), 0..=ids.len().min(3)), jobs.len());
        parents.prop_map(move |parents| {
            jobs.iter().cloned().zip(parents).map(|(job, parents)| Job { parents, ..job }).collect()
        })
    })
}

pub(super) fn insert(store: &mut Store, jobs: &[Job]) {
    let object = |map: &Map<String, Json>| (!map.is_empty()).then(|| Json::from(map.clone()).to_string());
    let written: Result<(), Failed> = store.write(Durability::Committed, |tx| {
        tx.execute_batch(
            "DELETE FROM edges; DELETE FROM jobs; DELETE FROM sqlite_sequence;
                 INSERT OR IGNORE INTO definitions (id, body) VALUES (1, '{}');
                 INSERT OR IGNORE INTO environments (id, body) VALUES (1, x'00')",
        )?;
        for (job, door) in jobs.iter().zip(["queue", "start", "schedule"].into_iter().cycle()) {
            tx.execute(
                "INSERT INTO jobs (door, definition, environment, made_by, state, task, run_name, spawned_by, root,
                         workdir, exit_code, attempt, priority, held, created, started, ended, params, tags, data)
                     VALUES (?17, 1, 1, 'anna', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                params![
                    job.state.as_str(),
                    job.task,
                    job.run_name,
                    job.spawned_by,
                    job.root,
                    job.workdir,
                    job.exit_code,
                    job.attempt,
                    job.priority,
                    job.held,
                    job.created,
                    job.started,
                    job.ended,
                    object(&job.params),
                    object(&job.tags),
                    object(&job.data),
                    door,
                ],
            )?;
        }
        for (child, job) in (1_i64..).zip(jobs) {
            for parent in &job.parents {
                let sql = "INSERT INTO edges (child, parent, kind) VALUES (?1, ?2, 'success')";
                tx.execute(sql, [child, *parent])?;
            }
        }
        Ok(())
    });
    written.unwrap();
}

/// Either kind of error, in words.
#[derive(Debug)]
#[allow(dead_code)]
struct Failed(String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(format!("{error:?}"))
    }
}

/// A job of which nothing is set that need not be.
pub(super) fn job() -> Job {
    let object = Map::new;
    Job {
        state: State::Created,
        task: None,
        run_name: None,
        parents: Vec::new(),
        spawned_by: None,
        root: None,
        workdir: None,
        exit_code: None,
        attempt: 0,
        priority: 0,
        held: false,
        created: 1,
        started: None,
        ended: None,
        params: object(),
        tags: object(),
        data: object(),
    }
}

/// One with these parameters.
pub(super) fn with(params: &Json) -> Job {
    Job { params: params.as_object().unwrap().clone(), ..job() }
}
