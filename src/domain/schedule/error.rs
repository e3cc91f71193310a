//! What is wrong with a schedule, and the way out of it.

use thiserror::Error;

use super::cron::CronError;
use super::period::PeriodError;
use super::start::StartError;
use super::zone::ZoneError;

/// The part of a schedule that is wrong: the name of its field in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// How often.
    Period,
    /// A cron expression.
    Cron,
    /// From when.
    Start,
    /// Where.
    Tz,
}

impl Part {
    /// The name of the field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Period => "period",
            Self::Cron => "cron",
            Self::Start => "start",
            Self::Tz => "tz",
        }
    }
}

/// Why what is written is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// The period cannot be used.
    #[error("`{text}` is not a period")]
    Period {
        /// What is written.
        text: String,
        /// What is wrong with it.
        #[source]
        why: PeriodError,
    },
    /// The cron expression cannot be used.
    #[error("`{text}` is not a cron expression")]
    Cron {
        /// What is written.
        text: String,
        /// What is wrong with it.
        #[source]
        why: CronError,
    },
    /// The start cannot be used.
    #[error("`{text}` is not a start")]
    Start {
        /// What is written.
        text: String,
        /// What is wrong with it.
        #[source]
        why: StartError,
    },
    /// The zone cannot be used.
    #[error("`{text}` is not a time zone")]
    Tz {
        /// What is written.
        text: String,
        /// What is wrong with it.
        #[source]
        why: ZoneError,
    },
    /// Both ways to say how often are used.
    #[error("`period` and `cron` are both given")]
    Both,
    /// Neither way to say how often is used.
    #[error("neither `period` nor `cron` is given")]
    Neither,
}

impl ScheduleError {
    /// Which field is wrong.
    pub fn part(&self) -> Part {
        match self {
            Self::Period { .. } | Self::Neither => Part::Period,
            Self::Cron { .. } | Self::Both => Part::Cron,
            Self::Start { .. } => Part::Start,
            Self::Tz { .. } => Part::Tz,
        }
    }

    /// What to do about it, as imperatives.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Period { why, .. } => why.hints(),
            Self::Cron { why, .. } => why.hints(),
            Self::Start { why, .. } => why.hints(),
            Self::Tz { why, .. } => why.hints(),
            Self::Both => vec!["keep one of the two".to_owned()],
            Self::Neither => vec!["add how often, as in `period = \"day\"`".to_owned()],
        }
    }
}
