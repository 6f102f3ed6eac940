//! How soon a second delete makes good a first one that landed: later, the program
//! relied on the first.

use deadwalk_detector::Op;

/// A retry.
const AT_ONCE_NS: u64 = 20_000_000;
/// A delete that waits, by which a program stops a timer for good: only what the
/// scheduler may do to a thread on a busy machine has to fit in.
const SOON_NS: u64 = 1_000_000_000;

/// The longest time between the two, ns; `op` is the second.
pub const fn limit_ns(op: Op) -> u64 {
    match op {
        Op::DelTimerSync | Op::TimerDeleteSync | Op::TimerShutdownSync => SOON_NS,
        _ => AT_ONCE_NS,
    }
}
