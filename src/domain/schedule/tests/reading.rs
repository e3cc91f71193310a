//! What may be written in `period`, `cron` and `tz`, what it means, and what is said about the rest.

use std::error::Error;

use super::{at, build, find, next, table, zones};
use crate::domain::schedule::{Event, Jitter, Part, Rule, Timetable};

#[track_caller]
fn means(period: &str, canonical: &str) {
    let (table, _) = build(period, "", "", "UTC").unwrap_or_else(|error| panic!("{period}: {error:?}"));
    assert_eq!(table.rule().to_string(), canonical, "{period}");
}

/// The message below the headline, and the hints.
#[track_caller]
fn wrong(period: &str, cron: &str, start: &str, tz: &str) -> (Part, String) {
    let error = build(period, cron, start, tz).expect_err(&format!("{period}{cron}{start}{tz}"));
    let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    (error.part(), format!("{why} → {}", error.hints().join("; ")))
}

#[track_caller]
fn no_period(text: &str, expected: &str) {
    assert_eq!(wrong(text, "", "", ""), (Part::Period, expected.to_owned()), "{text}");
}

#[track_caller]
fn no_cron(text: &str, expected: &str) {
    assert_eq!(wrong("", text, "", ""), (Part::Cron, expected.to_owned()), "{text}");
    assert_eq!(wrong(text, "", "", "").1, expected, "{text}");
}

#[test]
fn exact_quantities() {
    for (text, canonical) in [
        ("2 min", "every 2 min"),
        ("every 2m", "every 2 min"),
        ("90 s", "every 90 s"),
        ("1.5 h", "every 90 min"),
        ("1h30m", "every 90 min"),
        ("1h 30 min", "every 90 min"),
        ("0.5min", "every 30 s"),
        ("1.5 s", "every 1.5 s"),
        ("24 h", "every 24 h"),
        ("Every 3 Hours", "every 3 h"),
        ("hour", "every hour"),
        ("hourly", "every hour"),
        ("every minute", "every minute"),
        ("1 s", "every second"),
        ("60 min", "every hour"),
        ("2 hrs", "every 2 h"),
    ] {
        means(text, canonical);
    }
}

#[test]
fn calendar_quantities() {
    for (text, canonical) in [
        ("day", "every day"),
        ("daily", "every day"),
        ("1 d", "every day"),
        ("30 d", "every 30 days"),
        ("every week", "every week"),
        ("2 weeks", "every 2 weeks"),
        ("3 months", "every 3 months"),
        ("quarter", "every 3 months"),
        ("2 quarters", "every 6 months"),
        ("yearly", "every year"),
        ("10 Years", "every 10 years"),
    ] {
        means(text, canonical);
    }
}

#[test]
fn days_and_times() {
    for (text, canonical) in [
        ("every weekday at 9", "every weekday at 09:00"),
        ("mon,wed and fri at 9:30 and 21:15", "every mon, wed and fri at 09:30 and 21:15"),
        ("Monday, Tuesday, and Sunday at 9am", "every mon, tue and sun at 09:00"),
        ("fri, mon at 9, 8", "every mon and fri at 08:00 and 09:00"),
        ("every day at 12am", "every day at 00:00"),
        ("daily at 12pm", "every day at 12:00"),
        ("weekend at 9:05 pm", "every weekend at 21:05"),
        ("sat and sun at 9", "every weekend at 09:00"),
        ("mondays", "every mon"),
        ("every weekday", "every weekday"),
    ] {
        means(text, canonical);
    }
}

#[test]
fn cron_and_words_inside_a_period() {
    means("0 3 * * MON-FRI", "0 3 * * mon-fri");
    means("@daily", "0 0 * * *");
    means("@Midnight", "0 0 * * *");
    means("@yearly", "0 0 1 1 *");
    assert_eq!(table("@reboot", "", "").event(), Some(Event::Reboot));
    assert_eq!(table("@start", "", "").event(), Some(Event::Start));
    assert_eq!(build("", "@hourly", "", "").unwrap().0.rule().to_string(), "0 * * * *");
}

