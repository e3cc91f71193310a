//! The supervisor: wakes up, looks at the facts, decides by the rules of `domain`, has workers act.
//!
//! At most one for a folder. Killing it stops nothing that runs; the next one carries on from the facts. It sleeps
//! until something happens: the bell, the end of a process, a change of the registry, a moment that was worked out.

mod agenda;
mod appoint;
mod delivery;
mod detach;
mod diary;
mod front;
mod keeper;
mod post;
mod rounds;
mod schedules;
mod scripts;
mod slots;
mod staging;
mod stall;
mod told;
mod upkeep;
mod watched;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::domain::name::TaskName;
use crate::executor::{self, Afterwards, Asker, Executor, ExecutorError, Stopped};
use crate::home::Home;
use crate::home::bell::{Ear, Heard};
use crate::ledger::SUPERVISOR;
use crate::process::asking::ManyDescriptors;
use crate::process::clock;
use crate::process::environment::Inherited;
use crate::process::spawn::{POST_DOOR, SUPERVISOR_DOOR};
use crate::process::wait;
use crate::process::watch::{Alarm, Rang, WallAlarm, readable};
use crate::store::supervisor::Supervisor;

use keeper::{Event, Keeper};

pub use detach::detach;

/// How long a supervisor that has just begun is given to write down who it is, and the time between two looks.
const NAMES_ITSELF: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(5);

/// A moment that does not come: the year 2200, since 1970.
const FAR: Duration = Duration::from_hours(2_016_144);

/// How a supervisor is to work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Options {
    /// The longest that a broken task stays down, where the task does not say.
    pub sleep: Duration,
    /// How many queued jobs run at a time.
    #[serde(default = "one")]
    pub slots: u32,
    /// End when nothing runs or can still run by itself.
    pub until_idle: bool,
    /// Stop every task at the end.
    pub stop_tasks: bool,
    /// How much the diary says besides the usual.
    pub verbose: u8,
    /// `JOBEXEC_LOG`: what the diary says, by module.
    pub log: Option<String>,
}

fn one() -> u32 {
    1
}

/// Why there is no supervisor.
#[derive(Debug, Error)]
pub enum SupervisorError {
    /// There is one already.
    #[error("a supervisor of `{}` is running already: pid {}, since {}, started {}", folder.display(), first.pid, since(first), first.place)]
    Second {
        /// The folder.
        folder: PathBuf,
        /// The first one.
        first: Box<Supervisor>,
    },
    /// There is one already, and it has not written down who it is yet.
    #[error("a supervisor of `{}` is running already: {holder}", folder.display())]
    Unnamed {
        /// The folder.
        folder: PathBuf,
        /// What its lock says.
        holder: String,
    },
    /// Somebody has removed the folder, or put another in its place.
    #[error("the folder `{}` is gone, and with it what was known of its tasks{}", folder.display(), still_there(pids))]
    Gone {
        /// The folder.
        folder: PathBuf,
        /// What goes on running without anybody who watches it.
        pids: Vec<i32>,
    },
    /// The wish for the diary makes no sense.
    #[error("{0}")]
    Log(String),
    /// One in the background did not begin.
    #[error("the supervisor in the background did not begin: {0}")]
    Background(String),
    /// The executor refused something.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The system refused something.
    #[error("cannot {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
}

fn still_there(pids: &[i32]) -> String {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    if pids.is_empty() { String::new() } else { format!("; still running: pid {}", pids.join(", ")) }
}

