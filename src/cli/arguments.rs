//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use super::fields::Fields;

/// Runs your scripts and keeps them running.
///
/// A named task (script, directory, environment) is one table in a TOML file. `start`, `stop`, `status` and `tail`
/// work with nothing running in the background. Without a verb, `jobexec` shows the status.
#[derive(Debug, Parser)]
#[command(name = "jobexec", version, after_help = EXAMPLES, infer_subcommands = false)]
pub(super) struct Arguments {
    /// Print JSON (verbs that only read)
    #[arg(long, global = true)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

const EXAMPLES: &str = "\
Examples:
  jobexec add LOL jobs/ticker.sh --env SYMBOL=LOL    define a task
  jobexec start LOL                                  run it in the background
  jobexec status                                     what runs, what failed
  jobexec tail LOL -f                                follow its output
  jobexec stop LOL                                   end it and everything it started

Exit codes:
  0 done, 1 failed, 2 bad input, 3 not running (status NAME), 4 no such task,
  5 refused in this state, 70 our own fault";

const REPORT_EXAMPLES: &str = "\
Examples:
  jobexec report --since 22:00                 since ten in the evening
  jobexec report --since 8h                    the last eight hours
  jobexec report --since '2026-11-20 22:00'    since then, in local time
  jobexec report --json | jq .verdict          the first sentence alone";

/// The whole command line: the derived one, with `-f/--folder` before and after every verb. With `tail` and `log`, `-f`
/// means to follow, as it does everywhere; there the folder is `--folder`, or stands before the verb.
pub(super) fn command() -> Command {
    let folder = || {
        Arg::new(FOLDER)
            .long("folder")
            .value_name("DIR")
            .value_parser(ValueParser::path_buf())
            .help("The executor's folder [default: $JOBEXEC_FOLDER, else ~/.local/state/jobexec]")
    };
    Arguments::command().arg(folder().short('f')).mut_subcommands(|verb| {
        let follows = verb.get_arguments().any(|arg| arg.get_short() == Some('f'));
        verb.arg(if follows { folder() } else { folder().short('f') })
    })
}

const FOLDER: &str = "folder";

/// What was typed: the arguments, and the folder, if it was named.
pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<(Arguments, Option<PathBuf>), clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let folder = |matches: &ArgMatches| matches.get_one::<PathBuf>(FOLDER).cloned();
    let after_verb = matches.subcommand().and_then(|(_, matches)| folder(matches));
    let found = after_verb.or_else(|| folder(&matches));
    Ok((Arguments::from_arg_matches(&matches)?, found))
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make the executor's folder and registry (the first `add` does so too)
    Init {
        /// The executor's id [default: 8 random hex digits]
        #[arg(long, value_name = "ID")]
        exec_id: Option<String>,
    },
    /// Define a task: `add NAME SCRIPT [ARG…]`, or `add NAME -- COMMAND [ARG…]`
    ///
    /// Adding does not start it. A script's arguments that begin with `-` come after `--`; with no SCRIPT before it,
    /// the first word after `--` is a command found along PATH. A task that exists already stays as it is.
    Add(AddArguments),
    /// Change fields of a task; a running one keeps its definition until its next start
    Edit(EditArguments),
    /// Remove a task from the registry; its history stays
    Remove {
        /// The task
        name: String,
        /// Stop it first if it runs
        #[arg(long)]
        stop: bool,
        /// Delete its output files too
        #[arg(long)]
        purge: bool,
    },
    /// Show every task's definition
    List,
    /// Show one task's definition
    Show {
        /// The task
        name: String,
    },
    /// Look for mistakes in the registry, and for scripts that could not be started
    Check,
    /// Run tasks in the background (scheduled ones are armed)
    Start {
        /// The tasks
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        names: Vec<String>,
        /// All tasks
        #[arg(long)]
        all: bool,
        /// Run scheduled ones at once as well
        #[arg(long)]
        now: bool,
    },
    /// End tasks and everything they started; returns when nothing is left. Ctrl-C kills at once
    Stop {
        /// The tasks
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        names: Vec<String>,
        /// All tasks
        #[arg(long)]
        all: bool,
    },
    /// Stop tasks and start them again
    Restart {
        /// The tasks
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Show what runs; of one task, everything
    Status {
        /// The tasks [default: all]
        names: Vec<String>,
        /// Go on showing it as it changes
        #[arg(short, long)]
        watch: bool,
        /// Show CPU time and memory of what runs
        #[arg(short, long)]
        usage: bool,
    },
    /// Show the runs of a task, newest first
    History {
        /// The task
        name: String,
        /// How many
        #[arg(short, value_name = "N", default_value_t = 20)]
        number: u32,
    },
    /// Show the last lines of tasks' output
    Tail(TailArguments),
    /// Show what was done with this executor, in order
    Log {
        /// The last N lines only
        #[arg(short, value_name = "N")]
        number: Option<u32>,
        /// Go on with what comes
        #[arg(short, long)]
        follow: bool,
    },
    /// Say what happened since last night: what failed first, what recovered, what was slow
    ///
    /// First comes one sentence that says whether all went well, then what is wrong now, what failed and in which order
    /// (with the last lines of output), what recovered, what took more than twice the usual time, what never ran, what
    /// ran, and what it takes of the disk. The exit code is 0 whatever there is to report.
    #[command(after_help = REPORT_EXAMPLES)]
    Report {
        /// How far back: a time of day (its last one), how long ago, or a date and time [default: 12 hours ago]
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
    /// Say in one sentence why a task runs or does not
    Explain {
        /// The task
        name: String,
    },
    /// Print a completion script
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

impl Verb {
    /// What no verb means.
    pub(super) fn status() -> Self {
        Self::Status { names: Vec::new(), watch: false, usage: false }
    }
}

/// `add`.
#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// The task's name: letters, digits, `.`, `_`, `-`
    pub(super) name: String,
    #[command(flatten)]
    pub(super) fields: Fields,
    /// Start it at once
    #[arg(long)]
    pub(super) now: bool,
    /// Replace the definition of a task that exists
    #[arg(long)]
    pub(super) replace: bool,
}

/// `edit`.
#[derive(Debug, Args)]
pub(super) struct EditArguments {
    /// The task
    pub(super) name: String,
    #[command(flatten)]
    pub(super) fields: Fields,
    /// Take a field away, so that its default holds (repeatable)
    #[arg(long, value_name = "FIELD")]
    pub(super) unset: Vec<String>,
}

/// `tail`.
#[derive(Debug, Args)]
pub(super) struct TailArguments {
    /// The tasks
    #[arg(required = true)]
    pub(super) names: Vec<String>,
    /// How many lines, or `all`
    #[arg(short, value_name = "N", default_value = "50")]
    pub(super) number: String,
    /// Go on with what comes, across restarts
    #[arg(short, long)]
    pub(super) follow: bool,
    /// The output of run K of the history; -1 is the last
    #[arg(long, value_name = "K", allow_negative_numbers = true, conflicts_with_all = ["follow", "archives"])]
    pub(super) run: Option<i64>,
    /// The outputs of all runs that are still there, oldest first
    #[arg(long, conflicts_with = "follow")]
    pub(super) archives: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_folder_may_stand_before_and_after_the_verb() {
        for line in
            ["-f /x status", "status -f /x", "tail LOL -f --folder /x", "-f /x tail LOL -f", "stop LOL --folder=/x"]
        {
            let args = ["jobexec"].into_iter().chain(line.split(' ')).map(OsString::from);
            assert_eq!(parse(args).unwrap().1, Some(PathBuf::from("/x")), "{line}");
        }
    }
}
