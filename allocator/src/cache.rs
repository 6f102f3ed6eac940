//! Thread caches: the bins of one thread, how they fill and drain.
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

use core::marker::PhantomPinned;
use core::num::NonZeroUsize;
use core::ptr::null_mut;

use once_cell::race::OnceNonZeroUsize;

use crate::bin::{Bin, Quarantined};
use crate::class::{INVERSE, SLOT_SIZE, SMALL_CLASSES};
use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::lock::Lock;
use crate::signal::Busy;
use crate::slot::{FREE, LIVE, Meta, NEVER, QUARANTINED, REPORTED, RETIRED, STATE, metas};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering::*, OwnU32, OwnU64, shared_static};
use crate::window::class_base;
use crate::{config, os, poison, purge, signal, tls};

/// Slots moved at a time: at most so many, and at most so many bytes, or one slot.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 4 << 10;
/// One class may use this part of the quarantine; an equal part where more classes
/// than so many are busy.
const QUARANTINE_SHARE: usize = 8;
/// Magazine length, in batches.
const MAGAZINE_BATCHES: usize = 4;
/// Fresh slots a thread reserves at a time: an eighth of what exists, in bytes ...
const FRESH: core::ops::RangeInclusive<usize> = (8 << 10)..=(128 << 10);
/// ... but so few at first, and twice as many each time: a thousand threads with a
/// few blocks each shall not have a page each for every size.
const FIRST_FRESH: usize = 512;
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
    pending_count: u32,
    pending: [Pending; MAX_PENDING],
    _not_alone: PhantomPinned,
}

shared_static! {
    /// Caches without a thread; the registry lock.
    pub IDLE: Lock<Idle> = Lock::held_over_fork(Idle(null_mut(), 0))
}
/// Head of the list of idle caches, and how many of them were kept full.
pub struct Idle(*mut Cache, usize);
/// Idle caches that keep their quarantine. A handler's thread lives for one
/// free; drained with it, the block would be reused at once, and a second free
/// of it would hit somebody else's. Beyond these, ending threads give all back.
const KEPT_FULL: usize = 16;
// SAFETY: the caches on the list belong to whoever holds the lock.
unsafe impl Send for Idle {}

shared_static! {
    ALL: AtomicPtr<Cache> = AtomicPtr::new(null_mut())
}
/// The pthread key plus one.
static KEY: OnceNonZeroUsize = OnceNonZeroUsize::new();

/// All caches that ever were.
pub fn all() -> impl Iterator<Item = &'static Cache> {
    let mut next = ALL.load(Acquire);
    core::iter::from_fn(move || {
        // SAFETY: caches are never unmapped, and linked once they are complete.
        let cache = unsafe { next.as_ref() }?;
        next = cache.next_of_all;
        Some(cache)
    })
}

/// The cache at an address that [`Cache::addr`] gave, or the newest for 0.
pub fn at_or_newest(addr: usize) -> Option<&'static Cache> {
    let first = if addr == 0 { ALL.load(Acquire) } else { addr as *mut Cache };
    // SAFETY: as in `all`.
    unsafe { first.as_ref() }
}

/// The calling thread's cache; makes one. Null if the thread is ending or there
/// is no memory: then it works on the depots.
pub fn current() -> *mut Cache {
    let cache = tls::cache();
    if cache.is_null() { adopt() } else { cache }
}

#[cold]
fn adopt() -> *mut Cache {
    if tls::is_ending() || signal::is_nested() {
        return null_mut();
    }
    let cache = idle_or_new();
    if cache.is_null() {
        return cache;
    }
    // SAFETY: from here on the cache is this thread's.
    unsafe { (*cache).in_use.store(true, Relaxed) };
    poison::prepare();
    // First the word: setting a key's value may allocate.
    tls::set_cache(cache);
    if !cfg!(loom)
        && let Some(key) = key()
    {
        // SAFETY: a valid key. Without memory for the value the cache outlives
        // its thread unused, which is all the harm there is.
        unsafe { libc::pthread_setspecific(key, cache.cast()) };
    }
    cache
}

