//! Signals by their names. Linux numbers of the common architectures; nothing here sends one.

use std::fmt;

use thiserror::Error;

/// A signal's number, known to be one that this system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a signal (try TERM, INT, HUP, QUIT, USR1, USR2 or a number)")]
pub struct SignalError(pub String);

/// Names in the order of their numbers, 1 to 31, as `signal(7)` gives them for x86 and ARM.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

impl Signal {
    /// Asks a process to end.
    pub const TERM: Self = Self(15);
    /// Ends a process without asking.
    pub const KILL: Self = Self(9);
    /// Lets a stopped process go on.
    pub const CONT: Self = Self(18);

    /// The signal with this number, 1 to 64.
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=64).contains(&number).then_some(Self(number))
    }

    /// Reads `TERM`, `SIGTERM`, `sigterm` or `15`.
    pub fn parse(text: &str) -> Result<Self, SignalError> {
        let wrong = || SignalError(text.to_owned());
        if let Ok(number) = text.parse::<i32>() {
            return Self::from_number(number).ok_or_else(wrong);
        }
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        let at = NAMES.iter().position(|name| *name == bare).ok_or_else(wrong)?;
        i32::try_from(at + 1).ok().and_then(Self::from_number).ok_or_else(wrong)
    }

    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    /// `SIGKILL`; the real-time signals, which have no names of their own, as `SIG34`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match usize::try_from(self.0 - 1).ok().and_then(|at| NAMES.get(at)) {
            Some(name) => write!(f, "SIG{name}"),
            None => write!(f, "SIG{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_read_by_name_or_number() {
        for text in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(Signal::parse(text).unwrap(), Signal::TERM);
        }
        for text in ["", "0", "65", "SIG", "TERMINATE", "-9"] {
            Signal::parse(text).unwrap_err();
        }
    }

    #[test]
    fn names_agree_with_the_system() {
        for number in 1..=31 {
            let ours = Signal::from_number(number).unwrap();
            let theirs = nix::sys::signal::Signal::try_from(number).unwrap();
            assert_eq!(ours.to_string(), theirs.as_str());
            assert_eq!(Signal::parse(&ours.to_string()).unwrap(), ours);
        }
    }
}
