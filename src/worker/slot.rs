//! A slot of the queue: one job after another, for as long as there are any and a supervisor wants them run.
//!
//! One transaction records the end of one job and claims the next. What happens in between stands in the slot's record,
//! which is not begun anew before the end that it tells of has been committed.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::domain::causes::in_one_line;
use crate::domain::evidence::{Ended, Entry, Place, Record};
use crate::domain::name::RunId;
use crate::domain::outcome::Outcome;
use crate::domain::params;
use crate::domain::resources::Found;
use crate::domain::task::{Program, Task};
use crate::home::Home;
use crate::home::bell::Ear;
use crate::ledger::hooks::words;
use crate::ledger::queue::Claimed;
use crate::ledger::{Ledger, LedgerError};
use crate::process::environment::{self, Inherited, RunTags};
use crate::process::launch::prepare;
use crate::process::record::is_held;
use crate::process::spawn::{self, Script};
use crate::process::usage::MemoryKills;
use crate::process::wait::{Woken, since};
use crate::process::{clock, identity, machine, random};
use crate::store::runs::Kind;
use crate::store::{Durability, Store, StoreError, cache, jobs, queue, runs, supervisor};

use super::run::{Prepared, shortened, spawn_in_wd};
use super::watch::{Limits, Owner, Watch};

/// How long a worker with nothing to claim waits for more.
const IDLE: Duration = Duration::from_secs(10);

/// What is committed survives a power cut after this at the latest.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// How soon the database is tried again that could not be written.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How many definitions and environments are kept at hand.
const AT_HAND: usize = 64;

/// A run that has ended and is not in the database yet.
struct Done {
    run: RunId,
    record: Record,
    end: Ended,
}

/// What one transaction came to.
enum Turn {
    /// There is a job to run.
    Claimed(Box<Claimed>),
    /// There is none.
    Nothing,
    /// Nobody wants this slot any more.
    Leave,
}

/// What jobs inherit.
struct Surroundings {
    inherited: Inherited,
    /// Whether umask and limits are those of this process.
    ours: bool,
}

/// One slot of the queue, and the process that works in it.
pub(super) struct Slot {
    number: u32,
    home: Home,
    store: Store,
    ear: Ear,
    prepared: Prepared,
    here: Place,
    exec_id: String,
    /// What this machine has.
    found: Found,
    memory_kills: MemoryKills,
    definitions: HashMap<i64, Rc<Task>>,
    environments: HashMap<i64, Rc<Surroundings>>,
    /// Since when something is committed and not flushed.
    unflushed: Option<Duration>,
}

impl Slot {
    /// Opens the folder.
    pub(super) fn open(folder: &Path, number: u32, mut prepared: Prepared) -> Result<Self, String> {
        let ours = |error: &dyn std::error::Error| in_one_line(error);
        let home = Home::open(folder).map_err(|error| ours(&error))?.ok_or("the folder is gone")?;
        let store = Store::create(&home).map_err(|error| ours(&error))?;
        // The supervisor does that.
        store.checkpoint_by_hand().map_err(|error| ours(&error))?;
        let ear = Ear::of_bell(&home).map_err(|error| ours(&error))?;
        let here = identity::here();
        // A job that is claimed and not begun is known as such by a record that tells of another run, or of none.
        if prepared.record.is_empty() {
            let run = RunId::from_random(random::bytes().map_err(|error| ours(&error))?);
            let none = Entry::Prepared { run, place: here.clone() };
            prepared.record.begin(&none).map_err(|error| ours(&error))?;
        }
        let exec_id = cache::head(store.reader()).map_err(|error| ours(&error))?.map(|(_, id)| id).unwrap_or_default();
        Ok(Self {
            number,
            home,
            store,
            ear,
            prepared,
            here,
            exec_id,
            found: machine::detect(),
            memory_kills: MemoryKills::default(),
            definitions: HashMap::new(),
            environments: HashMap::new(),
            unflushed: None,
        })
    }