fn key() -> Option<libc::pthread_key_t> {
    crate::fork::register_fork();
    let made = KEY.get_or_try_init(|| {
        let mut key = 0;
        // SAFETY: a valid place for the key and a function of the right type.
        match unsafe { libc::pthread_key_create(&mut key, Some(thread_ends)) } {
            0 => NonZeroUsize::new(key as usize + 1).ok_or(()),
            _ => Err(()),
        }
    });
    made.ok().map(|key| (key.get() - 1) as libc::pthread_key_t)
}

unsafe extern "C" fn thread_ends(cache: *mut libc::c_void) {
    let cache = cache.cast::<Cache>();
    if tls::cache() != cache {
        return;
    }
    let _busy = Busy::quiet();
    tls::set_ending();
    tls::set_cache(null_mut());
    // SAFETY: the cache was this thread's, and no longer is reachable as such.
    unsafe {
        let full = {
            let mut idle = IDLE.lock();
            let full = idle.1 < KEPT_FULL;
            idle.1 += full as usize;
            full
        };
        if full { park(cache, true) } else { retire(cache) }
    };
}

/// Drains the calling thread's cache and forgets it; the next allocation makes
/// one with the present settings.
pub fn discard_current() {
    let cache = tls::cache();
    if !cache.is_null() {
        let _busy = Busy::quiet();
        tls::set_cache(null_mut());
        // SAFETY: as in `thread_ends`.
        unsafe { retire(cache) };
    }
}

/// Drains a cache and puts it on the idle list.
///
/// # Safety
///
/// * The caller owns the cache and does not use it afterwards.
unsafe fn retire(cache: *mut Cache) {
    // SAFETY: the caller owns it. No reference is held over `tell_pending`.
    unsafe {
        for class in (0..SMALL_CLASSES).filter(|&class| (*cache).bins[class].is_used()) {
            (*cache).drain(class);
            crate::report::tell_pending(cache);
        }
        // Magazines and rings are empty. Who still looks at them finds zeros there
        // or, if the kernel refuses, what is no longer in them.
        let start = (cache as usize + HEAD).next_multiple_of(os::PAGE);
        let end = (cache as usize + footprint((*cache).quarantine_bytes)) & !(os::PAGE - 1);
        let _ = !cfg!(loom) && os::discard(start, end - start);
        park(cache, false);
    }
}

/// Puts a cache on the idle list; `full`: with what it holds.
///
/// # Safety
///
/// * The caller owns the cache and does not use it afterwards.
unsafe fn park(cache: *mut Cache, full: bool) {
    // SAFETY: the caller owns it, until the list's lock is released.
    unsafe {
        counters::publish(&*cache);
        (*cache).is_full = full;
        (*cache).in_use.store(false, Release);
        let mut idle = IDLE.lock();
        (*cache).next_free = idle.0;
        idle.0 = cache;
    }
}

fn idle_or_new() -> *mut Cache {
    let wanted = config::quarantine_bytes();
    {
        let mut idle = IDLE.lock();
        let cache = idle.0;
        // SAFETY: caches on the list are the lock holder's.
        if !cache.is_null() && unsafe { (*cache).quarantine_bytes == wanted } {
            // SAFETY: as above.
            unsafe {
                idle.0 = (*cache).next_free;
                idle.1 -= (*cache).is_full as usize;
                (*cache).is_full = false;
            }
            return cache;
        }
    }
    let cache = build(wanted);
    if !cache.is_null() {
        let mut first = ALL.load(Relaxed);
        loop {
            // SAFETY: not linked yet, so still this thread's alone.
            unsafe { (*cache).next_of_all = first };
            match ALL.compare_exchange_weak(first, cache, Release, Relaxed) {
                Ok(_) => break,
                Err(now) => first = now,
            }
        }
    }
    cache
}

