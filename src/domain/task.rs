//! A task as the registry defines it: every field read, checked and with its default filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amount::{duration_text, optional_duration_text};
use super::group::Label;
use super::hooks::{Hooks, Preamble};
use super::name::TaskName;
use super::notice::Notify;
use super::params::Param;
use super::resources::Resources;
use super::restart::{Backoff, Window};
use super::schedule::Policy;
use super::signal::Signal;
use super::transfer::Transfer;

/// How long a stopped script has to end by itself before it is killed, when its task does not say.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// How many archived outputs of a task are kept, when its task does not say.
pub const DEFAULT_KEEP: u32 = 100;

/// One task: a named definition in the registry.
///
/// Its serde form (JSON) is how a job keeps the definition that it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its name.
    pub name: TaskName,
    /// What is run.
    pub program: Program,
    /// Arguments after the script or command; empty for a shell line.
    pub args: Vec<String>,
    /// The program (and its own arguments) that a script is handed to, instead of what its first bytes say.
    pub interpreter: Option<Vec<String>>,
    /// The working directory, absolute.
    pub wd: PathBuf,
    /// Variables set for the script.
    pub env: BTreeMap<String, String>,
    /// A file of further variables, read at each run; a relative path is found from `wd`. Its values are secrets.
    pub env_file: Option<PathBuf>,
    /// What the supervisor does when the task is wanted and not running.
    pub restart: Restart,
    /// When it fires by itself, if it does.
    pub schedule: Schedule,
    /// Whether schedules may fire it.
    pub enabled: bool,
    /// The longest that one run may last.
    #[serde(with = "optional_duration_text")]
    pub timeout: Option<Duration>,
    /// Automatic retries of a job; unset means none after an error and 3 after a time-out.
    pub retries: Option<u32>,
    /// How long it waits before it is started again.
    #[serde(default)]
    pub backoff: Backoff,
    /// When it is no longer started again: after so many failures within so long. Unset, never.
    #[serde(default)]
    pub give_up: Option<Window>,
    /// What is done when it runs and shows no sign of life.
    #[serde(default)]
    pub stall: Option<Stall>,
    /// Whom it tells of what.
    #[serde(default)]
    pub notify: Notify,
    /// How a run is stopped.
    pub stop: StopSequence,
    /// What happens to old output.
    pub log: Retention,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
    /// The parameters that it declares. Those that only its placeholders name are not here: see [`params::taken`].
    ///
    /// [`params::taken`]: super::params::taken
    #[serde(default)]
    pub params: BTreeMap<String, Param>,
    /// Where its queued jobs stand: higher goes first.
    #[serde(default)]
    pub priority: i32,
    /// The group that its queued jobs belong to.
    #[serde(default)]
    pub group: Option<Label>,
    /// What only one run may hold, and each of its queued runs does.
    #[serde(default)]
    pub locks: Vec<Label>,
    /// Where its jobs run, inside of the folder of the jobs; may hold placeholders. Unset, they run in `wd`.
    #[serde(default)]
    pub workdir: Option<String>,
    /// What is run right before its command.
    #[serde(default)]
    pub preamble: Option<Preamble>,
    /// What is run around its jobs' own runs.
    #[serde(default)]
    pub hooks: Hooks,
    /// What is brought into its jobs' work directories and out of them, by slot.
    #[serde(default)]
    pub transfers: BTreeMap<String, Transfer>,
    /// Patterns of what is removed from the work directory of a finished job.
    #[serde(default)]
    pub cleanup: Vec<String>,
    /// What its queued runs need besides a slot.
    #[serde(default)]
    pub resources: Resources,
}

/// What a task runs: exactly one of three forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// A script; a relative path is found from `wd`.
    Script(String),
    /// A program and its arguments, found along `PATH` as the shell would; never empty.
    Command(Vec<String>),
    /// A line for `/bin/sh -c`.
    Shell(String),
}

/// What the supervisor does when a wanted task is not running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Starts it again however it ended: executoR's infinite loop.
    Always,
    /// Starts it again unless it ended with exit code 0.
    OnFailure,
    /// Leaves it: the task is no longer wanted when its job ends.
    Never,
}

impl Restart {
    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnFailure => "on-failure",
            Self::Never => "never",
        }
    }
}

/// When a task fires by itself, each part as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedule {
    /// `2 min`, `day`, …
    pub period: Option<String>,
    /// A cron expression.
    pub cron: Option<String>,
    /// Anchor and lower bound.
    pub start: Option<String>,
    /// The time zone of the above.
    pub tz: Option<String>,
    /// What becomes of occurrences that are late or meet each other.
    #[serde(default)]
    pub policy: Policy,
    /// By how much at most each occurrence is put off.
    #[serde(default, with = "optional_duration_text")]
    pub jitter: Option<Duration>,
}

impl Schedule {
    /// Whether the task fires by itself at all.
    pub fn is_set(&self) -> bool {
        self.period.is_some() || self.cron.is_some()
    }
}

/// When a running task is taken for stalled, and what is done then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// So long without a sign of life.
    #[serde(with = "duration_text")]
    pub after: Duration,
    /// The file whose change is the sign of life; a relative path is found from `wd`. Unset, it is the run's output.
    pub file: Option<PathBuf>,
    /// What is done.
    pub action: StallAction,
}

