//! Small blocks: the fast path of free, and every slow path.
//!
//! Ground rules. The fast paths (here and `Bin::take`) use the calling thread's
//! cache and nothing else. A thread without a cache (it is ending, or there was
//! no memory for one) works on the depots, one slot at a time under their lock.
//! Observers are called with no lock held and the bins consistent, so they may
//! even allocate; everything is read again afterwards. What a signal handler that
//! interrupted all this may do is in `signal.rs`.

use core::sync::atomic::{Ordering::*, fence};

use crate::alone;
use crate::bin::Bin;
use crate::cache::{self, Cache};
use crate::class::{SLOT_SIZE, SMALL_CLASSES, of_small, split};
use crate::counters::{self, Counter};
use crate::depot::{DEPOTS, Inner};
use crate::family::{self, FAMILY, Family};
use crate::lock::Guard;
use crate::observer::{Block, BlockState, Misuse, MisuseKind, deliver, tell_freeing};
use crate::place::{Place, Slot, locate};
use crate::poison::{self, POISON_END, TAIL_LIMIT};
use crate::report::{self, Damage};
use crate::signal::{self, Busy};
use crate::slot::{FREE, LIVE, Meta, NEVER, QUARANTINED, REPORTED, RETIRED, STATE, WATCHED, Word};
use crate::window::{CLASS_SHIFT, base_if_chosen};
use crate::{config, fresh, huge, large, os, pressure, tls};

/// What an allocation returned.
pub struct Allocated {
    /// The block, null without memory (`errno` is set then).
    pub block: *mut u8,
    /// Whether the block reads as zero.
    pub is_zero: bool,
}

const NOTHING: Allocated = Allocated { block: core::ptr::null_mut(), is_zero: false };

/// The bin of a class.
///
/// # Safety
///
/// * The caller owns the cache; `class < SMALL_CLASSES`.
#[inline(always)]
pub unsafe fn bin<'a>(cache: *mut Cache, class: usize) -> &'a Bin {
    // SAFETY: the bins are the first field, and the class is in range.
    unsafe { &*cache.cast::<Bin>().add(class) }
}

/// Allocates when the magazine is empty: a fresh slot if one is at hand. Whoever only
/// allocates comes here every time.
#[cold]
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
pub extern "C" fn malloc_slow(size: usize, site: usize) -> *mut u8 {
    let class = of_small(size);
    // SAFETY: the calling thread's cache.
    let fresh = unsafe { tls::cache().as_mut() }.and_then(|cache| cache.fresh_at_hand(class));
    match fresh {
        Some(index) => hand_out_unused(Slot { class, index: index as usize }, size, site),
        None => malloc_slower(size, site),
    }
}

#[cold]
#[inline(never)]
extern "C" fn malloc_slower(size: usize, site: usize) -> *mut u8 {
    allocate(of_small(size), 16, size, site).block
}

/// Allocates a block of `size` bytes from a class whose slots are larger and
/// aligned to `align`.
pub fn allocate(class: usize, align: usize, size: usize, site: usize) -> Allocated {
    debug_assert!(class < SMALL_CLASSES && size < SLOT_SIZE[class]);
    let _busy = Busy::new();
    if signal::is_nested() {
        signal::tell_call(site);
        return allocate_nested(class, align, size, site);
    }
    signal::free_left(free_now);
    loop {
        let cache = cache::current();
        if cache.is_null() {
            return allocate_from_depot(class, size, site);
        }
        if alone::may_align(align)
            // SAFETY: the cache is the calling thread's.
            && unsafe { (*cache).is_sample_due(class) }
            && let Some(block) = alone::sampled(size, site)
        {
            return Allocated { block, is_zero: false };
        }
        // SAFETY: the cache is the calling thread's; no reference into it is
        // alive when something is told.
        unsafe {
            let block = bin(cache, class).take(size, site);
            if !block.is_null() {
                return Allocated { block, is_zero: false };
            }
            if bin(cache, class).n.load(Relaxed) > 0 {
                if !config::poisons() {
                    let index = (*cache).take_unpoisoned(class) as usize;
                    let slot = Slot { class, index };
                    slot.meta().store(Word::live(size, site));
                    return Allocated { block: slot.base() as *mut u8, is_zero: false };
                }
                (*cache).discard_top(class);
            } else if !(*cache).refill(class) {
                let fresh = (*cache).next_fresh(class);
                match fresh {
                    Some(index) => match hand_out_fresh(class, index, size, site) {
                        Some(got) => return got,
                        None => (*cache).drop_fresh(class),
                    },
                    None if pressure::give_back() => continue,
                    None => {
                        pressure::refused();
                        os::set_enomem();
                        return NOTHING;
                    }
                }
            }
            report::tell_pending(cache);
        }
    }
}

