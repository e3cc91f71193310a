//! Writes the output of one or several tasks as it comes: for a person on a terminal, or byte for byte
//! into a pipe. Knows labels and bytes, not how they are obtained.

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use owo_colors::{AnsiColors, OwoColorize};

use super::screen::{Screen, visible};

/// How much of an incomplete line of one of several sources is held back before it is written in parts.
const LONGEST_HELD: usize = 64 * 1024;

/// What ends a part of a line of which more follows.
const MORE: &[u8] = " …\n".as_bytes();

/// Colours that can be read on light and dark ground; red is left to errors.
const COLOURS: [AnsiColors; 6] = [
    AnsiColors::Cyan,
    AnsiColors::Yellow,
    AnsiColors::Green,
    AnsiColors::Magenta,
    AnsiColors::Blue,
    AnsiColors::BrightCyan,
];

/// Where the output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailOptions {
    /// To a terminal: everything passes the filter of [`Screen`].
    pub terminal: bool,
    /// Labels get colours, and on a terminal the colours of the text are kept.
    pub colour: bool,
}

/// Writes what several sources deliver.
///
/// A single source comes without a label, into a pipe byte for byte. Of several each line begins with
/// `NAME | ` and is written whole; a line of more than 64 KiB goes into a pipe in parts that end in `…`.
#[derive(Debug)]
pub struct TailWriter {
    sources: Vec<Source>,
    options: TailOptions,
}

#[derive(Debug)]
struct Source {
    prefix: Vec<u8>,
    screen: Screen,
    /// The incomplete line, where it does not wait in the filter.
    held: Vec<u8>,
}

impl TailWriter {
    /// A writer for sources with these labels, numbered from 0.
    pub fn new<L: AsRef<str>>(labels: &[L], options: TailOptions) -> Self {
        let labels: Vec<_> = labels.iter().map(|label| visible(label.as_ref())).collect();
        let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or_default();
        let sources = labels.iter().zip(COLOURS.iter().cycle()).map(|(label, colour)| {
            let padding = " ".repeat(width - label.chars().count());
            let prefix = if options.colour {
                format!("{}{padding} | ", label.color(*colour))
            } else {
                format!("{label}{padding} | ")
            };
            Source { prefix: prefix.into_bytes(), screen: Screen::new(options.colour), held: Vec::new() }
        });
        Self { sources: sources.collect(), options }
    }

    /// Writes the next bytes of the source with this number.
    pub fn write(&mut self, source: usize, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        let several = self.sources.len() > 1;
        let Some(source) = self.sources.get_mut(source) else { return Ok(()) };
        let mut ready = Vec::new();
        match (self.options.terminal, several) {
            (false, false) => return out.write_all(bytes),
            (true, false) => source.screen.push(bytes, &mut ready),
            (true, true) => {
                let mut lines = Vec::new();
                source.screen.push(bytes, &mut lines);
                for line in lines.split_inclusive(|byte| *byte == b'\n') {
                    ready.extend_from_slice(&source.prefix);
                    ready.extend_from_slice(line);
                }
            }
            (false, true) => source.hold(bytes, &mut ready),
        }
        if ready.is_empty() { Ok(()) } else { out.write_all(&ready) }
    }

    /// Ends the incomplete line of a source, because what comes next is of another file. A pipe with a
    /// single source gets nothing that the files do not hold.
    pub fn end_line(&mut self, source: usize, out: &mut dyn Write) -> io::Result<()> {
        let several = self.sources.len() > 1;
        let terminal = self.options.terminal;
        let Some(source) = self.sources.get_mut(source) else { return Ok(()) };
        let mut rest = source.rest(terminal);
        if rest.is_empty() {
            return Ok(());
        }
        rest.push(b'\n');
        if several {
            rest.splice(..0, source.prefix.iter().copied());
        }
        out.write_all(&rest)
    }

    /// Ends the output: the incomplete lines come out. A single source's gets no newline of ours.
    pub fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if let [source] = self.sources.as_mut_slice() {
            out.write_all(&source.rest(self.options.terminal))?;
        } else {
            for source in 0..self.sources.len() {
                self.end_line(source, out)?;
            }
        }
        out.flush()
    }
}

impl Source {
    /// Adds bytes to the incomplete line and moves what is complete, or too long to be held, to `ready`.
    fn hold(&mut self, bytes: &[u8], ready: &mut Vec<u8>) {
        for mut rest in bytes.split_inclusive(|byte| *byte == b'\n') {
            while !rest.is_empty() {
                let room = LONGEST_HELD.saturating_sub(self.held.len());
                let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
                self.held.extend_from_slice(now);
                rest = later;
                let whole = self.held.ends_with(b"\n");
                if whole || !rest.is_empty() {
                    ready.extend_from_slice(&self.prefix);
                    ready.append(&mut self.held);
                    ready.extend_from_slice(if whole { b"" } else { MORE });
                }
            }
        }
    }

    /// Takes the incomplete line.
    fn rest(&mut self, terminal: bool) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.held);
        if terminal {
            self.screen.finish(&mut rest);
        }
        rest
    }
}
