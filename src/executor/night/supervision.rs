//! Whether a supervisor was there: from what they said when they came and went, and from who holds the lock now.

use jiff::Timestamp;

use crate::store::events::Event;
use crate::store::supervisor::Supervisor;

use super::found::Supervision;

/// The causes of the events that supervisors leave when they come and go.
pub(super) const STARTED: &str = "supervisor_started";
pub(super) const STOPPED: &str = "supervisor_stopped";

/// What is known of supervisors since a moment. `before` is the last that was said before it, `events` what happened
/// since, `last` who wrote itself down last, `running` whether somebody holds the lock.
pub(super) fn supervision(
    before: Option<&Event>,
    events: &[Event],
    last: Option<&Supervisor>,
    running: bool,
    since: Timestamp,
    now: Timestamp,
) -> Supervision {
    let is_start = |event: &Event| event.cause == STARTED;
    let mut found = Supervision {
        running,
        pid: last.map(|last| last.pid),
        place: last.map(|last| last.place.clone()).filter(|place| !place.is_empty()),
        since: last.map(|last| last.since),
        ..Supervision::default()
    };
    // Whether one is there, as far as that was said; and since when none is.
    let mut there = before.map(is_start);
    let mut gone = before.filter(|event| !is_start(event)).map(|_| since);
    let said: Vec<&Event> = events.iter().filter(|event| [STARTED, STOPPED].contains(&event.cause.as_str())).collect();
    for event in &said {
        if is_start(event) {
            found.starts += 1;
            if there == Some(true) {
                found.vanished.push(Some(event.time));
            }
            found.absent.extend(gone.take().map(|from| (from, Some(event.time))));
            there = Some(true);
        } else {
            there = Some(false);
            gone = Some(event.time);
        }
    }
    if said.is_empty() && before.is_none() {
        // Nothing was ever said; what it wrote down is all there is.
        found.starts = u64::from(found.since.is_some_and(|started| started >= since && started <= now));
    }
    if !running {
        if there == Some(true) {
            found.vanished.push(None);
        }
        found.absent.extend(gone.map(|from| (from, None)));
    }
    found
}
