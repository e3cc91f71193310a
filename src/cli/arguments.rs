//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use super::apply::ApplyArguments;
use super::fields::Fields;
use super::group::GroupVerb;
use super::job::JobVerb;
use super::jobs::JobsArguments;
use super::submit::SubmitArguments;
use super::wait::WaitArguments;

/// Runs your scripts and keeps them running.
///
/// A named task (script, directory, environment) is one table in a TOML file. `start`, `stop`, `status` and `tail`
/// work with nothing running in the background. Without a verb, `jobexec` shows the status.
#[derive(Debug, Parser)]
#[command(name = "jobexec", version, after_help = EXAMPLES, infer_subcommands = false)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) global: Global,

    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

/// What may stand before every verb and after it.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Print JSON (verbs that only read)
    #[arg(long, global = true)]
    pub(super) json: bool,
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

const NEXT_EXAMPLES: &str = "\
Examples:
  jobexec next                               what is armed, in order of time
  jobexec next backup -n 3                   the next three times of one task
  jobexec next backup --from 2026-10-24      around the end of summer time
  jobexec next --plan 24h                    who will meet whom within a day";

const REPORT_EXAMPLES: &str = "\
Examples:
  jobexec report --since 22:00                 since ten in the evening
  jobexec report --since 8h                    the last eight hours
  jobexec report --since '2026-11-20 22:00'    since then, in local time
  jobexec report --json | jq .verdict          the first sentence alone";

/// The whole command line: the derived one, with `-f/--folder` before and after every verb. With `tail` and `log`, `-f`
/// means to follow, as it does everywhere; there the folder is `--folder`, or stands before the verb.
pub(super) fn command() -> Command {
    with_folders(Arguments::command())
}

fn with_folders(command: Command) -> Command {
    with_folder(command).mut_subcommands(|verb| with_folder(verb).mut_subcommands(with_folder))
}

fn with_folder(verb: Command) -> Command {
    let follows = verb.get_arguments().any(|arg| arg.get_short() == Some('f'));
    let folder = Arg::new(FOLDER)
        .long("folder")
        .value_name("DIR")
        .value_parser(ValueParser::path_buf())
        .help("The executor's folder [default: $JOBEXEC_FOLDER, else ~/.local/state/jobexec]");
    verb.arg(if follows { folder } else { folder.short('f') })
}

const FOLDER: &str = "folder";

/// What was typed: the arguments, and the folder, if it was named.
pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<(Arguments, Option<PathBuf>), clap::Error> {
    let args: Vec<OsString> = args.collect();
    // Help, and what is said about a mistake, are about all verbs.
    parse_by(command_of(&args), &args).or_else(|_| parse_by(command(), &args))
}

fn parse_by(command: Command, args: &[OsString]) -> Result<(Arguments, Option<PathBuf>), clap::Error> {
    let matches = command.try_get_matches_from(args)?;
    let folder = |matches: &ArgMatches| matches.get_one::<PathBuf>(FOLDER).cloned();
    let mut found = folder(&matches);
    let mut verb = &matches;
    // What stands later counts.
    while let Some((_, inner)) = verb.subcommand() {
        found = folder(inner).or(found);
        verb = inner;
    }
    Ok((Arguments::from_arg_matches(&matches)?, found))
}

/// A part of [`command`] that is enough for a good command line: of the verbs, those of the group that the first word
/// which is a verb belongs to.
fn command_of(args: &[OsString]) -> Command {
    let mut words = args.iter().skip(1).filter_map(|word| word.to_str());
    let group = words.find_map(Verb::group).unwrap_or(StatusVerb::augment_subcommands);
    with_folders(group(Global::augment_args(Command::new("jobexec"))))
}

/// The verbs, group by group in the order of the help. A command line means one of them, and building the flags of all
/// would take most of the time of a short command: see [`parse`].
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    #[command(flatten)]
    New(NewVerb),
    #[command(flatten)]
    Define(DefineVerb),
    #[command(flatten)]
    Run(RunVerb),
    #[command(flatten)]
    Submit(SubmitVerb),
    #[command(flatten)]
    Jobs(JobsVerb),
    #[command(flatten)]
    Tend(TendVerb),
    #[command(flatten)]
    Keep(KeepVerb),
    #[command(flatten)]
    Status(StatusVerb),
    #[command(flatten)]
    Look(LookVerb),
    #[command(flatten)]
    Setup(SetupVerb),
}

/// The verbs that begin an executor and its tasks.
#[derive(Debug, Subcommand)]
pub(super) enum NewVerb {
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
    Add(Box<AddArguments>),
}

/// The verbs that change what is defined, and look at it.
#[derive(Debug, Subcommand)]
pub(super) enum DefineVerb {
    /// Change fields of a task; a running one keeps its definition until its next start
    Edit(Box<EditArguments>),
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
}

