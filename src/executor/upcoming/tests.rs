//! What is coming, of one schedule and of several, and who runs then.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::merged;
use super::plan::{Habit, plan};
use crate::domain::name::TaskName;
use crate::domain::schedule::{Jitter, Tally, Timetable};
use crate::domain::task::Schedule;
use crate::executor::fire::Firing;
use crate::home::zones;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn name(text: &str) -> TaskName {
    TaskName::parse(text).unwrap()
}

fn firing(period: &str, tz: &str) -> Firing {
    let schedule = Schedule { period: Some(period.into()), tz: Some(tz.into()), ..Schedule::default() };
    Firing { timetable: Arc::new(Timetable::build(&schedule, &zones::zones()).unwrap().0), jitter: None }
}

fn jitter(minutes: u64) -> Jitter {
    Jitter { within: Duration::from_mins(minutes), host: "host".into(), task: "a".into() }
}

fn habit(text: &str, period: &str, minutes: u64) -> Habit {
    let usual = (minutes > 0).then(|| Duration::from_mins(minutes));
    Habit { name: name(text), firing: firing(period, "UTC"), usual, running_since: None }
}

#[test]
fn several_schedules_come_in_the_order_of_their_times() {
    let from = at("2030-01-01T01:00:00Z");
    let each = [("a", "day at 3"), ("b", "1 h"), ("boot", "@reboot")];
    let each = each.map(|(task, period)| firing(period, "UTC").coming(name(task), Timestamp::MIN, from));
    let told: Vec<String> =
        merged(each).take(4).map(|next| format!("{} {}", next.name, next.there().strftime("%H:%M"))).collect();
    let expected = ["b 02:00", "a 03:00", "b 03:00", "b 04:00"];
    assert_eq!(told, expected, "strictly after, and of equal times the first in the file first");
}

#[test]
fn one_that_is_put_off_is_still_to_come_when_its_time_has_passed() {
    let next = |due: Timestamp, from: Timestamp| {
        let firing = Firing { jitter: Some(jitter(30)), ..firing("1 h", "UTC") };
        firing.coming(name("a"), due, from).next().unwrap()
    };
    let first = next(Timestamp::MIN, at("2030-01-01T00:59:00Z"));
    assert!(first.due == at("2030-01-01T01:00:00Z") && first.time() > first.due);
    assert!(first.note().unwrap().starts_with("put off by "));
    let before = first.time().checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!(next(Timestamp::MIN, before), first);
    let second = at("2030-01-01T02:00:00Z");
    assert_eq!(next(Timestamp::MIN, first.time()).due, second);
    assert_eq!(next(first.due, before).due, second, "it is decided already");
}

#[test]
fn a_note_says_what_is_special() {
    let note = |period: &str, from: &str| {
        firing(period, "America/New_York").coming(name("a"), Timestamp::MIN, at(from)).next().unwrap().note()
    };
    assert_eq!(note("day at 2:30", "2025-03-07T12:00:00Z"), None);
    assert_eq!(note("day at 2:30", "2025-03-09T01:00:00Z").unwrap(), "moved from 02:30");
    assert_eq!(note("1 h", "2025-11-02T04:30:00Z").unwrap(), "the first of two 01:00");
    assert_eq!(note("1 h", "2025-11-02T05:30:00Z").unwrap(), "the second of two 01:00");
}

/// Who runs at each start.
#[track_caller]
fn overlaps(habits: &[Habit], shown: usize, expected: &[&str]) {
    let (shown, others) = habits.split_at(shown);
    let plan = plan(shown, others, (at("2030-01-01T00:00:00Z"), at("2030-01-01T06:00:00Z")), 50);
    let told: Vec<String> = plan
        .starts
        .iter()
        .map(|start| {
            let beside: Vec<&str> = start.beside.iter().map(TaskName::as_str).collect();
            format!("{} {}: {}", start.start.name, start.start.there().strftime("%H:%M"), beside.join(" "))
        })
        .collect();
    assert_eq!(told, expected);
    assert_eq!(plan.left_out, []);
}

#[test]
fn what_began_less_than_its_usual_time_before_is_likely_to_run() {
    let mut habits = [habit("long", "day at 1", 90), habit("short", "2 h", 10), habit("new", "day at 2:30", 0)];
    let expected = ["long 01:00: ", "short 02:00: long", "new 02:30: ", "short 04:00: ", "short 06:00: "];
    overlaps(&habits, 3, &expected);
    habits.swap(0, 1);
    overlaps(&habits, 1, &["short 02:00: long", "short 04:00: ", "short 06:00: "]);
}

#[test]
fn a_task_overlaps_itself_and_what_starts_at_the_same_moment() {
    overlaps(&[habit("a", "2 h", 121)], 1, &["a 02:00: a", "a 04:00: a", "a 06:00: a"]);
    overlaps(&[habit("a", "2 h", 120)], 1, &["a 02:00: ", "a 04:00: ", "a 06:00: "]);
    let both = [habit("a", "day at 3", 1), habit("b", "day at 3", 0)];
    overlaps(&both, 2, &["a 03:00: ", "b 03:00: a"]);
}

#[test]
fn what_runs_now_counts_from_its_start() {
    let mut running = habit("a", "week", 130);
    running.running_since = Some(at("2030-01-01T00:00:00Z"));
    overlaps(&[running, habit("b", "2 h", 1)], 2, &["b 02:00: a", "b 04:00: ", "b 06:00: "]);
}

#[test]
fn a_plan_is_bounded_and_says_what_it_left_out() {
    let habits = [habit("tick", "1 s", 0), habit("slow", "1 h", 0)];
    let plan = plan(&habits, &[], (at("2030-01-01T00:00:00Z"), at("2030-01-02T00:00:00Z")), 50);
    let ticks = plan.starts.iter().filter(|start| start.start.name == name("tick")).count();
    assert_eq!((ticks, plan.starts.len()), (50, 74));
    let [left] = plan.left_out.as_slice() else { panic!("{:?}", plan.left_out) };
    assert_eq!((left.name.as_str(), left.count), ("tick", Tally::Exactly(86_350)));
    assert_eq!(left.after, at("2030-01-01T00:00:50Z"));
}

#[test]
fn what_is_put_off_runs_from_then() {
    let mut late = habit("late", "day at 3", 10);
    let jitter = jitter(30);
    let begins = jitter.delay(at("2030-01-01T03:00:00Z")).as_secs() / 60;
    late.firing.jitter = Some(jitter);
    let (early, then) = (format!("day at 3:{begins:02}"), format!("day at 3:{:02}", begins + 2));
    let habits = [habit("early", &early, 0), habit("then", &then, 0), late];
    let plan = plan(&habits[..2], &habits[2..], (at("2030-01-01T00:00:00Z"), at("2030-01-01T06:00:00Z")), 50);
    let beside: Vec<usize> = plan.starts.iter().map(|start| start.beside.len()).collect();
    assert_eq!(beside, [0, 1]);
}
