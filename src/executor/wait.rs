//! wait: until jobs have come to an end, driven by the bell.

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::home::bell::Ear;
use crate::process::clock;
use crate::store::jobs::JobRow;
use crate::store::{events, jobs};

use super::{Executor, ExecutorError};

/// How long to wait for the bell before looking anyway.
const SAFETY_NET: Duration = Duration::from_secs(5);

/// How often it is looked at most: where a thousand jobs end in a second, the looking must not keep them from it.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// All have succeeded, or one has failed.
    AllSucceeded,
    /// One has succeeded, or none can any more.
    AnySucceeded,
    /// All have ended.
    AllEnded,
}

/// How far the jobs have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many there are.
    pub total: usize,
    /// How many have finished, or turned out not to be needed.
    pub succeeded: usize,
    /// How many have ended otherwise, or cannot run any more.
    pub failed: usize,
    /// How many run.
    pub running: usize,
}

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

/// Where a job stands for whoever waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Waits,
    Runs,
    Succeeded,
    Failed,
}

impl Stand {
    fn of(job: &JobRow) -> Self {
        match job.state {
            State::JobFinished => Self::Succeeded,
            State::Blocked if job.code.as_deref() == Some("not_needed") => Self::Succeeded,
            State::Blocked | State::Failed | State::Cancelled => Self::Failed,
            State::Running => Self::Runs,
            State::Created
            | State::AwaitingParents
            | State::Ready
            | State::StagedIn
            | State::Preprocessed
            | State::RunDone
            | State::Postprocessed
            | State::StagedOut
            | State::RunError
            | State::RunTimeout
            | State::RestartReady
            | State::Reset => Self::Waits,
        }
    }
}

/// The jobs that are waited for.
struct Watched {
    stands: HashMap<JobId, Stand>,
    tally: Tally,
    /// Those that failed, the first of them first.
    failed: Vec<JobId>,
}

impl Watched {
    fn note(&mut self, job: &JobRow) {
        let stand = Stand::of(job);
        let former = self.stands.insert(job.id, stand);
        let count = |tally: &mut Tally, stand, by: isize| {
            let counter = match stand {
                Stand::Waits => return,
                Stand::Runs => &mut tally.running,
                Stand::Succeeded => &mut tally.succeeded,
                Stand::Failed => &mut tally.failed,
            };
            *counter = counter.saturating_add_signed(by);
        };
        if let Some(former) = former {
            count(&mut self.tally, former, -1);
        }
        count(&mut self.tally, stand, 1);
        match (former == Some(Stand::Failed), stand == Stand::Failed) {
            (false, true) => self.failed.push(job.id),
            (true, false) => self.failed.retain(|failed| *failed != job.id),
            (true, true) | (false, false) => {}
        }
    }

    fn verdict(&self, until: Until) -> Option<Result<(), JobId>> {
        let Tally { total, succeeded, failed, .. } = self.tally;
        let ended = succeeded + failed == total;
        let failure = self.failed.first().map_or(Ok(()), |job| Err(*job));
        match until {
            Until::AllSucceeded => (ended || failed > 0).then_some(failure),
            Until::AnySucceeded if succeeded > 0 => Some(Ok(())),
            Until::AnySucceeded | Until::AllEnded => ended.then_some(failure),
        }
    }
}

impl Executor {
    /// Waits for jobs. `told` hears how far they have come.
    pub fn wait(
        &mut self,
        ids: &[JobId],
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
        let total = ids.iter().collect::<HashSet<_>>().len();
        let tally = Tally { total, ..Tally::default() };
        let mut watched = Watched { stands: HashMap::with_capacity(total), tally, failed: Vec::new() };
        for job in self.job_rows(ids)? {
            watched.note(&job);
        }
        loop {
            told(watched.tally);
            if let Some(verdict) = watched.verdict(until) {
                self.flush()?;
                return match verdict {
                    Ok(()) => Ok(Waited::Done),
                    Err(job) => Ok(Waited::Failed(job, self.how_it_ended(job)?)),
                };
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(clock::since_boot().saturating_sub(start)));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Waited::Time);
            }
            listen(&ear, left.map_or(SAFETY_NET, |left| left.min(SAFETY_NET)))?;
            self.refresh()?;
            let mut moved = Vec::new();
            for (event, job, _) in events::moves_after(self.store.reader(), seen)? {
                seen = event;
                moved.extend(watched.stands.contains_key(&job).then_some(job));
            }
            moved.sort_unstable();
            moved.dedup();
            for job in self.job_rows(&moved)? {
                watched.note(&job);
            }
        }
    }

    fn how_it_ended(&self, job: JobId) -> Result<String, ExecutorError> {
        let row = jobs::find(self.store.reader(), job)?;
        Ok(row.map_or_else(String::new, |row| row.reason.unwrap_or_else(|| row.state.to_string())))
    }
}

/// Waits for the bell, and then a moment for what else rings with it.
fn listen(ear: &Ear, longest: Duration) -> Result<(), ExecutorError> {
    let millis = u16::try_from(longest.as_millis().max(1)).unwrap_or(u16::MAX);
    match poll(&mut [PollFd::new(ear.as_fd(), PollFlags::POLLIN)], PollTimeout::from(millis)) {
        Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(()),
        Ok(_) => {}
        Err(errno) => return Err(std::io::Error::from(errno).into()),
    }
    std::thread::sleep(BETWEEN_LOOKS.min(longest));
    ear.heard()?;
    Ok(())
}
