//! The selected jobs with their dependencies, as a picture or figures are made of them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::name::JobId;
use crate::domain::stats::{self, Life, Stats};
use crate::domain::task::Task;
use crate::process::clock;
use crate::store::graph::{self, JobNode, Link, RunSpan};
use crate::store::jobs;

use super::{Executor, ExecutorError};

/// Jobs and what they wait for among each other.
#[derive(Debug)]
pub struct Picture {
    /// The jobs, in the order of their ids.
    pub jobs: Vec<JobNode>,
    /// The dependencies among them.
    pub links: Vec<Link>,
    /// What those run that are of no task, by the place of the definition.
    pub commands: BTreeMap<i64, Task>,
}

impl Executor {
    /// The jobs that a selection means, with the dependencies among them.
    pub fn picture(&self, text: &str) -> Result<Picture, ExecutorError> {
        let (reader, selection, now) = (self.store.reader(), self.selection(text)?, clock::now());
        self.drawn(graph::jobs(reader, &selection, now)?, graph::links(reader, &selection, now)?)
    }

    /// A job with those that it comes from and those that come of it: who waits for whom, and who made whom.
    pub fn lineage(&self, id: JobId) -> Result<Picture, ExecutorError> {
        self.job_rows(&[id])?;
        let (found, links) = graph::lineage(self.store.reader(), id)?;
        self.drawn(found, links)
    }

    fn drawn(&self, found: Vec<JobNode>, links: Vec<Link>) -> Result<Picture, ExecutorError> {
        let reader = self.store.reader();
        let mut commands = BTreeMap::new();
        for place in found.iter().filter(|job| job.task.is_none()).map(|job| job.definition) {
            if let std::collections::btree_map::Entry::Vacant(entry) = commands.entry(place) {
                entry.insert(jobs::definition_at(reader, place)?);
            }
        }
        Ok(Picture { jobs: found, links, commands })
    }

    /// How the jobs did that a selection means.
    pub fn stats(&self, text: &str) -> Result<Stats, ExecutorError> {
        let (reader, selection, now) = (self.store.reader(), self.selection(text)?, clock::now());
        let links = graph::links(reader, &selection, now)?;
        let links: Vec<(JobId, JobId)> = links.iter().map(|link| (link.parent, link.child)).collect();
        let parents: HashMap<JobId, Timestamp> = graph::parents_done(reader, &selection, now)?.into_iter().collect();
        let mut ran: HashMap<JobId, Duration> = HashMap::new();
        let runs = graph::runs(reader, &selection, now)?;
        for run in &runs {
            if run.is_main {
                // As `jobs` has it.
                let from = run.ended.map_or(Some(run.claimed), |_| run.started);
                let seen = from.map(|from| run.ended.unwrap_or(now).duration_since(from));
                let seen = seen.and_then(|seen| Duration::try_from(seen).ok());
                *ran.entry(run.job).or_default() += run.lasted.or(seen).unwrap_or_default();
            }
        }
        let life = |job: JobNode| Life {
            id: job.id,
            ready: parents.get(&job.id).map_or(job.created, |ended| (*ended).max(job.created)),
            ran: ran.get(&job.id).copied().unwrap_or_default(),
            task: job.task,
            state: job.state,
            code: job.code,
            started: job.started,
            ended: job.ended,
        };
        let lives: Vec<Life> = graph::jobs(reader, &selection, now)?.into_iter().map(life).collect();
        Ok(stats::stats(&lives, &busy(&runs, now), &links, now))
    }
}

/// When slots were taken. Of what a slot has claimed together one run is there at a time, after the last that has ended;
/// what was never begun has taken none.
fn busy(runs: &[RunSpan], now: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let (mut busy, mut free, mut open) = (Vec::new(), HashMap::new(), HashMap::new());
    for run in runs {
        match (run.slot, run.started, run.ended) {
            (Some(slot), Some(from), Some(until)) => {
                busy.push((from, until));
                let free = free.entry(slot).or_insert(until);
                *free = until.max(*free);
            }
            (Some(slot), from, None) => drop(open.insert(slot, from.unwrap_or(run.claimed))),
            (Some(_), None, Some(_)) | (None, _, _) => {}
        }
    }
    busy.extend(open.into_iter().map(|(slot, from)| (free.get(&slot).map_or(from, |free| from.max(*free)), now)));
    busy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_has_claimed_several_is_one_slot() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let run = |slot, claimed, started: Option<i64>, ended: Option<i64>| RunSpan {
            job: JobId(1),
            is_main: true,
            slot,
            claimed: at(claimed),
            started: started.map(at),
            ended: ended.map(at),
            lasted: None,
        };
        let runs = [
            run(Some(0), 1, Some(2), Some(4)),
            run(Some(0), 1, Some(4), Some(5)),
            run(Some(0), 1, None, None),
            run(Some(0), 1, None, None),
            run(Some(0), 1, None, Some(5)),
            run(Some(1), 3, None, None),
            run(None, 1, Some(1), None),
        ];
        let mut found = busy(&runs, at(9));
        found.sort_unstable();
        assert_eq!(found, [(2, 4), (3, 9), (4, 5), (5, 9)].map(|(from, until)| (at(from), at(until))));
    }
}
