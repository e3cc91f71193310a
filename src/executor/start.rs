//! start: look at everything that can be looked at, record that the run is about to begin, let a worker begin it.
//!
//! The order of a start is what makes it happen at most once: the run's record with its lock, then one transaction
//! that claims the task, then the worker, which inherits the lock.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::lifecycle::State;
use crate::domain::name::{JobId, RunId, TaskName};
use crate::domain::outcome::Outcome;
use crate::domain::task::Task;
use crate::process::environment::{self, Inherited, RunTags, Variables};
use crate::process::launch::{self, Plan};
use crate::process::record::RecordFile;
use crate::process::spawn::Spare;
use crate::process::spec::{Answer, RunSpec};
use crate::process::{clock, spawn};
use crate::store::jobs::{self, Door, JobRow};
use crate::store::runs::{self, RunRow};
use crate::store::{Durability, Store, events, tasks};

use super::again::unneeded;
use super::claim::{Candidate, Claim, Why};
use super::error::StartError;
use super::import::Found;
use super::look::{has_use_for, look_at_all};
use super::staging::make_directory;
use super::{Asker, Executor, ExecutorError};
use crate::ledger::Ledger;

/// The most runs that are claimed in one transaction.
const BATCH: u64 = 200;

/// The descriptors that a command needs besides those of the runs it starts.
const OTHERS: u64 = 40;

/// How many runs are claimed in one transaction: each holds two descriptors until its worker has answered.
pub(super) fn batch_size() -> usize {
    let room = environment::descriptor_limit().saturating_sub(OTHERS) / 2;
    usize::try_from(room.clamp(1, BATCH)).unwrap_or(1)
}

/// The longest wait for a worker's answer: it may hang on a file system that does not answer either.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// What became of the start of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It is wanted and waits for its next occurrence.
    Scheduled,
    /// It ran already.
    Already {
        /// The script's pid, where that is known.
        pid: Option<i32>,
    },
    /// A hook or a transfer of its job runs.
    Busy {
        /// What.
        what: &'static str,
        /// The pid of that, where it is known.
        pid: Option<i32>,
    },
    /// A job of it is on its way already.
    Underway {
        /// The job.
        job: JobId,
        /// What comes next.
        what: &'static str,
    },
    /// It has a new job, for which something else comes first.
    Begun {
        /// The job.
        job: JobId,
        /// What.
        what: &'static str,
    },
    /// It runs.
    Running {
        /// The script's pid.
        pid: i32,
        /// Its job.
        job: JobId,
    },
}

/// How tasks are to be started.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Run a scheduled task now, besides arming it.
    pub(super) now: bool,
    /// Make a new job even where the last one waits to run again.
    pub(super) fresh: bool,
}

/// The answer for each task.
pub(super) type Answers = Vec<(TaskName, Result<Started, ExecutorError>)>;

/// A task that was looked at, with all that its run needs.
pub(super) struct Ready<'a> {
    pub(super) candidate: Candidate<'a>,
    pub(super) plan: Plan,
    pub(super) variables: Variables,
    pub(super) inherited: Inherited,
    pub(super) record: RecordFile,
    /// The files that decided all that, as they were before they were read.
    pub(super) made_of: Vec<(PathBuf, Fingerprint)>,
    /// A worker that is there already.
    pub(super) spare: Option<Spare>,
}

/// What looking at a task came to.
enum Look<'a> {
    Ready(Box<Ready<'a>>),
    Answered(Result<Started, ExecutorError>),
}

impl Executor {
    /// Starts tasks; scheduled ones are armed, and with `now` run at once as well.
    pub fn start(&mut self, these: &[Arc<Task>], now: bool, asker: &Asker) -> Result<Answers, ExecutorError> {
        self.start_as(these, How { now, fresh: false }, asker)
    }

    pub(super) fn start_as(&mut self, these: &[Arc<Task>], how: How, asker: &Asker) -> Result<Answers, ExecutorError> {
        let exec_id = self.exec_id()?;
        let mut answers = Vec::with_capacity(these.len());
        for batch in these.chunks(batch_size()) {
            answers.extend(self.start_batch(batch, how, &exec_id, asker)?);
        }
        let _ = self.tidy_records();
        Ok(answers)
    }

