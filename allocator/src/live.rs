//! A walk over all live blocks.
//!
//! Ground rules. Nothing is locked but the table of directly mapped blocks, so
//! that other threads go on: a block that is allocated, freed or resized
//! meanwhile is seen as it was before or after, or not at all. Only metadata is
//! read, never a block.

use crate::class::ALL_CLASSES;
use crate::depot::DEPOTS;
use crate::place::Slot;
use crate::signal::Busy;
use crate::slot::LIVE;
use crate::{huge, large};

/// A block that the program holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveBlock {
    /// Its address.
    pub base: usize,
    /// Bytes asked for.
    pub size: usize,
    /// Low half of the return address of the allocation call; 0 unknown.
    pub alloc_site: u32,
}

/// Calls `visit` for every live block. It must not use this heap.
///
/// Cost: a load per slot that exists; nothing is allocated.
pub fn each_live(visit: &mut dyn FnMut(&LiveBlock)) {
    let _busy = Busy::quiet();
    for (class, depot) in DEPOTS.iter().enumerate().take(ALL_CLASSES) {
        for index in 0..depot.bump() as usize {
            if let Some(block) = block_in(Slot { class, index }) {
                visit(&block);
            }
        }
    }
    huge::each_live(visit);
}

fn block_in(slot: Slot) -> Option<LiveBlock> {
    if !slot.is_small() {
        return large::meta(slot).live_block(slot.start());
    }
    let word = slot.meta().load();
    (word.state() == LIVE).then(|| LiveBlock {
        base: slot.base(),
        size: word.size(),
        alloc_site: word.site(),
    })
}
