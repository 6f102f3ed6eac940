//! Every misuse is named, once, with the right places; the program goes on.

mod common;

use common::*;
use deadwalk_alloc::{BlockState, Misuse, MisuseKind, freed_intact, heap, lookup, sweep, watch};

/// One size of each kind of block: small, medium, big slot, large.
const SIZES: [usize; 6] = [16, 40, 1000, 6000, 40_000, 1 << 20];
const ALLOC: usize = 0xa110c;
const FREE: usize = 0xf4ee;
const AGAIN: usize = 0xf4ee2;

fn one(kind: MisuseKind) -> Misuse {
    let told = told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].kind, kind, "{told:?}");
    told[0]
}

/// Allocates and frees until everything freed before left the quarantine.
fn turn_over(size: usize) {
    let rounds = if size > 10_000 { 40 } else { 8192 };
    for _ in 0..rounds {
        // SAFETY: the family's own contract.
        unsafe { heap::free(heap::malloc(size, 0), 0) };
    }
}

#[test]
fn double_free() {
    let _serial = begin();
    for size in SIZES.into_iter().chain([100 << 20]) {
        // SAFETY: the second free is the misuse under test.
        unsafe {
            let block = heap::malloc(size, ALLOC);
            heap::free(block, FREE);
            heap::free(block, AGAIN);
            let misuse = one(MisuseKind::DoubleFree);
            assert_eq!(
                (misuse.addr, misuse.base, misuse.size),
                (block as usize, block as usize, size)
            );
            assert_eq!((misuse.alloc_site, misuse.free_site, misuse.caller), (ALLOC, FREE, AGAIN));
            assert!(!misuse.late);
            heap::free(block, AGAIN);
            assert_eq!(told(), [], "the same object is told once");
            let (one, two) = (heap::malloc(size, 0), heap::malloc(size, 0));
            assert_ne!(one, two);
            heap::free(one, 0);
            heap::free(two, 0);
        }
    }
}

#[test]
fn double_free_after_the_quarantine() {
    let _serial = begin();
    // SAFETY: the second free is the misuse under test.
    unsafe {
        let blocks: Vec<_> = (0..20_000).map(|_| heap::malloc(48, ALLOC)).collect();
        blocks.iter().for_each(|&block| heap::free(block, FREE));
        heap::free(blocks[0], AGAIN);
        assert_eq!(one(MisuseKind::DoubleFree).base, blocks[0] as usize);
    }
}

#[test]
fn free_from_two_threads_at_once_never_hands_a_slot_out_twice() {
    let _serial = begin();
    let rounds = 3000;
    for _ in 0..rounds {
        // SAFETY: freeing twice is the misuse under test.
        let block = unsafe { heap::malloc(160, ALLOC) } as usize;
        let barrier = std::sync::Barrier::new(2);
        let free = || {
            barrier.wait();
            // SAFETY: as above.
            unsafe { heap::free(block as *mut u8, FREE) }
        };
        std::thread::scope(|scope| {
            scope.spawn(free);
            free();
        });
    }
    // SAFETY: the family's own contract.
    let blocks: Vec<_> = (0..20_000).map(|_| unsafe { heap::malloc(160, 0) } as usize).collect();
    let mut unique = blocks.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), blocks.len());
    // SAFETY: as above.
    blocks.into_iter().for_each(|block| unsafe { heap::free(block as *mut u8, 0) });
    let told = told();
    assert!(told.iter().all(|misuse| misuse.kind == MisuseKind::DoubleFree), "{told:?}");
    // Two frees at the same instant are told when the second copy of the slot
    // leaves a quarantine; a few may be in one still, of a thread that ended.
    assert!((rounds * 99 / 100..=rounds).contains(&told.len()), "{} of {rounds}", told.len());
}

