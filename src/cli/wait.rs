//! wait: until jobs have come to an end.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::domain::amount::parse_duration;
use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::executor::{Executor, Tally, Until, Waited};

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
    /// Until the first has succeeded
    #[arg(long, conflicts_with = "all")]
    any: bool,
    /// Until all have ended, also when some fail
    #[arg(long)]
    all: bool,
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
    if ids.is_empty() {
        told(&format!("0 of {} jobs", executor.count_jobs("")?));
        return Ok(0);
    }
    let open = executor.job_rows(&ids)?.iter().any(|job| !job.state.is_end() && job.state != State::Blocked);
    if open && !executor.is_supervised() {
        warn("no supervisor is running, so nothing runs queued jobs until `jobexec keep-restarting` does");
    }
    let until = match (typed.any, typed.all) {
        (true, _) => Until::AnySucceeded,
        (false, true) => Until::AllEnded,
        (false, false) => Until::AllSucceeded,
    };
    wait_for(executor, &ids, until, timeout)
}

/// Waits for jobs and says how it went; the exit code.
pub(super) fn wait_for(
    executor: &mut Executor,
    ids: &[JobId],
    until: Until,
    timeout: Option<Duration>,
) -> Result<u8, Failure> {
    let bar = bar(ids.len());
    let waited = executor.wait(ids, until, timeout, &mut |tally| show(&bar, tally))?;
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

/// A bar on a terminal; nothing elsewhere.
fn bar(total: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total as u64);
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} done {msg} {per_sec} · {eta} left");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn show(bar: &ProgressBar, tally: Tally) {
    bar.set_position((tally.succeeded + tally.failed) as u64);
    bar.set_message(format!("· {} failed · {} running ·", tally.failed, tally.running));
}
