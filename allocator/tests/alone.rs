//! Blocks that lie alone, and freed ones that are held.

mod common;
#[path = "common/segv.rs"]
mod segv;

use common::told;
use deadwalk_alloc::{BlockState, Config, Counter, Isolate, MisuseKind, configure, heap, lookup};
use deadwalk_alloc::{read_counter, trap, watch};
use segv::*;

const PAGE: usize = 4096;
/// Pages that are held at most, and those of the smallest slot.
const MOST_PAGES: usize = 1 << 18;
const SLOT_PAGES: usize = 2;
const FREE: usize = 0x2000;

fn isolate() -> std::sync::MutexGuard<'static, ()> {
    let serial = begin();
    configure(Config { guard: true, isolate: Isolate::Watched, ..Config::default() });
    serial
}

/// A block of that kind.
fn block(size: usize, site: usize) -> *mut u8 {
    // SAFETY: none beyond C's.
    unsafe { heap::malloc(size, site) }
}

/// Frees a block.
fn free(block: *mut u8) {
    // SAFETY: a live block of the caller's.
    unsafe { heap::free(block, FREE) };
}

/// A block that lies alone: the first of its kind was watched.
fn alone(size: usize, site: usize) -> *mut u8 {
    let first = block(size, site);
    watch(first as usize).expect("a live block");
    free(first);
    block(size, site)
}

#[test]
fn the_next_of_a_kind_lies_alone() {
    let _serial = isolate();
    for (size, site) in
        [(0, 0x10_000), (1, 0x10_010), (64, 0x10_020), (4096, 0x10_030), (32_000, 0x10_040)]
    {
        let alone = alone(size, site);
        assert_eq!(alone as usize % PAGE, 0, "size {size}");
        let known = lookup(alone as usize).expect("a block");
        assert_eq!((known.size, known.state, known.alloc_site), (size, BlockState::Live, site));
        // Not of another size, nor from elsewhere; slots of pages begin at pages anyway.
        for other in [block(size + 1, site), block(size, site + 1)] {
            assert!(size > 1000 || !(other as usize).is_multiple_of(PAGE), "size {size}");
            free(other);
        }
        free(alone);
        let known = lookup(alone as usize).expect("a block");
        assert_eq!((known.size, known.state, known.free_site), (size, BlockState::Freed, FREE));
        // Held: nobody gets it.
        let next: Vec<_> = (0..50).map(|_| block(size, site)).collect();
        assert!(!next.contains(&alone), "size {size}");
        next.into_iter().for_each(free);
    }
    assert_eq!(told(), []);
}

#[test]
fn calloc_and_realloc_know_such_blocks() {
    let _serial = isolate();
    let site = 0x20_000;
    free(alone(100, site));
    // SAFETY: the family's own contract.
    unsafe {
        let zero = heap::calloc(1, 100, site);
        assert_eq!(zero as usize % PAGE, 0);
        assert!((0..100).all(|at| *zero.add(at) == 0));
        zero.write_bytes(7, 100);
        let grown = heap::realloc(zero, 5000, site + 1);
        assert!(grown != zero && (0..100).all(|at| *grown.add(at) == 7));
        assert_eq!(heap::usable_size(grown), 5000);
        heap::free(grown, FREE);
    }
    assert_eq!(told(), []);
}

#[test]
fn a_freed_one_has_an_alias_and_is_retired_by_it() {
    let _serial = isolate();
    let freed = alone(64, 0x30_000);
    let addr = freed as usize;
    assert!(!trap::is_stale(addr) && trap::alias(addr, 8, false).is_none());
    free(freed);
    assert!(trap::is_stale(addr));
    let read = trap::alias(addr, 8, false).expect("an alias");
    let write = trap::alias(addr + 16, 8, true).expect("an alias");
    let again = trap::alias(addr + 16, 8, false).expect("an alias");
    // SAFETY: an alias stays; the last is the shadow that was written to.
    unsafe {
        assert_eq!(read.cast::<u64>().read(), 0x6b6b_6b6b_6b6b_6b6b);
        write.cast::<u64>().write(5);
        assert_eq!(again.cast::<u64>().read(), 5);
    }
    assert!(trap::alias(addr + PAGE - 4, 8, false).is_none(), "on two pages");
    trap::tell(addr + 8, 4, false, 0x1234);
    let told = told();
    assert_eq!((told.len(), told[0].kind), (1, MisuseKind::UseAfterFreeRead));
    assert_eq!((told[0].addr, told[0].len, told[0].offset), (addr + 8, 4, 8));
}

#[test]
fn an_overflow_of_pages_is_told_at_the_access() {
    let _serial = isolate();
    let live = alone(4096, 0x40_000);
    // SAFETY: the write behind the block is the misuse under test.
    unsafe { store(live.add(4096), 8) };
    let told = told();
    assert_eq!((told.len(), told[0].kind), (1, MisuseKind::HeapBufferOverflow));
    free(live);
}

/// 200,000 guarded pages and more; beyond the budget the oldest go first.
#[test]
fn the_oldest_go_when_there_are_too_many() {
    let _serial = isolate();
    let site = 0x50_000;
    let first = alone(40, site);
    free(first);
    let released = read_counter(Counter::GuardsReleased);
    for _ in 0..MOST_PAGES / SLOT_PAGES {
        let block = block(40, site);
        watch(block as usize);
        free(block);
    }
    assert!(read_counter(Counter::GuardsReleased) > released);
    // The first is free for others now; the last are not.
    let newest = block(40, site);
    free(newest);
    assert!(trap::is_stale(newest as usize));
    assert_eq!(told(), []);
}
