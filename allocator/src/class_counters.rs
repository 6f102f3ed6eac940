//! Totals by size class.
//!
//! Ground rules: as in `counters`; the same differences are added here, class by
//! class. A class's slot size is written with its first number, so that who
//! reads the cells needs no table.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use crate::class::{ALL_CLASSES, MAX_CLASSES, SLOT_SIZE};
use crate::counters;

/// Numbers kept of a class.
pub const CLASS_CELLS: usize = 4;
/// By class: slot size in bytes (0 for blocks that are mapped directly),
/// allocations, frees, live blocks.
pub type ClassCounters = [[AtomicU64; CLASS_CELLS]; MAX_CLASSES];

/// What the cells of a class hold.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Cell {
    SlotBytes,
    Allocs,
    Frees,
    Live,
}

/// The class under which directly mapped blocks count.
pub(crate) const HUGE: usize = ALL_CLASSES;
const _: () = assert!(HUGE < MAX_CLASSES);

static OWN: ClassCounters = [const { [const { AtomicU64::new(0) }; CLASS_CELLS] }; MAX_CLASSES];
/// Null means `OWN`.
static PLACE: AtomicPtr<ClassCounters> = AtomicPtr::new(core::ptr::null_mut());

fn place() -> &'static ClassCounters {
    let place = PLACE.load(Relaxed);
    // SAFETY: only `&'static ClassCounters` are stored.
    if place.is_null() { &OWN } else { unsafe { &*place } }
}

fn redirect(classes: &'static ClassCounters) -> &'static ClassCounters {
    let old = place();
    PLACE.store(core::ptr::from_ref(classes).cast_mut(), Relaxed);
    old
}

/// Lets the heap count by class here from now on; the totals so far are carried
/// over.
pub fn set_class_counters(classes: &'static ClassCounters) {
    let old = redirect(classes);
    if !core::ptr::eq(old, classes) {
        for (class, old) in old.iter().enumerate() {
            let [_, allocs, frees, live] = old.each_ref().map(|cell| cell.load(Relaxed));
            add_all(class, allocs, frees, live);
        }
    }
}

/// Like [`set_class_counters`] for a fork child: live blocks are carried over,
/// events start at zero. To be called before
/// [`set_counters_fresh`](crate::set_counters_fresh).
pub fn set_class_counters_fresh(classes: &'static ClassCounters) {
    if !counters::is_forked() {
        remember();
    }
    redirect(classes);
    for (class, live) in AT_FORK.iter().enumerate() {
        add_all(class, 0, 0, live.load(Relaxed));
    }
}

/// Live blocks at the fork; see `counters`.
static AT_FORK: [AtomicU64; MAX_CLASSES] = [const { AtomicU64::new(0) }; MAX_CLASSES];

/// Before a fork: keeps the live blocks for the child.
pub(crate) fn remember() {
    for (kept, cells) in AT_FORK.iter().zip(place()) {
        kept.store(cells[Cell::Live as usize].load(Relaxed), Relaxed);
    }
}

/// Events start at zero from here on.
pub(crate) fn clear_events() {
    for cells in place() {
        cells[Cell::Allocs as usize].store(0, Relaxed);
        cells[Cell::Frees as usize].store(0, Relaxed);
    }
}

/// Adds to a class; differences may be negative, and wrap.
pub(crate) fn add(class: usize, allocs: u64, frees: u64) {
    add_all(class, allocs, frees, allocs.wrapping_sub(frees));
}

fn add_all(class: usize, allocs: u64, frees: u64, live: u64) {
    let cells = &place()[class];
    for (cell, amount) in [(Cell::Allocs, allocs), (Cell::Frees, frees), (Cell::Live, live)] {
        if amount != 0 {
            cells[cell as usize].fetch_add(amount, Relaxed);
            cells[Cell::SlotBytes as usize].store(SLOT_SIZE[class] as u64, Relaxed);
        }
    }
}
