//! One thing that a job is to be brought, or that is to be taken from it: how it stands, when it is tried again, and
//! what all of them together mean for the job.

mod plan;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::lifecycle::State;
use super::transfer::{Direction, Mode};

pub use plan::{SlotError, plan};

/// How often an item is tried: with the waits between, for about two minutes.
pub const ATTEMPTS: u32 = 8;

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// How an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemState {
    /// Its turn has not come.
    Waiting,
    /// It is to be transferred, for the first time or again.
    Pending,
    /// It is being transferred.
    Active,
    /// It is where it is to be, whole.
    Done,
    /// It has failed for good.
    Error,
}

impl ItemState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Pending, Self::Active, Self::Done, Self::Error];

    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Done => "done",
            Self::Error => "error",
        }
    }

    /// Whether nothing more is tried.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Error)
    }
}

/// One item of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The slot of the task that it is for.
    pub name: String,
    /// In or out.
    pub direction: Direction,
    /// The path inside of the work directory; `.` keeps the remote's name.
    pub local: String,
    /// Where it comes from or goes to, as [`Remote::text`](super::remote::Remote::text) has it.
    pub remote: String,
    /// Whether somebody gave that for this job alone.
    pub given: bool,
    /// Whether a directory is taken with all that is in it.
    pub recursive: bool,
    /// Whether the job has failed where it fails for good.
    pub required: bool,
    /// How it is brought there.
    pub mode: Mode,
    /// How it stands.
    pub state: ItemState,
    /// How often it was tried.
    pub attempts: u32,
    /// The moment before which it is not tried again.
    pub not_before: Option<Timestamp>,
    /// What went wrong the last time.
    pub error: Option<String>,
    /// How much was transferred, where that is known.
    pub bytes: Option<u64>,
}

impl Item {
    /// Whether it is a new start or the same thing from the same place.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.name, self.direction, &self.local, &self.remote, self.recursive, self.mode)
            == (&other.name, other.direction, &other.local, &other.remote, other.recursive, other.mode)
    }
}

/// The direction in which something is transferred for a job in this state.
pub fn direction_in(state: State) -> Option<Direction> {
    match state {
        State::Ready => Some(Direction::In),
        State::Postprocessed => Some(Direction::Out),
        State::Created
        | State::AwaitingParents
        | State::Blocked
        | State::StagedIn
        | State::Preprocessed
        | State::Running
        | State::RunDone
        | State::StagedOut
        | State::JobFinished
        | State::RunError
        | State::RunTimeout
        | State::RestartReady
        | State::Failed
        | State::Cancelled
        | State::Reset => None,
    }
}

/// How long to wait after so many attempts (from 1) that failed; `None` where that was the last one.
pub fn wait(attempts: u32) -> Option<Duration> {
    let doublings = attempts.saturating_sub(1).min(16);
    (attempts < ATTEMPTS).then(|| Duration::from_secs(1 << doublings).min(LONGEST_WAIT))
}

/// What the items of one direction mean for their job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Everything that it needs is there.
    Done,
    /// Something that it needs has failed for good: the slot and why.
    Failed(String, String),
    /// Something is still to be tried, and why it was not yet successful, where it was tried.
    Open(Option<String>),
}

/// How a job with these items stands in one direction.
///
/// What is to be brought in is no use once something needed is missing; what is to be taken out is tried to the end.
pub fn standing(items: &[Item], direction: Direction) -> Standing {
    let of_it = || items.iter().filter(|item| item.direction == direction);
    let is_open = of_it().any(|item| !item.state.is_final());
    let failed = of_it().find(|item| item.required && item.state == ItemState::Error);
    match (failed, is_open) {
        (Some(item), is_open) if !is_open || direction == Direction::In => {
            Standing::Failed(item.name.clone(), item.error.clone().unwrap_or_default())
        }
        (_, true) => Standing::Open(of_it().filter(|item| !item.state.is_final()).find_map(tried)),
        (_, false) => Standing::Done,
    }
}

fn tried(item: &Item) -> Option<String> {
    item.error.as_ref().map(|error| format!("transfer `{}`: {error}", item.name))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn item(name: &str, direction: Direction, required: bool, state: ItemState) -> Item {
        Item {
            name: name.to_owned(),
            direction,
            local: name.to_owned(),
            remote: format!("/{name}"),
            given: false,
            recursive: false,
            required,
            mode: Mode::Copy,
            state,
            attempts: 0,
            not_before: None,
            error: None,
            bytes: None,
        }
    }

    #[test]
    fn attempts_are_made_for_about_two_minutes() {
        let waits: Vec<_> = (1..).map_while(wait).map(|wait| wait.as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60]);
    }

    #[test]
    fn only_what_is_required_fails_the_job() {
        use ItemState::{Done, Error, Pending};
        let of = |direction, items: &[(bool, ItemState)]| {
            let items: Vec<_> = items.iter().map(|(required, state)| item("a", direction, *required, *state)).collect();
            standing(&items, direction)
        };
        let failed = Standing::Failed("a".to_owned(), String::new());
        for direction in Direction::ALL {
            assert_eq!(of(direction, &[]), Standing::Done);
            assert_eq!(of(direction, &[(true, Done), (false, Error)]), Standing::Done);
            assert_eq!(of(direction, &[(true, Done), (true, Error)]), failed);
            assert_eq!(of(direction, &[(true, Done), (false, Pending)]), Standing::Open(None));
        }
        assert_eq!(of(Direction::In, &[(true, Error), (true, Pending)]), failed);
        assert_eq!(of(Direction::Out, &[(true, Error), (true, Pending)]), Standing::Open(None));
    }
}