    fn start_batch(
        &mut self,
        batch: &[Arc<Task>],
        how: How,
        exec_id: &str,
        asker: &Asker,
    ) -> Result<Answers, ExecutorError> {
        let inherited = Inherited::capture();
        let mut answers: Vec<Option<Result<Started, ExecutorError>>> = Vec::new();
        let mut ready = Vec::new();
        let mut armed = Vec::new();
        for (at, task) in batch.iter().enumerate() {
            if task.schedule.is_set() && !how.now {
                armed.push(task);
                answers.push(Some(Ok(Started::Scheduled)));
                continue;
            }
            match self.make_ready(task, how, &inherited).unwrap_or_else(|error| Look::Answered(Err(error))) {
                Look::Ready(one) => {
                    ready.push((at, *one));
                    answers.push(None);
                }
                Look::Answered(answer) => answers.push(Some(answer)),
            }
        }
        let claims = self.claim_all(&armed, &ready, asker)?;
        let (mut begun, mut locked) = (Vec::new(), Vec::new());
        for ((at, ready), claim) in ready.into_iter().zip(claims) {
            match claim {
                Claim::Already => unneeded(ready.record.path()),
                Claim::Locked(held) => {
                    unneeded(ready.record.path());
                    locked.push((at, held));
                }
                Claim::Begun(job, state) => {
                    unneeded(ready.record.path());
                    if let (Some(slot), Some(what)) = (answers.get_mut(at), state.underway()) {
                        *slot = Some(Ok(Started::Begun { job, what }));
                    }
                }
                Claim::Claimed { job, former } => {
                    let run = ready.candidate.run;
                    // From here on only the worker holds the lock.
                    let spawned = self
                        .spec(&ready, &job, exec_id, &former)
                        .seal()
                        .and_then(|sealed| spawn::worker(ready.record.as_fd(), ready.record.path(), sealed.as_fd()));
                    begun.push((at, run, job.id, spawned.map(|(_, listen)| listen)));
                }
            }
        }
        for (at, run, job, spawned) in begun {
            if let (Some(slot), Some(task)) = (answers.get_mut(at), batch.get(at)) {
                *slot = Some(self.answer(&task.name, run, job, spawned));
            }
        }
        for (at, held) in locked {
            // One that has ended, which nobody has noticed yet, holds nothing; then it is tried again, as below.
            let ended = held.by.job().map_or(Ok(false), |job| self.has_ended(job))?;
            if let (Some(slot), Some(task), false) = (answers.get_mut(at), batch.get(at), ended) {
                *slot = Some(Err(start_error(&task.name, StartError::Locked(held))));
            }
        }
        let mut told = Answers::with_capacity(batch.len());
        for (task, answer) in batch.iter().zip(answers) {
            match answer {
                Some(answer) => told.push((task.name.clone(), answer)),
                // Somebody else was faster; that run is looked at, and if it has ended already, this one comes next.
                None => told.extend(self.start_batch(std::slice::from_ref(task), how, exec_id, asker)?),
            }
            // What is left over is removed the next time; the start is not to fail for it.
            let _ = self.retain(task);
        }
        Ok(told)
    }

