//! list and show: what is defined. Also executoR's short table, which `start --all` prints.

mod work;

use std::io::{self, Write};

use owo_colors::{OwoColorize, Style};

use crate::domain::amount::{print_duration, print_size};
use crate::domain::notice::Notify;
use crate::domain::resources::{Packing, Resources};
use crate::domain::restart::{Backoff, Window};
use crate::domain::schedule::{Missed, Overlap};
use crate::domain::task::{Program, Stall, Task};
use crate::domain::url;
use crate::executor::TaskStatus;

use super::table::{Column, Table};
use super::words::{command_line, moment, quoted_words};

/// executoR's full table: eleven columns, in its order. `status` is what was asked last, not what is observed.
pub fn full(
    exec_id: &str,
    tasks: &[TaskStatus],
    width: Option<u16>,
    out: &mut dyn Write,
) -> io::Result<Vec<&'static str>> {
    let mut table = Table::new(&[
        Column::text("exec_id", 3),
        Column::text("name", 0),
        Column::text("script", 0),
        Column::text("wd", 4),
        Column::whole("added", 2),
        Column::text("status", 0),
        Column::number("pid", 1),
        Column::text("env", 5),
        Column::text("restart", 1),
        Column::text("period", 1),
        Column::text("start", 6),
    ]);
    for status in tasks {
        let Some(task) = &status.task else { continue };
        let plain = |text: String| (text, Style::new());
        let commanded = if status.wanted() { "started" } else { "stopped" };
        table.row(vec![
            plain(exec_id.to_owned()),
            plain(task.name.to_string()),
            plain(command_line(task)),
            plain(task.wd.display().to_string()),
            plain(status.row.as_ref().map(|row| moment(row.added)).unwrap_or_default()),
            plain(commanded.to_owned()),
            plain(last_pid(status).map(|pid| pid.to_string()).unwrap_or_default()),
            plain(env_text(task)),
            plain(task.restart.as_str().to_owned()),
            plain(period_text(task)),
            plain(task.schedule.start.clone().unwrap_or_default()),
        ]);
    }
    table.write(width, out)
}

/// executoR's short table: which tasks run.
pub fn running(exec_id: &str, tasks: &[TaskStatus], width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&[
        Column::text("exec_id", 1),
        Column::text("name", 0),
        Column::text("running", 0),
        Column::text("restart", 0),
        Column::text("period", 0),
    ]);
    for status in tasks {
        let Some(task) = &status.task else { continue };
        let running = if status.live.is_some() { ("yes", Style::new().green()) } else { ("no", Style::new()) };
        table.row(vec![
            (exec_id.to_owned(), Style::new()),
            (task.name.to_string(), Style::new()),
            (running.0.to_owned(), running.1),
            (task.restart.as_str().to_owned(), Style::new()),
            (period_text(task), Style::new()),
        ]);
    }
    table.write(width, out).map(drop)
}

/// One definition, a field a line, defaults included.
pub fn definition(task: &Task, out: &mut dyn Write) -> io::Result<()> {
    for (field, value) in fields(task) {
        writeln!(out, "  {:<12} {}", field.dimmed(), super::screen::visible(&value))?;
    }
    Ok(())
}

