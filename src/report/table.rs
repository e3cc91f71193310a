//! Tables that fit their terminal: long cells are cut, and what does not fit at all is named below.

use std::borrow::Cow;
use std::io::{self, Write};

use owo_colors::{OwoColorize, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::screen::visible;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its headline.
    pub head: &'static str,
    /// Columns with a higher number go first where there is no room for all.
    pub rank: u8,
    /// Whether its cells are numbers.
    pub number: bool,
    /// Whether they say nothing when they are cut: others are cut first, or go.
    pub whole: bool,
}

impl Column {
    /// A column of text.
    pub const fn text(head: &'static str, rank: u8) -> Self {
        Self { head, rank, number: false, whole: false }
    }

    /// A column of numbers.
    pub const fn number(head: &'static str, rank: u8) -> Self {
        Self { head, rank, number: true, whole: false }
    }

    /// A column of moments.
    pub const fn time(head: &'static str, rank: u8) -> Self {
        Self { head, rank, number: false, whole: true }
    }
}

/// A column that is cut further than this says too little: others go first.
const READABLE: usize = 14;

/// The least width of a column that is cut although all that could go has gone.
const LEAST: usize = 6;

/// The blanks between two columns.
const GAP: usize = 2;

/// What is padded with.
const BLANKS: &[u8] = b"                                                                ";

/// A table under construction: text and style of each cell.
#[derive(Debug)]
pub struct Table<'a> {
    columns: Vec<Column>,
    rows: Vec<Vec<(Cow<'a, str>, Style)>>,
}

impl<'a> Table<'a> {
    /// A table with these columns.
    pub fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns; those at its end that are empty are not kept.
    pub fn row(&mut self, cells: Vec<(impl Into<Cow<'a, str>> + AsRef<str>, Style)>) {
        let shown = |text: Cow<'a, str>| match visible(&text) {
            Cow::Owned(shown) => Cow::Owned(shown),
            Cow::Borrowed(_) => text,
        };
        // Most rows of a long table have something in the first columns alone.
        let used = cells.iter().rposition(|(text, _)| !text.as_ref().is_empty()).map_or(0, |last| last + 1);
        let mut row = Vec::with_capacity(used);
        row.extend(cells.into_iter().take(used).map(|(text, style)| (shown(text.into()), style)));
        self.rows.push(row);
    }

    /// Takes away the columns without any content.
    #[must_use]
    pub fn without_empty(mut self) -> Self {
        let rows = &self.rows;
        let used: Vec<bool> = (0..self.columns.len())
            .map(|at| rows.is_empty() || rows.iter().any(|row| row.get(at).is_some_and(|(text, _)| !text.is_empty())))
            .collect();
        self.keep(&used);
        self
    }

    fn keep(&mut self, kept: &[bool]) {
        let mut flags = kept.iter();
        self.columns.retain(|_| flags.next() == Some(&true));
        for row in &mut self.rows {
            let mut flags = kept.iter();
            row.retain(|_| flags.next() == Some(&true));
        }
    }

    /// The width of each column's widest cell.
    fn widths(&self) -> Vec<usize> {
        (0..self.columns.len())
            .map(|at| {
                let head = self.columns.get(at).map_or(0, |column| wide(column.head));
                self.rows.iter().filter_map(|row| row.get(at)).map(|(text, _)| wide(text)).fold(head, usize::max)
            })
            .collect()
    }

