//! Putting occurrences off by a little, so that many machines do not do the same at the same moment.
//!
//! Not by chance: the same occurrence of the same task on the same host is always put off by the same.

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use super::period::print_period;
use super::timetable::Timetable;

/// How far a task's occurrences are put off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jitter {
    /// Always by less than this.
    pub within: Duration,
    /// What tells this machine from others.
    pub host: String,
    /// The name of the task.
    pub task: String,
}

/// Why a jitter cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JitterError {
    /// One occurrence could be put off beyond the next.
    #[error("a jitter of {} is not shorter than the {} between two runs", print_period(*.jitter), print_period(*.shortest))]
    TooLong {
        /// What is asked for.
        jitter: Duration,
        /// The least time between two occurrences.
        shortest: Duration,
    },
}

impl JitterError {
    /// What to do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::TooLong { shortest, .. } => vec![format!("make it shorter than {}", print_period(*shortest))],
        }
    }
}

impl Jitter {
    /// By how much an occurrence is put off: whole milliseconds.
    pub fn delay(&self, occurrence: Timestamp) -> Duration {
        let within = u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX);
        if within == 0 {
            return Duration::ZERO;
        }
        let moment = occurrence.as_microsecond().to_string();
        // No text has a NUL byte in it: none of the three runs into the next.
        let text = [self.host.as_bytes(), self.task.as_bytes(), moment.as_bytes()].join(&0);
        Duration::from_millis(fnv1a(&text) % within)
    }

    /// Refuses a jitter that could mix up the order of occurrences.
    pub fn check(within: Duration, timetable: &Timetable) -> Result<(), JitterError> {
        match timetable.shortest() {
            Some(shortest) if within >= shortest => Err(JitterError::TooLong { jitter: within, shortest }),
            Some(_) | None => Ok(()),
        }
    }
}

/// FNV-1a, 64 bits wide (Fowler, Noll, Vo; draft-eastlake-fnv).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_delay_is_stable_and_spread_over_the_whole_jitter() {
        let jitter = |host: &str| Jitter { within: Duration::from_mins(1), host: host.into(), task: "backup".into() };
        let at = |hour: i64| Timestamp::from_second(1_700_000_000 + hour * 3600).unwrap();
        assert_eq!(jitter("a").delay(at(0)), jitter("a").delay(at(0)));
        let none = Jitter { within: Duration::ZERO, ..jitter("a") };
        assert_eq!(none.delay(at(0)), Duration::ZERO);
        let mut tenths = [0; 10];
        for n in 0..1000_i64 {
            let delay = jitter(&format!("host{}", n % 10)).delay(at(n / 10));
            assert!(delay < Duration::from_mins(1));
            tenths[usize::try_from(delay.as_millis() / 6000).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (60..140).contains(count)), "{tenths:?}");
    }
}
