//! The queue as its user sees it.

mod picture;
