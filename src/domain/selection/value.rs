//! Values: what is typed behind an operator, read as what its field holds.

use std::time::Duration;

use jiff::Timestamp;

use super::Scope;
use super::error::Problem;
use super::field::{Field, Kind};
use super::moment::parse_moment;
use crate::domain::amount::parse_duration;
use crate::domain::lifecycle::State;

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// A state.
    State(State),
    /// A moment, in whole microseconds.
    Time(Timestamp),
    /// A length of time, in whole microseconds.
    Duration(Duration),
}

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole one.
    Integer(i64),
    /// Any other; always finite.
    Real(f64),
}

/// A value as it is typed.
#[derive(Debug)]
pub(super) struct Literal {
    pub(super) text: String,
    pub(super) quoted: bool,
}

impl Literal {
    /// The number, where it is one as JSON writes them; just so a parameter that is given becomes one.
    fn number(&self) -> Option<Number> {
        if self.quoted || !self.text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return None;
        }
        let number: serde_json::Number = serde_json::from_str(&self.text).ok()?;
        number.as_i64().map(Number::Integer).or_else(|| number.as_f64().map(Number::Real))
    }

    fn truth(&self) -> Option<bool> {
        if self.quoted { None } else { self.text.parse().ok() }
    }

    /// The value for a field, which is asked for an order or not.
    pub(super) fn value(self, field: &Field, ordered: bool, scope: &Scope<'_>) -> Result<Value, Problem> {
        let wrong = |kind| Problem::Kind { field: field.to_string(), kind };
        let unordered = || Problem::Unordered { field: field.to_string() };
        match field.kind() {
            Kind::Number => self.number().map(Value::Number).ok_or_else(|| wrong("numbers")),
            Kind::State | Kind::Bool if ordered => Err(unordered()),
            Kind::State => state(&self.text).map(Value::State).ok_or(Problem::State(self.text)),
            Kind::Bool => self.truth().map(Value::Bool).ok_or_else(|| wrong("`true` or `false`")),
            Kind::Time => parse_moment(&self.text, scope.now, scope.zone).map(Value::Time),
            Kind::Duration => duration(&self.text).map(Value::Duration),
            // As texts, 10 comes before 9.
            Kind::Text if ordered && self.number().is_some() => {
                Err(Problem::NumberForText { field: field.to_string(), number: self.text })
            }
            Kind::Text => Ok(Value::Text(self.text)),
            Kind::Any => match (self.number(), self.truth()) {
                (Some(number), _) => Ok(Value::Number(number)),
                (None, Some(_)) if ordered => Err(unordered()),
                (None, Some(truth)) => Ok(Value::Bool(truth)),
                (None, None) => Ok(Value::Text(self.text)),
            },
        }
    }
}

fn state(text: &str) -> Option<State> {
    let name = text.to_ascii_uppercase();
    if name == "FINISHED" { Some(State::JobFinished) } else { State::parse(&name) }
}

/// Reads a duration, to the nearest microsecond.
fn duration(text: &str) -> Result<Duration, Problem> {
    let duration = parse_duration(text)?;
    let micros = (duration.as_nanos() + 500) / 1000;
    Ok(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
}
