//! report: what happened since last night. Its exit code says that the report was made, not what is in it.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::since::{SinceError, parse_since};
use crate::executor::Night;
use crate::home::zones;
use crate::process::clock;
use crate::report;
use crate::report::page::Page;

use super::context::{Context, told, told_hidden};
use super::failure::Failure;

/// How far back it looks unless told otherwise.
const NIGHT: Duration = Duration::from_hours(12);

/// `report`.
pub(super) fn report(context: &mut Context, since: Option<&str>) -> Result<u8, Failure> {
    let json = context.json;
    let now = clock::now();
    let since = moment(since, now)?;
    let night = match context.look()? {
        Some(executor) => {
            let definitions = Context::definitions(executor)?;
            executor.night(&definitions, since)?
        }
        None => Night::empty(since, now),
    };
    let mut out = Page::default();
    if json {
        let verdict = report::morning::verdict(&night);
        report::json::write(&report::json::night(&night, &verdict), &mut out)?;
        out.print()?;
        return Ok(0);
    }
    let hidden = report::morning::page(&night, Context::width(), &mut out)?;
    out.print()?;
    told_hidden(&hidden);
    if let Some(hint) = hint(&night) {
        told(&format!("hint: {hint}"));
    }
    Ok(0)
}

/// Where to look further. The output of a task says nothing about a hook or transfer that failed.
fn hint(night: &Night) -> Option<String> {
    if let Some(wrong) = night.wrong.first() {
        let shown = match wrong.job {
            Some(job) => format!("`jobexec job show {job}` shows its runs"),
            None => format!("`jobexec tail {}` shows its output", wrong.task),
        };
        return Some(format!("`jobexec explain {}` says more, {shown}", wrong.task));
    }
    let failure = night.failed.first().filter(|failure| failure.is_besides())?;
    Some(format!("`jobexec job show {}` shows the runs of the job of {} that failed first", failure.job, failure.task))
}

/// The moment that is meant.
fn moment(typed: Option<&str>, now: Timestamp) -> Result<Timestamp, Failure> {
    let Some(typed) = typed else { return Ok(now.checked_sub(NIGHT).unwrap_or(now)) };
    parse_since(typed, now, &zones::system()).map_err(|error| match error {
        SinceError::Unreadable(_) => Failure::input(error.to_string())
            .hint("say a time of day (`--since 22:00`), how long ago (`8h`), or when (`\"2026-11-20 22:00\"`)"),
        SinceError::Future(_) => {
            Failure::input(error.to_string()).hint("a time of day without a date is its last one: `--since 22:00`")
        }
    })
}
