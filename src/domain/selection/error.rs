//! What is wrong with a selection, where, and the way out of it.

use std::fmt;
use std::ops::Range;

use thiserror::Error;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::field::BuiltIn;
use super::parser::{DEEPEST, MOST_COMPARISONS, MOST_VALUES};
use super::pattern::PatternError;
use crate::domain::amount::AmountError;
use crate::domain::lifecycle::State;
use crate::domain::suggest::nearest;

/// How much of a long selection is shown, in characters.
const WIDEST: usize = 100;

/// How many parameters are listed.
const MOST_LISTED: usize = 30;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// A quote has no end.
    #[error("the text in quotes has no end")]
    OpenQuote,
    /// A bracket has no end.
    #[error("the bracket is not closed")]
    OpenBracket,
    /// Signs that are no operator.
    #[error("`{0}` is no operator")]
    Operator(String),
    /// Something else must stand here.
    #[error("expected {what}, found {}", found.as_ref().map_or("the end".to_owned(), |found| format!("`{found}`")))]
    Expected {
        /// What may stand here.
        what: &'static str,
        /// What does, if anything.
        found: Option<String>,
    },
    /// No field has this name.
    #[error("no field or parameter is named `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// The parameters that there are.
        parameters: Vec<String>,
    },
    /// The name of both a built-in field and a parameter.
    #[error("`{0}` is both a field of every job and a parameter")]
    Ambiguous(String),
    /// A prefix without a name behind it.
    #[error("`{0}` names nothing behind the dot")]
    NoName(String),
    /// A value that the field cannot have.
    #[error("`{field}` is compared with {kind} only")]
    Kind {
        /// The field.
        field: String,
        /// What it is compared with.
        kind: &'static str,
    },
    /// A number where texts would be put in order.
    #[error("`{field}` is a text, which is not more or less than a number")]
    NumberForText {
        /// The field.
        field: String,
        /// The number.
        number: String,
    },
    /// Something that is neither more nor less.
    #[error("`{field}` cannot be put in that order")]
    Unordered {
        /// The field.
        field: String,
    },
    /// A regular expression for what is no text.
    #[error("`{field}` is no text that could match")]
    NoText {
        /// The field.
        field: String,
    },
    /// No state has this name.
    #[error("no state is named `{0}`")]
    State(String),
    /// Not a moment.
    #[error("`{0}` is not a time")]
    Time(String),
    /// A length of time for a moment.
    #[error("`{0}` is a length of time, not a time")]
    Age(String),
    /// Not a duration.
    #[error(transparent)]
    Duration(#[from] AmountError),
    /// Not a regular expression.
    #[error("the regular expression cannot be read: {0}")]
    Pattern(#[from] PatternError),
    /// Brackets or `not` in one another.
    #[error("more than {DEEPEST} brackets and `not` in one another")]
    Depth,
    /// Too long for the database.
    #[error("more than {MOST_COMPARISONS} comparisons or {MOST_VALUES} values")]
    Length,
}

/// What is wrong with a selection, and the place; shown with the text and carets under it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct SelectionError {
    /// What is wrong.
    pub problem: Problem,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The text and the carets under it.
    excerpt: String,
}

impl SelectionError {
    pub(super) fn new(text: &str, span: Range<usize>, problem: Problem) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let column = before.chars().count() + 1;
        let found = text.get(span).unwrap_or_default();
        Self { problem, column, excerpt: excerpt(text, column - 1, found.chars().count()) }
    }

    /// What to do about it: imperatives, and what was perhaps meant.
    pub fn hints(&self) -> Vec<String> {
        self.problem.hints().iter().map(|hint| shown(hint)).collect()
    }
}

impl Problem {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::OpenQuote => vec!["in quotes, write `\\\\` for a backslash before the last quote".to_owned()],
            Self::Operator(sign) => {
                let sign = if sign == "==" { Some("did you mean `=`?".to_owned()) } else { None };
                sign.into_iter().chain(["the operators are `= != < <= > >= ~ ~* !~ !~* in`".to_owned()]).collect()
            }
            Self::Expected { found: Some(_), .. } => {
                vec!["put a text with blanks or signs in it in quotes".to_owned()]
            }
            Self::Unknown { name, parameters } => unknown(name, parameters),
            Self::Ambiguous(name) => {
                vec![format!("write `param.{name}` for the parameter, `job.{name}` for the field of every job")]
            }
            Self::NoName(prefix) => {
                vec![format!("write as in `{}x`", prefix.split_inclusive('.').next().unwrap_or_default())]
            }
            Self::NumberForText { field, number } => {
                vec![format!(
                    "write `\"{number}\"` to compare texts (`\"10\"` is less than `\"9\"`), or give `{field}` as a parameter"
                )]
            }
            Self::State(name) => {
                let names = State::ALL.map(State::as_str);
                let meant = nearest(name, names.into_iter().chain(["FINISHED"]));
                let meant = meant.map(|state| format!("did you mean `{state}`?"));
                meant.into_iter().chain([format!("the states are {}", names.join(", "))]).collect()
            }
            Self::Time(_) => {
                vec!["write as in `2026-11-20`, `2026-11-20 22:00`, `22:00`, `yesterday 22:00`, `2h ago`".to_owned()]
            }
            Self::Age(text) => vec![format!("write `{text} ago`")],
            Self::Expected { found: None, .. }
            | Self::OpenBracket
            | Self::Kind { .. }
            | Self::Unordered { .. }
            | Self::NoText { .. }
            | Self::Duration(_)
            | Self::Pattern(_)
            | Self::Depth
            | Self::Length => Vec::new(),
        }
    }
}

impl fmt::Display for SelectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}\n{}", self.column, shown(&self.problem.to_string()), self.excerpt)
    }
}

/// A text on one line that commands no terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn unknown(name: &str, parameters: &[String]) -> Vec<String> {
    let built_in = BuiltIn::ALL.map(BuiltIn::as_str);
    let with_prefix = name.split_once('.').and_then(|(prefix, rest)| {
        nearest(prefix, ["param", "tag", "data", "job"]).map(|meant| format!("{meant}.{rest}"))
    });
    let meant = nearest(name, built_in.into_iter().chain(parameters.iter().map(String::as_str)));
    let meant = meant.map(str::to_owned).or(with_prefix).map(|meant| format!("did you mean `{meant}`?"));
    let mut known = built_in.join(", ");
    if !parameters.is_empty() {
        known += &format!("; the parameters {}", listed(parameters));
    }
    let ways =
        [format!("known names: {known}"), "write `param.x`, `tag.x` or `data.x` for what jobs were given".to_owned()];
    meant.into_iter().chain(ways).collect()
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MOST_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(MOST_LISTED);
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// The text on one line, of a long one the part that matters, and carets under `wide` of its characters.
fn excerpt(text: &str, before: usize, wide: usize) -> String {
    let skip = before.saturating_sub(WIDEST / 2);
    let safe = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = text.chars().skip(skip).take(WIDEST).map(safe).collect();
    let pad: usize = line.chars().take(before - skip).filter_map(UnicodeWidthChar::width).sum();
    let marked: String = line.chars().skip(before - skip).take(wide).collect();
    format!("{line}\n{}{}", " ".repeat(pad), "^".repeat(marked.width().max(1)))
}
