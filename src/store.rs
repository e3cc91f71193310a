//! jobexec.db: what happens, as opposed to what is defined. Jobs, runs, events, and what the user wants of tasks.
//!
//! Every change is one `BEGIN IMMEDIATE` transaction behind a lock as gate (`SQLite`'s own waiting starves), and the
//! bell rings after its commit. Knows SQL; knows neither processes nor policy.

pub mod applied;
pub mod asked;
pub mod cache;
pub mod events;
pub mod graph;
pub mod items;
pub mod jobs;
pub mod line;
pub mod memory;
pub mod night;
pub mod notices;
pub mod occurrences;
pub mod queue;
pub mod runs;
mod schema;
pub mod selection;
pub mod supervisor;
pub mod tasks;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Params, Transaction, TransactionBehavior};
use thiserror::Error;

use crate::home::Home;
use crate::home::bell::Bell;
use crate::home::lock::{self, Gate, Lock, LockError};

/// Why the database could not be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error("cannot open the database `{}`", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
    /// It cannot be made.
    #[error("cannot create the database `{}`", path.display())]
    Create {
        /// The database.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was made by a newer jobexec.
    #[error("the database `{}` is of a newer jobexec (its schema is {found}, this one knows {known})", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// It is a database, but none of ours.
    #[error("`{}` is not a database of jobexec", .0.display())]
    Foreign(PathBuf),
    /// The gate could not be had.
    #[error("{}", match .0 { LockError::Held { .. } => "the database is busy", LockError::Io { .. } => "cannot write to the database" })]
    Gate(#[source] LockError),
    /// A statement failed.
    #[error("cannot {doing}")]
    Statement {
        /// What it was for.
        doing: &'static str,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
    /// It holds something that it never should.
    #[error("the database says something impossible: {0}")]
    Impossible(String),
    /// What was committed could not be flushed.
    #[error("cannot flush `{}`", path.display())]
    Flush {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Wraps what `SQLite` says.
    pub(crate) fn sql(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Statement { doing, source }
    }

    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Statement { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Open { .. }
            | Self::Create { .. }
            | Self::Newer { .. }
            | Self::Foreign(_)
            | Self::Gate(_)
            | Self::Impossible(_)
            | Self::Flush { .. } => false,
        }
    }

    /// Whether writing failed for a reason that does not keep anybody from reading: a full disk, a read-only folder,
    /// a gate that somebody else holds.
    pub fn is_only_for_writers(&self) -> bool {
        match self {
            Self::Gate(_) => true,
            Self::Statement { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(
                    rusqlite::ErrorCode::DiskFull
                        | rusqlite::ErrorCode::ReadOnly
                        | rusqlite::ErrorCode::DatabaseBusy
                        | rusqlite::ErrorCode::SystemIoFailure
                        | rusqlite::ErrorCode::CannotOpen
                )
            ),
            Self::Open { .. }
            | Self::Create { .. }
            | Self::Newer { .. }
            | Self::Foreign(_)
            | Self::Impossible(_)
            | Self::Flush { .. } => false,
        }
    }
}

/// When so many pages were written they are moved into the database's file; a command then cuts the log to nothing, since
/// whoever opens the database while nobody else has it open reads all of the log, moved or not.
const MANY_PAGES: i64 = 128;

/// What so many pages take at least.
const LONG_LOG: u64 = 128 * 4096;

/// A log of so many bytes is cut however little of it is in use.
const LARGE_LOG: u64 = 4 << 20;

/// How long somebody else's transaction is waited for. Ours wait for each other at the gate.
const BUSY: Duration = Duration::from_secs(5);

/// How many pages are copied at once: all of them.
const PAGES: i32 = i32::MAX;

/// What must be true of a commit before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power cut (class A).
    Flushed,
    /// It survives any death of ours; [`Store::flush`] makes it survive a power cut too (class B).
    Committed,
}

/// An open database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    /// Whether somebody sees to it that what is committed gets into the database's file.
    by_hand: bool,
    /// What is read instead while something cannot be written.
    imagined: Option<Connection>,
    home: Home,
    gate: Gate,
    bell: Bell,
    /// Whether something was committed that a power cut could still take.
    unflushed: bool,
    /// How the connection commits, once that was set.
    durability: Option<Durability>,
}

