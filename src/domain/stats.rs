//! How a number of jobs did: how fast they went through, how long they waited and ran, how well slots were used, and
//! which chain of them took longest. Computed from when things happened; nothing is known of where that is kept.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::graph;
use super::lifecycle::State;
use super::name::JobId;

/// Into how many equal parts the time is divided for the use of slots.
pub const PARTS: usize = 40;

/// When what happened to one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The job.
    pub id: JobId,
    /// Its task; none for a command of its own.
    pub task: Option<String>,
    /// Its state.
    pub state: State,
    /// The word for why it is in its state.
    pub code: Option<String>,
    /// Since when nothing but room was missing: it was there, and its parents had ended.
    pub ready: Timestamp,
    /// When it first ran.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How long it has run, all attempts together.
    pub ran: Duration,
}

/// How durations are spread: at most so long for half of them, for nine of ten, for 99 of a hundred, for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// How many there are; at least one.
    pub count: usize,
    /// Half of them are not longer.
    pub p50: Duration,
    /// Nine of ten are not longer.
    pub p90: Duration,
    /// 99 of a hundred are not longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// What the jobs of one task did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFigures {
    /// The task; none for commands of their own.
    pub task: Option<String>,
    /// How many jobs of it there are.
    pub jobs: usize,
    /// How long those waited that have started, from when they could run.
    pub wait: Option<Spread>,
    /// How long those ran that have ended.
    pub run: Option<Spread>,
}

/// How many slots were in use.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// On average over the whole time.
    pub mean: f64,
    /// At most at any moment.
    pub max: usize,
    /// On average in each of [`PARTS`] equal parts of the time.
    pub curve: Vec<f64>,
}

/// How a number of jobs did.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// How many there are.
    pub jobs: usize,
    /// From the first start to the last end, or to now while one runs.
    pub span: Option<(Timestamp, Timestamp)>,
    /// How many have started.
    pub started: usize,
    /// How many have ended, having run.
    pub ended: usize,
    /// How many ended a minute.
    pub per_minute: Option<f64>,
    /// How slots were used.
    pub slots: Usage,
    /// Task by task.
    pub tasks: Vec<TaskFigures>,
    /// How many are in each state, and why, in the order of life.
    pub outcomes: Vec<(State, Option<String>, usize)>,
    /// The chain of jobs, each waiting for the one before, that ran longest; with the time of each.
    pub path: Vec<(JobId, Duration)>,
}

/// Computes the figures. `busy` is when slots were taken, `links` who waits for whom: parent and child.
pub fn stats(lives: &[Life], busy: &[(Timestamp, Timestamp)], links: &[(JobId, JobId)], now: Timestamp) -> Stats {
    let span = span(lives, now);
    let ended = lives.iter().filter(|life| life.started.is_some() && life.ended.is_some()).count();
    let minutes = span.map(|(from, to)| between(from, to).as_secs_f64() / 60.0);
    Stats {
        jobs: lives.len(),
        span,
        started: lives.iter().filter(|life| life.started.is_some()).count(),
        ended,
        per_minute: minutes.filter(|minutes| *minutes > 0.0).map(|minutes| number(ended) / minutes),
        slots: span.map_or_else(Usage::none, |span| usage(busy, span)),
        tasks: by_task(lives),
        outcomes: outcomes(lives),
        path: longest(lives, links),
    }
}