#[test]
fn invalid_free() {
    let _serial = begin();
    for size in SIZES.into_iter().chain([100 << 20]) {
        for inside in [1, 8, 15] {
            // SAFETY: freeing inside a block is the misuse under test.
            unsafe {
                let block = heap::malloc(size, ALLOC);
                heap::free(block.add(inside), FREE);
                let misuse = one(MisuseKind::InvalidFree);
                assert_eq!((misuse.base, misuse.offset), (block as usize, inside as isize));
                assert_eq!((misuse.alloc_site, misuse.free_site, misuse.caller), (ALLOC, 0, FREE));
                assert!(heap::realloc(block.add(inside), 10, 0).is_null());
                assert_eq!(lookup(block as usize).unwrap().state, BlockState::Live);
                heap::free(block, 0);
                assert_eq!(lookup(block as usize).unwrap().state, BlockState::Freed);
                assert_eq!(told(), []);
            }
        }
    }
    let on_stack = 0_u64;
    static IN_STATIC: u64 = 0;
    // SAFETY: as above.
    let block = unsafe { heap::malloc(10, 0) } as usize;
    let nowhere =
        [&raw const on_stack as usize, &raw const IN_STATIC as usize, 64, usize::MAX - 15];
    // Where the kernel put the heap's parts differs: one may lie just there.
    let far = [block + (20 << 30), block + (3 << 40), block & !((1 << 35) - 1)];
    let far = far.into_iter().filter(|&addr| lookup(addr).is_none());
    for addr in nowhere.into_iter().chain(far) {
        // SAFETY: as above.
        unsafe { heap::free(addr as *mut u8, FREE) };
        let misuse = one(MisuseKind::InvalidFree);
        assert_eq!((misuse.addr, misuse.base), (addr, 0));
    }
    // SAFETY: as above.
    unsafe { heap::free(HANDLED_FOREIGN as *mut u8, FREE) };
    assert_eq!(told(), []);
}

#[test]
fn write_after_free_is_found_by_the_sweep() {
    let _serial = begin();
    sweep();
    // What stays in memory grows with what is live: all sizes here shall, whatever
    // other tests left there.
    // SAFETY: the family's own contract.
    let live = unsafe { heap::malloc(60 << 20, 0) };
    for size in SIZES {
        for (offset, len) in [(0, 1), (size / 2, 8), (size - 1, 1)] {
            // SAFETY: writing after free is the misuse under test.
            unsafe {
                let block = heap::malloc(size, ALLOC);
                heap::free(block, FREE);
                assert_eq!(freed_intact(block as usize), Some(true));
                block.add(offset).write_bytes(0, len);
                assert_eq!(freed_intact(block as usize), Some(false));
                assert_eq!(sweep(), 1, "{size} {offset}");
                let misuse = one(MisuseKind::UseAfterFreeWrite);
                assert_eq!((misuse.base, misuse.size), (block as usize, size));
                assert_eq!((misuse.offset, misuse.len), (offset as isize, len));
                assert_eq!((misuse.alloc_site, misuse.free_site), (ALLOC, FREE));
                assert!(misuse.late);
                assert_eq!(misuse.found[offset % 16], 0);
                assert_eq!(misuse.expected[offset % 16], 0x6b);
                assert_eq!(sweep(), 0);
                turn_over(size.min(60_000));
                assert_eq!(told(), [], "told once, and never handed out again");
            }
        }
    }
    // SAFETY: a live block.
    unsafe { heap::free(live, 0) };
}

#[test]
fn write_after_free_is_found_when_the_slot_would_be_used_again() {
    let _serial = begin();
    for size in [1, 16, 40, 1000, 6000] {
        // SAFETY: writing after free is the misuse under test.
        unsafe {
            let block = heap::malloc(size, ALLOC);
            heap::free(block, FREE);
            *block = 0x41;
            turn_over(size);
            let misuse = one(MisuseKind::UseAfterFreeWrite);
            assert_eq!((misuse.base, misuse.offset, misuse.len), (block as usize, 0, 1));
            assert_eq!((misuse.alloc_site, misuse.free_site), (ALLOC, FREE));
        }
    }
}

#[test]
fn write_into_a_verified_slot_is_not_blamed_on_its_next_owner() {
    let _serial = begin();
    // SAFETY: writing after free is the misuse under test.
    unsafe {
        let blocks: Vec<_> = (0..5000).map(|_| heap::malloc(64, ALLOC)).collect();
        blocks.iter().for_each(|&block| heap::free(block, FREE));
        // Most of these left the quarantine by now.
        blocks.iter().for_each(|&block| *block.add(64) = 0x41);
        let again: Vec<_> = (0..20_000).map(|_| heap::malloc(64, ALLOC)).collect();
        again.iter().for_each(|&block| heap::free(block, FREE));
        sweep();
    }
    let told = told();
    assert_eq!(told.len(), 5000);
    assert!(told.iter().all(|misuse| misuse.late && misuse.offset == 64), "{:?}", told[0]);
}

