//! The file of the registry: read with what tells one state of it from another, and replaced whole or not at
//! all. The caller holds the lock against other commands; against an editor, which takes no lock, the file
//! is compared once more just before it is replaced.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::domain::fingerprint::Fingerprint;

use super::mistake::{Mistakes, Problem, Sink};

/// How often a file that changes while it is read is read anew.
const READS: usize = 5;

/// The state of the file (of its target, for a link) without reading it.
pub fn fingerprint(path: &Path) -> Result<Fingerprint, FileError> {
    let found = std::fs::metadata(path).map_err(|source| FileError::at("look at", path, source))?;
    Ok(Fingerprint::from(&found))
}

/// What was read, and of which state of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The text.
    pub text: String,
    /// The state it was read in.
    pub fingerprint: Fingerprint,
}

/// Why the file cannot be read or replaced.
#[derive(Debug, Error)]
pub enum FileError {
    /// There is no such file.
    #[error("`{path}` does not exist")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is a folder, a pipe or the like.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// It is not text.
    #[error("`{path}` is not a text")]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where.
        #[source]
        source: Mistakes,
    },
    /// Somebody else wrote it meanwhile; nothing was overwritten.
    #[error("`{path}` was changed meanwhile by somebody else, so it was left as it is")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The system refused something.
    #[error("cannot {operation} `{path}`")]
    System {
        /// What was tried.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl FileError {
    fn at(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            Self::Missing { path }
        } else {
            Self::System { operation, path, source }
        }
    }
}

/// Reads the file. One that changes while it is read is read anew, so that the text is one that was saved.
pub fn read(path: &Path) -> Result<Contents, FileError> {
    for _ in 0..READS {
        let Some((bytes, fingerprint)) = bytes(path)? else { continue };
        return match String::from_utf8(bytes) {
            Ok(text) => Ok(Contents { text, fingerprint }),
            Err(error) => Err(FileError::NotText { path: path.to_owned(), source: not_text(&error) }),
        };
    }
    Err(FileError::Changed { path: path.to_owned() })
}

/// The bytes of the file, unless it changed while they were read.
fn bytes(path: &Path) -> Result<Option<(Vec<u8>, Fingerprint)>, FileError> {
    let wrong = |operation| move |source| FileError::at(operation, path, source);
    // A pipe would block the opening, so the path is looked at first.
    if !std::fs::metadata(path).map_err(wrong("look at"))?.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let mut file = File::open(path).map_err(wrong("open"))?;
    let before = Fingerprint::from(&file.metadata().map_err(wrong("look at"))?);
    let mut bytes = Vec::with_capacity(usize::try_from(before.size).unwrap_or(0));
    file.read_to_end(&mut bytes).map_err(wrong("read"))?;
    let after = Fingerprint::from(&file.metadata().map_err(wrong("look at"))?);
    let whole = before == after && u64::try_from(bytes.len()).is_ok_and(|size| size == before.size);
    Ok(whole.then_some((bytes, before)))
}

/// The first byte that is no text. The line is shown up to it.
fn not_text(error: &std::string::FromUtf8Error) -> Mistakes {
    let good = error.utf8_error().valid_up_to();
    let bytes = error.as_bytes();
    let text = bytes.get(..good).and_then(|good| std::str::from_utf8(good).ok()).unwrap_or_default();
    let mut sink = Sink::new(text);
    sink.add(
        good..good,
        Problem::NotUtf8 { byte: bytes.get(good).copied().unwrap_or(0) },
        Some("save the file as UTF-8".into()),
    );
    Mistakes::from(sink)
}

