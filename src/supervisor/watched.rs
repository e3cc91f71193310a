//! The unfinished runs that the supervisor watches: adopted, inspected when something about them has happened,
//! released when they have ended.

use std::time::Duration;

use tracing::{debug, info, trace, warn};

use crate::domain::evidence::{Ended, ProcessId, Record};
use crate::domain::name::RunId;
use crate::domain::outcome::{Cause, Exit, Outcome};
use crate::domain::signal::Signal;
use crate::executor::{ExecutorError, Found, OpenRun, seen_end};
use crate::process::watch::Token;
use crate::process::{clock, identity, wait};
use crate::store::runs::{Kind, RunRow};

use super::keeper::{Item, Keeper};
use super::stall::{Look, STALLED_LOOK, StallWatch};

/// How soon a run is looked at again of which nothing reports: its worker is just dying, or the kernel is about to say
/// how it ended.
const GLANCE: Duration = Duration::from_millis(5);

/// How long the kernel is asked how a run ended that somebody else waits for.
const ASKED_FOR: Duration = Duration::from_secs(1);

/// How soon a run is looked at again whose end cannot be watched for: an orphan, or one that is only being started.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How soon one of many is looked at again that begin together.
const BEGINS_WITHIN: Duration = Duration::from_millis(50);

/// So many runs are looked at with every bell. Where there are more, half of the time goes to whoever rings.
const FEW: usize = 16;

/// One unfinished run.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) open: OpenRun,
    /// The key of its task; none for a run that only tells of one.
    pub(super) key: Option<String>,
    /// Since when it is watched.
    adopted: Duration,
    /// Its worker is our child.
    child: Option<i32>,
    worker: Option<Token>,
    pub(super) script: Option<(ProcessId, Token)>,
    /// Its main process has ended and its worker is about to say how.
    ending: bool,
    /// What is left of it besides, once its worker is dead.
    others: Vec<Token>,
    /// How its main process ended, where we waited for it.
    exit: Option<Exit>,
    /// Since when its end is certain and its exit is not.
    unseen_since: Option<Duration>,
    stall: Option<StallWatch>,
    orphan: Orphan,
}

/// How far an orphan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orphan {
    /// Its worker lives.
    No,
    /// It is watched until it ends.
    Watched,
    /// It was asked to end: its time is over, or somebody wishes it.
    Asked(Cause),
}

/// What an inspection came to.
enum Inspected {
    /// Nothing more to look at until something happens.
    Quiet,
    /// Something about it is still to come: look at the next bell.
    Suspect,
    /// It has ended.
    Ended(Box<(RunRow, Record, Ended)>),
}

impl Keeper {
    /// Watches an unfinished run from now on.
    pub(super) fn adopt(&mut self, open: OpenRun) {
        let run = open.row.id;
        if self.runs.contains_key(&run) {
            return;
        }
        let key = open.row.task.as_ref().map(crate::domain::name::TaskName::key);
        let now = clock::since_boot();
        self.runs.insert(
            run,
            Watched {
                open,
                key,
                adopted: now,
                child: None,
                worker: None,
                script: None,
                ending: false,
                others: Vec::new(),
                exit: None,
                unseen_since: None,
                stall: None,
                orphan: Orphan::No,
            },
        );
        if self.suspects.len() < FEW {
            self.suspects.insert(run);
        } else {
            // One of many that begin together: most of them have not come far yet.
            self.agenda.set(Item::Look(run), now + BEGINS_WITHIN);
        }
    }

    /// Watches a run whose worker we have just spawned.
    pub(super) fn adopt_child(&mut self, run: RunId, worker: i32) -> Result<(), ExecutorError> {
        let Some(open) = self.executor.open_run(run)? else { return Ok(()) };
        self.adopt(open);
        let token = self.watch.add_child(worker);
        if let Some(watched) = self.runs.get_mut(&run) {
            watched.child = Some(worker);
            // Without a descriptor left for it, its bell tells.
            watched.worker = token.ok();
            self.tokens.extend(watched.worker.map(|token| (token, run)));
        }
        Ok(())
    }

