//! How schedules read and fire.
