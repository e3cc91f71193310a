//! The bell: whoever has changed a fact writes one byte, after the commit; whoever waits watches for it.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::Home;

/// Rings: writes one byte at offset 0. Waiters look at the database afterwards.
pub fn ring(bell: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(bell)?.write_all_at(b"!", 0)
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
    bell: Option<WatchDescriptor>,
    /// The registry's name, and that of what it links to.
    names: Vec<OsString>,
}

impl Ear {
    /// Begins to listen. What happened before is not heard: read the facts afterwards.
    pub fn open(home: &Home) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        // Where there is no bell and none can be made, nothing can be written that it would ring for.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(home.bell());
        drop(made);
        let bell = inotify.add_watch(&home.bell(), AddWatchFlags::IN_MODIFY).ok();
        let changes = AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE;
        inotify.add_watch(home.root(), changes)?;
        let registry = home.registry();
        let target = registry.canonicalize().unwrap_or_else(|_| registry.clone());
        if let Some(folder) = target.parent().filter(|folder| *folder != home.root()) {
            inotify.add_watch(folder, changes)?;
        }
        let names = [registry, target].iter().filter_map(|path| path.file_name()).map(OsStr::to_owned).collect();
        Ok(Self { inotify, bell, names })
    }

    /// Begins to listen to the bell alone, for somebody to whom the registry does not matter.
    pub fn of_bell(home: &Home) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let bell = Some(inotify.add_watch(&home.bell(), AddWatchFlags::IN_MODIFY)?);
        Ok(Self { inotify, bell, names: Vec::new() })
    }

    /// Takes what has been heard; whether any of it matters.
    pub fn heard(&self) -> io::Result<bool> {
        let heard = self.listen()?;
        Ok(heard.bell || heard.registry)
    }

    /// Takes what has been heard.
    pub fn listen(&self) -> io::Result<Heard> {
        let mut heard = Heard::default();
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in events {
                        // More has happened than the kernel has kept.
                        let everything = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                        heard.bell |= everything || Some(event.wd) == self.bell;
                        heard.registry |= everything || event.name.is_some_and(|name| self.names.contains(&name));
                    }
                }
                Err(Errno::EAGAIN) => return Ok(heard),
                Err(errno) => return Err(errno.into()),
            }
        }
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
