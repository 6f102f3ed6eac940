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

/// Blocks that have a mapping each.
const HUGE: usize = 65 << 20;

/// A freed one that was watched.
fn held_huge(site: usize) -> usize {
    let block = block(HUGE, site);
    watch(block as usize).expect("a live block");
    free(block);
    block as usize
}

#[test]
fn a_huge_one_that_was_watched_is_held() {
    let _serial = isolate();
    let site = 0x60_000;
    let (unwatched, addr) = (block(HUGE, site), held_huge(site));
    free(unwatched);
    assert!(!trap::is_stale(unwatched as usize) && !trap::is_stale(addr + (1 << 30)));
    assert!(trap::may_be_held(addr) && trap::is_stale(addr) && trap::is_stale(addr + HUGE - 1));
    let write = trap::alias(addr + PAGE, 8, true).expect("an alias");
    let read = trap::alias(addr + 8, 8, false).expect("an alias");
    // SAFETY: aliases stay; a page that is opened is the program's.
    unsafe {
        write.cast::<u64>().write(5);
        assert_eq!(read.cast::<u64>().read(), 0x6b6b_6b6b_6b6b_6b6b);
    }
    trap::tell(addr + 8, 4, false, 0x1234);
    let told = told();
    assert_eq!((told.len(), told[0].kind), (1, MisuseKind::UseAfterFreeRead));
    assert_eq!((told[0].base, told[0].offset, told[0].free_site), (addr, 8, FREE));
    assert!(told[0].age_ns > 0);
    // Who cannot be served an alias opens it; what was written stays.
    assert!(trap::trap(addr + PAGE, true, 0x1234));
    // SAFETY: as above.
    unsafe { assert_eq!(((addr + PAGE) as *const u64).read(), 5) };
    assert!(!trap::is_stale(addr + PAGE) && !trap::is_stale(addr));
}

/// Where nobody looked the oldest go first; what was accessed is nobody's for good.
#[test]
fn huge_ones_go_when_there_are_too_many() {
    const MOST: usize = 64;
    let _serial = isolate();
    let site = 0x70_000;
    let accessed: Vec<_> = (0..5).map(|_| held_huge(site)).collect();
    assert!(accessed.iter().all(|&addr| trap::alias(addr, 1, false).is_some()));
    let released = read_counter(Counter::GuardsReleased);
    let held: Vec<_> = (0..2 * MOST).map(|_| held_huge(site)).collect();
    assert!(read_counter(Counter::GuardsReleased) > released);
    let left: Vec<_> = held.iter().filter(|&&addr| trap::is_stale(addr)).collect();
    assert!(left.len() < MOST && left.len() > MOST / 2);
    assert!(trap::is_stale(held[2 * MOST - 1]) && !trap::is_stale(held[0]));
    assert!(accessed.iter().all(|&addr| trap::is_stale(addr)));
    // Once around all addresses, and growing in place: nobody gets one of these.
    let is_on = |addr: usize, len: usize| {
        accessed.iter().any(|&held| addr < held + HUGE && held < addr + len)
    };
    let step = 1 << 40;
    for _ in 0..8 {
        let passing = block(step, site + 1);
        if !passing.is_null() {
            assert!(!is_on(passing as usize, step));
            free(passing);
        }
        let small = block(HUGE, site + 1);
        // SAFETY: the family's own contract.
        let grown = unsafe { heap::realloc(small, 8 * HUGE, site + 1) };
        assert!(!grown.is_null() && !is_on(grown as usize, 8 * HUGE));
        free(grown);
    }
    assert_eq!(told(), []);
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
