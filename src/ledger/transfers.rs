//! What becomes of a job's transfers: the end of a run that transferred something, and what follows for the job.

use serde_json::json;

use crate::domain::evidence::Ended;
use crate::domain::item::{Item, ItemState, Standing, direction_in, standing, wait};
use crate::domain::lifecycle::{Input, State};
use crate::domain::outcome::{Exit, Outcome};
use crate::domain::task::Task;
use crate::domain::transfer::Direction;
use crate::store::jobs::{self, Change, JobRow};
use crate::store::runs::{self, RunRow};
use crate::store::{events, items, queue};

use super::front::{Moved, STOPPED, stopped_by, way};
use super::{Ledger, LedgerError, output};

/// The exit code of a batch in which everything that is required is done.
pub const DONE: u8 = 0;

/// The exit code of a batch in which something required has failed for good.
pub const FAILED: u8 = 1;

/// The exit code of a batch of which something is to be tried again later (`EX_TEMPFAIL` of `sysexits.h`).
pub const LATER: u8 = 75;

/// A move that a job makes because of its transfers.
struct Move<'a> {
    job: &'a JobRow,
    run: Option<&'a RunRow>,
    input: Input,
    cause: &'static str,
    reason: &'a str,
}

impl Ledger<'_> {
    /// Whether something of one direction is outstanding for a job of this definition.
    pub fn is_outstanding(&self, job: &JobRow, definition: &Task, direction: Direction) -> Result<bool, LedgerError> {
        Ok(!definition.transfers.is_empty() && items::is_outstanding(self.tx, job.id, direction)?)
    }

    /// A job is run again: what is taken from it is taken anew; what is brought to it only where it begins anew, or has
    /// not been brought yet.
    pub fn stage_again(&self, job: &JobRow, from_the_beginning: bool) -> Result<(), LedgerError> {
        items::reset(self.tx, job.id, Direction::Out, true)?;
        if from_the_beginning || job.attempt == 0 {
            items::reset(self.tx, job.id, Direction::In, from_the_beginning)?;
        }
        Ok(())
    }

    /// Records what became of a job's transfers, and moves it on.
    pub fn settle_transfer(&self, job: &JobRow, run: &RunRow, end: &Ended, reason: &str) -> Result<(), LedgerError> {
        let Some(direction) = direction_in(job.state) else {
            // It has been moved elsewhere meanwhile.
            return Ok(items::interrupt(self.tx, job.id)?);
        };
        if run.stop_asked.is_some() {
            items::interrupt(self.tx, job.id)?;
            let moved = Move { job, run: Some(run), input: Input::Stopped, cause: "killed", reason };
            return self.move_staged(&moved);
        }
        // With what was just recorded of it.
        let run = &runs::find(self.tx, run.id)?.unwrap_or_else(|| run.clone());
        if !said_how_it_went(end) && end.outcome != Outcome::NeverStarted {
            self.broken_off(job, direction, reason)?;
        }
        self.look_at_items(job, Some(run), direction)
    }

    /// Records that nothing could be transferred for a job, for a reason that lies in none of its items.
    pub fn postpone_transfers(&self, job: &JobRow, reason: &str) -> Result<(), LedgerError> {
        let Some(direction) = direction_in(job.state) else { return Ok(()) };
        items::call_up(self.tx, job.id, direction)?;
        self.broken_off(job, direction, reason)?;
        self.look_at_items(job, None, direction)
    }

    /// A batch ended without saying how far it had come. An attempt that had begun has failed; where none had, all of
    /// them have.
    fn broken_off(&self, job: &JobRow, direction: Direction, reason: &str) -> Result<(), LedgerError> {
        let all: Vec<Item> = items::of_job(self.tx, job.id)?;
        let of_it = || all.iter().filter(|item| item.direction == direction);
        let any_active = of_it().any(|item| item.state == ItemState::Active);
        let broken = if any_active { ItemState::Active } else { ItemState::Pending };
        for item in of_it().filter(|item| item.state == broken) {
            if item.state == ItemState::Pending {
                items::begin(self.tx, job.id, &item.name)?;
            }
            let attempts = item.attempts + u32::from(item.state == ItemState::Pending);
            let again = wait(attempts).and_then(|wait| self.now.checked_add(wait).ok());
            items::fail(self.tx, job.id, &item.name, reason, again)?;
        }
        Ok(())
    }

    fn look_at_items(&self, job: &JobRow, run: Option<&RunRow>, direction: Direction) -> Result<(), LedgerError> {
        let all = items::of_job(self.tx, job.id)?;
        let (input, cause, reason) = match standing(&all, direction) {
            Standing::Done => {
                let (input, cause) = match direction {
                    Direction::In => (Input::StagedIn, "staged_in"),
                    Direction::Out => (Input::StagedOut, "staged_out"),
                };
                (input, cause, done_in_words(&all, direction))
            }
            Standing::Failed(name, error) => {
                (Input::TransferFailed, "transfer_failed", format!("transfer `{name}` failed: {error}"))
            }
            Standing::Open(Some(error)) => return self.note_postponed(job, run, &error),
            Standing::Open(None) => return Ok(()),
        };
        self.move_staged(&Move { job, run, input, cause, reason: &reason })
    }

    fn note_postponed(&self, job: &JobRow, run: Option<&RunRow>, reason: &str) -> Result<(), LedgerError> {
        let task = queue::given(self.tx, job.id)?.task;
        let event = events::NewEvent {
            job: Some(job.id),
            task: task.as_deref(),
            states: None,
            cause: "transfer_postponed",
            data: json!({ "run": run.map(|run| run.id.to_string()), "reason": reason }),
        };
        Ok(events::record(self.tx, &event, self.now)?)
    }

    /// Moves a job on; those that wait for it, and whoever is to be told, hear of it.
    fn move_staged(&self, moved: &Move<'_>) -> Result<(), LedgerError> {
        let Move { job, run, input, cause, reason } = *moved;
        let definition = jobs::definition_of(self.tx, job)?;
        let row = self.task_of(job, &definition)?;
        let path = way(job, input, self.policy_of(job, &definition)?, row.as_ref())?;
        let Some(state) = path.last().copied() else { return Ok(()) };
        let (cause, stopped) = match &row {
            Some(row) if state == State::Cancelled => (STOPPED, Some(stopped_by(run, row))),
            Some(_) | None => (cause, None),
        };
        let reason = stopped.as_deref().unwrap_or(reason);
        let says_why = matches!(state, State::Failed | State::Cancelled);
        let change = Change {
            state,
            // What the end of its own run said is what is to be known of a job that has finished.
            code: if says_why { Some(cause) } else { job.code.as_deref() },
            reason: if says_why { Some(reason) } else { job.reason.as_deref() },
            attempt: job.attempt,
            retries_used: job.retries_used,
            not_before: job.not_before.filter(|_| !state.is_end()),
            exit: None,
        };
        jobs::change(self.tx, job.id, &change, self.now)?;
        let failed = input == Input::TransferFailed;
        let lines = run.filter(|_| failed).map(|run| output::last_lines(self.home, run, None, output::LAST_LINES));
        let lines = lines.unwrap_or_default();
        let task = queue::given(self.tx, job.id)?.task;
        let event = events::NewEvent {
            job: Some(job.id),
            task: task.as_deref(),
            states: Some((job.state, state)),
            cause,
            data: json!({
                "run": run.map(|run| run.id.to_string()),
                "through": path.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
                "reason": reason,
                "output": failed.then_some(&lines),
            }),
        };
        events::record(self.tx, &event, self.now)?;
        self.clean_up_later(job.id, state, &definition)?;
        self.tell_children(job.id, state)?;
        let time = self.now;
        let (definition, lines) = (&definition, lines.as_slice());
        let moved = Moved { job, definition, state, failed, went_down: false, run, exit: None, reason, lines, time };
        self.follow_up(&moved, row.as_ref().map(|row| (row, row.form.clone())))
    }
}

/// Whether a batch came to its end: what each item came to is on record then.
fn said_how_it_went(end: &Ended) -> bool {
    match end.outcome.exit() {
        Some(Exit::Code(code)) => [DONE, FAILED, LATER].into_iter().any(|known| i32::from(known) == code),
        Some(Exit::Signal { .. }) | None => false,
    }
}

fn done_in_words(items: &[Item], direction: Direction) -> String {
    let of_it = |state: ItemState| items.iter().filter(move |item| item.direction == direction && item.state == state);
    let done = of_it(ItemState::Done).count();
    let failed: Vec<String> = of_it(ItemState::Error)
        .map(|item| format!("`{}`, not required, failed: {}", item.name, item.error.as_deref().unwrap_or_default()))
        .collect();
    let done = if done == 1 { "1 transfer done".to_owned() } else { format!("{done} transfers done") };
    if failed.is_empty() { done } else { format!("{done}; {}", failed.join("; ")) }
}
