//! Placeholders in a line for `/bin/sh -c`: each value is quoted so that it is a part of one word there, whatever it
//! says.
//!
//! How a value must be quoted depends on the quotes around its placeholder, so the line is read as the shell reads it.
//! That is done only as far as every shell agrees and the answer is sure; a placeholder at any other place is refused.

use super::template::{Piece, TemplateError, TemplateProblem, pieces};

/// The quotes at a place of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Single,
    Double,
    Comment,
    /// No value can be put here; why, in words.
    Unsure(&'static str),
}

/// What a line says up to some place.
struct Reading {
    quotes: Quotes,
    /// The last character outside of quotes, or one that stands for something quoted; `None` at the beginning.
    last: Option<char>,
    /// In a word like `a[`: some shells calculate what stands there, and run what they find in it.
    subscript: bool,
    /// A backslash or dollar sign is waiting for what follows it.
    open: Option<char>,
}

/// What stands for a part of a word of which nothing else matters.
const WORD: char = 'w';

/// Characters that could end or begin something in a substitution, besides the bracket that ends it.
const INSIDE_PARENTHESES: &str = "'\"`\\(){}$<#";
const INSIDE_BRACES: &str = "'\"`\\(){}$<";

/// The line with these values in the place of its placeholders.
pub(super) fn line<E: From<TemplateError>>(
    pieces: &[Piece<'_>],
    value: impl Fn(&str) -> Result<String, E>,
) -> Result<String, E> {
    let mut reading = Reading { quotes: Quotes::None, last: None, subscript: false, open: None };
    let mut line = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                reading.take(text);
                line += text;
            }
            Piece::Value { name, at } => {
                let quotes = reading.check().map_err(|place| {
                    let problem = TemplateProblem::Unquotable { name: (*name).to_owned(), place };
                    TemplateError { at: at.clone(), problem }
                })?;
                line += &quoted(&value(name)?, quotes);
                reading.last = Some(WORD);
            }
        }
    }
    Ok(line)
}

/// Makes sure that a line can be filled in, whatever the values.
pub fn check(text: &str) -> Result<(), TemplateError> {
    line(&pieces(text)?, |_| Ok(String::new())).map(drop)
}

/// A value inside of these quotes.
fn quoted(value: &str, quotes: Quotes) -> String {
    let inside = value.replace('\'', r"'\''");
    match quotes {
        Quotes::Single => inside,
        // In double quotes single ones are nothing special: those end before the value and begin again behind it.
        Quotes::Double => format!("\"'{inside}'\""),
        Quotes::None | Quotes::Comment | Quotes::Unsure(_) => format!("'{inside}'"),
    }
}

impl Reading {
    /// The quotes around a placeholder, if it may stand here; else where it stands, in words.
    fn check(&self) -> Result<Quotes, &'static str> {
        match (self.quotes, self.open) {
            (Quotes::Unsure(place), _) => Err(place),
            (Quotes::Comment, _) => Err("in a comment"),
            (_, Some('\\')) => Err("behind a backslash"),
            (_, Some(_)) => Err("behind a `$`"),
            (_, None) if self.subscript => Err("behind the `[` of a word"),
            (quotes @ (Quotes::None | Quotes::Single | Quotes::Double), None) => Ok(quotes),
        }
    }

    /// Reads on through a text without placeholders.
    fn take(&mut self, text: &str) {
        self.open = None;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            rest = match self.quotes {
                Quotes::None => self.plain(c, after),
                Quotes::Double => self.double(c, after),
                Quotes::Single => {
                    if c == '\'' {
                        self.quotes = Quotes::None;
                    }
                    after
                }
                Quotes::Comment => {
                    if c == '\n' {
                        (self.quotes, self.last) = (Quotes::None, Some(c));
                    }
                    after
                }
                Quotes::Unsure(_) => return,
            };
        }
    }

    /// One character outside of quotes; what is left after it.
    fn plain<'a>(&mut self, c: char, after: &'a str) -> &'a str {
        let next = after.chars().next();
        match c {
            '\\' => return self.escape(after),
            '\'' => (self.quotes, self.last) = (Quotes::Single, Some(WORD)),
            '"' => (self.quotes, self.last) = (Quotes::Double, Some(WORD)),
            '`' => self.quotes = Quotes::Unsure("behind a backquote"),
            '$' => match next {
                Some('(') if !after.starts_with("((") => self.last = Some(c),
                Some('\'') => self.quotes = Quotes::Unsure("behind `$'`"),
                _ => return self.dollar(after),
            },
            '<' if next == Some('<') => self.quotes = Quotes::Unsure("behind a `<<`"),
            '(' if next == Some('(') => self.quotes = Quotes::Unsure("behind a `((`"),
            '#' => self.number_sign(),
            _ => {
                let named = self.last.is_some_and(|last| last.is_ascii_alphanumeric() || last == '_');
                self.subscript = if c == '[' { self.subscript || named } else { self.subscript && !"];\n".contains(c) };
                self.last = Some(c);
            }
        }
        after
    }

    /// One character in double quotes; what is left after it.
    fn double<'a>(&mut self, c: char, after: &'a str) -> &'a str {
        match c {
            '\\' => return self.escape(after),
            '"' => (self.quotes, self.last) = (Quotes::None, Some(WORD)),
            '`' => self.quotes = Quotes::Unsure("behind a backquote"),
            '$' => return self.dollar(after),
            _ => self.last = Some(c),
        }
        after
    }

    /// What follows a backslash. One before a line end is as if neither were there: what stands before them may begin
    /// something that what stands behind them goes on with.
    fn escape<'a>(&mut self, after: &'a str) -> &'a str {
        let Some(next) = after.chars().next() else {
            self.open = Some('\\');
            return after;
        };
        match self.last {
            Some('$' | '(' | '<') if next == '\n' => self.quotes = Quotes::Unsure("behind a line that goes on"),
            Some(_) | None if next == '\n' => {}
            Some(_) | None => self.last = Some(WORD),
        }
        after.get(next.len_utf8()..).unwrap_or_default()
    }

    /// What follows a dollar sign: a substitution is passed over where nothing in it can be misread.
    fn dollar<'a>(&mut self, after: &'a str) -> &'a str {
        let (end, special, place) = match after.chars().next() {
            None => {
                self.open = Some('$');
                return after;
            }
            Some('(') => (')', INSIDE_PARENTHESES, "behind a `$(` in double quotes, or a `$((`"),
            Some('{') => ('}', INSIDE_BRACES, "behind a `${` that says more than a name"),
            Some('[') => {
                self.quotes = Quotes::Unsure("behind a `$[`");
                return after;
            }
            Some(_) => {
                self.last = Some('$');
                return after;
            }
        };
        self.last = Some(WORD);
        let inside = after.get(1..).unwrap_or_default();
        match inside.find(|c| c == end || special.contains(c)) {
            Some(at) if inside.get(at..).is_some_and(|rest| rest.starts_with(end)) => {
                inside.get(at + 1..).unwrap_or_default()
            }
            Some(_) | None => {
                self.quotes = Quotes::Unsure(place);
                inside
            }
        }
    }

    /// `#` begins a comment at the beginning of a word, which not every shell sees at the same places.
    fn number_sign(&mut self) {
        match self.last {
            None | Some(' ' | '\t' | '\n' | ';') => self.quotes = Quotes::Comment,
            Some(c) if c.is_ascii_graphic() && !"&|()<>".contains(c) => self.last = Some('#'),
            Some(_) => self.quotes = Quotes::Unsure("behind a `#`"),
        }
    }
}
