//! Transferring: what is due for a job, one item after another, behind a private door of our binary.
//!
//! What arrives is put together under a name of its own beside where it is to be, and renamed when it is whole. So a
//! transfer may be killed at any moment and begun again; what has its final name is never half of something. How each
//! item stands is written into the database before it is begun and when it has ended; when one is tried again is decided
//! there and by the supervisor, which know nothing of how anything is transferred.

mod error;
mod farewell;
mod local;
mod nest;
mod rsync;
mod web;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::domain::causes::in_one_line;
use crate::domain::item::{Item, ItemState, Standing, standing, wait};
use crate::domain::name::JobId;
use crate::domain::remote::Remote;
use crate::domain::transfer::Direction;
use crate::home::Home;
use crate::ledger::transfers::{DONE, FAILED, LATER};
use crate::process::clock;
use crate::process::spawn::STAGE_DOOR;
use crate::store::{Durability, Store, StoreError, items, queue};

use error::TransferError;
use farewell::Current;
use nest::Nest;

/// The exit code where nothing could even be looked at; whoever settles the run tries again.
const NOTHING: u8 = 2;

/// Goes through the private door, if the first argument names it; the exit code of what was behind it.
pub fn door(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    let first = args.nth(1)?;
    (first.as_bytes() == STAGE_DOOR.to_bytes()).then(|| {
        let (folder, job, direction) = (args.next(), args.next(), args.next());
        let job = job.and_then(|job| job.to_str()?.parse().ok()).map(JobId);
        let direction = direction.and_then(|word| Direction::ALL.into_iter().find(|it| word == it.as_str()));
        let (Some(folder), Some(job), Some(direction)) = (folder, job, direction) else { return NOTHING };
        Batch::open(Path::new(&folder), job, direction).and_then(|mut batch| batch.work()).unwrap_or_else(|error| {
            say(&error);
            NOTHING
        })
    })
}

/// The output of a run of its own.
#[expect(clippy::print_stdout, reason = "the output of a run of its own")]
fn say(line: &str) {
    println!("{line}");
}

/// What is due for one job in one direction.
struct Batch {
    home: Home,
    store: Store,
    job: JobId,
    direction: Direction,
    workdir: PathBuf,
    current: Current,
}

impl Batch {
    fn open(folder: &Path, job: JobId, direction: Direction) -> Result<Self, String> {
        let ours = |error: &dyn std::error::Error| in_one_line(error);
        let home = Home::open(folder).map_err(|error| ours(&error))?.ok_or("the folder is gone")?;
        let store = Store::create(&home).map_err(|error| ours(&error))?;
        let given = queue::given(store.reader(), job).map_err(|error| ours(&error))?;
        let workdir = given.workdir.map_or_else(|| home.job_directory(job), |path| home.jobs().join(path));
        let current = Current::default();
        farewell::listen(&current).map_err(|error| ours(&error))?;
        Ok(Self { home, store, job, direction, workdir, current })
    }

    /// Transfers one item after the other; the exit code.
    fn work(&mut self) -> Result<u8, String> {
        for item in self.due().map_err(|error| in_one_line(&error))? {
            let failed = self.attempt(&item).map_err(|error| in_one_line(&error))?;
            // The job will not run: what else it would have been brought is no use.
            if failed && item.required && self.direction == Direction::In {
                break;
            }
        }
        let all = self.items().map_err(|error| in_one_line(&error))?;
        self.store.flush().map_err(|error| in_one_line(&error))?;
        Ok(match standing(&all, self.direction) {
            Standing::Done => DONE,
            Standing::Failed(..) => FAILED,
            Standing::Open(_) => LATER,
        })
    }

    fn items(&self) -> Result<Vec<Item>, StoreError> {
        let all = items::of_job(self.store.reader(), self.job)?;
        Ok(all.into_iter().filter(|item| item.direction == self.direction).collect())
    }

    fn due(&self) -> Result<Vec<Item>, StoreError> {
        let now = clock::now();
        let is_due =
            |item: &Item| item.state == ItemState::Pending && item.not_before.is_none_or(|moment| moment <= now);
        Ok(self.items()?.into_iter().filter(is_due).collect())
    }

