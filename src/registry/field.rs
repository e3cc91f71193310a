//! The table of everything a task may say. It drives reading, the check for unknown keys, the suggestions
//! and the documentation, so that none of them can know a field that another does not.

use super::draft::Draft;
use super::machine::MOST_CPUS;
use super::value::{Entry, Reader};
use crate::domain::resources::MOST_GPUS;
use crate::domain::suggest::nearest;

/// One field of a task.
#[derive(Debug)]
pub struct Field {
    /// The key; what is in a table of its own has a dot: `stop.grace`.
    pub key: &'static str,
    /// What may be written, in a few words.
    pub form: &'static str,
    /// What holds when it is not written.
    pub default: &'static str,
    /// What it means, in one line.
    pub doc: &'static str,
    /// Whether it may stand in `[defaults]` too.
    pub in_defaults: bool,
    pub(super) read: fn(&mut Reader<'_>, &Entry<'_, '_>, &mut Draft),
}

/// Writes one row of the table.
macro_rules! field {
    ($key:literal, $form:literal, $default:literal, $doc:literal, $defaults:literal, $read:expr) => {
        Field { key: $key, form: $form, default: $default, doc: $doc, in_defaults: $defaults, read: $read }
    };
}

#[rustfmt::skip]
static FIELDS: [Field; 63] = [
    field!("script", "text", "", "The script to run; a relative path is found from `wd`. Exactly one of `script`, `command` and `shell`", false,
        |r, e, d| d.script = r.path(e)),
    field!("command", "list of texts", "", "A program, found along `PATH`, and its arguments", false,
        |r, e, d| { r.check_templates(e); d.command = r.words(e) }),
    field!("shell", "text", "", "A line for `/bin/sh -c`", false,
        |r, e, d| { r.check_line(e); d.shell = r.text(e) }),
    field!("args", "list of texts", "none", "Arguments after the script or command", false,
        |r, e, d| { r.check_templates(e); d.args = r.list(e) }),
    field!("interpreter", "text or list of texts", "by the script's first bytes, then its extension", "The program, and its own arguments, that the script is handed to; a text is one program, blanks included", true,
        |r, e, d| d.interpreter = r.word_or_words(e)),
    field!("wd", "text", "the folder of this file", "The working directory; a relative path is found from the folder of this file", true,
        |r, e, d| d.wd = r.path(e)),
    field!("env", "table of texts", "none", "Variables set for the script; numbers and booleans become their text", true,
        |r, e, d| { r.check_templates(e); d.env = r.variables(e) }),
    field!("env_file", "text", "none", "A file of further variables, read at each run, never shown; a relative path is found from `wd`", true,
        |r, e, d| d.env_file = r.path(e)),
    field!("restart", "`always`, `on-failure` or `never`", "`always`, or `never` beside `period`, `cron` or `retries`", "What the supervisor does when the task is wanted and not running", true,
        |r, e, d| d.restart = r.restart(e)),
    field!("period", "text", "none", "How often it fires by itself: `2 min`, `day`, `every weekday at 9`. Not beside `cron`", true,
        |r, e, d| d.period = r.text(e)),
    field!("cron", "text", "none", "When it fires by itself, as a cron expression: `0 3 * * mon-fri`", true,
        |r, e, d| d.cron = r.text(e)),
    field!("start", "text or date and time", "none", "Anchor and lower bound of the schedule", true,
        |r, e, d| d.start = r.moment(e)),
    field!("tz", "text", "that of `start`, else the machine's", "The time zone of the schedule", true,
        |r, e, d| d.tz = r.text(e)),
    field!("missed", "`once`, `skip` or `all`", "`once`", "What becomes of runs that were due while nobody was there: the newest is run, none is, or the newest 100 are, one after another", true,
        |r, e, d| d.missed = r.missed(e)),
    field!("overlap", "`skip`, `queue`, `replace` or `allow`", "`skip`", "What becomes of one that is due while an earlier one runs: it is skipped, it waits (one at most), the earlier one is stopped first, or both run", true,
        |r, e, d| d.overlap = r.overlap(e)),
    field!("jitter", "duration", "none", "Each run is put off by less than this, always by the same for the same moment; shorter than the time between two runs", true,
        |r, e, d| d.jitter = r.positive(e, "leave it out for none")),
    field!("start_deadline", "duration", "none", "How late a run may still begin; a later one counts as missed", true,
        |r, e, d| d.start_deadline = r.positive(e, "leave it out for no limit")),
    field!("max_running", "number from 1 to 100", "no limit", "How many may run side by side. Needs `overlap = \"allow\"`", true,
        |r, e, d| d.max_running = r.count_in(e, 1..=100)),
    field!("enabled", "`true` or `false`", "`true`", "Whether the schedule may fire it", true,
        |r, e, d| d.enabled = r.flag(e)),
    field!("timeout", "duration", "none", "The longest that one run may last", true,
        |r, e, d| d.timeout = r.positive(e, "leave it out for no limit")),
    field!("retries", "number", "none after an error, 3 after a time-out", "Automatic retries of a job", true,
        |r, e, d| d.retries = r.count(e)),
    field!("backoff.first", "duration", "`1s`", "The wait before it is started again after a short run", true,
        |r, e, d| d.backoff_first = r.duration(e)),
    field!("backoff.factor", "number from 1 to 1000", "`2`", "By how much the wait after each further short run is longer: `1.5`", true,
        |r, e, d| d.backoff_factor = r.decimal(e, 1..=1000)),
    field!("backoff.max", "duration", "the supervisor's `--sleep`", "The longest wait", true,
        |r, e, d| d.backoff_max = r.duration(e)),
    field!("backoff.jitter", "number from 0 to 1 or `\"10%\"`", "`\"10%\"`", "By which part a wait is made shorter or longer by chance", true,
        |r, e, d| d.backoff_jitter = r.share(e)),
    field!("backoff.reset_after", "duration", "`2s`", "A run that lasted so long was a good one: the next starts at once", true,
        |r, e, d| d.backoff_reset_after = r.duration(e)),
    field!("give_up.failures", "number from 1 to 100", "never", "After so many failed ends it is no longer started again", true,
        |r, e, d| d.give_up_failures = r.count_in(e, 1..=100)),
    field!("give_up.within", "duration", "`10m`", "The time within which they count. Needs `give_up.failures`", true,
        |r, e, d| d.give_up_within = r.positive(e, "leave it out for 10 minutes")),
    field!("stall_after", "duration", "none", "It has stalled when it runs and shows no sign of life for so long", true,
        |r, e, d| d.stall_after = r.positive(e, "leave it out to watch for nothing")),
    field!("stall_file", "text", "the output", "The file whose change is the sign of life; a relative path is found from `wd`. Needs `stall_after`", true,
        |r, e, d| d.stall_file = r.path(e)),
    field!("stall_action", "`notify` or `restart`", "`notify`", "What is done with it: it is told, or its run is stopped as well, which is a failure. Needs `stall_after`", true,
        |r, e, d| d.stall_action = r.stall_action(e)),
    field!("notify.on", "text or list of `failure`, `crash-loop`, `recovery`, `finish`, `stall`", "all but `finish`", "What is told; `[]` for nothing", true,
        |r, e, d| d.notify_on = r.occasions(e)),
    field!("notify.command", "text or list of texts", "none", "A line for `/bin/sh -c`, or a program and its arguments, run with the message in its environment; `[]` for none", true,
        |r, e, d| d.notify_command = r.telling(e)),
    field!("notify.url", "URL", "none", "Where the message is posted to as JSON: `https://…`; of its path and query nothing is shown. `\"\"` for none", true,
        |r, e, d| d.notify_url = r.url(e)),
    field!("stop.signal", "signal", "`TERM`", "The first signal of a stop", true,
        |r, e, d| d.stop_signal = r.signal(e)),
    field!("stop.grace", "duration", "`10s`", "The time between that signal and SIGKILL", true,
        |r, e, d| d.stop_grace = r.duration(e)),
    field!("log.keep", "number", "`100`", "At most this many archived outputs are kept", true,
        |r, e, d| d.log_keep = r.count(e)),
    field!("log.keep_for", "duration", "no limit", "Archived outputs older than this go", true,
        |r, e, d| d.log_keep_for = r.duration(e)),
    field!("log.keep_bytes", "size", "no limit", "Archived outputs of at most this size together are kept", true,
        |r, e, d| d.log_keep_bytes = r.size(e)),
    field!("tags", "table of texts", "none", "Free labels; numbers and booleans become their text", true,
        |r, e, d| d.tags = r.labels(e)),
    field!("params", "table of parameters", "none", "What its jobs may be given with `-p NAME=VALUE`, by name: `type`, `required` or `default`, `help`", true,
        |r, e, d| d.params = r.params(e)),
    field!("priority", "integer", "`0`", "Queued jobs with a higher one go first", true,
        |r, e, d| d.priority = r.priority(e)),
    field!("group", "name", "none", "The group that its queued jobs belong to; `[group.NAME]` may say how many of them run at a time", true,
        |r, e, d| d.group = r.label(e)),
    field!("locks", "list of names", "none", "What only one run at a time may hold: each run of the task holds them while it runs", true,
        |r, e, d| d.locks = r.locks(e)),
    field!("workdir", "text with placeholders", "none: they run in `wd`", "The directory that its jobs run in, inside of `jobs/` in the executor's folder", true,
        |r, e, d| d.workdir = r.workdir(e)),
    field!("preamble", "text or list of texts", "none", "A file that the shell sources before the command, or lines for it, each run if the one before succeeded; `[]` for none", true,
        |r, e, d| d.preamble = r.preamble(e)),
    field!("hooks.preprocess", "text or list of texts", "none", "A line for `/bin/sh -c`, or a program and its arguments, run when the inputs of a job are in place; `[]` for none", true,
        |r, e, d| d.hooks_preprocess = r.telling(e)),
    field!("hooks.postprocess", "text or list of texts", "none", "The same, when its run has ended well", true,
        |r, e, d| d.hooks_postprocess = r.telling(e)),
    field!("hooks.handle_error", "text or list of texts", "none", "The same, when its run has failed", true,
        |r, e, d| d.hooks_handle_error = r.telling(e)),
    field!("hooks.handle_timeout", "text or list of texts", "none", "The same, when its run was ended by its time limit", true,
        |r, e, d| d.hooks_handle_timeout = r.telling(e)),
    field!("hooks.timeout", "duration", "`1h`", "The longest that a hook may run", true,
        |r, e, d| d.hooks_timeout = r.positive(e, "leave it out for 1 hour")),
    field!("transfers", "table of slots", "none", "What is brought into a job's work directory and out of it, by name: `direction`, `local`, `remote`, `required`, `recursive`, `mode`, `help`", true,
        |r, e, d| d.transfers = r.transfers(e)),
    field!("cleanup", "list of patterns", "none", "What is removed from the work directory of a job that has finished: `[\"*.tmp\"]`", true,
        |r, e, d| d.cleanup = r.patterns(e)),
    field!("resources.cpus", "number", "none", "How many cpus a queued run needs", true,
        |r, e, d| d.resources.cpus = r.count_in(e, 0..=MOST_CPUS)),
    field!("resources.memory", "size", "none", "How much memory", true,
        |r, e, d| d.resources.memory = r.size(e)),
    field!("resources.gpus", "number, perhaps with a fraction", "none", "How many GPUs; `0.5` shares one", true,
        |r, e, d| d.resources.gpus = r.decimal(e, 0..=MOST_GPUS)),
    field!("resources.num_nodes", "number", "`1`", "How many machines: more than one is refused by `submit`", true,
        |r, e, d| d.resources.num_nodes = r.count_in(e, 1..=MOST_CPUS)),
    field!("resources.ranks_per_node", "number", "`1`", "How many processes it starts; with the next two in place of `resources.cpus`", true,
        |r, e, d| d.resources.ranks_per_node = r.count_in(e, 1..=MOST_CPUS)),
    field!("resources.threads_per_rank", "number", "`1`", "How many threads each of them has; the script sees it as `OMP_NUM_THREADS`", true,
        |r, e, d| d.resources.threads_per_rank = r.count_in(e, 1..=MOST_CPUS)),
    field!("resources.threads_per_core", "number", "`1`", "How many threads share a cpu", true,
        |r, e, d| d.resources.threads_per_core = r.count_in(e, 1..=MOST_CPUS)),
    field!("resources.gpus_per_rank", "number, perhaps with a fraction", "none", "How many GPUs each process uses, in place of `resources.gpus`", true,
        |r, e, d| d.resources.gpus_per_rank = r.decimal(e, 0..=MOST_GPUS)),
    field!("resources.node_packing_count", "number from 1 to 1000", "none", "It takes one of so many equal parts of the machine", true,
        |r, e, d| d.resources.node_packing_count = r.packing(e)),
    field!("resources.wall_time_min", "number of minutes", "none", "Another word for `timeout`", true,
        |r, e, d| d.wall_time = r.minutes(e)),
];

/// The fields of a task, in the order of the documentation.
pub fn fields() -> &'static [Field] {
    &FIELDS
}

