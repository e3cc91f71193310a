//! The bell: whoever has changed a fact writes one byte, after the commit; whoever waits watches for it.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::Home;

/// Rings: writes one byte at offset 0. Waiters look at the database afterwards.
pub fn ring(bell: &Path) -> io::Result<()> {
    Bell::new(bell.to_path_buf()).ring()
}

/// A bell that one process rings again and again. Its file stays open, since everybody who watches the folder is woken
/// whenever one is closed.
#[derive(Debug)]
pub struct Bell {
    path: PathBuf,
    file: Option<File>,
}

impl Bell {
    /// The bell with this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// As [`ring`].
    pub fn ring(&mut self) -> io::Result<()> {
        // One that was removed is heard by nobody.
        let open = self.file.take().filter(|file| file.metadata().is_ok_and(|found| found.nlink() > 0));
        let file = match open {
            Some(file) => file,
            None => OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path)?,
        };
        self.file.insert(file).write_all_at(b"!", 0)
    }
}

/// What has been heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// The bell: facts have changed.
    pub bell: bool,
    /// The registry's file has changed.
    pub registry: bool,
}

/// Hears the bell and changes of the registry.
#[derive(Debug)]
pub struct Ear {
    inotify: Inotify,
    home: Home,
    bell: Cell<Option<WatchDescriptor>>,
    /// The folder; not watched by whoever hears the bell alone.
    root: Option<WatchDescriptor>,
    target: RefCell<Target>,
}

/// Where the registry lies: in another folder, if it is a link.
#[derive(Debug)]
struct Target {
    path: PathBuf,
    folder: Option<WatchDescriptor>,
}

/// What is watched for in a folder.
const CHANGES: AddWatchFlags = AddWatchFlags::IN_MOVED_TO
    .union(AddWatchFlags::IN_CLOSE_WRITE)
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE);

impl Ear {
    /// Begins to listen. What happened before is not heard: read the facts afterwards.
    pub fn open(home: &Home) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        // Where there is no bell and none can be made, nothing can be written that it would ring for.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(home.bell());
        drop(made);
        let bell = inotify.add_watch(&home.bell(), AddWatchFlags::IN_MODIFY).ok();
        let root = inotify.add_watch(home.root(), CHANGES)?;
        let target = RefCell::new(Target { path: home.registry(), folder: None });
        let ear = Self { inotify, home: home.clone(), bell: Cell::new(bell), root: Some(root), target };
        ear.aim()?;
        Ok(ear)
    }

    /// Watches the folder that the registry lies in now.
    fn aim(&self) -> io::Result<()> {
        let path = self.home.registry().canonicalize().unwrap_or_else(|_| self.home.registry());
        let mut target = self.target.borrow_mut();
        if path == target.path {
            return Ok(());
        }
        let folder = path.parent().filter(|folder| *folder != self.home.root());
        let new = folder.map(|folder| self.inotify.add_watch(folder, CHANGES)).transpose()?;
        // A folder has one watch, under whatever names it was given.
        let new = new.filter(|new| Some(*new) != self.root);
        if let Some(old) = target.folder.filter(|old| Some(*old) != new) {
            // One whose folder is gone takes its watch along.
            let _ = self.inotify.rm_watch(old);
        }
        *target = Target { path, folder: new };
        Ok(())
    }

    /// Begins to listen to the bell alone, for somebody to whom the registry does not matter.
    pub fn of_bell(home: &Home) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let bell = inotify.add_watch(&home.bell(), AddWatchFlags::IN_MODIFY)?;
        let target = RefCell::new(Target { path: home.registry(), folder: None });
        Ok(Self { inotify, home: home.clone(), bell: Cell::new(Some(bell)), root: None, target })
    }

    /// Takes what has been heard; whether any of it matters.
    pub fn heard(&self) -> io::Result<bool> {
        let heard = self.listen()?;
        Ok(heard.bell || heard.registry)
    }

    /// Takes what has been heard. What comes from now on is heard also where the registry has become another link.
    pub fn listen(&self) -> io::Result<Heard> {
        let mut heard = Heard::default();
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in events {
                        // More has happened than the kernel has kept.
                        let everything = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                        let is = |path: &Path| event.name.as_deref().is_some_and(|name| path.file_name() == Some(name));
                        let is_new = event.mask.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO);
                        if is_new && Some(event.wd) == self.root && is(&self.home.bell()) {
                            // Another one hangs in its place.
                            self.bell.set(self.inotify.add_watch(&self.home.bell(), AddWatchFlags::IN_MODIFY).ok());
                            heard.bell = true;
                        }
                        heard.bell |= everything || Some(event.wd) == self.bell.get();
                        heard.registry |= everything || is(&self.home.registry()) || is(&self.target.borrow().path);
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        if heard.registry {
            self.aim()?;
        }
        Ok(heard)
    }
}

impl AsFd for Ear {
    /// Readable when there is something to hear.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bell_and_the_registry_are_heard_and_output_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::create(temp.path()).unwrap();
        let ear = Ear::open(&home).unwrap();
        assert!(!ear.heard().unwrap());
        std::fs::write(home.root().join("LOL.txt"), "output").unwrap();
        assert!(!ear.heard().unwrap());
        let of_bell = Ear::of_bell(&home).unwrap();
        ring(&home.bell()).unwrap();
        assert!(ear.heard().unwrap());
        assert!(!ear.heard().unwrap());
        assert!(of_bell.heard().unwrap());
        let mut bell = Bell::new(home.bell());
        bell.ring().unwrap();
        assert!(ear.heard().unwrap() && of_bell.heard().unwrap());
        std::fs::remove_file(home.bell()).unwrap();
        ear.heard().unwrap();
        bell.ring().unwrap();
        assert!(ear.heard().unwrap(), "the new one is rung, and heard");
        bell.ring().unwrap();
        assert!(ear.heard().unwrap());
        of_bell.heard().unwrap();
        std::fs::write(home.registry(), "version = 1").unwrap();
        assert!(ear.heard().unwrap());
        assert!(!of_bell.heard().unwrap());
    }

    #[test]
    fn a_registry_behind_a_link_is_heard_too() {
        let temp = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let home = Home::create(temp.path()).unwrap();
        let target = elsewhere.path().join("dotfile.toml");
        std::fs::write(&target, "version = 1").unwrap();
        std::os::unix::fs::symlink(&target, home.registry()).unwrap();
        let ear = Ear::open(&home).unwrap();
        ear.heard().unwrap();
        std::fs::write(&target, "version = 1 # changed").unwrap();
        assert!(ear.heard().unwrap());
    }
}
