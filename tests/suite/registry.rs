//! Definitions: add, edit, remove, list, show, check, init, and the file that people edit beside us.

mod add;
mod bytes;
mod crowd;
mod disk;
mod flags;
mod folder;
mod hand;
mod list;
mod mistakes;
mod newer;
mod params;
mod resources;
mod restarting;
mod secrets;

/// The middle of a text that lies between two others; what is before and after must be there.
#[track_caller]
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let middle = text.strip_prefix(before).unwrap_or_else(|| panic!("{text:?} begins otherwise than {before:?}"));
    middle.strip_suffix(after).unwrap_or_else(|| panic!("{text:?} ends otherwise than {after:?}"))
}
