//! What is done with jobs.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::executor::{Asker, Did, Executor, ExecutorError, JobAnswers, Stopped, Update};
use crate::report;
use crate::report::page::Page;

use super::super::context::{Context, told, told_unsupervised, warn};
use super::super::failure::Failure;
use super::super::jobs;
use super::{Named, keys, look, own};

/// The exit code of what is refused in this state.
const REFUSED: u8 = 5;

pub(super) fn set_state(
    context: &mut Context,
    state: &str,
    id: Option<i64>,
    message: Option<&str>,
) -> Result<u8, Failure> {
    let id = own(context, id)?;
    let wanted = State::parse(&state.to_ascii_uppercase());
    let wanted = wanted.filter(|state| matches!(state, State::RestartReady | State::Failed | State::Cancelled));
    let wanted =
        wanted.ok_or_else(|| Failure::input(format!("`{state}` is not one of RESTART_READY, FAILED and CANCELLED")))?;
    let asker = context.asker()?;
    Ok(refusal(id, &context.executor()?.set_state(id, wanted, message, &asker)?))
}

/// Says what was refused, and nothing else; the exit code.
fn refusal(id: JobId, did: &Did) -> u8 {
    match did {
        Did::Done(_) | Did::Already(_) => 0,
        Did::Refused(state, why) => {
            warn(&format!("{id} is {state}: {why}"));
            REFUSED
        }
    }
}

pub(super) fn data(context: &mut Context, id: Option<i64>, set: &[String]) -> Result<u8, Failure> {
    let id = own(context, id)?;
    if !set.is_empty() {
        let update = Update { set: keys(set)?, ..Update::default() };
        let asker = context.asker()?;
        let answers = context.executor()?.update(&[id], &update, &asker)?;
        return Ok(answers.into_iter().map(|(id, did)| refusal(id, &did)).max().unwrap_or(0));
    }
    let executor = look(context, id)?;
    let data = executor.job(id)?.given.data;
    let value = data.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    let mut out = Page::default();
    report::json::write(&value, &mut out)?;
    out.print()?;
    Ok(0)
}

/// The jobs that something is to be done with; `None` where there are none, or it is not to be done after all.
fn chosen<'c>(
    context: &'c mut Context,
    named: &Named,
    what: &str,
) -> Result<Option<(&'c mut Executor, Vec<JobId>)>, Failure> {
    let Some(executor) = context.existing()? else { return Err(jobs::none(&named.jobs)) };
    let ids = jobs::named(executor, &named.jobs)?;
    if ids.is_empty() {
        told(&format!("0 of {} jobs", executor.count_jobs("")?));
        return Ok(None);
    }
    Ok(may(named, what, ids.len())?.then_some((executor, ids)))
}

/// What is done to many jobs is asked about first, on a terminal.
fn may(named: &Named, what: &str, count: usize) -> Result<bool, Failure> {
    if count < 2 || named.yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(true);
    }
    write!(io::stderr(), "{what} {count} jobs? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What is said of a verb.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// In the question whether it is meant: `delete` 3 jobs?
    ask: &'static str,
    /// That it is done, where the state that a job is in does not say so.
    done: Option<&'static str>,
    /// How a job is for which there was nothing to do, where that is not its state.
    already: Option<&'static str>,
}

impl Words {
    /// Of a verb whose success is the state that a job is in afterwards.
    pub(super) fn of(ask: &'static str) -> Self {
        Self { ask, done: None, already: None }
    }

    /// Of one that may leave that as it was.
    pub(super) fn done(self, done: &'static str) -> Self {
        Self { done: Some(done), ..self }
    }

    /// Of one for which it is not the state that leaves nothing to do.
    pub(super) fn already(self, already: &'static str) -> Self {
        Self { already: Some(already), ..self }
    }
}

pub(super) fn change(
    context: &mut Context,
    named: &Named,
    words: Words,
    verb: impl FnOnce(&mut Executor, &[JobId], &Asker) -> Result<JobAnswers, ExecutorError>,
) -> Result<u8, Failure> {
    let asker = context.asker()?;
    let Some((executor, ids)) = chosen(context, named, words.ask)? else { return Ok(0) };
    let mut code = 0;
    for (id, did) in verb(executor, &ids, &asker)? {
        code = tell(id, &did, words).max(code);
    }
    Ok(code)
}

/// The same for a verb that is to have jobs run: somebody has to be there who runs them.
pub(super) fn to_run(
    context: &mut Context,
    named: &Named,
    words: Words,
    verb: impl FnOnce(&mut Executor, &[JobId], &Asker) -> Result<JobAnswers, ExecutorError>,
) -> Result<u8, Failure> {
    let code = change(context, named, words, verb)?;
    if let Some(executor) = context.existing()?.filter(|_| code == 0) {
        told_unsupervised(executor);
    }
    Ok(code)
}

/// Says what became of a wish for one job; the exit code.
fn tell(id: JobId, did: &Did, words: Words) -> u8 {
    match did {
        Did::Done(state) => told(&format!("{id}: {}", words.done.unwrap_or(state.as_str()))),
        Did::Already(state) => {
            told(&format!("{id}: nothing to do, it is {}", words.already.unwrap_or(state.as_str())));
        }
        Did::Refused(state, why) => {
            warn(&format!("{id} is {state}: {why}"));
            return REFUSED;
        }
    }
    0
}

pub(super) fn kill(context: &mut Context, named: &Named) -> Result<u8, Failure> {
    let asker = context.asker()?;
    let words = Words::of("kill");
    let Some((executor, ids)) = chosen(context, named, words.ask)? else { return Ok(0) };
    let mut code = 0;
    for (id, stopped) in executor.kill_jobs(&ids, &asker, &mut |text| told(text))? {
        match stopped {
            Err(did) => code = tell(id, &did, words).max(code),
            // It has just ended by itself.
            Ok(Stopped::NotRunning(_)) => told(&format!("{id}: it does not run")),
            Ok(Stopped::Ended(reason)) => told(&format!("{id}: {reason}")),
            Ok(Stopped::Elsewhere) => {
                warn(&format!("{id} runs on another machine or in another container; end it there"));
                code = REFUSED;
            }
            Ok(Stopped::Left(pids)) => {
                warn(&format!("{id} has not ended; still there: pid {pids:?}"));
                code = 1;
            }
        }
    }
    Ok(code)
}
