//! A run's record: a small pre-allocated file of checksummed entries, whose lock says that the run is alive.
//!
//! One entry a line: eight hex digits of CRC-32, a space, JSON. The space is allocated when the file is made, so
//! that the outcome can be written on a full disk; what a crash cut off fails its checksum and does not count.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, FcntlArg, fallocate, fcntl};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::domain::evidence::{Entry, Record};
use crate::domain::name::RunId;
use crate::domain::succession::Successor;

use super::sys;

/// The space that is allocated beforehand for a run; six entries need about a quarter of it.
const SIZE: usize = 4096;

/// How many runs the record of a slot has room for, each in a place of its own.
pub const PLACES: usize = 16;

/// Where in the record of a task's run its successor stands, behind what is said of the run itself.
const SUCCESSOR: u64 = SIZE as u64;

/// Why a record could not be made, read or written.
#[derive(Debug, Error)]
#[error("cannot {doing} the run's record `{}`", path.display())]
pub struct RecordError {
    /// What was tried.
    pub doing: &'static str,
    /// The record.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// A record that this process writes, with its lock held.
#[derive(Debug)]
pub struct RecordFile {
    file: File,
    path: PathBuf,
    /// Where the next entry goes.
    end: u64,
}

impl RecordFile {
    /// Makes a new record, locked, with its first entry. The file must not exist.
    pub fn create(path: &Path, first: &Entry) -> Result<Self, RecordError> {
        let failed = |doing| move |source| RecordError { doing, path: path.to_path_buf(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed("create"))?;
        let mut this = Self { file, path: path.to_path_buf(), end: 0 };
        // Without space for the outcome the run must not begin.
        let prepared = this
            .allocate(SIZE)
            .map_err(failed("allocate"))
            .and_then(|()| this.lock().map_err(failed("lock")))
            .and_then(|()| this.append(first));
        match prepared {
            Ok(()) => Ok(this),
            Err(error) => {
                let _ = fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// Takes the record of a slot, which is used again and again; `None` while somebody holds it. What a place of it says
    /// stays until that is begun anew.
    pub fn of_slot(path: &Path) -> Result<Option<Self>, RecordError> {
        let failed = |doing| move |source| RecordError { doing, path: path.to_path_buf(), source };
        let mut open = OpenOptions::new();
        let open = open.read(true).write(true).create(true).truncate(false).mode(0o600);
        let this = Self { file: open.open(path).map_err(failed("open"))?, path: path.to_path_buf(), end: 0 };
        match this.lock() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            other => other.map_err(failed("lock"))?,
        }
        this.allocate(PLACES * SIZE).map_err(failed("allocate"))?;
        Ok(Some(this))
    }

    /// Begins a place of a slot's record anew, to which entries are added from now on. What it said before is gone in the
    /// same write.
    pub fn begin(&mut self, place: usize, first: &Entry) -> Result<(), RecordError> {
        self.write_pages(place, 1, first)
    }

    /// Begins all of a slot's record anew, with this entry and nothing else. What an earlier worker has left there may be of
    /// another boot, or cut off by a power cut, and would be evidence against runs of this one.
    pub fn begin_all(&mut self, first: &Entry) -> Result<(), RecordError> {
        self.write_pages(0, PLACES, first)
    }

    fn write_pages(&mut self, place: usize, many: usize, first: &Entry) -> Result<(), RecordError> {
        let failed = |source| RecordError { doing: "write", path: self.path.clone(), source };
        let mut pages = line(first).map_err(failed)?;
        let length = pages.len() as u64;
        pages.resize(many * SIZE, 0);
        // Where that fails, what is added is not added to what another place tells.
        self.end = (place * SIZE) as u64;
        self.file.write_all_at(&pages, self.end).map_err(failed)?;
        self.end += length;
        Ok(())
    }

    /// Takes over a record whose descriptor (and with it its lock) was handed to this process.
    ///
    /// Never inlined: the buffer must not become part of the frame in which a worker waits.
    #[inline(never)]
    pub fn adopt(fd: OwnedFd, path: &Path) -> Result<Self, RecordError> {
        let failed = |source| RecordError { doing: "take over", path: path.to_path_buf(), source };
        let file = File::from(fd);
        let mut buffer = [0; SIZE];
        let end = entries(contents(&file, 0, &mut buffer).map_err(failed)?).1;
        Ok(Self { file, path: path.to_path_buf(), end })
    }

    fn allocate(&self, size: usize) -> io::Result<()> {
        let length = i64::try_from(size).map_err(io::Error::other)?;
        match fallocate(&self.file, FallocateFlags::empty(), 0, length) {
            // A file system without the call: zeroes are written instead, behind what is there.
            Err(nix::errno::Errno::EOPNOTSUPP) => {
                let there = self.file.metadata()?.len();
                let missing = usize::try_from((size as u64).saturating_sub(there)).map_err(io::Error::other)?;
                self.file.write_all_at(&vec![0; missing], there)
            }
            other => Ok(other?),
        }
    }

    fn lock(&self) -> io::Result<()> {
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK)))?;
        Ok(())
    }

