//! Years of a supervisor's life: away, asleep, its clock set, its zone changed; every occurrence is decided once.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;

use super::properties::{ZONES, rules};
use super::table;
use crate::domain::schedule::count::{Older, Tally};
use crate::domain::schedule::decide::{Facts, Memory, Verdict, Waiting, decide, next_due, release};
use crate::domain::schedule::{Decision, Missed, Overlap, Policy, Timetable};

/// What happens next.
#[derive(Debug, Clone)]
enum Turn {
    /// The supervisor sleeps until the next occurrence, and wakes so many milliseconds late.
    Wake(i64),
    /// It is away for so many minutes, or the clock is set forward.
    Away(i64),
    /// The clock is set back by so many minutes.
    Back(i64),
    /// The schedule is edited to count in another zone.
    Zone(&'static str),
    /// What runs ends.
    End,
}

fn turns() -> impl Strategy<Value = Turn> {
    prop_oneof![
        6 => (0..2000_i64).prop_map(Turn::Wake),
        1 => (0..3_000_i64).prop_map(Turn::Away),
        1 => (0..3_000_000_i64).prop_map(Turn::Away),
        1 => (0..300_i64).prop_map(Turn::Back),
        1 => select(&ZONES[..]).prop_map(Turn::Zone),
        3 => Just(Turn::End),
    ]
}

/// What has been decided, and what waits.
#[derive(Default)]
struct Life {
    decided: BTreeMap<Timestamp, &'static str>,
    ranges: Vec<Older>,
    running: Vec<Timestamp>,
    waiting: Vec<Waiting>,
}

proptest! {
    #[test]
    fn every_due_occurrence_is_decided_once(
        rule in rules(), zone in select(&ZONES[..]), turns in prop::collection::vec(turns(), 1..40),
        missed in select(&Missed::ALL[..]), overlap in select(&Overlap::ALL[..]), deadline in select(vec![None, Some(600)]),
    ) {
        let policy = Policy { missed, overlap, start_deadline: deadline.map(Duration::from_secs), max_running: Some(3) };
        let mut table = table(&rule, "", zone);
        let mut now = Timestamp::from_second(1_000_000_000).unwrap();
        let mut memory = Memory { last: None, seen_at: now };
        let mut life = Life::default();
        for turn in turns {
            match turn {
                Turn::Wake(late) => {
                    let Some(due) = next_due(&table, memory, None) else { break };
                    // A clock that was set back is not waited for here.
                    now = due.max(now) + SignedDuration::from_millis(late);
                }
                Turn::Away(minutes) => now += SignedDuration::from_mins(minutes),
                Turn::Back(minutes) => now -= SignedDuration::from_mins(minutes),
                Turn::Zone(zone) => {
                    table = super::table(&rule, "", zone);
                    memory.seen_at = now;
                }
                Turn::End => {
                    life.running.clear();
                    while let Some(next) = release(&life.running, &life.waiting, false) {
                        life.waiting.retain(|waiting| waiting.occurrence != next);
                        life.running.push(next);
                    }
                }
            }
            let floor = memory.last.map_or(memory.seen_at, |last| last.max(memory.seen_at));
            let facts = Facts { timetable: &table, jitter: None, memory, now, running: &life.running, waiting: &life.waiting, locked: false };
            let decisions = decide(&facts, &policy);
            if decisions.clock_was_wrong.is_some() {
                prop_assert!(floor > now && decisions.rows.is_empty());
                // What was decided by a wrong clock has not happened.
                life.decided.split_off(&now);
                life.ranges.retain(|older| older.after < now);
                life.ranges.iter_mut().for_each(|older| older.through = older.through.min(now));
                memory = decisions.memory;
                continue;
            }
            check_complete(&table, floor, now, &decisions.rows, decisions.older)?;
            if let Some(older) = decisions.older {
                prop_assert!(life.ranges.iter().all(|range| range.through <= older.after));
                life.ranges.push(older);
            }
            for row in &decisions.rows {
                prop_assert!(row.occurrence <= now, "before its time");
                prop_assert!(life.ranges.iter().all(|range| range.through < row.occurrence));
                let (word, stop) = match &row.verdict {
                    Verdict::Run => ("run", false),
                    Verdict::Replace { stop } => {
                        prop_assert_eq!(stop, &life.running);
                        ("run", true)
                    }
                    Verdict::Wait { catch_up } => {
                        life.waiting.push(Waiting { occurrence: row.occurrence, catch_up: *catch_up });
                        ("wait", false)
                    }
                    Verdict::Missed(_) => ("missed", false),
                    Verdict::Locked => {
                        prop_assert!(false, "nothing is locked");
                        ("locked", false)
                    }
                    Verdict::Skipped { running, waiting } => {
                        prop_assert!(!running.is_empty() || waiting.is_some());
                        ("skipped", false)
                    }
                };
                prop_assert_eq!(life.decided.insert(row.occurrence, word), None, "{} decided twice", row.occurrence);
                if stop { life.running.clear(); }
                if word == "run" { life.running.push(row.occurrence); }
            }
            life.waiting.retain(|waiting| decisions.displaced.iter().all(|out| out.occurrence != waiting.occurrence));
            prop_assert!(life.waiting.len() <= 101);
            let most = if overlap == Overlap::Allow { 3 } else { 1 };
            prop_assert!(life.running.len() <= most);
            prop_assert!(decisions.memory.last >= memory.last);
            memory = decisions.memory;
        }
    }
}

/// Every occurrence in (floor, now] has its row, or is in the range that is not listed.
fn check_complete(
    table: &Timetable,
    floor: Timestamp,
    now: Timestamp,
    rows: &[Decision<Timestamp>],
    older: Option<Older>,
) -> Result<(), TestCaseError> {
    let listed_from = older.map_or(floor, |older| older.through);
    let due: Vec<Timestamp> =
        table.iter_after(listed_from).map(|next| next.time).take_while(|time| *time <= now).collect();
    prop_assert_eq!(due, rows.iter().map(|row| row.occurrence).collect::<Vec<_>>());
    let Some(older) = older else { return Ok(()) };
    prop_assert!(older.after == floor && rows.len() == 100);
    if let Tally::Exactly(count) = older.count
        && count < 2000
    {
        let counted = table.iter_after(floor).take_while(|next| next.time <= older.through).count();
        prop_assert_eq!(u64::try_from(counted).unwrap(), count);
    }
    Ok(())
}
