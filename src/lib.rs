//! jobexec runs your scripts and keeps them running.

pub mod domain;
pub mod process;
pub mod report;
