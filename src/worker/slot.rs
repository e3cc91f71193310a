//! A slot of the queue: one job after another, for as long as there are any and a supervisor wants them run.
//!
//! One transaction records the end of one job and claims the next. What happens in between stands in the slot's record,
//! which is not begun anew before the end that it tells of has been committed.

mod launch;

use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::causes::in_one_line;
use crate::domain::evidence::{Ended, Entry, Place, Record};
use crate::domain::name::RunId;
use crate::domain::resources::Found;
use crate::home::Home;
use crate::home::bell::Ear;
use crate::ledger::queue::Claimed;
use crate::ledger::{Ledger, LedgerError};
use crate::process::record::is_held;
use crate::process::usage::MemoryKills;
use crate::process::wait::{Woken, since};
use crate::process::{clock, identity, machine, random};
use crate::store::{Durability, Store, StoreError, cache, queue, runs, supervisor};

use super::run::{Prepared, could_not_start};
use super::watch::{Limits, Owner, Watch};
use launch::AtHand;

/// How long a worker with nothing to claim waits for more.
const IDLE: Duration = Duration::from_secs(10);

/// What is committed survives a power cut after this at the latest.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// How soon the database is tried again that could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// A run that has ended and is not in the database yet.
struct Done {
    run: RunId,
    record: Record,
    end: Ended,
}

/// What one transaction came to.
enum Turn {
    /// There is a job to run, in this run.
    Claimed(Box<Claimed>, RunId),
    /// There is none.
    Nothing,
    /// Nobody wants this slot any more.
    Leave,
}

/// A script that runs.
struct Begun {
    pid: i32,
    /// When it began, on the boot-time clock.
    start: Duration,
    limits: Limits,
    output: Option<PathBuf>,
}

/// One slot of the queue, and the process that works in it.
pub(super) struct Slot {
    number: u32,
    home: Home,
    store: Store,
    ear: Ear,
    prepared: Prepared,
    here: Place,
    exec_id: String,
    /// What this machine has.
    found: Found,
    memory_kills: MemoryKills,
    at_hand: AtHand,
    /// Since when something is committed and not flushed.
    unflushed: Option<Duration>,
}

impl Slot {
    /// Opens the folder.
    pub(super) fn open(folder: &Path, number: u32, mut prepared: Prepared) -> Result<Self, String> {
        let ours = |error: &dyn std::error::Error| in_one_line(error);
        let home = Home::open(folder).map_err(|error| ours(&error))?.ok_or("the folder is gone")?;
        let mut store = Store::create(&home).map_err(|error| ours(&error))?;
        // The supervisor does that.
        store.checkpoint_by_hand().map_err(|error| ours(&error))?;
        let ear = Ear::of_bell(&home).map_err(|error| ours(&error))?;
        let here = identity::here();
        // A job that is claimed and not begun is known as such by a record that tells of another run, or of none.
        if prepared.record.is_empty() {
            let run = RunId::from_random(random::bytes().map_err(|error| ours(&error))?);
            let none = Entry::Prepared { run, place: here.clone() };
            prepared.record.begin(&none).map_err(|error| ours(&error))?;
        }
        let exec_id = cache::head(store.reader()).map_err(|error| ours(&error))?.map(|(_, id)| id).unwrap_or_default();
        Ok(Self {
            number,
            home,
            store,
            ear,
            prepared,
            here,
            exec_id,
            found: machine::detect(),
            memory_kills: MemoryKills::default(),
            at_hand: AtHand::default(),
            unflushed: None,
        })
    }

    /// Works until nothing more is to be done; the exit code.
    pub(super) fn work(mut self) -> u8 {
        let mut done = None;
        let mut idle_since = clock::since_boot();
        loop {
            let _ = self.ear.heard();
            match self.turn(&mut done) {
                Ok(Turn::Claimed(claimed, run)) => {
                    let Ok(ended) = self.run(&claimed, run) else { return 1 };
                    done = Some(ended);
                    idle_since = clock::since_boot();
                }
                Ok(Turn::Leave) => break,
                Ok(Turn::Nothing) => {
                    let left = IDLE.saturating_sub(since(idle_since));
                    // Where something waits for what others hold, the next worker would be spawned at once.
                    let leaves = left.is_zero() && !self.has_work().unwrap_or(false);
                    if leaves || !self.rest(if left.is_zero() { IDLE } else { left }) {
                        break;
                    }
                }
                // A full disk, most likely: what has ended stays on record, and nothing is claimed.
                Err(_) => {
                    if !self.rest(TRY_AGAIN) {
                        return 1;
                    }
                }
            }
        }
        u8::from(self.store.flush().is_err())
    }