    /// A watched process has ended: its run is to be looked at. Whether at once: the worker of a script that has ended
    /// is about to say how, and rings.
    pub(super) fn has_ended(&mut self, token: Token) -> Result<bool, ExecutorError> {
        let Some(run) = self.tokens.get(&token).copied() else { return Ok(false) };
        let Some(watched) = self.runs.get_mut(&run) else { return Ok(false) };
        let is_script = watched.script.is_some_and(|(_, script)| script == token);
        watched.ending |= is_script;
        self.suspects.insert(run);
        Ok(!is_script || watched.worker.is_none() || !self.executor.has_worker(&watched.open.row)?)
    }

    /// Watches a run no longer.
    pub(super) fn release(&mut self, run: RunId) {
        self.suspects.remove(&run);
        self.elsewhere.remove(&run);
        self.unfollowed.remove(&run);
        for item in [Item::Stall(run), Item::Look(run), Item::End(run)] {
            self.agenda.cancel(&item);
        }
        if let Some(watched) = self.runs.remove(&run) {
            if let Some((script, _)) = watched.script
                && self.scripts_of.get(&script.pid) == Some(&run)
            {
                self.scripts_of.remove(&script.pid);
            }
            let script = watched.script.map(|(_, token)| token);
            for token in watched.worker.into_iter().chain(script).chain(watched.others) {
                self.tokens.remove(&token);
                self.watch.forget(token);
            }
        }
    }

    /// Looks at every run about which something has happened; those that have ended.
    pub(super) fn inspect(&mut self) -> Vec<(RunRow, Record, Ended)> {
        let begin = clock::since_boot();
        if self.suspects.len() > FEW && begin < self.rested {
            self.agenda.set_if_unset(Item::Inspect, self.rested);
            return Vec::new();
        }
        let mut ended = Vec::new();
        for run in std::mem::take(&mut self.suspects) {
            match self.inspect_one(run) {
                Ok(Inspected::Quiet) => {}
                Ok(Inspected::Suspect) => {
                    self.suspects.insert(run);
                }
                Ok(Inspected::Ended(end)) => ended.push(*end),
                // One that cannot be looked at keeps none of the others from being settled.
                Err(error) => {
                    self.suspects.insert(run);
                    self.stumbled.get_or_insert(error);
                }
            }
        }
        // What is not settled after all is to be found again.
        self.suspects.extend(ended.iter().map(|(row, _, _)| row.id));
        let now = clock::since_boot();
        self.rested = now + now.saturating_sub(begin);
        ended
    }

    fn inspect_one(&mut self, run: RunId) -> Result<Inspected, ExecutorError> {
        let Some(watched) = self.runs.get(&run) else { return Ok(Inspected::Quiet) };
        // Looked at again with every bell: where a thousand end at once, that has to be cheap.
        if watched.ending && watched.worker.is_some() && self.executor.has_worker(&watched.open.row)? {
            return Ok(Inspected::Suspect);
        }
        match self.executor.examine(&watched.open.row)? {
            Found::Alive(record) => Ok(self.inspect_alive(run, &record)),
            Found::Orphaned(record, pids) => {
                // Fresh, as below.
                let is_to_end = self.executor.unfinished(run)?.is_some_and(|row| row.is_to_end());
                Ok(self.inspect_orphan(run, &record, &pids, is_to_end))
            }
            Found::Ended(record, end) => {
                // Fresh, because a wish to stop it may have come since.
                let Some(row) = self.executor.unfinished(run)? else {
                    self.release(run);
                    return Ok(Inspected::Quiet);
                };
                let ended = self.inspect_ended(run, record, end);
                Ok(ended.map_or(Inspected::Quiet, |(record, end)| Inspected::Ended(Box::new((row, record, end)))))
            }
            Found::Elsewhere(_) => {
                if self.elsewhere.insert(run) {
                    let name = self.name_of(run);
                    warn!(
                        "{name} is on record as running on another machine or in another container; it is left alone"
                    );
                }
                Ok(Inspected::Quiet)
            }
        }
    }

