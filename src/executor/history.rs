//! history: the runs of a task, newest first, unfinished ones included, and the occurrences of its schedule that have
//! come to none.

use jiff::Timestamp;

use crate::domain::name::TaskName;
use crate::store::occurrences::{self, OccurrenceRow};
use crate::store::runs::{self, RunRow};

use super::{Executor, ExecutorError, Output};

/// One run, with where its output is.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its row; for an unfinished run with pid and start from its record.
    pub run: RunRow,
    /// Where its output is.
    pub output: Output,
}

/// One thing that a task's history tells of.
#[derive(Debug, Clone)]
pub enum Past {
    /// A run.
    Run(Box<Attempt>),
    /// An occurrence without one: it was missed, was skipped, or waits.
    Occurrence(OccurrenceRow),
}

impl Past {
    /// When it was, or should have been.
    fn time(&self) -> Timestamp {
        match self {
            Self::Run(attempt) => attempt.run.started.unwrap_or(attempt.run.claimed),
            Self::Occurrence(occurrence) => occurrence.due,
        }
    }
}

impl Executor {
    /// The runs of a task and the occurrences without one, newest first.
    pub fn past(&mut self, task: &TaskName, number: u32) -> Result<Vec<Past>, ExecutorError> {
        let runs = self.history(task, Some(number))?;
        let others = occurrences::without_job(self.store.reader(), task, Some(number))?;
        let mut past: Vec<Past> = others.into_iter().map(Past::Occurrence).collect();
        past.extend(runs.into_iter().map(|attempt| Past::Run(Box::new(attempt))));
        past.sort_by_key(|one| std::cmp::Reverse(one.time()));
        past.truncate(usize::try_from(number).unwrap_or(usize::MAX));
        Ok(past)
    }

    /// The runs of a task, newest first.
    pub fn history(&mut self, task: &TaskName, number: Option<u32>) -> Result<Vec<Attempt>, ExecutorError> {
        self.refresh()?;
        let rows = runs::last_of(self.store.reader(), task, number)?;
        rows.into_iter().map(|run| self.attempt(run)).collect()
    }

    /// One run of a task: counted from 1 for the first, from -1 for the last.
    pub fn nth_run(&mut self, task: &TaskName, nth: i64) -> Result<Attempt, ExecutorError> {
        self.refresh()?;
        let count = runs::count_of(self.store.reader(), task)?;
        let from_end = if nth < 0 { Some(-1 - nth) } else { i64::try_from(count).ok().map(|count| count - nth) };
        let at = from_end.filter(|_| nth != 0).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < count);
        match at.map(|at| runs::nth_newest(self.store.reader(), task, at)).transpose()?.flatten() {
            Some(run) => self.attempt(run),
            None => Err(ExecutorError::NoSuchRun { task: task.clone(), run: nth, count }),
        }
    }

    /// How many runs a task has had.
    pub fn count_runs(&self, task: &TaskName) -> Result<usize, ExecutorError> {
        Ok(runs::count_of(self.store.reader(), task)?)
    }

    fn attempt(&self, mut run: RunRow) -> Result<Attempt, ExecutorError> {
        if run.outcome.is_none() {
            self.tell_traces(&mut run)?;
        }
        let output = self.output_of(&run)?;
        Ok(Attempt { run, output })
    }

    /// Completes the row of an unfinished run with what its record says.
    pub(super) fn tell_traces(&self, run: &mut RunRow) -> Result<(), ExecutorError> {
        let record = self.record_of(run)?;
        run.pid = record.started.map(|(script, _)| script.pid);
        run.started = record.started.map(|(_, time): (_, Timestamp)| time);
        run.inode = record.starting.map(|(_, inode)| inode);
        Ok(())
    }
}