/// The verbs that run tasks and end them.
#[derive(Debug, Subcommand)]
pub(super) enum RunVerb {
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
}

/// The verbs that put jobs into the queue.
#[derive(Debug, Subcommand)]
pub(super) enum SubmitVerb {
    /// Queue a job of a task, or of a command: `submit TASK`, `submit -- COMMAND [ARG…]`
    ///
    /// Prints the new ids, one a line. Slots of a supervisor (`jobexec keep-restarting --slots N`) run queued jobs.
    Submit(Box<SubmitArguments>),
    /// Make the tasks and jobs of a file with what they wait for: all of them or none
    ///
    /// A job is the same when the file's name and its own are: applying a file twice changes nothing. Prints the names and
    /// ids of new jobs, one a line.
    Apply(ApplyArguments),
}

/// The verb that shows the queue.
#[derive(Debug, Subcommand)]
pub(super) enum JobsVerb {
    /// Show jobs, newest first; with WHERE, those that are meant
    Jobs(JobsArguments),
}

/// The verbs for jobs that are there.
#[derive(Debug, Subcommand)]
pub(super) enum TendVerb {
    /// Look at one job, or do something with jobs
    Job {
        /// What
        #[command(subcommand)]
        what: JobVerb,
    },
    /// Groups of jobs with a limit of their own: list, pause, resume
    Group {
        /// What
        #[command(subcommand)]
        what: GroupVerb,
    },
    /// Wait until jobs have succeeded, or one has failed (exit 1)
    Wait(WaitArguments),
}

/// The verbs that keep tasks running.
#[derive(Debug, Subcommand)]
pub(super) enum KeepVerb {
    /// Keep wanted tasks running: start again what broke, until Ctrl-C (which leaves them running)
    ///
    /// At most one for a folder. After a run of 2 seconds or more a task is started again at once, after a shorter one
    /// with a wait that doubles. What was stopped stays stopped. SIGHUP reads the registry anew; closing the terminal
    /// does not end it.
    KeepRestarting(KeepArguments),
}

/// The verb that says how things stand.
#[derive(Debug, Subcommand)]
pub(super) enum StatusVerb {
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
        /// Show when scheduled tasks run next
        #[arg(long)]
        next_run: bool,
    },
}

/// The verbs that say what was, what will be, and why.
#[derive(Debug, Subcommand)]
pub(super) enum LookVerb {
    /// Show the runs of a task, newest first
    History {
        /// The task
        name: String,
        /// How many
        #[arg(short, value_name = "N", default_value_t = 20)]
        number: u32,
    },
    /// Show when schedules fire: of one task, or of all that are armed
    ///
    /// Times are those of the schedule's zone, and of this machine where it shows another time. A schedule fires only
    /// while a supervisor runs (`jobexec keep-restarting`) and only once it is armed (`jobexec start NAME`).
    #[command(after_help = NEXT_EXAMPLES)]
    Next(NextArguments),
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
    /// Say in one sentence why a task or a job runs or does not
    Explain {
        /// The task, or the id of a job
        name: String,
    },
}

