//! Models: loom runs every interleaving of what threads share, on the real code.
//!
//! ```text
//! allocator/loom           (the same as)
//! RUSTFLAGS="--cfg loom" cargo test --release -p deadwalk-alloc --lib loom
//! ```
//! A run uses the window's real memory, which is emptied before the next one.
//! loom sees the atomics only: that bytes are written and read in order follows
//! from the order of those around them.

#[cfg(test)]
mod heap;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod stage;
pub mod stand_in;
#[cfg(test)]
mod sweep;
