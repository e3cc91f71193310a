//! Makes foreign text harmless to a terminal: colours pass, nothing that moves the cursor, hides, renames
//! or answers does. Knows bytes and characters, not where they come from.

mod line;
#[cfg(test)]
mod tests;
mod visible;

use self::line::Line;
pub use self::visible::visible;

/// How many characters of a line are shown unless told otherwise.
pub const LONGEST_LINE: usize = 4096;

/// The longest parameters of a colour sequence that passes, in bytes.
const LONGEST_COLOUR: usize = 64;

/// A filter for a stream of bytes that a person will look at.
///
/// - Colours (`CSI … m` with digits, `;` and `:`) pass, and are reset before the line ends.
/// - Every other escape is dropped; OSC, DCS, APC, PM, SOS and screen's title with what they carry, up to
///   their terminator or the end of the line, so that none can swallow the rest of the output.
/// - Other control characters (C0, DEL, C1) and bidirectional controls are shown as `\x07`, `\u{202e}`;
///   invalid UTF-8, raw C1 bytes too, as U+FFFD. Newline and tab pass.
/// - A carriage return drops what precedes it, as soon as something follows it on the same line.
/// - Lines longer than the limit end in `… [+N bytes]`, colour sequences not counted.
///
/// Lines come out when they are complete; the memory held is bounded by the limit. Where the input is cut
/// into chunks makes no difference.
#[derive(Debug)]
pub struct Screen {
    /// The beginning of a character whose rest has not come: at most 3 bytes.
    pending: Vec<u8>,
    state: State,
    /// The parameters of the control sequence being read.
    parameters: String,
    colour: bool,
    line: Line,
}

/// Where in an escape sequence we are (ECMA-48, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte: a final byte will come.
    Designation,
    /// After CSI.
    Sequence,
    /// In the text that an OSC, DCS, … carries.
    Payload,
    /// After an ESC in such a text.
    PayloadEscape,
}

impl Screen {
    /// A filter that shows [`LONGEST_LINE`] characters of a line. Without `colour` colours are dropped too.
    pub fn new(colour: bool) -> Self {
        Self::with_limit(colour, LONGEST_LINE)
    }

    /// A filter that shows `limit` characters of a line.
    pub fn with_limit(colour: bool, limit: usize) -> Self {
        let (pending, parameters) = (Vec::new(), String::new());
        Self { pending, state: State::Ground, parameters, colour, line: Line::new(limit) }
    }

    /// Takes the next bytes and appends the lines that are complete by now to `out`.
    pub fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !self.pending.is_empty() {
            let Some((first, rest)) = input.split_first() else { return };
            if self.complete(*first, out) {
                input = rest;
            }
        }
        loop {
            match str::from_utf8(input) {
                Ok(text) => return self.text(text, out),
                Err(error) => {
                    let (valid, rest) = input.split_at_checked(error.valid_up_to()).unwrap_or((input, &[]));
                    self.text(str::from_utf8(valid).unwrap_or_default(), out);
                    let Some(length) = error.error_len() else {
                        self.pending.extend_from_slice(rest);
                        return;
                    };
                    self.step(char::REPLACEMENT_CHARACTER, length, out);
                    input = rest.get(length..).unwrap_or_default();
                }
            }
        }
    }

    /// Ends the input: an incomplete line comes out as it is, without a newline.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            let length = self.pending.len();
            self.pending.clear();
            self.step(char::REPLACEMENT_CHARACTER, length, out);
        }
        self.state = State::Ground;
        self.line.take(out);
    }

    /// Tries the next byte on the incomplete character; whether it was used.
    fn complete(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        let length = self.pending.len();
        self.pending.push(byte);
        match str::from_utf8(&self.pending) {
            Ok(text) => {
                let character = text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
                self.pending.clear();
                self.step(character, length + 1, out);
                true
            }
            Err(error) if error.error_len().is_none() => true,
            Err(_) => {
                self.pending.clear();
                self.step(char::REPLACEMENT_CHARACTER, length, out);
                false
            }
        }
    }

    fn text(&mut self, mut text: &str, out: &mut Vec<u8>) {
        loop {
            if self.state == State::Ground {
                let plain = text.bytes().position(|byte| !matches!(byte, b' '..=b'~')).unwrap_or(text.len());
                let (run, rest) = text.split_at_checked(plain).unwrap_or((text, ""));
                self.line.plain(run);
                text = rest;
            }
            let mut characters = text.chars();
            let Some(character) = characters.next() else { return };
            text = characters.as_str();
            self.step(character, character.len_utf8(), out);
        }
    }

    /// Takes one character that had `length` bytes.
    fn step(&mut self, character: char, length: usize, out: &mut Vec<u8>) {
        match (self.state, character) {
            (State::Escape, '[') => {
                self.parameters.clear();
                self.state = State::Sequence;
            }
            (State::Escape, ']' | 'P' | 'X' | '^' | '_' | 'k') => self.state = State::Payload,
            (State::Escape | State::Designation, ' '..='/') => self.state = State::Designation,
            (State::Sequence, ' '..='?') => {
                // One byte more than may pass says that it is too long.
                if self.parameters.len() <= LONGEST_COLOUR {
                    self.parameters.push(character);
                }
            }
            (State::Sequence, 'm') => {
                self.state = State::Ground;
                self.pass_colour();
            }
            (State::Escape | State::Designation, '0'..='~')
            | (State::Sequence, '@'..='~')
            | (State::Payload, '\x07' | '\x18' | '\x1a' | '\u{9c}')
            | (State::PayloadEscape, '\\') => self.state = State::Ground,
            (State::Payload, '\x1b') => self.state = State::PayloadEscape,
            (State::PayloadEscape, _) => {
                self.state = State::Escape;
                self.step(character, length, out);
            }
            (State::Payload, '\n') | (State::Ground | State::Escape | State::Designation | State::Sequence, _) => {
                self.state = State::Ground;
                self.show(character, length, out);
            }
            (State::Payload, _) => {}
        }
    }

    fn pass_colour(&mut self) {
        let harmless = self.parameters.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'));
        if self.colour && harmless && self.parameters.len() <= LONGEST_COLOUR {
            self.line.colour(&self.parameters);
        }
    }

    fn show(&mut self, character: char, length: usize, out: &mut Vec<u8>) {
        match character {
            '\x1b' => self.state = State::Escape,
            '\r' => self.line.carriage_return(),
            '\n' => {
                self.line.take(out);
                out.push(b'\n');
            }
            _ => self.line.character(character, length),
        }
    }
}
