//! The flags that describe a task, and the registry's settings that they mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::domain::restart::Thousandths;
use crate::registry::{Setting, Value};

use super::failure::Failure;

/// Flags for the fields of a task. `docs/registry.md` describes the fields.
#[derive(Debug, Args, Default)]
pub(super) struct Fields {
    /// The script; a relative one is found from the working directory
    script: Option<String>,
    /// Arguments of the script
    args: Vec<String>,
    /// Arguments that may begin with `-`; without SCRIPT, the command and its arguments
    #[arg(last = true, value_name = "ARG")]
    after: Vec<String>,

    /// Run this line with /bin/sh instead of a script
    #[arg(long, value_name = "LINE", conflicts_with_all = ["script", "after"])]
    shell: Option<String>,
    /// The program that the script is handed to
    #[arg(long, value_name = "PROGRAM")]
    interpreter: Option<String>,
    /// The working directory [default: the current one]
    #[arg(long, value_name = "DIR")]
    wd: Option<PathBuf>,
    /// A variable for the script (repeatable)
    #[arg(long, value_name = "K=V", value_parser = pair)]
    env: Vec<(String, String)>,
    /// A file of variables, read at each run and never shown
    #[arg(long, value_name = "FILE")]
    env_file: Option<String>,
    /// How often it fires: `2 min`, `day`, `every weekday at 9`
    #[arg(long, value_name = "PERIOD", conflicts_with = "cron")]
    period: Option<String>,
    /// When it fires, as a cron expression of five fields; or `@reboot`, `@start`
    #[arg(long, value_name = "EXPR")]
    cron: Option<String>,
    /// From when it counts and fires: `2021-02-27 12:50 Europe/Zurich`, `now`, `tomorrow 9:00`, `+10m`
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// The time zone of its schedule [default: that of --start, else the machine's]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// What becomes of runs that were due while nobody was there: once, skip or all [default: once]
    #[arg(long, value_name = "WHICH", value_parser = ["once", "skip", "all"])]
    missed: Option<String>,
    /// What becomes of a run that is due while an earlier one runs: skip, queue, replace or allow [default: skip]
    #[arg(long, value_name = "HOW", value_parser = ["skip", "queue", "replace", "allow"])]
    overlap: Option<String>,
    /// Put each run off by less than this, always by the same for the same moment
    #[arg(long, value_name = "DURATION")]
    jitter: Option<String>,
    /// How late a run may still begin
    #[arg(long, value_name = "DURATION")]
    start_deadline: Option<String>,
    /// How many may run side by side, with `--overlap allow`
    #[arg(long, value_name = "N")]
    max_running: Option<u32>,
    /// Whether it is started again when it has ended: always, on-failure or never
    #[arg(long, value_name = "WHEN", conflicts_with = "once", value_parser = ["always", "on-failure", "never"])]
    restart: Option<String>,
    /// Run it once: the same as `--restart never`
    #[arg(long)]
    once: bool,
    /// The longest that a run may last
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// How often a failed job is tried again
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// The wait before it is started again after a short run [default: 1s]
    #[arg(long, value_name = "DURATION")]
    backoff_first: Option<String>,
    /// By how much each further wait is longer [default: 2]
    #[arg(long, value_name = "N", value_parser = decimal)]
    backoff_factor: Option<Value>,
    /// The longest wait [default: the supervisor's --sleep]
    #[arg(long, value_name = "DURATION")]
    backoff_max: Option<String>,
    /// By which part waits differ by chance: `10%` or `0.1` [default: 10%]
    #[arg(long, value_name = "PART", value_parser = share)]
    backoff_jitter: Option<Value>,
    /// A run of this length was a good one: the next starts at once [default: 2s]
    #[arg(long, value_name = "DURATION")]
    reset_after: Option<String>,
    /// Do not start it again after so many failures [default: never give up]
    #[arg(long, value_name = "N")]
    give_up_failures: Option<u32>,
    /// The time within which those failures count [default: 10m]
    #[arg(long, value_name = "DURATION")]
    give_up_within: Option<String>,
    /// It has stalled when it shows no sign of life for so long
    #[arg(long, value_name = "DURATION")]
    stall_after: Option<String>,
    /// The file whose change is the sign of life [default: its output]
    #[arg(long, value_name = "FILE")]
    stall_file: Option<String>,
    /// What is done when it has stalled: notify or restart [default: notify]
    #[arg(long, value_name = "ACTION", value_parser = ["notify", "restart"])]
    stall_action: Option<String>,
    /// What is told: failure, crash-loop, recovery, finish, stall (repeatable, or with commas) [default: all but finish]
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    notify_on: Vec<String>,
    /// Tell it by running this line with /bin/sh
    #[arg(long, value_name = "LINE")]
    notify_command: Option<String>,
    /// Tell it by posting to this URL
    #[arg(long, value_name = "URL")]
    notify_url: Option<String>,
    /// The signal that asks it to end [default: TERM]
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// How long it has to end by itself before it is killed [default: 10s]
    #[arg(long, value_name = "DURATION")]
    stop_grace: Option<String>,
    /// How many archived outputs are kept
    #[arg(long, value_name = "N")]
    keep: Option<u32>,
    /// How long archived outputs are kept
    #[arg(long, value_name = "DURATION")]
    keep_for: Option<String>,
    /// How many bytes of archived outputs are kept
    #[arg(long, value_name = "SIZE")]
    keep_bytes: Option<String>,
    /// A label (repeatable)
    #[arg(long, value_name = "K=V", value_parser = pair)]
    tag: Vec<(String, String)>,
    /// How many cpus a queued run needs [default: none]
    #[arg(long, value_name = "N")]
    cpus: Option<u32>,
    /// How much memory a queued run needs: `2 GiB` [default: none]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// How many GPUs a queued run needs; `0.5` shares one [default: none]
    #[arg(long, value_name = "N", value_parser = decimal)]
    gpus: Option<Value>,
    /// Whether schedules may fire it
    #[arg(long, value_name = "true|false")]
    enabled: Option<bool>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("expected NAME=VALUE".to_owned()),
    }
}

