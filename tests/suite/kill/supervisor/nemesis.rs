//! Whoever kills at random, and keeps a list: what was killed when is what excuses an exit that nobody knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Child, Stdio};

use jiff::Timestamp;
use serde_json::Value;

use crate::suite::env::{kill, parent};
use crate::suite::kill::random::Random;
use crate::suite::kill::truth::{scripts, workers};

use super::folder::{Folder, Supervisor};
use super::truth::{Excuses, history};

/// The life of a supervisor.
struct Life {
    from: Timestamp,
    /// When it was killed.
    until: Option<Timestamp>,
    supervisor: Supervisor,
}

/// A command that runs meanwhile.
struct Running {
    child: Child,
    task: String,
    /// What it makes of the task, if it changes that and no other command was running when it began.
    wish: Option<bool>,
    /// Its number among the task's commands that change something.
    number: u64,
}

/// The killer.
pub(super) struct Nemesis<'a> {
    folder: &'a Folder,
    tasks: Vec<String>,
    random: Random,
    lives: Vec<Life>,
    /// The runs whose worker was killed.
    workers: BTreeSet<String>,
    /// The runs of which a process was killed.
    scripts: BTreeSet<String>,
    commands: Vec<Running>,
    numbers: BTreeMap<String, u64>,
    /// What the last command made of each task, where it came to its end and no other was beside it.
    pub(super) wishes: BTreeMap<String, bool>,
    /// What was done how often.
    pub(super) done: BTreeMap<&'static str, usize>,
}

impl<'a> Nemesis<'a> {
    pub(super) fn new(folder: &'a Folder, tasks: Vec<String>, seed: u64) -> Self {
        Self {
            folder,
            tasks,
            random: Random(seed),
            lives: Vec::new(),
            workers: BTreeSet::new(),
            scripts: BTreeSet::new(),
            commands: Vec::new(),
            numbers: BTreeMap::new(),
            wishes: BTreeMap::new(),
            done: BTreeMap::new(),
        }
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.random.below(limit)
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let count = u64::try_from(of.len()).unwrap();
        (count > 0).then(|| of[usize::try_from(self.random.below(count)).unwrap()].clone())
    }

    pub(super) fn a_task(&mut self) -> String {
        let tasks = self.tasks.clone();
        self.pick(&tasks).unwrap()
    }

    /// The supervisor that lives.
    pub(super) fn supervisor(&self) -> Option<&Supervisor> {
        self.lives.last().filter(|life| life.until.is_none()).map(|life| &life.supervisor)
    }

    /// Does one thing.
    pub(super) fn act(&mut self) {
        if self.supervisor().is_none() && self.below(2) == 0 {
            self.supervise();
        }
        let done = match self.below(100) {
            0..15 => self.kill_supervisor(),
            15..40 => self.kill_workers(1),
            40..46 => self.kill_workers(usize::MAX),
            46..54 => {
                let killed = self.kill_supervisor();
                let most = [1, 2, usize::MAX][usize::try_from(self.below(3)).unwrap()];
                self.kill_workers(most);
                if killed == "nothing" { killed } else { "both killed" }
            }
            54..72 => self.kill_script(),
            72..92 => self.command(),
            _ => "nothing",
        };
        *self.done.entry(done).or_default() += 1;
        self.mind_commands();
        if let Some(supervisor) = self.supervisor() {
            assert!(!supervisor.has_ended(), "the supervisor has ended by itself: {}", supervisor.diary());
        }
    }

    /// Starts a supervisor; nobody waits for it.
    pub(super) fn supervise(&mut self) {
        let from = Timestamp::now();
        self.lives.push(Life { from, until: None, supervisor: self.folder.spawn_supervisor() });
    }

