//! A task's output file: the former one set aside under its archive's name, the new one given to the script.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::sys;

/// Why the output file is not ready.
#[derive(Debug, Error)]
#[error("cannot {doing} the output file `{}`", path.display())]
pub struct OutputError {
    /// What was tried.
    pub doing: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Sets the former output aside, if there is any, and opens a new file for the script to append to.
///
/// Nothing is overwritten: where the archive's name is taken, `-2`, `-3` … is tried. A process that still writes to
/// the former file goes on into its archive. Returns the file and its inode.
pub fn renew(output: &Path, archive: &Path) -> Result<(File, u64), OutputError> {
    let failed = |doing| move |source| OutputError { doing, path: output.to_path_buf(), source };
    set_aside(output, archive).map_err(failed("archive"))?;
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(output).map_err(failed("create"))?;
    let inode = file.metadata().map_err(failed("create"))?.ino();
    Ok((file, inode))
}

fn set_aside(output: &Path, archive: &Path) -> io::Result<()> {
    let from = CString::new(output.as_os_str().as_bytes())?;
    for nth in 1.. {
        let name = numbered(archive, nth);
        let to = CString::new(name.as_os_str().as_bytes())?;
        let renamed = match sys::rename_no_replace(&from, &to) {
            // A file system without such a rename: a second name that must be new, then the first one goes.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                fs::hard_link(output, &name).and_then(|()| fs::remove_file(output))
            }
            other => other,
        };
        match renamed {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `NAME_stamp.txt`, `NAME_stamp-2.txt`, …
fn numbered(archive: &Path, nth: u32) -> PathBuf {
    if nth == 1 {
        return archive.to_path_buf();
    }
    let stem = archive.file_stem().unwrap_or_default().to_string_lossy();
    archive.with_file_name(format!("{stem}-{nth}.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_former_output_is_set_aside_and_never_overwritten() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        let (mut first, one) = renew(&at("A.txt"), &at("A_s.txt")).unwrap();
        let (_, two) = renew(&at("A.txt"), &at("A_s.txt")).unwrap();
        first.write_all(b"late").unwrap();
        renew(&at("A.txt"), &at("A_s.txt")).unwrap();
        assert_eq!(fs::read_to_string(at("A_s.txt")).unwrap(), "late");
        assert_eq!(fs::metadata(at("A_s.txt")).unwrap().ino(), one);
        assert_eq!(fs::metadata(at("A_s-2.txt")).unwrap().ino(), two);
    }

    #[test]
    fn a_link_in_the_place_of_the_output_is_moved_and_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        fs::write(at("precious"), "kept").unwrap();
        std::os::unix::fs::symlink(at("precious"), at("A.txt")).unwrap();
        let (mut file, _) = renew(&at("A.txt"), &at("A_s.txt")).unwrap();
        file.write_all(b"output").unwrap();
        assert_eq!(fs::read_to_string(at("precious")).unwrap(), "kept");
        assert!(at("A_s.txt").is_symlink());
    }
}
