//! Queued jobs: what they are given, and what they share.

mod params;
mod staging;
