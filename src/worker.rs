//! The worker: owns one run at a time, from the spawn until nothing of its tree is left.
//!
//! Small on purpose: one thread, no runtime, no database, no policy. It is told everything in a sealed piece of
//! memory, writes down what happens in the run's record, and holds the record's lock for as long as anything of the
//! run may be alive. It is reached through a private door of our binary, before the command line is parsed.

mod run;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::process::record::RecordFile;
use crate::process::spawn::{self, LIMITS_DOOR, WORKER_DOOR};
use crate::process::spec::{Answer, Sealed};
use crate::process::wait;

/// Goes through a private door, if the first argument names one; the exit code of what was behind it.
pub fn door(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    let first = args.nth(1)?;
    if first.as_bytes() == LIMITS_DOOR.to_bytes() {
        return Some(spawn::limits_door(args));
    }
    (first.as_bytes() == WORKER_DOOR.to_bytes()).then(|| work(args.next()))
}

/// The whole life of a worker.
fn work(record: Option<OsString>) -> u8 {
    let Some(path) = record.map(PathBuf::from) else { return 2 };
    let Ok(given) = spawn::given() else { return 2 };
    let answer = given.answer;
    let prepared = wait::become_subreaper()
        .and_then(|()| Sealed::open(given.spec))
        .map_err(|error| error.to_string())
        .and_then(|spec| Ok((spec, RecordFile::adopt(given.record, &path).map_err(|error| error.to_string())?)));
    match prepared {
        Ok((spec, record)) => run::run(spec, record, answer),
        Err(error) => {
            Answer::Failed(error).send(answer);
            1
        }
    }
}
