//! job: one verb each for what can be done with jobs.

use std::io::{self, IsTerminal, Write};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::executor::{Did, Executor, Output, Rerun, Stopped, Update};
use crate::report;
use crate::report::page::Page;

use super::context::{Context, told, warn};
use super::failure::Failure;

/// The exit code of what is refused in this state.
const REFUSED: u8 = 5;

/// Which jobs are meant.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The jobs: ids, or a selection such as `state = FAILED`
    #[arg(required = true, value_name = "ID|WHERE")]
    jobs: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// `job`.
#[derive(Debug, Subcommand)]
pub(super) enum JobVerb {
    /// Show everything about a job
    Show {
        /// The job
        id: i64,
    },
    /// Show what happened to a job, oldest first
    Events {
        /// The job
        id: i64,
    },
    /// Show the jobs that a job waits for
    Parents {
        /// The job
        id: i64,
    },
    /// Show the jobs that wait for a job
    Children {
        /// The job
        id: i64,
    },
    /// Print a job's data, or change one key of it
    Data {
        /// The job [default: in a script, its own]
        id: Option<i64>,
        /// Set a key of the data (repeatable)
        #[arg(long, value_name = "KEY=JSON")]
        set: Vec<String>,
    },
    /// Decide in a hook what becomes of its job; by hand, run an ended job again alone, or cancel one
    SetState {
        /// `RESTART_READY`, `FAILED` or `CANCELLED`
        state: String,
        /// The job [default: in a script, its own]
        id: Option<i64>,
        /// Why
        #[arg(short, long, value_name = "REASON")]
        message: Option<String>,
    },
    /// Change what jobs carry with them
    Update {
        #[command(flatten)]
        named: Named,
        /// The data, replaced as a whole
        #[arg(long, value_name = "JSON")]
        data: Option<String>,
        /// A label (repeatable)
        #[arg(long, value_name = "K=V")]
        tag: Vec<String>,
        /// The higher goes first
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        priority: Option<i64>,
    },
    /// Print a job's work directory
    Workdir {
        /// The job
        id: i64,
    },
    /// Print the output of a job's last run
    Log {
        /// The job
        id: i64,
        /// Another run, counted from 1
        #[arg(long, value_name = "K")]
        run: Option<usize>,
    },
    /// Cancel jobs that do not run
    Cancel(Named),
    /// End jobs that run, and everything they started
    Kill(Named),
    /// Put jobs first that could run: out of order, not out of rules
    Start(Named),
    /// Remove jobs from the record; their files stay
    Delete(Named),
    /// Wipe the files of jobs and hold them at their beginning
    Reset(Named),
    /// Hold jobs back
    Hold(Named),
    /// Release jobs that are held
    Release(Named),
    /// Run ended jobs again, and those that followed them
    Rerun {
        #[command(flatten)]
        named: Named,
        /// Leave followers that have ended as they are
        #[arg(long)]
        only: bool,
        /// From the beginning: inputs and preparation again too
        #[arg(long)]
        clean: bool,
    },
}

/// `job`.
pub(super) fn job(context: &mut Context, verb: &JobVerb) -> Result<u8, Failure> {
    match verb {
        JobVerb::Show { id } => show(context, JobId(*id)),
        JobVerb::Events { id } => events(context, JobId(*id)),
        JobVerb::Parents { id } => related(context, JobId(*id), true),
        JobVerb::Children { id } => related(context, JobId(*id), false),
        JobVerb::Data { id, set } => data(context, *id, set),
        JobVerb::SetState { state, id, message } => set_state(context, state, *id, message.as_deref()),
        JobVerb::Update { named, data, tag, priority } => {
            let mut update = Update { priority: *priority, ..Update::default() };
            update.data = data.as_deref().map(|text| json_of("--data", text)).transpose()?;
            for given in tag {
                let (key, value) = super::submit::pair("--tag", given)?;
                update.tags.insert(key.to_owned(), value.to_owned());
            }
            change(context, named, "update", |executor, ids, asker| executor.update(ids, &update, asker))
        }
        JobVerb::Workdir { id } => workdir(context, JobId(*id)),
        JobVerb::Log { id, run } => log(context, JobId(*id), *run),
        JobVerb::Cancel(named) => change(context, named, "cancel", Executor::cancel_jobs),
        JobVerb::Start(named) => change(context, named, "put first", Executor::start_jobs),
        JobVerb::Delete(named) => change(context, named, "delete", Executor::delete_jobs),
        JobVerb::Reset(named) => change(context, named, "reset", Executor::reset_jobs),
        JobVerb::Hold(named) => change(context, named, "hold", Executor::hold),
        JobVerb::Release(named) => change(context, named, "release", Executor::release),
        JobVerb::Rerun { named, only, clean } => {
            let how = Rerun { only: *only, clean: *clean };
            change(context, named, "run again", |executor, ids, asker| {
                let definitions = executor.definitions()?;
                executor.rerun(ids, how, &definitions, asker)
            })
        }
        JobVerb::Kill(named) => kill(context, named),
    }
}

