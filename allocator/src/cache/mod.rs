//! Thread caches: the bins of one thread, how they fill and drain.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | the cache itself, and what others may read of it |
//! | `build.rs` | its mapping |
//! | `threads.rs` | which thread has which cache |
//! | `batches.rs` | slots between ring, magazine and depot |
//! | `fresh.rs` | slots never used before |
//! | `progress.rs` | what it adds to the counters |
//! | `abandon.rs` | caches whose owner will not go on |
//!
//! Ground rules. A cache has its own mapping, is linked into a list that only
//! grows, and is never unmapped: a pointer to one stays readable for good, which
//! is what probes, counters and the sweep rely on. A thread owns the cache its
//! thread-local word names; at its end the cache is drained and goes to the free
//! list (registry lock) for the next thread. Once that happened the thread is
//! "ending" and works without a cache, straight on the depots (`small.rs`).
//!
//! Others look at a cache while its owner changes it, and read its atomics only.
//! So a `&mut Cache` is not the only reference there is, which a type that is not
//! `Unpin` says to the compiler.
//!
//! Found misuse is only noted here (`pending`), and told when the bin is
//! consistent again and no lock is held.

mod abandon;
mod batches;
mod build;
mod fresh;
mod progress;
mod threads;

use core::marker::PhantomPinned;

pub use abandon::{abandon_others, abandon_step};
#[cfg(loom)]
pub use build::footprint;
pub use threads::{IDLE, all, at_or_newest, current, discard_current};

use crate::alone::Sampler;
use crate::bin::{Bin, Quarantined};
use crate::class::SMALL_CLASSES;
use crate::counters::{self, Counter};
use crate::lock::Lock;
use crate::sync::{AtomicBool, AtomicU32, Ordering::*, OwnU32, OwnU64};

/// Slow steps between two publications of counts.
const PUBLISH_STEPS: u32 = 1024;
/// Misuses noted and not told yet; more are counted as retired slots only.
const MAX_PENDING: usize = 64;

/// The cold part of a bin.
pub struct Cold {
    /// Position of the oldest ring entry.
    pub head: AtomicU32,
    /// Most entries of the ring.
    ring_limit: u32,
    /// How many classes shared the quarantine when the limit was set; 0 until the
    /// ring is full for the first time.
    sharers: u32,
    /// Slots moved at a time.
    pub batch: u32,
    magazine_cap: u32,
    /// Fresh slots reserved for this thread: `fresh..fresh_end`.
    pub fresh: u32,
    fresh_end: u32,
    /// Fresh slots below this one were in use once.
    fresh_used: u32,
    /// Bytes of the last reservation.
    fresh_step: u32,
    /// Slots put into the magazine minus slots taken out other than by malloc;
    /// so `filled - n` is the number of allocations.
    pub filled: OwnU64,
    verified: OwnU64,
    /// Allocations that the sampler knows of.
    sampled: u64,
    counted: Counted,
}

/// What was published already; guarded by the cache's publish lock.
#[derive(Default)]
struct Counted {
    allocs: OwnU64,
    tail: OwnU32,
    queued: OwnU32,
    verified: OwnU64,
}

/// Differences to publish.
#[derive(Default)]
pub struct Progress {
    /// Allocations.
    pub allocs: u64,
    /// Frees.
    pub frees: u64,
    /// Change of the live bytes.
    pub live_bytes: u64,
    /// Bytes poisoned.
    pub poisoned_bytes: u64,
    /// Bytes verified.
    pub verified_bytes: u64,
    /// Change of the bytes in quarantine.
    pub quarantined_bytes: u64,
}

/// Something found that is to be told.
#[derive(Clone, Copy)]
pub struct Pending {
    /// Class of the slot.
    pub class: usize,
    /// The slot and who freed it.
    pub slot: Quarantined,
    /// A second free of it rather than damage.
    pub is_double_free: bool,
}

/// A thread's cache.
#[repr(C)]
pub struct Cache {
    /// Hot parts, by class.
    pub bins: [Bin; SMALL_CLASSES],
    /// Cold parts, by class.
    pub cold: [Cold; SMALL_CLASSES],
    next_of_all: *mut Cache,
    next_free: *mut Cache,
    quarantine_bytes: usize,
    /// Classes whose ring was full: those share the quarantine.
    sharers: u32,
    in_use: AtomicBool,
    /// Idle with its quarantine and magazines; the registry lock's.
    is_full: bool,
    publish: Lock<()>,
    steps: u32,
    /// Large blocks allocated and freed by this thread.
    pub large_steps: OwnU64,
    sampler: Sampler,
    pending_count: u32,
    pending: [Pending; MAX_PENDING],
    _not_alone: PhantomPinned,
}

impl Cache {
    /// Notes something to tell later.
    fn note(&mut self, found: Pending) {
        if let Some(place) = self.pending.get_mut(self.pending_count as usize) {
            *place = found;
            self.pending_count += 1;
        } else {
            counters::add(Counter::UntoldMisuses, 1);
        }
    }

    /// Whether there is something to tell.
    #[inline]
    pub fn has_pending(&self) -> bool {
        self.pending_count != 0
    }

    /// The next thing to tell.
    pub fn next_pending(&mut self) -> Option<Pending> {
        self.pending_count = self.pending_count.checked_sub(1)?;
        Some(self.pending[self.pending_count as usize])
    }

    fn step(&mut self) {
        self.steps += 1;
        if self.steps >= PUBLISH_STEPS {
            self.steps = 0;
            counters::publish(self);
        }
    }

    /// Whether the turn of a block to lie alone has come; asked by who finds a class
    /// empty.
    #[inline]
    pub fn is_sample_due(&mut self, class: usize) -> bool {
        let (bin, cold) = (&self.bins[class], &mut self.cold[class]);
        self.sampler.is_due(|| {
            let allocs = cold.filled.load(Relaxed).wrapping_sub(bin.n.load(Relaxed) as u64);
            allocs.wrapping_sub(core::mem::replace(&mut cold.sampled, allocs))
        })
    }

    /// Whether no thread has the cache. If so after `tail` was read, all entries
    /// before it are filled.
    pub fn is_idle(&self) -> bool {
        !self.in_use.load(Acquire)
    }

    /// The cache's address.
    pub fn addr(&self) -> usize {
        core::ptr::from_ref(self) as usize
    }

    /// The cache that was made before this one.
    pub fn older(&self) -> Option<&'static Cache> {
        // SAFETY: as in `all`.
        unsafe { self.next_of_all.as_ref() }
    }

    /// A number that changes with every malloc and free of the owner.
    pub fn activity(&self) -> u64 {
        let bins = self.bins.iter().zip(&self.cold).map(|(bin, cold)| {
            let allocs = cold.filled.load(Relaxed).wrapping_sub(bin.n.load(Relaxed) as u64);
            allocs.wrapping_add(bin.tail.load(Relaxed) as u64)
        });
        bins.fold(self.large_steps.load(Relaxed), u64::wrapping_add)
    }

    /// The free site of a slot that is in this quarantine.
    pub fn free_site(&self, class: usize, slot: u32) -> Option<u32> {
        let (bin, cold) = (&self.bins[class], &self.cold[class]);
        let (head, tail) = (cold.head.load(Relaxed), bin.tail.load(Relaxed));
        let queued = tail.wrapping_sub(head).min(bin.mask + 1);
        let newest_first = (1..=queued).map(|at| bin.entry(tail.wrapping_sub(at)));
        newest_first.into_iter().find(|entry| entry.slot == slot).map(|entry| entry.free_site)
    }
}
