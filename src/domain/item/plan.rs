//! The items of a job, from the slots of its task and what was given for them.

use std::collections::BTreeMap;
use std::path::Path;

use thiserror::Error;

use super::{Item, ItemState};
use crate::domain::remote::{Remote, RemoteError};
use crate::domain::suggest::nearest;
use crate::domain::transfer::{Direction, Mode, Transfer};

/// Why a slot cannot be used as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SlotError {
    /// The task has no such slot.
    #[error("there is no transfer `{name}`")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// One that the job needs has no remote.
    #[error("transfer `{name}` has no remote{}", help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default())]
    Missing {
        /// Its name.
        name: String,
        /// What it is for.
        help: Option<String>,
    },
    /// Its remote is none.
    #[error("transfer `{name}`: {error}")]
    Remote {
        /// Its name.
        name: String,
        /// What is wrong.
        error: RemoteError,
    },
    /// A URL cannot be written to.
    #[error("transfer `{name}`: a URL cannot be written to")]
    WebOut {
        /// Its name.
        name: String,
    },
    /// A mode that this remote does not have.
    #[error("transfer `{name}`: `mode = \"{}\"` is for paths on this machine", mode.as_str())]
    Mode {
        /// Its name.
        name: String,
        /// The mode.
        mode: Mode,
    },
    /// The remote's name is to be kept, and it has none.
    #[error("transfer `{name}`: the remote has no name that could be kept")]
    NoName {
        /// Its name.
        name: String,
    },
    /// A directory cannot be fetched from a URL.
    #[error("transfer `{name}`: a URL has no directory that could be taken with all that is in it")]
    WebTree {
        /// Its name.
        name: String,
    },
}

impl SlotError {
    /// The way out, as an imperative or `did you mean …?`.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { name, known } => match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => "the task has no transfers".to_owned(),
                None => {
                    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                    format!("use one of {}", known.join(", "))
                }
            },
            Self::Missing { name, .. } => format!("give it with `--transfer {name}=REMOTE`"),
            Self::Remote { error, .. } => error.hint(),
            Self::WebOut { .. } => "write a path, or `host:/path`".to_owned(),
            Self::Mode { .. } => "leave the mode out: it is copied".to_owned(),
            Self::NoName { .. } => "say in `local` what it is to be called".to_owned(),
            Self::WebTree { .. } => "fetch an archive, and unpack it in the job".to_owned(),
        }
    }
}

/// The items of a job of a task with these slots, in the order of their names. What was `given` for a slot takes the
/// place of its remote; a relative path is found from `base`. A slot that is not required and has no remote makes none.
pub fn plan(
    slots: &BTreeMap<String, Transfer>,
    given: &BTreeMap<String, String>,
    base: &Path,
) -> Result<Vec<Item>, SlotError> {
    if let Some(name) = given.keys().find(|name| !slots.contains_key(*name)) {
        return Err(SlotError::Unknown { name: name.clone(), known: slots.keys().cloned().collect() });
    }
    let mut items = Vec::new();
    for (name, slot) in slots {
        let own = given.get(name);
        match own.or(slot.remote.as_ref()) {
            Some(text) => {
                let remote = Remote::parse(text, base)
                    .map_err(|error| SlotError::Remote { name: name.clone(), error })
                    .and_then(|remote| checked(name, slot, remote))?;
                items.push(item(name, slot, &remote, own.is_some()));
            }
            None if slot.required => {
                return Err(SlotError::Missing { name: name.clone(), help: slot.help.clone() });
            }
            None => {}
        }
    }
    Ok(items)
}

fn checked(name: &str, slot: &Transfer, remote: Remote) -> Result<Remote, SlotError> {
    let name = || name.to_owned();
    let is_local = matches!(remote, Remote::Local(_));
    let is_web = matches!(remote, Remote::Web(_));
    match (slot.direction, slot.mode) {
        (Direction::Out, _) if is_web => Err(SlotError::WebOut { name: name() }),
        (Direction::In, _) if is_web && slot.recursive => Err(SlotError::WebTree { name: name() }),
        (_, mode @ (Mode::Link | Mode::Reflink)) if !is_local => Err(SlotError::Mode { name: name(), mode }),
        (Direction::In, _) if slot.local == "." && remote.name().is_none() => Err(SlotError::NoName { name: name() }),
        (Direction::Out, _) if slot.local == "." && remote.is_into() => Err(SlotError::NoName { name: name() }),
        (_, _) => Ok(remote),
    }
}

fn item(name: &str, slot: &Transfer, remote: &Remote, given: bool) -> Item {
    Item {
        name: name.to_owned(),
        direction: slot.direction,
        local: slot.local.clone(),
        remote: remote.text(),
        given,
        recursive: slot.recursive,
        required: slot.required,
        mode: slot.mode,
        state: ItemState::Waiting,
        attempts: 0,
        not_before: None,
        error: None,
        bytes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(direction: Direction, remote: Option<&str>, required: bool) -> Transfer {
        Transfer {
            direction,
            local: "x".to_owned(),
            remote: remote.map(str::to_owned),
            required,
            recursive: false,
            mode: Mode::Copy,
            help: None,
        }
    }

    fn planned(slots: &[(&str, Transfer)], given: &[(&str, &str)]) -> Result<Vec<Item>, SlotError> {
        let slots = slots.iter().map(|(name, slot)| ((*name).to_owned(), slot.clone())).collect();
        let given = given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        plan(&slots, &given, Path::new("/wd"))
    }

    #[test]
    fn what_is_given_takes_the_place_of_the_slots_own_remote() {
        let slots = [
            ("data", slot(Direction::In, Some("a.csv"), true)),
            ("extra", slot(Direction::In, None, false)),
            ("result", slot(Direction::Out, None, true)),
        ];
        let items = planned(&slots, &[("result", "box:/r"), ("data", "https://h/a")]).unwrap();
        let shown: Vec<_> = items.iter().map(|item| (item.name.as_str(), item.remote.as_str(), item.given)).collect();
        assert_eq!(shown, [("data", "https://h/a", true), ("result", "box:/r", true)]);
        let items = planned(&slots, &[("result", "r")]).unwrap();
        assert_eq!((items[0].remote.as_str(), items[0].given), ("/wd/a.csv", false));
        assert_eq!(planned(&slots, &[]), Err(SlotError::Missing { name: "result".to_owned(), help: None }));
        let unknown = planned(&slots, &[("dta", "x")]).unwrap_err();
        assert_eq!(unknown.hint(), "did you mean `data`?");
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let refused = |slot: Transfer, remote: &str| planned(&[("s", slot)], &[("s", remote)]).unwrap_err().to_string();
        let (into, out) = (slot(Direction::In, None, true), slot(Direction::Out, None, true));
        assert_eq!(refused(out.clone(), "http://h/x"), "transfer `s`: a URL cannot be written to");
        let link = Transfer { mode: Mode::Link, ..into.clone() };
        assert_eq!(refused(link, "h:/x"), "transfer `s`: `mode = \"link\"` is for paths on this machine");
        let dot = Transfer { local: ".".to_owned(), ..into.clone() };
        assert_eq!(refused(dot, "http://h/"), "transfer `s`: the remote has no name that could be kept");
        let all = Transfer { local: ".".to_owned(), ..out };
        assert_eq!(refused(all, "/data/"), "transfer `s`: the remote has no name that could be kept");
        let tree = Transfer { recursive: true, ..into.clone() };
        assert!(refused(tree, "http://h/x").contains("a URL has no directory"));
        assert_eq!(refused(into, "ftp://h/x"), "transfer `s`: `ftp://` is not known");
    }
}
