//! How characters that a terminal would obey are written so that a person sees them.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Escapes a name, an argument or a state for display on one line: control characters as `\n` or `\x1b`,
/// those that change the direction or break the line as `\u{202e}`. Text without them is returned as it is.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_plain = |text: &str| text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if is_plain(text) || !text.chars().any(|c| c.is_control() || Shown::of(c).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            _ => match Shown::of(c) {
                // Writing to a string cannot fail.
                Some(shown) => _ = write!(escaped, "{shown}"),
                None => escaped.push(c),
            },
        }
    }
    Cow::Owned(escaped)
}

/// A character that must not reach a terminal; displays as its escape, printable ASCII alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown(char);

impl Shown {
    /// `None` for what may pass, newline and tab included.
    pub(super) fn of(c: char) -> Option<Self> {
        let passes = match c {
            '\n' | '\t' => true,
            // Marks, embeddings, overrides and isolates of the bidirectional algorithm; line separators.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
            _ => !c.is_control(),
        };
        (!passes).then_some(Self(c))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u32::from(self.0);
        if self.0.is_ascii() { write!(f, "\\x{number:02x}") } else { write!(f, "\\u{{{number:x}}}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_names_are_not_touched() {
        for text in ["", "LOL", "naïve Größe 名前 🦀", r"C:\x1b"] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(visible("a\nb\tc\r"), r"a\nb\tc\r");
        assert_eq!(visible("\x1b[2Jx\x07\x7f\0"), r"\x1b[2Jx\x07\x7f\x00");
        assert_eq!(visible("\u{9b}31m\u{85}"), r"\u{9b}31m\u{85}");
        assert_eq!(visible("a\u{202e}b\u{2066}\u{200f}\u{61c}\u{2028}"), r"a\u{202e}b\u{2066}\u{200f}\u{61c}\u{2028}");
    }
}
