//! Signal handlers that interrupt the heap and then call it.
//!
//! The standard forbids it, programs do it, and glibc survives it more often than
//! not. Here it is served and told ([`MisuseKind::SignalUnsafeCall`]).
//!
//! Ground rules. Who delivers signals (the library wraps handlers) asks
//! [`is_inside`] with the interrupted instruction, and if so runs the handler
//! under an [`Interruption`]: the thread is *nested* then. A nested thread has no
//! cache: the one it had may be in the middle of a step. It works on the depots,
//! as an ending thread does, and leaves alone what its own interrupted self may
//! hold:
//!
//! * It waits for no lock while its interrupted self may hold one (whose holder may
//!   be in the same situation): a class whose depot is locked is passed over for a
//!   larger one.
//! * What it cannot free without that lock, large and watched blocks and
//!   reallocated ones of these kinds, is put down in [`LATER`] and freed by the
//!   next slow path of a thread that is not nested.
//! * It neither gives memory back nor sweeps nor publishes counts.
//!
//! "Inside" is known without a store on the fast paths: they stand in a section
//! of the executable of their own (`deadwalk_heap`), are inlined nowhere else, and
//! call nothing outside it but slow paths; those count themselves ([`Busy`]).
//!
//! A handler may leave by a jump. Then [`abandon`] gives up what the interrupted
//! call left half done: see there.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};

use crate::cache::{self, Cache};
use crate::class::{SLOT_SIZE, of_aligned};
use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::huge;
use crate::observer::{Misuse, MisuseKind, deliver};
use crate::{os, tls};

/// So often does a nested thread look for a lock that is open, about two seconds in
/// all: all are locked only while somebody forks.
pub(crate) const TRIES: usize = 20_000;
const YIELDS: usize = 100;

/// Waits between two tries.
pub(crate) fn pause(tries: usize) {
    if tries < YIELDS { os::yield_now() } else { os::nap() }
}

unsafe extern "C" {
    /// Bounds of the section, made by the linker.
    #[link_name = "__start_deadwalk_heap"]
    static SECTION_START: u8;
    #[link_name = "__stop_deadwalk_heap"]
    static SECTION_END: u8;
}

/// A slow path of the heap is on the stack.
pub(crate) struct Busy(usize);

/// What a step counts that the library does of its own accord (a thread's end, a
/// sweep): a handler that interrupts it and allocates did nothing wrong.
const QUIET: usize = 1 << 32;

impl Busy {
    /// Counts it.
    #[inline(always)]
    pub fn new() -> Busy {
        Busy::by(1)
    }

    /// Counts one that the program did not call.
    pub fn quiet() -> Busy {
        Busy::by(1 + QUIET)
    }

    #[inline(always)]
    fn by(amount: usize) -> Busy {
        tls::set_busy(tls::busy() + amount);
        Busy(amount)
    }
}

impl Drop for Busy {
    #[inline(always)]
    fn drop(&mut self) {
        tls::set_busy(tls::busy() - self.0);
    }
}

/// Whether a signal that arrived at instruction `ip` of the calling thread
/// interrupted the heap. For signal handlers.
pub fn is_inside(ip: usize) -> bool {
    let section = &raw const SECTION_START as usize..&raw const SECTION_END as usize;
    tls::busy() > 0 || section.contains(&ip)
}

/// Whether the calling thread works for a handler that interrupted the heap.
#[inline]
pub(crate) fn is_nested() -> bool {
    tls::nested() != 0
}

/// The stack pointer at which the calling thread's innermost interruption of the
/// heap happened, 0 if there is none: for who must know whether a jump leaves it.
pub fn interrupted_at() -> usize {
    // SAFETY: set by `interrupt` while its local is alive, or 0.
    unsafe { (tls::nested() as *const Interruption).as_ref() }.map_or(0, |outer| outer.stack)
}

/// Whether a cache is the calling thread's, or its interrupted self's.
pub(crate) fn has_cache(cache: *mut Cache) -> bool {
    // SAFETY: as in `interrupted_at`; outer ones are alive as long.
    let next = |word: usize| unsafe { (word as *const Interruption).as_ref() };
    let outer = core::iter::successors(next(tls::nested()), |inner| next(inner.outer));
    tls::cache() == cache || outer.into_iter().any(|interruption| interruption.cache == cache)
}

/// What an interrupted thread had; on the stack of the handler's caller.
struct Interruption {
    stack: usize,
    cache: *mut Cache,
    busy: usize,
    outer: usize,
}

