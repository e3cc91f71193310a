//! Whether a run still shows signs of life: its output grows, or a file that it names is touched.
//!
//! Measured on the clock that stands still while the machine sleeps: who sleeps is not stalled.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::amount::print_duration;
use crate::domain::task::{Stall, StallAction};

/// How often a stalled run is looked at, so that its return is noticed.
pub(super) const STALLED_LOOK: Duration = Duration::from_secs(5);

/// What the sign of life looked like: size and time of the last change.
type Sign = Option<(u64, i64, i64)>;

/// The watch over one run.
#[derive(Debug)]
pub(super) struct StallWatch {
    rule: Stall,
    file: PathBuf,
    seen: Sign,
    /// Since when nothing has changed.
    since: Duration,
    /// When it was last looked at.
    looked: Duration,
    /// Whether it has been told, and nothing has changed since.
    told: bool,
}

/// What a look has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing new; look again after this.
    Again(Duration),
    /// It had stalled and shows signs of life again.
    Resumed,
    /// It has stalled, for this reason.
    Stalled {
        reason: String,
        /// Whether its run is to be ended.
        end: bool,
    },
}

impl StallWatch {
    /// Watches a run from now on by the changes of a file. `told` says whether it is known to have stalled.
    pub(super) fn new(rule: &Stall, file: PathBuf, now: Duration, told: bool) -> Self {
        let mut watch = Self { rule: rule.clone(), file, seen: None, since: now, looked: now, told };
        watch.seen = watch.sign();
        watch
    }

    /// What was to be told could not be recorded: it is told again.
    pub(super) fn tell_again(&mut self) {
        self.told = false;
    }

    /// Looks whether there is a sign of life; `wall` is the time of day, which files are dated by.
    pub(super) fn look(&mut self, now: Duration, wall: Timestamp) -> Look {
        let looked = std::mem::replace(&mut self.looked, now);
        let sign = self.sign();
        if sign != self.seen {
            let told = self.told;
            // It was some time between the two looks, whatever the clock on the wall says.
            let age = sign.map_or(Duration::ZERO, |sign| age(sign, wall)).min(now.saturating_sub(looked));
            (self.seen, self.since, self.told) = (sign, now.saturating_sub(age), false);
            if told {
                return Look::Resumed;
            }
        }
        let silent = now.saturating_sub(self.since);
        if silent < self.rule.after {
            return Look::Again(self.rule.after.saturating_sub(silent));
        }
        if self.told {
            return Look::Again(self.rule.after.min(STALLED_LOOK));
        }
        self.told = true;
        let how_long = print_duration(self.rule.after);
        let reason = match &self.rule.file {
            Some(file) => format!("`{}` has not changed for {how_long}", file.display()),
            None => format!("no output for {how_long}"),
        };
        Look::Stalled { reason, end: self.rule.action == StallAction::Restart }
    }

    fn sign(&self) -> Sign {
        fs::metadata(&self.file).ok().map(|found| (found.size(), found.mtime(), found.mtime_nsec()))
    }
}

/// How long ago a file was last changed.
fn age((_, seconds, nanoseconds): (u64, i64, i64), wall: Timestamp) -> Duration {
    let changed = i32::try_from(nanoseconds).ok().and_then(|nanoseconds| Timestamp::new(seconds, nanoseconds).ok());
    changed.and_then(|changed| Duration::try_from(wall.duration_since(changed)).ok()).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_last_change_and_not_from_the_look_that_finds_it() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("out");
        fs::write(&file, "a").unwrap();
        let second = Duration::from_secs;
        let rule = Stall { after: second(10), file: None, action: StallAction::Notify };
        let mut watch = StallWatch::new(&rule, file.clone(), second(100), false);
        let changed = |text: &str| {
            fs::write(&file, text).unwrap();
            Timestamp::try_from(fs::metadata(&file).unwrap().modified().unwrap()).unwrap()
        };
        let wall = changed("ab");
        // It came nine seconds before the look.
        assert_eq!(watch.look(second(110), wall + second(9)), Look::Again(second(1)));
        let stalled = Look::Stalled { reason: "no output for 10s".into(), end: false };
        assert_eq!(watch.look(second(111), wall + second(10)), stalled);
        // Clocks that are wrong: it came between the looks all the same.
        assert_eq!(watch.look(second(112), changed("abc") + second(7200)), Look::Resumed);
        assert_eq!(watch.look(second(112), wall), Look::Again(second(9)));
        let ahead = changed("abcd") - second(3600);
        assert_eq!(watch.look(second(115), ahead), Look::Again(second(10)));
    }

    #[test]
    fn silence_is_told_once_until_there_is_a_sign_of_life() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("out");
        fs::write(&file, "a").unwrap();
        let (second, wall) = (Duration::from_secs, Timestamp::UNIX_EPOCH);
        let rule = Stall { after: second(10), file: None, action: StallAction::Notify };
        let mut watch = StallWatch::new(&rule, file.clone(), second(100), false);
        assert_eq!(watch.look(second(104), wall), Look::Again(second(6)));
        let stalled = || Look::Stalled { reason: "no output for 10s".into(), end: false };
        assert_eq!(watch.look(second(110), wall), stalled());
        assert_eq!(watch.look(second(120), wall), Look::Again(STALLED_LOOK));
        fs::write(&file, "ab").unwrap();
        assert_eq!(watch.look(second(121), wall), Look::Resumed);
        assert_eq!(watch.look(second(121), wall), Look::Again(second(10)));
        assert_eq!(watch.look(second(131), wall), stalled());
        let mut next = StallWatch::new(&rule, file.clone(), second(131), true);
        assert_eq!(
            next.look(second(141), wall),
            Look::Again(STALLED_LOOK),
            "the next supervisor tells it no second time"
        );
        fs::remove_file(&file).unwrap();
        assert_eq!(watch.look(second(132), wall), Look::Resumed);
        assert_eq!(next.look(second(142), wall), Look::Resumed);
    }
}
