//! The queue as its user sees it.

mod applying;
mod picture;