/// The fields of a task that say something, in the order of the registry's documentation.
fn fields(task: &Task) -> Vec<(&'static str, String)> {
    let kind = match &task.program {
        Program::Script(_) => "script",
        Program::Command(_) => "command",
        Program::Shell(_) => "shell",
    };
    let mut fields = vec![(kind, command_line(task)), ("wd", task.wd.display().to_string())];
    let mut more = |field, value: Option<String>| fields.extend(value.filter(|v| !v.is_empty()).map(|v| (field, v)));
    more("interpreter", task.interpreter.as_ref().map(|words| words.join(" ")));
    more("env", Some(env_text(task)));
    more("env_file", task.env_file.as_ref().map(|path| path.display().to_string()));
    more("restart", Some(task.restart.as_str().to_owned()));
    more("period", task.schedule.period.clone());
    more("cron", task.schedule.cron.clone());
    more("start", task.schedule.start.clone());
    more("tz", task.schedule.tz.clone());
    let policy = &task.schedule.policy;
    more("missed", (policy.missed != Missed::default()).then(|| policy.missed.as_str().to_owned()));
    more("overlap", (policy.overlap != Overlap::default()).then(|| policy.overlap.as_str().to_owned()));
    more("jitter", task.schedule.jitter.map(print_duration));
    more("start_deadline", policy.start_deadline.map(print_duration));
    more("max_running", policy.max_running.map(|most| most.to_string()));
    more("enabled", (!task.enabled).then(|| "false".to_owned()));
    more("timeout", task.timeout.map(print_duration));
    more("retries", task.retries.map(|count| count.to_string()));
    more("backoff", backoff_text(&task.backoff));
    let gives_up = |window: Window| format!("after {} within {}", failures(window), print_duration(window.within));
    more("gives up", task.give_up.map(gives_up));
    more("stall", task.stall.as_ref().map(stall_text));
    more("notify", notify_text(&task.notify));
    more("stop", Some(format!("{}, then SIGKILL after {}", task.stop.signal, print_duration(task.stop.grace))));
    let limits = [
        Some(format!("{} archives", task.log.keep)),
        task.log.keep_for.map(|age| format!("for {}", print_duration(age))),
        task.log.keep_bytes.map(|bytes| format!("at most {}", print_size(bytes))),
    ];
    more("log", Some(format!("keeps {}", limits.into_iter().flatten().collect::<Vec<_>>().join(", "))));
    more("resources", Some(resources_text(&task.resources)));
    more("tags", Some(task.tags.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")));
    for (field, value) in work::of_jobs(task) {
        more(field, Some(value));
    }
    fields
}

/// The waits between restarts, where they are not the usual ones.
fn backoff_text(backoff: &Backoff) -> Option<String> {
    let unset = Backoff::default();
    let other = |differs: bool, text: String| differs.then_some(text);
    let parts = [
        Some(format!("{} ×{}", print_duration(backoff.first), backoff.factor)),
        backoff.max.map(|max| format!("at most {}", print_duration(max))),
        other(backoff.jitter != unset.jitter, format!("±{}", backoff.jitter.percent())),
        other(
            backoff.reset_after != unset.reset_after,
            format!("none after a run of {}", print_duration(backoff.reset_after)),
        ),
    ];
    other(*backoff != unset, parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// What queued runs need, in the words of the registry.
fn resources_text(resources: &Resources) -> String {
    let number = |name: &str, number: Option<u32>| number.map(|number| format!("{name} {number}"));
    let parts = [
        number("cpus", resources.cpus),
        resources.memory.map(|bytes| format!("memory {}", print_size(bytes))),
        resources.gpus.map(|gpus| format!("gpus {gpus}")),
        number("num_nodes", resources.num_nodes),
        number("ranks_per_node", resources.ranks_per_node),
        number("threads_per_rank", resources.threads_per_rank),
        number("threads_per_core", resources.threads_per_core),
        resources.gpus_per_rank.map(|gpus| format!("gpus_per_rank {gpus}")),
        number("node_packing_count", resources.node_packing_count.map(Packing::count)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn failures(window: Window) -> String {
    if window.failures == 1 { "1 failure".to_owned() } else { format!("{} failures", window.failures) }
}

fn stall_text(stall: &Stall) -> String {
    let sign = stall.file.as_ref().map_or("output".to_owned(), |file| format!("a change of {}", file.display()));
    format!("after {} without {sign}: {}", print_duration(stall.after), stall.action.as_str())
}

/// Who is told of what. Nothing where nobody is and nothing was said about it.
fn notify_text(notify: &Notify) -> Option<String> {
    if *notify == Notify::default() {
        return None;
    }
    let command = match notify.line() {
        Some(line) => Some(line.to_owned()),
        None => (!notify.command.is_empty()).then(|| quoted_words(&notify.command)),
    };
    let told: Vec<String> = command.into_iter().chain(notify.url.as_deref().map(url::shown)).collect();
    let on: Vec<&str> = notify.on.iter().map(|occasion| occasion.as_str()).collect();
    let on = if on.is_empty() { "nothing".to_owned() } else { on.join(", ") };
    Some(if told.is_empty() { format!("{on}: nobody") } else { format!("{on}: {}", told.join("; ")) })
}

/// The pid of the run that is alive, else of the last one.
pub(super) fn last_pid(status: &TaskStatus) -> Option<i32> {
    status.live.as_ref().and_then(|live| live.pid).or_else(|| status.run.as_ref().and_then(|run| run.pid))
}

fn env_text(task: &Task) -> String {
    task.env.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// The period, or the cron expression.
fn period_text(task: &Task) -> String {
    task.schedule.period.clone().or_else(|| task.schedule.cron.clone()).unwrap_or_default()
}
