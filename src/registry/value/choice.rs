//! Words out of a few known ones, each with the nearest known word when it is none of them.

use super::{Entry, Problem, Reader};
use crate::domain::notice::Occasion;
use crate::domain::params::Kind;
use crate::domain::schedule::{Missed, Overlap};
use crate::domain::suggest::nearest;
use crate::domain::task::{Restart, StallAction};
use crate::domain::transfer::{Direction, Mode};

impl Reader<'_> {
    pub(in super::super) fn restart(&mut self, entry: &Entry<'_, '_>) -> Option<Restart> {
        let all = [Restart::Always, Restart::OnFailure, Restart::Never];
        self.choice(entry, &all.map(|one| (one.as_str(), one)), "`always`, `on-failure` and `never`")
    }

    pub(in super::super) fn stall_action(&mut self, entry: &Entry<'_, '_>) -> Option<StallAction> {
        let all = [StallAction::Notify, StallAction::Restart];
        self.choice(entry, &all.map(|one| (one.as_str(), one)), "`notify` and `restart`")
    }

    pub(in super::super) fn missed(&mut self, entry: &Entry<'_, '_>) -> Option<Missed> {
        self.choice(entry, &Missed::ALL.map(|one| (one.as_str(), one)), "`once`, `skip` and `all`")
    }

    pub(in super::super) fn overlap(&mut self, entry: &Entry<'_, '_>) -> Option<Overlap> {
        self.choice(entry, &Overlap::ALL.map(|one| (one.as_str(), one)), "`skip`, `queue`, `replace` and `allow`")
    }

    pub(super) fn occasion(&mut self, entry: &Entry<'_, '_>) -> Option<Occasion> {
        let known = "`failure`, `crash-loop`, `recovery`, `finish` and `stall`";
        self.choice(entry, &Occasion::ALL.map(|one| (one.as_str(), one)), known)
    }

    pub(super) fn kind(&mut self, entry: &Entry<'_, '_>) -> Option<Kind> {
        let known = "`text`, `int`, `float`, `bool` and `json`";
        self.choice(entry, &Kind::ALL.map(|one| (one.as_str(), one)), known)
    }

    pub(super) fn direction(&mut self, entry: &Entry<'_, '_>) -> Option<Direction> {
        self.choice(entry, &Direction::ALL.map(|one| (one.as_str(), one)), "`in` and `out`")
    }

    pub(super) fn mode(&mut self, entry: &Entry<'_, '_>) -> Option<Mode> {
        self.choice(entry, &Mode::ALL.map(|one| (one.as_str(), one)), "`copy`, `link` and `reflink`")
    }

    fn choice<T: Copy>(&mut self, entry: &Entry<'_, '_>, all: &[(&str, T)], known: &'static str) -> Option<T> {
        let text = self.text(entry)?;
        if let Some((_, found)) = all.iter().find(|(word, _)| *word == text) {
            return Some(*found);
        }
        let near = nearest(&text, all.iter().map(|(word, _)| *word));
        let hint = near.map(|word| format!("did you mean `{word}`?"));
        self.refuse(entry.value.span(), Problem::Word { key: entry.key.clone(), found: text, known }, hint.as_deref())
    }
}
