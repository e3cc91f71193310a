//! The command line: one file per verb, each parsing nothing and deciding nothing beyond what a person meant.

mod apply;
mod arguments;
mod check;
mod context;
mod define;
mod explain;
mod failure;
mod fields;
mod group;
mod history;
mod job;
mod jobs;
mod keep;
mod list;
mod log;
mod next;
mod picture;
mod report;
mod run;
mod schedule;
mod service;
mod shell;
mod status;
mod submit;
mod tail;
mod wait;

use std::ffi::OsString;

use arguments::Verb;
use context::Context;
use failure::Failure;

/// Parses the command line, does what it says, and returns the exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> u8 {
    let (arguments, folder) = match arguments::parse(args) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help goes to standard output and is a success; so clap knows it.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let mut context = Context::new(folder, arguments.json);
    let done = dispatch(&mut context, arguments.verb);
    let flushed = context.finish();
    match done.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}

/// The exit code of a verb that did its work.
fn dispatch(context: &mut Context, verb: Option<Verb>) -> Result<u8, Failure> {
    match verb.unwrap_or_else(Verb::status) {
        Verb::Init { exec_id } => define::init(context, exec_id.as_deref()),
        Verb::Add(add) => define::add(context, &add),
        Verb::Edit(edit) => define::edit(context, &edit),
        Verb::Remove { name, stop, purge } => define::remove(context, &name, stop, purge),
        Verb::List => list::list(context),
        Verb::Show { name } => list::show(context, &name),
        Verb::Check => check::check(context),
        Verb::Start { names, all, now } => run::start(context, &names, all, now),
        Verb::Stop { names, all } => run::stop(context, &names, all),
        Verb::Restart { names } => run::restart(context, &names),
        Verb::Apply(arguments) => apply::apply(context, &arguments),
        Verb::Jobs(arguments) => jobs::jobs(context, &arguments),
        Verb::Job { what } => job::job(context, &what),
        Verb::Group { what } => group::group(context, &what),
        Verb::Wait(arguments) => wait::wait(context, &arguments),
        Verb::Submit(arguments) => submit::submit(context, &arguments),
        Verb::KeepRestarting(arguments) => keep::keep_restarting(context, &arguments),
        Verb::Status { names, watch, usage, next_run } => {
            status::status(context, &names, watch, status::Shape { usage, next_run })
        }
        Verb::Next(arguments) => next::next(context, &arguments),
        Verb::History { name, number } => history::history(context, &name, number),
        Verb::Tail(options) => tail::tail(context, &options),
        Verb::Log { number, follow } => log::log(context, number, follow),
        Verb::Service { what } => service::service(context, &what),
        Verb::Report { since } => report::report(context, since.as_deref()),
        Verb::Explain { name } => explain::explain(context, &name),
        Verb::Completions { shell } => shell::completions(context, shell),
        Verb::Man => shell::man(context),
    }
}
