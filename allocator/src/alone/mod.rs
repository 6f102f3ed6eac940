//! Blocks that lie alone on their pages, and freed ones that nobody gets for long.
//!
//! A stale access can only be seen where no other block is: on a page that holds
//! nothing else and that traps. So what holds a timer, or a handler's data, is to lie
//! alone. Which blocks these are is known when somebody watches one
//! ([`crate::watch`]): then its slot is chosen already, but the next block of that
//! size from that place in the program's code gets a slot of one of the classes
//! behind the others (`class::of_alone`), a page and a guard. They are large blocks
//! in all but size. In a program that is known to use timers the first block of each
//! kind lies alone too ([`expect_watches`]): it may be the only one. Who wants more has
//! all blocks lie alone, those of some functions ([`choose_code`]), or some of all.
//!
//! A block that was watched, or lies alone, is guarded as a whole when it is freed and
//! *held*: its slot is nobody's until so many others were freed after it that the
//! budget is used up.
//!
//! A block begins its page, so that an access in front of it traps. Or it ends its last
//! one, so that one behind it does, from the next multiple of 16 on.
//!
//! `sites`: whose blocks lie alone; `sample`: and of the others one in so many; `held`:
//! the order in which slots are held; `span`: the addresses that these have; `ages`: since
//! when.

mod ages;
mod held;
mod sample;
mod sites;
mod span;

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::class::{CLASSES, SMALL_CLASSES, of_alone};
use crate::config::{self, Config};
use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::observer::Block;
use crate::os::PAGE;
use crate::place::Slot;
use crate::slot::RETIRED;
use crate::{guard, large, pressure};

pub use ages::{age_ns, note as note_free};
pub use held::{Held, release_all};
pub use sample::Sampler;
pub use sites::{below, choose_code, expect_watches, is_small};
pub use span::{contains as may_be_held, widen};

/// Bytes of live blocks that lie alone, in pages that they do not fill, at most: a
/// program may have any number of timers.
pub const LIVE_BYTES: usize = 64 << 20;
/// Pages that are held at most. They hold no memory but their share of the page
/// tables, 16 bytes a page.
pub const MOST_HELD_PAGES: usize = 1 << 18;

/// So many are let go at most for one that comes: an accessed one keeps its guard.
const WAY: usize = 8;

/// What every block is aligned to.
const ALIGN: usize = 16;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST_LIVE: AtomicUsize = AtomicUsize::new(LIVE_BYTES);
static MOST_HELD: AtomicUsize = AtomicUsize::new(MOST_HELD_PAGES);

/// Applies the settings; see [`crate::configure`].
pub fn configure(config: &Config) {
    MOST_LIVE.store(config.isolate_live_bytes, Relaxed);
    MOST_HELD.store(config.held_pages.min(MOST_HELD_PAGES), Relaxed);
    AT_END.store(config.isolate_at_end, Relaxed);
    sample::configure(if config::isolates() { config.isolate_sample } else { 0 });
    if config::isolates_all() {
        sites::look_at_all();
    }
}

/// Whether blocks that lie alone end their pages.
static AT_END: AtomicBool = AtomicBool::new(false);

/// Whether a slot's block may start behind the slot's start.
#[inline]
pub fn has_lead(slot: Slot) -> bool {
    is_alone(slot) && AT_END.load(Relaxed)
}

/// How far behind the slot's start its block of `size` bytes starts: such that it ends
/// its last page, but for what an alignment to 16 leaves.
#[inline]
pub fn lead(slot: Slot, size: impl FnOnce() -> usize) -> usize {
    if !has_lead(slot) {
        return 0;
    }
    let size = size();
    (large::pages_of(size) * PAGE - size.max(1)) & !(ALIGN - 1)
}

/// Whether a block at a multiple of `align` can lie alone.
pub fn may_align(align: usize) -> bool {
    align <= if AT_END.load(Relaxed) { ALIGN } else { PAGE }
}

