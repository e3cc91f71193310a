//! Text with placeholders: `{{name}}` stands for the value of a parameter, `{{{{` for the two characters `{{`.

use std::ops::Range;

use thiserror::Error;

/// How much of a wrong placeholder is shown, in characters.
const SHOWN: usize = 40;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// What stands for itself, `{{{{` made `{{` already.
    Text(String),
    /// The value of a parameter.
    Value {
        /// The name of the parameter.
        name: &'a str,
        /// The bytes of the placeholder.
        at: Range<usize>,
    },
}

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct TemplateError {
    /// The bytes of the template that it is about.
    pub at: Range<usize>,
    /// What is wrong.
    pub problem: TemplateProblem,
}

/// What can be wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateProblem {
    /// A placeholder that does not end.
    #[error("`{{{{` is not closed by `}}}}`")]
    Open,
    /// Nothing, or blanks.
    #[error("`{0}` names no parameter")]
    Unnamed(String),
    /// Something that is no name.
    #[error("`{shown}` is no placeholder: `{name}` is not the name of a parameter")]
    Name {
        /// The placeholder, shortened.
        shown: String,
        /// What stands in it, shortened.
        name: String,
    },
    /// A placeholder of a line for the shell, at a place where quotes might not hold its value together.
    #[error("`{{{{{name}}}}}` stands {place}, where its value could be taken for shell code")]
    Unquotable {
        /// The name of the parameter.
        name: String,
        /// Where that is, in words: `in a comment`.
        place: &'static str,
    },
}

impl TemplateError {
    /// The way out, as an imperative.
    pub fn hint(&self) -> String {
        match &self.problem {
            TemplateProblem::Open | TemplateProblem::Unnamed(_) | TemplateProblem::Name { .. } => {
                "write `{{{{` where `{{` is meant to stand for itself".to_owned()
            }
            TemplateProblem::Unquotable { name, .. } => {
                let variable = name.to_ascii_uppercase();
                format!(
                    "set a variable, `env = {{ {variable} = \"{{{{{name}}}}}\" }}`, and write `\"${variable}\"` there"
                )
            }
        }
    }
}

/// Whether this is the name of a parameter: `[A-Za-z_][A-Za-z0-9_]*`.
pub fn is_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether there can be a placeholder in a text at all.
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Takes a template apart; no two texts follow each other.
pub fn pieces(template: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut at = 0;
    loop {
        let rest = template.get(at..).unwrap_or_default();
        let Some(open) = rest.find("{{") else {
            text += rest;
            break;
        };
        let (before, inside) = rest.split_at(open);
        text += before;
        if inside.starts_with("{{{{") {
            text += "{{";
            at += open + 4;
            continue;
        }
        let (name, length) = placeholder(inside, at + open)?;
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        let start = at + open;
        at = start + length;
        pieces.push(Piece::Value { name, at: start..at });
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// The name in the placeholder that a text begins with, and the placeholder's length. `at` is where it stands.
fn placeholder(text: &str, at: usize) -> Result<(&str, usize), TemplateError> {
    let inside = text.get(2..).unwrap_or_default();
    let Some(end) = inside.find("}}") else {
        return Err(TemplateError { at: at..at + 2, problem: TemplateProblem::Open });
    };
    let (length, name) = (end + 4, inside.get(..end).unwrap_or_default().trim_matches([' ', '\t']));
    if is_name(name) {
        return Ok((name, length));
    }
    let shown = short(text.get(..length).unwrap_or_default());
    let problem = if name.is_empty() {
        TemplateProblem::Unnamed(shown)
    } else {
        TemplateProblem::Name { shown, name: short(name) }
    };
    Err(TemplateError { at: at..at + length, problem })
}

/// A text on one line, not too long.
fn short(text: &str) -> String {
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut short: String = text.chars().take(SHOWN).map(safe).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, expected: &[Piece<'_>]) {
        assert_eq!(pieces(template).unwrap(), expected, "{template}");
    }

    #[track_caller]
    fn wrong(template: &str, at: Range<usize>, says: &str) {
        let error = pieces(template).unwrap_err();
        assert_eq!((error.at.clone(), error.to_string().as_str()), (at, says), "{template}");
    }

    #[test]
    fn a_template_is_taken_apart() {
        let text = |text: &str| Piece::Text(text.to_owned());
        check("", &[]);
        check("plain }} {x} { {", &[text("plain }} {x} { {")]);
        let value = |name, at| Piece::Value { name, at };
        check("{{a}}", &[value("a", 0..5)]);
        check("x{{ a\t}}y{{_B2}}", &[text("x"), value("a", 1..8), text("y"), value("_B2", 9..16)]);
        check("{{a}}{{b}}", &[value("a", 0..5), value("b", 5..10)]);
        check("{{{{", &[text("{{")]);
        check("a{{{{b}}c", &[text("a{{b}}c")]);
        check("{{{{{{a}}", &[text("{{"), value("a", 4..9)]);
        check("ä{{a}}}", &[text("ä"), value("a", 2..7), text("}")]);
    }

    #[test]
    fn what_is_no_placeholder_is_refused_with_its_place() {
        wrong("ä{{", 2..4, "`{{` is not closed by `}}`");
        wrong("{{a}", 0..2, "`{{` is not closed by `}}`");
        wrong("{{}}", 0..4, "`{{}}` names no parameter");
        wrong("x{{ }}", 1..6, "`{{ }}` names no parameter");
        wrong("{{.Names}}", 0..10, "`{{.Names}}` is no placeholder: `.Names` is not the name of a parameter");
        wrong("{{a}}{{2}}", 5..10, "`{{2}}` is no placeholder: `2` is not the name of a parameter");
        wrong("{{{a}}", 0..6, "`{{{a}}` is no placeholder: `{a` is not the name of a parameter");
        wrong("{{a\nb}}", 0..7, "`{{a\u{fffd}b}}` is no placeholder: `a\u{fffd}b` is not the name of a parameter");
        assert!(pieces("{{a b}}").unwrap_err().hint().contains("`{{{{`"));
    }
}