/// (batch, ring limit, ring length) of a class.
fn shape(class: usize, quarantine_bytes: usize) -> (usize, usize, usize) {
    let batch = (BATCH_BYTES / SLOT_SIZE[class]).clamp(1, BATCH);
    let limit = limit_among(QUARANTINE_SHARE, class, batch, quarantine_bytes);
    (batch, limit, limit.next_power_of_two())
}

/// Most entries of a class's ring if so many classes share the quarantine.
fn limit_among(sharers: usize, class: usize, batch: usize, quarantine_bytes: usize) -> usize {
    let kept = match quarantine_bytes {
        0 => 0,
        bytes => (bytes / sharers.max(QUARANTINE_SHARE) / SLOT_SIZE[class]).max(1),
    };
    kept + 2 * batch
}

/// Bytes of a class's ring and of its magazine.
fn tails(class: usize, quarantine_bytes: usize) -> (usize, usize) {
    let (batch, _, length) = shape(class, quarantine_bytes);
    ((length * 8).next_multiple_of(64), (batch * MAGAZINE_BATCHES * 4).next_multiple_of(64))
}

const HEAD: usize = size_of::<Cache>().next_multiple_of(64);

/// Bytes of a cache's mapping.
pub fn footprint(quarantine_bytes: usize) -> usize {
    (0..SMALL_CLASSES).fold(HEAD, |sum, class| {
        let (ring, magazine) = tails(class, quarantine_bytes);
        sum + ring + magazine
    })
}

/// Maps a cache with its magazines and rings behind it; magazines together,
/// since all of a class's first use touches of one is its start.
fn build(quarantine_bytes: usize) -> *mut Cache {
    let Some(at) = os::map_anywhere(footprint(quarantine_bytes)) else { return null_mut() };
    let cache = at as *mut Cache;
    let mut next_magazine = at + HEAD;
    let mut next_ring =
        (0..SMALL_CLASSES).fold(next_magazine, |at, class| at + tails(class, quarantine_bytes).1);
    for class in 0..SMALL_CLASSES {
        let (batch, limit, length) = shape(class, quarantine_bytes);
        let (ring_bytes, magazine_bytes) = tails(class, quarantine_bytes);
        let ring = ring_at(next_ring, class, length);
        next_ring += ring_bytes;
        let magazine = next_magazine as *mut u32;
        next_magazine += magazine_bytes;
        let bin = Bin {
            n: OwnU32::new(0),
            slot: SLOT_SIZE[class] as u32,
            magazine,
            base: class_base(class),
            meta: metas(class),
            inverse: INVERSE[class],
            ring,
            tail: AtomicU32::new(0),
            mask: length as u32 - 1,
            stop: limit as u32,
            limit: OwnU32::new(0),
        };
        // SAFETY: the mapping holds a `Cache`.
        unsafe {
            (&raw mut (*cache).bins[class]).write(bin);
            (&raw mut (*cache).cold[class]).write(Cold::new(limit, batch));
        }
    }
    // SAFETY: as above; the rest of it is valid as zeros.
    unsafe {
        (&raw mut (*cache).publish).write(Lock::new(()));
        (&raw mut (*cache).in_use).write(AtomicBool::new(false));
        (&raw mut (*cache).large_steps).write(OwnU64::new(0));
        (*cache).quarantine_bytes = quarantine_bytes;
    }
    cache
}

/// A ring in zeroed memory.
#[cfg(not(loom))]
fn ring_at(memory: usize, _class: usize, _length: usize) -> *const crate::sync::AtomicU64 {
    memory as *const _
}

#[cfg(loom)]
use crate::models::stand_in::ring_at;

impl Cold {
    fn new(ring_limit: usize, batch: usize) -> Cold {
        Cold {
            head: AtomicU32::new(0),
            ring_limit: ring_limit as u32,
            sharers: 0,
            batch: batch as u32,
            magazine_cap: (batch * MAGAZINE_BATCHES) as u32,
            fresh: 0,
            fresh_end: 0,
            fresh_used: 0,
            fresh_step: 0,
            filled: OwnU64::new(0),
            verified: OwnU64::new(0),
            counted: Counted::default(),
        }
    }
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