#[test]
fn a_sweep_finds_what_was_freed_however_full_the_ring_is() {
    let _serial = begin();
    // Of these classes' rings, some are full at a power of two.
    for size in [40, 200, 1000, 2500, 6000, 16_000] {
        // SAFETY: the write is the misuse under test.
        unsafe {
            let blocks: Vec<_> = (0..60).map(|_| heap::malloc(size, ALLOC)).collect();
            for block in blocks {
                heap::free(block, FREE);
                *block = 0x41;
                assert_eq!(sweep(), 1);
                assert_eq!(one(MisuseKind::UseAfterFreeWrite).base, block as usize);
            }
        }
    }
}

#[test]
fn overflow_is_found_at_free_and_at_realloc() {
    let _serial = begin();
    for size in SIZES.into_iter().chain([24, 31, 100 << 20]) {
        for by_realloc in [false, true] {
            for len in [1, 8] {
                // SAFETY: writing behind the block is the misuse under test; the
                // blocks behind are this test's.
                unsafe {
                    let block = heap::malloc(size, ALLOC);
                    let slack = 16 - size % 16;
                    block.add(size).write_bytes(0x41, len.min(slack));
                    if by_realloc {
                        let moved = heap::realloc(block, size + 1, FREE);
                        assert!(!moved.is_null() && moved != block);
                        heap::free(moved, 0);
                    } else {
                        heap::free(block, FREE);
                    }
                    let misuse = one(MisuseKind::HeapBufferOverflow);
                    assert_eq!((misuse.base, misuse.size), (block as usize, size));
                    assert_eq!(misuse.offset, size as isize);
                    assert_eq!(
                        (misuse.alloc_site, misuse.free_site, misuse.caller),
                        (ALLOC, 0, FREE)
                    );
                    assert_eq!(misuse.found[size % 16], 0x41);
                    turn_over(size.min(60_000));
                    assert_eq!(told(), [], "told once, and never handed out again");
                }
            }
        }
    }
}

#[test]
fn underflow_is_found_at_free() {
    let _serial = begin();
    for size in [8, 20, 1000] {
        // SAFETY: writing in front of the block is the misuse under test.
        unsafe {
            // Neighbours: fresh slots ascend.
            let blocks: Vec<_> = (0..200).map(|_| heap::malloc(size, ALLOC)).collect();
            let stride = (size + 16) & !15;
            let at = (1..200).find(|&at| {
                lookup(blocks[at] as usize - 1)
                    .is_some_and(|front| front.base == blocks[at - 1] as usize)
            });
            let Some(at) = at else { panic!("no neighbours of {stride}") };
            *blocks[at].sub(1) = 0x41;
            heap::free(blocks[at], FREE);
            let misuse = one(MisuseKind::HeapBufferUnderflow);
            assert_eq!((misuse.base, misuse.offset, misuse.len), (blocks[at] as usize, -1, 1));
            assert_eq!((misuse.alloc_site, misuse.caller), (ALLOC, FREE));
            for (other, &block) in blocks.iter().enumerate() {
                if other != at {
                    heap::free(block, FREE);
                }
            }
            turn_over(size);
            assert_eq!(told(), []);
        }
    }
}

#[test]
fn overflow_of_a_live_large_block_is_found_by_the_sweep() {
    let _serial = begin();
    sweep();
    told();
    for size in [40_000, 200_000, (3 << 20) + 5, (100 << 20) + 5] {
        for (offset, len) in [(0, 1), (0, 32), (7, 8)] {
            // SAFETY: writing behind the block is the misuse under test.
            unsafe {
                let block = heap::malloc(size, ALLOC);
                let resized = heap::realloc(heap::malloc(size, 0), size - 2000, 0);
                assert_eq!(sweep(), 0);
                block.add(size + offset).write_bytes(0x41, len);
                assert_eq!(sweep(), 1, "{size} {offset} {len}");
                let misuse = one(MisuseKind::HeapBufferOverflow);
                assert_eq!((misuse.base, misuse.size), (block as usize, size));
                assert_eq!((misuse.offset, misuse.len), ((size + offset) as isize, len));
                assert_eq!((misuse.alloc_site, misuse.late), (ALLOC, true));
                assert_eq!(misuse.found[(size + offset) % 16], 0x41);
                assert_eq!(misuse.expected[(size + offset) % 16], 0x6b);
                assert_eq!(sweep(), 0);
                heap::free(block, FREE);
                heap::free(resized, 0);
                assert_eq!(told(), [], "told once");
            }
        }
    }
}

