//! Which clocks a schedule goes by: a zone by its name, an offset, UTC; never an abbreviation.

use jiff::tz::{Offset, TimeZone};
use thiserror::Error;

use super::note::Note;
use crate::domain::suggest::nearest;

/// Why a text is no zone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ZoneError {
    /// Letters that stand for different things in different places, or for half of a year only.
    #[error("`{text}` is an abbreviation, not a zone")]
    Abbreviation {
        /// The letters.
        text: String,
    },
    /// The database does not have it.
    #[error("there is no zone `{text}` in this machine's database")]
    Unknown {
        /// What stands there.
        text: String,
    },
    /// Not an offset that clocks can have.
    #[error("`{text}` is not an offset from UTC")]
    Offset {
        /// What stands there.
        text: String,
    },
}

impl ZoneError {
    /// What to do about it.
    pub fn hints(&self) -> Vec<String> {
        vec![match self {
            Self::Abbreviation { text } => match abbreviated(text) {
                Some(names) => format!("name a place: {names}"),
                None => "name a place, as in `Europe/Zurich`".into(),
            },
            Self::Unknown { text } => match nearest(text, abbreviations().chain(["UTC"])) {
                Some(known) if known != text => format!("did you mean `{known}`?"),
                Some(_) | None => "use a name such as `Europe/Zurich`; `timedatectl list-timezones` lists them".into(),
            },
            Self::Offset { .. } => "write an offset as `+01:00` or `-05:30`".into(),
        }]
    }
}

/// Abbreviations, and zones in which they are used.
const ABBREVIATIONS: [(&str, &str); 24] = [
    ("CET CEST MET MEST MEZ MESZ", "Europe/Zurich, Europe/Berlin, Europe/Paris, Europe/Rome, Europe/Madrid"),
    ("EET EEST", "Europe/Athens, Europe/Helsinki, Europe/Kyiv, Africa/Cairo"),
    ("WET WEST", "Europe/Lisbon, Atlantic/Canary"),
    ("GMT", "Europe/London, Africa/Abidjan, UTC"),
    ("BST", "Europe/London, Asia/Dhaka"),
    ("IST", "Asia/Kolkata, Europe/Dublin, Asia/Jerusalem"),
    ("IDT", "Asia/Jerusalem"),
    ("EST EDT ET EST5EDT", "America/New_York, America/Toronto, America/Panama"),
    ("CST CDT CT CST6CDT", "America/Chicago, America/Mexico_City, Asia/Shanghai, America/Havana"),
    ("MST MDT MT MST7MDT", "America/Denver, America/Phoenix"),
    ("PST PDT PT PST8PDT", "America/Los_Angeles, America/Vancouver, Asia/Manila"),
    ("AKST AKDT", "America/Anchorage"),
    ("HST HDT", "Pacific/Honolulu, America/Adak"),
    ("AST ADT", "America/Halifax, America/Puerto_Rico, Asia/Riyadh"),
    ("NST NDT", "America/St_Johns"),
    ("BRT BRST", "America/Sao_Paulo"),
    ("AEST AEDT", "Australia/Sydney, Australia/Brisbane"),
    ("ACST ACDT", "Australia/Adelaide, Australia/Darwin"),
    ("AWST", "Australia/Perth"),
    ("NZST NZDT", "Pacific/Auckland"),
    ("JST", "Asia/Tokyo"),
    ("KST", "Asia/Seoul"),
    ("MSK MSD", "Europe/Moscow"),
    ("SAST SGT HKT PKT WIB", "Africa/Johannesburg, Asia/Singapore, Asia/Hong_Kong, Asia/Karachi, Asia/Jakarta"),
];

fn abbreviated(text: &str) -> Option<&'static str> {
    let upper = text.to_ascii_uppercase();
    let found = ABBREVIATIONS.iter().find(|(words, _)| words.split(' ').any(|word| word == upper));
    found.map(|(_, names)| *names)
}

/// The names that are suggested.
fn abbreviations() -> impl Iterator<Item = &'static str> {
    ABBREVIATIONS.iter().flat_map(|(_, names)| names.split(", "))
}

/// A zone and the name by which it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// A zone under its name in the database.
    pub fn new(name: impl Into<String>, zone: TimeZone) -> Self {
        Self { name: name.into(), zone }
    }

    /// What it is called: `Europe/Zurich`, `UTC`, `-05:00`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its clocks.
    pub fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// An offset as a zone.
    pub(super) fn fixed(offset: Offset) -> Self {
        Self { name: print_offset(offset), zone: TimeZone::fixed(offset) }
    }
}

/// Where zones are found.
pub struct Zones<'a> {
    /// Looks a name up in the zone database.
    pub find: &'a dyn Fn(&str) -> Option<TimeZone>,
    /// The machine's own zone.
    pub local: Zone,
}

impl Zones<'_> {
    /// Reads a zone: a name of the database, `UTC`, an offset, or the seed's `EST`.
    pub fn parse(&self, text: &str) -> Result<(Zone, Option<Note>), ZoneError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("utc") || text.eq_ignore_ascii_case("z") {
            return Ok((Zone::new("UTC", TimeZone::UTC), None));
        }
        if text.eq_ignore_ascii_case("est") {
            return Ok((Zone::fixed(Offset::constant(-5)), Some(Note::Est)));
        }
        if text.starts_with(['+', '-']) {
            return match parse_offset(text) {
                Some(offset) => Ok((Zone::fixed(offset), None)),
                None => Err(ZoneError::Offset { text: text.to_owned() }),
            };
        }
        // The database has some of them as zones of their own, which is not what people mean.
        if abbreviated(text).is_some() || is_letters(text) {
            return Err(ZoneError::Abbreviation { text: text.to_owned() });
        }
        let unknown = || ZoneError::Unknown { text: text.to_owned() };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-+".contains(&byte);
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(unknown());
        }
        let zone = (self.find)(text).ok_or_else(unknown)?;
        let name = zone.iana_name().unwrap_or(text).to_owned();
        Ok((Zone { name, zone }, None))
    }

    /// Whether a reader of the file finds this zone under its name.
    pub(super) fn knows(&self, zone: &Zone) -> bool {
        self.parse(&zone.name).is_ok_and(|(found, _)| found.name == zone.name)
    }
}

/// `CHST`, `EEZ`: capitals without a place.
fn is_letters(text: &str) -> bool {
    (2..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Reads `+01:00`, `-0530`, `+1`.
pub(super) fn parse_offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (None, Some(digits)) => (-1, digits),
        (None, None) => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "00"),
    };
    let number = |text: &str, most: i32| -> Option<i32> {
        let digits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| digits && *number <= most)
    };
    if minutes.len() != 2 {
        return None;
    }
    Offset::from_seconds(sign * (number(hours, 23)? * 3600 + number(minutes, 59)? * 60)).ok()
}

/// `+01:00`.
pub(super) fn print_offset(offset: Offset) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}
