//! Totals of the heap.
//!
//! Ground rules. Nothing is counted on the fast paths: what a thread did
//! follows from the positions its bins have anyway (`Cold::progress`). A
//! cache's differences since the last time are added to the totals under the
//! cache's publish lock; another thread may do that too (at exit). It may read
//! a bin in the middle of a step; the difference is then off and the next one
//! makes up for it, since all sums wrap.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::*};

use crate::cache::{self, Cache};
use crate::class_counters;

/// Number of counters.
pub const HEAP_COUNTERS: usize = 14;
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
    /// Pages of freed blocks that were guarded and are free for others again, since
    /// there were too many; and of those that could not be guarded.
    GuardsReleased,
    /// Blocks that were to lie alone, for which there was no room or are few addresses.
    GuardsRefused,
}

static OWN: Counters = [const { AtomicU64::new(0) }; HEAP_COUNTERS];
/// Null means `OWN`.
static PLACE: AtomicPtr<Counters> = AtomicPtr::new(core::ptr::null_mut());

fn place() -> &'static Counters {
    let place = PLACE.load(Acquire);
    // SAFETY: only `&'static Counters` are stored.
    if place.is_null() { &OWN } else { unsafe { &*place } }
}

fn redirect(counters: &'static Counters) -> &'static Counters {
    let old = place();
    PLACE.store(core::ptr::from_ref(counters).cast_mut(), Release);
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

/// What the states were at the fork: a child cannot ask its parent's totals,
/// which may be shared and go on changing.
static AT_FORK: [AtomicU64; STATES.len()] = [const { AtomicU64::new(0) }; STATES.len()];
static FORKED: AtomicBool = AtomicBool::new(false);
/// The counters that are states, not events.
const STATES: [Counter; 2] = [Counter::LiveBytes, Counter::QuarantinedBytes];

/// Before a fork: keeps the states for the child.
pub(crate) fn remember() {
    for (kept, state) in AT_FORK.iter().zip(STATES) {
        kept.store(read(state), Relaxed);
    }
    class_counters::remember();
    FORKED.store(true, Relaxed);
}

/// After a fork, in the parent.
pub(crate) fn forget() {
    FORKED.store(false, Relaxed);
}

/// Whether this is a fork child that has the parent's totals still.
pub(crate) fn is_forked() -> bool {
    FORKED.load(Relaxed)
}

/// Like [`set_counters`] for a fork child: events start at zero. Bytes live and
/// in quarantine are a state, not events; the child inherited them, so they are
/// carried over (and the peak starts there). The old place, which may be the
/// parent's still, is left as it is.
pub fn set_counters_fresh(counters: &'static Counters) {
    if !is_forked() {
        remember();
    }
    redirect(counters);
    for (kept, state) in AT_FORK.iter().zip(STATES) {
        counters[state as usize].store(kept.load(Relaxed), Relaxed);
    }
    // What the caches did before the fork and had not told: states count, events
    // do not.
    flush_counters();
    for (number, cell) in counters.iter().enumerate() {
        if !STATES.map(|state| state as usize).contains(&number) {
            cell.store(0, Relaxed);
        }
    }
    class_counters::clear_events();
    forget();
    let live = counters[Counter::LiveBytes as usize].load(Relaxed);
    counters[Counter::PeakLiveBytes as usize].store(live, Relaxed);
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

/// Counts a block handed out that adds so many live bytes.
pub(crate) fn allocated(class: usize, live_bytes: usize) {
    add(Counter::Allocs, 1);
    add_live(live_bytes as u64);
    class_counters::add(class, 1, 0);
}

/// Counts a block taken back.
pub(crate) fn freed(class: usize, live_bytes: usize) {
    add(Counter::Frees, 1);
    add_live((live_bytes as u64).wrapping_neg());
    class_counters::add(class, 0, 1);
}

/// Adds a cache's differences to the totals.
#[cold]
pub(crate) fn publish(cache: &Cache) {
    let Some(delta) = cache.take_progress(class_counters::add) else { return };
    add(Counter::Allocs, delta.allocs);
    add(Counter::Frees, delta.frees);
    add_live(delta.live_bytes);
    add(Counter::PoisonedBytes, delta.poisoned_bytes);
    add(Counter::VerifiedBytes, delta.verified_bytes);
    add(Counter::QuarantinedBytes, delta.quarantined_bytes);
}
