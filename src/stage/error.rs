//! What can go wrong with a transfer, and whether it is any use to try again.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::domain::remote::RemoteError;

/// Why something was not transferred.
#[derive(Debug, Error)]
pub(super) enum TransferError {
    /// A file cannot be used.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory is only taken where that is asked for.
    #[error("`{0}` is a directory, and the transfer is not `recursive`")]
    Directory(String),
    /// A directory would take the place of a file, or a file that of a directory.
    #[error("`{}` is there already and is {}", path.display(), if *is_directory { "a directory" } else { "no directory" })]
    InTheWay {
        /// What is there.
        path: PathBuf,
        /// What it is.
        is_directory: bool,
    },
    /// What is neither a file nor a directory nor a link.
    #[error("`{}` is neither a file nor a directory nor a link", .0.display())]
    Special(PathBuf),
    /// A directory is to be copied into itself.
    #[error("`{}` would be copied into itself", .0.display())]
    IntoItself(PathBuf),
    /// The file system shares no blocks between files.
    #[error("`{}` cannot share its blocks with a copy here: leave `mode = \"reflink\"` out", path.display())]
    Reflink {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The server refused.
    #[error("{url}: the server answered {status}")]
    Status {
        /// The URL as it may be shown.
        url: String,
        /// The status.
        status: u16,
    },
    /// The server could not be asked.
    #[error("cannot fetch {url}")]
    Fetch {
        /// The URL as it may be shown.
        url: String,
        /// What went wrong.
        source: Box<ureq::Error>,
    },
    /// The answer broke off.
    #[error("{url}: the answer broke off after {bytes} bytes")]
    BrokeOff {
        /// The URL as it may be shown.
        url: String,
        /// How much had come.
        bytes: u64,
        /// What went wrong, where more is known than that it is too short.
        source: Option<io::Error>,
    },
    /// The server has fallen silent.
    #[error("{url}: the server has sent nothing for {seconds} s")]
    Silent {
        /// The URL as it may be shown.
        url: String,
        /// For how long.
        seconds: u64,
    },
    /// There is no rsync.
    #[error("rsync is not installed; `host:/path` needs it here and there")]
    NoRsync,
    /// rsync failed.
    #[error("rsync {how}: {said}")]
    Rsync {
        /// How it ended.
        how: String,
        /// Its exit code.
        code: Option<i32>,
        /// The last that it said.
        said: String,
    },
    /// Nothing can be written there.
    #[error("{0} cannot be written to")]
    Unwritable(String),
    /// The remote is none.
    #[error(transparent)]
    Remote(RemoteError),
}

impl TransferError {
    /// Names what was tried with a file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }

    /// Whether another attempt would end in the same way.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_permanent(source),
            Self::Status { status, .. } => (300..500).contains(status) && !matches!(status, 408 | 425 | 429),
            Self::Fetch { source, .. } => matches!(
                **source,
                ureq::Error::BadUri(_)
                    | ureq::Error::Http(_)
                    | ureq::Error::RedirectFailed
                    | ureq::Error::TooManyRedirects
            ),
            // rsync(1), EXIT VALUES; 255 is ssh's own.
            Self::Rsync { code, .. } => matches!(code, Some(1..=4 | 6 | 13 | 21..=23 | 25)),
            Self::BrokeOff { .. } | Self::Silent { .. } => false,
            Self::Directory(_)
            | Self::InTheWay { .. }
            | Self::Special(_)
            | Self::IntoItself(_)
            | Self::Reflink { .. }
            | Self::NoRsync
            | Self::Unwritable(_)
            | Self::Remote(_) => true,
        }
    }
}

fn is_permanent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_end_otherwise_is_tried_again() {
        let io = |kind: io::ErrorKind| TransferError::io("read", Path::new("x"))(kind.into()).is_permanent();
        assert!(io(io::ErrorKind::NotFound) && io(io::ErrorKind::PermissionDenied));
        assert!(!io(io::ErrorKind::StorageFull) && !io(io::ErrorKind::TimedOut));
        let status = |status| TransferError::Status { url: String::new(), status }.is_permanent();
        assert!([404, 403, 410, 304].into_iter().all(status));
        assert!(![408, 429, 500, 503].into_iter().any(status));
        let rsync = |code| TransferError::Rsync { how: String::new(), code, said: String::new() }.is_permanent();
        assert!([1, 2, 23].into_iter().all(|code| rsync(Some(code))));
        assert!(![10, 11, 12, 20, 24, 30, 35, 255].into_iter().any(|code| rsync(Some(code))));
        assert!(!rsync(None));
    }
}
