//! What has become of unfinished runs: their evidence is looked at, and what has ended is brought into the database.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use crate::domain::evidence::{Ended, Judgement, ProcessId, Record, judge};
use crate::domain::name::{RunId, RunRef, TaskName};
use crate::domain::outcome::{Cause, Outcome, Unseen};
use crate::home::lock;
use crate::process::{clock, identity, record, tagged};
use crate::store::jobs::{self, JobRow};
use crate::store::runs::{self, RunRow};
use crate::store::{Durability, tasks};

use super::{Executor, ExecutorError};
use crate::ledger::{EndedRun, Ledger};

/// The longest that a command which only looks waits for its turn to import.
const LOOKING_PATIENCE: Duration = Duration::from_millis(50);

/// How old a record without an unfinished run must be before it is removed.
const TIDY_AFTER_SECONDS: i64 = 3600;

/// What was found out about an unfinished run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its worker lives.
    Alive(Record),
    /// Its worker is dead; these processes of it are alive.
    Orphaned(Record, Vec<i32>),
    /// It belongs to another machine or pid namespace.
    Elsewhere(Record),
    /// It has ended.
    Ended(Record, Ended),
}

/// How long a supervisor, who may know how a run ended that nobody else has seen, is given to say so.
const ITS_TURN: Duration = Duration::from_secs(1);

/// The time between two looks at whether it has.
const GLANCE: Duration = Duration::from_millis(5);

/// Whether no worker saw this end, so that a supervisor may know more of it.
fn is_unseen(end: &Ended) -> bool {
    match end.outcome {
        Outcome::Lost(unseen) => unseen == Unseen::WorkerDied,
        Outcome::Ended { .. } => end.time.is_none(),
        Outcome::CouldNotStart { .. } | Outcome::NeverStarted => false,
    }
}

/// An end that nobody saw, with what the process itself still says where nobody has waited for it yet.
fn with_exit_of_zombie(ended: Ended, script: Option<&ProcessId>) -> Ended {
    let exit = script.filter(|_| matches!(ended.outcome, Outcome::Lost(_))).and_then(identity::exit_of_zombie);
    match exit {
        Some(exit) => Ended { outcome: Outcome::Ended { exit, cause: Cause::Itself }, ..ended },
        None => ended,
    }
}

impl Executor {
    /// Looks at what has become of a run.
    pub fn examine(&self, run: impl Into<RunRef>) -> Result<Found, ExecutorError> {
        let run = run.into();
        let (record, locked) = match record::read(&self.home.record(run), run.id)? {
            Some((record, locked)) => (Some(record), locked),
            None => (None, false),
        };
        let judgement = judge(record.as_ref(), locked, self.here());
        let has_record = record.is_some();
        let record = record.unwrap_or_default();
        Ok(match judgement {
            Judgement::Alive => Found::Alive(record),
            Judgement::Elsewhere => Found::Elsewhere(record),
            Judgement::Ended(ended) => Found::Ended(record, ended),
            // Whoever settles a run removes its record: to look for its processes would take long for a thousand of them.
            Judgement::WorkerGone(ended) if !has_record && self.is_settled_by_now(run.id)? => {
                Found::Ended(record, ended)
            }
            Judgement::WorkerGone(ended) => {
                let script = record.started.map(|(script, _)| script);
                match tagged::find(run.id, script.as_ref()) {
                    alive if alive.is_empty() => Found::Ended(record, with_exit_of_zombie(ended, script.as_ref())),
                    alive => Found::Orphaned(record, alive),
                }
            }
        })
    }

    /// Whether a run is settled whose record is gone. A snapshot may be older than that.
    fn is_settled_by_now(&self, run: RunId) -> Result<bool, ExecutorError> {
        self.store.renew_snapshot()?;
        Ok(runs::find(self.store.reader(), run)?.is_none_or(|row| row.outcome.is_some()))
    }

    /// Imports every run that has ended, without waiting long. Where that cannot be written, this command reads from a
    /// copy in memory that says what the database would say.
    pub fn refresh(&mut self) -> Result<(), ExecutorError> {
        self.store.stop_imagining();
        let mut new = self.ended(&runs::unfinished(self.store.reader())?)?;
        let mut ended = Vec::new();
        while !new.is_empty() {
            ended.extend_from_slice(&new);
            // All of them each time: what is imagined begins with what is really there.
            self.import_or_imagine(&ended, LOOKING_PATIENCE)?;
            new = self.followers_of(&new)?;
        }
        Ok(())
    }

    /// Imports these runs, as far as they have ended, and what has followed them, waiting for the database as long as it
    /// takes.
    pub(super) fn import_of(&mut self, of: &[RunRow]) -> Result<(), ExecutorError> {
        let mut ended = self.ended(of)?;
        while !ended.is_empty() {
            self.import(&ended, lock::PATIENCE)?;
            ended = self.followers_of(&ended)?;
        }
        Ok(())
    }

    /// The runs that the workers of these have gone on with, as far as they have ended too and are not settled yet.
    fn followers_of(&self, ended: &[EndedRun]) -> Result<Vec<EndedRun>, ExecutorError> {
        let mut next = Vec::new();
        for run in ended.iter().filter_map(|(_, record, _)| record.passed_on) {
            next.extend(runs::find(self.store.reader(), run)?.filter(|row| row.outcome.is_none()));
        }
        self.ended(&next)
    }

