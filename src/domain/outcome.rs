//! How a run ended: what the kernel said, and why it came to that.

use serde::{Deserialize, Serialize};

use super::signal::Signal;

/// How a process ended, as `wait` tells it. Code and signal are kept apart; the shell's 128+n is ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// It ended by itself with this code, 0 to 255.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        number: i32,
        /// Whether the kernel wrote a core dump.
        core: bool,
    },
}

/// Why a run's main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nobody of ours asked for it.
    Itself,
    /// Somebody asked for it by `stop`, `restart` or `remove --stop`.
    Stopped,
    /// It reached its time limit.
    TimedOut,
    /// The worker was told to end without a request on record: the machine goes down, or the session ends.
    SessionEnded,
    /// It was killed while the kernel was short of memory.
    OutOfMemory,
}

/// Why nobody knows how a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unseen {
    /// The worker died between its decision to start and its knowledge that it had: it may have run.
    MayHaveRun,
    /// The worker died first, and nothing of the run is left.
    WorkerDied,
    /// The machine has been started anew since.
    Reboot,
    /// The run's record is gone.
    NoRecord,
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The main process ended and was seen to.
    Ended {
        /// What the kernel said.
        exit: Exit,
        /// Why.
        cause: Cause,
    },
    /// The script could not be started.
    CouldNotStart {
        /// What was tried and what the system said.
        error: String,
    },
    /// Nothing was started; the run does not count as an attempt.
    NeverStarted,
    /// Nobody knows how it ended.
    Lost(Unseen),
}

impl Exit {
    /// `exit code 3`, `SIGSEGV (core dumped)`.
    pub fn describe(self) -> String {
        match self {
            Self::Code(code) => format!("exit code {code}"),
            Self::Signal { number, core } => {
                let name = Signal::from_number(number).map_or_else(|| format!("signal {number}"), |s| s.to_string());
                format!("{name}{}", if core { " (core dumped)" } else { "" })
            }
        }
    }
}

impl Outcome {
    /// What the kernel said, where it was heard.
    pub fn exit(&self) -> Option<Exit> {
        match self {
            Self::Ended { exit, .. } => Some(*exit),
            Self::CouldNotStart { .. } | Self::NeverStarted | Self::Lost(_) => None,
        }
    }

    /// Whether it ended by itself with exit code 0.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Ended { exit: Exit::Code(0), cause: Cause::Itself })
    }

    /// The stable word for programs: a run's `outcome` and a job's `code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ended { exit, cause } => match cause {
                Cause::Itself => match exit {
                    Exit::Code(0) => "success",
                    Exit::Code(_) => "exit_code",
                    Exit::Signal { .. } => "signal",
                },
                Cause::Stopped => "stopped",
                Cause::TimedOut => "timed_out",
                Cause::SessionEnded => "session_ended",
                Cause::OutOfMemory => "out_of_memory",
            },
            Self::CouldNotStart { .. } => "could_not_start",
            Self::NeverStarted => "never_started",
            Self::Lost(_) => "lost",
        }
    }

    /// The reason in words, without who asked for it.
    pub fn reason(&self) -> String {
        match self {
            Self::Ended { exit, cause } => match cause {
                Cause::Itself => match exit {
                    Exit::Code(_) => exit.describe(),
                    Exit::Signal { .. } => format!("killed by {}", exit.describe()),
                },
                Cause::Stopped => format!("stopped ({})", exit.describe()),
                Cause::TimedOut => format!("timed out ({})", exit.describe()),
                Cause::SessionEnded => format!("ended with the session ({})", exit.describe()),
                Cause::OutOfMemory => format!("killed by {}, probably out of memory", exit.describe()),
            },
            Self::CouldNotStart { error } => format!("could not start: {error}"),
            Self::NeverStarted => "never started".to_owned(),
            Self::Lost(unseen) => match unseen {
                Unseen::MayHaveRun => "lost: its worker died while starting it; it may have run",
                Unseen::WorkerDied => "lost: its worker died before it, so its exit was not seen",
                Unseen::Reboot => "lost: the machine was started anew",
                Unseen::NoRecord => "lost: its record is gone",
            }
            .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_says_what_happened_in_a_word_and_in_words() {
        let segv = Outcome::Ended { exit: Exit::Signal { number: 11, core: true }, cause: Cause::Itself };
        assert_eq!((segv.code(), segv.reason().as_str()), ("signal", "killed by SIGSEGV (core dumped)"));
        let stopped = Outcome::Ended { exit: Exit::Code(0), cause: Cause::Stopped };
        assert_eq!((stopped.code(), stopped.reason().as_str()), ("stopped", "stopped (exit code 0)"));
        assert!(!stopped.is_success());
        assert!(Outcome::Ended { exit: Exit::Code(0), cause: Cause::Itself }.is_success());
    }
}
