//! What threads share: core's atomics, the kernel's futex, plain statics; or
//! loom's when a model runs (`RUSTFLAGS="--cfg loom"`).
//!
//! Under `cfg(loom)` the crate is built as it is, slots, depots and all: only
//! what is chosen here and in `tls` is another, and no memory that the kernel
//! zeroed is taken for atomics. What no thread decides by (counters, settings)
//! uses core's atomics there too.

#[cfg(loom)]
pub use crate::models::stand_in::{PerRun, futex_wait, futex_wake};
#[cfg(not(loom))]
pub use crate::os::{futex_wait, futex_wake};
#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

/// A number that its owner alone decides by; others read it for statistics.
pub use core::sync::atomic::{AtomicU32 as OwnU32, AtomicU64 as OwnU64};

#[cfg(not(loom))]
pub use core::hint::spin_loop;
#[cfg(loom)]
pub use loom::hint::spin_loop;

/// A `const fn`; a plain one in models, where atomics are made at run time.
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis const fn $($rest)*
        #[cfg(loom)]
        $(#[$meta])* $vis fn $($rest)*
    };
}

/// A static that threads share; in models made anew for each run.
macro_rules! shared_static {
    ($(#[$meta:meta])* $vis:vis $name:ident: [$type:ty; $len:expr] = $each:expr) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis static $name: [$type; $len] = [const { $each }; $len];
        #[cfg(loom)]
        $(#[$meta])* $vis static $name: $crate::sync::PerRun<Box<[$type]>> =
            $crate::sync::PerRun::new(|| (0..$len).map(|_| $each).collect());
    };
    ($(#[$meta:meta])* $vis:vis $name:ident: $type:ty = $value:expr) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis static $name: $type = $value;
        #[cfg(loom)]
        $(#[$meta])* $vis static $name: $crate::sync::PerRun<$type> =
            $crate::sync::PerRun::new(|| $value);
    };
}

pub(crate) use {const_fn, shared_static};
