//! What people see: the only place that turns data into text on a terminal or a pipe.

pub mod screen;
pub mod tail;
