//! The words that schedules have in common: days of the week, months, times of day.

use jiff::civil::Time;

/// A word's forms in which it may be written, the first of them the one that is printed.
type Forms = &'static [&'static str];

/// The days of the week from Sunday, as cron counts them.
pub(super) const WEEKDAYS: [Forms; 7] = [
    &["sun", "sunday", "sundays"],
    &["mon", "monday", "mondays"],
    &["tue", "tues", "tuesday", "tuesdays"],
    &["wed", "weds", "wednesday", "wednesdays"],
    &["thu", "thur", "thurs", "thursday", "thursdays"],
    &["fri", "friday", "fridays"],
    &["sat", "saturday", "saturdays"],
];

/// The months' names as cron knows them.
pub(super) const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The days of the week in full, from Sunday.
pub(super) const WEEKDAYS_IN_FULL: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The months in full.
pub(super) const MONTHS_IN_FULL: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The day of the week, from Sunday = 0, that a word in small letters names.
pub(super) fn weekday(word: &str) -> Option<u8> {
    WEEKDAYS.iter().zip(0..).find(|(forms, _)| forms.contains(&word)).map(|(_, day)| day)
}

/// Reads a time of day in small letters: `9`, `09:30`, `9am`, `9:30 pm`, `21:15`.
pub(super) fn time_of_day(text: &str) -> Option<Time> {
    let (clock, half) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(clock), _) => (clock.trim_end(), Some(0)),
        (None, Some(clock)) => (clock.trim_end(), Some(12)),
        (None, None) => (text, None),
    };
    let (hour, minute) = clock.split_once(':').unwrap_or((clock, "00"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) || hour.is_empty() || hour.len() > 2 || minute.len() != 2 {
        return None;
    }
    let hour: i8 = hour.parse().ok()?;
    let hour = match half {
        None => hour,
        Some(half) if (1..=12).contains(&hour) => hour % 12 + half,
        Some(_) => return None,
    };
    Time::new(hour, minute.parse().ok()?, 0, 0).ok()
}

/// A time of day as it is printed: `09:30`, with seconds only where there are some.
pub(super) fn print_time(time: Time) -> String {
    let format = if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    time.strftime(format).to_string()
}

/// A list as it is spoken: `mon, wed and fri`.
pub(super) fn spoken(words: &[String]) -> String {
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