/// None if somebody wrote to the slot, which had been given back: that is told.
fn hand_out_fresh(
    class: usize,
    (index, was_used): (u32, bool),
    size: usize,
    site: usize,
) -> Option<Allocated> {
    let slot = Slot { class, index: index as usize };
    let block = slot.base() as *mut u8;
    if was_used && config::poisons() && !fresh::is_zero(slot) {
        retire(slot.meta());
        fresh::tell_stale(slot);
        return None;
    }
    let is_zero = !was_used || config::poisons();
    if is_zero {
        hand_out_unused(slot, size, site);
    } else {
        // SAFETY: a fresh slot, this thread's alone.
        unsafe { poison::write_canary(block, size, slot.bytes(), slot.bytes()) };
        slot.meta().store(Word::live(size, site));
    }
    Some(Allocated { block, is_zero })
}

/// Makes a live block of a slot that reads as zero and is the calling thread's.
#[inline(always)]
fn hand_out_unused(slot: Slot, size: usize, site: usize) -> *mut u8 {
    let block = slot.base() as *mut u8;
    // SAFETY: the slot is the caller's, and all zero.
    unsafe { poison::write_fresh_canary(block, size, slot.bytes()) };
    slot.meta().store(Word::live(size, site));
    block
}

/// Allocates for a signal handler that interrupted the heap, where no lock is in
/// the way.
#[cold]
fn allocate_nested(class: usize, align: usize, size: usize, site: usize) -> Allocated {
    for tries in 0..signal::TRIES {
        let open = signal::open_class(class, align).filter(|&class| class < SMALL_CLASSES);
        let from_depot = |class: usize| {
            let inner = DEPOTS[class].try_lock()?;
            Some(allocate_with(class, inner, size, site))
        };
        match open.and_then(from_depot) {
            Some(got) => return got,
            // Taken meanwhile, or all are: somebody forks.
            None => signal::pause(tries),
        }
    }
    os::set_enomem();
    NOTHING
}

/// Allocates for a thread that has no cache.
#[cold]
fn allocate_from_depot(class: usize, size: usize, site: usize) -> Allocated {
    allocate_with(class, DEPOTS[class].lock(), size, site)
}

/// Allocates from a depot whose lock is `inner`.
fn allocate_with(class: usize, inner: Guard<'_, Inner>, size: usize, site: usize) -> Allocated {
    let depot = &DEPOTS[class];
    let mut first = Some(inner);
    loop {
        let mut inner = first.take().unwrap_or_else(|| depot.lock());
        let mut one = [0];
        if inner.free.take(&mut one) == 0 {
            let bump = depot.bump();
            let Some((first, _)) = depot.grow(class, 1, &mut inner) else {
                drop(inner);
                if !signal::is_nested() {
                    if pressure::give_back() {
                        continue;
                    }
                    pressure::refused();
                }
                os::set_enomem();
                return NOTHING;
            };
            drop(inner);
            let fresh = (first, first < bump);
            let Some(got) = hand_out_fresh(class, fresh, size, site) else { continue };
            counters::allocated(class, SLOT_SIZE[class]);
            return got;
        }
        depot.publish_count(&inner);
        drop(inner);
        let slot = Slot { class, index: one[0] as usize };
        let block = slot.base() as *mut u8;
        // SAFETY: the slot was taken out of the depot, so it is this thread's.
        if config::poisons() && !unsafe { poison::holds(block, slot.bytes()) } {
            slot.meta().set_flags(RETIRED);
            counters::add(Counter::RetiredSlots, 1);
            report::tell_stale(slot, 0, 0);
            continue;
        }
        slot.meta().store(Word::live(size, site));
        counters::allocated(class, SLOT_SIZE[class]);
        return Allocated { block, is_zero: false };
    }
}

/// Frees a block.
///
/// # Safety
///
/// * As for C's `free`; breaches of that which lie in the window are told and
///   survived.
#[inline(always)]
pub unsafe extern "C" fn free(block: *mut u8, site: usize) {
    // SAFETY: passed on.
    let refusal = unsafe { free_at_once(block, site, |word| word.flags() == LIVE) };
    match refusal {
        None => {}
        // SAFETY: passed on; the ring is full.
        Some(Refusal::Full) => unsafe { free_full(block, site) },
        Some(Refusal::Unusual) => free_slow(block, site),
    }
}

/// Why a block was not freed at once.
pub enum Refusal {
    /// The ring takes no more.
    Full,
    /// It is no small block of this thread's cache that is as expected.
    Unusual,
}

