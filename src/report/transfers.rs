//! What is transferred for a job, in words.

use jiff::Timestamp;

use crate::domain::amount::print_size;
use crate::domain::item::{Item, ItemState, direction_in};
use crate::domain::lifecycle::State;
use crate::domain::remote::Remote;
use crate::domain::transfer::Direction;

use super::words::until;

/// Where an item comes from or goes to, without what may be a secret.
pub(super) fn remote_shown(item: &Item) -> String {
    // It was read when the job was made.
    Remote::parse(&item.remote, std::path::Path::new("/")).map_or_else(|_| item.remote.clone(), |remote| remote.shown())
}

/// One item: from where to where, and how it stands; of a job that is over, nothing is tried again.
pub(super) fn one(item: &Item, now: Timestamp, is_over: bool) -> String {
    let (remote, local) = (remote_shown(item), &item.local);
    let way = match item.direction {
        Direction::In => format!("{remote} → {local}"),
        Direction::Out => format!("{local} → {remote}"),
    };
    let optional = if item.required { "" } else { " (not required)" };
    let state = item.state.as_str();
    let more = match (item.state, &item.error, item.not_before.filter(|_| !is_over)) {
        (ItemState::Done, _, _) => item.bytes.map(|bytes| format!(", {}", print_size(bytes))).unwrap_or_default(),
        (_, Some(error), Some(moment)) => {
            format!(" after {}, again in {}: {error}", times(item), until(moment, now))
        }
        (_, Some(error), None) => format!(" after {}: {error}", times(item)),
        (_, None, _) => String::new(),
    };
    format!("{way}{optional}, {state}{more}")
}

fn times(item: &Item) -> String {
    if item.attempts == 1 { "1 attempt".to_owned() } else { format!("{} attempts", item.attempts) }
}

/// How far the transfers of a job have come that waits for them.
pub(super) fn how_far(state: State, items: &[Item]) -> Option<String> {
    let direction = direction_in(state)?;
    let of_it = || items.iter().filter(|item| item.direction == direction);
    let done = of_it().filter(|item| item.state == ItemState::Done).count();
    let wrong = of_it().find_map(|item| item.error.as_ref().map(|error| format!("; `{}`: {error}", item.name)));
    let (way, wrong) = (direction.as_str(), wrong.unwrap_or_default());
    Some(format!("staging {way} {done} of {}{wrong}", of_it().count()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::item::tests::item;

    #[test]
    fn what_is_transferred_reads_well() {
        let now = Timestamp::UNIX_EPOCH;
        let mut one_of = item("data", Direction::In, true, ItemState::Done);
        one_of.remote = "https://me:pw@host/data?key=x".to_owned();
        one_of.bytes = Some(2048);
        assert_eq!(one(&one_of, now, false), "https://host/data?… → data, done, 2.0 KiB");
        let mut other = item("extra", Direction::In, false, ItemState::Pending);
        assert_eq!(one(&other, now, false), "/extra → extra (not required), pending");
        (other.attempts, other.error) = (2, Some("no route".to_owned()));
        other.not_before = Timestamp::from_second(4).ok();
        let pending = "/extra → extra (not required), pending after 2 attempts";
        assert_eq!(one(&other, now, false), format!("{pending}, again in 4s: no route"));
        assert_eq!(one(&other, now, true), format!("{pending}: no route"));
        assert_eq!(
            how_far(State::Ready, &[one_of.clone(), other]).as_deref(),
            Some("staging in 1 of 2; `extra`: no route")
        );
        assert_eq!(how_far(State::Running, &[one_of]), None);
    }
}