    /// Gets slots into an empty magazine; false if only fresh slots are left.
    /// All of them may turn out damaged: look at the magazine again.
    pub fn refill(&mut self, class: usize) -> bool {
        self.step();
        if self.is_due(class) {
            self.leave(class, self.cold[class].batch);
            return true;
        }
        DEPOTS[class].count_hint() > 0 && self.take_from_depot(class)
    }

    /// Makes room in a full ring.
    pub fn make_room(&mut self, class: usize) {
        self.step();
        self.share_quarantine(class);
        let (batch, cap) = (self.cold[class].batch, self.cold[class].magazine_cap);
        loop {
            let n = self.bins[class].n.load(Relaxed);
            if n + batch > cap {
                self.give_to_depot(class, n / 2);
            }
            self.leave(class, batch);
            // More than one batch only if the limit has just become smaller.
            if self.queued(class) + batch <= self.cold[class].ring_limit {
                return;
            }
        }
    }

    /// Whether the ring has a batch more than it must keep.
    fn is_due(&self, class: usize) -> bool {
        self.queued(class) >= self.cold[class].ring_limit - self.cold[class].batch
    }

    /// Entries of a class's ring.
    fn queued(&self, class: usize) -> u32 {
        self.bins[class].tail.load(Relaxed).wrapping_sub(self.cold[class].head.load(Relaxed))
    }

    /// Sets the limit of a full ring by the number of classes that fill theirs: all
    /// together hold what the settings say, or a program of many sizes would have a
    /// quarantine beyond the caches.
    fn share_quarantine(&mut self, class: usize) {
        let cold = &mut self.cold[class];
        self.sharers += (cold.sharers == 0) as u32;
        if cold.sharers != self.sharers {
            cold.sharers = self.sharers;
            let (sharers, batch) = (self.sharers as usize, cold.batch as usize);
            cold.ring_limit = limit_among(sharers, class, batch, self.quarantine_bytes) as u32;
        }
    }

    /// Moves the `count` oldest of the ring into the magazine, verified. The
    /// caller made sure that both have them and room for them.
    fn leave(&mut self, class: usize, count: u32) {
        let bin = &self.bins[class];
        let n = bin.n.load(Relaxed) as usize;
        let head = self.cold[class].head.load(Relaxed);
        let mut kept = 0;
        // One bit per entry whose slot was freed twice; a batch is 32 at most.
        let mut freed_twice = 0_u32;
        for at in 0..count {
            let slot = bin.entry(head.wrapping_add(at)).slot;
            // SAFETY: slots in the ring exist.
            let meta = unsafe { bin.meta_of(slot as usize) };
            let flags = meta.load().flags();
            // Exactly one copy of a slot leaves in state Quarantined.
            if flags == QUARANTINED || may_leave(meta, flags) {
                meta.set_flags(FREE);
                // SAFETY: the magazine has room for the batch.
                unsafe { *bin.magazine.add(n + kept) = slot };
                kept += 1;
            } else if matches!(flags & STATE, LIVE | FREE | NEVER) {
                freed_twice |= 1 << at;
            }
        }
        // SAFETY: `kept` entries behind the old ones were just written.
        let slots = unsafe { core::slice::from_raw_parts_mut(bin.magazine.add(n), kept) };
        if freed_twice != 0 {
            for at in (0..count).filter(|at| freed_twice & 1 << at != 0) {
                let slot = self.bins[class].entry(head.wrapping_add(at));
                self.note(Pending { class, slot, is_double_free: true });
            }
        }
        let kept = self.verify(class, slots, Some((head, count)));
        let (bin, cold) = (&mut self.bins[class], &self.cold[class]);
        cold.filled.store(cold.filled.load(Relaxed) + kept as u64, Relaxed);
        bin.n.store((n + kept) as u32, Relaxed);
        cold.head.store(head.wrapping_add(count), Release);
        bin.stop = head.wrapping_add(count).wrapping_add(cold.ring_limit);
    }

