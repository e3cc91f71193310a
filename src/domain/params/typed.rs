//! The values of parameters: what is typed or sent, read as the type that was declared.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use thiserror::Error;

/// What the values of a parameter are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number that fits into 64 bits.
    Int,
    /// A number, perhaps with a fraction.
    Float,
    /// `true` or `false`.
    Bool,
    /// Anything that JSON can say.
    Json,
}

/// A value as somebody gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// Text, as in `-p NAME=TEXT`: its type is to be found.
    Text(String),
    /// A value that has a type already, as from a file or a request.
    Value(Value),
}

/// Why something is not a value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValueError {
    /// It is of another type.
    #[error("{found} is not {}", kind.in_words())]
    Kind {
        /// What was given.
        found: String,
        /// What was wanted.
        kind: Kind,
    },
    /// It is meant to be JSON and is none.
    #[error("`{found}` is not JSON: {why}")]
    Json {
        /// What was given.
        found: String,
        /// What is wrong with it.
        why: String,
    },
    /// A text with a NUL, which no argument and no variable can hold.
    #[error("its value contains a NUL character")]
    Nul,
}

impl ValueError {
    /// The way out, as an imperative.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Kind { kind, .. } => format!("give {}", kind.example()),
            Self::Json { .. } => "put strings in double quotes: `'[\"a\", 1]'`".to_owned(),
            Self::Nul => "leave the NUL out".to_owned(),
        }
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Text, Self::Int, Self::Float, Self::Bool, Self::Json];

    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Json => "json",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Int => "a whole number of at most 64 bits",
            Self::Float => "a number",
            Self::Bool => "`true` or `false`",
            Self::Json => "JSON",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Int => "a number such as `-3`",
            Self::Float => "a number such as `0.5` or `1e-3`",
            Self::Bool => "`true` or `false`",
            Self::Json => "JSON such as `[1, 2]`",
        }
    }

    /// A text read as this type.
    fn parse(self, text: &str) -> Result<Value, ValueError> {
        let wrong = || ValueError::Kind { found: format!("`{text}`"), kind: self };
        match self {
            Self::Text => Ok(Value::String(text.to_owned())),
            Self::Int => whole(text).map(Value::Number).ok_or_else(wrong),
            Self::Float => as_json(text).map(Value::Number).ok_or_else(wrong),
            Self::Bool => text.parse().map(Value::Bool).map_err(|_| wrong()),
            Self::Json => serde_json::from_str(text)
                .map_err(|error| ValueError::Json { found: text.to_owned(), why: error.to_string() }),
        }
    }

    /// A value that is of this type. A text takes numbers and booleans too, as variables do.
    fn accept(self, value: &Value) -> Result<Value, ValueError> {
        let fits = match self {
            Self::Text => match value {
                Value::Number(_) | Value::Bool(_) => return Ok(Value::String(value.to_string())),
                Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => value.is_string(),
            },
            Self::Int => value.is_i64() || value.is_u64(),
            Self::Float => value.is_number(),
            Self::Bool => value.is_boolean(),
            Self::Json => true,
        };
        if fits { Ok(value.clone()) } else { Err(ValueError::Kind { found: format!("`{value}`"), kind: self }) }
    }
}

impl Given {
    /// The value, as the parameter's type; where it has none, a text that reads as a number or boolean is one.
    pub fn read(&self, kind: Option<Kind>) -> Result<Value, ValueError> {
        let value = match (self, kind) {
            (Self::Text(text), Some(kind)) => kind.parse(text)?,
            (Self::Text(text), None) => unasked(text),
            (Self::Value(value), Some(kind)) => kind.accept(value)?,
            (Self::Value(value), None) => value.clone(),
        };
        if value.as_str().is_some_and(|text| text.contains('\0')) { Err(ValueError::Nul) } else { Ok(value) }
    }
}

/// A text of which nobody has said what it is.
fn unasked(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

fn whole(text: &str) -> Option<Number> {
    text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok()
}

/// A number as JSON has them.
fn as_json(text: &str) -> Option<Number> {
    if text.bytes().any(|b| b.is_ascii_whitespace()) { None } else { serde_json::from_str(text).ok() }
}

/// The same where nobody has said that it is one. Whole numbers that would lose digits are none: such a text is a name,
/// not an amount.
fn number(text: &str) -> Option<Number> {
    let number = as_json(text)?;
    let is_whole = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    (!is_whole || number.to_string() == text).then_some(number)
}

/// The text of a value: a text as it is, anything else as compact JSON.
pub fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
