//! A slot of the queue: one job after another, for as long as there are any and a supervisor wants them run.
//!
//! One transaction records the end of what has run and claims what is next: one job, or a hand of several where jobs have
//! lasted only moments. What happens in between stands in the slot's record, in a place for each job, which is not begun
//! anew before the end that it tells of has been committed.

mod books;
mod hand;
mod launch;

use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::causes::in_one_line;
use crate::domain::evidence::{Ended, Entry, Place, Record};
use crate::domain::outcome::Outcome;
use crate::home::bell::Ear;
use crate::ledger::queue::Claimed;
use crate::process::usage::MemoryKills;
use crate::process::wait::{Woken, since};
use crate::process::{clock, identity, random};
use crate::store::cache;

use super::run::{Prepared, could_not_start};
use super::watch::{Limits, Watch};
use books::{Books, Done};
use hand::{Hand, Pace, not_begun};
use launch::AtHand;

/// How long a worker with nothing to claim waits for more.
const IDLE: Duration = Duration::from_secs(10);

/// How soon the database is tried again that could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What one transaction came to.
enum Turn {
    /// There are jobs to run.
    Claimed(Vec<Claimed>),
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
    books: Books,
    ear: Ear,
    prepared: Prepared,
    here: Place,
    exec_id: String,
    memory_kills: MemoryKills,
    at_hand: AtHand,
    pace: Pace,
    /// Whether the session ends.
    is_over: bool,
}

impl Slot {
    /// Opens the folder.
    pub(super) fn open(folder: &Path, number: u32, prepared: Prepared) -> Result<Self, String> {
        Self::opened(folder, number, prepared).map_err(|error| in_one_line(error.as_ref()))
    }

    fn opened(folder: &Path, number: u32, mut prepared: Prepared) -> Result<Self, Box<dyn Error>> {
        let books = Books::open(folder, number)?;
        let ear = Ear::of_bell(books.home())?;
        let here = identity::here();
        // A job that is claimed and not begun is known as such by a record that tells of other runs: from the start there is
        // one, of nobody. What the record told before was settled before this worker was spawned.
        let none = Entry::Prepared { run: random::run_id()?, place: here.clone() };
        prepared.record.begin_all(&none)?;
        let exec_id = cache::head(books.store().reader())?.map(|(_, id)| id).unwrap_or_default();
        let (memory_kills, at_hand, pace) = (MemoryKills::default(), AtHand::default(), Pace::default());
        Ok(Self { books, ear, prepared, here, exec_id, memory_kills, at_hand, pace, is_over: false })
    }

