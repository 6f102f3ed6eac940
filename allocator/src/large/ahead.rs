//! The guard of a block that grows step by step.
//!
//! A guard right behind the block would have to move at every step. Who grew a few
//! times in a row gets it some pages further on, and what lies between is canary: an
//! overflow there is told at the next steps or at the end, not at the access. Each
//! page is opened, filled and verified once; a system call serves many steps.
//!
//! Ground rules. Called by the slot's owner.

use crate::class;
use crate::os::PAGE;
use crate::place::{Place, Slot, locate};

use super::guards::{self, pages_of};
use super::meta::{Meta, meta, pages};

/// Small steps in a row that make a growing block.
const STEPS: usize = 16;
/// Its guard stands this part of its size ahead ...
const SHARE: usize = 8;
/// ... but not more pages.
const PAGES: usize = 16;
/// The most bytes between a block and its guard.
pub const MOST: usize = (PAGES + 1) * PAGE;

/// A step is small up to this part of the block's size.
const SMALL: usize = 4;

/// How often in a row the block grew by a small step, this one included.
pub fn growths(meta: &Meta, old: usize, size: usize) -> usize {
    let is_small = size > old && size - old <= old / SMALL;
    if is_small { meta.growths() + 1 } else { 0 }
}

/// Lets a block go on growing as the one did that it was moved from.
pub fn go_on(from: usize, to: usize) {
    if let (Place::In(from, true), Place::In(to, true)) = (locate(from), locate(to))
        && !from.is_small()
        && !to.is_small()
    {
        let (old, new) = (meta(from), meta(to));
        new.set_size(new.size(), growths(old, old.size(), new.size()));
    }
}

/// Whether a block may grow to `size` bytes in front of its guard.
pub fn reaches(slot: Slot, meta: &Meta, size: usize) -> bool {
    let (open, all) = (meta.open_bytes(pages(slot)), slot.bytes());
    meta.growths() >= STEPS && open < all && size <= open && open - size <= MOST
}

/// Puts the guard behind a block that grows to `size` bytes, or further.
pub fn set_end(slot: Slot, meta: &Meta, size: usize) -> bool {
    let own = pages_of(size);
    let ahead = if meta.growths() < STEPS { 0 } else { (own / SHARE).min(PAGES) };
    // A guard fits behind it.
    let end = (own + ahead).min(pages(slot) - 1).max(own);
    guards::set_end(slot, meta, end * PAGE)
}

/// Takes the class for a block that grew to `size` bytes: what grows goes on
/// growing, and so the next steps happen in place. More addresses but no more memory:
/// with twice the size, each byte was copied once on average and the old slots held as
/// much as the block.
pub fn class_for(size: usize) -> Option<usize> {
    const ROOM: usize = 8;
    let most = class::LARGEST_SLOT - 1;
    let wanted = size.checked_mul(ROOM)?.min(most);
    (size <= most / 2).then(|| class::of_aligned(wanted, 16)).flatten()
}
