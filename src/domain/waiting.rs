//! Waiting for jobs: where each stands for whoever waits, and when the wait is over. Knows neither the bell nor the clock.

use std::collections::HashMap;

use super::lifecycle::{Phase, State};
use super::name::JobId;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// All have come there, or one no longer can.
    All,
    /// So many have come there, or no longer can.
    AtLeast(usize),
    /// Each has come there or no longer can.
    Decided,
}

/// Where a job is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// It is to succeed.
    Succeeded,
    /// It is to match one of the selections that were named; whether it does.
    Matches(bool),
}

/// How far the jobs have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many there are.
    pub total: usize,
    /// How many have come where they are waited for.
    pub there: usize,
    /// How many no longer can, by themselves.
    pub lost: usize,
    /// How many run.
    pub running: usize,
}

/// Where a job stands for whoever waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Waits,
    Runs,
    There,
    Lost,
}

impl Stand {
    fn of(state: State, code: Option<&str>, there: There) -> Self {
        let by_itself = match state.phase() {
            Phase::Finished => Self::There,
            Phase::Blocked if code == Some("not_needed") => Self::There,
            Phase::Blocked | Phase::Failed | Phase::Cancelled => Self::Lost,
            Phase::Running => Self::Runs,
            Phase::Ahead | Phase::Failing | Phase::Wiping => Self::Waits,
        };
        match (there, by_itself) {
            (There::Succeeded, stand) => stand,
            (There::Matches(true), _) => Self::There,
            (There::Matches(false), Self::There | Self::Lost) => Self::Lost,
            (There::Matches(false), Self::Waits | Self::Runs) => by_itself,
        }
    }
}

/// The jobs that are waited for.
#[derive(Debug)]
pub struct Watched {
    stands: HashMap<JobId, Stand>,
    tally: Tally,
    /// Those that can no longer come there, the first of them first.
    lost: Vec<JobId>,
}

impl Watched {
    /// So many jobs, of which nothing is known yet.
    pub fn new(total: usize) -> Self {
        let tally = Tally { total, ..Tally::default() };
        Self { stands: HashMap::with_capacity(total), tally, lost: Vec::new() }
    }

    /// Whether a job is one of them.
    pub fn has(&self, job: JobId) -> bool {
        self.stands.contains_key(&job)
    }

    /// Those that are not where they are waited for.
    pub fn not_there(&self) -> impl Iterator<Item = JobId> {
        self.stands.iter().filter(|(_, stand)| **stand != Stand::There).map(|(job, _)| *job)
    }

    /// How far they have come.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Takes in how one of them stands.
    pub fn note(&mut self, job: JobId, state: State, code: Option<&str>, there: There) {
        let stand = Stand::of(state, code, there);
        let former = self.stands.insert(job, stand);
        let count = |tally: &mut Tally, stand, by: isize| {
            let counter = match stand {
                Stand::Waits => return,
                Stand::Runs => &mut tally.running,
                Stand::There => &mut tally.there,
                Stand::Lost => &mut tally.lost,
            };
            *counter = counter.saturating_add_signed(by);
        };
        if let Some(former) = former {
            count(&mut self.tally, former, -1);
        }
        count(&mut self.tally, stand, 1);
        match (former == Some(Stand::Lost), stand == Stand::Lost) {
            (false, true) => self.lost.push(job),
            (true, false) => self.lost.retain(|lost| *lost != job),
            (true, true) | (false, false) => {}
        }
    }

    /// Whether the wait is over: well, or because of this job.
    pub fn verdict(&self, until: Until) -> Option<Result<(), JobId>> {
        let Tally { total, there, lost, .. } = self.tally;
        let decided = there + lost == total;
        let loss = self.lost.first().map_or(Ok(()), |job| Err(*job));
        match until {
            Until::All => (decided || lost > 0).then_some(loss),
            Until::AtLeast(number) if there >= number => Some(Ok(())),
            Until::AtLeast(number) => (total.saturating_sub(lost) < number).then_some(loss),
            Until::Decided => decided.then_some(loss),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(states: &[State]) -> Watched {
        let mut watched = Watched::new(states.len());
        for (id, state) in (1..).zip(states) {
            watched.note(JobId(id), *state, None, There::Succeeded);
        }
        watched
    }

    #[track_caller]
    fn check(states: &[State], expected: [Option<Result<(), i64>>; 4]) {
        let watched = watched(states);
        let found = [Until::All, Until::AtLeast(1), Until::AtLeast(2), Until::Decided]
            .map(|until| watched.verdict(until).map(|verdict| verdict.map_err(|job| job.0)));
        assert_eq!(found, expected, "{states:?}");
    }

    #[test]
    fn a_wait_is_over_as_soon_as_it_is_decided() {
        use State::{Failed, JobFinished, Running};
        const WELL: Option<Result<(), i64>> = Some(Ok(()));
        check(&[Running, Running], [None; 4]);
        check(&[JobFinished, Running], [None, WELL, None, None]);
        check(&[Running, Failed], [Some(Err(2)), None, Some(Err(2)), None]);
        check(&[JobFinished, Failed], [Some(Err(2)), WELL, Some(Err(2)), Some(Err(2))]);
        check(&[Failed, Failed], [Some(Err(1)); 4]);
        check(&[JobFinished, JobFinished], [WELL; 4]);
    }

    #[test]
    fn what_has_ended_elsewhere_is_lost_and_what_runs_may_still_come() {
        let mut watched = Watched::new(1);
        for (state, matches, expected) in [
            (State::Running, false, None),
            (State::Running, true, Some(Ok(()))),
            (State::JobFinished, false, Some(Err(JobId(1)))),
            (State::Failed, true, Some(Ok(()))),
            (State::Blocked, false, Some(Err(JobId(1)))),
            (State::RestartReady, false, None),
        ] {
            watched.note(JobId(1), state, Some("not_needed"), There::Matches(matches));
            assert_eq!(watched.verdict(Until::All), expected, "{state} {matches}");
        }
        assert_eq!((watched.tally().there, watched.tally().lost, watched.not_there().count()), (0, 0, 1));
    }
}
