//! history: the runs of a task, newest first, unfinished ones included.

use jiff::Timestamp;

use crate::domain::name::TaskName;
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

impl Executor {
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
            let record = self.record_of(&run)?;
            run.pid = record.started.map(|(script, _)| script.pid);
            run.started = record.started.map(|(_, time): (_, Timestamp)| time);
            run.inode = record.starting.map(|(_, inode)| inode);
        }
        let output = self.output_of(&run)?;
        Ok(Attempt { run, output })
    }
}
