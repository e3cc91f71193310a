//! Times, durations and commands in the words that people read.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::outcome::Exit;
use crate::domain::task::{Program, Task};

/// A moment in local time: `2021-03-01 10:53:57`.
pub fn moment(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment in local time, shortened to the time of day when that is today.
pub fn recent(time: Timestamp, now: Timestamp) -> String {
    let zone = TimeZone::system();
    let (time, now) = (time.to_zoned(zone.clone()), now.to_zoned(zone));
    let format = if time.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    time.strftime(format).to_string()
}

/// A duration with its two largest units: `3d 4h`, `5m 12s`, `12s`, `340ms`.
pub fn lasting(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, unit: &str, small: u64, rest: &str| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit} {small}{rest}") }
    };
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => two(seconds / 60, "m", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// A duration with its two largest units, spelled out: `1 d 5 h`, `2 h 5 min`, `12 s`.
pub fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (size, name) in units {
        if left >= size {
            parts.push(format!("{} {name}", left / size));
        } else if !parts.is_empty() {
            // What is below the largest unit and its neighbour says nothing.
            break;
        }
        left %= size;
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// The time until a moment, to the second: `42s`.
pub fn until(moment: Timestamp, now: Timestamp) -> String {
    let left = Duration::try_from(moment.duration_since(now)).unwrap_or_default();
    lasting(
        Duration::from_secs(left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)).max(Duration::from_secs(1)),
    )
}

/// How a process ended, short enough for a table: `0`, `3`, `SIGKILL`, `SIGSEGV (core dumped)`.
pub fn exit(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => code.to_string(),
        Exit::Signal { .. } => exit.describe(),
    }
}

/// What a task runs with its arguments, quoted as a shell would need it.
pub fn command_line(task: &Task) -> String {
    let args = task.args.iter().map(String::as_str);
    match &task.program {
        Program::Shell(line) => line.clone(),
        Program::Script(script) => [script.as_str()].into_iter().chain(args).map(quoted).collect::<Vec<_>>().join(" "),
        Program::Command(words) => {
            words.iter().map(String::as_str).chain(args).map(quoted).collect::<Vec<_>>().join(" ")
        }
    }
}

/// Words in one line, quoted as a shell would need it.
pub fn quoted_words(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word, in single quotes where a shell would take it apart.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_in_two_units() {
        let told = |seconds| lasting(Duration::from_secs(seconds));
        assert_eq!(lasting(Duration::from_millis(340)), "340ms");
        assert_eq!([told(12), told(60), told(312), told(3600), told(90_061)], ["12s", "1m", "5m 12s", "1h", "1d 1h"]);
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!([quoted("a-b"), quoted("a b"), quoted(""), quoted("it's")], ["a-b", "'a b'", "''", r"'it'\''s'"]);
    }
}