impl Interruption {
    fn end(&self) {
        tls::set_busy(self.busy);
        tls::set_cache(self.cache);
        tls::set_nested(self.outer);
    }
}

impl Drop for Interruption {
    fn drop(&mut self) {
        self.end();
    }
}

/// Calls a handler that interrupted the heap at stack pointer `stack`. It may end
/// by unwinding, as a thread's end in a handler does.
pub fn interrupt(stack: usize, handler: impl FnOnce()) {
    let interruption =
        Interruption { stack, cache: tls::cache(), busy: tls::busy(), outer: tls::nested() };
    tls::set_cache(core::ptr::null_mut());
    tls::set_nested(&raw const interruption as usize);
    handler();
    drop(interruption);
}

/// Counts and tells of a call that a handler should not make; of those that it
/// makes itself, not of what they call.
#[cold]
pub(crate) fn tell_call(site: usize) {
    // SAFETY: as in `interrupted_at`.
    let outer = unsafe { (tls::nested() as *const Interruption).as_ref() };
    if outer.is_some_and(|outer| outer.busy >= QUIET || tls::busy() > outer.busy + 1) {
        return;
    }
    counters::add(Counter::SignalCalls, 1);
    deliver(&Misuse::of(MisuseKind::SignalUnsafeCall, 0, None, site));
}

/// The class from which a nested thread may allocate instead of `class`: the next
/// one with slots at multiples of `align` whose depot nobody has locked.
#[cold]
pub(crate) fn open_class(class: usize, align: usize) -> Option<usize> {
    let mut class = class;
    while !DEPOTS[class].is_open() {
        class = of_aligned(SLOT_SIZE[class], align)?;
    }
    Some(class)
}

/// Blocks that a nested thread could not free, with who freed them.
struct Later {
    block: AtomicUsize,
    site: AtomicUsize,
}

/// So many wait at a time; what finds no place is leaked, and counted as retired.
const LATER_PLACES: usize = 256;
static LATER: [Later; LATER_PLACES] =
    [const { Later { block: AtomicUsize::new(0), site: AtomicUsize::new(0) } }; LATER_PLACES];
static LATER_COUNT: AtomicU32 = AtomicU32::new(0);
/// A place that is being filled.
const FILLING: usize = 1;

/// Puts a block down to be freed later.
#[cold]
pub(crate) fn free_later(block: usize, site: usize) {
    for place in &LATER {
        if place.block.compare_exchange(0, FILLING, Relaxed, Relaxed).is_ok() {
            place.site.store(site, Relaxed);
            place.block.store(block, Release);
            LATER_COUNT.fetch_add(1, Release);
            return;
        }
    }
    counters::add(Counter::RetiredSlots, 1);
}

/// Frees what nested threads could not, through `free`. Called by slow paths;
/// costs one load if there is nothing.
#[inline]
pub(crate) fn free_left(free: fn(usize, usize)) {
    if LATER_COUNT.load(Relaxed) != 0 && !is_nested() {
        free_left_now(free);
    }
}

#[cold]
fn free_left_now(free: fn(usize, usize)) {
    for place in &LATER {
        let block = place.block.load(Acquire);
        if block <= FILLING
            || place.block.compare_exchange(block, FILLING, Acquire, Relaxed).is_err()
        {
            continue;
        }
        let site = place.site.load(Relaxed);
        place.block.store(0, Release);
        LATER_COUNT.fetch_sub(1, Relaxed);
        free(block, site);
    }
}

/// For a thread that leaves the innermost handler by a jump (`siglongjmp`) over
/// the call of the heap that was interrupted: opens the locks that this call
/// holds, with what they guard made whole, and gives up what the cache holds if a
/// slow path was under way. (A fast path stores one thing at a time; only the slot
/// that it was filling is filled.) To be called before the jump.
pub fn abandon() {
    // SAFETY: as in `interrupted_at`.
    let Some(left) = (unsafe { (tls::nested() as *const Interruption).as_ref() }) else { return };
    for (class, depot) in DEPOTS.iter().enumerate() {
        if depot.is_mine() {
            // SAFETY: this thread holds it, in a call that will not go on.
            unsafe { depot.repair(class) };
        }
    }
    if huge::TABLE.is_mine() {
        huge::TABLE.force_open();
    }
    // SAFETY: the cache was this thread's, and the call that used it is gone.
    unsafe { cache::abandon_step(left.cache, left.busy > 0) };
    left.end();
    if left.outer == 0 {
        tls::set_busy(0);
    }
}
