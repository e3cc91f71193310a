//! What the evidence about an unfinished run means: its record, its lock, this machine, this boot.
//!
//! A run's record is a list of entries, written by its starter and its worker as it goes. Whether the run is
//! alive is told by the record's lock alone. Reading the file, asking for the lock and looking for processes
//! is somebody else's business; this is the judgement.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::name::RunId;
use super::outcome::{Outcome, Unseen};

/// Where a pid means something: one machine, one boot, one pid namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The machine's id, or its host name where it has none.
    pub machine: String,
    /// The kernel's boot id.
    pub boot: String,
    /// The inode of the pid namespace.
    pub pid_namespace: u64,
}

/// A process that cannot be mistaken for another: its pid, with what tells it from an earlier owner of the pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number.
    pub pid: i32,
    /// Its start, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub ticks: u64,
    /// The inode of its pidfd, unique for the life of the system; 0 where the kernel has none (before 6.9).
    pub pidfs: u64,
}

/// One entry of a run's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum Entry {
    /// The starter means to start it.
    Prepared {
        /// Which run.
        run: RunId,
        /// Where.
        place: Place,
    },
    /// The worker is about to spawn the script.
    Starting {
        /// The worker.
        worker: ProcessId,
        /// The output file's inode, by which it is known after a rename.
        output: u64,
    },
    /// The script runs.
    Started {
        /// The main process.
        script: ProcessId,
        /// Since when.
        time: Timestamp,
    },
    /// The main process ended, or could not be started.
    Ended(Seen),
    /// Nothing of its tree is left.
    Swept {
        /// How many processes had outlived the main process and had to be stopped.
        leftover: u32,
        /// When.
        time: Timestamp,
    },
    /// The worker goes on with the next run of the same job, which has a record of its own.
    PassedOn {
        /// Which run that is.
        to: RunId,
    },
}

/// An end that the worker saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How.
    pub outcome: Outcome,
    /// When.
    pub time: Timestamp,
    /// How long it ran, in microseconds, suspended time included.
    pub lasted: u64,
    /// CPU time of the main process and the children it waited for, in microseconds.
    pub cpu: u64,
    /// Peak memory of the main process and of the children it waited for, in bytes.
    pub memory: u64,
}

/// The entries of one record, each at most once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The run and its place, from `prepared`.
    pub prepared: Option<(RunId, Place)>,
    /// The worker and the output's inode, from `starting`.
    pub starting: Option<(ProcessId, u64)>,
    /// The main process and its start, from `started`.
    pub started: Option<(ProcessId, Timestamp)>,
    /// The end.
    pub ended: Option<Ended>,
    /// When the tree was empty, and how many had to be stopped.
    pub swept: Option<(u32, Timestamp)>,
    /// The run that its worker has gone on with.
    pub passed_on: Option<RunId>,
    /// Whether something that cannot be read follows, or something was cut off: the entries may not be all there were.
    pub damaged: bool,
}

/// The end of a run, as its record tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// When, where known.
    pub time: Option<Timestamp>,
    /// How long it ran, in microseconds.
    pub lasted: Option<u64>,
    /// CPU time in microseconds.
    pub cpu: Option<u64>,
    /// Peak memory in bytes.
    pub memory: Option<u64>,
    /// How many processes outlived the main process.
    pub leftover: u32,
}

impl Ended {
    /// An end that nobody saw.
    pub fn unseen(outcome: Outcome) -> Self {
        Self { outcome, time: None, lasted: None, cpu: None, memory: None, leftover: 0 }
    }
}

impl From<Seen> for Ended {
    fn from(seen: Seen) -> Self {
        let Seen { outcome, time, lasted, cpu, memory } = seen;
        Self { outcome, time: Some(time), lasted: Some(lasted), cpu: Some(cpu), memory: Some(memory), leftover: 0 }
    }
}

impl Record {
    /// Adds one entry; a later one of the same kind counts.
    pub fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Prepared { run, place } => self.prepared = Some((run, place)),
            Entry::Starting { worker, output } => self.starting = Some((worker, output)),
            Entry::Started { script, time } => self.started = Some((script, time)),
            Entry::Ended(seen) => self.ended = Some(seen.into()),
            Entry::Swept { leftover, time } => self.swept = Some((leftover, time)),
            Entry::PassedOn { to } => self.passed_on = Some(to),
        }
    }
}

/// What the evidence says of an unfinished run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Its worker lives.
    Alive,
    /// It was started on another machine or in another pid namespace: report it, judge nothing, signal nothing.
    Elsewhere,
    /// Its worker is dead. If a process of the run is alive it is orphaned, else it has ended like this.
    WorkerGone(Ended),
    /// It has ended, and nothing of it is left.
    Ended(Ended),
}

