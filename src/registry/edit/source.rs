//! Where the bytes of an item lie in the text, its comment and its gap included: what to cut out, and where
//! to put something in. It knows nothing of what fields mean.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::mistake::Mistakes;
use super::Span;
use super::node::{Node, Shape};
use super::print::path;
use crate::domain::name::TaskName;

/// Replacements of bytes, none overlapping another.
pub(super) type Edits = Vec<(Span, String)>;

/// A text that is to be edited.
pub(super) struct Source<'a> {
    /// The text without its byte order mark.
    pub(super) text: &'a str,
    /// The line end that the text uses.
    pub(super) eol: &'static str,
    mark: &'static str,
    root: DeTable<'a>,
    /// The ends of all headers and values, in order: below the last of them, a `#` begins a comment.
    ends: Vec<usize>,
}

/// The line end that a text uses: that of its first line.
pub(super) fn line_end(text: &str) -> &'static str {
    let crlf = text.find('\n').is_some_and(|at| text.get(..at).is_some_and(|line| line.ends_with('\r')));
    if crlf { "\r\n" } else { "\n" }
}

impl<'a> Source<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Mistakes> {
        let whole = text;
        let (mark, text) = text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest));
        let root = DeTable::parse(text).map_err(|error| super::super::read::unreadable(whole, mark.len(), &error))?;
        let root = root.into_inner();
        let mut ends = Vec::new();
        collect_ends(&root, &mut ends);
        ends.sort_unstable();
        Ok(Self { text, eol: line_end(text), mark, root, ends })
    }

    /// The table of tasks.
    pub(super) fn tasks(&self) -> Option<Node<'_, 'a>> {
        let pair = self.root.get_key_value("task")?;
        Some(Node::top(self.text, pair))
    }

    /// The task of this name, without regard to case.
    pub(super) fn task(&self, name: &TaskName) -> Option<Node<'_, 'a>> {
        let tasks = self.tasks()?;
        let same = |key: &Spanned<std::borrow::Cow<'_, str>>| key.get_ref().eq_ignore_ascii_case(name.as_str());
        let pair = tasks.table()?.iter().find(|(key, _)| same(key))?;
        Some(tasks.child(pair))
    }

    /// The new text.
    pub(super) fn apply(&self, mut edits: Edits) -> String {
        edits.sort_by_key(|(span, _)| (span.start, span.end));
        let mut text = self.mark.to_owned();
        let mut at = 0;
        for (span, new) in edits {
            text += self.text.get(at..span.start).unwrap_or_default();
            text += &new;
            at = at.max(span.end);
        }
        text + self.text.get(at..).unwrap_or_default()
    }

    fn line_start(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
    }

    /// The end of a line, its line end included.
    pub(super) fn line_end(&self, at: usize) -> usize {
        self.text.get(at..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |end| at + end + 1)
    }

    /// Whether a line begins here, that is, the one before has its line end.
    pub(super) fn ends_line(&self, at: usize) -> bool {
        self.text.get(..at).is_none_or(|before| before.is_empty() || before.ends_with('\n'))
    }

    fn line(&self, start: usize) -> &str {
        self.text.get(start..self.line_end(start)).unwrap_or_default().trim()
    }

    /// Where the comment begins that stands directly above a line.
    fn above(&self, line: usize) -> usize {
        let known = self.ends.partition_point(|end| *end <= line);
        let floor = known.checked_sub(1).and_then(|at| self.ends.get(at)).copied().unwrap_or(0);
        let mut start = line;
        while start > 0 {
            let before = self.line_start(start - 1);
            if before < floor || !self.line(before).starts_with('#') {
                break;
            }
            start = before;
        }
        start
    }

    /// The section of an item with a header: from the comment above it to its last field, and the comment
    /// directly below that unless it is the comment above the next header.
    pub(super) fn section(&self, node: &Node<'_, 'a>) -> Span {
        let start = self.above(self.line_start(node.value().start));
        let mut end = self.line_end(node.last_end().unwrap_or(node.value().end));
        let mut below = end;
        while self.line(below).starts_with('#') {
            below = self.line_end(below);
        }
        if !self.line(below).starts_with('[') {
            end = below;
        }
        start..end
    }

    /// The sections of the tables below an item that have headers of their own.
    pub(super) fn sections_below(&self, node: &Node<'_, 'a>) -> Vec<Span> {
        let mut sections = Vec::new();
        for child in node.children() {
            match child.shape {
                Shape::Header => {
                    sections.push(self.section(&child));
                    sections.extend(self.sections_below(&child));
                }
                Shape::Dotted | Shape::Implicit => sections.extend(self.sections_below(&child)),
                Shape::Inline | Shape::Leaf => {}
            }
        }
        sections
    }

    /// All bytes of an item outside of braces, in whole lines.
    pub(super) fn regions(&self, node: &Node<'_, 'a>) -> Vec<Span> {
        let mut regions = match node.shape {
            Shape::Leaf | Shape::Inline => {
                let start = self.above(self.line_start(node.key().start));
                let region = start..self.line_end(node.value().end);
                vec![region]
            }
            Shape::Header => std::iter::once(self.section(node)).chain(self.sections_below(node)).collect(),
            Shape::Dotted | Shape::Implicit => node.children().iter().flat_map(|child| self.regions(child)).collect(),
        };
        regions.sort_by_key(|region| region.start);
        regions
    }

    /// The first line of an item, without the comment above it.
    pub(super) fn first_line(&self, node: &Node<'_, 'a>) -> usize {
        match node.shape {
            Shape::Dotted => node
                .children()
                .iter()
                .filter(|child| !matches!(child.shape, Shape::Header | Shape::Implicit))
                .map(|child| self.first_line(child))
                .min()
                .unwrap_or(self.text.len()),
            Shape::Header | Shape::Inline | Shape::Implicit | Shape::Leaf => self.line_start(node.key().start),
        }
    }

    /// A section that goes takes the blank lines below it along, or at the end of the text those above.
    pub(super) fn with_gap(&self, section: Span) -> Span {
        let mut end = section.end;
        while end < self.text.len() && self.line(end).is_empty() {
            end = self.line_end(end);
        }
        let mut start = section.start;
        while end == self.text.len() && start > 0 && self.line(self.line_start(start - 1)).is_empty() {
            start = self.line_start(start - 1);
        }
        start..end
    }

    /// What takes an item out of the text.
    pub(super) fn removal(&self, node: &Node<'_, 'a>) -> Edits {
        let gone = |span| (span, String::new());
        if node.is_inside_inline() {
            return self.inline_removal(node).into_iter().map(gone).collect();
        }
        let headed = matches!(node.shape, Shape::Header | Shape::Implicit);
        self.regions(node).into_iter().map(|region| gone(if headed { self.with_gap(region) } else { region })).collect()
    }

    /// An entry inside of braces goes with the comma after it, or the last one with the comma before it.
    fn inline_removal(&self, node: &Node<'_, 'a>) -> Vec<Span> {
        if node.shape == Shape::Dotted {
            return node.children().iter().flat_map(|child| self.inline_removal(child)).collect();
        }
        let (start, end) = (node.entry_start(), node.value().end);
        let rest = self.text.get(end..).unwrap_or_default();
        let after = rest.trim_start();
        if let Some(next) = after.strip_prefix(',') {
            let next = next.trim_start_matches([' ', '\t']);
            if !next.trim_start().starts_with('}') {
                let span = start..self.text.len() - next.len();
                return vec![span];
            }
        }
        let before = self.text.get(..start).unwrap_or_default().trim_end();
        let span = before.strip_suffix(',').map_or(start, str::len)..end;
        vec![span]
    }

    /// What puts a new entry into a table.
    pub(super) fn insert(&self, table: &Node<'_, 'a>, rest: &[&str], value: &str) -> Edits {
        let braces = table.shape == Shape::Inline || table.is_inside_inline();
        let own = if table.shape == Shape::Dotted { table.key_path_in_section() } else { Vec::new() };
        let keys: Vec<String> = own.into_iter().chain(rest.iter().map(|key| (*key).to_owned())).collect();
        let entry = format!("{} = {value}", path(&keys));
        if braces {
            return vec![self.within_braces(table, &entry)];
        }
        if table.shape == Shape::Implicit {
            let way = table.key_path();
            let at = self.regions(table).first().map_or(self.text.len(), |region| region.start);
            return vec![(at..at, format!("[{}]{eol}{entry}{eol}{eol}", path(&way), eol = self.eol))];
        }
        let last = table.last_within().unwrap_or(table.value().start);
        let at = self.line_end(last.max(table.value().end));
        let first =
            self.text.get(self.line_start(table.last_key().unwrap_or(table.value().start))..).unwrap_or_default();
        let indent: String = first.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
        let gap = if self.ends_line(at) { "" } else { self.eol };
        vec![(at..at, format!("{gap}{indent}{entry}{}", self.eol))]
    }

    fn within_braces(&self, table: &Node<'_, 'a>, entry: &str) -> (Span, String) {
        if let Some(end) = table.last_within() {
            return (end..end, format!(", {entry}"));
        }
        let inner = table.value().start + 1..table.value().end.saturating_sub(1);
        if self.text.get(inner.clone()).is_some_and(|text| text.trim().is_empty()) {
            return (inner, format!(" {entry} "));
        }
        (inner.start..inner.start, format!(" {entry} "))
    }
}

fn collect_ends(table: &DeTable<'_>, ends: &mut Vec<usize>) {
    for (key, value) in table {
        ends.push(key.span().end.max(value.span().end));
        if let DeValue::Table(inner) = value.get_ref() {
            collect_ends(inner, ends);
        }
    }
}
