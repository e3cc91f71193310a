//! jobexec runs your scripts and keeps account of them: named tasks, started and stopped by name, each run with its own
//! output file and its end on record. No daemon is needed: a small worker process sits beside each run.
//!
//! The map, in reading order; dependencies point from the later to the earlier, and a test checks that they do:
//!
//! 1. [`domain`]: the rules, pure. Begin with [`domain::task`] (what is defined), [`domain::lifecycle`] (the life of a
//!    job), [`domain::schedule`] (when a task fires), [`domain::evidence`] (what is known about a run) and
//!    [`domain::stopping`] (what a worker does when).
//! 2. [`home`]: the folder; what lies where, who may use it, its locks and its bell.
//! 3. [`registry`]: `jobexec.toml`, read and edited.
//! 4. [`store`]: `jobexec.db`, one change at a time.
//! 5. [`process`]: the operating system; begin with [`process::record`], whose lock says that a run is alive.
//! 6. [`ledger`]: what is written in one transaction; begin with [`ledger::settle`], the end of a run.
//! 7. [`worker`]: one run, from its spawn until nothing of it is left.
//! 8. [`stage`]: what jobs are brought, and what is taken from them: files, directories, other machines, the web.
//! 9. [`executor`]: the verbs. [`executor::Executor`] is the library's own interface.
//! 10. [`supervisor`]: `keep-restarting`. It wakes up, looks at the facts, and has workers do what is due.
//! 11. [`service`]: the supervisor as a systemd user service.
//! 12. [`report`]: tables, sentences, JSON.
//! 13. [`cli`]: what was typed, handed to the executor, its answer handed to the report.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use jobexec::executor::{Asker, Executor};
//!
//! # fn main() -> Result<(), jobexec::executor::ExecutorError> {
//! let mut executor = Executor::open(Path::new("test"))?;
//! let tasks = executor.definitions()?.good()?.tasks;
//! for (name, started) in executor.start(&tasks, false, &Asker { name: "anna".to_owned(), job: None })? {
//!     println!("{name}: {started:?}");
//! }
//! executor.flush()
//! # }
//! ```
//!
//! `docs/architecture.md` says why it is so, `docs/reliability.md` what survives what.

pub mod cli;
pub mod domain;
pub mod executor;
pub mod home;
pub mod ledger;
pub mod process;
pub mod registry;
pub mod report;
pub mod service;
pub mod stage;
pub mod store;
pub mod supervisor;
pub mod worker;