#[test]
fn words_that_mean_nothing_are_named() {
    no_period(" ", "it is empty → write how often, as in `2 min`, `day` or `every weekday at 9`");
    no_period("every", "it is empty → write how often, as in `2 min`, `day` or `every weekday at 9`");
    no_period("90", "`90` has no unit → write `90 s`, `90 min` or another unit");
    no_period("0", "`0` has no unit → write `0 s`, `0 min` or another unit");
    no_period("0 s", "it is not more than zero → the shortest period is `1 s`");
    no_period("0 days", "it is not more than zero → the shortest period is `1 s`");
    no_period("-5 min", "it is not more than zero → the shortest period is `1 s`");
    no_period("0.5 s", "it is shorter than one second → the shortest period is `1 s`");
    no_period("1 M", "`M` is not a unit → write `min` or `months`");
    no_period("5M", "`M` is not a unit → write `min` or `months`");
    no_period("2 H", "`H` is not a unit → write `h`");
    no_period("2 minuets", "`minuets` is not a unit → did you mean `minutes`?");
    no_period("2 fortnights", "`fortnights` is not a unit → use s, min, h, day, week, month, quarter or year");
    no_period("every fortnight", &unknown("fortnight"));
    no_period("every weekday a 9", "`a` is not known → did you mean `at`?");
    no_period("mondey at 9", "`mondey` is not known → did you mean `monday`?");
    no_period("mon fri at 9", "`mon fri` is not one day → put `,` or `and` between two days");
    no_period("tomorrow at 9", &unknown("tomorrow"));
    no_period("mon, at 9", "`` is not one day → put `,` or `and` between two days");
    no_period("weekday at 25", "`25` is not a time of day → write `9`, `09:30`, `9am` or `21:15`");
    no_period("weekday at 13pm", "`13pm` is not a time of day → write `9`, `09:30`, `9am` or `21:15`");
    no_period("weekday at", "`` is not a time of day → write `9`, `09:30`, `9am` or `21:15`");
    let at = "`at` goes with days only → use `start` for the time of day, and `period` for the number of days";
    no_period("2 days at 9", at);
    no_period("week at 9", at);
    no_period("1.5 days", "1.5 days is not a whole number of calendar days → use hours, which can be divided: `36 h`");
    let mixed = "`h` cannot be added to another unit → days, weeks, months and years stand alone; use hours for a sum";
    no_period("1 day 2 h", mixed);
    no_period("5 min x", "`x` is not a number → write a number and a unit, as in `2 min`");
    no_period("1..5 h", "`1..5` is not a number → write a number and a unit, as in `2 min`");
    no_period("1.0001 s", "`1.0001` is finer than a millisecond → the shortest period is `1 s`");
    no_period(
        "200 years",
        "it is longer than a hundred years → for something that happens once, start the task without a period",
    );
    no_period(
        "99999999999999999999 s",
        "it is longer than a hundred years → for something that happens once, start the task without a period",
    );
}

fn unknown(word: &str) -> String {
    format!("`{word}` is not known → try `2 min`, `1h30m`, `day`, `every weekday at 9` or `mon and fri at 9:30`")
}