fn since(supervisor: &Supervisor) -> String {
    let zone = jiff::tz::TimeZone::system();
    supervisor.since.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Goes through a private door of the supervisor's, if the first argument names one; the exit code of what was behind
/// it.
pub fn door(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    let first = args.nth(1)?;
    if first.as_bytes() == POST_DOOR.to_bytes() {
        return Some(post::post());
    }
    (first.as_bytes() == SUPERVISOR_DOOR.to_bytes()).then(|| detach::background(args))
}

/// Supervises a folder until somebody asks for the end; whether a job failed for good meanwhile.
pub fn run(folder: &Path, options: &Options, place: &str) -> Result<bool, SupervisorError> {
    supervise(folder, options, place, None)
}

/// As [`run`]; whoever waits for it to begin is told through `begun`.
fn supervise(folder: &Path, options: &Options, place: &str, begun: Option<OwnedFd>) -> Result<bool, SupervisorError> {
    let inherited = Inherited::capture();
    let filter = diary::filter(options.verbose, options.log.as_deref()).map_err(SupervisorError::Log)?;
    let mut executor = Executor::open(folder)?;
    let home = executor.home().clone();
    let Some(_lock) = executor.take_supervision()? else { return Err(second(&executor)?) };
    diary::begin(&home.supervisor_log(), begun.is_some(), filter);
    let system = |doing| move |source| SupervisorError::System { doing, source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(system("set up the event loop"))?;
    let signals = runtime.block_on(async { Signals::catch() }).map_err(system("catch signals"))?;
    // The exit of a script whose worker was killed comes to us.
    wait::become_subreaper().map_err(system("become the one that inherits orphans"))?;
    let _many = ManyDescriptors::allow();
    let supervisor = executor.begin_supervision(options.sleep, options.slots, place)?;
    if let Some(begun) = begun {
        detach::tell_begun(begun, supervisor.pid);
    }
    let asker = Asker { name: SUPERVISOR.to_owned(), job: None };
    let mut keeper = Keeper::new(executor, asker.clone(), inherited, options, supervisor.since)?;
    let why = runtime.block_on(night(&mut keeper, &home, options, signals)).map_err(system("wait for events"))?;
    drop(runtime);
    let flushed = keeper.end();
    let Some(why) = why else {
        return Err(SupervisorError::Gone { folder: home.root().to_path_buf(), pids: keeper.scripts_running() });
    };
    let failed = keeper.failed;
    let mut executor = keeper.executor;
    let stopped = if options.stop_tasks { stop_tasks(&mut executor, &asker) } else { Ok(()) };
    let told = executor.end_supervision(&supervisor);
    info!("{why}");
    flushed.and(stopped).and(told)?;
    Ok(failed)
}

/// The signals that matter to a supervisor. They are caught before anybody is told that it has begun.
struct Signals {
    children: Signal,
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they no longer end this process.
    fn catch() -> io::Result<Self> {
        Ok(Self {
            children: signal(SignalKind::child())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}

/// What to say to a second supervisor. The first one may be about to write down who it is.
fn second(executor: &Executor) -> Result<SupervisorError, ExecutorError> {
    let start = clock::since_boot();
    loop {
        let error = refusal(executor)?;
        let is_named = matches!(error, SupervisorError::Second { .. });
        if is_named || !executor.is_supervised() || clock::since_boot().saturating_sub(start) >= NAMES_ITSELF {
            return Ok(error);
        }
        std::thread::sleep(GLANCE);
    }
}

fn refusal(executor: &Executor) -> Result<SupervisorError, ExecutorError> {
    let folder = executor.home().root().to_path_buf();
    let holder = executor::holder(executor.home());
    let first = executor.supervisor()?.filter(|first| holder == format!("pid {}", first.pid));
    Ok(match first {
        Some(first) => SupervisorError::Second { folder, first: Box::new(first) },
        None => SupervisorError::Unnamed { folder, holder },
    })
}

/// Waits for events and hands them on, until the end is asked for; the sentence that says why, or `None` where the folder
/// is gone.
async fn night(keeper: &mut Keeper, home: &Home, options: &Options, signals: Signals) -> io::Result<Option<String>> {
    let identity = || fs::metadata(home.root()).map(|folder| (folder.dev(), folder.ino()));
    let folder = identity()?;
    let ear = Ear::open(home)?;
    let alarm = Alarm::new()?;
    let clock = WallAlarm::new()?;
    // Before any moment is planned: a clock that is set from here on is told of.
    clock.set(FAR)?;
    let bell = readable(&ear)?;
    let ends = readable(&keeper.watch)?;
    let files = readable(&keeper.scripts)?;
    let moments = readable(&alarm)?;
    let fires = readable(&clock)?;
    let Signals { mut children, mut hangup, mut interrupt, mut terminate } = signals;
    keeper.begin();
    loop {
        if options.until_idle && keeper.is_idle().unwrap_or(false) {
            return Ok(Some("nothing is left to do".to_owned()));
        }
        alarm.set(keeper.next_moment())?;
        // Set in any case: it tells when somebody sets the clock.
        if clock.set(keeper.next_fire().unwrap_or(FAR))? == Rang::ClockSet {
            keeper.handle(Event::ClockSet);
            continue;
        }
        let event = tokio::select! {
            heard = hear(&bell, &ear), if !keeper.is_resting() => {
                let heard = heard?;
                if heard.registry {
                    keeper.handle(Event::RegistryChanged);
                }
                if !heard.bell {
                    continue;
                }
                Event::Rang
            }
            woken = clear(&ends) => woken.map(|()| Event::ProcessEnded)?,
            woken = clear(&files) => woken.map(|()| Event::ScriptChanged)?,
            woken = clear(&moments) => woken.map(|()| Event::MomentCame)?,
            woken = clear(&fires) => {
                woken?;
                match clock.rang()? {
                    Rang::Moment => Event::FireMomentCame,
                    Rang::ClockSet => Event::ClockSet,
                    Rang::Nothing => continue,
                }
            }
            _ = children.recv() => Event::ChildEnded,
            _ = hangup.recv() => Event::ReadAnew,
            _ = interrupt.recv() => return Ok(Some(goodbye(keeper, options, "interrupted"))),
            _ = terminate.recv() => return Ok(Some(goodbye(keeper, options, "asked to end"))),
        };
        // Before anything is concluded from what is no longer there.
        if identity().map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |found| found != folder) {
            return Ok(None);
        }
        keeper.handle(event);
    }
}

/// Waits until there is something to read; it has to be read afterwards.
async fn clear(fd: &AsyncFd<OwnedFd>) -> io::Result<()> {
    fd.readable().await?.clear_ready();
    Ok(())
}

async fn hear(bell: &AsyncFd<OwnedFd>, ear: &Ear) -> io::Result<Heard> {
    clear(bell).await?;
    ear.listen()
}

fn goodbye(keeper: &Keeper, options: &Options, why: &str) -> String {
    let running = keeper.running();
    match (running, options.stop_tasks) {
        (0, _) | (_, true) => why.to_owned(),
        (1, false) => format!("{why}; 1 task goes on running, and is not started again until there is a supervisor"),
        (_, false) => {
            format!("{why}; {running} tasks go on running, and are not started again until there is a supervisor")
        }
    }
}

/// Stops everything that runs. It stays wanted: the next supervisor brings it back.
fn stop_tasks(executor: &mut Executor, asker: &Asker) -> Result<(), ExecutorError> {
    let definitions = executor.definitions()?;
    let statuses = executor.status(&definitions, None, false)?;
    let names: Vec<TaskName> =
        statuses.into_iter().filter(|status| status.live.is_some()).map(|status| status.name).collect();
    info!("stopping {} tasks", names.len());
    for (name, stopped) in executor.stop(&names, Afterwards::Restart, asker, &mut |text| info!("{text}"))? {
        match stopped {
            Stopped::Ended(reason) => info!("{name} ended: {reason}"),
            Stopped::NotRunning(_) => {}
            Stopped::Elsewhere => warn!("{name} runs on another machine or in another container; stop it there"),
            Stopped::Left(pids) => warn!("{name} has not ended yet; still there: pid {pids:?}"),
        }
    }
    Ok(())
}
