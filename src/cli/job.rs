//! job: one verb each for what can be done with jobs.

mod change;
mod shell;
mod show;

use std::ffi::OsString;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::domain::name::JobId;
use crate::executor::{Executor, ExecutorError, Rerun, Update};

use super::context::Context;
use super::failure::Failure;
use change::{Words, change, data, kill, set_state, to_run};
use show::{events, files, lineage, log, related, show, workdir};

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

/// The hooks that a job may have had.
const HOOKS: [&str; 4] = ["preprocess", "postprocess", "handle_error", "handle_timeout"];

/// The id of a job as it is typed.
fn job_id(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "a job is named by its id, a number: see `jobexec jobs`".to_owned())
}

/// `job`.
#[derive(Debug, Subcommand)]
pub(super) enum JobVerb {
    /// Show everything about a job
    Show {
        /// The job
        #[arg(value_parser = job_id)]
        id: i64,
    },
    /// Show what happened to a job, oldest first
    Events {
        /// The job
        #[arg(value_parser = job_id)]
        id: i64,
    },
    /// Show the jobs that a job waits for
    Parents {
        /// The job
        #[arg(value_parser = job_id)]
        id: i64,
    },
    /// Show the jobs that wait for a job
    Children {
        /// The job
        #[arg(value_parser = job_id)]
        id: i64,
    },
    /// Show what a job comes from and what comes of it: who waits for whom, and who made whom
    Lineage {
        /// The job
        #[arg(value_parser = job_id)]
        id: i64,
    },
    /// Show a job's files: what lies in its directories, and the output of its runs
    Files {
        /// The job
        #[arg(value_parser = job_id)]
        id: i64,
    },
    /// Open a shell in a job's work directory, with what its script sees, or run a command there
    Shell {
        /// The job
        #[arg(value_parser = job_id)]
        id: i64,
        /// Run this instead of `$SHELL`, and end as it does
        #[arg(last = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Print a job's data, or change one key of it
    Data {
        /// The job [default: in a script, its own]
        #[arg(value_parser = job_id)]
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
        #[arg(value_parser = job_id)]
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
        /// Set a key of the data (repeatable)
        #[arg(long, value_name = "KEY=JSON")]
        set: Vec<String>,
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
        #[arg(value_parser = job_id)]
        id: i64,
    },
    /// Print the output of a job's last run, or of a hook
    Log {
        /// The job
        #[arg(value_parser = job_id)]
        id: i64,
        /// Another run, counted from 1
        #[arg(long, value_name = "K")]
        run: Option<usize>,
        /// A hook's instead of the script's
        #[arg(long, value_name = "HOOK", value_parser = HOOKS)]
        hook: Option<String>,
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
        JobVerb::Lineage { id } => lineage(context, JobId(*id)),
        JobVerb::Files { id } => files(context, JobId(*id)),
        JobVerb::Shell { id, command } => shell::shell(context, JobId(*id), command),
        JobVerb::Data { id, set } => data(context, *id, set),
        JobVerb::SetState { state, id, message } => set_state(context, state, *id, message.as_deref()),
        JobVerb::Update { named, data, set, tag, priority } => {
            let mut update = Update { priority: *priority, ..Update::default() };
            update.data = data.as_deref().map(|text| json_of("--data", text)).transpose()?;
            update.set = keys(set)?;
            for given in tag {
                let (key, value) = super::submit::pair("--tag", given)?;
                update.tags.insert(key.to_owned(), value.to_owned());
            }
            if update == Update::default() {
                return Err(Failure::input("nothing to change was given".to_owned())
                    .hint("say what, as in `jobexec job update 7 --priority 5`"));
            }
            let words = Words::of("update").done("updated");
            change(context, named, words, |executor, ids, asker| executor.update(ids, &update, asker))
        }
        JobVerb::Workdir { id } => workdir(context, JobId(*id)),
        JobVerb::Log { id, run, hook } => log(context, JobId(*id), *run, hook.as_deref()),
        JobVerb::Cancel(named) => change(context, named, Words::of("cancel"), Executor::cancel_jobs),
        JobVerb::Start(named) => {
            to_run(context, named, Words::of("put first").done("goes first"), Executor::start_jobs)
        }
        JobVerb::Delete(named) => change(context, named, Words::of("delete").done("deleted"), Executor::delete_jobs),
        JobVerb::Reset(named) => {
            change(context, named, Words::of("reset").done("wiped, and held"), Executor::reset_jobs)
        }
        JobVerb::Hold(named) => change(context, named, Words::of("hold").done("held").already("held"), Executor::hold),
        JobVerb::Release(named) => to_run(context, named, Words::of("release").already("not held"), Executor::release),
        JobVerb::Rerun { named, only, clean } => {
            let how = Rerun { only: *only, clean: *clean };
            to_run(context, named, Words::of("run again"), |executor, ids, asker| {
                let definitions = executor.definitions()?;
                executor.rerun(ids, how, &definitions, asker)
            })
        }
        JobVerb::Kill(named) => kill(context, named),
    }
}

fn look(context: &mut Context, id: JobId) -> Result<&mut Executor, Failure> {
    let Some(executor) = context.look()? else { return Err(ExecutorError::NoSuchJob(id).into()) };
    executor.refresh()?;
    Ok(executor)
}

/// The job that is meant: in a script its own, where none is named.
fn own(context: &Context, id: Option<i64>) -> Result<JobId, Failure> {
    let own = id.map(JobId).or(context.asker()?.job);
    own.ok_or_else(|| Failure::input("name a job: only in a script of a job it is clear which is meant".to_owned()))
}

/// Keys with their values, as they are to be set.
fn keys(typed: &[String]) -> Result<Map<String, Value>, Failure> {
    let key = |given: &String| {
        let (key, value) = super::submit::pair("--set", given)?;
        Ok((key.to_owned(), json_of("--set", value)?))
    };
    typed.iter().map(key).collect()
}

fn json_of(flag: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::input(format!("{flag}: `{text}` is no JSON: {error}")))
}
