//! start: look at everything that can be looked at, record that the run is about to begin, let a worker begin it.
//!
//! The order of a start is what makes it happen at most once: the run's record with its lock, then one transaction
//! that claims the task, then the worker, which inherits the lock.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use crate::domain::evidence::Entry;
use crate::domain::lifecycle::{Input, Policy, State, step};
use crate::domain::name::{JobId, RunId, TaskName};
use crate::domain::outcome::Outcome;
use crate::domain::task::{Restart, Task};
use crate::process::environment::{self, Inherited, Variables};
use crate::process::launch::{self, Plan};
use crate::process::record::RecordFile;
use crate::process::spec::{Answer, RunSpec};
use crate::process::{clock, random, spawn};
use crate::store::jobs::{self, Change, Door, JobRow, NewJob};
use crate::store::runs::{self, NewRun, RunRow};
use crate::store::{Durability, events, tasks};

use super::error::{LaunchErrorWithHint, StartError};
use super::import::{Found, Importer, current};
use super::{Asker, Executor, ExecutorError, output};

/// How many runs are claimed in one transaction: each holds a descriptor until its worker has it.
const BATCH: usize = 200;

/// What became of the start of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It is wanted and waits for its next occurrence.
    Scheduled,
    /// It ran already; under this pid, where that is known, since then.
    Already {
        /// The script's pid.
        pid: Option<i32>,
        /// When it was started.
        since: Option<Timestamp>,
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

/// A task that was looked at and may be claimed.
struct Ready<'a> {
    task: &'a Task,
    plan: Plan,
    variables: Variables,
    inherited: Inherited,
    stored: Vec<u8>,
    /// The job that goes on, if it is still to go on when it is claimed.
    goes_on: Option<JobId>,
    run: RunId,
    record: RecordFile,
}

/// What a claim made of a task that was ready.
enum Claim {
    Already(RunRow),
    Claimed { job: JobRow, archive: String, former: Option<String> },
}

/// Checks a task and says what it would execute and with which variables.
pub(super) fn look(task: &Task, inherited: &Inherited) -> Result<(Plan, Variables), StartError> {
    let mut variables = inherited.variables();
    if let Some(file) = &task.env_file {
        variables.extend(environment::read_env_file(&task.wd.join(file))?);
    }
    variables.extend(task.env.iter().map(|(key, value)| (key.into(), value.into())));
    let path = variables.get(&OsString::from("PATH"));
    let plan = launch::plan(task, path.map(OsString::as_os_str)).map_err(|error| {
        let hint = error.hint(task);
        LaunchErrorWithHint { error, hint }
    })?;
    Ok((plan, variables))
}

impl Executor {
    /// Starts tasks; scheduled ones are armed, and with `now` run at once as well.
    pub fn start(&mut self, these: &[Task], now: bool, asker: &Asker) -> Result<Answers, ExecutorError> {
        self.start_as(these, How { now, fresh: false }, asker)
    }

    pub(super) fn start_as(&mut self, these: &[Task], how: How, asker: &Asker) -> Result<Answers, ExecutorError> {
        let exec_id = self.definitions()?.exec_id;
        let mut answers = Vec::with_capacity(these.len());
        for batch in these.chunks(BATCH) {
            answers.extend(self.start_batch(batch, how, &exec_id, asker)?);
        }
        Ok(answers)
    }

    fn start_batch(
        &mut self,
        batch: &[Task],
        how: How,
        exec_id: &str,
        asker: &Asker,
    ) -> Result<Answers, ExecutorError> {
        let inherited = Inherited::capture();
        let mut answers: Vec<Option<Result<Started, ExecutorError>>> = Vec::new();
        let mut ready = Vec::new();
        let mut armed = Vec::new();
        for task in batch {
            if task.schedule.is_set() && !how.now {
                armed.push(task);
                answers.push(Some(Ok(Started::Scheduled)));
                continue;
            }
            match self.make_ready(task, how, &inherited)? {
                Ok(one) => {
                    ready.push((answers.len(), one));
                    answers.push(None);
                }
                Err(answer) => answers.push(Some(answer)),
            }
        }
        let claims = self.claim_all(&armed, &ready, asker)?;
        let mut begun = Vec::new();
        for ((at, ready), claim) in ready.into_iter().zip(claims) {
            match claim {
                Claim::Already(run) => {
                    let path = ready.record.path().to_path_buf();
                    drop(ready);
                    let _ = std::fs::remove_file(path);
                    if let Some(slot) = answers.get_mut(at) {
                        *slot = Some(self.already(&run));
                    }
                }
                Claim::Claimed { job, archive, former } => {
                    let name = ready.task.name.clone();
                    let spawned = self.spawn(&ready, &job, exec_id, former.as_ref().unwrap_or(&archive));
                    // From here on only the worker holds the lock.
                    begun.push((at, name, ready.run, job.id, spawned));
                }
            }
        }
        for (at, name, run, job, spawned) in begun {
            let answer = self.answer(&name, run, job, spawned)?;
            if let Some(slot) = answers.get_mut(at) {
                *slot = Some(answer);
            }
        }
        for task in batch {
            self.retain(task)?;
        }
        let answers = answers.into_iter().flatten();
        Ok(batch.iter().map(|task| task.name.clone()).zip(answers).collect())
    }

