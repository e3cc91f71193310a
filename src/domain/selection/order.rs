//! In which order selected jobs are shown.

use super::Scope;
use super::error::{Problem, SelectionError};
use super::field::{BuiltIn, Field};

/// By which field, and which way round. Jobs that are equal in it follow their ids, the same way round; those that do not
/// have it come last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The field; never [`BuiltIn::Parent`], of which a job may have several.
    pub field: Field,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl Order {
    /// The newest first.
    pub const NEWEST_FIRST: Self = Self { field: Field::BuiltIn(BuiltIn::Id), descending: true };

    /// Reads `priority`, or `-priority` for the greatest first; a parameter as in a selection.
    pub fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, SelectionError> {
        let blank = |part: &str| text.len() - part.trim_start().len();
        let start = blank(text);
        let trimmed = text.trim();
        let (name, descending) = match trimmed.strip_prefix('-') {
            Some(name) => (name, true),
            None => (trimmed, false),
        };
        let start = start + usize::from(descending);
        let wrong = |problem| SelectionError::new(text, start..start + name.len(), problem);
        if name.is_empty() {
            return Err(wrong(Problem::Expected { what: "the name of a field", found: None }));
        }
        let field = Field::resolve(name, scope).map_err(wrong)?;
        if field == Field::BuiltIn(BuiltIn::Parent) {
            return Err(wrong(Problem::Unordered { field: field.to_string() }));
        }
        Ok(Self { field, descending })
    }
}

impl Default for Order {
    fn default() -> Self {
        Self::NEWEST_FIRST
    }
}
