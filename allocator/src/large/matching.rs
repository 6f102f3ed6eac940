//! Which free slot a block gets.
//!
//! A slot whose guard stands where the block will end is used as it is; in another
//! one the guard would have to move, at the cost of two calls and a page fault. A slot
//! that is shut fits every block.
//!
//! Ground rules. The depot's lock is held. A hint only: the trap may retire a slot
//! that is looked at.

use crate::bitmap::Bitmap;
use crate::class::{CLASSES, SLOT_SIZE};
use crate::config;
use crate::depot::DEPOTS;
use crate::os::PAGE;
use crate::place::Slot;

use super::guards::pages_of;
use super::meta::meta;

/// Slots looked at.
const LOOK: usize = 16;
/// Larger classes looked at: their slots are at most twice as large.
const LARGER: usize = 4;

/// Takes a slot that fits a block of `size` bytes, or the next one.
pub fn take(class: usize, free: &mut Bitmap, size: usize) -> Option<u32> {
    let found = if config::guards() && free.len() > 1 { find(class, free, size) } else { None };
    if let Some(index) = found {
        free.remove(index);
        return found;
    }
    let mut one = [0];
    (free.take(&mut one) != 0).then_some(one[0])
}

/// Takes a slot that is shut from one of the next classes, for a class that has none
/// in memory: addresses cost less than page faults.
pub fn take_larger(class: usize, align: usize) -> Option<Slot> {
    for class in (class + 1..CLASSES).take(LARGER) {
        let depot = &DEPOTS[class];
        if depot.count_hint() == 0 || !SLOT_SIZE[class].is_multiple_of(align) {
            continue;
        }
        // Nobody waits here, and a handler may have interrupted who holds it.
        let Some(mut inner) = depot.try_lock() else { continue };
        let pages = SLOT_SIZE[class] / PAGE;
        let Some((first, bits)) = inner.free.scan(0) else { continue };
        let slots = (0..64).filter(|bit| bits & 1 << bit != 0).map(|bit| first + bit);
        let is_shut = |&index: &u32| meta(Slot { class, index: index as usize }).shut() == pages;
        let Some(index) = slots.take(LOOK).find(is_shut) else { continue };
        inner.free.remove(index);
        depot.publish_count(&inner);
        return Some(Slot { class, index: index as usize });
    }
    None
}

fn find(class: usize, free: &mut Bitmap, size: usize) -> Option<u32> {
    let (pages, end) = (SLOT_SIZE[class] / PAGE, pages_of(size));
    let mut at = 0;
    for _ in 0..LOOK {
        let index = free.next_member(at)?;
        at = index + 1;
        let meta = meta(Slot { class, index: index as usize });
        if meta.shut() == pages || meta.guards(pages).own == end {
            return Some(index);
        }
    }
    None
}
