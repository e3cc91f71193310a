//! What a slot is to run for a job that it has claimed, looked up and put together.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::ffi::{CStr, CString, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::domain::causes::in_one_line;
use crate::domain::params;
use crate::domain::task::{StopSequence, Task};
use crate::ledger::hooks;
use crate::ledger::queue::Claimed;
use crate::process::environment::{self, Inherited, RunTags};
use crate::process::launch::prepare;
use crate::process::spawn::{self, Script};
use crate::store::runs::Kind;
use crate::store::{StoreError, jobs};

use super::Slot;
use crate::worker::run::spawn_in_wd;

/// How many definitions and environments are kept at hand.
const AT_HAND: usize = 64;

/// What jobs inherit.
struct Surroundings {
    inherited: Inherited,
    /// Whether umask and limits are those of this process.
    ours: bool,
}

/// What the last jobs were made from: the next ones often are, too.
#[derive(Default)]
pub(super) struct AtHand {
    definitions: HashMap<i64, Rc<Task>>,
    environments: HashMap<i64, Rc<Surroundings>>,
}

/// A script with all that is needed to spawn it and to see it to its end.
pub(super) struct Launch {
    program: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    around: Rc<Surroundings>,
    wd: PathBuf,
    /// Where its output goes; none where nothing is kept.
    pub(super) output: Option<PathBuf>,
    /// The longest that it may last.
    pub(super) timeout: Option<Duration>,
    /// How it is stopped.
    pub(super) stop: StopSequence,
}

impl Launch {
    /// Begins it; its pid.
    pub(super) fn spawn(&self, output: &File) -> Result<i32, String> {
        let script = Script {
            program: &self.program,
            argv: &words(&self.argv),
            env: &words(&self.env),
            output: None,
            surroundings: (!self.around.ours).then_some((self.around.inherited.umask, &self.around.inherited.limits)),
        };
        spawn_in_wd(&self.wd, &script, output)
    }
}

impl Slot {
    /// Looks up what was claimed, and makes the directory that it is to run in.
    pub(super) fn launch(&mut self, claimed: &Claimed) -> Result<Launch, String> {
        let Claimed { run, job, given, kind, .. } = claimed;
        let definition = self.definition(job.definition).map_err(in_words)?;
        let around = self.surroundings(job.environment).map_err(in_words)?;
        let values = given.words().map_err(in_words)?;
        let mut task = params::of_job(&definition, &values).map_err(in_words)?;
        let directory = self.books.home().job_directory(job.id);
        let chosen = given.workdir.as_ref().map(|path| self.books.home().jobs().join(path));
        let workdir = chosen.as_ref().unwrap_or(&directory);
        let is_hook = *kind != Kind::Main;
        if is_hook || chosen.is_some() {
            make_directory(workdir)?;
        }
        if is_hook {
            task = Cow::Owned(hooks::as_task(&task, *kind, workdir));
        }
        let (plan, mut variables) = prepare(&task, &around.inherited).map_err(in_words)?;
        let tags = RunTags {
            exec_id: &self.exec_id,
            folder: self.books.home().root(),
            task: given.task.as_deref().unwrap_or_default(),
            job: job.id,
            attempt: claimed.attempt,
            run: Some(*run),
            run_name: given.run_name.as_deref().unwrap_or_default(),
            workdir,
        };
        tags.lay_over(&mut variables);
        if is_hook {
            let told = hooks::told(job, given.exit_code, *kind);
            variables.extend(told.map(|(key, value)| (key.into(), value.into())));
        }
        let of_machine = claimed.holds.env().into_iter().chain(threads(&task));
        for (name, value) in of_machine.filter(|(name, _)| !task.env.contains_key(name)) {
            variables.insert(name.into(), value.into());
        }
        Ok(Launch {
            program: word(plan.program.into_os_string())?,
            argv: plan.argv.into_iter().map(word).collect::<Result<_, _>>()?,
            env: environment::assignments(&variables).into_iter().map(word_of_bytes).collect::<Result<_, _>>()?,
            around,
            wd: chosen.unwrap_or_else(|| task.wd.clone()),
            output: given.keeps_output.then(|| directory.join(&claimed.output)),
            timeout: task.timeout,
            stop: task.stop.clone(),
        })
    }

    fn definition(&mut self, place: i64) -> Result<Rc<Task>, StoreError> {
        if let Some(task) = self.at_hand.definitions.get(&place) {
            return Ok(Rc::clone(task));
        }
        let task = Rc::new(jobs::definition_at(self.books.store().reader(), place)?);
        keep(&mut self.at_hand.definitions, place, &task);
        Ok(task)
    }

    fn surroundings(&mut self, place: i64) -> Result<Rc<Surroundings>, StoreError> {
        if let Some(around) = self.at_hand.environments.get(&place) {
            return Ok(Rc::clone(around));
        }
        let bytes = jobs::environment_at(self.books.store().reader(), place)?;
        let inherited = Inherited::decode(&bytes)
            .map_err(|error| StoreError::Impossible(format!("environment {place}: {error}")))?;
        let ours = spawn::is_ours(inherited.umask, &inherited.limits);
        let around = Rc::new(Surroundings { inherited, ours });
        keep(&mut self.at_hand.environments, place, &around);
        Ok(around)
    }
}

fn words(all: &[CString]) -> Vec<&CStr> {
    all.iter().map(CString::as_c_str).collect()
}

fn keep<T>(at_hand: &mut HashMap<i64, Rc<T>>, place: i64, it: &Rc<T>) {
    if at_hand.len() >= AT_HAND {
        at_hand.clear();
    }
    at_hand.insert(place, Rc::clone(it));
}

fn in_words(error: impl Error) -> String {
    in_one_line(&error)
}

fn word(text: OsString) -> Result<CString, String> {
    word_of_bytes(text.into_vec())
}

fn word_of_bytes(text: Vec<u8>) -> Result<CString, String> {
    CString::new(text).map_err(in_words)
}

/// How many threads the script is told to use.
fn threads(task: &Task) -> BTreeMap<String, String> {
    task.resources.demand(Vec::<String>::new(), None).map(|demand| demand.env).unwrap_or_default()
}

/// The file that a run's output goes to, and its inode; nothing is kept without a path.
pub(super) fn open_output(path: Option<&Path>) -> Result<(File, u64), String> {
    let null = Path::new("/dev/null");
    let failed =
        |error: io::Error| format!("cannot create the output file `{}`: {error}", path.unwrap_or(null).display());
    let Some(path) = path else {
        return Ok((OpenOptions::new().write(true).open(null).map_err(failed)?, 0));
    };
    if let Some(directory) = path.parent() {
        make_directory(directory)?;
    }
    // A worker that was killed right here has left one behind for an attempt that does not count.
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(failed)?;
    let inode = file.metadata().map_err(failed)?.ino();
    Ok((file, inode))
}

fn make_directory(path: &Path) -> Result<(), String> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| format!("cannot make the directory `{}`: {error}", path.display()))
}

/// A job's directory is there only where something went in.
pub(super) fn remove_if_empty(path: &Path) {
    if fs::metadata(path).is_ok_and(|found| found.len() == 0) {
        let _ = fs::remove_file(path);
        let _ = path.parent().map(fs::remove_dir);
    }
}
