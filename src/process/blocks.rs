//! Copies that take no room until one of the two is written to.

use std::io;
use std::os::fd::BorrowedFd;

use super::sys;

/// Gives an empty file the content of another one by sharing its blocks; an error where the file system cannot do that,
/// or the two lie on different ones.
pub fn share_blocks(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    sys::share_blocks(from, to)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn blocks_are_shared_or_that_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (temp.path().join("from"), temp.path().join("to"));
        std::fs::write(&from, "text").unwrap();
        let copy = File::create(&to).unwrap();
        match share_blocks(File::open(&from).unwrap().as_fd(), copy.as_fd()) {
            Ok(()) => assert_eq!(std::fs::read_to_string(&to).unwrap(), "text"),
            Err(error) => {
                let known = [libc::EOPNOTSUPP, libc::EXDEV, libc::EINVAL, libc::ENOTTY];
                assert!(error.raw_os_error().is_some_and(|code| known.contains(&code)), "{error}");
            }
        }
    }
}