impl Store {
    /// Opens the database, making it where there is none.
    pub fn create(home: &Home) -> Result<Self, StoreError> {
        let path = home.database();
        let open = |source| StoreError::Open { path: path.clone(), source };
        // SQLite would make it readable for everybody, and -wal and -shm take its mode; environments are kept in it.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Create { path, source });
            }
            Ok(_) | Err(_) => {}
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        memory::share();
        let mut connection = Connection::open_with_flags(&path, flags).map_err(open)?;
        configure(&connection).map_err(open)?;
        if schema::version(&connection, &path)? < schema::VERSION {
            let _gate = Lock::take(&home.database_lock(), lock::PATIENCE).map_err(StoreError::Gate)?;
            schema::migrate(&mut connection).map_err(open)?;
            cut_log(&connection);
        }
        Ok(Self::of(connection, home))
    }

    /// Opens the database for a command that only looks; `None` where there is none yet. Works in a read-only folder
    /// and on a full disk.
    pub fn look(home: &Home) -> Result<Option<Self>, StoreError> {
        let path = home.database();
        if !path.exists() {
            return Ok(None);
        }
        let open = |source| StoreError::Open { path: path.clone(), source };
        let writable = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let readable = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        memory::share();
        let connection = Connection::open_with_flags(&path, writable)
            .or_else(|_| Connection::open_with_flags(&path, readable))
            .map_err(open)?;
        configure(&connection).map_err(open)?;
        match schema::version(&connection, &path)? {
            // Nothing is in it yet: its maker was killed, or is at it.
            0 => Ok(None),
            version if version < schema::VERSION => {
                drop(connection);
                Self::create(home).map(Some)
            }
            _ => Ok(Some(Self::of(connection, home))),
        }
    }

    fn of(connection: Connection, home: &Home) -> Self {
        let (gate, bell) = (Gate::new(home.database_lock(), home.bell()), Bell::new(home.bell()));
        let home = home.clone();
        Self { connection, by_hand: false, imagined: None, home, gate, bell, unflushed: false, durability: None }
    }

    /// The connection for reading: after [`Store::imagine`], that of the copy.
    pub fn reader(&self) -> &Connection {
        self.imagined.as_ref().unwrap_or(&self.connection)
    }

    /// Makes one change: takes the gate, begins, does the work, commits, and rings the bell.
    ///
    /// Nothing is changed when the work fails.
    pub fn write<T, E: From<StoreError>>(
        &mut self,
        durability: Durability,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.write_patiently(durability, lock::PATIENCE, work)
    }

    /// As [`Store::write`], waiting at most this long for the gate.
    pub fn write_patiently<T, E: From<StoreError>>(
        &mut self,
        durability: Durability,
        patience: Duration,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.imagined = None;
        self.end_snapshot();
        let gate = self.gate.take(patience).map_err(StoreError::Gate)?;
        self.set_durability(durability)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::sql("begin to write"))?;
        let done = work(&transaction)?;
        transaction.commit().map_err(StoreError::sql("commit"))?;
        // A flushed commit takes along all that came before it.
        self.unflushed = durability == Durability::Committed;
        if !self.by_hand {
            self.cut_long_log();
        }
        self.gate.release(gate);
        // Whoever does not hear it looks again within seconds.
        let _ = self.bell.ring();
        Ok(done)
    }

    fn set_durability(&mut self, durability: Durability) -> Result<(), StoreError> {
        if self.durability != Some(durability) {
            let synchronous = match durability {
                Durability::Flushed => "FULL",
                Durability::Committed => "NORMAL",
            };
            let set = self.connection.pragma_update(None, "synchronous", synchronous);
            set.map_err(StoreError::sql("set the durability"))?;
            self.durability = Some(durability);
        }
        Ok(())
    }

    /// A database that is nowhere and holds nothing: what one would be before anything is written.
    pub fn of_nothing(home: &Home) -> Result<Self, StoreError> {
        let made = || {
            let mut connection = Connection::open_in_memory()?;
            schema::migrate(&mut connection)?;
            Ok(connection)
        };
        let connection = made().map_err(|source| StoreError::Open { path: home.database(), source })?;
        Ok(Self::of(connection, home))
    }

    /// Makes a change and takes it back: what the work finds out is how it would be. Nobody is told.
    pub fn rehearse<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let is_somewhere = self.connection.path().is_some_and(|path| !path.is_empty());
        let gate = is_somewhere.then(|| self.gate.take(lock::PATIENCE));
        let _gate = gate.transpose().map_err(StoreError::Gate)?;
        self.end_snapshot();
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::sql("begin to write"))?;
        let done = work(&transaction)?;
        transaction.rollback().map_err(StoreError::sql("take a change back"))?;
        Ok(done)
    }

    /// Makes a change to a copy in memory, which is what is read from now on, until something is written. For looking at
    /// what a change would make of the database while the change itself cannot be written.
    pub fn imagine<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let copy = || -> rusqlite::Result<Connection> {
            let mut memory = Connection::open_in_memory()?;
            Backup::new(&self.connection, &mut memory)?.run_to_completion(PAGES, Duration::ZERO, None)?;
            Ok(memory)
        };
        let mut memory = copy().map_err(StoreError::sql("copy the database"))?;
        let transaction = memory.transaction().map_err(StoreError::sql("begin to write"))?;
        let done = work(&transaction)?;
        transaction.commit().map_err(StoreError::sql("commit"))?;
        self.imagined = Some(memory);
        Ok(done)
    }

    /// Whether what is read is imagined.
    pub fn is_imagining(&self) -> bool {
        self.imagined.is_some()
    }

    /// Goes back to reading what is really there.
    pub fn stop_imagining(&mut self) {
        self.imagined = None;
    }

    /// Reads as things stand now until the snapshot is ended, or something is written: many small looks then take the
    /// database's lock once.
    pub fn begin_snapshot(&self) -> Result<(), StoreError> {
        if self.connection.is_autocommit() {
            self.connection.execute_batch("BEGIN").map_err(StoreError::sql("begin to read"))?;
        }
        Ok(())
    }

    /// Reads as things stand now, if it reads a snapshot.
    pub fn renew_snapshot(&self) -> Result<(), StoreError> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.end_snapshot();
        self.begin_snapshot()
    }

    /// Reads what is there from now on.
    pub fn end_snapshot(&self) {
        if !self.connection.is_autocommit() {
            // It has changed nothing that could be lost.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }

    /// A number that changes whenever another connection has changed the database.
    pub fn data_version(&self) -> Result<i64, StoreError> {
        self.connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(StoreError::sql("ask for changes"))
    }

    /// For a process that works with the database for as long as it lives: keeps small blocks of memory at hand, and leaves
    /// it to [`Store::checkpoint`] to move what this connection commits into the database's file.
    pub fn stay(&mut self) -> Result<(), StoreError> {
        memory::keep_blocks(&self.connection);
        self.by_hand = true;
        self.connection
            .pragma_update(None, "wal_autocheckpoint", 0)
            .map_err(StoreError::sql("change when checkpoints are made"))
    }

    /// Moves what was committed into the database's file if it is at least so many pages, as far as no reader is in the
    /// way; whether it was.
    pub fn checkpoint(&self, least: i64) -> Result<bool, StoreError> {
        let (written, moved) = self.pages_of_log()?;
        let much = written - moved >= least;
        if much {
            checkpoint(&self.connection, "PASSIVE").map_err(StoreError::sql(CHECKPOINT))?;
        }
        Ok(much)
    }

    /// How many pages are in the log, and how many of them have been moved.
    fn pages_of_log(&self) -> Result<(i64, i64), StoreError> {
        // It only counts.
        checkpoint(&self.connection, "NOOP").map_err(StoreError::sql(CHECKPOINT))
    }

    /// Moves all of a large log and cuts it, where nobody is in the way.
    pub fn cut_large_log(&self) {
        if self.length_of_log() >= LARGE_LOG {
            cut_log(&self.connection);
        }
    }

    /// The same for a log that has become long with the commits of commands.
    fn cut_long_log(&self) {
        let length = self.length_of_log();
        // The file stays as long as it once was; how much of it is in use only the log itself says.
        let is_long = || self.pages_of_log().is_ok_and(|(written, _)| written >= MANY_PAGES);
        if length >= LARGE_LOG || length >= LONG_LOG && is_long() {
            cut_log(&self.connection);
        }
    }

    fn length_of_log(&self) -> u64 {
        std::fs::metadata(self.home.write_ahead_log()).map_or(0, |log| log.len())
    }

    /// Makes everything that was committed survive a power cut.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if !self.unflushed {
            return Ok(());
        }
        // The write-ahead log carries no POSIX locks: opening and closing it besides SQLite is safe.
        let path = self.home.write_ahead_log();
        match File::open(&path).and_then(|file| file.sync_data()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::Flush { path, source: error }),
            Ok(()) | Err(_) => {
                self.unflushed = false;
                Ok(())
            }
        }
    }
}

