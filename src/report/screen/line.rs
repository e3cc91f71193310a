//! The line being assembled for a terminal: carriage returns folded, its length bounded, its colours
//! closed. Gets what the escape parser has found harmless or asks to be shown.

use std::fmt::Write;

use super::visible::Shown;

/// How many bytes of colour sequences a line may have; further ones are dropped.
const MOST_COLOUR: usize = 16 * 1024;

/// A line that is not complete yet.
#[derive(Debug)]
pub(super) struct Line {
    /// What will be shown.
    shown: String,
    limit: usize,
    characters: usize,
    colour_bytes: usize,
    /// Bytes of the input beyond the limit.
    hidden: u64,
    coloured: bool,
    /// Where in `shown` a carriage return came after which nothing but colours has come.
    returned_at: Option<usize>,
}

impl Line {
    pub(super) fn new(limit: usize) -> Self {
        let shown = String::new();
        Self { shown, limit, characters: 0, colour_bytes: 0, hidden: 0, coloured: false, returned_at: None }
    }

    /// Adds printable ASCII.
    pub(super) fn plain(&mut self, run: &str) {
        if run.is_empty() {
            return;
        }
        self.fold();
        let room = if self.hidden > 0 { 0 } else { self.limit.saturating_sub(self.characters) };
        let (fits, beyond) = run.split_at_checked(room).unwrap_or((run, ""));
        self.shown.push_str(fits);
        self.characters += fits.len();
        self.hidden = self.hidden.saturating_add(beyond.len() as u64);
    }

    /// Adds a character that had `length` bytes in the input, as its escape if it is not harmless.
    pub(super) fn character(&mut self, character: char, length: usize) {
        self.fold();
        let before = self.shown.len();
        let count = match Shown::of(character) {
            None => {
                self.shown.push(character);
                1
            }
            Some(shown) => {
                // Writing to a string cannot fail.
                _ = write!(self.shown, "{shown}");
                self.shown.len() - before
            }
        };
        if self.hidden > 0 || self.characters + count > self.limit {
            self.shown.truncate(before);
            self.hidden = self.hidden.saturating_add(length as u64);
        } else {
            self.characters += count;
        }
    }

    /// Adds a colour sequence with these parameters.
    pub(super) fn colour(&mut self, parameters: &str) {
        let beyond = self.hidden > 0 && self.returned_at.is_none();
        if beyond || self.colour_bytes > MOST_COLOUR {
            return;
        }
        // Writing to a string cannot fail.
        _ = write!(self.shown, "\x1b[{parameters}m");
        self.colour_bytes += parameters.len() + 3;
        self.coloured = !matches!(parameters, "" | "0");
    }

    /// What comes next overwrites the line.
    pub(super) fn carriage_return(&mut self) {
        self.returned_at.get_or_insert(self.shown.len());
    }

    /// Moves the line to `out`, closed but without a newline, and begins a new one.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.shown.as_bytes());
        if self.coloured {
            out.extend_from_slice(b"\x1b[0m");
        }
        if self.hidden > 0 {
            out.extend_from_slice(format!("… [+{} bytes]", self.hidden).as_bytes());
        }
        self.shown.clear();
        self.characters = 0;
        self.colour_bytes = 0;
        self.hidden = 0;
        self.coloured = false;
        self.returned_at = None;
    }

    /// Drops what stands before a carriage return, now that something overwrites it. Colours set since stay.
    fn fold(&mut self) {
        if let Some(at) = self.returned_at.take() {
            self.shown.drain(..at);
            self.characters = 0;
            self.colour_bytes = self.shown.len();
            self.hidden = 0;
        }
    }
}
