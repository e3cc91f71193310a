//! Who starts when within a time, and who usually still runs then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::name::TaskName;
use crate::domain::schedule::Tally;
use crate::domain::task::Task;
use crate::executor::fire::Firing;
use crate::executor::night::{EARLIER, usual};
use crate::executor::{Executor, ExecutorError};
use crate::store::{night, runs};

use super::{Upcoming, merged};

/// So many times as many starts are listed altogether as of one task.
const ALTOGETHER: usize = 10;

/// Who starts when.
#[derive(Debug)]
pub struct Plan {
    /// The starts, in order of time.
    pub starts: Vec<Planned>,
    /// Those that are not listed.
    pub left_out: Vec<LeftOut>,
}

/// A start that is planned, with what is likely to run then.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The start.
    pub start: Upcoming,
    /// How long its task usually runs, where enough runs say so.
    pub usual: Option<Duration>,
    /// The tasks that are likely to run still; its own where it is not done by its next start.
    pub beside: Vec<TaskName>,
}

/// Starts of one task that are not listed.
#[derive(Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The task.
    pub name: TaskName,
    /// How many.
    pub count: Tally,
    /// After this moment.
    pub after: Timestamp,
}

/// A schedule with what the runs of its task say.
pub(super) struct Habit {
    pub(super) name: TaskName,
    pub(super) firing: Firing,
    pub(super) usual: Option<Duration>,
    /// Since when it runs now.
    pub(super) running_since: Option<Timestamp>,
}

impl Executor {
    /// The starts of these tasks after a moment and until another, so many of one at most, beside all that are armed.
    pub fn plan_starts(
        &self,
        these: &[Arc<Task>],
        armed: &[Arc<Task>],
        (from, until): (Timestamp, Timestamp),
        most: usize,
    ) -> Result<Plan, ExecutorError> {
        let running = runs::newest_of_tasks(self.store.reader())?.into_iter().filter(|run| run.outcome.is_none());
        let running: HashMap<String, Timestamp> =
            running.filter_map(|run| Some((run.task?.key(), run.started?))).collect();
        let habit = |task: &Arc<Task>| -> Result<Habit, ExecutorError> {
            let earlier = night::successes_before(self.store.reader(), &task.name, from, EARLIER)?;
            let running_since = running.get(&task.name.key()).copied();
            Ok(Habit { name: task.name.clone(), firing: self.firing(task)?, usual: usual(&earlier), running_since })
        };
        let shown = these.iter().map(habit).collect::<Result<Vec<_>, _>>()?;
        let others = armed.iter().filter(|task| these.iter().all(|one| one.name != task.name));
        let others = others.map(habit).collect::<Result<Vec<_>, _>>()?;
        Ok(plan(&shown, &others, (from, until), most))
    }
}

/// The plan from what is known.
pub(super) fn plan(shown: &[Habit], others: &[Habit], (from, until): (Timestamp, Timestamp), most: usize) -> Plan {
    let each = shown.iter().map(|habit| habit.after(from).take_while(|next| next.due <= until).take(most));
    let starts: Vec<Upcoming> = merged(each).take(most.saturating_mul(ALTOGETHER)).collect();
    let last: HashMap<&TaskName, Timestamp> = starts.iter().map(|next| (&next.name, next.due)).collect();
    let left_out = shown.iter().filter_map(|habit| {
        let after = last.get(&habit.name).copied().unwrap_or(from);
        let count = habit.firing.timetable.count(after, until);
        (count != Tally::Exactly(0)).then(|| LeftOut { name: habit.name.clone(), count, after })
    });
    let left_out = left_out.collect();
    let usual: HashMap<&TaskName, Duration> =
        shown.iter().filter_map(|habit| Some((&habit.name, habit.usual?))).collect();
    let starts = starts.iter().map(|start| Planned {
        usual: usual.get(&start.name).copied(),
        beside: shown.iter().chain(others).filter(|it| it.runs_at(start)).map(|it| it.name.clone()).collect(),
        start: start.clone(),
    });
    Plan { starts: starts.collect(), left_out }
}

impl Habit {
    fn after(&self, from: Timestamp) -> impl Iterator<Item = Upcoming> + '_ {
        self.firing.timetable.iter_after(from).map(|next| self.firing.upcoming(&self.name, next))
    }

    /// Whether it is likely to run when something starts, which may be its own next occurrence.
    fn runs_at(&self, start: &Upcoming) -> bool {
        let (Some(usual), moment) = (self.usual, start.time()) else { return false };
        let reaches = |begin: Timestamp| begin.checked_add(usual).is_ok_and(|end| end > moment);
        if self.running_since.is_some_and(|since| since < moment && reaches(since)) {
            return true;
        }
        // One that is put off begins later than it is due.
        let earliest = moment.checked_sub(usual.saturating_add(self.firing.within())).unwrap_or(Timestamp::MIN);
        let before = earliest.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(earliest);
        let mut begun = self.after(before).take_while(|one| one.due <= moment);
        begun.any(|one| one != *start && one.time() <= moment && reaches(one.time()))
    }
}
