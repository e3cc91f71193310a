//! What holds for every stream of jobs: a whole executor in small, with a clock that jumps from event to event.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{GIB, at, machine};
use crate::domain::name::JobId;
use crate::domain::resources::{
    Capacity, Head, Holds, Need, PATIENCE, Packing, Pick, Running, fits_ever, obstacle, pick,
};
use crate::domain::restart::Thousandths;

/// The longest that a job of these runs, in seconds.
const LONGEST: i64 = 90;

#[derive(Debug, Clone)]
struct Job {
    need: Need,
    priority: i64,
    arrives: i64,
    lasts: i64,
}

/// Needs of the machine that always fit by themselves.
fn of_machine() -> impl Strategy<Value = Need> {
    let gpus = select(vec![0, 0, 0, 300, 500, 1000, 1500, 2000]);
    (0..9_u32, select(vec![0, 0, 1, 6, 16]), gpus, select(vec![0, 0, 1, 2, 3])).prop_map(|(cpus, gib, gpus, parts)| {
        Need { cpus, memory: gib * GIB, gpus: Thousandths(gpus), packing: Packing::new(parts), ..Need::default() }
    })
}

/// Needs of every kind.
fn of_all() -> impl Strategy<Value = Need> {
    let locks = subsequence(vec!["a", "b", "c"], 0..3);
    (of_machine(), locks, any::<bool>()).prop_map(|(need, locks, few)| Need {
        locks: locks.into_iter().map(str::to_owned).collect(),
        group: few.then(|| "few".to_owned()),
        ..need
    })
}

fn jobs(needs: impl Strategy<Value = Need>, priorities: i64) -> impl Strategy<Value = Vec<Job>> {
    let job = (needs, 0..priorities, 0..30_i64, 1..=LONGEST);
    proptest::collection::vec(job, 1..60).prop_map(|jobs| {
        let mut arrives = 0;
        let place = |(need, priority, gap, lasts)| {
            arrives += gap;
            Job { need, priority, arrives, lasts }
        };
        jobs.into_iter().map(place).collect()
    })
}

/// The executor: jobs by their number, waiting or running.
struct World<'a> {
    jobs: &'a [Job],
    slots: usize,
    capacity: Capacity,
    now: i64,
    waiting: BTreeSet<usize>,
    running: Vec<Running>,
    /// When each was started.
    started: BTreeMap<usize, i64>,
    /// When each became the first of those that wait.
    first: BTreeMap<usize, i64>,
}

impl<'a> World<'a> {
    fn new(jobs: &'a [Job], slots: usize) -> Self {
        Self {
            jobs,
            slots,
            capacity: machine(),
            now: 0,
            waiting: BTreeSet::new(),
            running: Vec::new(),
            started: BTreeMap::new(),
            first: BTreeMap::new(),
        }
    }

    fn ends(&self, run: &Running) -> i64 {
        let job = usize::try_from(run.job.0).unwrap();
        self.started[&job] + self.jobs[job].lasts
    }

    /// The next moment at which something happens.
    fn next(&self) -> Option<i64> {
        let ends = self.running.iter().map(|run| self.ends(run));
        let arrivals = self.jobs.iter().map(|job| job.arrives).filter(|arrives| *arrives > self.now);
        ends.chain(arrivals).min()
    }

