//! One item of the text and how it is written: under a header, in braces, or with a dotted key.

use toml::de::{DeTable, DeValue};

use super::super::value::Pair;
use super::Span;

/// How an item is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `[task.a]`
    Header,
    /// `{ … }`
    Inline,
    /// `a.b = …`, seen from `a`.
    Dotted,
    /// Only tables below it have headers.
    Implicit,
    /// Any other value.
    Leaf,
}

/// One item with the way that leads to it.
#[derive(Clone)]
pub(super) struct Node<'s, 'a> {
    text: &'a str,
    /// From the top down to the item itself, each with its shape.
    way: Vec<(Pair<'s, 'a>, Shape)>,
    pair: Pair<'s, 'a>,
    pub(super) shape: Shape,
}

impl<'s, 'a> Node<'s, 'a> {
    /// Its key.
    pub(super) fn name(&self) -> &'s str {
        self.pair.0.get_ref()
    }

    /// The item of a key at the top of the file.
    pub(super) fn top(text: &'a str, pair: Pair<'s, 'a>) -> Self {
        let shape = shape(text, pair);
        Self { text, way: vec![(pair, shape)], pair, shape }
    }

    /// The bytes of its key.
    pub(super) fn key(&self) -> Span {
        self.pair.0.span()
    }

    /// The keys that lead here from the top.
    pub(super) fn key_path(&self) -> Vec<&'s str> {
        self.way.iter().map(|((key, _), _)| key.get_ref().as_ref()).collect()
    }

    /// The bytes of its value, or of its header.
    pub(super) fn value(&self) -> Span {
        self.pair.1.span()
    }

    pub(super) fn table(&self) -> Option<&'s DeTable<'a>> {
        self.pair.1.get_ref().as_table()
    }

    pub(super) fn child(&self, pair: Pair<'s, 'a>) -> Self {
        let shape = shape(self.text, pair);
        let mut way = self.way.clone();
        way.push((pair, shape));
        Self { text: self.text, way, pair, shape }
    }

    /// The items directly below, in the order of the text.
    pub(super) fn children(&self) -> Vec<Self> {
        let table = self.table().into_iter().flat_map(super::super::value::in_order);
        table.map(|pair| self.child(pair)).collect()
    }

    /// The item at a path below this one.
    pub(super) fn below(&self, path: &[&str]) -> Option<Self> {
        let Some((first, rest)) = path.split_first() else { return Some(self.clone()) };
        self.child(self.table()?.get_key_value(*first)?).below(rest)
    }

    /// The keys that lead here from the header (or inline table) around it.
    pub(super) fn key_path_in_section(&self) -> Vec<String> {
        let (_, above) = self.way.split_last().unzip();
        let above: &[(Pair<'s, 'a>, Shape)] = above.unwrap_or_default();
        let section = above.iter().rposition(|(_, shape)| matches!(shape, Shape::Header | Shape::Inline));
        let skip = section.map_or(0, |at| at + 1);
        self.way.iter().skip(skip).map(|((key, _), _)| key.get_ref().clone().into_owned()).collect()
    }

    /// Whether it stands inside of braces.
    pub(super) fn is_inside_inline(&self) -> bool {
        self.way.iter().rev().skip(1).any(|(_, shape)| *shape == Shape::Inline)
    }

    /// Where the key's first word stands on its line: `stop` in `stop.grace`.
    pub(super) fn entry_start(&self) -> usize {
        let words = self.way.iter().rev().skip(1).take_while(|(_, shape)| *shape == Shape::Dotted).count();
        let mut start = self.key().start;
        for _ in 0..words {
            // INVARIANT: a dotted key is one line of words, dots and blanks, so the word before ends at the dot.
            let before = self.text.get(..start).unwrap_or_default().trim_end_matches([' ', '\t', '.']);
            start = word_start(before);
        }
        start
    }

    /// The items directly below that stand in the same section.
    fn own(&self) -> impl Iterator<Item = Self> {
        self.children().into_iter().filter(|child| !matches!(child.shape, Shape::Header | Shape::Implicit))
    }

    /// The end of the last value that belongs to the same section as this item.
    pub(super) fn last_end(&self) -> Option<usize> {
        match self.shape {
            Shape::Leaf | Shape::Inline => Some(self.value().end),
            Shape::Header | Shape::Dotted | Shape::Implicit => self.last_within(),
        }
    }

    /// The end of the last value inside of this table that stands in its section.
    pub(super) fn last_within(&self) -> Option<usize> {
        self.own().filter_map(|child| child.last_end()).max()
    }

    /// The start of the last key inside of this table that stands in its section.
    pub(super) fn last_key(&self) -> Option<usize> {
        self.own().map(|child| child.key().start).max()
    }
}

/// Where the key that ends a text begins.
fn word_start(text: &str) -> usize {
    match text.chars().next_back() {
        Some('"') => quoted_start(text, '"'),
        Some('\'') => quoted_start(text, '\''),
        Some(_) | None => text.rfind(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).map_or(0, |at| at + 1),
    }
}

/// Where the quoted key that ends a text begins; a quote after a backslash is inside.
fn quoted_start(text: &str, quote: char) -> usize {
    let mut end = text.len() - 1;
    while let Some(at) = text.get(..end).and_then(|before| before.rfind(quote)) {
        if quote == '\'' || !text.get(..at).is_some_and(|before| before.ends_with('\\')) {
            return at;
        }
        end = at;
    }
    0
}

fn shape(text: &str, (key, value): Pair<'_, '_>) -> Shape {
    let DeValue::Table(_) = value.get_ref() else { return Shape::Leaf };
    let (key, value) = (key.span(), value.span());
    let written = text.get(value.clone()).unwrap_or_default();
    let rest = text.get(key.end..).unwrap_or_default().trim_start_matches([' ', '\t']);
    if written.starts_with('{') {
        Shape::Inline
    } else if written.starts_with('[') && key.start > value.start && rest.starts_with(']') {
        Shape::Header
    } else if is_in_header(text, key.start) {
        Shape::Implicit
    } else {
        Shape::Dotted
    }
}

/// Whether the line up to a key begins like a header.
fn is_in_header(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rfind('\n').map_or(before, |end| before.get(end + 1..).unwrap_or_default());
    line.trim_start_matches([' ', '\t']).starts_with('[')
}
