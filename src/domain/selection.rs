//! The selection language: `state = FINISHED and a > 3, tag.exp = 1` read, checked and printed. Knows what may be
//! asked of a job; how a database answers is the store's.
//!
//! ```text
//! selection  = [ any ]                                  nothing selects every job
//! any        = all { "or" all }
//! all        = one { ( "and" | "," ) one }              the comma is an "and"
//! one        = "not" one | "(" any ")" | comparison
//! comparison = field operator value | field [ "not" ] "in" "(" value { "," value } ")"
//! operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "~*" | "!~" | "!~*"
//! field      = built-in | parameter | "job." built-in | "param." name | "tag." name | "data." key { "." key }
//! value      = a word, words (of a duration or a time), or a text in quotes, single or double
//! ```
//!
//! - In quotes a backslash stands before a quote or another backslash to take it as it is; before anything else it is
//!   itself, so that regular expressions need not be written twice over: `task ~ "\d+"`. Names and keys may be quoted
//!   behind the dot: `param."learning rate"`.
//! - A value's kind is that of its field. Parameters and data have none: there `3` is a number, `true` a truth value,
//!   everything else and everything in quotes a text, as it is when a parameter is given. Tags are texts.
//! - **A comparison matches only what is set and of the value's kind**: where `a` is unset, null, or a text, neither
//!   `a = 1` nor `a != 1` nor `a not in (1)` matches, and nothing is ever converted.
//! - **`not` selects the rest**: exactly those jobs that what follows does not match, the unset ones among them. So
//!   `not tag.keep = 1` selects the jobs without that tag too, which `tag.keep != 1` does not.
//! - A job with several parents matches `parent = 12` by one of them, and `parent != 12` if it has parents and 12 is
//!   none of them.
//! - Times are moments: `created > 2026-11-20` begins with that day's midnight, and `2h ago`, `22:00` and `yesterday`
//!   are reckoned from the moment when the selection is read.

mod error;
mod field;
mod lexer;
mod moment;
mod order;
mod parser;
mod pattern;
mod print;
#[cfg(test)]
pub(crate) mod tests;
mod value;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use error::{Problem, SelectionError};
pub use field::{BuiltIn, Field, Kind};
pub use order::Order;
pub use pattern::{Pattern, PatternError};
pub use value::{Number, Value};

/// What a selection is read against.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The names of the parameters that may be written without `param.`.
    pub parameters: &'a [String],
    /// The moment from which `2h ago` is reckoned.
    pub now: Timestamp,
    /// The zone of times that name none.
    pub zone: &'a TimeZone,
}

/// Which jobs are meant.
///
/// It is printed with each parameter as `param.NAME` and each time as a moment, so that reading it again needs no known
/// names and gives the same selection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    /// What must hold; `None` where every job is meant.
    pub condition: Option<Condition>,
}

impl Selection {
    /// Reads a selection.
    pub fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, SelectionError> {
        parser::parse(text, scope)
    }
}

/// What must hold of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All of these; at least two.
    All(Vec<Condition>),
    /// One of these at least; at least two.
    Any(Vec<Condition>),
    /// This does not.
    Not(Box<Condition>),
    /// What is in a field.
    Comparison(Field, Test),
}

/// What is asked of a field. None holds for a field that is unset, or of another kind than the values.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// How it compares with a value.
    Compare(Comparator, Value),
    /// Whether it is one of the values; at least one.
    In {
        /// The values.
        values: Vec<Value>,
        /// Whether it must be none of them.
        negated: bool,
    },
    /// Whether some part of it matches.
    Matches {
        /// What it is matched with.
        pattern: Pattern,
        /// Whether it must not match.
        negated: bool,
    },
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparator {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::Less, Self::LessOrEqual, Self::Greater, Self::GreaterOrEqual];

    /// The sign, which is also the one of SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether it asks for more than equality.
    pub fn orders(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}
