//! One table of task fields as it was written, and the rules that bind fields together: what clashes, what
//! a default may fill in, what holds when nothing is said.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mistake::{Problem, Sink};
use crate::domain::causes::in_one_line;
use crate::domain::group::Label;
use crate::domain::hooks::Preamble;
use crate::domain::name::TaskName;
use crate::domain::notice::Occasion;
use crate::domain::params::Param;
use crate::domain::resources::Resources;
use crate::domain::restart::Thousandths;
use crate::domain::schedule::{Jitter, Missed, Overlap, Policy, ScheduleError, Timetable};
use crate::domain::signal::Signal;
use crate::domain::task::{
    DEFAULT_GRACE, DEFAULT_KEEP, Program, Restart, Retention, Schedule, StallAction, StopSequence, Task,
};
use crate::domain::transfer::Transfer;
use crate::home::zones;

mod parts;

/// Fields that say the same in other words.
const SAME: [(&str, &str); 5] = [
    ("resources.cpus", "resources.ranks_per_node"),
    ("resources.cpus", "resources.threads_per_rank"),
    ("resources.cpus", "resources.threads_per_core"),
    ("resources.gpus", "resources.gpus_per_rank"),
    ("timeout", "resources.wall_time_min"),
];

/// The fields that one table sets.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Where each key stands that was written, its value good or not: rules about keys go by this, so that
    /// a bad value is not reported twice.
    pub(super) seen: Seen,
    pub(super) script: Option<String>,
    pub(super) command: Option<Vec<String>>,
    pub(super) shell: Option<String>,
    pub(super) args: Option<Vec<String>>,
    pub(super) interpreter: Option<Vec<String>>,
    pub(super) wd: Option<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) env_file: Option<String>,
    pub(super) restart: Option<Restart>,
    pub(super) period: Option<String>,
    pub(super) cron: Option<String>,
    pub(super) start: Option<String>,
    pub(super) tz: Option<String>,
    pub(super) missed: Option<Missed>,
    pub(super) overlap: Option<Overlap>,
    pub(super) jitter: Option<Duration>,
    pub(super) start_deadline: Option<Duration>,
    pub(super) max_running: Option<u32>,
    pub(super) enabled: Option<bool>,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: Option<u32>,
    pub(super) backoff_first: Option<Duration>,
    pub(super) backoff_factor: Option<Thousandths>,
    pub(super) backoff_max: Option<Duration>,
    pub(super) backoff_jitter: Option<Thousandths>,
    pub(super) backoff_reset_after: Option<Duration>,
    pub(super) give_up_failures: Option<u32>,
    pub(super) give_up_within: Option<Duration>,
    pub(super) stall_after: Option<Duration>,
    pub(super) stall_file: Option<String>,
    pub(super) stall_action: Option<StallAction>,
    pub(super) notify_on: Option<Vec<Occasion>>,
    /// Empty: none, whatever the defaults say. The same for the URL.
    pub(super) notify_command: Option<Vec<String>>,
    pub(super) notify_url: Option<String>,
    pub(super) stop_signal: Option<Signal>,
    pub(super) stop_grace: Option<Duration>,
    pub(super) log_keep: Option<u32>,
    pub(super) log_keep_for: Option<Duration>,
    pub(super) log_keep_bytes: Option<u64>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) params: BTreeMap<String, Param>,
    pub(super) priority: Option<i32>,
    pub(super) group: Option<Label>,
    pub(super) locks: Option<Vec<Label>>,
    pub(super) workdir: Option<String>,
    /// Without lines: none, whatever the defaults say. So for the hooks, where that is an empty list.
    pub(super) preamble: Option<Preamble>,
    pub(super) hooks_preprocess: Option<Vec<String>>,
    pub(super) hooks_postprocess: Option<Vec<String>>,
    pub(super) hooks_handle_error: Option<Vec<String>>,
    pub(super) hooks_handle_timeout: Option<Vec<String>>,
    pub(super) hooks_timeout: Option<Duration>,
    pub(super) transfers: BTreeMap<String, Transfer>,
    pub(super) cleanup: Option<Vec<String>>,
    pub(super) resources: Resources,
    /// `resources.wall_time_min`: another word for `timeout`.
    pub(super) wall_time: Option<Duration>,
}

/// Keys and where they stand. A table has a few of them, each of which is asked about again and again.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<(&'static str, Range<usize>)>);

impl Seen {
    pub(super) fn insert(&mut self, key: &'static str, at: Range<usize>) {
        self.0.push((key, at));
    }

    pub(super) fn get(&self, key: &str) -> Option<&Range<usize>> {
        self.0.iter().find(|(seen, _)| *seen == key).map(|(_, at)| at)
    }

    fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

impl Draft {
    /// Reports which fields of this table, which is a task or `[defaults]`, cannot stand together.
    pub(super) fn check(&self, place: &str, sink: &mut Sink<'_>) {
        self.clash("period", "cron", place, sink);
        for (key, other) in SAME {
            self.clash(key, other, place, sink);
        }
    }

    /// Reports what is wrong with these fields as those of a task: it must have one program, and what a field needs
    /// must stand beside it or in the defaults. `task` is where its name stands.
    pub(super) fn check_task(&self, task: &Range<usize>, defaults: &Self, place: &str, sink: &mut Sink<'_>) {
        self.check(place, sink);
        let mut programs: Vec<_> = ["script", "command", "shell"]
            .into_iter()
            .filter_map(|key| Some((self.seen.get(key)?.start, key)))
            .collect();
        programs.sort_unstable();
        match programs.split_first() {
            None => {
                let hint = "write one of `script`, `command` and `shell`".to_owned();
                sink.add(task.clone(), Problem::NoProgram { place: place.to_owned() }, Some(hint));
            }
            Some(((_, first), others)) => others.iter().for_each(|(_, key)| self.clash(first, key, place, sink)),
        }
        self.clash_at("args", "shell", place, sink);
        self.need("interpreter", "script", None, place, sink);
        for (key, other, hint) in [
            ("give_up.within", "give_up.failures", "say how many failures: `give_up.failures = 5`"),
            ("stall_file", "stall_after", "say how long it may be silent: `stall_after = \"20m\"`"),
            ("stall_action", "stall_after", "say how long it may be silent: `stall_after = \"20m\"`"),
        ] {
            if !defaults.seen.contains_key(other) {
                self.need(key, other, Some(hint), place, sink);
            }
        }
        self.check_schedule(task, defaults, place, sink);
        if self.restart.is_some_and(|restart| restart != Restart::Never)
            && let Some(other) = self.ending()
        {
            self.clash_at("restart", other, place, sink);
        }
    }

    /// Reports what is wrong with when the task fires.
    fn check_schedule(&self, task: &Range<usize>, defaults: &Self, place: &str, sink: &mut Sink<'_>) {
        let (schedule, _, _) = self.schedule(defaults);
        if !schedule.is_set() {
            for key in ["start", "missed", "overlap", "jitter", "start_deadline", "max_running"] {
                let hint = "say how often it fires: `period = \"day\"`";
                self.need(key, "period", Some(hint), place, sink);
            }
            return;
        }
        let at = |key| self.seen.get(key).unwrap_or(task).clone();
        let problem = |key: &'static str, error: &dyn std::error::Error| Problem::Schedule {
            key: key.to_owned(),
            error: in_one_line(error),
        };
        match Timetable::build(&schedule, &zones::zones()) {
            // Said above.
            Err(ScheduleError::Both) => {}
            Err(error) => {
                let key = error.part().as_str();
                sink.add(at(key), problem(key, &error), error.hints().into_iter().next());
            }
            Ok((timetable, _)) => {
                if let Some(error) = schedule.jitter.and_then(|jitter| Jitter::check(jitter, &timetable).err()) {
                    sink.add(at("jitter"), problem("jitter", &error), error.hints().into_iter().next());
                }
            }
        }
        if self.seen.contains_key("max_running") && schedule.policy.overlap != Overlap::Allow {
            let problem = Problem::Needs { key: "max_running".to_owned(), other: "overlap", place: place.to_owned() };
            sink.add(at("max_running"), problem, Some("let runs meet: `overlap = \"allow\"`".to_owned()));
        }
    }

    /// A key that says nothing without another one.
    fn need(&self, key: &'static str, other: &'static str, hint: Option<&str>, place: &str, sink: &mut Sink<'_>) {
        if let (Some(at), false) = (self.seen.get(key), self.seen.contains_key(other)) {
            let problem = Problem::Needs { key: key.to_owned(), other, place: place.to_owned() };
            sink.add(at.clone(), problem, hint.map(str::to_owned));
        }
    }

