//! Where something is put together before it gets its name: a directory beside it, on the same file system.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::TransferError;

/// How the names of all nests begin.
pub(super) const PREFIX: &str = ".jobexec-";

/// A directory in which something is put together; it goes when this is dropped, except what is to be gone on with.
#[derive(Debug)]
pub(super) struct Nest {
    path: PathBuf,
    target: PathBuf,
    keeps: bool,
}

impl Nest {
    /// Makes the nest of a target, and the directories above. What an earlier attempt has left there is removed, or
    /// gone on with where it `keeps` that.
    pub(super) fn make(target: &Path, tag: &str, keeps: bool) -> Result<Self, TransferError> {
        let above = target.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(above).map_err(TransferError::io("make the directory", above))?;
        let path = above.join(format!("{PREFIX}{tag}"));
        if !keeps {
            remove(&path).map_err(TransferError::io("remove what was left in", &path))?;
        }
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(TransferError::io("make the directory", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        Ok(Self { path, target: target.to_path_buf(), keeps })
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where to put what gets the target's name.
    pub(super) fn payload(&self) -> PathBuf {
        self.path.join(self.target.file_name().unwrap_or(OsStr::new("all")))
    }

    /// Nobody will go on with what lies in it.
    pub(super) fn give_up(&mut self) {
        self.keeps = false;
    }

    /// Gives what is whole its name. A file takes the place of an earlier one; a directory is laid over an earlier one,
    /// of which nothing else is touched.
    pub(super) fn settle(mut self, payload: &Path) -> Result<(), TransferError> {
        let nest = File::open(&self.path).map_err(TransferError::io("open", &self.path))?;
        nix::unistd::syncfs(&nest).map_err(|error| TransferError::io("flush", &self.path)(error.into()))?;
        lay_over(payload, &self.target)?;
        if let Some(above) = self.target.parent() {
            File::open(above).and_then(|above| above.sync_all()).map_err(TransferError::io("flush", above))?;
        }
        self.keeps = false;
        Ok(())
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        if !self.keeps {
            // What stays is removed by the next attempt.
            let _ = remove(&self.path);
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn lay_over(from: &Path, to: &Path) -> Result<(), TransferError> {
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    match (is_directory(from), is_directory(to) || (is_directory(from) && to.is_dir())) {
        (true, true) => {
            let entries = fs::read_dir(from).map_err(TransferError::io("read", from))?;
            for entry in entries {
                let entry = entry.map_err(TransferError::io("read", from))?;
                lay_over(&entry.path(), &to.join(entry.file_name()))?;
            }
            Ok(())
        }
        (false, true) => Err(TransferError::InTheWay { path: to.to_path_buf(), is_directory: true }),
        (true, false) if fs::symlink_metadata(to).is_ok() => {
            Err(TransferError::InTheWay { path: to.to_path_buf(), is_directory: false })
        }
        (_, false) => fs::rename(from, to).map_err(TransferError::io("put in its place", to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_takes_its_place_and_nothing_else_is_touched() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("a/b/out");
        let settle = |fill: &dyn Fn(&Path)| {
            let nest = Nest::make(&target, "t", false).unwrap();
            let payload = nest.payload();
            fill(&payload);
            nest.settle(&payload)
        };
        let tree = |text: &'static str| {
            move |payload: &Path| {
                fs::create_dir_all(payload.join("sub")).unwrap();
                fs::write(payload.join("sub/x"), text).unwrap();
            }
        };
        settle(&tree("one")).unwrap();
        fs::write(target.join("sub/mine"), "mine").unwrap();
        settle(&tree("two")).unwrap();
        assert_eq!(fs::read_to_string(target.join("sub/x")).unwrap(), "two");
        assert_eq!(fs::read_to_string(target.join("sub/mine")).unwrap(), "mine");
        let error = settle(&|payload| fs::write(payload, "file").unwrap()).unwrap_err();
        assert!(error.is_permanent() && error.to_string().ends_with("is there already and is a directory"), "{error}");
        assert_eq!(fs::read_dir(temp.path().join("a/b")).unwrap().count(), 1, "no nest is left");
    }

    #[test]
    fn what_is_left_of_an_earlier_attempt_is_no_part_of_the_next() {
        let temp = tempfile::tempdir().unwrap();
        let left = temp.path().join(".jobexec-t");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("half"), "ha").unwrap();
        let target = temp.path().join("x");
        assert!(Nest::make(&target, "t", true).unwrap().path().join("half").exists());
        assert!(left.join("half").exists(), "it is gone on with");
        let nest = Nest::make(&target, "t", false).unwrap();
        assert!(!nest.path().join("half").exists());
        drop(nest);
        assert!(!left.exists());
    }
}
