//! Times, durations and commands in the words that people read.

use std::cell::RefCell;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::domain::amount::print_roughly;
use crate::domain::outcome::Exit;
use crate::domain::task::{Program, Task};
use crate::home::zones;

/// A moment in local time: `2021-03-01 10:53:57`.
pub fn moment(time: Timestamp) -> String {
    time.to_zoned(zones::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The zone of this machine now. All that is shown of one moment is shown in the zone that was found first.
fn zone(now: Timestamp) -> TimeZone {
    thread_local!(static FOUND: RefCell<Option<(Timestamp, TimeZone)>> = const { RefCell::new(None) });
    FOUND.with_borrow_mut(|found| {
        let known = found.take().filter(|(then, _)| *then == now);
        found.insert(known.unwrap_or_else(|| (now, zones::system()))).1.clone()
    })
}

/// A moment in local time, shortened to the time of day when that is today.
pub fn recent(time: Timestamp, now: Timestamp) -> String {
    let zone = zone(now);
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

/// The time until a moment, to the second: `42s`.
pub fn until(moment: Timestamp, now: Timestamp) -> String {
    let left = Duration::try_from(moment.duration_since(now)).unwrap_or_default();
    lasting(
        Duration::from_secs(left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)).max(Duration::from_secs(1)),
    )
}

/// The time from now to a moment in its two largest units: `in 2 h 5 min`, `3 d ago`.
pub fn distance(moment: Timestamp, now: Timestamp) -> String {
    let apart = moment.duration_since(now).unsigned_abs();
    if moment < now {
        return format!("{} ago", print_roughly(apart));
    }
    // What is ahead is never sooner than it is said to be.
    let seconds = u64::try_from(apart.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    format!("in {}", print_roughly(Duration::from_secs(seconds)))
}

/// A moment on some clocks, with the day of the week and what the zone is called then: `Mon 2026-11-23 12:50 EST`.
pub fn on_clocks(time: &Zoned, with_seconds: bool) -> String {
    let format = if with_seconds { "%H:%M:%S" } else { "%H:%M" };
    time.strftime(&format!("%a %Y-%m-%d {format} %Z")).to_string()
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
    fn a_distance_is_told_in_two_units() {
        let told = |seconds: i64| distance(Timestamp::from_second(seconds).unwrap(), Timestamp::UNIX_EPOCH);
        let ahead = [0, 42, 60, 312, 7500, 3600, 104_400, 8_640_001].map(told);
        let expected =
            ["in 0 s", "in 42 s", "in 1 min", "in 5 min 12 s", "in 2 h 5 min", "in 1 h", "in 1 d 5 h", "in 100 d"];
        assert_eq!(ahead, expected);
        assert_eq!([told(-1), told(-7500)], ["1 s ago", "2 h 5 min ago"]);
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!([quoted("a-b"), quoted("a b"), quoted(""), quoted("it's")], ["a-b", "'a b'", "''", r"'it'\''s'"]);
    }
}
