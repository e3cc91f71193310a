//! The binary as a user runs it: real processes, real files, a real database.

// A test that fails is to panic, with the place: that is what unwrapping, indexing and printing are for here. Time is
// read to give up after long patience, never to measure. What tests share is `pub` to them. A test says
// what it means in the shortest way, which the pedantic lints about speed and style do not know.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::pedantic,
    clippy::wildcard_enum_match_arm,
    clippy::zombie_processes
)]

mod suite {
    pub mod env;

    mod docs;
    mod fire;
    mod flow;
    mod house;
    mod kill;
    mod output;
    mod queue;
    mod refusal;
    mod registry;
    mod report;
    mod samples;
    mod schedule;
    mod service;
    mod status;
    mod stop;
    mod supervisor;
}
