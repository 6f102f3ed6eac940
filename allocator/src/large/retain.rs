//! Which free large blocks stay in memory, and giving the others back.
//!
//! Ground rules. What is retained grows with what is live, or programs of large
//! blocks would spend their time on page faults, and others on memory. A slot
//! whose pages were given back is in the set `purged`; where guards are on, its
//! pages are guarded, so that a stale access traps.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::alone;
use crate::class::{ALL_CLASSES, CLASSES, SMALL_CLASSES};
use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::guard::plan::Guards;
use crate::os::PAGE;
use crate::place::Slot;
use crate::slot::{QUARANTINED, REPORTED, RETIRED, STATE};
use crate::{config, guard, os, pressure};

use super::canary::{poison_holds, retire_stale};
use super::guards::set_whole;
use super::meta::{Meta, UNMAPPED, meta, pages};
use super::sparse;

/// What may always be retained ...
const RETAIN_LEAST: usize = 4 << 20;
/// ... or, if the program has freed larger blocks, so many of the largest (who
/// builds and frees such a block does so again) ...
const RETAIN_BLOCKS: usize = 2;
/// ... up to this, or one of them ...
const RETAIN_MOST: usize = 16 << 20;
/// ... and this part of the live large bytes.
const RETAIN_SHARE: usize = 1;

/// Bytes asked for in live large blocks.
pub static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);
/// Bytes that slots in the sets `free` hold.
pub static RETAINED: AtomicUsize = AtomicUsize::new(0);
/// The largest `dirty` of a block freed so far.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// Bytes that may be retained while `live` bytes are live and a block of `dirty`
/// bytes is freed.
fn budget(live: usize, dirty: usize) -> usize {
    let mut largest = LARGEST.load(Relaxed);
    if dirty > largest {
        largest = dirty;
        // A lost update costs a few page faults.
        LARGEST.store(largest, Relaxed);
    }
    let some = (RETAIN_BLOCKS * largest).clamp(RETAIN_LEAST, RETAIN_MOST);
    some.max(largest) + live / RETAIN_SHARE
}

/// Counts so many bytes of a slot as retained, instead of what was counted before.
pub fn count_retained(meta: &Meta, bytes: usize) {
    let bytes = bytes.next_multiple_of(PAGE);
    RETAINED.fetch_add(bytes.wrapping_sub(meta.swap_counted(bytes)), Relaxed);
}

/// Whether a slot whose block is freed while `live` bytes are live is to stay in
/// memory; then it is counted as retained.
pub fn retains(slot: Slot, meta: &Meta, live: usize) -> bool {
    if pressure::is_on() {
        return false;
    }
    let dirty = meta.dirty();
    let budget = budget(live, dirty);
    let is_over = |bytes: usize| {
        count_retained(meta, bytes);
        RETAINED.load(Relaxed) > budget
    };
    if !is_over(dirty) {
        return true;
    }
    // Where it matters, what counts is what is in memory.
    let bytes = sparse::in_memory(slot, meta);
    let retains = !is_over(bytes) || make_room(slot.class, bytes, budget);
    if !retains {
        count_retained(meta, 0);
        // The budget falls with what is live: who frees all of it keeps little.
        if RETAINED.load(Relaxed) > budget {
            evict_any();
        }
    }
    retains
}

/// Gives the pages of one retained slot back, of the largest class that has any.
fn evict_any() {
    let classes = (SMALL_CLASSES..CLASSES).rev();
    let mut retaining = classes.filter(|&class| DEPOTS[class].count_hint() > 0);
    retaining.any(evict);
}

/// Whether retained slots of other classes made room in the budget for a block
/// of a class that retains none: else sizes that are out of use would keep
/// those in use from it for good.
fn make_room(class: usize, dirty: usize, budget: usize) -> bool {
    if dirty > budget || DEPOTS[class].count_hint() > 0 {
        return false;
    }
    let others = (SMALL_CLASSES..CLASSES).rev().filter(|&other| other != class);
    for other in others {
        while DEPOTS[other].count_hint() > 0 && evict(other) {
            if RETAINED.load(Relaxed) <= budget {
                return true;
            }
        }
    }
    false
}

/// Whether more is retained than always may be: then memory that the program did
/// not touch is not to be taken for it.
pub fn is_much_retained() -> bool {
    RETAINED.load(Relaxed) > RETAIN_LEAST
}

/// Gives a slot's pages back; false if the kernel refused.
pub fn discard(slot: Slot, meta: &Meta) -> bool {
    let len = meta.dirty().next_multiple_of(PAGE);
    // SAFETY: slots of large classes are whole pages; the caller owns this one
    // and its content is dead.
    let done = unsafe { os::discard(slot.base(), len) };
    if done {
        meta.set_dirty(0);
    }
    done
}