/// Frees a small block whose metadata word is as expected, if the calling thread's
/// ring has room.
///
/// # Safety
///
/// * As for [`free`]; `is_expected` holds only for words of live blocks without flags.
#[inline(always)]
pub unsafe fn free_at_once(
    block: *mut u8,
    site: usize,
    is_expected: impl Fn(Word) -> bool,
) -> Option<Refusal> {
    let class = (block as usize).wrapping_sub(base_if_chosen()) >> CLASS_SHIFT;
    if class >= SMALL_CLASSES {
        return Some(Refusal::Unusual);
    }
    let cache = tls::cache();
    if cache.is_null() {
        return Some(Refusal::Unusual);
    }
    // SAFETY: the cache is the calling thread's; the slot exists where checked.
    unsafe {
        let bin = bin(cache, class);
        let bytes = bin.slot as usize;
        core::arch::asm!("prefetchw [{0}]", "prefetchw [{0} + {1} - 1]", in(reg) block,
            in(reg) bytes, options(nostack, preserves_flags));
        if bin.is_full() {
            return Some(Refusal::Full);
        }
        let (index, is_start) = split((block as usize).wrapping_sub(bin.base), bin.inverse);
        if index >= bin.limit.load(Relaxed) as usize {
            return Some(Refusal::Unusual);
        }
        let meta = bin.meta_of(index);
        let word = meta.load();
        if !is_expected(word) || !is_start {
            return Some(Refusal::Unusual);
        }
        meta.set_flags(QUARANTINED);
        bin.push(index, site);
        finish_free::<true>(block, word.size(), bytes, site);
    }
    None
}

/// Checks what surrounds a block that has just gone into the quarantine, and
/// poisons it.
///
/// # Safety
///
/// * The slot exists, its state was set to Quarantined by the caller.
/// * `IS_FAST`: no slow path is counted, and the slot is the newest of the ring, where
///   [`signal::abandon`] finds it.
#[inline(always)]
unsafe fn finish_free<const IS_FAST: bool>(block: *mut u8, size: usize, bytes: usize, site: usize) {
    // SAFETY: the slot is the heap's now; byte -1 is the slot in front (slot 0
    // is never handed out).
    unsafe {
        if !poison::canary_holds(block, size, bytes) {
            return overflowed(block, size, bytes, site);
        }
        if *block.sub(1) != POISON_END {
            return check_front(block, size, bytes, site);
        }
        if config::poisons() {
            if IS_FAST {
                poison::fill(block, size, bytes);
            } else {
                poison::fill_in_order(block, size, bytes);
            }
        }
    }
}

#[cold]
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
unsafe extern "C" fn free_full(block: *mut u8, site: usize) {
    let cache = tls::cache();
    let class = (block as usize).wrapping_sub(base_if_chosen()) >> CLASS_SHIFT;
    let busy = Busy::new();
    // SAFETY: the fast path came here: there is a cache, and the class is small.
    unsafe {
        (*cache).make_room(class);
        report::tell_pending(cache);
        drop(busy);
        free(block, site);
    }
}

/// A block's canary is damaged; its slot is in quarantine but not poisoned. In the
/// heap's section: until the step is counted, a handler may not take the slot for a
/// free one.
#[cold]
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
unsafe extern "C" fn overflowed(block: *mut u8, size: usize, bytes: usize, site: usize) {
    if !config::poisons() {
        return;
    }
    let _busy = Busy::new();
    let Place::In(slot, true) = locate(block as usize) else { return };
    let meta = slot.meta();
    let flags = meta.load().flags();
    retire(meta);
    if flags & REPORTED != 0 {
        return counters::add(Counter::RepeatedMisuses, 1);
    }
    // SAFETY: the slot exists.
    let Some((first, last)) = (unsafe { poison::damage(block, size, bytes, bytes) }) else {
        return;
    };
    // Above `TAIL_LIMIT` a fresh slot has a canary word and zeros behind it.
    let last = if bytes > TAIL_LIMIT { last.min(size | 7) } else { last };
    let mut told = slot.block_of(meta.load());
    told.state = BlockState::Live;
    told.free_site = 0;
    deliver(&report::small_damage(slot, &told, Damage { first, last }, site));
}

fn retire(meta: &Meta) {
    meta.set_flags(REPORTED | RETIRED);
    counters::add(Counter::RetiredSlots, 1);
}