    /// Works until nothing more is to be done; the exit code.
    pub(super) fn work(mut self) -> u8 {
        let mut done = None;
        let mut idle_since = clock::since_boot();
        loop {
            let _ = self.ear.heard();
            let run = random::bytes().map(RunId::from_random);
            let turn =
                run.map_err(|_| ()).and_then(|run| self.turn(&mut done, run).map(|turn| (run, turn)).map_err(|_| ()));
            match turn {
                Ok((run, Turn::Claimed(claimed))) => {
                    done = Some(self.run(&claimed, run));
                    idle_since = clock::since_boot();
                }
                Ok((_, Turn::Leave)) => break,
                Ok((_, Turn::Nothing)) => {
                    let left = IDLE.saturating_sub(since(idle_since));
                    if left.is_zero() || !self.rest(left) {
                        break;
                    }
                }
                // A full disk, most likely: what has ended stays on record, and nothing is claimed.
                Err(()) => {
                    if !self.rest(TRY_AGAIN) {
                        return 1;
                    }
                }
            }
        }
        u8::from(self.store.flush().is_err())
    }

    /// Waits for the bell, or for the moment of a job that waits for one; whether to go on.
    fn rest(&mut self, longest: Duration) -> bool {
        self.flush_if_due(Duration::ZERO);
        let moment = queue::next_moment(self.store.reader()).ok().flatten();
        let until = moment.map(|at| Duration::try_from(at.duration_since(clock::now())).unwrap_or(Duration::ZERO));
        let longest = until.map_or(longest, |until| until.clamp(Duration::from_millis(1), longest));
        match self.prepared.waiter.wait_or_hear(Some(self.ear.as_fd()), Some(longest)) {
            // The session ends. Another number was meant for a run that has ended.
            Ok(Woken::Term(None)) | Err(_) => false,
            Ok(Woken::Term(Some(_)) | Woken::Int(_) | Woken::Child | Woken::Time | Woken::Heard | Woken::Pause) => true,
        }
    }

    fn flush_if_due(&mut self, after: Duration) {
        if self.unflushed.is_some_and(|from| since(from) >= after) && self.store.flush().is_ok() {
            self.unflushed = None;
        }
    }

    /// Records the end of the last run and claims the next job, if there is one and somebody wants it run.
    fn turn(&mut self, done: &mut Option<Done>, run: RunId) -> Result<Turn, LedgerError> {
        let wanted = self.is_wanted()?;
        if done.is_none() {
            if !wanted {
                return Ok(Turn::Leave);
            }
            // Only a look: whoever writes rings the bell.
            if !queue::has_work(self.store.reader(), clock::now())? {
                return Ok(Turn::Nothing);
            }
        }
        let (home, now, number, found) = (&self.home, clock::now(), self.number, self.found);
        let claimed = self.store.write_patiently(Durability::Committed, Duration::MAX, |tx| {
            let ledger = Ledger { tx, home, now };
            if let Some(done) = &*done {
                settle(&ledger, done)?;
            }
            if wanted { ledger.claim_next(number, run, found) } else { Ok(None) }
        })?;
        *done = None;
        self.unflushed.get_or_insert(clock::since_boot());
        self.flush_if_due(FLUSH_AFTER);
        Ok(match claimed {
            Some(claimed) => Turn::Claimed(Box::new(claimed)),
            None if wanted => Turn::Nothing,
            None => Turn::Leave,
        })
    }

    /// Without a supervisor nothing new is started, nor in a slot that it no longer has.
    fn is_wanted(&self) -> Result<bool, StoreError> {
        let slots = supervisor::last(self.store.reader())?.map_or(0, |supervisor| supervisor.slots);
        Ok(self.number < slots && is_held(&self.home.supervisor_lock()).unwrap_or(false))
    }

    /// Runs what was claimed until nothing of it is left.
    fn run(&mut self, claimed: &Claimed, run: RunId) -> Done {
        let mut record = Record::default();
        let end = self.begin(claimed, run, &mut record).unwrap_or_else(|error| {
            let outcome = Outcome::CouldNotStart { error: shortened(&error) };
            let end = Ended { time: Some(clock::now()), lasted: Some(0), ..Ended::unseen(outcome) };
            let entry = Entry::Ended { outcome: end.outcome.clone(), time: clock::now(), lasted: 0, cpu: 0, memory: 0 };
            let _ = self.prepared.record.append(&entry);
            end
        });
        Done { run, record, end }
    }