#[test]
fn live_large_blocks_that_are_resized_are_not_accused_by_a_sweep() {
    let _serial = begin();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: the family's own contract.
            unsafe {
                let mut block = heap::malloc(300_000, 0);
                for step in 0..6000_usize {
                    let size = 200_000 + step * 7919 % 130_000;
                    block = heap::realloc(block, size, 0);
                    block.add(size - 3000).write_bytes(step as u8, 3000);
                    if step % 64 == 0 {
                        heap::free(block, 0);
                        block = heap::malloc(200_000, 0);
                    }
                }
                heap::free(block, 0);
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            sweep();
        }
    });
    assert_eq!(told(), []);
}

#[test]
fn underflow_of_a_large_block_is_found_at_free() {
    let _serial = begin();
    for (size, offset) in [(40_000, 1), (60_000, 3), (200_000, 16)] {
        // SAFETY: the write in front is the misuse under test; the slots in
        // front are mapped, since a block of theirs is live.
        unsafe {
            let blocks: [*mut u8; 4] = std::array::from_fn(|_| heap::malloc(size, ALLOC));
            let mut sorted = blocks;
            sorted.sort();
            let block = sorted[2];
            block.sub(offset).write(7);
            heap::free(block, FREE);
            let misuse = one(MisuseKind::HeapBufferUnderflow);
            assert_eq!((misuse.base, misuse.size, misuse.len), (block as usize, size, 1));
            assert_eq!(misuse.offset, -(offset as isize));
            assert_eq!((misuse.alloc_site, misuse.caller), (ALLOC, FREE));
            // The slot is out of use: nothing is told again.
            for _ in 0..20 {
                let again = heap::malloc(size, 0);
                assert_ne!(again, block);
                heap::free(again, 0);
            }
            blocks.into_iter().filter(|&it| it != block).for_each(|it| heap::free(it, 0));
            assert_eq!(told(), []);
        }
    }
}

#[test]
fn a_watched_blocks_end_is_told_while_it_is_live() {
    let _serial = begin();
    for size in SIZES.into_iter().chain([100 << 20]) {
        // SAFETY: the family's own contract.
        unsafe {
            let block = heap::malloc(size, ALLOC);
            assert_eq!(watch(block as usize + size / 2).unwrap().base, block as usize);
            assert!(lookup(block as usize).unwrap().watched);
            heap::free(block, FREE);
            let (told, site) = freeing()[0];
            assert_eq!(
                (told.base, told.size, told.state, site),
                (block as usize, size, BlockState::Live, FREE)
            );
            assert_eq!(lookup(block as usize).unwrap().state, BlockState::Freed);

            let block = heap::malloc(size, ALLOC);
            watch(block as usize).unwrap();
            let moved = heap::realloc(block, size * 3, FREE);
            assert_ne!(moved, block);
            assert_eq!(freeing().len(), 1);
            assert!(!lookup(moved as usize).unwrap().watched);
            heap::free(moved, 0);
            assert_eq!(freeing(), []);
            assert_eq!(watch(block as usize), None);
        }
    }
    assert_eq!(told(), []);
}

#[test]
fn lookup_knows_blocks_by_any_address_inside() {
    let _serial = begin();
    for size in SIZES.into_iter().chain([100 << 20]) {
        // SAFETY: the family's own contract.
        unsafe {
            let block = heap::malloc(size, ALLOC);
            for at in [0, size / 2, size - 1] {
                let found = lookup(block as usize + at).unwrap();
                assert_eq!(
                    (found.base, found.size, found.alloc_site),
                    (block as usize, size, ALLOC)
                );
                assert_eq!((found.state, found.free_site), (BlockState::Live, 0));
            }
            assert!(heap::owns(block as usize));
            heap::free(block, FREE);
            let found = lookup(block as usize).unwrap();
            assert_eq!((found.state, found.free_site, found.size), (BlockState::Freed, FREE, size));
        }
    }
    assert_eq!(lookup(lookup as *const () as usize), None);
    assert!(!heap::owns(lookup as *const () as usize));
    assert_eq!(told(), []);
}