/// A number; whether it is in the range of its field, the registry judges.
fn decimal(text: &str) -> Result<Value, String> {
    Thousandths::parse(text).map(Value::Decimal).ok_or_else(|| "expected a number, not below 0".to_owned())
}

fn share(text: &str) -> Result<Value, String> {
    if Thousandths::parse_percent(text).is_some() { Ok(Value::Text(text.to_owned())) } else { decimal(text) }
}

impl Fields {
    /// Whether something is said about what is run.
    pub(super) fn has_program(&self) -> bool {
        self.script.is_some() || self.shell.is_some() || !self.after.is_empty()
    }

    /// The settings that the flags mean. `here` is the current directory: a relative directory is found from it, and a
    /// new task has it where no other is given.
    pub(super) fn settings(&self, here: &Path, new: bool) -> Result<Vec<Setting>, Failure> {
        let mut settings = self.program();
        let mut set =
            |key, value: Option<Value>| settings.extend(value.map(|value| Setting { key, value: Some(value) }));
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        let number = |number: Option<u32>| number.map(|number| Value::Number(i64::from(number)));
        let wd = self.wd.as_ref().map(|wd| here.join(wd));
        let wd = wd.map(|wd| wd.canonicalize().unwrap_or(wd)).or_else(|| new.then(|| here.to_path_buf()));
        set("interpreter", text(&self.interpreter));
        set("wd", wd.as_deref().map(path_text).transpose()?.map(Value::Text));
        set("env", map(&self.env));
        set("env_file", text(&self.env_file));
        set("restart", if self.once { Some(Value::Text("never".to_owned())) } else { text(&self.restart) });
        set("period", text(&self.period));
        set("cron", text(&self.cron));
        set("start", text(&self.start));
        set("tz", text(&self.tz));
        set("missed", text(&self.missed));
        set("overlap", text(&self.overlap));
        set("jitter", text(&self.jitter));
        set("start_deadline", text(&self.start_deadline));
        set("max_running", number(self.max_running));
        set("enabled", self.enabled.map(Value::Flag));
        set("timeout", text(&self.timeout));
        set("retries", number(self.retries));
        set("backoff.first", text(&self.backoff_first));
        set("backoff.factor", self.backoff_factor.clone());
        set("backoff.max", text(&self.backoff_max));
        set("backoff.jitter", self.backoff_jitter.clone());
        set("backoff.reset_after", text(&self.reset_after));
        set("give_up.failures", number(self.give_up_failures));
        set("give_up.within", text(&self.give_up_within));
        set("stall_after", text(&self.stall_after));
        set("stall_file", text(&self.stall_file));
        set("stall_action", text(&self.stall_action));
        set("notify.on", words(&self.notify_on));
        set("notify.command", text(&self.notify_command));
        set("notify.url", text(&self.notify_url));
        set("stop.signal", text(&self.stop_signal));
        set("stop.grace", text(&self.stop_grace));
        set("log.keep", number(self.keep));
        set("log.keep_for", text(&self.keep_for));
        set("log.keep_bytes", text(&self.keep_bytes));
        set("tags", map(&self.tag));
        set("resources.cpus", number(self.cpus));
        set("resources.memory", text(&self.memory));
        set("resources.gpus", self.gpus.clone());
        // Either takes the place of the other.
        for (given, other) in [(&self.period, "cron"), (&self.cron, "period")] {
            settings.extend(given.is_some().then_some(Setting { key: other, value: None }));
        }
        Ok(settings)
    }

    /// What is run: one of the three forms, the other two taken away.
    fn program(&self) -> Vec<Setting> {
        if !self.has_program() {
            return Vec::new();
        }
        let list = |words: Vec<String>| (!words.is_empty()).then_some(Value::List(words));
        let all: Vec<String> = self.args.iter().chain(&self.after).cloned().collect();
        let (script, command, args) = match (&self.script, &self.shell) {
            (Some(script), _) => (Some(Value::Text(script.clone())), None, list(all)),
            (None, Some(_)) => (None, None, None),
            (None, None) => (None, list(all), None),
        };
        let shell = self.shell.clone().map(Value::Text);
        [("script", script), ("command", command), ("shell", shell), ("args", args)]
            .map(|(key, value)| Setting { key, value })
            .to_vec()
    }
}

fn map(pairs: &[(String, String)]) -> Option<Value> {
    (!pairs.is_empty()).then(|| Value::Map(pairs.iter().cloned().collect::<BTreeMap<_, _>>()))
}

/// The words of a repeated flag, which is given as an empty text to say that there are none.
fn words(given: &[String]) -> Option<Value> {
    let words = given.iter().filter(|word| !word.is_empty()).cloned();
    (!given.is_empty()).then(|| Value::List(words.collect()))
}

/// A path as the registry has it: text.
fn path_text(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::input(format!(
            "the directory `{}` has a name that is no text, which the registry cannot hold",
            path.display()
        ))
    })
}
