//! Guarding the pages of a large slot.
//!
//! Ground rules. Called by the slot's owner. A guard that cannot be had is done
//! without: then canary bytes stand behind the block.

use core::ops::Range;

use crate::counters::{self, Counter};
use crate::guard::plan::{Guards, Plan};
use crate::os::PAGE;
use crate::place::Slot;
use crate::{config, guard, os, poison};

use super::meta::{Meta, pages};
use super::shut;

/// Number of pages of a block; the one behind them is its guard.
pub fn pages_of(size: usize) -> usize {
    size.div_ceil(PAGE).max(1)
}

/// Guards the page behind a block of `size` bytes; none if guards are off or the
/// slot has no page left. False if the slot cannot be used for it.
pub fn set_end(slot: Slot, meta: &Meta, size: usize) -> bool {
    let pages = pages(slot);
    if meta.shut() != 0 {
        return shut::open(slot, meta, size);
    }
    let old = meta.guards(pages);
    if meta.take_opened() {
        // What was written there must not come back as zero memory.
        let again = Plan { install: old.own..pages, ..Plan::from(old, old.own) };
        if !carry_out(slot, meta, &again) || meta.guards(pages) != again.guards {
            return false;
        }
    }
    let old = meta.guards(pages);
    if pages_of(size) <= old.own && !os::may_guard() {
        // It stays where it is, behind a canary.
        return true;
    }
    let end = if config::guards() { pages_of(size).min(pages) } else { pages };
    let plan = Plan::at(old, end, meta.dirty().div_ceil(PAGE));
    old.own == end || carry_out(slot, meta, &plan) || pages_of(size) <= old.own
}

/// Guards everything behind a block of `size` bytes, which shrinks to that.
pub fn set_shrunk(slot: Slot, meta: &Meta, size: usize) {
    if meta.shut() != 0 {
        shut::open(slot, meta, size);
        return;
    }
    let old = meta.guards(pages(slot));
    let end = pages_of(size);
    if config::guards() && end < old.own {
        carry_out(slot, meta, &Plan::from(old, end));
    }
}

/// Takes access and content from the whole slot; false if that was refused:
/// then what is left of the content is poison, or shut.
pub fn set_whole(slot: Slot, meta: &Meta) -> bool {
    if !config::guards() {
        return false;
    }
    let was_shut = meta.shut() != 0;
    if !was_shut && !guard::is_long(meta.dirty()) {
        return guard_whole(slot, meta);
    }
    if !shut::shut(slot, meta) {
        return !was_shut && guard_whole(slot, meta);
    }
    // SAFETY: the caller's slot, whose content it gives up. After the access:
    // nobody may write in between.
    if !unsafe { os::discard(slot.base(), slot.bytes()) } {
        return !was_shut && shut::release(slot, meta) && guard_whole(slot, meta);
    }
    counters::add(Counter::GuardPages, pages(slot) as u64);
    meta.set_dirty(0);
    // Guards cost no mapping; but those of a long slot take their time.
    if !guard::is_long(slot.bytes()) && guard_whole(slot, meta) {
        // If that is refused, it is guarded twice.
        shut::release(slot, meta);
    }
    true
}

/// Puts guards of the kernel on all pages.
fn guard_whole(slot: Slot, meta: &Meta) -> bool {
    let pages = pages(slot);
    let mut plan = Plan::from(meta.guards(pages), 0);
    if meta.take_opened() {
        plan.install.end = pages;
    }
    carry_out(slot, meta, &plan) && meta.guards(pages) == Guards::WHOLE
}

/// Carries a plan out. False if pages could not be opened: nothing changed. If
/// pages could not be guarded, all in front of the old tail are open, those of
/// the plan poison.
pub fn carry_out(slot: Slot, meta: &Meta, plan: &Plan) -> bool {
    let (base, pages) = (slot.base(), pages(slot));
    let old = meta.guards(pages);
    let range = |pages: &Range<usize>| (base + pages.start * PAGE, pages.len() * PAGE);
    if !plan.remove.is_empty() {
        let (addr, len) = range(&plan.remove);
        guard::note_move(base);
        // SAFETY: pages of the caller's slot.
        unsafe {
            if !guard::remove(addr, len) {
                return false;
            }
            if plan.poison {
                poison::fill_plain(addr as *mut u8, len);
            }
        }
    }
    let fits = guard::reserve(old.extents(pages), plan.guards.extents(pages));
    meta.set_guards(plan.guards, pages);
    if plan.install.is_empty() {
        return true;
    }
    let (addr, len) = range(&plan.install);
    // SAFETY: pages of the caller's slot, whose content it gives up.
    if fits && unsafe { guard::install(addr, len) } {
        meta.set_dirty(meta.dirty().min(plan.guards.rest * PAGE));
        return true;
    }
    let tail = Guards::from(old.rest);
    let counted = if fits { plan.guards } else { old };
    guard::reserve(counted.extents(pages), tail.extents(pages));
    guard::note_move(base);
    let first = plan.install.start * PAGE;
    let until = meta.dirty().min(old.rest * PAGE);
    // SAFETY: as above.
    unsafe {
        if !guard::remove(addr, (old.rest * PAGE).saturating_sub(first)) {
            // As it is, and not to be trusted.
            meta.add_opened();
            return true;
        }
        poison::fill_plain(addr as *mut u8, until.saturating_sub(first));
    }
    meta.set_guards(tail, pages);
    true
}