fn look(context: &mut Context, id: JobId) -> Result<&mut Executor, Failure> {
    let Some(executor) = context.look()? else { return Err(crate::executor::ExecutorError::NoSuchJob(id).into()) };
    executor.refresh()?;
    Ok(executor)
}

fn show(context: &mut Context, id: JobId) -> Result<u8, Failure> {
    let json = context.json;
    let executor = look(context, id)?;
    let shown = super::jobs::shown(executor, &[id])?;
    let Some(one) = shown.first() else { return Ok(0) };
    let (runs, children) = (executor.runs_of(id)?, executor.children(id)?);
    let mut out = Page::default();
    if json {
        let mut value = report::json::job(&one.0);
        if let Value::Object(map) = &mut value {
            let children: Vec<Value> =
                children.iter().map(|edge| json!({ "id": edge.job, "edge": edge.kind })).collect();
            map.insert("children".to_owned(), Value::Array(children));
            map.insert("runs".to_owned(), Value::Array(runs.iter().map(report::json::job_run).collect()));
        }
        report::json::write(&value, &mut out)?;
    } else {
        let children: Vec<i64> = children.iter().map(|edge| edge.job.0).collect();
        report::jobs::card(one, &children, &runs, executor.now(), &mut out)?;
    }
    out.print()?;
    Ok(0)
}

fn events(context: &mut Context, id: JobId) -> Result<u8, Failure> {
    let json = context.json;
    let executor = look(context, id)?;
    let job = executor.job(id)?;
    let events = executor.events_of(id)?;
    let mut out = Page::default();
    if json {
        report::json::write(&Value::Array(events.iter().rev().map(report::json::event).collect()), &mut out)?;
    } else {
        report::jobs::events(&job, &events, &mut out)?;
    }
    out.print()?;
    Ok(0)
}

fn related(context: &mut Context, id: JobId, parents: bool) -> Result<u8, Failure> {
    let json = context.json;
    let executor = look(context, id)?;
    let job = executor.job(id)?;
    let edges = if parents { job.parents } else { executor.children(id)? };
    let ids: Vec<JobId> = edges.iter().map(|edge| edge.job).collect();
    let mut out = Page::default();
    if json {
        let jobs = executor.jobs(&ids)?;
        report::json::write(&Value::Array(jobs.iter().map(report::json::job).collect()), &mut out)?;
    } else if ids.is_empty() {
        told(&format!("job {id} has none"));
    } else {
        let shown = super::jobs::shown(executor, &ids)?;
        report::jobs::table(&shown, executor.now(), Context::width(), &mut out)?;
    }
    out.print()?;
    Ok(0)
}

/// The job that is meant: in a script its own, where none is named.
fn own(context: &Context, id: Option<i64>) -> Result<JobId, Failure> {
    let own = id.map(JobId).or(context.asker()?.job);
    own.ok_or_else(|| Failure::input("name a job: only in a script of a job it is clear which is meant".to_owned()))
}

fn json_of(flag: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::input(format!("{flag}: `{text}` is no JSON: {error}")))
}

fn set_state(context: &mut Context, state: &str, id: Option<i64>, message: Option<&str>) -> Result<u8, Failure> {
    let id = own(context, id)?;
    let wanted = State::parse(&state.to_ascii_uppercase());
    let wanted = wanted.filter(|state| matches!(state, State::RestartReady | State::Failed | State::Cancelled));
    let wanted =
        wanted.ok_or_else(|| Failure::input(format!("`{state}` is not one of RESTART_READY, FAILED and CANCELLED")))?;
    let asker = context.asker()?;
    match context.executor()?.set_state(id, wanted, message, &asker)? {
        Did::Done(_) | Did::Already(_) => Ok(0),
        Did::Refused(state, why) => {
            warn(&format!("{id} is {state}: {why}"));
            Ok(REFUSED)
        }
    }
}

