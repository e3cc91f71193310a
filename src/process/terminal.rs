//! The terminal's size.

use super::sys;

/// The number of columns of the terminal at standard output, if there is one.
pub fn width() -> Option<u16> {
    sys::window_columns(libc::STDOUT_FILENO).filter(|columns| *columns > 0)
}
