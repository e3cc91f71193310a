//! The operating system: spawning, identity of processes, records and locks of runs, trees and their end, usage,
//! output files. The only place that makes system calls; what they mean is decided in `domain`.

pub mod asking;
pub mod blocks;
pub mod clock;
pub mod environment;
pub mod follow;
pub mod identity;
pub mod launch;
pub mod lifelock;
pub mod machine;
pub mod output;
mod proc;
pub mod random;
pub mod record;
pub mod replace;
pub mod spawn;
pub mod spec;
mod sys;
pub mod tagged;
pub mod tail;
pub mod terminal;
pub mod tree;
pub mod usage;
pub mod wait;
pub mod watch;

pub use sys::leave;
