//! The one way in which failures are told: what, why, and the way out.

use std::error::Error;
use std::io::{self, Write};

use owo_colors::OwoColorize;

use super::screen::visible;

/// Writes an error with its causes and hints.
pub fn write(error: &dyn Error, hints: &[String], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} {}", "error:".red().bold(), lines(&error.to_string()))?;
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        // A cause that the text above repeats is told already; so is one that only puts a number before it.
        if !told.contains(&text) && !text.ends_with(&format!(": {told}")) {
            writeln!(out, "  caused by: {}", lines(&text))?;
        }
        told = text;
        next = source.source();
    }
    for hint in hints {
        writeln!(out, "{} {}", "hint:".cyan().bold(), lines(hint))?;
    }
    Ok(())
}

/// Writes something that is worth knowing and no failure.
pub fn warn(text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} {}", "warning:".yellow().bold(), lines(text))
}

/// Writes what was done.
pub fn told(text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", lines(text))
}

/// A text of several lines, each made visible: names and paths in it may hold anything.
fn lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}
