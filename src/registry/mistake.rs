//! What is wrong with a registry, and exactly where. Positions are worked out for mistakes only, so that a
//! good file costs nothing; nothing here knows the name of the file.

use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use thiserror::Error;

use crate::domain::amount::AmountError;
use crate::domain::inside::InsideError;
use crate::domain::name::NameError;
use crate::domain::params::ValueError;
use crate::domain::params::template::TemplateError;
use crate::domain::resources::GpuIdError;
use crate::domain::signal::SignalError;
use crate::domain::url::UrlError;

/// The longest part of a source line that is shown, in characters.
const WIDEST: usize = 160;

/// What is wrong, in words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the message of each says what it is, and its fields are the words in it")]
pub enum Problem {
    #[error("{0}")]
    Syntax(String),
    #[error("`{key}` is defined twice, first in line {line}")]
    Repeated { key: String, line: usize },
    #[error("not UTF-8 text (byte 0x{byte:02x})")]
    NotUtf8 { byte: u8 },
    #[error("`version` is missing")]
    NoVersion,
    #[error("version {found} is newer than this jobexec reads ({})", super::VERSION)]
    NewerVersion { found: String },
    #[error("`version` must be {}", super::VERSION)]
    WrongVersion,
    #[error("`exec_id` is missing")]
    NoExecId,
    #[error("unknown key `{key}` in {place}")]
    UnknownKey { key: String, place: String },
    #[error("`{key}` cannot stand in [defaults]")]
    NotADefault { key: String },
    #[error("`{key}`: expected {expected}, found {found}")]
    WrongType { key: String, expected: &'static str, found: &'static str },
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("`{name}` is the same name as `{first}` in line {line}, as case does not count")]
    SameName { name: String, first: String, line: usize },
    #[error("`{key}`: {error}")]
    Amount { key: String, error: AmountError },
    #[error("`{key}`: {error}")]
    Signal { key: String, error: SignalError },
    #[error("`{key}`: `{found}` is not one of {known}")]
    Word { key: String, found: String, known: &'static str },
    #[error("`{key}`: {found} is not a number from {least} to {most}")]
    Number { key: String, found: String, least: u64, most: u64 },
    #[error("`{key}`: {error}")]
    Url { key: String, error: UrlError },
    #[error("`{key}`: {error}")]
    Gpu { key: String, error: GpuIdError },
    #[error("`{key}`: {error}")]
    Schedule { key: String, error: String },
    #[error("`{key}` may not be empty")]
    Empty { key: String },
    #[error("`{key}` may not be zero")]
    Zero { key: String },
    #[error("`{key}` contains a NUL character")]
    Nul { key: String },
    #[error("`{key}`: `~` is not expanded here")]
    Tilde { key: String },
    #[error("`{name}` is not the name of a variable: `=` is not allowed there")]
    Variable { name: String },
    #[error("`{name}` cannot be set: jobexec sets it itself")]
    Reserved { name: String },
    #[error("{place} says nothing to run")]
    NoProgram { place: String },
    #[error("`{key}` cannot stand beside `{other}` in {place}")]
    Clash { key: String, other: &'static str, place: String },
    #[error("`{key}` needs `{other}` in {place}")]
    Needs { key: String, other: &'static str, place: String },
    #[error("`{key}`: {error}")]
    Template { key: String, error: TemplateError },
    #[error("`{name}` is not the name of a parameter")]
    ParamName { name: String },
    #[error("`{key}`: {error}")]
    ParamValue { key: String, error: ValueError },
    #[error("`{key}`: {error}")]
    Inside { key: String, error: InsideError },
    #[error("`{key}`: {found} is too large")]
    TooLarge { key: String, found: String },
    #[error("`{key}` does not say its `{part}`")]
    Lacks { key: String, part: &'static str },
    #[error("`{key}` names `{word}` twice")]
    Twice { key: String, word: String },
    #[error("`name` is missing")]
    NoName,
    #[error("no task named `{name}`")]
    UnknownTask { name: String },
    #[error("no job named `{name}` in this file")]
    UnknownJob { name: String },
    #[error("these jobs wait for each other: {circle}")]
    Circle { circle: String },
    #[error("{place}: {error}")]
    Order { place: String, error: String },
    #[error("`{key}` fires {place} without values, but its parameter `{param}` needs one")]
    Valueless { key: &'static str, place: String, param: String },
}

/// One mistake and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong.
    pub problem: Problem,
    /// What to do about it, where that is known: an imperative, or `did you mean …?`.
    pub hint: Option<String>,
    /// The offending bytes of the text.
    pub span: Range<usize>,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1; a byte order mark is not counted.
    pub column: usize,
    /// The offending text.
    pub found: String,
    /// The line it stands in and the carets under it.
    excerpt: String,
}

impl Mistake {
    /// The mistake with the name of its file, for a person: `jobexec.toml:12:3: …`, its line and carets.
    pub fn in_file<'a>(&'a self, file: &'a Path) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| write!(f, "{}:{self}", file.display()))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.problem)?;
        // Carets under an empty line would point at nothing.
        if self.excerpt.trim_start().starts_with('^') { Ok(()) } else { write!(f, "\n{}", self.excerpt) }
    }
}

/// All mistakes found in one text, in its order; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// The mistakes.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.iter().enumerate() {
            write!(f, "{}{mistake}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Collects mistakes while a text is read.
pub(super) struct Sink<'a> {
    text: &'a str,
    lines: OnceCell<Vec<usize>>,
    found: Vec<Mistake>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, lines: OnceCell::new(), found: Vec::new() }
    }

    /// The text that is read.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// The line of a byte, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts().partition_point(|start| *start <= at)
    }

    pub(super) fn add(&mut self, span: Range<usize>, problem: Problem, hint: Option<String>) {
        let start = self.text.floor_char_boundary(span.start);
        let span = start..self.text.ceil_char_boundary(span.end).max(start);
        let line = self.line(start);
        let from = line.checked_sub(1).and_then(|at| self.starts().get(at)).copied().unwrap_or(0);
        let source = self.text.get(from..).and_then(|rest| rest.split(['\n', '\r']).next()).unwrap_or_default();
        let before = self.text.get(from..start).unwrap_or_default().chars().filter(|c| *c != '\u{feff}').count();
        let found: String = self.text.get(span.clone()).unwrap_or_default().chars().take(WIDEST).collect();
        let wide = found.split(['\n', '\r']).next().unwrap_or_default().chars().count();
        let excerpt = excerpt(source.trim_start_matches('\u{feff}'), before, wide);
        self.found.push(Mistake { problem, hint, span, line, column: before + 1, found, excerpt });
    }

    /// The value, unless there was a mistake.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, Mistakes> {
        if let (true, Some(value)) = (self.found.is_empty(), value) {
            return Ok(value);
        }
        self.found.sort_by_key(|mistake| mistake.span.start);
        Err(Mistakes(self.found))
    }

    fn starts(&self) -> &[usize] {
        self.lines
            .get_or_init(|| std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }
}

/// A source line and a line of carets under `wide` of its characters; a long one is cut to what matters,
/// and what would command a terminal is replaced.
fn excerpt(source: &str, before: usize, wide: usize) -> String {
    let skip = before.saturating_sub(WIDEST / 2);
    let safe = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    let line: String = source.chars().skip(skip).take(WIDEST).map(safe).collect();
    let pad: String = line.chars().take(before - skip).map(|c| if c == '\t' { c } else { ' ' }).collect();
    let room = line.chars().count().saturating_sub(before - skip);
    format!("{line}\n{pad}{}", "^".repeat(wide.min(room).max(1)))
}

impl From<Sink<'_>> for Mistakes {
    fn from(sink: Sink<'_>) -> Self {
        Self(sink.found)
    }
}
