//! jobexec runs your scripts and keeps them running.

pub mod cli;
pub mod domain;
pub mod executor;
pub mod home;
pub mod process;
pub mod registry;
pub mod report;
pub mod store;
pub mod worker;