/// The fields as a Markdown table: a part of `docs/registry.md`.
pub fn render_fields() -> String {
    let head = "| field | value | default | in `[defaults]` | meaning |\n| --- | --- | --- | --- | --- |\n";
    let row = |Field { key, form, default, doc, in_defaults, .. }: &Field| {
        let allowed = if *in_defaults { "yes" } else { "no" };
        format!("| `{key}` | {form} | {default} | {allowed} | {doc} |\n")
    };
    std::iter::once(head.to_owned()).chain(fields().iter().map(row)).collect()
}

/// The field of this key.
pub(super) fn find(key: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.key == key)
}

/// Whether fields of this table exist: `stop`, `log`.
pub(super) fn is_group(key: &str) -> bool {
    FIELDS.iter().any(|field| field.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// The known key that a mistyped one was meant to be, by its whole or by its part after the dot.
pub(super) fn meant(typed: &str) -> Option<&'static str> {
    let groups = FIELDS.iter().filter_map(|field| field.key.split_once('.')).map(|(group, _)| group);
    if let Some(key) = nearest(typed, FIELDS.iter().map(|field| field.key).chain(groups)) {
        return Some(key);
    }
    let last = |field: &Field| field.key.rsplit('.').next().unwrap_or(field.key);
    let part = nearest(typed.rsplit('.').next().unwrap_or(typed), FIELDS.iter().map(last))?;
    FIELDS.iter().find(|field| last(field) == part).map(|field| field.key)
}