    /// Imports runs that have ended; where that cannot be written, this command reads from a copy in memory.
    pub(super) fn import_or_imagine(&mut self, ended: &[EndedRun], patience: Duration) -> Result<(), ExecutorError> {
        match self.import(ended, patience) {
            Err(ExecutorError::Store(error)) if error.is_only_for_writers() => {
                let (home, now) = (&self.home, clock::now());
                self.store.imagine(|tx| Ledger { tx, home, now }.settle_all(ended)).map(drop).map_err(Into::into)
            }
            other => other,
        }
    }

    fn ended(&self, of: &[RunRow]) -> Result<Vec<EndedRun>, ExecutorError> {
        let mut ended = Vec::new();
        for run in of {
            // What an examination asks first, and for most there is no more to ask. It tells, too, what cannot be looked at.
            if matches!(self.has_worker(run), Ok(true)) {
                continue;
            }
            if let Found::Ended(record, end) = self.examine(run)? {
                let may_know_more = !self.supervises && !self.store.is_imagining() && self.is_supervised();
                if is_unseen(&end) && may_know_more && self.is_settled_meanwhile(run.id)? {
                    continue;
                }
                ended.push((run.clone(), record, end));
            }
        }
        Ok(ended)
    }

    /// Whether the supervisor settles a run that we know nothing more of: it may have seen the end.
    fn is_settled_meanwhile(&self, run: RunId) -> Result<bool, ExecutorError> {
        let start = clock::since_boot();
        while clock::since_boot().saturating_sub(start) < ITS_TURN {
            if runs::find(self.store.reader(), run)?.is_none_or(|run| run.outcome.is_some()) {
                return Ok(true);
            }
            std::thread::sleep(GLANCE);
        }
        Ok(false)
    }

    fn import(&mut self, ended: &[EndedRun], patience: Duration) -> Result<(), ExecutorError> {
        if ended.is_empty() {
            return Ok(());
        }
        let (home, now) = (&self.home, clock::now());
        let settled = self
            .store
            .write_patiently(Durability::Committed, patience, |tx| Ledger { tx, home, now }.settle_all(ended))?;
        self.forget_records(settled)
    }

    /// Removes the records of runs that have been brought into the database, once that is certain to stay.
    pub fn forget_records(&mut self, of: Vec<RunId>) -> Result<(), ExecutorError> {
        self.store.flush()?;
        for run in of {
            // One that stays is removed by whoever tidies up; it says nothing that the database does not.
            let _ = fs::remove_file(self.home.record(run));
        }
        Ok(())
    }

    /// The runs that the database tells the end of and whose records are still there: whoever imported them was killed
    /// before the records were removed.
    pub fn settled_records(&self) -> Result<Vec<RunId>, ExecutorError> {
        let Ok(entries) = fs::read_dir(self.home.runs()) else { return Ok(Vec::new()) };
        let mut settled = Vec::new();
        for entry in entries.flatten() {
            let Some(run) = entry.file_name().to_str().and_then(|name| RunId::parse(name).ok()) else { continue };
            let ended = runs::find(self.store.reader(), run)?.is_some_and(|row| row.outcome.is_some());
            if ended && !record::is_held(&entry.path()).unwrap_or(true) {
                settled.push(run);
            }
        }
        Ok(settled)
    }

    /// Removes records that nobody will ever import: of runs that were prepared and never recorded, and of runs whose
    /// import was cut off after its commit. One that is locked or younger than an hour is left, and so is that of a run
    /// which has followed another.
    pub(super) fn tidy_records(&self) -> Result<(), ExecutorError> {
        let Ok(entries) = fs::read_dir(self.home.runs()) else { return Ok(()) };
        let now = clock::now().as_second();
        let old = |entry: &fs::DirEntry| {
            entry.metadata().is_ok_and(|found| now - std::os::unix::fs::MetadataExt::mtime(&found) > TIDY_AFTER_SECONDS)
        };
        let mut to_follow = None;
        for entry in entries.flatten().filter(old) {
            // Asked for before the runs are: one that somebody imports meanwhile is found there.
            let to_follow = match &mut to_follow {
                Some(known) => known,
                unknown => unknown.insert(self.to_follow()?),
            };
            let Some(run) = entry.file_name().to_str().and_then(|name| RunId::parse(name).ok()) else { continue };
            let unfinished = runs::find(self.store.reader(), run)?.is_some_and(|row| row.outcome.is_none());
            if !unfinished && !record::is_held(&entry.path()).unwrap_or(true) && !to_follow.contains(&run) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// The runs that workers have gone on with and the database is yet to hear of.
    fn to_follow(&self) -> Result<HashSet<RunId>, ExecutorError> {
        let mut to_follow = HashSet::new();
        for former in runs::unfinished(self.store.reader())? {
            let record = record::read(&self.home.record(&former), former.id)?;
            to_follow.extend(record.and_then(|(record, _)| record.passed_on));
        }
        Ok(to_follow)
    }

    /// The newest job of a task, and its run if that has not ended.
    pub(super) fn current(&self, task: &TaskName) -> Result<(Option<JobRow>, Option<RunRow>), ExecutorError> {
        let reader = self.store.reader();
        let job = tasks::find(reader, task)?.and_then(|row| row.job);
        let job = job.map(|job| jobs::find(reader, job)).transpose()?.flatten();
        Ok((job, runs::unfinished_of(reader, task)?))
    }
}