fn span(lives: &[Life], now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let from = lives.iter().filter_map(|life| life.started).min()?;
    let until = |life: &Life| life.started.map(|_| life.ended.unwrap_or(now));
    Some((from, lives.iter().filter_map(until).max()?.max(from)))
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

impl Usage {
    fn none() -> Self {
        Self { mean: 0.0, max: 0, curve: Vec::new() }
    }
}

/// The number in use is a step function: up where a slot is taken, down where it is given back.
fn usage(busy: &[(Timestamp, Timestamp)], (from, to): (Timestamp, Timestamp)) -> Usage {
    let inside: Vec<(Timestamp, Timestamp)> = busy
        .iter()
        .map(|(begin, end)| ((*begin).clamp(from, to), (*end).clamp(from, to)))
        .filter(|(begin, end)| begin < end)
        .collect();
    let whole = between(from, to).as_secs_f64();
    if whole <= 0.0 {
        return Usage::none();
    }
    let part = whole / number(PARTS);
    let mut curve = vec![0.0; PARTS];
    for (begin, end) in &inside {
        let (begin, end) = (between(from, *begin).as_secs_f64(), between(from, *end).as_secs_f64());
        for (nth, used) in curve.iter_mut().enumerate() {
            let (left, right) = (number(nth) * part, number(nth + 1) * part);
            *used += (end.min(right) - begin.max(left)).max(0.0) / part;
        }
    }
    let total: f64 = inside.iter().map(|(begin, end)| between(*begin, *end).as_secs_f64()).sum();
    Usage { mean: total / whole, max: peak(&inside), curve }
}

fn peak(busy: &[(Timestamp, Timestamp)]) -> usize {
    // A slot that is given back and taken at the same moment is one slot: what ends comes first.
    let mut steps: Vec<(Timestamp, bool)> =
        busy.iter().flat_map(|(begin, end)| [(*begin, true), (*end, false)]).collect();
    steps.sort_unstable();
    let (mut used, mut most) = (0_usize, 0);
    for (_, taken) in steps {
        used = if taken { used + 1 } else { used.saturating_sub(1) };
        most = most.max(used);
    }
    most
}

/// How durations are spread; none where there are none.
pub fn spread(mut durations: Vec<Duration>) -> Option<Spread> {
    durations.sort_unstable();
    // The nearest rank: a duration that did occur.
    let rank = |percent: usize| (durations.len() * percent).div_ceil(100).saturating_sub(1);
    let at = |percent: usize| durations.get(rank(percent)).copied();
    Some(Spread { count: durations.len(), p50: at(50)?, p90: at(90)?, p99: at(99)?, max: durations.last().copied()? })
}

fn by_task(lives: &[Life]) -> Vec<TaskFigures> {
    let mut tasks: BTreeMap<(bool, &str), Vec<&Life>> = BTreeMap::new();
    for life in lives {
        // Commands of their own come last.
        let key = (life.task.is_none(), life.task.as_deref().unwrap_or_default());
        tasks.entry(key).or_default().push(life);
    }
    let figures = |lives: Vec<&Life>| {
        let waited = |life: &&Life| life.started.map(|started| between(life.ready.min(started), started));
        let ran = |life: &&Life| (life.started.is_some() && life.ended.is_some()).then_some(life.ran);
        TaskFigures {
            task: lives.first().and_then(|life| life.task.clone()),
            jobs: lives.len(),
            wait: spread(lives.iter().filter_map(waited).collect()),
            run: spread(lives.iter().filter_map(ran).collect()),
        }
    };
    tasks.into_values().map(figures).collect()
}

fn outcomes(lives: &[Life]) -> Vec<(State, Option<String>, usize)> {
    let mut counts: BTreeMap<(State, Option<&str>), usize> = BTreeMap::new();
    for life in lives {
        *counts.entry((life.state, life.code.as_deref())).or_default() += 1;
    }
    counts.into_iter().map(|((state, code), count)| (state, code.map(str::to_owned), count)).collect()
}

/// The longest chain by the time that its jobs ran; empty where nobody waits for anybody.
fn longest(lives: &[Life], links: &[(JobId, JobId)]) -> Vec<(JobId, Duration)> {
    let places: HashMap<JobId, usize> = lives.iter().enumerate().map(|(at, life)| (life.id, at)).collect();
    let mut parents = vec![Vec::new(); lives.len()];
    for (parent, child) in links {
        if let (Some(parent), Some(child)) = (places.get(parent), places.get(child))
            && let Some(list) = parents.get_mut(*child)
        {
            list.push(*parent);
        }
    }
    if parents.iter().all(Vec::is_empty) {
        return Vec::new();
    }
    let Ok(order) = graph::ordered(&parents) else { return Vec::new() };
    let mut best: Vec<(Duration, Option<usize>)> = vec![(Duration::ZERO, None); lives.len()];
    for at in order {
        let before = parents.get(at).into_iter().flatten().copied();
        let before = before.max_by_key(|parent| best.get(*parent).map(|(time, _)| *time));
        let time = before.and_then(|parent| best.get(parent)).map_or(Duration::ZERO, |(time, _)| *time);
        if let (Some(best), Some(life)) = (best.get_mut(at), lives.get(at)) {
            *best = (time + life.ran, before);
        }
    }
    let last = best.iter().enumerate().max_by_key(|(_, (time, _))| *time).filter(|(_, (time, _))| !time.is_zero());
    let mut path = Vec::new();
    let mut at = last.map(|(at, _)| at);
    while let Some(life) = at.and_then(|at| lives.get(at)) {
        path.push((life.id, life.ran));
        at = at.and_then(|at| best.get(at)).and_then(|(_, before)| *before);
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests;