    /// Looks at one task and prepares its run's record; or answers at once.
    #[expect(clippy::type_complexity, reason = "a failure of ours, or an answer, or something to claim")]
    fn make_ready<'a>(
        &mut self,
        task: &'a Task,
        how: How,
        inherited: &Inherited,
    ) -> Result<Result<Ready<'a>, Result<Started, ExecutorError>>, ExecutorError> {
        let (mut job, mut run) = current(&self.store, &task.name)?;
        if let Some(unfinished) = &run {
            self.import_of(std::slice::from_ref(unfinished))?;
            (job, run) = current(&self.store, &task.name)?;
        }
        if let Some(run) = run {
            return Ok(Err(self.already(&run)));
        }
        let goes_on = job.filter(|job| job.state == State::RestartReady && job.door == Door::Start && !how.fresh);
        let inherited = match &goes_on {
            Some(job) => Inherited::decode(&jobs::environment_of(self.store.reader(), job)?)?,
            None => inherited.clone(),
        };
        let (plan, variables) = match look(task, &inherited) {
            Ok(looked) => looked,
            Err(error) => return Ok(Err(Err(start_error(&task.name, error)))),
        };
        let run = RunId::from_random(random::bytes()?);
        let first = Entry::Prepared { run, place: self.here.clone() };
        let record = RecordFile::create(&self.home.record(run), &first)?;
        let stored = inherited.encode()?;
        let goes_on = goes_on.map(|job| job.id);
        Ok(Ok(Ready { task, plan, variables, inherited, stored, goes_on, run, record }))
    }

    /// One transaction: the armed tasks are wanted, and each ready one has a run of its own or turns out to have one.
    fn claim_all(
        &mut self,
        armed: &[&Task],
        ready: &[(usize, Ready<'_>)],
        asker: &Asker,
    ) -> Result<Vec<Claim>, ExecutorError> {
        let now = clock::now();
        let home = self.home.clone();
        let claimed = self.store.write(Durability::Flushed, |tx| {
            for task in armed {
                tasks::see(tx, &task.name, now)?;
                tasks::want(tx, &task.name, true, &asker.name, now)?;
            }
            let importer = Importer { home: &home };
            ready
                .iter()
                .map(|(_, ready)| importer.claim(tx, ready, asker, now))
                .collect::<Result<Vec<_>, ExecutorError>>()
        });
        if claimed.is_err() {
            // Nothing was recorded, so nothing needs the records.
            for (_, ready) in ready {
                let _ = std::fs::remove_file(ready.record.path());
            }
        }
        claimed
    }

    /// Tells a worker everything and lets it begin. The record's lock is handed on.
    fn spawn(&self, ready: &Ready<'_>, job: &JobRow, exec_id: &str, former: &str) -> std::io::Result<OwnedFd> {
        let task = ready.task;
        let mut variables = ready.variables.clone();
        let folder = self.home.root().as_os_str().to_owned();
        let ours: [(&str, OsString); 8] = [
            (environment::EXECUTOR_ID, exec_id.into()),
            ("JOBEXEC_EXEC_ID", exec_id.into()),
            ("JOBEXEC_FOLDER", folder),
            ("JOBEXEC_TASK", task.name.as_str().into()),
            ("JOBEXEC_JOB_ID", job.id.to_string().into()),
            ("JOBEXEC_ATTEMPT", (job.attempt + 1).to_string().into()),
            (environment::RUN_ID, ready.run.to_string().into()),
            ("JOBEXEC_RUN_NAME", OsString::new()),
        ];
        variables.extend(ours.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k.into(), v)));
        let spec = RunSpec {
            run: ready.run,
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
        };
        spawn::worker(ready.record.as_fd(), ready.record.path(), spec.seal()?).map(|(_, listen)| listen)
    }

    /// Waits for a worker's answer. A run that did not begin is imported at once.
    fn answer(
        &mut self,
        name: &TaskName,
        run: RunId,
        job: JobId,
        spawned: std::io::Result<OwnedFd>,
    ) -> Result<Result<Started, ExecutorError>, ExecutorError> {
        let answer = spawned.and_then(Answer::receive);
        let error = match answer {
            Ok(Some(Answer::Started(pid))) => return Ok(Ok(Started::Running { pid, job })),
            Ok(Some(Answer::CouldNotStart(error))) => StartError::CouldNotStart(error),
            Ok(Some(Answer::Failed(error))) => StartError::Worker(error),
            Ok(None) => StartError::Worker(self.how_far(run)?),
            Err(error) => StartError::Worker(format!("cannot start its worker: {error}")),
        };
        let row = runs::find(self.store.reader(), run)?;
        self.import_of(row.as_slice())?;
        Ok(Err(start_error(name, error)))
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

    /// The answer for a task that has an unfinished run.
    fn already(&self, run: &RunRow) -> Result<Started, ExecutorError> {
        let name = || run.task.clone().ok_or(ExecutorError::from(std::io::Error::other("a run without a task")));
        match self.examine(run.id)? {
            Found::Orphaned(_, pids) => Err(start_error(&name()?, StartError::Orphaned { pids })),
            Found::Elsewhere(_) => Err(start_error(&name()?, StartError::Elsewhere)),
            Found::Alive(record) | Found::Ended(record, _) => Ok(Started::Already {
                pid: record.started.map(|(script, _)| script.pid),
                since: record.started.map(|(_, time)| time),
            }),
        }
    }
}

