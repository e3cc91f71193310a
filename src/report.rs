//! What people and programs see: tables, sentences, JSON. The only place that prints.

pub mod applied;
pub mod error;
pub mod graph;
pub mod history;
pub mod jobs;
pub mod json;
pub mod list;
pub mod morning;
pub mod next;
pub mod page;
pub mod screen;
pub mod service;
pub mod stats;
pub mod status;
pub mod table;
pub mod tail;
mod transfers;
pub mod words;
