//! wait: until jobs have come to an end, driven by the bell.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::domain::name::JobId;
use crate::domain::selection::Selection;
use crate::domain::waiting::{Tally, There, Until, Watched};
use crate::home::bell::Ear;
use crate::process::clock;
use crate::store::{events, jobs, selection};

use super::{Executor, ExecutorError};

/// How long to wait for the bell before looking anyway.
const SAFETY_NET: Duration = Duration::from_secs(5);

/// How often it is looked at most: where a thousand jobs end in a second, the looking must not keep them from it.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// What the wait came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// What was waited for has come.
    Done,
    /// This one has failed, or cannot run any more: why.
    Failed(JobId, String),
    /// The time is over.
    Time,
}

impl Executor {
    /// Waits for jobs until they have succeeded, or, where selections are given, until they match one of these. `told`
    /// hears how far they have come.
    pub fn wait(
        &mut self,
        ids: &[JobId],
        matching: &[Selection],
        until: Until,
        timeout: Option<Duration>,
        told: &mut dyn FnMut(Tally),
    ) -> Result<Waited, ExecutorError> {
        let start = clock::since_boot();
        let ear = Ear::of_bell(&self.home)?;
        // What happens from here on is told by later events.
        self.refresh()?;
        let mut seen = events::newest(self.store.reader())?;
        // One that is named twice is waited for once.
        let each: HashSet<JobId> = ids.iter().copied().collect();
        let mut watched = Watched::new(each.len());
        let mut look: Vec<JobId> = each.into_iter().collect();
        loop {
            look.sort_unstable();
            look.dedup();
            self.take_note(&mut watched, &look, matching)?;
            told(watched.tally());
            if let Some(verdict) = watched.verdict(until) {
                self.flush()?;
                return match verdict {
                    Ok(()) => Ok(Waited::Done),
                    Err(job) => Ok(Waited::Failed(job, self.how_it_ended(job, matching)?)),
                };
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(clock::since_boot().saturating_sub(start)));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Waited::Time);
            }
            let rang = listen(&ear, left.map_or(SAFETY_NET, |left| left.min(SAFETY_NET)))?;
            self.refresh()?;
            look.clear();
            for (event, job) in events::jobs_after(self.store.reader(), seen)? {
                seen = event;
                look.extend(watched.has(job).then_some(job));
            }
            if !rang && !matching.is_empty() {
                // Durations grow without anything happening.
                look.extend(watched.not_there());
            }
        }
    }

    /// Looks at how these jobs stand.
    fn take_note(&self, watched: &mut Watched, ids: &[JobId], matching: &[Selection]) -> Result<(), ExecutorError> {
        let reader = self.store.reader();
        let matches = selection::matching(reader, matching, ids, clock::now())?;
        for id in ids {
            let job = jobs::find(reader, *id)?;
            let job = job.ok_or(if watched.has(*id) {
                ExecutorError::JobDeleted(*id)
            } else {
                ExecutorError::NoSuchJob(*id)
            })?;
            let there = if matching.is_empty() { There::Succeeded } else { There::Matches(matches.contains(id)) };
            watched.note(*id, job.state, job.code.as_deref(), there);
        }
        Ok(())
    }

    fn how_it_ended(&self, job: JobId, matching: &[Selection]) -> Result<String, ExecutorError> {
        let Some(row) = jobs::find(self.store.reader(), job)? else { return Ok(String::new()) };
        if matching.is_empty() {
            return Ok(row.reason.unwrap_or_else(|| row.state.to_string()));
        }
        let reason = row.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        Ok(format!("it is {}{reason} and matches nothing that is waited for", row.state))
    }
}

/// Waits for the bell, and then a moment for what else rings with it; whether it rang.
fn listen(ear: &Ear, longest: Duration) -> Result<bool, ExecutorError> {
    let millis = u16::try_from(longest.as_millis().max(1)).unwrap_or(u16::MAX);
    match poll(&mut [PollFd::new(ear.as_fd(), PollFlags::POLLIN)], PollTimeout::from(millis)) {
        Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(false),
        Ok(_) => {}
        Err(errno) => return Err(std::io::Error::from(errno).into()),
    }
    std::thread::sleep(BETWEEN_LOOKS.min(longest));
    ear.heard()?;
    Ok(true)
}
