//! Who is told of what: the occasions of a task's messages, and which end of a run is one.
//!
//! A task that breaks every minute is one message when it begins, one when it has become a crash loop, and one when
//! that is over.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lifecycle::State;

/// How long a task that is kept alive is silent about further failures after it has told of one.
pub const QUIET: Duration = Duration::from_mins(10);

/// How long one attempt to tell somebody may last.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A message that could not be delivered for so long is given up.
pub const EXPIRES: Duration = Duration::from_hours(24);

/// And that was tried so often.
pub const FEWEST: u32 = 20;

/// The waits between attempts to deliver: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// What a line for the shell is run as.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A run failed, and either nothing follows or it is the first in a while.
    Failure,
    /// It has failed so often in so short a time that it is called a crash loop.
    CrashLoop,
    /// A crash loop is over.
    Recovery,
    /// A job ended well.
    Finish,
    /// It runs and shows no sign of life.
    Stall,
}

impl Occasion {
    /// Every occasion.
    pub const ALL: [Self; 5] = [Self::Failure, Self::CrashLoop, Self::Recovery, Self::Finish, Self::Stall];

    /// The word in the registry and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::CrashLoop => "crash-loop",
            Self::Recovery => "recovery",
            Self::Finish => "finish",
            Self::Stall => "stall",
        }
    }

    /// The occasion of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|occasion| occasion.as_str() == word)
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whom a task tells of what. Without a command and without a URL nobody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// The occasions.
    pub on: Vec<Occasion>,
    /// A program and its arguments, run with the message in its environment; empty for none.
    pub command: Vec<String>,
    /// Where the message is posted to as JSON.
    pub url: Option<String>,
}

impl Default for Notify {
    fn default() -> Self {
        let on = vec![Occasion::Failure, Occasion::CrashLoop, Occasion::Recovery, Occasion::Stall];
        Self { on, command: Vec::new(), url: None }
    }
}

/// One way of telling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Run this program, with these arguments.
    Command(Vec<String>),
    /// Post to this URL.
    Post(String),
}

/// The program and arguments that run a line with the shell.
pub fn shell(line: &str) -> Vec<String> {
    SHELL.into_iter().chain([line]).map(str::to_owned).collect()
}

/// The line, where a command is one for the shell.
pub fn line_of(command: &[String]) -> Option<&str> {
    let (line, before) = command.split_last()?;
    (before == SHELL).then_some(line)
}

impl Notify {
    /// The line, where the command is one for the shell.
    pub fn line(&self) -> Option<&str> {
        line_of(&self.command)
    }

    /// The ways in which an occasion is told.
    pub fn channels(&self, occasion: Occasion) -> Vec<Channel> {
        if !self.on.contains(&occasion) {
            return Vec::new();
        }
        let command = (!self.command.is_empty()).then(|| Channel::Command(self.command.clone()));
        command.into_iter().chain(self.url.clone().map(Channel::Post)).collect()
    }
}

/// The end of a run, as far as it matters to those who are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOfRun {
    /// Whether it failed: neither exit code 0 nor an end on request.
    pub failed: bool,
    /// The job's state afterwards.
    pub state: State,
    /// Whether a crash loop was known before.
    pub was_looping: bool,
    /// Whether it is one now.
    pub is_looping: bool,
    /// When a failure of the task was last told.
    pub told: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// What there is to tell about the end of a run.
pub fn occasion(end: &EndOfRun) -> Option<Occasion> {
    if end.is_looping && !end.was_looping {
        return Some(Occasion::CrashLoop);
    }
    if !end.failed {
        return (end.state == State::JobFinished).then_some(Occasion::Finish);
    }
    if end.state == State::Failed {
        return Some(Occasion::Failure);
    }
    let quiet = end.told.is_some_and(|told| end.now.duration_since(told).unsigned_abs() < QUIET);
    (!end.is_looping && !quiet).then_some(Occasion::Failure)
}

/// How long to wait after so many attempts (from 1) at delivering a message.
pub fn wait(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    (FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: EndOfRun = EndOfRun {
        failed: true,
        state: State::RestartReady,
        was_looping: false,
        is_looping: false,
        told: None,
        now: Timestamp::UNIX_EPOCH,
    };

    #[test]
    fn a_crash_loop_is_one_message_and_not_one_each_minute() {
        assert_eq!(occasion(&FAILED), Some(Occasion::Failure));
        assert_eq!(occasion(&EndOfRun { told: Some(Timestamp::UNIX_EPOCH), ..FAILED }), None);
        assert_eq!(occasion(&EndOfRun { is_looping: true, ..FAILED }), Some(Occasion::CrashLoop));
        assert_eq!(occasion(&EndOfRun { is_looping: true, was_looping: true, ..FAILED }), None);
        let later = Timestamp::from_second(601).unwrap();
        let again = EndOfRun { told: Some(Timestamp::UNIX_EPOCH), now: later, ..FAILED };
        assert_eq!(occasion(&again), Some(Occasion::Failure));
    }

    #[test]
    fn the_end_of_a_job_is_told_whatever_was_told_before() {
        let told = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(occasion(&EndOfRun { state: State::Failed, told, ..FAILED }), Some(Occasion::Failure));
        let finished = EndOfRun { failed: false, state: State::JobFinished, ..FAILED };
        assert_eq!(occasion(&finished), Some(Occasion::Finish));
        assert_eq!(occasion(&EndOfRun { state: State::Cancelled, ..finished }), None);
        assert_eq!(occasion(&EndOfRun { state: State::RestartReady, ..finished }), None);
    }

    #[test]
    fn only_what_was_asked_for_is_told_and_in_every_way_that_was() {
        let notify = Notify { command: vec!["mail".into()], url: Some("http://x".into()), ..Notify::default() };
        assert_eq!(notify.channels(Occasion::Finish), []);
        let both = [Channel::Command(vec!["mail".into()]), Channel::Post("http://x".into())];
        assert_eq!(notify.channels(Occasion::Failure), both);
        assert_eq!(Notify::default().channels(Occasion::Failure), []);
        assert!(Occasion::ALL.into_iter().all(|occasion| Occasion::parse(occasion.as_str()) == Some(occasion)));
    }

    #[test]
    fn the_waits_between_attempts_grow_to_a_quarter_of_an_hour() {
        assert_eq!([wait(1), wait(2), wait(3)].map(|wait| wait.as_secs()), [5, 10, 20]);
        assert_eq!(wait(u32::MAX), LONGEST_WAIT);
    }
}