/// Whether a slot's block lies alone.
pub fn is_alone(slot: Slot) -> bool {
    slot.class >= CLASSES
}

/// A small block of `size` bytes that lies alone, if the blocks of its site do and
/// there is room for one.
pub fn allocate(size: usize, site: usize, zero: bool) -> Option<*mut u8> {
    if sites::is_chosen(size, site) { place(size, site, zero) } else { None }
}

/// A small block that lies alone since its turn has come, if there is room for one.
pub fn sampled(size: usize, site: usize) -> Option<*mut u8> {
    place(size, site, false)
}

fn place(size: usize, site: usize, zero: bool) -> Option<*mut u8> {
    let class = of_alone(size);
    let bytes = Slot { class, index: 0 }.bytes();
    let is_over = || LIVE.fetch_add(bytes, Relaxed) + bytes > MOST_LIVE.load(Relaxed);
    if pressure::is_tight() {
        counters::add(Counter::GuardsRefused, 1);
        return None;
    }
    let block = if is_over() { None } else { large::allocate(class, (size, ALIGN), site, zero) };
    if block.is_none() {
        LIVE.fetch_sub(bytes, Relaxed);
        counters::add(Counter::GuardsRefused, 1);
    }
    block
}

/// A block that lay alone is freed.
pub fn freed(slot: Slot) {
    LIVE.fetch_sub(slot.bytes(), Relaxed);
}

/// A live block is watched from now on: later ones of its kind are to lie alone.
pub fn watched(block: &Block) {
    if config::isolates() && is_small(block.size) {
        sites::choose(block.size, block.alloc_site);
    }
}

/// Whether so many bytes of a block that is freed are to be held: one that is meant, or
/// whose site is chosen. If only memory is short, they count as let go.
pub fn holds(is_meant: bool, alloc_site: usize, bytes: usize) -> bool {
    if !is_meant && !sites::is_in_code(alloc_site) {
        return false;
    }
    let is_short = config::isolates() && pressure::is_on();
    if is_short {
        count_released(bytes);
    }
    config::isolates() && !is_short
}

/// Counts so many bytes of freed blocks as guarded no longer, or not at all.
pub fn count_released(bytes: usize) {
    counters::add(Counter::GuardsReleased, (bytes / PAGE) as u64);
}

/// Counts a slot that is let go; one that was accessed keeps its guard for good.
pub fn count_let_go(slot: Slot) {
    if large::meta(slot).state() != RETIRED {
        count_released(slot.bytes());
    }
}

/// Lets the oldest go where the kernel has no guards and no more pages can be
/// protected: else those that were freed first would keep them from all later ones.
pub fn make_way() {
    let mut tries = 0..WAY;
    while guard::is_full() && tries.next().is_some() && release_oldest(large::unmap) {}
}

/// Holds a slot that is guarded as a whole and in no set, and lets the oldest go if
/// that is too much. If it cannot be held, it is free at once.
pub fn hold(slot: Slot) {
    widen(slot.base()..slot.base() + slot.bytes());
    let depot = &DEPOTS[slot.class];
    let mut inner = depot.lock();
    if !inner.held.push(slot) {
        count_released(slot.bytes());
        inner.purged.insert(slot.index as u32);
    }
    drop(inner);
    while held::pages() > MOST_HELD.load(Relaxed) && release_oldest(|_| false) {}
}

/// Lets the oldest go and does `then` with it, under its depot's lock.
fn release_oldest(then: impl FnOnce(Slot) -> bool) -> bool {
    let Some(class) = held::oldest() else { return false };
    debug_assert!(class >= SMALL_CLASSES);
    let mut inner = DEPOTS[class].lock();
    // Another thread may have been faster.
    if let Some(index) = inner.held.pop(class) {
        let slot = Slot { class, index: index as usize };
        count_let_go(slot);
        inner.purged.insert(index);
        then(slot);
    }
    true
}