/// What is done with a stalled run. It is told in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StallAction {
    /// Nothing else.
    Notify,
    /// Its run is stopped, which is a failure: whether it is started again its restart rule says.
    Restart,
}

impl StallAction {
    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Restart => "restart",
        }
    }
}

/// How a run is ended: a signal to its process group, time to react, then SIGKILL until nothing is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopSequence {
    /// The first signal.
    #[serde(with = "signal_text")]
    pub signal: Signal,
    /// The time between that signal and SIGKILL.
    #[serde(with = "duration_text")]
    pub grace: Duration,
}

impl Default for StopSequence {
    fn default() -> Self {
        Self { signal: Signal::TERM, grace: DEFAULT_GRACE }
    }
}

/// Which archived outputs of a task are kept. Whatever exceeds one of the limits goes, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// At most this many archives.
    pub keep: u32,
    /// None older than this.
    #[serde(with = "optional_duration_text")]
    pub keep_for: Option<Duration>,
    /// Archives of at most this many bytes together.
    pub keep_bytes: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep: DEFAULT_KEEP, keep_for: None, keep_bytes: None }
    }
}

/// Serde form of a signal: its name; where nobody reads it, its number.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde fixes the shape of the argument")]
mod signal_text {
    use super::Signal;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(signal: &Signal, to: S) -> Result<S::Ok, S::Error> {
        if !to.is_human_readable() {
            return to.serialize_i32(signal.number());
        }
        to.collect_str(signal)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Signal, D::Error> {
        if !from.is_human_readable() {
            let number = i32::deserialize(from)?;
            return Signal::from_number(number).ok_or_else(|| serde::de::Error::custom("not a signal"));
        }
        let text = String::deserialize(from)?;
        Signal::parse(text.strip_prefix("SIG").unwrap_or(&text)).map_err(serde::de::Error::custom)
    }
}

impl Task {
    /// A task with every field but the given ones at its default.
    pub fn new(name: TaskName, program: Program, wd: PathBuf) -> Self {
        Self {
            name,
            program,
            args: Vec::new(),
            interpreter: None,
            wd,
            env: BTreeMap::new(),
            env_file: None,
            restart: Restart::Always,
            schedule: Schedule::default(),
            enabled: true,
            timeout: None,
            retries: None,
            backoff: Backoff::default(),
            give_up: None,
            stall: None,
            notify: Notify::default(),
            stop: StopSequence::default(),
            log: Retention::default(),
            tags: BTreeMap::new(),
            params: BTreeMap::new(),
            priority: 0,
            group: None,
            locks: Vec::new(),
            workdir: None,
            preamble: None,
            hooks: Hooks::default(),
            transfers: BTreeMap::new(),
            cleanup: Vec::new(),
            resources: Resources::default(),
        }
    }

    /// What is run, in one line for a person: the script, the command or the shell line, without quoting.
    pub fn program_text(&self) -> String {
        match &self.program {
            Program::Script(text) | Program::Shell(text) => text.clone(),
            Program::Command(words) => words.join(" "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_survives_its_json_form() {
        let mut task = Task::new(
            TaskName::parse("LOL").unwrap(),
            Program::Command(vec!["make".into(), "all".into()]),
            PathBuf::from("/home/me"),
        );
        task.timeout = Some(Duration::from_hours(2));
        task.stop = StopSequence { signal: Signal::parse("INT").unwrap(), grace: Duration::from_millis(2500) };
        task.env.insert("SYMBOL".into(), "LOL".into());
        task.schedule.period = Some("2 min".into());
        let json = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
    }

    #[test]
    fn a_definition_survives_the_form_that_nobody_reads() {
        let mut task = Task::new(TaskName::parse("LOL").unwrap(), Program::Script("x.sh".into()), "/".into());
        task.timeout = Some(Duration::new(7, 1));
        task.stop = StopSequence { signal: Signal::from_number(34).unwrap(), grace: Duration::from_nanos(3) };
        task.schedule.jitter = Some(Duration::from_millis(1));
        task.stall = Some(Stall { after: Duration::MAX, file: None, action: StallAction::Restart });
        let bytes = postcard::to_stdvec(&task).unwrap();
        assert_eq!(postcard::from_bytes::<Task>(&bytes).unwrap(), task);
        let wrong = postcard::to_stdvec(&(0, Duration::ZERO)).unwrap();
        assert!(postcard::from_bytes::<StopSequence>(&wrong).is_err(), "0 is no signal");
    }

    /// A definition as it was stored before there was a queue.
    const BEFORE: &str = r#"{"name":"LOL","program":{"script":"x.sh"},"args":[],"interpreter":null,"wd":"/","env":{},
        "env_file":null,"restart":"always","schedule":{"period":null,"cron":null,"start":null,"tz":null},
        "enabled":true,"timeout":null,"retries":null,"stop":{"signal":"SIGTERM","grace":"10s"},
        "log":{"keep":100,"keep_for":null,"keep_bytes":null},"tags":{}}"#;

    #[test]
    fn a_definition_of_an_earlier_version_is_read() {
        let name = TaskName::parse("LOL").unwrap();
        let expected = Task::new(name, Program::Script("x.sh".into()), PathBuf::from("/"));
        assert_eq!(serde_json::from_str::<Task>(BEFORE).unwrap(), expected);
    }
}