    /// Works until nothing more is to be done; the exit code.
    pub(super) fn work(mut self) -> u8 {
        let mut idle_since = clock::since_boot();
        loop {
            let _ = self.ear.heard();
            match self.turn() {
                Ok(Turn::Claimed(claimed)) => {
                    if self.play(Hand::new(claimed)).is_err() {
                        return 1;
                    }
                    idle_since = clock::since_boot();
                }
                Ok(Turn::Leave) => break,
                Ok(Turn::Nothing) => {
                    let left = IDLE.saturating_sub(since(idle_since));
                    // Where something waits for what others hold, the next worker would be spawned at once.
                    let leaves = left.is_zero() && !self.books.has_work().unwrap_or(false);
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
        u8::from(self.books.flush().is_err())
    }

    /// Waits for the bell, or for the moment of a job that waits for one; whether to go on.
    fn rest(&mut self, longest: Duration) -> bool {
        // What cannot be flushed now is tried again with the next commit.
        let _ = self.books.flush();
        let longest = self.books.until_next().map_or(longest, |until| until.clamp(Duration::from_millis(1), longest));
        match self.prepared.waiter.wait_or_hear(Some(self.ear.as_fd()), Some(longest)) {
            // The session ends. Another number was meant for a run that has ended.
            Ok(Woken::Term(None)) | Err(_) => false,
            Ok(Woken::Term(Some(_)) | Woken::Int(_) | Woken::Child | Woken::Time | Woken::Heard | Woken::Pause) => true,
        }
    }

    /// Records the end of what has run and claims what is next, if there is anything and somebody wants it run.
    fn turn(&mut self) -> Result<Turn, Box<dyn Error>> {
        let wanted = !self.is_over && self.books.is_wanted()?;
        if !self.books.is_anything_noted() {
            if !wanted {
                return Ok(Turn::Leave);
            }
            // Only a look: whoever writes rings the bell.
            if !self.books.has_work()? {
                return Ok(Turn::Nothing);
            }
        }
        let many = if wanted { self.pace.many() } else { 0 };
        let new = random::run_ids(many)?;
        let claimed = self.books.settle_and_claim(&new)?;
        Ok(match wanted {
            _ if !claimed.is_empty() => Turn::Claimed(claimed),
            true => Turn::Nothing,
            false => Turn::Leave,
        })
    }

    /// Runs what was claimed, one job after the other, as long as that lasts only moments: what has not begun by then is
    /// given back. An error leaves the record as it is: something of a run may be alive, and whoever finds the record
    /// unlocked judges that.
    fn play(&mut self, mut hand: Hand) -> io::Result<()> {
        self.hear(&mut hand)?;
        while let Some((place, claimed)) = hand.next() {
            let done =
                if hand.is_to_end(claimed.run) { not_begun(&claimed) } else { self.run(place, &claimed, &mut hand)? };
            // Where the disk is full, for example, those behind it are not to suffer the same.
            let failed = matches!(done.end.outcome, Outcome::CouldNotStart { .. });
            self.books.note([done]);
            self.hear(&mut hand)?;
            if !hand.is_played() && (failed || hand.is_late() || !self.books.is_supervised()) {
                self.books.note(hand.give_back());
            }
        }
        self.pace.went(&hand);
        Ok(())
    }

    /// Takes in what was asked for while no script ran. When the session ends, nothing more is begun.
    fn hear(&mut self, hand: &mut Hand) -> io::Result<()> {
        while let Some(woken) = self.prepared.waiter.signalled()? {
            hand.ask(woken);
        }
        if hand.is_over() {
            self.is_over = true;
            self.books.note(hand.give_back());
        }
        Ok(())
    }

    /// Runs one job until nothing of it is left.
    fn run(&mut self, place: usize, claimed: &Claimed, hand: &mut Hand) -> io::Result<Done> {
        let (mut record, start) = (Record::default(), clock::since_boot());
        let end = match self.begin(place, claimed, &mut record) {
            Ok(begun) => self.watch(begun, hand)?,
            Err(error) => {
                let seen = could_not_start(&error, start);
                let _ = self.write(place, &mut record, Entry::Ended(seen.clone()));
                seen.into()
            }
        };
        Ok(Done { run: claimed.run, record, end })
    }

    /// Everything up to the running script. The record says *starting* before it is spawned.
    fn begin(&mut self, place: usize, claimed: &Claimed, record: &mut Record) -> Result<Begun, String> {
        self.write(place, record, Entry::Prepared { run: claimed.run, place: self.here.clone() })?;
        let launch = self.launch(claimed)?;
        let (output, inode) = launch::open_output(launch.output.as_deref())?;
        self.write(place, record, Entry::Starting { worker: self.prepared.worker, output: inode })?;
        let start = clock::since_boot();
        let pid = launch.spawn(&output)?;
        if let Ok(script) = identity::identify(pid) {
            let _ = self.write(place, record, Entry::Started { script, time: clock::now() });
        }
        let limits = Limits {
            number: claimed.run.low64(),
            former: None,
            timeout: launch.timeout,
            stop: launch.stop,
            memory_kills: self.memory_kills.before(),
        };
        Ok(Begun { pid, start, limits, output: launch.output })
    }

    /// Sees a script to its end. One that lasts keeps neither what has ended before it from the database, nor what was
    /// claimed together with it from other slots.
    fn watch(&mut self, begun: Begun, hand: &mut Hand) -> io::Result<Ended> {
        let (Prepared { record, waiter, .. }, books) = (&mut self.prepared, &mut self.books);
        let mut watch = Watch::new(begun.pid, begun.limits, begun.start, record, waiter);
        let mut moment = hand.deadline();
        let ended = loop {
            let owes = !hand.is_played() || books.is_anything_noted();
            let until = if owes { Some(moment) } else { books.flush_moment() };
            if let Some(ended) = watch.until_empty_or(until)? {
                break ended;
            }
            if owes {
                books.note(hand.give_back());
                if books.settle().is_err() {
                    moment = clock::since_boot().saturating_add(TRY_AGAIN);
                }
            } else {
                books.flush_if_due();
            }
        };
        watch.into_asked().into_iter().for_each(|woken| hand.ask(woken));
        if let Some(path) = begun.output {
            launch::remove_if_empty(&path);
        }
        Ok(ended)
    }

    fn write(&mut self, place: usize, record: &mut Record, entry: Entry) -> Result<(), String> {
        let file = &mut self.prepared.record;
        let is_first = matches!(entry, Entry::Prepared { .. });
        let written = if is_first { file.begin(place, &entry) } else { file.append(&entry) };
        record.add(entry);
        written.map_err(|error| in_one_line(&error))
    }
}
