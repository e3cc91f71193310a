//! Who runs when, from schedules and how long their runs take.

use std::time::Duration;

use jiff::Timestamp;

use super::{Habit, plan};
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

fn habit(text: &str, period: &str, minutes: u64) -> Habit {
    let (period, tz) = (Some(period.into()), Some("UTC".into()));
    let schedule = Schedule { period, tz, ..Schedule::default() };
    let (timetable, _) = Timetable::build(&schedule, &zones::zones()).unwrap();
    let usual = (minutes > 0).then(|| Duration::from_mins(minutes));
    Habit { name: name(text), firing: Firing { timetable, jitter: None }, usual, running_since: None }
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
    let jitter = Jitter { within: Duration::from_mins(30), host: "host".into(), task: "late".into() };
    let begins = jitter.delay(at("2030-01-01T03:00:00Z")).as_secs() / 60;
    late.firing.jitter = Some(jitter);
    let (early, then) = (format!("day at 3:{begins:02}"), format!("day at 3:{:02}", begins + 2));
    let habits = [habit("early", &early, 0), habit("then", &then, 0), late];
    let plan = plan(&habits[..2], &habits[2..], (at("2030-01-01T00:00:00Z"), at("2030-01-01T06:00:00Z")), 50);
    let beside: Vec<usize> = plan.starts.iter().map(|start| start.beside.len()).collect();
    assert_eq!(beside, [0, 1]);
}
