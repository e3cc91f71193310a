//! Delivering stored messages: each attempt is a run of kind `notify`, executed by a worker like any other.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rusqlite::Transaction;
use serde_json::Value;

use crate::domain::evidence::Entry;
use crate::domain::name::{RunId, TaskName};
use crate::domain::notice::{Channel, PATIENCE};
use crate::domain::task::{Program, StopSequence, Task};
use crate::process::environment::{self, Inherited, RunTags, Variables};
use crate::process::launch::Plan;
use crate::process::record::RecordFile;
use crate::process::spec::RunSpec;
use crate::process::{clock, random, spawn};
use crate::store::notices::{self, Notice};
use crate::store::runs::{self, Kind, NewRun};
use crate::store::{Durability, StoreError};

use super::again::unneeded;
use super::look::look_as_it_is;
use super::staging::make_directory;
use super::{Asker, Executor, ExecutorError};
use crate::ledger::Ledger;

/// How many messages are delivered at a time.
const AT_ONCE: usize = 4;

/// The messages of a folder: what is to be delivered next, and when there will be something again.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be delivered now, no more than there is room for.
    pub now: Vec<Notice>,
    /// The moment of the next attempt at one that waits.
    pub next: Option<jiff::Timestamp>,
    /// Whether one is being delivered, or has not been tried yet.
    pub is_busy: bool,
}

impl Executor {
    /// What is to be delivered.
    pub fn outbox(&self) -> Result<Outbox, ExecutorError> {
        let (reader, now) = (self.store.reader(), clock::now());
        let busy = runs::count_unfinished(reader, Kind::Notify)?;
        let room = AT_ONCE.saturating_sub(busy);
        Ok(Outbox {
            now: notices::due(reader, now, room)?,
            next: notices::next_moment(reader, now)?,
            is_busy: busy > 0 || notices::any_untried(reader)?,
        })
    }

    /// Begins to deliver a message: its run, and the pid of its worker. What the run inherits is given.
    pub fn deliver(
        &mut self,
        notice: &Notice,
        exec_id: &str,
        inherited: &Inherited,
        asker: &Asker,
    ) -> Result<(RunId, i32), ExecutorError> {
        let run = random::run_id()?;
        let (plan, variables) = self.plan_delivery(notice, run, exec_id, inherited)?;
        let first = Entry::Prepared { run, place: self.here().clone() };
        let record = RecordFile::create(&self.home.record(run), &first)?;
        let attempt = notice.attempts + 1;
        let name = format!("notify-{}-{attempt}.txt", notice.id);
        let new = NewRun {
            id: run,
            job: notice.job,
            task: None,
            kind: Kind::Notify,
            attempt,
            asked_by: &asker.name,
            archive: &name,
            scheduled: None,
            slot: None,
            holds: None,
        };
        let claimed = self.store.write(Durability::Committed, |tx| -> Result<(), StoreError> {
            runs::create(tx, &new, clock::now())?;
            notices::attempt(tx, notice.id, run)
        });
        if claimed.is_err() {
            unneeded(record.path());
        }
        claimed?;
        let directory = self.home.job_directory(notice.job);
        make_directory(&directory)?;
        let spec = RunSpec {
            run,
            program: plan.program.as_os_str().as_bytes().to_vec(),
            argv: plan.argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
            env: environment::assignments(&variables),
            wd: self.home.root().to_path_buf(),
            umask: inherited.umask,
            limits: inherited.limits.clone(),
            output: directory.join(&name),
            former: directory.join(format!("{name}.former")),
            bell: self.home.bell(),
            timeout: Some(PATIENCE),
            stop: StopSequence::default(),
            made_of: Vec::new(),
        };
        let sealed = spec.seal()?;
        let (worker, _) = spawn::worker(record.as_fd(), record.path(), sealed.as_fd())?;
        Ok((run, worker))
    }

    /// What delivers a message, and with which variables. It runs in the executor's folder: the task's own directory may
    /// be what is missing.
    fn plan_delivery(
        &self,
        notice: &Notice,
        run: RunId,
        exec_id: &str,
        inherited: &Inherited,
    ) -> Result<(Plan, Variables), ExecutorError> {
        let root = self.home.root();
        let (plan, mut variables) = match &notice.channel {
            Channel::Command(words) => {
                let name = TaskName::parse(&notice.task).map_err(|error| StoreError::Impossible(error.to_string()))?;
                let task = Task::new(name.clone(), Program::Command(words.clone()), root.to_path_buf());
                look_as_it_is(&task, inherited).map_err(|error| super::start::start_error(&name, error))?
            }
            Channel::Post(url) => {
                let argv =
                    [c"jobexec", spawn::POST_DOOR].map(|word| OsStr::from_bytes(word.to_bytes()).to_owned()).to_vec();
                let mut variables = inherited.variables();
                // Not an argument: those can be read by everybody, and a URL may hold a secret.
                variables.insert("JOBEXEC_NOTIFY_URL".into(), url.into());
                (Plan { program: PathBuf::from(OsStr::from_bytes(spawn::OURSELVES.to_bytes())), argv }, variables)
            }
        };
        let text = |key: &str| match notice.message.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(Value::Array(lines)) => lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
            Some(other) => other.to_string(),
        };
        let ours: [(&str, OsString); 8] = [
            ("JOBEXEC_NOTIFY_EVENT", text("event").into()),
            ("JOBEXEC_NOTIFY_TASK", (&notice.task).into()),
            ("JOBEXEC_NOTIFY_JOB", notice.job.to_string().into()),
            ("JOBEXEC_NOTIFY_RUN", text("run_id").into()),
            ("JOBEXEC_NOTIFY_REASON", text("reason").into()),
            ("JOBEXEC_NOTIFY_TEXT", text("text").into()),
            ("JOBEXEC_NOTIFY_OUTPUT", text("output").into()),
            ("JOBEXEC_NOTIFY_JSON", notice.message.to_string().into()),
        ];
        // The kernel takes no zero.
        let shown = |byte: u8| if byte == 0 { b'?' } else { byte };
        let clean = |value: OsString| OsString::from_vec(value.into_vec().into_iter().map(shown).collect());
        variables.extend(ours.map(|(key, value)| (key.into(), clean(value))));
        let tags = RunTags {
            exec_id,
            folder: root,
            task: &notice.task,
            job: notice.job,
            attempt: notice.attempts + 1,
            run: Some(run),
            run_name: "",
            workdir: &self.home.job_directory(notice.job),
        };
        tags.lay_over(&mut variables);
        Ok((plan, variables))
    }

    /// Records that an attempt could not even begin.
    pub fn postpone_notice(&mut self, notice: &Notice, reason: &str) -> Result<(), ExecutorError> {
        let (home, now) = (&self.home, clock::now());
        let postpone = |tx: &Transaction<'_>| Ledger { tx, home, now }.postpone_or_give_up(notice, reason);
        Ok(self.store.write(Durability::Committed, postpone)?)
    }
}
