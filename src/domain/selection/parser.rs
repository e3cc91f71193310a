//! Tokens into conditions, by recursive descent: `or` of `and` of `not`.

use super::error::{Problem, SelectionError};
use super::field::{Field, Kind};
use super::lexer::{Operator, Token, TokenKind, tokens};
use super::pattern::Pattern;
use super::value::{Literal, Value};
use super::{Condition, Scope, Selection, Test};

/// How many brackets and `not` may stand in one another: each takes room on our stack.
pub(super) const DEEPEST: usize = 50;

/// How many comparisons there may be: `SQLite` takes expressions up to a depth of 1000.
pub(super) const MOST_COMPARISONS: usize = 500;

/// How many values there may be in them: `SQLite` takes 32766.
pub(super) const MOST_VALUES: usize = 10_000;

const END: Token = Token { kind: TokenKind::End, span: usize::MAX..usize::MAX };

/// Reads a selection.
pub(super) fn parse(text: &str, scope: &Scope<'_>) -> Result<Selection, SelectionError> {
    let mut parser = Parser { text, tokens: tokens(text)?.into_iter(), scope, depth: 0, comparisons: 0, values: 0 };
    if parser.peek().kind == TokenKind::End {
        return Ok(Selection { condition: None });
    }
    let condition = parser.any()?;
    match parser.peek().kind {
        TokenKind::End => Ok(Selection { condition: Some(condition) }),
        TokenKind::Word(_)
        | TokenKind::Quoted(_)
        | TokenKind::Operator(_)
        | TokenKind::Comma
        | TokenKind::Open
        | TokenKind::Close => Err(parser.expected("`and`, `or` or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: std::vec::IntoIter<Token>,
    scope: &'a Scope<'a>,
    depth: usize,
    comparisons: usize,
    values: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.as_slice().first().unwrap_or(&END)
    }

    fn take(&mut self) -> Token {
        self.tokens.next().unwrap_or(END)
    }

    /// Takes the token if it is of this kind.
    fn take_if(&mut self, wanted: &TokenKind) -> bool {
        let found = self.peek().kind == *wanted;
        if found {
            self.take();
        }
        found
    }

    /// Takes the token if it is this keyword.
    fn keyword(&mut self, wanted: &str) -> bool {
        let found = is_keyword(self.peek(), wanted);
        if found {
            self.take();
        }
        found
    }

    fn error(&self, at: &Token, problem: Problem) -> SelectionError {
        SelectionError::new(self.text, at.span.clone(), problem)
    }

    /// Something else should stand where we are.
    fn expected(&self, what: &'static str) -> SelectionError {
        let token = self.peek();
        let found = self.text.get(token.span.clone()).filter(|found| !found.is_empty()).map(str::to_owned);
        self.error(token, Problem::Expected { what, found })
    }

    fn any(&mut self) -> Result<Condition, SelectionError> {
        let first = self.all()?;
        let mut parts = vec![first];
        while self.keyword("or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, SelectionError> {
        let first = self.one()?;
        let mut parts = vec![first];
        while self.keyword("and") || self.take_if(&TokenKind::Comma) {
            parts.push(self.one()?);
        }
        Ok(one_or(parts, Condition::All))
    }

    fn one(&mut self) -> Result<Condition, SelectionError> {
        let start = self.peek().clone();
        if self.keyword("not") {
            self.deeper(&start, Self::one).map(|part| Condition::Not(Box::new(part)))
        } else if self.take_if(&TokenKind::Open) {
            let inner = self.deeper(&start, Self::any)?;
            match self.peek().kind {
                TokenKind::Close => {
                    self.take();
                    Ok(inner)
                }
                TokenKind::End => Err(self.error(&start, Problem::OpenBracket)),
                TokenKind::Word(_)
                | TokenKind::Quoted(_)
                | TokenKind::Operator(_)
                | TokenKind::Comma
                | TokenKind::Open => Err(self.expected("`and`, `or` or `)`")),
            }
        } else {
            self.comparison()
        }
    }

    fn deeper(
        &mut self,
        at: &Token,
        read: impl FnOnce(&mut Self) -> Result<Condition, SelectionError>,
    ) -> Result<Condition, SelectionError> {
        if self.depth == DEEPEST {
            return Err(self.error(at, Problem::Depth));
        }
        self.depth += 1;
        let inner = read(self);
        self.depth -= 1;
        inner
    }

    fn comparison(&mut self) -> Result<Condition, SelectionError> {
        let token = self.peek().clone();
        let TokenKind::Word(word) = &token.kind else { return Err(self.expected("the name of a field")) };
        if is_reserved(&token) {
            return Err(self.expected("the name of a field"));
        }
        let field = Field::resolve(word, self.scope).map_err(|problem| self.error(&token, problem))?;
        self.take();
        self.comparisons += 1;
        if self.comparisons > MOST_COMPARISONS {
            return Err(self.error(&token, Problem::Length));
        }
        let test = self.test(&field, &token)?;
        Ok(Condition::Comparison(field, test))
    }

    fn test(&mut self, field: &Field, name: &Token) -> Result<Test, SelectionError> {
        if let TokenKind::Operator(operator) = self.peek().kind {
            self.take();
            return match operator {
                Operator::Compare(comparator) => {
                    self.value(field, comparator.orders()).map(|value| Test::Compare(comparator, value))
                }
                Operator::Match { ignores_case, negated } => {
                    let pattern = self.pattern(field, name, ignores_case)?;
                    Ok(Test::Matches { pattern, negated })
                }
            };
        }
        let negated = self.keyword("not");
        if !self.keyword("in") {
            return Err(self.expected(if negated { "`in`" } else { "an operator" }));
        }
        let open = self.peek().clone();
        if !self.take_if(&TokenKind::Open) {
            return Err(self.expected("`(` and values"));
        }
        let mut values = vec![self.value(field, false)?];
        while self.take_if(&TokenKind::Comma) {
            values.push(self.value(field, false)?);
        }
        if self.peek().kind == TokenKind::End {
            return Err(self.error(&open, Problem::OpenBracket));
        }
        if !self.take_if(&TokenKind::Close) {
            return Err(self.expected("`,` or `)`"));
        }
        Ok(Test::In { values, negated })
    }

    fn pattern(&mut self, field: &Field, name: &Token, ignores_case: bool) -> Result<Pattern, SelectionError> {
        match field.kind() {
            Kind::Text | Kind::State | Kind::Any => {}
            Kind::Number | Kind::Bool | Kind::Time | Kind::Duration => {
                return Err(self.error(name, Problem::NoText { field: field.to_string() }));
            }
        }
        let (literal, token) = self.literal(false)?;
        Pattern::parse(&literal.text, ignores_case).map_err(|error| self.error(&token, error.into()))
    }

    fn value(&mut self, field: &Field, ordered: bool) -> Result<Value, SelectionError> {
        let (literal, token) = self.literal(matches!(field.kind(), Kind::Time | Kind::Duration))?;
        self.values += 1;
        if self.values > MOST_VALUES {
            return Err(self.error(&token, Problem::Length));
        }
        literal.value(field, ordered, self.scope).map_err(|problem| self.error(&token, problem))
    }

    /// What is typed behind an operator; where it may be of several words, all of them.
    fn literal(&mut self, several: bool) -> Result<(Literal, Token), SelectionError> {
        let mut token = self.peek().clone();
        let (text, quoted) = match &token.kind {
            TokenKind::Quoted(text) => (text.clone(), true),
            TokenKind::Word(word) if !is_reserved(&token) => (word.clone(), false),
            TokenKind::Word(_)
            | TokenKind::Operator(_)
            | TokenKind::Comma
            | TokenKind::Open
            | TokenKind::Close
            | TokenKind::End => return Err(self.expected("a value")),
        };
        self.take();
        let mut literal = Literal { text, quoted };
        while several && !quoted && !is_reserved(self.peek()) {
            let TokenKind::Word(word) = &self.peek().kind else { break };
            literal.text.push(' ');
            literal.text.push_str(word);
            token.span.end = self.take().span.end;
        }
        Ok((literal, token))
    }
}

fn is_keyword(token: &Token, wanted: &str) -> bool {
    matches!(&token.kind, TokenKind::Word(word) if word.eq_ignore_ascii_case(wanted))
}

fn is_reserved(token: &Token) -> bool {
    ["and", "or", "not", "in"].iter().any(|keyword| is_keyword(token, keyword))
}

/// The only part there is, or all of them together.
fn one_or(mut parts: Vec<Condition>, several: impl FnOnce(Vec<Condition>) -> Condition) -> Condition {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            several(parts)
        }
    }
}
