//! Queued jobs: what they are given, and what they share.

mod cleanup;
mod params;
mod staging;