const CHECKPOINT: &str = "make a checkpoint";

/// Makes a checkpoint in one of the database's ways; how many pages are in the log, and how many of them have been moved.
fn checkpoint(connection: &Connection, how: &str) -> rusqlite::Result<(i64, i64)> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| Ok((row.get(1)?, row.get(2)?)))
}

/// Moves all of the log and cuts it, without waiting for anybody. What fails here has been committed all the same, and is
/// tried again with the next commit.
fn cut_log(connection: &Connection) {
    let _ = connection.busy_timeout(Duration::ZERO);
    let _ = checkpoint(connection, "TRUNCATE");
    let _ = connection.busy_timeout(BUSY);
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    // -wal and -shm stay when the last connection closes: reading then needs to create nothing.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    // Else a statement may be prepared anew for each value that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "wal_autocheckpoint", MANY_PAGES)?;
    Ok(())
}

/// Executes a statement that changes something; `doing` says what, for the error.
fn execute(tx: &Connection, sql: &str, values: impl Params, doing: &'static str) -> Result<(), StoreError> {
    changed(tx, sql, values, doing).map(drop)
}

/// The same; how many rows it has changed.
fn changed(tx: &Connection, sql: &str, values: impl Params, doing: &'static str) -> Result<usize, StoreError> {
    tx.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map_err(StoreError::sql(doing))
}