    /// The field that makes this table's task one that ends by itself, if there is one.
    fn ending(&self) -> Option<&'static str> {
        ["period", "cron", "retries"].into_iter().find(|key| self.seen.contains_key(key))
    }

    /// Two keys that exclude each other: the later one is the mistake.
    fn clash(&self, a: &'static str, b: &'static str, place: &str, sink: &mut Sink<'_>) {
        let start = |key| self.seen.get(key).map(|at| at.start);
        let (key, other) = if start(a) > start(b) { (a, b) } else { (b, a) };
        self.clash_at(key, other, place, sink);
    }

    fn clash_at(&self, key: &'static str, other: &'static str, place: &str, sink: &mut Sink<'_>) {
        if let (Some(at), true) = (self.seen.get(key), self.seen.contains_key(other)) {
            let problem = Problem::Clash { key: key.to_owned(), other, place: place.to_owned() };
            sink.add(at.clone(), problem, None);
        }
    }

    /// The task that these fields and the defaults make. A default that does not fit beside the task's own
    /// fields is ignored.
    pub(super) fn finish(self, name: TaskName, defaults: &Self, base: &Path) -> Option<Task> {
        let (schedule, restart, retries) = self.schedule(defaults);
        let (backoff, give_up) = (self.backoff(defaults), self.give_up(defaults));
        let (stall, notify) = (self.stall(defaults), self.notify(defaults));
        let hooks = self.hooks(defaults);
        let program = match (self.script, self.command, self.shell) {
            (Some(script), _, _) => Program::Script(script),
            (None, Some(command), _) => Program::Command(command),
            (None, None, Some(line)) => Program::Shell(line),
            (None, None, None) => return None,
        };
        let interpreter = match &program {
            Program::Script(_) => self.interpreter.or_else(|| defaults.interpreter.clone()),
            Program::Command(_) | Program::Shell(_) => None,
        };
        Some(Task {
            name,
            program,
            args: self.args.unwrap_or_default(),
            interpreter,
            wd: folder(base, self.wd.as_ref().or(defaults.wd.as_ref())),
            env: merged(self.env, &defaults.env),
            env_file: self.env_file.or_else(|| defaults.env_file.clone()).map(PathBuf::from),
            restart,
            schedule,
            enabled: self.enabled.or(defaults.enabled).unwrap_or(true),
            timeout: self.timeout.or(self.wall_time).or(defaults.timeout).or(defaults.wall_time),
            retries,
            backoff,
            give_up,
            stall,
            notify,
            stop: StopSequence {
                signal: self.stop_signal.or(defaults.stop_signal).unwrap_or(Signal::TERM),
                grace: self.stop_grace.or(defaults.stop_grace).unwrap_or(DEFAULT_GRACE),
            },
            log: Retention {
                keep: self.log_keep.or(defaults.log_keep).unwrap_or(DEFAULT_KEEP),
                keep_for: self.log_keep_for.or(defaults.log_keep_for),
                keep_bytes: self.log_keep_bytes.or(defaults.log_keep_bytes),
            },
            tags: merged(self.tags, &defaults.tags),
            params: merged(self.params, &defaults.params),
            priority: self.priority.or(defaults.priority).unwrap_or_default(),
            group: self.group.or_else(|| defaults.group.clone()),
            locks: self.locks.or_else(|| defaults.locks.clone()).unwrap_or_default(),
            workdir: self.workdir.or_else(|| defaults.workdir.clone()),
            preamble: self
                .preamble
                .or_else(|| defaults.preamble.clone())
                .filter(|preamble| *preamble != Preamble::none()),
            hooks,
            transfers: merged(self.transfers, &defaults.transfers),
            cleanup: self.cleanup.or_else(|| defaults.cleanup.clone()).unwrap_or_default(),
            resources: self.resources.or(&defaults.resources),
        })
    }

    /// When the task fires and what happens when it ends: the rule of `restart` (docs/registry.md).
    fn schedule(&self, defaults: &Self) -> (Schedule, Restart, Option<u32>) {
        let keep_alive = self.restart.is_some_and(|restart| restart != Restart::Never);
        let fits = |text: &Option<String>| if keep_alive { None } else { text.clone() };
        let scheduled = self.period.is_some() || self.cron.is_some();
        let timed = |text: &Option<String>| if scheduled { None } else { fits(text) };
        let schedule = Schedule {
            period: self.period.clone().or_else(|| timed(&defaults.period)),
            cron: self.cron.clone().or_else(|| timed(&defaults.cron)),
            start: self.start.clone().or_else(|| defaults.start.clone()),
            tz: self.tz.clone().or_else(|| defaults.tz.clone()),
            policy: Policy {
                missed: self.missed.or(defaults.missed).unwrap_or_default(),
                start_deadline: self.start_deadline.or(defaults.start_deadline),
                overlap: self.overlap.or(defaults.overlap).unwrap_or_default(),
                max_running: self.max_running.or(defaults.max_running),
            },
            jitter: self.jitter.or(defaults.jitter),
        };
        let retries = self.retries.or(defaults.retries.filter(|_| !keep_alive));
        let ends = schedule.is_set() || retries.is_some();
        let unset = if ends { Restart::Never } else { Restart::Always };
        let default = defaults.restart.filter(|restart| !ends || *restart == Restart::Never);
        (schedule, self.restart.or(default).unwrap_or(unset), retries)
    }
}

/// A table with that of the defaults below it, entry by entry.
fn merged<T: Clone>(own: BTreeMap<String, T>, default: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    let mut all = default.clone();
    all.extend(own);
    all
}

/// A working directory: as it is written when absolute, else below the folder of the file.
fn folder(base: &Path, wd: Option<&String>) -> PathBuf {
    wd.map_or_else(|| base.to_path_buf(), |wd| base.join(wd).components().collect())
}