    /// Transfers one item, and records what became of that; whether it has failed for good.
    fn attempt(&mut self, item: &Item) -> Result<bool, StoreError> {
        let (job, name) = (self.job, &item.name);
        self.store.write(Durability::Committed, |tx| items::begin(tx, job, name))?;
        let transferred = self.transfer(item);
        self.current.set(None);
        match transferred {
            Ok(bytes) => {
                let size = bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
                say(&format!("{name}: done{size}"));
                self.store.write(Durability::Committed, |tx| items::done(tx, job, name, bytes))?;
                Ok(false)
            }
            Err(error) => {
                let text = in_one_line(&error);
                let wait = if error.is_permanent() { None } else { wait(item.attempts + 1) };
                let again = wait.and_then(|wait| clock::now().checked_add(wait).ok());
                let then = wait.map_or("failed for good".to_owned(), |wait| format!("again in {} s", wait.as_secs()));
                say(&format!("{name}: {text} ({then})"));
                self.store.write(Durability::Committed, |tx| items::fail(tx, job, name, &text, again))?;
                Ok(again.is_none())
            }
        }
    }

    /// Transfers one item; how many bytes that was, where it is known.
    fn transfer(&self, item: &Item) -> Result<Option<u64>, TransferError> {
        let remote = Remote::parse(&item.remote, Path::new("/")).map_err(TransferError::Remote)?;
        let own = if item.local == "." { self.workdir.clone() } else { self.workdir.join(&item.local) };
        match self.direction {
            Direction::In => {
                let target = match (item.local.as_str(), remote.name()) {
                    (".", Some(name)) => self.workdir.join(name),
                    (_, _) => own,
                };
                self.bring_in(item, &remote, &target)
            }
            Direction::Out => self.take_out(item, &own, &remote),
        }
    }

    fn bring_in(&self, item: &Item, remote: &Remote, target: &Path) -> Result<Option<u64>, TransferError> {
        let keeps = matches!(remote, Remote::Host { .. });
        let mut nest = self.nest(item, target, keeps)?;
        let (payload, bytes) = match remote {
            Remote::Local(path) => {
                let payload = nest.payload();
                (payload.clone(), local::bring(Path::new(path), &payload, item)?)
            }
            Remote::Web(url) => {
                let payload = nest.payload();
                (payload.clone(), Some(web::fetch(url, &payload)?))
            }
            Remote::Host { host, path } => {
                let payload = rsync::bring(host, path, nest.path(), item.recursive).inspect_err(|error| {
                    if error.is_permanent() || wait(item.attempts + 1).is_none() {
                        nest.give_up();
                    }
                })?;
                let bytes = local::size(&payload);
                (payload, bytes)
            }
        };
        nest.settle(&payload)?;
        Ok(bytes)
    }

    fn take_out(&self, item: &Item, source: &Path, remote: &Remote) -> Result<Option<u64>, TransferError> {
        match remote {
            Remote::Local(path) => {
                let target = match source.file_name() {
                    Some(name) if remote.is_into() => Path::new(path).join(name),
                    Some(_) | None => PathBuf::from(path),
                };
                let nest = self.nest(item, &target, false)?;
                let payload = nest.payload();
                let bytes = local::bring(source, &payload, item)?;
                nest.settle(&payload)?;
                Ok(bytes)
            }
            Remote::Host { host, path } => {
                let bytes = local::size(source);
                rsync::take(source, host, path, item.recursive)?;
                Ok(bytes)
            }
            Remote::Web(_) => Err(TransferError::Unwritable(remote.shown())),
        }
    }

    fn nest(&self, item: &Item, target: &Path, keeps: bool) -> Result<Nest, TransferError> {
        let nest = Nest::make(target, &self.tag(item), keeps)?;
        self.current.set(Some(nest.path().to_path_buf()));
        Ok(nest)
    }

    /// What tells the half-finished things of one item from those of all others, in other folders too.
    fn tag(&self, item: &Item) -> String {
        let folder = crc32fast::hash(self.home.root().as_os_str().as_bytes());
        format!("{folder:08x}-{}-{}", self.job, item.name)
    }
}
