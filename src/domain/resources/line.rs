//! The line in front of locks: whoever has waited longer has them first, queued job or task.
//!
//! Tasks of front doors stand in a line of their own, each since a moment; a queued job waits since it could run. Neither
//! is kept waiting by one that could not start now: a task that waits for another lock besides, a job for which no slot is
//! free.
//! Of two that have waited since the same moment the task goes first, and of two tasks the one whose name does.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::capacity::Capacity;
use super::holds::Running;
use super::lock::{HeldLock, Party, first_held};
use super::pick::{Head, pick};
use crate::domain::name::{JobId, TaskName};

/// A task that waits for locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiter {
    /// The task.
    pub task: TaskName,
    /// Its newest job.
    pub job: Option<JobId>,
    /// Since when.
    pub since: Timestamp,
    /// All that it needs, in lower case.
    pub locks: BTreeSet<String>,
}

/// The tasks that wait for their turn and for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(Vec<Waiter>);

impl Line {
    /// Of the tasks that wait those that could start beside what runs.
    pub fn of(mut waiting: Vec<Waiter>, running: &[Running]) -> Self {
        waiting.retain(|one| first_held(one.locks.iter().map(String::as_str), running).is_none());
        waiting.sort_unstable_by_key(Waiter::place);
        Self(waiting)
    }

    /// The first that goes before a task which has waited for these locks since then.
    pub fn before_task(&self, task: &TaskName, locks: &BTreeSet<String>, since: Timestamp) -> Option<HeldLock> {
        let me = (since, task.key());
        let mut others = self.0.iter().filter(|one| one.task != *task && one.place() < me);
        others.find_map(|one| one.goes_first(locks))
    }

    /// The first that goes before a queued job.
    pub fn before_job(&self, head: &Head<'_>) -> Option<HeldLock> {
        let mut earlier = self.0.iter().filter(|one| one.since <= head.runnable_since);
        earlier.find_map(|one| one.goes_first(&head.need.locks))
    }

    /// Of the best jobs of the queue those that no task goes before.
    pub fn let_pass<'a>(&self, heads: Vec<Head<'a>>) -> Vec<Head<'a>> {
        heads.into_iter().filter(|head| self.before_job(head).is_none()).collect()
    }
}

impl Waiter {
    fn place(&self) -> (Timestamp, String) {
        (self.since, self.task.key())
    }

    fn goes_first(&self, locks: &BTreeSet<String>) -> Option<HeldLock> {
        let lock = self.locks.intersection(locks).next()?.clone();
        Some(HeldLock { lock, by: Party::Task(self.task.clone(), self.job), is_free: true })
    }
}

/// The job that goes before a task which has waited for these locks since then: one that has waited longer, and for which
/// a slot is free. `heads` are those that no task goes before, `free` is how many slots are.
pub fn job_before_task(
    locks: &BTreeSet<String>,
    since: Timestamp,
    mut heads: Vec<Head<'_>>,
    mut running: Vec<Running>,
    capacity: &Capacity,
    free: u32,
    now: Timestamp,
) -> Option<HeldLock> {
    for _ in 0..free {
        let picked = pick(&heads, &running, capacity, now)?;
        let head = heads.swap_remove(picked.head);
        if let Some(lock) = waits_longer(&head, locks, since) {
            return Some(HeldLock { lock: lock.clone(), by: Party::Job(head.job), is_free: true });
        }
        running.push(Running { job: head.job, task: None, since: now, holds: picked.holds });
    }
    None
}

