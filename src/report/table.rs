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
    /// Cut further than this they say too little: others go first.
    pub readable: usize,
}

impl Column {
    /// A column of text.
    pub const fn text(head: &'static str, rank: u8) -> Self {
        Self { head, rank, number: false, whole: false, readable: READABLE }
    }

    /// A column of numbers.
    pub const fn number(head: &'static str, rank: u8) -> Self {
        Self { head, rank, number: true, whole: false, readable: READABLE }
    }

    /// A column of moments, or of words that are to be told apart.
    pub const fn whole(head: &'static str, rank: u8) -> Self {
        Self { head, rank, number: false, whole: true, readable: READABLE }
    }

    /// A column of sentences.
    pub const fn sentence(head: &'static str, rank: u8) -> Self {
        Self { head, rank, number: false, whole: false, readable: 2 * READABLE }
    }
}

/// What a name or a few words need.
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

    /// Takes away columns, those of the highest ranks first and of these the last, until the rest has room; their heads
    /// in order.
    fn fit(&mut self, width: usize) -> Vec<&'static str> {
        let all: Vec<&'static str> = self.columns.iter().map(|column| column.head).collect();
        loop {
            let widths = self.widths();
            let least = widths.iter().zip(&self.columns);
            let least: usize =
                least.map(|(wide, column)| if column.whole { *wide } else { (*wide).min(column.readable) } + GAP).sum();
            let last = self.columns.iter().map(|column| column.rank).max().unwrap_or(0);
            if least <= width + GAP || last == 0 {
                let mut left = self.columns.iter().map(|column| column.head).peekable();
                return all.into_iter().filter(|head| left.next_if_eq(head).is_none()).collect();
            }
            let goes = self.columns.iter().rposition(|column| column.rank == last);
            let kept: Vec<bool> = (0..self.columns.len()).map(|at| Some(at) != goes).collect();
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

    /// Makes columns narrower until all have room, first those that are the widest for what they need.
    fn shrink(&self, widths: &mut [usize], room: usize) {
        let room = room.saturating_sub(widths.len().saturating_sub(1) * GAP);
        for all in [false, true] {
            while widths.iter().sum::<usize>() > room {
                let cut = widths.iter_mut().zip(&self.columns).filter(|(_, column)| all || !column.whole);
                let cut = cut.filter(|(wide, _)| **wide > LEAST);
                match cut.max_by_key(|(wide, column)| **wide * 1000 / column.readable.max(1)) {
                    Some((widest, _)) => *widest -= 1,
                    None => break,
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
    fn sentences_get_the_most_room_and_of_one_rank_the_last_goes_first() {
        let columns = [
            Column::number("ID", 0),
            Column::text("WHAT", 0),
            Column::text("A", 1),
            Column::text("B", 1),
            Column::sentence("REASON", 0),
        ];
        let drawn = |width| {
            let mut table = Table::new(&columns);
            let cells = ["7", &"w".repeat(40), "aaaaaaaa", "bbbbbbbb", &"r".repeat(40)];
            table.row(cells.map(|text| (text.to_owned(), Style::new())).to_vec());
            let mut out = Vec::new();
            let gone = table.write(Some(width), &mut out).unwrap();
            let text = anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
            let row: Vec<usize> = text.lines().nth(1).unwrap().split_whitespace().map(UnicodeWidthStr::width).collect();
            (row, gone)
        };
        assert_eq!(drawn(110), (vec![1, 40, 8, 8, 40], vec![]));
        assert_eq!(drawn(80), (vec![1, 18, 8, 8, 36], vec![]));
        assert_eq!(drawn(66), (vec![1, 17, 8, 33], vec!["B"]));
        assert_eq!(drawn(50), (vec![1, 15, 29], vec!["A", "B"]));
    }

    #[test]
    fn a_moment_is_whole_while_something_else_can_be_cut() {
        let mut table = Table::new(&[Column::text("NAME", 0), Column::whole("WHEN", 0), Column::whole("LOCAL", 1)]);
        table.row(
            ["a-name", "2026-11-21 15:44", "2026-11-21 10:44"].map(|text| (text.to_owned(), Style::new())).to_vec(),
        );
        let mut out = Vec::new();
        assert_eq!(table.write(Some(38), &mut out).unwrap(), ["LOCAL"]);
        assert!(anstream::adapter::strip_str(str::from_utf8(&out).unwrap()).to_string().contains("2026-11-21 15:44"));
    }
}
