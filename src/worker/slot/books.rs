//! What a slot's worker reads from the database and writes into it.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use crate::domain::evidence::{Ended, Record};
use crate::domain::name::RunId;
use crate::domain::resources::Found;
use crate::home::Home;
use crate::ledger::queue::Claimed;
use crate::ledger::{Ledger, LedgerError};
use crate::process::record::is_held;
use crate::process::wait::since;
use crate::process::{clock, machine};
use crate::store::{Durability, Store, StoreError, queue, runs, supervisor};

/// What is on record or committed survives a power cut after this at the latest.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// How long the database is waited for while a script runs.
const PATIENCE: Duration = Duration::from_millis(100);

/// A run that has ended.
pub(super) struct Done {
    pub(super) run: RunId,
    pub(super) record: Record,
    pub(super) end: Ended,
}

/// The database, as the worker of a slot uses it.
pub(super) struct Books {
    number: u32,
    home: Home,
    store: Store,
    /// What this machine has.
    found: Found,
    /// What has ended and is not in the database yet.
    done: Vec<Done>,
    /// Since when something is on record or committed and not flushed.
    unflushed: Option<Duration>,
}

impl Books {
    /// Opens the folder's database for the slot with this number.
    pub(super) fn open(folder: &Path, number: u32) -> Result<Self, Box<dyn Error>> {
        let home = Home::open(folder)?.ok_or("the folder is gone")?;
        let mut store = Store::create(&home)?;
        // The supervisor does that.
        store.stay()?;
        Ok(Self { number, home, store, found: machine::detect(), done: Vec::new(), unflushed: None })
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Notes the end of runs, which the next transaction records.
    pub(super) fn note(&mut self, done: impl IntoIterator<Item = Done>) {
        self.done.extend(done);
        self.unflushed.get_or_insert(clock::since_boot());
    }

    /// Whether the end of a run is still to be recorded.
    pub(super) fn is_anything_noted(&self) -> bool {
        !self.done.is_empty()
    }

    /// One transaction: what has ended is recorded, and a job claimed for each of the new runs, as far as there are any.
    pub(super) fn settle_and_claim(&mut self, new: &[RunId]) -> Result<Vec<Claimed>, LedgerError> {
        // Before the claim: what is claimed is not to wait for the disk.
        self.flush_if_due();
        self.write(new, Duration::MAX)
    }

    /// Records what has ended while a script runs, which must not be left alone for long.
    pub(super) fn settle(&mut self) -> Result<(), LedgerError> {
        self.write(&[], PATIENCE).map(drop)
    }

    fn write(&mut self, new: &[RunId], patience: Duration) -> Result<Vec<Claimed>, LedgerError> {
        let (home, number, found, done) = (&self.home, self.number, self.found, &self.done);
        let claimed = self.store.write_patiently(Durability::Committed, patience, |tx| -> Result<_, LedgerError> {
            // Not before its turn has come: what is recorded then comes after what others have recorded.
            let ledger = Ledger { tx, home, now: clock::now() };
            done.iter().try_for_each(|done| settle(&ledger, done))?;
            ledger.claim_next(number, new, found)
        })?;
        self.done.clear();
        self.unflushed.get_or_insert(clock::since_boot());
        Ok(claimed)
    }

    /// Whether there is anything to claim, as far as a slot is all that it waits for.
    pub(super) fn has_work(&self) -> Result<bool, StoreError> {
        queue::has_work(self.store.reader(), clock::now())
    }

    /// How long it is until the next job can run that waits for a moment; none where there is none.
    pub(super) fn until_next(&self) -> Option<Duration> {
        let moment = queue::next_moment(self.store.reader()).ok().flatten()?;
        Some(Duration::try_from(moment.duration_since(clock::now())).unwrap_or(Duration::ZERO))
    }

    /// Without a supervisor nothing new is started, nor in a slot that it no longer has.
    pub(super) fn is_wanted(&self) -> Result<bool, StoreError> {
        let slots = supervisor::last(self.store.reader())?.map_or(0, |supervisor| supervisor.slots);
        Ok(self.number < slots && self.is_supervised())
    }

    /// Whether there is a supervisor.
    pub(super) fn is_supervised(&self) -> bool {
        is_held(&self.home.supervisor_lock()).unwrap_or(false)
    }

    /// When what was committed is to be flushed, on the boot-time clock.
    pub(super) fn flush_moment(&self) -> Option<Duration> {
        self.unflushed.map(|from| from.saturating_add(FLUSH_AFTER))
    }

    /// Flushes what has been committed for long enough. Where that fails it is tried again after as long.
    pub(super) fn flush_if_due(&mut self) {
        if self.unflushed.is_some_and(|from| since(from) >= FLUSH_AFTER) && self.flush().is_err() {
            self.unflushed = Some(clock::since_boot());
        }
    }

    /// Makes survive a power cut what was committed.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.store.flush()?;
        self.unflushed = None;
        Ok(())
    }
}

/// Records the end of a run, unless the database says something impossible about it: that must not keep the slot from
/// its next job.
fn settle(ledger: &Ledger<'_>, done: &Done) -> Result<(), LedgerError> {
    let Some(row) = runs::find(ledger.tx, done.run)?.filter(|row| row.outcome.is_none()) else { return Ok(()) };
    match ledger.settle(&row, &done.record, &done.end) {
        Err(LedgerError::Store(StoreError::Impossible(_))) => Ok(()),
        other => other,
    }
}
