//! Slots that are protected by `mprotect` while their content stays in memory.
//!
//! A freed block that stays in memory need not be filled and verified if nobody can
//! touch it: the whole slot is shut. The next block opens the pages it needs and no
//! more, so what stays shut behind it is its guard. Two system calls, whatever the
//! sizes, and no page fault; a read of freed memory traps as well.
//!
//! ```text
//!   0 ............ open        pages        shut = pages - open
//!     [ the block    |X X X X X X]          a live block
//!     [X X X X X X X X X X X X X X]         a free one: the old content
//! ```
//!
//! Ground rules. Called by the slot's owner. What `shut` says covers what is: it is
//! raised before pages are shut and lowered after they are open. Guards of the
//! kernel may lie among the shut pages; they are removed when a block reaches them.

use crate::class::{CLASSES, SMALL_CLASSES};
use crate::depot::DEPOTS;
use crate::guard::plan::{Guards, Plan};
use crate::os::PAGE;
use crate::place::Slot;
use crate::slot::FREE;
use crate::{config, guard, os, poison};

use super::canary::poisoned;
use super::guards::{carry_out, pages_of};
use super::meta::{Meta, TAKEN, meta, pages};

/// A block of so many bytes costs less to shut than to fill and verify. Measured,
/// for blocks that the program fills: 256 KiB in the second cache 16 us each way,
/// in the third 39 us against 35; 1 MiB 69 against 26 and 154 against 53.
/// Half as much, since guards that need not move save two calls and a page fault.
const WORTH_IT: usize = 128 << 10;

/// Whether a freed block with so many bytes of content that grew so often in place
/// is to be shut: the next one may grow again, and a guard behind each step costs
/// less so.
pub fn is_worth_it(dirty: usize, growths: usize) -> bool {
    (dirty >= WORTH_IT || growths > 0) && config::guards() && config::poisons()
}

/// Shuts a whole slot. False if that was refused: then it is as it was.
pub fn shut(slot: Slot, meta: &Meta) -> bool {
    let (pages, old) = (pages(slot), meta.shut());
    if old == 0 && !guard::reserve_shut() {
        return false;
    }
    meta.set_shut(pages);
    // SAFETY: the caller's slot, whose block is dead. All of it, since the trap may
    // have opened pages.
    if unsafe { os::protect(slot.base(), slot.bytes(), false) } {
        return true;
    }
    guard::note_move(slot.base());
    // SAFETY: accessible is what these pages were.
    unsafe { os::protect(slot.base(), (pages - old) * PAGE, true) };
    meta.set_shut(old);
    if old == 0 {
        guard::release_shut();
    }
    false
}

/// Opens a slot that is shut for a block of `size` bytes, and no further. False
/// if the slot cannot be used for it.
pub fn open(slot: Slot, meta: &Meta, size: usize) -> bool {
    let (pages, end) = (pages(slot), pages_of(size));
    if meta.take_opened() && !renew(slot, meta) {
        return false;
    }
    if end >= pages || guard::is_shut_scarce() {
        return open_for_good(slot, meta, end.min(pages));
    }
    let own = meta.guards(pages).own;
    let range = |from: usize, to: usize| (slot.base() + from * PAGE, (to - from) * PAGE);
    if end > own {
        let (addr, len) = range(own, pages);
        guard::note_move(slot.base());
        // SAFETY: pages of the caller's slot.
        if !unsafe { guard::remove(addr, len) } {
            return false;
        }
        meta.set_guards(Guards::none(pages), pages);
    }
    let was_open = pages - meta.shut();
    if end > was_open {
        let (addr, len) = range(was_open, end);
        guard::note_move(slot.base());
        // SAFETY: as above.
        if !unsafe { os::protect(addr, len, true) } {
            return false;
        }
        meta.set_shut(pages - end);
    } else if end < was_open {
        let (addr, len) = range(end, was_open);
        meta.set_shut(pages - end);
        // SAFETY: as above; they are behind the block.
        if !unsafe { os::protect(addr, len, false) } {
            guard::note_move(slot.base());
            // SAFETY: as above. Parts may be done.
            unsafe { os::protect(addr, len, true) };
            meta.set_shut(pages - was_open);
        }
    }
    true
}

/// Opens a slot as a whole and gives it guards of the kernel, behind the page
/// `end`.
fn open_for_good(slot: Slot, meta: &Meta, end: usize) -> bool {
    release(slot, meta) && {
        let plan = Plan::anew(meta.guards(pages(slot)), end);
        carry_out(slot, meta, &plan)
    }
}

/// Ends a slot's protection; false if the kernel refused.
pub fn release(slot: Slot, meta: &Meta) -> bool {
    guard::note_move(slot.base());
    // SAFETY: the caller's slot.
    if !unsafe { os::protect(slot.base(), slot.bytes(), true) } {
        return false;
    }
    meta.set_shut(0);
    guard::release_shut();
    true
}

/// Shuts what is shut once more, without its content: the trap opened pages for who
/// knows what. What a block holds in front of it stays.
fn renew(slot: Slot, meta: &Meta) -> bool {
    let from = (pages(slot) - meta.shut()) * PAGE;
    let (addr, len) = (slot.base() + from, slot.bytes() - from);
    // SAFETY: no block's part of the caller's slot.
    let done = unsafe { os::protect(addr, len, false) && os::discard(addr, len) };
    if done {
        meta.set_dirty(meta.dirty().min(from));
    }
    done
}

/// Opens all free slots, for a process that gives up the call that does so, and
/// poisons them.
pub fn open_all() {
    for (class, depot) in DEPOTS.iter().enumerate().take(CLASSES).skip(SMALL_CLASSES) {
        if depot.count_hint() == 0 {
            continue;
        }
        let mut inner = depot.lock();
        let mut at = 0;
        while let Some(index) = inner.free.next_member(at) {
            at = index + 1;
            let slot = Slot { class, index: index as usize };
            let meta = meta(slot);
            if meta.shut() != 0 && meta.swap(FREE, TAKEN) {
                open_poisoned(slot, meta);
                meta.swap(TAKEN, FREE);
            }
        }
    }
}

/// Opens a free slot and poisons it; if it cannot be opened it stays shut.
fn open_poisoned(slot: Slot, meta: &Meta) {
    if !release(slot, meta) {
        return;
    }
    for (from, to) in poisoned(slot, meta) {
        // SAFETY: the slot is this thread's; what is not guarded is accessible.
        unsafe { poison::fill_plain((slot.base() + from) as *mut u8, to.saturating_sub(from)) };
    }
}