#[test]
fn what_cron_does_not_mean_is_refused_with_the_way_out() {
    let five = "give minute, hour, day of the month, month and day of the week";
    no_cron("* * * *", &format!("4 fields instead of five → {five}"));
    no_cron("*/10 * * * * *", "6 fields instead of five → cron has no seconds here; use `period = \"10 s\"`");
    no_cron("* * * * * * *", "7 fields instead of five → cron has no seconds here; use `period = \"1 s\"`");
    let out = "leave out seconds and year: the five are minute, hour, day of the month, month, day of the week";
    no_cron("0 0 12 * * mon", &format!("6 fields instead of five → {out}"));
    no_cron("60 * * * *", "the minute `60` is out of range → the minute goes from 0 to 59");
    no_cron("0 24 * * *", "the hour `24` is out of range → the hour goes from 0 to 23");
    no_cron("0 0 0 * *", "the day of the month `0` is out of range → the day of the month goes from 1 to 31");
    no_cron("0 0 * 13 *", "the month `13` is out of range → the month goes from 1 to 12, or jan to dec");
    let week = "the day of the week goes from 0 to 7 (both 0 and 7 are Sunday), or sun to sat";
    no_cron("0 0 * * 8", &format!("the day of the week `8` is out of range → {week}"));
    no_cron("0 0 * * foo", &format!("`foo` is not a day of the week → {week}"));
    no_cron("0 0 ? * *", "`?` is not a day of the month → write `*`");
    no_cron("0~30 * * * *", "`0~30` is not a minute → use `jitter` for a time that is put off by chance");
    no_cron("0 0 L * *", "`l` is not a day of the month → the day of the month goes from 1 to 31");
    no_cron("0, * * * *", "`` is not a minute → the minute goes from 0 to 59");
    no_cron("*/90 * * * *", "the step 90 is larger than the minute field → use `period = \"90 min\"`");
    no_cron("0 */36 * * *", "the step 36 is larger than the hour field → use `period = \"36 h\"`");
    no_cron("*/0 * * * *", "`0` is not a step for the minute → give a whole number from 1");
    no_cron("5/15 * * * *", "`5/15` is a step from a single minute → write `5-59/15`");
    no_cron("0 22-2 * * *", "the hour range `22-2` ends before it begins → write `22,23,0,1,2`");
    no_cron("0 0 * * fri-mon", "the day of the week range `fri-mon` ends before it begins → write `fri,sat,sun,mon`");
    no_cron("0 0 * nov-feb *", "the month range `nov-feb` ends before it begins → write `nov,dec,jan,feb`");
    no_cron("50-10 * * * *", "the minute range `50-10` ends before it begins → write `50-59,0-10`");
    no_cron("0 22-4/2 * * *", "the hour range `22-4/2` ends before it begins → write `22,0,2,4`");
    let never = "it never matches: there is no such date → February has at most 29 days; \
                 April, June, September and November have 30";
    no_cron("0 0 30 2 *", never);
    no_cron("0 0 31 4,6 *", never);
    no_cron("@every 2m", "`@every` is not known here → use `period = \"2 min\"`");
    let words = "use one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, @reboot, @start";
    no_cron("@fortnightly", &format!("`@fortnightly` is not known → {words}"));
    assert_eq!(
        wrong("", "every weekday at 9", "", "").1,
        "4 fields instead of five → write words into `period`, as in `period = \"every day at 9\"`"
    );
}

#[test]
fn names_and_sunday_are_read_as_everywhere() {
    let days = |rule: &str| next(&table(rule, "", "UTC"), at("2026-11-16T00:00:00Z"), 3);
    assert_eq!(days("0 9 * * 0"), days("0 9 * * 7"));
    assert_eq!(days("0 9 * * Sun"), days("0 9 * * 7"));
    assert_eq!(days("0 9 * * sat-sun"), days("0 9 * * 6-7"));
    assert_eq!(days("0 9 * * 5-7"), days("0 9 * * fri,sat,sun"));
    assert_eq!(days("0 9 * * 1-5/2"), days("0 9 * * mon,wed,fri"));
    assert_eq!(days("0 9 1 JAN *"), days("0 9 1 1 *"));
}

