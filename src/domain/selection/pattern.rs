//! Regular expressions in selections. Knows which library reads them, so that nobody else needs to.

use regex_lite::{Regex, RegexBuilder};
use thiserror::Error;

/// A regular expression that cannot be read; says why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PatternError(String);

/// A regular expression that was read: the syntax of the `regex-lite` crate. It matches in linear time.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    ignores_case: bool,
    regex: Regex,
}

impl Pattern {
    /// Reads a regular expression; where case is ignored, that is the case of ASCII letters.
    pub fn parse(text: &str, ignores_case: bool) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(text).case_insensitive(ignores_case).build();
        let regex = regex.map_err(|error| PatternError(error.to_string()))?;
        Ok(Self { text: text.to_owned(), ignores_case, regex })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `a` matches `A`.
    pub fn ignores_case(&self) -> bool {
        self.ignores_case
    }

    /// Whether some part of the text matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.ignores_case == other.ignores_case
    }
}