    pub(super) fn kill_supervisor(&mut self) -> &'static str {
        let Some(life) = self.lives.last_mut().filter(|life| life.until.is_none()) else { return "nothing" };
        life.until = Some(Timestamp::now());
        life.supervisor.kill();
        "supervisor killed"
    }

    /// Kills workers, at most so many. Each has its run's record in its arguments.
    fn kill_workers(&mut self, most: usize) -> &'static str {
        let mut alive = workers(&self.folder.env);
        if most == usize::MAX {
            alive.retain(|_| self.random.below(2) == 0);
        }
        let mut killed = 0;
        while killed < most
            && let Some(worker) = self.pick(&alive)
        {
            alive.retain(|other| *other != worker);
            let line = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let arguments = line(worker);
            // What was a newborn when the list was made may be a script by now.
            let record = arguments.split('\0').skip_while(|word| *word != "--jobexec-worker").nth(1);
            let Some((_, run)) = record.and_then(|record| record.rsplit_once('/')) else { continue };
            // What it has just given birth to looks like itself until its exec.
            let is_script = line(parent(worker)) == arguments;
            let victims = if is_script { &mut self.scripts } else { &mut self.workers };
            victims.insert(run.to_owned());
            kill(worker, 9);
            killed += 1;
        }
        match killed {
            0 => "nothing",
            1 => "a worker killed",
            _ => "workers killed",
        }
    }

    /// Kills some process of some run.
    fn kill_script(&mut self) -> &'static str {
        let alive: Vec<(String, Vec<i32>)> = scripts(&self.folder.env).into_iter().collect();
        let Some((run, pids)) = self.pick(&alive) else { return "nothing" };
        let Some(pid) = self.pick(&pids) else { return "nothing" };
        self.scripts.insert(run);
        kill(pid, 9);
        "a script killed"
    }

    /// Somebody types a command, and does not wait for it.
    fn command(&mut self) -> &'static str {
        let task = self.a_task();
        let verb = ["start", "start", "start", "restart", "stop", "status", "history"];
        let verb = self.pick(&verb).unwrap();
        let command = self.folder.env.command(&[verb, &task]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let changes = !matches!(verb, "status" | "history");
        let alone = self.commands.iter().all(|other| other.task != task);
        let number = self.numbers.entry(task.clone()).or_default();
        *number += u64::from(changes);
        let (number, wish) = (*number, Some(verb != "stop").filter(|_| changes && alone));
        if changes {
            self.wishes.remove(&task);
        }
        self.commands.push(Running { child: command.unwrap(), task, wish, number });
        verb
    }

    /// Takes note of commands that have ended, and kills some that have not.
    fn mind_commands(&mut self) {
        let (mut ended, mut left) = (Vec::new(), Vec::new());
        for mut command in std::mem::take(&mut self.commands) {
            match command.child.try_wait().unwrap() {
                Some(status) => ended.push((command, status)),
                None if self.random.below(8) == 0 => {
                    *self.done.entry("a command killed").or_default() += 1;
                    command.child.kill().unwrap();
                    let status = command.child.wait().unwrap();
                    ended.push((command, status));
                }
                None => left.push(command),
            }
        }
        for (command, status) in ended {
            assert!(!matches!(status.code(), Some(2 | 4 | 70 | 101)), "a command failed: {status:?}");
            let is_newest = self.numbers.get(&command.task) == Some(&command.number);
            if let Some(wish) = command.wish.filter(|_| status.success() && is_newest) {
                self.wishes.insert(command.task, wish);
            }
        }
        self.commands = left;
    }

    /// Waits for the commands that are left.
    pub(super) fn rest(&mut self) {
        while !self.commands.is_empty() {
            let mut command = self.commands.remove(0);
            command.child.wait().unwrap();
            self.wishes.remove(&command.task);
        }
    }
}

impl Nemesis<'_> {
    /// The run that a run's worker was spawned for: it may have gone on with others.
    fn first_of_its_worker(&self, run: &Value) -> Value {
        let events = self.folder.env.json(&["job", "events", &run["job"].to_string()]);
        let events = events.as_array().unwrap();
        let before = |run: &str| {
            let begun = events.iter().find(|event| event["cause"] == "started" && event["data"]["run"] == run);
            begun.and_then(|event| event["data"]["after"].as_str())
        };
        let mut first = run["run_id"].as_str().unwrap();
        while let Some(former) = before(first) {
            first = former;
        }
        history(self.folder).remove(first).unwrap()
    }
}

impl Excuses for Nemesis<'_> {
    /// Its worker was killed, and either before it had written down the script's pid, or while no supervisor lived who
    /// had hold of the script and could tell of its end.
    fn may_be_lost(&self, run: &Value) -> bool {
        let time = |key: &str| run[key].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        let settled = time("ended").unwrap();
        if !self.workers.contains(run["run_id"].as_str().unwrap()) {
            return false;
        }
        let lives = |life: &&Life| life.from <= settled && life.until.is_none_or(|until| settled < until);
        let Some(life) = self.lives.iter().find(lives) else { return true };
        // Somebody may have asked for its end before, and is named first.
        let reason = run["reason"].as_str().unwrap();
        match reason.find("lost: ").map_or(reason, |at| &reason[at..]) {
            "lost: its worker died while starting it; it may have run" => run["pid"].is_null(),
            "lost: its worker died before it, so its exit was not seen" => {
                let worker = self.first_of_its_worker(run);
                let begun = worker["claimed"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
                let of_its_own =
                    worker["asked_by"] == "keep-restarting" && begun.is_some_and(|begun| begun >= life.from);
                let mark = format!("{} (pid {})", run["task"].as_str().unwrap(), run["pid"]);
                let found = format!("{} runs (pid {})", run["task"].as_str().unwrap(), run["pid"]);
                let diary = life.supervisor.diary();
                let held = diary.lines().any(|line| line.ends_with(&mark) || line.ends_with(&found));
                !of_its_own && !held
            }
            _ => false,
        }
    }

    fn was_killed(&self, run: &str) -> bool {
        self.scripts.contains(run)
    }
}
