//! Durations and sizes as people write them: `10s`, `1h30m`, `90 days`, `500 MB`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Unit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// What is wrong with a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AmountError {
    /// Not a duration at all, or one with a calendar unit or a sign.
    #[error("`{0}` is not a duration (try `90s`, `10 min`, `1h30m` or `7 days`)")]
    Duration(String),
    /// A duration beyond [`LONGEST_DURATION`].
    #[error("`{0}` is too long (at most 10000 days)")]
    TooLong(String),
    /// Not a size at all.
    #[error("`{0}` is not a size (try `500 MB`, `2 GiB` or a number of bytes)")]
    Size(String),
}

/// The longest duration that can be given: beyond it lie only mistakes, and sums that overflow.
pub const LONGEST_DURATION: Duration = Duration::from_hours(240_000);

/// Reads a duration: a number of seconds, or numbers with units up to weeks (a day is 24 hours here).
pub fn parse_duration(text: &str) -> Result<Duration, AmountError> {
    let duration = read_duration(text)?;
    if duration > LONGEST_DURATION { Err(AmountError::TooLong(text.to_owned())) } else { Ok(duration) }
}

fn read_duration(text: &str) -> Result<Duration, AmountError> {
    let wrong = || AmountError::Duration(text.to_owned());
    let trimmed = text.trim();
    if let Ok(seconds) = trimmed.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    if trimmed.starts_with(['P', 'p', '-', '+']) {
        return Err(wrong());
    }
    let span: Span = trimmed.parse().map_err(|_| wrong())?;
    if span.get_months() != 0 || span.get_years() != 0 || span.is_negative() {
        return Err(wrong());
    }
    let nanos = span.total((Unit::Nanosecond, SpanRelativeTo::days_are_24_hours())).map_err(|_| wrong())?;
    if nanos < 0.0 { Err(wrong()) } else { Ok(Duration::from_secs_f64(nanos / 1e9)) }
}

/// Writes a duration so that [`parse_duration`] reads the same one back: `1h30m`, `10s`, `250ms`.
pub fn print_duration(duration: Duration) -> String {
    let mut left = duration.as_nanos();
    if left == 0 {
        return "0s".to_owned();
    }
    let units: [(&str, u128); 7] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let mut text = String::new();
    for (unit, size) in units {
        if left >= size {
            text += &format!("{}{unit}", left / size);
            left %= size;
        }
    }
    text
}

/// Writes a duration for a person, in its two largest units: `2 h 5 min`, `1 d 5 h`; of more than a hundred days only
/// these.
pub fn print_roughly(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, unit: &str, small: u64, rest: &str| {
        if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {rest}") }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        86_400..8_640_000 => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Reads a size in bytes: a number, or one with `kB MB GB TB` (powers of 1000) or `KiB MiB GiB TiB` (of 1024).
/// `K`, `M`, `G` and `T` alone mean the latter, as in `ls -h`.
pub fn parse_size(text: &str) -> Result<u64, AmountError> {
    let wrong = || AmountError::Size(text.to_owned());
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(split);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(wrong)
}

/// Writes a size for a person: `999 B`, `4.2 MiB`.
pub fn print_size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, shift) in units {
        if bytes >> shift > 0 {
            // The loss of precision beyond 2^53 bytes does not show in one decimal.
            #[allow(clippy::cast_precision_loss)]
            return format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64);
        }
    }
    format!("{bytes} B")
}

/// Serde form of a duration: the text of [`print_duration`]; where nobody reads it, its numbers.
pub mod duration_text {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer, parse_duration, print_duration};

    /// Writes the text or the numbers.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        if !to.is_human_readable() {
            return duration.serialize(to);
        }
        to.serialize_str(&print_duration(*duration))
    }

    /// Reads the text or the numbers.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        if !from.is_human_readable() {
            return Duration::deserialize(from);
        }
        let text = String::deserialize(from)?;
        parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

/// Serde form of an optional duration: as of [`duration_text`], or null.
pub mod optional_duration_text {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer, parse_duration, print_duration};

    /// Writes the text, the numbers or null.
    // Serde fixes the shape of the argument.
    #[allow(clippy::ref_option)]
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        if !to.is_human_readable() {
            return duration.serialize(to);
        }
        match duration {
            Some(duration) => to.serialize_some(&print_duration(*duration)),
            None => to.serialize_none(),
        }
    }

    /// Reads the text, the numbers or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        if !from.is_human_readable() {
            return Option::deserialize(from);
        }
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| parse_duration(&text).map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn seconds(text: &str, expected: f64) {
        let found = parse_duration(text).unwrap().as_secs_f64();
        assert!((found - expected).abs() < 1e-6, "{text}: {found}");
    }

    #[test]
    fn a_duration_is_read_as_people_write_it() {
        seconds("10", 10.0);
        seconds("10s", 10.0);
        seconds("2 min", 120.0);
        seconds("1h30m", 5400.0);
        seconds("1h 30m", 5400.0);
        seconds("2 hours", 7200.0);
        seconds("90d", 7_776_000.0);
        seconds("90 days", 7_776_000.0);
        seconds("1 week", 604_800.0);
        seconds("250ms", 0.25);
        seconds("1.5h", 5400.0);
        assert_eq!(parse_duration("10000 days").unwrap(), LONGEST_DURATION);
        for text in ["18446744073709551615", "10001 days", "2000 weeks"] {
            assert_eq!(parse_duration(text).unwrap_err(), AmountError::TooLong(text.to_owned()));
        }
        for text in ["", "soon", "-5s", "1 month", "2y", "PT5S", "5 s ago", "+5s"] {
            parse_duration(text).unwrap_err();
        }
    }

    #[test]
    fn a_size_is_read_as_people_write_it() {
        for (text, bytes) in
            [("10", 10), ("10 B", 10), ("1k", 1024), ("1 kB", 1000), ("2GiB", 2 << 30), ("3 MB", 3_000_000)]
        {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "MB", "1.5G", "-1", "1 XB", "99999999999999999999"] {
            parse_size(text).unwrap_err();
        }
        assert_eq!(print_size(999), "999 B");
        assert_eq!(print_size(4_404_019), "4.2 MiB");
    }

    proptest! {
        #[test]
        fn print_then_parse_is_the_same_duration(seconds in 0_u64..864_000_000, millis in 0_u32..1000) {
            let duration = Duration::new(seconds, millis * 1_000_000);
            let back = parse_duration(&print_duration(duration)).unwrap();
            prop_assert!(back.abs_diff(duration) < Duration::from_micros(1));
        }
    }
}