    /// Verifies slots, weeds out the damaged ones and returns how many are left.
    /// `from` says which ring positions they came from, for their free sites.
    fn verify(&mut self, class: usize, slots: &mut [u32], from: Option<(u32, u32)>) -> usize {
        if !config::poisons() {
            return slots.len();
        }
        let cold = &self.cold[class];
        cold.verified.store(cold.verified.load(Relaxed) + slots.len() as u64, Relaxed);
        let bin = &self.bins[class];
        // SAFETY: the caller's slots: they exist and are free.
        if unsafe { poison::batch_holds(bin.base as *const u8, bin.slot as usize, slots) } {
            return slots.len();
        }
        self.weed(class, slots, from)
    }

    #[cold]
    #[inline(never)]
    fn weed(&mut self, class: usize, slots: &mut [u32], from: Option<(u32, u32)>) -> usize {
        let mut kept = 0;
        for at in 0..slots.len() {
            let slot = slots[at];
            let bin = &self.bins[class];
            // SAFETY: as in `verify`.
            if unsafe { poison::holds(bin.address(slot as usize), bin.slot as usize) } {
                slots[kept] = slot;
                kept += 1;
                continue;
            }
            let (head, count) = from.unwrap_or((0, 0));
            let entries = (0..count).map(|at| bin.entry(head.wrapping_add(at)));
            let entry = entries.into_iter().find(|entry| entry.slot == slot);
            let entry = entry.unwrap_or(Quarantined { slot, free_site: 0 });
            self.retire_slot(class, entry);
        }
        kept
    }

    /// Takes a damaged free slot out of use and notes it.
    fn retire_slot(&mut self, class: usize, slot: Quarantined) {
        // SAFETY: the slot exists.
        let meta = unsafe { self.bins[class].meta_of(slot.slot as usize) };
        meta.set_flags(REPORTED | RETIRED);
        counters::add(Counter::RetiredSlots, 1);
        self.note(Pending { class, slot, is_double_free: false });
    }

    /// Throws the newest slot of the magazine away, which `Bin::take` refused.
    #[cold]
    pub fn discard_top(&mut self, class: usize) {
        let bin = &self.bins[class];
        let n = bin.n.load(Relaxed) - 1;
        // SAFETY: the magazine was not empty.
        let slot = unsafe { *bin.magazine.add(n as usize) };
        bin.n.store(n, Relaxed);
        let cold = &self.cold[class];
        cold.filled.store(cold.filled.load(Relaxed) - 1, Relaxed);
        self.retire_slot(class, Quarantined { slot, free_site: 0 });
    }

    /// Verifies the magazine; returns how many slots were damaged.
    pub fn weed_magazine(&mut self, class: usize, budget: &mut usize) -> usize {
        let bin = &self.bins[class];
        let n = bin.n.load(Relaxed);
        let bytes = n as usize * bin.slot as usize;
        if n == 0 || *budget < bytes {
            return 0;
        }
        *budget -= bytes;
        // SAFETY: invariant 1 of `Bin`: entries `0..n`.
        let slots = unsafe { core::slice::from_raw_parts_mut(bin.magazine, n as usize) };
        let kept = self.verify(class, slots, None) as u32;
        self.bins[class].n.store(kept, Relaxed);
        let cold = &self.cold[class];
        cold.filled.store(cold.filled.load(Relaxed).wrapping_sub((n - kept) as u64), Relaxed);
        (n - kept) as usize
    }

    /// Takes the newest slot of the magazine unseen: without poison there is no
    /// canary to compare.
    #[cold]
    pub fn take_unpoisoned(&mut self, class: usize) -> u32 {
        let bin = &self.bins[class];
        let n = bin.n.load(Relaxed) - 1;
        bin.n.store(n, Relaxed);
        // SAFETY: the magazine was not empty.
        unsafe { *bin.magazine.add(n as usize) }
    }

