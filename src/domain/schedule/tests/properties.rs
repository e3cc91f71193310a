//! What holds for every schedule in every zone.

use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::sample::select;

use super::table;
use crate::domain::schedule::period::parse_period;

pub(super) const ZONES: [&str; 12] = [
    "America/New_York",
    "Europe/Zurich",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "America/Nuuk",
    "Antarctica/Troll",
    "Asia/Tehran",
    "UTC",
];

/// Rules of every kind.
pub(super) fn rules() -> impl Strategy<Value = String> {
    let (minute, hour) = (0..60_u32, 0..24_u32);
    prop_oneof![
        (minute.clone(), hour.clone()).prop_map(|(minute, hour)| format!("{minute} {hour} * * *")),
        (minute.clone(), select(vec!["*", "*/2", "*/5", "1-4", "0,2,14"])).prop_map(|(m, h)| format!("{m} {h} * * *")),
        (select(vec!["*/20", "*/7", "0,30"]), hour.clone()).prop_map(|(m, h)| format!("{m} {h} * * *")),
        (1..32_u32, 1..13_u32, 0..7_u32).prop_map(|(day, month, week)| format!("0 2 {day} {month} {week}")),
        (1..400_u32, select(vec!["s", "min", "h", "days", "weeks", "months"]))
            .prop_map(|(n, unit)| format!("{n} {unit}")),
        (hour, minute).prop_map(|(hour, minute)| format!("every weekday at {hour}:{minute:02} and 2:30")),
        select(vec!["sat", "mon and thu", "year", "quarter", "1h30m", "1.5 s"]).prop_map(str::to_owned),
    ]
}

pub(super) fn moments() -> impl Strategy<Value = Timestamp> {
    // 1990 to 2060.
    (631_152_000_i64..2_840_140_800).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn starts() -> impl Strategy<Value = String> {
    let start = (1995..2030_u32, 1..13_u32, 1..29_u32, 0..4_u32, 0..60_u32)
        .prop_map(|(y, m, d, hour, minute)| format!("{y}-{m:02}-{d:02} {hour:02}:{minute:02}"));
    prop_oneof![Just(String::new()), start]
}

proptest! {
    #[test]
    fn next_is_later_and_the_same_from_a_second_before(
        rule in rules(), start in starts(), zone in select(&ZONES[..]), time in moments(),
    ) {
        let table = table(&rule, &start, zone);
        let mut last = time;
        for _ in 0..8 {
            let Some(next) = table.after(last) else { break };
            prop_assert!(next.time > last);
            prop_assert!(table.start().is_none_or(|start| next.time >= start));
            // Nothing lies between, wherever one looks from.
            let gap = next.time.as_nanosecond() - last.as_nanosecond();
            for part in [1_i128, gap / 2, 1_000_000_000].into_iter().filter(|part| (1..gap).contains(part)) {
                let from = Timestamp::from_nanosecond(next.time.as_nanosecond() - part).unwrap();
                prop_assert_eq!(table.after(from), Some(next));
            }
            last = next.time;
        }
    }

    #[test]
    fn a_daily_task_runs_once_on_each_date_that_exists(
        hour in 0..24_i8, minute in 0..60_i8, zone in select(&ZONES[..]), time in moments(), period in any::<bool>(),
    ) {
        let clock = format!("{hour:02}:{minute:02}");
        let table = if period {
            table("day", &format!("1980-01-01 {clock}"), zone)
        } else {
            table(&format!("{minute} {hour} * * *"), "", zone)
        };
        let tz = table.zone().time_zone();
        // The date of an occurrence is that of its usual time.
        let dates: Vec<_> = table.iter_after(time).take(400)
            .map(|next| next.note.map_or_else(|| tz.to_datetime(next.time), |moved| moved.from).date()).collect();
        for pair in dates.windows(2) {
            let mut expected = pair[0] + 1.day();
            if zone == "Pacific/Apia" && expected == jiff::civil::date(2011, 12, 30) {
                expected += 1.day();
            }
            prop_assert_eq!(pair[1], expected);
        }
    }

    #[test]
    fn a_rule_that_follows_the_clock_never_waits_longer_than_it_says(
        (text, minutes) in select(vec![("30 * * * *", 60), ("*/20 * * * *", 20), ("0 */3 * * *", 180), ("* * * * *", 1)]),
        zone in select(&ZONES[..]), time in moments(),
    ) {
        let table = table(text, "", zone);
        let tz = table.zone().time_zone();
        let mut last: Option<Timestamp> = None;
        for next in table.iter_after(time).take(200) {
            let shown = tz.to_datetime(next.time);
            prop_assert_eq!((i64::from(shown.hour()) * 60 + i64::from(shown.minute())) % minutes % 60 % minutes, if minutes == 60 { 30 } else { 0 });
            if let Some(last) = last {
                // A clock that is set forward may skip one of the rule's times, one that is set back is waited for.
                let change = tz.to_offset(next.time).seconds() - tz.to_offset(last).seconds();
                let more = i64::from(-change.min(0)) + if change > 0 { minutes * 60 } else { 0 };
                let most = SignedDuration::from_mins(minutes) + SignedDuration::from_secs(more);
                prop_assert!(next.time.duration_since(last) <= most, "{} {}", last, next.time);
            }
            last = Some(next.time);
        }
    }

    #[test]
    fn the_canonical_text_is_read_as_the_same_rule(rule in rules(), zone in select(&ZONES[..]), time in moments()) {
        let first = table(&rule, "", zone);
        let echo = first.rule().to_string();
        prop_assert_eq!(&parse_period(&echo).unwrap(), first.rule());
        let described = first.describe();
        let text = described.strip_suffix(zone).unwrap_or(&described);
        let again = table(text, "", zone);
        let due = |table: &crate::domain::schedule::Timetable| table.iter_after(time).take(20).collect::<Vec<_>>();
        prop_assert_eq!(due(&first), due(&again));
    }

    #[test]
    fn no_text_brings_it_down(text in "[a-z0-9@*/,: -]{0,24}", start in "[-0-9T:+Z \\[\\]a-z/]{0,30}") {
        let _ = super::build(&text, "", &start, "");
        let _ = super::build("", &text, "", &start);
        let _ = crate::domain::schedule::resolve_start(&start, Timestamp::UNIX_EPOCH, None, &super::zones());
    }
}
