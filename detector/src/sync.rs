//! The atomics of what two threads share: core's, or loom's when a model runs.
//!
//! Under `cfg(loom)` the crate consists of the protocols that use these, and
//! their models.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