/// Times are kept as microseconds since 1970, UTC.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// The time that was kept.
pub(crate) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn store() -> (tempfile::TempDir, Store) {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::create(temp.path()).unwrap();
        let store = Store::create(&home).unwrap();
        (temp, store)
    }

    #[test]
    fn sqlite_is_new_enough_for_its_write_ahead_log_to_be_sound() {
        // 3.7.0 to 3.51.2 can corrupt a write-ahead log that several processes reset.
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }

    #[test]
    fn a_failed_change_leaves_nothing_and_a_good_one_rings() {
        let (_temp, mut store) = store();
        let ear = crate::home::bell::Ear::open(&store.home).unwrap();
        let insert = "INSERT INTO tasks (name, added, first_seen) VALUES ('a', 1, 1)";
        let failed: Result<(), StoreError> = store.write(Durability::Committed, |tx| {
            tx.execute(insert, []).map_err(StoreError::sql("test"))?;
            Err(StoreError::Impossible("on purpose".into()))
        });
        assert!(failed.is_err() && !ear.heard().unwrap());
        let count = |store: &Store| {
            store.reader().query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(count(&store), 0);
        store.write(Durability::Flushed, |tx| tx.execute(insert, []).map_err(StoreError::sql("test"))).unwrap();
        assert!(ear.heard().unwrap());
        assert_eq!(count(&store), 1);
        store.flush().unwrap();
        store.imagine(|tx| tx.execute("DELETE FROM tasks", []).map_err(StoreError::sql("test"))).unwrap();
        assert_eq!(count(&store), 0, "what is imagined is read");
        store.write(Durability::Committed, |_| Ok::<(), StoreError>(())).unwrap();
        assert_eq!(count(&store), 1, "what is written is real");
    }

    #[test]
    fn a_snapshot_shows_no_change_until_it_is_ended_or_something_is_written() {
        let (_temp, mut store) = store();
        let mut other = Store::create(&store.home).unwrap();
        let change = |store: &mut Store, name: &str| {
            store.write(Durability::Committed, |tx| {
                tx.execute("INSERT INTO tasks (name, added, first_seen) VALUES (?1, 1, 1)", [name])
                    .map_err(StoreError::sql("test"))
            })
        };
        let count = |store: &Store| {
            store.reader().query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        store.begin_snapshot().unwrap();
        store.begin_snapshot().unwrap();
        assert_eq!(count(&store), 0);
        change(&mut other, "a").unwrap();
        assert_eq!(count(&store), 0);
        store.renew_snapshot().unwrap();
        assert_eq!(count(&store), 1);
        change(&mut other, "aa").unwrap();
        assert_eq!(count(&store), 1, "it is a snapshot again");
        store.end_snapshot();
        assert_eq!(count(&store), 2);
        store.begin_snapshot().unwrap();
        assert_eq!(count(&store), 2);
        change(&mut other, "b").unwrap();
        change(&mut store, "c").unwrap();
        assert_eq!(count(&store), 4);
        store.end_snapshot();
    }

    #[test]
    fn what_has_become_much_is_moved_into_the_database_and_nothing_before() {
        let (_temp, mut store) = store();
        store.stay().unwrap();
        assert!(!store.checkpoint(128).unwrap());
        let size = std::fs::metadata(store.home.database()).unwrap().len();
        store
            .write(Durability::Committed, |tx| {
                let sql = "INSERT INTO environments (body) VALUES (zeroblob(1000000))";
                tx.execute(sql, []).map_err(StoreError::sql("test"))
            })
            .unwrap();
        assert_eq!(std::fs::metadata(store.home.database()).unwrap().len(), size);
        assert!(store.checkpoint(128).unwrap());
        assert!(std::fs::metadata(store.home.database()).unwrap().len() > size + 1_000_000);
        assert!(!store.checkpoint(128).unwrap());
        let log = || std::fs::metadata(store.home.write_ahead_log()).unwrap().len();
        store.cut_large_log();
        assert!(log() > 0, "it is not large");
    }

    #[test]
    fn commands_one_after_another_leave_a_short_log_and_all_that_they_wrote() {
        let (_temp, store) = store();
        let (home, length) =
            (store.home.clone(), |home: &Home| std::fs::metadata(home.write_ahead_log()).unwrap().len());
        drop(store);
        assert_eq!(length(&home), 0, "who opens a new database has no log to read");
        let blob = "INSERT INTO environments (body) VALUES (randomblob(40000))";
        let (mut longest, commands) = (0, 50);
        for _ in 0..commands {
            let mut store = Store::create(&home).unwrap();
            store.write(Durability::Committed, |tx| tx.execute(blob, []).map_err(StoreError::sql("test"))).unwrap();
            longest = longest.max(length(&home));
        }
        assert!((LONG_LOG / 2..LONG_LOG * 2).contains(&longest), "{longest}");
        let store = Store::look(&home).unwrap().unwrap();
        let count = "SELECT count(*) FROM environments";
        assert_eq!(store.reader().query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), commands);
    }

    #[test]
    fn a_log_that_somebody_reads_is_left_and_nobody_waits_for_him() {
        let (_temp, mut store) = store();
        let reader = Store::look(&store.home).unwrap().unwrap();
        let count = |store: &Store| {
            let sql = "SELECT count(*) FROM environments";
            store.reader().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        let reading = reader.connection.unchecked_transaction().unwrap();
        assert_eq!(count(&reader), 0);
        let blob = "INSERT INTO environments (body) VALUES (randomblob(1000000))";
        store.write(Durability::Committed, |tx| tx.execute(blob, []).map_err(StoreError::sql("test"))).unwrap();
        assert!(store.length_of_log() > LONG_LOG);
        assert_eq!((count(&reader), count(&store)), (0, 1));
        drop(reading);
        store.write(Durability::Committed, |_| Ok::<(), StoreError>(())).unwrap();
        assert_eq!((count(&reader), store.length_of_log()), (1, 0));
    }

    #[test]
    fn a_large_log_is_cut_once_its_commit_has_been_moved() {
        let (_temp, mut store) = store();
        let blob = "INSERT INTO environments (body) VALUES (zeroblob(5000000))";
        let written =
            store.write(Durability::Flushed, |tx| tx.execute(blob, []).map_err(StoreError::sql("test"))).unwrap();
        assert_eq!(written, 1);
        assert_eq!(std::fs::metadata(store.home.write_ahead_log()).unwrap().len(), 0);
        assert!(std::fs::metadata(store.home.database()).unwrap().len() > 5_000_000);
    }

    #[test]
    fn a_database_of_a_newer_jobexec_or_of_another_program_is_refused() {
        let (_temp, store) = store();
        let path = store.home.database();
        store.connection.pragma_update(None, "user_version", 99).unwrap();
        let home = store.home.clone();
        drop(store);
        assert!(matches!(Store::create(&home), Err(StoreError::Newer { found: 99, .. })));
        assert!(matches!(Store::look(&home), Err(StoreError::Newer { .. })));
        std::fs::remove_file(&path).unwrap();
        for extra in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(path.with_extension(format!("db{extra}")));
        }
        Connection::open(&path).unwrap().execute("CREATE TABLE x (y)", []).unwrap();
        assert!(matches!(Store::create(&home), Err(StoreError::Foreign(_))));
    }
}
