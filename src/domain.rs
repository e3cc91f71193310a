//! The rules, and nothing else: what a name is, what a task says, which moves a job may make, what the
//! evidence about a run means. No input or output, no clock, no randomness: every function takes what it
//! needs, `now` included, and returns data.

pub mod amount;
pub mod causes;
pub mod edge;
pub mod evidence;
pub mod fingerprint;
pub mod glob;
pub mod graph;
pub mod group;
pub mod hooks;
pub mod inside;
pub mod item;
pub mod launch;
pub mod lifecycle;
pub mod name;
pub mod notice;
pub mod outcome;
pub mod params;
pub mod remote;
pub mod resources;
pub mod restart;
pub mod schedule;
pub mod selection;
pub mod settings;
pub mod signal;
pub mod since;
pub mod stats;
pub mod status;
pub mod stopping;
pub mod succession;
pub mod suggest;
pub mod task;
pub mod transfer;
pub mod url;
pub mod waiting;