    /// Takes away the columns of the highest ranks until the rest has room; their heads.
    fn fit(&mut self, width: usize) -> Vec<&'static str> {
        let mut gone = Vec::new();
        loop {
            let widths = self.widths();
            let least = widths.iter().zip(&self.columns);
            let least: usize =
                least.map(|(wide, column)| if column.whole { *wide } else { (*wide).min(READABLE) } + GAP).sum();
            let last = self.columns.iter().map(|column| column.rank).max().unwrap_or(0);
            if least <= width + GAP || last == 0 {
                return gone;
            }
            let kept: Vec<bool> = self.columns.iter().map(|column| column.rank < last).collect();
            gone.extend(self.columns.iter().filter(|column| column.rank == last).map(|column| column.head));
            self.keep(&kept);
        }
    }

    /// Writes the table; `width` is that of the terminal, if it goes to one. Returns the heads of the columns that had
    /// no room.
    pub fn write(mut self, width: Option<u16>, out: &mut dyn Write) -> io::Result<Vec<&'static str>> {
        let gone = width.map(|width| self.fit(usize::from(width))).unwrap_or_default();
        let mut widths = self.widths();
        if let Some(width) = width {
            self.shrink(&mut widths, usize::from(width));
        }
        let heads = self.columns.iter().map(|column| (column.head.into(), Style::new().bold())).collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            self.write_row(row, &widths, out)?;
        }
        Ok(gone)
    }

    /// Makes the widest columns narrower until all have room.
    fn shrink(&self, widths: &mut [usize], room: usize) {
        let room = room.saturating_sub(widths.len().saturating_sub(1) * GAP);
        for all in [false, true] {
            while widths.iter().sum::<usize>() > room {
                let cut = widths.iter_mut().zip(&self.columns).filter(|(_, column)| all || !column.whole);
                match cut.map(|(wide, _)| wide).max() {
                    Some(widest) if *widest > LEAST => *widest -= 1,
                    Some(_) | None => break,
                }
            }
        }
    }

    fn write_row(&self, row: &[(Cow<'_, str>, Style)], widths: &[usize], out: &mut dyn Write) -> io::Result<()> {
        let last = row.iter().rposition(|(text, _)| !text.is_empty()).unwrap_or(0);
        for (at, (((text, style), width), column)) in
            row.iter().zip(widths).zip(&self.columns).enumerate().take(last + 1)
        {
            let text = cut(text, *width);
            let space = width.saturating_sub(wide(&text));
            if at > 0 {
                blanks(GAP, out)?;
            }
            if column.number {
                blanks(space, out)?;
            }
            if style.is_plain() {
                out.write_all(text.as_bytes())?;
            } else {
                write!(out, "{}", text.style(*style))?;
            }
            if !column.number && at != last {
                blanks(space, out)?;
            }
        }
        out.write_all(b"\n")
    }
}

fn blanks(mut count: usize, out: &mut dyn Write) -> io::Result<()> {
    while count > 0 {
        let some = BLANKS.get(..count).unwrap_or(BLANKS);
        out.write_all(some)?;
        count -= some.len();
    }
    Ok(())
}

/// How wide a text is on a terminal. What is in a table has no control characters.
fn wide(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// A text cut to a width, with a mark where it was.
pub(super) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if wide(text) <= width {
        return text.into();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    Cow::Owned(kept + "…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: Option<u16>) -> (String, Vec<&'static str>) {
        let columns =
            [Column::text("NAME", 0), Column::number("PID", 0), Column::text("NOTE", 1), Column::text("NONE", 0)];
        let mut table = Table::new(&columns);
        for cells in [["a", "1", "short", ""], ["long-name", "12345", "a rather long note that says much", ""]] {
            table.row(cells.map(|text| (text.to_owned(), Style::new())).to_vec());
        }
        let mut out = Vec::new();
        let gone = table.without_empty().write(width, &mut out).unwrap();
        (anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string(), gone)
    }

    #[test]
    fn a_table_on_a_pipe_is_as_wide_as_it_is() {
        let (text, gone) = drawn(None);
        let expected = "NAME         PID  NOTE\n\
                        a              1  short\n\
                        long-name  12345  a rather long note that says much\n";
        assert_eq!((text.as_str(), gone), (expected, vec![]));
    }

    #[test]
    fn on_a_terminal_it_is_cut_and_then_loses_columns() {
        let (text, gone) = drawn(Some(40));
        assert!(text.lines().all(|line| line.width() <= 40) && text.contains("a rather long note t"), "{text}");
        assert!(gone.is_empty());
        let (text, gone) = drawn(Some(20));
        assert!(text.lines().all(|line| line.width() <= 20), "{text}");
        assert_eq!(gone, ["NOTE"]);
    }

    #[test]
    fn a_moment_is_whole_while_something_else_can_be_cut() {
        let mut table = Table::new(&[Column::text("NAME", 0), Column::time("WHEN", 0), Column::time("LOCAL", 1)]);
        table.row(
            ["a-name", "2026-11-21 15:44", "2026-11-21 10:44"].map(|text| (text.to_owned(), Style::new())).to_vec(),
        );
        let mut out = Vec::new();
        assert_eq!(table.write(Some(38), &mut out).unwrap(), ["LOCAL"]);
        assert!(anstream::adapter::strip_str(str::from_utf8(&out).unwrap()).to_string().contains("2026-11-21 15:44"));
    }
}
