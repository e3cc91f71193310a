//! From one run to the next without anybody in between: where the supervisor has appointed a successor and nothing has
//! changed since, the worker of a run that has ended well begins the next one itself.
//!
//! The database hears of it afterwards, from the record of the run that has ended. Whatever speaks against it leaves the
//! restart to the supervisor.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use crate::domain::evidence::Entry;
use crate::domain::name::RunId;
use crate::domain::succession::Successor;
use crate::home::bell;
use crate::process::record::{self, RecordFile};
use crate::process::spec::{Changes, Sealed};
use crate::process::wait::Woken;
use crate::process::{clock, identity, spawn};

use super::run::{Begin, Begun, Prepared, begin, write_could_not_start};
use super::watch::Over;

/// Begins the run that follows `former`, of which nothing is left and whose output has this inode; `None` where none
/// does, and nothing was done. Not part of its caller, so that its frame is gone while the worker waits.
#[inline(never)]
pub(super) fn follow(
    spec: &OwnedFd,
    prepared: &mut Prepared,
    over: &Over,
    former: RunId,
    output: u64,
) -> Option<Result<Begun, u8>> {
    let successor = prepared.record.successor()?;
    if !successor.follows(&over.ended.outcome, over.ended.lasted) || !over.asked.is_empty() {
        return None;
    }
    let sealed = Sealed::open(spec.as_fd()).ok()?;
    let told = sealed.read().ok()?;
    // The former output is set aside under the name of the run that wrote it.
    let is_its = fs::symlink_metadata(told.output).is_ok_and(|found| found.ino() == output);
    let changed = told.made_of.iter().any(|(path, state)| identity::fingerprint(path) != Some(*state));
    if !is_its || changed || has_changed(&successor) || is_to_end(prepared, former.low64()) {
        return None;
    }
    let run = successor.run;
    let changes = Changes::new(run, successor.attempt, &successor.exec_id, successor.former);
    let told = changes.lay_over(told);
    let path = prepared.record.path().with_file_name(run.to_string());
    let next = RecordFile::create(&path, &Entry::Prepared { run, place: successor.place }).ok()?;
    // From here on the database is to hear of it.
    if prepared.record.append(&Entry::PassedOn { to: run }).is_err() {
        let _ = fs::remove_file(&path);
        return None;
    }
    let ended = std::mem::replace(&mut prepared.record, next);
    let start = clock::since_boot();
    let begun = begin(&told, prepared);
    // As long as the other record is locked too, the processes of this worker are told from those of others.
    let _ = spawn::rename(former, run);
    let begun = match begun {
        Ok((pid, output)) => Ok(Begun::new(&told, pid, start, output, Some(former))),
        Err(Begin::CouldNotStart(error)) => {
            let _ = write_could_not_start(&mut prepared.record, &error, start);
            Err(0)
        }
        Err(Begin::Failed(_)) => Err(1),
    };
    if begun.is_err() {
        let _ = prepared.record.release();
    }
    let _ = ended.release();
    let _ = bell::ring(told.bell);
    let _ = ended.flush();
    if begun.is_err() {
        let _ = prepared.record.flush();
    }
    Some(begun)
}

/// Whether what the successor was appointed by is no longer so.
fn has_changed(successor: &Successor) -> bool {
    let is_supervised = record::is_held(&successor.supervisor).unwrap_or(false);
    let (registry, state) = &successor.registry;
    !is_supervised || identity::fingerprint(registry) != Some(*state)
}

/// Whether somebody has asked for an end just now, of this run or of the session.
fn is_to_end(prepared: &mut Prepared, number: u64) -> bool {
    loop {
        match prepared.waiter.signalled() {
            Ok(None) => return false,
            Ok(Some(Woken::Term(None))) | Err(_) => return true,
            Ok(Some(Woken::Term(Some(asked)) | Woken::Int(asked))) if asked == number => return true,
            Ok(Some(
                Woken::Term(Some(_)) | Woken::Int(_) | Woken::Child | Woken::Time | Woken::Heard | Woken::Pause,
            )) => {}
        }
    }
}
