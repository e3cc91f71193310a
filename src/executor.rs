//! The verbs: add, start, stop, status and the rest, as a synchronous library. The command line is a thin shell over
//! it; whatever else will offer the verbs calls the same functions.

mod again;
mod apply;
mod appoint;
mod claim;
mod cleanup;
mod define;
mod definitions;
mod deliver;
mod error;
mod explain;
mod files;
mod fire;
mod front;
mod history;
mod import;
mod jobs;
mod journal;
mod look;
mod night;
mod order;
mod output;
mod picture;
mod retention;
mod select;
mod slots;
mod staging;
mod start;
mod status;
mod stop;
mod submit;
mod supervise;
mod upcoming;
mod wait;

use std::cell::OnceCell;
use std::path::Path;

use crate::domain::evidence::Place;
use crate::domain::name::{ExecId, JobId, TaskName};
use crate::domain::suggest::nearest;
use crate::home::Home;
use crate::home::lock::{self, Lock};
use crate::home::reserve;
use crate::process::identity;
use crate::process::random;
use crate::registry::{self, file};
use crate::store::{Durability, Store, events, tasks};

pub use crate::ledger::EndedRun;
pub use crate::ledger::followers::Again as Rerun;
pub use crate::ledger::output::Output;
pub use again::{Again, AgainAnswers, Spare, Starter};
pub use apply::{Applied, AppliedJob, Given, JobChange, TaskChange};
pub use define::{Added, Definition, Difference, Removed};
pub use definitions::Definitions;
pub use deliver::Outbox;
pub use error::{ExecutorError, StartError};
pub use explain::Explanation;
pub use files::JobFile;
pub use fire::Fired;
pub use history::{Attempt, Past};
pub use import::Found;
pub use jobs::{Did, JobAnswers, Killed, Update};
pub use journal::{Journal, Line};
pub use night::{
    Disk, Failure, How, Loop, Message, Missed, Never, Night, Queued, Ran, Recovery, Slow, Supervision, TaskOutput,
    Trouble, Wrong,
};
pub use order::{Order, OrderError};
pub use picture::Picture;
pub use select::{GroupStatus, Job, Which};
pub use slots::{Ahead, SlotSpawn, SlotWorker};
pub use staging::{Staging, StagingError};
pub use start::Started;
pub use status::TaskStatus;
pub use stop::{Afterwards, Stopped};
pub use submit::Submission;
pub use supervise::{Later, OpenRun, Rules, Upkeep, holder, seen_end};
pub use upcoming::{LeftOut, Meaning, Obstacle, Plan, Planned, Upcoming};
pub use wait::Waited;

/// Who asks, and from where.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The user's name, or `job 12` for a script of ours.
    pub name: String,
    /// The job in whose script the command runs, if it is one of this executor.
    pub job: Option<JobId>,
}

/// One executor: a folder, opened.
#[derive(Debug)]
pub struct Executor {
    home: Home,
    store: Store,
    here: OnceCell<Place>,
    /// Whether this process is the folder's supervisor.
    supervises: bool,
}

impl Executor {
    /// Opens the executor of a folder, making folder, registry and database where there are none.
    pub fn open(root: &Path) -> Result<Self, ExecutorError> {
        let (executor, _) = Self::init(root, None)?;
        Ok(executor)
    }

    /// As [`Executor::open`], with the id to be given to a new executor; whether it is new.
    pub fn init(root: &Path, exec_id: Option<&ExecId>) -> Result<(Self, bool), ExecutorError> {
        let home = Home::create(root)?;
        let store = Store::create(&home)?;
        let mut executor = Self { home, store, here: OnceCell::new(), supervises: false };
        reserve::keep(&executor.home);
        let new = !executor.home.registry().exists() && executor.begin(exec_id)?;
        Ok((executor, new))
    }

    /// Opens the executor of a folder for looking; `None` where there is none yet.
    pub fn look(root: &Path) -> Result<Option<Self>, ExecutorError> {
        let Some(home) = Home::open(root)? else { return Ok(None) };
        let store = match Store::look(&home)? {
            Some(store) => store,
            None if home.registry().exists() => Store::create(&Home::create(root)?)?,
            None => return Ok(None),
        };
        Ok(Some(Self { home, store, here: OnceCell::new(), supervises: false }))
    }

    /// The executor that a folder would be which is not there: for foreseeing what the first commands would do.
    pub fn unmade(root: &Path) -> Result<Self, ExecutorError> {
        let home = Home::unmade(root);
        let store = Store::of_nothing(&home)?;
        Ok(Self { home, store, here: OnceCell::new(), supervises: false })
    }

    /// Writes the first registry; whether it was this command that did.
    fn begin(&mut self, exec_id: Option<&ExecId>) -> Result<bool, ExecutorError> {
        let _lock = Lock::take(&self.home.registry_lock(), lock::PATIENCE)?;
        if self.home.registry().exists() {
            return Ok(false);
        }
        file::tidy(&self.home.registry())?;
        // A registry that somebody deleted keeps the executor's id.
        let known = crate::store::cache::head(self.store.reader())?.and_then(|(_, id)| ExecId::parse(&id).ok());
        let id = match (exec_id, known) {
            (Some(id), _) => id.clone(),
            (None, Some(id)) => id,
            (None, None) => ExecId::from_random(random::bytes()?),
        };
        file::create(&self.home.registry(), &registry::initial(&id))?;
        let event = events::NewEvent {
            job: None,
            task: None,
            states: None,
            cause: "initialized",
            data: serde_json::json!({ "exec_id": id.as_str() }),
        };
        self.store.write(Durability::Flushed, |tx| events::record(tx, &event, crate::process::clock::now()))?;
        Ok(true)
    }

    /// The folder.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Makes what this command committed survive a power cut. To be called after the answer, before the end.
    pub fn flush(&mut self) -> Result<(), ExecutorError> {
        Ok(self.store.flush()?)
    }

    /// Where this process runs.
    fn here(&self) -> &Place {
        self.here.get_or_init(identity::here)
    }

    /// Whether a supervisor is there.
    pub fn is_supervised(&self) -> bool {
        crate::process::record::is_held(&self.home.supervisor_lock()).unwrap_or(false)
    }

    /// The name of a task as it is written in the registry, or, for one that is no longer there, in the database.
    pub fn resolve(&self, definitions: &Definitions, name: &TaskName) -> Result<TaskName, ExecutorError> {
        if let Some(task) = definitions.find(name) {
            return Ok(task.name.clone());
        }
        if let Some(row) = tasks::find(self.store.reader(), name)? {
            return Ok(row.name);
        }
        let known = definitions.tasks.iter().map(|task| task.name.as_str());
        Err(ExecutorError::NoSuchTask { name: name.clone(), nearest: nearest(name.as_str(), known).map(str::to_owned) })
    }
}
