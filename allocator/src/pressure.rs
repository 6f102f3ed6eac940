//! Little memory: limits, and what is done about them.
//!
//! Under a small limit (`RLIMIT_AS`, `RLIMIT_DATA`) addresses are as dear as
//! memory: blocks from [`EXACT`] on are mapped one by one, with no room behind
//! them. Once a block was refused, memory that is freed goes back to the system
//! at once, for others in the process need it too: libc maps thread stacks, and
//! never asks us.
//!
//! Ground rules. Both are known late and for good: a limit is looked at as the
//! heap grows, and who was refused once lives near the limit.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::class::SMALL_CLASSES;
use crate::depot::DEPOTS;
use crate::{large, os};

/// A smaller limit counts as small.
const SMALL_LIMIT: usize = 4 << 30;
/// Under a small limit, blocks of this size on are mapped one by one, as libc
/// does by default.
pub const EXACT: usize = 128 << 10;
/// Large blocks between two looks at the limits.
const STEPS: usize = 16;

static STEP: AtomicUsize = AtomicUsize::new(0);
static TIGHT: AtomicBool = AtomicBool::new(false);
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether there is a small limit; looks from time to time.
pub fn is_tight() -> bool {
    if STEP.fetch_add(1, Relaxed).is_multiple_of(STEPS) {
        TIGHT.store(has_small_limit(), Relaxed);
    }
    TIGHT.load(Relaxed)
}

/// Whether there is a small limit, now; or a block was refused, which is as good as
/// one.
pub fn has_small_limit() -> bool {
    let limit = os::limit(libc::RLIMIT_AS).min(os::limit(libc::RLIMIT_DATA));
    is_on() || limit < SMALL_LIMIT
}

/// A block was refused that is not out of all proportion.
#[cold]
pub fn refused() {
    REFUSED.store(true, Relaxed);
}

/// Whether a block was refused ever.
#[inline]
pub fn is_on() -> bool {
    REFUSED.load(Relaxed)
}

/// Unmaps what free slots hold, for a call that found no memory. True if there
/// was anything: trying again may succeed.
#[cold]
pub fn give_back() -> bool {
    let large = large::give_back();
    let small = (0..SMALL_CLASSES).map(|class| {
        let mut inner = DEPOTS[class].lock();
        DEPOTS[class].give_back(class, &mut inner)
    });
    small.fold(large, |any, gave| any | gave)
}
