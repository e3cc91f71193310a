//! Selections as text, such that reading it gives the same selection.

use std::fmt;

use super::{Condition, Field, Number, Pattern, Selection, Test, Value};
use crate::domain::amount::print_duration;

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.as_ref().map_or(Ok(()), |condition| write!(f, "{condition}"))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => joined(f, parts, " and ", |part| matches!(part, Self::All(_) | Self::Any(_))),
            Self::Any(parts) => joined(f, parts, " or ", |part| matches!(part, Self::Any(_))),
            Self::Not(part) => {
                f.write_str("not ")?;
                bracketed(f, part, matches!(**part, Self::All(_) | Self::Any(_)))
            }
            Self::Comparison(field, test) => write!(f, "{field} {test}"),
        }
    }
}

fn bracketed(f: &mut fmt::Formatter<'_>, part: &Condition, brackets: bool) -> fmt::Result {
    if brackets { write!(f, "({part})") } else { write!(f, "{part}") }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Condition],
    word: &str,
    brackets: impl Fn(&Condition) -> bool,
) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { word })?;
        bracketed(f, part, brackets(part))?;
    }
    Ok(())
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(comparator, value) => write!(f, "{} {value}", comparator.as_str()),
            Self::In { values, negated } => {
                f.write_str(if *negated { "not in (" } else { "in (" })?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str(")")
            }
            Self::Matches { pattern, negated } => write!(f, "{}{pattern}", if *negated { "!" } else { "" }),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ignores_case() { "~* " } else { "~ " })?;
        quoted(f, self.as_str())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(Number::Integer(number)) => number.fmt(f),
            Self::Number(Number::Real(number)) => write!(f, "{number:?}"),
            Self::Text(text) => quoted(f, text),
            Self::Bool(truth) => truth.fmt(f),
            Self::State(state) => state.fmt(f),
            Self::Time(time) => time.fmt(f),
            Self::Duration(duration) => f.write_str(&print_duration(*duration)),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(built_in) => f.write_str(built_in.as_str()),
            Self::Param(name) => key(f, "param.", name),
            Self::Tag(name) => key(f, "tag.", name),
            Self::Data(keys) => {
                f.write_str("data")?;
                keys.iter().try_for_each(|part| key(f, ".", part))
            }
        }
    }
}

fn key(f: &mut fmt::Formatter<'_>, prefix: &str, name: &str) -> fmt::Result {
    f.write_str(prefix)?;
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain { f.write_str(name) } else { quoted(f, name) }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let escape = |c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]);
    write!(f, "\"{}\"", text.chars().flat_map(escape).collect::<String>())
}