#[track_caller]
fn notes(period: &str, start: &str, tz: &str, expected: &[&str]) {
    let (_, notes) = build(period, "", start, tz).unwrap();
    assert_eq!(notes.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{period}");
}

#[test]
fn what_may_surprise_is_said() {
    notes("*/15 */6 * */3 *", "", "", &[]);
    notes("*/7 * * * *", "", "", &["`*/7` starts anew at the hour; for even steps use `period = \"7 min\"`"]);
    notes("0 */5 * * *", "", "", &["`*/5` starts anew at midnight; for even steps use `period = \"5 h\"`"]);
    notes(
        "0 0 */2 * *",
        "",
        "",
        &["`*/2` starts anew at the first of the month; for even steps use `period = \"2 days\"`"],
    );
    notes(
        "0 9 1,15 * mon",
        "",
        "",
        &["either of the two fields for days is enough: it runs on the 1st, the 15th and every Monday"],
    );
    notes(
        "0 9 22-23 2,3 fri",
        "",
        "",
        &["either of the two fields for days is enough: \
         it runs on the 22nd, the 23rd and every Friday, in February and March"],
    );
}

#[test]
fn a_star_in_front_is_no_restriction_as_in_cronie() {
    // Odd days that are Mondays, where robfig/cron would take either.
    let due = next(&table("0 9 */2 * mon", "", "UTC"), at("2026-11-01T00:00:00Z"), 2);
    assert_eq!(due, ["2026-11-09T09:00+00:00", "2026-11-23T09:00+00:00"]);
}

#[test]
fn zones_are_named_and_abbreviations_refused() {
    let name = |tz: &str| table("day", "", tz).zone().name().to_owned();
    assert_eq!(
        [name("UTC"), name("z"), name(""), name("europe/zurich")],
        ["UTC", "UTC", "Europe/Zurich", "Europe/Zurich"]
    );
    assert_eq!([name("+01:00"), name("-0530"), name("+1")], ["+01:00", "-05:30", "+01:00"]);
    assert_eq!(name("EST"), "-05:00");
    let no_zone = |tz: &str| wrong("day", "", "", tz);
    for text in ["CET", "PST", "EDT", "IST", "GMT", "cest", "EST5EDT"] {
        let (part, said) = no_zone(text);
        assert!(
            part == Part::Tz && said.starts_with(&format!("`{text}` is an abbreviation, not a zone → name a place: "))
        );
        for name in said.rsplit(": ").next().unwrap().split(", ") {
            assert!(find(name).is_some(), "{name}");
        }
    }
    assert!(no_zone("XYZT").1.ends_with("→ name a place, as in `Europe/Zurich`"));
    assert_eq!(
        no_zone("Europe/Zuric").1,
        "there is no zone `Europe/Zuric` in this machine's database → did you mean `Europe/Zurich`?"
    );
    assert!(no_zone("../../etc/passwd").1.starts_with("there is no zone"));
    assert_eq!(no_zone("+25:00").1, "`+25:00` is not an offset from UTC → write an offset as `+01:00` or `-05:30`");
}

#[test]
fn one_way_to_say_how_often_is_needed() {
    assert_eq!(
        wrong("day", "0 0 * * *", "", ""),
        (Part::Cron, "`period` and `cron` are both given → keep one of the two".into())
    );
    let (part, said) = wrong("", "", "2026-11-20", "");
    assert_eq!(
        (part, said.as_str()),
        (Part::Period, "neither `period` nor `cron` is given → add how often, as in `period = \"day\"`")
    );
}

#[test]
fn the_canonical_echo() {
    let echo = |period: &str, start: &str, tz: &str| table(period, start, tz).describe();
    assert_eq!(echo("weekday at 9", "", ""), "every weekday at 09:00 Europe/Zurich");
    assert_eq!(echo("2m", "", ""), "every 2 min");
    assert_eq!(echo("0  3 * * MON-FRI", "", "America/New_York"), "0 3 * * mon-fri America/New_York");
    assert_eq!(echo("day", "", ""), "every day at 00:00 Europe/Zurich");
    let start = "2021-02-27 12:50:00 America/New_York";
    assert_eq!(echo("day", start, ""), "every day at 12:50 from 2021-02-27 12:50 America/New_York");
    assert_eq!(echo("2 weeks", start, ""), "every 2 weeks from 2021-02-27 12:50 America/New_York");
    assert_eq!(echo("2 min", start, "UTC"), "every 2 min from 2021-02-27 17:50 UTC");
    assert_eq!(echo("@reboot", "", ""), "@reboot");
}

#[test]
fn a_jitter_is_shorter_than_what_lies_between_two_runs() {
    use std::time::Duration;
    let fits = |rule: &str, seconds: u64| Jitter::check(Duration::from_secs(seconds), &table(rule, "", "UTC")).is_ok();
    for (rule, seconds) in
        [("10 s", 10), ("0 9,10 * * *", 3600), ("day", 86_400), ("*/15 * * * *", 900), ("month", 28 * 86_400)]
    {
        assert!(fits(rule, seconds - 1) && !fits(rule, seconds), "{rule}");
    }
    assert!(fits("@reboot", 1_000_000));
    let error = Jitter::check(Duration::from_mins(2), &table("2 min", "", "UTC")).unwrap_err();
    assert_eq!(error.to_string(), "a jitter of 2 min is not shorter than the 2 min between two runs");
}

#[test]
fn a_timetable_may_be_kept_by_several_threads() {
    fn check<T: Send + Sync>() {}
    check::<Timetable>();
    check::<Rule>();
    assert_eq!(zones().local.name(), "Europe/Zurich");
}