/// Gives a free slot's pages back and takes the access to them away. False if
/// the kernel refused: then what is left of the content is poison, or shut.
pub fn purge(slot: Slot, meta: &Meta) -> bool {
    // A block that lies alone is too small for a program to change its access.
    if meta.shut() == 0 && !alone::is_alone(slot) {
        give_access(slot, meta);
    }
    let purged = set_whole(slot, meta);
    if purged {
        meta.set_dirty(0);
    }
    purged || discard(slot, meta)
}

/// Undoes what the program did to the access to its block, which it may free so:
/// libc unmaps blocks of such a size. False if it has to stay.
pub fn give_access(slot: Slot, meta: &Meta) -> bool {
    let open = meta.open_bytes(pages(slot));
    // SAFETY: the slot is the caller's, or the heap's; no guard is in front of `open`.
    open > 0 && unsafe { os::protect(slot.base(), open, true) }
}

/// Takes a free slot out of use for good: a misuse of its block was told.
pub fn drop_slot(slot: Slot, meta: &Meta) {
    if meta.state() != RETIRED {
        meta.set(RETIRED | REPORTED);
        counters::add(Counter::RetiredSlots, 1);
    }
    purge(slot, meta);
}

/// Gives the pages of one retained slot back, after verifying it. False if there
/// is none, or the kernel refused.
fn evict(class: usize) -> bool {
    let depot = &DEPOTS[class];
    let mut one = [0];
    {
        let mut inner = depot.lock();
        if inner.free.take(&mut one) == 0 {
            return false;
        }
        depot.publish_count(&inner);
    }
    let slot = Slot { class, index: one[0] as usize };
    let meta = meta(slot);
    // Before its poison goes: who looks meanwhile shall not take it for damage.
    let Some(state) = meta.claim(QUARANTINED) else {
        count_retained(meta, 0);
        drop_slot(slot, meta);
        return true;
    };
    // SAFETY: the slot is this thread's.
    if config::poisons() && !unsafe { poison_holds(slot, meta) } {
        count_retained(meta, 0);
        retire_stale(slot, meta);
        return true;
    }
    let is_given_back = purge(slot, meta);
    if is_given_back {
        count_retained(meta, 0);
    } else {
        // If the trap retired it meanwhile, who takes it will drop it.
        meta.swap(QUARANTINED, state);
    }
    let mut inner = depot.lock();
    let set = if is_given_back { &mut inner.purged } else { &mut inner.free };
    set.insert(one[0]);
    depot.publish_count(&inner);
    is_given_back
}

/// Gives the pages of all retained slots back; whether there were any.
pub fn trim() -> bool {
    let mut any = false;
    for (class, depot) in DEPOTS.iter().enumerate().take(CLASSES).skip(SMALL_CLASSES) {
        while depot.count_hint() > 0 && evict(class) {
            any = true;
        }
    }
    any
}

/// Bytes of live blocks, and bytes that free slots retain.
pub fn held_bytes() -> (usize, usize) {
    (LIVE_BYTES.load(Relaxed), RETAINED.load(Relaxed))
}

/// Unmaps what free large slots hold, for a call that found no memory. True if
/// there was anything: trying again may succeed.
#[cold]
pub fn give_back() -> bool {
    let mut any = false;
    for (class, depot) in DEPOTS.iter().enumerate().take(ALL_CLASSES).skip(SMALL_CLASSES) {
        if depot.bump() == 0 {
            continue;
        }
        let mut inner = depot.lock();
        alone::release_all(class, &mut inner);
        let mut at = 0;
        while let Some(index) = inner.free.next_member(at) {
            at = index + 1;
            let slot = Slot { class, index: index as usize };
            // Poison that cannot be unmapped stays where it is.
            if unmap(slot) {
                count_retained(meta(slot), 0);
                inner.free.remove(index);
                inner.purged.insert(index);
                any = true;
            }
        }
        at = 0;
        while let Some(index) = inner.purged.next_member(at) {
            at = index + 1;
            any |= unmap(Slot { class, index: index as usize });
        }
        depot.publish_count(&inner);
    }
    any
}

/// Unmaps a slot that is in one of the depot's sets, whose lock is held. False if
/// it has no memory, or the kernel refused.
pub fn unmap(slot: Slot) -> bool {
    let (meta, pages) = (meta(slot), pages(slot));
    let flags = meta.flags();
    // First the state: who looks meanwhile shall not read what is gone.
    if matches!(flags & STATE, UNMAPPED | RETIRED) || !meta.swap(flags, UNMAPPED | flags & REPORTED)
    {
        return false;
    }
    // SAFETY: a free slot in a set whose lock is held.
    if !unsafe { os::unmap(slot.base(), slot.bytes()) } {
        meta.swap(UNMAPPED | flags & REPORTED, flags);
        return false;
    }
    guard::reserve(meta.guards(pages).extents(pages), 0);
    if meta.shut() != 0 {
        guard::release_shut();
    }
    meta.set_guards(Guards::WHOLE, pages);
    meta.set_shut(0);
    meta.set_dirty(0);
    true
}
