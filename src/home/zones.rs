//! The time zones of this machine: its own, and those of the system's database.

use jiff::tz::TimeZone;

use crate::domain::schedule::{Zone, Zones};

/// Where zones are found. The database is the system's; what it says is read anew now and then.
pub fn zones() -> Zones<'static> {
    Zones { find: &|name| TimeZone::get(name).ok(), local: local() }
}

/// The machine's own zone: that of `TZ`, or of `/etc/localtime`.
pub fn local() -> Zone {
    let zone = TimeZone::system();
    let name = zone.iana_name().unwrap_or("local time").to_owned();
    Zone::new(name, zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_those_of_the_system() {
        let zones = zones();
        assert_eq!(zones.parse("Europe/Zurich").unwrap().0.name(), "Europe/Zurich");
        assert!(zones.parse("Nowhere/Atall").is_err());
        assert!(!local().name().is_empty());
    }
}
