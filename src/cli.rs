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

use arguments::{
    DefineVerb, JobsVerb, KeepVerb, LookVerb, NewVerb, RunVerb, SetupVerb, StatusVerb, SubmitVerb, TendVerb, Verb,
};
use context::Context;
use failure::Failure;

/// Parses the command line, does what it says, and returns the exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> u8 {
    let (arguments, folder) = match arguments::parse(args) {
        Ok(parsed) => parsed,
        Err(mut error) => {
            // A flag that is misspelt is hardly ever meant as a word for the script.
            error.remove(clap::error::ContextKind::Suggested);
            // Help goes to standard output and is a success; so clap knows it.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let mut context = Context::new(folder, arguments.global.json);
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
        Verb::New(NewVerb::Init { exec_id }) => define::init(context, exec_id.as_deref()),
        Verb::New(NewVerb::Add(add)) => define::add(context, &add),
        Verb::Define(DefineVerb::Edit(edit)) => define::edit(context, &edit),
        Verb::Define(DefineVerb::Remove { name, stop, purge }) => define::remove(context, &name, stop, purge),
        Verb::Define(DefineVerb::List) => list::list(context),
        Verb::Define(DefineVerb::Show { name }) => list::show(context, &name),
        Verb::Define(DefineVerb::Check) => check::check(context),
        Verb::Run(RunVerb::Start { names, all, now }) => run::start(context, &names, all, now),
        Verb::Run(RunVerb::Stop { names, all }) => run::stop(context, &names, all),
        Verb::Run(RunVerb::Restart { names }) => run::restart(context, &names),
        Verb::Submit(SubmitVerb::Submit(arguments)) => submit::submit(context, &arguments),
        Verb::Submit(SubmitVerb::Apply(arguments)) => apply::apply(context, &arguments),
        Verb::Jobs(JobsVerb::Jobs(arguments)) => jobs::jobs(context, &arguments),
        Verb::Tend(TendVerb::Job { what }) => job::job(context, &what),
        Verb::Tend(TendVerb::Group { what }) => group::group(context, &what),
        Verb::Tend(TendVerb::Wait(arguments)) => wait::wait(context, &arguments),
        Verb::Keep(KeepVerb::KeepRestarting(arguments)) => keep::keep_restarting(context, &arguments),
        Verb::Status(StatusVerb::Status { names, watch, usage, next_run }) => {
            status::status(context, &names, watch, status::Shape { usage, next_run })
        }
        Verb::Look(LookVerb::History { name, number }) => history::history(context, &name, number),
        Verb::Look(LookVerb::Next(arguments)) => next::next(context, &arguments),
        Verb::Look(LookVerb::Tail(options)) => tail::tail(context, &options),
        Verb::Look(LookVerb::Log { number, follow }) => log::log(context, number, follow),
        Verb::Look(LookVerb::Report { since }) => report::report(context, since.as_deref()),
        Verb::Look(LookVerb::Explain { name }) => explain::explain(context, &name),
        Verb::Setup(SetupVerb::Service { what }) => service::service(context, &what),
        Verb::Setup(SetupVerb::Completions { shell }) => shell::completions(context, shell),
        Verb::Setup(SetupVerb::Man) => shell::man(context),
    }
}