    /// Adds an entry. A kill cannot tear it; a power cut that does fails its checksum.
    pub fn append(&mut self, entry: &Entry) -> Result<(), RecordError> {
        let failed = |source| RecordError { doing: "write", path: self.path.clone(), source };
        let line = line(entry).map_err(failed)?;
        self.file.write_all_at(&line, self.end).map_err(failed)?;
        self.end += line.len() as u64;
        Ok(())
    }

    /// Makes what was written survive a power cut.
    pub fn flush(&self) -> Result<(), RecordError> {
        self.file.sync_data().map_err(|source| RecordError { doing: "flush", path: self.path.clone(), source })
    }

    /// Gives up the lock before the file is closed: from now on the run is over.
    pub fn release(&self) -> Result<(), RecordError> {
        let failed =
            |errno: nix::errno::Errno| RecordError { doing: "unlock", path: self.path.clone(), source: errno.into() };
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK))).map(drop).map_err(failed)
    }

    /// The run that was appointed to follow this one, if any was.
    ///
    /// Never inlined, as above.
    #[inline(never)]
    pub fn successor(&self) -> Option<Successor> {
        let mut buffer = [0; SIZE];
        let bytes = contents(&self.file, SUCCESSOR, &mut buffer).ok()?;
        checked(bytes.split(|byte| *byte == b'\n').next()?)
    }

    /// Whether it has been removed, which whoever has imported it does once the import is flushed.
    pub fn is_removed(&self) -> bool {
        nix::sys::stat::fstat(&self.file).is_ok_and(|found| found.st_nlink == 0)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for RecordFile {
    /// The descriptor that carries the lock: whoever inherits it holds the lock as well.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Appoints the run that is to follow the one with this record, in the place of any other. Its worker looks there when
/// its run has ended.
pub fn appoint(path: &Path, successor: &Successor) -> Result<(), RecordError> {
    let failed = |source| RecordError { doing: "write", path: path.to_path_buf(), source };
    let mut page = line(successor).map_err(failed)?;
    if page.len() > SIZE {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    page.resize(SIZE, 0);
    let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path).map_err(failed)?;
    file.write_all_at(&page, SUCCESSOR).map_err(failed)
}

/// Takes back what was appointed. A worker that has looked there already goes on all the same.
pub fn take_back(path: &Path) -> Result<(), RecordError> {
    let failed = |source| RecordError { doing: "write", path: path.to_path_buf(), source };
    let file = match OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    let is_any = file.metadata().map_err(failed)?.len() > SUCCESSOR;
    if is_any { file.write_all_at(&[0; SIZE], SUCCESSOR).map_err(failed) } else { Ok(()) }
}

/// An entry as it is written.
fn line(entry: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(entry).map_err(io::Error::from)?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes())
}

/// Reads what a record says of a run and asks whether it is locked, which takes nothing; `None` where there is no such
/// file. That of a slot which tells of other runs alone says no more of this one than where it was claimed.
pub fn read(path: &Path, run: RunId) -> Result<Option<(Record, bool)>, RecordError> {
    let failed = |source| RecordError { doing: "read", path: path.to_path_buf(), source };
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    // The lock first: a worker that ends in between has then written all that it had to.
    let locked = is_locked(&file).map_err(failed)?;
    let mut buffer = [0; SIZE];
    let mut found = Record::default();
    for place in 0..PLACES {
        let bytes = contents(&file, (place * SIZE) as u64, &mut buffer).map_err(failed)?;
        // Behind the end, or never begun.
        if place > 0 && is_blank(bytes) {
            break;
        }
        let first = bytes.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
        match entries(first).0.prepared {
            Some((of, _)) if of == run => {
                let (record, end) = entries(bytes);
                return Ok(Some((Record { damaged: is_damaged(bytes, end), ..record }, locked)));
            }
            Some((_, place)) => found.prepared = Some((run, place)),
            // It may have told of this run.
            None => found.damaged |= is_damaged(bytes, 0),
        }
    }
    if found.damaged {
        found.prepared = None;
    }
    Ok(Some((found, locked)))
}

/// Whether a lock file is held by somebody, as a run's record is by its worker; no file is not held.
pub fn is_held(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Ok(file) => is_locked(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_locked(file: &File) -> io::Result<bool> {
    let mut lock = whole_file(libc::F_WRLCK);
    sys::probe_lock(file.as_fd(), &mut lock)?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

/// A lock of this kind on all of a file.
pub(super) fn whole_file(kind: i32) -> libc::flock {
    // The numbers of lock types and origins are small.
    #[allow(clippy::cast_possible_truncation)]
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}

/// What is in a file from there on, up to the room for one run.
fn contents<'a>(file: &File, from: u64, into: &'a mut [u8; SIZE]) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while let Some(free) = into.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read_at(free, from + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(into.get(..filled).unwrap_or_default())
}

/// The entries up to the first that is not whole, and where they end.
fn entries(bytes: &[u8]) -> (Record, u64) {
    let mut record = Record::default();
    let mut end = 0;
    // Behind the last of them there are zeroes, which nobody has to look through for the end of a line.
    for line in bytes.split_inclusive(|b| matches!(b, b'\n' | 0)) {
        let Some(entry) = line.strip_suffix(b"\n").and_then(checked) else { break };
        record.add(entry);
        end += line.len() as u64;
    }
    (record, end)
}

/// Whether a file is not as long as it was made, or its entries are not followed by zeroes alone.
fn is_damaged(bytes: &[u8], end: u64) -> bool {
    let rest = usize::try_from(end).ok().and_then(|end| bytes.get(end..)).unwrap_or_default();
    bytes.len() != SIZE || !is_blank(rest)
}

/// Whether there are zeroes alone. Looked through to the end in any case: many bytes at a time, then.
fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) == 0
}

/// What a line says, if it is whole.
fn checked<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (sum, json) = line.split_at_checked(9)?;
    // As text: the same number written in another way is damage too.
    let mut whole = [0_u8; 9];
    write!(whole.as_mut_slice(), "{:08x} ", crc32fast::hash(json)).ok()?;
    (sum == whole).then(|| serde_json::from_slice(json).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::evidence::{Place, ProcessId, Seen};
    use crate::domain::fingerprint::Fingerprint;
    use crate::domain::outcome::Outcome;
    use crate::domain::restart::Backoff;
    use crate::domain::task::Restart;
    use jiff::Timestamp;
    use proptest::prelude::*;

    const RUN: RunId = RunId::from_bytes([7; 16]);

    fn all_entries() -> Vec<Entry> {
        let process = ProcessId { pid: 1, ticks: 2, pidfs: 3 };
        let place = Place { machine: "m".into(), boot: "b".into(), pid_namespace: 4 };
        let outcome = Outcome::CouldNotStart { error: "no".into() };
        vec![
            Entry::Prepared { run: RUN, place },
            Entry::Starting { worker: process, output: 5 },
            Entry::Started { script: process, time: Timestamp::UNIX_EPOCH },
            Entry::Ended(Seen { outcome, time: Timestamp::UNIX_EPOCH, lasted: 6, cpu: 7, memory: 8 }),
            Entry::Swept { leftover: 9, time: Timestamp::UNIX_EPOCH },
            Entry::PassedOn { to: RunId::from_bytes([8; 16]) },
        ]
    }

    fn written(path: &Path) -> (RecordFile, Record) {
        let mut record = Record::default();
        let mut entries = all_entries().into_iter();
        let first = entries.next().unwrap();
        let mut file = RecordFile::create(path, &first).unwrap();
        record.add(first);
        for entry in entries {
            file.append(&entry).unwrap();
            record.add(entry);
        }
        (file, record)
    }

    #[test]
    fn a_record_is_read_back_with_its_lock() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("r");
        assert!(read(&path, RUN).unwrap().is_none());
        let (file, record) = written(&path);
        assert!(file.end < SIZE as u64 / 2);
        assert_eq!(read(&path, RUN).unwrap().unwrap(), (record.clone(), true));
        let copy = file.as_fd().try_clone_to_owned().unwrap();
        drop(file);
        assert!(read(&path, RUN).unwrap().unwrap().1, "whoever has the descriptor has the lock");
        drop(copy);
        assert_eq!(read(&path, RUN).unwrap().unwrap(), (record, false));
        assert_eq!(
            RecordFile::create(&path, &all_entries()[0]).unwrap_err().source.kind(),
            io::ErrorKind::AlreadyExists
        );
    }

    #[test]
    fn a_successor_is_read_back_and_replaced_and_leaves_the_record_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("r");
        let (file, record) = written(&path);
        assert_eq!(file.successor(), None);
        let state = Fingerprint { inode: 1, size: 2, mtime: 3, ctime: -5 };
        let mut successor = Successor {
            run: RunId::from_bytes([3; 16]),
            place: Place { machine: "m".into(), boot: "b".into(), pid_namespace: 4 },
            attempt: 7,
            exec_id: "x".into(),
            former: "former".into(),
            restart: Restart::Always,
            backoff: Backoff::default(),
            supervisor: "lock".into(),
            registry: ("registry".into(), state),
        };
        for attempt in [7, 8] {
            successor.attempt = attempt;
            appoint(&path, &successor).unwrap();
            assert_eq!(file.successor().as_ref(), Some(&successor));
            assert_eq!(read(&path, RUN).unwrap().unwrap(), (record.clone(), true));
        }
        successor.former = "x".repeat(SIZE).into();
        assert_eq!(appoint(&path, &successor).unwrap_err().source.kind(), io::ErrorKind::FileTooLarge);
        file.file.write_all_at(b"?", SUCCESSOR + 20).unwrap();
        assert_eq!(file.successor(), None, "damaged");
        successor.former = "former".into();
        appoint(&path, &successor).unwrap();
        take_back(&path).unwrap();
        assert_eq!(file.successor(), None);
        assert_eq!(read(&path, RUN).unwrap().unwrap(), (record, true));
    }

    #[test]
    fn nothing_is_taken_back_where_nothing_was_appointed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("r");
        take_back(&path).unwrap();
        let (file, record) = written(&path);
        take_back(&path).unwrap();
        assert_eq!(file.file.metadata().unwrap().len(), SUCCESSOR);
        assert_eq!(read(&path, RUN).unwrap().unwrap(), (record, true));
    }

    #[test]
    fn a_slots_record_is_used_again_and_tells_of_one_run_alone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("slot-0");
        let mut slot = RecordFile::of_slot(&path).unwrap().unwrap();
        assert!(RecordFile::of_slot(&path).unwrap().is_none(), "it is held");
        for entry in all_entries() {
            if matches!(entry, Entry::Prepared { .. }) { slot.begin(0, &entry) } else { slot.append(&entry) }.unwrap();
        }
        let said = |run| read(&path, run).unwrap().unwrap();
        assert!(said(RUN).0.ended.is_some());
        let [second, third] = [8, 9].map(|byte| RunId::from_bytes([byte; 16]));
        let (record, locked) = said(second);
        assert!(locked && record.prepared.is_some() && record.starting.is_none());
        let here = record.prepared.unwrap().1;
        slot.begin(1, &Entry::Prepared { run: second, place: here.clone() }).unwrap();
        slot.append(&all_entries()[1]).unwrap();
        let (record, _) = said(second);
        assert!(record.starting.is_some() && !record.damaged && record.ended.is_none());
        assert!(said(RUN).0.ended.is_some(), "each has its place");
        assert_eq!(said(third).0.prepared, Some((third, here.clone())));
        assert!(said(third).0.starting.is_none() && !said(third).0.damaged);
        slot.begin(0, &Entry::Prepared { run: third, place: here }).unwrap();
        assert!(said(third).0.starting.is_none() && said(RUN).0.ended.is_none());
        assert!(said(second).0.starting.is_some());
    }

    #[test]
    fn a_slots_record_that_is_begun_anew_says_nothing_of_another_boot() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("slot-0");
        let [old, new] = ["then", "now"].map(|boot| Place { machine: "m".into(), boot: boot.into(), pid_namespace: 4 });
        let mut slot = RecordFile::of_slot(&path).unwrap().unwrap();
        for place in 0..PLACES {
            slot.begin(place, &Entry::Prepared { run: RunId::from_bytes([1; 16]), place: old.clone() }).unwrap();
        }
        slot.file.write_all_at(b"?", 3 * SIZE as u64).unwrap();
        slot.begin_all(&Entry::Prepared { run: RUN, place: new.clone() }).unwrap();
        slot.append(&all_entries()[1]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), (PLACES * SIZE) as u64);
        let said = |run| read(&path, run).unwrap().unwrap().0;
        assert!(said(RUN).starting.is_some() && !said(RUN).damaged);
        let claimed = RunId::from_bytes([9; 16]);
        assert_eq!(said(claimed), Record { prepared: Some((claimed, new)), ..Record::default() });
    }

    #[test]
    fn a_place_that_cannot_be_read_may_have_told_of_any_run() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("slot-0");
        let mut slot = RecordFile::of_slot(&path).unwrap().unwrap();
        let here = Place { machine: "m".into(), boot: "b".into(), pid_namespace: 4 };
        let runs = [1, 2, 3].map(|byte| RunId::from_bytes([byte; 16]));
        for (place, run) in runs.into_iter().enumerate() {
            slot.begin(place, &Entry::Prepared { run, place: here.clone() }).unwrap();
        }
        slot.file.write_all_at(b"?", SIZE as u64 + 20).unwrap();
        let said = |run| read(&path, run).unwrap().unwrap().0;
        for known in [runs[0], runs[2]] {
            assert_eq!(said(known).prepared.unwrap().0, known);
        }
        assert!(said(runs[1]).damaged && said(runs[1]).prepared.is_none());
        let other = said(RunId::from_bytes([9; 16]));
        assert!(other.damaged && other.prepared.is_none());
    }

    #[test]
    fn an_adopted_record_goes_on_where_it_ended() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("r");
        let entries = all_entries();
        let first = RecordFile::create(&path, &entries[0]).unwrap();
        let mut second = RecordFile::adopt(first.as_fd().try_clone_to_owned().unwrap(), &path).unwrap();
        second.append(&entries[1]).unwrap();
        assert!(read(&path, RUN).unwrap().unwrap().0.starting.is_some());
    }

    proptest! {
        #[test]
        fn a_damaged_record_is_believed_only_up_to_the_damage(at in 0_usize..900, byte: u8) {
            let temp = tempfile::tempdir().unwrap();
            let path = temp.path().join("r");
            let (_, whole) = written(&path);
            let mut bytes = fs::read(&path).unwrap();
            let changed = bytes[at] != byte;
            bytes[at] = byte;
            prop_assert_eq!(is_damaged(&bytes, entries(&bytes).1), changed);
            let (found, end) = entries(&bytes);
            if changed && (at as u64) < end {
                prop_assert!(false, "believed beyond {at}");
            }
            for (known, real) in [
                (found.starting.is_none(), found.starting == whole.starting),
                (found.ended.is_none(), found.ended == whole.ended),
            ] {
                prop_assert!(known || real);
            }
        }
    }
}
