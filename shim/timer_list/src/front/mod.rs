//! Timers for Rust programs, in process: the engine, a clock, and the detector
//! behind them, without the preloaded library.
//!
//! | file | is |
//! |---|---|
//! | [`Timer`] (`timer`) | safe: owns its storage, waits for its handler when it is dropped |
//! | [`RawTimer`] (`raw`) | the kernel's calls on the program's own storage: misuse is possible, and told |
//! | `process` | what engine and detector need of this program |
//! | `clock` | the threads that keep time and call handlers; virtual time |
//! | `statistics` | deletes, landings and windows as numbers |
//!
//! There is one engine per process, as there is one heap and one detector: a block
//! that is freed may hold timers of anybody, and the heap tells one observer. Its
//! threads start with the first timer that is armed.
//!
//! With [`deadwalk_alloc::PoisonAlloc`] as the global allocator, [`observe`] plugs
//! heap, engine and detector together; findings come by
//! [`deadwalk_detector::subscribe`]. Under another allocator timers work, and nobody
//! knows of freed storage.
//!
//! Not for programs that run under the library, nor for fork children: they have
//! none of their parent's timer threads.

mod clock;
mod process;
mod raw;
mod statistics;
mod timer;

pub use clock::{advance, jiffies};
pub use process::{configure, observe, set_policy};
pub use raw::RawTimer;
pub use statistics::{DeleteSite, delete_sites, is_balanced};
pub use timer::{Running, Timer};

use core::time::Duration;

/// Ticks a second, unless [`configure`] sets another number.
pub const HZ: u32 = 1000;

/// A delay in ticks, at least one, rounded up.
fn ticks(after: Duration, hz: u32) -> u64 {
    let ticks = (after.as_nanos() * u128::from(hz)).div_ceil(1_000_000_000);
    u64::try_from(ticks).unwrap_or(u64::MAX).clamp(1, crate::engine::DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_rounded_up() {
        let at = |ns| ticks(Duration::from_nanos(ns), 1000);
        assert_eq!((at(0), at(1), at(1_000_000), at(1_000_001)), (1, 1, 1, 2));
        assert_eq!(ticks(Duration::MAX, 10_000), crate::engine::DELAY_MAX);
    }
}