/// Judges an unfinished run by its record (`None` where the file is gone), whether the record is locked, and
/// where we are.
pub fn judge(record: Option<&Record>, locked: bool, here: &Place) -> Judgement {
    let Some(record) = record else {
        return Judgement::WorkerGone(Ended::unseen(Outcome::Lost(Unseen::NoRecord)));
    };
    if locked {
        return Judgement::Alive;
    }
    let Some((_, place)) = &record.prepared else {
        return Judgement::WorkerGone(Ended::unseen(Outcome::Lost(Unseen::NoRecord)));
    };
    if place.machine != here.machine {
        return Judgement::Elsewhere;
    }
    let same_boot = place.boot == here.boot;
    if same_boot && place.pid_namespace != here.pid_namespace {
        return Judgement::Elsewhere;
    }
    if let Some(ended) = &record.ended {
        let leftover = record.swept.map_or(0, |(count, _)| count);
        let ended = Ended { leftover, ..ended.clone() };
        let empty = record.swept.is_some() || !same_boot;
        return if empty { Judgement::Ended(ended) } else { Judgement::WorkerGone(ended) };
    }
    if !same_boot {
        // Only the outcome is flushed: after a power cut, what the record does not say may have happened all the same.
        return Judgement::Ended(Ended::unseen(Outcome::Lost(Unseen::Reboot)));
    }
    if record.starting.is_none() && !record.damaged {
        return Judgement::Ended(Ended::unseen(Outcome::NeverStarted));
    }
    let unseen = if record.started.is_some() { Unseen::WorkerDied } else { Unseen::MayHaveRun };
    Judgement::WorkerGone(Ended::unseen(Outcome::Lost(unseen)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::{Cause, Exit};

    fn here() -> Place {
        Place { machine: "m".into(), boot: "b".into(), pid_namespace: 1 }
    }

    fn record(entries: usize) -> Record {
        let process = ProcessId { pid: 7, ticks: 1, pidfs: 2 };
        let time = Timestamp::UNIX_EPOCH;
        let outcome = Outcome::Ended { exit: Exit::Code(3), cause: Cause::Itself };
        let all = [
            Entry::Prepared { run: RunId::from_bytes([1; 16]), place: here() },
            Entry::Starting { worker: process, output: 9 },
            Entry::Started { script: process, time },
            Entry::Ended(Seen { outcome, time, lasted: 5, cpu: 1, memory: 2 }),
            Entry::Swept { leftover: 2, time },
            Entry::PassedOn { to: RunId::from_bytes([2; 16]) },
        ];
        let mut record = Record::default();
        all.into_iter().take(entries).for_each(|entry| record.add(entry));
        record
    }

    #[track_caller]
    fn unlocked(entries: usize, expected: &Judgement) {
        assert_eq!(&judge(Some(&record(entries)), false, &here()), expected);
    }

    fn unseen(unseen: Unseen) -> Judgement {
        Judgement::WorkerGone(Ended::unseen(Outcome::Lost(unseen)))
    }

    #[test]
    fn a_held_lock_means_alive_whatever_the_record_says() {
        for entries in 0..=6 {
            assert_eq!(judge(Some(&record(entries)), true, &here()), Judgement::Alive);
        }
    }

    #[test]
    fn a_dead_record_is_judged_by_how_far_it_came() {
        unlocked(0, &unseen(Unseen::NoRecord));
        unlocked(1, &Judgement::Ended(Ended::unseen(Outcome::NeverStarted)));
        unlocked(2, &unseen(Unseen::MayHaveRun));
        unlocked(3, &unseen(Unseen::WorkerDied));
        assert!(
            matches!(judge(Some(&record(4)), false, &here()), Judgement::WorkerGone(ended) if ended.lasted == Some(5))
        );
        for entries in 5..=6 {
            let judged = judge(Some(&record(entries)), false, &here());
            assert!(matches!(judged, Judgement::Ended(ended) if ended.leftover == 2));
        }
        assert_eq!(judge(None, false, &here()), unseen(Unseen::NoRecord));
    }

    #[test]
    fn a_damaged_record_does_not_prove_that_nothing_was_started() {
        let damaged = |entries| Record { damaged: true, ..record(entries) };
        assert_eq!(judge(Some(&damaged(0)), false, &here()), unseen(Unseen::NoRecord));
        for entries in 1..=2 {
            assert_eq!(judge(Some(&damaged(entries)), false, &here()), unseen(Unseen::MayHaveRun));
        }
    }

    #[test]
    fn another_boot_has_nothing_alive() {
        let now = Place { boot: "other".into(), pid_namespace: 8, ..here() };
        let lost = Judgement::Ended(Ended::unseen(Outcome::Lost(Unseen::Reboot)));
        for entries in 1..=3 {
            assert_eq!(judge(Some(&record(entries)), false, &now), lost);
        }
        assert!(
            matches!(judge(Some(&record(4)), false, &now), Judgement::Ended(ended) if ended.outcome.exit().is_some())
        );
    }

    #[test]
    fn another_machine_or_pid_namespace_is_never_judged() {
        for now in [Place { machine: "x".into(), ..here() }, Place { pid_namespace: 2, ..here() }] {
            for entries in 1..=6 {
                assert_eq!(judge(Some(&record(entries)), false, &now), Judgement::Elsewhere);
            }
        }
    }
}
