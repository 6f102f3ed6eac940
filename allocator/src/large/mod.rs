//! Large blocks: 32 KiB to 64 MiB, from classes without thread caches.
//!
//! ```text
//!    Never --alloc--> Taken --> Live --free--> Quarantined --> Free (poisoned or shut)
//!                       ^         |                 |            |          |
//!                       |         +- damaged, told -+            | evict    | alloc, verified
//!                       |                 v         v            v          v
//!                       |               Retired    Quarantined (purged)   Taken
//!                       |                 ^          |        |
//!                       +-----------------|--alloc---+        | give_back
//!                       |                 +-- trap --+        v
//!                       +-----------alloc------------------ Unmapped
//! ```
//!
//! Ground rules. Free slots are in one of the depot's two sets, `free` (poisoned or
//! shut, pages in memory) or `purged`; whoever takes a slot out of a set or wins the
//! change from Live to Quarantined owns its memory and metadata. Filling,
//! verifying, guarding and giving back happen without the lock. The trap may
//! retire a free slot at any time: hence every change of a free slot's state is
//! a compare-and-swap, and who takes a retired one out of a set drops it.
//!
//! Of a slot's memory the first `dirty` bytes may differ from zero. In a free
//! slot all of those that are not shut are poison (no end byte: a slot's end is rarely touched),
//! but for the page that is guarded.
//!
//! `meta`: what is kept of a slot; `guards`: its guard pages; `ahead`: those of a block
//! that grows; `canary`: what surrounds a block; `matching`: which slot it gets; `retain`: which free blocks stay in memory; `shut`, `sparse`:
//! how, and when it is not worth it; `sweep`.

mod ahead;
mod canary;
mod ends;
mod guards;
mod matching;
mod meta;
mod retain;
mod shut;
mod sparse;
mod sweep;

use core::sync::atomic::Ordering::Relaxed;

use crate::alone;
use crate::class::{self, SMALL_CLASSES};
use crate::counters::{self, Counter};
use crate::depot::{DEPOTS, Inner};
use crate::family::{self, FAMILY, Family};
use crate::guard::{note_move, plan::Guards};
use crate::observer::Block;
use crate::observer::{Misuse, MisuseKind, deliver, resolve, tell_freeing};
use crate::os::PAGE;
use crate::place::Slot;
use crate::slot::{FREE, LIVE, QUARANTINED, REPORTED, STATE, WATCHED};
use crate::{config, os, poison, pressure, signal, tls};

use canary::{canary_damage, canary_end, is_out_of_use, poison_holds, retire_stale};
use meta::pages;
use retain::{LIVE_BYTES, count_retained, discard, drop_slot, is_much_retained, purge, retains};

pub use ahead::{class_for as roomy_class, go_on};
pub use ends::{damage_behind, sweep_ends};
pub use guards::pages_of;
pub use meta::{Meta, TAKEN, UNMAPPED, meta};
pub use retain::{give_access, give_back, held_bytes, trim, unmap};
pub use shut::open_all;
pub use sweep::sweep_retained;

/// A shrunk block gives pages back if there are so many bytes of them.
const SHRINK: usize = 64 << 10;

fn note_step() {
    // SAFETY: the calling thread's cache, if any.
    if let Some(cache) = unsafe { tls::cache().as_ref() } {
        cache.large_steps.store(cache.large_steps.load(Relaxed) + 1, Relaxed);
    }
}

/// The class for a block of `size` bytes at a multiple of `align`, with room for
/// its guard page.
pub fn class_for(size: usize, align: usize) -> Option<usize> {
    let room = if config::guards() { pages_of(size) * PAGE + PAGE - 1 } else { size };
    class::of_aligned(room, align).map(|class| class.max(SMALL_CLASSES))
}