    fn begin(&mut self, claimed: &Claimed, run: RunId, record: &mut Record) -> Result<Ended, String> {
        let ours = |error: &dyn std::error::Error| in_one_line(error);
        self.write(record, Entry::Prepared { run, place: self.here.clone() })?;
        let task = self.definition(claimed.job.definition).map_err(|error| ours(&error))?;
        let values = claimed.given.words().map_err(|error| ours(&error))?;
        let task = params::of_job(&task, &values).map_err(|error| ours(&error))?;
        let directory = self.home.job_directory(claimed.job.id);
        let workdir = claimed.given.workdir.as_ref().map(|path| self.home.jobs().join(path));
        let around = self.surroundings(claimed.job.environment).map_err(|error| ours(&error))?;
        let hook = (claimed.kind != Kind::Main).then_some(claimed.kind);
        let task = match hook {
            Some(kind) => {
                let place = workdir.as_ref().unwrap_or(&directory);
                make_directory(place)?;
                Cow::Owned(as_hook(&task, kind, place))
            }
            None => task,
        };
        let (plan, mut variables) = prepare(&task, &around.inherited).map_err(|error| ours(&error))?;
        let tags = RunTags {
            exec_id: &self.exec_id,
            folder: self.home.root(),
            task: claimed.given.task.as_deref().unwrap_or_default(),
            job: claimed.job.id,
            attempt: claimed.attempt,
            run: Some(run),
            run_name: claimed.given.run_name.as_deref().unwrap_or_default(),
            workdir: workdir.as_ref().unwrap_or(&directory),
        };
        tags.lay_over(&mut variables);
        if let Some(kind) = hook {
            variables.extend(told_to_hook(claimed, kind).map(|(key, value)| (key.into(), value.into())));
        }
        let ours = claimed.holds.env().into_iter().chain(threads(&task));
        for (name, value) in ours.filter(|(name, _)| !task.env.contains_key(name)) {
            variables.insert(name.into(), value.into());
        }
        if let Some(workdir) = &workdir {
            make_directory(workdir)?;
        }
        let path = claimed.given.keeps_output.then(|| directory.join(&claimed.output));
        let (output, inode) = open_output(path.as_deref())?;
        self.write(record, Entry::Starting { worker: self.prepared.worker, output: inode })?;
        let words = |all: &[Vec<u8>]| -> Result<Vec<CString>, String> {
            all.iter().map(|word| CString::new(word.as_slice()).map_err(|error| error.to_string())).collect()
        };
        let argv: Vec<Vec<u8>> = plan.argv.iter().map(|word| word.as_bytes().to_vec()).collect();
        let (argv, env) = (words(&argv)?, words(&environment::assignments(&variables))?);
        let program = CString::new(plan.program.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        let script = Script {
            program: &program,
            argv: &argv.iter().map(CString::as_c_str).collect::<Vec<_>>(),
            env: &env.iter().map(CString::as_c_str).collect::<Vec<_>>(),
            output: None,
            surroundings: (!around.ours).then_some((around.inherited.umask, &around.inherited.limits)),
        };
        let start = clock::since_boot();
        let wd = workdir.as_deref().filter(|_| hook.is_none()).unwrap_or(&task.wd);
        let pid = spawn_in_wd(wd, &script, &output)?;
        drop(output);
        if let Ok(script) = identity::identify(pid) {
            let _ = self.write(record, Entry::Started { script, time: clock::now() });
        }
        let limits = Limits {
            number: run.low64(),
            timeout: task.timeout,
            stop: task.stop.clone(),
            memory_kills: self.memory_kills.before(),
        };
        let Prepared { record: file, waiter, .. } = &mut self.prepared;
        let log = self.unflushed.map(|_| self.home.write_ahead_log());
        let mut watch = Watch::new(pid, limits, start, file, waiter, Owner::Slot(log));
        let ended = watch.until_empty();
        if watch.is_log_flushed() {
            self.unflushed = None;
        }
        if let Some(path) = path {
            remove_if_empty(&path);
        }
        ended.map_err(|error| format!("its end cannot be waited for: {error}"))
    }

    fn write(&mut self, record: &mut Record, entry: Entry) -> Result<(), String> {
        let file = &mut self.prepared.record;
        let is_first = matches!(entry, Entry::Prepared { .. });
        let written = if is_first { file.begin(&entry) } else { file.append(&entry) };
        record.add(entry);
        written.map_err(|error| in_one_line(&error))
    }

    fn definition(&mut self, place: i64) -> Result<Rc<Task>, StoreError> {
        if let Some(task) = self.definitions.get(&place) {
            return Ok(Rc::clone(task));
        }
        let task = Rc::new(jobs::definition_at(self.store.reader(), place)?);
        keep(&mut self.definitions, place, &task);
        Ok(task)
    }

    fn surroundings(&mut self, place: i64) -> Result<Rc<Surroundings>, LedgerError> {
        if let Some(around) = self.environments.get(&place) {
            return Ok(Rc::clone(around));
        }
        let bytes = jobs::environment_at(self.store.reader(), place)?;
        let decoded = Inherited::decode(&bytes);
        let decoded = decoded.map_err(|error| StoreError::Impossible(format!("environment {place}: {error}")))?;
        let ours = spawn::is_ours(decoded.umask, &decoded.limits);
        let around = Rc::new(Surroundings { inherited: decoded, ours });
        keep(&mut self.environments, place, &around);
        Ok(around)
    }
}

fn keep<T>(at_hand: &mut HashMap<i64, Rc<T>>, place: i64, it: &Rc<T>) {
    if at_hand.len() >= AT_HAND {
        at_hand.clear();
    }
    at_hand.insert(place, Rc::clone(it));
}

/// Records the end of a run, unless the database says something impossible about it: that must not keep the slot from
/// its next job.
fn settle(ledger: &Ledger<'_>, done: &Done) -> Result<(), LedgerError> {
    let Some(row) = runs::find(ledger.tx, done.run)?.filter(|row| row.outcome.is_none()) else { return Ok(()) };
    match ledger.settle(&row, &done.record, &done.end) {
        Err(LedgerError::Store(StoreError::Impossible(_))) => Ok(()),
        other => other,
    }
}

/// A hook of a task, as something to run: in the job's work directory, with its own limit.
fn as_hook(task: &Task, kind: Kind, workdir: &Path) -> Task {
    Task {
        program: Program::Command(words(task, kind).to_vec()),
        args: Vec::new(),
        interpreter: None,
        preamble: None,
        wd: workdir.to_path_buf(),
        timeout: Some(task.hooks.timeout),
        ..task.clone()
    }
}

/// What a hook is told besides: which it is, and how the run before it ended.
fn told_to_hook(claimed: &Claimed, kind: Kind) -> [(&'static str, String); 4] {
    let (job, given) = (&claimed.job, &claimed.given);
    [
        ("JOBEXEC_HOOK", kind.as_str().to_owned()),
        ("JOBEXEC_STATE", job.state.to_string()),
        ("JOBEXEC_REASON", job.reason.clone().unwrap_or_default()),
        ("JOBEXEC_EXIT_CODE", given.exit_code.map(|code| code.to_string()).unwrap_or_default()),
    ]
}

/// How many threads the script is told to use.
fn threads(task: &Task) -> BTreeMap<String, String> {
    task.resources.demand(Vec::<String>::new(), None).map(|demand| demand.env).unwrap_or_default()
}

/// The file that a run's output goes to, and its inode; nothing is kept without a path.
fn open_output(path: Option<&Path>) -> Result<(File, u64), String> {
    let failed =
        |path: &Path, error: &io::Error| format!("cannot create the output file `{}`: {error}", path.display());
    let Some(path) = path else {
        let null = PathBuf::from("/dev/null");
        let file = OpenOptions::new().write(true).open(&null).map_err(|error| failed(&null, &error))?;
        return Ok((file, 0));
    };
    if let Some(directory) = path.parent() {
        make_directory(directory)?;
    }
    // A worker that was killed right here has left one behind for an attempt that does not count.
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let file = file.map_err(|error| failed(path, &error))?;
    let inode = file.metadata().map_err(|error| failed(path, &error))?.ino();
    Ok((file, inode))
}

fn make_directory(path: &Path) -> Result<(), String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| format!("cannot make the directory `{}`: {error}", path.display()))
}

/// A job's directory is there only where something went in.
fn remove_if_empty(path: &Path) {
    if fs::metadata(path).is_ok_and(|found| found.len() == 0) {
        let _ = fs::remove_file(path);
        let _ = path.parent().map(fs::remove_dir);
    }
}
