//! The run that a worker begins by itself when its own has ended well: it was decided beforehand, by the supervisor, and
//! holds only as long as nothing has changed that it was decided by.
//!
//! Looking whether anything has changed is somebody else's business; this is what is to be compared, and which ends count.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::evidence::Place;
use super::fingerprint::Fingerprint;
use super::name::RunId;
use super::outcome::{Cause, Outcome};
use super::restart::{Backoff, is_good, is_permanent};
use super::task::Restart;

/// The run that follows another of the same job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// Which run it will be.
    pub run: RunId,
    /// Where it will run, as the one before it.
    pub place: Place,
    /// Which attempt at the job.
    pub attempt: u32,
    /// The executor's id, which a script is tagged with.
    pub exec_id: String,
    /// Where the output of the run before it is set aside.
    pub former: PathBuf,
    /// Which ends of the run before are followed: `Never` none.
    pub restart: Restart,
    /// What counts as a good run.
    pub backoff: Backoff,
    /// The lock of the supervisor: without one nothing is started again.
    pub supervisor: PathBuf,
    /// The registry, in a state in which it defines the task as the run before was made from.
    pub registry: (PathBuf, Fingerprint),
}

impl Successor {
    /// Whether it follows a run that ended like this after so many microseconds: at once, and without anybody having to
    /// look at what that end means.
    pub fn follows(&self, outcome: &Outcome, lasted: Option<u64>) -> bool {
        let by_itself = matches!(outcome, Outcome::Ended { cause: Cause::Itself, .. });
        let by_rule = match self.restart {
            Restart::Always => true,
            Restart::OnFailure => !outcome.is_success(),
            Restart::Never => false,
        };
        let lasted = lasted.map(Duration::from_micros);
        by_itself && by_rule && is_good(outcome, lasted, &self.backoff) && !is_permanent(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::{Exit, Unseen};

    fn ended(exit: Exit, cause: Cause) -> Outcome {
        Outcome::Ended { exit, cause }
    }

    #[test]
    fn a_good_run_that_ended_by_itself_is_followed_by_the_rule() {
        let killed = ended(Exit::Signal { number: 9, core: false }, Cause::Itself);
        let [success, failure, permanent] = [0, 1, 125].map(|code| ended(Exit::Code(code), Cause::Itself));
        for (restart, expected) in [
            (Restart::Always, [true, true, true, false]),
            (Restart::OnFailure, [false, true, true, false]),
            (Restart::Never, [false; 4]),
        ] {
            let successor = Successor {
                run: RunId::from_bytes([1; 16]),
                place: Place { machine: "m".into(), boot: "b".into(), pid_namespace: 1 },
                attempt: 2,
                exec_id: "x".into(),
                former: PathBuf::new(),
                restart,
                backoff: Backoff::default(),
                supervisor: PathBuf::new(),
                registry: (PathBuf::new(), Fingerprint { inode: 0, size: 0, mtime: 0, ctime: 0 }),
            };
            let long = Some(2_000_000);
            assert_eq!([&success, &failure, &killed, &permanent].map(|it| successor.follows(it, long)), expected);
            for outcome in [&success, &failure, &killed] {
                assert!(!successor.follows(outcome, Some(1_999_999)) && !successor.follows(outcome, None));
            }
            for cause in [Cause::Stopped, Cause::TimedOut, Cause::OutOfMemory] {
                assert!(!successor.follows(&ended(Exit::Code(1), cause), long), "somebody has to look at {cause:?}");
            }
            assert!(!successor.follows(&Outcome::Lost(Unseen::WorkerDied), long));
            assert!(!successor.follows(&Outcome::NeverStarted, long));
        }
    }
}
