//! The page that the report is written on: headlines, rows whose last cell goes on below itself, excerpts of output.

use std::io::{self, Write};

use owo_colors::OwoColorize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::report::screen::{LONGEST_LINE, Screen, visible};

/// What stands before each row of a section.
const MARGIN: &str = "  ";

/// The blanks between two cells.
const GAP: usize = 2;

/// A cell that is wider than this moves what follows it, instead of all rows.
const WIDEST: usize = 24;

/// Where less than this is left for the last cell, it is not broken.
const LEAST: usize = 20;

/// The room that a line of output leaves for its margin and the mark that it was cut.
const CUT_MARK: usize = 24;

/// How many rows of a section are shown.
pub(super) const ROWS: usize = 20;

/// A page, as wide as the terminal or, on a pipe, as wide as its lines.
pub(super) struct Sheet<'a> {
    pub(super) width: Option<u16>,
    pub(super) out: &'a mut dyn Write,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(width: Option<u16>, out: &'a mut dyn Write) -> Self {
        Self { width, out }
    }

    /// The room for what is written after so many columns.
    fn room(&self, used: usize) -> Option<usize> {
        self.width.map(|width| usize::from(width).saturating_sub(used).max(LEAST))
    }

    /// A text as lines that have room after so many columns.
    pub(super) fn wrapped(&self, text: &str, used: usize) -> Vec<String> {
        match self.room(used) {
            Some(room) => wrap(&visible(text), room),
            None => vec![visible(text).into_owned()],
        }
    }

    /// Begins a section.
    pub(super) fn headline(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{}", text.bold())
    }

    /// Writes rows of as many cells each; each may be followed by an excerpt.
    pub(super) fn rows(&mut self, rows: &[(Vec<String>, &[String])]) -> io::Result<()> {
        let columns = rows.iter().map(|(cells, _)| cells.len()).max().unwrap_or(0);
        let widest = |at: usize| {
            let widths = rows.iter().filter_map(|(cells, _)| cells.get(at)).map(|cell| cell.width());
            widths.filter(|width| *width <= WIDEST).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.saturating_sub(1)).map(widest).collect();
        for (cells, excerpt) in rows.iter().take(ROWS) {
            self.row(cells, &widths)?;
            self.excerpt(excerpt)?;
        }
        if rows.len() > ROWS {
            writeln!(self.out, "{MARGIN}… and {} more: `jobexec report --json` has all", rows.len() - ROWS)?;
        }
        Ok(())
    }

    fn row(&mut self, cells: &[String], widths: &[usize]) -> io::Result<()> {
        let mut line = MARGIN.to_owned();
        for (cell, width) in cells.iter().zip(widths) {
            line += &visible(cell);
            line += &" ".repeat(width.saturating_sub(cell.width()) + GAP);
        }
        let indent = MARGIN.len() + widths.iter().map(|width| width + GAP).sum::<usize>();
        let last = cells.get(widths.len()).map(String::as_str).unwrap_or_default();
        // A name of a hundred letters leaves no room beside itself.
        let fits = line.width() <= indent;
        let mut lines = self.wrapped(last, indent).into_iter();
        if fits {
            writeln!(self.out, "{line}{}", lines.next().unwrap_or_default())?;
        } else {
            for part in self.wrapped(line.trim(), MARGIN.len()) {
                writeln!(self.out, "{MARGIN}{part}")?;
            }
        }
        lines.try_for_each(|part| writeln!(self.out, "{}{part}", " ".repeat(indent)))
    }

    /// Lines of output, harmless to a terminal and each on one line.
    fn excerpt(&mut self, lines: &[String]) -> io::Result<()> {
        let limit = self.width.map_or(LONGEST_LINE, |width| usize::from(width).saturating_sub(CUT_MARK).max(LEAST));
        let mut screen = Screen::with_limit(false, limit);
        let mut shown = Vec::new();
        for line in lines {
            screen.push(line.as_bytes(), &mut shown);
            screen.push(b"\n", &mut shown);
        }
        screen.finish(&mut shown);
        for line in String::from_utf8_lossy(&shown).lines() {
            writeln!(self.out, "{MARGIN}  {} {line}", "│".dimmed())?;
        }
        Ok(())
    }

    /// Writes what was drawn elsewhere, with the margin.
    pub(super) fn indented(&mut self, text: &[u8]) -> io::Result<()> {
        String::from_utf8_lossy(text).lines().try_for_each(|line| writeln!(self.out, "{MARGIN}{line}"))
    }

    /// The width inside the margin.
    pub(super) fn inside(&self) -> Option<u16> {
        self.width.map(|width| width.saturating_sub(2))
    }
}

/// A text as lines of at most this width, broken between words, and inside those that are too long.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if line.width() + c.width().unwrap_or(0) > room {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words_and_inside_those_that_are_too_long() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a 0123456789 b", 6), ["a", "012345", "6789 b"]);
        assert_eq!(wrap("", 6), [""]);
    }

    #[test]
    fn the_last_cell_goes_on_below_itself() {
        let mut out = Vec::new();
        let cells = |cells: [&str; 2]| (cells.map(str::to_owned).to_vec(), [].as_slice());
        let long = "a".repeat(30);
        let rows = [cells(["LOL", "failed at 02:13 with exit code 3 and more"]), cells([&long, "short"])];
        Sheet::new(Some(32), &mut out).rows(&rows).unwrap();
        let expected = format!("  LOL  failed at 02:13 with exit\n       code 3 and more\n  {long}\n       short\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
