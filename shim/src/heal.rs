//! Frees that `heal=on` puts off: of a timer's data while a handler uses it.
//!
//! # Ground rules
//!
//! * A cell is FREE, BUSY (being filled), or holds a block's address. The block is live
//!   for the heap, and still watched, so a second free of it comes by here and is told.
//! * Whoever sets GOING in an address gives the block back, and then frees the cell.
//! * Blocks are given back by threads at which the heap may be called: as a handler
//!   thread leaves, as a timer is created, as another such block is freed.
//! * Memory is bounded by the number of cells: beyond, blocks are freed at once.

use core::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use deadwalk_alloc::{Block, Freeing, heap};
use deadwalk_detector::DETECTOR;

/// Blocks kept at the same time: more handlers than that seldom run.
const CELLS: usize = 256;
const FREE: usize = 0;
const BUSY: usize = 1;
/// In an address: its block is being given back. Blocks begin at multiples of 16.
const GOING: usize = 1;

struct Kept {
    addr: AtomicUsize,
    site: AtomicUsize,
}

static KEPT: [Kept; CELLS] =
    [const { Kept { addr: AtomicUsize::new(FREE), site: AtomicUsize::new(0) } }; CELLS];
/// Cells in use, so that nobody looks at none.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What becomes of a watched block that is kept already; `None` if it is not.
pub fn freed_again(base: usize) -> Option<Freeing> {
    if COUNT.load(Relaxed) == 0 {
        return None;
    }
    KEPT.iter().find_map(|kept| match kept.addr.load(Acquire) {
        addr if addr == base | GOING => Some(Freeing::Goes),
        addr if addr == base => Some(Freeing::WasFreed(kept.site.load(Relaxed))),
        _ => None,
    })
}

/// A watched block is freed, and that was told. What becomes of it?
pub fn freed(block: &Block, site: usize) -> Freeing {
    if !DETECTOR.heals() || !DETECTOR.is_in_use(block.base) {
        return Freeing::Goes;
    }
    let Some(kept) =
        KEPT.iter().find(|kept| kept.addr.compare_exchange(FREE, BUSY, AcqRel, Relaxed).is_ok())
    else {
        return Freeing::Goes;
    };
    kept.site.store(site, Relaxed);
    COUNT.fetch_add(1, Relaxed);
    kept.addr.store(block.base, Release);
    // The handler may have left, and looked, before it was kept.
    if !DETECTOR.is_in_use(block.base) && kept.take(block.base) {
        kept.clear();
        return Freeing::Goes;
    }
    DETECTOR.healed_free();
    Freeing::Stays
}

impl Kept {
    /// Is the block ours to give back?
    fn take(&self, addr: usize) -> bool {
        self.addr.compare_exchange(addr, addr | GOING, AcqRel, Relaxed).is_ok()
    }

    fn clear(&self) {
        COUNT.fetch_sub(1, Relaxed);
        self.addr.store(FREE, Release);
    }
}

/// Gives back the blocks that no handler uses any more. Not in a signal handler.
pub fn give_back() {
    if COUNT.load(Relaxed) == 0 {
        return;
    }
    for kept in &KEPT {
        let addr = kept.addr.load(Acquire);
        if addr & GOING == 0 && addr != FREE && !DETECTOR.is_in_use(addr) && kept.take(addr) {
            let site = kept.site.load(Relaxed);
            // SAFETY: a live block of the heap, whose end the program asked for.
            unsafe { heap::free(addr as *mut u8, site) };
            kept.clear();
        }
    }
}