impl Importer<'_> {
    /// Claims a run for a task, unless it has one. Two claims cannot both pass.
    fn claim(&self, tx: &Connection, ready: &Ready<'_>, asker: &Asker, now: Timestamp) -> Result<Claim, ExecutorError> {
        let name = &ready.task.name;
        tasks::see(tx, name, now)?;
        tasks::want(tx, name, true, &asker.name, now)?;
        tasks::set_failure_streak(tx, name, 0)?;
        if let Some(run) = runs::unfinished_of(tx, name)? {
            return Ok(Claim::Already(run));
        }
        let job = self.job(tx, ready, asker, now)?;
        let archive = output::free_archive(tx, self.home, name, now)?;
        let former = output::former_archive(tx, self.home, name)?;
        let policy = Policy { restart: Restart::Never, retries: None, used: 0 };
        let mut path = Vec::new();
        let mut state = job.state;
        let inputs: &[Input] =
            if state == State::Created { &[Input::Settled, Input::Claimed] } else { &[Input::Claimed] };
        for input in inputs {
            path.extend(step(state, *input, policy)?);
            state = path.last().copied().unwrap_or(state);
        }
        let attempt = job.attempt + 1;
        let change = Change { state, code: None, reason: None, attempt, retries_used: job.retries_used };
        jobs::change(tx, job.id, &change, now)?;
        let new = NewRun { id: ready.run, job: job.id, task: name, attempt, asked_by: &asker.name, archive: &archive };
        runs::create(tx, &new, now)?;
        let event = events::NewEvent {
            job: Some(job.id),
            task: Some(name.as_str()),
            states: Some((job.state, state)),
            cause: "started",
            data: json!({
                "by": asker.name,
                "run": ready.run.to_string(),
                "what": ready.task.program_text(),
                "through": path.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
            }),
        };
        events::record(tx, &event, now)?;
        Ok(Claim::Claimed { job, archive, former })
    }

    /// The job that is run: the one that waits to run again, with the newest definition, or a new one.
    fn job(&self, tx: &Connection, ready: &Ready<'_>, asker: &Asker, now: Timestamp) -> Result<JobRow, ExecutorError> {
        let name = &ready.task.name;
        let last = tasks::find(tx, name)?.and_then(|row| row.job);
        let last = last.map(|job| jobs::find(tx, job)).transpose()?.flatten();
        let waiting = last.filter(|job| job.state == State::RestartReady);
        if let Some(job) = &waiting {
            if ready.goes_on == Some(job.id) {
                jobs::redefine(tx, job.id, ready.task)?;
                return Ok(job.clone());
            }
            self.cancel(tx, job, name, &format!("replaced by {}", asker.name), now)?;
        }
        let new = NewJob {
            task: ready.task,
            door: Door::Start,
            environment: &ready.stored,
            by: &asker.name,
            spawned_by: asker.job,
        };
        let job = jobs::create(tx, &new, now)?;
        tasks::set_job(tx, name, job.id)?;
        Ok(job)
    }

    /// Cancels a job that waits to run again.
    pub(super) fn cancel(
        &self,
        tx: &Connection,
        job: &JobRow,
        name: &TaskName,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), ExecutorError> {
        let policy = Policy { restart: Restart::Never, retries: None, used: 0 };
        let path = step(job.state, Input::Cancelled, policy)?;
        let state = path.last().copied().unwrap_or(job.state);
        let (attempt, retries_used) = (job.attempt, job.retries_used);
        let change = Change { state, code: Some("cancelled"), reason: Some(reason), attempt, retries_used };
        jobs::change(tx, job.id, &change, now)?;
        let event = events::NewEvent {
            job: Some(job.id),
            task: Some(name.as_str()),
            states: Some((job.state, state)),
            cause: "cancelled",
            data: json!({ "reason": reason }),
        };
        Ok(events::record(tx, &event, now)?)
    }
}

fn start_error(task: &TaskName, source: StartError) -> ExecutorError {
    ExecutorError::Start { task: task.clone(), source: Box::new(source) }
}
