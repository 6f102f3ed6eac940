//! Totals of the heap.
//!
//! Ground rules. Nothing is counted on the fast paths: what a thread did
//! follows from the positions its bins have anyway (`Cold::progress`). A
//! cache's differences since the last time are added to the totals under the
//! cache's publish lock; another thread may do that too (at exit). It may read
//! a bin in the middle of a step; the difference is then off and the next one
//! makes up for it, since all sums wrap.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use crate::cache::{self, Cache};

/// Number of counters.
pub const HEAP_COUNTERS: usize = 12;
/// The counters, in the order of the fields named in `Counter`.
pub type Counters = [AtomicU64; HEAP_COUNTERS];

/// Index of each counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Blocks handed out.
    Allocs,
    /// Blocks taken back.
    Frees,
    /// Bytes in live blocks: whole slots for small ones, requested bytes above.
    LiveBytes,
    /// The most `LiveBytes` was seen at.
    PeakLiveBytes,
    /// Bytes overwritten with poison (whole slots).
    PoisonedBytes,
    /// Bytes whose poison was verified.
    VerifiedBytes,
    /// Bytes in quarantine now.
    QuarantinedBytes,
    /// Slots taken out of use for good.
    RetiredSlots,
    /// Misuses of an object of which one had been told already.
    RepeatedMisuses,
    /// Misuses found that could not be described: too many at once.
    UntoldMisuses,
    /// Calls by a signal handler that had interrupted the heap.
    SignalCalls,
    /// Pages whose access was taken away.
    GuardPages,
}

static OWN: Counters = [const { AtomicU64::new(0) }; HEAP_COUNTERS];
/// Null means `OWN`.
static PLACE: AtomicPtr<Counters> = AtomicPtr::new(core::ptr::null_mut());

fn place() -> &'static Counters {
    let place = PLACE.load(Relaxed);
    // SAFETY: only `&'static Counters` are stored.
    if place.is_null() { &OWN } else { unsafe { &*place } }
}

fn redirect(counters: &'static Counters) -> &'static Counters {
    let old = place();
    PLACE.store(core::ptr::from_ref(counters).cast_mut(), Relaxed);
    old
}

/// Lets the heap count here from now on; the totals so far are carried over.
pub fn set_counters(counters: &'static Counters) {
    flush_counters();
    let old = redirect(counters);
    if !core::ptr::eq(old, counters) {
        for (to, from) in counters.iter().zip(old) {
            to.fetch_add(from.load(Relaxed), Relaxed);
        }
    }
}

/// Like [`set_counters`] for a fork child: events start at zero. Bytes live and
/// in quarantine are a state, not events; the child inherited them, so they are
/// carried over (and the peak starts there).
pub fn set_counters_fresh(counters: &'static Counters) {
    flush_counters();
    let old = redirect(counters);
    let live = old[Counter::LiveBytes as usize].load(Relaxed);
    let quarantined = old[Counter::QuarantinedBytes as usize].load(Relaxed);
    counters[Counter::LiveBytes as usize].store(live, Relaxed);
    counters[Counter::PeakLiveBytes as usize].store(live, Relaxed);
    counters[Counter::QuarantinedBytes as usize].store(quarantined, Relaxed);
}

/// Adds what all threads did since they last did so themselves: exact for the
/// caller, good to a batch for threads that are running.
pub fn flush_counters() {
    for cache in cache::all() {
        publish(cache);
    }
}

/// A counter's present value.
pub fn read(counter: Counter) -> u64 {
    place()[counter as usize].load(Relaxed)
}

/// Adds to a counter; a negative amount wraps.
pub(crate) fn add(counter: Counter, amount: u64) {
    if amount != 0 {
        place()[counter as usize].fetch_add(amount, Relaxed);
    }
}

/// Adds to the live bytes and keeps the peak.
pub(crate) fn add_live(amount: u64) {
    let place = place();
    let live = place[Counter::LiveBytes as usize].fetch_add(amount, Relaxed).wrapping_add(amount);
    let peak = &place[Counter::PeakLiveBytes as usize];
    if live as i64 > peak.load(Relaxed) as i64 {
        peak.fetch_max(live, Relaxed);
    }
}

/// Adds a cache's differences to the totals.
#[cold]
pub(crate) fn publish(cache: &Cache) {
    let delta = cache.take_progress();
    add(Counter::Allocs, delta.allocs);
    add(Counter::Frees, delta.frees);
    add_live(delta.live_bytes);
    add(Counter::PoisonedBytes, delta.poisoned_bytes);
    add(Counter::VerifiedBytes, delta.verified_bytes);
    add(Counter::QuarantinedBytes, delta.quarantined_bytes);
}
