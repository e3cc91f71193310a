//! Text into tokens. Knows no words: `and` is one like any other here.

use std::ops::Range;

use super::Comparator;
use super::error::{Problem, SelectionError};

/// A piece of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Its bytes.
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// A name, a keyword or a value, as it is written.
    Word(String),
    /// What is between quotes.
    Quoted(String),
    Operator(Operator),
    Comma,
    Open,
    Close,
    /// Nothing follows.
    End,
}

/// What stands between a field and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Compare(Comparator),
    Match { ignores_case: bool, negated: bool },
}

/// Reads the tokens, of which the last is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SelectionError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.take_while(char::is_whitespace);
        let start = lexer.at;
        let kind = lexer.next().map_err(|problem| SelectionError::new(text, start..lexer.at, problem))?;
        let ended = kind == TokenKind::End;
        tokens.push(Token { kind, span: start..lexer.at });
        if ended {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    /// The byte up to which it was read.
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let (taken, _) = rest.split_at(rest.find(|c| !wanted(c)).unwrap_or(rest.len()));
        self.at += taken.len();
        taken
    }

    fn next(&mut self) -> Result<TokenKind, Problem> {
        match self.peek() {
            None => Ok(TokenKind::End),
            Some(',') => Ok(self.single(TokenKind::Comma)),
            Some('(') => Ok(self.single(TokenKind::Open)),
            Some(')') => Ok(self.single(TokenKind::Close)),
            Some(quote @ ('"' | '\'')) => {
                let mut content = String::new();
                self.quoted(quote, &mut content).map(|()| TokenKind::Quoted(content))
            }
            Some(sign) if is_sign(sign) => self.operator(),
            Some(_) => self.word(),
        }
    }

    fn single(&mut self, kind: TokenKind) -> TokenKind {
        self.take();
        kind
    }

    /// A word, with the quoted parts that follow a dot in it.
    fn word(&mut self) -> Result<TokenKind, Problem> {
        let start = self.at;
        loop {
            let part =
                self.take_while(|c| !(c.is_whitespace() || is_sign(c) || matches!(c, ',' | '(' | ')' | '"' | '\'')));
            match self.peek() {
                Some(quote @ ('"' | '\'')) if part.ends_with('.') => self.quoted(quote, &mut String::new())?,
                Some(_) | None => {
                    let word = self.text.get(start..self.at).unwrap_or_default();
                    return Ok(TokenKind::Word(word.to_owned()));
                }
            }
        }
    }

    fn quoted(&mut self, quote: char, content: &mut String) -> Result<(), Problem> {
        self.take();
        while let Some(next) = self.take() {
            match (next, self.peek()) {
                (end, _) if end == quote => return Ok(()),
                ('\\', Some(escaped @ ('\\' | '"' | '\''))) => {
                    self.take();
                    content.push(escaped);
                }
                (other, _) => content.push(other),
            }
        }
        Err(Problem::OpenQuote)
    }

    fn operator(&mut self) -> Result<TokenKind, Problem> {
        let mut sign = self.take_while(is_sign).to_owned();
        if sign.ends_with('~') && self.peek() == Some('*') {
            self.take();
            sign.push('*');
        }
        operator(&sign).map(TokenKind::Operator).ok_or(Problem::Operator(sign))
    }
}

/// The parts of a field's name behind its prefix, each without its quotes; the text is that of a word.
pub(super) fn keys(text: &str) -> Vec<String> {
    let mut lexer = Lexer { text, at: 0 };
    let (mut keys, mut key) = (Vec::new(), String::new());
    while let Some(next) = lexer.peek() {
        if matches!(next, '"' | '\'') && key.is_empty() {
            // INVARIANT: `Lexer::word` leaves no quote open.
            let _ = lexer.quoted(next, &mut key);
        } else {
            lexer.take();
            if next == '.' { keys.push(std::mem::take(&mut key)) } else { key.push(next) }
        }
    }
    keys.push(key);
    keys
}

fn is_sign(c: char) -> bool {
    matches!(c, '=' | '!' | '<' | '>' | '~')
}

fn operator(sign: &str) -> Option<Operator> {
    let matching = |ignores_case, negated| Some(Operator::Match { ignores_case, negated });
    match sign {
        "~" => matching(false, false),
        "~*" => matching(true, false),
        "!~" => matching(false, true),
        "!~*" => matching(true, true),
        sign => Comparator::ALL.into_iter().find(|known| known.as_str() == sign).map(Operator::Compare),
    }
}
