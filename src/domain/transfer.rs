//! Slots for what is brought into a job's work directory before it runs, and taken out of it afterwards.

use serde::{Deserialize, Serialize};

/// One slot as a task declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// In or out.
    pub direction: Direction,
    /// The path inside of the work directory; `.` keeps the name that the remote has.
    pub local: String,
    /// Where it comes from or goes to, unless the job says otherwise; a relative path is found from `wd`. It may hold
    /// placeholders.
    pub remote: Option<String>,
    /// Whether a job without a remote for it is refused, and one whose transfer fails for good has failed.
    pub required: bool,
    /// Whether a directory is taken with all that is in it.
    pub recursive: bool,
    /// How it is brought there.
    pub mode: Mode,
    /// What it is for, in a few words.
    pub help: Option<String>,
}

/// Which way something is transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the work directory, before the job runs.
    In,
    /// Out of the work directory, after the job has ended well.
    Out,
}

/// How something is transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A copy of its own.
    #[default]
    Copy,
    /// A symbolic link to where it lies.
    Link,
    /// A copy that shares its blocks until one of the two is written to; refused where the file system cannot do that.
    Reflink,
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Copy, Self::Link, Self::Reflink];

    /// The word in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Link => "link",
            Self::Reflink => "reflink",
        }
    }
}