    fn inspect_alive(&mut self, run: RunId, record: &Record) -> Inspected {
        let Some(watched) = self.runs.get_mut(&run) else { return Inspected::Quiet };
        if watched.worker.is_none()
            && let Some((worker, _)) = &record.starting
        {
            let added = self.watch.add(worker);
            watched.worker = added.as_ref().ok().copied().flatten();
            self.tokens.extend(watched.worker.map(|token| (token, run)));
            if watched.worker.is_none() {
                // It is just dying, or there is no descriptor left for it.
                let soon = if added.is_ok() { GLANCE } else { LOOK_AGAIN };
                self.agenda.set(Item::Look(run), clock::since_boot() + soon);
            }
        }
        let Some((script, _)) = record.started else {
            // One whose starter is killed rings no bell.
            let now = clock::since_boot();
            if self.suspects.len() < FEW {
                self.agenda.set_if_unset(Item::Look(run), now + LOOK_AGAIN);
                return Inspected::Suspect;
            }
            // A thousand that start ring a thousand bells: they are looked at by the clock, less and less often.
            let so_far = now.saturating_sub(watched.adopted);
            self.agenda.set(Item::Look(run), now + so_far.clamp(BEGINS_WITHIN, LOOK_AGAIN));
            self.rest();
            return Inspected::Quiet;
        };
        if watched.script.is_none() && record.ended.is_none() {
            // Fresh; whoever wished its end may not live to ask for it.
            if self.executor.unfinished(run).is_ok_and(|row| row.is_some_and(|row| row.is_to_end())) {
                self.agenda.set(Item::End(run), clock::since_boot());
            }
            match self.watch.add(&script) {
                Ok(Some(token)) => {
                    watched.script = Some((script, token));
                    self.tokens.insert(token, run);
                    self.scripts_of.insert(script.pid, run);
                }
                Ok(None) => return Inspected::Suspect,
                // No descriptor is left for it: it is looked at now and then instead.
                Err(error) => {
                    trace!("cannot watch {}: {error}", script.pid);
                    self.agenda.set(Item::Look(run), clock::since_boot() + LOOK_AGAIN);
                    return Inspected::Quiet;
                }
            }
            let row = &watched.open.row;
            if let Some(task) = &row.task {
                let pid = script.pid;
                match (row.kind == Kind::Main.as_str(), watched.child) {
                    (false, _) if row.kind == Kind::Transfer.as_str() => {}
                    (false, _) => info!("{task}: its hook {} runs (pid {pid})", row.kind),
                    (true, None) => info!("{task} runs (pid {pid})"),
                    (true, Some(_)) => info!("starting {task} (pid {pid})"),
                }
            }
            self.watch_for_life(run);
            self.appoint_later([run]);
            return Inspected::Quiet;
        }
        watched.ending |= record.ended.is_some() || !identity::is_alive(&script);
        if watched.ending { Inspected::Suspect } else { Inspected::Quiet }
    }

    /// Its worker is dead and something of it lives: it is watched until it ends, and its time limit is ours, as is a
    /// wish that its worker cannot fulfil.
    fn inspect_orphan(&mut self, run: RunId, record: &Record, pids: &[i32], is_to_end: bool) -> Inspected {
        let Some(watched) = self.runs.get_mut(&run) else { return Inspected::Quiet };
        if let (None, Some((script, _))) = (watched.script, record.started) {
            watched.script = self.watch.add(&script).ok().flatten().map(|token| (script, token));
            if let Some((script, token)) = watched.script {
                self.tokens.insert(token, run);
                self.scripts_of.insert(script.pid, run);
            }
        }
        for token in std::mem::take(&mut watched.others) {
            self.tokens.remove(&token);
            self.watch.forget(token);
        }
        let script = watched.script.map(|(script, _)| script.pid);
        for pid in pids.iter().filter(|pid| Some(**pid) != script) {
            let token = identity::identify(*pid).and_then(|other| self.watch.add(&other));
            let token = token.ok().flatten();
            watched.others.extend(token);
            self.tokens.extend(token.map(|token| (token, run)));
        }
        if watched.others.is_empty() && (watched.script.is_none() || !pids.iter().any(|pid| Some(*pid) == script)) {
            self.agenda.set(Item::Look(run), clock::since_boot() + LOOK_AGAIN);
        }
        if watched.orphan == Orphan::No {
            watched.orphan = Orphan::Watched;
            let limit = watched.open.rules.timeout.zip(record.started);
            let left = limit.map(|(limit, (script, _))| limit.saturating_sub(identity::age(&script)));
            if let Some(left) = if is_to_end { Some(Duration::ZERO) } else { left } {
                self.agenda.set(Item::End(run), clock::since_boot() + left);
            }
            let name = self.name_of(run);
            let pids = pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            warn!("{name} is orphaned: its worker was killed; it is watched until it ends (pid {pids})");
        }
        Inspected::Quiet
    }