fn data(context: &mut Context, id: Option<i64>, set: &[String]) -> Result<u8, Failure> {
    let id = own(context, id)?;
    if !set.is_empty() {
        let mut update = Update::default();
        for given in set {
            let (key, value) = super::submit::pair("--set", given)?;
            update.set.insert(key.to_owned(), json_of("--set", value)?);
        }
        let asker = context.asker()?;
        context.executor()?.update(&[id], &update, &asker)?;
        return Ok(0);
    }
    let executor = look(context, id)?;
    let data = executor.job(id)?.given.data;
    let value = data.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    let mut out = Page::default();
    report::json::write(&value, &mut out)?;
    out.print()?;
    Ok(0)
}

fn workdir(context: &mut Context, id: JobId) -> Result<u8, Failure> {
    let executor = look(context, id)?;
    let job = executor.job(id)?;
    let mut out = Page::default();
    writeln!(out, "{}", executor.workdir_of(&job).display())?;
    out.print()?;
    Ok(0)
}

fn log(context: &mut Context, id: JobId, run: Option<usize>) -> Result<u8, Failure> {
    let executor = look(context, id)?;
    executor.job(id)?;
    let runs = executor.runs_of(id)?;
    let mains: Vec<_> = runs.iter().filter(|run| run.kind == "main").collect();
    let wanted = match run {
        Some(nth) => nth.checked_sub(1).and_then(|at| mains.get(at)),
        None => mains.last(),
    };
    let Some(run) = wanted else {
        if let Some(nth) = run {
            return Err(Failure::input(format!("job {id} has no run {nth}; it has had {}", mains.len())));
        }
        told(&format!("job {id} has not run yet"));
        return Ok(0);
    };
    match executor.output_of(run)? {
        Output::File(path) => {
            let mut file = std::fs::File::open(&path)?;
            io::copy(&mut file, &mut io::stdout().lock())?;
        }
        Output::Removed => told(&format!("job {id}: that run has no output, or it was removed")),
        Output::None => told(&format!("job {id}: that run has no output")),
    }
    Ok(0)
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

fn change(
    context: &mut Context,
    named: &Named,
    what: &str,
    verb: impl FnOnce(
        &mut Executor,
        &[JobId],
        &crate::executor::Asker,
    ) -> Result<crate::executor::JobAnswers, crate::executor::ExecutorError>,
) -> Result<u8, Failure> {
    let asker = context.asker()?;
    let Some(executor) = context.existing()? else { return Err(super::jobs::none(&named.jobs)) };
    let ids = super::jobs::named(executor, &named.jobs)?;
    if ids.is_empty() {
        told(&format!("0 of {} jobs", executor.count_jobs("")?));
        return Ok(0);
    }
    if !may(named, what, ids.len())? {
        return Ok(0);
    }
    let mut code = 0;
    for (id, did) in verb(executor, &ids, &asker)? {
        match did {
            Did::Done(state) => told(&format!("{id}: {state}")),
            Did::Already(state) => told(&format!("{id}: nothing to do, it is {state}")),
            Did::Refused(state, why) => {
                warn(&format!("{id} is {state}: {why}"));
                code = REFUSED;
            }
        }
    }
    Ok(code)
}

fn kill(context: &mut Context, named: &Named) -> Result<u8, Failure> {
    let asker = context.asker()?;
    let Some(executor) = context.existing()? else { return Err(super::jobs::none(&named.jobs)) };
    let ids = super::jobs::named(executor, &named.jobs)?;
    if ids.is_empty() {
        told(&format!("0 of {} jobs", executor.count_jobs("")?));
        return Ok(0);
    }
    if !may(named, "kill", ids.len())? {
        return Ok(0);
    }
    let mut code = 0;
    for (id, stopped) in executor.kill_jobs(&ids, &asker, &mut |text| told(text))? {
        match stopped {
            None | Some(Stopped::NotRunning(_)) => told(&format!("{id}: it does not run")),
            Some(Stopped::Ended(reason)) => told(&format!("{id}: {reason}")),
            Some(Stopped::Elsewhere) => {
                warn(&format!("{id} runs on another machine or in another container; end it there"));
                code = REFUSED;
            }
            Some(Stopped::Left(pids)) => {
                warn(&format!("{id} has not ended; still there: pid {pids:?}"));
                code = 1;
            }
        }
    }
    Ok(code)
}