/// Allocates `size` bytes from a large class; `zero` if it must read as zero.
/// None if the class's region is full or there is no memory.
pub fn allocate(
    class: usize,
    (size, align): (usize, usize),
    site: usize,
    zero: bool,
) -> Option<*mut u8> {
    loop {
        let (slot, was_retained) = match take(class, size, align) {
            Some(taken) => taken,
            None if !signal::is_nested() && pressure::give_back() => continue,
            None => return None,
        };
        let meta = meta(slot);
        if was_retained {
            count_retained(meta, 0);
        }
        let Some(was) = meta.claim(TAKEN) else {
            drop_slot(slot, meta);
            continue;
        };
        if was == UNMAPPED {
            note_move(slot.base());
            meta.set_guards(Guards::none(pages(slot)), pages(slot));
        }
        let is_shut = meta.shut() == pages(slot);
        let is_poison = was_retained && !is_shut && config::poisons();
        // SAFETY: the slot is this thread's.
        if is_poison && !unsafe { poison_holds(slot, meta) } {
            retire_stale(slot, meta);
            continue;
        }
        if is_poison {
            counters::add(Counter::VerifiedBytes, meta.dirty() as u64);
        }
        let old = (meta.guards(pages(slot)), meta.shut());
        let lead = alone::lead(slot, || size);
        let len = lead + size;
        if !guards::set_end(slot, meta, len) {
            drop_slot(slot, meta);
            continue;
        }
        meta.begin_change();
        let base = slot.base() as *mut u8;
        if zero && is_shut && sparse::is_sparse(slot, meta) {
            // Cheaper than to zero pages that may read as zero; if refused, we do.
            discard(slot, meta);
        }
        let (dirty, end) = (meta.dirty(), canary_end(slot, meta, len));
        // Behind a guard that stayed where it was all is poison already.
        let has_canary = is_poison && (meta.guards(pages(slot)), meta.shut()) == old;
        let from = if has_canary { dirty.clamp(len, end) } else { len };
        meta.raise_dirty(end);
        // SAFETY: the slot is this thread's, and open up to `end`.
        unsafe {
            if zero {
                base.write_bytes(0, len.min(dirty));
            }
            poison::fill_plain(base, lead);
            poison::fill_plain(base.add(from), end - from);
        }
        meta.set_size(size, 0);
        meta.alloc_site.store(site as u32, Relaxed);
        meta.free_site.store(0, Relaxed);
        meta.end_change();
        meta.set(LIVE);
        LIVE_BYTES.fetch_add(size, Relaxed);
        counters::allocated(slot.class, size);
        note_step();
        return Some(base.wrapping_add(lead));
    }
}

/// Takes a free slot, or makes one; and whether it was retained.
fn take(class: usize, size: usize, align: usize) -> Option<(Slot, bool)> {
    let depot = &DEPOTS[class];
    let has_none = depot.count_hint() == 0;
    if let Some(slot) = if has_none { matching::take_larger(class, align) } else { None } {
        return Some((slot, true));
    }
    let mut inner = depot.lock();
    let retained = matching::take(class, &mut inner.free, size);
    let mut one = [retained.unwrap_or(0)];
    if retained.is_none() && !take_purged(class, &mut inner, &mut one) {
        one[0] = depot.grow(class, 1, &mut inner)?.0;
    }
    depot.publish_count(&inner);
    Some((Slot { class, index: one[0] as usize }, retained.is_some()))
}

fn take_purged(class: usize, inner: &mut Inner, one: &mut [u32; 1]) -> bool {
    if inner.purged.take(one) == 0 {
        return false;
    }
    let slot = Slot { class, index: one[0] as usize };
    // In this order: a trap that retires the slot maps pages of it afterwards.
    if meta(slot).state() == UNMAPPED
        && os::map_at(slot.base(), slot.bytes()).is_err()
        && meta(slot).state() == UNMAPPED
    {
        inner.purged.insert(one[0]);
        return false;
    }
    true
}

/// Whether a large slot holds a live block that starts at `addr`; tells if not.
pub fn check_live(slot: Slot, is_start: bool, addr: usize, site: usize) -> bool {
    let meta = meta(slot);
    let flags = meta.flags();
    if flags & STATE == LIVE && is_start {
        return true;
    }
    let kind = if is_start { MisuseKind::DoubleFree } else { MisuseKind::InvalidFree };
    match meta.block(slot.start()) {
        None => deliver(&Misuse::of(MisuseKind::InvalidFree, addr, None, site)),
        Some(_) if flags & REPORTED != 0 => counters::add(Counter::RepeatedMisuses, 1),
        Some(block) => {
            meta.add_flag(REPORTED);
            deliver(&Misuse::of(kind, addr, Some(block), site));
        }
    }
    false
}

/// Frees a large block.
#[cold]
pub fn free(slot: Slot, is_start: bool, addr: usize, site: usize) {
    let meta = meta(slot);
    let mut was_watched = false;
    loop {
        if !check_live(slot, is_start, addr, site) {
            return;
        }
        if meta.flags() & FAMILY != 0 {
            family::leave(addr, Family::Malloc, None, site);
        }
        let flags = meta.flags();
        if flags & WATCHED != 0 {
            if let Some(block) = meta.block(slot.start())
                && !tell_freeing(&Block { free_site: site, ..block }, site)
            {
                return;
            }
            meta.replace_flags(WATCHED, 0);
            was_watched = true;
            continue;
        }
        if flags & STATE == LIVE && meta.swap(flags, flags & REPORTED | QUARANTINED) {
            break;
        }
    }
    let size = meta.size();
    let live = LIVE_BYTES.fetch_sub(size, Relaxed);
    meta.free_site.store(site as u32, Relaxed);
    counters::freed(slot.class, size);
    note_step();
    if alone::is_alone(slot) {
        alone::freed(slot);
    }
    if is_out_of_use(slot, meta, size, site) {
        return;
    }
    let is_meant = was_watched || alone::is_alone(slot) || config::isolates_all();
    if alone::holds(is_meant, resolve(meta.alloc_site.load(Relaxed)), slot.bytes()) {
        // Before the guard: who traps there asks for it.
        meta.add_flag(WATCHED);
        alone::note_free(slot.base());
        alone::make_way();
        if purge(slot, meta) && (meta.guards(pages(slot)) == Guards::WHOLE || meta.shut() != 0) {
            return alone::hold(slot);
        }
        meta.replace_flags(WATCHED, 0);
        alone::count_released(slot.bytes());
    }
    let retain = put_away(slot, meta, size, live);
    if retain {
        // If the trap retired it meanwhile, who takes it will drop it.
        meta.swap(QUARANTINED, FREE);
    }
    let depot = &DEPOTS[slot.class];
    let mut inner = depot.lock();
    let set = if retain { &mut inner.free } else { &mut inner.purged };
    set.insert(slot.index as u32);
    if !retain && pressure::is_on() {
        unmap(slot);
    }
    depot.publish_count(&inner);
}