    /// Gives the `count` oldest of the magazine to the depot.
    fn give_to_depot(&mut self, class: usize, count: u32) {
        let (bin, cold) = (&self.bins[class], &self.cold[class]);
        let depot = &DEPOTS[class];
        let mut inner = depot.lock();
        let n = bin.n.load(Relaxed);
        for at in 0..count as usize {
            // SAFETY: `count <= n`.
            inner.free.insert(unsafe { *bin.magazine.add(at) });
        }
        let rest = (n - count) as usize;
        // SAFETY: both ranges lie in the magazine.
        unsafe { core::ptr::copy(bin.magazine.add(count as usize), bin.magazine, rest) };
        bin.n.store(rest as u32, Relaxed);
        cold.filled.store(cold.filled.load(Relaxed).wrapping_sub(count as u64), Relaxed);
        depot.publish_count(&inner);
        let is_due = depot.note_freed(class, count, &mut inner);
        drop(inner);
        if is_due && let Some(slot) = purge::look(class) {
            self.retire_slot(class, Quarantined { slot, free_site: 0 });
        }
    }

    /// Fills the empty magazine from the depot, verifying again: a stale write
    /// may have hit a slot since it was verified first.
    fn take_from_depot(&mut self, class: usize) -> bool {
        let batch = self.cold[class].batch as usize;
        let magazine = self.bins[class].magazine;
        // SAFETY: the magazine is empty and holds at least a batch.
        let room = unsafe { core::slice::from_raw_parts_mut(magazine, batch) };
        let depot = &DEPOTS[class];
        let got = {
            let mut inner = depot.lock();
            let got = inner.free.take(room);
            room.copy_within(batch - got.., 0);
            // Published under the lock, before verification: see the depot's
            // rule that a slot is in one place only.
            self.bins[class].n.store(got as u32, Relaxed);
            let cold = &self.cold[class];
            cold.filled.store(cold.filled.load(Relaxed).wrapping_add(got as u64), Relaxed);
            depot.publish_count(&inner);
            got
        };
        let kept = self.verify(class, &mut room[..got], None);
        self.bins[class].n.store(kept as u32, Relaxed);
        let cold = &self.cold[class];
        cold.filled.store(cold.filled.load(Relaxed).wrapping_sub((got - kept) as u64), Relaxed);
        self.bins[class].limit.store(depot.bump(), Relaxed);
        got > 0
    }

    /// A slot never used before that is at hand, if it is the turn of one: what was
    /// freed goes first. For functions of the section `deadwalk_heap`: once it
    /// returned, a signal handler finds the cache consistent.
    #[inline(always)]
    pub fn fresh_at_hand(&mut self, class: usize) -> Option<u32> {
        let cold = &self.cold[class];
        let is_turn = self.bins[class].n.load(Relaxed) == 0
            && cold.fresh < cold.fresh_end
            && cold.fresh >= cold.fresh_used
            && !self.is_due(class)
            && DEPOTS[class].count_hint() == 0;
        is_turn.then(|| self.count_fresh(class))
    }

    #[inline(always)]
    fn count_fresh(&mut self, class: usize) -> u32 {
        let cold = &mut self.cold[class];
        let slot = cold.fresh;
        cold.fresh += 1;
        cold.filled.store(cold.filled.load(Relaxed) + 1, Relaxed);
        slot
    }

    /// The next fresh slot, and whether it was in use once. Its memory reads as zero.
    /// None without memory.
    pub fn next_fresh(&mut self, class: usize) -> Option<(u32, bool)> {
        if self.cold[class].fresh >= self.cold[class].fresh_end {
            let slot = SLOT_SIZE[class];
            let depot = &DEPOTS[class];
            let mut inner = depot.lock();
            let bump = depot.bump();
            let have = bump as usize * slot;
            let most = (have / 8).clamp(*FRESH.start(), *FRESH.end());
            let step = (self.cold[class].fresh_step as usize * 2).clamp(FIRST_FRESH, most);
            let want = (step / slot).max(1);
            let (first, end) = depot.grow(class, want as u32, &mut inner)?;
            self.cold[class].fresh_step = step as u32;
            // Under the lock, so that a fork sees both or neither.
            self.cold[class].fresh = first;
            self.cold[class].fresh_end = end;
            self.cold[class].fresh_used = bump;
            self.bins[class].limit.store(depot.bump(), Relaxed);
        }
        let slot = self.count_fresh(class);
        Some((slot, slot < self.cold[class].fresh_used))
    }

