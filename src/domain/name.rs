//! Names and ids. Each type can only be made by parsing, so whoever holds one need not check it again.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name of a task or an executor, in characters.
pub const LONGEST_NAME: usize = 100;

/// What is wrong with a name that somebody typed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name may not be empty")]
    Empty,
    /// A character outside `A-Z a-z 0-9 . _ -`, or one of the last three in front.
    #[error("`{}` is not a name: `{}` is not allowed there", shown(name), shown(&found.to_string()))]
    Character {
        /// The text that was given.
        name: String,
        /// The offending character.
        found: char,
    },
    /// More than [`LONGEST_NAME`] characters.
    #[error("`{}` is too long for a name ({length} characters, at most {LONGEST_NAME})", shown(name))]
    TooLong {
        /// The text that was given.
        name: String,
        /// Its length in characters.
        length: usize,
    },
    /// Digits alone: that is how a job's id looks.
    #[error("`{0}` is not a name: digits alone are the id of a job")]
    Digits(String),
    /// It ends like an archived output, `_20210301T105358Z`.
    #[error("`{0}` is not a name: it ends like the archived output of a run")]
    ArchiveStamp(String),
}

/// A text that is no name, on one line.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The name of a task: `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`, not all digits, not ending like an archive's stamp.
///
/// Two names that differ in case alone are the same name; [`TaskName::key`] is what to compare.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskName(String);

impl TaskName {
    /// Reads a name as a person types it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Self::check(text)?;
        Ok(Self(text.to_owned()))
    }

    fn check(text: &str) -> Result<(), NameError> {
        word(text)?;
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NameError::Digits(text.to_owned()));
        }
        if ends_like_archive(text) {
            return Err(NameError::ArchiveStamp(text.to_owned()));
        }
        Ok(())
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without regard to case: equal keys are equal names.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for TaskName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TaskName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::check(&text)?;
        Ok(Self(text))
    }
}

impl From<TaskName> for String {
    fn from(name: TaskName) -> Self {
        name.0
    }
}

/// The id of an executor: given by the user, or 8 random hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecId(String);

impl ExecId {
    /// Reads an id as a person types it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        word(text)?;
        Ok(Self(text.to_owned()))
    }

    /// Makes an id out of four random bytes.
    pub fn from_random(bytes: [u8; 4]) -> Self {
        Self(format!("{:08x}", u32::from_be_bytes(bytes)))
    }

    /// The id as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The id of a job: counted up from 1, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a run: when it was made and 80 random bits, written as 32 hex digits. Processes are recognised by it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId([u8; 16]);

/// A run, and where its record is: its own, or that of the slot that it runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunRef {
    /// The run.
    pub id: RunId,
    /// The slot.
    pub slot: Option<u32>,
}

impl From<RunId> for RunRef {
    fn from(id: RunId) -> Self {
        Self { id, slot: None }
    }
}

/// A text that is not 32 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a run's id (32 hex digits)")]
pub struct RunIdError(String);

impl RunId {
    /// Makes an id out of 16 random bytes, the first six of which give way to the time in milliseconds: ids that are made
    /// one after another lie side by side in an index.
    pub fn new(time: Timestamp, mut random: [u8; 16]) -> Self {
        let millis = time.as_millisecond().to_be_bytes();
        random.iter_mut().zip(millis.into_iter().skip(2)).for_each(|(random, byte)| *random = byte);
        Self(random)
    }

    /// Makes an id out of 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, RunIdError> {
        let wrong = || RunIdError(text.to_owned());
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| wrong())?;
        Ok(Self(number.to_be_bytes()))
    }

    /// The low 64 bits: what a stop request carries as its signal value, so that a worker can tell that
    /// it is meant.
    pub fn low64(self) -> u64 {
        // The cast cuts off the high half, on purpose.
        #[allow(clippy::cast_possible_truncation)]
        let low = u128::from_be_bytes(self.0) as u64;
        low
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;
    fn try_from(text: String) -> Result<Self, RunIdError> {
        Self::parse(&text)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.to_string()
    }
}

/// Checks `[A-Za-z0-9][A-Za-z0-9._-]{0,99}`.
pub(super) fn word(text: &str) -> Result<(), NameError> {
    let mut characters = text.chars();
    let bad = match characters.next() {
        None => return Err(NameError::Empty),
        Some(first) if !first.is_ascii_alphanumeric() => Some(first),
        Some(_) => characters.find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))),
    };
    if let Some(found) = bad {
        return Err(NameError::Character { name: text.to_owned(), found });
    }
    if text.len() > LONGEST_NAME {
        return Err(NameError::TooLong { name: text.to_owned(), length: text.len() });
    }
    Ok(())
}

/// Whether a text ends like `_20210301T105358Z` or `_20210301T105358Z-2`.
fn ends_like_archive(text: &str) -> bool {
    const STAMP: usize = "_20210301T105358Z".len();
    if text.len() < STAMP {
        return false;
    }
    let stem = match text.rsplit_once('-') {
        Some((stem, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => stem,
        Some(_) | None => text,
    };
    let Some((_, stamp)) = stem.rsplit_once('_') else { return false };
    stamp.len() == 16
        && stamp.bytes().enumerate().all(|(at, b)| match at {
            8 => b == b'T' || b == b't',
            15 => b == b'Z' || b == b'z',
            _ => b.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, says: &str) {
        let error = TaskName::parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text:?} is refused with {error:?}");
    }

    #[test]
    fn a_name_is_made_of_letters_digits_dots_underscores_and_hyphens() {
        for good in ["LOL", "a", "LOL_Schedule_day", "x.y-z", "2fast", "0x"] {
            assert_eq!(TaskName::parse(good).unwrap().as_str(), good);
        }
        refused("", "empty");
        refused("../etc", "`.` is not allowed");
        refused("-rf", "`-` is not allowed");
        refused("a b", "` ` is not allowed");
        refused("a/b", "`/` is not allowed");
        refused("naïve", "`ï` is not allowed");
        refused("a\0", "is not allowed");
        refused(&"x".repeat(101), "too long");
        refused("2021", "digits alone");
    }

    #[test]
    fn a_name_cannot_look_like_an_archived_output() {
        refused("LOL_20210301T105358Z", "archived output");
        refused("LOL_20210301T105358Z-2", "archived output");
        refused("LOL_20210301t105358z", "archived output");
        TaskName::parse("LOL_20210301").unwrap();
        TaskName::parse("LOL_20210301T105358Z.old").unwrap();
    }

    #[test]
    fn names_are_the_same_without_regard_to_case() {
        assert_eq!(TaskName::parse("LoL").unwrap().key(), TaskName::parse("lOl").unwrap().key());
    }

    #[test]
    fn a_run_id_prints_and_parses_back() {
        let time = Timestamp::from_millisecond(0x0123_4567_89ab).unwrap();
        assert_eq!(RunId::new(time, [0xff; 16]).to_string(), "0123456789abffffffffffffffffffff");
        let id = RunId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(id.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(RunId::parse(&id.to_string()).unwrap(), id);
        assert_eq!(id.low64(), 0x0809_0a0b_0c0d_0eff);
        RunId::parse("000102030405060708090A0B0C0D0EFF").unwrap_err();
        RunId::parse("12").unwrap_err();
    }
}