    /// Nothing of it is left. How it ended the record says, or we saw it, or the kernel still knows; `None` where that
    /// is still to be waited for.
    fn inspect_ended(&mut self, run: RunId, record: Record, end: Ended) -> Option<(Record, Ended)> {
        let watched = self.runs.get_mut(&run)?;
        let cause = if let Orphan::Asked(cause) = watched.orphan { cause } else { Cause::Itself };
        if !matches!(end.outcome, Outcome::Lost(_)) {
            return Some((record, with_cause(end, cause)));
        }
        let told = watched.script.and_then(|(_, token)| self.watch.exit(token));
        if let Some(exit) = watched.exit.or(told) {
            return Some((record, seen_end(&end, exit, cause)));
        }
        let now = clock::since_boot();
        let since = *watched.unseen_since.get_or_insert(now);
        // Whoever waits for it may not have done so yet; afterwards the kernel tells us as well.
        if watched.script.is_some() && now.saturating_sub(since) < ASKED_FOR {
            self.agenda.set(Item::Look(run), now + GLANCE);
            return None;
        }
        Some((record, end))
    }

    /// Takes every child that has ended. A script whose worker is dead is our child: how it ended is kept first.
    pub(super) fn take_children(&mut self) -> Result<(), ExecutorError> {
        while let wait::Peeked::Ended(child) = wait::peek()? {
            debug!("child {} has ended: {}", child.pid, child.exit.describe());
            let known = self.scripts_of.get(&child.pid).copied().or_else(|| self.unseen_script(child.pid));
            let orphan = match known {
                Some(run) => Some(run),
                None => self.unseen_in_slot(child.pid)?,
            };
            if orphan.is_none() && !identity::leads_session(child.pid) {
                self.import_unseen(child.pid)?;
            }
            if let Some((run, watched)) = orphan.and_then(|run| Some((run, self.runs.get_mut(&run)?))) {
                watched.exit = Some(child.exit);
                self.suspects.insert(run);
                // Settled while the zombie still says it to everybody.
                self.catch_up()?;
            }
            wait::reap(child.pid)?;
        }
        if self.suspects.is_empty() { Ok(()) } else { self.catch_up() }
    }

    /// The run of a script that we have not heard of yet: its worker was killed before it could ring.
    fn unseen_script(&mut self, pid: i32) -> Option<RunId> {
        let unseen = |watched: &Watched| watched.script.is_none() && watched.child != Some(pid);
        let mut runs = self.runs.iter().filter(|(_, watched)| unseen(watched));
        let is_its = |row: &RunRow| self.executor.script_of(row).is_some_and(|script| script.pid == pid);
        runs.find(|(_, watched)| is_its(&watched.open.row)).map(|(run, _)| *run)
    }

    /// Brings a run into the database of which this is the script, where its worker had gone on with it, was killed and
    /// nobody has heard of any of that: how the script ended its zombie says, as long as it is there.
    fn import_unseen(&mut self, script: i32) -> Result<(), ExecutorError> {
        let is_its = |next: RunId| self.executor.script_of(next).is_some_and(|it| it.pid == script);
        let mut runs = self.runs.iter().filter(|(_, watched)| watched.open.row.slot.is_none());
        let former = runs.find(|(_, watched)| self.executor.passed_on(&watched.open.row).is_some_and(is_its));
        if let Some(run) = former.map(|(run, _)| *run) {
            self.suspects.insert(run);
            // However many others there are.
            self.rested = Duration::ZERO;
            self.catch_up()?;
        }
        Ok(())
    }