/// Keeps a freed block's memory, or gives it back; whether it was kept, shut or
/// poisoned.
fn put_away(slot: Slot, meta: &Meta, size: usize, live: usize) -> bool {
    let dirty = meta.dirty();
    let mut stays = retains(slot, meta, live);
    if stays && shut::is_worth_it(dirty, meta.growths()) && shut::shut(slot, meta) {
        return true;
    }
    // Without guards a stale write to it would not be told.
    let may_go = stays && config::poisons() && config::guards();
    if may_go && is_much_retained() && sparse::is_sparse(slot, meta) {
        count_retained(meta, 0);
        stays = false;
    }
    if !stays {
        if purge(slot, meta) {
            return false;
        }
        count_retained(meta, dirty);
    }
    let len = alone::lead(slot, || size) + size;
    if config::poisons() && meta.shut() < pages(slot) {
        // SAFETY: the slot is this thread's since the state changed.
        unsafe { poison::fill_plain(slot.base() as *mut u8, len) };
        meta.note_filled(len);
        counters::add(Counter::PoisonedBytes, size as u64);
    }
    true
}

/// Resizes a block in place if it stays in its slot and keeps a quarter of its
/// size. The caller checked that the block is live.
pub fn resize(slot: Slot, size: usize, site: usize) -> bool {
    let meta = meta(slot);
    let old = meta.size();
    let room = if config::guards() { slot.bytes() - PAGE } else { slot.bytes() - 1 };
    // A block of which a misuse was told moves: its slot is retired as it is freed.
    let moves = size > room
        || alone::is_alone(slot)
        || size < old / 4
        || meta.flags() & REPORTED != 0
        || config::poisons() && canary_damage(slot, meta, old, size).is_some();
    if moves {
        return false;
    }
    meta.begin_change();
    let resized = resize_now(slot, meta, size, old);
    if resized {
        let growths = ahead::growths(meta, old, size);
        meta.set_size(size, growths);
        meta.alloc_site.store(site as u32, Relaxed);
        LIVE_BYTES.fetch_add(size.wrapping_sub(old), Relaxed);
        counters::add_live((size as u64).wrapping_sub(old as u64));
        note_step();
    }
    meta.end_change();
    resized
}

/// Moves the guard and writes the canary of a block that is resized.
fn resize_now(slot: Slot, meta: &Meta, size: usize, old: usize) -> bool {
    // Up to there it is poison.
    let canary = canary_end(slot, meta, old);
    let (from, stale) = if size < old {
        (size, shrink(slot, meta, size, old))
    } else if ahead::reaches(slot, meta, size) || ahead::set_end(slot, meta, size) {
        (canary.max(size), 0)
    } else {
        return false;
    };
    let end = canary_end(slot, meta, size).max(stale);
    meta.raise_dirty(end);
    // SAFETY: all inside the slot, open, and behind the block's new end.
    unsafe { poison::fill_plain((slot.base() + from) as *mut u8, end.saturating_sub(from)) };
    true
}

/// Guards or gives back what a block that shrinks leaves; where what is left of
/// its content ends.
fn shrink(slot: Slot, meta: &Meta, size: usize, old: usize) -> usize {
    guards::set_shrunk(slot, meta, size);
    let (keep, dirty) = (canary_end(slot, meta, size).next_multiple_of(PAGE), meta.dirty());
    let rest = dirty.next_multiple_of(PAGE).saturating_sub(keep);
    // SAFETY: inside the slot, and behind the block's new end.
    if rest >= SHRINK && unsafe { os::discard(slot.base() + keep, rest) } {
        meta.set_dirty(keep);
        return keep;
    }
    old.min(meta.dirty()).min(meta.open_bytes(pages(slot)))
}