/// A lock of these that a job has waited for since before then.
pub fn waits_longer<'h>(head: &Head<'h>, locks: &BTreeSet<String>, since: Timestamp) -> Option<&'h String> {
    let mut wanted = head.need.locks.iter();
    wanted.find(|lock| locks.contains(*lock)).filter(|_| head.runnable_since < since)
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::super::{Found, Holds, Machine, Need};
    use super::*;

    fn name(name: &str) -> TaskName {
        TaskName::parse(name).unwrap()
    }

    fn set(locks: &str) -> BTreeSet<String> {
        locks.split_whitespace().map(str::to_owned).collect()
    }

    /// A line of tasks, each with its locks and since when, in front of what holds these locks.
    fn line(waiting: &[(&str, &str, i64)], held: &str) -> Line {
        let waiter = |(task, locks, since): &(&str, &str, i64)| Waiter {
            task: name(task),
            job: None,
            since: at(*since),
            locks: set(locks),
        };
        Line::of(waiting.iter().map(waiter).collect(), &[runs(held)])
    }

    fn runs(locks: &str) -> Running {
        Running { job: JobId(99), task: None, since: at(0), holds: Holds::only_locks(set(locks)) }
    }

    #[track_caller]
    fn check(line: &Line, (task, locks, since): (&str, &str, i64), expected: Option<(&str, &str)>) {
        let found = line.before_task(&name(task), &set(locks), at(since));
        let said = expected
            .map(|(lock, first)| format!("lock `{lock}` goes to task `{first}` first, which has waited longer"));
        assert_eq!(found.map(|held| held.to_string()), said);
    }

    #[test]
    fn whoever_has_waited_longer_goes_first() {
        let line = line(&[("b", "gpu", 5), ("a", "gpu disk", 5), ("c", "net", 1)], "");
        check(&line, ("x", "gpu", 9), Some(("gpu", "a")));
        check(&line, ("x", "gpu", 5), Some(("gpu", "a")));
        check(&line, ("x", "gpu", 4), None);
        check(&line, ("b", "gpu", 5), Some(("gpu", "a")));
        check(&line, ("a", "gpu disk", 5), None);
        check(&line, ("x", "net", 9), Some(("net", "c")));
        check(&line, ("x", "none", 9), None);
    }

    #[test]
    fn who_waits_for_another_lock_besides_keeps_nobody_waiting() {
        let line = line(&[("a", "gpu disk", 1), ("b", "gpu", 2)], "disk");
        check(&line, ("x", "gpu", 9), Some(("gpu", "b")));
        check(&line, ("b", "gpu", 2), None);
    }

    #[test]
    fn of_a_job_and_a_task_one_goes_first_and_never_both_or_none() {
        let need = Need { locks: set("gpu"), ..Need::default() };
        let capacity = Capacity::new(&Machine::default(), Found { cpus: 1, memory: 1, gpus: 0 });
        for (task, job) in [(1, 2), (2, 2), (3, 2)] {
            let head = Head { need: &need, priority: 0, job: JobId(1), runnable_since: at(job) };
            let passes = !line(&[("a", "gpu", task)], "").let_pass(vec![head]).is_empty();
            let before = job_before_task(&set("gpu"), at(task), vec![head], Vec::new(), &capacity, 1, at(9));
            assert_eq!(passes, before.is_some(), "task since {task}, job since {job}");
        }
    }

    #[test]
    fn a_job_goes_first_only_where_a_slot_is_free_for_it() {
        let plain = Need { cpus: 1, ..Need::default() };
        let gpu = Need { locks: set("gpu"), ..plain.clone() };
        let capacity = Capacity::new(&Machine::default(), Found { cpus: 2, memory: 1, gpus: 0 });
        let heads = [(1, &plain, 5), (2, &gpu, 0)];
        let head = |(job, need, priority)| Head { need, priority, job: JobId(job), runnable_since: at(0) };
        let first = |free, running: &[Running]| {
            let heads = heads.into_iter().map(head).collect();
            job_before_task(&set("gpu"), at(5), heads, running.to_vec(), &capacity, free, at(9)).map(|held| held.by)
        };
        // There is no slot, or another one gets it.
        assert_eq!([first(0, &[]), first(1, &[])], [None, None]);
        assert_eq!(first(2, &[]), Some(Party::Job(JobId(2))));
        // It does not fit.
        let full = Running { holds: Holds { cpus: 1, ..Holds::default() }, ..runs("") };
        assert_eq!(first(2, &[full]), None);
    }
}
