//! The clocks. The only place of the crate that reads them.

use std::time::Duration;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// The wall clock, in whole microseconds: that is what the database keeps.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// The time since the machine was started, suspended time included: for "how long", never for "when".
pub fn since_boot() -> Duration {
    // The call cannot fail for a clock that every supported kernel has.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// The time that this machine has been awake: for "how long without", where a sleep is no silence.
pub fn awake() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_move_forward_and_in_microseconds() {
        let (wall, boot) = (now(), since_boot());
        assert_eq!(wall.as_nanosecond() % 1000, 0);
        assert!(boot > Duration::ZERO && since_boot() >= boot);
    }
}