    /// Looks at one task and prepares its run's record; or answers at once.
    fn make_ready<'a>(&mut self, task: &'a Task, how: How, inherited: &Inherited) -> Result<Look<'a>, ExecutorError> {
        let (mut job, mut run) = self.current(&task.name)?;
        if let Some(unfinished) = &run {
            self.import_of(std::slice::from_ref(unfinished))?;
            (job, run) = self.current(&task.name)?;
        }
        if let Some(run) = run {
            return match self.already(&task.name, &run) {
                Some(answer) => Ok(Look::Answered(answer)),
                // It ended while we looked.
                None => self.make_ready(task, how, inherited),
            };
        }
        let ledger = Ledger { tx: self.store.reader(), home: &self.home, now: clock::now() };
        if let Some((job, what)) = ledger.underway(&task.name)? {
            return Ok(Look::Answered(Ok(Started::Underway { job, what })));
        }
        let goes_on = job.filter(|job| job.state == State::RestartReady && job.door == Door::Start && !how.fresh);
        let inherited = match &goes_on {
            Some(job) => Inherited::decode(&jobs::environment_of(self.store.reader(), job)?)?,
            None => inherited.clone(),
        };
        let made_of = launch::made_of(task);
        let (plan, variables, items) = match look_at_all(task, &inherited) {
            Ok(looked) => looked,
            Err(error) => return Ok(Look::Answered(Err(start_error(&task.name, error)))),
        };
        let (run, record) = self.prepare_run()?;
        let stored = inherited.encode()?;
        let goes_on = goes_on.map(|job| job.id);
        let candidate = Candidate { task, stored, goes_on, items, run };
        Ok(Look::Ready(Box::new(Ready { candidate, plan, variables, inherited, record, made_of, spare: None })))
    }

    /// One transaction: the armed tasks are wanted, and each ready one has a run of its own or turns out to have one.
    fn claim_all(
        &mut self,
        armed: &[&Arc<Task>],
        ready: &[(usize, Ready<'_>)],
        asker: &Asker,
    ) -> Result<Vec<Claim>, ExecutorError> {
        let home = &self.home;
        let claimed = self.store.write(Durability::Flushed, |tx| {
            // Not before its turn has come: what is recorded comes after what others have recorded.
            let ledger = Ledger { tx, home, now: clock::now() };
            for task in armed {
                ledger.arm(task, asker)?;
            }
            ready
                .iter()
                .map(|(_, ready)| ledger.claim(&ready.candidate, Why::Asked, asker))
                .collect::<Result<Vec<_>, ExecutorError>>()
        });
        if claimed.is_err() {
            // Nothing was recorded, so nothing needs the records.
            for (_, ready) in ready {
                unneeded(ready.record.path());
            }
        }
        claimed
    }

    /// All that a worker is told of a run.
    pub(super) fn spec(&self, ready: &Ready<'_>, job: &JobRow, exec_id: &str, former: &str) -> RunSpec {
        let Candidate { task, run, .. } = &ready.candidate;
        let mut variables = ready.variables.clone();
        let workdir = self.home.job_directory(job.id);
        if has_use_for(task) {
            // What cannot be made is missed, and told, by whoever wants to write there.
            let _ = make_directory(&workdir);
        }
        let tags = RunTags {
            exec_id,
            folder: self.home.root(),
            task: task.name.as_str(),
            job: job.id,
            attempt: job.attempt + 1,
            run: Some(*run),
            run_name: "",
            workdir: &workdir,
        };
        tags.lay_over(&mut variables);
        RunSpec {
            run: *run,
            program: ready.plan.program.as_os_str().as_bytes().to_vec(),
            argv: ready.plan.argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
            env: environment::assignments(&variables),
            wd: task.wd.clone(),
            umask: ready.inherited.umask,
            limits: ready.inherited.limits.clone(),
            output: self.home.output(&task.name),
            former: self.home.root().join(former),
            bell: self.home.bell(),
            timeout: task.timeout,
            stop: task.stop.clone(),
            made_of: ready.made_of.clone(),
        }
    }

    /// Waits for a worker's answer. A run that did not begin is imported at once.
    fn answer(
        &mut self,
        name: &TaskName,
        run: RunId,
        job: JobId,
        spawned: std::io::Result<OwnedFd>,
    ) -> Result<Started, ExecutorError> {
        let answer = spawned.and_then(|listen| Answer::receive(listen, ANSWER_PATIENCE));
        let error = match answer {
            Ok(Some(Answer::Started(pid))) => return Ok(Started::Running { pid, job }),
            Ok(Some(Answer::CouldNotStart(error))) => StartError::CouldNotStart(error),
            Ok(Some(Answer::Failed(error))) => StartError::Worker(error),
            Ok(None) => StartError::Worker(self.how_far(run)?),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => StartError::Slow,
            Err(error) => StartError::Worker(format!("cannot start its worker: {error}")),
        };
        let row = runs::find(self.store.reader(), run)?;
        self.import_of(row.as_slice())?;
        Err(start_error(name, error))
    }

    /// Whether the run of a job has ended. If so it is brought into the database.
    fn has_ended(&mut self, job: JobId) -> Result<bool, ExecutorError> {
        let unfinished = |store: &Store| runs::unfinished_of_job(store.reader(), job);
        let run = unfinished(&self.store)?;
        self.import_of(run.as_slice())?;
        Ok(unfinished(&self.store)?.is_none())
    }

    /// How far a worker came that was killed before it could answer, in words.
    fn how_far(&self, run: RunId) -> Result<String, ExecutorError> {
        Ok(match self.examine(run)? {
            Found::Orphaned(_, pids) => {
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                format!("its worker was killed just after starting it, so it is orphaned (pid {})", pids.join(", "))
            }
            Found::Ended(_, ended) if ended.outcome == Outcome::NeverStarted => {
                "its worker was killed before it could start it".to_owned()
            }
            Found::Ended(_, _) | Found::Alive(_) | Found::Elsewhere(_) => {
                "its worker was killed while starting it; it may have run".to_owned()
            }
        })
    }

    /// The answer for a task that has an unfinished run; `None` when that has ended just now.
    fn already(&self, name: &TaskName, run: &RunRow) -> Option<Result<Started, ExecutorError>> {
        let refused = |error| Some(Err(start_error(name, error)));
        match self.examine(run) {
            Err(error) => Some(Err(error)),
            Ok(Found::Orphaned(_, pids)) => refused(StartError::Orphaned { pids }),
            Ok(Found::Elsewhere(_)) => refused(StartError::Elsewhere),
            Ok(Found::Alive(_)) if run.stop_asked.is_some() => refused(StartError::Stopping),
            Ok(Found::Alive(record)) => {
                let script = record.started.filter(|_| record.ended.is_none());
                let pid = script.map(|(script, _)| script.pid);
                let job = jobs::find(self.store.reader(), run.job);
                Some(job.map_err(ExecutorError::from).map(|job| match job.and_then(|job| job.state.underway()) {
                    Some(what) => Started::Busy { what, pid },
                    None => Started::Already { pid },
                }))
            }
            Ok(Found::Ended(_, _)) => None,
        }
    }
}

impl Ledger<'_> {
    /// Records that a scheduled task is wanted.
    fn arm(&self, task: &Task, asker: &Asker) -> Result<(), ExecutorError> {
        let name = &task.name;
        tasks::see(self.tx, name, self.now)?;
        tasks::want(self.tx, name, true, &asker.name, self.now)?;
        self.anchor(task)?;
        let event = events::NewEvent {
            job: None,
            task: Some(name.as_str()),
            states: None,
            cause: "armed",
            data: json!({ "by": asker.name }),
        };
        Ok(events::record(self.tx, &event, self.now)?)
    }
}

pub(super) fn start_error(task: &TaskName, source: StartError) -> ExecutorError {
    ExecutorError::Start { task: task.clone(), source: Box::new(source) }
}