    /// A fresh slot was not handed out.
    pub fn drop_fresh(&mut self, class: usize) {
        let filled = &self.cold[class].filled;
        filled.store(filled.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// Empties ring and magazine of a class into the depot.
    fn drain(&mut self, class: usize) {
        loop {
            let queued = self.queued(class);
            let n = self.bins[class].n.load(Relaxed);
            if n > 0 {
                self.give_to_depot(class, n);
            }
            if queued == 0 {
                return self.give_fresh_back(class);
            }
            self.leave(class, queued.min(self.cold[class].batch));
        }
    }

    /// Gives the reserved fresh slots to the depot, as slots whose memory was given
    /// back: else they would keep the pages that they share with others.
    fn give_fresh_back(&mut self, class: usize) {
        let cold = &mut self.cold[class];
        let slots = cold.fresh..cold.fresh_end;
        // The memory of sets is not made anew for each run of a model.
        if slots.is_empty() || cfg!(loom) {
            return;
        }
        let depot = &DEPOTS[class];
        let mut inner = depot.lock();
        if inner.cover_purged(class, depot.bump()) {
            cold.fresh = cold.fresh_end;
            inner.purged.insert_run(slots);
        }
    }

    /// Forgets what the cache holds: its owner was in the middle of a step, so
    /// nothing in it can be trusted. How many slots are lost.
    fn give_up(&mut self) -> u64 {
        let mut lost = 0;
        for (bin, cold) in self.bins.iter_mut().zip(&mut self.cold) {
            let (n, tail) = (bin.n.load(Relaxed), bin.tail.load(Relaxed));
            lost += n as u64 + tail.wrapping_sub(cold.head.load(Relaxed)) as u64;
            bin.n.store(0, Relaxed);
            cold.filled.fetch_sub(n as u64, Relaxed);
            cold.head.store(tail, Relaxed);
            bin.stop = tail.wrapping_add(cold.ring_limit);
            // The next fresh slot may have been handed out half-way.
            cold.fresh = (cold.fresh + 1).min(cold.fresh_end);
        }
        self.pending_count = 0;
        lost
    }

    /// Fresh slots that the cache holds.
    #[cfg(loom)]
    pub fn fresh_left(&self, class: usize) -> u32 {
        self.cold[class].fresh_end - self.cold[class].fresh
    }

    /// Takes the newest slot out of each ring if it is not all poison: it was being
    /// filled when its free was broken off. Returns how many.
    fn forget_broken_free(&mut self) -> u64 {
        let mut lost = 0;
        for (bin, cold) in self.bins.iter().zip(&self.cold) {
            let newest = bin.tail.load(Relaxed).wrapping_sub(1);
            if newest.wrapping_add(1) == cold.head.load(Relaxed) || !config::poisons() {
                continue;
            }
            let slot = bin.entry(newest).slot as usize;
            // SAFETY: slots in the ring exist, and this one is the owner's.
            if !unsafe { poison::holds(bin.address(slot), bin.slot as usize) } {
                bin.tail.store(newest, Relaxed);
                lost += 1;
            }
        }
        lost
    }

    /// Whether no thread has the cache. If so after `tail` was read, all entries
    /// before it are filled.
    pub fn is_idle(&self) -> bool {
        !self.in_use.load(Acquire)
    }

    /// Differences since the last call; see `counters.rs` for the rules. Those of
    /// each class go to `each`: class, allocations, frees. None if somebody else is
    /// taking them, perhaps who was interrupted by the caller.
    pub fn take_progress(&self, mut each: impl FnMut(usize, u64, u64)) -> Option<Progress> {
        let _publishing = self.publish.lock_soon()?;
        let mut sum = Progress::default();
        let bins = self.bins.iter().zip(&self.cold).enumerate();
        for (class, (bin, cold)) in bins.filter(|(_, (bin, _))| bin.is_used()) {
            let swap = |old: &OwnU64, new: u64| new.wrapping_sub(old.swap(new, Relaxed));
            let (filled, n) = (cold.filled.load(Relaxed), bin.n.load(Relaxed));
            let (tail, head) = (bin.tail.load(Relaxed), cold.head.load(Relaxed));
            let queued = tail.wrapping_sub(head);
            if filled == 0 && tail == cold.counted.tail.load(Relaxed) {
                continue;
            }
            let slot = bin.slot as u64;
            let allocs = swap(&cold.counted.allocs, filled.wrapping_sub(n as u64));
            let frees = tail.wrapping_sub(cold.counted.tail.swap(tail, Relaxed)) as i32 as u64;
            let moved = queued.wrapping_sub(cold.counted.queued.swap(queued, Relaxed)) as i32;
            each(class, allocs, frees);
            sum.allocs = sum.allocs.wrapping_add(allocs);
            sum.frees = sum.frees.wrapping_add(frees);
            let live = allocs.wrapping_sub(frees).wrapping_mul(slot);
            sum.live_bytes = sum.live_bytes.wrapping_add(live);
            if config::poisons() {
                sum.poisoned_bytes = sum.poisoned_bytes.wrapping_add(frees.wrapping_mul(slot));
            }
            let verified = swap(&cold.counted.verified, cold.verified.load(Relaxed));
            sum.verified_bytes = sum.verified_bytes.wrapping_add(verified.wrapping_mul(slot));
            let moved = (moved as i64 as u64).wrapping_mul(slot);
            sum.quarantined_bytes = sum.quarantined_bytes.wrapping_add(moved);
        }
        Some(sum)
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

/// Whether a slot whose flags are not the plain ones may leave the quarantine.
#[cold]
fn may_leave(meta: &Meta, flags: u8) -> bool {
    let is_quarantined = flags & STATE == QUARANTINED;
    // An object that was misused once is not trusted any more. Retired ones were
    // told of before and just drop out.
    if is_quarantined && flags & REPORTED != 0 {
        meta.set_flags(REPORTED | RETIRED);
        counters::add(Counter::RetiredSlots, 1);
        return false;
    }
    is_quarantined
}

/// After the calling thread left a call of the heap by a jump: opens the locks
/// around caches that the call holds, and gives up what its cache holds, if it was in
/// a slow path, else the slot that it may have been filling.
///
/// # Safety
///
/// * `cache` is the calling thread's, or null, and the call will not go on.
pub unsafe fn abandon_step(cache: *mut Cache, in_slow_path: bool) {
    if IDLE.is_mine() {
        IDLE.force_open();
    }
    for other in all() {
        if other.publish.is_mine() {
            other.publish.force_open();
        }
    }
    // SAFETY: the calling thread's.
    if let Some(cache) = unsafe { cache.as_mut() } {
        let lost = if in_slow_path { cache.give_up() } else { cache.forget_broken_free() };
        counters::add(Counter::RetiredSlots, lost);
    }
}

/// In a fork child: forgets what other threads' caches hold. Their owners may
/// have been in the middle of a step, even of filling a slot, so nothing in them
/// can be trusted: the slots are given up, the caches reused. Not counted as
/// retired: nothing damaged them, and the totals still are the parent's.
///
/// # Safety
///
/// * The caller is the only thread of the process and holds the registry lock.
pub unsafe fn abandon_others(idle: &mut Idle) {
    let mut next = ALL.load(Relaxed);
    while !next.is_null() {
        // SAFETY: the only thread; nobody else uses any cache.
        let cache = unsafe { &mut *next };
        cache.publish = Lock::new(());
        if !signal::has_cache(next) && cache.in_use.load(Relaxed) {
            cache.give_up();
            cache.in_use.store(false, Relaxed);
            cache.next_free = idle.0;
            idle.0 = next;
        }
        next = cache.next_of_all;
    }
}
