//! The operating system, and nothing that decides: files, processes and what they report.

pub mod follow;
pub mod tail;
