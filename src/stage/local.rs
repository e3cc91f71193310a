//! What lies on this machine: copied, with its blocks shared where that is asked for, or linked to.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use super::error::TransferError;
use super::nest::PREFIX;
use crate::domain::item::Item;
use crate::domain::transfer::Mode;
use crate::process::blocks::share_blocks;

/// Brings a file or directory to a place where nothing is; how many bytes it holds, where it was copied. A link is
/// followed, one inside of a directory stays one.
pub(super) fn bring(source: &Path, to: &Path, item: &Item) -> Result<Option<u64>, TransferError> {
    let found = fs::metadata(source).map_err(TransferError::io("find", source))?;
    if found.is_dir() && !item.recursive {
        return Err(TransferError::Directory(source.display().to_string()));
    }
    let shares = match item.mode {
        Mode::Link => {
            symlink(source, to).map_err(TransferError::io("make the link", to))?;
            return Ok(None);
        }
        Mode::Copy => false,
        Mode::Reflink => true,
    };
    if found.is_dir() {
        let real = |path: &Path| fs::canonicalize(path).map_err(TransferError::io("find", path));
        if real(to.parent().unwrap_or(to))?.starts_with(real(source)?) {
            return Err(TransferError::IntoItself(source.to_path_buf()));
        }
    }
    copy(source, &found, to, shares).map(Some)
}

fn copy(from: &Path, found: &Metadata, to: &Path, shares: bool) -> Result<u64, TransferError> {
    if found.is_dir() {
        return copy_directory(from, found, to, shares);
    }
    if found.is_symlink() {
        let target = fs::read_link(from).map_err(TransferError::io("read the link", from))?;
        symlink(target, to).map_err(TransferError::io("make the link", to))?;
        return Ok(0);
    }
    if !found.is_file() {
        return Err(TransferError::Special(from.to_path_buf()));
    }
    let mut source = File::open(from).map_err(TransferError::io("read", from))?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let mut copy = made.map_err(TransferError::io("make the file", to))?;
    let bytes = if shares {
        let shared = share_blocks(source.as_fd(), copy.as_fd());
        shared.map_err(|source| TransferError::Reflink { path: from.to_path_buf(), source })?;
        found.len()
    } else {
        // The kernel copies where it can.
        io::copy(&mut source, &mut copy).map_err(TransferError::io("copy", from))?
    };
    keep_form(&copy, found).map_err(TransferError::io("set time and mode of", to))?;
    Ok(bytes)
}

fn copy_directory(from: &Path, found: &Metadata, to: &Path, shares: bool) -> Result<u64, TransferError> {
    fs::create_dir(to).map_err(TransferError::io("make the directory", to))?;
    let mut bytes = 0;
    for entry in fs::read_dir(from).map_err(TransferError::io("read", from))? {
        let entry = entry.map_err(TransferError::io("read", from))?;
        // Another transfer that is not yet whole.
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        let found = fs::symlink_metadata(&path).map_err(TransferError::io("find", &path))?;
        bytes += copy(&path, &found, &to.join(entry.file_name()), shares)?;
    }
    let directory = File::open(to).map_err(TransferError::io("open", to))?;
    keep_form(&directory, found).map_err(TransferError::io("set time and mode of", to))?;
    Ok(bytes)
}

/// Who may do what with it, and when it was last written.
fn keep_form(copy: &File, found: &Metadata) -> io::Result<()> {
    copy.set_permissions(fs::Permissions::from_mode(found.permissions().mode() & 0o777))?;
    copy.set_modified(found.modified()?)
}

/// How many bytes a file holds, or all files in a directory; nothing where that cannot be found out.
pub(super) fn size(path: &Path) -> Option<u64> {
    let found = fs::symlink_metadata(path).ok()?;
    if !found.is_dir() {
        return Some(if found.is_file() { found.len() } else { 0 });
    }
    fs::read_dir(path).ok()?.map(|entry| size(&entry.ok()?.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::item::{Item, ItemState};
    use crate::domain::transfer::Direction;

    fn item(recursive: bool, mode: Mode) -> Item {
        Item {
            name: "x".to_owned(),
            direction: Direction::In,
            local: "x".to_owned(),
            remote: "/x".to_owned(),
            given: false,
            recursive,
            required: true,
            mode,
            state: ItemState::Pending,
            attempts: 0,
            not_before: None,
            error: None,
            bytes: None,
        }
    }

    #[test]
    fn a_tree_is_copied_with_modes_times_and_links() {
        let temp = tempfile::tempdir().unwrap();
        let (from, to) = (temp.path().join("from"), temp.path().join("to"));
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("sub/run"), "#!").unwrap();
        fs::set_permissions(from.join("sub/run"), fs::Permissions::from_mode(0o751)).unwrap();
        symlink("sub/run", from.join("link")).unwrap();
        fs::create_dir(from.join(".jobexec-half")).unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::open(from.join("sub/run")).unwrap().set_modified(old).unwrap();
        let error = bring(&from, &to, &item(false, Mode::Copy)).unwrap_err();
        assert!(
            error.to_string().contains("is a directory, and the transfer is not `recursive`") && error.is_permanent()
        );
        assert_eq!(bring(&from, &to, &item(true, Mode::Copy)).unwrap(), Some(2));
        let found = fs::metadata(to.join("sub/run")).unwrap();
        assert_eq!((found.permissions().mode() & 0o7777, found.modified().unwrap()), (0o751, old));
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("sub/run"));
        assert!(!to.join(".jobexec-half").exists());
        assert_eq!(size(&to), Some(2));
    }

    #[test]
    fn a_link_is_made_a_reflink_only_where_it_can_be_and_nothing_into_itself() {
        let temp = tempfile::tempdir().unwrap();
        let from = temp.path().join("from");
        fs::write(&from, "text").unwrap();
        let link = temp.path().join("link");
        assert_eq!(bring(&from, &link, &item(false, Mode::Link)).unwrap(), None);
        assert_eq!(fs::read_link(&link).unwrap(), from);
        let clone = temp.path().join("clone");
        match bring(&from, &clone, &item(false, Mode::Reflink)) {
            Ok(bytes) => assert_eq!((bytes, fs::read(&clone).unwrap()), (Some(4), b"text".to_vec())),
            Err(error) => assert!(matches!(error, TransferError::Reflink { .. }), "{error}"),
        }
        let inside = temp.path().join("d/e");
        fs::create_dir_all(&inside).unwrap();
        let error = bring(&temp.path().join("d"), &inside.join("copy"), &item(true, Mode::Copy)).unwrap_err();
        assert!(matches!(error, TransferError::IntoItself(_)), "{error}");
        let missing = bring(Path::new("/no/such"), &clone, &item(false, Mode::Copy)).unwrap_err();
        assert!(missing.is_permanent());
    }
}