    /// The best of those that need the same, as the index of the queue gives them.
    fn heads(&self) -> Vec<Head<'a>> {
        let jobs = self.jobs;
        let mut heads: Vec<Head<'a>> = Vec::new();
        let mut ordered: Vec<usize> = self.waiting.iter().copied().collect();
        ordered.sort_by_key(|job| (-jobs[*job].priority, *job));
        for number in ordered {
            let Job { need, priority, arrives, .. } = &jobs[number];
            if !heads.iter().any(|head| head.need == need) {
                let job = JobId(i64::try_from(number).unwrap());
                heads.push(Head { need, priority: *priority, job, runnable_since: at(*arrives) });
            }
        }
        heads
    }

    fn check(&self) {
        let sum = |amount: &dyn Fn(&Holds) -> u64| self.running.iter().map(|run| amount(&run.holds)).sum::<u64>();
        assert!(sum(&|holds| holds.cpus.into()) <= self.capacity.cpus.into());
        assert!(sum(&|holds| holds.memory) <= self.capacity.memory);
        assert!(sum(&|holds| holds.packing.map_or(0, Packing::share)) <= Packing::WHOLE);
        assert!(sum(&|holds| holds.group.is_some().into()) <= 2);
        for gpu in &self.capacity.gpus {
            assert!(sum(&|holds| holds.gpus.get(gpu).map_or(0, |part| part.0.into())) <= 1000);
        }
        for lock in ["a", "b", "c"] {
            assert!(sum(&|holds| holds.locks.contains(lock).into()) <= 1);
        }
        assert!(self.running.len() <= self.slots);
    }

    fn start(&mut self, Pick { head, holds }: Pick) {
        let job = self.heads()[head].job;
        let number = usize::try_from(job.0).unwrap();
        let need = &self.jobs[number].need;
        assert_eq!(holds.gpus.values().map(|part| part.0).sum::<u32>(), need.gpus.0);
        assert!(holds.gpus.keys().all(|gpu| self.capacity.gpus.contains(gpu)));
        assert_eq!(obstacle(need, &self.running, &self.capacity), None);
        assert!(self.waiting.remove(&number));
        self.started.insert(number, self.now);
        self.running.push(Running { job, task: None, since: at(self.now), holds });
        self.check();
    }

    /// Whatever happens now: ends, arrivals, and starts until nothing more may.
    fn step(&mut self) {
        let mut running = std::mem::take(&mut self.running);
        running.retain(|run| self.ends(run) > self.now);
        self.running = running;
        self.waiting.extend((0..self.jobs.len()).filter(|job| self.jobs[*job].arrives == self.now));
        loop {
            if let Some(job) = self.waiting.first() {
                self.first.entry(*job).or_insert(self.now);
            }
            let picked = if self.running.len() < self.slots {
                pick(&self.heads(), &self.running, &self.capacity, at(self.now))
            } else {
                None
            };
            let Some(picked) = picked else { break };
            self.start(picked);
        }
    }

    fn run(mut self) -> Self {
        self.step();
        while let Some(next) = self.next() {
            self.now = next;
            self.step();
        }
        self
    }
}

proptest! {
    #[test]
    fn every_job_runs_in_the_end_and_never_too_many_at_once(jobs in jobs(of_all(), 3), slots in 1..6_usize) {
        let world = World::new(&jobs, slots).run();
        prop_assert_eq!(world.started.len(), jobs.len());
    }

    #[test]
    fn nobody_waits_longer_than_its_patience_and_one_run(jobs in jobs(of_machine(), 1)) {
        let world = World::new(&jobs, usize::MAX).run();
        for (job, started) in &world.started {
            // A job that had its turn before it was the first has no such moment.
            let Some(first) = world.first.get(job) else { continue };
            let overtaken = jobs[*job].arrives + PATIENCE.as_secs();
            prop_assert!(*started <= overtaken.max(*first) + LONGEST, "job {} started at {}", job, started);
        }
    }

    #[test]
    fn with_one_slot_and_equal_needs_the_order_is_kept(jobs in jobs(Just(Need::default()), 3)) {
        let world = World::new(&jobs, 1).run();
        for (job, started) in &world.started {
            let passed = |other: usize| {
                let (a, b) = (&jobs[*job], &jobs[other]);
                b.arrives <= *started
                    && world.started[&other] > *started
                    && (b.priority, std::cmp::Reverse(other)) > (a.priority, std::cmp::Reverse(*job))
            };
            prop_assert!(!(0..jobs.len()).any(passed), "job {job}");
        }
    }

    #[test]
    fn the_order_in_which_things_are_told_does_not_matter(
        jobs in jobs(of_all(), 3), until in 0..2000_i64, turn in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new(&jobs, 4);
        world.step();
        while let Some(next) = world.next().filter(|next| *next < until) {
            world.now = next;
            world.step();
        }
        let (now, mut running, mut heads) = (at(until), world.running.clone(), world.heads());
        let found = |heads: &[Head<'_>], running: &[Running]| {
            pick(heads, running, &world.capacity, now).map(|Pick { head, holds }| (heads[head].job, holds))
        };
        let before = found(&heads, &running);
        if !heads.is_empty() {
            let by = turn.index(heads.len());
            heads.rotate_left(by);
        }
        running.reverse();
        prop_assert_eq!(found(&heads, &running), before);
    }

    #[test]
    fn a_job_alone_starts_where_there_is_no_obstacle(need in of_all(), jobs in jobs(of_all(), 1), until in 0..1000_i64) {
        let mut world = World::new(&jobs, 4);
        world.step();
        while let Some(next) = world.next().filter(|next| *next < until) {
            world.now = next;
            world.step();
        }
        let head = Head { need: &need, priority: 0, job: JobId(1000), runnable_since: at(0) };
        let picked = pick(&[head], &world.running, &world.capacity, at(until));
        let obstacle = obstacle(&need, &world.running, &world.capacity);
        prop_assert_eq!(picked.is_some(), obstacle.is_none(), "{:?}", obstacle);
        prop_assert!(fits_ever(&need, &world.capacity).is_ok());
    }

    #[test]
    fn parse_and_print_of_a_need_is_the_same_need(need in of_all()) {
        let text = serde_json::to_string(&need).unwrap();
        let back: Need = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), text);
        prop_assert_eq!(back, need);
    }
}
