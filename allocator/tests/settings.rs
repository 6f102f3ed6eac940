//! Settings and counters are process-wide, so they have a process of their own.

mod common;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use deadwalk_alloc::{
    CLASS_CELLS, ClassCounters, Config, Counter, HEAP_COUNTERS, configure, flush_counters, heap,
    set_class_counters, set_class_counters_fresh, set_counters, set_counters_fresh, sweep,
};

/// How many blocks are freed before a freed one comes back.
fn frees_until_reuse() -> usize {
    // SAFETY: the family's own contract.
    unsafe {
        let first = heap::malloc(64, 0);
        heap::free(first, 0);
        for count in 1..100_000 {
            let block = heap::malloc(64, 0);
            heap::free(block, 0);
            if block == first {
                return count;
            }
        }
    }
    100_000
}

static HERE_CLASSES: ClassCounters = [const { [const { AtomicU64::new(0) }; CLASS_CELLS] }; 128];
static CHILD_CLASSES: ClassCounters = [const { [const { AtomicU64::new(0) }; CLASS_CELLS] }; 128];

/// Slot size, allocations, frees and live blocks of the class of 64 bytes.
fn class_of_64(classes: &ClassCounters) -> [u64; CLASS_CELLS] {
    classes[4].each_ref().map(|cell| cell.load(Relaxed))
}

#[test]
fn settings_and_counters_take_effect() {
    let _serial = common::begin();
    configure(Config { quarantine_bytes: 1 << 20, ..Config::default() });
    assert!(frees_until_reuse() > 1500);
    configure(Config { quarantine_bytes: 0, ..Config::default() });
    assert!(frees_until_reuse() < 300);

    static HERE: [AtomicU64; HEAP_COUNTERS] = [const { AtomicU64::new(0) }; HEAP_COUNTERS];
    static CHILD: [AtomicU64; HEAP_COUNTERS] = [const { AtomicU64::new(0) }; HEAP_COUNTERS];
    set_counters(&HERE);
    set_class_counters(&HERE_CLASSES);
    let carried = HERE[Counter::Allocs as usize].load(Relaxed);
    assert!(carried > 1500);
    // SAFETY: the family's own contract.
    let block = unsafe { heap::malloc(64, 0) };
    flush_counters();
    assert_eq!(HERE[Counter::Allocs as usize].load(Relaxed), carried + 1);
    for (counter, cell) in [(Counter::Allocs, 1), (Counter::Frees, 2)] {
        let sum: u64 = HERE_CLASSES.iter().map(|class| class[cell].load(Relaxed)).sum();
        assert_eq!(HERE[counter as usize].load(Relaxed), sum);
    }
    let live = HERE[Counter::LiveBytes as usize].load(Relaxed);
    let here = class_of_64(&HERE_CLASSES);
    let live_blocks = here[3];
    assert_eq!(here[3], here[1] - here[2]);
    set_class_counters_fresh(&CHILD_CLASSES);
    set_counters_fresh(&CHILD);
    assert_eq!(class_of_64(&CHILD_CLASSES), [80, 0, 0, live_blocks]);
    assert_eq!(CHILD[Counter::Allocs as usize].load(Relaxed), 0);
    assert_eq!(CHILD[Counter::LiveBytes as usize].load(Relaxed), live);
    // SAFETY: a live block.
    unsafe { heap::free(block, 0) };
    flush_counters();
    assert_eq!(class_of_64(&CHILD_CLASSES), [80, 0, 1, live_blocks - 1]);
    assert_eq!(class_of_64(&HERE_CLASSES), [80, here[1], here[2], live_blocks]);
    assert_eq!(CHILD[Counter::Frees as usize].load(Relaxed), 1);
    assert_eq!(CHILD[Counter::LiveBytes as usize].load(Relaxed), live - 80);

    configure(Config { poison: false, ..Config::default() });
    // SAFETY: the write after free is what must go unnoticed now.
    unsafe {
        for size in [8, 64, 3000, 20_000, 50_000] {
            for round in 0..3000_usize {
                let block = heap::calloc(1, size, 0);
                assert!((0..size.min(64)).all(|at| *block.add(at) == 0), "{size} {round}");
                block.write_bytes(0x33, size);
                heap::free(block, 0);
                *block = 1;
            }
        }
    }
    assert_eq!(sweep(), 0);
    assert_eq!(common::told(), []);
}