/// The verbs that set up the surroundings.
#[derive(Debug, Subcommand)]
pub(super) enum SetupVerb {
    /// Have systemd run the supervisor, from boot on
    ///
    /// The service runs `keep-restarting` in this folder as a systemd user service: it starts with the machine (where
    /// lingering is on) and again whenever it ends, and what you started comes back.
    Service {
        /// What to do with it
        #[command(subcommand)]
        what: ServiceVerb,
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
    /// What builds the group of a verb.
    fn group(verb: &str) -> Option<fn(Command) -> Command> {
        type Group = (fn(&str) -> bool, fn(Command) -> Command);
        let groups: [Group; 10] = [
            (NewVerb::has_subcommand, NewVerb::augment_subcommands),
            (DefineVerb::has_subcommand, DefineVerb::augment_subcommands),
            (RunVerb::has_subcommand, RunVerb::augment_subcommands),
            (SubmitVerb::has_subcommand, SubmitVerb::augment_subcommands),
            (JobsVerb::has_subcommand, JobsVerb::augment_subcommands),
            (TendVerb::has_subcommand, TendVerb::augment_subcommands),
            (KeepVerb::has_subcommand, KeepVerb::augment_subcommands),
            (StatusVerb::has_subcommand, StatusVerb::augment_subcommands),
            (LookVerb::has_subcommand, LookVerb::augment_subcommands),
            (SetupVerb::has_subcommand, SetupVerb::augment_subcommands),
        ];
        groups.into_iter().find(|(has, _)| has(verb)).map(|(_, build)| build)
    }

    /// What no verb means.
    pub(super) fn status() -> Self {
        Self::Status(StatusVerb::Status { names: Vec::new(), watch: false, usage: false, next_run: false })
    }
}

/// The verbs of `service`.
#[derive(Debug, Subcommand)]
pub(super) enum ServiceVerb {
    /// Write the unit, enable it and start it; one that is there is brought up to date
    ///
    /// The unit carries the PATH of this shell, since systemd's own is a shorter one.
    Install(InstallArguments),
    /// Stop the service and take its unit away; tasks go on running
    Uninstall,
    /// Show whether it is installed and runs, and what could keep it from it
    Status,
}

/// `service install`.
#[derive(Debug, Args)]
pub(super) struct InstallArguments {
    /// The longest that a broken task stays down, for `keep-restarting --sleep`
    #[arg(long, value_name = "DURATION")]
    pub(super) sleep: Option<String>,
    /// Leave the start to the next boot or login
    #[arg(long)]
    pub(super) no_start: bool,
    /// Print the unit, and do nothing
    #[arg(long, conflicts_with = "no_start")]
    pub(super) print: bool,
}

/// `next`.
#[derive(Debug, Args)]
pub(super) struct NextArguments {
    /// The task [default: all that are armed]
    pub(super) name: Option<String>,
    /// How many, all tasks together
    #[arg(short, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) number: u32,
    /// After this moment [default: now]: `2026-03-29`, `tomorrow 9:00`, `+2h`
    #[arg(long, value_name = "TIME")]
    pub(super) from: Option<String>,
    /// Every start within this time, and what usually still runs then: `24h`
    #[arg(long, value_name = "DURATION", conflicts_with = "number")]
    pub(super) plan: Option<String>,
}

/// `keep-restarting`.
#[expect(clippy::struct_excessive_bools, reason = "flags, each its own")]
#[derive(Debug, Args)]
pub(super) struct KeepArguments {
    /// The longest that a broken task stays down, where it has no `backoff.max`
    #[arg(long, value_name = "DURATION", default_value = "60")]
    pub(super) sleep: String,
    /// How many queued jobs run at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) slots: u32,
    /// Go into the background; the diary is supervisor.log in the folder
    #[arg(long)]
    pub(super) detach: bool,
    /// End the supervisor of this folder, wherever it runs
    #[arg(long, conflicts_with_all = ["detach", "stop_tasks", "until_idle"])]
    pub(super) stop: bool,
    /// At the end, stop what runs (the next supervisor brings it back)
    #[arg(long)]
    pub(super) stop_tasks: bool,
    /// End when nothing is left that ends by itself; exit code 1 if something failed
    #[arg(long)]
    pub(super) until_idle: bool,
    /// Say more (twice: everything); `JOBEXEC_LOG` says it by module
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
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
    fn what_is_built_for_one_verb_reads_what_the_whole_does() {
        let lines = [
            "init --exec-id a",
            "add a --env A=1 -- b",
            "edit a --unset env",
            "remove a --purge",
            "list --json",
            "show a",
            "check",
            "start a b --now",
            "stop --all",
            "restart a",
            "submit a -p k=v",
            "apply file.toml",
            "--json jobs --limit 3",
            "job show 1",
            "job update 1 --set a=1",
            "group pause a",
            "wait 1",
            "keep-restarting --slots 2 -v",
            "status a -u",
            "history a -n 3",
            "next --plan 24h",
            "tail -f a",
            "log -n 3 -f",
            "report --since 8h",
            "explain a",
            "service install --print",
            "completions bash",
            "man",
            "-f status --json status",
            "",
        ];
        let read = |command: Command, args: &[OsString]| parse_by(command, args).map(|read| format!("{read:?}"));
        let mut verbs = Vec::new();
        for line in lines {
            let args: Vec<_> = ["jobexec"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect();
            let whole = read(command(), &args).unwrap();
            match read(command_of(&args), &args) {
                Ok(part) => assert_eq!(part, whole, "{line}"),
                Err(error) => panic!("{line}: {error}"),
            }
            verbs.extend(command().try_get_matches_from(args).unwrap().subcommand_name().map(str::to_owned));
        }
        for verb in command().get_subcommands() {
            assert!(verbs.iter().any(|seen| seen == verb.get_name()), "{} is not in the table", verb.get_name());
        }
    }

    #[test]
    fn the_folder_may_stand_before_and_after_the_verb() {
        let lines = [
            "-f /x status",
            "status -f /x",
            "tail LOL -f --folder /x",
            "-f /x tail LOL -f",
            "stop LOL --folder=/x",
            "-f /x service status",
            "-f add status -f /x",
            "service -f /x status",
            "-f /y service install --no-start -f /x",
        ];
        for line in lines {
            let args = ["jobexec"].into_iter().chain(line.split(' ')).map(OsString::from);
            assert_eq!(parse(args).unwrap().1, Some(PathBuf::from("/x")), "{line}");
        }
    }
}