/// The byte in front of a block is not what a slot ends with. Finds out whether
/// the block was underflowed; then poisons it, which the fast path left to us. In the
/// heap's section for the same reason as [`overflowed`].
#[cold]
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
unsafe extern "C" fn check_front(block: *mut u8, size: usize, bytes: usize, site: usize) {
    if !config::poisons() {
        return;
    }
    let _busy = Busy::new();
    // SAFETY: the slot is in quarantine and not poisoned yet.
    unsafe { poison::fill_in_order(block, size, bytes) };
    let Place::In(slot, true) = locate(block as usize) else { return };
    // SAFETY: the byte in front is the slot in front.
    let byte = unsafe { block.sub(1).read_volatile() };
    // The byte before the state: see `purge`.
    fence(Acquire);
    // Slots above the limit do not end in poison, nor do fresh ones.
    if front_state(slot) == NEVER {
        if byte != 0 {
            check_fresh(slot, site);
        }
        return;
    }
    if bytes > TAIL_LIMIT || byte == POISON_END {
        return;
    }
    let front = Slot { index: slot.index - 1, ..slot };
    let word = front.meta().load();
    let own_size = word.size();
    let base = front.base() as *const u8;
    // SAFETY: the slot in front exists.
    let Some((first, last)) = (unsafe { poison::damage(base, own_size, bytes, bytes) }) else {
        return;
    };
    // Damage from its own end on is told as its overflow when it is freed.
    if word.state() == RETIRED || word.flags() & REPORTED != 0 || first <= own_size {
        return;
    }
    // Its owner, another thread, may have grown it since, and written there.
    fence(Acquire);
    if front.meta().load() != word {
        return;
    }
    let mut owner = front.block_of(word);
    owner.size = own_size;
    let mut next = slot.block_of(slot.meta().load());
    next.free_site = 0;
    let misuse = report::underflow(front, &owner, &next, Damage { first, last }, site);
    // Only ever told once: the slot in front is marked, or healed if it is free
    // (its last bytes are nobody's data).
    if word.state() == LIVE {
        front.meta().add_flag(REPORTED);
    } else {
        // Held, lest its memory is given back: then it is zero, and stays so.
        let _held = DEPOTS[front.class].lock();
        let is_free = matches!(front.meta().load().state(), QUARANTINED | FREE);
        for at in (first..=last).filter(|_| is_free) {
            // SAFETY: inside the slot in front, which is free.
            unsafe { base.cast_mut().add(at).write(poison::expected_at(at, bytes)) };
        }
    }
    deliver(&misuse);
}

/// Tells of bytes that a block wrote to a slot that was never used.
fn check_fresh(slot: Slot, site: usize) {
    if let Some(misuse) = fresh::underflow(slot, site)
        && fresh::mark(slot)
    {
        deliver(&misuse);
    }
}

fn front_state(slot: Slot) -> u8 {
    Slot { index: slot.index - 1, ..slot }.meta().load().state()
}

/// Frees whatever the fast path did not.
#[cold]
#[inline(never)]
pub extern "C" fn free_slow(block: *mut u8, site: usize) {
    let addr = block as usize;
    if addr == 0 {
        return;
    }
    let _busy = Busy::new();
    if signal::is_nested() {
        signal::tell_call(site);
        return free_nested(addr, site);
    }
    signal::free_left(free_now);
    free_now(addr, site);
}

/// Frees what is not nested.
pub fn free_now(addr: usize, site: usize) {
    match locate(addr) {
        Place::Foreign => {
            let handled =
                crate::observer::observer().is_some_and(|who| who.foreign_free(addr, site));
            if !handled {
                deliver(&Misuse::of(MisuseKind::InvalidFree, addr, None, site));
            }
        }
        Place::Nowhere => deliver(&Misuse::of(MisuseKind::InvalidFree, addr, None, site)),
        Place::Huge => huge::free(addr, site),
        Place::In(slot, is_start) if !slot.is_small() => large::free(slot, is_start, addr, site),
        Place::In(slot, is_start) => free_small(slot, is_start, addr, site),
    }
}

/// Frees for a signal handler that interrupted the heap: at once where no lock of
/// the interrupted call can be in the way and nobody watches.
fn free_nested(addr: usize, site: usize) {
    match locate(addr) {
        Place::In(slot, is_start) if slot.is_small() => {
            if !check_live(slot, is_start, addr, site) {
                return;
            }
            let is_watched = slot.meta().load().flags() & WATCHED != 0;
            if is_watched || !DEPOTS[slot.class].is_open() {
                return signal::free_later(addr, site);
            }
            free_to_depot(slot, site);
        }
        Place::In(..) | Place::Huge => signal::free_later(addr, site),
        Place::Foreign | Place::Nowhere => free_now(addr, site),
    }
}

