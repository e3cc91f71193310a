//! The worker: owns one run at a time, from the spawn until nothing of its tree is left; and then the one that follows,
//! where one was appointed.
//!
//! Small on purpose: one thread, no runtime, no database, no policy. It is told everything in a sealed piece of
//! memory, writes down what happens in the run's record, and holds the record's lock for as long as anything of the
//! run may be alive. It is reached through a private door of our binary, before the command line is parsed.

mod run;
mod slot;
mod succession;
mod watch;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::process;
use crate::process::spawn::{self, Given, LIMITS_DOOR, SLOT, WORKER_DOOR};
use crate::process::spec::Answer;

use run::Prepared;
use slot::Slot;

/// Goes through a private door, if the first argument names one; the exit code of what was behind it.
pub fn door(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    let first = args.nth(1)?;
    if first.as_bytes() == LIMITS_DOOR.to_bytes() {
        return Some(spawn::limits_door(args));
    }
    (first.as_bytes() == WORKER_DOOR.to_bytes()).then(|| {
        let (record, kind) = (args.next(), args.next());
        if kind.as_deref().is_some_and(|kind| kind.as_bytes() == SLOT.to_bytes()) {
            return work_slot(record, args.next(), args.next());
        }
        process::leave(work(record, kind.is_some()))
    })
}

/// The whole life of a slot's worker.
fn work_slot(record: Option<OsString>, folder: Option<OsString>, slot: Option<OsString>) -> u8 {
    let slot = slot.and_then(|slot| slot.to_str()?.parse().ok());
    let (Some(path), Some(folder), Some(slot)) = (record, folder, slot) else { return 2 };
    let Ok(record) = spawn::given_slot() else { return 2 };
    let prepared = Prepared::new(record, &PathBuf::from(path));
    let begun = prepared.and_then(|prepared| Slot::open(&PathBuf::from(folder), slot, prepared));
    // Nobody listens: the supervisor sees that it has ended, and tries again.
    begun.map_or(1, Slot::work)
}

/// The whole life of a worker; a spare one waits for it to begin.
fn work(record: Option<OsString>, is_spare: bool) -> u8 {
    let Some(path) = record.map(PathBuf::from) else { return 2 };
    let Ok(Given { record, spec, answer, go }) = spawn::given(is_spare) else { return 2 };
    // All that can be done before it is needed.
    let prepared = Prepared::new(record, &path);
    if go.is_some_and(|go| !spawn::is_needed(go)) {
        return 0;
    }
    match prepared {
        Ok(prepared) => run::run(&spec, prepared, answer),
        Err(error) => {
            Answer::Failed(error).send(answer);
            1
        }
    }
}
