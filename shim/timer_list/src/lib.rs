//! The kernel's `timer_list` API as an engine.

pub mod wheel;
