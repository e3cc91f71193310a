//! What `show` says of a task's jobs: parameters, place in the queue, surroundings.

use crate::domain::amount::print_duration;
use crate::domain::group::Label;
use crate::domain::hooks::{DEFAULT_HOOK_TIMEOUT, Hooks, Preamble};
use crate::domain::notice::line_of;
use crate::domain::params::{self, Kind, Need, Param};
use crate::domain::task::Task;
use crate::domain::transfer::{Direction, Mode, Transfer};

use super::super::words::quoted_words;

/// The fields that say something; a field that has several values has a line for each.
pub(super) fn of_jobs(task: &Task) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    fields.extend(params::taken(task).iter().map(|(name, param)| ("parameter", param_text(name, param))));
    fields.extend((task.priority != 0).then(|| ("priority", task.priority.to_string())));
    fields.extend(task.group.as_ref().map(|group| ("group", group.to_string())));
    let locks: Vec<&str> = task.locks.iter().map(Label::as_str).collect();
    fields.push(("locks", locks.join(" ")));
    fields.extend(task.workdir.clone().map(|workdir| ("workdir", workdir)));
    fields.extend(task.preamble.as_ref().map(|preamble| ("preamble", preamble_text(preamble))));
    fields.extend(hooks(&task.hooks));
    fields.extend(task.transfers.iter().map(|(name, transfer)| ("transfer", transfer_text(name, transfer))));
    fields.push(("cleanup", task.cleanup.join(" ")));
    fields
}

/// `n: int, 4 unless given: how many`.
fn param_text(name: &str, param: &Param) -> String {
    let kind = param.kind.map(Kind::as_str).map(str::to_owned);
    let need = match &param.need {
        Need::Required => "must be given".to_owned(),
        Need::Optional => "may be given".to_owned(),
        Need::Default(value) => format!("{value} unless given"),
    };
    let said: Vec<String> = kind.into_iter().chain([need]).collect();
    with_help(format!("{name}: {}", said.join(", ")), param.help.as_deref())
}

fn with_help(text: String, help: Option<&str>) -> String {
    match help {
        Some(help) => format!("{text} ({help})"),
        None => text,
    }
}

fn preamble_text(preamble: &Preamble) -> String {
    match preamble {
        Preamble::File(path) => format!(". {}", path.display()),
        Preamble::Lines(lines) => lines.join(" && "),
    }
}

fn hooks(hooks: &Hooks) -> Vec<(&'static str, String)> {
    let command = |words: &[String]| line_of(words).map_or_else(|| quoted_words(words), str::to_owned);
    let set = hooks.named().into_iter().filter(|(_, words)| !words.is_empty());
    let mut fields: Vec<_> = set.map(|(name, words)| (name, command(words))).collect();
    if hooks.timeout != DEFAULT_HOOK_TIMEOUT {
        fields.push(("hooks end", format!("after {} at most", print_duration(hooks.timeout))));
    }
    fields
}

/// `data in: input.csv from /data/x.csv, linked`.
fn transfer_text(name: &str, transfer: &Transfer) -> String {
    let way = if transfer.direction == Direction::In { "from" } else { "to" };
    let remote = match &transfer.remote {
        Some(remote) => format!("{way} {remote}"),
        None if transfer.required => format!("{way} what must be given"),
        None => format!("{way} what may be given"),
    };
    let mut said = vec![format!("{name} {}: {} {remote}", transfer.direction.as_str(), transfer.local)];
    said.extend(transfer.recursive.then(|| "recursive".to_owned()));
    said.extend((transfer.mode != Mode::Copy).then(|| transfer.mode.as_str().to_owned()));
    with_help(said.join(", "), transfer.help.as_deref())
}
