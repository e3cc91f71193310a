//! The parts of a task that have several fields of their own: a task's own value wins field by field.

use std::path::PathBuf;

use super::Draft;
use crate::domain::hooks::{DEFAULT_HOOK_TIMEOUT, Hooks};
use crate::domain::notice::Notify;
use crate::domain::restart::{Backoff, DEFAULT_WITHIN, Window};
use crate::domain::task::{Stall, StallAction};

impl Draft {
    pub(super) fn backoff(&self, defaults: &Self) -> Backoff {
        let unset = Backoff::default();
        Backoff {
            first: self.backoff_first.or(defaults.backoff_first).unwrap_or(unset.first),
            factor: self.backoff_factor.or(defaults.backoff_factor).unwrap_or(unset.factor),
            max: self.backoff_max.or(defaults.backoff_max),
            jitter: self.backoff_jitter.or(defaults.backoff_jitter).unwrap_or(unset.jitter),
            reset_after: self.backoff_reset_after.or(defaults.backoff_reset_after).unwrap_or(unset.reset_after),
        }
    }

    pub(super) fn give_up(&self, defaults: &Self) -> Option<Window> {
        let within = self.give_up_within.or(defaults.give_up_within).unwrap_or(DEFAULT_WITHIN);
        self.give_up_failures.or(defaults.give_up_failures).map(|failures| Window { failures, within })
    }

    pub(super) fn stall(&self, defaults: &Self) -> Option<Stall> {
        let after = self.stall_after.or(defaults.stall_after)?;
        let file = self.stall_file.as_ref().or(defaults.stall_file.as_ref()).map(PathBuf::from);
        let action = self.stall_action.or(defaults.stall_action).unwrap_or(StallAction::Notify);
        Some(Stall { after, file, action })
    }

    pub(super) fn notify(&self, defaults: &Self) -> Notify {
        let on = self.notify_on.as_ref().or(defaults.notify_on.as_ref());
        let command = self.notify_command.as_ref().or(defaults.notify_command.as_ref());
        let url = self.notify_url.as_ref().or(defaults.notify_url.as_ref());
        Notify {
            on: on.cloned().unwrap_or_else(|| Notify::default().on),
            command: command.cloned().unwrap_or_default(),
            url: url.filter(|url| !url.is_empty()).cloned(),
        }
    }

    pub(super) fn hooks(&self, defaults: &Self) -> Hooks {
        let words = |own: &Option<Vec<String>>, default: &Option<Vec<String>>| {
            own.as_ref().or(default.as_ref()).cloned().unwrap_or_default()
        };
        Hooks {
            preprocess: words(&self.hooks_preprocess, &defaults.hooks_preprocess),
            postprocess: words(&self.hooks_postprocess, &defaults.hooks_postprocess),
            handle_error: words(&self.hooks_handle_error, &defaults.hooks_handle_error),
            handle_timeout: words(&self.hooks_handle_timeout, &defaults.hooks_handle_timeout),
            timeout: self.hooks_timeout.or(defaults.hooks_timeout).unwrap_or(DEFAULT_HOOK_TIMEOUT),
        }
    }
}
