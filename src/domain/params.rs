//! Parameters: what a task's jobs may be given, the values that they are given, and where those go.
//!
//! In reading order: a task declares parameters and uses them in placeholders, which makes the ones it takes
//! ([`taken`]); values are given and typed ([`resolve`]); the task with the values in it is what is run ([`render`],
//! for a job [`of_job`]).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::suggest::nearest;
use super::task::{Program, Task};

mod job;
mod render;
mod shell;
pub mod template;
mod typed;

pub use job::{LINE, line, of_job, with_line};
pub use render::{RenderError, RenderProblem, render};
pub use shell::check as check_line;
pub use typed::{Given, Kind, ValueError, plain_text};

use render::templates;

/// Values of parameters by name.
pub type Values = BTreeMap<String, Value>;

/// Numbers by name as they were typed, where that is not how they are printed: `1.50`, `1e-3`.
pub type Typed = BTreeMap<String, String>;

/// One parameter as a task declares it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Param {
    /// Whether it needs a value.
    pub need: Need,
    /// What its values are; unset, a number or boolean where the text reads as one, else the text.
    pub kind: Option<Kind>,
    /// What it is for, in a few words.
    pub help: Option<String>,
}

/// Whether a parameter needs a value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// It may be left out, and has no value then.
    #[default]
    Optional,
    /// It must be given.
    Required,
    /// It has this value where it is not given.
    Default(#[serde(with = "json_text")] Value),
}

/// Serde form of a value where not every format has one: as itself in JSON, else the text of its JSON.
mod json_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(value: &Value, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { value.serialize(to) } else { to.collect_str(value) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
        if from.is_human_readable() {
            return Value::deserialize(from);
        }
        serde_json::from_str(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

impl Param {
    /// Whether a job cannot be made without it.
    pub fn is_required(&self) -> bool {
        self.need == Need::Required
    }

    /// The value that it has where none is given.
    pub fn default(&self) -> Option<&Value> {
        match &self.need {
            Need::Default(value) => Some(value),
            Need::Optional | Need::Required => None,
        }
    }
}

/// What is wrong with one of the values that were given, or with none having been given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParamError {
    /// The task takes no such parameter.
    #[error("there is no parameter `{name}`")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// One that must have a value has none.
    #[error("parameter `{name}` has no value{}", what(help.as_deref()))]
    Missing {
        /// Its name.
        name: String,
        /// What it is for.
        help: Option<String>,
    },
    /// The value is not of the parameter's type.
    #[error("parameter `{name}`: {error}")]
    Value {
        /// The name of the parameter.
        name: String,
        /// What is wrong with its value.
        error: ValueError,
    },
}

fn what(help: Option<&str>) -> impl fmt::Display {
    help.map_or(String::new(), |help| format!(" ({help})"))
}

impl ParamError {
    /// The way out, as an imperative or `did you mean …?`.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { name, known } => match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => {
                    format!("the task takes no parameters; declare it with `params.{name} = {{}}`")
                }
                None => format!("give one of {}", quoted(known)),
            },
            Self::Missing { name, .. } => format!("give it a default, `params.{name}.default = …`"),
            Self::Value { error, .. } => error.hint(),
        }
    }

    /// The way out for whoever makes a job and so gives values; `of_task` unless it is one of a command of its own.
    pub fn hint_to_giver(&self, of_task: bool) -> String {
        match self {
            Self::Missing { name, .. } => format!("give it with `-p {name}=…`"),
            Self::Unknown { name, known } if known.is_empty() && !of_task => {
                format!("write `{{{{{name}}}}}` where it is to stand in the command")
            }
            Self::Unknown { .. } | Self::Value { .. } => self.hint(),
        }
    }
}

/// What is wrong with all of the values, in one sentence.
pub fn all(errors: &[ParamError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The parameters that a task takes: the declared ones, and those that its placeholders name. One that a placeholder
/// names needs a value, its default or a given one: without one there is nothing to put there.
pub fn taken(task: &Task) -> BTreeMap<String, Param> {
    let mut taken = task.params.clone();
    for name in templates(task).flat_map(|(_, text)| names(text)) {
        let param = taken.entry(name).or_default();
        if param.need == Need::Optional {
            param.need = Need::Required;
        }
    }
    taken
}

/// The names in the placeholders of a template; none where it has a mistake, which [`render`] reports.
fn names(text: &str) -> Vec<String> {
    if !template::is_template(text) {
        return Vec::new();
    }
    let pieces = template::pieces(text).unwrap_or_default();
    let name = |piece| match piece {
        template::Piece::Value { name, .. } => Some(name.to_owned()),
        template::Piece::Text(_) => None,
    };
    pieces.into_iter().filter_map(name).collect()
}

/// The names of the parameters that a job of this task must be given.
pub fn required(task: &Task) -> Vec<String> {
    taken(task).into_iter().filter(|(_, param)| param.is_required()).map(|(name, _)| name).collect()
}

/// Whether what is run depends on a value: a command's program is named by a placeholder.
pub fn is_open(task: &Task) -> bool {
    match &task.program {
        Program::Command(words) => words.first().is_some_and(|word| template::is_template(word)),
        Program::Script(_) | Program::Shell(_) => false,
    }
}

/// The values that a job has: those given, read as the types that were declared, and the defaults of the others. A
/// parameter that the task does not take is refused: it would have no effect, and most likely is mistyped.
pub fn resolve(taken: &BTreeMap<String, Param>, given: &BTreeMap<String, Given>) -> Result<Values, Vec<ParamError>> {
    let mut values = Values::new();
    let mut errors = Vec::new();
    for (name, given) in given {
        match taken.get(name).map(|param| given.read(param.kind)) {
            Some(Ok(value)) => _ = values.insert(name.clone(), value),
            Some(Err(error)) => errors.push(ParamError::Value { name: name.clone(), error }),
            None => errors.push(ParamError::Unknown { name: name.clone(), known: taken.keys().cloned().collect() }),
        }
    }
    for (name, param) in taken.iter().filter(|(name, _)| !given.contains_key(*name)) {
        match &param.need {
            Need::Default(value) => _ = values.insert(name.clone(), value.clone()),
            Need::Required => errors.push(ParamError::Missing { name: name.clone(), help: param.help.clone() }),
            Need::Optional => {}
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

/// The numbers among these values that were typed in another way than they are printed.
pub fn typed(given: &BTreeMap<String, Given>, values: &Values) -> Typed {
    let differs = |(name, given): (&String, &Given)| match (given, values.get(name)) {
        (Given::Text(text), Some(Value::Number(number))) if number.to_string() != *text => {
            Some((name.clone(), text.clone()))
        }
        (Given::Text(_) | Given::Value(_), _) => None,
    };
    given.iter().filter_map(differs).collect()
}

/// The values as they stand where their placeholders are: what was typed arrives as it was typed.
pub fn in_words(values: &Values, typed: &Typed) -> Values {
    let word = |(name, value): (&String, &Value)| match typed.get(name) {
        Some(text) => (name.clone(), Value::String(text.clone())),
        None => (name.clone(), value.clone()),
    };
    values.iter().map(word).collect()
}

#[cfg(test)]
mod tests;