    /// The run of a script whose slot's worker was killed, which we have not heard of yet. It is watched from now on. Our
    /// child it can only be where that worker was.
    fn unseen_in_slot(&mut self, pid: i32) -> Result<Option<RunId>, ExecutorError> {
        for slot in self.slots.keys() {
            let all = self.executor.open_in_slot(*slot)?.into_iter();
            let mut its = all.filter(|open| self.executor.script_of(&open.row).is_some_and(|script| script.pid == pid));
            if let Some(open) = its.next() {
                drop(its);
                let run = open.row.id;
                self.adopt(open);
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    /// Sees to the end of a run, the wish for which is on record: its worker does that, and we do where it is dead.
    pub(super) fn end_run(&mut self, run: RunId) -> Result<(), ExecutorError> {
        if self.runs.get(&run).is_some_and(|watched| watched.orphan == Orphan::Watched) {
            self.agenda.set(Item::End(run), clock::since_boot());
        }
        self.executor.ask_to_end(run)
    }

    /// Ends a run whose end somebody wishes, or an orphan whose time is over: an orphan is asked to end, and after its
    /// grace it is killed.
    pub(super) fn bring_to_its_end(&mut self, run: RunId) -> Result<(), ExecutorError> {
        let Some(open) = self.executor.open_run(run)? else { return Ok(()) };
        let Some(watched) = self.runs.get_mut(&run) else { return Ok(()) };
        let script = watched.script.map(|(script, _)| script);
        let (why, cause) = if open.row.is_to_end() {
            ("is to end", Cause::Itself)
        } else {
            ("has reached its time limit", Cause::TimedOut)
        };
        let (signal, again) = match watched.orphan {
            Orphan::No if open.row.is_to_end() => return self.executor.ask_to_end(&open.row),
            Orphan::No => return Ok(()),
            Orphan::Watched => {
                watched.orphan = Orphan::Asked(cause);
                (open.rules.stop.signal, open.rules.stop.grace)
            }
            Orphan::Asked(_) => (Signal::KILL, LOOK_AGAIN),
        };
        self.agenda.set(Item::End(run), clock::since_boot() + again);
        warn!("{} is orphaned and {why}: {signal}", self.name_of(run));
        // A script that is stopped hears nothing but KILL.
        self.executor.signal_orphan(run, script.as_ref(), &[signal, Signal::CONT]);
        self.suspects.insert(run);
        self.catch_up()
    }

    fn watch_for_life(&mut self, run: RunId) {
        let Some(watched) = self.runs.get_mut(&run) else { return };
        let (Some((rule, wd)), Some(task)) = (&watched.open.rules.stall, &watched.open.row.task) else { return };
        let file = rule.file.as_ref().map_or_else(|| self.executor.output_path(task), |file| wd.join(file));
        let known = watched.open.row.stalled.is_some();
        watched.stall = Some(StallWatch::new(rule, file, clock::awake(), known));
        self.agenda.set(Item::Stall(run), clock::since_boot() + rule.after);
    }

    /// Looks whether a run still shows signs of life.
    pub(super) fn look_for_life(&mut self, run: RunId) -> Result<(), ExecutorError> {
        // Fresh: somebody may be stopping it already, and what it says to that is no sign of life.
        let open = self.executor.open_run(run)?;
        let Some(open) = open.filter(|open| !open.row.is_to_end()) else {
            return Ok(());
        };
        let Some(stall) = self.runs.get_mut(&run).and_then(|watched| watched.stall.as_mut()) else { return Ok(()) };
        match stall.look(clock::awake(), clock::now()) {
            Look::Again(after) => self.agenda.set(Item::Stall(run), clock::since_boot() + after),
            Look::Resumed => {
                self.agenda.set(Item::Stall(run), clock::since_boot());
                self.executor.end_stall(&open)?;
                self.catch_up()?;
            }
            Look::Stalled { reason, end } => {
                self.agenda.set(Item::Stall(run), clock::since_boot() + STALLED_LOOK);
                let told = self.executor.stall(&open, &reason, end);
                if told.is_err()
                    && let Some(stall) = self.runs.get_mut(&run).and_then(|watched| watched.stall.as_mut())
                {
                    stall.tell_again();
                }
                told?;
                if end {
                    self.end_run(run)?;
                }
                self.catch_up()?;
            }
        }
        Ok(())
    }

    fn name_of(&self, run: RunId) -> String {
        let row = self.runs.get(&run).map(|watched| &watched.open.row);
        match row.and_then(|row| row.task.as_ref().map(|task| (task, row.id))) {
            Some((task, _)) => task.to_string(),
            None => format!("run {run}"),
        }
    }
}

/// An end that no worker saw, with what it came from.
fn with_cause(end: Ended, cause: Cause) -> Ended {
    match end.outcome {
        Outcome::Ended { exit, .. } if end.time.is_none() => Ended { outcome: Outcome::Ended { exit, cause }, ..end },
        Outcome::Ended { .. } | Outcome::CouldNotStart { .. } | Outcome::NeverStarted | Outcome::Lost(_) => end,
    }
}
