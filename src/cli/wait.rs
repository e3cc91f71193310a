//! wait: until jobs have come to an end.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::amount::parse_duration;
use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::domain::selection::Selection;
use crate::domain::waiting::{Tally, Until};
use crate::executor::{Executor, Waited};

use super::context::{Context, told, warn};
use super::failure::Failure;

/// The exit code when the time is over.
const TIME_IS_OVER: u8 = 124;

/// `wait`.
#[derive(Debug, Args)]
pub(super) struct WaitArguments {
    /// The jobs: ids, or a selection
    #[arg(required = true, value_name = "ID|WHERE")]
    jobs: Vec<String>,
    /// Until the first has succeeded, or matches
    #[arg(long, conflicts_with_all = ["all", "count"])]
    any: bool,
    /// Until all have ended, also when some fail; with `--until`, until each matches or no longer can
    #[arg(long)]
    all: bool,
    /// Until they match this selection instead of until they have succeeded (repeatable: any of them)
    #[arg(long, value_name = "WHERE")]
    until: Vec<String>,
    /// Until so many have succeeded, or match
    #[arg(long, value_name = "N", conflicts_with = "all")]
    count: Option<NonZeroUsize>,
    /// No longer than this; then the exit code is 124
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
}

/// `wait`.
pub(super) fn wait(context: &mut Context, typed: &WaitArguments) -> Result<u8, Failure> {
    let timeout = typed.timeout.as_deref().map(parse_duration).transpose();
    let timeout = timeout.map_err(|error| Failure::input(format!("--timeout: {error}")))?;
    let Some(executor) = context.existing()? else { return Err(super::jobs::none(&typed.jobs)) };
    let ids = super::jobs::named(executor, &typed.jobs)?;
    let matching = typed.until.iter().map(|text| goal(executor, text)).collect::<Result<Vec<_>, _>>()?;
    let each: HashSet<JobId> = ids.iter().copied().collect();
    if let Some(count) = typed.count.filter(|count| count.get() > each.len()) {
        return Err(Failure::failed(format!(
            "--count {count}: that many will never be there, {} are meant",
            each.len()
        )));
    }
    if ids.is_empty() {
        told(&format!("0 of {} jobs", executor.count_jobs("")?));
        return Ok(0);
    }
    let open = executor.job_rows(&ids)?.iter().any(|job| !job.state.is_end() && job.state != State::Blocked);
    if open && !executor.is_supervised() {
        warn("no supervisor is running, so nothing runs queued jobs until `jobexec keep-restarting` does");
    }
    let until = match (typed.count, typed.any, typed.all) {
        (Some(count), _, _) => Until::AtLeast(count.get()),
        (None, true, _) => Until::AtLeast(1),
        (None, false, true) => Until::Decided,
        (None, false, false) => Until::All,
    };
    wait_for(executor, &ids, &matching, until, timeout)
}

fn goal(executor: &Executor, text: &str) -> Result<Selection, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::input("--until: say what is waited for, such as `state = RUNNING`".to_owned()));
    }
    Ok(executor.selection(text)?)
}

/// Waits for jobs and says how it went; the exit code.
pub(super) fn wait_for(
    executor: &mut Executor,
    ids: &[JobId],
    matching: &[Selection],
    until: Until,
    timeout: Option<Duration>,
) -> Result<u8, Failure> {
    let bar = bar(ids.len());
    let waited = executor.wait(ids, matching, until, timeout, &mut |tally| show(&bar, tally))?;
    bar.finish_and_clear();
    Ok(match waited {
        Waited::Done => 0,
        Waited::Failed(job, reason) => {
            warn(&format!("job {job}: {reason}"));
            1
        }
        Waited::Time => {
            warn("the time is over");
            TIME_IS_OVER
        }
    })
}

/// What the bar says as long as nothing has ended, so that nobody knows how long it takes, and what afterwards.
const BEFORE: &str = "{bar:24} {pos}/{len} done {msg}";
const AFTERWARDS: &str = "{bar:24} {pos}/{len} done {msg} · {per_sec} · {eta} left";

/// A bar on a terminal; nothing elsewhere.
fn bar(total: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total as u64);
    set_style(&bar, BEFORE);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
}

fn show(bar: &ProgressBar, tally: Tally) {
    let ended = (tally.there + tally.lost) as u64;
    if ended > 0 && bar.position() == 0 {
        set_style(bar, AFTERWARDS);
    }
    bar.set_position(ended);
    bar.set_message(format!("· {} failed · {} running", tally.lost, tally.running));
}