    /// Waits for the bell, or for the moment of a job that waits for one; whether to go on.
    fn rest(&mut self, longest: Duration) -> bool {
        self.flush_if_due(Duration::ZERO);
        let moment = queue::next_moment(self.store.reader()).ok().flatten();
        let until = moment.map(|at| Duration::try_from(at.duration_since(clock::now())).unwrap_or(Duration::ZERO));
        let longest = until.map_or(longest, |until| until.clamp(Duration::from_millis(1), longest));
        match self.prepared.waiter.wait_or_hear(Some(self.ear.as_fd()), Some(longest)) {
            // The session ends. Another number was meant for a run that has ended.
            Ok(Woken::Term(None)) | Err(_) => false,
            Ok(Woken::Term(Some(_)) | Woken::Int(_) | Woken::Child | Woken::Time | Woken::Heard | Woken::Pause) => true,
        }
    }

    fn flush_if_due(&mut self, after: Duration) {
        if self.unflushed.is_some_and(|from| since(from) >= after) && self.store.flush().is_ok() {
            self.unflushed = None;
        }
    }

    /// Records the end of the last run and claims the next job, if there is one and somebody wants it run.
    fn turn(&mut self, done: &mut Option<Done>) -> Result<Turn, Box<dyn Error>> {
        let run = RunId::from_random(random::bytes()?);
        let wanted = self.is_wanted()?;
        if done.is_none() {
            if !wanted {
                return Ok(Turn::Leave);
            }
            // Only a look: whoever writes rings the bell.
            if !self.has_work()? {
                return Ok(Turn::Nothing);
            }
        }
        let (home, number, found) = (&self.home, self.number, self.found);
        let claimed =
            self.store.write_patiently(Durability::Committed, Duration::MAX, |tx| -> Result<_, LedgerError> {
                // Not before its turn has come: what is recorded then comes after what others have recorded.
                let ledger = Ledger { tx, home, now: clock::now() };
                if let Some(done) = &*done {
                    settle(&ledger, done)?;
                }
                if wanted { ledger.claim_next(number, run, found) } else { Ok(None) }
            })?;
        *done = None;
        self.unflushed.get_or_insert(clock::since_boot());
        self.flush_if_due(FLUSH_AFTER);
        Ok(match claimed {
            Some(claimed) => Turn::Claimed(Box::new(claimed), run),
            None if wanted => Turn::Nothing,
            None => Turn::Leave,
        })
    }

    /// Whether there is anything to claim, as far as a slot is all that it waits for.
    fn has_work(&self) -> Result<bool, StoreError> {
        queue::has_work(self.store.reader(), clock::now())
    }

    /// Without a supervisor nothing new is started, nor in a slot that it no longer has.
    fn is_wanted(&self) -> Result<bool, StoreError> {
        let slots = supervisor::last(self.store.reader())?.map_or(0, |supervisor| supervisor.slots);
        Ok(self.number < slots && is_held(&self.home.supervisor_lock()).unwrap_or(false))
    }

    /// Runs what was claimed until nothing of it is left. An error leaves the record as it is: something of the run may
    /// be alive, and whoever finds the record unlocked judges that.
    fn run(&mut self, claimed: &Claimed, run: RunId) -> io::Result<Done> {
        let (mut record, start) = (Record::default(), clock::since_boot());
        let end = match self.begin(claimed, run, &mut record) {
            Ok(begun) => self.watch(begun)?,
            Err(error) => {
                let seen = could_not_start(&error, start);
                let _ = self.write(&mut record, Entry::Ended(seen.clone()));
                seen.into()
            }
        };
        Ok(Done { run, record, end })
    }

    /// Everything up to the running script. The record says *starting* before it is spawned.
    fn begin(&mut self, claimed: &Claimed, run: RunId, record: &mut Record) -> Result<Begun, String> {
        self.write(record, Entry::Prepared { run, place: self.here.clone() })?;
        let launch = self.launch(claimed, run)?;
        let (output, inode) = launch::open_output(launch.output.as_deref())?;
        self.write(record, Entry::Starting { worker: self.prepared.worker, output: inode })?;
        let start = clock::since_boot();
        let pid = launch.spawn(&output)?;
        if let Ok(script) = identity::identify(pid) {
            let _ = self.write(record, Entry::Started { script, time: clock::now() });
        }
        let limits = Limits {
            number: run.low64(),
            timeout: launch.timeout,
            stop: launch.stop,
            memory_kills: self.memory_kills.before(),
        };
        Ok(Begun { pid, start, limits, output: launch.output })
    }

    /// Sees a script to its end.
    fn watch(&mut self, begun: Begun) -> io::Result<Ended> {
        let Prepared { record, waiter, .. } = &mut self.prepared;
        let log = self.unflushed.map(|_| self.home.write_ahead_log());
        let mut watch = Watch::new(begun.pid, begun.limits, begun.start, record, waiter, Owner::Slot(log));
        let ended = watch.until_empty();
        if watch.is_log_flushed() {
            self.unflushed = None;
        }
        if let Some(path) = begun.output {
            launch::remove_if_empty(&path);
        }
        ended
    }

    fn write(&mut self, record: &mut Record, entry: Entry) -> Result<(), String> {
        let file = &mut self.prepared.record;
        let is_first = matches!(entry, Entry::Prepared { .. });
        let written = if is_first { file.begin(&entry) } else { file.append(&entry) };
        record.add(entry);
        written.map_err(|error| in_one_line(&error))
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
