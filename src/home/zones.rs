//! The time zones of this machine: its own, and those of the system's database.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;

use crate::domain::schedule::{Zone, Zones};

/// Where the database usually lies.
const DATABASE: &str = "/usr/share/zoneinfo";

/// The zone of this machine, where nothing else says it.
const LOCAL: &str = "/etc/localtime";

/// Where zones are found. The database is the system's; what it says is read anew when it has changed.
pub fn zones() -> Zones<'static> {
    Zones { find: &|name| named(name).or_else(|| TimeZone::get(name).ok()), local: local() }
}

/// The machine's own zone: that of `TZ`, or of `/etc/localtime`.
pub fn local() -> Zone {
    let zone = system();
    let name = zone.iana_name().unwrap_or("local time").to_owned();
    Zone::new(name, zone)
}

/// The clocks of the machine's own zone.
pub fn system() -> TimeZone {
    let variable = std::env::var_os("TZ");
    let link = if variable.is_none() { fs::read_link(LOCAL).ok() } else { None };
    meant(variable.as_deref(), link.as_deref()).unwrap_or_else(TimeZone::system)
}

/// The zone that `TZ` says, or the link of `/etc/localtime`, where either names it in the usual way.
fn meant(variable: Option<&OsStr>, link: Option<&Path>) -> Option<TimeZone> {
    let name = match variable {
        // With a digit in it, it may be a rule.
        Some(text) => text.to_str().filter(|text| !text.contains(|c: char| c.is_ascii_digit()))?,
        None => link?.to_str()?.rsplit_once("zoneinfo/")?.1,
    };
    match name {
        "" if variable.is_some() => Some(TimeZone::UTC),
        "UTC" => Some(TimeZone::UTC),
        name => named(name),
    }
}

/// The zone of this name, as the database writes it. It is read without looking at all the other names, which takes a
/// short command longer than what it was typed for. `None` where it is not found so; then there may be another way.
fn named(name: &str) -> Option<TimeZone> {
    type State = (u64, u64, i64, i64);
    static READ: Mutex<BTreeMap<String, (State, TimeZone)>> = Mutex::new(BTreeMap::new());
    let is_plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'))
    };
    // The two hold the same zones again, with and without leap seconds.
    let is_another = matches!(name.split('/').next(), Some("posix" | "right"));
    if is_another || !name.split('/').all(is_plain) || std::env::var_os("TZDIR").is_some() {
        return None;
    }
    let path = Path::new(DATABASE).join(name);
    let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let state = (found.ino(), found.size(), found.mtime(), found.mtime_nsec());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, zone)) = read.get(name).filter(|(seen, _)| *seen == state) {
        return Some(zone.clone());
    }
    let zone = TimeZone::tzif(name, &fs::read(path).ok()?).ok()?;
    read.insert(name.to_owned(), (state, zone.clone()));
    Some(zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_those_of_the_system() {
        let zones = zones();
        for name in ["Europe/Zurich", "europe/zurich", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            let found = zones.parse(name).unwrap().0;
            assert_eq!(*found.time_zone(), TimeZone::get(name).unwrap());
            assert_eq!(Some(found.name()), TimeZone::get(name).unwrap().iana_name());
        }
        for name in
            ["Nowhere/Atall", "posix/Europe/Zurich", "../zoneinfo/Europe/Zurich", "Europe//Zurich", "Europe", ""]
        {
            assert!(zones.parse(name).is_err(), "{name}");
            assert_eq!(named(name), None, "{name}");
        }
        assert!(!local().name().is_empty());
        assert_eq!(system(), TimeZone::system());
    }

    #[test]
    fn the_machines_zone_is_what_is_said_in_the_usual_way() {
        let said = |variable: Option<&str>, link: Option<&str>| {
            meant(variable.map(OsStr::new), link.map(Path::new)).map(|zone| zone.iana_name().unwrap().to_owned())
        };
        let link = Some("/usr/share/zoneinfo/Europe/Zurich");
        let cases: [(Option<&str>, Option<&str>, Option<&str>); 11] = [
            (None, link, Some("Europe/Zurich")),
            (None, Some("../usr/share/zoneinfo/America/New_York"), Some("America/New_York")),
            (None, Some("/usr/share/zoneinfo/UTC"), Some("UTC")),
            (None, Some("/somewhere/else"), None),
            (None, None, None),
            (Some("Asia/Tokyo"), link, Some("Asia/Tokyo")),
            (Some("UTC"), link, Some("UTC")),
            (Some(""), link, Some("UTC")),
            (Some("EST5EDT"), link, None),
            (Some(":Asia/Tokyo"), link, None),
            (Some("Nowhere/Atall"), link, None),
        ];
        for (variable, link, expected) in cases {
            assert_eq!(said(variable, link).as_deref(), expected, "{variable:?} {link:?}");
        }
    }
}