/// Removes what a killed command has left behind. The caller holds the lock, and has not read the file yet: what was
/// left may be a second name of the file itself, whose fingerprint then changes.
pub fn tidy(path: &Path) -> Result<(), FileError> {
    let target = match std::fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        other => other.map_err(|source| FileError::at("resolve", path, source))?,
    };
    let left = Temporary::beside(path, &target)?;
    match std::fs::remove_file(&left) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::at("remove", &left, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a file that must not exist yet, readable for its owner only.
pub fn create(path: &Path, text: &str) -> Result<(), FileError> {
    let folder = folder_of(path);
    let temporary = Temporary::write(path, path, text, None)?;
    // A link, other than a rename, fails where somebody else was quicker.
    std::fs::hard_link(&temporary.path, path).map_err(|source| {
        let taken = source.kind() == io::ErrorKind::AlreadyExists;
        if taken { FileError::Changed { path: path.to_owned() } } else { FileError::at("create", path, source) }
    })?;
    drop(temporary);
    flush(folder)
}

/// Replaces the file by a new text, if it is still what was read; for a link, its target is replaced.
///
/// The new file has the mode of the old one. When this fails nothing was changed, except that a failure to
/// flush the folder comes after the replacement.
pub fn replace(path: &Path, was: &Contents, text: &str) -> Result<(), FileError> {
    prepare(path, text)?.put(was)
}

/// Writes and flushes the text that is to take the place of the file's, beside it; for a link, beside its target.
pub fn prepare(path: &Path, text: &str) -> Result<Prepared, FileError> {
    let target = std::fs::canonicalize(path).map_err(|source| FileError::at("resolve", path, source))?;
    let mode = std::fs::metadata(&target).map_err(|source| FileError::at("look at", &target, source))?.permissions();
    let temporary = Temporary::write(path, &target, text, Some(mode))?;
    Ok(Prepared { path: path.to_owned(), target, temporary })
}

/// A text that is on disk and has yet to take the place of the file's; removed when it is dropped before that.
pub struct Prepared {
    path: PathBuf,
    target: PathBuf,
    temporary: Temporary,
}

impl Prepared {
    /// Puts it there, if the file is still what was read. When this fails nothing was changed, except that a failure to
    /// flush the folder comes after the replacement.
    pub fn put(self, was: &Contents) -> Result<(), FileError> {
        let Self { path, target, temporary } = self;
        // Times have the grain of the kernel's tick: two saves within one tick differ in their bytes alone.
        let same = bytes(&target)?.is_some_and(|(bytes, now)| now == was.fingerprint && bytes == was.text.as_bytes());
        if !same {
            return Err(FileError::Changed { path });
        }
        std::fs::rename(&temporary.path, &target).map_err(|source| FileError::at("replace", &target, source))?;
        temporary.keep();
        flush(folder_of(&target))
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn flush(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| FileError::at("flush", folder, source))
}

/// A temporary file beside the one it is to become; removed when it is dropped.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Writes and flushes it, with the given mode or 0600.
    fn write(path: &Path, target: &Path, text: &str, mode: Option<Permissions>) -> Result<Self, FileError> {
        let (temporary, mut file) = Self::create(path, target)?;
        let wrong = |operation| {
            let path = temporary.path.clone();
            move |source| FileError::at(operation, &path, source)
        };
        file.write_all(text.as_bytes()).map_err(wrong("write"))?;
        // 07777: the umask has nothing to say about a mode that was there.
        let mode = mode.map_or(0o600, |mode| mode.mode() & 0o7777);
        file.set_permissions(Permissions::from_mode(mode)).map_err(wrong("set the mode of"))?;
        file.sync_all().map_err(wrong("flush"))?;
        Ok(temporary)
    }

    fn create(path: &Path, target: &Path) -> Result<(Self, File), FileError> {
        let path = Self::beside(path, target)?;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => Ok((Self { path }, file)),
            Err(source) => Err(FileError::at("create", &path, source)),
        }
    }

    /// One name for each registry, by the inode of its folder: a target that several registries link to lies in one
    /// folder with the temporary files of each.
    fn beside(path: &Path, target: &Path) -> Result<PathBuf, FileError> {
        let folder = folder_of(path);
        let owner = std::fs::metadata(folder).map_err(|source| FileError::at("look at", folder, source))?.ino();
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(folder_of(target).join(format!(".{name}.{owner}.tmp")))
    }

    /// The file has become the real one and is no longer to be removed.
    fn keep(mut self) {
        self.path.clear();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // What cannot be removed is left behind; the error that led here matters more.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn fresh() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobexec.toml");
        (folder, path)
    }

    #[test]
    fn what_is_replaced_is_read_back_with_the_mode_it_had() {
        let (folder, path) = fresh();
        create(&path, "a").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        let was = read(&path).unwrap();
        assert_eq!(was.fingerprint, fingerprint(&path).unwrap());
        replace(&path, &was, "b").unwrap();
        let now = read(&path).unwrap();
        assert_eq!(now.text, "b");
        assert_ne!(now.fingerprint, was.fingerprint);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o664);
        assert_eq!(names(folder.path()), ["jobexec.toml"]);
    }

    #[test]
    fn what_a_killed_command_left_behind_is_tidied_up() {
        let (folder, path) = fresh();
        tidy(&path).unwrap();
        for text in ["a", "b"] {
            std::mem::forget(Temporary::write(&path, &path, "half", None).unwrap());
            assert!(names(folder.path()).iter().any(|name| Path::new(name).extension() == Some("tmp".as_ref())));
            tidy(&path).unwrap();
            match read(&path) {
                Err(_) => create(&path, text).unwrap(),
                Ok(was) => replace(&path, &was, text).unwrap(),
            }
            assert_eq!(names(folder.path()), ["jobexec.toml"]);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_file_saved_meanwhile_is_left_as_it_is() {
        let (folder, path) = fresh();
        create(&path, "a").unwrap();
        let was = read(&path).unwrap();
        // Same size, same inode, perhaps the same tick of the clock.
        fs::write(&path, "x").unwrap();
        assert!(matches!(replace(&path, &was, "b"), Err(FileError::Changed { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "x");
        assert!(matches!(create(&path, "c"), Err(FileError::Changed { .. })));
        assert_eq!(names(folder.path()), ["jobexec.toml"]);
        fs::remove_file(&path).unwrap();
        assert!(matches!(replace(&path, &was, "b"), Err(FileError::Missing { .. })));
        assert!(matches!(read(&path), Err(FileError::Missing { .. })));
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn the_target_of_a_link_is_replaced_and_the_link_stays() {
        let (folder, path) = fresh();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("mine.toml");
        fs::write(&target, "a").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        replace(&path, &read(&path).unwrap(), "b").unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "b");
        assert_eq!((names(folder.path()).len(), names(elsewhere.path()).len()), (1, 1));
    }

    #[test]
    fn what_is_no_text_is_said_with_its_place() {
        let (folder, path) = fresh();
        fs::write(&path, b"version = 1\n# na\xefve\n").unwrap();
        let Err(FileError::NotText { source, .. }) = read(&path) else { panic!() };
        let mistake = source.iter().next().unwrap();
        assert_eq!((mistake.line, mistake.column, &mistake.problem), (2, 5, &Problem::NotUtf8 { byte: 0xef }));
        assert!(matches!(read(folder.path()), Err(FileError::NotAFile { .. })));
    }
}