/// Whether a small slot holds a live block that starts at `addr`; if not, tells
/// what the call did wrong, once per object.
pub fn check_live(slot: Slot, is_start: bool, addr: usize, site: usize) -> bool {
    let meta = slot.meta();
    let word = meta.load();
    if word.state() == LIVE && is_start {
        return true;
    }
    let is_double =
        is_start && (matches!(word.state(), QUARANTINED | FREE | RETIRED) || word.was_used());
    let kind = if is_double { MisuseKind::DoubleFree } else { MisuseKind::InvalidFree };
    if word.state() == NEVER && !word.was_used() {
        deliver(&Misuse::of(kind, addr, None, site));
    } else if word.flags() & REPORTED == 0 {
        // Found with `block` first: the flag does not change what it says.
        let block = slot.block_of(word);
        meta.add_flag(REPORTED);
        deliver(&Misuse::of(kind, addr, Some(block), site));
    } else {
        counters::add(Counter::RepeatedMisuses, 1);
    }
    false
}

fn free_small(slot: Slot, is_start: bool, addr: usize, site: usize) {
    if !check_live(slot, is_start, addr, site) {
        return;
    }
    if slot.meta().load().flags() & FAMILY != 0 {
        family::leave(addr, Family::Malloc, None, site);
    }
    if !end_watch(slot, site) {
        return;
    }
    let cache = cache::current();
    if cache.is_null() {
        return free_to_depot(slot, site);
    }
    let meta = slot.meta();
    // SAFETY: the cache is this thread's, and the slot exists.
    unsafe {
        while bin(cache, slot.class).is_full() {
            (*cache).make_room(slot.class);
            report::tell_pending(cache);
        }
        bin(cache, slot.class).limit.store(DEPOTS[slot.class].bump(), Relaxed);
        let Some(word) = end(meta) else {
            // Freed by somebody else, or by the observer, since we looked.
            check_live(slot, is_start, addr, site);
            return;
        };
        bin(cache, slot.class).push(slot.index, site);
        finish_reported(slot, word);
        if meta.load().state() == QUARANTINED {
            finish_free::<false>(slot.base() as *mut u8, word.size(), slot.bytes(), site);
        }
    }
}

/// Takes a slot from Live to Quarantined and returns the word it had, if it was
/// live. A sweep may be changing flags meanwhile.
fn end(meta: &Meta) -> Option<Word> {
    loop {
        let word = meta.load();
        if word.state() != LIVE {
            return None;
        }
        if meta.swap_flags(word.flags(), word.flags() & REPORTED | QUARANTINED) {
            return Some(word);
        }
    }
}

/// A block of which a misuse was told already is checked to its slot's end, and
/// retired in silence if it is damaged.
fn finish_reported(slot: Slot, word: Word) {
    if word.flags() & REPORTED == 0 || slot.bytes() > TAIL_LIMIT {
        return;
    }
    let base = slot.base() as *const u8;
    // SAFETY: the slot exists.
    if unsafe { poison::damage(base, word.size(), slot.bytes(), slot.bytes()) }.is_some() {
        counters::add(Counter::RepeatedMisuses, 1);
        retire(slot.meta());
    }
}

/// Tells the observer of a watched block's end and clears the mark; `false`: the block
/// is kept, and watched as before.
fn end_watch(slot: Slot, site: usize) -> bool {
    let word = slot.meta().load();
    if word.flags() & WATCHED == 0 {
        return true;
    }
    let block = Block { free_site: site, ..slot.block_of(word) };
    let ends = tell_freeing(&block, site);
    if ends {
        slot.meta().remove_flag(WATCHED);
    }
    ends
}

/// Frees for a thread that has no cache: no quarantine, the depot's order is
/// all the delay there is.
#[cold]
fn free_to_depot(slot: Slot, site: usize) {
    let meta = slot.meta();
    let Some(word) = end(meta) else {
        check_live(slot, true, slot.base(), site);
        return;
    };
    finish_reported(slot, word);
    if meta.load().state() == QUARANTINED {
        // SAFETY: the slot exists and is this thread's.
        unsafe { finish_free::<false>(slot.base() as *mut u8, word.size(), slot.bytes(), site) };
    }
    counters::freed(slot.class, slot.bytes());
    let flags = meta.load().flags();
    if flags & (STATE | REPORTED) == QUARANTINED | REPORTED {
        retire(meta);
    } else if flags & STATE == QUARANTINED && meta.swap_flags(flags, FREE) {
        let depot = &DEPOTS[slot.class];
        let mut inner = depot.lock();
        inner.free.insert(slot.index as u32);
        depot.publish_count(&inner);
    }
}
